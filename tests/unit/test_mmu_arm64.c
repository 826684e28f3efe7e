/* The page-table walker, over tables written by hand: each granule, sizes, rights, tags. */
#include "tests/unit/mmu_arm64.h"

static void test_off(void)
{
	struct arm64_mmu_state s = {.ttbr0 = 0x1000, .tcr = T0SZ(16), .sctlr = SCTLR_WXN, .pa_bits = 40};

	entries = 0;
	maps(&s, 0x40000123, 0x40000123, TiB - 0x40000123, "wux", "off: identity");
	maps(&s, TiB - 1, TiB - 1, 1, "wux", "off: the last byte");
	fails(&s, TiB, EFAULT, "off: past the physical addresses");
	fails(&s, 0xffff800000000000, EFAULT, "off: a kernel address");
	fails(&s, 0x8700000040000000, EFAULT, "off: a tagged address");
	s.tcr |= TBI0;
	maps(&s, 0x8700000040000000, 0x40000000, TiB - 0x40000000, "wux", "off: a tagged address with TBI0");
	fails(&s, 0xffff800000000000, EFAULT, "off: a kernel address with TBI0");
	s.pa_bits = 0;
	fails(&s, 1ull << 32, EFAULT, "off: absurdly few physical address bits count as 32");
	s.pa_bits = 99;
	maps(&s, (1ull << 52) - 1, (1ull << 52) - 1, 1, "wux", "off: absurdly many count as 52");
}

/* Linux's usual: 4 KiB, 48 bits in both halves. Index bits: 47-39, 38-30, 29-21, 20-12. */
static void test_4k(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M,
		.tcr = T0SZ(16) | T1SZ(16) | TG0_4K | TG1_4K | IPS(5),
		.ttbr0 = 0x0042000000010000 | 1, /* an ASID, CnP */
		.ttbr1 = 0x0042000000020000,
		.pa_bits = 48,
	};

	entries = 0;
	/* 0x0000_1234_5678_9abc: 0x24, 0xd1, 0xb3, 0x189 */
	put(0x10000 + 8 * 0x24, 0x11000 | TABLE);
	put(0x11000 + 8 * 0xd1, 0x12000 | TABLE);
	put(0x12000 + 8 * 0xb3, 0x13000 | TABLE);
	put(0x13000 + 8 * 0x189, 0x8000abcde000 | PAGE | EL0 | AF);
	/* 0xffff_8000_1234_5678: 0x100, 0, 0x91, 0x145 */
	put(0x20000 + 8 * 0x100, 0x21000 | TABLE);
	put(0x21000, 0x22000 | TABLE);
	put(0x22000 + 8 * 0x91, 0x23000 | TABLE);
	put(0x23000 + 8 * 0x145, 0x41234000 | PAGE | UXN | CONTIG);
	put(0x22000 + 8 * 0x92, 5 * GiB | 2 * MiB | BLOCK | UXN | PXN);
	put(0x21000 + 8 * 1, 7 * GiB | BLOCK | RO);
	put(0x20000 + 8 * 0x101, BLOCK);
	put(0x22000 + 8 * 0x93, 0x24000 | TABLE);
	put(0x24000, 0x41234000 | BLOCK); /* in the last level: reserved */
	put(0x24008, 0x41235000);
	put(0x24010, 0x41235000 | 2); /* bit 0 is what counts */
	put(0x22000 + 8 * 0x94, HOLE | TABLE);
	put(0x22000 + 8 * 0x95, 0xfull << 48 | GiB | BLOCK);
	put(0x22000 + 8 * 0x96, 0xfull << 48 | 0x23000 | TABLE);
	maps(&s, 0x123456789abc, 0x8000abcdeabc, 0x544, "wux", "4K lower half page");
	tap_is_u64(reads, 4, "four levels");
	maps(&s, 0xffff800012345678, 0x41234678, 0x988, "w-x", "4K upper half page");
	maps(&s, 0xffff800012345fff, 0x41234fff, 1, "w-x", "4K last byte of a page");
	maps(&s, 0xffff800012412345, 5 * GiB + 2 * MiB + 0x12345, 0x1edcbb, "w--", "4K 2 MiB block");
	maps(&s, 0xffff800052412345, 7 * GiB + 0x12412345, GiB - 0x12412345, "--x", "4K 1 GiB block");
	fails(&s, 0xffff808000000000, EFAULT, "4K level 0 has no blocks");
	fails(&s, 0xffff800012600000, EFAULT, "4K reserved type in the last level");
	fails(&s, 0xffff800012601000, EFAULT, "4K invalid page");
	fails(&s, 0xffff800012602000, EFAULT, "4K invalid page, bit 1 set");
	fails(&s, 0xffff800080000000, EFAULT, "4K invalid in an upper level");
	fails(&s, 0x0000800012345678, EFAULT, "between the halves");
	fails(&s, 0xffff000012345678, EFAULT, "the upper half, nothing there");
	fails(&s, 0xfffe800012345678, EFAULT, "bit 48 has to be a copy");
	fails(&s, 0x7fff800012345678, EFAULT, "bit 63 has to be a copy");
	fails(&s, 0x8000123456789abc, EFAULT, "bit 63 has to be clear in the lower half");
	fails(&s, 0xffff800012800000, EIO, "4K a table outside RAM");
	maps(&s, 0xffff800012a00000, GiB, 2 * MiB, "w-x", "4K bits above 47 of a block are no address");
	maps(&s, 0xffff800012d45678, 0x41234678, 0x988, "w-x", "4K bits above 47 of a table are no address");
}

