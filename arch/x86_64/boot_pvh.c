/*
 * PVH (Xen's docs/misc/pvh.pandoc): 32-bit entry with a start info block in EBX. The same block also tells a bare
 * ELF64, entered in long mode, what machine it has.
 */
#include "arch/x86_64/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "arch/x86_64/layout.h"
#include "vmm/log.h"

#define ELFNOTE_XEN_PHYS32_ENTRY 18
#define CMDLINE_MAX		 2047 /* Linux's; other PVH kernels take what they like */

#define CR0_MP	       (1U << 1)
#define CR4_OSFXSR     (1U << 9)
#define CR4_OSXMMEXCPT (1U << 10)

/* public/arch-x86/hvm/start_info.h, version 1 */
#define HVM_START_MAGIC 0x336ec578

struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
	uint32_t memmap_entries, reserved;
};

struct hvm_modlist_entry {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct hvm_memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

/* The three stand behind each other, so that one allocation holds them. */
struct start_block {
	struct hvm_start_info info;
	struct hvm_modlist_entry module;
	struct hvm_memmap_entry memmap[BOOT_MAP_MAX];
};

bool boot_pvh_entry(const struct elf_image *elf, uint64_t *entry)
{
	size_t len;
	const uint8_t *desc = elf_note(elf, "Xen", ELFNOTE_XEN_PHYS32_ENTRY, &len);
	uint64_t value = 0;

	if (!desc || (len != 4 && len != 8))
		return false;
	memcpy(&value, desc, len);
	*entry = value;
	for (int i = 0; i < elf->nsegments; i++)
		if (value >= elf->segment[i].pa && value - elf->segment[i].pa < elf->segment[i].memsz)
			return value <= UINT32_MAX;
	return false;
}

int boot_put_start_info(struct boot *b, uint64_t cmdline, uint64_t *gpa)
{
	struct start_block *s = boot_alloc(b, sizeof(*s), 4096, "start info", gpa);

	if (!s)
		return -ENOSPC;
	s->info.magic = HVM_START_MAGIC;
	s->info.version = 1;
	s->info.cmdline_paddr = cmdline;
	s->info.rsdp_paddr = b->rsdp;
	s->info.memmap_paddr = *gpa + offsetof(struct start_block, memmap);
	s->info.memmap_entries = b->map.n;
	for (unsigned i = 0; i < b->map.n; i++) {
		s->memmap[i].addr = b->map.e[i].gpa;
		s->memmap[i].size = b->map.e[i].size;
		s->memmap[i].type = b->map.e[i].type;
	}
	if (b->initrd_size) {
		s->info.nr_modules = 1;
		s->info.modlist_paddr = *gpa + offsetof(struct start_block, module);
		s->module.paddr = b->initrd_gpa;
		s->module.size = b->initrd_size;
	}
	return 0;
}

int boot_pvh(struct boot *b, const struct elf_image *elf)
{
	uint64_t entry = 0, cmdline, info;
	int err = boot_load_elf(b, elf);

	if (!err)
		err = boot_load_initrd(b, UINT32_MAX);
	if (!err)
		err = boot_put_cmdline(b, NULL, NULL, CMDLINE_MAX, &cmdline);
	if (!err)
		err = boot_put_start_info(b, cmdline, &info);
	if (!err)
		err = boot_set_prot32(b);
	if (err)
		return err;
	boot_pvh_entry(elf, &entry);
	b->entry.rip = entry;
	b->entry.rbx = info;
	return 0;
}

/*
 * Addresses below RAM's end at which a segment is linked away from where it is loaded are not mapped to themselves:
 * what the entry registers point at must not be there.
 */
static int keep_linked_free(struct boot *b, const struct elf_image *elf)
{
	for (int i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *s = &elf->segment[i];
		uint64_t first = s->va & -4096ULL, end = (s->va + s->memsz + 4095) & -4096ULL;

		if (s->va != s->pa && s->va < b->mem->range[0].size && boot_take(b, first, end - first))
			return -ENOSPC;
	}
	return 0;
}

static int check_entry(struct boot *b, const struct elf_image *elf)
{
	if (elf->interp) {
		log_error("%s: a program of a running system (it names an interpreter), not a kernel", b->image->path);
		return -ENOEXEC;
	}
	/* All RAM is mapped to itself as well, so a physical entry point, as Linux states it, is as good. */
	for (int i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *seg = &elf->segment[i];

		if (elf->entry - seg->va < seg->memsz || elf->entry - seg->pa < seg->memsz)
			return 0;
	}
	log_error("%s: the entry point, 0x%" PRIx64 ", is in none of its segments", b->image->path, elf->entry);
	return -ENOEXEC;
}

int boot_bare_elf(struct boot *b, const struct elf_image *elf)
{
	uint64_t cmdline, info, stack;
	int err = check_entry(b, elf);

	if (!err)
		err = boot_load_elf(b, elf);

	if (!err)
		err = keep_linked_free(b, elf);
	if (!err)
		err = boot_load_initrd(b, UINT32_MAX);
	if (!err)
		err = boot_put_cmdline(b, NULL, NULL, CMDLINE_MAX, &cmdline);
	if (!err)
		err = boot_put_start_info(b, cmdline, &info);
	if (!err && !boot_alloc(b, LAYOUT_BOOT_STACK, 4096, "stack", &stack))
		err = -ENOSPC;
	if (!err)
		err = boot_set_long64(b);
	if (!err)
		err = boot_map_segments(b, elf);
	if (err)
		return err;
	b->entry.rip = elf->entry;
	b->entry.rdi = info;
	/* As if called, with return address 0: a C function can be the entry, and a backtrace ends there. */
	b->entry.rsp = stack + LAYOUT_BOOT_STACK - 8;
	/* A compiler may use SSE2 in any x86-64 program. */
	b->entry.cr0 |= CR0_MP;
	b->entry.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	return 0;
}
