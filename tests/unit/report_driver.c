/*
 * usage: report_driver SPEC <RESULTS. Writes a report for readers that are not ours (test_report_formats.py).
 *
 * Standard input is lines of a key and a value: numbers in decimal, all else in hex. "case" and "goal" begin a new one;
 * the others are the fields of vmm/result.h, those of a goal as goal.NAME; goal.time may be there several times.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/report.h"
#include "vmm/result.h"

#define CASES_MAX 128

static char suite[RESULT_NAME_MAX];
static struct result *results[CASES_MAX];
static size_t nresults;

static size_t unhex(const char *hex, void *out, size_t max)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (; n < max && hex[0] && hex[1]; n++, hex += 2)
		((char *)out)[n] = (char)((strchr(digits, hex[0]) - digits) << 4 | (strchr(digits, hex[1]) - digits));
	return n;
}

static bool set_goal(struct result *r, const char *key, const char *value)
{
	struct result_goal *g = r->ngoals ? &r->goal[r->ngoals - 1] : NULL;
	static size_t ntimes;

	if (!strcmp(key, "goal") && r->ngoals < RESULT_GOALS_MAX) {
		r->goal[r->ngoals++].cpu = -1;
		ntimes = 0;
	} else if (!g) {
		return false;
	} else if (!strcmp(key, "goal.option")) {
		unhex(value, g->option, sizeof(g->option));
	} else if (!strcmp(key, "goal.text")) {
		unhex(value, g->text, sizeof(g->text));
	} else if (!strcmp(key, "goal.action")) {
		unhex(value, g->action, sizeof(g->action));
	} else if (!strcmp(key, "goal.count")) {
		g->count = strtoull(value, NULL, 10);
	} else if (!strcmp(key, "goal.time") && ntimes < RESULT_TIMES_MAX) {
		g->time_us[ntimes++] = strtoull(value, NULL, 10);
	} else if (!strcmp(key, "goal.last")) {
		g->last_us = strtoull(value, NULL, 10);
	} else if (!strcmp(key, "goal.cpu")) {
		g->cpu = atoi(value);
	} else {
		return false;
	}
	return true;
}

static bool set_case(struct result *r, const char *key, const char *value)
{
	if (!strcmp(key, "name"))
		unhex(value, r->name, sizeof(r->name));
	else if (!strcmp(key, "kind"))
		r->kind = (enum result_kind)atoi(value);
	else if (!strcmp(key, "status"))
		r->status = atoi(value);
	else if (!strcmp(key, "reason"))
		unhex(value, r->reason, sizeof(r->reason));
	else if (!strcmp(key, "began"))
		r->began = strtoll(value, NULL, 10);
	else if (!strcmp(key, "duration_us"))
		r->duration_us = strtoull(value, NULL, 10);
	else if (!strcmp(key, "text"))
		r->text_len = unhex(value, r->text, sizeof(r->text));
	else if (!strcmp(key, "serial"))
		r->serial_len = unhex(value, r->serial, sizeof(r->serial));
	else
		return set_goal(r, key, value);
	return true;
}

static bool set(const char *key, const char *value)
{
	if (!strcmp(key, "suite"))
		return unhex(value, suite, sizeof(suite) - 1) > 0;
	if (!strcmp(key, "case") && nresults < CASES_MAX) {
		results[nresults] = calloc(1, sizeof(*results[0]));
		return results[nresults++] != NULL;
	}
	return nresults && set_case(results[nresults - 1], key, value);
}

int main(int argc, char **argv)
{
	struct report *report;
	char *line = NULL;
	size_t size = 0;
	int ret;

	if (argc != 2)
		return 2;
	while (getline(&line, &size, stdin) > 0) {
		char *value = line + strcspn(line, " \n");

		if (*value)
			*value++ = '\0';
		value[strcspn(value, "\n")] = '\0';
		if (!set(line, value)) {
			fprintf(stderr, "report_driver: what is %s?\n", line);
			return 2;
		}
	}
	free(line);
	ret = report_open(&report, argv[1]);
	if (!ret) {
		ret = report_write(report, suite, (const struct result *const *)results, nresults);
		report_close(report);
	}
	while (nresults)
		free(results[--nresults]);
	return ret ? 1 : 0;
}
