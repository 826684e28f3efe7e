#include "arch/arch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/mmu.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

/* Local APIC registers: Intel SDM volume 3A, 10.4.1 and 10.5.1 */
#define APIC_LVT_LINT0	    0x350
#define APIC_LVT_LINT1	    0x360
#define APIC_DELIVER_NMI    (4u << 8)
#define APIC_DELIVER_EXTINT (7u << 8)

#define SYNC_WANTED (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS)

/* ---- the VM ---- */

int arch_vm_type(int kvm_fd, uint64_t ram_size, unsigned long *type)
{
	(void)kvm_fd;
	(void)ram_size;
	*type = 0; /* KVM_X86_DEFAULT_VM */
	return 0;
}

/* The PC's wiring, see layout.h: the timer at I/O APIC input 2, the rest alike on both controllers. */
static int route_irqs(struct vm *vm)
{
	enum { PIC_PINS = 16, IOAPIC_PINS = 24, CASCADE = 2 };
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + (PIC_PINS + IOAPIC_PINS) * sizeof(r->entries[0]));
	uint32_t n = 0;
	int ret;

	if (!r)
		return -ENOMEM;
	for (uint32_t gsi = 0; gsi < IOAPIC_PINS; gsi++) {
		if (gsi == CASCADE)
			continue;
		if (gsi < PIC_PINS) {
			r->entries[n].gsi = gsi;
			r->entries[n].type = KVM_IRQ_ROUTING_IRQCHIP;
			r->entries[n].u.irqchip.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
			r->entries[n++].u.irqchip.pin = gsi & 7;
		}
		r->entries[n].gsi = gsi;
		r->entries[n].type = KVM_IRQ_ROUTING_IRQCHIP;
		r->entries[n].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		r->entries[n++].u.irqchip.pin = gsi == 0 ? GSI_PIT : gsi;
	}
	r->nr = n;
	ret = kvm_ioctl(vm->vm_fd, KVM_SET_GSI_ROUTING, r) < 0 ? kvm_failed("KVM_SET_GSI_ROUTING") : 0;
	free(r);
	return ret;
}

