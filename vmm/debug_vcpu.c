/* The vCPUs' side of vmm/debug.h: what a trap means, parking, and what to load before the guest is entered. */
#include "vmm/debug.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "vmm/debug_priv.h"

/* How long a parked vCPU looks for its next resume before it sleeps, while a client goes from stop to stop. */
#define PARK_SPIN_US 100

/*
 * A range step lets interrupts in after so many steps: some milliseconds where a step costs what it should, so that the
 * guest's timers keep going, and more than nearly any line of straight code, which thus is stepped without them. Let
 * in, one interrupt costs some tens of steps at most.
 */
#define LET_IN_STEPS 1000

/* Still inside of the range: is it time to let interrupts in? Not while a user's breakpoint waits at this pc. */
static void count_step_locked(struct vm_debug *d, int cpu, uint64_t pc)
{
	struct cpu_debug *c = &d->cpu[cpu];

	c->steps = c->let_in == LET_IN_GOING ? 0 : c->steps + 1;
	c->let_in = c->steps >= LET_IN_STEPS && !breaks_at(d, cpu, pc) ? LET_IN_DUE : LET_IN_NO;
}

/*
 * Is this stop news? Also moves past stops that are nobody's business: a range step still in range, a breakpoint
 * removed meanwhile, the end of a step past a breakpoint.
 */
static void trap_locked(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	struct cpu_debug *c = &d->cpu[cpu];
	bool was_solo = d->solo == cpu;

	if (stop->kind != VM_STOP_STEPPED) {
		debug_record_locked(d, cpu, stop);
		return;
	}
	if (!c->stepping) /* armed for a run that a stop has overtaken */
		return;
	c->known = c->told = c->at_watch = false;
	if (c->lift && (--c->lift == 0 || stop->sequence || breaks_at(d, cpu, stop->pc)))
		c->lift = 0;
	switch (was_solo && c->let_in == LET_IN_GOING ? VM_CONT : c->action.kind) {
	case VM_STEP_RANGE:
		if (stop->pc < c->action.lo || stop->pc >= c->action.hi) {
			debug_record_locked(d, cpu, stop);
			return;
		}
		count_step_locked(d, cpu, stop->pc);
		break;
	case VM_STEP:
		debug_record_locked(d, cpu, stop);
		return;
	default:
		break;
	}
	if (was_solo && !c->lift) { /* past the breakpoint: put it back, let the others go on as well */
		c->stepping = false;
		debug_begin_stop_locked(d, cpu);
	}
}

/* The one that steps with the write-protection lifted has stepped, or may have: has it written to what is watched? */
static void lifted_step(struct vm_debug *d, int cpu, uint64_t pc)
{
	struct vm_stop stop = {.kind = VM_STOP_WATCH, .access = HW_WRITE, .made = true, .pc = pc};

	if (watch_changed(d, &stop.addr) && !d->cpu[cpu].at_watch)
		vm_debug_trap(d, cpu, &stop);
}

static bool is_foreign(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	return stop->kind == VM_STOP_SWBREAK && (stop->foreign || breaks_guests_own(d, cpu, stop->pc));
}

enum vm_trap_result vm_debug_trap(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	const struct break_entry *b;
	bool hit = true;

	if (stop->kind == VM_STOP_STEPPED && d->solo == cpu && d->watch.lifted)
		lifted_step(d, cpu, stop->pc);
	pass_stopped(d, cpu, stop);
	/* The table is fixed while any vCPU runs, so this one looks without the lock. */
	if (stop->kind == VM_STOP_SWBREAK || stop->kind == VM_STOP_HWBREAK || stop->kind == VM_STOP_WATCH) {
		b = breaks_explain(d, cpu, stop);
		if (!b)
			return is_foreign(d, cpu, stop) ? VM_TRAP_FOREIGN : VM_TRAP_TAKEN;
		hit = breaks_hit(d, cpu, b, stop);
		if (!hit && pass_begin(d, cpu, stop))
			return VM_TRAP_TAKEN;
	}
	pthread_mutex_lock(&d->lock);
	if (hit) {
		trap_locked(d, cpu, stop);
	} else if (stop->kind != VM_STOP_WATCH || (d->m.arch->watch_before && !stop->made)) {
		debug_known_locked(d, cpu, stop); /* a false condition: step past it without a stop */
		debug_begin_stop_locked(d, cpu);
	}
	pthread_mutex_unlock(&d->lock);
	return VM_TRAP_TAKEN;
}

bool vm_debug_fault(struct vm_debug *d, int cpu, enum vm_fault fault, uint64_t pc, const char *text)
{
	struct vm_stop stop = {.kind = VM_STOP_FAULT, .fault = fault, .pc = pc};
	bool taken;

	pthread_mutex_lock(&d->lock);
	taken = d->attached && !d->exiting;
	if (taken) {
		snprintf(d->fault, sizeof(d->fault), "%s", text);
		debug_record_locked(d, cpu, &stop);
	}
	pthread_mutex_unlock(&d->lock);
	return taken;
}

