/*
 * What a single-step needs besides the trap flag, and what it leaves behind.
 *
 * A step is RFLAGS.TF, set by KVM behind the guest's back (software KVMs do it without TF, and then most of this finds
 * nothing to do):
 *   - PUSHF, SYSCALL (in R11) and INT n save RFLAGS with our TF: it is taken out of the copy when the step has ended.
 *   - SYSCALL and INT n clear TF, so no trap comes at the handler's first instruction: a private execution breakpoint
 *     waits there, when a debug register is free. Without one the step ends after the handler's return.
 *   - IRET and SYSRET: the same breakpoint waits where they return to. SYSRET traps by the TF that it loads.
 *   - MOV to SS and POP SS put the trap off: the step is one of the next instruction as well, on most hosts.
 *   - KVM hides TF while it steps and drops the guest's own. What the guest's would be is followed through POPF, IRET
 *     and SYSRET, kept in guest_tf, and put back when stepping ends.
 * Sources: Intel SDM volume 3B, 17.3.1.4; volume 3A, 6.12.1 and 6.14.2 (frames); volume 2, SYSCALL.
 */
#include "arch/x86_64/arch_x86.h"

#include <string.h>

#include "arch/x86_64/mmu.h"
#include "vmm/kvm.h"

#define RFLAGS_TF (1ull << 8)
#define MSR_LSTAR 0xc0000082

/* In the first eight bytes of a gate */
#define GATE_PRESENT   (1ull << 47)
#define GATE_DPL_SHIFT 45
#define GATE_IS_32     (1ull << 43)

uint64_t x86_stack_address(const struct arch_vcpu *a, uint64_t rsp)
{
	if (x86_is_64bit(a->sregs))
		return rsp;
	return (uint32_t)(a->sregs->ss.base + (a->sregs->ss.db ? (uint32_t)rsp : (uint16_t)rsp));
}

/* A saved RFLAGS image at `off` bytes above the stack pointer: only its low 16 bits matter here. */
static bool image_tf(struct vcpu *vcpu, unsigned off)
{
	uint64_t addr = x86_stack_address(vcpu->arch, vcpu->arch->regs->rsp + off);
	uint16_t flags;

	return x86_linear_read(vcpu, addr, &flags, sizeof(flags)) == sizeof(flags) && (flags & RFLAGS_TF);
}

static void set_image_tf(struct vcpu *vcpu, unsigned off, bool tf)
{
	uint64_t addr = x86_stack_address(vcpu->arch, vcpu->arch->regs->rsp + off);
	uint16_t flags;

	if (x86_linear_read(vcpu, addr, &flags, sizeof(flags)) != sizeof(flags) || !(flags & RFLAGS_TF) == !tf)
		return;
	flags ^= RFLAGS_TF;
	x86_linear_write(vcpu, addr, &flags, sizeof(flags));
}

static uint64_t entry_long(struct vcpu *vcpu, unsigned vector, unsigned *dpl)
{
	const struct kvm_dtable *idt = &vcpu->arch->sregs->idt;
	uint64_t gate[2];

	if (vector * 16 + 15 > idt->limit ||
		x86_linear_read(vcpu, idt->base + vector * 16, gate, sizeof(gate)) != sizeof(gate))
		return 0;
	if (!(gate[0] & GATE_PRESENT))
		return 0;
	*dpl = gate[0] >> GATE_DPL_SHIFT & 3;
	return (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000) | gate[1] << 32;
}

/* Flat code segments are assumed, as everywhere a debugger gives addresses outside long mode. */
static uint64_t entry_legacy(struct vcpu *vcpu, unsigned vector, unsigned *dpl)
{
	const struct kvm_sregs *s = vcpu->arch->sregs;
	bool real = !(s->cr0 & X86_CR0_PE);
	unsigned size = real ? 4 : 8;
	uint64_t gate = 0;

	if (vector * size + size - 1 > s->idt.limit ||
		x86_linear_read(vcpu, s->idt.base + vector * size, &gate, size) != size)
		return 0;
	*dpl = real ? 3 : gate >> GATE_DPL_SHIFT & 3;
	if (real)
		return (gate >> 16 << 4) + (gate & 0xffff);
	if (!(gate & GATE_PRESENT))
		return 0;
	return (gate & 0xffff) | (gate & GATE_IS_32 ? gate >> 32 & 0xffff0000 : 0);
}

