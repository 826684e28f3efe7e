/* The machine's own stops and breakpoints, over fake vCPUs, beside a client's and without one. Run under TSan. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/fake_client.h"
#include "tests/unit/tap.h"

static uint64_t ran_in_all(const struct fake_machine *m, uint64_t addr)
{
	uint64_t ran = 0;

	for (int i = 0; i < m->ncpus; i++)
		ran += m->cpu[i].ran[addr];
	return ran;
}

static uint64_t count_in_all(const struct fake_machine *m)
{
	uint64_t count = 0;

	for (int i = 0; i < m->ncpus; i++)
		count += m->cpu[i].count;
	return count;
}

static bool nobody_inside(struct fake_machine *m)
{
	for (int i = 0; i < m->ncpus; i++) {
		if (atomic_load(&m->cpu[i].inside))
			return false;
	}
	return true;
}

static bool held(struct fake_machine *m)
{
	vm_debug_hold(m->debug);
	return vm_debug_hold_wait(m->debug, 10000) && nobody_inside(m);
}

/* A breakpoint of the machine's; the condition counts. The machine is held, or a client has it stopped. */
static int own_break(struct fake_machine *m, atomic_uint *hits)
{
	struct vm_break b = {.type = VM_BREAK_SW,
		.addr = CLIENT_SHARED_BP,
		.len = 1,
		.cond = client_never,
		.cond_ctx = hits,
		.machines = true};

	return vm_debug_break_insert(m->debug, 0, &b, NULL);
}

/* Each vCPU may stand at the breakpoint: counted, not executed yet. */
static void counted_once(struct fake_machine *m, unsigned hits, const char *when)
{
	uint64_t ran = ran_in_all(m, CLIENT_SHARED_BP);

	if (!tap_ok(ran > 0 && hits >= ran && hits <= ran + (unsigned)m->ncpus, "each execution counted once %s", when))
		tap_diag("ran %ju, counted %u", (uintmax_t)ran, hits);
}

static void test_hold_rounds(bool hw)
{
	struct fake_machine *m = fake_new(4, false, true);
	atomic_uint hits = 0;
	unsigned bad = 0;

	m->hw_only = hw;
	vm_debug_hold(m->debug); /* before anybody runs */
	fake_start(m);
	tap_ok(held(m) && count_in_all(m) == 0, "held before the first instruction");
	tap_ok(own_break(m, &hits) >= 0, "its own breakpoint (%s)", hw ? "slot" : "planted");
	vm_debug_unhold(m->debug);
	for (int round = 0; round < 600 && !bad; round++) {
		uint64_t before;

		usleep((useconds_t)(round % 5 * 100));
		bad += !held(m);
		before = count_in_all(m);
		if (round % 50 == 0)
			usleep(1000);
		bad += count_in_all(m) != before || m->ram[CLIENT_SHARED_BP] != OP_WORK;
		vm_debug_unhold(m->debug);
		vm_debug_unhold(m->debug); /* no harm */
	}
	tap_is_u64(bad, 0, "600 rounds: nobody moves while held, and no planted byte shows");
	held(m);
	counted_once(m, hits, "without a client");
	fake_end(m);
}

struct beside {
	struct fake_machine *m;
	atomic_bool end;
	unsigned rounds, bad;
};

/* The main thread's part: holds and lets go, whatever the client does. */
static void *hold_again_and_again(void *arg)
{
	struct beside *b = arg;

	while (!atomic_load(&b->end)) {
		b->bad += !held(b->m);
		b->rounds++;
		vm_debug_unhold(b->m->debug);
		usleep(b->rounds * 37 % 300);
	}
	return NULL;
}

/* A resume that is asked for while held is refused for the moment. */
static int resume_patiently(struct fake_machine *m, int cpu, enum vm_action_kind kind)
{
	int ret;

	do
		ret = cpu < 0 ? client_resume_all(m, kind) : client_resume_one(m, cpu, kind);
	while (ret == -EBUSY && usleep(20) == 0);
	return ret;
}