static void test_limits(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M, .tcr = T0SZ(25) | T1SZ(28) | TG1_4K | IPS(2), .ttbr0 = 0x10008, .pa_bits = 48};

	entries = 0;
	s.ttbr1 = 0x20000;
	put(0x10000 + 8 * 0x1ff, 0x11000 | TABLE); /* 39 bits: three levels, TTBR's low bits do not count */
	put(0x11000 + 8 * 0x1ff, 6 * GiB | BLOCK);
	put(0x20000 + 8 * 0x3f, 1ull << 39 | BLOCK); /* 36 bits: 64 entries in the first table */
	put(0x20000 + 8 * 0x3e, 1ull << 40 | BLOCK); /* past IPS */
	put(0x20000 + 8 * 0x3d, 1ull << 40 | TABLE);
	maps(&s, 0x7fffffffff, 6 * GiB + 0x1fffff, 1, "w-x", "39 bits: the last byte");
	tap_is_u64(reads, 2, "39 bits: a block in the second of three levels");
	fails(&s, 0x8000000000, EFAULT, "39 bits: one more is too much");
	maps(&s, 0xffffffffffffffff, (1ull << 39) + GiB - 1, 1, "w-x", "36 bits: the last byte of all");
	maps(&s, 0xffffffffc0000000, 1ull << 39, GiB, "w-x", "36 bits: the last GiB");
	fails(&s, 0xffffffff80000000, EFAULT, "a block past the size that IPS says");
	fails(&s, 0xffffffff40000000, EFAULT, "a table past the size that IPS says");
	fails(&s, 0xffffffefffffffff, EFAULT, "36 bits: one below is too much");
	s.tcr = (s.tcr & ~IPS(7)) | IPS(5);
	maps(&s, 0xffffffff80000000, 1ull << 40, GiB, "w-x", "a larger IPS");
	s.pa_bits = 40;
	fails(&s, 0xffffffff80000000, EFAULT, "IPS counts no further than the processor's addresses");
	s.ttbr1 = 1ull << 40;
	fails(&s, 0xffffffffc0000000, EFAULT, "TTBR past them");
	s.ttbr1 = HOLE;
	s.pa_bits = 48;
	fails(&s, 0xffffffffc0000000, EIO, "TTBR outside RAM");
	s.ttbr1 = 0x20000;
	s.tcr |= EPD1;
	fails(&s, 0xffffffffc0000000, EFAULT, "EPD1: no walks in the upper half");
	maps(&s, 0x7fffffffff, 6 * GiB + 0x1fffff, 1, "w-x", "EPD1: the lower half is free");
	tap_is_u64(reads, 2, "EPD1: by two reads");
	s.tcr = (s.tcr & ~EPD1) | EPD0;
	fails(&s, 0x7fffffffff, EFAULT, "EPD0: no walks in the lower half");
	tap_is_u64(reads, 0, "EPD0: no read");
	maps(&s, 0xffffffffc0000000, 1ull << 39, GiB, "w-x", "EPD0: the upper half is free");
}

