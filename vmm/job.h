/*
 * A job: many cases, each a machine with a verdict, in a text file of their own. This is what such a file looks like:
 *
 *	# Lines before the first section are defaults for all cases; so are those under [*].
 *	kernel = ../build/vmlinux
 *	timeout = 60s
 *	reject = BUG:
 *
 *	[reaches user space]
 *	cmdline = console=ttyS0 \
 *		panic=-1
 *	break = start_kernel=count
 *	break = run_init_process=pass
 *	ordered = yes
 *
 *	[no panic without an initrd]
 *	break = panic=fail
 *
 * A section is a case, its keys are the long options of the command line. An option that takes no value is `yes` or
 *`no`. A case's own key takes the place of the default of that name; break, expect and reject may be given many times
 *and add up, defaults first. A value is everything behind the `=` without the blanks around it, and nothing in it is
 *special but that an odd number of backslashes at the line's end joins the next line: the last backslash, the line's
 *end and the blanks that begin the next line go away. '#' and ';' begin a comment only where they begin a line. Files
 *are relative to the job file's folder. In `dump` and in `serial`'s paths %n is the case's name. `serial` is null
 *unless given.
 *
 * job_parse() is pure; all of this is for the main thread.
 */
#ifndef VMM_JOB_H
#define VMM_JOB_H

#include <stddef.h>

#define JOB_FILE_MAX  (1u << 20) /* bytes */
#define JOB_LINE_MAX  8192	 /* bytes, with the lines that continue it */
#define JOB_CASES_MAX 1000
#define JOB_KEYS_MAX  256 /* in one section */

struct job_case {
	const char *name;
	unsigned line; /* of its [section] */
	int argc;
	char **argv;	       /* "minivmm", "--key=value" ..., "--", NULL: for cli_parse() */
	const unsigned *lines; /* of each of argv; 0: not from the file */
};

struct job {
	struct job_case *cases; /* in the file's order, at least one */
	size_t ncases;
	void **blocks; /* what job_free() frees */
	size_t nblocks;
};

struct job_error {
	unsigned line; /* 0: the file as a whole */
	char text[480];
};

/*
 * folder: put before relative paths, "" or ending in '/'. -EINVAL or -ENOMEM: *err says why, there is nothing to free.
 * The text need not end in NUL and may go away afterwards.
 */
int job_parse(struct job *job, const char *folder, const char *text, size_t len, struct job_error *err);
void job_free(struct job *job);

/* Reads and parses a file, "-": standard input. Else -errno and one log_error() line with file and line. */
int job_load(struct job *job, const char *path);

/* Takes every case through the command line's checks. path: for messages. -EINVAL: one log_error() line was written. */
int job_check(const struct job *job, const char *path, int parallel);

#endif