/* The client continues, steps and pauses with a breakpoint at the same address. */
static void test_beside_a_client(bool with_holds, bool hw)
{
	struct fake_machine *m = client_attached(4, true);
	struct beside beside = {.m = m};
	struct vm_debug_event ev;
	atomic_uint hits = 0;
	uint64_t seen[4] = {0};
	unsigned bad = 0;
	pthread_t t;

	m->hw_only = hw;
	own_break(m, &hits);
	client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
	if (with_holds)
		pthread_create(&t, NULL, hold_again_and_again, &beside);
	for (int round = 0; round < 800 && !bad; round++) {
		bad += resume_patiently(m, -1, VM_CONT) != 0;
		bad += !client_next(m, &ev, 10000) || ev.stop.kind != (hw ? VM_STOP_HWBREAK : VM_STOP_SWBREAK);
		seen[ev.cpu]++;
		if (round % 3 == 0) {
			bad += resume_patiently(m, ev.cpu, VM_STEP) != 0;
			bad += !client_next(m, &ev, 10000) || ev.stop.kind != VM_STOP_STEPPED;
		}
	}
	if (bad)
		tap_diag("event %d, stop %d on cpu %d", ev.kind, ev.stop.kind, ev.cpu);
	tap_is_u64(bad, 0, "800 hits of the client's at the same place%s", with_holds ? ", and holds" : "");
	atomic_store(&beside.end, true);
	if (with_holds)
		pthread_join(t, NULL);
	tap_ok(!beside.bad && (!with_holds || beside.rounds > 3), "every hold came to be: %u", beside.rounds);
	counted_once(m, hits, "with a client at the same place");
	for (int i = 0; i < 4; i++) {
		uint64_t ran = m->cpu[i].ran[CLIENT_SHARED_BP];

		if (!tap_ok(seen[i] && seen[i] - ran <= 1, "cpu %d: the client has seen each, too", i))
			tap_diag("ran %ju, reported %ju", (uintmax_t)ran, (uintmax_t)seen[i]);
	}
	fake_end(m);
}

static void test_clients_come_and_go(void)
{
	struct fake_machine *m = client_attached(3, true);
	struct vm_debug_event ev;
	atomic_uint hits = 0;
	unsigned bad = 0;

	own_break(m, &hits);
	for (int round = 0; round < 120 && !bad; round++) {
		client_insert(m, 0, VM_BREAK_SW, round % 2 ? CLIENT_SHARED_BP : CLIENT_SHARED_BP + 1);
		bad += client_resume_all(m, VM_CONT) != 0;
		bad += !client_stopped_by(m, VM_STOP_SWBREAK, &ev);
		if (round % 3 == 0)
			bad += client_resume_all(m, VM_CONT) != 0;
		vm_debug_detach(m->debug);
		usleep(500);
		vm_debug_attach(m->debug);
		bad += !client_stopped_by(m, VM_STOP_PAUSED, &ev);
	}
	tap_is_u64(bad, 0, "120 clients that come and go");
	counted_once(m, hits, "and stays when they go");
	tap_ok(vm_debug_machines_break_remove(m->debug, VM_BREAK_SW, CLIENT_SHARED_BP, 1) == 0, "it can be removed");
	fake_end(m);
}

/* Steps that end at the breakpoint, and that execute what is there. */
static void test_steps(bool all)
{
	struct fake_machine *m = client_attached(2, true);
	struct vm_debug_event ev;
	atomic_uint hits = 0;
	unsigned bad = 0;

	own_break(m, &hits);
	for (int round = 0; round < 1500 && !bad; round++) {
		bad += (all ? client_resume_all(m, VM_STEP) : client_resume_one(m, round % 2, VM_STEP)) != 0;
		bad += !client_stopped_by(m, VM_STOP_STEPPED, &ev);
	}
	tap_is_u64(bad, 0, "1500 steps");
	counted_once(m, hits, "stepped through");
	fake_end(m);
}

