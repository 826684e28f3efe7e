/*
 * KVM_SET_GUEST_DEBUG and KVM_EXIT_DEBUG. Sources: Linux Documentation/virt/kvm/api.rst, 4.87; Arm ARM (DDI 0487),
 * D2 (self-hosted debug). debug_step.c has what a step needs besides.
 */
#include "arch/arch.h"

#include <errno.h>
#include <string.h>

#include "arch/arm64/arch_arm64.h"
#include "arch/kvm_call.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

#define ESR_WNR		(1ull << 6)
#define ESR_BRK_COMMENT 0xffff /* the immediate of a BRK */

/* ---- arming ---- */

static int encode(struct vm *vm, const struct hw_slots *slots, struct arm64_debug_regs *regs)
{
	memset(regs, 0, sizeof(*regs));
	regs->max_b = vm->arch->nbreaks;
	regs->max_w = vm->arch->nwatches;
	return arm64_hwbp_encode(slots, regs);
}

static void fill_debug(
	const struct arch_vcpu *a, const struct arm64_debug_regs *regs, bool step, struct kvm_guest_debug *dbg)
{
	memset(dbg, 0, sizeof(*dbg));
	if (a->slots.swbreak)
		dbg->control |= KVM_GUESTDBG_USE_SW_BP;
	if (step ? !a->step.by_leaving : a->guest.stepping)
		dbg->control |= KVM_GUESTDBG_SINGLESTEP;
	if (regs->nb || regs->nw)
		dbg->control |= KVM_GUESTDBG_USE_HW;
	if (!dbg->control)
		return;
	dbg->control |= KVM_GUESTDBG_ENABLE;
	for (unsigned i = 0; i < regs->nb; i++) {
		dbg->arch.dbg_bcr[i] = regs->bcr[i];
		dbg->arch.dbg_bvr[i] = regs->bvr[i];
	}
	for (unsigned i = 0; i < regs->nw; i++) {
		dbg->arch.dbg_wcr[i] = regs->wcr[i];
		dbg->arch.dbg_wvr[i] = regs->wvr[i];
	}
}

/* KVM's PSTATE is the guest's, with the masks of a step if there is one. */
static int flush(struct vcpu *vcpu, bool step)
{
	struct arch_vcpu *a = vcpu->arch;
	bool held = step && !a->step.open;
	uint64_t wanted = a->core[CORE_PSTATE] | (held ? PSTATE_I | PSTATE_F : 0);
	int ret;

	a->dirty &= ~(1ull << CORE_PSTATE);
	ret = arm64_regs_flush(vcpu);
	if (ret < 0)
		return ret;
	/* SS comes and goes with KVM's step. */
	if (((wanted ^ a->kvm_pstate) & ~(step ? PSTATE_SS : 0)) != 0)
		ret = arm64_set(vcpu, arm64_core_id(CORE_PSTATE), wanted);
	if (ret < 0)
		return ret;
	a->kvm_pstate = wanted;
	a->masked = held;
	return 0;
}

int arm64_set_guest_debug(struct vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	if (kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, dbg) < 0)
		return -errno;
	vcpu->arch->armed = *dbg;
	return 0;
}

/* The let-in's part of an arm. Returns whether this one is for a step, *open if for one that lets interrupts in. */
static bool plan_let_in(struct vcpu *vcpu, struct arm64_debug_regs *regs, enum vm_arm how, bool *open)
{
	struct arch_vcpu *a = vcpu->arch;
	struct let_in *l = &a->let_in;

	*open = l->passing = false;
	l->armed = how == VM_ARM_LET_IN || how == VM_ARM_LET_IN_ON;
	if (!l->armed)
		return how == VM_ARM_STEP;
	if (how == VM_ARM_LET_IN)
		l->entered = false;
	if (!l->entered) {
		*open = arm64_let_in_open(vcpu, regs);
		return true;
	}
	l->passing = a->core[CORE_PC] == l->pc && arm64_let_in_home(vcpu) != 1;
	if (!l->passing)
		(void)arm64_hwbp_add_private(
			regs, l->pc); /* there was room when it began, and the slots are the same */
	return l->passing;
}

