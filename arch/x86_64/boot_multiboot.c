/*
 * Multiboot 1 (Multiboot Specification 0.6.96): the header in the file's first 8 KiB says what is wanted; the kernel
 * starts in 32-bit protected mode with an information block in EBX.
 */
#include "arch/x86_64/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/layout.h"
#include "vmm/log.h"

#define MIB	      ((uint64_t)1 << 20)
#define SEARCH	      8192
#define MAGIC	      0x1badb002
#define BOOT_MAGIC    0x2badb002 /* in EAX */
#define HDR_MANDATORY 0x0000ffffU
#define HDR_MODS_PAGE (1U << 0) /* ours are always aligned */
#define HDR_MEMINFO   (1U << 1) /* always given */
#define HDR_VIDEO     (1U << 2)
#define CMDLINE_MAX   4095
#define MODULES_MAX   32
#define LOADER_NAME   "minivmm"

#define MULTIBOOT2_SEARCH 32768
#define MULTIBOOT2_MAGIC  0xe85250d6

enum mbi_flags {
	MBI_MEM = 1 << 0,
	MBI_CMDLINE = 1 << 2,
	MBI_MODS = 1 << 3,
	MBI_MMAP = 1 << 6,
	MBI_LOADER = 1 << 9,
};

struct mbi {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
		mmap_addr, drives_length, drives_addr, config_table, boot_loader_name, apm_table, vbe[4],
		framebuffer[6];
};

struct mbi_module {
	uint32_t start, end, string, reserved;
};

struct mbi_mmap {
	uint32_t size; /* of what follows */
	uint64_t addr, len;
	uint32_t type;
} __attribute__((packed));

struct info_block {
	struct mbi mbi;
	struct mbi_module module[MODULES_MAX];
	struct mbi_mmap mmap[BOOT_MAP_MAX];
	char loader[sizeof(LOADER_NAME)];
};

static uint32_t word(const struct image_file *f, size_t at)
{
	uint32_t v;

	memcpy(&v, f->data + at, sizeof(v));
	return v;
}

bool boot_find_multiboot(const struct image_file *f, struct multiboot_header *h)
{
	size_t end = f->size < SEARCH ? f->size : SEARCH;

	for (size_t at = 0; at + 12 <= end; at += 4) {
		uint32_t flags = word(f, at + 4);

		if (word(f, at) != MAGIC || (uint32_t)(MAGIC + flags + word(f, at + 8)) != 0)
			continue;
		memset(h, 0, sizeof(*h));
		h->offset = at;
		h->flags = flags;
		if (!(flags & MULTIBOOT_KLUDGE))
			return true;
		if (at + 32 > end)
			continue;
		h->header_addr = word(f, at + 12);
		h->load_addr = word(f, at + 16);
		h->load_end_addr = word(f, at + 20);
		h->bss_end_addr = word(f, at + 24);
		h->entry_addr = word(f, at + 28);
		return true;
	}
	return false;
}

bool boot_has_multiboot2(const struct image_file *f)
{
	size_t end = f->size < MULTIBOOT2_SEARCH ? f->size : MULTIBOOT2_SEARCH;

	for (size_t at = 0; at + 16 <= end; at += 8)
		if (word(f, at) == MULTIBOOT2_MAGIC &&
			(uint32_t)(MULTIBOOT2_MAGIC + word(f, at + 4) + word(f, at + 8) + word(f, at + 12)) == 0)
			return true;
	return false;
}

/* The header's own addresses (bit 16): a flat piece of the file. */
static int load_kludge(struct boot *b, const struct multiboot_header *h)
{
	const struct image_file *f = b->image;
	uint64_t back = (uint64_t)h->header_addr - h->load_addr, offset, size, memsz;
	int err;

	if (h->header_addr < h->load_addr || back > h->offset) {
		log_error("%s: Multiboot: load address 0x%x is not at or before the header's (0x%x) in the file",
			f->path, h->load_addr, h->header_addr);
		return -ENOEXEC;
	}
	offset = h->offset - back;
	size = h->load_end_addr ? (uint64_t)h->load_end_addr - h->load_addr : f->size - offset;
	if ((h->load_end_addr && h->load_end_addr <= h->load_addr) || size > f->size - offset) {
		log_error("%s: Multiboot: truncated or absurd: load end 0x%x, load address 0x%x, file of %zu bytes",
			f->path, h->load_end_addr, h->load_addr, f->size);
		return -ENOEXEC;
	}
	memsz = h->bss_end_addr ? (uint64_t)h->bss_end_addr - h->load_addr : size;
	if (h->bss_end_addr && (h->bss_end_addr < h->load_addr || memsz < size)) {
		log_error("%s: Multiboot: bss ends at 0x%x, before the code loaded at 0x%x does", f->path,
			h->bss_end_addr, h->load_addr);
		return -ENOEXEC;
	}
	err = boot_take_image(b, h->load_addr, memsz);
	if (err)
		return err;
	memory_write(b->mem, h->load_addr, f->data + offset, size);
	memory_zero(b->mem, h->load_addr + size, memsz - size);
	b->entry.rip = h->entry_addr;
	return 0;
}

/* Where the image ends, so that modules follow it, as kernels of this kind expect. */
static uint64_t image_end(const struct boot *b)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < b->ntaken; i++)
		if (b->taken[i].end > end)
			end = b->taken[i].end;
	return end;
}

