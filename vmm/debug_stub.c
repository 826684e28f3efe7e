/* The stub's side of vmm/debug.h; who runs when is debug.c's. */
#include "vmm/debug.h"

#include <errno.h>
#include <stdio.h>

#include "vmm/debug_priv.h"

void vm_debug_attach(struct vm_debug *d)
{
	pthread_mutex_lock(&d->lock);
	d->attached = true;
	if (!d->exiting) {
		d->pause_wanted = true;
		if (debug_stopped(d))
			debug_advance_locked(d); /* what has stopped it may be waiting to be told */
		else
			debug_begin_stop_locked(d, -1);
	}
	pthread_mutex_unlock(&d->lock);
}

void vm_debug_detach(struct vm_debug *d)
{
	if (d->m.slide_stop) /* the next client did not ask for it */
		(void)d->m.slide_stop(d->m.ctx, false);
	if (d->m.detached)
		d->m.detached(d->m.ctx);
	pthread_mutex_lock(&d->lock);
	d->attached = d->reported = false;
	d->pause_wanted = false;
	debug_drop_stopped_events_locked(d);
	if (!d->exiting) {
		d->detach_wanted = true;
		if (debug_stopped(d))
			debug_advance_locked(d);
		else
			debug_begin_stop_locked(d, -1);
	}
	pthread_mutex_unlock(&d->lock);
}

bool vm_debug_attached(struct vm_debug *d)
{
	bool attached;

	pthread_mutex_lock(&d->lock);
	attached = d->attached;
	pthread_mutex_unlock(&d->lock);
	return attached;
}

void vm_debug_pause(struct vm_debug *d)
{
	pthread_mutex_lock(&d->lock);
	if (d->attached && !d->exiting && (d->held ? !d->reported : !debug_stopped(d))) {
		d->pause_wanted = true; /* held: once it is let go */
		debug_begin_stop_locked(d, -1);
	}
	pthread_mutex_unlock(&d->lock);
}

/*
 * A stop that was not reported: is it still worth it? A finished step or pause is visible in the registers, and an
 * instruction breakpoint that was removed, or from which the pc was moved, traps again if it matters. Data accesses
 * and faults that have happened are never dropped.
 */
static void recheck_pending_locked(struct vm_debug *d, int cpu)
{
	struct vm_stop *p = &d->cpu[cpu].pending;

	switch (p->kind) {
	case VM_STOP_STEPPED:
	case VM_STOP_PAUSED:
		p->kind = VM_STOP_NONE;
		break;
	case VM_STOP_WATCH:
		/* Made already, or still to be made and trapped again. */
		if (d->m.arch->watch_before && !p->made &&
			(d->m.pc(d->m.ctx, cpu) != p->pc || !breaks_explain(d, cpu, p)))
			p->kind = VM_STOP_NONE;
		break;
	case VM_STOP_SWBREAK:
	case VM_STOP_HWBREAK:
		if (d->m.pc(d->m.ctx, cpu) == p->pc && breaks_clients_at(d, cpu, p->pc))
			break;
		p->kind = VM_STOP_NONE;
		/* One of the machine's own there has seen it: not twice. */
		d->cpu[cpu].known = d->m.pc(d->m.ctx, cpu) == p->pc;
		break;
	default:
		break;
	}
}

int vm_debug_resume(struct vm_debug *d, const struct vm_action *a, size_t n)
{
	bool any = false;
	int ret = 0;

	if (n != (size_t)d->m.ncpus)
		return -EINVAL;
	pthread_mutex_lock(&d->lock);
	if (d->exiting) {
		ret = -ESHUTDOWN;
	} else if (!debug_stopped(d) || (d->held && !d->reported)) {
		ret = -EBUSY;
	} else {
		for (int i = 0; i < d->m.ncpus; i++) {
			struct cpu_debug *c = &d->cpu[i];

			c->action = a[i];
			if (a[i].kind == VM_STAY)
				continue;
			c->let_in = LET_IN_NO;
			any = any || c->where == AT_PARKED;
			recheck_pending_locked(d, i);
			if (a[i].kind == VM_CONT) {
				c->after_stop = true;
				c->steps = 0;
			} else {
				c->known = true; /* a step executes what is at pc, breakpoint or not */
			}
		}
		d->resumed_us = debug_now_us();
		d->reported = false;
		d->pause_wanted = !any; /* nothing to run: say so at once */
		debug_advance_locked(d);
	}
	pthread_mutex_unlock(&d->lock);
	return ret;
}

