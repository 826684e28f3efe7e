/*
 * x86 page tables, walked the way the processor does, without a processor: numbers and a callback in, a mapping out.
 * Any thread; no state. Sources: Intel SDM volume 3A chapter 4 (tables 4-4 to 4-20), AMD APM volume 2 chapter 5.
 *
 * What is not modelled, on purpose: protection keys, SMEP/SMAP, CR0.WP (the mapping tells the pages' rights, not
 * whether one access would fault), linear-address masking, the PDPTE registers that PAE mode caches at a CR3 load.
 */
#ifndef X86_MMU_H
#define X86_MMU_H

#include <stdbool.h>
#include <stdint.h>

struct mapping;

#define X86_CR0_PE   (1ull << 0)
#define X86_CR0_PG   (1ull << 31)
#define X86_CR4_PSE  (1ull << 4)
#define X86_CR4_PAE  (1ull << 5)
#define X86_CR4_LA57 (1ull << 12)
#define X86_EFER_SCE (1ull << 0)
#define X86_EFER_LME (1ull << 8)
#define X86_EFER_LMA (1ull << 10)
#define X86_EFER_NXE (1ull << 11)

struct x86_mmu_state {
	uint64_t cr0, cr3, cr4, efer;
	unsigned phys_bits; /* MAXPHYADDR: CPUID 80000008h EAX[7:0] */
};

enum x86_paging {
	X86_PAGING_NONE,
	X86_PAGING_32, /* two levels, 4-byte entries */
	X86_PAGING_PAE,
	X86_PAGING_4LEVEL,
	X86_PAGING_5LEVEL,
};

enum x86_paging x86_mmu_paging(const struct x86_mmu_state *s);

/* Reads `size` (4 or 8) naturally aligned bytes of guest-physical memory, little-endian. 0, or <0: not RAM. */
typedef int (*x86_read_phys)(void *ctx, uint64_t gpa, unsigned size, uint64_t *value);

/*
 * 0 and *out filled; -EFAULT: the processor would raise #PF (not present, reserved bit) or #GP (not canonical), or va
 * does not fit in 32 bits outside long mode; -EIO: a table lies where read_phys cannot read.
 * When it fails, out->len says for how many bytes from va on nothing is mapped either (at least; va + len is 0 where
 * that goes to the end of all addresses), so that mappings are found one after the other without trying every page.
 */
int x86_mmu_walk(const struct x86_mmu_state *s, x86_read_phys read_phys, void *ctx, uint64_t va, struct mapping *out);

#endif
