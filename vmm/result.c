#include "vmm/result.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/exit_status.h"
#include "vmm/printable.h"

#define GUEST_STATUS_LEAST 3 /* 2 N + 1, N = 1 */

static const struct kind {
	const char *name;
	int status;
	enum result_outcome outcome;
	const char *text; /* where there is no reason */
} kinds[RESULT_KINDS] = {
	[RESULT_NONE] = {"none", STATUS_HOST, OUTCOME_ERROR, "died without a verdict"},
	[RESULT_PASS] = {"pass", STATUS_OK, OUTCOME_PASSED, "all that was wanted has happened"},
	[RESULT_FAIL] = {"fail", STATUS_FAIL, OUTCOME_FAILED, "reached a place that it must not reach"},
	[RESULT_REJECT] = {"reject", STATUS_REJECT, OUTCOME_FAILED, "the serial output has what it must not have"},
	[RESULT_ORDER] = {"order", STATUS_ORDER, OUTCOME_FAILED, "a goal was reached before its turn"},
	[RESULT_TIMEOUT] = {"timeout", STATUS_TIMEOUT, OUTCOME_FAILED, "no verdict in time"},
	[RESULT_DEADLINE] = {"deadline", STATUS_DEADLINE, OUTCOME_FAILED, "too long without a hit"},
	[RESULT_EARLY] = {"early", STATUS_EARLY, OUTCOME_FAILED, "the guest ended before all goals were reached"},
	[RESULT_GUEST] = {"guest", GUEST_STATUS_LEAST, OUTCOME_FAILED, "the guest ended with an exit code of its own"},
	[RESULT_PANIC] = {"panic", STATUS_PANIC, OUTCOME_FAILED, "the guest panicked"},
	[RESULT_OOPS] = {"oops", STATUS_OOPS, OUTCOME_FAILED, "the guest's kernel reported an oops"},
	[RESULT_LOCKUP] = {"lockup", STATUS_LOCKUP, OUTCOME_FAILED, "the guest's kernel reported a lockup"},
	[RESULT_TRIPLE_FAULT] = {"triple-fault", STATUS_TRIPLE_FAULT, OUTCOME_FAILED, "triple fault"},
	[RESULT_KVM] = {"kvm", STATUS_KVM_EXIT, OUTCOME_ERROR, "KVM could not go on with the guest"},
	[RESULT_KILLED] = {"killed", STATUS_KILLED, OUTCOME_ERROR, "killed from gdb"},
	[RESULT_ENDED] = {"ended", STATUS_ENDED, OUTCOME_ERROR, "ended by its user"},
	[RESULT_ERROR] = {"error", STATUS_HOST, OUTCOME_ERROR, "could not be run"},
};

/* A result comes out of memory that a process shared which may have died in the middle of it. */
static const struct kind *kind_of(enum result_kind kind)
{
	return &kinds[(unsigned)kind < RESULT_KINDS ? kind : RESULT_NONE];
}

const char *result_kind_name(enum result_kind kind)
{
	return kind_of(kind)->name;
}

int result_status(enum result_kind kind)
{
	return kind_of(kind)->status;
}

enum result_outcome result_outcome(const struct result *r)
{
	if (r->kind == RESULT_NONE && !r->began)
		return OUTCOME_SKIPPED;
	return kind_of(r->kind)->outcome;
}

const char *result_outcome_name(enum result_outcome outcome)
{
	static const char *const names[OUTCOMES] = {"passed", "failed", "error", "skipped"};

	return names[(unsigned)outcome < OUTCOMES ? outcome : OUTCOME_ERROR];
}

const char *result_reason(const struct result *r, size_t *len)
{
	const char *text = r->reason;

	*len = strnlen(text, sizeof(r->reason));
	if (!*len) {
		text = result_outcome(r) == OUTCOME_SKIPPED ? "was not run" : kind_of(r->kind)->text;
		*len = strlen(text);
	}
	return text;
}

void result_line(const struct result *r, char *buf, size_t len)
{
	static const char *const words[OUTCOMES] = {"PASS", "FAIL", "ERROR", "SKIP"};
	enum result_outcome outcome = result_outcome(r);
	size_t name = strnlen(r->name, sizeof(r->name)), reason_len;
	struct printable_line l = {buf, 0, len};
	const char *reason = result_reason(r, &reason_len);
	char text[128];

	if (!len)
		return;
	printable_put(&l, words[outcome], strlen(words[outcome]));
	if (name)
		printable_put(&l, " ", 1);
	printable_text(&l, r->name, name);
	if (outcome == OUTCOME_FAILED || outcome == OUTCOME_ERROR) {
		snprintf(text, sizeof(text), " (%s, status %d)", result_kind_name(r->kind), r->status);
		printable_put(&l, text, strlen(text));
	}
	printable_put(&l, ": ", 2);
	printable_text(&l, reason, reason_len);
	if (r->duration_us && outcome != OUTCOME_SKIPPED) {
		uint64_t ms = r->duration_us / 1000;

		snprintf(text, sizeof(text), " after %" PRIu64 ".%03u s", ms / 1000, (unsigned)(ms % 1000));
		printable_put(&l, text, strlen(text));
	}
}
