/* The verdict: goals that are reached, ends of the guest, a machine after the first. */
#include "tests/unit/verdict_driver.h"

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
	test_ends();
	test_good_ends();
	test_again();
	reset();
	return tap_done();
}
