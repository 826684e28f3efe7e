/* What a guest finds when it starts, as text; the device tree, read. Every address is physical, mapped to itself. */
#ifndef GUESTS_TESTS_ARM64_INFO_H
#define GUESTS_TESTS_ARM64_INFO_H

#include <stddef.h>
#include <stdint.h>

struct boot_state;

void info_text(const char *text);
void info_hex(const char *name, uint64_t v); /* "name=0x12\n" */
void info_state(const struct boot_state *s); /* registers at the entry */
void info_tree(uint64_t x0);		     /* the device tree: memory, CPUs, command line, initrd */

/* The tree: where X0 says, or at the start of RAM, where it may lie as well; NULL: none. */
const void *device_tree(uint64_t x0);
/*
 * A property of the first node whose name up to its unit address is `node` ("" for the root), and its length; NULL:
 * none. Values are big-endian: fdt_cells() reads n (1 or 2) 32-bit cells.
 */
const void *fdt_property(const void *tree, const char *node, const char *name, uint32_t *len);
uint64_t fdt_cells(const void *p, unsigned n);
unsigned fdt_count(const void *tree, const char *node);

#endif
