/*
 * For tests of arm64's page-table walker: the registers' and descriptors' bits, a sparse memory to write tables into,
 * and checks of what an address leads to.
 */
#ifndef TESTS_UNIT_MMU_ARM64_H
#define TESTS_UNIT_MMU_ARM64_H

#include <errno.h>

#include "arch/arm64/mmu.h"
#include "arch/desc.h"
#include "tests/unit/tap.h"

#define SCTLR_M	  1ull
#define SCTLR_WXN (1ull << 19)
#define SCTLR_EE  (1ull << 25)

#define T0SZ(n) ((uint64_t)(n))
#define T1SZ(n) ((uint64_t)(n) << 16)
#define EPD0	(1ull << 7)
#define EPD1	(1ull << 23)
#define TG0_4K	(0ull << 14)
#define TG0_64K (1ull << 14)
#define TG0_16K (2ull << 14)
#define TG1_16K (1ull << 30)
#define TG1_4K	(2ull << 30)
#define TG1_64K (3ull << 30)
#define IPS(n)	((uint64_t)(n) << 32)
#define TBI0	(1ull << 37)
#define TBI1	(1ull << 38)
#define HA	(1ull << 39)
#define HD	(1ull << 40)
#define HPD0	(1ull << 41)
#define HPD1	(1ull << 42)
#define DS	(1ull << 59)

#define BLOCK	1ull
#define TABLE	3ull
#define PAGE	3ull
#define EL0	(1ull << 6)
#define RO	(1ull << 7)
#define AF	(1ull << 10)
#define DBM	(1ull << 51)
#define CONTIG	(1ull << 52)
#define PXN	(1ull << 53)
#define UXN	(1ull << 54)
#define PXN_T	(1ull << 59)
#define UXN_T	(1ull << 60)
#define NOEL0_T (1ull << 61)
#define RO_T	(1ull << 62)

#define MiB 0x100000ull
#define GiB 0x40000000ull
#define TiB 0x10000000000ull

/* Entries that are not zero; a GiB from HOLE on is no RAM. */
#define HOLE (1ull << 47)
static struct {
	uint64_t gpa, value;
} memory[32];
static unsigned entries, reads;
static bool misaligned;

static inline void put(uint64_t gpa, uint64_t value)
{
	memory[entries].gpa = gpa;
	memory[entries++].value = value;
}

static inline int read_phys(void *ctx, uint64_t gpa, uint64_t *value)
{
	(void)ctx;
	reads++;
	misaligned |= gpa % 8;
	*value = 0;
	for (unsigned i = 0; i < entries; i++) {
		if (memory[i].gpa == gpa)
			*value = memory[i].value;
	}
	return gpa - HOLE < GiB ? -EFAULT : 0;
}

static struct mapping out;

static inline int walk(const struct arm64_mmu_state *s, uint64_t va)
{
	memset(&out, 0xa5, sizeof(out));
	reads = 0;
	return arm64_mmu_walk(s, read_phys, NULL, va, &out);
}

static inline void maps(
	const struct arm64_mmu_state *s, uint64_t va, uint64_t gpa, uint64_t len, const char *rights, const char *name)
{
	char got[4] = "---";
	int ret = walk(s, va);

	tap_is_u64((uint64_t)(int64_t)ret, 0, "%s: found", name);
	if (ret)
		return;
	tap_is_u64(out.gpa, gpa, "%s: address", name);
	tap_is_u64(out.len, len, "%s: length", name);
	got[0] = out.writable ? 'w' : '-';
	got[1] = out.user ? 'u' : '-';
	got[2] = out.executable ? 'x' : '-';
	tap_is_str(got, rights, "%s: rights", name);
}

static inline void fails(const struct arm64_mmu_state *s, uint64_t va, int error, const char *name)
{
	tap_is_u64((uint64_t)-walk(s, va), (uint64_t)error, "%s", name);
}

#endif
