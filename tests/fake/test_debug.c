/* vm_debug over fake vCPUs: who runs, who stops, what is reported, how often. Run under TSan. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/fake_client.h"
#include "tests/unit/tap.h"

static void test_first_stop(void)
{
	struct fake_machine *m = fake_new(4, true, true);
	struct vm_debug_event ev;
	uint64_t pc = 0;

	fake_start(m);
	usleep(20000);
	tap_ok(!vm_debug_next(m->debug, &ev), "nobody is told while nobody is attached");
	vm_debug_attach(m->debug);
	tap_ok(client_stopped_by(m, VM_STOP_PAUSED, &ev), "attach reports the stop at the first instruction");
	for (int i = 0; i < 4; i++) {
		vm_debug_pc(m->debug, i, &pc);
		tap_is_u64(pc, FAKE_CODE(i), "cpu %d has not run", i);
	}
	usleep(5000);
	tap_ok(!vm_debug_next(m->debug, &ev), "one stop, one event");
	tap_ok(client_resume_all(m, VM_CONT) == 0, "resume");
	tap_ok(client_resume_all(m, VM_CONT) == -EBUSY, "resume while running is refused");
	tap_ok(vm_debug_pc(m->debug, 0, &pc) == -EBUSY, "registers of a running vCPU are refused");
	fake_end(m);
}

static void test_pause_rounds(void)
{
	struct fake_machine *m = client_attached(4, true);
	struct vm_debug_event ev;
	unsigned bad = 0;

	for (int round = 0; round < 1500 && !bad; round++) {
		bad += client_resume_all(m, VM_CONT) != 0;
		if (round % 3 == 0)
			usleep((useconds_t)(round % 200));
		vm_debug_pause(m->debug);
		vm_debug_pause(m->debug);
		bad += !client_stopped_by(m, VM_STOP_PAUSED, &ev);
		bad += vm_debug_next(m->debug, &ev);
		vm_debug_pause(m->debug); /* stopped: no effect, now or later */
	}
	tap_is_u64(bad, 0, "1500 rounds of resume and pause: one stop each, all parked");
	fake_end(m);
}

static void test_step(void)
{
	struct fake_machine *m = client_attached(3, true);
	struct vm_debug_event ev;
	uint64_t before[3];
	unsigned bad = 0;

	for (int round = 0; round < 600 && !bad; round++) {
		int cpu = round % 3;

		for (int i = 0; i < 3; i++)
			before[i] = m->cpu[i].count;
		bad += client_resume_one(m, cpu, VM_STEP) != 0;
		bad += !client_stopped_by(m, VM_STOP_STEPPED, &ev) || ev.cpu != cpu;
		for (int i = 0; i < 3; i++)
			bad += m->cpu[i].count != before[i] + (i == cpu);
	}
	tap_is_u64(bad, 0, "600 steps: that vCPU moves by one instruction, the others not at all");
	fake_end(m);
}

/* Every execution of a breakpoint's instruction was announced, and announced once. */
static void test_breakpoint_hits(bool hw)
{
	struct fake_machine *m = client_attached(4, true);
	struct vm_debug_event ev;
	uint64_t hits[4] = {0};
	unsigned bad = 0;

	m->hw_only = hw;
	tap_ok(client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP) == 0, "insert (%s)", hw ? "slot" : "planted");
	for (int round = 0; round < 2000 && !bad; round++) {
		bad += client_resume_all(m, VM_CONT) != 0;
		bad += !client_stopped_by(m, hw ? VM_STOP_HWBREAK : VM_STOP_SWBREAK, &ev);
		bad += ev.stop.pc != CLIENT_SHARED_BP || m->cpu[ev.cpu].pc != CLIENT_SHARED_BP;
		hits[ev.cpu]++;
	}
	tap_is_u64(bad, 0, "2000 hits of 4 vCPUs on one breakpoint");
	for (int i = 0; i < 4; i++) {
		uint64_t ran = m->cpu[i].ran[CLIENT_SHARED_BP];

		tap_ok(hits[i] && (ran == hits[i] || ran + 1 == hits[i]), "cpu %d ran it as often as it was reported",
			i);
		if (ran != hits[i] && ran + 1 != hits[i])
			tap_diag("ran %ju, reported %ju", (uintmax_t)ran, (uintmax_t)hits[i]);
	}
	tap_ok(vm_debug_break_remove(m->debug, VM_BREAK_SW, CLIENT_SHARED_BP, 1) == 0, "remove");
	tap_ok(vm_debug_break_remove(m->debug, VM_BREAK_SW, CLIENT_SHARED_BP, 1) == -ENOENT, "remove twice is refused");
	fake_end(m);
}

