/*
 * The Scalable Vector Extension, where the host's KVM has it for guests: every vCPU then has it with all the vector
 * lengths that KVM offers. Sources: Arm ARM (DDI 0487), B1.2.2; Linux Documentation/virt/kvm/api.rst,
 * KVM_ARM_VCPU_FINALIZE and KVM_REG_ARM64_SVE_VLS.
 */
#ifndef ARM64_SVE_H
#define ARM64_SVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;
struct vcpu;

#define SVE_QUAD 16u /* bytes; vector lengths are multiples of it, "quadwords" */

/* Part of arch_vm. The first vCPU fills it in. */
struct arm64_sve {
	bool present;
	unsigned quads;	  /* of the longest vector; no more than 16 */
	uint32_t lengths; /* bit n: vectors of n + 1 quadwords exist */
	char *types;	  /* of the registers, for target.xml */
};

/* Main thread. Before the vCPUs: asks KVM whether there is SVE and has KVM_ARM_VCPU_INIT's features say so. */
void arm64_sve_choose(struct vm *vm);
/* After KVM_ARM_VCPU_INIT, before any register is touched. 0 or -errno, logged. Nothing to do without SVE. */
int arm64_sve_finalize(struct vcpu *vcpu);
/* Completes the VM's description of its registers. 0 or -ENOMEM, logged. */
int arm64_sve_describe(struct vm *vm);
/* NULL-safe in its parts. */
void arm64_sve_free(struct vm *vm);

/*
 * Own thread. id: of Z, P or FFR, their first slice, which holds all of them. len: the register's size in this VM.
 * 0 or -errno.
 */
int arm64_sve_get(struct vcpu *vcpu, uint64_t id, void *buf, size_t len);
int arm64_sve_set(struct vcpu *vcpu, uint64_t id, const void *buf, size_t len);
/* The vector length that EL1 and EL0 have at present, which ZCR_EL1 may limit, in units of 64 bits. 0 or -errno. */
int arm64_sve_vg(struct vcpu *vcpu, uint64_t *vg);

#endif
