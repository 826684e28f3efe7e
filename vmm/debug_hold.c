/*
 * The machine's own stops. The main thread holds the world to put in its breakpoints and to look at a run that has
 * failed; a client knows nothing of it: what it asks for meanwhile happens when the world is let go.
 */
#include "vmm/debug.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "vmm/debug_priv.h"

void debug_hold_init(struct vm_debug *d)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&d->hold_done, &attr);
	pthread_condattr_destroy(&attr);
}

void vm_debug_hold(struct vm_debug *d)
{
	pthread_mutex_lock(&d->lock);
	if (!d->exiting) {
		d->held = true;
		debug_begin_stop_locked(d, -1);
	}
	pthread_mutex_unlock(&d->lock);
}

bool vm_debug_hold_wait(struct vm_debug *d, int timeout_ms)
{
	struct timespec until;
	bool held;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&d->lock);
	while (!d->exiting && !debug_stopped(d) && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&d->hold_done, &d->lock, &until);
	held = !d->exiting && debug_stopped(d);
	pthread_mutex_unlock(&d->lock);
	return held;
}

static void let_go_locked(struct vm_debug *d)
{
	d->held = false;
	if (d->exiting || !debug_stopped(d) || d->reported)
		return;
	for (int i = 0; i < d->m.ncpus; i++)
		d->cpu[i].after_stop |= d->cpu[i].action.kind == VM_CONT;
	debug_advance_locked(d);
}

void vm_debug_unhold(struct vm_debug *d)
{
	pthread_mutex_lock(&d->lock);
	let_go_locked(d);
	pthread_mutex_unlock(&d->lock);
}

void vm_debug_hand_over(struct vm_debug *d, int cpu, const char *text)
{
	struct cpu_debug *c = &d->cpu[cpu];

	pthread_mutex_lock(&d->lock);
	if (!d->exiting) {
		snprintf(d->fault, sizeof(d->fault), "%s", text);
		c->pending = (struct vm_stop){
			.kind = VM_STOP_FAULT, .fault = VM_FAULT_VERDICT, .pc = d->m.pc(d->m.ctx, cpu)};
		c->pending_seq = d->stop_seq++;
		if (c->action.kind == VM_STAY && !d->reported) /* or nobody would be told */
			c->action.kind = VM_CONT;
		d->held = false;
		if (d->attached && !d->reported)
			debug_advance_locked(d);
	}
	pthread_mutex_unlock(&d->lock);
}

uint64_t vm_debug_ran_us(struct vm_debug *d)
{
	uint64_t us;

	pthread_mutex_lock(&d->lock);
	us = d->ran_us + (debug_stopped(d) ? 0 : debug_now_us() - d->runs_since_us);
	pthread_mutex_unlock(&d->lock);
	return us;
}
