/* Inside the verdict: verdict.c (goals, clocks, the decision) and verdict_serial.c (what the output says). */
#ifndef VMM_VERDICT_PRIV_H
#define VMM_VERDICT_PRIV_H

#include <pthread.h>

#include "vmm/verdict.h"

#define LINE_MAX_BYTES 4096 /* a longer line is looked at in pieces */

struct goal {
	const struct goal_option *opt;
	regex_t re;   /* not of a break */
	bool in_line; /* has matched in this line already */
	struct result_goal shown;
};

struct serial_text {
	char line[LINE_MAX_BYTES + 1];
	size_t len;
	size_t seen; /* of an unfinished line, that was looked at */
	uint8_t tail[RESULT_SERIAL_MAX];
	uint64_t total; /* bytes ever written */
};

struct verdict {
	const struct options *opts;
	struct verdict_hooks hooks;
	pthread_mutex_t lock;
	struct goal goal[GOALS_MAX];
	size_t ngoals;
	struct serial_text serial;
	uint64_t began_us, hit_us; /* now_us() of the first instruction, of the last hit */
	int64_t began;		   /* Unix time */
	size_t reached;		   /* goals */
	/* RESULT_NONE: open. Settled: kind, status, reason; final once it is to end the run. */
	enum result_kind kind;
	int status;
	int cpu;
	char reason[RESULT_REASON_MAX];
	uint64_t settled_us;
	uint64_t linger_us; /* settled, and final at this time; 0: it does not linger */
	bool final;
	/* As of the last news(). */
	enum result_kind told_kind;
	bool told_final;
};

/* verdict.c, locked. */
uint64_t verdict_now_locked(const struct verdict *v);
/* The first settles it. */
void verdict_settle_locked(struct verdict *v, enum result_kind kind, int cpu, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* An --expect or a passing break was reached. */
void verdict_reached_locked(struct verdict *v, struct goal *g, int cpu);

/* verdict_serial.c, locked. */
void serial_byte_locked(struct verdict *v, uint8_t byte);
void serial_unfinished_locked(struct verdict *v); /* looks at an unfinished line, if it has grown */
bool serial_watched(const struct verdict *v);	  /* is there anything that an unfinished line may decide? */
void serial_tail(const struct verdict *v, struct result *out);

#endif
