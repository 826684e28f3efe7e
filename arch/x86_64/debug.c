/*
 * KVM_SET_GUEST_DEBUG and KVM_EXIT_DEBUG. Sources: Linux Documentation/virt/kvm/api.rst, 4.87; Intel SDM volume 3B,
 * chapter 17. debug_step.c has what a step needs besides.
 */
#include "arch/arch.h"

#include <errno.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/hwbp.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

#define VECTOR_DB 1
#define VECTOR_BP 3
#define RFLAGS_TF (1ull << 8)

/*
 * Some emulated processors report a step before the instruction was executed, several times in a row. The same
 * registers also show after an honest step of a jump to itself, so patience has an end.
 */
#define STALLS_MAX 16

static int set_guest_debug(struct vcpu *vcpu, const struct kvm_guest_debug *dbg, uint32_t extra)
{
	struct kvm_guest_debug d = *dbg;

	d.control |= extra;
	return kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d) < 0 ? -errno : 0;
}

/*
 * A halted CPU that is told to step, or whose pc was set, goes on as if an interrupt had come: KVM_RUN would wait for
 * one otherwise.
 */
static int wake_if_halted(struct vcpu *vcpu, bool step)
{
	struct arch_vcpu *a = vcpu->arch;
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_RUNNABLE};
	bool jumped = a->pc_written;

	a->pc_written = false;
	if (a->mp_state != KVM_MP_STATE_HALTED || (!step && !jumped))
		return 0;
	if (kvm_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp) < 0)
		return -errno;
	a->mp_state = mp.mp_state;
	return 0;
}

static int copy_slots(struct arch_vcpu *a, const struct hw_slots *slots, struct x86_debug_regs *regs)
{
	static const struct hw_slots none;

	if (!slots)
		slots = &none;
	a->slots.n = slots->n;
	a->slots.swbreak = slots->swbreak;
	memcpy(a->slots.slot, slots->slot, slots->n * sizeof(slots->slot[0]));
	return x86_hwbp_encode(&a->slots, regs);
}

/*
 * Interpreting hosts (those on which INT3 fails to emulate) keep the step as a flag of their own until it is taken
 * back; there the ioctl costs as much as the step. On hardware it is cheap and needed: instructions that KVM emulates
 * and those that load RFLAGS drop TF.
 */
static bool step_persists(void)
{
	const struct host_probe *host = host_facts_known();

	return host && host->step_persists && host->swbreak == HOST_SWBREAK_EMUL_FAILS;
}

/* The state that KVM_SET_GUEST_DEBUG is to have. */
static void fill_debug(
	const struct vcpu *vcpu, const struct x86_debug_regs *regs, bool step, struct kvm_guest_debug *dbg)
{
	const struct arch_vcpu *a = vcpu->arch;

	memset(dbg, 0, sizeof(*dbg));
	if (a->slots.swbreak)
		dbg->control |= KVM_GUESTDBG_USE_SW_BP;
	if (regs->n || a->tf_leaked || (a->let_in.armed && a->let_in.trap)) {
		dbg->control |= KVM_GUESTDBG_USE_HW_BP;
		memcpy(dbg->arch.debugreg, regs->dr, sizeof(regs->dr));
		dbg->arch.debugreg[7] = regs->dr7;
	}
	if (step && !a->step.by_target)
		dbg->control |= KVM_GUESTDBG_SINGLESTEP;
	if (step && vcpu->vm->arch->block_irq)
		dbg->control |= KVM_GUESTDBG_BLOCKIRQ;
	if (dbg->control)
		dbg->control |= KVM_GUESTDBG_ENABLE;
}