uint64_t x86_vector_entry(struct vcpu *vcpu, unsigned vector, unsigned *dpl)
{
	if (vcpu->arch->sregs->efer & X86_EFER_LMA)
		return entry_long(vcpu, vector, dpl);
	return entry_legacy(vcpu, vector, dpl);
}

struct x86_decoded x86_decode_at(struct vcpu *vcpu, uint64_t pc)
{
	const struct kvm_sregs *s = vcpu->arch->sregs;
	uint8_t bytes[X86_INSN_MAX];
	size_t n = x86_linear_read(vcpu, pc, bytes, sizeof(bytes));

	return x86_decode(bytes, n, x86_is_64bit(s) ? X86_CODE_64 : s->cs.db ? X86_CODE_32 : X86_CODE_16);
}

static uint64_t handler_of(struct vcpu *vcpu, const struct x86_decoded *d)
{
	uint64_t entry = 0;
	unsigned dpl;

	if (d->insn == X86_INSN_INT)
		return x86_vector_entry(vcpu, d->vector, &dpl);
	/* SYSCALL from compatibility mode goes elsewhere; it is left to the trap at its return. */
	if (d->insn == X86_INSN_SYSCALL && x86_is_64bit(vcpu->arch->sregs) && x86_msr_get(vcpu, MSR_LSTAR, &entry) < 0)
		return 0;
	return entry;
}

/* Where an IRET in long mode goes: some interpreting hosts miss the trap after it and execute one instruction more. */
static uint64_t return_address(struct vcpu *vcpu, const struct x86_decoded *d)
{
	uint64_t rip = 0;

	if (!x86_is_64bit(vcpu->arch->sregs) ||
		x86_linear_read(vcpu, vcpu->arch->regs->rsp, &rip, d->operand) != d->operand)
		return 0;
	return rip;
}

uint64_t x86_hidden_tf(const struct arch_vcpu *a)
{
	const struct step_state *st = &a->step;

	return st->active && !st->done && a->guest_tf && a->regs->rip == st->before.rip ? RFLAGS_TF : 0;
}

/* What the vCPU does next is to take a queued exception, whatever stands at pc. */
static bool takes_given(struct arch_vcpu *a)
{
	if (a->given.rip != a->regs->rip || a->given.rsp != a->regs->rsp)
		a->given.active = false;
	return a->given.active;
}

void x86_step_prepare(struct vcpu *vcpu, uint64_t pc, struct x86_debug_regs *regs)
{
	struct arch_vcpu *a = vcpu->arch;
	struct step_state *st = &a->step;
	bool given = takes_given(a);
	struct x86_decoded d = x86_decode_at(vcpu, pc);
	/* The same step, armed again because its exit came before it did anything. */
	unsigned stalls = st->active && !st->done && !memcmp(&st->before, a->regs, sizeof(st->before)) ? st->stalls : 0;

	uint64_t behind = 0;

	if (d.insn == X86_INSN_TO_SS) {
		behind = a->regs->rip + d.len;
		d = x86_decode_at(vcpu, pc + d.len);
	}
	if (given)
		d = (struct x86_decoded){.insn = X86_INSN_INT, .vector = a->given.vector};

	memset(st, 0, sizeof(*st));
	st->active = true;
	st->stalls = stalls;
	st->insn = d;
	st->behind = behind;
	st->before = *a->regs;
	st->target_dr = -1;
	st->tf_after = a->guest_tf;
	switch (d.insn) {
	case X86_INSN_POPF:
		st->tf_after = image_tf(vcpu, 0);
		break;
	case X86_INSN_IRET:
		st->tf_after = image_tf(vcpu, d.operand * 2) && !a->tf_leaked;
		st->target = return_address(vcpu, &d);
		break;
	case X86_INSN_SYSRET:
		st->tf_after = a->regs->r11 & RFLAGS_TF;
		st->target = a->regs->rcx;
		break;
	case X86_INSN_INT:
	case X86_INSN_SYSCALL:
		st->target = handler_of(vcpu, &d);
		st->enters_handler = true;
		break;
	default:
		break;
	}
	if (st->target)
		st->target_dr = x86_hwbp_add_private(regs, st->target);
	st->by_target = given && st->target_dr >= 0;
	st->error_code = given && a->given.error_code;
}

