/* The one table of breakpoints: what the stub puts in, and which of them a vCPU has met. */
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

/* Keeps those that `stays` says. */
static bool keep_only(struct break_table *t, bool (*stays)(const struct break_entry *e))
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (stays(&t->entry[i]))
			t->entry[n++] = t->entry[i];
	}
	if (n == t->n)
		return false;
	t->n = n;
	t->changed = true;
	return true;
}

static bool is_machines(const struct break_entry *e)
{
	return e->spec.machines;
}

static bool is_clients(const struct break_entry *e)
{
	return !e->spec.machines;
}

static bool is_not_old(const struct break_entry *e)
{
	return !e->old;
}

void breaks_clear(struct vm_debug *d)
{
	keep_only(&d->breaks, is_machines);
}

bool break_is_exec(const struct break_entry *e)
{
	return e->spec.type == VM_BREAK_SW || e->spec.type == VM_BREAK_HW;
}

/* Where a vCPU's pc leads, asked only if need be. */
struct spot {
	struct vm_debug *d;
	int cpu;
	uint64_t pc, gpa;
	bool asked, mapped;
};

static bool spot_leads(struct spot *s)
{
	struct mapping map;

	if (!s->asked) {
		s->asked = true;
		s->mapped = debug_resolve(s->d, s->cpu, s->pc, false, &map) == 0;
		s->gpa = s->mapped ? map.gpa : 0;
	}
	return s->mapped;
}

/*
 * Planted bytes are hit through every address that leads to them, and only there: the same virtual address in another
 * address space is somebody else's code. A slot matches the virtual address.
 */
static bool is_on(struct spot *s, const struct break_entry *e)
{
	if (e->service == SERVED_PLANTED && spot_leads(s))
		return e->gpa == s->gpa;
	return break_is_exec(e) && e->spec.addr == s->pc;
}

const struct break_entry *breaks_at(struct vm_debug *d, int cpu, uint64_t pc)
{
	struct spot s = {.d = d, .cpu = cpu, .pc = pc};

	for (size_t i = 0; i < d->breaks.n; i++) {
		if (is_on(&s, &d->breaks.entry[i]))
			return &d->breaks.entry[i];
	}
	return NULL;
}

static const struct break_entry *planted_at(struct vm_debug *d, int cpu, uint64_t pc)
{
	struct spot s = {.d = d, .cpu = cpu, .pc = pc};

	for (size_t i = 0; i < d->breaks.n; i++) {
		const struct break_entry *e = &d->breaks.entry[i];

		if (e->planted && is_on(&s, e) && break_is_ours(d, e))
			return e;
	}
	return NULL;
}

bool breaks_planted_at(struct vm_debug *d, int cpu, uint64_t pc)
{
	struct spot s = {.d = d, .cpu = cpu, .pc = pc};

	for (size_t i = 0; i < d->breaks.n; i++) {
		if (d->breaks.entry[i].planted && is_on(&s, &d->breaks.entry[i]))
			return true;
	}
	return false;
}

bool break_is_elsewhere(struct vm_debug *d, int cpu, const struct break_entry *e, uint64_t pc)
{
	struct spot s = {.d = d, .cpu = cpu, .pc = pc};

	if (e->spec.type != VM_BREAK_SW || e->service != SERVED_SLOT || !e->bound || !d->m.space ||
		d->m.space(d->m.ctx, cpu, pc) == e->space)
		return false;
	return !e->placed || (spot_leads(&s) && s.gpa != e->gpa);
}

/* The first that means this vCPU, or else the first. */
static const struct break_entry *slot_at(struct vm_debug *d, int cpu, uint64_t pc)
{
	const struct break_entry *first = breaks_at(d, cpu, pc);

	for (size_t i = 0; first && i < d->breaks.n; i++) {
		const struct break_entry *e = &d->breaks.entry[i];

		if (break_is_exec(e) && e->service == SERVED_SLOT && e->spec.addr == pc &&
			!break_is_elsewhere(d, cpu, e, pc))
			return e;
	}
	return first;
}