/* gdb's way: all breakpoints out while one vCPU steps, in again for the continue; hits of others survive it. */
static void test_gdb_dance(void)
{
	struct fake_machine *m = client_attached(4, true);
	struct vm_debug_event ev;
	uint64_t hits[4] = {0};
	unsigned bad = 0;

	client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
	for (int round = 0; round < 800 && !bad; round++) {
		bad += client_resume_all(m, VM_CONT) != 0;
		bad += !client_stopped_by(m, VM_STOP_SWBREAK, &ev);
		hits[ev.cpu]++;
		bad += vm_debug_break_remove(m->debug, VM_BREAK_SW, CLIENT_SHARED_BP, 1) != 0;
		bad += client_resume_one(m, ev.cpu, VM_STEP) != 0;
		bad += !client_stopped_by(m, VM_STOP_STEPPED, &ev) || ev.stop.pc != CLIENT_SHARED_BP + 1;
		bad += client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP) != 0;
	}
	tap_is_u64(bad, 0, "800 rounds of remove, step, insert, continue");
	for (int i = 0; i < 4; i++) {
		uint64_t ran = m->cpu[i].ran[CLIENT_SHARED_BP];

		tap_ok(hits[i] && ran == hits[i], "cpu %d: none lost, none invented", i);
		if (ran != hits[i])
			tap_diag("ran %ju, reported %ju", (uintmax_t)ran, (uintmax_t)hits[i]);
	}
	fake_end(m);
}

static void test_step_on_breakpoint(void)
{
	struct fake_machine *m = client_attached(2, false);
	struct vm_debug_event ev;
	uint64_t pc = FAKE_CODE(1), count;

	client_insert(m, 0, VM_BREAK_SW, FAKE_CODE(1));
	client_insert(m, 0, VM_BREAK_SW, FAKE_CODE(1) + 1);
	client_resume_one(m, 1, VM_STEP);
	tap_ok(client_stopped_by(m, VM_STOP_STEPPED, &ev) && ev.stop.pc == FAKE_CODE(1) + 1,
		"a step executes the instruction under a breakpoint that is left in");
	client_resume_one(m, 1, VM_CONT);
	tap_ok(client_stopped_by(m, VM_STOP_SWBREAK, &ev) && ev.stop.pc == FAKE_CODE(1),
		"a continue from a reported pc stops at the next breakpoint");
	count = m->cpu[1].count;
	vm_debug_reg_write(m->debug, 1, FAKE_PC, &pc, sizeof(pc));
	client_resume_one(m, 1, VM_CONT);
	tap_ok(client_stopped_by(m, VM_STOP_SWBREAK, &ev) && ev.stop.pc == FAKE_CODE(1) && m->cpu[1].count == count,
		"a jump to a breakpoint hits it");
	fake_end(m);
}

static void test_range(void)
{
	struct fake_machine *m = client_attached(2, true);
	struct vm_action a[2] = {
		{.kind = VM_STEP_RANGE, .lo = FAKE_CODE(0), .hi = FAKE_CODE(0) + 5}, {.kind = VM_STAY}};
	struct vm_debug_event ev;

	vm_debug_resume(m->debug, a, 2);
	tap_ok(client_stopped_by(m, VM_STOP_STEPPED, &ev) && ev.stop.pc == FAKE_SHARED,
		"a range step ends where it leaves");
	tap_is_u64(m->cpu[0].count, 5, "after so many instructions");
	a[0].lo = FAKE_SHARED;
	a[0].hi = FAKE_SHARED + 8;
	client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
	vm_debug_resume(m->debug, a, 2);
	tap_ok(client_stopped_by(m, VM_STOP_SWBREAK, &ev) && ev.stop.pc == CLIENT_SHARED_BP,
		"or at a breakpoint inside");
	vm_debug_resume(m->debug, a, 2);
	tap_ok(client_stopped_by(m, VM_STOP_STEPPED, &ev) && ev.stop.pc == FAKE_CODE(0) + 5,
		"and from there to the end");
	fake_end(m);
}

