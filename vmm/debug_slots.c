/*
 * Who has a hardware slot. Watchpoints, hardware breakpoints and breakpoints where planting does not trap cannot do
 * without; they were refused if they did not fit. What they leave goes to breakpoints that could do without, but not
 * as well.
 */
#include <errno.h>

#include "vmm/debug_priv.h"

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
static bool slots_add(struct hw_slots *s, const struct break_entry *e)
{
	struct hw_slot slot = hw_slot_of(e);

	for (unsigned i = 0; i < s->n; i++) {
		if (same_slot(&s->slot[i], &slot))
			return true;
	}
	if (s->n == HW_SLOTS_MAX)
		return false;
	s->slot[s->n++] = slot;
	return true;
}

/* Could do without the slot that it has or might get. */
static bool yields(const struct break_entry *e)
{
	return e->spec.type == VM_BREAK_SW && !e->slot_only;
}

static void build(const struct break_table *t, struct hw_slots *s, bool also_yielding)
{
	s->n = 0;
	for (size_t i = 0; i < t->n; i++) {
		if (t->entry[i].service == SERVED_SLOT && (also_yielding || !yields(&t->entry[i])))
			slots_add(s, &t->entry[i]);
	}
}

void breaks_build_slots(struct break_table *t, struct hw_slots *s)
{
	build(t, s, true);
	s->swbreak = false;
	for (size_t i = 0; i < t->n && t->in_memory && !s->swbreak; i++)
		s->swbreak = t->entry[i].planted;
}

void breaks_solo_slots(struct vm_debug *d, uint64_t pc, bool lift_watches)
{
	struct hw_slots *s = &d->breaks.solo_slots;
	unsigned n = 0;

	breaks_deal_slots(d); /* who had one may have had to give it up: all of them together may be too many */
	build(&d->breaks, s, true);
	for (unsigned i = 0; i < s->n; i++) {
		if (s->slot[i].kind == HW_EXEC ? s->slot[i].addr != pc : !lift_watches)
			s->slot[n++] = s->slot[i];
	}
	s->n = n;
	s->swbreak = false;
}

static int check_also(struct vm_debug *d, struct hw_slots *s, const struct break_entry *e)
{
	unsigned n = s->n;
	int ret = slots_add(s, e) ? d->m.slots_check(d->m.ctx, s) : -ENOSPC;

	if (ret)
		s->n = n;
	return ret;
}

int breaks_check_slot(struct vm_debug *d, const struct break_entry *e)
{
	struct hw_slots s;

	build(&d->breaks, &s, false);
	return check_also(d, &s, e);
}

/* Smaller is served first, who has a slot already before who has none; those that want none have no turn. */
enum { TURN_PLACELESS = 0, TURN_SITE = 2, TURN_COUNTED = 4, TURNS = 6, TURN_NONE };

/*
 * One that others run past while it is counted: planted, each hit stops them all. Not before the guest's own tables
 * lead there, as until then it may be executed by another address.
 */
static bool is_counted(const struct vm_debug *d, const struct break_entry *e)
{
	return d->m.ncpus > 1 && e->spec.machines && e->spec.often && e->bound;
}

static int turn_of(const struct vm_debug *d, const struct break_entry *e)
{
	int held = e->service == SERVED_SLOT ? 0 : 1;

	if (e->spec.type == VM_BREAK_SW && e->slot_only && e->service == SERVED_NOT_YET)
		return TURN_PLACELESS;
	if (!yields(e) || (e->bound && e->user))
		return TURN_NONE; /* a page of user mode is planted, or comes back by its own tables */
	if (!e->placed)
		return TURN_PLACELESS + held;
	if (e->site_len && e->space == VM_SPACE_SHARED)
		return TURN_SITE + held;
	return is_counted(d, e) ? TURN_COUNTED + held : TURN_NONE;
}

void breaks_deal_slots(struct vm_debug *d)
{
	struct break_table *t = &d->breaks;
	int turns[TURNS + 2] = {0};
	struct hw_slots s;
	bool full = false;

	if (!t->changed)
		return;
	t->changed = false;
	build(t, &s, false);
	for (size_t i = 0; i < t->n; i++) {
		t->entry[i].turn = (uint8_t)turn_of(d, &t->entry[i]);
		turns[t->entry[i].turn]++;
		if (yields(&t->entry[i]))
			t->entry[i].service = t->entry[i].placed ? SERVED_PLANTED : SERVED_NOT_YET;
	}
	for (int turn = 0; turn < TURNS && !full; turn++) {
		for (size_t i = 0; i < t->n && turns[turn] && !full; i++) {
			if (t->entry[i].turn != turn)
				continue;
			turns[turn]--;
			full = check_also(d, &s, &t->entry[i]) != 0;
			if (!full)
				t->entry[i].service = SERVED_SLOT;
		}
	}
	build(t, &t->slots, true); /* a release of mere steps finds nothing changed any more, and builds nothing */
}
