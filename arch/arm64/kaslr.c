/* Where a Linux kernel may have moved itself, seen from one vCPU. */
#include "arch/arch.h"

#include <errno.h>

#include "arch/arm64/arch_arm64.h"
#include "vmm/kaslr.h"
#include "vmm/kvm.h"
#include "vmm/symbols.h"

/* BR Xn: Arm ARM C6.2 */
#define INSN_BR	     0xd61f0000u
#define INSN_BR_MASK 0xfffffc1fu
#define BR_REG(insn) ((insn) >> 5 & 0x1f)
#define XZR	     31

#define SWITCH_MAX 512 /* instructions of __primary_switch, generously */

/*
 * __primary_switch switches the MMU on, relocates the kernel and ends with a jump to its virtual addresses. A kernel
 * has its top-level tables in its image: swapper_pg_dir, and tramp_pg_dir for while a program runs.
 */
uint64_t arch_kaslr_symbols(struct vm *vm, const struct symbols *s)
{
	struct symbol kernel, program, gate;
	uint32_t insn;

	if (symbols_find(s, "swapper_pg_dir", &kernel) == 0 && symbols_find(s, "tramp_pg_dir", &program) == 0)
		vm->arch->kpti_distance = kernel.addr - program.addr;
	if (symbols_find(s, "__primary_switch", &gate))
		return 0;
	for (unsigned i = 0; i < SWITCH_MAX; i++, gate.addr += sizeof(insn)) {
		if (symbols_bytes(s, gate.addr, &insn, sizeof(insn)) != sizeof(insn))
			return 0;
		if ((insn & INSN_BR_MASK) == INSN_BR)
			return gate.addr;
	}
	return 0;
}

/* Where a jump at pc leads to; 0: there is none. */
static uint64_t jump_target(struct vcpu *vcpu, uint64_t pc)
{
	struct mapping m;
	uint64_t target = 0;
	uint32_t insn;

	if (arch_translate(vcpu, pc, &m) < 0 || memory_read(&vcpu->vm->mem, m.gpa, &insn, sizeof(insn)) ||
		(insn & INSN_BR_MASK) != INSN_BR || BR_REG(insn) == XZR)
		return 0;
	return arm64_get(vcpu, arm64_core_id(BR_REG(insn)), &target) == 0 ? target : 0;
}

static size_t add_hint(struct kaslr_hint *hint, size_t n, size_t max, uint64_t addr)
{
	if (n == max || addr < ARM64_KERNEL_HALF)
		return n;
	hint[n] = (struct kaslr_hint){.addr = addr};
	return n + 1;
}

/*
 * A moved kernel can be anywhere in a quarter of the address space, so only what points into it helps: the vCPU's pc,
 * or where it is about to jump, the vectors, and where the last exception came from. While a program runs under
 * page-table isolation none of them does.
 */
size_t arch_kaslr_hints(struct vcpu *vcpu, struct kaslr_hint *hint, size_t max)
{
	uint64_t pc, addr;
	size_t n = 0;

	if (arm64_mmu_fetch(vcpu) < 0 || arm64_get(vcpu, arm64_core_id(CORE_PC), &pc) < 0)
		return 0;
	n = add_hint(hint, n, max, pc);
	if (!n)
		n = add_hint(hint, n, max, jump_target(vcpu, pc));
	if (arm64_get(vcpu, ID_VBAR_EL1, &addr) == 0)
		n = add_hint(hint, n, max, addr);
	if (arm64_get(vcpu, ID_ELR_EL1, &addr) == 0)
		n = add_hint(hint, n, max, addr);
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

/* KVM shows nothing of a guest that switches its MMU on; a breakpoint on the jump does. */
int arch_kaslr_watch(struct vm *vm, bool on)
{
	(void)vm;
	(void)on;
	return -ENOTSUP;
}
