/* What a person sees of a job: a line for each verdict, and the evidence where it is needed. */
#include "vmm/job_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

/* Bytes that a terminal would act on are written out; what is left may be UTF-8. */
static void put_line(FILE *to, const char *line, size_t len)
{
	fputs(INDENT, to);
	if (len && line[len - 1] == '\r')
		len--;
	for (size_t i = 0; i < len && i < LINE_MAX_LEN; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			fprintf(to, "\\x%02x", c);
		else
			fputc(c, to);
	}
	if (len > LINE_MAX_LEN)
		fprintf(to, "... (%zu bytes more)", len - LINE_MAX_LEN);
	fputc('\n', to);
}

static void put_text(FILE *to, const char *text, const char *end)
{
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		const char *stop = nl ? nl : end;

		put_line(to, text, (size_t)(stop - text));
		text = nl ? nl + 1 : end;
	}
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
	put_text(to, from, text + len);
}

void job_show(FILE *to, const struct result *r, const char *messages, size_t len, uint64_t dropped)
{
	char line[RESULT_LINE_MAX];

	result_line(r, line, sizeof(line));
	fprintf(to, "%s\n", line);
	if (r->kind != RESULT_PASS) {
		if (r->text_len) {
			fputs(INDENT "--- evidence\n", to);
			put_text(to, r->text, r->text + r->text_len);
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
