/* Who runs: the world is stopped, a stop is reported, and it is released again. The vCPUs' own side is debug_vcpu.c. */
#include "vmm/debug.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/debug_priv.h"

/* A stop that comes this soon after the resume is one of many. */
#define QUICK_US 300

void debug_set_world_locked(struct vm_debug *d, enum world w)
{
	bool was_stopped = debug_stopped(d);

	if (w == WORLD_STOPPED && !was_stopped)
		d->ran_us += debug_now_us() - d->runs_since_us;
	else if (w != WORLD_STOPPED && was_stopped)
		d->runs_since_us = debug_now_us();
	atomic_store_explicit(&d->world, w, memory_order_release);
}

/* ---- life ---- */

struct vm_debug *vm_debug_new(const struct vm_debug_machine *m, bool start_stopped)
{
	struct vm_debug *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->m = *m;
	d->cpu = calloc((size_t)m->ncpus, sizeof(*d->cpu));
	d->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!d->cpu || d->fd < 0) {
		if (d->fd >= 0)
			close(d->fd);
		free(d->cpu);
		free(d);
		return NULL;
	}
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->call_done, NULL);
	debug_hold_init(d);
	d->runs_since_us = debug_now_us();
	d->solo = -1;
	d->nrunning = m->ncpus;
	d->pause_wanted = start_stopped;
	debug_set_world_locked(d, start_stopped ? WORLD_STOPPING : WORLD_RUNNING);
	for (int i = 0; i < m->ncpus; i++) {
		pthread_cond_init(&d->cpu[i].wake, NULL);
		d->cpu[i].action.kind = start_stopped ? VM_STAY : VM_CONT;
	}
	return d;
}

void vm_debug_free(struct vm_debug *d)
{
	if (!d)
		return;
	for (int i = 0; i < d->m.ncpus; i++)
		pthread_cond_destroy(&d->cpu[i].wake);
	pthread_cond_destroy(&d->call_done);
	pthread_cond_destroy(&d->hold_done);
	pthread_mutex_destroy(&d->lock);
	breaks_free(&d->breaks);
	watch_free(d);
	close(d->fd);
	free(d->cpu);
	free(d);
}

/* ---- stopping and releasing ---- */

void debug_wake_locked(struct cpu_debug *c)
{
	atomic_fetch_add_explicit(&c->poke, 1, memory_order_release);
	pthread_cond_signal(&c->wake);
}

/* Make everybody but `self` park. */
void debug_begin_stop_locked(struct vm_debug *d, int self)
{
	if (atomic_load_explicit(&d->world, memory_order_relaxed) == WORLD_RUNNING) {
		debug_set_world_locked(d, WORLD_STOPPING);
		for (int i = 0; i < d->m.ncpus; i++) {
			if (i != self && d->cpu[i].where == AT_RUNNING)
				d->m.kick(d->m.ctx, i);
		}
	}
	if (d->nrunning == 0 && atomic_load_explicit(&d->world, memory_order_relaxed) == WORLD_STOPPING)
		debug_advance_locked(d);
}

void debug_record_locked(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	struct cpu_debug *c = &d->cpu[cpu];

	/* What was seen before may be wrong after a failure. */
	if (c->pending.kind == VM_STOP_NONE || stop->kind == VM_STOP_FAULT) {
		c->pending = *stop;
		c->pending_seq = d->stop_seq++;
	} else if (stop->kind == VM_STOP_EVENT && c->nlater < EVENTS_LATER) {
		c->later[c->nlater++] = *stop;
	}
	debug_begin_stop_locked(d, cpu);
}

void debug_known_locked(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	d->cpu[cpu].known = true;
	if (stop->kind == VM_STOP_WATCH && d->m.arch->watch_before && !stop->made)
		d->cpu[cpu].at_watch = true;
}

static void report_locked(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	struct vm_debug_event ev = {.kind = VM_EVENT_STOPPED, .cpu = cpu, .stop = *stop};

	d->last_cpu = cpu;
	debug_known_locked(d, cpu, stop);
	d->hot = debug_now_us() - d->resumed_us < QUICK_US;
	d->pause_wanted = false;
	debug_set_world_locked(d, WORLD_STOPPED);
	d->reported = d->attached;
	if (d->attached)
		debug_post_locked(d, &ev);
}

void debug_report_pause_locked(struct vm_debug *d)
{
	struct vm_stop stop = {.kind = VM_STOP_PAUSED};
	int cpu = d->last_cpu;

	stop.pc = d->m.pc(d->m.ctx, cpu);
	report_locked(d, cpu, &stop);
}

static void run_locked(struct cpu_debug *c, const struct hw_slots *slots, bool step)
{
	c->slots = slots;
	c->stepping = step;
	c->passing = false;
	c->rearm = true;
	c->where = AT_RUNNING;
	debug_wake_locked(c);
}

static bool only_steps_locked(const struct vm_debug *d)
{
	for (int i = 0; i < d->m.ncpus; i++) {
		if (d->cpu[i].action.kind == VM_CONT || d->cpu[i].action.kind == VM_STEP_RANGE)
			return false;
	}
	return true;
}

