/*
 * What the host probe's tiny VMs are on every ISA: a VM with some RAM at 0 and one vCPU, whose runs are guarded (see
 * guard.h). What is in the RAM, and what the vCPU starts with, is tiny_vm.c's of each ISA.
 *
 * One thread does it all, in this order, and has all signals blocked from tiny_machine_init() to
 * tiny_machine_destroy(). int functions return 0 or -errno.
 */
#ifndef ARCH_TINY_MACHINE_H
#define ARCH_TINY_MACHINE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/guard.h"

struct tiny_machine {
	int vm_fd;
	int vcpu_fd;
	uint8_t *ram;
	size_t ram_size;
	struct kvm_run *run;
	size_t run_size;
	bool timed_out; /* sticky: every later run ends at once */
	struct guard guard;
};

void tiny_machine_init(struct tiny_machine *m);
/* The VM and its RAM, zeroed. type: KVM_CREATE_VM's argument. */
int tiny_machine_vm(struct tiny_machine *m, int kvm_fd, unsigned long type, size_t ram_size);
/* Its vCPU; the guard's time starts to run. */
int tiny_machine_vcpu(struct tiny_machine *m, int kvm_fd);
/* KVM_RUN, however often signals of others interrupt it. -ETIMEDOUT: the guard has fired. */
int tiny_machine_run(struct tiny_machine *m);
void tiny_machine_destroy(struct tiny_machine *m); /* also of a half-made one */

#endif