/*
 * Tables and code may change while a trap is on its way here: it is the guest's only if it would trap again. What is
 * not mapped any more would not: it faults.
 */
bool breaks_guests_own(struct vm_debug *d, int cpu, uint64_t pc)
{
	size_t len = d->m.arch->brk_len;
	struct mapping map;
	uint64_t n = 0;
	uint8_t *host;

	if (debug_resolve(d, cpu, pc, false, &map))
		return !d->breaks.in_memory;
	host = d->m.ram(d->m.ctx, map.gpa, &n);
	return !host || n < len || map.len < len || !debug_code_differs(host, d->m.arch->brk, len);
}

static bool covers(const struct break_entry *e, uint64_t addr)
{
	return !break_is_exec(e) && addr - e->spec.addr < (e->spec.len ? e->spec.len : 1);
}

const struct break_entry *breaks_explain(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	switch (stop->kind) {
	case VM_STOP_SWBREAK:
		return planted_at(d, cpu, stop->pc);
	case VM_STOP_HWBREAK:
		return slot_at(d, cpu, stop->pc);
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

static bool means(struct vm_debug *d, int cpu, const struct break_entry *e, const struct vm_stop *stop)
{
	return !break_is_elsewhere(d, cpu, e, stop->pc) && (!e->spec.cond || e->spec.cond(e->spec.cond_ctx, cpu, stop));
}

bool breaks_hit(struct vm_debug *d, int cpu, const struct break_entry *e, const struct vm_stop *stop)
{
	struct spot s = {.d = d, .cpu = cpu, .pc = stop->pc};
	bool hit = means(d, cpu, e, stop);

	if (!break_is_exec(e))
		return hit;
	for (size_t i = 0; i < d->breaks.n; i++) {
		const struct break_entry *other = &d->breaks.entry[i];

		if (other != e && is_on(&s, other) && means(d, cpu, other, stop))
			hit = true;
	}
	d->cpu[cpu].told = true;
	return hit;
}

bool breaks_tell_machines(struct vm_debug *d, int cpu)
{
	struct vm_stop stop = {.kind = VM_STOP_SWBREAK, .pc = d->m.pc(d->m.ctx, cpu)};
	struct spot s = {.d = d, .cpu = cpu, .pc = stop.pc};
	bool any = false;

	for (size_t i = 0; i < d->breaks.n; i++) {
		const struct break_entry *e = &d->breaks.entry[i];

		if (e->spec.machines && break_is_exec(e) && is_on(&s, e)) {
			(void)means(d, cpu, e, &stop);
			any = true;
		}
	}
	d->cpu[cpu].told = true;
	return any;
}

bool breaks_clients_at(struct vm_debug *d, int cpu, uint64_t pc)
{
	struct spot s = {.d = d, .cpu = cpu, .pc = pc};

	for (size_t i = 0; i < d->breaks.n; i++) {
		const struct break_entry *e = &d->breaks.entry[i];

		if (!e->spec.machines && is_on(&s, e) && !break_is_elsewhere(d, cpu, e, pc))
			return true;
	}
	return false;
}

/* ---- stub side ---- */

/* By address, type, length and whose it is. */
static int compare(const struct vm_break *a, const struct vm_break *b)
{
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return (int)a->machines - (int)b->machines;
}

/* Its index, or where it belongs. */
static bool find(const struct break_table *t, const struct vm_break *b, size_t *at)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare(&t->entry[mid].spec, b) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*at = low;
	return low < t->n && compare(&t->entry[low].spec, b) == 0;
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

		if (e->spec.type != VM_BREAK_SW)
			continue;
		e->planted = e->guests_own = e->placed = e->bound = e->user = false;
		break_find_place(d, 0, e);
		if (!e->slot_only)
			e->service = e->placed ? SERVED_PLANTED : SERVED_NOT_YET;
	}
	d->breaks.changed = true;
}

