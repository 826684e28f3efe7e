/*
 * Lost wake-ups, one by one: a thread is held at the very place where the other one's news would be missed if two lines
 * stood the other way round. Each test's comment says which lines those are and what was seen with them swapped. What
 * does not come within LOST_MS never will: nothing is under way any more then. Run under TSan.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "gdb/target_vm.h"
#include "tests/fake/fake_client.h"
#include "tests/fake/sync.h"
#include "tests/unit/tap.h"

#define LOST_MS 5000

/* ---- holding a vCPU ---- */

static struct {
	enum fake_place place;
	atomic_bool armed, there, released;
} gate;

static void hold_once(struct fake_cpu *c, enum fake_place place)
{
	if (c->id != 0 || place != gate.place || !atomic_exchange(&gate.armed, false))
		return;
	atomic_store(&gate.there, true);
	while (!atomic_load(&gate.released))
		sched_yield();
}

/* The next time that CPU 0 comes there. */
static void hold_at(struct fake_machine *m, enum fake_place place)
{
	gate.place = place;
	atomic_store(&gate.there, false);
	atomic_store(&gate.released, false);
	m->at = hold_once;
	atomic_store(&gate.armed, true);
}

static bool soon(atomic_bool *flag)
{
	for (int ms = 0; ms < LOST_MS && !atomic_load(flag); ms++)
		usleep(1000);
	return atomic_load(flag);
}

static void await_hold(void)
{
	if (!soon(&gate.there))
		tap_ok(false, "CPU 0 comes by");
}

static void run_to(struct fake_machine *m, enum fake_place place, enum vm_action_kind how)
{
	hold_at(m, place);
	client_resume_one(m, 0, how);
	await_hold();
}

/* It runs, and a kick that nobody meant brings it there. */
static void run_and_kick(struct fake_machine *m, enum fake_place place)
{
	hold_at(m, place);
	atomic_store(&gate.armed, false);
	client_run(m);
	while (!atomic_load(&m->cpu[0].inside))
		usleep(100);
	atomic_store(&gate.armed, true);
	kick_send(&m->cpu[0].kick);
	await_hold();
}

/* Once a kick, if there was one, has arrived. */
static void release(struct fake_cpu *c)
{
	for (int ms = 0; ms < 200 && !__atomic_load_n(&c->immediate_exit, __ATOMIC_RELAXED); ms++)
		usleep(1000);
	atomic_store(&gate.released, true);
}

/* The stop that was asked for, and nothing behind it. If it is lost, other kicks get the vCPUs out for the clean-up. */
static bool told_once(struct fake_machine *m, enum vm_stop_kind kind)
{
	struct vm_debug_event ev;
	bool told = client_next(m, &ev, LOST_MS);

	if (!told) {
		for (int i = 0; i < m->ncpus; i++)
			kick_send(&m->cpu[i].kick);
		client_next(m, &ev, LOST_MS);
		return false;
	}
	if (ev.kind != VM_EVENT_STOPPED || ev.stop.kind != kind)
		tap_diag("event %d, stop %d, wanted stop %d", ev.kind, ev.stop.kind, kind);
	return ev.kind == VM_EVENT_STOPPED && ev.stop.kind == kind && !vm_debug_next(m->debug, &ev);
}

/* ---- the kick ---- */

/*
 * The flag was looked at, KVM_RUN has not begun. kick_loop()'s two lines: immediate_exit is cleared, then may_enter()
 * looks. Swapped, so that each round begins with the look and clears then, both variants fail: no stop within LOST_MS,
 * and the vCPU, which was to execute nothing, has executed 18 million instructions. Cleared behind the look only if the
 * last KVM_RUN was cut short: the second variant fails, for it alone has been kicked before.
 */
