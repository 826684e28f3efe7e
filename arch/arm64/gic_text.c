/*
 * The interrupt controller as a debugger shows it; what KVM serves by itself; and what cannot be caught. Sources: Linux
 * Documentation/virt/kvm/devices/arm-vgic-v3.rst and arm-vgic.rst; Arm IHI 0048 (GICv2) and IHI 0069 (GICv3).
 */
#include "arch/arch.h"

#include <errno.h>
#include <string.h>

#include "arch/arm64/arch_arm64.h"
#include "arch/arm64/layout.h"
#include "arch/kvm_call.h"
#include "arch/text.h"
#include "vmm/kvm.h"

const char arch_chips[] = "gic";

#define DIST_SIZE 0x10000ULL
#define CPU_SIZE  0x2000ULL /* GICv2's CPU interface */
#define FRAME_SGI 0x10000   /* of a redistributor: SGIs and PPIs */

bool arch_kernel_region(struct vm *vm, size_t i, struct region *out)
{
	bool v3 = vm->arch->gic_version == 3;

	*out = (struct region){REGION_KERNEL, false, LAYOUT_GIC_DIST, DIST_SIZE, "GIC distributor"};
	if (i == 0)
		return true;
	if (v3)
		*out = (struct region){REGION_KERNEL, false, LAYOUT_GIC_REDIST,
			LAYOUT_REDIST_SIZE * (unsigned)vm->ncpus, "GIC redistributors"};
	else
		*out = (struct region){REGION_KERNEL, false, LAYOUT_GIC_CPU, CPU_SIZE, "GIC CPU interface"};
	return i == 1;
}

/* ---- the GIC ---- */

/* Distributor and SGI frame alike */
#define GICD_CTLR      0x000
#define GICD_TYPER     0x004
#define GICR_WAKER     0x014
#define GICD_ISENABLER 0x100
#define GICD_ISPENDR   0x200
#define GICD_ISACTIVER 0x300
#define GICD_IPRIORITY 0x400
#define GICD_ICFGR     0xc00
#define GICV2_CTLR     0x00 /* of the CPU interface */
#define GICV2_PMR      0x04
#define FIRST_SPI      32
#define TYPER_LINES(v) (32 * (((v)&0x1f) + 1))

/* ICC registers as KVM numbers them: op0 3, and so on; the encoding is that of KVM_GET_ONE_REG without its high bits.
 */
#define ICC_REG(op1, crn, crm, op2) (3ull << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
#define ICC_PMR			    ICC_REG(0ull, 4ull, 6ull, 0ull)
#define ICC_IGRPEN1		    ICC_REG(0ull, 12ull, 12ull, 7ull)

static int get(struct vcpu *vcpu, uint32_t group, uint64_t attr, void *value)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uint64_t)(uintptr_t)value};

	return kvm_ioctl(vcpu->vm->arch->gic_fd, KVM_GET_DEVICE_ATTR, &a) < 0 ? -errno : 0;
}

/* Where the vCPU is in an attribute: its MPIDR with GICv3, its number with GICv2. */
static uint64_t cpu_attr(struct vcpu *vcpu)
{
	uint64_t mpidr = 0;

	if (vcpu->vm->arch->gic_version == 2)
		return (uint64_t)vcpu->id << KVM_DEV_ARM_VGIC_CPUID_SHIFT;
	arm64_get(vcpu, ARM64_SYS_REG(3, 0, 0, 0, 5), &mpidr);
	/* Aff3.Aff2.Aff1.Aff0 in bits 63:32 */
	return (mpidr >> 32 & 0xff) << 56 | (mpidr & 0xffffff) << 32;
}

/* A 32-bit register of the distributor that has the interrupt with this number; private ones are the vCPU's own. */
static int irq_reg(struct vcpu *vcpu, unsigned irq, unsigned offset, uint32_t *value)
{
	uint64_t attr = cpu_attr(vcpu) | offset;

	*value = 0;
	if (irq < FIRST_SPI && vcpu->vm->arch->gic_version == 3)
		return get(vcpu, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, attr + FRAME_SGI, value);
	return get(vcpu, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, attr, value);
}

static uint32_t irq_bit(struct vcpu *vcpu, unsigned irq, unsigned offset)
{
	uint32_t v;

	return irq_reg(vcpu, irq, offset + irq / 32 * 4, &v) < 0 ? 0 : v >> irq % 32 & 1;
}

/* What a level-triggered interrupt's line is; with GICv3 its pending bit does not tell. */
static uint32_t line_level(struct vcpu *vcpu, unsigned irq)
{
	uint64_t attr = cpu_attr(vcpu) | VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT;
	uint32_t v = 0;

	if (vcpu->vm->arch->gic_version == 3)
		get(vcpu, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, attr | (irq / 32 * 32), &v);
	return v >> irq % 32 & 1;
}

