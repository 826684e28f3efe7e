#include "vmm/vm_symtab.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "vmm/broker.h"
#include "vmm/kallsyms.h"
#include "vmm/kvm.h"
#include "vmm/log.h"
#include "vmm/symbols.h"
#include "vmm/symtab.h"

static int too_much(int err, const char *path)
{
	if (err == -ENOMEM)
		log_error("out of memory");
	else if (err == -E2BIG)
		log_error("%s: has more symbols than any kernel", path);
	return err;
}

static int from_option(struct symtab **out, const char *path)
{
	struct symbols s;
	int err = symbols_open(&s, path, arch_desc.elf_machine);

	if (err)
		return err;
	err = too_much(symtab_from_elf(out, &s), path);
	symbols_close(&s);
	return err;
}

static int from_segments(struct symtab **out, const struct image_file *f)
{
	struct kallsyms_bytes chunk[ELF_SEGMENTS_MAX];
	struct elf_image elf;
	int err = elf_parse(&elf, f, arch_desc.elf_machine);

	if (err)
		return err;
	for (int i = 0; i < elf.nsegments; i++)
		chunk[i] = (struct kallsyms_bytes){
			.data = f->data + elf.segment[i].offset, .len = elf.segment[i].filesz, .va = elf.segment[i].va};
	return symtab_from_kallsyms(out, f->path, chunk, (size_t)elf.nsegments);
}

/* An ELF file of 32 bits has other symbols, and no Linux that is run here. */
static int from_file(struct vm *vm, struct symtab **out, const struct image_file *f)
{
	struct kallsyms_bytes all = {.data = f->data, .len = f->size};
	struct symbols s;
	int err;

	if (elf_is_elf32(f))
		return -ENODATA;
	if (!elf_is_elf64(f)) {
		if (vm->layout.n) /* a whole file that is loaded as it is */
			all.va = vm->layout.seg[0].va;
		return symtab_from_kallsyms(out, f->path, &all, 1);
	}
	if (!symbols_present(f))
		return from_segments(out, f);
	err = symbols_parse(&s, f, arch_desc.elf_machine);
	return err ? err : symtab_from_elf(out, &s);
}

int vm_symtab_open(struct vm *vm, struct symtab **out)
{
	const char *path = vm->opts->kernel;
	struct arch_unpacked packed;
	struct image_file f;
	int err;

	if (vm->opts->symbols)
		return from_option(out, vm->opts->symbols);
	if (!path) {
		image_file_builtin(&f);
		return too_much(from_file(vm, out, &f), f.path);
	}
	/* What came through a pipe has been read, and would be waited for. */
	if (arch_kernel_unpacked(vm, &packed) || !broker_was_regular(path))
		return -ENODATA;
	err = image_file_open(&f, path);
	if (err)
		return err;
	err = too_much(from_file(vm, out, &f), path);
	image_file_close(&f);
	return err;
}

#define LOOKS 8 /* a kernel without kallsyms is not searched for ever */

int vm_unpacked_watch(struct vm *vm, vm_unpacked_fn *fn, void *ctx)
{
	struct arch_unpacked where;
	int err;

	if (!arch_kernel_unpacked(vm, &where))
		return -ENODATA;
	vm->unpacked.fn = fn;
	vm->unpacked.ctx = ctx;
	atomic_store(&vm->unpacked.tries, LOOKS);
	err = arch_kaslr_watch(vm, true);
	if (err)
		atomic_store(&vm->unpacked.tries, 0);
	return err;
}

void vm_unpacked_look(struct vcpu *vcpu)
{
	struct vm_unpacked *u = &vcpu->vm->unpacked;
	int left = atomic_load(&u->tries);

	/* Until it is done only the boot CPU runs; of two that come here at once, should they, one looks. */
	if (left <= 0 || !atomic_compare_exchange_strong(&u->tries, &left, left - 1))
		return;
	if (u->fn(u->ctx, vcpu->id) || left == 1) {
		atomic_store(&u->tries, 0);
		arch_kaslr_watch(vcpu->vm, false);
	}
}

int vm_symtab_from_ram(struct vm *vm, struct symtab **out)
{
	struct kallsyms_bytes ram;
	struct arch_unpacked where;
	uint8_t *copy;
	int err = -ENODATA;

	if (!arch_kernel_unpacked(vm, &where) || !memory_has(&vm->mem, where.gpa, where.len))
		return -ENODATA;
	/* A copy: the guest may be running, and another of its CPUs change what has been checked here. */
	copy = malloc(where.len);
	if (!copy)
		return -ENOMEM;
	ram = (struct kallsyms_bytes){.data = copy, .len = where.len, .va = where.va};
	if (!memory_read(&vm->mem, where.gpa, copy, where.len))
		err = symtab_from_kallsyms(out, vm->opts->kernel, &ram, 1);
	free(copy);
	return err;
}
