/* The VM and its vCPUs as KVM makes them, and where they start. Source: Linux Documentation/virt/kvm/api.rst. */
#include "arch/arch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/arch_arm64.h"
#include "arch/arm64/layout.h"
#include "arch/kvm_call.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

/* Bits of a guest-physical address: where KVM cannot be asked, and what it takes at least. */
#define IPA_BITS_DEFAULT 40
#define IPA_BITS_MIN	 32

/* Fields of ID registers: Arm ARM (DDI 0487), on their pages */
#define PFR0_EL0(v)	 ((v)&0xf)
#define PFR0_EL0_32	 2 /* AArch32, too */
#define MMFR0_PARANGE(v) ((v)&0xf)
#define MMFR2_VARANGE(v) ((v) >> 16 & 0xf)

/* ---- the VM ---- */

int arch_vm_type(int kvm_fd, uint64_t ram_size, unsigned long *type)
{
	int limit = kvm_check(kvm_fd, KVM_CAP_ARM_VM_IPA_SIZE);
	unsigned max = limit > 0 ? (unsigned)limit : IPA_BITS_DEFAULT;
	unsigned bits = max < IPA_BITS_DEFAULT ? max : IPA_BITS_DEFAULT;
	uint64_t last = LAYOUT_RAM + ram_size - 1;

	while (bits < max && last >> bits)
		bits++;
	if (last < LAYOUT_RAM || last >> bits) {
		log_error("--mem: this host's KVM gives a guest %u bits of address: %llu MiB of RAM at most", max,
			(unsigned long long)(((1ULL << max) - LAYOUT_RAM) >> 20));
		return -EINVAL;
	}
	/* Without the capability any number but 0, which means the default, is refused. */
	*type = limit > 0 ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned long)(bits < IPA_BITS_MIN ? IPA_BITS_MIN : bits)) : 0;
	return 0;
}

static int choose_target(struct vm *vm)
{
	struct arch_vm *av = vm->arch;

	if (!kvm_check(vm->kvm_fd, KVM_CAP_ARM_PSCI_0_2)) {
		log_error("/dev/kvm: this kernel's KVM has no PSCI 0.2, Linux 3.16 or later is needed");
		return -ENOTSUP;
	}
	if (kvm_ioctl(vm->vm_fd, KVM_ARM_PREFERRED_TARGET, &av->vcpu_init) < 0)
		return kvm_failed("KVM_ARM_PREFERRED_TARGET");
	av->vcpu_init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	arm64_sve_choose(vm);
	return 0;
}

/* An access to a device that KVM cannot decode: as an exit it can be explained, otherwise KVM_RUN just fails. */
static int want_undecoded_accesses(struct vm *vm)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_NISV_TO_USER};

	if (!kvm_check(vm->kvm_fd, KVM_CAP_ARM_NISV_TO_USER))
		return 0;
	return kvm_ioctl(vm->vm_fd, KVM_ENABLE_CAP, &cap) < 0 ? kvm_failed("KVM_CAP_ARM_NISV_TO_USER") : 0;
}

static unsigned debug_registers(int kvm_fd, int cap)
{
	int n = kvm_check(kvm_fd, cap);

	return n < ARM64_DBG_MAX ? (unsigned)n : ARM64_DBG_MAX;
}

int arch_vm_init(struct vm *vm)
{
	struct arch_vm *av;
	int ret;

	if (vm->opts->cpu_features) {
		log_error("--cpu-features: not on arm64, whose guests see the host's processor: leave it out");
		return -EINVAL;
	}
	av = calloc(1, sizeof(*av));
	if (!av) {
		log_error("out of memory");
		return -ENOMEM;
	}
	vm->arch = av;
	av->gic_fd = -1;
	pthread_mutex_init(&av->time.lock, NULL);
	av->nbreaks = debug_registers(vm->kvm_fd, KVM_CAP_GUEST_DEBUG_HW_BPS);
	av->nwatches = debug_registers(vm->kvm_fd, KVM_CAP_GUEST_DEBUG_HW_WPS);
	ret = own_desc_init(&av->own, &arch_desc);
	if (ret == 0)
		ret = choose_target(vm);
	if (ret == 0)
		ret = want_undecoded_accesses(vm);
	if (ret == 0)
		ret = gic_create(vm);
	if (ret < 0)
		arch_vm_free(vm);
	return ret;
}

