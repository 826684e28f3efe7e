/*
 * The interrupt controllers that KVM has, as a debugger shows them; and what a debugger does to them. Sources: Intel
 * SDM volume 3A chapter 10 (local APIC), the data sheets of the 82093AA (I/O APIC) and the 8259A (PIC).
 */
#include "arch/arch.h"

#include <errno.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "arch/text.h"
#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/layout.h"
#include "vmm/kvm.h"

const char arch_chips[] = "lapic, ioapic, pic";

bool arch_kernel_region(struct vm *vm, size_t i, struct region *out)
{
	/* Lengths are those that KVM answers in. */
	static const struct region regions[] = {
		{REGION_KERNEL, false, LAYOUT_IOAPIC, 0x100, "I/O APIC"},
		{REGION_KERNEL, false, LAYOUT_LAPIC, 0x1000, "local APIC"},
		{REGION_KERNEL, true, 0x20, 2, "PIC"},
		{REGION_KERNEL, true, 0x40, 4, "PIT"},
		{REGION_KERNEL, true, 0x61, 1, "PIT's speaker gate"},
		{REGION_KERNEL, true, 0xa0, 2, "second PIC"},
		{REGION_KERNEL, true, 0x4d0, 2, "PICs' edge/level control"},
	};

	(void)vm;
	if (i >= sizeof(regions) / sizeof(regions[0]))
		return false;
	*out = regions[i];
	return true;
}

/* ---- the local APIC ---- */

#define APIC_ID	     0x020
#define APIC_VERSION 0x030
#define APIC_TPR     0x080
#define APIC_PPR     0x0a0
#define APIC_LDR     0x0d0
#define APIC_DFR     0x0e0
#define APIC_SVR     0x0f0
#define APIC_ISR     0x100
#define APIC_TMR     0x180
#define APIC_IRR     0x200
#define APIC_ESR     0x280
#define APIC_ICR_LOW 0x300
#define APIC_ICR_HI  0x310
#define APIC_LVT     0x320
#define APIC_TMICT   0x380
#define APIC_TMCCT   0x390
#define APIC_TDCR    0x3e0
#define APIC_STEP    0x10

#define SVR_ENABLED	   (1u << 8)
#define LVT_MASKED	   (1u << 16)
#define LVT_LEVEL	   (1u << 15)
#define LVT_IRR		   (1u << 14)
#define LVT_LOW		   (1u << 13)
#define LVT_PENDING	   (1u << 12)
#define LVT_MODE(v)	   ((v) >> 8 & 7)
#define LVT_TIMER_MODE(v)  ((v) >> 17 & 3)
#define MSR_IA32_APICBASE  0x1b
#define APICBASE_X2APIC	   (1ull << 10)
#define APICBASE_ENABLED   (1ull << 11)
#define MSR_TSC_DEADLINE   0x6e0
#define TIMER_TSC_DEADLINE 2

static const char *const delivery_modes[] = {"fixed", "lowest", "SMI", "reserved", "NMI", "INIT", "SIPI", "ExtINT"};

static uint32_t apic_reg(const struct kvm_lapic_state *apic, unsigned offset)
{
	uint32_t value;

	memcpy(&value, apic->regs + offset, sizeof(value));
	return value;
}

/* 256 bits in eight registers. */
static void put_vectors(struct text *t, const struct kvm_lapic_state *apic, const char *name, unsigned offset)
{
	bool any = false;

	text_put(t, "%s", name);
	for (unsigned v = 0; v < 256; v++) {
		if (!(apic_reg(apic, offset + v / 32 * APIC_STEP) >> v % 32 & 1))
			continue;
		text_put(t, " 0x%02x", v);
		any = true;
	}
	text_put(t, "%s\n", any ? "" : " none");
}

static void put_lvt(struct text *t, const struct kvm_lapic_state *apic)
{
	static const char *const names[] = {"timer", "thermal", "perfmon", "LINT0", "LINT1", "error"};
	static const char *const timer_modes[] = {"one-shot", "periodic", "TSC-deadline", "reserved"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint32_t v = apic_reg(apic, APIC_LVT + i * APIC_STEP);

		text_put(t, "LVT %-8s vector 0x%02x, %s%s%s%s%s%s\n", names[i], v & 0xff,
			i ? delivery_modes[LVT_MODE(v)] : timer_modes[LVT_TIMER_MODE(v)],
			v & LVT_LEVEL ? ", level" : "", v & LVT_LOW ? ", active low" : "",
			v & LVT_IRR ? ", remote IRR" : "", v & LVT_PENDING ? ", pending" : "",
			v & LVT_MASKED ? ", masked" : "");
	}
}

static void put_timer(struct text *t, struct vcpu *vcpu, const struct kvm_lapic_state *apic)
{
	static const unsigned divide[] = {2, 4, 8, 16, 32, 64, 128, 1};
	uint32_t tdcr = apic_reg(apic, APIC_TDCR);
	uint64_t deadline;

	text_put(t, "timer        initial count %u, current %u, divided by %u", apic_reg(apic, APIC_TMICT),
		apic_reg(apic, APIC_TMCCT), divide[(tdcr & 3) | (tdcr >> 1 & 4)]);
	if (LVT_TIMER_MODE(apic_reg(apic, APIC_LVT)) == TIMER_TSC_DEADLINE &&
		x86_msr_get(vcpu, MSR_TSC_DEADLINE, &deadline) == 0)
		text_put(t, ", deadline 0x%llx", (unsigned long long)deadline);
	text_put(t, "\n");
}

