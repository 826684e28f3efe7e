/* The page-table walker: addresses of 52 bits, and random tables. */
#include "tests/unit/mmu_arm64.h"

#include <stdlib.h>

/* 52-bit virtual addresses and tables above 48 bits, 64 KiB */
static void test_64k_52(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M,
		.tcr = T0SZ(12) | T1SZ(12) | TG0_64K | TG1_64K | IPS(6),
		.ttbr0 = 0x10000,
		.ttbr1 = 0x20000 | 3 << 2, /* bits 51:48 are 3 */
		.pa_bits = 52,
	};

	entries = 0;
	/* 0xfff8_4000_2001_0000: 0x210, 1, 1 */
	put((3ull << 48 | 0x20000) + 8 * 0x210, 0x30000 | 0x9000 | TABLE);
	put((9ull << 48 | 0x30000) + 8, 0x40000 | TABLE);
	put(0x40000 + 8, 0x50000 | 0x7000 | PAGE);
	put(0x10000 + 8 * 0x3ff, 4 * TiB | BLOCK);
	fails(&s, 0xfff8400020010000, EFAULT, "without LVA 52 bits are too many");
	s.lva = true;
	maps(&s, 0xfff8400020010008, 7ull << 48 | 0x50008, 0xfff8, "w-x", "64K page, 52 bits all over");
	maps(&s, 0xfffffffffffff, 8 * TiB - 1, 1, "w-x", "64K last byte of 52 bits");
	fails(&s, 0x10000000000000, EFAULT, "one more is too much");
	fails(&s, 0xffe8400020010000, EFAULT, "bit 52 has to be a copy");
	s.tcr = (s.tcr & ~IPS(7)) | IPS(5);
	put(0x20000 + 8 * 0x210, 6 * TiB | BLOCK);
	put(0x20000 + 8 * 0x211, 8 * TiB | BLOCK);
	maps(&s, 0xfff8440000000000, 8 * TiB, 4 * TiB, "w-x", "TTBR has 52 bits only with IPS");
	s.tcr = (s.tcr & ~T0SZ(63)) | TG0_4K | T0SZ(12);
	s.tcr &= ~TG0_64K;
	fails(&s, 0x1000, EFAULT, "LVA is nothing to 4K");
	tap_is_u64(reads, 0, "LVA is nothing to 4K: no read");
}

/* TCR.DS: 52 bits with 4 and 16 KiB */
static void test_ds(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M,
		.tcr = DS | T0SZ(12) | T1SZ(12) | TG0_4K | TG1_16K | IPS(6),
		.ttbr0 = 0x10000 | 2 << 2,
		.ttbr1 = 0x20100 | 0x3, /* bits below 2 do not count */
		.pa_bits = 52,
	};

	entries = 0;
	/* 4K, 0x000a_0080_4020_1000: 10, 1, 1, 1, 1 */
	put((2ull << 48 | 0x10000) + 8 * 10, 0x11000 | 1ull << 48 | TABLE);
	put((1ull << 48 | 0x11000) + 8, 0x12000 | 3ull << 8 | TABLE);
	put((12ull << 48 | 0x12000) + 8, 0x13000 | TABLE);
	put(0x13000 + 8, 0x14000 | TABLE);
	put(0x14000 + 8, 0x15000 | 2ull << 48 | 1ull << 8 | PAGE);
	put((1ull << 48 | 0x11000) + 16, TiB | 3ull << 48 | 2ull << 8 | BLOCK);
	put((2ull << 48 | 0x10000) + 8 * 11, BLOCK);
	maps(&s, 0xa008040201abc, 6ull << 48 | 0x15abc, 0x544, "w-x", "DS 4K page");
	tap_is_u64(reads, 5, "DS 4K: five levels");
	maps(&s, 0xa010000000000, 11ull << 48 | TiB, TiB / 2, "w-x", "DS 4K 512 GiB block");
	fails(&s, 0xb000000000000, EFAULT, "DS 4K level -1 has no blocks");
	/* 16K, 0xfff8_0010_0200_4000: 0x10, 1, 1, 1 */
	put(0x20100 + 8 * 0x10, 0x24000 | TABLE);
	put(0x24000 + 8, 0x28000 | TABLE);
	put(0x28000 + 8, 0x2c000 | TABLE);
	put(0x2c000 + 8, 0x30000 | 3ull << 48 | 3ull << 8 | PAGE);
	put(0x24000 + 16, 1ull << 36 | 1ull << 49 | BLOCK);
	put(0x20100 + 8 * 0x11, BLOCK);
	maps(&s, 0xfff8001002004000, 15ull << 48 | 0x30000, 0x4000, "w-x", "DS 16K page");
	tap_is_u64(reads, 4, "DS 16K: four levels");
	maps(&s, 0xfff8002000000000, 2ull << 48 | 1ull << 36, 64 * GiB, "w-x", "DS 16K 64 GiB block");
	fails(&s, 0xfff8800000000000, EFAULT, "DS 16K level 0 has no blocks");
	s.tcr = (s.tcr & ~IPS(7)) | IPS(5);
	fails(&s, 0xfff8001002004000, EFAULT, "DS: past IPS");
	s.ttbr0 = 0x10040 | 4 << 2; /* bits 51:48 are 4 */
	s.tcr = DS | T0SZ(42) | IPS(6);
	put((4ull << 48 | 0x10040) + 8, 2 * MiB | BLOCK);
	maps(&s, 2 * MiB, 2 * MiB, 2 * MiB, "w-x", "DS: a small first table is aligned to 64 bytes nevertheless");
	s.tcr = DS | T0SZ(12) | TG0_64K | IPS(6);
	fails(&s, 0, EFAULT, "DS is nothing to 64K without LVA");
	tap_is_u64(reads, 0, "DS is nothing to 64K without LVA: no read");
}

