#include "arch/arm64/mmu.h"

#include <errno.h>
#include <stddef.h>

#include "arch/desc.h"

/* SCTLR_EL1, TCR_EL1: Arm ARM D24.2 */
#define SCTLR_M	      (1ull << 0)
#define SCTLR_WXN     (1ull << 19)
#define SCTLR_EE      (1ull << 25)
#define TCR_TSZ(n)    ((n)*16) /* shift of T0SZ, T1SZ */
#define TCR_EPD(n)    (1ull << (7 + (n)*16))
#define TCR_TG(n)     (14 + (n)*16) /* shift of TG0, TG1 */
#define TCR_IPS_SHIFT 32
#define TCR_TBI(n)    (1ull << (37 + (n)))
#define TCR_HA	      (1ull << 39)
#define TCR_HD	      (1ull << 40)
#define TCR_HPD(n)    (1ull << (41 + (n)))
#define TCR_DS	      (1ull << 59)
#define TSZ_MASK      0x3f
#define IPS_52	      6 /* 52 bits or more */

/* Descriptors: Arm ARM D8.3 */
#define DESC_VALID     (1ull << 0)
#define DESC_TABLE     (1ull << 1) /* a table; in the last level a page */
#define DESC_AP_EL0    (1ull << 6)
#define DESC_AP_RO     (1ull << 7)
#define DESC_DBM       (1ull << 51)
#define DESC_PXN       (1ull << 53)
#define DESC_UXN       (1ull << 54)
#define TABLE_PXN      (1ull << 59)
#define TABLE_UXN      (1ull << 60)
#define TABLE_AP_NOEL0 (1ull << 61)
#define TABLE_AP_RO    (1ull << 62)

#define SELECT_BIT    55 /* which half an address belongs to, and the highest bit below the tag */
#define LAST_LEVEL    3
#define PA_BITS_MIN   32
#define PA_BITS_MAX   52
#define PA_BITS_PLAIN 48 /* what descriptors hold without LPA or LPA2 */
#define TSZ_MIN	      16
#define TSZ_MIN_52    12
#define TSZ_MAX	      48 /* FEAT_TTST; 47 with 64 KiB */
#define SHIFT_64K     16
#define ENTRY_SHIFT   3
#define TTBR_ALIGN_52 6 /* TTBR bits 5:2 are bits 51:48 of the address then */

struct walk {
	const struct arm64_mmu_state *s;
	uint64_t va;
	unsigned half;	     /* 0: TTBR0, 1: TTBR1 */
	unsigned page_shift; /* of the granule */
	unsigned stride;     /* bits that a whole table resolves */
	unsigned va_bits;
	unsigned pa_bits;  /* the processor's */
	unsigned out_bits; /* that addresses in tables may have */
	bool ds;	   /* 52-bit addresses with 4 and 16 KiB */
	bool lpa;	   /* and with 64 KiB */
	uint64_t limits;   /* TABLE_* of the levels so far */
};

/* Bits lo..hi inclusive. */
static uint64_t bits(unsigned lo, unsigned hi)
{
	return (hi == 63 ? ~0ull : (1ull << (hi + 1)) - 1) & ~((1ull << lo) - 1);
}

static bool tcr_has(const struct walk *w, uint64_t bit)
{
	return w->s->tcr & bit;
}

/* The two halves number the granules differently. */
static unsigned granule_shift(uint64_t tcr, unsigned half)
{
	static const uint8_t shifts[2][4] = {{12, 16, 14, 12}, {12, 14, 12, 16}};

	return shifts[half][tcr >> TCR_TG(half) & 3];
}

static unsigned output_bits(const struct walk *w)
{
	static const uint8_t sizes[] = {32, 36, 40, 42, 44, 48, 52, 52};
	unsigned n = sizes[w->s->tcr >> TCR_IPS_SHIFT & 7];
	unsigned max = w->ds || w->lpa || w->pa_bits < PA_BITS_PLAIN ? w->pa_bits : PA_BITS_PLAIN;

	return n < max ? n : max;
}

