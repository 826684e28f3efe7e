/*
 * TAP 13 (which TAP 14's readers take): one line per case and below it a YAML block. Readers have small YAML parsers,
 * so only quoted strings, numbers, maps, lists and literal blocks are used, and in a list never a string that has a
 * colon.
 */
#include "vmm/report_priv.h"

#include <inttypes.h>

/* Behind "ok 1 - ": '#' would begin a directive. A backslash escapes there (TAP 14). */
static const struct report_syntax description = {
	.special = {['#'] = "\\#", ['\\'] = "\\\\", ['\n'] = "\\\\x0a", ['\t'] = "\\\\x09"},
	.backslash = "\\\\",
};

/* Between single quotes nothing but these means anything; one line. */
static const struct report_syntax quoted = {
	.special = {['\''] = "''", ['\n'] = "\\x0a", ['\t'] = "\\x09"},
	.backslash = "\\",
};

/*
 * The bar keeps a line from being anything else: empty (which ends a block for some), indented more than the first one,
 * or "ok 2", "1..0" and "Bail out!" for readers that know no YAML blocks.
 */
#define BAR "    | "
static const struct report_syntax block = {.backslash = "\\", .line = BAR, .plain_lines = true};

static void put_quoted(struct report_out *o, const char *key, const char *string, size_t max)
{
	report_printf(o, "%s: '", key);
	report_string(o, &quoted, string, max);
	report_puts(o, "'\n");
}

static void put_goal(struct report_out *o, const struct result_goal *g)
{
	put_quoted(o, "    - option", g->option, sizeof(g->option));
	put_quoted(o, "      text", g->text, sizeof(g->text));
	put_quoted(o, "      action", g->action, sizeof(g->action));
	report_printf(o, "      count: %" PRIu64 "\n      times_s: [", g->count);
	for (size_t i = 0; i < report_times(g); i++) {
		report_puts(o, i ? ", " : "");
		report_seconds(o, g->time_us[i]);
	}
	report_puts(o, "]\n      last_s: ");
	if (g->count)
		report_seconds(o, g->last_us);
	else
		report_puts(o, "~");
	if (g->count && g->cpu >= 0)
		report_printf(o, "\n      cpu: %d\n", g->cpu);
	else
		report_puts(o, "\n      cpu: ~\n");
}

static void put_block(struct report_out *o, const char *key, const char *text, size_t n)
{
	if (!n)
		return;
	report_printf(o, "  %s: |\n" BAR, key);
	report_text(o, &block, text, n);
	if (text[n - 1] != '\n')
		report_puts(o, "\n");
}

static void put_diagnostics(struct report_out *o, const struct result *r)
{
	report_puts(o, "  ---\n  message: '");
	report_reason(o, &quoted, r);
	report_printf(o, "'\n  verdict: %s\n  status: %d\n", result_kind_name(r->kind), r->status);
	if (report_began(r)) {
		report_puts(o, "  began: '");
		report_time(o, r->began);
		report_puts(o, "Z'\n");
	}
	report_puts(o, "  duration_s: ");
	report_seconds(o, r->duration_us);
	report_puts(o, report_goals(r) ? "\n  goals:\n" : "\n");
	for (size_t i = 0; i < report_goals(r); i++)
		put_goal(o, &r->goal[i]);
	put_block(o, "evidence", r->text, report_evidence(r));
	put_block(o, "serial", (const char *)r->serial, report_serial(r));
	report_puts(o, "  ...\n");
}

static void put_case(struct report_out *o, const struct result *r, size_t number)
{
	enum result_outcome outcome = result_outcome(r);
	bool good = outcome == OUTCOME_PASSED || outcome == OUTCOME_SKIPPED;

	report_printf(o, "%sok %zu - ", good ? "" : "not ", number);
	report_name(o, &description, r);
	if (outcome == OUTCOME_SKIPPED) {
		report_puts(o, " # SKIP ");
		report_reason(o, &description, r);
	}
	report_puts(o, "\n");
	if (outcome != OUTCOME_SKIPPED)
		put_diagnostics(o, r);
}

void report_tap(struct report_out *o, const char *suite, const struct result *const *results, size_t n)
{
	struct report_totals t = report_totals(results, n);

	report_printf(o, "TAP version 13\n1..%zu%s\n# ", n, n ? "" : " # SKIP no cases");
	report_string(o, &description, suite, SIZE_MAX);
	report_puts(o, "\n");
	for (size_t i = 0; i < n; i++)
		put_case(o, results[i], i + 1);
	report_printf(o, "# %zu passed, %zu failed, %zu errors, %zu skipped\n", t.outcome[OUTCOME_PASSED],
		t.outcome[OUTCOME_FAILED], t.outcome[OUTCOME_ERROR], t.outcome[OUTCOME_SKIPPED]);
}
