/* vm_debug beyond one machine: restarts, ends that are not the process's, and what races with them. Run under TSan. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/fake/fake_client.h"
#include "tests/fake/fake_life.h"
#include "tests/unit/tap.h"

#define PATIENCE 20000

static bool stopped(struct fake_machine *m, enum vm_stop_kind kind)
{
	struct vm_debug_event ev;

	if (!client_next(m, &ev, PATIENCE)) {
		tap_diag("no event");
		return false;
	}
	if (ev.kind == VM_EVENT_STOPPED && ev.stop.kind == kind)
		return true;
	tap_diag("event %d, stop %d, status %d; wanted stop %d", ev.kind, ev.stop.kind, ev.status, kind);
	return false;
}

static bool ended(struct fake_machine *m, int status, bool over)
{
	struct vm_debug_event ev;
	unsigned flushes = m->flushes;

	if (!client_next(m, &ev, PATIENCE))
		return false;
	if (m->flushes != flushes + 1)
		tap_ok(false, "the guest's words are brought out before an end is told");
	if (ev.kind == VM_EVENT_EXITED && ev.status == status && ev.over == over)
		return true;
	tap_diag("event %d, status %d, over %d; wanted an end with %d", ev.kind, ev.status, ev.over, status);
	return false;
}

/* A machine with several lives and a client that outlives them. */
static struct fake_machine *living(int ncpus, bool delays)
{
	struct fake_machine *m = fake_new(ncpus, true, delays);

	fake_live(m);
	vm_debug_attach(m->debug);
	vm_debug_keep(m->debug, true);
	if (!stopped(m, VM_STOP_PAUSED))
		tap_ok(false, "the first stop");
	return m;
}

static int quit(struct fake_machine *m)
{
	vm_debug_quit(m->debug, 16);
	fake_life_ring(m, false);
	return fake_live_end(m);
}

static bool at_start(struct fake_machine *m)
{
	uint64_t pc = 0;

	for (int i = 0; i < m->ncpus; i++) {
		if (vm_debug_pc(m->debug, i, &pc) || pc != FAKE_CODE(i)) {
			tap_diag("cpu %d is at 0x%llx", i, (unsigned long long)pc);
			return false;
		}
	}
	return true;
}

static void test_restart(void)
{
	struct fake_machine *m = living(3, true);
	const char *how = "";
	struct vm_break b;

	client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
	client_insert(m, 0, VM_BREAK_HW, CLIENT_SHARED_BP + 1);
	tap_ok(client_resume_all(m, VM_CONT) == 0 && stopped(m, VM_STOP_SWBREAK), "a hit in the first life");
	tap_ok(vm_debug_restart(m->debug) == 0, "restart while stopped");
	tap_ok(stopped(m, VM_STOP_PAUSED) && at_start(m), "the next event is the new machine's first stop");
	tap_ok(vm_debug_break_get(m->debug, 1, &b, &how) == 0 && b.addr == CLIENT_SHARED_BP + 1,
		"breakpoints are kept");
	tap_ok(client_resume_all(m, VM_CONT) == 0 && stopped(m, VM_STOP_SWBREAK), "and hit");
	client_remove(m, VM_BREAK_SW, CLIENT_SHARED_BP);
	client_remove(m, VM_BREAK_HW, CLIENT_SHARED_BP + 1);
	client_resume_all(m, VM_CONT);
	usleep(2000);
	tap_ok(vm_debug_restart(m->debug) == 0 && stopped(m, VM_STOP_PAUSED) && at_start(m), "restart while it runs");
	tap_is_u64(fake_lives(m), 3, "lives");
	tap_is_u64((uint64_t)quit(m), 16, "quit");
}

static void test_first_instruction(void)
{
	struct fake_machine *m = living(2, false);

	client_insert(m, 0, VM_BREAK_SW, FAKE_CODE(0));
	vm_debug_restart(m->debug);
	stopped(m, VM_STOP_PAUSED);
	tap_ok(client_resume_all(m, VM_CONT) == 0 && stopped(m, VM_STOP_SWBREAK),
		"a breakpoint at the first instruction is hit");
	tap_ok(m->cpu[0].count == 0, "before anything ran");
	quit(m);
}

