#include "arch/x86_64/mmu.h"

#include <errno.h>
#include <stddef.h>

#include "arch/desc.h"

#define PTE_P  (1ull << 0)
#define PTE_W  (1ull << 1)
#define PTE_U  (1ull << 2)
#define PTE_PS (1ull << 7) /* in the last level this bit is PAT */
#define PTE_NX (1ull << 63)

/* Bits lo..hi inclusive; empty when lo > hi. */
static uint64_t bits(unsigned lo, unsigned hi)
{
	if (lo > hi)
		return 0;
	return (hi == 63 ? ~0ull : (1ull << (hi + 1)) - 1) & ~((1ull << lo) - 1);
}

enum x86_paging x86_mmu_paging(const struct x86_mmu_state *s)
{
	if (!(s->cr0 & X86_CR0_PG))
		return X86_PAGING_NONE;
	if (s->efer & X86_EFER_LMA)
		return s->cr4 & X86_CR4_LA57 ? X86_PAGING_5LEVEL : X86_PAGING_4LEVEL;
	return s->cr4 & X86_CR4_PAE ? X86_PAGING_PAE : X86_PAGING_32;
}

static void mapping_set(struct mapping *out, uint64_t base, uint64_t va, uint64_t page_size)
{
	uint64_t off = va & (page_size - 1);

	out->gpa = base + off;
	out->len = page_size - off;
}

static void mapping_open(struct mapping *out)
{
	out->writable = out->user = out->executable = true;
}

/* The rights of a page are what every level grants. */
static void mapping_restrict(struct mapping *out, uint64_t entry, bool nxe)
{
	if (!(entry & PTE_W))
		out->writable = false;
	if (!(entry & PTE_U))
		out->user = false;
	if (nxe && (entry & PTE_NX))
		out->executable = false;
}

/* Nothing is mapped from va to the end of the `size` bytes around it. */
static int hole(struct mapping *out, uint64_t va, uint64_t size, int err)
{
	mapping_set(out, 0, va, size);
	return err;
}

/* Nor from va up to `end`, which is 0 for the end of all addresses. */
static int hole_to(struct mapping *out, uint64_t va, uint64_t end)
{
	out->len = end - va;
	return -EFAULT;
}

static int walk_none(uint64_t va, struct mapping *out)
{
	if (va >> 32)
		return hole_to(out, va, 0);
	mapping_open(out);
	out->gpa = va;
	out->len = (1ull << 32) - va;
	return 0;
}

/*
 * A 4 MiB page of 32-bit paging: with PSE-36, bits 20:13 are physical address bits 39:32 as far as the processor has
 * them; bit 21 and the bits past MAXPHYADDR are reserved.
 */
static int large_32(uint64_t pde, unsigned phys_bits, uint64_t *base)
{
	unsigned high = phys_bits > 40 ? 8 : phys_bits > 32 ? phys_bits - 32 : 0;

	if (pde & (bits(13 + high, 20) | bits(21, 21)))
		return -EFAULT;
	*base = (pde & bits(22, 31)) | (pde & bits(13, 20)) << 19;
	return 0;
}

static int walk_32(const struct x86_mmu_state *s, x86_read_phys read_phys, void *ctx, uint64_t va, struct mapping *out)
{
	uint64_t entry, base;

	if (va >> 32)
		return hole_to(out, va, 0);
	mapping_open(out);
	if (read_phys(ctx, (s->cr3 & bits(12, 31)) + (va >> 22) * 4, 4, &entry) < 0)
		return hole(out, va, 1ull << 22, -EIO);
	if (!(entry & PTE_P))
		return hole(out, va, 1ull << 22, -EFAULT);
	mapping_restrict(out, entry, false);
	if ((entry & PTE_PS) && (s->cr4 & X86_CR4_PSE)) {
		if (large_32(entry, s->phys_bits, &base) < 0)
			return hole(out, va, 1ull << 22, -EFAULT);
		mapping_set(out, base, va, 1ull << 22);
		return 0;
	}
	if (read_phys(ctx, (entry & bits(12, 31)) + (va >> 12 & 0x3ff) * 4, 4, &entry) < 0)
		return hole(out, va, 1ull << 12, -EIO);
	if (!(entry & PTE_P))
		return hole(out, va, 1ull << 12, -EFAULT);
	mapping_restrict(out, entry, false);
	mapping_set(out, entry & bits(12, 31), va, 1ull << 12);
	return 0;
}