static void test_client_notices_nothing(void)
{
	struct fake_machine *m = client_attached(2, false);
	struct vm_debug_event ev;
	uint64_t pc, before;

	tap_ok(held(m), "held while a client has it stopped");
	tap_ok(vm_debug_pc(m->debug, 0, &pc) == 0, "the client still reads registers");
	before = count_in_all(m);
	vm_debug_unhold(m->debug);
	usleep(3000);
	tap_ok(count_in_all(m) == before && !vm_debug_next(m->debug, &ev), "it stays stopped when let go");
	client_run(m);
	tap_ok(held(m), "held while it runs");
	tap_ok(!client_next(m, &ev, 50), "the client is told nothing");
	vm_debug_pause(m->debug);
	tap_ok(!client_next(m, &ev, 50), "not even of a pause that it asks for");
	vm_debug_unhold(m->debug);
	tap_ok(client_stopped_by(m, VM_STOP_PAUSED, &ev), "which comes when it is let go");
	tap_ok(client_resume_one(m, 1, VM_STEP) == 0 && client_stopped_by(m, VM_STOP_STEPPED, &ev), "and it steps on");
	fake_end(m);
}

static void test_hand_over(bool there)
{
	struct fake_machine *m = there ? client_attached(2, false) : fake_new(2, false, true);
	struct vm_debug_event ev;
	char text[64];

	if (there)
		client_run(m);
	else
		fake_start(m);
	usleep(1000);
	tap_ok(held(m), "held, a client is there: %d", there);
	vm_debug_hand_over(m->debug, 1, "it has failed");
	if (!there) {
		usleep(2000);
		vm_debug_attach(m->debug);
	}
	if (tap_ok(client_stopped_by(m, VM_STOP_FAULT, &ev), "the client finds a fault"))
		tap_ok(ev.cpu == 1 && ev.stop.fault == VM_FAULT_VERDICT, "of that vCPU, and that kind");
	vm_debug_fault_text(m->debug, text, sizeof(text));
	tap_is_str(text, "it has failed", "with its text");
	tap_ok(!client_next(m, &ev, 20), "told once");
	fake_end(m);
}

static void *exit_soon(void *arg)
{
	usleep(500);
	vm_debug_exit(arg, 2);
	return NULL;
}

static int add_one(void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static void test_exit_while_held(void)
{
	unsigned bad = 0;

	for (unsigned round = 0; round < 60; round++) {
		struct fake_machine *m = fake_new(3, false, true);
		unsigned n = 0;
		pthread_t t;

		fake_start(m);
		pthread_create(&t, NULL, exit_soon, m->debug);
		while (held(m)) {
			(void)vm_debug_call(m->debug, 1, add_one, &n);
			vm_debug_unhold(m->debug);
		}
		pthread_join(t, NULL);
		bad += vm_debug_hold_wait(m->debug, 1000);
		vm_debug_hand_over(m->debug, 0, "too late");
		vm_debug_unhold(m->debug);
		fake_end(m);
	}
	tap_is_u64(bad, 0, "60 exits while held: nobody hangs");
}

struct caller {
	struct fake_machine *m;
	unsigned done, bad;
};

static void *call_often(void *arg)
{
	struct caller *c = arg;

	for (int i = 0; i < 2000; i++)
		c->bad += vm_debug_call(c->m->debug, i % 2, add_one, &c->done) != 0;
	return NULL;
}

static void test_two_callers(void)
{
	struct fake_machine *m = client_attached(2, true);
	struct caller a = {.m = m}, b = {.m = m};
	pthread_t t;

	held(m);
	pthread_create(&t, NULL, call_often, &a);
	call_often(&b);
	pthread_join(t, NULL);
	tap_ok(!a.bad && !b.bad && a.done == 2000 && b.done == 2000, "two threads call the same vCPUs, each is served");
	fake_end(m);
}

int main(void)
{
	test_hold_rounds(false);
	test_hold_rounds(true);
	test_beside_a_client(false, false);
	test_beside_a_client(false, true);
	test_beside_a_client(true, false);
	test_beside_a_client(true, true);
	test_clients_come_and_go();
	test_steps(false);
	test_steps(true);
	test_client_notices_nothing();
	test_hand_over(false);
	test_hand_over(true);
	test_exit_while_held();
	test_two_callers();
	return tap_done();
}
