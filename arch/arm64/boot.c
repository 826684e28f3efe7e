/* The way from a file to a machine that can start: choose the kind, let its loader work, add initrd and device tree. */
#include "arch/arm64/boot.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "arch/arm64/layout.h"
#include "arch/boot_common.h"
#include "vmm/log.h"

#define MIB	      ((uint64_t)1 << 20)
#define GIB	      ((uint64_t)1 << 30)
#define CMDLINE_MAX   2047	 /* COMMAND_LINE_SIZE - 1 of every arm64 kernel */
#define INITRD_ALIGN  0x10000	 /* the largest page a kernel may have */
#define INITRD_WINDOW (32 * GIB) /* which has to hold kernel and initrd, from a whole GiB on: booting.rst */
#define DTB_ALIGN     0x1000

enum kind {
	KIND_LINUX,
	KIND_ELF,
	KIND_RAW,
	KIND_NONE,
};

static const char *const kinds[] = ARM64_BOOT_KINDS;

/* ---- choosing ---- */

/* What the file is, all of it. */
struct candidates {
	bool is[KIND_NONE];
	bool image;
	struct arm64_image header;
	struct elf_image elf;
};

static int inspect(struct boot *b, struct candidates *c)
{
	const struct image_file *f = b->image;
	int err;

	memset(c, 0, sizeof(*c));
	c->is[KIND_RAW] = true;
	if (b->kind && !strcmp(b->kind, kinds[KIND_RAW]))
		return 0;
	c->image = arm64_image_header(f->data, f->size, &c->header);
	if (c->image) {
		c->is[KIND_LINUX] = true;
		c->is[KIND_RAW] = false;
		return 0;
	}
	if (f->size < SELFMAG || memcmp(f->data, ELFMAG, SELFMAG) != 0)
		return arm64_boot_refuse(f);
	err = elf_parse(&c->elf, f, EM_AARCH64);
	c->is[KIND_LINUX] = !err && boot_is_vmlinux(&c->elf, ARM64_KERNEL_HALF);
	c->is[KIND_ELF] = !err;
	c->is[KIND_RAW] = false;
	return err;
}

static int choose(struct boot *b, const struct candidates *c, enum kind *kind)
{
	static const char *const wanted[] = {
		[KIND_LINUX] = "it is neither an arm64 Image nor a 64-bit Linux vmlinux",
		[KIND_ELF] = "it is no ELF64 file",
	};
	int k = 0;

	while (k < KIND_NONE && !(b->kind ? !strcmp(kinds[k], b->kind) : c->is[k]))
		k++;
	if (k < KIND_NONE && c->is[k]) {
		*kind = (enum kind)k;
		return 0;
	}
	assert(b->kind && k < KIND_RAW); /* some kind is always found, and raw is any file */
	log_error("--boot %s: %s: %s", b->kind, b->image->path, wanted[k]);
	return -ENOEXEC;
}

static int check_kind(const struct boot *b)
{
	for (size_t i = 0; kinds[i]; i++)
		if (!b->kind || !strcmp(kinds[i], b->kind))
			return 0;
	log_error("--boot %s: unknown; there are linux, elf and raw", b->kind);
	return -EINVAL;
}

/* ---- loading ---- */

static int load_raw(struct boot *b)
{
	uint64_t gpa = b->mem->range[0].gpa + LAYOUT_RAW_OFFSET;
	int err = arm64_boot_take_image(b, gpa, b->image->size);

	if (err)
		return err;
	memory_write(b->mem, gpa, b->image->data, b->image->size);
	b->entry.pc = gpa;
	return 0;
}

static int load_initrd(struct boot *b)
{
	uint64_t max = UINT64_MAX;
	struct image_file f;
	int err;

	if (!b->initrd)
		return 0;
	err = image_file_open(&f, b->initrd);
	if (err)
		return err;
	if (b->linux_kernel)
		max = (b->image_gpa & -GIB) + INITRD_WINDOW - 1;
	/* High up: what lies below or close to the kernel may be out of reach of an old one, or in its way. */
	err = arm64_boot_place_high(b, f.size, INITRD_ALIGN, max, &b->initrd_gpa);
	if (err) {
		log_error("%s: an initrd of %zu KiB does not fit beside the kernel in %" PRIu64
			  " MiB of RAM: give more (--mem)",
			b->initrd, f.size / 1024, b->mem->size / MIB);
	} else {
		memory_advise_huge(b->mem, b->initrd_gpa, f.size);
		memory_write(b->mem, b->initrd_gpa, f.data, f.size);
		b->initrd_size = f.size;
	}
	image_file_close(&f);
	return err;
}

