/*
 * Letting interrupts in during a range step. It begins with a step that holds nothing off: whether a pending interrupt
 * is taken before the instruction or after it is the processor's choice (Arm ARM DDI 0487, D1.3.6 and D2.12). If it
 * ends in an interrupt's vector, the vCPU runs on with a private breakpoint where that returns to (ELR_EL1), until it
 * is back there with the same stack; else it was a step like any other.
 */
#include "arch/arch.h"

#include "arch/arm64/arch_arm64.h"
#include "vmm/kvm.h"

#define VECTORS_MASK 0x7ffull
#define VECTOR_ALIGN 0x80ull
#define VECTOR_ASYNC 0x180ull /* IRQ, FIQ and SError; 0: synchronous exceptions */

bool arm64_let_in_open(struct vcpu *vcpu, const struct arm64_debug_regs *regs)
{
	const struct arch_vcpu *a = vcpu->arch;
	uint64_t pstate = a->core[CORE_PSTATE];

	return !(pstate & (PSTATE_I | PSTATE_NRW | PSTATE_SS)) && !a->step.given && regs->nb < regs->max_b &&
	       !arm64_guest_debug_busy(vcpu);
}

/* SP as it is used at that exception level. */
static int sp_of(struct vcpu *vcpu, uint64_t pstate, uint64_t *sp)
{
	bool el1h = (pstate & PSTATE_MODE) == PSTATE_EL1H;

	return arm64_get(vcpu, arm64_core_id(el1h ? CORE_SP_EL1 : CORE_SP_EL0), sp);
}

int arm64_let_in_entered(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	struct let_in *l = &a->let_in;
	uint64_t pc = a->core[CORE_PC], vbar, spsr = 0;
	int ret;

	if (pc % VECTOR_ALIGN || !(pc & VECTOR_ASYNC) || !(a->kvm_pstate & PSTATE_I) ||
		(a->kvm_pstate & PSTATE_MODE) != PSTATE_EL1H)
		return 0;
	ret = arm64_get(vcpu, ID_VBAR_EL1, &vbar);
	if (ret < 0 || (pc & ~VECTORS_MASK) != vbar)
		return ret;
	ret = arm64_get(vcpu, ID_ELR_EL1, &l->pc);
	if (ret == 0)
		ret = arm64_get(vcpu, ID_SPSR_EL1, &spsr);
	/* It was saved with the step's own SS; the guest's was clear. */
	if (ret == 0 && (spsr & PSTATE_SS))
		ret = arm64_set(vcpu, ID_SPSR_EL1, spsr & ~PSTATE_SS);
	if (ret == 0)
		ret = sp_of(vcpu, spsr, &l->sp);
	if (ret < 0)
		return ret;
	l->pstate = spsr & PSTATE_MODE;
	l->entered = true;
	a->step.done = true;
	arm64_show_pstate(a, a->kvm_pstate & ~PSTATE_SS);
	return 1;
}

int arm64_let_in_home(struct vcpu *vcpu)
{
	const struct arch_vcpu *a = vcpu->arch;
	uint64_t sp;
	int ret = sp_of(vcpu, a->let_in.pstate, &sp);

	if (ret < 0)
		return ret;
	return sp == a->let_in.sp && (a->core[CORE_PSTATE] & PSTATE_MODE) == a->let_in.pstate;
}
