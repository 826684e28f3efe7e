/*
 * What one step needs besides KVM's single-step. Interrupts are held off by PSTATE.I and F, which the guest must not
 * find in anything that the instruction saves, reads or restores; some instructions are better executed here than by
 * the processor, and exclusive sequences are run past. Source: Arm ARM (DDI 0487), D2.12 (software step), D1.3
 * (exceptions).
 */
#include "arch/arch.h"

#include <errno.h>
#include <string.h>

#include "arch/arm64/arch_arm64.h"
#include "vmm/kvm.h"

#define SCTLR_UMA   (1ull << 9) /* EL0 may use DAIF */
#define SCTLR_SPAN  (1ull << 23)
#define SCTLR_DSSBS (1ull << 44)
#define PSTATE_SSBS (1ull << 12)
#define PSTATE_DIT  (1ull << 24)

/* VBAR_EL1: the vectors' offsets */
#define VECTORS_MASK	 0x7ffull
#define VECTOR_ALIGN	 0x80ull
#define VECTOR_EL1T	 0x000
#define VECTOR_EL1H	 0x200
#define VECTOR_EL0	 0x400
#define VECTOR_EL0_32	 0x600
#define EXCEPTION_WITHIN (ARM64_EXCLUSIVE_MAX * 4 + 4) /* bytes from a step's begin to where it may have faulted */

#define LEAVE_MAX 4

/* DAIFSet and DAIFClr have D A I F in bits 3 to 0, PSTATE has them in bits 9 to 6. */
#define DAIF_SHIFT 6

int arm64_pc_fetch(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret = arm64_get(vcpu, arm64_core_id(CORE_PC), &a->core[CORE_PC]);

	return ret < 0 ? ret : arm64_get(vcpu, arm64_core_id(CORE_PSTATE), &a->kvm_pstate);
}

void arm64_show_pstate(struct arch_vcpu *a, uint64_t own)
{
	a->core[CORE_PSTATE] = (a->kvm_pstate & ~PSTATE_HELD) | (own & PSTATE_HELD);
}

static bool at_el0(uint64_t pstate)
{
	return (pstate & PSTATE_NRW) || !(pstate & PSTATE_MODE);
}

/* Offset of the vector for synchronous exceptions that are taken with this PSTATE. */
static uint64_t sync_vector(uint64_t pstate)
{
	if (pstate & PSTATE_NRW)
		return VECTOR_EL0_32;
	if (at_el0(pstate))
		return VECTOR_EL0;
	return (pstate & PSTATE_MODE) == PSTATE_EL1H ? VECTOR_EL1H : VECTOR_EL1T;
}

/* ---- before ---- */

static int read_insn(void *ctx, uint64_t addr, uint32_t *insn)
{
	return arm64_virt_read(ctx, addr, insn, sizeof(*insn)) == sizeof(*insn) ? 0 : -EFAULT;
}

/*
 * The monitor that an exclusive load sets is lost with every exception, so that a stepped sequence never stores. It is
 * run instead, until it is left: behind the store, by a branch out of it, or by a fault.
 */
static void run_past_exclusive(struct vcpu *vcpu, struct arm64_debug_regs *regs)
{
	struct step_state *st = &vcpu->arch->step;
	uint64_t leave[LEAVE_MAX], vbar;
	int n = arm64_exclusive_leave(read_insn, vcpu, st->pc, leave, LEAVE_MAX);

	if (n <= 0)
		return;
	/* Clients' breakpoints elsewhere cannot be hit meanwhile: they lend their registers if need be. */
	if (regs->max_b - regs->nb <= (unsigned)n)
		regs->nb = 0;
	for (int i = 0; i < n; i++) {
		if (arm64_hwbp_add_private(regs, leave[i]) < 0)
			return;
	}
	if (arm64_get(vcpu, ID_VBAR_EL1, &vbar) == 0)
		(void)arm64_hwbp_add_private(regs, vbar + sync_vector(st->pstate));
	st->by_leaving = true;
}

