/* The verdict, told by hand what a machine does: which run passes, which fails, why, and when that is known. */
#include "vmm/verdict.h"

#include <stdlib.h>

#include "tests/unit/tap.h"
#include "vmm/exit_status.h"

#define SECOND 1000000ull
#define START  (5 * SECOND) /* the clock does not begin at 0 */

static struct options opts;
static struct verdict *v;
static struct result shown;
static uint64_t clock_us;
static unsigned told, told_final; /* news(), and the final ones */

static uint64_t now_us(void *ctx)
{
	(void)ctx;
	return clock_us;
}

/* It may ask for what the hooks' users ask. */
static void news(void *ctx, bool final)
{
	(void)ctx;
	told++;
	told_final += final;
	if (final != verdict_final(v))
		tap_ok(false, "what news() says is so");
}

static void reset(void)
{
	verdict_free(v);
	v = NULL;
	memset(&opts, 0, sizeof(opts));
	clock_us = START;
	told = told_final = 0;
}

static void want_break(const char *where, enum break_action action)
{
	opts.goal[opts.ngoals++] = (struct goal_option){
		.kind = GOAL_BREAK, .text = where, .where_len = strcspn(where, "="), .action = action};
}

static void want_line(enum goal_kind kind, const char *regex)
{
	opts.goal[opts.ngoals++] = (struct goal_option){.kind = kind, .text = regex};
}

static void begin(void)
{
	struct verdict_hooks hooks = {.now_us = now_us, .news = news};

	if (verdict_new(&v, &opts, &hooks))
		abort();
	verdict_begin(v);
}

static void say(const char *text)
{
	while (*text)
		verdict_output(v, (uint8_t)*text++);
}

static const struct result *result(void)
{
	memset(&shown, 0x5a, sizeof(shown));
	verdict_result(v, &shown);
	return &shown;
}

static bool is_open(const char *what)
{
	return tap_ok(
		!verdict_final(v) && verdict_status(v, 99) == 99 && result()->kind == RESULT_ERROR, "%s: open", what);
}

static void is(enum result_kind kind, const char *reason, const char *what)
{
	const struct result *r = result();

	tap_ok(verdict_final(v) && told_final == 1, "%s: final, and told once", what);
	tap_is_str(result_kind_name(r->kind), result_kind_name(kind), "%s: kind", what);
	tap_is_str(r->reason, reason, "%s: reason", what);
	tap_ok(verdict_status(v, 99) == r->status, "%s: one status", what);
	if (kind != RESULT_GUEST && kind != RESULT_ERROR)
		tap_is_u64((uint64_t)r->status, (uint64_t)result_status(kind), "%s: status", what);
}

/* ---- goals ---- */

static void test_one_break(void)
{
	reset();
	want_break("here=pass", ACTION_PASS);
	want_break("there=count", ACTION_COUNT);
	begin();
	clock_us += 3;
	verdict_hit(v, 1, 1);
	clock_us += 4;
	verdict_hit(v, 1, 0);
	is_open("a counted hit");
	clock_us += 5;
	verdict_hit(v, 0, 2);
	is(RESULT_PASS, "reached here on CPU 2", "a passing break");
	clock_us += SECOND;
	verdict_hit(v, 0, 3);
	verdict_hit(v, 1, 3);
	result();
	tap_ok(!verdict_failed(v) && verdict_cpu(v) == 2, "it has not failed, and CPU 2 decided");
	tap_is_u64(shown.duration_us, 12, "it took so long, whatever comes after");
	tap_is_u64(shown.ngoals, 2, "two goals");
	tap_is_u64(shown.goal[0].count, 1, "hits behind the verdict do not count");
	tap_is_u64(shown.goal[1].count, 2, "neither do the other's");
	tap_ok(shown.goal[1].time_us[0] == 3 && shown.goal[1].time_us[1] == 7 && shown.goal[1].last_us == 7,
		"when they were");
	tap_ok(shown.goal[1].cpu == 1 && shown.goal[0].cpu == 2, "the CPU of the first");
	tap_is_str(shown.goal[0].text, "here", "the place without its action");
	tap_is_str(shown.goal[0].action, "pass", "the action");
	tap_is_str(shown.goal[1].action, "count", "the other action");
	tap_is_str(shown.goal[1].option, "break", "the option");
	tap_ok(shown.serial_len == 0, "no output");
}

