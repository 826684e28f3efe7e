/* Events that the client wants to see: a short table, asked by each vCPU on its own thread when something happens. */
#include "vmm/debug.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/debug_priv.h"

/* ---- the vCPUs' side: the table is fixed while any of them runs ---- */

static bool explains(const struct vm_catch *c, const struct vm_access *a)
{
	if (c->kind != a->kind)
		return false;
	if (c->kind == VM_CATCH_RESET)
		return true;
	/* Ends are inclusive: nothing wraps. */
	return a->addr <= c->addr + (c->len - 1) && c->addr <= a->addr + (a->size - 1);
}

bool vm_debug_catches(struct vm_debug *d, const struct vm_access *a)
{
	for (size_t i = 0; i < d->catches.n; i++) {
		if (explains(&d->catches.entry[i], a))
			return true;
	}
	return false;
}

bool vm_debug_event(struct vm_debug *d, int cpu, const struct vm_access *a)
{
	struct vm_stop stop = {.kind = VM_STOP_EVENT, .event = *a};
	bool taken;

	if (!vm_debug_catches(d, a))
		return false;
	pthread_mutex_lock(&d->lock);
	taken = d->attached && !d->exiting;
	if (taken)
		debug_record_locked(d, cpu, &stop);
	pthread_mutex_unlock(&d->lock);
	return taken;
}

/* ---- the stub's side ---- */

static int apply_msrs(struct vm_debug *d)
{
	uint32_t msrs[CATCHES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < d->catches.n; i++) {
		if (d->catches.entry[i].kind == VM_CATCH_MSR)
			msrs[n++] = (uint32_t)d->catches.entry[i].addr;
	}
	return d->m.catch_msrs ? d->m.catch_msrs(d->m.ctx, msrs, n) : n ? -ENOTSUP : 0;
}

static bool any_msr(const struct catch_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->entry[i].kind == VM_CATCH_MSR)
			return true;
	}
	return false;
}

void catches_clear(struct vm_debug *d)
{
	bool msrs = any_msr(&d->catches);

	d->catches.n = 0;
	if (msrs)
		apply_msrs(d);
}

void catches_machine_new(struct vm_debug *d)
{
	if (any_msr(&d->catches))
		apply_msrs(d);
}

static int find(const struct catch_table *t, const struct vm_catch *c)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct vm_catch *e = &t->entry[i];

		if (e->kind == c->kind && e->addr == c->addr && e->len == c->len)
			return (int)i;
	}
	return -1;
}

static int add_locked(struct vm_debug *d, const struct vm_catch *c, char *why, size_t len)
{
	struct catch_table *t = &d->catches;
	int ret = find(t, c);

	if (!debug_stopped(d))
		return -EBUSY;
	if (ret >= 0)
		return (int)t->entry[ret].id;
	if (t->n == CATCHES_MAX) {
		snprintf(why, len, "%d events are caught already, and no more fit", CATCHES_MAX);
		return -ENOSPC;
	}
	t->entry[t->n] = *c;
	t->entry[t->n].id = t->last_id + 1;
	t->n++;
	if (c->kind == VM_CATCH_MSR) {
		ret = apply_msrs(d);
		if (ret < 0) {
			t->n--;
			snprintf(why, len, "KVM does not take this filter of MSRs: %s", strerror(-ret));
			return ret;
		}
	}
	return (int)++t->last_id;
}

int vm_debug_catch_add(struct vm_debug *d, const struct vm_catch *c, char *why, size_t len)
{
	int ret;

	snprintf(why, len, "the machine runs");
	if (!debug_stopped(d))
		return -EBUSY;
	if (!c->len || c->addr + (c->len - 1) < c->addr) {
		snprintf(why, len, "this is no range of addresses");
		return -EINVAL;
	}
	if (!d->m.catch_check) {
		snprintf(why, len, "this machine catches nothing");
		return -ENOTSUP;
	}
	ret = d->m.catch_check(d->m.ctx, c, why, len);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&d->lock);
	ret = add_locked(d, c, why, len);
	pthread_mutex_unlock(&d->lock);
	return ret;
}

static int remove_locked(struct vm_debug *d, unsigned id)
{
	struct catch_table *t = &d->catches;

	for (size_t i = 0; i < t->n; i++) {
		bool msr = t->entry[i].kind == VM_CATCH_MSR;

		if (t->entry[i].id != id)
			continue;
		memmove(&t->entry[i], &t->entry[i + 1], (t->n - i - 1) * sizeof(t->entry[0]));
		t->n--;
		return msr ? apply_msrs(d) : 0;
	}
	return -ENOENT;
}

int vm_debug_catch_remove(struct vm_debug *d, unsigned id)
{
	int ret = 0;

	pthread_mutex_lock(&d->lock);
	if (!debug_stopped(d))
		ret = -EBUSY;
	else if (id)
		ret = remove_locked(d, id);
	else
		catches_clear(d);
	pthread_mutex_unlock(&d->lock);
	return ret;
}

bool vm_debug_catch_get(struct vm_debug *d, size_t i, struct vm_catch *out)
{
	bool there;

	pthread_mutex_lock(&d->lock);
	there = i < d->catches.n;
	if (there)
		*out = d->catches.entry[i];
	pthread_mutex_unlock(&d->lock);
	return there;
}
