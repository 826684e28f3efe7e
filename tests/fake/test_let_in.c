/* vm_debug over fake vCPUs: interrupts that range steps let in. Run under TSan. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/fake_client.h"
#include "tests/unit/tap.h"

#define LET_IN_STEPS 1000 /* vmm/debug_vcpu.c's */
#define WAIT_LOOP    FAKE_CODE(0)
#define WAIT_END     (WAIT_LOOP + FAKE_LOOP_LEN)
#define DUE_AT	     (WAIT_LOOP + LET_IN_STEPS % FAKE_LOOP_LEN) /* of a range step from WAIT_LOOP */

/* cpu 0 is in a loop that waits for `enough` interrupts of a timer that is slower than what lets them in. */
static struct fake_machine *waiting(int ncpus, bool delays, unsigned enough)
{
	struct fake_machine *m = fake_new(ncpus, true, delays);

	memset(&m->ram[WAIT_LOOP], OP_WORK, FAKE_LOOP_LEN);
	m->ram[WAIT_END - 1] = OP_UNTIL;
	m->cpu[0].enough = enough;
	m->cpu[0].timer = true;
	return client_attach(m);
}

static void resume_range(struct fake_machine *m, enum vm_action_kind others)
{
	struct vm_action a[FAKE_CPUS_MAX] = {{.kind = VM_STEP_RANGE, .lo = WAIT_LOOP, .hi = WAIT_END}};

	for (int i = 1; i < m->ncpus; i++)
		a[i].kind = others;
	if (vm_debug_resume(m->debug, a, (size_t)m->ncpus))
		tap_ok(false, "a range step is accepted");
}

static bool range_ends(struct fake_machine *m, struct vm_debug_event *ev)
{
	return client_stopped_by(m, VM_STOP_STEPPED, ev) && ev->cpu == 0 && ev->stop.pc == WAIT_END;
}

static uint64_t steps_in_loop(const struct fake_machine *m)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < FAKE_LOOP_LEN; i++)
		n += m->cpu[0].ran[WAIT_LOOP + i];
	return n;
}

static void test_let_in(void)
{
	struct fake_machine *m = waiting(2, false, 5);
	struct fake_cpu *c = &m->cpu[0];
	struct vm_debug_event ev;
	bool goes_on;
	uint64_t n;

	resume_range(m, VM_STAY);
	tap_ok(range_ends(m, &ev), "a range step ends in a loop that waits for interrupts");
	n = steps_in_loop(m);
	tap_is_u64(c->let_ins, 5, "so many were let in");
	tap_ok(n >= 5 * LET_IN_STEPS && n < 5 * LET_IN_STEPS + FAKE_LOOP_LEN, "after every %d steps", LET_IN_STEPS);
	if (n / LET_IN_STEPS != 5)
		tap_diag("%ju steps", (uintmax_t)n);
	tap_is_u64(c->ran[FAKE_HANDLER], 5, "and were handled");
	fake_end(m);

	m = waiting(1, false, 1);
	c = &m->cpu[0];
	c->closed = true;
	do {
		resume_range(m, VM_STAY);
		goes_on = !client_next(m, &ev, 50);
		vm_debug_pause(m->debug);
		goes_on = goes_on && client_stopped_by(m, VM_STOP_PAUSED, &ev);
	} while (goes_on && steps_in_loop(m) <= LET_IN_STEPS); /* a machine that is slow */
	tap_ok(goes_on && c->let_ins == 0, "where the guest masks them the step goes on without any, until paused");
	fake_end(m);
}

