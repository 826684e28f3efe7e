/* The one table of breakpoints: instructions planted in memory, and what the debug hardware has to watch. */
#include "vmm/debug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/debug_priv.h"

void breaks_free(struct break_table *t)
{
	free(t->entry);
	memset(t, 0, sizeof(*t));
}

void breaks_clear(struct vm_debug *d)
{
	d->breaks.n = 0;
}

static bool is_exec(const struct break_entry *e)
{
	return e->spec.type == VM_BREAK_SW || e->spec.type == VM_BREAK_HW;
}

static struct hw_slot hw_slot_of(const struct break_entry *e)
{
	static const enum hw_kind kind[] = {
		[VM_BREAK_SW] = HW_EXEC,
		[VM_BREAK_HW] = HW_EXEC,
		[VM_BREAK_WATCH_WRITE] = HW_WRITE,
		[VM_BREAK_WATCH_READ] = HW_READ,
		[VM_BREAK_WATCH_ACCESS] = HW_ACCESS,
	};

	return (struct hw_slot){.addr = e->spec.addr, .len = e->spec.len, .kind = kind[e->spec.type]};
}

static bool same_slot(const struct hw_slot *a, const struct hw_slot *b)
{
	return a->addr == b->addr && a->len == b->len && a->kind == b->kind;
}

/* Two breakpoints on the same thing share a slot. false: the table of slots itself is full. */
static bool slots_add(struct hw_slots *s, const struct hw_slot *slot)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (same_slot(&s->slot[i], slot))
			return true;
	}
	if (s->n == HW_SLOTS_MAX)
		return false;
	s->slot[s->n++] = *slot;
	return true;
}

static void build_slots(const struct break_table *t, struct hw_slots *s)
{
	struct hw_slot slot;

	s->n = 0;
	s->swbreak = false;
	for (size_t i = 0; i < t->n; i++) {
		if (t->entry[i].service == SERVED_PLANTED)
			s->swbreak = true;
		if (t->entry[i].service != SERVED_SLOT)
			continue;
		slot = hw_slot_of(&t->entry[i]);
		slots_add(s, &slot);
	}
}

void breaks_solo_slots(struct vm_debug *d, uint64_t pc, bool lift_watches)
{
	struct hw_slots *s = &d->breaks.solo_slots;
	unsigned n = 0;

	build_slots(&d->breaks, s);
	for (unsigned i = 0; i < s->n; i++) {
		if (s->slot[i].kind == HW_EXEC ? s->slot[i].addr != pc : !lift_watches)
			s->slot[n++] = s->slot[i];
	}
	s->n = n;
	s->swbreak = false;
}

/* Can addr be planted for that vCPU? Fills the place. */
static bool find_place(struct vm_debug *d, int cpu, struct break_entry *e, bool use_layout)
{
	struct mapping map;
	uint64_t len = 0;

	if (debug_resolve(d, cpu, e->spec.addr, use_layout, &map))
		return false;
	e->gpa = map.gpa;
	e->host = d->m.ram(d->m.ctx, map.gpa, &len);
	return e->host && len >= d->m.arch->brk_len && map.len >= d->m.arch->brk_len;
}

/* Code that was not mapped when its breakpoint came may be there now; that frees its hardware slot. */
static void adopt_unmapped(struct vm_debug *d)
{
	for (size_t i = 0; i < d->breaks.n; i++) {
		struct break_entry *e = &d->breaks.entry[i];

		if (e->unmapped && find_place(d, d->last_cpu, e, false) &&
			d->m.swbreak(d->m.ctx, d->last_cpu) == VM_SWBREAK_PLANT) {
			e->service = SERVED_PLANTED;
			e->unmapped = false;
		}
	}
}

static void code_written(struct vm_debug *d, struct break_entry *e)
{
	if (d->m.code_written)
		d->m.code_written(d->m.ctx, e->host, d->m.arch->brk_len);
}

