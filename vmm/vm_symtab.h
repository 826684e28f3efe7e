/* The names of the kernel that a machine runs, from wherever they can be had. */
#ifndef VMM_VM_SYMTAB_H
#define VMM_VM_SYMTAB_H

#include <stdatomic.h>
#include <stdbool.h>

struct vm;
struct vcpu;
struct symtab;

/*
 * Main thread, the image is loaded. From --symbols, else from the kernel's own file: its ELF symbols, or its kallsyms
 * table. Addresses are those it was linked at. Reads the file once more. 0; -errno, logged; -ENODATA, not logged: it
 * has no names that can be read there, as a bzImage, whose kernel is packed, or it was no regular file.
 */
int vm_symtab_open(struct vm *vm, struct symtab **out);

/*
 * For a bzImage: from guest memory, where it unpacks its kernel. No vCPU runs that writes there: all are parked, or it
 * is the callback of vm_unpacked_watch(). 0 or, not logged, -ENODATA: there is no kallsyms table (yet), the kernel has
 * none, or this image does not unpack itself, or to a place that is not known (--kaslr); -ENOMEM.
 */
int vm_symtab_from_ram(struct vm *vm, struct symtab **out);

/*
 * Called on a vCPU's thread, outside of the guest, when the kernel that a bzImage has unpacked seems to have run its
 * first instructions: now vm_symtab_from_ram() finds what there is. No other vCPU has been started by then. true: done;
 * false: it is to be told again, if there is an again (a few times).
 */
typedef bool vm_unpacked_fn(void *ctx, int cpu);

struct vm_unpacked {
	vm_unpacked_fn *fn;
	void *ctx;
	atomic_int tries; /* left; 0: nobody waits */
};

/*
 * Main thread, for each machine anew: the image is loaded, no vCPU has started. Not logged: -ENODATA, as above;
 * -ENOTSUP: this host's KVM shows nothing of it. Not together with --symbols, which need no second source and may use
 * the same means (arch_kaslr_watch()).
 */
int vm_unpacked_watch(struct vm *vm, vm_unpacked_fn *fn, void *ctx);
/* Own thread, not in KVM_RUN: an occasion at which arch_kaslr_watch() may have brought us here. */
void vm_unpacked_look(struct vcpu *vcpu);

#endif