static void test_many_hits(void)
{
	bool ascending = true;

	reset();
	want_break("there=count", ACTION_COUNT);
	begin();
	for (int i = 1; i <= 1000; i++) {
		clock_us += 10;
		verdict_hit(v, 0, i % 4);
	}
	result();
	tap_is_u64(shown.goal[0].count, 1000, "all are counted");
	for (int i = 0; i < RESULT_TIMES_MAX; i++)
		ascending = ascending && shown.goal[0].time_us[i] == 10u * (unsigned)(i + 1);
	tap_ok(ascending, "the first have their times");
	tap_is_u64(shown.goal[0].last_us, 10000, "and the last");
	tap_is_u64(told, 0, "and nobody was bothered");
}

static void test_until(void)
{
	static const struct {
		enum until until;
		const char
			*hits; /* a, b: breaks; x, y: expects; in this order. The last one decides, or 'E', the end */
		const char *reason;
	} cases[] = {
		{UNTIL_DEFAULT, "axy", "saw y, the last of all goals"},
		{UNTIL_DEFAULT, "xyb", "reached b on CPU 1, the last of all goals"},
		{UNTIL_ANY, "a", "reached a on CPU 1"},
		{UNTIL_ANY, "y", "saw y"},
		{UNTIL_ALL, "abxy", "saw y, the last of all goals"},
		{UNTIL_ALL, "yyxbbba", "reached a on CPU 1, the last of all goals"},
		{UNTIL_END, "xyabE", "the guest powered off, all goals reached"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char what[64];

		reset();
		want_break("a", ACTION_PASS);
		want_break("b", ACTION_PASS);
		want_line(GOAL_EXPECT, "x");
		want_line(GOAL_EXPECT, "y");
		opts.until = cases[i].until;
		begin();
		for (const char *h = cases[i].hits; *h; h++) {
			snprintf(what, sizeof(what), "--until %d, %s at %zu", cases[i].until, cases[i].hits,
				(size_t)(h - cases[i].hits));
			if (verdict_final(v))
				tap_ok(false, "%s: too early", what);
			if (*h == 'E')
				verdict_ended(v, STATUS_OK, "the guest powered off");
			else if (*h < 'x')
				verdict_hit(v, (size_t)(*h - 'a'), 1);
			else
				say(*h == 'x' ? "x\n" : "y\n");
		}
		is(RESULT_PASS, cases[i].reason, what);
	}
}

static void three_in_order(void)
{
	reset();
	want_break("first", ACTION_PASS);
	want_line(GOAL_EXPECT, "second");
	want_break("third", ACTION_PASS);
	opts.ordered = true;
	begin();
}

static void test_ordered(void)
{
	three_in_order();
	verdict_hit(v, 0, 0);
	verdict_hit(v, 0, 0); /* again: no harm */
	say("second\n");
	is_open("two of three, in order");
	verdict_hit(v, 0, 0);
	verdict_hit(v, 2, 0);
	is(RESULT_PASS, "reached third on CPU 0, the last of all goals", "in order");

	three_in_order();
	verdict_hit(v, 0, 0);
	verdict_hit(v, 2, 3);
	is(RESULT_ORDER, "reached third on CPU 3 before expect second, whose turn it was", "a break before its turn");
	tap_ok(verdict_failed(v) && verdict_cpu(v) == 3, "it has failed, on CPU 3");

	three_in_order();
	say("second\n");
	is(RESULT_ORDER, "saw second before break first, whose turn it was", "a line before its turn");
}

static void test_fail(void)
{
	reset();
	want_break("good", ACTION_PASS);
	want_break("bad+4=fail", ACTION_FAIL);
	begin();
	verdict_hit(v, 1, 2);
	is(RESULT_FAIL, "reached bad+4 on CPU 2", "a failing break");
	verdict_hit(v, 0, 0);
	say("Kernel panic - not syncing: late\n");
	verdict_ended(v, STATUS_TRIPLE_FAULT, "late");
	is(RESULT_FAIL, "reached bad+4 on CPU 2", "the first verdict stays");
}

/* ---- the serial line ---- */

static void test_reject(void)
{
	reset();
	want_line(GOAL_REJECT, "WARN(ING)?: ");
	begin();
	say("all is well\r\nWARN\n: no\n[  1.0] WARNING: cpu on ");
	is_open("half a line");
	say("fire\r\n");
	is(RESULT_REJECT, "the output matches 'WARN(ING)?: ', which it must not: [  1.0] WARNING: cpu on fire",
		"a line that must not be");
	tap_is_u64(shown.goal[0].count, 1, "counted");
	tap_is_str(shown.goal[0].option, "reject", "the option");
	tap_is_str(shown.goal[0].action, "", "no action");
	tap_ok(shown.goal[0].cpu == -1, "no CPU");
}

static void test_unfinished(void)
{
	reset();
	want_line(GOAL_EXPECT, "login: $");
	want_line(GOAL_EXPECT, "never");
	begin();
	say("login: ");
	is_open("a prompt that nobody has looked at");
	verdict_tick(v);
	result();
	tap_is_u64(shown.goal[0].count, 0, "$ is not the end of what may go on");

	reset();
	want_line(GOAL_EXPECT, "login: ");
	want_line(GOAL_EXPECT, "never");
	begin();
	say("login: ");
	tap_ok(verdict_tick(v) > 0, "there is something to be looked at again");
	tap_is_u64(result()->goal[0].count, 1, "a prompt is seen without its end");
	say("root");
	verdict_tick(v);
	say("\n");
	tap_is_u64(result()->goal[0].count, 1, "and counts once");
	say("login: \n");
	tap_is_u64(result()->goal[0].count, 2, "the next one is another");
	say("nev");
	verdict_tick(v);
	say("er");
	verdict_ended(v, STATUS_OK, "the guest powered off");
	is(RESULT_PASS, "saw never, the last of all goals", "what was still to be looked at when it ended");
}

static void test_strange_bytes(void)
{
	reset();
	want_line(GOAL_EXPECT, "^a b$");
	want_line(GOAL_EXPECT, "^$");
	opts.until = UNTIL_ALL;
	begin();
	verdict_output(v, 'a');
	verdict_output(v, 0);
	say("b\r\r\n");
	tap_is_u64(result()->goal[0].count, 1, "a NUL is a blank, CRs at the end are none");
	say("\n");
	is(RESULT_PASS, "saw ^$, the last of all goals", "an empty line");
	tap_is_mem(shown.serial, "a\0b\r\r\n\n", 7, "the serial tail is as it was written");
	tap_is_u64(shown.serial_len, 7, "all of it");

	reset();
	want_line(GOAL_EXPECT, "needle");
	want_line(GOAL_EXPECT, "^\r");
	begin();
	say("\rnee");
	say("dle");
	for (int i = 0; i < 100000; i++)
		verdict_output(v, (uint8_t)(i % 2 ? 0xff : 0x80));
	tap_is_u64(result()->goal[0].count, 1, "in a line that does not end");
	tap_is_u64(shown.serial_len, RESULT_SERIAL_MAX, "whose tail is kept");
}

static void test_tail_wraps(void)
{
	static uint8_t all[3 * RESULT_SERIAL_MAX];
	static const size_t lengths[] = {RESULT_SERIAL_MAX - 1, RESULT_SERIAL_MAX, RESULT_SERIAL_MAX + 1,
		2 * RESULT_SERIAL_MAX, 3 * RESULT_SERIAL_MAX - 7};

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i * 7 ^ i >> 8);
	for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
		size_t n = lengths[l], kept = n < RESULT_SERIAL_MAX ? n : RESULT_SERIAL_MAX;

		reset();
		begin();
		for (size_t i = 0; i < n; i++)
			verdict_output(v, all[i]);
		result();
		tap_is_u64(shown.serial_len, kept, "of %zu bytes", n);
		tap_is_mem(shown.serial, all + n - kept, kept, "the last of %zu bytes", n);
	}
}

