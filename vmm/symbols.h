/*
 * The symbol table of an ELF file (a kernel's vmlinux): addresses by name, and the file's bytes by address. Foreign
 * bytes: nothing is believed before it has been checked. No KVM.
 */
#ifndef VMM_SYMBOLS_H
#define VMM_SYMBOLS_H

#include "vmm/elf.h"

struct symbols {
	struct image_file file;
	struct elf_image elf;
	uint64_t table, count;	   /* offset of the Elf64_Sym in the file, and how many */
	uint64_t names, names_len; /* offset of their names, which end in a zero byte */
};

struct symbol {
	uint64_t addr; /* as linked */
	uint64_t size; /* 0: the file does not say */
};

/*
 * Main thread. Open a file and find its table. machine: the EM_ wanted. 0 or -errno with one line logged that names the
 * file; -ENOEXEC: no ELF program of that machine, damaged, or stripped. The file is mapped until symbols_close(): look
 * up what is needed and close it, a file that is overwritten meanwhile ends the process.
 */
int symbols_open(struct symbols *s, const char *path, uint16_t machine);
void symbols_close(struct symbols *s); /* of an opened one, or a zeroed one */

/* The same for bytes that are there already; s->file borrows them, nothing is to be closed. */
int symbols_parse(struct symbols *s, const struct image_file *f, uint16_t machine);

/*
 * The symbol of that name; of several, a global one, else the one with the lowest address. -ENOENT, not logged. Looks
 * at the whole table: some milliseconds for a kernel.
 */
int symbols_find(const struct symbols *s, const char *name, struct symbol *out);

/* A symbol as nm lists it. name ends in a zero byte and lives as long as the file's bytes. */
struct symbol_line {
	uint64_t addr, size;
	char type; /* as nm prints it; also 'A': an offset into the per-CPU template of x86, which is linked at 0 */
	const char *name;
	size_t len;
};
/* The i-th of s->count. false: nothing that has an address in memory, or its name is not in the file. */
bool symbols_nth(const struct symbols *s, uint64_t i, struct symbol_line *out);

/* Would symbols_parse() find a symbol table, or something to complain about? Logs nothing. */
bool symbols_present(const struct image_file *f);

/* The bytes that the file puts at va, up to the end of its segment's bytes: how many of len. */
size_t symbols_bytes(const struct symbols *s, uint64_t va, void *buf, size_t len);

/* Where the file's segments are linked: [*low, *high); those at address 0 that are loaded elsewhere do not count. */
void symbols_span(const struct symbols *s, uint64_t *low, uint64_t *high);

#endif
