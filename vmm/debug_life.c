/*
 * Ends and beginnings of the machine while the debugger stays.
 *
 *   alive --exit--> ended --restart--> restarting --reborn--> alive
 *   alive --restart--> restarting         restarting --stillborn--> ended
 *
 * In "ended" and "restarting" `exiting` is set and the world is not STOPPED, so whatever needs a vCPU or its memory is
 * refused; the main thread takes the machine apart and makes it again meanwhile. What is asked of a machine is asked by
 * the stub's thread, and so is a restart: nobody is inside of the machine then. When a machine ends by itself, its
 * vCPUs run, and the stub looks at none of them.
 */
#include "vmm/debug.h"

#include <errno.h>
#include <string.h>

#include "vmm/debug_priv.h"

/* The vCPUs leave; nobody can ask anything of them any more. */
static void end_locked(struct vm_debug *d)
{
	d->exiting = true;
	debug_set_world_locked(d, WORLD_STOPPING);
	for (int i = 0; i < d->m.ncpus; i++) {
		if (d->cpu[i].where == AT_RUNNING)
			d->m.kick(d->m.ctx, i);
		debug_wake_locked(&d->cpu[i]);
	}
	pthread_cond_broadcast(&d->hold_done);
}

static void post_end_locked(struct vm_debug *d, int status, bool over)
{
	struct vm_debug_event ev = {.kind = VM_EVENT_EXITED, .status = status, .over = over};

	if (over) {
		d->over = true;
		d->over_status = status;
	}
	d->end_told = true;
	debug_post_locked(d, &ev);
}

void vm_debug_exit(struct vm_debug *d, int status)
{
	pthread_mutex_lock(&d->lock);
	if (!d->exiting) {
		post_end_locked(d, status, !d->kept);
		end_locked(d);
	}
	pthread_mutex_unlock(&d->lock);
}

void vm_debug_quit(struct vm_debug *d, int status)
{
	pthread_mutex_lock(&d->lock);
	if (!d->over) {
		post_end_locked(d, status, true);
		if (!d->exiting)
			end_locked(d);
	}
	pthread_mutex_unlock(&d->lock);
}

bool vm_debug_over(struct vm_debug *d, int *status)
{
	bool over;

	pthread_mutex_lock(&d->lock);
	over = d->over;
	if (over)
		*status = d->over_status;
	pthread_mutex_unlock(&d->lock);
	return over;
}

void vm_debug_keep(struct vm_debug *d, bool keep)
{
	bool alone;

	pthread_mutex_lock(&d->lock);
	alone = d->kept && !keep && d->exiting && !d->restarting && !d->over;
	d->kept = keep;
	pthread_mutex_unlock(&d->lock);
	if (alone)
		d->m.hangup(d->m.ctx);
}

int vm_debug_restart(struct vm_debug *d)
{
	bool ask = false;
	int ret = 0;

	if (!d->m.restart)
		return -ENOTSUP;
	pthread_mutex_lock(&d->lock);
	if (d->over) {
		ret = -ESHUTDOWN;
	} else if (!d->restarting) {
		ask = d->restarting = true;
		debug_drop_events_locked(d);
		if (!d->exiting)
			end_locked(d);
	}
	pthread_mutex_unlock(&d->lock);
	if (ask)
		d->m.restart(d->m.ctx);
	return ret;
}

const char *vm_debug_program(const struct vm_debug *d)
{
	return d->m.program;
}

static void cpu_reborn(struct cpu_debug *c)
{
	c->where = AT_RUNNING;
	c->action = (struct vm_action){.kind = VM_STAY};
	c->pending = (struct vm_stop){.kind = VM_STOP_NONE};
	c->known = c->told = c->at_watch = c->stepping = c->after_stop = c->rearm = false;
	c->let_in = LET_IN_NO;
	c->steps = c->lift = c->nlater = 0;
	c->slots = NULL;
	c->call = CALL_NONE;
}

void vm_debug_reborn(struct vm_debug *d)
{
	pthread_mutex_lock(&d->lock);
	for (int i = 0; i < d->m.ncpus; i++)
		cpu_reborn(&d->cpu[i]);
	d->nrunning = d->m.ncpus;
	d->solo = -1;
	d->last_cpu = 0;
	d->hot = false;
	d->breaks.in_memory = false;
	d->fault[0] = '\0';
	d->restarting = false;
	d->reborn = true;
	d->pause_wanted = d->attached;
	d->detach_wanted = !d->attached;
	d->exiting = d->over;
	d->held = d->reported = false;
	d->ran_us = 0;
	d->runs_since_us = debug_now_us();
	if (d->end_told)
		breaks_end_told(d);
	d->end_told = false;
	pthread_mutex_unlock(&d->lock);
}

void vm_debug_stillborn(struct vm_debug *d, int status)
{
	pthread_mutex_lock(&d->lock);
	d->restarting = false;
	if (!d->over)
		post_end_locked(d, status, !d->kept);
	pthread_mutex_unlock(&d->lock);
}
