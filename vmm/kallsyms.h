/*
 * The kallsyms table, with which a Linux kernel names its own addresses: most kernels have it, stripped ones too. All
 * layouts of 64-bit little-endian kernels since 4.6. Pure: bytes in, a table of symbols out. Foreign bytes: nothing is
 * believed before it has been checked, time and memory are bounded.
 */
#ifndef VMM_KALLSYMS_H
#define VMM_KALLSYMS_H

#include <stddef.h>
#include <stdint.h>

struct symtab;

/* Bytes of a kernel, and the address at which the first of them is linked, a multiple of 8; 0: not known. */
struct kallsyms_bytes {
	const uint8_t *data;
	size_t len;
	uint64_t va;
};

/*
 * The table has to lie in one of the n chunks; in which is found out, by its contents. path: see symtab_source(). Takes
 * some tens of milliseconds for a kernel. Addresses are those the kernel was linked at (or, in guest memory, runs at).
 * 0 or, not logged, -ENODATA: there is none, or none that can be relied on; -ENOMEM. Any thread.
 */
int symtab_from_kallsyms(struct symtab **out, const char *path, const struct kallsyms_bytes *chunk, size_t n);

#endif
