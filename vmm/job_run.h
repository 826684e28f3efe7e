/*
 * Runs a job: each case in a child process, some of them side by side, each verdict on a line as it comes.
 * Main thread, while it is the only one.
 */
#ifndef VMM_JOB_RUN_H
#define VMM_JOB_RUN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/cli.h"
#include "vmm/job.h"
#include "vmm/result.h"

/* In the child: makes the machine, runs it, fills *out but for its name; returns the exit status. */
typedef int job_run_case(const struct options *opts, struct result *out);

struct job_outcome {
	const struct result **results; /* one for each case, in the file's order; kind NONE: was not begun */
	size_t n;
	int64_t began;	      /* Unix time, seconds */
	uint64_t duration_us; /* of the whole */
	struct result *shared;
	size_t shared_len;
};

/* How many cases at a time: what -j says, 0 meaning as many as there are CPUs to run on. */
int job_parallel(int wanted);

/*
 * lines: where verdicts are told, stdout or stderr. parallel: at least 1.
 * Returns the exit status: STATUS_OK when all cases passed, STATUS_JOB, STATUS_ENDED after SIGINT, SIGTERM or SIGHUP.
 * Else STATUS_HOST, and one log_error() line: nothing was run then. *outcome is to be freed in each case.
 */
int job_run(const struct job *job, int parallel, job_run_case *run_case, FILE *lines, struct job_outcome *outcome);
void job_outcome_free(struct job_outcome *outcome);

#endif
