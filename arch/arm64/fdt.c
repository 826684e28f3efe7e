#include "arch/arm64/fdt.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Devicetree Specification 0.4, 5.2 to 5.4 */
#define FDT_VERSION	   17
#define FDT_COMPATIBLE	   16
#define FDT_HEADER_SIZE	   40
#define FDT_RESERVE_SIZE   16 /* only the entry that ends the list */
#define FDT_STRUCT	   (FDT_HEADER_SIZE + FDT_RESERVE_SIZE)
#define FDT_TOKEN_BEGIN	   1
#define FDT_TOKEN_END_NODE 2
#define FDT_TOKEN_PROP	   3
#define FDT_TOKEN_END	   9
#define FDT_NODE_NAME_MAX  64

static void to_be32(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 24);
	at[1] = (uint8_t)(v >> 16);
	at[2] = (uint8_t)(v >> 8);
	at[3] = (uint8_t)v;
}

/* Room for len bytes and what fills the last cell, zeroed; NULL once anything did not fit. */
static uint8_t *fdt_room(struct fdt *f, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3;
	uint8_t *at = f->buf + f->len;

	if (f->overflow || padded < len || padded > f->size - f->len) {
		f->overflow = true;
		return NULL;
	}
	memset(at, 0, padded);
	f->len += padded;
	return at;
}

static void fdt_put32(struct fdt *f, uint32_t v)
{
	uint8_t *at = fdt_room(f, sizeof(v));

	if (at)
		to_be32(at, v);
}

static void fdt_put(struct fdt *f, const void *data, size_t len)
{
	uint8_t *at = fdt_room(f, len);

	if (at && len)
		memcpy(at, data, len);
}

/* Where a property's name stands among the names; each is there once. */
static uint32_t fdt_name(struct fdt *f, const char *name)
{
	size_t len = strlen(name) + 1, at = 0;

	while (at < f->names_len) {
		if (!strcmp(f->names + at, name))
			return (uint32_t)at;
		at += strlen(f->names + at) + 1;
	}
	if (len > sizeof(f->names) - f->names_len) {
		f->overflow = true;
		return 0;
	}
	memcpy(f->names + at, name, len);
	f->names_len += len;
	return (uint32_t)at;
}

void fdt_init(struct fdt *f, void *buf, size_t size)
{
	memset(f, 0, sizeof(*f));
	f->buf = buf;
	f->size = size;
	fdt_room(f, FDT_STRUCT);
}

void fdt_begin_node(struct fdt *f, const char *name)
{
	fdt_put32(f, FDT_TOKEN_BEGIN);
	fdt_put(f, name, strlen(name) + 1);
	f->depth++;
}

void fdt_begin_node_at(struct fdt *f, const char *name, uint64_t unit)
{
	char full[FDT_NODE_NAME_MAX];
	int n = snprintf(full, sizeof(full), "%s@%" PRIx64, name, unit);

	assert(n > 0 && (size_t)n < sizeof(full));
	fdt_begin_node(f, full);
}

void fdt_end_node(struct fdt *f)
{
	assert(f->depth);
	f->depth--;
	fdt_put32(f, FDT_TOKEN_END_NODE);
}

static void fdt_prop_begin(struct fdt *f, const char *name, size_t len)
{
	if (len > UINT32_MAX)
		f->overflow = true;
	fdt_put32(f, FDT_TOKEN_PROP);
	fdt_put32(f, (uint32_t)len);
	fdt_put32(f, fdt_name(f, name));
}

void fdt_prop(struct fdt *f, const char *name, const void *value, size_t len)
{
	fdt_prop_begin(f, name, len);
	fdt_put(f, value, len);
}

void fdt_prop_empty(struct fdt *f, const char *name)
{
	fdt_prop_begin(f, name, 0);
}

void fdt_prop_u32(struct fdt *f, const char *name, uint32_t value)
{
	fdt_prop_cells(f, name, &value, 1);
}

void fdt_prop_u64(struct fdt *f, const char *name, uint64_t value)
{
	fdt_prop_cells64(f, name, &value, 1);
}

void fdt_prop_cells(struct fdt *f, const char *name, const uint32_t *cells, size_t n)
{
	fdt_prop_begin(f, name, n * sizeof(*cells));
	for (size_t i = 0; i < n; i++)
		fdt_put32(f, cells[i]);
}

void fdt_prop_cells64(struct fdt *f, const char *name, const uint64_t *values, size_t n)
{
	fdt_prop_begin(f, name, n * sizeof(*values));
	for (size_t i = 0; i < n; i++) {
		fdt_put32(f, (uint32_t)(values[i] >> 32));
		fdt_put32(f, (uint32_t)values[i]);
	}
}

void fdt_prop_string(struct fdt *f, const char *name, const char *value)
{
	fdt_prop(f, name, value, strlen(value) + 1);
}

void fdt_prop_strings(struct fdt *f, const char *name, const char *const *values, size_t n)
{
	size_t len = 0, done = 0;
	uint8_t *at;

	for (size_t i = 0; i < n; i++)
		len += strlen(values[i]) + 1;
	fdt_prop_begin(f, name, len);
	at = fdt_room(f, len);
	for (size_t i = 0; at && i < n; i++) {
		memcpy(at + done, values[i], strlen(values[i]) + 1);
		done += strlen(values[i]) + 1;
	}
}

int fdt_finish(struct fdt *f, size_t *used)
{
	size_t struct_end, total;

	assert(!f->depth);
	fdt_put32(f, FDT_TOKEN_END);
	struct_end = f->len;
	fdt_put(f, f->names, f->names_len);
	total = struct_end + f->names_len;
	if (f->overflow || total > UINT32_MAX)
		return -ENOSPC;
	to_be32(f->buf, FDT_MAGIC);
	to_be32(f->buf + 4, (uint32_t)total);
	to_be32(f->buf + 8, FDT_STRUCT);
	to_be32(f->buf + 12, (uint32_t)struct_end);
	to_be32(f->buf + 16, FDT_HEADER_SIZE);
	to_be32(f->buf + 20, FDT_VERSION);
	to_be32(f->buf + 24, FDT_COMPATIBLE);
	to_be32(f->buf + 28, 0); /* the CPU that boots: the first one */
	to_be32(f->buf + 32, (uint32_t)f->names_len);
	to_be32(f->buf + 36, (uint32_t)(struct_end - FDT_STRUCT));
	*used = total;
	return 0;
}
