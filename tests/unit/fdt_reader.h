/*
 * A reader of flattened device trees for tests, strict and written apart from the writer. Devicetree Specification
 * 0.4, chapter 5. tree: `room` readable bytes.
 */
#ifndef TESTS_UNIT_FDT_READER_H
#define TESTS_UNIT_FDT_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FDT_READER __attribute__((unused)) static

struct fdt_reader {
	const uint8_t *tree;
	uint32_t total, at_struct, at_strings, strings_len, struct_len;
	unsigned nodes, props;
};

FDT_READER uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

FDT_READER uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

/* What fdt_walk() looks for, and what it finds. */
struct fdt_wanted {
	const char *path, *prop; /* prop NULL: the node itself */
	const uint8_t *value;
	uint32_t len;
	bool found;
};

/* Reads the whole structure block. NULL if it is well-formed, else what is wrong. */
FDT_READER const char *fdt_walk(struct fdt_reader *r, struct fdt_wanted *want)
{
	const uint8_t *p = r->tree + r->at_struct, *end = p + r->struct_len;
	char path[256] = "";
	size_t depth = 0, lens[16];
	bool subnodes = false;

	r->nodes = r->props = 0;
	while (end - p >= 4) {
		uint32_t token = be32(p);

		p += 4;
		if (token == 1) {
			size_t n = strnlen((const char *)p, (size_t)(end - p)), had = strlen(path);

			if (n == (size_t)(end - p) || depth == 16 || had + n + 2 > sizeof(path))
				return "a node's name does not end";
			if (!depth != !n)
				return "only the root has no name";
			lens[depth++] = had;
			snprintf(path + had, sizeof(path) - had, "%s%s",
				depth == 2 && had ? ""
				: depth > 1	  ? "/"
						  : "",
				(const char *)p);
			p += (n + 4) & ~(size_t)3;
			subnodes = false;
			r->nodes++;
			if (!want->prop && !strcmp(*path ? path : "/", want->path))
				want->found = true;
		} else if (token == 2) {
			if (!depth)
				return "an end without a node";
			path[lens[--depth]] = '\0';
			subnodes = true;
		} else if (token == 3) {
			uint32_t len, name;

			if (end - p < 8)
				return "a property is cut off";
			len = be32(p);
			name = be32(p + 4);
			p += 8;
			if (len > (size_t)(end - p) || name >= r->strings_len || !depth || subnodes)
				return "a property is too long, has no name or stands in the wrong place";
			if (want->prop && !strcmp(*path ? path : "/", want->path) &&
				!strcmp((const char *)r->tree + r->at_strings + name, want->prop)) {
				want->found = true;
				want->value = p;
				want->len = len;
			}
			for (size_t i = len; i & 3; i++)
				if (p[i])
					return "padding that is not zero";
			p += (len + 3) & ~3U;
			r->props++;
		} else if (token == 9) {
			return depth || p != end ? "the structure block ends in the wrong place" : NULL;
		} else {
			return "an unknown token";
		}
	}
	return "the structure block does not end";
}

/* NULL if it is a whole tree of version 17, else what is wrong. */
FDT_READER const char *fdt_reader_open(struct fdt_reader *r, const void *tree, size_t room)
{
	struct fdt_wanted nothing = {.path = "", .prop = ""};

	memset(r, 0, sizeof(*r));
	r->tree = tree;
	if (room < 40 || be32(r->tree) != 0xd00dfeed)
		return "no magic";
	r->total = be32(r->tree + 4);
	r->at_struct = be32(r->tree + 8);
	r->at_strings = be32(r->tree + 12);
	r->strings_len = be32(r->tree + 32);
	r->struct_len = be32(r->tree + 36);
	if (be32(r->tree + 20) != 17 || be32(r->tree + 24) != 16 || be32(r->tree + 28) != 0)
		return "not of version 17, or another boot CPU than 0";
	if (r->total > room || be32(r->tree + 16) != 40 || r->at_struct != 56 ||
		r->at_struct + r->struct_len > r->total)
		return "blocks in wrong places";
	for (int i = 0; i < 16; i++)
		if (r->tree[40 + i])
			return "something is reserved";
	if (r->at_strings < r->at_struct + r->struct_len || r->at_strings + r->strings_len > r->total ||
		(r->strings_len && r->tree[r->at_strings + r->strings_len - 1]))
		return "the strings do not fit or do not end";
	return fdt_walk(r, &nothing);
}

/* NULL: there is no such property. */
FDT_READER const uint8_t *fdt_get(struct fdt_reader *r, const char *path, const char *prop, uint32_t *len)
{
	struct fdt_wanted want = {.path = path, .prop = prop};

	if (fdt_walk(r, &want) || !want.found)
		return NULL;
	*len = want.len;
	return want.value;
}

FDT_READER bool fdt_has_node(struct fdt_reader *r, const char *path)
{
	struct fdt_wanted want = {.path = path};

	return !fdt_walk(r, &want) && want.found;
}

FDT_READER const char *fdt_get_string(struct fdt_reader *r, const char *path, const char *prop)
{
	uint32_t len = 0;
	const uint8_t *v = fdt_get(r, path, prop, &len);

	return v && len && !v[len - 1] ? (const char *)v : NULL;
}

/* One of several strings; none of it when want is a part of one only. */
FDT_READER bool fdt_has_string(struct fdt_reader *r, const char *path, const char *prop, const char *want)
{
	uint32_t len = 0;
	const uint8_t *v = fdt_get(r, path, prop, &len);

	for (uint32_t at = 0; v && at < len; at += (uint32_t)strlen((const char *)v + at) + 1)
		if (!strcmp((const char *)v + at, want))
			return true;
	return false;
}

/* Are these all of its cells? */
FDT_READER bool fdt_is_cells(struct fdt_reader *r, const char *path, const char *prop, const uint32_t *want, size_t n)
{
	uint32_t len = 0;
	const uint8_t *v = fdt_get(r, path, prop, &len);

	if (!v || len != 4 * n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (be32(v + 4 * i) != want[i])
			return false;
	return true;
}

/* As many cells as the property has have to be named. */
#define fdt_cells(r, path, prop, ...)                                                                                  \
	fdt_is_cells(r, path, prop, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4)

#endif
