/* What to tell a human about a vCPU: its state in a word, and all that is known when it cannot go on. */
#include "arch/arch.h"

#include <stdio.h>
#include <string.h>

#include "arch/text.h"
#include "arch/x86_64/arch_x86.h"
#include "vmm/kvm.h"

static const char *mp_state_name(uint32_t state)
{
	switch (state) {
	case KVM_MP_STATE_RUNNABLE:
		return "running";
	case KVM_MP_STATE_UNINITIALIZED:
		return "waiting for INIT";
	case KVM_MP_STATE_INIT_RECEIVED:
		return "waiting for SIPI";
	case KVM_MP_STATE_HALTED:
		return "halted";
	case KVM_MP_STATE_SIPI_RECEIVED:
		return "starting";
	default:
		return "in an unknown state";
	}
}

void arch_vcpu_state_text(struct vcpu *vcpu, char *buf, size_t len)
{
	const struct arch_vcpu *a = vcpu->arch;

	if (a->mp_state == KVM_MP_STATE_UNINITIALIZED || a->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		snprintf(buf, len, "%s", mp_state_name(a->mp_state));
	else
		snprintf(buf, len, "%s, %s, CPL %u", mp_state_name(a->mp_state),
			x86_mode_name(a->sregs, a->regs->rflags), a->sregs->cr0 & 1 ? a->sregs->ss.dpl : 0);
}

/* ---- hints ---- */

/* An instruction of two-byte opcode 0F that interpreters tend to lack, and the feature that makes guests use it. */
struct gap {
	uint8_t opcode;
	int8_t reg; /* ModRM.reg, or -1: any */
	bool rex_w; /* needed */
	const char *what;
	const char *feature;
};

/* clang-format off */
static const struct gap gaps[] = {
	{0xc7, 1, true, "cmpxchg16b", "-cx16"},
	{0xc7, 3, false, "xrstors", "-xsave"},
	{0xc7, 4, false, "xsavec", "-xsave"},
	{0xc7, 5, false, "xsaves", "-xsave"},
	{0xc7, 6, false, "rdrand", "-rdrand"},
	{0xc7, 7, false, "rdseed", "-rdseed"},
	{0xae, 4, false, "xsave", "-xsave"},
	{0xae, 5, false, "xrstor", "-xsave"},
	{0xae, 6, false, "xsaveopt or clwb", "-xsave,-clwb"},
	{0xae, 7, false, "clflushopt", "-clflushopt"},
	{0xae, 0, true, "fxsave64", NULL},
	{0xae, 1, true, "fxrstor64", NULL},
	{0xb8, -1, false, "popcnt", "-popcnt"},
	{0x38, -1, false, "SSSE3 or later", "-ssse3"},
	{0x3a, -1, false, "SSSE3 or later", "-ssse3"},
	{0x10, -1, false, "SSE", NULL},
	{0x11, -1, false, "SSE", NULL},
	{0x28, -1, false, "SSE", NULL},
	{0x29, -1, false, "SSE", NULL},
	{0x57, -1, false, "SSE", NULL},
	{0x6f, -1, false, "SSE2", NULL},
	{0x7f, -1, false, "SSE2", NULL},
	{0xef, -1, false, "SSE2", NULL},
};
/* clang-format on */

static const struct gap *find_gap(const uint8_t *b, size_t n, bool long_code)
{
	bool rex_w = false;
	size_t i = 0;

	while (i < n && (b[i] == 0x66 || b[i] == 0xf0 || b[i] == 0xf2 || b[i] == 0xf3 || b[i] == 0x2e || b[i] == 0x3e ||
				b[i] == 0x64 || b[i] == 0x65))
		i++;
	if (long_code && i < n && (b[i] & 0xf0) == 0x40)
		rex_w = b[i++] & 8;
	if (i + 2 >= n || b[i] != 0x0f)
		return NULL;
	for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
		if (gaps[g].opcode == b[i + 1] && (gaps[g].reg < 0 || gaps[g].reg == (b[i + 2] >> 3 & 7)) &&
			(!gaps[g].rex_w || rex_w))
			return &gaps[g];
	}
	return NULL;
}

/* ---- the description ---- */

static void put_hint(struct text *t, const uint8_t *bytes, size_t n, bool long_code)
{
	const struct gap *g = find_gap(bytes, n, long_code);

	if (long_code && n && (bytes[0] == 0xc4 || bytes[0] == 0xc5))
		text_put(t, "\nthis host's KVM interprets guests and lacks AVX: try --cpu-features -avx");
	else if (g && g->feature)
		text_put(t, "\nthis host's KVM interprets guests and lacks %s: try --cpu-features %s", g->what,
			g->feature);
	else if (g)
		text_put(t,
			"\nthis host's KVM interprets guests and lacks %s: this guest needs a KVM on hardware "
			"virtualisation",
			g->what);
}

static void put_internal_error(
	struct text *t, const struct kvm_run *run, const uint8_t *bytes, size_t n, bool long_code)
{
	static const char *const names[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "instruction cannot be emulated",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "exception while an exception was delivered",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "exit while an event was delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "unexpected exit of the hardware",
	};
	uint32_t sub = run->internal.suberror;
	bool known = sub < sizeof(names) / sizeof(names[0]) && names[sub];

	text_put(t, "KVM internal error, suberror %u (%s)", sub, known ? names[sub] : "unknown");
	for (uint32_t i = 0; i < run->internal.ndata && i < 16; i++)
		text_put(t, "%s0x%llx", i ? " " : ", data ", (unsigned long long)run->internal.data[i]);
	if (sub == KVM_INTERNAL_ERROR_EMULATION)
		put_hint(t, bytes, n, long_code);
}

static void put_exit(struct text *t, const struct kvm_run *run, const uint8_t *bytes, size_t n, bool long_code)
{
	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		put_internal_error(t, run, bytes, n, long_code);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		text_put(t, "the processor refused to enter the guest, reason 0x%llx",
			(unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_UNKNOWN:
		text_put(t, "exit of unknown hardware reason 0x%llx", (unsigned long long)run->hw.hardware_exit_reason);
		break;
	case KVM_EXIT_SHUTDOWN:
		text_put(t, "triple fault");
		break;
	case KVM_EXIT_IO:
	case KVM_EXIT_MMIO:
		text_put(t, "after an access to a device");
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
	uint8_t bytes[X86_INSN_MAX];
	uint64_t pc;
	size_t n;

	if (!len)
		return;
	buf[0] = '\0';
	if (!a->synced)
		(void)x86_regs_reload(vcpu);
	pc = arch_pc(vcpu);
	n = x86_linear_read(vcpu, pc, bytes, sizeof(bytes));
	text_put(&t, "pc 0x%llx (%s, CPL %u), code", (unsigned long long)pc, x86_mode_name(a->sregs, a->regs->rflags),
		a->sregs->cr0 & 1 ? a->sregs->ss.dpl : 0);
	for (size_t i = 0; i < n; i++)
		text_put(&t, " %02x", bytes[i]);
	text_put(&t, "%s: ", n ? "" : " not mapped");
	put_exit(&t, vcpu->run, bytes, n, x86_is_64bit(a->sregs));
}
