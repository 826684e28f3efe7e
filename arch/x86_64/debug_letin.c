/*
 * Letting interrupts in during a range step. The step flag would go into the frame that an interrupt pushes, so there
 * is none: the vCPU runs, with a private execution breakpoint where it is ("home"). Interrupts that are pending are
 * delivered before that breakpoint is looked at, and their handlers' IRET comes back to it; with none pending it hits
 * at once. Source: Intel SDM volume 3A, 6.9 (priority of exceptions and interrupts); AMD APM volume 2, 8.5.
 *
 * Some emulated processors save RF with every interrupt, and the IRET that loads it goes past the breakpoint. So the
 * first interrupt is met in its handler: the breakpoint waits there, the vector being read from the interrupt
 * controllers. Where its frame shows RF, that is how all of them are met, and TF in the frame is what waits for the
 * return. It is in guest memory while the vCPU runs only, and comes to light one instruction behind home.
 *
 * A stop may come while KVM delivers an interrupt. KVM then delivers it at the next entry, whatever BLOCKIRQ says;
 * where that would be a step, the interrupt is let in first.
 */
#include "arch/arch.h"

#include <errno.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/mmu.h"
#include "vmm/kvm.h"

#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_RF (1ull << 16) /* the next instruction does not look at execution breakpoints */

/* Local APIC registers: SDM volume 3A, 10.4.1 */
#define APIC_PPR     0x0a0
#define APIC_SVR     0x0f0
#define APIC_IRR     0x200 /* 8 of 32 bits, 16 bytes apart */
#define APIC_ENABLED (1u << 8)
#define PIC_CASCADE  2

/* ---- what is pending ---- */

static uint32_t apic_reg(const struct kvm_lapic_state *s, unsigned reg)
{
	uint32_t v;

	memcpy(&v, s->regs + reg, sizeof(v));
	return v;
}

/* Highest vector that waits in the local APIC and may interrupt what is in service; -1: none. */
static int apic_pending(struct vcpu *vcpu)
{
	struct kvm_lapic_state s;

	if (kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &s) < 0 || !(apic_reg(&s, APIC_SVR) & APIC_ENABLED))
		return -1;
	for (int i = 7; i >= 0; i--) {
		uint32_t irr = apic_reg(&s, APIC_IRR + 16 * (unsigned)i);
		int vector = irr ? i * 32 + 31 - __builtin_clz(irr) : -1;

		if (irr)
			return vector >> 4 > (int)(apic_reg(&s, APIC_PPR) >> 4 & 0xf) ? vector : -1;
	}
	return -1;
}

static int pic_request(const struct vm *vm, uint32_t chip, unsigned *base)
{
	struct kvm_irqchip c = {.chip_id = chip};
	unsigned wanted;

	if (kvm_ioctl(vm->vm_fd, KVM_GET_IRQCHIP, &c) < 0)
		return -1;
	wanted = c.chip.pic.irr & (uint8_t)~c.chip.pic.imr;
	*base = c.chip.pic.irq_base;
	return wanted ? __builtin_ctz(wanted) : -1;
}

/* The same for the PICs, which interrupt the first CPU only. */
static int pic_pending(struct vcpu *vcpu)
{
	unsigned base;
	int irq = vcpu->id ? -1 : pic_request(vcpu->vm, KVM_IRQCHIP_PIC_MASTER, &base);

	if (irq == PIC_CASCADE)
		irq = pic_request(vcpu->vm, KVM_IRQCHIP_PIC_SLAVE, &base);
	return irq < 0 ? -1 : (int)base + irq;
}

/*
 * STI and MOV SS keep interrupts out for one instruction more. Where that one was a HLT, which is stepped without KVM,
 * KVM does not know that it is past: then it is told.
 */