/* The first level and its table's size follow from the address size. */
static void test_sizes(void)
{
	static const struct {
		unsigned tsz;
		uint64_t tg, ttbr, va, entry, descriptor;
		unsigned levels;
		uint64_t len;
		const char *name;
	} cases[] = {
		{48, TG0_4K, 0x10080, 0xf000, 15, PAGE, 1, 4096, "16 bits, 4K"},
		{43, TG0_4K, 0x11000, 0x1ff000, 511, PAGE, 1, 4096, "21 bits, 4K"},
		{42, TG0_4K, 0x10010, 0x200000, 1, BLOCK, 1, 2 * MiB, "22 bits, 4K: a table of 16 bytes"},
		{42, TG0_4K, 0x1001f, 0x200000, 1, BLOCK, 1, 2 * MiB, "22 bits, 4K: bits below its size do not count"},
		{33, TG0_4K, 0x10010, 0x40000000, 1, BLOCK, 1, GiB, "31 bits, 4K"},
		{34, TG0_4K, 0x11000, 0x3fe00000, 511, BLOCK, 1, 2 * MiB, "30 bits, 4K"},
		{48, TG0_16K, 0x10020, 0xc000, 3, PAGE, 1, 16384, "16 bits, 16K"},
		{28, TG0_16K, 0x14000, 0xffe000000, 2047, BLOCK, 1, 32 * MiB, "36 bits, 16K"},
		{47, TG0_64K, 0x10010, 0x10000, 1, PAGE, 1, 65536, "17 bits, 64K"},
		{22, TG0_64K, 0x20000, 0x3ffe0000000, 8191, BLOCK, 1, 512 * MiB, "42 bits, 64K"},
	};
	struct arm64_mmu_state s = {.sctlr = SCTLR_M, .pa_bits = 48};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t table = cases[i].ttbr & ~0xfull;

		entries = 0;
		s.ttbr0 = cases[i].ttbr;
		s.tcr = T0SZ(cases[i].tsz) | cases[i].tg | IPS(5);
		put(table + 8 * cases[i].entry, 0x700000000000 | cases[i].descriptor);
		maps(&s, cases[i].va + 0x321, 0x700000000321, cases[i].len - 0x321, "w-x", cases[i].name);
		tap_is_u64(reads, cases[i].levels, "%s: levels", cases[i].name);
		fails(&s, 1ull << (64 - cases[i].tsz), EFAULT, cases[i].name);
	}
	s.tcr = T0SZ(49);
	fails(&s, 0, EFAULT, "T0SZ too large");
	tap_is_u64(reads, 0, "T0SZ too large: no read");
	s.tcr = T0SZ(48) | TG0_64K;
	fails(&s, 0, EFAULT, "T0SZ too large with 64K");
	tap_is_u64(reads, 0, "T0SZ too large with 64K: no read");
	s.tcr = T0SZ(15);
	fails(&s, 0, EFAULT, "T0SZ too small");
	tap_is_u64(reads, 0, "T0SZ too small: no read");
	s.tcr = T0SZ(0) | TG0_64K;
	s.lva = true;
	fails(&s, 0, EFAULT, "T0SZ too small with 64K and LVA");
	tap_is_u64(reads, 0, "T0SZ too small with 64K and LVA: no read");
}