static int put_string(struct boot *b, const char *s, const char *what, uint32_t *addr)
{
	uint64_t gpa;
	size_t size = strlen(s) + 1;
	char *at = boot_alloc(b, size, 16, what, &gpa);

	if (!at)
		return -ENOSPC;
	memcpy(at, s, size);
	*addr = gpa;
	return 0;
}

/* One "FILE ARGS" of --initrd; its string is the whole of it. */
static int load_module(struct boot *b, const char *spec, uint64_t *from, struct mbi_module *m)
{
	struct image_file f;
	char *path = strdup(spec), *space;
	uint64_t gpa;
	int err;

	if (!path)
		return -ENOMEM;
	space = strchr(path, ' ');
	if (space)
		*space = 0;
	err = image_file_open(&f, path);
	if (err)
		goto out;
	err = boot_place_after(b, *from, f.size, 4096, &gpa);
	if (err) {
		log_error("%s: a module of %zu KiB does not fit behind the kernel in %" PRIu64 " MiB of RAM (--mem)",
			path, f.size / 1024, b->mem->size / MIB);
	} else {
		memory_write(b->mem, gpa, f.data, f.size);
		m->start = gpa;
		m->end = gpa + f.size;
		*from = m->end;
		err = put_string(b, spec, "module arguments", &m->string);
	}
	image_file_close(&f);
out:
	free(path);
	return err;
}

/* --initrd "FILE ARGS,FILE ARGS,..." */
static int load_modules(struct boot *b, struct info_block *info)
{
	char *list, *rest, *spec;
	uint64_t from = image_end(b);
	int err = 0;

	if (!b->initrd)
		return 0;
	list = strdup(b->initrd);
	if (!list)
		return -ENOMEM;
	for (rest = list; !err && (spec = strsep(&rest, ","));) {
		if (info->mbi.mods_count == MODULES_MAX) {
			log_error("--initrd: more than %d modules", MODULES_MAX);
			err = -ENOEXEC;
		} else {
			err = load_module(b, spec, &from, &info->module[info->mbi.mods_count++]);
		}
	}
	free(list);
	return err;
}

static int put_info(struct boot *b, struct info_block *info, uint64_t *gpa)
{
	struct info_block *at = boot_alloc(b, sizeof(*at), 4096, "Multiboot information", gpa);
	uint64_t base = *gpa, high = b->mem->range[0].size;

	if (!at)
		return -ENOSPC;
	info->mbi.flags = MBI_MEM | MBI_CMDLINE | MBI_MMAP | MBI_LOADER;
	info->mbi.mem_lower = LAYOUT_EBDA / 1024;
	info->mbi.mem_upper = (high - LAYOUT_HIGH) / 1024;
	if (info->mbi.mods_count) {
		info->mbi.flags |= MBI_MODS;
		info->mbi.mods_addr = base + offsetof(struct info_block, module);
	}
	for (unsigned i = 0; i < b->map.n; i++)
		info->mmap[i] = (struct mbi_mmap){
			.size = sizeof(struct mbi_mmap) - sizeof(uint32_t),
			.addr = b->map.e[i].gpa,
			.len = b->map.e[i].size,
			.type = b->map.e[i].type,
		};
	info->mbi.mmap_addr = base + offsetof(struct info_block, mmap);
	info->mbi.mmap_length = b->map.n * sizeof(struct mbi_mmap);
	memcpy(info->loader, LOADER_NAME, sizeof(LOADER_NAME));
	info->mbi.boot_loader_name = base + offsetof(struct info_block, loader);
	*at = *info;
	return 0;
}

static int load_image(struct boot *b, const struct multiboot_header *h, const struct elf_image *elf)
{
	const char *path = b->image->path;

	if (h->flags & HDR_MANDATORY & ~(HDR_MODS_PAGE | HDR_MEMINFO | HDR_VIDEO)) {
		log_error(
			"%s: Multiboot: wants features that nobody knows (flags 0x%x)", path, h->flags & HDR_MANDATORY);
		return -ENOEXEC;
	}
	if (h->flags & HDR_VIDEO)
		log_warn("%s: wants a video mode, there is no display", path);
	if (h->flags & MULTIBOOT_KLUDGE)
		return load_kludge(b, h);
	if (elf) {
		b->entry.rip = elf_entry_pa(elf);
		return boot_load_elf(b, elf);
	}
	log_error("%s: Multiboot: neither an ELF file nor load addresses in the header", path);
	return -ENOEXEC;
}

int boot_multiboot(struct boot *b, const struct multiboot_header *h, const struct elf_image *elf)
{
	struct info_block info = {0};
	uint64_t cmdline, gpa;
	int err = load_image(b, h, elf);

	if (err)
		return err;
	if (b->entry.rip > UINT32_MAX) {
		log_error("%s: Multiboot: entry point 0x%" PRIx64 " is above 4 GiB", b->image->path, b->entry.rip);
		return -ENOEXEC;
	}
	err = load_modules(b, &info);
	if (!err)
		err = boot_put_cmdline(b, b->image->path, NULL, CMDLINE_MAX, &cmdline);
	if (err)
		return err;
	info.mbi.cmdline = cmdline;
	err = put_info(b, &info, &gpa);
	if (!err)
		err = boot_set_prot32(b);
	b->entry.rax = BOOT_MAGIC;
	b->entry.rbx = gpa;
	return err;
}