int arm64_step_prepare(struct vcpu *vcpu, struct arm64_debug_regs *regs, bool open)
{
	struct arch_vcpu *a = vcpu->arch;
	struct step_state *st = &a->step;
	uint32_t insn;
	int ret = 0;

	memset(st, 0, sizeof(*st));
	st->active = true;
	st->pc = a->core[CORE_PC];
	st->pstate = a->core[CORE_PSTATE];
	if (a->mmu_stale) {
		ret = arm64_mmu_fetch(vcpu);
		a->mmu_stale = false;
	}
	if (ret < 0 || (st->pstate & PSTATE_NRW) || read_insn(vcpu, st->pc, &insn) < 0)
		return ret;
	st->insn = arm64_decode(insn, st->pc);
	/* WFI would wait; ERET is a handler's. */
	st->open = open && st->insn.insn != ARM64_WFX && st->insn.insn != ARM64_ERET;
	if (st->open)
		return 0;
	if (st->insn.insn == ARM64_LOAD_EXCLUSIVE) {
		run_past_exclusive(vcpu, regs);
	} else if (st->insn.insn == ARM64_ERET && !at_el0(st->pstate)) {
		/* An interrupt that ERET lets in would be taken before the step's end: it stays out, too. */
		ret = arm64_get(vcpu, ID_SPSR_EL1, &st->spsr);
		if (ret == 0)
			ret = arm64_set(vcpu, ID_SPSR_EL1, st->spsr | PSTATE_I | PSTATE_F);
	}
	return ret;
}

/* ---- without the processor ---- */

/*
 * Instructions that unmask interrupts would let a pending one in before the step's end; one that reads the masks would
 * see ours; WFI and WFE would wait.
 */
static bool execute_here(struct vcpu *vcpu, const struct arm64_decoded *d)
{
	struct arch_vcpu *a = vcpu->arch;
	uint64_t *pstate = &a->core[CORE_PSTATE], value = 0;
	uint64_t bits = (uint64_t)d->imm << DAIF_SHIFT & PSTATE_DAIF;
	bool daif_allowed = !at_el0(*pstate) || (a->mmu.sctlr & SCTLR_UMA);

	if (d->insn == ARM64_WFX)
		return true;
	if (!daif_allowed)
		return false;
	switch (d->insn) {
	case ARM64_MSR_DAIFSET:
		*pstate |= bits;
		return true;
	case ARM64_MSR_DAIFCLR:
		*pstate &= ~bits;
		return true;
	case ARM64_MSR_DAIF:
		if (d->rt < CORE_SP_EL0 && arm64_get(vcpu, arm64_core_id(d->rt), &value) < 0)
			return false;
		*pstate = (*pstate & ~PSTATE_DAIF) | (value & PSTATE_DAIF);
		return true;
	case ARM64_MRS_DAIF:
		value = *pstate & PSTATE_DAIF;
		if (d->rt < CORE_SP_EL0 && arm64_set(vcpu, arm64_core_id(d->rt), value) < 0)
			return false;
		return true;
	default:
		return false;
	}
}

/* The rest of PSTATE is KVM's; what changed of it goes there with the next flush. */
bool arch_step_alone(struct vcpu *vcpu, struct vm_stop *out)
{
	struct arch_vcpu *a = vcpu->arch;
	struct step_state *st = &a->step;

	if (!st->active || st->open)
		return false;
	if (!st->given) {
		if (st->done || a->core[CORE_PC] != st->pc || a->mp_state == KVM_MP_STATE_STOPPED ||
			!execute_here(vcpu, &st->insn))
			return false;
		a->core[CORE_PC] += 4;
		a->dirty |= 1ull << CORE_PC | 1ull << CORE_PSTATE;
		st->done = st->exited = true;
	}
	st->given = false;
	memset(out, 0, sizeof(*out));
	out->kind = a->let_in.passing ? VM_STOP_NONE : VM_STOP_STEPPED;
	out->pc = a->core[CORE_PC];
	return true;
}

/* ---- after ---- */