int arch_debug_arm(struct vcpu *vcpu, const struct hw_slots *slots, enum vm_arm how)
{
	static const struct hw_slots no_slots;
	static const struct kvm_guest_debug off;
	struct arch_vcpu *a = vcpu->arch;
	/* A step that was overtaken by a stop may have been made nevertheless: KVM keeps its end for the next one. */
	bool unfinished = a->step.active && !a->step.exited && a->armed.control;
	bool given = a->step.given;
	struct arm64_debug_regs *regs = &a->debug_regs;
	struct kvm_guest_debug dbg;
	bool step, open;
	int ret;

	a->slots = slots ? *slots : no_slots;
	ret = encode(vcpu->vm, &a->slots, regs);
	step = plan_let_in(vcpu, regs, how, &open);
	vcpu->stepping = step;
	a->step.active = a->step.open = false;
	if (ret == 0 && (step || a->slots.swbreak || regs->nb || regs->nw))
		ret = arm64_guest_debug_merge(vcpu, regs, step);
	if (ret == 0 && step && given) /* it has ended already, which arch_step_alone() has yet to say */
		a->step = (struct step_state){.active = true, .done = true, .exited = true, .given = true};
	else if (ret == 0 && step)
		ret = arm64_step_prepare(vcpu, regs, open);
	if (ret == 0)
		ret = flush(vcpu, step);
	if (ret < 0)
		return ret;
	arch_time_resume(vcpu);
	fill_debug(a, regs, step, &dbg);
	if (!step)
		a->mmu_stale = a->guest.stale = true;
	if (unfinished)
		ret = arm64_set_guest_debug(vcpu, &off);
	if (ret == 0 && memcmp(&dbg, &a->armed, sizeof(dbg)) != 0)
		ret = arm64_set_guest_debug(vcpu, &dbg);
	return ret < 0 ? ret : how == VM_ARM_LET_IN && !a->step.open;
}

/* ---- exits ---- */

/*
 * An exit that ends a step. No news is one that interrupts have come in by, and one past a handler's copy of the place
 * that they return to.
 */
static int step_made(struct vcpu *vcpu, struct vm_stop *out)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret = a->step.open ? arm64_let_in_entered(vcpu) : 0;

	a->step.exited = true;
	if (ret != 0)
		return ret;
	ret = arm64_step_finish(vcpu);
	out->kind = a->let_in.passing ? VM_STOP_NONE : VM_STOP_STEPPED;
	out->pc = a->core[CORE_PC];
	return ret < 0 ? ret : a->let_in.passing;
}

/* The same code further down the stack is not where it began. */
static int let_in_returned(struct vcpu *vcpu, struct vm_stop *out)
{
	int home = arm64_let_in_home(vcpu);

	out->kind = home == 1 ? VM_STOP_STEPPED : VM_STOP_NONE;
	return home < 0 ? home : !home;
}

static int cause_break(struct vcpu *vcpu, struct vm_stop *out)
{
	struct arch_vcpu *a = vcpu->arch;
	int hit = arm64_hwbp_hit_break(&a->debug_regs, out->pc);
	int owner = hit < 0 ? -1 : a->debug_regs.bowner[hit];

	if (owner == ARM64_DBG_PRIVATE && !a->step.active && a->let_in.armed && out->pc == a->let_in.pc)
		return let_in_returned(vcpu, out);
	if (owner == ARM64_DBG_PRIVATE && !a->step.active)
		return arm64_guest_debug_returned(vcpu);
	if (owner == ARM64_DBG_PRIVATE) {
		out->sequence = true;
		return step_made(vcpu, out);
	}
	if (owner < 0 || owner & ARM64_DBG_GUEST)
		return arm64_guest_debug_hit(vcpu, owner, ESR_EC_BREAK_LOW, ESR_ISS_DEBUG, NULL);
	out->kind = VM_STOP_HWBREAK;
	out->addr = a->slots.slot[owner].addr;
	return 0;
}

static int cause_watch(struct vcpu *vcpu, uint64_t hsr, uint64_t far, struct vm_stop *out)
{
	struct arch_vcpu *a = vcpu->arch;
	int hit = arm64_hwbp_hit_watch(&a->debug_regs, far, hsr & ESR_WNR);
	int owner = hit < 0 ? -1 : a->debug_regs.wowner[hit];
	const struct hw_slot *s;

	if (owner < 0 || owner & ARM64_DBG_GUEST)
		return arm64_guest_debug_hit(vcpu, owner, ESR_EC_WATCH_LOW, hsr & ESR_ISS, &far);
	s = &a->slots.slot[owner];
	out->kind = VM_STOP_WATCH;
	out->access = s->kind;
	/* An access may begin below the watched bytes; a client knows its watchpoint by an address in it. */
	out->addr = far - s->addr < s->len ? far : s->addr;
	return 0;
}

static int cause_step(struct vcpu *vcpu, struct vm_stop *out)
{
	struct arch_vcpu *a = vcpu->arch;

	if (a->guest.stepping)
		return arm64_guest_debug_stepped(vcpu);
	if (!a->step.active || a->step.done)
		return 1;
	return step_made(vcpu, out);
}

/*
 * During a step and until its end says more, the guest's masks are what they were; without one they are KVM's, where SS
 * is the guest's only while KVM steps on its behalf.
 */