/* 16 KiB: index bits 47, 46-36, 35-25, 24-14. 64 KiB: 47-42 (51-42), 41-29, 28-16. */
static void test_16k(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M,
		.tcr = T0SZ(17) | T1SZ(16) | TG0_16K | TG1_16K | IPS(5),
		.ttbr0 = 0x10000,
		.ttbr1 = 0x20010,
		.pa_bits = 48,
	};

	entries = 0;
	/* 0x7654_3210_fedc in 47 bits: 0x765, 0x219, 0x43 */
	put(0x10000 + 8 * 0x765, 0x14000 | TABLE);
	put(0x14000 + 8 * 0x219, 0x18000 | TABLE);
	put(0x18000 + 8 * 0x43, 0xabcdefc000 | PAGE | EL0);
	/* 0xffff_8000_0400_0000: 1, 0, 2, 0 */
	put(0x20010 + 8, 0x24000 | TABLE);
	put(0x24000, 0x28000 | TABLE);
	put(0x28000 + 8 * 2, 0x2c000 | TABLE);
	put(0x2c000, 0x40004000 | PAGE);
	put(0x28000 + 8 * 3, GiB | BLOCK);
	put(0x24000 + 8, BLOCK);
	put(0x20010, 0x24000 | BLOCK);
	maps(&s, 0x76543210fedc, 0xabcdeffedc, 0x124, "wux", "16K page");
	tap_is_u64(reads, 3, "16K, 47 bits: three levels");
	maps(&s, 0xffff800004000123, 0x40004123, 0x3edd, "w-x", "16K upper half page");
	tap_is_u64(reads, 4, "16K, 48 bits: four levels");
	maps(&s, 0xffff800006000000, GiB, 32 * MiB, "w-x", "16K 32 MiB block");
	fails(&s, 0xffff801000000000, EFAULT, "16K level 1 has no blocks");
	fails(&s, 0xffff000000000000, EFAULT, "16K nor has level 0");
	fails(&s, 0x800000000000, EFAULT, "16K, 47 bits: one more is too much");
}

static void test_64k(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M,
		.tcr = T0SZ(22) | T1SZ(16) | TG0_64K | TG1_64K | IPS(5),
		.ttbr0 = 0x10000,
		.ttbr1 = 0x20200,
		.pa_bits = 48,
	};

	entries = 0;
	/* 0x3fe_dcba_9876 in 42 bits: 0x1ff6, 0x1cba */
	put(0x10000 + 8 * 0x1ff6, 0x30000 | TABLE);
	put(0x30000 + 8 * 0x1cba, 0xabcd0000 | 0xf000 | PAGE | EL0 | PXN);
	/* 0xffff_8000_1234_5678: 0x20, 0, 0x1234 */
	put(0x20200 + 8 * 0x20, 0x40000 | 0xf000 | TABLE);
	put(0x40000, 0x50000 | TABLE);
	put(0x50000 + 8 * 0x1234, 0x60000 | PAGE);
	put(0x40000 + 8, 3 * GiB | BLOCK);
	put(0x20200 + 8 * 0x21, 4 * TiB | BLOCK);
	maps(&s, 0x3fedcba9876, 0xabcd9876, 0x678a, "wux", "64K page; bits 15:12 are no address");
	tap_is_u64(reads, 2, "64K, 42 bits: two levels");
	maps(&s, 0xffff800012345678, 0x65678, 0xa988, "w-x", "64K upper half page");
	tap_is_u64(reads, 3, "64K, 48 bits: three levels");
	maps(&s, 0xffff80003fffffff, 3 * GiB + 512 * MiB - 1, 1, "w-x", "64K 512 MiB block");
	fails(&s, 0xffff840000000000, EFAULT, "64K level 1 has no blocks");
	s.pa_bits = 52;
	s.tcr |= IPS(6);
	put(0x20200 + 8 * 0x20, 0x40000 | TABLE); /* its bits 15:12 are an address now */
	put(0x40000 + 8 * 3, 3 * GiB | 0x5000 | BLOCK);
	put(0x20200 + 8 * 0x22, 4 * TiB | 0xa000 | BLOCK);
	maps(&s, 0xffff800060000000, 5ull << 48 | 3 * GiB, 512 * MiB, "w-x", "64K block at 52 bits");
	maps(&s, 0xffff880000000000, 10ull << 48 | 4 * TiB, 4 * TiB, "w-x", "64K 4 TiB block");
	maps(&s, 0x3fedcba9876, 15ull << 48 | 0xabcd9876, 0x678a, "wux", "64K page at 52 bits");
	s.tcr &= ~IPS(2);
	fails(&s, 0xffff800060000000, EFAULT, "64K 52 bits in a descriptor, 44 in IPS");
	s.tcr = (s.tcr & ~IPS(7)) | IPS(5);
	fails(&s, 0xffff800060000000, EFAULT, "64K 52 bits in a descriptor, 48 in IPS");
	maps(&s, 0xffff80003fffffff, 3 * GiB + 512 * MiB - 1, 1, "w-x", "64K 48 bits in a descriptor are enough");
}