static int put_lapic(struct text *t, struct vcpu *vcpu)
{
	struct kvm_lapic_state apic;
	uint64_t base = 0;
	uint32_t svr, icr;

	if (kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &apic) < 0)
		return -errno;
	x86_msr_get(vcpu, MSR_IA32_APICBASE, &base);
	svr = apic_reg(&apic, APIC_SVR);
	icr = apic_reg(&apic, APIC_ICR_LOW);
	text_put(t, "local APIC of CPU %d at 0x%llx: %s%s\n", vcpu->id, (unsigned long long)(base & ~0xfffull),
		base & APICBASE_ENABLED ? "enabled" : "disabled", base & APICBASE_X2APIC ? ", x2APIC" : "");
	/* KVM hands the ID out in the xAPIC's place in either mode. */
	text_put(t, "ID           0x%x, version 0x%x\n", apic_reg(&apic, APIC_ID) >> 24, apic_reg(&apic, APIC_VERSION));
	text_put(t, "TPR          0x%02x, PPR 0x%02x, LDR 0x%08x, DFR 0x%08x, ESR 0x%x\n",
		apic_reg(&apic, APIC_TPR) & 0xff, apic_reg(&apic, APIC_PPR) & 0xff, apic_reg(&apic, APIC_LDR),
		apic_reg(&apic, APIC_DFR), apic_reg(&apic, APIC_ESR));
	text_put(t, "SVR          0x%08x: %s, spurious vector 0x%02x\n", svr,
		svr & SVR_ENABLED ? "enabled" : "disabled by software", svr & 0xff);
	text_put(t, "ICR          0x%08x, to 0x%08x: %s\n", icr, apic_reg(&apic, APIC_ICR_HI),
		delivery_modes[LVT_MODE(icr)]);
	put_lvt(t, &apic);
	put_timer(t, vcpu, &apic);
	put_vectors(t, &apic, "ISR (served) ", APIC_ISR);
	put_vectors(t, &apic, "IRR (waiting)", APIC_IRR);
	put_vectors(t, &apic, "TMR (level)  ", APIC_TMR);
	return 0;
}

/* ---- I/O APIC and PIC ---- */

static int put_ioapic(struct text *t, struct vcpu *vcpu)
{
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};

	if (kvm_ioctl(vcpu->vm->vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
		return -errno;
	text_put(t, "I/O APIC at 0x%llx, ID %u\n", (unsigned long long)chip.chip.ioapic.base_address,
		chip.chip.ioapic.id);
	for (unsigned i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
		uint64_t v = chip.chip.ioapic.redirtbl[i].bits;

		text_put(t, "pin %-2u vector 0x%02x to %s 0x%02x, %s, %s%s%s%s%s%s\n", i, (unsigned)(v & 0xff),
			v & 1u << 11 ? "logical" : "APIC", (unsigned)(v >> 56), delivery_modes[LVT_MODE((uint32_t)v)],
			v & LVT_LEVEL ? "level" : "edge", v & LVT_LOW ? ", active low" : "",
			v & LVT_IRR ? ", remote IRR" : "", v & LVT_PENDING ? ", pending" : "",
			v & LVT_MASKED ? ", masked" : "", chip.chip.ioapic.irr >> i & 1 ? ", waiting" : "");
	}
	return 0;
}

static int put_pic(struct text *t, struct vcpu *vcpu)
{
	for (uint32_t id = KVM_IRQCHIP_PIC_MASTER; id <= KVM_IRQCHIP_PIC_SLAVE; id++) {
		struct kvm_irqchip chip = {.chip_id = id};
		const struct kvm_pic_state *p = &chip.chip.pic;

		if (kvm_ioctl(vcpu->vm->vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
			return -errno;
		text_put(t, "pic%u: irr=%02x imr=%02x isr=%02x elcr=%02x vectors from 0x%02x%s\n", id, p->irr, p->imr,
			p->isr, p->elcr, p->irq_base, p->init_state ? ", being initialised" : "");
	}
	return 0;
}

int arch_chip_text(struct vcpu *vcpu, const char *name, char *buf, size_t len)
{
	struct text t = {.buf = buf, .len = len};

	if (!strcmp(name, "lapic"))
		return put_lapic(&t, vcpu);
	if (!strcmp(name, "ioapic"))
		return put_ioapic(&t, vcpu);
	if (!strcmp(name, "pic"))
		return put_pic(&t, vcpu);
	return -ENOENT;
}

/* ---- NMI ---- */

/* A CPU that waits for INIT or SIPI keeps the NMI, and KVM_RUN would return at once for as long as it waits. */
int arch_nmi(struct vcpu *vcpu)
{
	struct kvm_mp_state mp;

	if (kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) < 0)
		return -errno;
	if (mp.mp_state != KVM_MP_STATE_RUNNABLE && mp.mp_state != KVM_MP_STATE_HALTED)
		return -EAGAIN;
	return kvm_ioctl(vcpu->fd, KVM_NMI, 0) < 0 ? -errno : 0;
}