/* The frame is instruction pointer, code segment, flags, under an error code where there is one: words of this size. */
unsigned x86_frame_word(const struct arch_vcpu *a)
{
	if (a->sregs->efer & X86_EFER_LMA)
		return 8;
	return a->sregs->cr0 & X86_CR0_PE ? 4 : 2;
}

bool x86_step_entered(const struct arch_vcpu *a, uint64_t pc)
{
	return a->step.enters_handler && a->step.target && pc == a->step.target;
}

/*
 * The instruction faulted, and on this host the step ended in the handler (elsewhere it ends after the handler's
 * return): the frame has our TF in it. It lies above what the handler's first instruction may have pushed.
 */
#define FRAME_SEARCH 8 /* words */

static void repair_fault_frame(struct vcpu *vcpu, uint64_t pc)
{
	struct arch_vcpu *a = vcpu->arch;
	unsigned word = x86_frame_word(a);
	uint8_t stack[FRAME_SEARCH * 8];
	size_t n;

	if (pc - a->step.before.rip <= X86_INSN_MAX || a->guest_tf)
		return;
	n = x86_linear_read(vcpu, x86_stack_address(a, a->regs->rsp), stack, FRAME_SEARCH * word);
	for (size_t at = 0; at + 3 * word <= n; at += word) {
		uint64_t ip = 0, cs = 0;

		memcpy(&ip, stack + at, word);
		memcpy(&cs, stack + at + word, word);
		if (ip != a->step.before.rip || (uint16_t)cs != a->sregs->cs.selector)
			continue;
		set_image_tf(vcpu, at + 2 * word, false);
		return;
	}
}

void x86_step_repair(struct vcpu *vcpu, uint64_t pc)
{
	struct arch_vcpu *a = vcpu->arch;
	struct step_state *st = &a->step;
	bool at_handler = x86_step_entered(a, pc);

	if (st->behind && a->regs->rip == st->behind) { /* only the MOV was made */
		st->insn.insn = X86_INSN_OTHER;
		st->tf_after = a->guest_tf;
	}
	st->done = true;
	a->given.active = false;
	switch (st->insn.insn) {
	case X86_INSN_PUSHF:
		if (a->regs->rsp == st->before.rsp - st->insn.operand)
			set_image_tf(vcpu, 0, a->guest_tf);
		break;
	case X86_INSN_SYSCALL:
		if (at_handler && !(a->regs->r11 & RFLAGS_TF) != !a->guest_tf) {
			a->regs->r11 ^= RFLAGS_TF;
			a->regs_dirty = true;
		}
		break;
	case X86_INSN_INT:
		if (at_handler)
			set_image_tf(vcpu, x86_frame_word(a) * (st->error_code ? 3 : 2), a->guest_tf);
		break;
	case X86_INSN_IRET:
		a->tf_leaked = false;
		break;
	default:
		repair_fault_frame(vcpu, pc);
		break;
	}
	/* SYSCALL's mask may leave TF alone; no system does that, and the handler's own trap would tell. */
	a->guest_tf = at_handler ? false : st->tf_after;
}