static int create_chips(struct vm *vm)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	__u64 idmap = LAYOUT_KVM_IDMAP;

	/* Intel's hardware needs these pages to run real-mode code; other hosts ignore them. */
	if (kvm_check(vm->kvm_fd, KVM_CAP_SET_IDENTITY_MAP_ADDR) &&
		kvm_ioctl(vm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &idmap) < 0)
		return kvm_failed("KVM_SET_IDENTITY_MAP_ADDR");
	if (kvm_check(vm->kvm_fd, KVM_CAP_SET_TSS_ADDR) && kvm_ioctl(vm->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_KVM_TSS) < 0)
		return kvm_failed("KVM_SET_TSS_ADDR");
	if (kvm_ioctl(vm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return kvm_failed("KVM_CREATE_IRQCHIP");
	if (kvm_ioctl(vm->vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return kvm_failed("KVM_CREATE_PIT2");
	return route_irqs(vm);
}

/* Ticks missed while a debugger held the VM stay missed. KVM takes 15 ms to be told, so nothing waits for it. */
void arch_vm_started(struct vm *vm)
{
	struct kvm_reinject_control no_reinject = {.pit_reinject = 0};

	if (kvm_check(vm->kvm_fd, KVM_CAP_REINJECT_CONTROL) &&
		kvm_ioctl(vm->vm_fd, KVM_REINJECT_CONTROL, &no_reinject) < 0)
		kvm_failed("KVM_REINJECT_CONTROL");
	/* The first breakpoint will ask, and steps are cheaper for knowing. */
	if (vm->opts->gdb || vm->verdict)
		host_facts(vm->kvm_fd);
}

static int make_cpuid(struct vm *vm)
{
	struct arch_vm *av = vm->arch;
	char err[256];
	int ret = x86_cpuid_get(vm->kvm_fd, &av->cpuid);

	if (ret < 0)
		return ret;
	x86_cpuid_prepare(av->cpuid, (unsigned)vm->ncpus, kvm_check(vm->kvm_fd, KVM_CAP_TSC_DEADLINE_TIMER));
	if (vm->opts->cpu_features && x86_cpuid_hide(av->cpuid, vm->opts->cpu_features, err, sizeof(err)) < 0) {
		log_error("%s", err);
		return -EINVAL;
	}
	av->phys_bits = x86_cpuid_phys_bits(av->cpuid);
	return 0;
}

/* With AMX the image is larger than KVM_GET_XSAVE's. */
static void size_xsave(struct vm *vm)
{
	int size = kvm_check(vm->vm_fd, KVM_CAP_XSAVE2);

	vm->arch->xsave2 = size > 0;
	vm->arch->xsave_size = size > (int)sizeof(union x86_fpu) ? (size_t)size : sizeof(union x86_fpu);
}

int arch_vm_init(struct vm *vm)
{
	struct arch_vm *av = calloc(1, sizeof(*av));
	int ret;

	if (!av) {
		log_error("out of memory");
		return -ENOMEM;
	}
	vm->arch = av;
	av->sync_regs = (uint64_t)kvm_check(vm->kvm_fd, KVM_CAP_SYNC_REGS);
	av->block_irq = kvm_check(vm->kvm_fd, KVM_CAP_SET_GUEST_DEBUG2) & KVM_GUESTDBG_BLOCKIRQ;
	size_xsave(vm);
	ret = make_cpuid(vm);
	if (ret == 0)
		ret = create_chips(vm);
	if (ret < 0)
		arch_vm_free(vm);
	return ret;
}

const struct arch_desc *arch_vm_desc(const struct vm *vm)
{
	return &vm->arch->own.desc;
}

struct kvm_cpuid2 *x86_guest_cpuid(const struct vm *vm)
{
	return vm->arch->seen ? vm->arch->seen : vm->arch->cpuid;
}

int arch_vm_ready(struct vm *vm)
{
	(void)x86_cpuid_seen(vm->vcpus[0].fd, &vm->arch->seen); /* without, what was asked for stands */
	return x86_regs_choose(vm);
}

void arch_vm_free(struct vm *vm)
{
	if (!vm->arch)
		return;
	board_free(vm);
	own_desc_free(&vm->arch->own);
	free(vm->arch->seen);
	free(vm->arch->cpuid);
	free(vm->arch);
	vm->arch = NULL;
}

/* ---- vCPUs ---- */

int arch_vcpu_init(struct vcpu *vcpu)
{
	struct arch_vm *av = vcpu->vm->arch;
	struct arch_vcpu *a = calloc(1, sizeof(*a) - sizeof(a->fpu) + av->xsave_size);

	if (!a) {
		log_error("out of memory");
		return -ENOMEM;
	}
	vcpu->arch = a;
	a->synced = (av->sync_regs & SYNC_WANTED) == SYNC_WANTED;
	a->regs = a->synced ? &vcpu->run->s.regs.regs : &a->own.regs;
	a->sregs = a->synced ? &vcpu->run->s.regs.sregs : &a->own.sregs;
	vcpu->run->kvm_valid_regs = a->synced ? SYNC_WANTED : 0;
	x86_cpuid_set_apic_id(av->cpuid, (uint32_t)vcpu->id);
	if (kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, av->cpuid) < 0) {
		int ret = kvm_failed("KVM_SET_CPUID2");

		arch_vcpu_free(vcpu);
		return ret;
	}
	return 0;
}

void arch_vcpu_free(struct vcpu *vcpu)
{
	free(vcpu->arch);
	vcpu->arch = NULL;
}

static struct kvm_segment flat_segment(uint16_t selector, unsigned type, bool long_code)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = (uint8_t)type,
		.present = 1,
		.db = !long_code,
		.s = 1,
		.l = long_code,
		.g = 1,
	};
}

static void entry_sregs(struct kvm_sregs *s, const struct boot_entry *e)
{
	enum { CODE_READ_ACCESSED = 0xb, DATA_WRITE_ACCESSED = 0x3, TSS_BUSY = 0xb };
	struct kvm_segment data = flat_segment(e->ds, DATA_WRITE_ACCESSED, false);

	s->cs = flat_segment(e->cs, CODE_READ_ACCESSED, e->mode == BOOT_MODE_LONG64);
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = (struct kvm_segment){.selector = e->tr, .limit = 0x67, .type = TSS_BUSY, .present = 1};
	s->ldt = (struct kvm_segment){.unusable = 1};
	s->gdt = (struct kvm_dtable){.base = e->gdt_base, .limit = e->gdt_limit};
	s->idt = (struct kvm_dtable){.base = 0, .limit = 0};
	s->cr0 = e->cr0;
	s->cr2 = 0;
	s->cr3 = e->cr3;
	s->cr4 = e->cr4;
	s->efer = e->efer;
}

