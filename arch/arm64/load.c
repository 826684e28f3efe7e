/* arch_load() and what else of loading the door to this ISA asks for; the work is boot.c's. */
#include <errno.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "arch/arm64/arch_arm64.h"
#include "arch/arm64/boot.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

const char arch_default_cmdline[] = ARM64_BOOT_CMDLINE;
const char *const arch_boot_kinds[] = ARM64_BOOT_KINDS;

int arch_ram_layout(uint64_t size, struct mem_range *ranges, int max)
{
	return arm64_boot_ram_layout(size, ranges, max);
}

/* Kernels that unpack themselves are EFI programs here, and refused. */
bool arch_kernel_unpacked(const struct vm *vm, struct arch_unpacked *out)
{
	(void)vm;
	(void)out;
	return false;
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
	b->board.ncpus = (unsigned)vm->ncpus;
	b->board.gic_version = vm->arch->gic_version;
	err = arm64_boot_load(b);
	if (!err) {
		vm->arch->entry = b->entry;
		vm->layout = b->layout;
		vm->layout_moves = b->linux_kernel && opts->kaslr;
	}
	image_file_close(&image);
out:
	free(b);
	return err;
}