static uint64_t random64(void)
{
	uint64_t v = 0;

	for (int i = 0; i < 5; i++)
		v = v << 15 ^ (uint64_t)(rand() & 0x7fff);
	return v;
}

/* Memory full of descriptors, most of them good. */
static int read_random(void *ctx, uint64_t gpa, uint64_t *value)
{
	const unsigned *pa_bits = ctx;

	reads++;
	misaligned |= gpa % 8 || gpa >> *pa_bits;
	*value = random64();
	if (rand() % 8)
		*value &= ~(0xfull << 48 | 0xffull << 40 | 0xf000 | 3ull << 8);
	if (rand() % 16)
		*value |= TABLE;
	return rand() % 64 ? 0 : -EIO;
}

static bool random_walk_good(void)
{
	static const unsigned pa[] = {40, 42, 44, 48, 52}; /* no block there is larger than that */
	unsigned pa_bits = pa[rand() % 5];
	struct arm64_mmu_state s = {
		.sctlr = random64() & (rand() % 4 ? ~SCTLR_EE : ~0ull),
		.tcr = random64(),
		.ttbr0 = random64() & (rand() % 4 ? 0xffffffff : ~0ull),
		.ttbr1 = random64() & (rand() % 4 ? 0xffffffff : ~0ull),
		.pa_bits = pa_bits,
		.lva = rand() & 1,
	};
	uint64_t va = random64();
	int ret;

	if (rand() % 8) { /* an address and a TCR that may do */
		unsigned tsz = 12 + (unsigned)rand() % 38;

		s.sctlr |= SCTLR_M;
		s.tcr = (s.tcr & ~(T0SZ(63) | T1SZ(63) | EPD0 | EPD1)) | T0SZ(tsz) | T1SZ(tsz);
		va = (uint64_t)((int64_t)va >> (tsz < 16 ? 16 : tsz));
	}
	reads = 0;
	memset(&out, 0xa5, sizeof(out));
	ret = arm64_mmu_walk(&s, read_random, &pa_bits, va, &out);
	if (reads > 5 || misaligned || (ret && ret != -EFAULT && ret != -EIO))
		return false;
	if (ret)
		return true;
	if (!(s.sctlr & SCTLR_M))
		return reads == 0 && out.gpa + out.len == 1ull << pa_bits;
	return reads >= 1 && out.len && out.gpa + (out.len - 1) < 1ull << pa_bits && (out.gpa ^ va) % 4096 == 0 &&
	       (out.gpa + out.len) % 4096 == 0;
}

static void test_random(void)
{
	unsigned found = 0;
	bool good = true;

	srand(1);
	misaligned = false;
	for (int i = 0; i < 200000 && good; i++) {
		good = random_walk_good();
		found += out.len != 0xa5a5a5a5a5a5a5a5;
	}
	tap_ok(good, "random tables: aligned reads within the physical addresses, at most five");
	tap_ok(found > 20000, "and many of them map something (%u)", found);
}

int main(void)
{
	test_64k_52();
	test_ds();
	tap_ok(!misaligned, "no entry was read that is not aligned");
	test_random();
	return tap_done();
}
