/*
 * What the fuzzers of page-table walkers share: memory made of the input's bytes over and over, so that every entry
 * leads to another table, and what has to hold of any walk. A walker of the target's own, written from the manual in
 * another way, says what the result has to be.
 */
#ifndef TESTS_FUZZ_MMU_H
#define TESTS_FUZZ_MMU_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/desc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define READS_MAX 5 /* levels */
#define PHYS_BITS 52
#define ENTRY	  8

static const uint8_t *table_bytes;
static size_t table_len; /* of whole entries, not 0 */
static unsigned reads;

/* One MiB in sixteen is no RAM. */
static bool is_hole(uint64_t gpa)
{
	return (gpa >> 20 & 15) == 15;
}

static uint64_t entry_at(uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, table_bytes + gpa % table_len, size);
	return value;
}

/* What the walker's callback does, and what a walker may ask of it. */
static int read_entry(uint64_t gpa, unsigned size, uint64_t *value)
{
	if (gpa % size || gpa >> PHYS_BITS || ++reads > READS_MAX)
		abort();
	*value = entry_at(gpa, size);
	return is_hole(gpa) ? -EFAULT : 0;
}

/* With the target's state, by the code under test or by the reference. */
typedef int (*walk_fn)(uint64_t va, struct mapping *out);

/* Another name for an address with other upper bits, which are ignored: such do not count where nothing is mapped. */
static bool is_alias(uint64_t va);

static int counted(walk_fn walk, uint64_t va, struct mapping *out)
{
	memset(out, 0xa5, sizeof(*out));
	reads = 0;
	return walk(va, out);
}

static bool same_mapping(const struct mapping *a, const struct mapping *b)
{
	return a->gpa == b->gpa && a->len == b->len && a->writable == b->writable && a->user == b->user &&
	       a->executable == b->executable;
}

/* At va + k, inside of what was found at va: the same piece, or still nothing. */
static void check_inside(walk_fn walk, uint64_t va, uint64_t k, int err, const struct mapping *at)
{
	struct mapping m, want = *at;
	int ret = counted(walk, va + k, &m);

	if (err && !ret && !is_alias(va + k))
		abort(); /* something is mapped where nothing was to be */
	want.gpa += k;
	want.len -= k;
	if (!err && (ret || !same_mapping(&m, &want)))
		abort();
}

static void check_walk(walk_fn walk, walk_fn reference, uint64_t va)
{
	struct mapping m, want;
	int ret = counted(walk, va, &m), expected = counted(reference, va, &want);

	if (ret != expected)
		abort();
	if (!ret && !same_mapping(&m, &want))
		abort();
	/* To the end of all addresses at most, and never nothing: who goes on from there gets on. */
	if (!m.len || (va + m.len < va && va + m.len))
		abort();
	check_inside(walk, va, m.len - 1, ret, &m);
	check_inside(walk, va, m.len / 2, ret, &m);
	check_inside(walk, va, m.len / 7, ret, &m);
	if (m.len > 4096)
		check_inside(walk, va, 4096, ret, &m);
}

/* A cursor over the input's head. */
static uint64_t take_number(const uint8_t **data, size_t *size, unsigned n)
{
	uint64_t value = 0;

	memcpy(&value, *data, *size < n ? *size : n);
	n = *size < n ? (unsigned)*size : n;
	*data += n;
	*size -= n;
	return value;
}

/* The rest of the input. False: there is none. */
static bool take_tables(const uint8_t *data, size_t size)
{
	table_bytes = data;
	table_len = size / ENTRY * ENTRY;
	return table_len;
}

#endif
