/*
 * What became of one run: the verdict and what backs it. Plain data without pointers, so that it can lie in memory that
 * several processes share.
 */
#ifndef VMM_RESULT_H
#define VMM_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum result_kind {
	RESULT_NONE,	 /* there is none (yet): the run was not begun, or died */
	RESULT_PASS,	 /* everything that was wanted has happened */
	RESULT_FAIL,	 /* a --break WHERE=fail was reached */
	RESULT_REJECT,	 /* the serial output matches a --reject */
	RESULT_ORDER,	 /* --ordered: a goal was reached before its turn */
	RESULT_TIMEOUT,	 /* --timeout */
	RESULT_DEADLINE, /* --deadline-between-hits */
	RESULT_EARLY,	 /* the guest ended before all goals were reached */
	RESULT_GUEST,	 /* the guest wrote N > 0 to the exit device */
	RESULT_PANIC,	 /* pvpanic, or a kernel's line that says so */
	RESULT_OOPS,	 /* a kernel's line that says so */
	RESULT_LOCKUP,	 /* soft lockup, RCU stall, hung task: likewise */
	RESULT_TRIPLE_FAULT,
	RESULT_KVM,    /* an exit that KVM cannot go on from */
	RESULT_KILLED, /* from gdb */
	RESULT_ENDED,  /* by its user: a signal, Ctrl-a x */
	RESULT_ERROR,  /* it could not be run: bad input, or the host */
	RESULT_KINDS,
};

#define RESULT_NAME_MAX	  128
#define RESULT_REASON_MAX 512
#define RESULT_GOALS_MAX  64
#define RESULT_TIMES_MAX  16
#define RESULT_SERIAL_MAX 65536 /* the last 64 KiB */
#define RESULT_TEXT_MAX	  65536

/* One --break, --expect or --reject. */
struct result_goal {
	char text[RESULT_NAME_MAX];	    /* "start_kernel", a regular expression; cut off if need be */
	char option[12];		    /* "break", "expect", "reject" */
	char action[8];			    /* of a break: "pass", "fail", "log", "count"; else "" */
	uint64_t count;			    /* hits, matches */
	uint64_t time_us[RESULT_TIMES_MAX]; /* of the first so many of them, since the first instruction */
	uint64_t last_us;		    /* of the last */
	int cpu;			    /* of the first; -1: does not apply */
};

struct result {
	char name[RESULT_NAME_MAX]; /* of the case */
	enum result_kind kind;
	int status;			/* exit status, see vmm/exit_status.h */
	char reason[RESULT_REASON_MAX]; /* one line, no full stop: "reached panic on CPU 0" */
	int64_t began;			/* Unix time, seconds */
	uint64_t duration_us;		/* from the first instruction to the verdict */
	size_t ngoals;
	struct result_goal goal[RESULT_GOALS_MAX];
	size_t text_len; /* evidence: registers and backtraces, lines */
	char text[RESULT_TEXT_MAX];
	size_t serial_len; /* what the guest wrote last, as it wrote it: any bytes */
	uint8_t serial[RESULT_SERIAL_MAX];
};

/* What a verdict means to whoever counts: one for each kind, except that RESULT_NONE is two of them. */
enum result_outcome {
	OUTCOME_PASSED,
	OUTCOME_FAILED,	 /* says something about the guest */
	OUTCOME_ERROR,	 /* says nothing about it: the host, the input, its user; or a run that died */
	OUTCOME_SKIPPED, /* was not run: RESULT_NONE, and never began */
	OUTCOMES,
};

#define RESULT_LINE_MAX 1024 /* enough for any closing line that is not mostly escapes */

/* "pass", "timeout", "triple-fault", ...: one lower-case word. Any thread, as all here. */
const char *result_kind_name(enum result_kind kind);
/*
 * The exit status of a kind. RESULT_GUEST and RESULT_ERROR have several, and result.status has the one: here they are
 * the guest's least (3) and STATUS_HOST.
 */
int result_status(enum result_kind kind);
enum result_outcome result_outcome(const struct result *r);
/* "passed", "failed", "error", "skipped" */
const char *result_outcome_name(enum result_outcome outcome);
/* The reason, or what the kind says if there is none. In r, or static; *len bytes, no NUL behind them. */
const char *result_reason(const struct result *r, size_t *len);
/*
 * The closing line for people, without a newline, cut to len if need be, as "PASS boot: reached start_kernel on CPU 0
 * after 0.412 s" or "FAIL boot (timeout, status 124): ...". What a terminal would act on is escaped.
 */
void result_line(const struct result *r, char *buf, size_t len);

#endif