static bool in_shadow(struct vcpu *vcpu)
{
	const struct step_state *st = &vcpu->arch->step;
	struct kvm_vcpu_events ev;

	if (kvm_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
		return true;
	if (!ev.interrupt.shadow || !st->done || st->insn.insn != X86_INSN_HLT)
		return ev.interrupt.shadow;
	ev.interrupt.shadow = 0;
	ev.flags = KVM_VCPUEVENT_VALID_SHADOW;
	return kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev) < 0;
}

/* Would an interrupt be taken before the instruction at pc, and a breakpoint on that instruction hit otherwise? */
static bool is_open(struct vcpu *vcpu)
{
	const struct arch_vcpu *a = vcpu->arch;

	return (a->regs->rflags & (RFLAGS_IF | RFLAGS_RF | RFLAGS_TF)) == RFLAGS_IF && !a->guest_tf && !a->tf_leaked &&
	       !a->given.active && !in_shadow(vcpu);
}

/* Has KVM begun to deliver anything? 0, 1, or -errno. */
static int events_begun(struct vcpu *vcpu, struct kvm_vcpu_events *ev)
{
	if (kvm_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, ev) < 0)
		return -errno;
	return ev->exception.injected || ev->interrupt.injected;
}

/* Vector of the interrupt that comes next; -1: none. */
static int next_interrupt(struct vcpu *vcpu)
{
	struct kvm_vcpu_events ev;
	int vector;

	if (events_begun(vcpu, &ev) > 0 && ev.interrupt.injected)
		return ev.interrupt.nr;
	vector = apic_pending(vcpu);
	return vector < 0 ? pic_pending(vcpu) : vector;
}

/* ---- arming ---- */

/* Handlers may execute the same code further down the stack, or on one of their own. */
static bool is_home(const struct arch_vcpu *a)
{
	const struct let_in *l = &a->let_in;

	return a->regs->rip == l->rip && a->regs->rsp == l->rsp && a->sregs->cs.selector == l->cs &&
	       a->sregs->ss.selector == l->ss;
}

static enum x86_let_in begin(struct vcpu *vcpu, const struct x86_debug_regs *regs)
{
	struct arch_vcpu *a = vcpu->arch;
	struct let_in *l = &a->let_in;
	unsigned dpl;
	int vector;

	memset(l, 0, sizeof(*l));
	if (regs->n == X86_DR_COUNT || !is_open(vcpu))
		return X86_LET_IN_REFUSED;
	l->rip = a->regs->rip;
	l->rsp = a->regs->rsp;
	l->cs = a->sregs->cs.selector;
	l->ss = a->sregs->ss.selector;
	l->home = l->wait = arch_pc(vcpu);
	if (atomic_load(&vcpu->vm->arch->irq_frames) == X86_FRAMES_PLAIN || !(a->sregs->cr0 & X86_CR0_PE))
		return X86_LET_IN_RUNS;
	vector = next_interrupt(vcpu);
	if (vector < 0)
		return X86_LET_IN_NONE;
	l->wait = x86_vector_entry(vcpu, (unsigned)vector, &dpl);
	l->at_entry = true;
	return l->wait ? X86_LET_IN_RUNS : X86_LET_IN_REFUSED;
}

static void set_trap(struct vcpu *vcpu, bool on)
{
	uint64_t at = vcpu->arch->let_in.flags_at;
	uint16_t flags;

	if (x86_linear_read(vcpu, at, &flags, sizeof(flags)) != sizeof(flags) || !(flags & RFLAGS_TF) == !on)
		return;
	flags ^= RFLAGS_TF;
	x86_linear_write(vcpu, at, &flags, sizeof(flags));
}

enum x86_let_in x86_let_in_arm(struct vcpu *vcpu, bool anew, struct x86_debug_regs *regs)
{
	struct arch_vcpu *a = vcpu->arch;
	struct let_in *l = &a->let_in;
	enum x86_let_in how = anew ? begin(vcpu, regs) : X86_LET_IN_RUNS;

