/*
 * Breakpoints in memory: where their addresses lead, and the instructions that are planted there while the world runs.
 *
 * An address leads where the tables of a vCPU in its address space say; the image's headers tell it until the first
 * tables do. Where no tables lead any more, the code is taken to be where it was, as long as it is the same code. The
 * guest's own writes over a planted instruction are the guest's: they are never undone.
 */
#include <string.h>

#include "vmm/debug_priv.h"

/* How often a vCPU that leaves the guest asks whether something can be planted, and which part of its time it may. */
#define LOOK_EVERY_US 1000
#define LOOK_SHARE    16

static uint64_t space_of(struct vm_debug *d, int cpu, uint64_t va)
{
	return d->m.space ? d->m.space(d->m.ctx, cpu, va) : VM_SPACE_SHARED;
}

/* The guest may be writing there. */
bool debug_code_differs(const uint8_t *host, const uint8_t *want, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (__atomic_load_n(&host[i], __ATOMIC_RELAXED) != want[i])
			return true;
	}
	return false;
}

static bool is_zero(const uint8_t *host, size_t n)
{
	static const uint8_t zero[BREAK_SEEN];

	return !debug_code_differs(host, zero, n);
}

/* ---- where an address leads ---- */

/* Host pointer to code at that place, and how much of it is in one piece; NULL: no code there (yet). */
static uint8_t *code_at(struct vm_debug *d, const struct mapping *map, size_t *n)
{
	uint64_t len = 0;
	uint8_t *host = d->m.ram(d->m.ctx, map->gpa, &len);

	if (len > map->len)
		len = map->len;
	*n = len < BREAK_SEEN ? (size_t)len : BREAK_SEEN;
	/* Memory that was never written is no code, in any ISA: it waits for a loader or an unpacker. */
	return host && *n >= d->m.arch->brk_len && !is_zero(host, *n) ? host : NULL;
}

/* Does this vCPU's view of memory count for the breakpoint? Without paging every address leads somewhere. */
static bool may_ask(struct vm_debug *d, int cpu, const struct break_entry *e)
{
	uint64_t space = space_of(d, cpu, e->spec.addr);

	return space == e->space || (!e->bound && space != VM_SPACE_PHYSICAL);
}

static bool leads_to_code(struct vm_debug *d, int cpu, const struct break_entry *e, struct mapping *map)
{
	size_t n;

	return may_ask(d, cpu, e) && debug_resolve(d, cpu, e->spec.addr, false, map) == 0 && code_at(d, map, &n);
}

static void set_place(struct vm_debug *d, int cpu, struct break_entry *e, const struct mapping *map, bool bound)
{
	size_t n;
	uint8_t *host = code_at(d, map, &n);

	if (e->placed && e->gpa != map->gpa)
		e->guests_own = false;
	e->placed = true;
	e->gpa = map->gpa;
	e->host = host;
	e->bound = bound;
	e->user = bound && map->user;
	if (bound)
		e->space = space_of(d, cpu, e->spec.addr);
	if (e->guests_own)
		return;
	e->nseen = (uint8_t)n;
	memcpy(e->seen, host, n);
	e->site_len = 0;
	if (!e->user && d->m.patch_site)
		e->site_len = (uint8_t)d->m.patch_site(d->m.ctx, cpu, e->seen, n);
	if (e->site_len > n)
		e->site_len = (uint8_t)n;
}

static bool find_by_tables(struct vm_debug *d, struct break_entry *e)
{
	struct mapping map;

	for (int i = 0; i < d->m.ncpus; i++) {
		int cpu = (d->last_cpu + i) % d->m.ncpus;

		if (!leads_to_code(d, cpu, e, &map))
			continue;
		if (!e->placed)
			e->slot_only = d->m.swbreak(d->m.ctx, cpu) != VM_SWBREAK_PLANT;
		set_place(d, cpu, e, &map, true);
		return true;
	}
	return false;
}

/* The image's headers know where the code is before there are tables. */
static bool find_by_layout(struct vm_debug *d, int cpu, struct break_entry *e)
{
	struct mapping map = {0};
	size_t n;

	if (e->bound || !d->m.layout || d->m.layout(d->m.ctx, e->spec.addr, &map) || !code_at(d, &map, &n))
		return false;
	set_place(d, cpu, e, &map, false);
	return true;
}

void break_find_place(struct vm_debug *d, int cpu, struct break_entry *e)
{
	struct mapping map;

	e->space = space_of(d, cpu, e->spec.addr);
	if (leads_to_code(d, cpu, e, &map))
		set_place(d, cpu, e, &map, true);
	else
		find_by_layout(d, cpu, e);
}

static void find_again(struct vm_debug *d, struct break_entry *e)
{
	if (find_by_tables(d, e))
		return;
	if (e->placed && !debug_code_differs(e->host, e->seen, e->nseen))
		return;
	e->placed = e->guests_own = false;
	/* A page of user mode may be another program's by now, and so may the address: only its own tables lead back.
	 */
	if (e->user)
		return;
	e->bound = false;
	if (!find_by_tables(d, e))
		find_by_layout(d, d->last_cpu, e);
}

