/*
 * MSR accesses that the debugger wants to see: KVM's MSR filter denies them, which brings them here, and they are made
 * on the guest's behalf. Source: Linux Documentation/virt/kvm/api.rst, KVM_X86_SET_MSR_FILTER.
 */
#include "arch/arch.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "arch/x86_64/arch_x86.h"
#include "vmm/kvm.h"
#include "vmm/vm_kaslr.h"

/* x2APIC registers: KVM lets them through whatever the filter says */
#define MSR_X2APIC_FIRST 0x800
#define MSR_X2APIC_LAST	 0x8ff

/* Catches come from the stub, the end of the watch for a moved kernel from a vCPU. */
static pthread_mutex_t filter_lock = PTHREAD_MUTEX_INITIALIZER;

static bool has_filter(const struct vm *vm)
{
	return kvm_check(vm->vm_fd, KVM_CAP_X86_USER_SPACE_MSR) && kvm_check(vm->vm_fd, KVM_CAP_X86_MSR_FILTER);
}

int arch_catch_check(struct vm *vm, const struct vm_catch *c, char *why, size_t len)
{
	if (c->kind == VM_CATCH_IO && c->addr + (c->len - 1) > UINT16_MAX) {
		snprintf(why, len, "the last port is 0xffff");
		return -EINVAL;
	}
	if (c->kind != VM_CATCH_MSR)
		return 0;
	if (c->addr > UINT32_MAX) {
		snprintf(why, len, "the number of an MSR has 32 bits");
		return -EINVAL;
	}
	if (c->addr >= MSR_X2APIC_FIRST && c->addr <= MSR_X2APIC_LAST) {
		snprintf(why, len, "MSR 0x%llx is of the x2APIC, which KVM serves by itself",
			(unsigned long long)c->addr);
		return -EINVAL;
	}
	if (!has_filter(vm)) {
		snprintf(why, len, "this host's KVM cannot filter MSRs (KVM_CAP_X86_MSR_FILTER: Linux 5.10)");
		return -ENOTSUP;
	}
	return 0;
}

/* One range for each, of one bit, which is 0: denied. The filter is replaced whole. */
static int apply_filter(struct vm *vm)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {KVM_MSR_EXIT_REASON_FILTER}};
	struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
	const struct x86_msr_filter *f = &vm->arch->msr_filter;
	static uint8_t denied; /* KVM only reads it, through a pointer that is not const */
	size_t n = 0;

	for (; n < f->ncaught; n++)
		filter.ranges[n] = (struct kvm_msr_filter_range){
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .base = f->caught[n]};
	if (f->watched)
		filter.ranges[n++] = (struct kvm_msr_filter_range){.flags = KVM_MSR_FILTER_WRITE, .base = f->watched};
	for (size_t i = 0; i < n; i++) {
		filter.ranges[i].nmsrs = 1;
		filter.ranges[i].bitmap = &denied;
	}
	/* Before the filter: a denied access is #GP otherwise. */
	if (n && kvm_ioctl(vm->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		return -errno;
	return kvm_ioctl(vm->vm_fd, KVM_X86_SET_MSR_FILTER, &filter) < 0 ? -errno : 0;
}

int arch_catch_msrs(struct vm *vm, const uint32_t *msrs, size_t n)
{
	struct x86_msr_filter *f = &vm->arch->msr_filter;
	int ret;

	if (n > X86_MSRS_CAUGHT)
		return -ENOSPC;
	pthread_mutex_lock(&filter_lock);
	memcpy(f->caught, msrs, n * sizeof(*msrs));
	f->ncaught = n;
	ret = apply_filter(vm);
	pthread_mutex_unlock(&filter_lock);
	return ret;
}

int x86_msr_watch(struct vm *vm, uint32_t msr)
{
	int ret;

	if (!has_filter(vm))
		return -ENOTSUP;
	pthread_mutex_lock(&filter_lock);
	vm->arch->msr_filter.watched = msr;
	ret = apply_filter(vm);
	if (ret < 0)
		vm->arch->msr_filter.watched = 0;
	pthread_mutex_unlock(&filter_lock);
	return ret < 0 ? -ENOTSUP : 0;
}

/*
 * KVM_GET_MSRS and KVM_SET_MSRS are not filtered. They refuse what the guest would get #GP for, except that some MSRs
 * that are read-only to a guest may be set this way.
 */
enum arch_exit x86_msr_exit(struct vcpu *vcpu, bool write)
{
	struct kvm_run *run = vcpu->run;
	struct vm_access a = {.kind = VM_CATCH_MSR, .addr = run->msr.index, .size = 8, .count = 1, .write = write};
	uint64_t value = run->msr.data;
	int ret;

	if (write)
		ret = x86_msr_set(vcpu, run->msr.index, value);
	else
		ret = x86_msr_get(vcpu, run->msr.index, &value);
	run->msr.error = ret < 0;
	run->msr.data = a.value = ret < 0 && !write ? 0 : value;
	a.refused = ret < 0;
	vcpu_accessed(vcpu, &a);
	vm_kaslr_look(vcpu); /* it may have come for this */
	vm_unpacked_look(vcpu);
	return ARCH_EXIT_HANDLED;
}
