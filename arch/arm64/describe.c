/* What to tell a human about a vCPU: its state in a word, and all that is known when it cannot go on. */
#include "arch/arch.h"

#include <stdio.h>
#include <string.h>

#include "arch/arm64/arch_arm64.h"
#include "arch/text.h"
#include "vmm/kvm.h"

#define SCTLR_M 1ull /* the MMU is on */

static unsigned level(uint64_t pstate)
{
	return pstate & PSTATE_NRW ? 0 : (unsigned)(pstate >> 2 & 3);
}

static const char *mode_note(const struct arch_vcpu *a)
{
	if (a->core[CORE_PSTATE] & PSTATE_NRW)
		return ", AArch32";
	return a->mmu.sctlr & SCTLR_M ? "" : ", MMU off";
}

void arch_vcpu_state_text(struct vcpu *vcpu, char *buf, size_t len)
{
	const struct arch_vcpu *a = vcpu->arch;

	if (a->mp_state == KVM_MP_STATE_STOPPED)
		snprintf(buf, len, "powered off");
	else
		snprintf(buf, len, "%s, EL%u%s", a->in_wfi ? "halted" : "running", level(a->core[CORE_PSTATE]),
			mode_note(a));
}

/* ---- hints ---- */

/* Loads and stores: Arm ARM (DDI 0487), C4.1. */
#define IS_LOAD_STORE(insn) (((insn)&0x0a000000) == 0x08000000)
#define IS_VECTOR(insn)	    ((insn)&0x04000000)
#define IS_PAIR(insn)	    (((insn)&0x38000000) == 0x28000000)
/* LDAR and STLR are among these encodings, but are decodable. */
#define IS_EXCLUSIVE(insn) (((insn)&0x3f000000) == 0x08000000 && ((insn)&0x00a00000) != 0x00800000)
#define IS_ATOMIC(insn)	   (((insn)&0x3b200c00) == 0x38200000)
#define IS_WRITEBACK(insn) (((insn)&0x3b200400) == 0x38000400) /* pre- or post-indexed */
#define IS_CACHE(insn)	   (((insn)&0xfff8f000) == 0xd5087000) /* DC and IC: C5.3 */

/*
 * The processor tells KVM what a load or store was only if it is of one general register and changes no other: Arm ARM,
 * ESR_EL2, ISV in the ISS of a Data Abort. NULL: the instruction is not why.
 */
static const char *undecodable(uint32_t insn)
{
	if (IS_CACHE(insn))
		return "a cache maintenance instruction";
	if (!IS_LOAD_STORE(insn))
		return NULL;
	if (IS_VECTOR(insn))
		return "a load or store of a vector register";
	if (IS_PAIR(insn))
		return "a load or store of a pair of registers";
	if (IS_EXCLUSIVE(insn) || IS_ATOMIC(insn))
		return "an exclusive or atomic access";
	if (IS_WRITEBACK(insn))
		return "a load or store that changes its base register";
	return NULL;
}

/* ---- the description ---- */

static void put_undecodable(struct text *t, const char *what)
{
	text_put(t,
		"\nKVM cannot decode %s: devices take LDR and STR of one general register without writeback; if RAM "
		"was "
		"meant, there is none",
		what ? what : "it");
}

static void put_exit(struct text *t, const struct kvm_run *run, const char *hint)
{
	switch (run->exit_reason) {
	case KVM_EXIT_ARM_NISV:
		text_put(t,
			"an access to physical address 0x%llx, where there is no RAM, that KVM cannot decode (ISS "
			"0x%llx)",
			(unsigned long long)run->arm_nisv.fault_ipa, (unsigned long long)run->arm_nisv.esr_iss);
		put_undecodable(t, hint);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		text_put(t, "KVM internal error, suberror %u", run->internal.suberror);
		for (uint32_t i = 0; i < run->internal.ndata && i < 16; i++)
			text_put(t, "%s0x%llx", i ? " " : ", data ", (unsigned long long)run->internal.data[i]);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		text_put(t, "the processor refused to enter the guest, reason 0x%llx, on CPU %u of the host",
			(unsigned long long)run->fail_entry.hardware_entry_failure_reason, run->fail_entry.cpu);
		break;
	case KVM_EXIT_MMIO:
		text_put(t, "after an access to a device");
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		text_put(t, "system event %u", run->system_event.type);
		break;
	case KVM_EXIT_UNKNOWN: /* KVM_RUN has failed */
	case KVM_EXIT_INTR:
		text_put(t, "KVM_RUN failed");
		if (hint)
			put_undecodable(t, hint);
		break;
	default:
		text_put(t, "KVM exit reason %u", run->exit_reason);
		break;
	}
}

void arch_vcpu_describe(struct vcpu *vcpu, char *buf, size_t len)
{
	const struct arch_vcpu *a = vcpu->arch;
	struct text t = {.buf = buf, .len = len};
	uint64_t pc = arch_pc(vcpu), pstate = a->core[CORE_PSTATE];
	uint32_t insn;
	bool mapped;

	if (!len)
		return;
	buf[0] = '\0';
	mapped = arm64_virt_read(vcpu, pc, &insn, sizeof(insn)) == sizeof(insn);
	text_put(&t, "pc 0x%llx (EL%u%s), instruction ", (unsigned long long)pc, level(pstate), mode_note(a));
	if (mapped)
		text_put(&t, "%08x: ", insn);
	else
		text_put(&t, "not mapped: ");
	put_exit(&t, vcpu->run, mapped && !(pstate & PSTATE_NRW) ? undecodable(insn) : NULL);
}
