/*
 * The guest's own debug hardware while a debugger is at work: KVM loads the debugger's registers instead of the guest's
 * and takes every debug exception to the host. The guest's breakpoints and watchpoints go into registers that are free,
 * and what is its own is given to it as the exception it expects. Source: Arm ARM (DDI 0487), D2.
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

/* One due now is given at once, one due after the next instruction is made by KVM. */
static int merge_step(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret = 0;

	if (!step_enabled(a->guest.mdscr, a->core[CORE_PSTATE]))
		return 0;
	if (a->core[CORE_PSTATE] & PSTATE_SS)
		a->guest.stepping = true;
	else
		ret = arm64_guest_debug_give(vcpu, ESR_EC_STEP_LOW, ISS_STEP_VALID | ESR_ISS_DEBUG, NULL);
	return ret < 0 ? ret : 0;
}

int arm64_guest_debug_merge(struct vcpu *vcpu, struct arm64_debug_regs *regs, bool step)
{
	const struct arch_vm *av = vcpu->vm->arch;
	struct guest_debug *g = &vcpu->arch->guest;

	g->stepping = false;
	if (g->stale) {
		int ret = fetch(vcpu);

		if (ret < 0)
			return ret;
		g->stale = false;
	}
	/* What finds no free register is lost for as long as the debugger's are loaded. */
	for (unsigned i = 0; (g->mdscr & MDSCR_MDE) && i < av->nbreaks; i++) {
		if (g->bcr[i] & DBG_E)
			(void)arm64_hwbp_add_guest_break(regs, i, g->bcr[i], g->bvr[i]);
	}
	for (unsigned i = 0; (g->mdscr & MDSCR_MDE) && i < av->nwatches; i++) {
		if (g->wcr[i] & DBG_E)
			(void)arm64_hwbp_add_guest_watch(regs, i, g->wcr[i], g->wvr[i]);
	}
	return step ? 0 : merge_step(vcpu);
}

int arm64_guest_debug_give(struct vcpu *vcpu, unsigned ec_low, uint64_t iss, const uint64_t *far)
{
	uint64_t pstate = vcpu->arch->core[CORE_PSTATE];
	bool same = !(pstate & PSTATE_NRW) && (pstate & PSTATE_MODE);
	int ret = arm64_give_exception(vcpu, (uint64_t)(ec_low + same) << ESR_EC_SHIFT | ESR_IL | iss, far);

	return ret < 0 ? ret : 1;
}

int arm64_guest_debug_stepped(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	struct kvm_guest_debug dbg = a->armed;
	int ret;

	a->guest.stepping = false;
	dbg.control &= ~(uint32_t)KVM_GUESTDBG_SINGLESTEP;
	ret = arm64_set_guest_debug(vcpu, &dbg);
	if (ret < 0)
		return ret;
	/* It may have led into an exception's handler: then the step is due after the return. */
	if (!step_enabled(a->guest.mdscr, a->core[CORE_PSTATE]))
		return 1;
	return arm64_guest_debug_give(vcpu, ESR_EC_STEP_LOW, ISS_STEP_VALID | ESR_ISS_DEBUG, NULL);
}