/* A client that steps resumes within microseconds: worth more than a sleep and a wake-up. */
static void spin_for_poke(struct cpu_debug *c, unsigned before)
{
	uint64_t end = debug_now_us() + PARK_SPIN_US;

	do {
		for (int i = 0; i < 64; i++) {
			if (atomic_load_explicit(&c->poke, memory_order_acquire) != before)
				return;
			debug_relax();
		}
		sched_yield(); /* what this waits for may want this very processor */
	} while (debug_now_us() < end);
}

static void serve_call_locked(struct vm_debug *d, struct cpu_debug *c, bool alive)
{
	int ret = -ENXIO;

	if (c->call != CALL_ASKED)
		return;
	if (alive) {
		pthread_mutex_unlock(&d->lock);
		ret = c->call_fn(c->call_arg);
		pthread_mutex_lock(&d->lock);
	}
	c->call_result = ret;
	c->call = CALL_DONE;
	pthread_cond_broadcast(&d->call_done);
}

/* Returns once released, or when the VM ends. */
static void park(struct vm_debug *d, int cpu)
{
	struct cpu_debug *c = &d->cpu[cpu];
	struct vm_stop late = {.kind = VM_STOP_NONE};
	unsigned poke;
	bool hot;

	d->m.quiesce(d->m.ctx, cpu, &late);
	if (late.kind != VM_STOP_NONE)
		vm_debug_trap(d, cpu, &late);
	else if (d->solo == cpu && d->watch.lifted)
		lifted_step(d, cpu, d->m.pc(d->m.ctx, cpu));
	pass_parks(d, cpu, d->m.pc(d->m.ctx, cpu));
	pthread_mutex_lock(&d->lock);
	if (atomic_load_explicit(&d->world, memory_order_relaxed) != WORLD_RUNNING && !d->exiting) {
		poke = atomic_load_explicit(&c->poke, memory_order_relaxed);
		c->where = AT_PARKED;
		if (--d->nrunning == 0)
			debug_advance_locked(d);
		hot = d->hot && d->attached;
		while (c->where == AT_PARKED && !d->exiting) {
			if (c->call == CALL_ASKED) {
				serve_call_locked(d, c, true);
				continue;
			}
			if (hot) {
				pthread_mutex_unlock(&d->lock);
				spin_for_poke(c, poke);
				pthread_mutex_lock(&d->lock);
				hot = false;
				continue;
			}
			pthread_cond_wait(&c->wake, &d->lock);
		}
		serve_call_locked(d, c, false);
	}
	pthread_mutex_unlock(&d->lock);
}

/*
 * Without its breakpoints, with those of a debugger that has left, or with a step that never ends, a vCPU is not let
 * run. False: that is how it would be; the machine has told the debugger, or ends.
 */
static bool arm(struct vm_debug *d, int cpu)
{
	struct cpu_debug *c = &d->cpu[cpu];
	enum vm_arm how = c->stepping ? VM_ARM_STEP : VM_ARM_RUN;
	int ret;

	/* Nobody changes solo while a vCPU runs, as this one does. */
	if (c->stepping && d->solo != cpu && c->let_in != LET_IN_NO)
		how = c->let_in == LET_IN_DUE ? VM_ARM_LET_IN : VM_ARM_LET_IN_ON;
	ret = d->m.arm(d->m.ctx, cpu, c->slots, how);
	if (how == VM_ARM_LET_IN && ret == 0)
		c->let_in = LET_IN_GOING;
	c->rearm = c->stepping || ret < 0; /* every step is armed anew, last of all */
	return ret >= 0;
}

/* The answer to "may I enter the guest": park as often as asked, then load the debug hardware for this run. */
static bool checkpoint_slow(struct vm_debug *d, int cpu)
{
	struct cpu_debug *c = &d->cpu[cpu];
	bool exiting;

	for (;;) {
		pthread_mutex_lock(&d->lock);
		exiting = d->exiting;
		pthread_mutex_unlock(&d->lock);
		if (exiting)
			return false;
		if (atomic_load_explicit(&d->world, memory_order_acquire) != WORLD_RUNNING) {
			park(d, cpu);
			continue;
		}
		if (c->after_stop) {
			c->after_stop = false;
			if (d->m.resumed)
				d->m.resumed(d->m.ctx, cpu);
		}
		if (d->solo == cpu && !c->told && breaks_tell_machines(d, cpu))
			continue;
		if (!arm(d, cpu))
			continue;
		return true; /* a stop that comes now kicks: the entry returns at once */
	}
}

bool vm_debug_checkpoint(struct vm_debug *d, int cpu)
{
	if (atomic_load_explicit(&d->world, memory_order_acquire) == WORLD_RUNNING && !d->cpu[cpu].rearm &&
		!breaks_look(d, cpu))
		return true;
	return checkpoint_slow(d, cpu);
}

void vm_debug_gone(struct vm_debug *d, int cpu)
{
	struct cpu_debug *c = &d->cpu[cpu];

	pthread_mutex_lock(&d->lock);
	if (c->where == AT_RUNNING)
		d->nrunning--;
	c->where = AT_GONE;
	serve_call_locked(d, c, false);
	if (d->nrunning == 0 && !d->exiting && atomic_load_explicit(&d->world, memory_order_relaxed) == WORLD_STOPPING)
		debug_advance_locked(d);
	pthread_mutex_unlock(&d->lock);
}