static void show_own_pstate(struct arch_vcpu *a)
{
	uint64_t own = a->masked ? a->core[CORE_PSTATE] : a->kvm_pstate;

	if (!a->masked && !a->guest.stepping)
		own &= ~PSTATE_SS;
	arm64_show_pstate(a, own);
}

/* The planted one is BRK #0: one with a comment, or of AArch32, is the guest's. */
static int cause_brk(uint64_t hsr, struct vm_stop *out)
{
	out->kind = VM_STOP_SWBREAK;
	out->addr = out->pc;
	out->foreign = hsr >> ESR_EC_SHIFT != ESR_EC_BRK64 || (hsr & ESR_BRK_COMMENT);
	return 0;
}

static int cause(struct vcpu *vcpu, struct vm_stop *out)
{
	const struct kvm_debug_exit_arch *x = &vcpu->run->debug.arch;
	struct arch_vcpu *a = vcpu->arch;
	int ret = arm64_pc_fetch(vcpu);

	if (ret < 0)
		return ret;
	show_own_pstate(a);
	memset(out, 0, sizeof(*out));
	out->pc = a->core[CORE_PC];
	switch (x->hsr >> ESR_EC_SHIFT) {
	case ESR_EC_STEP_LOW:
		return cause_step(vcpu, out);
	case ESR_EC_BREAK_LOW:
		return cause_break(vcpu, out);
	case ESR_EC_WATCH_LOW:
		return cause_watch(vcpu, x->hsr, x->far, out);
	case ESR_EC_BRK64:
	case ESR_EC_BKPT32:
		return cause_brk(x->hsr, out);
	default:
		log_error("CPU %d: KVM_EXIT_DEBUG with syndrome 0x%x", vcpu->id, x->hsr);
		return -EIO;
	}
}

/* Whose a breakpoint is, and its condition, is a matter of where addresses lead now: the guest has run since the last
 * stop, and may have another program's tables. */
int arch_debug_cause(struct vcpu *vcpu, struct vm_stop *out)
{
	int ret = cause(vcpu, out);

	if (ret != 0 || out->kind == VM_STOP_STEPPED || out->kind == VM_STOP_NONE)
		return ret;
	return arm64_mmu_fetch(vcpu);
}

int arch_inject_break(struct vcpu *vcpu)
{
	return arm64_give_exception(vcpu, vcpu->run->debug.arch.hsr, NULL);
}

int arch_regs_fetch(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	uint64_t own = a->core[CORE_PSTATE];
	int ret = a->dirty ? arm64_regs_flush(vcpu) : 0;

	if (ret == 0)
		ret = arm64_regs_load(vcpu);
	if (ret < 0)
		return ret;
	a->step.given = false;
	a->mmu_stale = false;
	a->kvm_pstate = a->core[CORE_PSTATE];
	a->core[CORE_PSTATE] = own;
	show_own_pstate(a);
	if ((!a->masked && !a->step.open) || !a->step.active || a->step.done)
		return 0;
	ret = a->step.open ? arm64_let_in_entered(vcpu) : 0;
	if (ret == 0)
		ret = arm64_step_finish(vcpu);
	return ret < 0 ? ret : 0;
}

int arch_step_finished(struct vcpu *vcpu, struct vm_stop *out)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret = arch_regs_fetch(vcpu);
	bool news = !a->let_in.passing && !(a->let_in.armed && a->let_in.entered);

	memset(out, 0, sizeof(*out));
	out->kind = news ? VM_STOP_STEPPED : VM_STOP_NONE;
	out->pc = a->core[CORE_PC];
	return ret < 0 ? ret : !news;
}

/* ---- what fits, what traps ---- */

int arch_slots_check(struct vm *vm, const struct hw_slots *slots)
{
	struct arm64_debug_regs regs;

	for (unsigned i = 0; i < slots->n; i++) {
		if (slots->slot[i].kind != HW_EXEC && !host_probe_watches(host_facts(vm->kvm_fd), slots->slot[i].kind))
			return -EOPNOTSUPP;
	}
	return encode(vm, slots, &regs);
}

enum vm_swbreak arch_swbreak(struct vcpu *vcpu)
{
	const struct host_probe *p = host_facts(vcpu->vm->kvm_fd);
	const struct arch_vcpu *a = vcpu->arch;
	bool mmu_off = !(a->mmu.sctlr & 1) && a->mp_state != KVM_MP_STATE_STOPPED;

	return (mmu_off ? p->swbreak_reset : p->swbreak) == HOST_SWBREAK_NONE ? VM_SWBREAK_HW : VM_SWBREAK_PLANT;
}
