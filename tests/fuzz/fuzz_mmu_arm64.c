/*
 * arm64's page tables of stage 1, of any granule and size, made of anything. The input: a byte of SCTLR's bits and
 * what the processor has, one of its address bits, TCR, both TTBRs, the address; then the tables.
 */
#include "arch/arm64/mmu.h"
#include "tests/fuzz/fuzz_mmu.h"

#define SCTLR_M	  (1ull << 0)
#define SCTLR_WXN (1ull << 19)
#define SCTLR_EE  (1ull << 25)

static struct arm64_mmu_state state;

static int read_phys(void *ctx, uint64_t gpa, uint64_t *value)
{
	(void)ctx;
	return read_entry(gpa, ENTRY, value);
}

static int walk(uint64_t va, struct mapping *out)
{
	return arm64_mmu_walk(&state, read_phys, NULL, va, out);
}

/* Its tag is not that of its half. */
static bool is_alias(uint64_t va)
{
	return va >> 55 && va >> 55 != 0x1ff;
}

/* ---- the reference: Arm ARM (DDI 0487), D8.2 to D8.4, and TCR_EL1 ---- */

struct regime {
	unsigned half, granule, stride, va_bits, out_bits;
	bool ds, lpa;
	uint64_t ttbr;
};

static bool tcr(unsigned bit)
{
	return state.tcr >> bit & 1;
}

static uint64_t low(uint64_t value, unsigned bits)
{
	return bits >= 64 ? value : value & ((1ull << bits) - 1);
}

static unsigned pa_bits(void)
{
	return state.pa_bits < 32 ? 32 : state.pa_bits > 52 ? 52 : state.pa_bits;
}

/* False: no table is asked. */
static bool regime(uint64_t va, struct regime *r)
{
	static const unsigned ips[] = {32, 36, 40, 42, 44, 48, 52, 52};
	static const unsigned tg0[] = {12, 16, 14, 12}, tg1[] = {12, 14, 12, 16};
	unsigned tsz, most;
	uint64_t above;

	r->half = va >> 55 & 1;
	r->granule = r->half ? tg1[state.tcr >> 30 & 3] : tg0[state.tcr >> 14 & 3];
	r->stride = r->granule - 3;
	r->ds = tcr(59) && r->granule != 16;
	r->lpa = pa_bits() > 48 && r->granule == 16;
	r->ttbr = r->half ? state.ttbr1 : state.ttbr0;
	most = r->ds || r->lpa || pa_bits() < 48 ? pa_bits() : 48;
	r->out_bits = ips[state.tcr >> 32 & 7] < most ? ips[state.tcr >> 32 & 7] : most;
	tsz = state.tcr >> (r->half ? 16 : 0) & 63;
	if (tcr(r->half ? 23 : 7) || tsz > (r->granule == 16 ? 47 : 48) ||
		tsz < (r->ds || (r->granule == 16 && state.lva) ? 12 : 16))
		return false;
	r->va_bits = 64 - tsz;
	/* All bits from the size on are as bit 55 is, those of a tag apart. */
	above = (r->half ? ~va : va) >> r->va_bits << r->va_bits;
	return !low(above, tcr(r->half ? 38 : 37) ? 56 : 64);
}

static uint64_t root(const struct regime *r, unsigned shift)
{
	unsigned align = r->va_bits - shift + 3;
	bool wide = r->ds || (r->lpa && (state.tcr >> 32 & 7) >= 6);
	uint64_t base = low(r->ttbr, 48);

	if (wide && align < 6)
		align = 6;
	base = base >> align << align;
	return wide ? base | (r->ttbr >> 2 & 15) << 48 : base;
}

/* The address in a descriptor, of 1 << shift bytes. */
static uint64_t leads_to(const struct regime *r, uint64_t desc, unsigned shift)
{
	uint64_t base = low(desc, r->ds ? 50 : 48) >> shift << shift;

	if (r->ds)
		base |= (desc >> 8 & 3) << 50;
	else if (r->lpa)
		base |= (desc >> 12 & 15) << 48;
	return base;
}

