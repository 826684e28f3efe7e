#include "vmm/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/exit_status.h"
#include "vmm/log.h"
#include "vmm/printable.h"
#include "vmm/verdict_priv.h"

#define UNFINISHED_MS 100 /* how often a line without its end is looked at */
#define SECOND_US     1000000u

const char *verdict_option_name(enum goal_kind kind)
{
	static const char *const names[] = {[GOAL_BREAK] = "break", [GOAL_EXPECT] = "expect", [GOAL_REJECT] = "reject"};

	return names[kind];
}

const char *verdict_action_name(enum break_action action)
{
	static const char *const names[ACTIONS] = {
		[ACTION_PASS] = "pass", [ACTION_FAIL] = "fail", [ACTION_LOG] = "log", [ACTION_COUNT] = "count"};

	return names[action];
}

bool verdict_is_goal(const struct goal_option *g)
{
	return g->kind == GOAL_EXPECT || (g->kind == GOAL_BREAK && g->action == ACTION_PASS);
}

/* ---- life ---- */

int verdict_new(struct verdict **out, const struct options *opts, const struct verdict_hooks *hooks)
{
	struct verdict *v = calloc(1, sizeof(*v));

	*out = v;
	if (!v) {
		log_error("out of memory");
		return -ENOMEM;
	}
	pthread_mutex_init(&v->lock, NULL);
	v->opts = opts;
	v->hooks = *hooks;
	for (size_t i = 0; i < opts->ngoals; i++) {
		v->goal[i].opt = &opts->goal[i];
		/* It has been compiled before, so there is only one reason not to be now. */
		if (opts->goal[i].kind != GOAL_BREAK &&
			regcomp(&v->goal[i].re, opts->goal[i].text, VERDICT_REGEX_FLAGS)) {
			log_error("out of memory");
			verdict_free(v);
			*out = NULL;
			return -ENOMEM;
		}
		v->ngoals++;
	}
	return 0;
}

void verdict_free(struct verdict *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->ngoals; i++) {
		if (v->goal[i].opt->kind != GOAL_BREAK)
			regfree(&v->goal[i].re);
	}
	pthread_mutex_destroy(&v->lock);
	free(v);
}

static void show_goal(struct goal *g)
{
	const struct goal_option *o = g->opt;
	bool is_break = o->kind == GOAL_BREAK;

	memset(&g->shown, 0, sizeof(g->shown));
	g->shown.cpu = -1;
	g->in_line = false;
	snprintf(g->shown.option, sizeof(g->shown.option), "%s", verdict_option_name(o->kind));
	snprintf(g->shown.action, sizeof(g->shown.action), "%s", is_break ? verdict_action_name(o->action) : "");
	snprintf(g->shown.text, sizeof(g->shown.text), "%.*s", is_break ? (int)o->where_len : (int)strlen(o->text),
		o->text);
}

void verdict_begin(struct verdict *v)
{
	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < v->ngoals; i++)
		show_goal(&v->goal[i]);
	memset(&v->serial, 0, sizeof(v->serial));
	v->began_us = v->hit_us = v->hooks.now_us(v->hooks.ctx);
	v->began = time(NULL);
	v->reached = 0;
	v->kind = v->told_kind = RESULT_NONE;
	v->linger_us = 0;
	v->final = v->told_final = false;
	v->cpu = 0;
	pthread_mutex_unlock(&v->lock);
}

/* ---- the decision ---- */

uint64_t verdict_now_locked(const struct verdict *v)
{
	return v->hooks.now_us(v->hooks.ctx) - v->began_us;
}

void verdict_settle_locked(struct verdict *v, enum result_kind kind, int cpu, const char *fmt, ...)
{
	va_list ap;

	if (v->kind != RESULT_NONE)
		return;
	va_start(ap, fmt);
	vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
	va_end(ap);
	for (char *nl = v->reason; (nl = strchr(nl, '\n')) != NULL;) /* one line */
		*nl = ' ';
	v->kind = kind;
	v->status = result_status(kind);
	v->cpu = cpu;
	v->settled_us = verdict_now_locked(v);
	v->final = true;
}

/* The goals that are still to be reached, in words. */
static const char *missing_locked(const struct verdict *v, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < v->ngoals && at < len; i++) {
		const struct goal *g = &v->goal[i];

		if (verdict_is_goal(g->opt) && !g->shown.count)
			at += (size_t)snprintf(
				buf + at, len - at, "%s%s %s", at ? ", " : "", g->shown.option, g->shown.text);
	}
	return buf;
}

/* Of the goals: how many there are, and how many are reached, of each kind. */
struct tally {
	size_t breaks, breaks_hit, expects, expects_seen;
};

static struct tally count_locked(const struct verdict *v)
{
	struct tally t = {0};

	for (size_t i = 0; i < v->ngoals; i++) {
		const struct goal *g = &v->goal[i];

		if (!verdict_is_goal(g->opt))
			continue;
		*(g->opt->kind == GOAL_BREAK ? &t.breaks : &t.expects) += 1;
		*(g->opt->kind == GOAL_BREAK ? &t.breaks_hit : &t.expects_seen) += g->shown.count != 0;
	}
	return t;
}