int arch_debug_arm(struct vcpu *vcpu, const struct hw_slots *slots, enum vm_arm how)
{
	struct arch_vcpu *a = vcpu->arch;
	bool was_stepping = a->step.active, changed = a->regs_dirty;
	bool step = how == VM_ARM_STEP, refused = false;
	bool after_step = was_stepping && a->step.done; /* and nothing has been begun since */
	struct kvm_guest_debug dbg;
	struct x86_debug_regs regs;
	int ret = copy_slots(a, slots, &regs);

	if (ret == 0)
		ret = wake_if_halted(vcpu, step || how == VM_ARM_LET_IN);
	if (ret == 0 && !changed)
		a->regs->rflags |= x86_hidden_tf(a);
	if (ret == 0)
		ret = x86_regs_flush(vcpu);
	if (ret < 0)
		return ret;
	a->fpu_valid = a->ran = false;
	a->guest_tf = a->regs->rflags & RFLAGS_TF;
	if (how == VM_ARM_LET_IN || how == VM_ARM_LET_IN_ON) {
		enum x86_let_in let_in = x86_let_in_arm(vcpu, how == VM_ARM_LET_IN, &regs);

		step = let_in != X86_LET_IN_RUNS;
		refused = let_in == X86_LET_IN_REFUSED;
	} else if (step) {
		enum x86_let_in first = x86_let_in_first(vcpu, after_step, &regs);

		if (first == X86_LET_IN_FAILED)
			return -errno;
		step = first != X86_LET_IN_RUNS;
	} else {
		x86_let_in_leave(vcpu);
	}
	if (step)
		x86_step_prepare(vcpu, arch_pc(vcpu), &regs);
	else
		a->step.active = false;
	vcpu->stepping = step;
	fill_debug(vcpu, &regs, step, &dbg);
	a->debug_regs = regs;
	if (!memcmp(&dbg, &a->armed, sizeof(dbg)) && (!step || (!changed && step_persists())))
		return refused;
	ret = set_guest_debug(vcpu, &dbg, 0);
	if (ret < 0)
		return ret;
	a->armed = dbg;
	/* KVM has just taken its own TF out of RFLAGS, and the guest's with it. */
	if (was_stepping && !step && a->guest_tf) {
		a->regs_dirty = true;
		ret = x86_regs_flush(vcpu);
	}
	return ret < 0 ? ret : refused;
}

/* A #DB that is the guest's own: KVM does not fill DR6 for an exception injected this way. */
static int give_db(struct vcpu *vcpu, uint64_t dr6)
{
	struct kvm_debugregs d;

	if (kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &d) < 0)
		return -errno;
	d.dr6 |= dr6 & (X86_DR6_HITS | X86_DR6_BD | X86_DR6_BS | X86_DR6_BT);
	if (kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &d) < 0)
		return -errno;
	return set_guest_debug(vcpu, &vcpu->arch->armed, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB);
}

/* One past a handler's copy of the place that a let-in is to come back to is nobody's news. */
static int step_told(const struct arch_vcpu *a, struct vm_stop *out)
{
	out->kind = a->let_in.passing ? VM_STOP_NONE : VM_STOP_STEPPED;
	return a->let_in.passing;
}

static int step_ended(struct vcpu *vcpu, uint64_t pc)
{
	struct arch_vcpu *a = vcpu->arch;
	bool traps = (a->step.before.rflags & RFLAGS_TF) && !x86_step_entered(a, pc);
	int ret;

	x86_step_repair(vcpu, pc);
	/* KVM hides TF while it steps: show the guest's own to whoever reads RFLAGS. */
	a->regs->rflags = (a->regs->rflags & ~RFLAGS_TF) | (a->guest_tf ? RFLAGS_TF : 0);
	if (!traps)
		return 0;
	/* The guest was stepping itself: its trap is due as well, and is taken when it next runs. */
	ret = give_db(vcpu, X86_DR6_BS);
	x86_given(vcpu, VECTOR_DB, false);
	return ret;
}

static bool stalled(struct arch_vcpu *a)
{
	a->regs->rflags |= x86_hidden_tf(a);
	return !memcmp(a->regs, &a->step.before, sizeof(*a->regs)) && a->step.stalls++ < STALLS_MAX;
}

