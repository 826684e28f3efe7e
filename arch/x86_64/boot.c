/* The way from a file to a machine that can start: choose the kind, let its loader work. */
#include "arch/x86_64/boot.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/boot_common.h"
#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/layout.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

#define MIB	    ((uint64_t)1 << 20)
#define PAGE_SIZE   4096ULL
#define KERNEL_HALF 0xffff800000000000ULL

const char arch_default_cmdline[] = "console=ttyS0";

enum kind {
	KIND_PVH,
	KIND_LINUX,
	KIND_MULTIBOOT,
	KIND_ELF,
	KIND_NONE,
};

/* In the order of preference. */
const char *const arch_boot_kinds[] = {"pvh", "linux", "multiboot", "elf", NULL};

/* ---- helpers of the loaders ---- */

int boot_put_cmdline(struct boot *b, const char *prefix, const char *extra, size_t limit, uint64_t *gpa)
{
	const char *part[] = {prefix, arch_default_cmdline, extra, b->cmdline};
	size_t len, n = sizeof(part) / sizeof(part[0]);
	char *at;
	int err = boot_cmdline_check(part, n, limit, b->image->path, &len);

	if (err)
		return err;
	at = boot_alloc(b, len + 1, 16, "command line", gpa);
	if (!at)
		return -ENOSPC;
	boot_cmdline_join(part, n, at);
	return 0;
}

int boot_load_initrd(struct boot *b, uint64_t max)
{
	struct image_file f;
	int err;

	if (!b->initrd)
		return 0;
	err = image_file_open(&f, b->initrd);
	if (err)
		return err;
	err = boot_place_high(b, f.size, PAGE_SIZE, max, &b->initrd_gpa);
	if (err) {
		log_error("%s: an initrd of %zu KiB does not fit beside the kernel in %" PRIu64
			  " MiB of RAM (below 0x%" PRIx64 "): give more (--mem)",
			b->initrd, f.size / 1024, b->mem->size / MIB,
			max < LAYOUT_PCI_HOLE ? max + 1 : LAYOUT_PCI_HOLE);
	} else {
		memory_advise_huge(b->mem, b->initrd_gpa, f.size);
		memory_write(b->mem, b->initrd_gpa, f.data, f.size);
		b->initrd_size = f.size;
	}
	image_file_close(&f);
	return err;
}

int boot_load_elf(struct boot *b, const struct elf_image *elf)
{
	int err = 0;

	for (int i = 0; i < elf->nsegments && !err; i++)
		err = boot_take_image(b, elf->segment[i].pa, elf->segment[i].memsz);
	if (!err)
		err = elf_load(elf, b->mem);
	if (!err)
		elf_layout(elf, &b->layout);
	return err;
}

/* ---- choosing ---- */

/* What the file is, all of it. */
struct candidates {
	bool is[KIND_NONE];
	bool bzimage, have_elf;
	struct elf_image elf;
	struct multiboot_header multiboot;
};

static int not_a_kernel(const struct image_file *f)
{
	const struct boot_packed *packed = boot_find_packed(f);

	if (packed)
		log_error("%s: is compressed (%s): unpack it first", f->path, packed->name);
	else if (f->size > 0x40 && !memcmp(f->data + 0x38, "ARM\x64", 4))
		log_error("%s: is an arm64 kernel, this is minivmm for x86_64", f->path);
	else
		log_error("%s: not a kernel: no ELF file, no bzImage, no Multiboot header in %zu bytes", f->path,
			f->size);
	return -ENOEXEC;
}

static int inspect(struct boot *b, struct candidates *c)
{
	const struct image_file *f = b->image;
	bool elf = f->size >= SELFMAG && !memcmp(f->data, ELFMAG, SELFMAG), elf32 = elf_is_elf32(f);
	uint64_t entry;
	int err;

	memset(c, 0, sizeof(*c));
	c->bzimage = boot_is_bzimage(f);
	c->is[KIND_LINUX] = c->bzimage;
	c->is[KIND_MULTIBOOT] = boot_find_multiboot(f, &c->multiboot);
	if (!elf)
		return c->bzimage || c->is[KIND_MULTIBOOT] ? 0 : not_a_kernel(f);
	err = elf32 ? elf32_parse(&c->elf, f) : elf_parse(&c->elf, f, EM_X86_64);
	if (err)
		return err;
	c->have_elf = true;
	c->is[KIND_PVH] = boot_pvh_entry(&c->elf, &entry);
	c->is[KIND_LINUX] |= !elf32 && boot_is_vmlinux(&c->elf, KERNEL_HALF);
	c->is[KIND_ELF] = !elf32;
	return 0;
}

