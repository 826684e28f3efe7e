/* Exits that only arm64 knows. */
#include "arch/arch.h"

#include "vmm/kvm.h"

/* KVM_EXIT_ARM_NISV is nobody's, either: the access could be made here, but not as the processor would. */
enum arch_exit arch_vcpu_exit(struct vcpu *vcpu)
{
	(void)vcpu;
	return ARCH_EXIT_UNKNOWN;
}