/* Reported after the access, as x86 does, or before it, as arm64 does: once for each, in either case. */
static void test_watch_never_lost(bool before)
{
	struct fake_machine *m = client_attach(before ? fake_new_watch_before(4, true, true) : fake_new(4, true, true));
	struct vm_debug_event ev;
	uint64_t hits[4] = {0};
	unsigned bad = 0;

	tap_ok(client_insert(m, 0, VM_BREAK_WATCH_WRITE, FAKE_DATA) == 0, "insert a watchpoint");
	client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
	for (int round = 0; round < 1500 && !bad; round++) {
		bad += client_resume_all(m, VM_CONT) != 0;
		bad += !client_next(m, &ev, 10000) || ev.kind != VM_EVENT_STOPPED;
		if (ev.stop.kind == VM_STOP_WATCH) {
			bad += ev.stop.addr != FAKE_DATA;
			hits[ev.cpu]++;
		}
	}
	tap_is_u64(bad, 0, "1500 stops of 4 vCPUs");
	for (int round = 0; round < 8; round++) { /* what is still pending comes out without anybody running */
		client_resume_all(m, VM_STEP);
		if (client_next(m, &ev, 10000) && ev.stop.kind == VM_STOP_WATCH)
			hits[ev.cpu]++;
	}
	for (int i = 0; i < 4; i++) {
		uint64_t ran = m->cpu[i].ran[FAKE_CODE(i) + 8];
		bool each = before ? hits[i] - ran <= 1 : ran - hits[i] <= 1;

		tap_ok(hits[i] && each, "cpu %d: every write was reported, once", i);
		if (!each)
			tap_diag("wrote %ju, reported %ju", (uintmax_t)ran, (uintmax_t)hits[i]);
	}
	fake_end(m);
}

static void test_false_condition(bool hw)
{
	struct fake_machine *m = client_attached(3, true);
	atomic_uint asked = 0;
	struct vm_break b = {.type = hw ? VM_BREAK_HW : VM_BREAK_SW,
		.addr = CLIENT_SHARED_BP,
		.len = 1,
		.cond = client_never,
		.cond_ctx = &asked};
	struct vm_debug_event ev;
	uint64_t ran = 0;

	vm_debug_break_insert(m->debug, 0, &b, NULL);
	client_resume_all(m, VM_CONT);
	tap_ok(!client_next(m, &ev, 300), "a false condition reports nothing (%s)", hw ? "slot" : "planted");
	vm_debug_pause(m->debug);
	tap_ok(client_stopped_by(m, VM_STOP_PAUSED, &ev), "a pause gets through");
	for (int i = 0; i < 3; i++)
		ran += m->cpu[i].ran[CLIENT_SHARED_BP];
	tap_ok(ran > 10 && asked >= ran && asked <= ran + 3, "it was asked once for each of %ju executions",
		(uintmax_t)ran);
	fake_end(m);
}

/* True, but only once as many vCPUs as the barrier counts are at the trap. */
static bool all_at_once(void *ctx, int cpu, const struct vm_stop *stop)
{
	(void)cpu;
	(void)stop;
	pthread_barrier_wait(ctx);
	return true;
}

