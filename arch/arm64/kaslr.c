/* Where a Linux kernel may have moved itself, seen from one vCPU. */
#include "arch/arch.h"

#include <errno.h>

#include "arch/arm64/arch_arm64.h"
#include "vmm/kaslr.h"
#include "vmm/kvm.h"

/*
 * A moved kernel can be anywhere in a quarter of the address space, so only what points into it helps: the vCPU's pc,
 * the vectors, and where the last exception came from. While a program runs under page-table isolation none of them
 * does.
 */
size_t arch_kaslr_hints(struct vcpu *vcpu, struct kaslr_hint *hint, size_t max)
{
	const uint64_t ids[] = {arm64_core_id(CORE_PC), ID_VBAR_EL1, ID_ELR_EL1};
	size_t n = 0;

	if (arm64_mmu_fetch(vcpu) < 0)
		return 0;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		uint64_t addr = 0;

		if (n < max && arm64_get(vcpu, ids[i], &addr) == 0 && addr >= ARM64_KERNEL_HALF)
			hint[n++] = (struct kaslr_hint){.addr = addr};
	}
	return n;
}

int arch_kernel_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out)
{
	return arch_translate(vcpu, va, out);
}

/* KVM shows nothing of a guest that switches its MMU on. */
int arch_kaslr_watch(struct vm *vm, bool on)
{
	(void)vm;
	(void)on;
	return -ENOTSUP;
}