/* ---- what kernels say ---- */

static const struct {
	const char *line;
	enum result_kind kind;
	unsigned ignore;
} troubles[] = {
	{"[    2.5] Kernel panic - not syncing: VFS: Unable to mount root fs", RESULT_PANIC, IGNORE_PANIC},
	{"watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:1]", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"NMI watchdog: Watchdog detected hard LOCKUP on cpu 3", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"rcu: INFO: rcu_sched self-detected stall on CPU", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"rcu: INFO: rcu_sched detected stalls on CPUs/tasks:", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"INFO: task init:1 blocked for more than 120 seconds.", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"BUG: workqueue lockup - pool cpus=0 node=0", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"BUG: kernel NULL pointer dereference, address: 0000000000000000", RESULT_OOPS, IGNORE_OOPS},
	{"kernel BUG at mm/slub.c:380!", RESULT_OOPS, IGNORE_OOPS},
	{"Oops: 0002 [#1] SMP", RESULT_OOPS, IGNORE_OOPS},
	{"Internal error: Oops: 96000045 [#1] SMP", RESULT_OOPS, IGNORE_OOPS},
	{"Unable to handle kernel paging request at virtual address 0", RESULT_OOPS, IGNORE_OOPS},
	{"general protection fault, probably for non-canonical address", RESULT_OOPS, IGNORE_OOPS},
};
#define TROUBLES (sizeof(troubles) / sizeof(troubles[0]))