static void test_several_at_once(bool remove)
{
	struct fake_machine *m = client_attached(3, false);
	pthread_barrier_t barrier;
	struct vm_break b = {
		.type = VM_BREAK_SW, .addr = CLIENT_SHARED_BP, .len = 1, .cond = all_at_once, .cond_ctx = &barrier};
	struct vm_debug_event ev;
	unsigned seen = 0;

	pthread_barrier_init(&barrier, NULL, 3);
	vm_debug_break_insert(m->debug, 0, &b, NULL);
	client_resume_all(m, VM_CONT);
	tap_ok(client_stopped_by(m, VM_STOP_SWBREAK, &ev), "three vCPUs hit at once, one is reported");
	seen |= 1u << ev.cpu;
	vm_debug_break_remove(m->debug, VM_BREAK_SW, CLIENT_SHARED_BP, 1);
	if (remove) {
		client_resume_all(m, VM_CONT);
		tap_ok(!client_next(m, &ev, 50), "the others' pending hits go with the breakpoint");
		vm_debug_pause(m->debug);
		tap_ok(client_stopped_by(m, VM_STOP_PAUSED, &ev), "and the machine still stops");
	} else {
		client_resume_one(m, ev.cpu, VM_STEP);
		tap_ok(client_stopped_by(m, VM_STOP_STEPPED, &ev),
			"a pending hit of a vCPU that stays is not this step's");
		client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
		for (int i = 0; i < 2; i++) {
			client_resume_all(m, VM_CONT);
			if (client_stopped_by(m, VM_STOP_SWBREAK, &ev))
				seen |= 1u << ev.cpu;
		}
		tap_is_u64(seen, 7, "the others' hits are reported next");
		tap_is_u64(m->cpu[0].ran[CLIENT_SHARED_BP] + m->cpu[1].ran[CLIENT_SHARED_BP] +
				   m->cpu[2].ran[CLIENT_SHARED_BP],
			1, "before anybody else has run");
	}
	for (int i = 0; i < 3; i++)
		tap_is_u64(m->cpu[i].foreign, 0, "cpu %d took no breakpoint for its own", i);
	fake_end(m);
	pthread_barrier_destroy(&barrier);
}

static void test_guests_own_break(uint8_t op)
{
	struct fake_machine *m = fake_new(2, true, false);
	struct vm_debug_event ev;

	m->ram[FAKE_CODE(0) + 6] = op;
	fake_start(m);
	vm_debug_attach(m->debug);
	client_next(m, &ev, 10000);
	client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
	for (int i = 0; i < 100000 && !m->cpu[0].foreign; i++) {
		client_resume_all(m, VM_CONT);
		client_next(m, &ev, 10000);
	}
	tap_ok(ev.kind == VM_EVENT_STOPPED && m->cpu[0].foreign + m->cpu[1].foreign > 0, "it goes to the guest");
	tap_is_u64(m->cpu[1].foreign, 0, "to nobody else");
	tap_is_u64(m->ram[FAKE_CODE(0) + 6], op, "and stays in memory");
	fake_end(m);
}

static void test_aliases_and_layout(void)
{
	struct fake_machine *m = client_attached(1, false);
	struct vm_debug_event ev;
	uint8_t byte = 0;

	tap_ok(client_insert(m, 0, VM_BREAK_SW, FAKE_LAYOUT + CLIENT_SHARED_BP) == 0,
		"planted through the image's layout");
	tap_ok(client_insert(m, 0, VM_BREAK_SW, FAKE_HIGH + CLIENT_SHARED_BP) == 0, "and again through the tables");
	client_resume_all(m, VM_CONT);
	tap_ok(client_stopped_by(m, VM_STOP_SWBREAK, &ev) && ev.stop.pc == CLIENT_SHARED_BP,
		"hit through a third address");
	tap_ok(vm_debug_mem_read(m->debug, 0, FAKE_LAYOUT + CLIENT_SHARED_BP, &byte, 1) == 1 && byte == OP_WORK,
		"memory shows the instruction");
	byte = OP_WORK + 1;
	vm_debug_mem_write(m->debug, 0, FAKE_HIGH + CLIENT_SHARED_BP, &byte, 1);
	client_resume_all(m, VM_CONT);
	tap_ok(client_stopped_by(m, VM_STOP_SWBREAK, &ev), "hit again");
	tap_is_u64(m->ram[CLIENT_SHARED_BP], OP_WORK + 1, "what was written over a breakpoint is what is restored");
	tap_ok(vm_debug_mem_read(m->debug, 0, FAKE_RAM - 2, (uint8_t[8]){0}, 8) == 2, "a read stops at the hole");
	tap_ok(vm_debug_mem_read(m->debug, 0, FAKE_RAM, &byte, 1) == -EFAULT, "and fails inside it");
	fake_end(m);
}