static int regime_init(struct walk *w)
{
	uint64_t tcr = w->s->tcr;
	unsigned tsz, min, max;

	w->half = w->va >> SELECT_BIT & 1;
	w->page_shift = granule_shift(tcr, w->half);
	w->stride = w->page_shift - ENTRY_SHIFT;
	w->ds = tcr_has(w, TCR_DS) && w->page_shift != SHIFT_64K;
	w->lpa = w->pa_bits > PA_BITS_PLAIN && w->page_shift == SHIFT_64K;
	w->out_bits = output_bits(w);
	tsz = tcr >> TCR_TSZ(w->half) & TSZ_MASK;
	min = w->ds || (w->s->lva && w->page_shift == SHIFT_64K) ? TSZ_MIN_52 : TSZ_MIN;
	max = w->page_shift == SHIFT_64K ? TSZ_MAX - 1 : TSZ_MAX;
	if (tsz < min || tsz > max || tcr_has(w, TCR_EPD(w->half)))
		return -EFAULT;
	w->va_bits = 64 - tsz;
	return 0;
}

/* Are the bits above the translated ones, a tag aside, those of the half? */
static bool in_range(const struct walk *w)
{
	uint64_t high = bits(w->va_bits, tcr_has(w, TCR_TBI(w->half)) ? SELECT_BIT : 63);

	return (w->va & high) == (w->half ? high : 0);
}

static unsigned level_shift(const struct walk *w, int level)
{
	return w->page_shift + w->stride * (unsigned)(LAST_LEVEL - level);
}

/* -1 with 52-bit addresses and 4 KiB */
static int start_level(const struct walk *w)
{
	return LAST_LEVEL + 1 - (int)((w->va_bits - w->page_shift + w->stride - 1) / w->stride);
}

static unsigned index_bits(const struct walk *w, unsigned shift)
{
	return w->va_bits - shift < w->stride ? w->va_bits - shift : w->stride;
}

/* The first table is as large as the address needs, and aligned to that. */
static uint64_t table_base(const struct walk *w, unsigned shift)
{
	uint64_t ttbr = w->half ? w->s->ttbr1 : w->s->ttbr0;
	unsigned align = index_bits(w, shift) + ENTRY_SHIFT;

	if (!w->ds && !(w->lpa && (w->s->tcr >> TCR_IPS_SHIFT & 7) >= IPS_52))
		return ttbr & bits(align, 47);
	if (align < TTBR_ALIGN_52)
		align = TTBR_ALIGN_52;
	return (ttbr & bits(align, 47)) | (ttbr & bits(2, 5)) << (48 - 2);
}

/* The address that a descriptor holds, of something aligned to 1 << shift. */
static uint64_t desc_address(const struct walk *w, uint64_t desc, unsigned shift)
{
	if (w->ds)
		return (desc & bits(shift, 49)) | (desc & bits(8, 9)) << (50 - 8);
	if (w->lpa)
		return (desc & bits(shift, 47)) | (desc & bits(12, 15)) << (48 - 12);
	return desc & bits(shift, 47);
}

/* Blocks in level 2 are always possible, one level above depends: Arm ARM D8.3.1 */
static bool block_allowed(const struct walk *w, int level)
{
	int top = 2;

	if (w->page_shift == SHIFT_64K)
		top = w->lpa ? 1 : 2;
	else if (w->page_shift == 12)
		top = w->ds ? 0 : 1;
	else
		top = w->ds ? 1 : 2;
	return level >= top && level < LAST_LEVEL;
}

static void set_rights(const struct walk *w, uint64_t desc, struct mapping *out)
{
	uint64_t limits = tcr_has(w, TCR_HPD(w->half)) ? 0 : w->limits;
	bool dirty_by_hardware = tcr_has(w, TCR_HA) && tcr_has(w, TCR_HD) && (desc & DESC_DBM);
	bool wxn = w->s->sctlr & SCTLR_WXN;
	bool user_writable, el1, el0;

	out->writable = (!(desc & DESC_AP_RO) || dirty_by_hardware) && !(limits & TABLE_AP_RO);
	out->user = (desc & DESC_AP_EL0) && !(limits & TABLE_AP_NOEL0);
	user_writable = out->user && out->writable;
	el1 = !(desc & DESC_PXN) && !(limits & TABLE_PXN) && !user_writable && !(wxn && out->writable);
	el0 = !(desc & DESC_UXN) && !(limits & TABLE_UXN) && !(wxn && user_writable);
	out->executable = el1 || el0;
}

