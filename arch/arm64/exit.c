/* Exits that only arm64 knows. */
#include "arch/arch.h"

#include "vmm/kvm.h"

#define ESR_WNR (1ull << 6)

/*
 * An access that comes without a syndrome. To RAM it is a write to a protected page; to a device it is nobody's: it
 * could be made here, but not as the processor would.
 */
enum arch_exit arch_vcpu_exit(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_ARM_NISV && (run->arm_nisv.esr_iss & ESR_WNR) &&
		memory_has(&vcpu->vm->mem, run->arm_nisv.fault_ipa, 1))
		return ARCH_EXIT_WRITE;
	return ARCH_EXIT_UNKNOWN;
}
