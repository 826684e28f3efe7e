/*
 * Names and addresses of a kernel, from wherever they can be had: an ELF file's symbol table (vmm/symbols.h) or the
 * kallsyms table that a stripped Linux kernel carries. Sorted by address. Immutable but for symtab_slide(), so that any
 * thread may read it. No KVM.
 */
#ifndef VMM_SYMTAB_H
#define VMM_SYMTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symtab;
struct symbols;

struct symtab_entry {
	uint64_t addr;
	uint64_t size;	  /* 0: not known (kallsyms has none) */
	char type;	  /* as nm prints it: 'T' global code, 't' local code, 'D', 'b', ...; 'A': no place in memory */
	const char *name; /* lives as long as the table */
};

/* Is what has this type code? */
bool symtab_is_code(char type);

/*
 * All sections, files, undefined and nameless symbols left out, and the marks that arm64's tools leave in code ($x,
 * $d). 0 or -errno (-ENOMEM). The file may be closed after. See also vmm/kallsyms.h and vmm/vm_symtab.h.
 */
int symtab_from_elf(struct symtab **out, const struct symbols *s);
void symtab_free(struct symtab *t); /* NULL-safe */
size_t symtab_count(const struct symtab *t);
/* The i-th by address. */
bool symtab_get(const struct symtab *t, size_t i, struct symtab_entry *out);
/* What messages call it: "vmlinux", the last part of a path. Lives as long as the table. */
const char *symtab_source(const struct symtab *t);

/* All symbols of that name, ascending: how many there are; at most max of them go to out. */
size_t symtab_find(const struct symtab *t, const char *name, struct symtab_entry *out, size_t max);
/*
 * The symbol that addr belongs to: in its size, or, if that is not known, before the next symbol and within
 * SYMTAB_REACH. Of several at one address the one that a person would call it by. Absolute symbols (type 'A') have
 * nothing.
 */
#define SYMTAB_REACH (1ULL << 20)
bool symtab_at(const struct symtab *t, uint64_t addr, struct symtab_entry *out);
/* Names that somebody who typed this one may have meant, the nearest first: how many, at most max. Milliseconds. */
size_t symtab_near(const struct symtab *t, const char *name, const char **out, size_t max);
/* The kernel has moved itself: all addresses of the kernel half + slide. Not while others read. */
void symtab_slide(struct symtab *t, uint64_t slide);

#endif
