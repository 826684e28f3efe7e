/* The keys of a job file: which there are, and what their values become. Pure. */
#ifndef VMM_JOB_KEYS_H
#define VMM_JOB_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum job_key_kind {
	JOB_KEY_VALUE,
	JOB_KEY_TEXT,	/* may be empty */
	JOB_KEY_FLAG,	/* yes or no */
	JOB_KEY_REPEAT, /* may be given many times */
	JOB_KEY_INPUT,	/* a file that is read */
	JOB_KEY_OUTPUT, /* a file of this case's own */
	JOB_KEY_SERIAL, /* may name such a file */
	JOB_KEY_GDB,
	JOB_KEY_NEVER, /* an option that is none of a case's */
};

struct job_key {
	const char *name;
	enum job_key_kind kind;
	const char *instead; /* JOB_KEY_NEVER: the way out */
};

#define JOB_KEYS 31 /* job_key_index() is less */

/* NULL: no such key. */
const struct job_key *job_key_find(const char *name);
size_t job_key_index(const struct job_key *key);

/* The key that was probably meant, or NULL. */
const char *job_key_near(const char *name);

/* Where in the value a file's name begins, or NULL if there is none. */
const char *job_key_path(const struct job_key *key, const char *value);
/* Is this file written, so that no other case may have the same? */
bool job_key_writes(const struct job_key *key);

#endif