static void test_slots(void)
{
	struct fake_machine *m = client_attached(1, false);
	struct vm_break b = {.type = VM_BREAK_SW, .len = 1};
	const char *why = NULL, *how = NULL;
	struct vm_break out;

	m->hw_only = true;
	for (unsigned i = 0; i < 4; i++)
		tap_ok(client_insert(m, 0, VM_BREAK_SW, FAKE_SHARED + i) == 0, "slot %u", i);
	tap_ok(client_insert(m, 0, VM_BREAK_HW, FAKE_SHARED + 1) == 0, "the same address shares its slot");
	b.addr = FAKE_SHARED + 5;
	tap_ok(vm_debug_break_insert(m->debug, 0, &b, &why) == -ENOSPC && why, "the fifth is refused: %s", why);
	m->hw_only = false;
	tap_ok(vm_debug_break_insert(m->debug, 0, &b, &why) == 0, "planted ones need none");
	tap_ok(vm_debug_break_get(m->debug, 0, &out, &how) == 0 && !strcmp(how, "hardware"), "listed as hardware");
	tap_ok(vm_debug_break_get(m->debug, 5, &out, &how) == 0 && !strcmp(how, "planted"), "listed as planted");
	tap_ok(vm_debug_break_get(m->debug, 6, &out, &how) == -ENOENT, "the list ends");
	fake_end(m);
}

static void test_deferred_registers(void)
{
	struct fake_machine *m = client_attached(4, true);
	struct vm_debug_event ev;
	uint64_t v, got;
	unsigned bad = 0;

	for (int round = 0; round < 400 && !bad; round++) {
		v = (uint64_t)round * 7;
		bad += vm_debug_reg_write(m->debug, round % 4, FAKE_DEFERRED, &v, 8) != 0;
		bad += vm_debug_reg_read(m->debug, round % 4, FAKE_DEFERRED, &got, 8) != 0 || got != v;
		if (round % 10 == 0) {
			client_resume_all(m, VM_CONT);
			bad += vm_debug_reg_read(m->debug, 0, FAKE_DEFERRED, &got, 8) != -EBUSY;
			vm_debug_pause(m->debug);
			bad += !client_stopped_by(m, VM_STOP_PAUSED, &ev);
		}
	}
	tap_is_u64(bad, 0, "400 writes and reads on the vCPUs' own threads");
	tap_ok(vm_debug_reg_read(m->debug, 0, FAKE_NREGS, &got, 8) == -EINVAL, "no such register");
	tap_ok(vm_debug_reg_read(m->debug, 0, FAKE_ABSENT, &got, 8) == -ENOENT &&
			vm_debug_reg_write(m->debug, 0, FAKE_ABSENT, &got, 8) == -ENOENT,
		"a register that this machine lacks");
	fake_end(m);
}

static void test_detach_and_reattach(void)
{
	struct fake_machine *m = client_attached(3, true);
	struct vm_debug_event ev;
	unsigned bad = 0;
	uint64_t before;

	for (int round = 0; round < 150 && !bad; round++) {
		bad += client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP) != 0;
		if (round % 2) { /* a client that dies while the guest runs */
			client_resume_all(m, VM_CONT);
			if (round % 4 == 1)
				bad += !client_next(m, &ev, 10000);
		}
		vm_debug_detach(m->debug);
		bad += vm_debug_attached(m->debug);
		usleep(200);
		vm_debug_attach(m->debug);
		bad += !client_stopped_by(m, VM_STOP_PAUSED, &ev);
	}
	tap_is_u64(bad, 0, "150 detaches, stopped and running, and attaches");
	vm_debug_detach(m->debug);
	before = __atomic_load_n(&m->resumed, __ATOMIC_RELAXED);
	usleep(30000);
	vm_debug_attach(m->debug);
	client_stopped_by(m, VM_STOP_PAUSED, &ev);
	tap_ok(m->cpu[0].ran[CLIENT_SHARED_BP] > 3 && m->cpu[2].foreign == 0,
		"the guest ran on without its breakpoints");
	tap_ok(before > 0, "and was told that time has passed");
	fake_end(m);
}