const struct arch_desc *arch_vm_desc(const struct vm *vm)
{
	return &vm->arch->own.desc;
}

int arch_vm_ready(struct vm *vm)
{
	int ret = arm64_sve_describe(vm);

	return ret < 0 ? ret : gic_init(vm);
}

void arch_vm_started(struct vm *vm)
{
	/* The first breakpoint will ask. */
	if (vm->opts->gdb || vm->verdict)
		host_facts(vm->kvm_fd);
}

void arch_vm_free(struct vm *vm)
{
	if (!vm->arch)
		return;
	board_free(vm);
	gic_free(vm);
	own_desc_free(&vm->arch->own);
	arm64_sve_free(vm);
	pthread_mutex_destroy(&vm->arch->time.lock);
	free(vm->arch);
	vm->arch = NULL;
}

/* ---- vCPUs ---- */

/* What addresses and modes the processor has; the same on all of them. */
static int read_ids(struct vcpu *vcpu)
{
	static const uint8_t pa_bits[] = {32, 36, 40, 42, 44, 48, 52, 56};
	struct arch_vm *av = vcpu->vm->arch;
	uint64_t pfr0 = 0, mmfr0 = 0, mmfr2 = 0;
	int ret = arm64_get(vcpu, ID_AA64PFR0_EL1, &pfr0);
	char why[KVM_EXPLAIN_MAX];

	if (ret == 0)
		ret = arm64_get(vcpu, ID_AA64MMFR0_EL1, &mmfr0);
	if (ret == 0)
		ret = arm64_get(vcpu, ID_AA64MMFR2_EL1, &mmfr2);
	if (ret < 0) {
		log_error("CPU %d: cannot read its identification: %s", vcpu->id, kvm_explain(ret, why, sizeof(why)));
		return ret;
	}
	av->aarch32_el0 = PFR0_EL0(pfr0) == PFR0_EL0_32;
	av->pa_bits = MMFR0_PARANGE(mmfr0) < sizeof(pa_bits) ? pa_bits[MMFR0_PARANGE(mmfr0)] : 48;
	av->lva = MMFR2_VARANGE(mmfr2) != 0;
	return 0;
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	struct arch_vm *av = vcpu->vm->arch;
	struct kvm_vcpu_init init = av->vcpu_init;
	struct arch_vcpu *a = calloc(1, sizeof(*a));
	int ret = 0;

	if (!a) {
		log_error("out of memory");
		return -ENOMEM;
	}
	vcpu->arch = a;
	if (vcpu->id)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	if (kvm_ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) < 0)
		ret = kvm_failed("KVM_ARM_VCPU_INIT");
	if (ret == 0)
		ret = arm64_sve_finalize(vcpu);
	if (ret == 0)
		ret = read_ids(vcpu);
	if (ret < 0) {
		arch_vcpu_free(vcpu);
		return ret;
	}
	a->mmu.pa_bits = av->pa_bits;
	a->mmu.lva = av->lva;
	a->mmu_stale = a->guest.stale = true;
	a->mp_state = vcpu->id ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE;
	return 0;
}

void arch_vcpu_free(struct vcpu *vcpu)
{
	free(vcpu->arch);
	vcpu->arch = NULL;
}

/* KVM makes a vCPU as a processor leaves reset: EL1h, DAIF masked, MMU and caches off, all registers 0. */
int arch_vcpu_reset(struct vcpu *vcpu)
{
	const struct boot_entry *e = &vcpu->vm->arch->entry;
	struct arch_vcpu *a = vcpu->arch;
	int ret = arm64_regs_load(vcpu);
	char why[KVM_EXPLAIN_MAX];

	if (ret == 0 && vcpu->id == 0) {
		a->core[0] = e->x0;
		a->core[CORE_PC] = e->pc;
		a->core[CORE_PSTATE] = PSTATE_EL1H | PSTATE_DAIF;
		a->dirty = 1ull << 0 | 1ull << CORE_PC | 1ull << CORE_PSTATE;
		ret = arm64_regs_flush(vcpu);
	}
	a->kvm_pstate = a->core[CORE_PSTATE];
	if (ret < 0)
		log_error("CPU %d: cannot set its registers: %s", vcpu->id, kvm_explain(ret, why, sizeof(why)));
	return ret;
}