/* Into text of CMDLINE_MAX + 1 bytes. */
static int make_cmdline(struct boot *b, char *text)
{
	const char *part[] = {ARM64_BOOT_CMDLINE, b->linux_kernel && !b->kaslr ? "nokaslr" : NULL, b->cmdline};
	size_t len, n = sizeof(part) / sizeof(part[0]);
	int err = boot_cmdline_check(part, n, CMDLINE_MAX, b->image->path, &len);

	if (!err)
		boot_cmdline_join(part, n, text);
	return err;
}

/*
 * At the start of RAM, unless the image is there. Then, for Linux, behind the image: early versions only find it near
 * them. Other programs tend to use what is behind them, so for those it is at the end of RAM.
 */
static int place_dtb(struct boot *b, size_t size, uint64_t *gpa)
{
	*gpa = b->mem->range[0].gpa;
	if (size <= ARM64_DTB_MAX) {
		if (arm64_boot_place_at(b, *gpa, size))
			return 0;
		if (b->linux_kernel && !arm64_boot_place_after(b, b->image_end, size, ARM64_IMAGE_ALIGN, gpa))
			return 0;
		if (!arm64_boot_place_high(b, size, DTB_ALIGN, UINT64_MAX, gpa))
			return 0;
	}
	log_error("%s: no room in %" PRIu64 " MiB of RAM for a device tree of %zu bytes (see --mem)", b->image->path,
		b->mem->size / MIB, size);
	return -ENOSPC;
}

static int put_dtb(struct boot *b)
{
	char cmdline[CMDLINE_MAX + 1];
	struct arm64_dtb_wish wish = {
		.board = b->board,
		.ram_gpa = b->mem->range[0].gpa,
		.ram_size = b->mem->range[0].size,
		.bootargs = cmdline,
		.initrd_gpa = b->initrd_gpa,
		.initrd_size = b->initrd_size,
	};
	size_t size = 0;
	void *tree;
	int err = make_cmdline(b, cmdline);

	if (err)
		return err;
	wish.has_seed = getrandom(wish.rng_seed, sizeof(wish.rng_seed), GRND_NONBLOCK) == sizeof(wish.rng_seed);
	if (b->kaslr && getrandom(&wish.kaslr_seed, sizeof(wish.kaslr_seed), GRND_NONBLOCK) < 0)
		log_warn("--kaslr: no random numbers to be had, the kernel will not be moved");
	tree = malloc(ARM64_DTB_MAX);
	if (!tree) {
		log_error("out of memory");
		return -ENOMEM;
	}
	err = arm64_dtb_build(&wish, tree, ARM64_DTB_MAX, &size);
	if (err)
		log_error("--cpus %u: the device tree would be more than %" PRIu64 " MiB", b->board.ncpus,
			ARM64_DTB_MAX / MIB);
	else
		err = place_dtb(b, size, &b->entry.x0);
	if (!err)
		memory_write(b->mem, b->entry.x0, tree, size);
	free(tree);
	return err;
}

int arm64_boot_load(struct boot *b)
{
	struct candidates c;
	enum kind kind = KIND_NONE;
	int err = check_kind(b);

	if (!err)
		err = inspect(b, &c);
	if (!err)
		err = choose(b, &c, &kind);
	if (err)
		return err;
	log_info("%s: booting as %s", b->image->path, kinds[kind]);
	b->linux_kernel = kind == KIND_LINUX;
	if (kind == KIND_RAW)
		err = load_raw(b);
	else if (kind == KIND_ELF)
		err = arm64_boot_bare_elf(b, &c.elf);
	else
		err = c.image ? arm64_boot_image(b, &c.header) : arm64_boot_linux_elf(b, &c.elf);
	if (!err)
		err = load_initrd(b);
	return err ? err : put_dtb(b);
}