static void test_between_look_and_run(bool after_kick)
{
	struct fake_machine *m = client_attached(2, false);
	uint64_t before;

	if (after_kick)
		run_and_kick(m, FAKE_MAY_ENTER);
	else
		run_to(m, FAKE_MAY_ENTER, VM_CONT);
	before = m->cpu[0].count;
	vm_debug_pause(m->debug);
	release(&m->cpu[0]);
	tap_ok(told_once(m, VM_STOP_PAUSED), "a kick between the look at the flag and KVM_RUN%s",
		after_kick ? ", after another one" : "");
	tap_is_u64(m->cpu[0].count, before, "which does not start");
	fake_end(m);
}

/*
 * KVM_RUN was cut short by a kick that nobody meant: the stop comes before immediate_exit is cleared, which wipes its
 * kick out. Without the look that follows (`while (enter(ctx))` in place of `if`), no vCPU stops any more: the test
 * before this one fails, and the program hangs here.
 */
static void test_between_run_and_clear(void)
{
	struct fake_machine *m = client_attached(2, false);

	run_and_kick(m, FAKE_LEFT);
	vm_debug_pause(m->debug);
	release(&m->cpu[0]);
	tap_ok(told_once(m, VM_STOP_PAUSED), "a kick between KVM_RUN and the clearing of immediate_exit");
	fake_end(m);
}

/*
 * A thread that has just begun, and has looked for the first time. kick_loop() listens, then looks; with `listening`
 * set behind the look, nobody kicks this vCPU: no stop here, in test_between_look_and_run() and before the first step.
 */
static void test_first_look(void)
{
	struct fake_machine *m = fake_new(2, false, false);

	hold_at(m, FAKE_MAY_ENTER);
	fake_start(m);
	await_hold();
	vm_debug_attach(m->debug);
	release(&m->cpu[0]);
	tap_ok(told_once(m, VM_STOP_PAUSED), "a kick before KVM_RUN was ever entered");
	fake_end(m);
}

/* ---- the flag, then the kick ---- */

static struct {
	pthread_t kicker;
	struct fake_cpu *cpu;
	unsigned entries;
	atomic_bool wants_lock; /* the vCPU has seen the flag */
} slow;

/* The kicker goes on when the vCPU has come out, and has either seen the flag or is in the guest again. */
static void kick_slowly(enum sync_op op, bool before)
{
	bool kicker = pthread_equal(pthread_self(), slow.kicker);

	if (op == SYNC_LOCK && before && !kicker)
		atomic_store(&slow.wants_lock, true);
	while (op == SYNC_KICK && !before && kicker && !atomic_load(&slow.wants_lock) &&
		atomic_load(&slow.cpu->entries) == slow.entries)
		sched_yield();
}

/* One vCPU, deep in the guest, with nothing to take a lock for. */
static struct fake_machine *running(void)
{
	struct fake_machine *m = client_attached(1, false);
	struct fake_cpu *c = &m->cpu[0];

	client_run(m);
	while (!atomic_load(&c->inside))
		usleep(100);
	slow.kicker = pthread_self();
	slow.cpu = c;
	slow.entries = atomic_load(&c->entries);
	atomic_store(&slow.wants_lock, false);
	sync_watch(kick_slowly);
	return m;
}

/*
 * debug_begin_stop_locked(): the world is STOPPING, then the kicks. Kicked first, the vCPU comes out, finds nothing to
 * stop for and goes back; nobody kicks it again: "no event" here, and in test_stress after some hundred rounds, or at
 * once with delays.
 */
static void test_stop_before_kick(void)
{
	struct fake_machine *m = running();

	vm_debug_pause(m->debug);
	sync_watch(NULL);
	tap_ok(told_once(m, VM_STOP_PAUSED), "a vCPU that is out and back before the stopper has gone on");
	fake_end(m);
}

/* ---- Ctrl-C during a step ---- */