/*
 * A single-step trap nobody asked for. If a step was once abandoned inside a fault's or interrupt's handler, the frame
 * there had our TF in it and IRET has just loaded it: dropped. Else the guest steps itself.
 */
static int stray_step(struct vcpu *vcpu, uint64_t dr6)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret;

	if (!a->tf_leaked) {
		ret = give_db(vcpu, dr6);
		return ret < 0 ? ret : 1;
	}
	a->tf_leaked = false;
	a->regs->rflags &= ~RFLAGS_TF;
	a->regs_dirty = true;
	ret = x86_regs_flush(vcpu);
	if (ret == 0)
		ret = set_guest_debug(vcpu, &a->armed, 0);
	return ret < 0 ? ret : 1;
}

/* INT1 raises #DB with DR6 as it was, pc still at it. */
static bool is_int1(struct vcpu *vcpu, uint64_t dr6, uint64_t pc, unsigned *len)
{
	struct x86_decoded d;

	if (dr6 & (X86_DR6_HITS | X86_DR6_BD | X86_DR6_BS | X86_DR6_BT))
		return false;
	d = x86_decode_at(vcpu, pc);
	*len = d.len;
	return d.insn == X86_INSN_INT && d.vector == VECTOR_DB;
}

static int cause_db(struct vcpu *vcpu, uint64_t dr6, struct vm_stop *out)
{
	struct arch_vcpu *a = vcpu->arch;
	int hit = x86_hwbp_hit(&a->slots, &a->debug_regs, dr6, out->pc);
	bool at_target = a->step.active && a->step.target_dr >= 0 && (dr6 & (1ull << a->step.target_dr)) &&
			 out->pc == a->step.target;
	bool back = x86_let_in_ended(vcpu, dr6, out->pc);
	unsigned len;

	if (hit >= 0) {
		const struct hw_slot *s = &a->slots.slot[hit];

		out->kind = s->kind == HW_EXEC ? VM_STOP_HWBREAK : VM_STOP_WATCH;
		out->access = s->kind;
		out->addr = x86_hwbp_hit_address(&a->debug_regs, dr6, (unsigned)hit);
		if (a->step.active && (at_target || (dr6 & X86_DR6_BS)))
			return step_ended(vcpu, out->pc);
		return 0;
	}
	if (is_int1(vcpu, dr6, out->pc, &len)) {
		int ret = x86_give_exception(vcpu, VECTOR_DB, len);

		return ret < 0 ? ret : 1;
	}
	if (a->step.active && (at_target || (dr6 & X86_DR6_BS) || !(dr6 & X86_DR6_HITS))) {
		if (!at_target && stalled(a))
			return 1; /* the next arm, a step's own, goes on counting */
		int ret = step_ended(vcpu, out->pc);

		return ret < 0 ? ret : step_told(a, out);
	}
	if (back && a->let_in.first) { /* now the step itself */
		a->let_in.first = false;
		return 1;
	}
	if (back) {
		out->kind = VM_STOP_STEPPED;
		return 0;
	}
	if (x86_let_in_hit(a, dr6, out->pc)) {
		x86_let_in_goes_on(vcpu);
		return 1;
	}
	if (dr6 & X86_DR6_BS)
		return stray_step(vcpu, dr6);
	if (dr6 & (X86_DR6_HITS | X86_DR6_BD | X86_DR6_BT)) {
		int ret = give_db(vcpu, dr6);

		return ret < 0 ? ret : 1;
	}
	return 1; /* no reason given: nothing to tell */
}

int arch_debug_cause(struct vcpu *vcpu, struct vm_stop *out)
{
	const struct kvm_debug_exit_arch *x = &vcpu->run->debug.arch;
	struct arch_vcpu *a = vcpu->arch;
	int ret = a->synced ? 0 : x86_regs_reload(vcpu);

	if (ret < 0)
		return ret;
	memset(out, 0, sizeof(*out));
	out->pc = arch_pc(vcpu);
	a->ran = true;
	/* x->dr7 is not filled on every host: what was armed is what counts. */
	if (x->exception == VECTOR_DB)
		return cause_db(vcpu, x->dr6, out);
	if (x->exception != VECTOR_BP) {
		log_error("CPU %d: KVM_EXIT_DEBUG for exception %u", vcpu->id, x->exception);
		return -EIO;
	}
	a->break_failed = false;
	out->kind = VM_STOP_SWBREAK;
	out->addr = out->pc;
	return 0;
}