/* Breakpoints are hit in handlers, and a let-in does not begin at one. */
static void test_let_in_breakpoints(void)
{
	struct fake_machine *m = waiting(2, true, 3);
	struct fake_cpu *c = &m->cpu[0];
	atomic_uint asked = 0;
	struct vm_break b = {.type = VM_BREAK_SW, .addr = DUE_AT, .len = 1, .cond = client_never, .cond_ctx = &asked};
	struct vm_debug_event ev;

	vm_debug_break_insert(m->debug, 0, &b, NULL);
	client_insert(m, 0, VM_BREAK_HW, FAKE_HANDLER + 1);
	resume_range(m, VM_STAY);
	tap_ok(client_stopped_by(m, VM_STOP_HWBREAK, &ev) && ev.cpu == 0 && ev.stop.pc == FAKE_HANDLER + 1,
		"a breakpoint in a handler is hit");
	tap_is_u64(c->home, DUE_AT + 1, "interrupts are not let in at a breakpoint but behind it");
	resume_range(m, VM_STAY);
	tap_ok(client_stopped_by(m, VM_STOP_STEPPED, &ev) && ev.stop.pc == FAKE_HANDLER + 2,
		"a range step from there ends at once");
	vm_debug_break_remove(m->debug, VM_BREAK_HW, FAKE_HANDLER + 1, 1);
	client_resume_one(m, 0, VM_CONT);
	tap_ok(!client_next(m, &ev, 20), "what was let in is over");
	fake_end(m);

	m = waiting(3, true, 4);
	c = &m->cpu[0];
	asked = 0;
	b.addr = FAKE_HANDLER + 2;
	vm_debug_break_insert(m->debug, 0, &b, NULL);
	b.addr = CLIENT_SHARED_BP;
	b.cond_ctx = &(atomic_uint){0};
	vm_debug_break_insert(m->debug, 0, &b, NULL);
	resume_range(m, VM_CONT);
	tap_ok(range_ends(m, &ev), "false conditions, in a handler and on other vCPUs, change nothing");
	tap_is_u64(asked, 4, "that in the handler was asked each time");
	tap_is_u64(c->let_ins, 4, "and no let-in began anew");
	fake_end(m);
}

/* cpu 0 steps on until it waits in a handler, where a pause finds it. */
static bool parked_in_handler(struct fake_machine *m)
{
	struct vm_debug_event ev;

	for (int i = 0; i < 200 && m->cpu[0].pc != FAKE_HANDLER + 2; i++) {
		resume_range(m, VM_STAY);
		if (client_next(m, &ev, 50))
			return false;
		vm_debug_pause(m->debug);
		if (!client_stopped_by(m, VM_STOP_PAUSED, &ev))
			return false;
	}
	return m->cpu[0].pc == FAKE_HANDLER + 2;
}

/* Stops while cpu 0 is in a handler that does not return. */
static void test_let_in_stops(void)
{
	struct fake_machine *m = waiting(2, true, 1);
	struct fake_cpu *c = &m->cpu[0];
	struct vm_debug_event ev;

	m->ram[FAKE_HANDLER + 2] = OP_WAIT;
	tap_ok(parked_in_handler(m), "a pause parks it in a handler that waits");
	client_resume_one(m, 0, VM_STEP);
	tap_ok(client_stopped_by(m, VM_STOP_STEPPED, &ev) && ev.stop.pc == FAKE_HANDLER + 3,
		"a step from there is a step");
	client_resume_one(m, 0, VM_CONT);
	tap_ok(!client_next(m, &ev, 20), "and it runs on");
	fake_end(m);

	m = waiting(2, true, 1);
	c = &m->cpu[0];
	m->ram[FAKE_HANDLER + 2] = OP_WAIT;
	parked_in_handler(m);
	client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
	client_resume_all(m, VM_CONT);
	tap_ok(client_stopped_by(m, VM_STOP_SWBREAK, &ev) && ev.cpu == 1 && c->pc == FAKE_HANDLER + 2,
		"a stop of another vCPU finds it there");
	/* However long it takes until the other one has got around again. */
	for (int i = 0; i < 1000 && m->cpu[1].ran[CLIENT_SHARED_BP] <= 2; i++) {
		vm_debug_detach(m->debug);
		usleep(2000);
		vm_debug_attach(m->debug);
		if (!client_stopped_by(m, VM_STOP_PAUSED, &ev))
			break;
	}
	tap_ok(m->cpu[1].ran[CLIENT_SHARED_BP] > 2 && c->pc == FAKE_HANDLER + 2, "so does a client that comes again");
	fake_end(m);
}

int main(void)
{
	test_let_in();
	test_let_in_breakpoints();
	test_let_in_stops();
	return tap_done();
}
