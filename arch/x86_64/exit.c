/* Exits that only x86 knows. */
#include "arch/arch.h"

#include <errno.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/mmu.h"
#include "vmm/kvm.h"

#define VECTOR_UD  6
#define VECTOR_GP  13
#define EXCEPTIONS 32 /* vectors below are the processor's */
#define ERROR_IDT  2u /* in an error code: the selector is a vector */

static int queue_exception(struct vcpu *vcpu, unsigned vector, bool has_error, uint32_t error)
{
	struct kvm_vcpu_events ev;

	if (kvm_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
		return -errno;
	if (vector < EXCEPTIONS) {
		memset(&ev.exception, 0, sizeof(ev.exception));
		ev.exception.injected = 1;
		ev.exception.nr = (uint8_t)vector;
		ev.exception.has_error_code = has_error;
		ev.exception.error_code = error;
	} else {
		ev.interrupt.injected = 1;
		ev.interrupt.nr = (uint8_t)vector;
		ev.interrupt.soft = 1;
	}
	if (kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev) < 0)
		return -errno;
	x86_given(vcpu, vector, has_error);
	return 0;
}

int x86_give_exception(struct vcpu *vcpu, unsigned vector, unsigned len)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret;

	a->regs->rip += len;
	a->regs_dirty = true;
	ret = x86_regs_flush(vcpu);
	return ret < 0 ? ret : queue_exception(vcpu, vector, false, 0);
}

/* INT n and INT3 may use only gates open to their privilege; what else is wrong with a gate shows on delivery. */
static bool gate_is_closed(struct vcpu *vcpu, const struct x86_decoded *d)
{
	const struct kvm_sregs *s = vcpu->arch->sregs;
	unsigned dpl;

	if (d->vector == 1 || !(s->cr0 & X86_CR0_PE) || !x86_vector_entry(vcpu, d->vector, &dpl))
		return false; /* INT1 is not checked */
	return s->ss.dpl > dpl;
}

/* What KVM has tried to emulate; memory may have been patched since. Where KVM does not say, it is what is there. */
static struct x86_decoded failed_instruction(struct vcpu *vcpu)
{
	const struct kvm_sregs *s = vcpu->arch->sregs;
	struct kvm_run *run = vcpu->run;
	uint8_t bytes[X86_INSN_MAX], n;

	n = run->emulation_failure.insn_size;
	/* ndata counts 64-bit words: the flags, then size and bytes. */
	if (run->emulation_failure.ndata < 3 || n > sizeof(bytes) || !n ||
		!(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return x86_decode_at(vcpu, arch_pc(vcpu));
	memcpy(bytes, run->emulation_failure.insn_bytes, n);
	return x86_decode(bytes, n, x86_is_64bit(s) ? X86_CODE_64 : s->cs.db ? X86_CODE_32 : X86_CODE_16);
}

/* With an emulation failure in the kernel, KVM has queued #UD as well: nobody asked for that yet. */
static int drop_queued_ud(struct vcpu *vcpu)
{
	struct kvm_vcpu_events ev;

	if (kvm_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
		return -errno;
	if (ev.exception.nr != VECTOR_UD || !(ev.exception.injected || ev.exception.pending))
		return 0;
	memset(&ev.exception, 0, sizeof(ev.exception));
	return kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev) < 0 ? -errno : 0;
}

static enum arch_exit failed(struct vcpu *vcpu, int err)
{
	vcpu_failed(vcpu, err);
	return ARCH_EXIT_HANDLED;
}

/*
 * Interpreting hosts cannot emulate INT3, INT n and INT1. A one-byte INT3 may be a planted breakpoint; the others are
 * the guest's own and are delivered on its behalf.
 */
static enum arch_exit emulation_failed(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	struct x86_decoded d;
	int ret = a->synced ? 0 : x86_regs_reload(vcpu);

	if (ret == 0)
		ret = drop_queued_ud(vcpu);
	if (ret < 0)
		return failed(vcpu, ret);
	a->ran = true;
	d = failed_instruction(vcpu);
	if (d.insn != X86_INSN_INT)
		return ARCH_EXIT_WRITE;
	if (d.vector == 3 && d.len == 1) {
		a->break_failed = true;
		return ARCH_EXIT_SWBREAK;
	}
	if (gate_is_closed(vcpu, &d))
		ret = queue_exception(vcpu, VECTOR_GP, true, d.vector << 3 | ERROR_IDT);
	else
		ret = x86_give_exception(vcpu, d.vector, d.len);
	return ret < 0 ? failed(vcpu, ret) : ARCH_EXIT_HANDLED;
}

enum arch_exit arch_vcpu_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_HLT: /* KVM's own APIC waits for interrupts; where this comes nevertheless, go on */
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_TPR_ACCESS:
		return ARCH_EXIT_HANDLED;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		return x86_msr_exit(vcpu, vcpu->run->exit_reason == KVM_EXIT_X86_WRMSR);
	case KVM_EXIT_INTERNAL_ERROR:
		if (vcpu->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
			return emulation_failed(vcpu);
		return vcpu->run->internal.suberror == KVM_INTERNAL_ERROR_DELIVERY_EV ? ARCH_EXIT_WRITE
										      : ARCH_EXIT_UNKNOWN;
	default:
		return ARCH_EXIT_UNKNOWN;
	}
}
