/* GDT, page tables and control registers of the boot processor. Intel SDM volume 3, 3.4.5 and 4.5. */
#include "arch/x86_64/boot.h"

#include <errno.h>
#include <inttypes.h>

#include "arch/x86_64/layout.h"
#include "vmm/log.h"

#define GIB	   (1ULL << 30)
#define PAGE_SIZE  4096ULL
#define PAGE_LARGE (1ULL << 21)

#define CR0_PE	 (1U << 0)
#define CR0_ET	 (1U << 4)
#define CR0_PG	 (1U << 31)
#define CR4_PAE	 (1U << 5)
#define EFER_LME (1U << 8)
#define EFER_LMA (1U << 10)

#define PTE_P	 (1ULL << 0)
#define PTE_W	 (1ULL << 1)
#define PTE_PS	 (1ULL << 7)
#define PTE_ADDR 0x000ffffffffff000ULL

/* Access bytes and the flags nibble of descriptors. */
#define DESC_CODE     0x9b /* present, execute/read, accessed */
#define DESC_DATA     0x93 /* present, read/write, accessed */
#define DESC_TSS_BUSY 0x8b
#define DESC_4G	      0xc /* 32-bit, limit in pages */
#define DESC_LONG     0xa /* L, limit in pages */

static uint64_t descriptor(uint8_t access, uint8_t flags, uint32_t limit)
{
	return (limit & 0xffff) | (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52;
}

static int put_gdt(struct boot *b, bool long64)
{
	uint64_t *gdt = boot_alloc(b, LAYOUT_GDT_ENTRIES * sizeof(*gdt), sizeof(*gdt), "GDT", &b->entry.gdt_base);

	if (!gdt)
		return -ENOSPC;
	gdt[LAYOUT_SEL_CODE32 / 8] = descriptor(DESC_CODE, DESC_4G, 0xfffff);
	gdt[LAYOUT_SEL_CODE / 8] = descriptor(DESC_CODE, long64 ? DESC_LONG : DESC_4G, 0xfffff);
	gdt[LAYOUT_SEL_DATA / 8] = descriptor(DESC_DATA, DESC_4G, 0xfffff);
	gdt[LAYOUT_SEL_TSS / 8] = descriptor(DESC_TSS_BUSY, 0, 0x67);
	b->entry.gdt_limit = LAYOUT_GDT_ENTRIES * sizeof(*gdt) - 1;
	b->entry.cs = LAYOUT_SEL_CODE;
	b->entry.ds = LAYOUT_SEL_DATA;
	b->entry.tr = LAYOUT_SEL_TSS;
	return 0;
}

int boot_set_prot32(struct boot *b)
{
	b->entry.mode = BOOT_MODE_PROT32;
	b->entry.cr0 = CR0_PE | CR0_ET;
	return put_gdt(b, false);
}

/* The next table below *entry, made if it is not there. NULL: no room. */
static uint64_t *next_table(struct boot *b, uint64_t *entry)
{
	uint64_t gpa;
	uint64_t *table;

	if (*entry & PTE_P)
		return memory_at(b->mem, *entry & PTE_ADDR, PAGE_SIZE);
	table = boot_alloc(b, PAGE_SIZE, PAGE_SIZE, "page tables", &gpa);
	if (table)
		*entry = gpa | PTE_P | PTE_W;
	return table;
}

static uint64_t *table_entry(uint64_t *table, uint64_t va, unsigned level)
{
	return table + (va >> (12 + 9 * (level - 1)) & 511);
}

/* The page directory entry of va. */
static uint64_t *directory_entry(struct boot *b, uint64_t va)
{
	uint64_t *table = memory_at(b->mem, b->entry.cr3, PAGE_SIZE);

	for (unsigned level = 4; table && level > 2; level--)
		table = next_table(b, table_entry(table, va, level));
	return table ? table_entry(table, va, 2) : NULL;
}

static int map_identity(struct boot *b)
{
	const struct mem_range *last = &b->mem->range[b->mem->n - 1];
	uint64_t end = 4 * GIB;

	if (last->gpa + last->size > end)
		end = last->gpa + last->size;
	for (uint64_t va = 0; va < end; va += GIB) {
		uint64_t *pde = directory_entry(b, va);

		if (!pde)
			return -ENOSPC;
		for (unsigned i = 0; i < 512; i++)
			pde[i] = (va + i * PAGE_LARGE) | PTE_P | PTE_W | PTE_PS;
	}
	return 0;
}

int boot_set_long64(struct boot *b)
{
	int err = put_gdt(b, true);

	if (err)
		return err;
	if (!boot_alloc(b, PAGE_SIZE, PAGE_SIZE, "page tables", &b->entry.cr3))
		return -ENOSPC;
	b->entry.mode = BOOT_MODE_LONG64;
	b->entry.cr0 = CR0_PE | CR0_ET | CR0_PG;
	b->entry.cr4 = CR4_PAE;
	b->entry.efer = EFER_LME | EFER_LMA;
	return map_identity(b);
}

/* The page table entry of va; a large page in its way is split. */
static uint64_t *page_entry(struct boot *b, uint64_t *pde, uint64_t va)
{
	uint64_t large = *pde;
	uint64_t *table;

	if (!(large & PTE_PS) || !(large & PTE_P)) {
		table = next_table(b, pde);
		return table ? table_entry(table, va, 1) : NULL;
	}
	*pde = 0;
	table = next_table(b, pde);
	for (unsigned i = 0; table && i < 512; i++)
		table[i] = (large & ~PTE_PS) + i * PAGE_SIZE;
	return table ? table_entry(table, va, 1) : NULL;
}

/* *done: how far va may move on. */
static int map_one(struct boot *b, uint64_t va, uint64_t pa, uint64_t left, uint64_t *done)
{
	uint64_t *entry = directory_entry(b, va);
	bool large = !((va | pa) & (PAGE_LARGE - 1)) && left >= PAGE_LARGE;

	if (!entry)
		return -ENOSPC;
	if (large && (!(*entry & PTE_P) || *entry & PTE_PS)) {
		*done = PAGE_LARGE;
		*entry = pa | PTE_P | PTE_W | PTE_PS;
		return 0;
	}
	*done = PAGE_SIZE;
	entry = page_entry(b, entry, va);
	if (!entry)
		return -ENOSPC;
	*entry = pa | PTE_P | PTE_W;
	return 0;
}

static int map_segment(struct boot *b, const struct elf_segment *s)
{
	uint64_t va = s->va & -PAGE_SIZE, pa = s->pa & -PAGE_SIZE;
	uint64_t size = ((s->va & (PAGE_SIZE - 1)) + s->memsz + PAGE_SIZE - 1) & -PAGE_SIZE;
	uint64_t done = 0;

	for (; size; va += done, pa += done, size -= done) {
		int err = map_one(b, va, pa, size, &done);

		if (err)
			return err;
	}
	return 0;
}

static bool canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

/* Do two segments want a page to be in two places? */
static bool segments_clash(const struct elf_segment *a, const struct elf_segment *c)
{
	uint64_t a_first = a->va / PAGE_SIZE, a_last = (a->va + a->memsz - 1) / PAGE_SIZE;
	uint64_t c_first = c->va / PAGE_SIZE, c_last = (c->va + c->memsz - 1) / PAGE_SIZE;

	return a_first <= c_last && c_first <= a_last && a->va - a->pa != c->va - c->pa;
}

static int segment_check(struct boot *b, const struct elf_image *elf, int i)
{
	const struct elf_segment *s = &elf->segment[i];
	uint64_t last = s->va + s->memsz - 1;

	if (!canonical(s->va) || !canonical(last) || (s->va ^ last) >> 63) {
		log_error("%s: segment %d: no 48-bit addresses: 0x%" PRIx64 "-0x%" PRIx64, b->image->path, i, s->va,
			last);
		return -ENOEXEC;
	}
	if ((s->va ^ s->pa) & (PAGE_SIZE - 1)) {
		log_error("%s: segment %d: virtual 0x%" PRIx64 " and physical 0x%" PRIx64
			  " differ within a page: nothing can map that",
			b->image->path, i, s->va, s->pa);
		return -ENOEXEC;
	}
	for (int j = 0; j < i; j++) {
		if (!segments_clash(s, &elf->segment[j]))
			continue;
		log_error("%s: segments %d and %d share a virtual page near 0x%" PRIx64
			  " but not a physical one: link them apart",
			b->image->path, j, i, s->va);
		return -ENOEXEC;
	}
	return 0;
}

int boot_map_segments(struct boot *b, const struct elf_image *elf)
{
	int err = 0;

	for (int i = 0; i < elf->nsegments && !err; i++)
		err = segment_check(b, elf, i);
	for (int i = 0; i < elf->nsegments && !err; i++)
		if (elf->segment[i].va != elf->segment[i].pa)
			err = map_segment(b, &elf->segment[i]);
	return err;
}