/* Has all been reached that has to be? Of a run without goals: yes. */
static bool satisfied_locked(const struct verdict *v)
{
	struct tally t = count_locked(v);
	bool all = t.breaks_hit == t.breaks && t.expects_seen == t.expects;

	if (v->opts->ordered || v->opts->until == UNTIL_ALL || v->opts->until == UNTIL_END)
		return all;
	if (v->opts->until == UNTIL_ANY)
		return all || t.breaks_hit || t.expects_seen;
	return t.expects_seen == t.expects && (t.breaks_hit || !t.breaks);
}

/* The goal whose turn it is, with --ordered. */
static const struct goal *next_in_order_locked(const struct verdict *v)
{
	for (size_t i = 0; i < v->ngoals; i++) {
		if (verdict_is_goal(v->goal[i].opt) && !v->goal[i].shown.count)
			return &v->goal[i];
	}
	return NULL;
}

static void count_hit_locked(struct verdict *v, struct goal *g, int cpu)
{
	struct result_goal *shown = &g->shown;
	uint64_t now = verdict_now_locked(v);

	if (!shown->count)
		shown->cpu = cpu;
	if (shown->count < RESULT_TIMES_MAX)
		shown->time_us[shown->count] = now;
	shown->count++;
	shown->last_us = now;
	v->hit_us = now + v->began_us;
}

void verdict_reached_locked(struct verdict *v, struct goal *g, int cpu)
{
	const struct goal *turn = next_in_order_locked(v);
	const char *verb = g->opt->kind == GOAL_BREAK ? "reached" : "saw";
	bool first = !g->shown.count;
	char on[24] = "";

	if (v->kind != RESULT_NONE)
		return;
	if (cpu >= 0)
		snprintf(on, sizeof(on), " on CPU %d", cpu);
	count_hit_locked(v, g, cpu);
	if (g->opt->kind == GOAL_REJECT) {
		verdict_settle_locked(v, RESULT_REJECT, 0, "the output matches '%s', which it must not: %.160s",
			g->shown.text, v->serial.line);
		return;
	}
	if (g->opt->kind == GOAL_BREAK && g->opt->action == ACTION_FAIL) {
		verdict_settle_locked(v, RESULT_FAIL, cpu, "reached %s%s", g->shown.text, on);
		return;
	}
	if (!verdict_is_goal(g->opt) || !first)
		return;
	v->reached++;
	if (v->opts->ordered && turn != g)
		verdict_settle_locked(v, RESULT_ORDER, cpu < 0 ? 0 : cpu, "%s %s%s before %s %s, whose turn it was",
			verb, g->shown.text, on, turn->shown.option, turn->shown.text);
	else if (v->opts->until != UNTIL_END && satisfied_locked(v))
		verdict_settle_locked(v, RESULT_PASS, cpu < 0 ? 0 : cpu, "%s %s%s%s", verb, g->shown.text, on,
			v->reached > 1 ? ", the last of all goals" : "");
}

/* Unlocks. */
static void unlock_and_tell(struct verdict *v)
{
	bool final = v->final && !v->told_final, settled = v->kind != v->told_kind;

	v->told_final = v->final;
	v->told_kind = v->kind;
	pthread_mutex_unlock(&v->lock);
	if (final || settled)
		v->hooks.news(v->hooks.ctx, final);
}

void verdict_hit(struct verdict *v, size_t i, int cpu)
{
	pthread_mutex_lock(&v->lock);
	verdict_reached_locked(v, &v->goal[i], cpu);
	unlock_and_tell(v);
}

void verdict_output(struct verdict *v, uint8_t byte)
{
	pthread_mutex_lock(&v->lock);
	serial_byte_locked(v, byte);
	unlock_and_tell(v);
}

static void guest_ended_locked(struct verdict *v, const char *why)
{
	char missing[RESULT_REASON_MAX / 2];

	if (satisfied_locked(v))
		verdict_settle_locked(v, RESULT_PASS, 0, "%s%s", why, v->reached ? ", all goals reached" : "");
	else
		verdict_settle_locked(
			v, RESULT_EARLY, 0, "%s before: %s", why, missing_locked(v, missing, sizeof(missing)));
}

static void ended_locked(struct verdict *v, int status, const char *why)
{
	if (v->kind != RESULT_NONE)
		return; /* an oops, say, that the guest ended after: its status stays the oops's */
	if (status & 1 && status >> 1) {
		verdict_settle_locked(v, RESULT_GUEST, 0, "the guest's own exit code is %d", status >> 1);
		v->status = status;
		return;
	}
	if (status & 1) {
		guest_ended_locked(v, "the guest ended with its exit code 0");
		return;
	}
	switch (status) {
	case STATUS_PANIC:
		if (!(v->opts->ignore & IGNORE_PANIC))
			verdict_settle_locked(v, RESULT_PANIC, 0, "%s", why);
		else
			guest_ended_locked(v, why);
		break;
	case STATUS_OK:
		guest_ended_locked(v, why);
		break;
	case STATUS_TRIPLE_FAULT:
		verdict_settle_locked(v, RESULT_TRIPLE_FAULT, 0, "%s", why);
		break;
	case STATUS_KVM_EXIT:
		verdict_settle_locked(v, RESULT_KVM, 0, "%s", why);
		break;
	case STATUS_KILLED:
		verdict_settle_locked(v, RESULT_KILLED, 0, "killed from gdb");
		break;
	case STATUS_ENDED:
		verdict_settle_locked(v, RESULT_ENDED, 0, "ended by its user");
		break;
	default:
		verdict_settle_locked(v, RESULT_ERROR, 0, "%s", why);
		v->status = status;
		break;
	}
}