static void test_ctrl_c_before_a_step(void)
{
	struct fake_machine *m = client_attached(2, false);

	run_to(m, FAKE_MAY_ENTER, VM_STEP);
	vm_debug_pause(m->debug);
	release(&m->cpu[0]);
	tap_ok(told_once(m, VM_STOP_PAUSED) && m->cpu[0].count == 0, "Ctrl-C before the step has begun");
	client_resume_one(m, 0, VM_STEP);
	tap_ok(told_once(m, VM_STOP_STEPPED) && m->cpu[0].count == 1, "the next step is one");
	fake_end(m);
}

/*
 * The step is done, nobody knows of it yet. Without the lines of debug_advance_locked() that rate a pause higher, the
 * stop is a finished step, and who has pressed Ctrl-C hears nothing of it.
 */
static void test_ctrl_c_after_a_step(void)
{
	struct fake_machine *m = client_attached(2, false);

	run_to(m, FAKE_TRAPS, VM_STEP);
	vm_debug_pause(m->debug);
	release(&m->cpu[0]);
	tap_ok(told_once(m, VM_STOP_PAUSED) && m->cpu[0].count == 1, "Ctrl-C when the step is done");
	client_resume_one(m, 0, VM_STEP);
	tap_ok(told_once(m, VM_STOP_STEPPED) && m->cpu[0].count == 2, "the next step is one");
	fake_end(m);
}

/* ---- the doorbell ---- */

static struct {
	struct fake_machine *m;
	int point; /* counts down */
} ring;

/* In the middle of the stub's work: the machine ends. */
static void end_at_point(enum sync_op op, bool before)
{
	(void)before;
	if ((op != SYNC_READ && op != SYNC_POP) || ring.point--)
		return;
	sync_watch(NULL);
	vm_debug_exit(ring.m->debug, 0);
}

/*
 * An event is told, or the doorbell still rings for it, wherever the stub is when it comes. service_pump() drains the
 * doorbell, then the queue. With the drain behind the loop, an end at the second and third place is lost: it is in the
 * queue, and nothing rings.
 */
static void test_doorbell(void)
{
	static const char *const where[] = {
		"before the stub resets the doorbell", "when it has", "before it looks", "when it has found nothing"};

	for (int point = 0; point < 4; point++) {
		struct fake_machine *m = client_attached(1, false);
		struct target_vm *target = target_vm_new(m->debug);
		struct gdb_service service = target_vm_service(target);
		struct pollfd p = {.fd = service.event_fd, .events = POLLIN};

		/* Points: the read, the one look that finds nothing; each before and after. */
		ring.m = m;
		ring.point = point;
		sync_watch(end_at_point);
		service.pump(service.ctx, NULL, NULL);
		sync_watch(NULL);
		tap_ok(ring.point == -1 && (m->flushes || poll(&p, 1, 0) == 1), "an end %s", where[point]);
		fake_end(m);
		target_vm_free(target);
	}
}

/* ---- shutdown ---- */

static bool leaves(struct fake_cpu *c)
{
	if (soon(&c->left))
		return true;
	kick_send(&c->kick);
	return false;
}

/* The same two lines of end_locked(): kicked before `exiting` and STOPPING are set, the vCPU never leaves. */
static void test_end_before_kick(void)
{
	struct fake_machine *m = running();

	vm_debug_exit(m->debug, 0);
	sync_watch(NULL);
	tap_ok(leaves(&m->cpu[0]), "the same at the machine's end");
	fake_end(m);
}

static void test_end_between_look_and_run(void)
{
	struct fake_machine *m = client_attached(1, false);

	run_to(m, FAKE_MAY_ENTER, VM_CONT);
	vm_debug_exit(m->debug, 0);
	release(&m->cpu[0]);
	tap_ok(leaves(&m->cpu[0]), "an end between the look at the flag and KVM_RUN");
	fake_end(m);
}

/* ---- a question that is open ---- */

enum { RUNS, TOLD, SLEEPS, HELD, RELEASED };
static atomic_int waker;
static atomic_bool asked;
static __thread bool is_vcpu;