/* The common part of PAE, 4 and 5 levels: 8-byte entries, 9 bits a level. level 1 is the page table. */
struct walk64 {
	const struct x86_mmu_state *s;
	x86_read_phys read_phys;
	void *ctx;
	unsigned phys_bits;
	bool pae;
};

/* Bits that raise #PF with RSVD when set in a present entry of that level. */
static uint64_t reserved_bits(const struct walk64 *w, unsigned level, bool leaf)
{
	uint64_t rsvd = bits(w->phys_bits, 51);

	if (w->pae) /* the bits above MAXPHYADDR are all reserved, up to NX */
		rsvd = bits(w->phys_bits, 62);
	if (!(w->s->efer & X86_EFER_NXE))
		rsvd |= PTE_NX;
	if (leaf && level > 1) /* below the frame, above PAT (bit 12) */
		rsvd |= bits(13, 12 + 9 * (level - 1) - 1);
	if (!leaf && level >= 4)
		rsvd |= PTE_PS;
	return rsvd;
}

static int walk_levels(const struct walk64 *w, uint64_t table, unsigned level, uint64_t va, struct mapping *out)
{
	unsigned max_leaf = w->pae ? 2 : 3; /* 1 GiB pages need four levels */
	bool nxe = w->s->efer & X86_EFER_NXE;

	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t entry;
		bool leaf;

		if (w->read_phys(w->ctx, table + (va >> shift & 0x1ff) * 8, 8, &entry) < 0)
			return hole(out, va, 1ull << shift, -EIO);
		if (!(entry & PTE_P))
			return hole(out, va, 1ull << shift, -EFAULT);
		leaf = level == 1 || (level <= max_leaf && (entry & PTE_PS));
		if (entry & reserved_bits(w, level, leaf))
			return hole(out, va, 1ull << shift, -EFAULT);
		mapping_restrict(out, entry, nxe);
		if (leaf) {
			mapping_set(out, entry & bits(shift, 51), va, 1ull << shift);
			return 0;
		}
		table = entry & bits(12, 51);
	}
}

static int walk_pae(const struct walk64 *w, uint64_t va, struct mapping *out)
{
	uint64_t pdpte;

	if (va >> 32)
		return hole_to(out, va, 0);
	/* The four PDPTEs are 32-byte aligned and carry no rights. */
	if (w->read_phys(w->ctx, (w->s->cr3 & bits(5, 31)) + (va >> 30) * 8, 8, &pdpte) < 0)
		return hole(out, va, 1ull << 30, -EIO);
	if (!(pdpte & PTE_P) || (pdpte & (bits(1, 2) | bits(5, 8) | bits(w->phys_bits, 63))))
		return hole(out, va, 1ull << 30, -EFAULT);
	return walk_levels(w, pdpte & bits(12, 51), 2, va, out);
}

static bool canonical(uint64_t va, unsigned va_bits)
{
	uint64_t high = va >> (va_bits - 1);

	return high == 0 || high == ~0ull >> (va_bits - 1);
}

int x86_mmu_walk(const struct x86_mmu_state *s, x86_read_phys read_phys, void *ctx, uint64_t va, struct mapping *out)
{
	enum x86_paging paging = x86_mmu_paging(s);
	struct walk64 w = {.s = s, .read_phys = read_phys, .ctx = ctx, .pae = paging == X86_PAGING_PAE};
	unsigned levels = paging == X86_PAGING_5LEVEL ? 5 : 4;
	unsigned va_bits = levels == 5 ? 57 : 48;

	/* Absurd widths would make shifts undefined; 52 is the architecture's limit, 32 its floor. */
	w.phys_bits = s->phys_bits < 32 ? 32 : s->phys_bits > 52 ? 52 : s->phys_bits;
	if (paging == X86_PAGING_NONE)
		return walk_none(va, out);
	if (paging == X86_PAGING_32)
		return walk_32(s, read_phys, ctx, va, out);
	mapping_open(out);
	if (paging == X86_PAGING_PAE)
		return walk_pae(&w, va, out);
	if (!canonical(va, va_bits))
		return hole_to(out, va, ~0ull << (va_bits - 1));
	return walk_levels(&w, s->cr3 & bits(12, 51), levels, va, out);
}