static int forced(struct boot *b, const struct candidates *c, enum kind *kind)
{
	static const char *const wanted[] = {
		[KIND_PVH] = "it has no PVH entry note",
		[KIND_LINUX] = "it is neither a bzImage nor a 64-bit Linux vmlinux",
		[KIND_MULTIBOOT] = "it has no Multiboot header in its first 8 KiB",
		[KIND_ELF] = "it is no ELF64 file",
	};
	int k = 0;

	while (arch_boot_kinds[k] && strcmp(arch_boot_kinds[k], b->kind) != 0)
		k++;
	if (!arch_boot_kinds[k]) {
		log_error("--boot %s: unknown; there are pvh, linux, multiboot and elf", b->kind);
		return -EINVAL;
	}
	if (!c->is[k]) {
		log_error("--boot %s: %s: %s", b->kind, b->image->path, wanted[k]);
		return -ENOEXEC;
	}
	*kind = k;
	return 0;
}

static int choose(struct boot *b, const struct candidates *c, enum kind *kind)
{
	if (b->kind)
		return forced(b, c, kind);
	for (*kind = 0; *kind < KIND_NONE && !c->is[*kind];)
		(*kind)++;
	if (*kind == KIND_NONE) {
		log_error("%s: a 32-bit ELF file has to have a Multiboot header in its first 8 KiB or a PVH note",
			b->image->path);
		return -ENOEXEC;
	}
	if (*kind == KIND_ELF && boot_has_multiboot2(b->image)) {
		log_error("%s: wants Multiboot 2, here are Multiboot 1 and PVH (or --boot elf: its entry in long mode)",
			b->image->path);
		return -ENOEXEC;
	}
	return 0;
}

int boot_load(struct boot *b)
{
	struct candidates c;
	enum kind kind = KIND_NONE;
	int err = inspect(b, &c);

	if (!err)
		err = choose(b, &c, &kind);
	if (err)
		return err;
	log_info("%s: booting as %s", b->image->path, arch_boot_kinds[kind]);
	err = boot_put_firmware(b);
	if (err)
		return err;
	boot_map_fill(&b->map, b->mem, b->acpi_end);
	switch (kind) {
	case KIND_PVH:
		return boot_pvh(b, &c.elf);
	case KIND_LINUX:
		return c.bzimage ? boot_bzimage(b) : boot_linux_elf(b, &c.elf);
	case KIND_MULTIBOOT:
		return boot_multiboot(b, &c.multiboot, c.have_elf ? &c.elf : NULL);
	default:
		return boot_bare_elf(b, &c.elf);
	}
}

bool arch_kernel_unpacked(const struct vm *vm, struct arch_unpacked *out)
{
	*out = vm->arch->unpacked;
	return out->len;
}

int arch_load(struct vm *vm)
{
	const struct options *opts = vm->opts;
	struct image_file image;
	struct boot *b = calloc(1, sizeof(*b));
	int err = 0;

	if (!b) {
		log_error("out of memory");
		return -ENOMEM;
	}
	if (opts->kernel)
		err = image_file_open(&image, opts->kernel);
	else
		image_file_builtin(&image);
	if (err)
		goto out;
	b->mem = &vm->mem;
	b->image = &image;
	b->kind = opts->boot;
	b->cmdline = opts->cmdline;
	b->initrd = opts->initrd;
	b->kaslr = opts->kaslr;
	b->ncpus = vm->ncpus;
	err = boot_load(b);
	if (!err) {
		vm->arch->entry = b->entry;
		vm->layout = b->layout;
		vm->arch->unpacked = (struct arch_unpacked){b->unpacked.gpa, b->unpacked.len, b->unpacked.va};
	}
	image_file_close(&image);
out:
	free(b);
	return err;
}