static void test_pause_during_waits(void)
{
	struct fake_machine *m = fake_new(2, false, false);
	struct vm_debug_event ev;

	m->ram[FAKE_CODE(1)] = OP_WAIT;
	fake_start(m);
	usleep(2000);
	vm_debug_attach(m->debug);
	tap_ok(client_stopped_by(m, VM_STOP_PAUSED, &ev), "a halted vCPU does not hold up a stop");
	tap_is_u64(m->cpu[1].pc, FAKE_CODE(1), "it is where it waits");
	client_resume_one(m, 1, VM_STEP);
	tap_ok(client_stopped_by(m, VM_STOP_STEPPED, &ev) && ev.stop.pc == FAKE_CODE(1) + 1, "a step moves it past");
	client_resume_all(m, VM_STAY);
	tap_ok(client_stopped_by(m, VM_STOP_PAUSED, &ev), "a resume of nobody stops at once");
	fake_end(m);
}

static int answer(void *arg)
{
	*(int *)arg = 42;
	return 7;
}

static void test_fault_and_exit(void)
{
	struct fake_machine *m = fake_new(2, false, false);
	struct vm_debug_event ev;
	char text[64];
	int n = 0;

	tap_ok(!vm_debug_fault(m->debug, 0, VM_FAULT_KVM, 1, "nobody there"),
		"a fault without a debugger is the machine's to end");
	fake_start(m);
	vm_debug_attach(m->debug);
	client_stopped_by(m, VM_STOP_PAUSED, &ev);
	tap_ok(vm_debug_call(m->debug, 0, answer, &n) == 7 && n == 42, "a call is served");
	vm_debug_exit(m->debug, 42);
	vm_debug_exit(m->debug, 43);
	tap_ok(client_next(m, &ev, 1000) && ev.kind == VM_EVENT_EXITED && ev.status == 42, "the first status wins");
	tap_ok(!vm_debug_next(m->debug, &ev), "one exit, one event");
	tap_ok(client_resume_all(m, VM_CONT) == -ESHUTDOWN, "a resume says so");
	tap_ok(vm_debug_call(m->debug, 0, NULL, NULL) == -ENXIO, "a call says so");
	vm_debug_fault_text(m->debug, text, sizeof(text));
	tap_is_str(text, "", "no fault was taken");
	fake_end(m);
}

struct exit_race {
	struct fake_machine *m;
	unsigned us;
};

static void *exit_soon(void *arg)
{
	struct exit_race *r = arg;

	usleep(r->us);
	vm_debug_exit(r->m->debug, 2);
	return NULL;
}

static void test_exit_races(void)
{
	unsigned bad = 0;

	for (unsigned round = 0; round < 120 && !bad; round++) {
		struct fake_machine *m = client_attached(3, true);
		struct exit_race race = {m, round * 3 % 400};
		struct vm_debug_event ev;
		uint64_t v;
		pthread_t t;
		int ret;

		client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
		pthread_create(&t, NULL, exit_soon, &race);
		do {
			ret = round % 2 ? vm_debug_reg_read(m->debug, 1, FAKE_DEFERRED, &v, 8)
					: client_resume_all(m, round % 4 ? VM_CONT : VM_STEP);
			if (ret == 0 && round % 2 == 0)
				bad += !client_next(m, &ev, 10000);
		} while (ret == 0);
		bad += ret != -ESHUTDOWN && ret != -ENXIO && ret != -EBUSY;
		pthread_join(t, NULL);
		fake_end(m);
	}
	tap_is_u64(bad, 0, "120 exits in the middle of calls, steps and hits: nobody hangs");
}

int main(void)
{
	test_first_stop();
	test_pause_rounds();
	test_step();
	test_breakpoint_hits(false);
	test_breakpoint_hits(true);
	test_gdb_dance();
	test_step_on_breakpoint();
	test_range();
	test_watch_never_lost(false);
	test_watch_never_lost(true);
	test_false_condition(false);
	test_false_condition(true);
	test_several_at_once(true);
	test_several_at_once(false);
	test_guests_own_break(OP_BREAK);
	test_guests_own_break(OP_BREAK_FOREIGN);
	test_aliases_and_layout();
	test_slots();
	test_deferred_registers();
	test_detach_and_reattach();
	test_pause_during_waits();
	test_fault_and_exit();
	test_exit_races();
	return tap_done();
}
