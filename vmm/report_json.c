/* JSON (RFC 8259). Numbers are decimal digits that are exact; a reader that wants them exact has to keep them so. */
#include "vmm/report_priv.h"

#include <inttypes.h>

#define VERSION 1 /* of this shape: goes up when something in it changes its meaning or goes away */

static const struct report_syntax string = {
	.special = {['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t"},
	.backslash = "\\\\",
	.unicode = true,
};

static void put_bytes(struct report_out *o, const char *key, const char *text, size_t n)
{
	report_printf(o, "%s\"", key);
	report_text(o, &string, text, n);
	report_puts(o, "\"");
}

static void put_string(struct report_out *o, const char *key, const char *text, size_t max)
{
	report_printf(o, "%s\"", key);
	report_string(o, &string, text, max);
	report_puts(o, "\"");
}

static void put_goal(struct report_out *o, const struct result_goal *g)
{
	put_string(o, "\t\t\t\t{\"option\": ", g->option, sizeof(g->option));
	put_string(o, ", \"text\": ", g->text, sizeof(g->text));
	put_string(o, ", \"action\": ", g->action, sizeof(g->action));
	report_printf(o, ", \"count\": %" PRIu64 ", \"times_s\": [", g->count);
	for (size_t i = 0; i < report_times(g); i++) {
		report_puts(o, i ? ", " : "");
		report_seconds(o, g->time_us[i]);
	}
	report_puts(o, "], \"last_s\": ");
	if (g->count)
		report_seconds(o, g->last_us);
	else
		report_puts(o, "null");
	if (g->count && g->cpu >= 0)
		report_printf(o, ", \"cpu\": %d}", g->cpu);
	else
		report_puts(o, ", \"cpu\": null}");
}

static void put_result(struct report_out *o, const struct result *r)
{
	enum result_outcome outcome = result_outcome(r);

	report_puts(o, "\t\t{\n\t\t\t\"name\": \"");
	report_name(o, &string, r);
	report_printf(o,
		"\",\n\t\t\t\"verdict\": \"%s\",\n\t\t\t\"outcome\": \"%s\",\n\t\t\t\"passed\": "
		"%s,\n\t\t\t\"status\": ",
		result_kind_name(r->kind), result_outcome_name(outcome), outcome == OUTCOME_PASSED ? "true" : "false");
	if (outcome == OUTCOME_SKIPPED)
		report_puts(o, "null");
	else
		report_printf(o, "%d", r->status);
	report_puts(o, ",\n\t\t\t\"reason\": \"");
	report_reason(o, &string, r);
	report_puts(o, "\",\n\t\t\t\"began\": ");
	if (report_began(r)) {
		report_puts(o, "\"");
		report_time(o, r->began);
		report_puts(o, "Z\"");
	} else {
		report_puts(o, "null");
	}
	report_puts(o, ",\n\t\t\t\"duration_s\": ");
	report_seconds(o, r->duration_us);
	report_puts(o, ",\n\t\t\t\"goals\": [");
	for (size_t i = 0; i < report_goals(r); i++) {
		report_puts(o, i ? ",\n" : "\n");
		put_goal(o, &r->goal[i]);
	}
	put_bytes(o, "],\n\t\t\t\"evidence\": ", r->text, report_evidence(r));
	put_bytes(o, ",\n\t\t\t\"serial\": ", (const char *)r->serial, report_serial(r));
	report_puts(o, "\n\t\t}");
}

void report_json(struct report_out *o, const char *suite, const struct result *const *results, size_t n)
{
	struct report_totals t = report_totals(results, n);

	report_printf(o, "{\n\t\"version\": %d,\n", VERSION);
	put_string(o, "\t\"suite\": ", suite, SIZE_MAX);
	report_printf(o,
		",\n\t\"totals\": {\"cases\": %zu, \"passed\": %zu, \"failed\": %zu, \"errors\": %zu, \"skipped\": "
		"%zu, "
		"\"duration_s\": ",
		n, t.outcome[OUTCOME_PASSED], t.outcome[OUTCOME_FAILED], t.outcome[OUTCOME_ERROR],
		t.outcome[OUTCOME_SKIPPED]);
	report_seconds(o, t.duration_us);
	report_puts(o, "},\n\t\"results\": [");
	for (size_t i = 0; i < n; i++) {
		report_puts(o, i ? ",\n" : "\n");
		put_result(o, results[i]);
	}
	report_puts(o, n ? "\n\t]\n}\n" : "]\n}\n");
}