void breaks_plant(struct vm_debug *d)
{
	struct break_table *t = &d->breaks;
	size_t len = d->m.arch->brk_len;

	adopt_unmapped(d);
	for (size_t i = 0; i < t->n; i++) {
		struct break_entry *e = &t->entry[i];

		if (e->service != SERVED_PLANTED)
			continue;
		memcpy(e->saved, e->host, len);
		memcpy(e->host, d->m.arch->brk, len);
		code_written(d, e);
	}
	t->in_memory = true;
	build_slots(t, &t->slots);
}

/*
 * Bytes that the guest has overwritten meanwhile are the guest's. Of two breakpoints on the same bytes, through two
 * addresses, the first has saved the original and restores it; the second then finds nothing of its own.
 */
void breaks_unplant(struct vm_debug *d)
{
	struct break_table *t = &d->breaks;
	size_t len = d->m.arch->brk_len;

	if (!t->in_memory)
		return;
	for (size_t i = 0; i < t->n; i++) {
		struct break_entry *e = &t->entry[i];

		if (e->service != SERVED_PLANTED || memcmp(e->host, d->m.arch->brk, len) != 0)
			continue;
		memcpy(e->host, e->saved, len);
		code_written(d, e);
	}
	t->in_memory = false;
}

/*
 * Planted bytes are hit through every address that leads to them, and only there: the same virtual address in another
 * address space is somebody else's code. A slot matches the virtual address.
 */
const struct break_entry *breaks_at(struct vm_debug *d, int cpu, uint64_t pc)
{
	struct mapping map;
	bool resolved = false, mapped = false;

	for (size_t i = 0; i < d->breaks.n; i++) {
		const struct break_entry *e = &d->breaks.entry[i];
		bool planted = e->service == SERVED_PLANTED;

		if (planted && !resolved) {
			mapped = debug_resolve(d, cpu, pc, false, &map) == 0;
			resolved = true;
		}
		if (planted && mapped ? map.gpa == e->gpa : is_exec(e) && e->spec.addr == pc)
			return e;
	}
	return NULL;
}

static bool covers(const struct break_entry *e, uint64_t addr)
{
	return !is_exec(e) && addr - e->spec.addr < (e->spec.len ? e->spec.len : 1);
}

const struct break_entry *breaks_explain(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	const struct break_entry *e = NULL;

	switch (stop->kind) {
	case VM_STOP_SWBREAK:
		e = d->breaks.in_memory ? breaks_at(d, cpu, stop->pc) : NULL;
		return e && e->service == SERVED_PLANTED ? e : NULL;
	case VM_STOP_HWBREAK:
		return breaks_at(d, cpu, stop->pc);
	case VM_STOP_WATCH:
		for (size_t i = 0; i < d->breaks.n; i++) {
			if (covers(&d->breaks.entry[i], stop->addr))
				return &d->breaks.entry[i];
		}
		return NULL;
	default:
		return NULL;
	}
}

/* ---- stub side ---- */

static bool same_break(const struct break_entry *e, enum vm_break_type type, uint64_t addr, uint32_t len)
{
	return e->spec.type == type && e->spec.addr == addr && e->spec.len == len;
}

/* Would the hardware hold all of today's slots and this one? */
static int check_slot(struct vm_debug *d, const struct break_entry *e)
{
	struct hw_slots all;
	struct hw_slot slot = hw_slot_of(e);

	build_slots(&d->breaks, &all);
	if (!slots_add(&all, &slot))
		return -ENOSPC;
	return d->m.slots_check(d->m.ctx, &all);
}

/*
 * The memory that these were planted in is no more, and page tables that led there are gone: only what the image's
 * headers (or the tables it is entered with) place is known before the guest has run. The rest waits until it is
 * mapped.
 */
void breaks_machine_new(struct vm_debug *d)
{
	for (size_t i = 0; i < d->breaks.n; i++) {
		struct break_entry *e = &d->breaks.entry[i];

		if (e->service != SERVED_PLANTED || find_place(d, 0, e, true))
			continue;
		e->unmapped = true;
		e->service = SERVED_NOT_YET;
		if (check_slot(d, e) == 0)
			e->service = SERVED_SLOT;
	}
}

void breaks_end_told(struct vm_debug *d)
{
	for (size_t i = 0; i < d->breaks.n; i++)
		d->breaks.entry[i].old = true;
}

