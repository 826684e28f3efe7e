/*
 * Writer of flattened device trees, version 17. Nodes and properties in the order in which they are to stand; what
 * does not fit sets a flag that stays, so only fdt_finish() has to be asked. Pure; one tree, one thread. Source:
 * Devicetree Specification 0.4, chapter 5.
 */
#ifndef ARM64_FDT_H
#define ARM64_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FDT_NAMES_MAX 1024 /* bytes of all different property names */
#define FDT_MAGIC     0xd00dfeed

struct fdt {
	uint8_t *buf;
	size_t size, len;
	char names[FDT_NAMES_MAX];
	size_t names_len;
	unsigned depth;
	bool overflow;
};

/* buf is 8-byte aligned and the caller's; the memory reservation block is empty. */
void fdt_init(struct fdt *f, void *buf, size_t size);
/* name: "" for the root. */
void fdt_begin_node(struct fdt *f, const char *name);
/* name@unit, unit in hexadecimal. */
void fdt_begin_node_at(struct fdt *f, const char *name, uint64_t unit);
void fdt_end_node(struct fdt *f);
/* Properties stand before the sub-nodes of their node. */
void fdt_prop(struct fdt *f, const char *name, const void *value, size_t len);
void fdt_prop_empty(struct fdt *f, const char *name);
void fdt_prop_u32(struct fdt *f, const char *name, uint32_t value);
void fdt_prop_u64(struct fdt *f, const char *name, uint64_t value);
void fdt_prop_cells(struct fdt *f, const char *name, const uint32_t *cells, size_t n);
/* n numbers of two cells each, as `reg` with #address-cells = #size-cells = 2 has them. */
void fdt_prop_cells64(struct fdt *f, const char *name, const uint64_t *values, size_t n);
void fdt_prop_string(struct fdt *f, const char *name, const char *value);
void fdt_prop_strings(struct fdt *f, const char *name, const char *const *values, size_t n);
/* All nodes are closed. *used: the tree's length. -ENOSPC: something did not fit. */
int fdt_finish(struct fdt *f, size_t *used);

#endif
