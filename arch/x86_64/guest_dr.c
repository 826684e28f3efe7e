/*
 * The guest's own debug registers. The debugger's are loaded instead of them while it has breakpoints, and never show
 * here. Intel SDM volume 3B, 17.2.
 */
#include <errno.h>

#include "arch/x86_64/arch_x86.h"
#include "arch/kvm_call.h"
#include "arch/x86_64/cpuid.h"
#include "vmm/kvm.h"

#define DR6_BUS_LOCK (1ull << 11) /* these two: 0 means that it happened, 1 where the processor lacks it */
#define DR6_RTM	     (1ull << 16)
#define DR6_STATUS   0xe00full /* B0-3, BD, BS, BT */
#define DR6_ONES     0xfffe07f0ull
#define DR7_RTM	     (1ull << 11)
#define DR7_CONTROL  0xffff23ffull
#define DR7_ONES     0x400ull

bool x86_dr_valid(struct kvm_cpuid2 *c, unsigned n, uint64_t value)
{
	uint64_t ones, may;

	if (n == 6) {
		ones = DR6_ONES | (x86_cpuid_has(c, "bus_lock_detect") ? 0 : DR6_BUS_LOCK) |
		       (x86_cpuid_has(c, "rtm") ? 0 : DR6_RTM);
		may = ones | DR6_STATUS | DR6_BUS_LOCK | DR6_RTM;
	} else if (n == 7) {
		ones = DR7_ONES;
		may = ones | DR7_CONTROL | (x86_cpuid_has(c, "rtm") ? DR7_RTM : 0);
	} else {
		return n < X86_DR_COUNT;
	}
	return (value & ones) == ones && !(value & ~may);
}

static __u64 *field(struct kvm_debugregs *d, unsigned n)
{
	return n == 6 ? &d->dr6 : n == 7 ? &d->dr7 : &d->db[n % X86_DR_COUNT];
}

int x86_dr_get(struct vcpu *vcpu, unsigned n, uint64_t *value)
{
	struct kvm_debugregs d;

	if (kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &d) < 0)
		return -errno;
	*value = *field(&d, n);
	return 0;
}

int x86_dr_set(struct vcpu *vcpu, unsigned n, uint64_t value)
{
	struct kvm_debugregs d, old;
	uint64_t now = 0;
	int ret;

	if (!x86_dr_valid(x86_guest_cpuid(vcpu->vm), n, value))
		return -EINVAL;
	if (kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &old) < 0)
		return -errno;
	d = old;
	*field(&d, n) = value;
	if (kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &d) < 0)
		return -errno;
	ret = x86_dr_get(vcpu, n, &now);
	if (ret == 0 && now != value) {
		(void)kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &old);
		ret = -EINVAL;
	}
	return ret;
}