static void put_name(struct text *t, unsigned irq)
{
	static const struct {
		unsigned irq;
		const char *name;
	} timers[] = {
		{16 + PPI_TIMER_VIRT, "virtual timer"},
		{16 + PPI_TIMER_PHYS, "physical timer"},
		{16 + PPI_TIMER_HYP, "hypervisor timer"},
		{16 + PPI_TIMER_SECURE, "secure timer"},
	};
	const char *name = irq < 16 ? "SGI" : irq < FIRST_SPI ? "PPI" : "SPI";
	const char *device = irq < FIRST_SPI ? NULL : board_spi_name(irq - FIRST_SPI);

	for (unsigned i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
		if (timers[i].irq == irq)
			device = timers[i].name;
	}
	text_put(t, "%4u  %s %-3u %-16s", irq, name,
		irq < 16	  ? irq
		: irq < FIRST_SPI ? irq - 16
				  : irq - FIRST_SPI,
		device ? device : "");
}

static void put_irq(struct text *t, struct vcpu *vcpu, unsigned irq)
{
	uint32_t enabled = irq_bit(vcpu, irq, GICD_ISENABLER), pending = irq_bit(vcpu, irq, GICD_ISPENDR);
	uint32_t active = irq_bit(vcpu, irq, GICD_ISACTIVER), line = line_level(vcpu, irq), prio, config;

	if (!enabled && !pending && !active && !line)
		return;
	irq_reg(vcpu, irq, GICD_IPRIORITY + irq / 4 * 4, &prio);
	irq_reg(vcpu, irq, GICD_ICFGR + irq / 16 * 4, &config);
	put_name(t, irq);
	text_put(t, " priority 0x%02x, %s%s%s%s%s\n", prio >> irq % 4 * 8 & 0xff,
		config >> (irq % 16 * 2 + 1) & 1 ? "edge" : "level", enabled ? ", enabled" : "",
		pending ? ", pending" : "", active ? ", active" : "", line ? ", line high" : "");
}

static void put_interface(struct text *t, struct vcpu *vcpu)
{
	uint64_t cpu = cpu_attr(vcpu), pmr = 0, enable = 0;
	uint32_t waker = 0, small = 0;

	if (vcpu->vm->arch->gic_version == 3) {
		get(vcpu, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, cpu | GICR_WAKER, &waker);
		get(vcpu, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, cpu | ICC_PMR, &pmr);
		get(vcpu, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, cpu | ICC_IGRPEN1, &enable);
		text_put(t, "redistributor WAKER 0x%x; ", waker);
	} else {
		get(vcpu, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, cpu | GICV2_PMR, &small);
		pmr = small;
		get(vcpu, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, cpu | GICV2_CTLR, &small);
		enable = small;
	}
	text_put(t, "CPU interface %s, priority mask 0x%02x\n", enable & 1 ? "enabled" : "disabled",
		(unsigned)(pmr & 0xff));
}

int arch_chip_text(struct vcpu *vcpu, const char *name, char *buf, size_t len)
{
	struct text t = {.buf = buf, .len = len};
	uint32_t ctlr = 0, typer = 0;
	int ret;

	if (strcmp(name, "gic"))
		return -ENOENT;
	ret = irq_reg(vcpu, FIRST_SPI, GICD_CTLR, &ctlr);
	if (ret == 0)
		ret = irq_reg(vcpu, FIRST_SPI, GICD_TYPER, &typer);
	if (ret < 0)
		return ret;
	text_put(&t, "GICv%u of CPU %d: distributor CTLR 0x%x (%s), %u interrupts; ", vcpu->vm->arch->gic_version,
		vcpu->id, ctlr, ctlr & 3 ? "enabled" : "disabled", TYPER_LINES(typer));
	put_interface(&t, vcpu);
	text_put(&t, "interrupts that are enabled, pending or active:\n");
	for (unsigned irq = 0; irq < TYPER_LINES(typer); irq++)
		put_irq(&t, vcpu, irq);
	return 0;
}

/* ---- what this ISA lacks ---- */

int arch_nmi(struct vcpu *vcpu)
{
	(void)vcpu;
	return -ENOTSUP;
}

int arch_catch_check(struct vm *vm, const struct vm_catch *c, char *why, size_t len)
{
	static const char *const lacks[] = {
		[VM_CATCH_TRIPLE_FAULT] = "triple fault",
		[VM_CATCH_IO] = "I/O ports",
		[VM_CATCH_MSR] = "MSRs",
	};
	const char *what = (size_t)c->kind < sizeof(lacks) / sizeof(lacks[0]) ? lacks[c->kind] : NULL;

	(void)vm;
	if (!what)
		return 0;
	snprintf(why, len, "arm64 has no %s", what);
	return -EINVAL;
}

int arch_catch_msrs(struct vm *vm, const uint32_t *msrs, size_t n)
{
	(void)vm;
	(void)msrs;
	return n ? -ENOTSUP : 0;
}
