/*
 * A time limit on the runs of a vCPU, for guests that might never come back. A timer is aimed at the calling thread;
 * its signal (SIGRTMAX) is blocked in the thread and open only inside KVM_RUN (KVM_SET_SIGNAL_MASK), so it makes
 * KVM_RUN return EINTR, now and ever after, and no handler is needed or called.
 *
 * One thread makes, uses and ends a guard, and has all signals blocked meanwhile: a kick meant for its real work would
 * make KVM_CREATE_VM fail. int functions return 0 or -errno.
 */
#ifndef ARCH_GUARD_H
#define ARCH_GUARD_H

#include <signal.h>
#include <stdbool.h>
#include <time.h>

struct guard {
	timer_t timer;
	bool has_timer;
	sigset_t old_mask;
};

void guard_block(struct guard *g);	       /* first of all */
int guard_start(struct guard *g, int vcpu_fd); /* the time runs: five seconds */
bool guard_fired(void);			       /* asked when KVM_RUN says EINTR */
void guard_end(struct guard *g);	       /* after guard_block(), whether or not it was started */

#endif
