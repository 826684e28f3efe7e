/* The verdict: what the serial line says, and the clocks. */
#include "tests/unit/verdict_driver.h"

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
	verdict_ended(v, 7, NULL);
	tap_is_u64((uint64_t)verdict_status(v, 0), STATUS_OOPS, "and its own exit code is not the run's");

	reset();
	opts.ignore = IGNORE_OOPS;
	begin();
	say("BUG: soft lockup - CPU#1 stuck\n");
	clock_us += 2 * SECOND;
	verdict_tick(v);
	is(RESULT_LOCKUP, "the kernel said: BUG: soft lockup - CPU#1 stuck",
		"a lockup is none of the oopses that are ignored");
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

int main(void)
{
	test_reject();
	test_unfinished();
	test_strange_bytes();
	test_tail_wraps();
	test_troubles();
	test_linger();
	test_timeout();
	test_deadline();
	reset();
	return tap_done();
}
