/*
 * The guest's own debug hardware while a debugger is at work: KVM loads the debugger's registers instead of the guest's
 * and takes every debug exception to the host. The guest's breakpoints and watchpoints go into registers that are free,
 * and what is its own is given to it as the exception it expects. Its handler changes the registers as a rule, to step
 * over what was hit: the return from it is waited for with a breakpoint, and they are looked at again. Source: Arm ARM
 * (DDI 0487), D2.
 */
#include "arch/arch.h"

#include <errno.h>

#include "arch/arm64/arch_arm64.h"
#include "vmm/kvm.h"

#define MDSCR_SS  (1ull << 0)
#define MDSCR_KDE (1ull << 13) /* debug exceptions from EL1, too, where PSTATE.D is clear */
#define MDSCR_MDE (1ull << 15)
#define DBG_E	  1ull /* in a control register: enabled */

#define ISS_STEP_VALID (1ull << 24)

static int fetch(struct vcpu *vcpu)
{
	const struct arch_vm *av = vcpu->vm->arch;
	struct guest_debug *g = &vcpu->arch->guest;
	int ret = arm64_get(vcpu, ID_MDSCR_EL1, &g->mdscr);

	if (ret < 0 || !(g->mdscr & MDSCR_MDE))
		return ret;
	for (unsigned i = 0; i < av->nbreaks && ret == 0; i++) {
		ret = arm64_get(vcpu, ID_DBGBCR(i), &g->bcr[i]);
		if (ret == 0)
			ret = arm64_get(vcpu, ID_DBGBVR(i), &g->bvr[i]);
	}
	for (unsigned i = 0; i < av->nwatches && ret == 0; i++) {
		ret = arm64_get(vcpu, ID_DBGWCR(i), &g->wcr[i]);
		if (ret == 0)
			ret = arm64_get(vcpu, ID_DBGWVR(i), &g->wvr[i]);
	}
	return ret;
}

/* Would the guest's own step be active at this PSTATE? */
static bool step_enabled(uint64_t mdscr, uint64_t pstate)
{
	bool el0 = (pstate & PSTATE_NRW) || !(pstate & PSTATE_MODE);

	return (mdscr & MDSCR_SS) && (el0 || ((mdscr & MDSCR_KDE) && !(pstate & PSTATE_D)));
}

/* ss: whether the guest's own step, if it is on then, comes after the instruction at pc; else before it. */
static void wait_for_return(struct guest_debug *g, uint64_t pc, bool ss)
{
	g->returning = true;
	g->return_pc = pc;
	g->return_ss = ss;
	g->stale = true;
}

static int give(struct vcpu *vcpu, unsigned ec_low, uint64_t iss, const uint64_t *far)
{
	struct arch_vcpu *a = vcpu->arch;
	uint64_t pstate = a->core[CORE_PSTATE];
	bool same = !(pstate & PSTATE_NRW) && (pstate & PSTATE_MODE);

	wait_for_return(&a->guest, a->core[CORE_PC], true);
	return arm64_give_exception(vcpu, (uint64_t)(ec_low + same) << ESR_EC_SHIFT | ESR_IL | iss, far);
}

/* The same slots again, with what the guest has changed. A step's own arm follows anyway. */
static int rearm(struct vcpu *vcpu)
{
	const struct hw_slots slots = vcpu->arch->slots;
	int ret = vcpu->arch->step.active ? 0 : arch_debug_arm(vcpu, &slots, false);

	return ret < 0 ? ret : 1;
}

/* One due now is given at once, one due after the next instruction is made by KVM. */
static int merge_step(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;

	if (!step_enabled(a->guest.mdscr, a->core[CORE_PSTATE]))
		return 0;
	if (!(a->core[CORE_PSTATE] & PSTATE_SS))
		return give(vcpu, ESR_EC_STEP_LOW, ISS_STEP_VALID | ESR_ISS_DEBUG, NULL);
	a->guest.stepping = true;
	return 0;
}

