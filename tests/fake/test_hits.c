/* Conditions that are false: each execution is seen exactly once, and a hit by a slot costs the other vCPUs nothing. */
#include <stdlib.h>
#include <unistd.h>

#include "tests/fake/fake_client.h"
#include "tests/fake/fake_machine.h"
#include "tests/unit/tap.h"

#define CPUS  4
#define FIRST (FAKE_SHARED + 2)
#define NEXT  (FAKE_SHARED + 3) /* where a step from FIRST ends */
#define FAR   (FAKE_SHARED + 5)

struct counter {
	uint64_t addr;
	atomic_uint hits[FAKE_CPUS_MAX];
};

static bool count(void *ctx, int cpu, const struct vm_stop *stop)
{
	struct counter *c = ctx;

	(void)stop;
	atomic_fetch_add(&c->hits[cpu], 1);
	return false;
}

static void put(struct fake_machine *m, struct counter *c, enum vm_break_type type, uint64_t addr)
{
	struct vm_break b = {
		.type = type, .addr = addr, .len = 1, .cond = count, .cond_ctx = c, .machines = true, .often = true};

	c->addr = addr;
	if (vm_debug_break_insert(m->debug, 0, &b, NULL))
		abort();
}

/* Stopped: one that has been counted and is not executed yet stands at its address. */
static bool exact(struct fake_machine *m, const struct counter *c)
{
	for (int i = 0; i < m->ncpus; i++) {
		uint64_t hits = c->hits[i], ran = m->cpu[i].ran[c->addr];

		if (hits == ran || (hits == ran + 1 && m->cpu[i].pc == c->addr))
			continue;
		tap_diag("CPU %d at 0x%jx: %ju hits at 0x%jx, executed %ju times", i, (uintmax_t)m->cpu[i].pc,
			(uintmax_t)hits, (uintmax_t)c->addr, (uintmax_t)ran);
		return false;
	}
	return true;
}

static unsigned total(const struct counter *c)
{
	unsigned n = 0;

	for (int i = 0; i < CPUS; i++)
		n += c->hits[i];
	return n;
}

static void until(const struct counter *c, unsigned n)
{
	for (int i = 0; i < 20000 && total(c) < n; i++)
		usleep(1000);
}

static void test_nobody_is_kicked(void)
{
	struct fake_machine *m = client_attached(CPUS, true);
	struct counter at[3] = {0};
	struct vm_debug_event ev;
	unsigned before;

	put(m, &at[0], VM_BREAK_HW, FIRST);
	put(m, &at[1], VM_BREAK_HW, NEXT);
	put(m, &at[2], VM_BREAK_SW, FAR);
	tap_is_str(client_how(m, VM_BREAK_SW, FAR), "hardware", "one of the machine's own has a slot that is left");
	before = m->kicks;
	client_run(m);
	until(&at[1], 2000);
	tap_is_u64(m->kicks - before, 0, "%u hits by slots have kicked nobody", total(&at[0]) + total(&at[1]));
	client_pause(m, &ev);
	tap_ok(total(&at[1]) >= 2000 && exact(m, &at[0]) && exact(m, &at[1]) && exact(m, &at[2]),
		"and each was counted once");
	fake_end(m);
}

/* Everything else that stops a vCPU, in the middle of it: pauses, steps, a client's breakpoints, planted ones. */
static void test_mixed(bool before, bool delays)
{
	enum { ROUNDS = 3000 };
	struct fake_machine *m =
		client_attach(before ? fake_new_watch_before(CPUS, true, delays) : fake_new(CPUS, true, delays));
	struct counter at[3] = {0};
	struct vm_debug_event ev;
	unsigned bad = 0, never = 0;
	struct vm_break watch = {.type = VM_BREAK_WATCH_WRITE, .addr = FAKE_DATA, .len = 1};

	put(m, &at[0], VM_BREAK_HW, FIRST);
	put(m, &at[1], VM_BREAK_SW, NEXT);
	put(m, &at[2], VM_BREAK_HW, FAR);
	for (int round = 0; round < ROUNDS && !bad; round++) {
		enum vm_action_kind how = rand() % 4 ? VM_CONT : VM_STEP;
		int stepped = rand() % CPUS;

		if (round % 16 == 0)
			client_insert(m, 0, VM_BREAK_HW, FAKE_CODE(1) + 8);
		if (round % 16 == 8)
			client_remove(m, VM_BREAK_HW, FAKE_CODE(1) + 8);
		if (round % 16 == 4)
			never += vm_debug_break_insert(m->debug, 0, &watch, NULL) != 0;
		if (round % 16 == 12)
			vm_debug_break_remove(m->debug, watch.type, watch.addr, watch.len);
		if (how == VM_STEP)
			client_resume_one(m, stepped, how);
		else
			client_run(m);
		if (rand() % 4 == 0)
			usleep((useconds_t)(rand() % 300));
		bad += client_pause(m, &ev) == VM_STOP_NONE;
		while (vm_debug_next(m->debug, &ev))
			;
		for (int i = 0; i < 3; i++)
			bad += !exact(m, &at[i]);
	}
	tap_is_u64(bad + never, 0, "%d stops, steps and watchpoints among hits of slots and planted ones", ROUNDS);
	tap_ok(total(&at[0]) > 100 && total(&at[1]) > 100 && total(&at[2]) > 100, "%u, %u and %u hits", total(&at[0]),
		total(&at[1]), total(&at[2]));
	fake_end(m);
}

int main(void)
{
	test_nobody_is_kicked();
	test_mixed(false, true);
	test_mixed(true, true);
	test_mixed(false, false);
	return tap_done();
}
