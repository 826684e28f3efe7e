/*
 * What a guest does to its run's verdict: serial output, breaks, its own end, and time that passes. The input: four
 * bytes of options, see make_options(); then the output, in which 0xfe and a byte are something else that happens, see
 * happens().
 */
#include "tests/fuzz/fuzz_log.h"
#include "vmm/verdict.h"

#define EVENT	  0xfe
#define LONG_LINE 0xff /* happens(): half of the longest line that is looked at as one, and a little */
#define UNDECIDED 99   /* asked for: what the status is to be if nothing has decided it; no guest here ends so */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct options opts;
static uint64_t now;
static unsigned finals;

static uint64_t now_us(void *ctx)
{
	(void)ctx;
	return now;
}

static void news(void *ctx, bool final)
{
	(void)ctx;
	finals += final;
}

static void add_goal(enum goal_kind kind, const char *text, enum break_action action)
{
	opts.goal[opts.ngoals++] = (struct goal_option){
		.kind = kind, .text = text, .where_len = kind == GOAL_BREAK ? strlen(text) : 0, .action = action};
}

/* One byte says which goals there are, the others what makes the run end. */
static void make_options(const uint8_t *b)
{
	memset(&opts, 0, sizeof(opts));
	opts.verdict = true;
	if (b[0] & 1)
		add_goal(GOAL_EXPECT, "ready", 0);
	if (b[0] & 2)
		add_goal(GOAL_EXPECT, "^done [0-9]+$", 0);
	if (b[0] & 4)
		add_goal(GOAL_REJECT, "no|never", 0);
	if (b[0] & 8)
		add_goal(GOAL_BREAK, "main", ACTION_PASS);
	if (b[0] & 16)
		add_goal(GOAL_BREAK, "work", ACTION_PASS);
	if (b[0] & 32)
		add_goal(GOAL_BREAK, "bad", ACTION_FAIL);
	if (b[0] & 64)
		add_goal(GOAL_BREAK, "count", ACTION_COUNT);
	opts.until = b[1] & 3;
	opts.ordered = b[1] & 4;
	opts.ignore = b[1] >> 3 & 7;
	opts.timeout_us = b[2] * 100000ull;
	opts.deadline_us = b[3] * 100000ull;
}

/* Bits 0 and 1: a break is hit, time passes, the guest ends, the clocks are looked at; bits 2 to 7: which, how long. */
static void happens(struct verdict *v, uint8_t what)
{
	static const int statuses[] = {0, 1, 7, 8, 10, 12, 14, 16};
	unsigned n = what >> 2;

	if (what == LONG_LINE) {
		for (int i = 0; i < 2050; i++)
			verdict_output(v, 'x');
		return;
	}
	switch (what & 3) {
	case 0:
		if (n < opts.ngoals && opts.goal[n].kind == GOAL_BREAK)
			verdict_hit(v, n, (int)n % 2);
		break;
	case 1:
		now += n * 50000ull;
		break;
	case 2:
		verdict_ended(v, statuses[n % 8], n & 8 ? "by itself" : NULL);
		break;
	default:
		if (verdict_tick(v) < -1)
			abort();
		break;
	}
}

struct settled {
	bool final;
	int status;
	char why[RESULT_REASON_MAX];
};

/* Settled once, and then it stays as it is. */
static void check(struct verdict *v, struct settled *before)
{
	struct settled now_is = {.final = verdict_final(v), .status = verdict_status(v, UNDECIDED)};

	verdict_reason(v, now_is.why, sizeof(now_is.why));
	if (finals != now_is.final || (now_is.status == UNDECIDED) != !*now_is.why || strchr(now_is.why, '\n'))
		abort();
	if (now_is.final && now_is.status == UNDECIDED)
		abort();
	if (before->status != UNDECIDED && (now_is.status != before->status || strcmp(now_is.why, before->why)))
		abort();
	if (before->final && !now_is.final)
		abort();
	*before = now_is;
}

static void check_result(struct verdict *v)
{
	static struct result r;

	verdict_result(v, &r);
	if (r.ngoals != opts.ngoals || r.serial_len > RESULT_SERIAL_MAX || !*r.reason)
		abort();
	if (verdict_final(v) && (r.status != verdict_status(v, -1) || (r.kind == RESULT_PASS) != (r.status == 0)))
		abort();
	for (size_t i = 0; i < r.ngoals; i++) {
		if (r.goal[i].count && r.goal[i].last_us > now)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct verdict_hooks hooks = {.now_us = now_us, .news = news};
	struct settled before = {.status = UNDECIDED};
	struct verdict *v;

	if (size < 4)
		return 0;
	make_options(data);
	now = finals = 0;
	if (verdict_new(&v, &opts, &hooks))
		abort();
	verdict_begin(v);
	for (size_t i = 4; i < size; i++) {
		if (data[i] == EVENT && i + 1 < size)
			happens(v, data[++i]);
		else
			verdict_output(v, data[i]);
		check(v, &before);
	}
	check_result(v);
	verdict_free(v);
	return 0;
}
