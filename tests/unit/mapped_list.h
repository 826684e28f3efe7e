/* For tests of page-table walkers: every mapping, found by leaping over the holes that failed walks tell of. */
#ifndef TESTS_UNIT_MAPPED_LIST_H
#define TESTS_UNIT_MAPPED_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/desc.h"
#include "tests/unit/tap.h"

struct mapped {
	uint64_t va, gpa, len;
};

#define MAPPED_MAX 64

static struct mapped mapped[MAPPED_MAX];
static unsigned nmapped, mapped_walks;

/* Fills mapped[]; false: a walk said nothing of how to go on, or there were too many. */
static inline bool mapped_list(int (*walk_at)(void *ctx, uint64_t va, struct mapping *m), void *ctx)
{
	uint64_t va = 0;

	nmapped = mapped_walks = 0;
	do {
		struct mapping m = {0};
		int ret = walk_at(ctx, va, &m);

		if (++mapped_walks > 100000 || !m.len || (va + m.len < va && va + m.len) || nmapped == MAPPED_MAX)
			return false;
		if (ret == 0)
			mapped[nmapped++] = (struct mapped){va, m.gpa, m.len};
		va += m.len;
	} while (va);
	return true;
}

static inline void mapped_is(const struct mapped *wanted, unsigned n, unsigned most_walks, const char *name)
{
	tap_is_u64(nmapped, n, "%s: mappings", name);
	for (unsigned i = 0; i < n && i < nmapped; i++) {
		tap_is_u64(mapped[i].va, wanted[i].va, "%s: address of mapping %u", name, i);
		tap_is_u64(mapped[i].gpa, wanted[i].gpa, "%s: where mapping %u leads", name, i);
		tap_is_u64(mapped[i].len, wanted[i].len, "%s: length of mapping %u", name, i);
	}
	tap_ok(mapped_walks <= most_walks, "%s: %u walks are enough, not %u", name, most_walks, mapped_walks);
}

#endif