int arm64_guest_debug_merge(struct vcpu *vcpu, struct arm64_debug_regs *regs, bool step)
{
	const struct arch_vm *av = vcpu->vm->arch;
	struct arch_vcpu *a = vcpu->arch;
	struct guest_debug *g = &a->guest;
	int ret = g->stale ? fetch(vcpu) : 0;

	g->stale = g->stepping = false;
	if (g->returning && a->core[CORE_PC] == g->return_pc)
		g->returning = false;
	if (ret == 0 && !step)
		ret = merge_step(vcpu);
	if (ret < 0)
		return ret;
	/* What finds no free register is lost for as long as the debugger's are loaded. */
	if (g->returning && !step)
		(void)arm64_hwbp_add_private(regs, g->return_pc);
	for (unsigned i = 0; (g->mdscr & MDSCR_MDE) && i < av->nbreaks; i++) {
		if (g->bcr[i] & DBG_E)
			(void)arm64_hwbp_add_guest_break(regs, i, g->bcr[i], g->bvr[i]);
	}
	for (unsigned i = 0; (g->mdscr & MDSCR_MDE) && i < av->nwatches; i++) {
		if (g->wcr[i] & DBG_E)
			(void)arm64_hwbp_add_guest_watch(regs, i, g->wcr[i], g->wvr[i]);
	}
	return 0;
}

/* Is the register, as it was merged, still the guest's? owner has its number. */
static bool unchanged(const struct guest_debug *was, const struct guest_debug *now, unsigned owner, bool watch)
{
	unsigned n = owner & (ARM64_DBG_MAX - 1);

	if (!(now->mdscr & MDSCR_MDE))
		return false;
	if (watch)
		return was->wcr[n] == now->wcr[n] && was->wvr[n] == now->wvr[n];
	return was->bcr[n] == now->bcr[n] && was->bvr[n] == now->bvr[n];
}

int arm64_guest_debug_hit(struct vcpu *vcpu, int owner, unsigned ec_low, uint64_t iss, const uint64_t *far)
{
	struct guest_debug was = vcpu->arch->guest;
	int ret = fetch(vcpu);

	if (ret == 0 && (owner < 0 || unchanged(&was, &vcpu->arch->guest, (unsigned)owner, ec_low == ESR_EC_WATCH_LOW)))
		ret = give(vcpu, ec_low, iss, far);
	return ret < 0 ? ret : rearm(vcpu);
}

int arm64_guest_debug_returned(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret = fetch(vcpu);

	/* ERET loads SS only while the step is on in the hardware, and there it is the debugger's. */
	if (ret == 0 && a->guest.return_ss && step_enabled(a->guest.mdscr, a->core[CORE_PSTATE]))
		a->core[CORE_PSTATE] |= PSTATE_SS;
	a->guest.returning = a->guest.stale = false;
	return ret < 0 ? ret : rearm(vcpu);
}

bool arm64_guest_debug_busy(struct vcpu *vcpu)
{
	struct guest_debug *g = &vcpu->arch->guest;

	if (g->stale && fetch(vcpu) == 0)
		g->stale = false;
	return g->stale || g->returning || g->stepping || (g->mdscr & MDSCR_SS);
}

bool arm64_guest_debug_takes_ss(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;

	if (a->guest.stale && fetch(vcpu) == 0)
		a->guest.stale = false;
	return step_enabled(a->guest.mdscr, a->core[CORE_PSTATE]);
}

int arm64_guest_debug_step_due(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	uint64_t elr, spsr = 0;
	int ret;

	if (!(a->guest.mdscr & MDSCR_SS))
		return 0;
	if (step_enabled(a->guest.mdscr, a->core[CORE_PSTATE]))
		return give(vcpu, ESR_EC_STEP_LOW, ISS_STEP_VALID | ESR_ISS_DEBUG, NULL);
	/* Another exception came before it or instead of it: SPSR has what is still to be done after the return. */
	ret = arm64_get(vcpu, ID_ELR_EL1, &elr);
	if (ret == 0)
		ret = arm64_get(vcpu, ID_SPSR_EL1, &spsr);
	if (ret == 0)
		wait_for_return(&a->guest, elr, spsr & PSTATE_SS);
	return ret;
}

int arm64_guest_debug_stepped(struct vcpu *vcpu)
{
	int ret;

	vcpu->arch->guest.stepping = false;
	ret = arm64_guest_debug_step_due(vcpu);
	return ret < 0 ? ret : rearm(vcpu);
}
