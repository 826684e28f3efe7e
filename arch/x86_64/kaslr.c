/* Where a Linux kernel may have moved itself, seen from one vCPU; and the first moment at which that shows. */
#include "arch/arch.h"

#include <errno.h>

#include "arch/kvm_call.h"
#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/mmu.h"
#include "vmm/kaslr.h"
#include "vmm/kvm.h"
#include "vmm/vm_kaslr.h"

/* Linux, Documentation/arch/x86/x86_64/mm.rst: kernel text; with KASLR it ends where modules begin. */
#define KERNEL_MAP     0xffffffff80000000ull
#define KERNEL_MAP_LEN 0x40000000ull

/* Linux, arch/x86/entry/calling.h: under page-table isolation a program's top-level table is the page behind the
 * kernel's. */
#define PTI_USER_PGTABLE (1ull << 12)

/*
 * Every 64-bit Linux loads it in secondary_startup_64, a few instructions after the jump to where it is linked (and
 * moved), and long before start_kernel. Intel SDM volume 4, table 2-2.
 */
#define MSR_GS_BASE 0xc0000101u

#define TABLE_ENTRIES 512

static int read_phys(void *ctx, uint64_t gpa, unsigned size, uint64_t *value)
{
	*value = 0;
	return memory_read(ctx, gpa, value, size);
}

static struct x86_mmu_state mmu_state(struct vcpu *vcpu)
{
	const struct kvm_sregs *s = vcpu->arch->sregs;

	return (struct x86_mmu_state){
		.cr0 = s->cr0,
		.cr3 = s->cr3,
		.cr4 = s->cr4,
		.efer = s->efer,
		.phys_bits = vcpu->vm->arch->phys_bits,
	};
}

uint64_t arch_kaslr_symbols(struct vm *vm, const struct symbols *s)
{
	(void)vm;
	(void)s;
	return 0;
}

size_t arch_kaslr_hints(struct vcpu *vcpu, struct kaslr_hint *hint, size_t max)
{
	struct x86_mmu_state state = mmu_state(vcpu);
	enum x86_paging paging = x86_mmu_paging(&state);
	uint64_t top = state.cr3 & ~0xfffull & ~PTI_USER_PGTABLE, last = 0;

	if (!max || (paging != X86_PAGING_4LEVEL && paging != X86_PAGING_5LEVEL))
		return 0;
	/* The map's entry is the last one of a table. Looking there saves 500 walks at each stop in the decompressor.
	 */
	for (unsigned user = 0; user < 2 && !(last & 1); user++) {
		uint64_t table = top | (user ? PTI_USER_PGTABLE : 0);

		if (read_phys(&vcpu->vm->mem, table + (TABLE_ENTRIES - 1) * sizeof(last), sizeof(last), &last))
			last = 0;
	}
	if (!(last & 1))
		return 0;
	hint[0] = (struct kaslr_hint){.addr = KERNEL_MAP, .len = KERNEL_MAP_LEN};
	return 1;
}

int arch_kernel_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out)
{
	struct x86_mmu_state state = mmu_state(vcpu);
	int ret = x86_mmu_walk(&state, read_phys, &vcpu->vm->mem, va, out);

	if (ret == 0 || !(state.cr3 & PTI_USER_PGTABLE))
		return ret;
	state.cr3 &= ~PTI_USER_PGTABLE;
	return x86_mmu_walk(&state, read_phys, &vcpu->vm->mem, va, out);
}

int arch_kaslr_watch(struct vm *vm, bool on)
{
	return x86_msr_watch(vm, on ? MSR_GS_BASE : 0);
}