/* The legacy interrupt controller reaches the boot processor through LINT0, as firmware leaves it. */
static int connect_lints(struct vcpu *vcpu)
{
	struct kvm_lapic_state apic;
	uint32_t lint0 = APIC_DELIVER_EXTINT, lint1 = APIC_DELIVER_NMI;

	if (kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &apic) < 0)
		return kvm_failed("KVM_GET_LAPIC");
	memcpy(apic.regs + APIC_LVT_LINT0, &lint0, sizeof(lint0));
	memcpy(apic.regs + APIC_LVT_LINT1, &lint1, sizeof(lint1));
	return kvm_ioctl(vcpu->fd, KVM_SET_LAPIC, &apic) < 0 ? kvm_failed("KVM_SET_LAPIC") : 0;
}

static int reset_boot_cpu(struct vcpu *vcpu)
{
	const struct boot_entry *e = &vcpu->vm->arch->entry;
	struct arch_vcpu *a = vcpu->arch;

	entry_sregs(a->sregs, e);
	*a->regs = (struct kvm_regs){
		.rip = e->rip,
		.rax = e->rax,
		.rbx = e->rbx,
		.rsi = e->rsi,
		.rdi = e->rdi,
		.rsp = e->rsp,
		.rflags = 2,
	};
	if (kvm_ioctl(vcpu->fd, KVM_SET_SREGS, a->sregs) < 0)
		return kvm_failed("KVM_SET_SREGS at reset");
	if (kvm_ioctl(vcpu->fd, KVM_SET_REGS, a->regs) < 0)
		return kvm_failed("KVM_SET_REGS at reset");
	/* KVM creates the FPU as FNINIT leaves it, MXCSR at its reset value. */
	return connect_lints(vcpu);
}

int arch_vcpu_reset(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret = x86_regs_reload(vcpu);
	char why[KVM_EXPLAIN_MAX];

	if (ret < 0) {
		log_error("CPU %d: cannot read its registers: %s", vcpu->id, kvm_explain(ret, why, sizeof(why)));
		return ret;
	}
	/* KVM leaves all but the first CPU waiting for INIT and SIPI, which is where a PC's are. */
	a->mp_state = vcpu->id ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	ret = x86_msrs_reset(vcpu);
	if (ret < 0) {
		log_error("CPU %d: KVM_SET_MSRS: %s", vcpu->id, strerror(-ret));
		return ret;
	}
	return vcpu->id ? 0 : reset_boot_cpu(vcpu);
}

/* ---- parking ---- */

static bool waits_for_start(uint32_t mp_state)
{
	return mp_state == KVM_MP_STATE_UNINITIALIZED || mp_state == KVM_MP_STATE_INIT_RECEIVED ||
	       mp_state == KVM_MP_STATE_SIPI_RECEIVED;
}

/* Asking for the state may also complete a start-up, which sets CS:RIP: so it comes before the registers. */
static int fetch_mp_state(struct vcpu *vcpu, bool *started)
{
	struct arch_vcpu *a = vcpu->arch;
	struct kvm_mp_state mp;

	if (kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) < 0)
		return -errno;
	*started = waits_for_start(a->mp_state) && !waits_for_start(mp.mp_state);
	a->mp_state = mp.mp_state;
	return 0;
}

/* The step neither ended nor stood still: it is inside a handler, whose frame holds our TF. */
static bool step_abandoned(const struct vcpu *vcpu)
{
	const struct step_state *st = &vcpu->arch->step;
	uint32_t reason = vcpu->run->exit_reason;

	return st->active && !st->done && reason != KVM_EXIT_IO && reason != KVM_EXIT_MMIO &&
	       vcpu->arch->regs->rip != st->before.rip;
}

int arch_regs_fetch(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	bool started = false;
	int ret = 0;

	a->fpu_valid = false;
	if (a->regs_dirty)
		return 0; /* parked twice without running in between */
	if (a->ran && !(a->step.active && a->step.insn.insn == X86_INSN_HLT))
		a->mp_state = KVM_MP_STATE_RUNNABLE; /* saves an ioctl that costs as much as a step */
	else
		ret = fetch_mp_state(vcpu, &started);
	if (ret == 0 && (!a->synced || started))
		ret = x86_regs_reload(vcpu);
	if (ret < 0)
		return ret;
	x86_let_in_parks(vcpu);
	if (step_abandoned(vcpu))
		a->tf_leaked = true;
	a->regs->rflags |= x86_hidden_tf(a);
	return 0;
}
