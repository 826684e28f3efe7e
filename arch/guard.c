#include "arch/guard.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/kvm_call.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define BUDGET_S 5 /* far over what even an emulated host takes */

static int guard_signal(void)
{
	return SIGRTMAX;
}

void guard_block(struct guard *g)
{
	sigset_t all;

	g->has_timer = false;
	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* only this thread itself can cause it */
	pthread_sigmask(SIG_SETMASK, &all, &g->old_mask);
}

/* After the timer has fired its signal stays pending, so every further KVM_RUN returns at once. */
bool guard_fired(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, guard_signal()) == 1;
}

int guard_start(struct guard *g, int vcpu_fd)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = guard_signal()};
	struct itimerspec when = {.it_value.tv_sec = BUDGET_S};
	/* struct kvm_signal_mask: the signals blocked inside KVM_RUN, as the kernel's sigset (bit number - 1). */
	struct {
		uint32_t len;
		uint8_t set[8];
	} mask = {.len = sizeof(mask.set)};
	uint64_t bits = ~(1ULL << (guard_signal() - 1));

	memcpy(mask.set, &bits, sizeof(bits));
	if (kvm_ioctl(vcpu_fd, KVM_SET_SIGNAL_MASK, &mask) < 0)
		return -errno;
	ev.sigev_notify_thread_id = (int)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &ev, &g->timer) < 0)
		return -errno;
	g->has_timer = true;
	return timer_settime(g->timer, 0, &when, NULL) < 0 ? -errno : 0;
}

void guard_end(struct guard *g)
{
	struct timespec none = {0};
	sigset_t ours;

	if (g->has_timer) {
		timer_delete(g->timer);
		/* A signal that came in time for nothing must not outlive its timer. */
		sigemptyset(&ours);
		sigaddset(&ours, guard_signal());
		while (sigtimedwait(&ours, NULL, &none) > 0)
			;
	}
	pthread_sigmask(SIG_SETMASK, &g->old_mask, NULL);
}