void breaks_end_told(struct vm_debug *d)
{
	for (size_t i = 0; i < d->breaks.n; i++)
		d->breaks.entry[i].old = !d->breaks.entry[i].spec.machines;
}

static int serve_by_slot(struct vm_debug *d, struct break_entry *e, const char *full, const char **why)
{
	int ret = breaks_check_slot(d, e);

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

/* How this breakpoint will be served: fills service and the place, or says why not. */
static int choose_service(struct vm_debug *d, int cpu, struct break_entry *e, const char **why)
{
	if (e->spec.type != VM_BREAK_SW) {
		int ret;

		e->watch_cpu = cpu;
		ret = serve_by_slot(d, e, "all hardware breakpoint slots are in use", why);
		return ret && !break_is_exec(e) ? watch_choose(d, e, ret, why) : ret;
	}
	break_find_place(d, cpu, e);
	if (d->m.swbreak(d->m.ctx, cpu) == VM_SWBREAK_PLANT) {
		e->service = e->placed ? SERVED_PLANTED : SERVED_NOT_YET;
		return 0;
	}
	e->slot_only = true;
	return serve_by_slot(
		d, e, "planted breakpoints do not trap on this host and all hardware slots are in use", why);
}

static int table_add(struct break_table *t, size_t at, const struct break_entry *e)
{
	size_t cap = t->cap ? t->cap * 2 : 16;
	struct break_entry *p;

	if (t->n == t->cap) {
		p = realloc(t->entry, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		t->entry = p;
		t->cap = cap;
	}
	memmove(&t->entry[at + 1], &t->entry[at], (t->n - at) * sizeof(t->entry[0]));
	t->entry[at] = *e;
	t->n++;
	t->changed = true;
	return 0;
}

int vm_debug_break_insert(struct vm_debug *d, int cpu, const struct vm_break *b, const char **why)
{
	struct break_entry e = {.spec = *b};
	const char *unused;
	size_t at;
	int ret;

	if (!why)
		why = &unused;
	*why = NULL;
	if (!debug_stopped(d))
		return -EBUSY;
	if (b->type == VM_BREAK_SW) /* a kind is the instruction's length, of which there is one */
		e.spec.len = d->m.arch->brk_len;
	if (find(&d->breaks, &e.spec, &at)) {
		d->breaks.entry[at].spec = e.spec;
		d->breaks.entry[at].old = false;
		return 0;
	}
	ret = choose_service(d, cpu, &e, why);
	if (ret == -ENOSPC && keep_only(&d->breaks, is_not_old)) {
		find(&d->breaks, &e.spec, &at);
		ret = choose_service(d, cpu, &e, why);
	}
	return ret ? ret : table_add(&d->breaks, at, &e);
}

static int break_remove(struct vm_debug *d, struct vm_break b)
{
	struct break_table *t = &d->breaks;
	size_t at;

	if (b.type == VM_BREAK_SW)
		b.len = d->m.arch->brk_len;
	if (!debug_stopped(d))
		return -EBUSY;
	if (!find(t, &b, &at))
		return -ENOENT;
	memmove(&t->entry[at], &t->entry[at + 1], (t->n - at - 1) * sizeof(t->entry[0]));
	t->n--;
	t->changed = true;
	return 0;
}

int vm_debug_break_remove(struct vm_debug *d, enum vm_break_type type, uint64_t addr, uint32_t len)
{
	return break_remove(d, (struct vm_break){.type = type, .addr = addr, .len = len});
}

int vm_debug_machines_break_remove(struct vm_debug *d, enum vm_break_type type, uint64_t addr, uint32_t len)
{
	return break_remove(d, (struct vm_break){.type = type, .addr = addr, .len = len, .machines = true});
}

void vm_debug_machines_breaks_clear(struct vm_debug *d)
{
	if (debug_stopped(d))
		keep_only(&d->breaks, is_clients);
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
	breaks_deal_slots(d); /* who has one is decided when the world runs: as it would be now */
	*out = d->breaks.entry[i].spec;
	*how = how_served[d->breaks.entry[i].service];
	return 0;
}