/* After its stop was told a vCPU spins for a while before it sleeps, if the client is quick: then it is caught. */
static void hold_waker(enum sync_op op, bool before)
{
	int told = TOLD;

	if (!before)
		return;
	if (!is_vcpu) {
		if (op == SYNC_WAIT)
			atomic_store(&asked, true);
		return;
	}
	if (op == SYNC_PUSH)
		atomic_store(&waker, TOLD);
	else if (op == SYNC_WAIT)
		atomic_compare_exchange_strong(&waker, &told, SLEEPS);
	else if (op == SYNC_LOCK && atomic_compare_exchange_strong(&waker, &told, HELD))
		while (atomic_load(&waker) == HELD)
			sched_yield();
}

static void name_vcpu(struct fake_cpu *c, enum fake_place place)
{
	(void)c;
	(void)place;
	is_vcpu = true;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static atomic_bool answered;

static void *ask(void *arg)
{
	struct fake_machine *m = arg;
	int ret = vm_debug_call(m->debug, 0, nothing, NULL);

	atomic_store(&answered, true);
	return (void *)(intptr_t)ret;
}

/* Steps until a vCPU is held. */
static bool catch_waker(struct fake_machine *m)
{
	struct vm_debug_event ev;

	m->at = name_vcpu;
	for (int i = 0; i < 5000; i++) {
		atomic_store(&waker, RUNS);
		client_resume_one(m, 0, VM_STEP);
		if (!client_next(m, &ev, LOST_MS))
			break;
		for (int k = 0; k < LOST_MS && atomic_load(&waker) < SLEEPS; k++)
			usleep(20);
		if (atomic_load(&waker) == HELD)
			return true;
	}
	return false;
}

/*
 * The stub asks something of a vCPU that has woken to look for work and has not taken the lock yet; before it does, the
 * machine ends. Two lines answer: serve_call_locked() at the end of park(), and in vm_debug_gone(). Without both the
 * question stays open, and the stub's thread with it.
 */
static void test_open_question(void)
{
	struct fake_machine *m = client_attached(1, false);
	pthread_t t;
	void *ret;

	sync_watch(hold_waker);
	if (catch_waker(m)) {
		pthread_create(&t, NULL, ask, m);
		soon(&asked);
		vm_debug_exit(m->debug, 0);
		atomic_store(&waker, RELEASED);
		if (!tap_ok(soon(&answered), "a question that is open at the end is answered"))
			exit(tap_done());
		pthread_join(t, &ret);
		tap_is_u64((uint64_t)(intptr_t)ret, (uint64_t)-ENXIO, "it fails");
		tap_ok(ask(m) == (void *)(intptr_t)-ENXIO, "and so does the next");
	} else {
		tap_skip("a stop within 300 us", "a question that is open at the end");
	}
	sync_watch(NULL);
	fake_end(m);
}

static atomic_uint signals;

static void count_signals(enum sync_op op, bool before)
{
	if (op == SYNC_KICK && before)
		atomic_fetch_add(&signals, 1);
}

/* With `listening` left set at the end of kick_loop(), each of the two is sent a signal. */
static void test_nobody_signals_the_dead(void)
{
	struct fake_machine *m = client_attached(2, false);

	client_run(m);
	fake_stop(m);
	sync_watch(count_signals);
	for (int i = 0; i < m->ncpus; i++)
		kick_send(&m->cpu[i].kick);
	vm_debug_pause(m->debug);
	vm_debug_exit(m->debug, 1);
	vm_debug_quit(m->debug, 1);
	sync_watch(NULL);
	tap_is_u64(atomic_load(&signals), 0, "threads that were joined get no signals");
	fake_free(m);
}

int main(void)
{
	test_between_look_and_run(false);
	test_between_look_and_run(true);
	test_between_run_and_clear();
	test_first_look();
	test_stop_before_kick();
	test_ctrl_c_before_a_step();
	test_ctrl_c_after_a_step();
	test_doorbell();
	test_end_before_kick();
	test_end_between_look_and_run();
	test_open_question();
	test_nobody_signals_the_dead();
	return tap_done();
}