static void test_troubles(void)
{
	char reason[512];

	for (size_t i = 0; i < TROUBLES; i++) {
		reset();
		begin();
		say(troubles[i].line);
		tap_ok(told == 0, "not before the line's end: %s", troubles[i].line);
		clock_us += SECOND;
		say("\r\n");
		tap_ok(told == 1 && told_final == 0 && !verdict_final(v), "settled, not final: the run lingers");
		clock_us += SECOND / 2;
		tap_ok(verdict_tick(v) > 0 && !verdict_final(v), "it still does");
		clock_us += SECOND;
		verdict_tick(v);
		snprintf(reason, sizeof(reason), "the kernel said: %s", troubles[i].line);
		is(troubles[i].kind, reason, troubles[i].line);
		tap_is_u64(shown.duration_us, SECOND, "decided when the line was there");
		tap_ok(verdict_failed(v), "it has failed");

		reset();
		opts.ignore = troubles[i].ignore;
		begin();
		say(troubles[i].line);
		say("\n");
		tap_ok(told == 0 && verdict_tick(v) == -1, "ignored");
		verdict_ended(v, STATUS_OK, "the guest powered off");
		is(RESULT_PASS, "the guest powered off", "ignored");
	}
}

static void test_linger(void)
{
	reset();
	want_break("late", ACTION_PASS);
	begin();
	say("Oops: 0002 [#1] SMP\nCall Trace:\n");
	verdict_hit(v, 0, 0);
	say("Kernel panic - not syncing: Fatal exception\n");
	tap_ok(!verdict_final(v), "nothing that follows ends the run");
	say("---[ end trace 0000000000000000 ]---\n");
	is(RESULT_OOPS, "the kernel said: Oops: 0002 [#1] SMP", "the end of the report ends it");
	tap_is_u64(shown.goal[0].count, 0, "a goal comes too late");

	reset();
	begin();
	say("---[ end trace of something else ]---\n");
	is_open("such a line without a report");
	say("Oops: 0002 [#1] SMP\n");
	verdict_ended(v, STATUS_PANIC, "the guest reported a panic");
	is(RESULT_OOPS, "the kernel said: Oops: 0002 [#1] SMP", "the machine's end ends it, too");

	reset();
	opts.ignore = IGNORE_OOPS;
	begin();
	say("BUG: soft lockup - CPU#1 stuck\n");
	clock_us += 2 * SECOND;
	verdict_tick(v);
	is(RESULT_LOCKUP, "the kernel said: BUG: soft lockup - CPU#1 stuck",
		"a lockup is none of the oopses that are ignored");
}