/* Did the step end at the entry of an exception that its instruction raised? */
static bool entered_exception(struct vcpu *vcpu)
{
	const struct arch_vcpu *a = vcpu->arch;
	uint64_t pc = a->core[CORE_PC], vbar, elr;

	if (pc % VECTOR_ALIGN || (a->kvm_pstate & PSTATE_MODE) != PSTATE_EL1H)
		return false;
	if (arm64_get(vcpu, ID_VBAR_EL1, &vbar) < 0 || (pc & ~VECTORS_MASK) != vbar)
		return false;
	return arm64_get(vcpu, ID_ELR_EL1, &elr) == 0 && elr - a->step.pc <= EXCEPTION_WITHIN;
}

/* SPSR_EL1 was saved with our masks in it. */
static int repair_saved(struct vcpu *vcpu)
{
	uint64_t spsr = 0;
	int ret = arm64_get(vcpu, ID_SPSR_EL1, &spsr);

	if (ret < 0)
		return ret;
	return arm64_set(vcpu, ID_SPSR_EL1, (spsr & ~PSTATE_HELD) | (vcpu->arch->step.pstate & PSTATE_HELD));
}

int arm64_step_finish(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	struct step_state *st = &a->step;
	bool moved = a->core[CORE_PC] != st->pc;
	bool entered = moved && entered_exception(vcpu);
	bool returned = st->insn.insn == ARM64_ERET && !at_el0(st->pstate) && !entered;
	/* Nothing is held in an open step but SS. */
	uint64_t own = st->open ? (a->kvm_pstate & ~PSTATE_SS) | (st->pstate & PSTATE_SS) : st->pstate;
	int ret = 0;

	st->done = true;
	if (st->insn.insn == ARM64_MSR_SYSTEM)
		a->mmu_stale = true;
	if (st->insn.insn == ARM64_MSR_DEBUG)
		a->guest.stale = true;
	if (entered) {
		own = PSTATE_I | PSTATE_F;
		ret = repair_saved(vcpu);
	} else if (returned) {
		if (moved)
			own = st->spsr;
		ret = arm64_set(vcpu, ID_SPSR_EL1, st->spsr);
	}
	arm64_show_pstate(a, own);
	if (ret < 0 || !moved || entered)
		return ret;
	if (!returned || !arm64_guest_debug_takes_ss(vcpu))
		a->core[CORE_PSTATE] &= ~PSTATE_SS;
	if (returned || !(st->pstate & PSTATE_SS))
		return 0;
	/* The guest steps itself as well: its own step ends here, too. */
	ret = arm64_guest_debug_step_due(vcpu);
	st->given = false;
	return ret;
}

int arm64_give_exception(struct vcpu *vcpu, uint64_t esr, const uint64_t *far)
{
	struct arch_vcpu *a = vcpu->arch;
	uint64_t old = a->core[CORE_PSTATE], pstate, vbar, sctlr = 0;
	int ret = arm64_get(vcpu, ID_VBAR_EL1, &vbar);

	if (ret == 0)
		ret = arm64_get(vcpu, ID_SCTLR_EL1, &sctlr);
	if (ret < 0)
		return ret;
	pstate = (old & (PSTATE_NZCV | PSTATE_PAN | PSTATE_DIT)) | PSTATE_DAIF | PSTATE_EL1H;
	if (!(sctlr & SCTLR_SPAN))
		pstate |= PSTATE_PAN;
	if (sctlr & SCTLR_DSSBS)
		pstate |= PSTATE_SSBS;
	ret = arm64_set(vcpu, ID_ELR_EL1, a->core[CORE_PC]);
	if (ret == 0)
		ret = arm64_set(vcpu, ID_SPSR_EL1, old);
	if (ret == 0)
		ret = arm64_set(vcpu, ID_ESR_EL1, esr);
	if (ret == 0 && far)
		ret = arm64_set(vcpu, ID_FAR_EL1, *far);
	if (ret < 0)
		return ret;
	a->core[CORE_PC] = vbar + sync_vector(old);
	a->core[CORE_PSTATE] = pstate;
	a->dirty |= 1ull << CORE_PC | 1ull << CORE_PSTATE;
	a->masked = false;
	if (a->step.active)
		a->step.done = a->step.exited = a->step.given = true;
	ret = arm64_regs_flush(vcpu);
	if (ret == 0)
		a->kvm_pstate = pstate;
	return ret;
}