	l->armed = true;
	l->dr = -1;
	l->passing = false;
	if (how != X86_LET_IN_RUNS)
		return how;
	if (l->trap) {
		set_trap(vcpu, true);
	} else if (!anew && !l->at_entry && arch_pc(vcpu) == l->home && !is_home(a)) {
		l->passing = true; /* the breakpoint would only hit again */
		return X86_LET_IN_PASSES;
	} else {
		l->dr = x86_hwbp_add_private(regs, l->wait);
	}
	return how;
}

void x86_let_in_leave(struct vcpu *vcpu)
{
	struct let_in *l = &vcpu->arch->let_in;

	l->armed = l->passing = l->first = false;
	l->dr = -1;
	/* A system that has copied a user program's frame has our TF in the copy. */
	if (l->trap && (l->cs & 3))
		vcpu->arch->tf_leaked = true;
}

enum x86_let_in x86_let_in_first(struct vcpu *vcpu, bool after_step, struct x86_debug_regs *regs)
{
	struct let_in *l = &vcpu->arch->let_in;
	struct kvm_vcpu_events ev;
	int begun = 0;

	if (l->armed && l->first)
		return x86_let_in_arm(vcpu, false, regs);
	if (!after_step && !vcpu->arch->given.active)
		begun = events_begun(vcpu, &ev);
	if (begun < 0)
		return X86_LET_IN_FAILED;
	if (begun) {
		if (!ev.exception.injected && x86_let_in_arm(vcpu, true, regs) == X86_LET_IN_RUNS) {
			l->first = true;
			return X86_LET_IN_RUNS;
		}
		x86_given(vcpu, ev.exception.injected ? ev.exception.nr : ev.interrupt.nr,
			ev.exception.injected && ev.exception.has_error_code);
	}
	x86_let_in_leave(vcpu);
	return X86_LET_IN_NONE;
}

/* ---- exits ---- */

/* At a handler's first instruction: is it what has interrupted us? Then what comes next is its return. */
static void at_entry(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	struct let_in *l = &a->let_in;
	uint64_t frame[3] = {0}, at;
	unsigned word = x86_frame_word(a);

	l->at_entry = false;
	l->wait = l->home;
	at = x86_stack_address(a, a->regs->rsp);
	for (unsigned i = 0; i < 3; i++) {
		if (x86_linear_read(vcpu, at + i * word, &frame[i], word) != word)
			return;
	}
	if (frame[0] != l->rip || (uint16_t)frame[1] != l->cs)
		return;
	l->trap = frame[2] & RFLAGS_RF;
	l->flags_at = at + 2 * word;
	atomic_store(&vcpu->vm->arch->irq_frames, l->trap ? X86_FRAMES_WITH_RF : X86_FRAMES_PLAIN);
}

bool x86_let_in_ended(struct vcpu *vcpu, uint64_t dr6, uint64_t pc)
{
	struct arch_vcpu *a = vcpu->arch;
	struct let_in *l = &a->let_in;

	if (l->armed && l->trap && (dr6 & X86_DR6_BS)) {
		l->trap = false;
		a->regs->rflags &= ~RFLAGS_TF;
		a->regs_dirty = true;
		return true;
	}
	return x86_let_in_hit(a, dr6, pc) && !l->at_entry && is_home(a);
}

bool x86_let_in_hit(const struct arch_vcpu *a, uint64_t dr6, uint64_t pc)
{
	return a->let_in.dr >= 0 && (dr6 & (1ull << a->let_in.dr)) && pc == a->let_in.wait;
}

void x86_let_in_goes_on(struct vcpu *vcpu)
{
	if (vcpu->arch->let_in.at_entry)
		at_entry(vcpu);
}

void x86_let_in_parks(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	struct let_in *l = &a->let_in;

	if (!l->trap)
		return;
	if (is_home(a)) { /* the handler has returned, and TF been loaded, but that is all */
		l->trap = false;
		a->regs->rflags &= ~RFLAGS_TF;
		a->regs_dirty = true;
	} else {
		set_trap(vcpu, false);
	}
}
