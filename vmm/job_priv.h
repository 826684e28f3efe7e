/* What the files of the job's runner share: one case on its way, and how it is told. Main thread. */
#ifndef VMM_JOB_PRIV_H
#define VMM_JOB_PRIV_H

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/job_run.h"

#define MESSAGES_MAX (256u << 10) /* bytes of a case's messages that are kept: the last ones */

/* A case that is running. */
struct job_child {
	pid_t pid; /* 0: none, the place is free */
	size_t index;
	int fd;	   /* its stdout and stderr, -1: closed */
	bool live; /* whoever waits for gdb says where: somebody has to read that now */
	uint64_t began_us;
	char *messages; /* a ring */
	uint64_t said;	/* bytes, ever */
};

/* What the child still has to say, up to what the pipe holds. */
void job_child_read(struct job_child *child);
/* The last bytes of its messages, in order, NUL-terminated; to be freed. NULL: out of memory. */
char *job_child_messages(const struct job_child *child, size_t *len);

/* The child has gone: makes of its wait status and of what it left in r a result that can be believed. */
void job_judge(struct result *r, const struct job_case *c, int wait_status, bool cancelled);

/* The verdict's line, and for a case that did not pass what backs it. messages may be NULL. */
void job_show(FILE *to, const struct result *r, const char *messages, size_t len, uint64_t dropped);
void job_show_total(FILE *to, const struct job_outcome *outcome);

#endif
