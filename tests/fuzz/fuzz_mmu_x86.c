/*
 * x86's page tables, of any mode, made of anything. The input: a byte of paging modes, one of the processor's address
 * bits, CR3, the address; then the tables.
 */
#include "arch/x86_64/mmu.h"
#include "tests/fuzz/fuzz_mmu.h"

#define P  0x01
#define RW 0x02
#define US 0x04
#define PS 0x80
#define NX (1ull << 63)

static struct x86_mmu_state state;

static int read_phys(void *ctx, uint64_t gpa, unsigned size, uint64_t *value)
{
	(void)ctx;
	return read_entry(gpa, size, value);
}

static int walk(uint64_t va, struct mapping *out)
{
	return x86_mmu_walk(&state, read_phys, NULL, va, out);
}

static bool is_alias(uint64_t va)
{
	(void)va;
	return false;
}

/* ---- the reference: SDM 3A, figures 4-2 to 4-11 and table 4-4 on ---- */

/* Bits lo up to hi, both included; none if there are none. */
static uint64_t field(unsigned lo, unsigned hi)
{
	uint64_t mask = 0;

	for (unsigned i = lo; i <= hi; i++)
		mask |= 1ull << i;
	return mask;
}

struct level {
	unsigned shift;
	bool page;	    /* PS may make it one */
	uint64_t must_be_0; /* of an entry that leads on */
};

/* From the root down; shift 0 ends. */
static const struct level levels_32[] = {{22, true, 0}, {12, true, 0}, {0}};
static const struct level levels_pae[] = {{30, false, 0x1e6}, {21, true, 0}, {12, true, 0}, {0}};
static const struct level levels_5[] = {
	{48, false, PS}, {39, false, PS}, {30, true, 0}, {21, true, 0}, {12, true, 0}, {0}};

static unsigned phys_bits(void)
{
	return state.phys_bits < 32 ? 32 : state.phys_bits > 52 ? 52 : state.phys_bits;
}

static uint64_t reserved(const struct level *l, bool leaf, bool wide, uint64_t entry)
{
	bool pae = wide && !(state.efer & X86_EFER_LMA);
	uint64_t bad = leaf ? 0 : l->must_be_0;

	if (!wide) { /* PSE-36: bits 13 to 20 are address bits 32 to 39 */
		if (leaf && l->shift == 22)
			bad |= field(21, 21) | (phys_bits() < 40 ? field(13 + phys_bits() - 32, 20) : 0);
		return entry & bad;
	}
	bad |= field(phys_bits(), pae ? 62 : 51);
	if (!(state.efer & X86_EFER_NXE) || (pae && l->shift == 30))
		bad |= NX;
	if (leaf && l->shift > 12)
		bad |= field(13, l->shift - 1);
	return entry & bad;
}

static void page(const struct level *l, bool wide, uint64_t entry, uint64_t va, struct mapping *out)
{
	uint64_t size = 1ull << l->shift, base = entry & field(l->shift, wide ? 51 : 31);

	if (!wide && l->shift == 22)
		base |= (entry >> 13 & 0xff) << 32;
	out->gpa = base | (va & (size - 1));
	out->len = size - (va & (size - 1));
}

static int walk_from(const struct level *l, uint64_t table, bool wide, uint64_t va, struct mapping *out)
{
	unsigned size = wide ? 8 : 4, index = wide ? 9 : 10;
	bool pdpt = wide && !(state.efer & X86_EFER_LMA) && l->shift == 30;
	uint64_t entry;

	out->writable = out->user = out->executable = true;
	for (;; l++) {
		bool leaf;

		if (read_entry(table + (va >> l->shift) % (1u << index) * size, size, &entry))
			return -EIO;
		leaf = l->shift == 12 || (l->page && entry & PS && (wide || state.cr4 & X86_CR4_PSE));
		if (!(entry & P) || reserved(l, leaf, wide, entry))
			return -EFAULT;
		if (!pdpt) {
			out->writable &= !!(entry & RW);
			out->user &= !!(entry & US);
			out->executable &= !(wide && state.efer & X86_EFER_NXE && entry & NX);
		}
		pdpt = false;
		if (leaf)
			break;
		table = entry & field(12, wide ? 51 : 31);
	}
	page(l, wide, entry, va, out);
	return 0;
}

static int reference(uint64_t va, struct mapping *out)
{
	bool la57 = state.cr4 & X86_CR4_LA57;
	int64_t upper = (int64_t)va >> (la57 ? 56 : 47);

	if (state.cr0 & X86_CR0_PG && state.efer & X86_EFER_LMA)
		return upper == 0 || upper == -1 ? walk_from(levels_5 + !la57, state.cr3 & field(12, 51), true, va, out)
						 : -EFAULT;
	if (va > UINT32_MAX)
		return -EFAULT;
	if (!(state.cr0 & X86_CR0_PG)) {
		*out = (struct mapping){va, (1ull << 32) - va, true, true, true};
		return 0;
	}
	if (state.cr4 & X86_CR4_PAE)
		return walk_from(levels_pae, state.cr3 & field(5, 31), true, va, out);
	return walk_from(levels_32, state.cr3 & field(12, 31), false, va, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned modes = (unsigned)take_number(&data, &size, 1);
	uint64_t va;

	state = (struct x86_mmu_state){
		.cr0 = modes & 1 ? 0 : X86_CR0_PG,
		.cr4 = (modes & 2 ? X86_CR4_PAE : 0) | (modes & 4 ? X86_CR4_PSE : 0) | (modes & 8 ? X86_CR4_LA57 : 0),
		.efer = (modes & 16 ? X86_EFER_LMA : 0) | (modes & 32 ? X86_EFER_NXE : 0),
		.phys_bits = (unsigned)take_number(&data, &size, 1),
		.cr3 = take_number(&data, &size, 8),
	};
	va = take_number(&data, &size, 8);
	if (!take_tables(data, size))
		return 0;
	if (modes & 64)
		va &= UINT32_MAX;
	check_walk(walk, reference, va);
	/* Canonical for sure. */
	check_walk(walk, reference, (uint64_t)((int64_t)(va << 16) >> 16));
	return 0;
}
