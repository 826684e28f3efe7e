/* What a run has to prove, as it is typed: --break, --expect and their like. */
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "vmm/cli_priv.h"
#include "vmm/log.h"
#include "vmm/number.h"
#include "vmm/report.h"
#include "vmm/verdict.h"
#include "vmm/where.h"

#define PARALLEL_MAX 256

int cli_goal_where(const struct goal_option *g, struct where *out, char *why, size_t len)
{
	char place[WHERE_SYMBOL_MAX + 32]; /* the longest, and its offset */

	if (g->where_len >= sizeof(place)) {
		snprintf(why, len, "no symbol has so long a name");
		return -EINVAL;
	}
	memcpy(place, g->text, g->where_len);
	place[g->where_len] = '\0';
	return where_parse(out, place, why, len);
}

/* The last '=' begins the action: neither symbols nor numbers have one. */
static bool parse_break(struct goal_option *g, const char *text)
{
	const char *equals = strrchr(text, '='), *action = equals ? equals + 1 : "pass";
	size_t n = strcspn(action, ":");
	struct where where;
	char why[WHERE_WHY_MAX];

	g->where_len = equals ? (size_t)(equals - text) : strlen(text);
	if (cli_goal_where(g, &where, why, sizeof(why))) {
		log_error("--break %s: %s", text, why);
		return false;
	}
	for (enum break_action a = ACTION_PASS; a < ACTIONS; a++) {
		const char *name = verdict_action_name(a);

		if (strlen(name) != n || strncmp(action, name, n))
			continue;
		g->action = a;
		g->regs = action[n] ? action + n + 1 : NULL;
		if (!g->regs || (g->action == ACTION_LOG && *g->regs))
			return true;
	}
	log_error("--break %s: the action is one of pass, fail, count, log, log:REGISTER,...", text);
	return false;
}

static bool parse_regex(const char *option, const char *text)
{
	char why[128];
	regex_t re;
	int err;

	if (!*text) {
		log_error("--%s: the regular expression is empty, and would match anything", option);
		return false;
	}
	err = regcomp(&re, text, VERDICT_REGEX_FLAGS);
	if (!err) {
		regfree(&re);
		return true;
	}
	regerror(err, &re, why, sizeof(why));
	log_error("--%s '%s': not a POSIX extended regular expression: %s", option, text, why);
	return false;
}

bool cli_add_goal(struct options *opts, enum goal_kind kind, const char *text)
{
	struct goal_option *g = &opts->goal[opts->ngoals];

	if (opts->ngoals == GOALS_MAX) {
		log_error("there may be %d of --break, --expect and --reject together, not more", GOALS_MAX);
		return false;
	}
	*g = (struct goal_option){.kind = kind, .text = text};
	if (kind == GOAL_BREAK ? !parse_break(g, text) : !parse_regex(verdict_option_name(kind), text))
		return false;
	opts->ngoals++;
	return true;
}

bool cli_set_until(struct options *opts, const char *text)
{
	static const char *const names[] = {[UNTIL_ANY] = "any", [UNTIL_ALL] = "all", [UNTIL_END] = "end"};

	for (size_t i = UNTIL_ANY; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			opts->until = (enum until)i;
			return true;
		}
	}
	log_error("--until %s: not one of any, all, end", text);
	return false;
}

bool cli_set_ignore(struct options *opts, const char *text)
{
	static const char *const names[] = {"panic", "oops", "lockup"};
	const size_t count = sizeof(names) / sizeof(names[0]);

	for (const char *at = text;; at++) {
		size_t n = strcspn(at, ","), i = 0;

		while (i < count && (strlen(names[i]) != n || strncmp(at, names[i], n)))
			i++;
		if (i == count) {
			log_error("--ignore %s: a list of panic, oops, lockup is needed", text);
			return false;
		}
		opts->ignore |= 1u << i;
		at += n;
		if (!*at)
			return true;
	}
}

bool cli_set_duration(uint64_t *out, const char *option, const char *text)
{
	int err = cli_parse_duration(text, out);

	if (err == -ERANGE)
		log_error("--%s %s: out of range", option, text);
	else if (err)
		log_error("--%s %s: not a time (a number of seconds, or one with ms, s, m or h)", option, text);
	else if (!*out)
		log_error("--%s %s: that is no time at all", option, text);
	return !err && *out;
}

bool cli_set_parallel(struct options *opts, const char *text)
{
	uint64_t n;

	if (number_parse(text, &n, NULL) || n > PARALLEL_MAX) {
		log_error("-j %s: a number from 1 to %d is needed, or 0 for as many as there are processors", text,
			PARALLEL_MAX);
		return false;
	}
	opts->parallel = (int)n;
	return true;
}

static size_t count_goals(const struct options *opts)
{
	size_t n = 0;

	for (size_t i = 0; i < opts->ngoals; i++)
		n += verdict_is_goal(&opts->goal[i]);
	return n;
}

/* The cases have these; the job has none of them. The defaults are in already. */
static bool check_job(const struct options *opts)
{
	const char *other = opts->kernel			? "--kernel"
			    : opts->initrd			? "--initrd"
			    : opts->gdb				? "--gdb"
			    : opts->ngoals			? "--break, --expect or --reject"
			    : opts->dump			? "--dump"
			    : opts->timeout_us			? "--timeout"
			    : opts->deadline_us			? "--deadline-between-hits"
			    : opts->until			? "--until"
			    : opts->ordered			? "--ordered"
			    : opts->ignore			? "--ignore"
			    : opts->stop_on_fail		? "--stop-on-fail"
			    : opts->cmdline			? "--cmdline"
			    : opts->boot			? "--boot"
			    : opts->kaslr			? "--kaslr"
			    : opts->symbols			? "--symbols"
			    : strcmp(opts->serial, "stdio")	? "--serial"
			    : opts->ncpus != BUILTIN_GUEST_CPUS ? "--cpus"
			    : opts->cpu_features		? "--cpu-features"
			    : opts->mem_size != MEM_DEFAULT	? "--mem"
								: NULL;

	if (!other)
		return true;
	log_error("%s and --job do not go together: write it into the job file", other);
	return false;
}

bool cli_check_verdict(struct options *opts)
{
	size_t goals = count_goals(opts);

	if (opts->job)
		return check_job(opts);
	if (opts->report && report_is_stdout(opts->report) &&
		(!strcmp(opts->serial, "stdio") || (opts->gdb && !strcmp(opts->gdb, "stdio")))) {
		log_error("--report %s and %s stdio cannot share standard output", opts->report,
			!strcmp(opts->serial, "stdio") ? "--serial" : "--gdb");
		return false;
	}
	if (opts->parallel != 1) {
		log_error("-j is of no use without --job");
		return false;
	}
	if ((opts->until || opts->ordered) && !goals) {
		log_error("%s is of no use without --expect or --break WHERE=pass",
			opts->until ? "--until" : "--ordered");
		return false;
	}
	if (opts->ordered && opts->until == UNTIL_ANY) {
		log_error("--ordered wants every goal, --until any only one of them");
		return false;
	}
	if (opts->stop_on_fail && opts->gdb && !strcmp(opts->gdb, "stdio")) {
		log_error("--stop-on-fail waits for a gdb that comes later, which cannot be at --gdb stdio");
		return false;
	}
	return true;
}