/* ---- ends ---- */

static void test_ends(void)
{
	static const struct {
		int status;
		const char *why;
		enum result_kind kind;
		const char *reason;
		int want; /* status; 0: that of the kind */
		bool failed;
	} cases[] = {
		{STATUS_PANIC, "the guest reported a panic at 0x10", RESULT_PANIC, NULL, 0, true},
		{STATUS_TRIPLE_FAULT, "CPU 0: triple fault", RESULT_TRIPLE_FAULT, NULL, 0, true},
		{STATUS_KVM_EXIT, "CPU 0: internal error", RESULT_KVM, NULL, 0, true},
		{STATUS_KILLED, NULL, RESULT_KILLED, "killed from gdb", 0, false},
		{STATUS_ENDED, NULL, RESULT_ENDED, "ended by its user", 0, false},
		{STATUS_HOST, "no\nmemory", RESULT_ERROR, "no memory", STATUS_HOST, false},
		{1, NULL, RESULT_EARLY, "the guest ended with its exit code 0 before: break here, expect there", 0,
			true},
		{3, NULL, RESULT_GUEST, "the guest's own exit code is 1", 3, true},
		{255, NULL, RESULT_GUEST, "the guest's own exit code is 127", 255, true},
		{STATUS_OK, "the guest rebooted", RESULT_EARLY, "the guest rebooted before: break here, expect there",
			0, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char what[64];

		reset();
		want_break("here", ACTION_PASS);
		want_line(GOAL_EXPECT, "there");
		begin();
		snprintf(what, sizeof(what), "end with %d", cases[i].status);
		verdict_ended(v, cases[i].status, cases[i].why);
		is(cases[i].kind, cases[i].reason ? cases[i].reason : cases[i].why, what);
		if (cases[i].want)
			tap_is_u64((uint64_t)shown.status, (uint64_t)cases[i].want, "%s: status", what);
		tap_ok(verdict_failed(v) == cases[i].failed, "%s: has it failed?", what);
	}
}

static void test_good_ends(void)
{
	reset();
	want_break("bad", ACTION_FAIL);
	want_line(GOAL_REJECT, "bad");
	begin();
	verdict_ended(v, 1, NULL);
	is(RESULT_PASS, "the guest ended with its exit code 0", "a run without goals, exit code 0");
	tap_is_u64((uint64_t)shown.status, STATUS_OK, "status 0, not the guest's 1");

	reset();
	opts.ignore = IGNORE_PANIC;
	begin();
	verdict_ended(v, STATUS_PANIC, "the guest reported a panic");
	is(RESULT_PASS, "the guest reported a panic", "a panic that was to be ignored");

	reset();
	want_line(GOAL_EXPECT, "one");
	opts.until = UNTIL_END;
	begin();
	say("one\n");
	is_open("the goal, before the end");
	verdict_ended(v, 5, NULL);
	is(RESULT_GUEST, "the guest's own exit code is 2", "--until end, and it ends badly");

	reset();
	want_break("one", ACTION_PASS);
	opts.until = UNTIL_END;
	begin();
	verdict_ended(v, STATUS_OK, "the guest powered off");
	is(RESULT_EARLY, "the guest powered off before: break one", "--until end, and nothing was reached");
}

/* ---- clocks ---- */

static void test_timeout(void)
{
	int ms;

	reset();
	want_break("here", ACTION_PASS);
	want_break("seen=count", ACTION_COUNT);
	opts.timeout_us = 2 * SECOND + 500000;
	begin();
	ms = verdict_tick(v);
	tap_ok(ms > 2400 && ms <= 2501, "due at the timeout: in %d ms", ms);
	clock_us += 2 * SECOND;
	verdict_hit(v, 1, 0);
	ms = verdict_tick(v);
	tap_ok(ms > 400 && ms <= 501, "hits do not move it: in %d ms", ms);
	clock_us += SECOND / 2 - 1;
	verdict_tick(v);
	is_open("a microsecond before");
	clock_us += 1;
	verdict_tick(v);
	is(RESULT_TIMEOUT, "no verdict within 2.500 s; missing: break here", "a timeout");
	tap_is_u64((uint64_t)shown.status, 124, "status 124");
	tap_ok(verdict_tick(v) == -1, "nothing is due any more");
}

static void test_deadline(void)
{
	reset();
	want_break("here", ACTION_PASS);
	want_break("seen=count", ACTION_COUNT);
	want_line(GOAL_EXPECT, "line");
	opts.deadline_us = SECOND;
	opts.timeout_us = 60 * SECOND;
	begin();
	for (int i = 0; i < 10; i++) {
		clock_us += SECOND * 9 / 10;
		if (i % 2)
			verdict_hit(v, 1, 0);
		else
			say("line\n");
		verdict_tick(v);
	}
	is_open("nine seconds with a hit in each");
	clock_us += SECOND * 9 / 10;
	say("nothing\n");
	tap_ok(verdict_tick(v) <= 101, "due soon");
	clock_us += SECOND / 10;
	verdict_tick(v);
	is(RESULT_DEADLINE, "nothing was hit for 1.000 s", "too long between hits");

	reset();
	opts.deadline_us = opts.timeout_us = SECOND;
	begin();
	clock_us += SECOND;
	verdict_tick(v);
	is(RESULT_TIMEOUT, "no verdict within 1.000 s", "both at once");
}

/* ---- another machine ---- */

static void test_again(void)
{
	reset();
	want_break("here", ACTION_PASS);
	want_line(GOAL_REJECT, "bad");
	opts.timeout_us = 10 * SECOND;
	begin();
	clock_us += 9 * SECOND;
	say("half a line, ba");
	verdict_hit(v, 0, 3);
	tap_ok(verdict_final(v), "decided");
	clock_us += 9 * SECOND;
	verdict_begin(v);
	is_open("a new machine");
	told_final = 0;
	tap_ok(shown.goal[0].count == 0 && shown.goal[0].cpu == -1 && shown.serial_len == 0, "all is forgotten");
	tap_is_u64(shown.duration_us, 0, "its clock begins anew");
	tap_is_str(shown.goal[0].text, "here", "its goals are the same");
	clock_us += 9 * SECOND;
	verdict_tick(v);
	say("d\n");
	is_open("the timeout and the line are the new one's");
	say("Oops: 1\n");
	verdict_begin(v);
	clock_us += 2 * SECOND;
	verdict_tick(v);
	is_open("an oops of the machine before");
	verdict_hit(v, 0, 1);
	is(RESULT_PASS, "reached here on CPU 1", "and it can pass");
}

int main(void)
{
	test_one_break();
	test_many_hits();
	test_until();
	test_ordered();
	test_fail();
	test_reject();
	test_unfinished();
	test_strange_bytes();
	test_tail_wraps();
	test_troubles();
	test_linger();
	test_ends();
	test_good_ends();
	test_timeout();
	test_deadline();
	test_again();
	reset();
	return tap_done();
}