/* Planted where the page tables led, which a new machine does not have yet: nothing is written to its memory. */
static void test_lost_mapping(void)
{
	struct fake_machine *m = living(1, false);
	const char *how = "";
	struct vm_break b;

	client_insert(m, 0, VM_BREAK_SW, FAKE_HIGH + CLIENT_SHARED_BP);
	m->unmapped = true;
	vm_debug_restart(m->debug);
	stopped(m, VM_STOP_PAUSED);
	vm_debug_break_get(m->debug, 0, &b, &how);
	tap_is_str(how, "hardware", "what is not mapped any more gets a slot");
	m->hw_slots = 0;
	m->unmapped = false;
	client_remove(m, VM_BREAK_SW, FAKE_HIGH + CLIENT_SHARED_BP);
	client_insert(m, 0, VM_BREAK_SW, FAKE_HIGH + CLIENT_SHARED_BP);
	m->unmapped = true;
	vm_debug_restart(m->debug);
	stopped(m, VM_STOP_PAUSED);
	vm_debug_break_get(m->debug, 0, &b, &how);
	tap_is_str(how, "pending", "or waits, if none is free");
	client_resume_all(m, VM_CONT);
	usleep(2000);
	vm_debug_pause(m->debug);
	tap_ok(stopped(m, VM_STOP_PAUSED), "and is not hit meanwhile");
	quit(m);
}

/* A gdb that has heard of an end asks again for the breakpoints that it still has, and knows nothing of the others. */
static void test_old_slots(void)
{
	struct fake_machine *m = living(1, false);
	struct vm_break b;
	const char *how;
	int bad = 0;

	for (unsigned i = 0; i < 4; i++)
		bad += client_insert(m, 0, VM_BREAK_HW, 0x2000 + i) != 0;
	vm_debug_restart(m->debug);
	stopped(m, VM_STOP_PAUSED);
	tap_ok(!bad && client_insert(m, 0, VM_BREAK_HW, 0x2004) == -ENOSPC, "a restart frees no slot");
	vm_debug_kill(m->debug);
	ended(m, 14, false);
	vm_debug_restart(m->debug);
	stopped(m, VM_STOP_PAUSED);
	tap_ok(vm_debug_break_get(m->debug, 3, &b, &how) == 0, "after an end that was told they are all there");
	tap_ok(client_insert(m, 0, VM_BREAK_HW, 0x2001) == 0, "one is asked for again");
	tap_ok(client_insert(m, 0, VM_BREAK_HW, 0x2004) == 0, "and another one: it gets a slot");
	tap_ok(vm_debug_break_get(m->debug, 0, &b, &how) == 0 && b.addr == 0x2001, "the one asked for is kept");
	tap_ok(vm_debug_break_get(m->debug, 2, &b, &how) == -ENOENT, "the old ones have made room");
	quit(m);
}