/*
 * HLT: the CPU would be halted once the step has ended, and a debugger's user has stepped past it. Moreover
 * interpreting hosts remember the request and halt after the first instruction of the next free run.
 */
bool arch_step_alone(struct vcpu *vcpu, struct vm_stop *out)
{
	struct arch_vcpu *a = vcpu->arch;

	if (!a->step.active || a->step.done || a->step.insn.insn != X86_INSN_HLT || a->step.behind ||
		a->sregs->ss.dpl || a->regs->rip != a->step.before.rip)
		return false;
	a->regs->rip += a->step.insn.len;
	a->regs_dirty = true;
	a->ran = true;
	memset(out, 0, sizeof(*out));
	out->pc = arch_pc(vcpu);
	if (step_ended(vcpu, out->pc) < 0)
		return false;
	step_told(a, out);
	return true;
}

int arch_step_finished(struct vcpu *vcpu, struct vm_stop *out)
{
	int ret = arch_regs_fetch(vcpu);

	memset(out, 0, sizeof(*out));
	out->pc = arch_pc(vcpu);
	return ret < 0 ? ret : step_told(vcpu->arch, out);
}

void x86_given(struct vcpu *vcpu, unsigned vector, bool error_code)
{
	struct arch_vcpu *a = vcpu->arch;

	a->given = (struct given_exception){
		.active = true, .error_code = error_code, .vector = vector, .rip = a->regs->rip, .rsp = a->regs->rsp};
}

int arch_inject_break(struct vcpu *vcpu)
{
	int ret;

	/* Where INT3 does not trap, injection does not know its length either: pc goes first. */
	if (vcpu->arch->break_failed)
		return x86_give_exception(vcpu, VECTOR_BP, 1);
	ret = set_guest_debug(vcpu, &vcpu->arch->armed, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP);
	if (ret == 0)
		x86_given(vcpu, VECTOR_BP, false);
	return ret;
}

void arch_time_stop(struct vcpu *vcpu)
{
	(void)vcpu; /* its clock runs on, see arch_time_resume() */
}

void arch_time_resume(struct vcpu *vcpu)
{
	/* EINVAL: the guest uses no kvmclock. Nothing to be done about any other failure either. */
	(void)kvm_ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
}

int arch_slots_check(struct vm *vm, const struct hw_slots *slots)
{
	struct x86_debug_regs regs;

	for (unsigned i = 0; i < slots->n; i++) {
		if (slots->slot[i].kind != HW_EXEC && !host_probe_watches(host_facts(vm->kvm_fd), slots->slot[i].kind))
			return -EOPNOTSUPP;
	}
	return x86_hwbp_encode(slots, &regs);
}

enum vm_swbreak arch_swbreak(struct vcpu *vcpu)
{
	const struct host_probe *host = host_facts(vcpu->vm->kvm_fd);
	const struct arch_vcpu *a = vcpu->arch;
	bool waiting = a->mp_state == KVM_MP_STATE_UNINITIALIZED || a->mp_state == KVM_MP_STATE_INIT_RECEIVED;
	enum host_swbreak how;

	/* A CPU that has not started is in real mode on paper only: its code will be the kernel's. */
	how = !(a->sregs->cr0 & 1) && !waiting ? host->swbreak_reset : host->swbreak;
	return how == HOST_SWBREAK_NONE ? VM_SWBREAK_HW : VM_SWBREAK_PLANT;
}

void arch_code_written(struct vm *vm, void *host, size_t len)
{
	(void)vm; /* instruction fetch is coherent */
	(void)host;
	(void)len;
}
