/* What the formats of a report have in common: a buffer in front of the file, and hostile text. */
#ifndef VMM_REPORT_PRIV_H
#define VMM_REPORT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/result.h"

#define REPORT_BUFFER 65536

struct report_out {
	int fd;
	int error; /* 0 or -errno of the first write that failed: nothing is written after it */
	size_t used;
	char buf[REPORT_BUFFER];
};

/* How a format writes text. Characters that are not to be shown become \xNN (see vmm/printable.h). */
struct report_syntax {
	const char *special[128]; /* what stands for this character; NULL: itself, if it can be shown */
	const char *backslash;	  /* a backslash of \xNN */
	const char *line;	  /* put in front of each line but the first */
	const char *defuse;	  /* text that somebody acts on: its first byte becomes \xNN; NULL: none */
	bool unicode;		  /* what is not to be shown but a character becomes \uNNNN instead */
	bool plain_lines;	  /* carriage returns before a newline are dropped */
};

struct report_totals {
	size_t outcome[OUTCOMES];
	uint64_t duration_us;
	int64_t began; /* the first; 0: none */
};

void report_put(struct report_out *o, const char *text, size_t n);
void report_puts(struct report_out *o, const char *text);
/* Short pieces, no text of others. */
void report_printf(struct report_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void report_text(struct report_out *o, const struct report_syntax *syntax, const char *text, size_t n);
/* A string in an array of max bytes that may lack its NUL. */
void report_string(struct report_out *o, const struct report_syntax *syntax, const char *text, size_t max);
void report_reason(struct report_out *o, const struct report_syntax *syntax, const struct result *r);
/* The name of the case, which is never empty here. */
void report_name(struct report_out *o, const struct report_syntax *syntax, const struct result *r);
void report_seconds(struct report_out *o, uint64_t us);
/* 2026-01-31T12:00:00, UTC. Of a time that report_began() takes. */
void report_time(struct report_out *o, int64_t unix_time);
/* Writes out what is in the buffer. */
void report_flush(struct report_out *o);

/* What is in r, however it came about: bounded by the arrays. */
/* It has a time that can be written. */
bool report_began(const struct result *r);
size_t report_goals(const struct result *r);
size_t report_times(const struct result_goal *goal);
size_t report_evidence(const struct result *r);
size_t report_serial(const struct result *r);
struct report_totals report_totals(const struct result *const *results, size_t n);

void report_junit(struct report_out *o, const char *suite, const struct result *const *results, size_t n);
void report_tap(struct report_out *o, const char *suite, const struct result *const *results, size_t n);
void report_json(struct report_out *o, const char *suite, const struct result *const *results, size_t n);

#endif
