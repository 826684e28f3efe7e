/* Where a Linux kernel may have moved itself, seen from one vCPU. */
#include "arch/arch.h"

#include <errno.h>

#include "arch/arm64/arch_arm64.h"
#include "vmm/kaslr.h"
#include "vmm/kvm.h"
#include "vmm/symbols.h"

/* A kernel has its top-level tables in its image: swapper_pg_dir, and tramp_pg_dir for while a program runs. */
void arch_kaslr_symbols(struct vm *vm, const struct symbols *s)
{
	struct symbol kernel, program;

	if (symbols_find(s, "swapper_pg_dir", &kernel) == 0 && symbols_find(s, "tramp_pg_dir", &program) == 0)
		vm->arch->kpti_distance = kernel.addr - program.addr;
}

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

static int read_phys(void *ctx, uint64_t gpa, uint64_t *value)
{
	return memory_read(ctx, gpa, value, sizeof(*value));
}

int arch_kernel_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out)
{
	struct arm64_mmu_state state = vcpu->arch->mmu;
	int ret = arch_translate(vcpu, va, out);

	if (ret == 0 || !vcpu->vm->arch->kpti_distance)
		return ret;
	state.ttbr1 += vcpu->vm->arch->kpti_distance;
	return arm64_mmu_walk(&state, read_phys, &vcpu->vm->mem, va, out);
}

/* KVM shows nothing of a guest that switches its MMU on. */
int arch_kaslr_watch(struct vm *vm, bool on)
{
	(void)vm;
	(void)on;
	return -ENOTSUP;
}
