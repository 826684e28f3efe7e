/*
 * Eight vCPUs and a client that does everything in any order, by the thousand: continues, steps, range steps, mixes of
 * them, breakpoints and watchpoints that come and go, Ctrl-C from another thread, CPUs that go offline and come back,
 * clients that leave. At every stop the books are balanced: what each vCPU has executed is what it was allowed to.
 *
 * FAKE_ROUNDS=N: how many rounds, in all. FAKE_DELAYS=SEED: the same choices again, with pauses at every lock. Run
 * under TSan.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/fake_client.h"
#include "tests/fake/sync.h"
#include "tests/unit/tap.h"
#include "vmm/debug_priv.h"

#define CPUS	    8
#define ROUNDS	    8000
#define PATIENCE_MS 20000 /* for what is certain to come */
#define HURRY_MS    2	  /* for what may need a Ctrl-C */

/* What is known of a vCPU at a stop. */
struct book {
	uint64_t count, at_bp, writes; /* executed: in all, at the breakpoint, writes to what may be watched */
	bool seen;		       /* the client was told that it is at the breakpoint: it may go past it once */
	bool hit;		       /* and that was a hit: it is not told again */
	uint64_t due, told;	       /* hits of the watchpoint that report after the access */
	bool at_watch;		       /* before it: told, and not made yet */
};

struct stress {
	struct fake_machine *m;
	unsigned seed;
	bool before; /* watchpoints report before the access */
	bool bp, watch;
	struct vm_action action[CPUS];
	struct book book[CPUS];
	unsigned told[VM_STOP_WATCH + 1];
	unsigned round;
	bool bad;
	/* The other thread's. */
	pthread_t user;
	unsigned user_seed;
	atomic_uint asked, done, ctrl_c;
	atomic_bool end;
};

static unsigned pick(struct stress *s, unsigned n)
{
	return (unsigned)rand_r(&s->seed) % n;
}

static void wrong(struct stress *s, int cpu, const char *what)
{
	const struct book *b = &s->book[cpu];
	const struct fake_cpu *c = &s->m->cpu[cpu];

	tap_diag("round %u, CPU %d: %s", s->round, cpu, what);
	tap_diag("action %d, pc 0x%jx, executed %ju, was %ju; seen %d, hit %d, due %ju, told %ju", s->action[cpu].kind,
		(uintmax_t)c->pc, (uintmax_t)c->count, (uintmax_t)b->count, b->seen, b->hit, (uintmax_t)b->due,
		(uintmax_t)b->told);
	s->bad = true;
}

/* ---- the other thread: a user's Ctrl-C, and CPUs that go offline and come back ---- */

static void meddle(struct stress *s)
{
	struct fake_cpu *c = &s->m->cpu[rand_r(&s->user_seed) % CPUS];

	if (rand_r(&s->user_seed) % 4 == 0)
		usleep((useconds_t)rand_r(&s->user_seed) % 200);
	atomic_store(&c->offline, rand_r(&s->user_seed) % 4 == 0);
	if (rand_r(&s->user_seed) % 2) {
		vm_debug_pause(s->m->debug);
		atomic_fetch_add(&s->ctrl_c, 1);
	}
}

static void *user(void *arg)
{
	struct stress *s = arg;

	while (!atomic_load(&s->end)) {
		if (atomic_load(&s->asked) == atomic_load(&s->done)) {
			usleep(50);
			continue;
		}
		meddle(s);
		atomic_fetch_add(&s->done, 1);
	}
	return NULL;
}

/* ---- the books ---- */

static uint64_t writes_of(const struct stress *s, int cpu)
{
	return s->m->cpu[cpu].ran[FAKE_CODE(cpu) + 8];
}

static void open_book(struct stress *s, int cpu)
{
	const struct fake_cpu *c = &s->m->cpu[cpu];
	struct book *b = &s->book[cpu];

	b->count = c->count;
	b->at_bp = c->ran[CLIENT_SHARED_BP];
	b->writes = writes_of(s, cpu);
}

static bool asked_for(const struct stress *s, int cpu, const struct vm_debug_event *ev, uint64_t moved)
{
	const struct vm_action *a = &s->action[cpu];
	bool reported = ev->cpu == cpu && ev->stop.kind == VM_STOP_STEPPED;

	switch (a->kind) {
	case VM_STAY:
		return moved == 0 && !reported;
	case VM_STEP:
		return reported ? moved == 1 : moved <= 1;
	case VM_STEP_RANGE:
		/* None holds the whole loop: it calls. */
		return moved <= FAKE_LOOP_LEN &&
		       (!reported || (moved && (s->m->cpu[cpu].pc < a->lo || s->m->cpu[cpu].pc >= a->hi)));
	default:
		return !reported;
	}
}

