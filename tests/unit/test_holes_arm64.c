/* What arm64's walker says about addresses that are not mapped: how far that goes on. */
#include "tests/unit/mmu_arm64.h"

#include <stdlib.h>

#include "tests/unit/mapped_list.h"

static int walk_at(void *ctx, uint64_t va, struct mapping *m)
{
	return arm64_mmu_walk(ctx, read_phys, NULL, va, m);
}

#define LIST(s, most, name, ...)                                                                                       \
	do {                                                                                                           \
		static const struct mapped wanted[] = {__VA_ARGS__};                                                   \
		tap_ok(mapped_list(walk_at, &(s)), "%s: the list ends", name);                                         \
		mapped_is(wanted, sizeof(wanted) / sizeof(wanted[0]), most, name);                                     \
	} while (0)

static void test_off(void)
{
	struct arm64_mmu_state s = {.pa_bits = 40};

	LIST(s, 2, "off", {0, 0, TiB});
	s.tcr = TBI0 | TBI1;
	LIST(s, 2, "off, with tags", {0, 0, TiB});
}

static void test_4k(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M,
		.tcr = T0SZ(16) | T1SZ(16) | TG0_4K | TG1_4K | IPS(5),
		.ttbr0 = 0x10000,
		.ttbr1 = 0x20000,
		.pa_bits = 48,
	};

	entries = 0;
	LIST(s, 1025 + 2, "4K, nothing");
	put(0x10000, 0x11000 | TABLE);
	put(0x11008, 7 * GiB | BLOCK);
	put(0x20000 + 8 * 0x1ff, 0x21000 | TABLE);
	put(0x21000 + 8 * 0x1ff, 0x22000 | TABLE);
	put(0x22000 + 8 * 0x1ff, 0x23000 | TABLE);
	put(0x22000 + 8 * 2, 5 * GiB | 2 * MiB | BLOCK);
	put(0x23000 + 8 * 0x1ff, 0x41234000 | PAGE);
	put(0x20000 + 8 * 0x1fe, HOLE | TABLE);
	LIST(s, 1025 + 5 * 512, "4K, both halves", {GiB, 7 * GiB, GiB},
		{0xffffffffc0400000, 5 * GiB + 2 * MiB, 2 * MiB}, {0xfffffffffffff000, 0x41234000, 4096});
	s.tcr |= TBI0 | TBI1;
	LIST(s, 1025 + 5 * 512, "the same with tags: each once", {GiB, 7 * GiB, GiB},
		{0xffffffffc0400000, 5 * GiB + 2 * MiB, 2 * MiB}, {0xfffffffffffff000, 0x41234000, 4096});
	s.tcr |= EPD1;
	LIST(s, 1025 + 512, "without the upper half", {GiB, 7 * GiB, GiB});
	s.tcr = (s.tcr & ~EPD1) | EPD0;
	LIST(s, 1025 + 4 * 512, "without the lower half", {0xffffffffc0400000, 5 * GiB + 2 * MiB, 2 * MiB},
		{0xfffffffffffff000, 0x41234000, 4096});
	s.tcr |= EPD1;
	LIST(s, 2, "without both");
}

static void test_wide(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M, .tcr = T0SZ(22) | EPD1 | TG0_64K | IPS(2), .ttbr0 = 0x10000, .pa_bits = 40};

	entries = 0;
	put(0x10000 + 8 * 8191, 0x20000 | TABLE);
	put(0x20000 + 8 * 3, 0x30000 | PAGE);
	LIST(s, 8192 + 8192 + 2, "64K, 42 bits", {(1ull << 42) - (512 * MiB) + 0x30000, 0x30000, 0x10000});
	s.ttbr0 = 1ull << 46; /* beyond the physical addresses */
	LIST(s, 3, "the first table is nowhere");
}

/* Random tables: nothing is mapped anywhere in what is said to be a hole, tags aside. */
static void test_garbage(void)
{
	static const uint64_t granules[] = {TG0_4K | TG1_4K, TG0_16K | TG1_16K, TG0_64K | TG1_64K};
	uint64_t empty = 0, wrong = 0, holes = 0;
	struct mapping m, inside;

	srand(3);
	for (int i = 0; i < 40000; i++) {
		struct arm64_mmu_state s = {.sctlr = SCTLR_M, .ttbr0 = 0x10000, .ttbr1 = 0x10000, .pa_bits = 48};
		uint64_t va = ((uint64_t)rand() << 33 ^ (uint64_t)rand() << 12) >> rand() % 40;

		if (i % 50 == 0)
			for (entries = 0; entries < 30;)
				put(0x10000 + (uint64_t)(rand() % 4) * 0x10000 + (uint64_t)(rand() % 16) * 8,
					0x10000 + (uint64_t)(rand() % 4) * 0x10000 + (rand() % 3 ? TABLE : BLOCK));
		s.tcr = granules[rand() % 3] | IPS(5) | T0SZ(16 + rand() % 32) | T1SZ(16 + rand() % 32);
		s.tcr |= rand() % 4 ? 0 : EPD0;
		s.tcr |= rand() % 4 ? 0 : EPD1;
		va |= rand() % 2 ? 0 : ~0ull << (16 + rand() % 40);
		if (walk_at(&s, va, &m) == 0)
			continue;
		holes++;
		empty += !m.len;
		for (int k = 0; m.len && k < 8; k++) {
			uint64_t off = k == 0 ? m.len - 1 : ((uint64_t)rand() << 32 ^ (uint64_t)rand()) % m.len;

			wrong += walk_at(&s, va + off, &inside) == 0;
		}
	}
	tap_ok(holes > 1000, "%u holes", (unsigned)holes);
	tap_is_u64(empty, 0, "each has a length");
	tap_is_u64(wrong, 0, "nothing is mapped in any of them");
}

int main(void)
{
	test_off();
	test_4k();
	test_wide();
	test_garbage();
	return tap_done();
}
