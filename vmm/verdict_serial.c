/* What the guest writes to its serial port, line by line: --expect, --reject, and what kernels say when they break. */
#include <string.h>

#include "vmm/verdict_priv.h"

#define LINGER_US     1000000 /* for what a kernel says behind the first line of its troubles: since the last line */
#define LINGER_MAX_US 5000000 /* in all */
#define QUOTED_MAX    160

/* Linux's own words: kernel/panic.c, lib/bug.c, arch/x86 and arch/arm64 (die, faults), kernel/watchdog*.c, rcu,
 * hung_task. The first that a line has counts. */
static const struct {
	const char *words;
	enum result_kind kind;
	unsigned ignore;
} troubles[] = {
	{"Kernel panic - not syncing", RESULT_PANIC, IGNORE_PANIC}, {"soft lockup", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"hard LOCKUP", RESULT_LOCKUP, IGNORE_LOCKUP}, {"BUG: workqueue lockup", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"self-detected stall on CPU", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"detected stalls on CPUs", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"detected expedited stalls on CPUs", RESULT_LOCKUP, IGNORE_LOCKUP},
	{"blocked for more than", RESULT_LOCKUP, IGNORE_LOCKUP}, {"BUG: ", RESULT_OOPS, IGNORE_OOPS},
	{"kernel BUG at ", RESULT_OOPS, IGNORE_OOPS}, {"Oops: ", RESULT_OOPS, IGNORE_OOPS},
	{"Oops - ", RESULT_OOPS, IGNORE_OOPS}, {"Unable to handle kernel ", RESULT_OOPS, IGNORE_OOPS},
	{"Internal error: ", RESULT_OOPS, IGNORE_OOPS}, {"general protection fault, ", RESULT_OOPS, IGNORE_OOPS},
	{": 0000 [#", RESULT_OOPS, IGNORE_OOPS}, /* "invalid opcode: 0000 [#1] SMP", and other exceptions by name */
};

/* The last line of a report. */
static const char report_end[] = "---[ end ";

static void look_for_trouble_locked(struct verdict *v, const char *line)
{
	for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
		if (v->kind != RESULT_NONE || !strstr(line, troubles[i].words))
			continue;
		if (v->opts->ignore & troubles[i].ignore)
			return;
		verdict_settle_locked(v, troubles[i].kind, 0, "the kernel said: %.*s", QUOTED_MAX, line);
		v->final = false;
		v->linger_us = v->settled_us + LINGER_US;
		return;
	}
}

static void linger_on_locked(struct verdict *v)
{
	uint64_t until = verdict_now_locked(v) + LINGER_US, max = v->settled_us + LINGER_MAX_US;

	v->linger_us = until < max ? until : max;
}

/* eol: the line ends there; or it may go on. */
static void look_for_goals_locked(struct verdict *v, const char *line, bool eol)
{
	for (size_t i = 0; i < v->ngoals; i++) {
		struct goal *g = &v->goal[i];

		if (g->opt->kind == GOAL_BREAK || g->in_line || regexec(&g->re, line, 0, NULL, eol ? 0 : REG_NOTEOL))
			continue;
		g->in_line = !eol;
		verdict_reached_locked(v, g, -1);
	}
}

static void end_of_line_locked(struct verdict *v)
{
	struct serial_text *s = &v->serial;

	while (s->len && s->line[s->len - 1] == '\r')
		s->len--;
	s->line[s->len] = '\0';
	if (v->linger_us && strstr(s->line, report_end))
		v->final = true;
	else if (v->linger_us)
		linger_on_locked(v);
	look_for_trouble_locked(v, s->line);
	look_for_goals_locked(v, s->line, true);
	s->len = s->seen = 0;
	for (size_t i = 0; i < v->ngoals; i++)
		v->goal[i].in_line = false;
}

void serial_byte_locked(struct verdict *v, uint8_t byte)
{
	struct serial_text *s = &v->serial;

	s->tail[s->total++ % RESULT_SERIAL_MAX] = byte;
	if (byte == '\n') {
		end_of_line_locked(v);
		return;
	}
	s->line[s->len++] = byte ? (char)byte : ' ';
	if (s->len == LINE_MAX_BYTES)
		end_of_line_locked(v);
}

void serial_unfinished_locked(struct verdict *v)
{
	struct serial_text *s = &v->serial;

	if (s->len == s->seen)
		return;
	s->seen = s->len;
	s->line[s->len] = '\0';
	look_for_goals_locked(v, s->line, false);
}

bool serial_watched(const struct verdict *v)
{
	for (size_t i = 0; i < v->ngoals; i++) {
		if (v->goal[i].opt->kind != GOAL_BREAK)
			return true;
	}
	return false;
}

void serial_tail(const struct verdict *v, struct result *out)
{
	const struct serial_text *s = &v->serial;
	size_t at = s->total % RESULT_SERIAL_MAX;

	if (s->total <= RESULT_SERIAL_MAX) {
		out->serial_len = (size_t)s->total;
		memcpy(out->serial, s->tail, out->serial_len);
		return;
	}
	out->serial_len = RESULT_SERIAL_MAX;
	memcpy(out->serial, s->tail + at, RESULT_SERIAL_MAX - at);
	memcpy(out->serial + RESULT_SERIAL_MAX - at, s->tail, at);
}