/* Leaf bits and what upper levels take away: the table of the manual, as EL1 and EL0 together see it. */
static void test_rights(void)
{
	static const struct {
		uint64_t table, leaf, sctlr, tcr;
		const char *rights, *name;
	} cases[] = {
		{0, 0, 0, 0, "w-x", "nothing forbidden"},
		{0, RO, 0, 0, "--x", "read-only"},
		{0, EL0, 0, 0, "wux", "user, writable: EL0 may execute"},
		{0, EL0 | UXN, 0, 0, "wu-", "EL1 executes nothing that EL0 writes"},
		{0, EL0 | RO | UXN, 0, 0, "-ux", "user, read-only: EL1 may execute"},
		{0, EL0 | RO | PXN, 0, 0, "-ux", "user, read-only: EL0 may execute"},
		{0, EL0 | RO | PXN | UXN, 0, 0, "-u-", "user, data"},
		{0, PXN, 0, 0, "w-x", "kernel data that EL0 may execute, not read"},
		{0, PXN | UXN, 0, 0, "w--", "kernel data"},
		{0, RO | UXN, 0, 0, "--x", "kernel code"},
		{RO_T, EL0, 0, 0, "-ux", "APTable: read-only"},
		{NOEL0_T, EL0, 0, 0, "w-x", "APTable: not for EL0"},
		{NOEL0_T | RO_T, EL0, 0, 0, "--x", "APTable: both"},
		{UXN_T, PXN, 0, 0, "w--", "UXNTable"},
		{PXN_T, UXN, 0, 0, "w--", "PXNTable"},
		{PXN_T | UXN_T, RO, 0, 0, "---", "both"},
		{PXN_T | UXN_T | RO_T | NOEL0_T, EL0, 0, HPD0, "wux", "HPD0: tables forbid nothing"},
		{RO_T, EL0, 0, HPD1, "-ux", "HPD1 is the other half's"},
		{0, 0, SCTLR_WXN, 0, "w-x", "WXN: EL0 cannot write there"},
		{0, UXN, SCTLR_WXN, 0, "w--", "WXN: EL1 can"},
		{0, EL0, SCTLR_WXN, 0, "wu-", "WXN: both can"},
		{0, RO | UXN, SCTLR_WXN, 0, "--x", "WXN: nobody can"},
		{RO_T, EL0 | UXN, SCTLR_WXN, 0, "-ux", "WXN: nobody can by the table"},
		{0, RO | DBM, 0, 0, "--x", "DBM alone"},
		{0, RO | DBM, 0, HD, "--x", "DBM and HD without HA"},
		{0, RO | DBM, 0, HA | HD, "w-x", "DBM, HA, HD: clean"},
		{0, RO, 0, HA | HD, "--x", "HD without DBM"},
		{RO_T, RO | DBM, 0, HA | HD, "--x", "DBM below a read-only table"},
	};
	struct arm64_mmu_state s = {.ttbr0 = 0x10000, .pa_bits = 40};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s.sctlr = SCTLR_M | cases[i].sctlr;
		s.tcr = T0SZ(34) | IPS(2) | cases[i].tcr; /* 30 bits: two levels */
		entries = 0;
		put(0x10000, 0x11000 | TABLE | cases[i].table);
		put(0x11000, 0x40000000 | PAGE | cases[i].leaf);
		put(0x10008, 0x40000000 | BLOCK | cases[i].leaf);
		maps(&s, 0, 0x40000000, 4096, cases[i].rights, cases[i].name);
		if (!cases[i].table)
			maps(&s, 2 * MiB, 0x40000000, 2 * MiB, cases[i].rights, cases[i].name);
	}
	s.sctlr = SCTLR_M;
	s.tcr = T0SZ(25) | IPS(2);
	entries = 0;
	put(0x10000, 0x11000 | TABLE | RO_T);
	put(0x11000, 0x12000 | TABLE | UXN_T);
	put(0x12000, 0x40000000 | PAGE | EL0 | PXN);
	maps(&s, 0, 0x40000000, 4096, "-u-", "each level takes its own");
}