static void balance_breakpoint(struct stress *s, int cpu, const struct vm_debug_event *ev, uint64_t moved)
{
	const struct fake_cpu *c = &s->m->cpu[cpu];
	struct book *b = &s->book[cpu];
	bool reported = ev->cpu == cpu;
	uint64_t past = c->ran[CLIENT_SHARED_BP] - b->at_bp;

	if (s->bp && past > b->seen)
		wrong(s, cpu, "it went past the breakpoint and nobody was told");
	if (moved)
		b->seen = b->hit = false;
	if (reported && ev->stop.kind == VM_STOP_SWBREAK) {
		if (!s->bp || c->pc != CLIENT_SHARED_BP)
			wrong(s, cpu, "a hit of a breakpoint that is not there");
		if (b->hit)
			wrong(s, cpu, "one hit was told twice");
		b->hit = true;
	}
	b->seen |= reported && c->pc == CLIENT_SHARED_BP;
}

/* Told after the access: each is, sooner or later, and one at most is pending. Before it: each is, first. */
static void balance_watchpoint(struct stress *s, int cpu, const struct vm_debug_event *ev)
{
	struct book *b = &s->book[cpu];
	uint64_t made = writes_of(s, cpu) - b->writes;
	bool told = ev->cpu == cpu && ev->stop.kind == VM_STOP_WATCH;
	bool bad;

	if (s->before) {
		bad = s->watch && made > b->at_watch;
		b->at_watch &= !made;
		bad |= told && b->at_watch;
		b->at_watch |= told;
	} else {
		b->due += s->watch ? made : 0;
		b->told += told;
		bad = b->due - b->told > 1;
	}
	if (bad)
		wrong(s, cpu, "a hit of the watchpoint was lost, or invented");
}

static void balance(struct stress *s, const struct vm_debug_event *ev)
{
	struct vm_debug_event more;

	if (ev->kind != VM_EVENT_STOPPED || ev->stop.kind < VM_STOP_PAUSED || ev->stop.kind > VM_STOP_WATCH) {
		wrong(s, 0, "an event that makes no sense");
		return;
	}
	s->told[ev->stop.kind]++;
	for (int i = 0; i < CPUS; i++) {
		uint64_t moved = s->m->cpu[i].count - s->book[i].count;

		if (atomic_load(&s->m->cpu[i].inside))
			wrong(s, i, "it runs");
		if (!asked_for(s, i, ev, moved))
			wrong(s, i, "it has done what was not asked for");
		balance_breakpoint(s, i, ev, moved);
		balance_watchpoint(s, i, ev);
		open_book(s, i);
	}
	if (s->round % 16 == 0 && memchr(s->m->ram, OP_BREAK, FAKE_RAM))
		wrong(s, ev->cpu, "a planted instruction shows");
	if (vm_debug_next(s->m->debug, &more))
		wrong(s, more.cpu, "a second event");
}

static void still_stopped(struct stress *s)
{
	for (int i = 0; i < CPUS; i++) {
		if (s->m->cpu[i].count != s->book[i].count)
			wrong(s, i, "it has moved while stopped");
	}
}

/* ---- the client ---- */

static void choose_actions(struct stress *s)
{
	static const enum vm_action_kind others[] = {VM_STAY, VM_STAY, VM_CONT, VM_STEP};
	enum vm_action_kind rest = others[pick(s, 4)];
	unsigned way = pick(s, 8), one = pick(s, CPUS);

	for (unsigned i = 0; i < CPUS; i++) {
		struct vm_action *a = &s->action[i];

		*a = (struct vm_action){.kind = way < 3 ? VM_CONT : i != one ? rest : VM_STEP};
		if (way == 7 || (way == 6 && i == one)) {
			a->kind = way == 6 ? VM_STEP_RANGE : (enum vm_action_kind)pick(s, 4);
			a->lo = FAKE_CODE(i) + pick(s, 8);
			a->hi = a->lo + pick(s, 16);
		}
		if ((a->kind == VM_STEP || a->kind == VM_STEP_RANGE) && s->m->cpu[i].pc == CLIENT_SHARED_BP)
			s->book[i].seen = true;
	}
}

static void change_breakpoints(struct stress *s)
{
	struct fake_machine *m = s->m;
	bool bp = pick(s, 4), watch = pick(s, 2);

	if (bp != s->bp && (bp ? client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP)
			       : client_remove(m, VM_BREAK_SW, CLIENT_SHARED_BP)))
		wrong(s, 0, "the breakpoint");
	if (watch != s->watch && (watch ? client_insert(m, 0, VM_BREAK_WATCH_WRITE, FAKE_DATA)
					: client_remove(m, VM_BREAK_WATCH_WRITE, FAKE_DATA)))
		wrong(s, 0, "the watchpoint");
	for (int i = 0; i < CPUS && bp != s->bp; i++)
		s->book[i].hit = false;
	s->bp = bp;
	s->watch = watch;
}

/* The client goes, the guest runs on without it, the next one comes. What was pending is forgotten. */
static void leave_and_return(struct stress *s)
{
	struct vm_debug_event ev;

	vm_debug_detach(s->m->debug);
	usleep(pick(s, 300));
	vm_debug_attach(s->m->debug);
	if (!client_next(s->m, &ev, PATIENCE_MS) || ev.stop.kind != VM_STOP_PAUSED)
		wrong(s, 0, "no stop for the next client");
	s->bp = s->watch = false;
	for (int i = 0; i < CPUS; i++) {
		s->book[i] = (struct book){.seen = s->m->cpu[i].pc == CLIENT_SHARED_BP};
		open_book(s, i);
	}
}

