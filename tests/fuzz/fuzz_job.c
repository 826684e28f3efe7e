/* Job files: whatever is in them, the cases are command lines of bounded length with lines that exist. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_case(const struct job_case *c, unsigned lines)
{
	if (!*c->name || !c->line || c->line > lines || c->argc < 2 || c->argc > 2 * JOB_KEYS_MAX + 3)
		abort();
	for (int i = 0; i < c->argc; i++)
		if (c->lines[i] > lines || strlen(c->argv[i]) > JOB_LINE_MAX + 64)
			abort();
	for (int i = 1; i < c->argc; i++)
		if (strncmp(c->argv[i], "--", 2))
			abort();
	if (c->argv[c->argc] || strcmp(c->argv[c->argc - 1], "--"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned lines = 1;
	struct job_error err;
	struct job job;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	if (job_parse(&job, "folder/", (const char *)data, size, &err)) {
		if (job.blocks || job.cases || !*err.text || strchr(err.text, '\n') || err.line > lines)
			abort();
		return 0;
	}
	if (!job.ncases || job.ncases > JOB_CASES_MAX)
		abort();
	for (size_t i = 0; i < job.ncases; i++)
		check_case(&job.cases[i], lines);
	job_free(&job);
	return 0;
}