/* Everybody with something to do runs, with every breakpoint in place. */
static void release_locked(struct vm_debug *d)
{
	bool only_steps = only_steps_locked(d);

	breaks_plant(d, only_steps);
	watch_apply(d, only_steps);
	debug_set_world_locked(d, WORLD_RUNNING);
	for (int i = 0; i < d->m.ncpus; i++) {
		struct cpu_debug *c = &d->cpu[i];

		if (c->where != AT_PARKED || c->action.kind == VM_STAY)
			continue;
		c->known = c->told = c->at_watch = false;
		c->lift = 0;
		d->nrunning++;
		run_locked(c, &d->breaks.slots, c->action.kind != VM_CONT);
	}
}

/* One vCPU alone executes one instruction with the breakpoint on it lifted (nothing is planted now). */
static void solo_locked(struct vm_debug *d, int cpu, uint64_t pc)
{
	breaks_solo_slots(d, pc, d->cpu[cpu].at_watch);
	watch_apply(d, true);
	if (d->cpu[cpu].lift)
		watch_lift(d, true);
	d->solo = cpu;
	d->nrunning = 1;
	debug_set_world_locked(d, WORLD_RUNNING);
	run_locked(&d->cpu[cpu], &d->breaks.solo_slots, true);
}

/* What came behind a stop that has been reported, or was dropped, is the next. */
static void promote_later_locked(struct vm_debug *d, struct cpu_debug *c)
{
	if (c->pending.kind != VM_STOP_NONE || !c->nlater)
		return;
	c->pending = c->later[0];
	c->pending_seq = d->stop_seq++;
	memmove(&c->later[0], &c->later[1], --c->nlater * sizeof(c->later[0]));
}

static int first_pending_locked(struct vm_debug *d)
{
	int best = -1;

	for (int i = 0; i < d->m.ncpus; i++) {
		struct cpu_debug *c = &d->cpu[i];

		promote_later_locked(d, c);
		if (c->action.kind == VM_STAY || c->pending.kind == VM_STOP_NONE)
			continue;
		if (best < 0 || (int)(c->pending_seq - d->cpu[best].pending_seq) < 0)
			best = i;
	}
	return best;
}

/* A vCPU whose pc is on something that would only report what is known. */
static int next_on_breakpoint_locked(struct vm_debug *d, uint64_t *pc)
{
	for (int i = 0; i < d->m.ncpus; i++) {
		const struct cpu_debug *c = &d->cpu[i];

		if (c->where != AT_PARKED || c->action.kind == VM_STAY || !c->known)
			continue;
		*pc = d->m.pc(d->m.ctx, i);
		if (c->at_watch || c->lift || breaks_at(d, i, *pc))
			return i;
	}
	return -1;
}

static void forget_client_locked(struct vm_debug *d)
{
	breaks_clear(d);
	catches_clear(d);
	d->detach_wanted = false;
	for (int i = 0; i < d->m.ncpus; i++) {
		struct cpu_debug *c = &d->cpu[i];

		c->pending.kind = VM_STOP_NONE;
		c->nlater = 0;
		c->known = c->told; /* the machine's have seen it: not twice */
		c->at_watch = false;
		c->let_in = LET_IN_NO;
		c->lift = 0;
		c->after_stop = c->action.kind == VM_STAY || c->after_stop;
		c->action.kind = VM_CONT;
	}
}

/* Nobody runs: report a stop, or step somebody past a breakpoint, or let everybody go on. */
void debug_advance_locked(struct vm_debug *d)
{
	struct vm_stop stop;
	uint64_t pc;
	int cpu;

	breaks_unplant(d);
	d->solo = -1;
	if (d->exiting)
		return;
	if (d->reborn) {
		breaks_machine_new(d);
		watch_free(d);
		catches_machine_new(d);
	}
	if (d->held) {
		debug_set_world_locked(d, WORLD_STOPPED);
		pthread_cond_broadcast(&d->hold_done);
		return;
	}
	if (d->detach_wanted)
		forget_client_locked(d);
	cpu = first_pending_locked(d);
	if (cpu >= 0) {
		stop = d->cpu[cpu].pending;
		d->cpu[cpu].pending.kind = VM_STOP_NONE;
		/* A finished step is not worth more than the pause that was asked for: nobody would ask again. */
		if (d->pause_wanted && stop.kind == VM_STOP_STEPPED)
			stop.kind = VM_STOP_PAUSED;
		report_locked(d, cpu, &stop);
	} else if (d->pause_wanted) {
		debug_report_pause_locked(d);
	} else {
		cpu = next_on_breakpoint_locked(d, &pc);
		if (cpu >= 0)
			solo_locked(d, cpu, pc);
		else
			release_locked(d);
	}
	/* Nobody has executed anything: a breakpoint at a new machine's first instruction is news. */
	for (int i = 0; d->reborn && i < d->m.ncpus; i++)
		d->cpu[i].known = d->cpu[i].told = false;
	d->reborn = false;
}
