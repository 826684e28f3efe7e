/*
 * KVM_SET_GUEST_DEBUG and KVM_EXIT_DEBUG. Sources: Linux Documentation/virt/kvm/api.rst, 4.87; Arm ARM (DDI 0487),
 * D2 (self-hosted debug). debug_step.c has what a step needs besides.
 */
#include "arch/arch.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arm64/arch_arm64.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

#define ESR_WNR (1ull << 6)

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
	uint64_t wanted = a->core[CORE_PSTATE] | (step ? PSTATE_I | PSTATE_F : 0);
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
	a->masked = step;
	return 0;
}

int arm64_set_guest_debug(struct vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	if (ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, dbg) < 0)
		return -errno;
	vcpu->arch->armed = *dbg;
	return 0;
}

int arch_debug_arm(struct vcpu *vcpu, const struct hw_slots *slots, bool step)
{
	static const struct hw_slots no_slots;
	static const struct kvm_guest_debug off;
	struct arch_vcpu *a = vcpu->arch;
	/* A step that was overtaken by a stop may have been made nevertheless: KVM keeps its end for the next one. */
	bool unfinished = a->step.active && !a->step.exited && a->armed.control;
	bool given = a->step.given;
	struct arm64_debug_regs *regs = &a->debug_regs;
	struct kvm_guest_debug dbg;
	int ret;

	a->slots = slots ? *slots : no_slots;
	ret = encode(vcpu->vm, &a->slots, regs);
	a->step.active = false;
	if (ret == 0 && (step || a->slots.swbreak || regs->nb || regs->nw))
		ret = arm64_guest_debug_merge(vcpu, regs, step);
	if (ret == 0 && step && given) /* it has ended already, which arch_step_alone() has yet to say */
		a->step = (struct step_state){.active = true, .done = true, .exited = true, .given = true};
	else if (ret == 0 && step)
		ret = arm64_step_prepare(vcpu, regs);
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
	return ret;
}

/* ---- exits ---- */

static int cause_break(struct vcpu *vcpu, struct vm_stop *out)
{
	struct arch_vcpu *a = vcpu->arch;
	int hit = arm64_hwbp_hit_break(&a->debug_regs, out->pc);
	int owner = hit < 0 ? -1 : a->debug_regs.bowner[hit];

	if (owner == ARM64_DBG_PRIVATE && !a->step.active)
		return arm64_guest_debug_returned(vcpu);
	if (owner == ARM64_DBG_PRIVATE) {
		out->kind = VM_STOP_STEPPED;
		a->step.exited = true;
		return arm64_step_finish(vcpu);
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
	int ret;

	if (a->guest.stepping)
		return arm64_guest_debug_stepped(vcpu);
	if (!a->step.active || a->step.done)
		return 1;
	out->kind = VM_STOP_STEPPED;
	a->step.exited = true;
	ret = arm64_step_finish(vcpu);
	out->pc = a->core[CORE_PC];
	return ret;
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

int arch_debug_cause(struct vcpu *vcpu, struct vm_stop *out)
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
		out->kind = VM_STOP_SWBREAK;
		out->addr = out->pc;
		return 0;
	default:
		log_error("CPU %d: KVM_EXIT_DEBUG with syndrome 0x%x", vcpu->id, x->hsr);
		return -EIO;
	}
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
	if (a->masked && a->step.active && !a->step.done)
		ret = arm64_step_finish(vcpu);
	return ret;
}

/* ---- what fits, what traps ---- */

static const struct host_probe *probe_of(struct vm *vm)
{
	struct arch_vm *av = vm->arch;

	if (!atomic_load_explicit(&av->probed, memory_order_relaxed)) {
		int ret = host_probe_once(vm->kvm_fd, &av->probe);

		if (ret < 0)
			log_warn("cannot probe this host's KVM (%s): breakpoints take hardware slots", strerror(-ret));
		atomic_store_explicit(&av->probed, true, memory_order_release);
	}
	return &av->probe;
}

int arch_slots_check(struct vm *vm, const struct hw_slots *slots)
{
	struct arm64_debug_regs regs;

	return encode(vm, slots, &regs);
}

enum vm_swbreak arch_swbreak(struct vcpu *vcpu)
{
	const struct host_probe *p = probe_of(vcpu->vm);
	const struct arch_vcpu *a = vcpu->arch;
	bool mmu_off = !(a->mmu.sctlr & 1) && a->mp_state != KVM_MP_STATE_STOPPED;

	return (mmu_off ? p->swbreak_reset : p->swbreak) == HOST_SWBREAK_NONE ? VM_SWBREAK_HW : VM_SWBREAK_PLANT;
}
