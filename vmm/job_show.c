/* What a person sees of a job: a line for each verdict, and the evidence where it is needed. */
#include "vmm/job_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/printable.h"

#define LINES_SHOWN  100 /* the last of what a guest or its machine said; --report has more */
#define LINE_MAX_LEN 1024
#define INDENT	     "    "

/* Where the last LINES_SHOWN lines begin; *before is how many there are before them. */
static const char *last_lines(const char *text, size_t len, size_t *before)
{
	const char *end = text + len, *at = end;
	size_t lines = 0;

	*before = 0;
	if (len && end[-1] == '\n')
		at--;
	for (; at > text; at--)
		if (at[-1] == '\n' && ++lines == LINES_SHOWN)
			break;
	for (const char *c = text; c < at; c++)
		*before += *c == '\n';
	return at;
}

static void put_last(FILE *to, const char *title, const char *text, size_t len)
{
	size_t before;
	const char *from = last_lines(text, len, &before);

	if (!len)
		return;
	fprintf(to, INDENT "--- %s", title);
	if (before)
		fprintf(to, " (%zu lines before these)", before);
	fputc('\n', to);
	printable_lines(to, INDENT, from, (size_t)(text + len - from), LINE_MAX_LEN);
}

void job_show(FILE *to, const struct result *r, const char *messages, size_t len, uint64_t dropped)
{
	char line[RESULT_LINE_MAX];

	result_line(r, line, sizeof(line));
	fprintf(to, "%s\n", line);
	if (r->kind != RESULT_PASS) {
		if (r->text_len) {
			fputs(INDENT "--- evidence\n", to);
			printable_lines(to, INDENT, r->text, r->text_len, LINE_MAX_LEN);
		}
		put_last(to, "the end of the guest's serial output", (const char *)r->serial, r->serial_len);
		if (dropped)
			fprintf(to, INDENT "--- %" PRIu64 " bytes of messages are lost, they were too many\n", dropped);
		put_last(to, "messages", messages, messages ? len : 0);
	}
	fflush(to);
}

void job_show_total(FILE *to, const struct job_outcome *outcome)
{
	size_t passed = 0, skipped = 0;

	for (size_t i = 0; i < outcome->n; i++) {
		passed += outcome->results[i]->kind == RESULT_PASS;
		skipped += outcome->results[i]->kind == RESULT_NONE;
	}
	fprintf(to, "%zu passed, %zu failed", passed, outcome->n - passed - skipped);
	if (skipped)
		fprintf(to, ", %zu not run", skipped);
	fprintf(to, " of %zu in %.2f s\n", outcome->n, (double)outcome->duration_us / 1e6);
	fflush(to);
}