static bool drop_old(struct break_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (!t->entry[i].old)
			t->entry[n++] = t->entry[i];
	}
	if (n == t->n)
		return false;
	t->n = n;
	return true;
}

static int serve_by_slot(struct vm_debug *d, struct break_entry *e, const char *full, const char **why)
{
	int ret = check_slot(d, e);

	if (ret == 0)
		e->service = SERVED_SLOT;
	else if (ret == -ENOSPC)
		*why = full;
	else if (ret == -EOPNOTSUPP)
		*why = "this host's KVM does not trap data accesses";
	else if (ret)
		*why = "the debug hardware cannot express this address, length or kind";
	return ret;
}

/* How this breakpoint will be served: fills service, unmapped and the place, or says why not. */
static int choose_service(struct vm_debug *d, int cpu, struct break_entry *e, const char **why)
{
	bool place;

	if (e->spec.type != VM_BREAK_SW)
		return serve_by_slot(d, e, "all hardware breakpoint slots are in use", why);
	place = find_place(d, cpu, e, true);
	if (place && d->m.swbreak(d->m.ctx, cpu) == VM_SWBREAK_PLANT) {
		e->service = SERVED_PLANTED;
		return 0;
	}
	e->unmapped = !place;
	return serve_by_slot(d, e,
		place ? "planted breakpoints do not trap on this host and all hardware slots are in use"
		      : "the address is not mapped yet and all hardware slots are in use",
		why);
}

static int table_grow(struct break_table *t)
{
	size_t cap = t->cap ? t->cap * 2 : 16;
	struct break_entry *p;

	if (t->n < t->cap)
		return 0;
	p = realloc(t->entry, cap * sizeof(*p));
	if (!p)
		return -ENOMEM;
	t->entry = p;
	t->cap = cap;
	return 0;
}

int vm_debug_break_insert(struct vm_debug *d, int cpu, const struct vm_break *b, const char **why)
{
	struct break_entry e = {.spec = *b};
	const char *unused;
	int ret;

	if (!why)
		why = &unused;
	*why = NULL;
	if (!debug_stopped(d))
		return -EBUSY;
	if (b->type == VM_BREAK_SW) /* a kind is the instruction's length, of which there is one */
		e.spec.len = d->m.arch->brk_len;
	for (size_t i = 0; i < d->breaks.n; i++) {
		if (same_break(&d->breaks.entry[i], e.spec.type, e.spec.addr, e.spec.len)) {
			d->breaks.entry[i].spec = e.spec;
			d->breaks.entry[i].old = false;
			return 0;
		}
	}
	ret = choose_service(d, cpu, &e, why);
	if (ret == -ENOSPC && drop_old(&d->breaks))
		ret = choose_service(d, cpu, &e, why);
	if (ret == 0)
		ret = table_grow(&d->breaks);
	if (ret == 0)
		d->breaks.entry[d->breaks.n++] = e;
	return ret;
}

int vm_debug_break_remove(struct vm_debug *d, enum vm_break_type type, uint64_t addr, uint32_t len)
{
	struct break_table *t = &d->breaks;

	if (!debug_stopped(d))
		return -EBUSY;
	if (type == VM_BREAK_SW)
		len = d->m.arch->brk_len;
	for (size_t i = 0; i < t->n; i++) {
		if (!same_break(&t->entry[i], type, addr, len))
			continue;
		memmove(&t->entry[i], &t->entry[i + 1], (t->n - i - 1) * sizeof(t->entry[0]));
		t->n--;
		return 0;
	}
	return -ENOENT;
}

int vm_debug_break_get(struct vm_debug *d, size_t i, struct vm_break *out, const char **how)
{
	static const char *const how_served[] = {
		[SERVED_NOT_YET] = "pending",
		[SERVED_PLANTED] = "planted",
		[SERVED_SLOT] = "hardware",
		[SERVED_WRITE_TRAP] = "write-protected",
	};

	if (!debug_stopped(d))
		return -EBUSY;
	if (i >= d->breaks.n)
		return -ENOENT;
	*out = d->breaks.entry[i].spec;
	*how = how_served[d->breaks.entry[i].service];
	return 0;
}
