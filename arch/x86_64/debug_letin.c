/*
 * Letting interrupts in during a range step. The step flag would go into the frame that an interrupt pushes, so there
 * is none: the vCPU runs, with a private execution breakpoint where it is. Interrupts that are pending are delivered
 * before that breakpoint is looked at, and their handlers' IRET comes back to it; with none pending it hits at once.
 * Source: Intel SDM volume 3A, 6.9 (priority of exceptions and interrupts); AMD APM volume 2, 8.5.
 */
#include "arch/arch.h"

#include <sys/ioctl.h>

#include "arch/x86_64/arch_x86.h"
#include "vmm/kvm.h"

#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_RF (1ull << 16) /* the next instruction does not look at execution breakpoints */

/* Handlers may execute the same code further down the stack, or on one of their own. */
static bool is_home(const struct arch_vcpu *a)
{
	const struct let_in *l = &a->let_in;

	return a->regs->rsp == l->rsp && a->sregs->cs.selector == l->cs && a->sregs->ss.selector == l->ss;
}

/*
 * STI and MOV SS keep interrupts out for one instruction more. Where that one was a HLT, which is stepped without KVM,
 * KVM does not know that it is past: then it is told.
 */
static bool in_shadow(struct vcpu *vcpu)
{
	const struct step_state *st = &vcpu->arch->step;
	struct kvm_vcpu_events ev;

	if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
		return true;
	if (!ev.interrupt.shadow || !st->done || st->insn.insn != X86_INSN_HLT)
		return ev.interrupt.shadow;
	ev.interrupt.shadow = 0;
	ev.flags = KVM_VCPUEVENT_VALID_SHADOW;
	return ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev) < 0;
}

/* Would an interrupt be taken before the instruction at pc, and a breakpoint on that instruction hit otherwise? */
static bool is_open(struct vcpu *vcpu)
{
	const struct arch_vcpu *a = vcpu->arch;

	return (a->regs->rflags & (RFLAGS_IF | RFLAGS_RF | RFLAGS_TF)) == RFLAGS_IF && !a->guest_tf && !a->tf_leaked &&
	       !a->given.active && !in_shadow(vcpu);
}

bool x86_let_in_arm(struct vcpu *vcpu, bool begin, struct x86_debug_regs *regs)
{
	struct arch_vcpu *a = vcpu->arch;
	struct let_in *l = &a->let_in;
	uint64_t pc = arch_pc(vcpu);

	l->dr = -1;
	l->passing = false;
	if (begin) {
		if (regs->n == X86_DR_COUNT || !is_open(vcpu))
			return false;
		l->pc = pc;
		l->rsp = a->regs->rsp;
		l->cs = a->sregs->cs.selector;
		l->ss = a->sregs->ss.selector;
	} else if (pc == l->pc && !is_home(a)) {
		l->passing = true; /* by a step: the breakpoint would only hit again */
		return false;
	}
	l->dr = x86_hwbp_add_private(regs, l->pc);
	return l->dr >= 0;
}

bool x86_let_in_hit(const struct arch_vcpu *a, uint64_t dr6, uint64_t pc, bool *home)
{
	const struct let_in *l = &a->let_in;

	if (l->dr < 0 || !(dr6 & (1ull << l->dr)) || pc != l->pc)
		return false;
	*home = is_home(a);
	return true;
}