void verdict_ended(struct verdict *v, int status, const char *why)
{
	pthread_mutex_lock(&v->lock);
	serial_unfinished_locked(v); /* it will not become longer */
	ended_locked(v, status, why ? why : "the guest ended");
	v->final = true;
	unlock_and_tell(v);
}

/* ---- clocks ---- */

/* Nearer than what is known: *ms is -1 for never. */
static void due_in(int *ms, uint64_t us)
{
	uint64_t rounded = us / 1000 + 1;
	int n = rounded > 1000000 ? 1000000 : (int)rounded;

	if (*ms < 0 || n < *ms)
		*ms = n;
}

static void check_clocks_locked(struct verdict *v, int *ms)
{
	uint64_t now = verdict_now_locked(v), idle = now + v->began_us - v->hit_us;
	const struct options *o = v->opts;
	char missing[RESULT_REASON_MAX / 2];

	missing_locked(v, missing, sizeof(missing));
	if (o->timeout_us && now >= o->timeout_us)
		verdict_settle_locked(v, RESULT_TIMEOUT, 0, "no verdict within %" PRIu64 ".%03" PRIu64 " s%s%s",
			o->timeout_us / SECOND_US, o->timeout_us % SECOND_US / 1000, *missing ? "; missing: " : "",
			missing);
	else if (o->deadline_us && idle >= o->deadline_us)
		verdict_settle_locked(v, RESULT_DEADLINE, 0, "nothing was hit for %" PRIu64 ".%03" PRIu64 " s",
			o->deadline_us / SECOND_US, o->deadline_us % SECOND_US / 1000);
	if (o->timeout_us && now < o->timeout_us)
		due_in(ms, o->timeout_us - now);
	if (o->deadline_us && idle < o->deadline_us)
		due_in(ms, o->deadline_us - idle);
}

int verdict_tick(struct verdict *v)
{
	int ms = -1;

	pthread_mutex_lock(&v->lock);
	if (v->kind == RESULT_NONE) {
		serial_unfinished_locked(v);
		check_clocks_locked(v, &ms);
		if (serial_watched(v))
			due_in(&ms, UNFINISHED_MS * 1000);
	} else if (!v->final) {
		uint64_t now = verdict_now_locked(v);

		v->final = now >= v->linger_us;
		if (!v->final)
			due_in(&ms, v->linger_us - now);
	}
	unlock_and_tell(v);
	return ms;
}

/* ---- asked ---- */

bool verdict_final(struct verdict *v)
{
	bool final;

	pthread_mutex_lock(&v->lock);
	final = v->final;
	pthread_mutex_unlock(&v->lock);
	return final;
}

bool verdict_failed(struct verdict *v)
{
	enum result_kind kind;

	pthread_mutex_lock(&v->lock);
	kind = v->kind;
	pthread_mutex_unlock(&v->lock);
	return kind != RESULT_NONE && kind != RESULT_PASS && kind != RESULT_KILLED && kind != RESULT_ENDED &&
	       kind != RESULT_ERROR;
}

void verdict_reason(struct verdict *v, char *buf, size_t len)
{
	struct printable_line line = {buf, 0, len};

	buf[0] = '\0';
	pthread_mutex_lock(&v->lock);
	printable_text(&line, v->reason, strlen(v->reason));
	pthread_mutex_unlock(&v->lock);
}

int verdict_cpu(struct verdict *v)
{
	int cpu;

	pthread_mutex_lock(&v->lock);
	cpu = v->cpu;
	pthread_mutex_unlock(&v->lock);
	return cpu;
}

int verdict_status(struct verdict *v, int status)
{
	pthread_mutex_lock(&v->lock);
	if (v->kind != RESULT_NONE)
		status = v->status;
	pthread_mutex_unlock(&v->lock);
	return status;
}

void verdict_result(struct verdict *v, struct result *out)
{
	pthread_mutex_lock(&v->lock);
	out->kind = v->kind == RESULT_NONE ? RESULT_ERROR : v->kind;
	out->status = v->kind == RESULT_NONE ? STATUS_HOST : v->status;
	snprintf(out->reason, sizeof(out->reason), "%s", v->kind == RESULT_NONE ? "it ended undecided" : v->reason);
	out->began = v->began;
	out->duration_us = v->kind == RESULT_NONE ? verdict_now_locked(v) : v->settled_us;
	out->ngoals = v->ngoals;
	for (size_t i = 0; i < v->ngoals; i++)
		out->goal[i] = v->goal[i].shown;
	serial_tail(v, out);
	pthread_mutex_unlock(&v->lock);
}
