#include "arch/x86_64/arch_x86.h"

#include <errno.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

/* Intel SDM volume 4 */
#define MSR_IA32_MISC_ENABLE	0x1a0
#define MISC_ENABLE_FAST_STRING 1ull
#define MSR_IA32_PAT		0x277
#define PAT_RESET		0x0007040600070406ull
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MTRR_ENABLE		(1ull << 11)
#define MTRR_WRITE_BACK		6ull

#define MSR_IA32_TSC 0x10
#define TSC_SECONDS  (1ull << 34) /* counts: four seconds or more on any processor */

/* struct kvm_msrs ends in an array of unknown length: room for MSRS_MAX of them. */
#define MSRS_MAX 3
union msr_buf {
	struct kvm_msrs m;
	uint8_t room[sizeof(struct kvm_msrs) + MSRS_MAX * sizeof(struct kvm_msr_entry)];
};

static void msr_buf_set(union msr_buf *b, const struct kvm_msr_entry *e, size_t n)
{
	memset(b, 0, sizeof(*b));
	b->m.nmsrs = (uint32_t)n;
	memcpy(b->room + sizeof(struct kvm_msrs), e, n * sizeof(*e));
}

int x86_msr_get(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct kvm_msr_entry e = {.index = index};
	union msr_buf b;
	int ret;

	msr_buf_set(&b, &e, 1);
	ret = kvm_ioctl(vcpu->fd, KVM_GET_MSRS, &b);
	if (ret < 0)
		return -errno;
	if (ret != 1)
		return -ENOENT;
	memcpy(&e, b.room + sizeof(struct kvm_msrs), sizeof(e));
	*value = e.data;
	return 0;
}

int x86_msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct kvm_msr_entry e = {.index = index, .data = value};
	union msr_buf b;
	int ret;

	msr_buf_set(&b, &e, 1);
	ret = kvm_ioctl(vcpu->fd, KVM_SET_MSRS, &b);
	if (ret < 0)
		return -errno;
	return ret == 1 ? 0 : -EINVAL;
}

/*
 * The counter goes on meanwhile, and KVM may give a CPU the counter of another instead of what was written: what was
 * taken is behind the value, by no more than some seconds.
 */
bool x86_msr_took(uint32_t index, uint64_t written, uint64_t now)
{
	return index == MSR_IA32_TSC ? now - written < TSC_SECONDS : now == written;
}

int x86_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	uint64_t old = 0, now = 0;
	int ret = x86_msr_get(vcpu, index, &old);

	if (ret == 0)
		ret = x86_msr_set(vcpu, index, value);
	if (ret == 0)
		ret = x86_msr_get(vcpu, index, &now);
	if (ret < 0 || x86_msr_took(index, value, now))
		return ret;
	if (index != MSR_IA32_TSC)
		(void)x86_msr_set(vcpu, index, old);
	return -EINVAL;
}

/*
 * What firmware leaves behind: memory is write-back cached, string instructions are fast. KVM_SET_MSRS ends at the
 * first one it refuses and says how many it took, so a host that lacks one still gets the others.
 */
int x86_msrs_reset(struct vcpu *vcpu)
{
	static const struct kvm_msr_entry reset[MSRS_MAX] = {
		{.index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING},
		{.index = MSR_IA32_PAT, .data = PAT_RESET},
		{.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE | MTRR_WRITE_BACK},
	};
	union msr_buf b;

	for (size_t done = 0; done < MSRS_MAX;) {
		int ret;

		msr_buf_set(&b, &reset[done], MSRS_MAX - done);
		ret = kvm_ioctl(vcpu->fd, KVM_SET_MSRS, &b);
		if (ret < 0)
			return -errno;
		done += (size_t)ret;
		if (done < MSRS_MAX) {
			log_info("CPU %d: KVM does not take MSR 0x%x", vcpu->id, reset[done].index);
			done++;
		}
	}
	return 0;
}