int vm_debug_call(struct vm_debug *d, int cpu, int (*fn)(void *arg), void *arg)
{
	struct cpu_debug *c = &d->cpu[cpu];
	int ret;

	pthread_mutex_lock(&d->lock);
	while (c->call != CALL_NONE) /* the stub's, and the main thread holds the machine */
		pthread_cond_wait(&d->call_done, &d->lock);
	if (d->exiting || c->where == AT_GONE) {
		ret = -ENXIO;
	} else if (!debug_stopped(d)) {
		ret = -EBUSY;
	} else {
		c->call_fn = fn;
		c->call_arg = arg;
		c->call = CALL_ASKED;
		debug_wake_locked(c);
		while (c->call != CALL_DONE)
			pthread_cond_wait(&d->call_done, &d->lock);
		c->call = CALL_NONE;
		pthread_cond_broadcast(&d->call_done);
		ret = c->call_result;
	}
	pthread_mutex_unlock(&d->lock);
	return ret;
}

const struct arch_desc *vm_debug_arch(const struct vm_debug *d)
{
	return d->m.arch;
}

int vm_debug_ncpus(const struct vm_debug *d)
{
	return d->m.ncpus;
}

struct reg_call {
	struct vm_debug *d;
	int cpu;
	unsigned regno;
	void *out;
	const void *in;
	size_t len;
};

static int reg_call(void *arg)
{
	struct reg_call *r = arg;
	const struct vm_debug_machine *m = &r->d->m;

	return r->in ? m->reg_write(m->ctx, r->cpu, r->regno, r->in, r->len)
		     : m->reg_read(m->ctx, r->cpu, r->regno, r->out, r->len);
}

static int reg_access(struct reg_call *r, bool deferred)
{
	const struct arch_desc *arch = r->d->m.arch;

	if (r->regno >= arch->nregs || r->len != arch->regs[r->regno].size)
		return -EINVAL;
	if (!arch_desc_has(arch, r->regno))
		return -ENOENT;
	if (!debug_stopped(r->d))
		return -EBUSY;
	return deferred ? vm_debug_call(r->d, r->cpu, reg_call, r) : reg_call(r);
}

int vm_debug_reg_read(struct vm_debug *d, int cpu, unsigned regno, void *buf, size_t len)
{
	struct reg_call r = {.d = d, .cpu = cpu, .regno = regno, .out = buf, .len = len};

	return reg_access(&r, regno < d->m.arch->nregs && d->m.arch->regs[regno].deferred);
}

int vm_debug_reg_write(struct vm_debug *d, int cpu, unsigned regno, const void *buf, size_t len)
{
	struct reg_call r = {.d = d, .cpu = cpu, .regno = regno, .in = buf, .len = len};
	const struct reg_desc *regs = d->m.arch->regs;
	int ret = reg_access(&r, regno < d->m.arch->nregs && (regs[regno].deferred || regs[regno].write_deferred));

	if (ret == 0 && regno == d->m.arch->pc) {
		pthread_mutex_lock(&d->lock);
		d->cpu[cpu].known = d->cpu[cpu].told = d->cpu[cpu].at_watch = false;
		d->cpu[cpu].lift = 0;
		pthread_mutex_unlock(&d->lock);
	}
	return ret;
}

int vm_debug_pc(struct vm_debug *d, int cpu, uint64_t *pc)
{
	if (!debug_stopped(d))
		return -EBUSY;
	*pc = d->m.pc(d->m.ctx, cpu);
	return 0;
}

void vm_debug_state_text(struct vm_debug *d, int cpu, char *buf, size_t len)
{
	bool gone;

	pthread_mutex_lock(&d->lock);
	gone = d->cpu[cpu].where == AT_GONE;
	pthread_mutex_unlock(&d->lock);
	if (gone)
		snprintf(buf, len, "gone");
	else if (!debug_stopped(d))
		snprintf(buf, len, "running");
	else
		d->m.state_text(d->m.ctx, cpu, buf, len);
}

void vm_debug_fault_text(struct vm_debug *d, char *buf, size_t len)
{
	pthread_mutex_lock(&d->lock);
	snprintf(buf, len, "%s", d->fault);
	pthread_mutex_unlock(&d->lock);
}

void vm_debug_kill(struct vm_debug *d)
{
	d->m.kill(d->m.ctx);
}

void vm_debug_hangup(struct vm_debug *d)
{
	d->m.hangup(d->m.ctx);
}