static void test_end_and_restart(void)
{
	struct fake_machine *m = living(2, true);
	uint8_t byte;
	uint64_t v;

	client_resume_all(m, VM_CONT);
	fake_exit(m, 42);
	tap_ok(ended(m, 42, false), "the machine ends, the process does not");
	tap_ok(vm_debug_reg_read(m->debug, 0, FAKE_PC, &v, 8) == -EBUSY, "no register can be read");
	tap_ok(vm_debug_reg_write(m->debug, 0, FAKE_PC, &v, 8) == -EBUSY, "or written");
	tap_ok(vm_debug_mem_read(m->debug, 0, 0x1000, &byte, 1) == -EBUSY, "nor memory");
	tap_ok(vm_debug_phys_read(m->debug, 0x1000, &byte, 1) == -EBUSY, "nor physical memory");
	tap_ok(client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP) == -EBUSY, "no breakpoint set");
	tap_ok(client_resume_all(m, VM_CONT) == -ESHUTDOWN, "nothing resumed");
	vm_debug_pause(m->debug);
	tap_ok(vm_debug_restart(m->debug) == 0 && stopped(m, VM_STOP_PAUSED) && at_start(m), "and it lives again");
	vm_debug_kill(m->debug);
	tap_ok(vm_debug_restart(m->debug) == 0 && stopped(m, VM_STOP_PAUSED),
		"killed and restarted: only the new stop is told");
	fake_life_spoil(m);
	vm_debug_restart(m->debug);
	tap_ok(ended(m, 4, false), "a machine that cannot be made ends");
	tap_ok(vm_debug_restart(m->debug) == 0 && stopped(m, VM_STOP_PAUSED), "the next one can");
	vm_debug_kill(m->debug);
	ended(m, 14, false);
	vm_debug_detach(m->debug);
	vm_debug_keep(m->debug, false);
	tap_ok(ended(m, 14, true), "the client leaves, and the process ends with the machine's status");
	tap_ok(vm_debug_restart(m->debug) == -ESHUTDOWN, "no restart any more");
	tap_is_u64((uint64_t)fake_live_end(m), 14, "status");
}

/* A client that goes while its restart is under way has no machine stopped for it. */
static void test_client_leaves(void)
{
	unsigned bad = 0;

	for (unsigned round = 0; round < 60 && !bad; round++) {
		struct fake_machine *m = living(2, true);
		bool ran = false;

		client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
		if (round % 3 == 1)
			client_resume_all(m, VM_CONT);
		vm_debug_restart(m->debug);
		usleep(round * 13 % 400);
		vm_debug_detach(m->debug);
		vm_debug_keep(m->debug, false);
		while (fake_lives(m) < 2)
			usleep(100);
		for (int i = 0; i < 20000 && !ran; i++) {
			ran = atomic_load(&m->cpu[0].inside);
			usleep(50);
		}
		bad += !ran;
		fake_exit(m, 7);
		bad += fake_live_end(m) != 7;
	}
	tap_is_u64(bad, 0, "60 clients leave in the middle of a restart: the new machine runs and ends by itself");
}

struct racer {
	struct fake_machine *m;
	unsigned us;
	int what;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	usleep(r->us);
	switch (r->what) {
	case 0:
		fake_exit(r->m, 2);
		break;
	case 1:
		vm_debug_pause(r->m->debug);
		break;
	default:
		vm_debug_quit(r->m->debug, 16);
		fake_life_ring(r->m, false);
	}
	return NULL;
}

/* What the machine or its user does comes in the middle of a restart: one stop, or one end, and never a hang. */
static void test_races(int what, unsigned rounds)
{
	unsigned bad = 0;
	int status;

	for (unsigned round = 0; round < rounds && !bad; round++) {
		struct fake_machine *m = living(3, true);
		struct racer r = {m, round * 7 % 500, what};
		struct vm_debug_event ev;
		pthread_t t;

		client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
		if (round % 2)
			client_resume_all(m, VM_CONT);
		pthread_create(&t, NULL, race, &r);
		usleep(round * 5 % 300);
		vm_debug_restart(m->debug);
		bad += !client_next(m, &ev, PATIENCE);
		if (ev.kind == VM_EVENT_STOPPED) {
			client_resume_all(m, VM_CONT);
			bad += !client_next(m, &ev, PATIENCE); /* the breakpoint, or the end */
		}
		pthread_join(t, NULL);
		status = quit(m);
		bad += status != 16;
	}
	tap_is_u64(bad, 0, "%u restarts in a race", rounds);
}

int main(void)
{
	test_restart();
	test_first_instruction();
	test_lost_mapping();
	test_old_slots();
	test_end_and_restart();
	test_client_leaves();
	test_races(0, 80);
	test_races(1, 80);
	test_races(2, 80);
	return tap_done();
}