static void look_again(struct vm_debug *d, struct break_entry *e)
{
	bool was_placed = e->placed, was_user = e->user, was_site = e->site_len, was_bound = e->bound;
	uint64_t was_space = e->space;

	find_again(d, e);
	if (e->placed != was_placed || e->user != was_user || (e->site_len != 0) != was_site || e->space != was_space ||
		e->bound != was_bound)
		d->breaks.changed = true;
}

/* ---- in memory ---- */

static void code_written(struct vm_debug *d, struct break_entry *e)
{
	if (d->m.code_written)
		d->m.code_written(d->m.ctx, e->host, d->m.arch->brk_len);
}

static bool is_break(const struct vm_debug *d, const struct break_entry *e)
{
	return !debug_code_differs(e->host, d->m.arch->brk, d->m.arch->brk_len);
}

static bool is_planted(const struct break_table *t, uint64_t gpa)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->entry[i].planted && t->entry[i].gpa == gpa)
			return true;
	}
	return false;
}

/*
 * A guest that patches an instruction others may be executing (Linux's text_poke_bp) puts a breakpoint instruction of
 * its own over the first byte, then writes the rest, then the first byte. Over our instruction the first write changes
 * nothing; the second shows.
 */
bool break_is_ours(const struct vm_debug *d, const struct break_entry *e)
{
	for (size_t i = d->m.arch->brk_len; i < e->site_len; i++) {
		if (debug_code_differs(&e->host[i], &e->seen[i], 1) && !is_planted(&d->breaks, e->gpa + i))
			return false;
	}
	return true;
}

static bool to_plant(const struct break_entry *e)
{
	return e->service == SERVED_PLANTED && !e->guests_own;
}

static void count_waiting(struct break_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->entry[i].guests_own || (t->entry[i].service == SERVED_NOT_YET && !t->entry[i].placed);
	atomic_store_explicit(&t->waiting, n, memory_order_relaxed);
}

static void plant_all(struct vm_debug *d)
{
	struct break_table *t = &d->breaks;

	/* All are read before any is planted: two may be close together, or the same code at two addresses. */
	for (size_t i = 0; i < t->n; i++) {
		if (to_plant(&t->entry[i]))
			memcpy(t->entry[i].seen, t->entry[i].host, t->entry[i].nseen);
	}
	for (size_t i = 0; i < t->n; i++) {
		struct break_entry *e = &t->entry[i];

		if (!to_plant(e))
			continue;
		memcpy(e->host, d->m.arch->brk, d->m.arch->brk_len);
		code_written(d, e);
		e->planted = true;
	}
	t->in_memory = true;
}

void breaks_plant(struct vm_debug *d, bool only_steps)
{
	struct break_table *t = &d->breaks;

	if (only_steps && !t->changed) {
		t->slots.swbreak = false;
		return;
	}
	for (size_t i = 0; i < t->n && !only_steps; i++) {
		struct break_entry *e = &t->entry[i];

		if (e->guests_own && !is_break(d, e))
			e->guests_own = false;
		if (e->spec.type == VM_BREAK_SW)
			look_again(d, e);
	}
	breaks_deal_slots(d);
	if (!only_steps)
		plant_all(d);
	breaks_build_slots(t, &t->slots);
	count_waiting(t);
}

/*
 * Bytes that the guest has overwritten meanwhile are the guest's. Of two breakpoints on the same bytes, through two
 * addresses, the first restores the original; the second then finds nothing of its own.
 */
void breaks_unplant(struct vm_debug *d)
{
	struct break_table *t = &d->breaks;

	if (!t->in_memory)
		return;
	for (size_t i = 0; i < t->n; i++) {
		struct break_entry *e = &t->entry[i];

		if (!e->planted || !is_break(d, e))
			continue;
		e->guests_own = !break_is_ours(d, e);
		if (e->guests_own)
			continue;
		memcpy(e->host, e->seen, d->m.arch->brk_len);
		code_written(d, e);
	}
	for (size_t i = 0; i < t->n; i++)
		t->entry[i].planted = false;
	t->in_memory = false;
}

/* ---- while the guest runs ---- */

static bool worth_a_stop(struct vm_debug *d, int cpu, const struct break_entry *e)
{
	struct mapping map;

	if (e->guests_own)
		return !is_break(d, e);
	return e->spec.type == VM_BREAK_SW && !e->placed && leads_to_code(d, cpu, e, &map);
}

bool breaks_look(struct vm_debug *d, int cpu)
{
	struct cpu_debug *c = &d->cpu[cpu];
	uint64_t begin, end;
	bool found = false;

	/* The table is fixed while any vCPU runs, so this one looks without the lock. */
	if (!atomic_load_explicit(&d->breaks.waiting, memory_order_relaxed) || c->stepping)
		return false;
	begin = debug_now_us();
	if (begin < c->next_look_us)
		return false;
	if (!d->m.translate_ready || d->m.translate_ready(d->m.ctx, cpu) == 0) {
		for (size_t i = 0; i < d->breaks.n && !found; i++)
			found = worth_a_stop(d, cpu, &d->breaks.entry[i]);
	}
	end = debug_now_us();
	c->next_look_us = end + LOOK_EVERY_US + (end - begin) * LOOK_SHARE;
	if (!found)
		return false;
	pthread_mutex_lock(&d->lock);
	if (!d->exiting)
		debug_begin_stop_locked(d, cpu);
	pthread_mutex_unlock(&d->lock);
	return true;
}
