/*
 * Where this machine's kernel has moved itself: found with the symbols of --symbols at the kernel's first sign of life
 * there. It is looked for on the vCPUs' own threads, at three occasions until it is found: where the ISA can tell that
 * the kernel has just arrived (arch_kaslr_watch()), at each access to a device, and whenever a vCPU parks.
 */
#ifndef VMM_VM_KASLR_H
#define VMM_VM_KASLR_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;
struct vm_slide;
struct mapping;

/* Main thread, the image is loaded. Reads --symbols, if given and not read for an earlier kernel. 0 or -errno with one
 * line logged. */
int vm_kaslr_open(struct vm *vm);
void vm_kaslr_close(struct vm *vm); /* NULL-safe */

/* Own thread, not in KVM_RUN. Costs a load once it is found, and where nobody asked. */
void vm_kaslr_look(struct vcpu *vcpu);

/*
 * Parked. The kernel's own view of an address of the kernel half, where its tables are known because they have it at
 * the place that was found. -EFAULT: not mapped, or not known.
 */
int vm_kaslr_kernel_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out);

/*
 * Main thread, all vCPUs parked, nothing has run: let vm_verdict_slide_found() be called before the kernel gets
 * anywhere in its new place. -ENOTSUP: nothing tells so early here; -ENOSPC: it takes a hardware slot; -ENOENT: no
 * --symbols.
 */
int vm_kaslr_early(struct vm *vm);

/* Stub or main thread, all vCPUs parked. See vm_debug_slide(). */
void vm_kaslr_get(struct vm *vm, struct vm_slide *out);
/* Stub thread. See vm_debug_slide_stop(); off: who asked for it has gone. */
int vm_kaslr_stop(struct vm *vm, bool on);

#endif