static bool block_here(const struct regime *r, int level)
{
	if (r->granule == 12)
		return level == 1 || level == 2 || (level == 0 && r->ds);
	if (r->granule == 14)
		return level == 2 || (level == 1 && r->ds);
	return level == 2 || (level == 1 && r->lpa);
}

/* desc: the last; tables: the bits of those before, one or the other. */
static void rights(const struct regime *r, uint64_t desc, uint64_t tables, struct mapping *out)
{
	bool dirty = tcr(39) && tcr(40) && desc >> 51 & 1, ro = desc >> 7 & 1, el0 = desc >> 6 & 1;
	bool wxn = state.sctlr & SCTLR_WXN, x1, x0;

	if (tcr(r->half ? 42 : 41))
		tables = 0;
	out->writable = (!ro || dirty) && !(tables >> 62 & 1);
	out->user = el0 && !(tables >> 61 & 1);
	x1 = !(desc >> 53 & 1) && !(tables >> 59 & 1) && !(wxn && out->writable);
	x0 = !(desc >> 54 & 1) && !(tables >> 60 & 1) && !(wxn && out->writable && out->user);
	out->executable = (x1 && !(out->writable && out->user)) || x0;
}

static int reference(uint64_t va, struct mapping *out)
{
	uint64_t table, desc, tables = 0;
	unsigned shift;
	struct regime r;
	int level = 3;

	if (!(state.sctlr & SCTLR_M)) {
		va = tcr(va >> 55 & 1 ? 38 : 37) ? low(va, 56) : va;
		*out = (struct mapping){va, (1ull << pa_bits()) - va, true, true, true};
		return va >> pa_bits() ? -EFAULT : 0;
	}
	if (!regime(va, &r))
		return -EFAULT;
	for (shift = r.granule; shift + r.stride < r.va_bits; shift += r.stride)
		level--;
	table = root(&r, shift);
	for (;; level++, shift -= r.stride) {
		unsigned size = level == 3 || shift + r.stride < r.va_bits ? r.stride : r.va_bits - shift;

		if (size > r.va_bits - shift)
			size = r.va_bits - shift;
		if (table >> r.out_bits)
			return -EFAULT;
		if (read_entry(table + low(va >> shift, size) * 8, 8, &desc))
			return -EIO;
		if (state.sctlr & SCTLR_EE)
			desc = __builtin_bswap64(desc);
		if (!(desc & 1) || (level == 3 && !(desc & 2)) || (level < 3 && !(desc & 2) && !block_here(&r, level)))
			return -EFAULT;
		if (level == 3 || !(desc & 2))
			break;
		tables |= desc;
		table = leads_to(&r, desc, r.granule);
	}
	table = leads_to(&r, desc, shift);
	if (table >> r.out_bits)
		return -EFAULT;
	rights(&r, desc, tables, out);
	out->gpa = table + low(va, shift);
	out->len = (1ull << shift) - low(va, shift);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned modes = (unsigned)take_number(&data, &size, 1);
	uint64_t va;

	state = (struct arm64_mmu_state){
		.sctlr = (modes & 1 ? 0 : SCTLR_M) | (modes & 2 ? SCTLR_WXN : 0) | (modes & 4 ? SCTLR_EE : 0),
		.lva = modes & 8,
		.pa_bits = (unsigned)take_number(&data, &size, 1),
		.tcr = take_number(&data, &size, 8),
		.ttbr0 = take_number(&data, &size, 8),
		.ttbr1 = take_number(&data, &size, 8),
	};
	va = take_number(&data, &size, 8);
	if (!take_tables(data, size))
		return 0;
	check_walk(walk, reference, va);
	/* In range for sure, of either half. */
	check_walk(walk, reference, low(va, 64 - (state.tcr & 63)));
	check_walk(walk, reference, ~low(va, 64 - (state.tcr >> 16 & 63)));
	return 0;
}
