/*
 * A stopped machine's clock stands still: the virtual counter's offset takes what a stop has lasted, so that watchdogs
 * and timers of the guest see nothing of it. The offset is the whole VM's; whoever runs first after a stop moves it,
 * and everybody passes here before running, so no vCPU sees the counter go back.
 */
#include "arch/arch.h"

#include "arch/arm64/arch_arm64.h"
#include "vmm/kvm.h"

/* Stops shorter than this are summed up: a client that steps fast pays nothing for them. Hz is of the counter. */
#define HELD_PER_SECOND 1000

static uint64_t counter(void)
{
	uint64_t value;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(value));
	return value;
}

static uint64_t counter_hz(void)
{
	uint64_t hz;

	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	return hz;
}

void arch_time_stop(struct vcpu *vcpu)
{
	struct guest_time *t = &vcpu->vm->arch->time;

	pthread_mutex_lock(&t->lock);
	t->stopped_at = counter(); /* the last one to park is the stop's begin */
	pthread_mutex_unlock(&t->lock);
}

void arch_time_resume(struct vcpu *vcpu)
{
	struct guest_time *t = &vcpu->vm->arch->time;
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	if (t->stopped_at) {
		t->held += counter() - t->stopped_at;
		t->stopped_at = 0;
	}
	/* A counter that cannot be moved runs on; nothing is to be done about it. */
	if (t->held >= counter_hz() / HELD_PER_SECOND && arm64_get(vcpu, KVM_REG_ARM_TIMER_CNT, &now) == 0) {
		(void)arm64_set(vcpu, KVM_REG_ARM_TIMER_CNT, now - t->held);
		t->held = 0;
	}
	pthread_mutex_unlock(&t->lock);
}
