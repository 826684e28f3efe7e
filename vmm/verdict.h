/*
 * What a run has to prove (--break, --expect, --reject, --timeout...), what it has shown so far, and the verdict. Knows
 * no machine: it is told what happens, and says once when that decides the run. The first to decide wins.
 *
 * A kernel's panic, oops or lockup is known by its lines, too. Such a line settles what the verdict will be; the run
 * ends a little later, so that what the kernel has to say about it is seen.
 *
 * Any thread may call these unless it says otherwise; they lock, and never block on more than that.
 */
#ifndef VMM_VERDICT_H
#define VMM_VERDICT_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/cli.h"
#include "vmm/result.h"

#define VERDICT_REGEX_FLAGS (REG_EXTENDED | REG_NOSUB) /* how --expect and --reject are read */

struct verdict;

struct verdict_hooks {
	uint64_t (*now_us)(void *ctx); /* of the machine's run; may be called with any verdict_*() on the stack */
	/* Something that concerns verdict_tick()'s caller; final: the run is decided. On the thread that brought it. */
	void (*news)(void *ctx, bool final);
	void *ctx;
};

/* "break", "expect", "reject". */
const char *verdict_option_name(enum goal_kind kind);
/* "pass", "fail", "log", "count". */
const char *verdict_action_name(enum break_action action);
/* Has it to be reached for the run to pass? */
bool verdict_is_goal(const struct goal_option *g);

/* Main thread. opts has been checked and outlives it. 0, or -ENOMEM with a line logged. */
int verdict_new(struct verdict **out, const struct options *opts, const struct verdict_hooks *hooks);
void verdict_free(struct verdict *v); /* NULL-safe */

/* Main thread: a (new) machine is about to run its first instruction, at now_us() of that. All is forgotten. */
void verdict_begin(struct verdict *v);

/* Goal i of opts, a break, was hit. */
void verdict_hit(struct verdict *v, size_t i, int cpu);
/* The guest has written that byte to its serial port. */
void verdict_output(struct verdict *v, uint8_t byte);
/* The guest has ended with that enum exit_status, or odd number; why: one line, or NULL. */
void verdict_ended(struct verdict *v, int status, const char *why);
/* Main thread: looks at the clocks, and at output that is no whole line yet. Milliseconds until it is due again, -1:
 * never. */
int verdict_tick(struct verdict *v);

/* Is the run decided? */
bool verdict_final(struct verdict *v);
/* Did it fail, by what the guest did? Then there is something to be looked at. After verdict_final(). */
bool verdict_failed(struct verdict *v);
/* Why it is decided, one line for people's eyes (vmm/printable.h). */
void verdict_reason(struct verdict *v, char *buf, size_t len);
/* The CPU that decided it, 0 if none did. */
int verdict_cpu(struct verdict *v);
/* The process's exit status: of the verdict if there is one, or else this one. */
int verdict_status(struct verdict *v, int status);
/* Fills all but name and text. Where nothing has decided the run, kind is RESULT_ERROR. */
void verdict_result(struct verdict *v, struct result *out);

#endif