static void test_top_byte(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M,
		.tcr = T0SZ(33) | T1SZ(33) | TG1_4K | IPS(2),
		.ttbr0 = 0x10000,
		.ttbr1 = 0x20000,
		.pa_bits = 40,
	};

	entries = 0;
	put(0x10008, GiB | BLOCK);
	put(0x20008, 2 * GiB | BLOCK);
	maps(&s, 0x40000000, GiB, GiB, "w-x", "no tag, lower half");
	maps(&s, 0xffffffffc0000000, 2 * GiB, GiB, "w-x", "no tag, upper half");
	fails(&s, 0x5a00000040000000, EFAULT, "a tag without TBI0");
	fails(&s, 0x5affffffc0000000, EFAULT, "a tag without TBI1");
	s.tcr |= TBI0;
	maps(&s, 0x5a00000040000010, GiB + 16, GiB - 16, "w-x", "a tag with TBI0");
	maps(&s, 0xff00000040000010, GiB + 16, GiB - 16, "w-x", "all ones with TBI0: bit 55 chooses the half");
	fails(&s, 0x5affffffc0000000, EFAULT, "TBI0 is nothing to the upper half");
	fails(&s, 0x5a20000040000000, EFAULT, "bit 53 is no tag");
	s.tcr = (s.tcr & ~TBI0) | TBI1;
	maps(&s, 0x5affffffc0000000, 2 * GiB, GiB, "w-x", "a tag with TBI1");
	maps(&s, 0x00ffffffc0000000, 2 * GiB, GiB, "w-x", "no bit at all with TBI1");
	fails(&s, 0x5a00000040000000, EFAULT, "TBI1 is nothing to the lower half");
	fails(&s, 0x5a7fffffc0000000, EFAULT, "bit 55 is no tag");
}

static void test_big_endian(void)
{
	struct arm64_mmu_state s = {
		.sctlr = SCTLR_M | SCTLR_EE, .tcr = T0SZ(33) | IPS(2), .ttbr0 = 0x10000, .pa_bits = 40};

	entries = 0;
	put(0x10008, __builtin_bswap64(GiB | BLOCK));
	put(0x10000, GiB | BLOCK);
	maps(&s, 0x40000000, GiB, GiB, "w-x", "big-endian tables");
	fails(&s, 0, EFAULT, "not little-endian ones");
}

int main(void)
{
	test_off();
	test_4k();
	test_limits();
	test_sizes();
	test_16k();
	test_64k();
	test_rights();
	test_top_byte();
	test_big_endian();
	tap_ok(!misaligned, "no entry was read that is not aligned");
	return tap_done();
}
