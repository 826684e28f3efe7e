/* A verdict that is told by hand what a machine does, and what it makes of that. */
#ifndef TESTS_UNIT_VERDICT_DRIVER_H
#define TESTS_UNIT_VERDICT_DRIVER_H

#include <stdlib.h>

#include "tests/unit/tap.h"
#include "vmm/exit_status.h"
#include "vmm/verdict.h"

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

#endif
