/*
 * JUnit XML as CI servers read it: nobody owns that format, so only what all of them know is used, in the order that
 * the strictest of the published schemas want. XML 1.0 (2.2) has no way at all to write most control characters.
 */
#include "vmm/report_priv.h"

#include <inttypes.h>
#include <stdio.h>

/* "]]>" is forbidden in text, hence &gt;. Some servers take this mark for the name of a file to publish. */
static const struct report_syntax text = {
	.special = {['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;"},
	.backslash = "\\",
	.defuse = "[[ATTACHMENT|",
	.plain_lines = true,
};

/* A newline or tab that is not written as a number becomes a space (XML 1.0, 3.3.3). */
static const struct report_syntax attribute = {
	.special =
		{['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\n'] = "&#10;", ['\t'] = "&#9;"},
	.backslash = "\\",
	.defuse = "[[ATTACHMENT|",
};

/* Shared by the two elements around the cases. */
static void put_totals(struct report_out *o, const char *suite, const struct report_totals *t, size_t n)
{
	report_puts(o, " name=\"");
	report_string(o, &attribute, suite, SIZE_MAX);
	report_printf(o, "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"", n,
		t->outcome[OUTCOME_FAILED], t->outcome[OUTCOME_ERROR], t->outcome[OUTCOME_SKIPPED]);
	report_seconds(o, t->duration_us);
	report_puts(o, "\"");
}

static void put_label(struct report_out *o, const struct report_syntax *s, const struct result_goal *g)
{
	report_string(o, s, g->option, sizeof(g->option));
	report_puts(o, " ");
	report_string(o, s, g->text, sizeof(g->text));
	if (g->action[0])
		report_puts(o, "=");
	report_string(o, s, g->action, sizeof(g->action));
}

static void put_property(struct report_out *o, const char *name, const char *value)
{
	report_printf(o, "\t\t\t\t<property name=\"%s\" value=\"%s\"/>\n", name, value);
}

static void put_goal(struct report_out *o, const struct result_goal *g)
{
	report_puts(o, "\t\t\t\t<property name=\"");
	put_label(o, &attribute, g);
	report_printf(o, "\" value=\"count=%" PRIu64, g->count);
	for (size_t i = 0; i < report_times(g); i++) {
		report_puts(o, i ? "," : " times_s=");
		report_seconds(o, g->time_us[i]);
	}
	if (g->count) {
		report_puts(o, " last_s=");
		report_seconds(o, g->last_us);
	}
	if (g->count && g->cpu >= 0)
		report_printf(o, " cpu=%d", g->cpu);
	report_puts(o, "\"/>\n");
}

static void put_properties(struct report_out *o, const struct result *r)
{
	char status[16];

	snprintf(status, sizeof(status), "%d", r->status);
	report_puts(o, "\t\t\t<properties>\n");
	put_property(o, "verdict", result_kind_name(r->kind));
	if (result_outcome(r) != OUTCOME_SKIPPED)
		put_property(o, "status", status);
	for (size_t i = 0; i < report_goals(r); i++)
		put_goal(o, &r->goal[i]);
	report_puts(o, "\t\t\t</properties>\n");
}

/* What many servers show alone: why, and how far it came. */
static void put_failure(struct report_out *o, const struct result *r, const char *element)
{
	report_printf(o, "\t\t\t<%s type=\"%s\" message=\"", element, result_kind_name(r->kind));
	report_reason(o, &attribute, r);
	report_puts(o, "\">");
	report_reason(o, &text, r);
	report_printf(o, "\n%s, exit status %d, after ", result_kind_name(r->kind), r->status);
	report_seconds(o, r->duration_us);
	report_puts(o, " s\n");
	for (size_t i = 0; i < report_goals(r); i++) {
		const struct result_goal *g = &r->goal[i];

		put_label(o, &text, g);
		report_printf(o, ": %" PRIu64 " %s", g->count, g->count == 1 ? "time" : "times");
		if (g->count) {
			report_puts(o, ", last after ");
			report_seconds(o, g->last_us);
			report_puts(o, " s");
		}
		report_puts(o, "\n");
	}
	report_printf(o, "</%s>\n", element);
}

static void put_long_text(struct report_out *o, const char *element, const char *bytes, size_t n)
{
	if (!n)
		return;
	report_printf(o, "\t\t\t<%s>", element);
	report_text(o, &text, bytes, n);
	report_printf(o, "</%s>\n", element);
}

static void put_case(struct report_out *o, const char *suite, const struct result *r)
{
	enum result_outcome outcome = result_outcome(r);

	report_puts(o, "\t\t<testcase classname=\"");
	report_string(o, &attribute, suite, SIZE_MAX);
	report_puts(o, "\" name=\"");
	report_name(o, &attribute, r);
	report_puts(o, "\" time=\"");
	report_seconds(o, r->duration_us);
	report_puts(o, "\">\n");
	put_properties(o, r);
	if (outcome == OUTCOME_SKIPPED) {
		report_puts(o, "\t\t\t<skipped message=\"");
		report_reason(o, &attribute, r);
		report_puts(o, "\"/>\n");
	} else if (outcome != OUTCOME_PASSED) {
		put_failure(o, r, outcome == OUTCOME_FAILED ? "failure" : "error");
	}
	put_long_text(o, "system-out", (const char *)r->serial, report_serial(r));
	put_long_text(o, "system-err", r->text, report_evidence(r));
	report_puts(o, "\t\t</testcase>\n");
}

void report_junit(struct report_out *o, const char *suite, const struct result *const *results, size_t n)
{
	struct report_totals t = report_totals(results, n);

	report_puts(o, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
	put_totals(o, suite, &t, n);
	report_puts(o, ">\n\t<testsuite");
	put_totals(o, suite, &t, n);
	if (t.began) {
		/* Without a zone, as the schemas have it; it is UTC. */
		report_puts(o, " timestamp=\"");
		report_time(o, t.began);
		report_puts(o, "\"");
	}
	report_puts(o, ">\n");
	for (size_t i = 0; i < n; i++)
		put_case(o, suite, results[i]);
	report_puts(o, "\t</testsuite>\n</testsuites>\n");
}
