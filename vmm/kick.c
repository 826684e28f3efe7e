#include "vmm/kick.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

#define KICK_SIGNAL SIGUSR1

static __thread struct kick *self;

static void on_kick(int sig)
{
	(void)sig;
	if (self)
		__atomic_store_n(self->immediate_exit, 1, __ATOMIC_RELAXED);
}

int kick_init(void)
{
	struct sigaction sa = {.sa_handler = on_kick};

	sigemptyset(&sa.sa_mask);
	return sigaction(KICK_SIGNAL, &sa, NULL) ? -errno : 0;
}

void kick_send(struct kick *k)
{
	/* No kick is saved because another is under way: finishing an access may have swallowed that one. Not
	 * listening: it has yet to ask for the first time whether it may enter, or has asked for the last time. */
	if (atomic_load(&k->listening))
		pthread_kill(k->thread, KICK_SIGNAL);
}

void kick_loop(struct kick *k, bool (*may_enter)(void *ctx), bool (*enter)(void *ctx), void *ctx)
{
	sigset_t kick;

	self = k;
	sigemptyset(&kick);
	sigaddset(&kick, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	k->thread = pthread_self();
	atomic_store(&k->listening, true);
	while (may_enter(ctx)) {
		if (enter(ctx))
			__atomic_store_n(k->immediate_exit, 0, __ATOMIC_RELAXED);
		atomic_signal_fence(memory_order_seq_cst); /* nor does the compiler swap this with the next look */
	}
	atomic_store(&k->listening, false);
	self = NULL;
}