static void set_address(struct mapping *out, uint64_t base, uint64_t va, unsigned shift)
{
	uint64_t off = va & ((1ull << shift) - 1);

	out->gpa = base + off;
	out->len = (1ull << shift) - off;
}

/* Nothing is mapped from va to the end of the 1 << shift bytes around it. */
static int hole(const struct walk *w, unsigned shift, struct mapping *out, int err)
{
	set_address(out, 0, w->va, shift);
	return err;
}

/*
 * Nor from an address that the tables are not asked about to the next that they might be. The addresses with other tags
 * are the same ones again: the upper half counts from where its tag is all ones.
 */
static int hole_outside(const struct walk *w, struct mapping *out)
{
	uint64_t end = ~0ull << SELECT_BIT;

	if (w->va >= end) /* va_bits 0: this half has no tables at all */
		end = w->va_bits && w->va < ~0ull << w->va_bits ? ~0ull << w->va_bits : 0;
	out->len = end - w->va;
	return -EFAULT;
}

static int walk_tables(struct walk *w, arm64_read_phys read_phys, void *ctx, struct mapping *out)
{
	int level = start_level(w);
	unsigned shift = level_shift(w, level), above = w->va_bits;
	uint64_t table = table_base(w, shift), desc;

	for (;; level++) {
		bool leaf;

		shift = level_shift(w, level);
		if (table >> w->out_bits)
			return hole(w, above, out, -EFAULT);
		above = shift;
		if (read_phys(ctx, table + (w->va >> shift & ((1ull << index_bits(w, shift)) - 1)) * 8, &desc) < 0)
			return hole(w, shift, out, -EIO);
		if (w->s->sctlr & SCTLR_EE)
			desc = __builtin_bswap64(desc);
		if (!(desc & DESC_VALID))
			return hole(w, shift, out, -EFAULT);
		leaf = level == LAST_LEVEL || !(desc & DESC_TABLE);
		if (leaf && level == LAST_LEVEL ? !(desc & DESC_TABLE) : leaf && !block_allowed(w, level))
			return hole(w, shift, out, -EFAULT);
		table = desc_address(w, desc, leaf ? shift : w->page_shift);
		if (leaf)
			break;
		w->limits |= desc;
	}
	if (table >> w->out_bits)
		return hole(w, shift, out, -EFAULT);
	set_rights(w, desc, out);
	set_address(out, table, w->va, shift);
	return 0;
}

/* The tag is none of the address with the MMU off either. */
static int walk_off(const struct walk *w, struct mapping *out)
{
	uint64_t va = w->va;

	if (tcr_has(w, TCR_TBI(va >> SELECT_BIT & 1)))
		va &= bits(0, SELECT_BIT);
	if (va >> w->pa_bits) {
		out->len = 0 - w->va;
		return -EFAULT;
	}
	out->gpa = va;
	out->len = (1ull << w->pa_bits) - va;
	out->writable = out->user = out->executable = true;
	return 0;
}

int arm64_mmu_walk(
	const struct arm64_mmu_state *s, arm64_read_phys read_phys, void *ctx, uint64_t va, struct mapping *out)
{
	struct walk w = {.s = s, .va = va};
	int ret;

	/* Absurd widths would make shifts undefined; these are the architecture's limits. */
	w.pa_bits = s->pa_bits < PA_BITS_MIN ? PA_BITS_MIN : s->pa_bits > PA_BITS_MAX ? PA_BITS_MAX : s->pa_bits;
	if (!(s->sctlr & SCTLR_M))
		return walk_off(&w, out);
	ret = regime_init(&w);
	if (ret < 0 || !in_range(&w))
		return hole_outside(&w, out);
	return walk_tables(&w, read_phys, ctx, out);
}