static void ask_something(struct stress *s)
{
	uint64_t v = s->round, got = 0;
	int cpu = (int)pick(s, CPUS);

	if (vm_debug_reg_write(s->m->debug, cpu, FAKE_DEFERRED, &v, sizeof(v)) ||
		vm_debug_reg_read(s->m->debug, cpu, FAKE_DEFERRED, &got, sizeof(got)) || got != v)
		wrong(s, cpu, "a register");
}

/* Does somebody come to a stop by himself? The other thread has nothing to do, so nothing changes meanwhile. */
static bool will_stop(const struct stress *s)
{
	for (int i = 0; i < CPUS; i++) {
		enum vm_action_kind kind = s->action[i].kind;

		if (kind != VM_STAY && (kind != VM_CONT || s->bp || s->watch) && !atomic_load(&s->m->cpu[i].offline))
			return true;
	}
	return false;
}

static void one_round(struct stress *s)
{
	bool quiet = atomic_load(&s->asked) == atomic_load(&s->done), meddled = pick(s, 4) == 0, told;
	struct vm_debug_event ev;

	if (pick(s, 32) == 0)
		change_breakpoints(s);
	if (pick(s, 512) == 0)
		leave_and_return(s);
	if (pick(s, 8) == 0)
		ask_something(s);
	choose_actions(s);
	still_stopped(s);
	if (vm_debug_resume(s->m->debug, s->action, CPUS)) {
		wrong(s, 0, "a resume was refused");
		return;
	}
	if (meddled)
		atomic_fetch_add(&s->asked, 1);
	quiet = quiet && !meddled && will_stop(s);
	told = client_next(s->m, &ev, quiet ? PATIENCE_MS : s->bp || s->watch ? HURRY_MS : 0);
	if (!told && !quiet) {
		vm_debug_pause(s->m->debug);
		told = client_next(s->m, &ev, PATIENCE_MS);
	}
	if (told)
		balance(s, &ev);
	else
		wrong(s, 0, "a stop was lost");
}

/* With nothing more to hit, what is pending comes out, and nobody needs to run for it. */
static void settle(struct stress *s)
{
	struct vm_debug_event ev;
	bool pending;

	if (s->before)
		return;
	if (s->bp)
		client_remove(s->m, VM_BREAK_SW, CLIENT_SHARED_BP);
	if (s->watch)
		client_remove(s->m, VM_BREAK_WATCH_WRITE, FAKE_DATA);
	s->bp = s->watch = false;
	do {
		pending = false;
		client_resume_all(s->m, VM_CONT);
		for (int i = 0; i < CPUS; i++) {
			s->action[i].kind = VM_CONT;
			pending |= s->book[i].due != s->book[i].told;
		}
		if (pending && client_next(s->m, &ev, PATIENCE_MS) && ev.stop.kind == VM_STOP_WATCH)
			balance(s, &ev);
		else if (pending)
			wrong(s, 0, "a pending watchpoint was dropped");
	} while (pending && !s->bad);
}

static void stress(unsigned rounds, unsigned seed, bool before, bool slow)
{
	struct stress s = {.seed = seed, .user_seed = seed + 1, .before = before};
	uint64_t began = debug_now_us();
	struct vm_debug_event ev;

	s.m = client_attach(before ? fake_new_watch_before(CPUS, true, slow) : fake_new(CPUS, true, slow));
	pthread_create(&s.user, NULL, user, &s);
	for (s.round = 0; s.round < rounds && !s.bad; s.round++)
		one_round(&s);
	atomic_store(&s.end, true);
	pthread_join(s.user, NULL);
	for (int i = 0; i < CPUS; i++)
		atomic_store(&s.m->cpu[i].offline, false);
	if (!s.bad)
		settle(&s);
	tap_ok(!s.bad, "%u rounds, watchpoints report %s the access", s.round, before ? "before" : "after");
	tap_diag("%.1f s", (double)(debug_now_us() - began) / 1e6);
	tap_diag("stops: %u paused, %u stepped, %u breakpoint, %u watchpoint; %u Ctrl-C, %u kicks, %lu delays",
		s.told[VM_STOP_PAUSED], s.told[VM_STOP_STEPPED], s.told[VM_STOP_SWBREAK], s.told[VM_STOP_WATCH],
		atomic_load(&s.ctrl_c), atomic_load(&s.m->kicks), sync_delays());
	while (vm_debug_next(s.m->debug, &ev))
		;
	fake_end(s.m);
}

int main(void)
{
	const char *text = getenv("FAKE_ROUNDS");
	unsigned rounds = text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
	unsigned seed = sync_seed();

	stress(rounds * 9 / 20, seed, false, false);
	stress(rounds * 9 / 20, seed + 2, true, false);
	sync_delay(seed); /* which take their time */
	stress(rounds / 20, seed + 4, false, true);
	stress(rounds / 20, seed + 6, true, true);
	return tap_done();
}
