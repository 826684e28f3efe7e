#include "vmm/job_keys.h"

#include <ctype.h>
#include <string.h>

#include "vmm/spelling.h"

#define ON_THE_COMMAND_LINE "it is for all cases, give it on the command line"

/* clang-format off */
static const struct job_key keys[] = {
	{"kernel", JOB_KEY_INPUT, NULL},
	{"initrd", JOB_KEY_INPUT, NULL},
	{"cmdline", JOB_KEY_TEXT, NULL},
	{"mem", JOB_KEY_VALUE, NULL},
	{"cpus", JOB_KEY_VALUE, NULL},
	{"boot", JOB_KEY_VALUE, NULL},
	{"kaslr", JOB_KEY_FLAG, NULL},
	{"symbols", JOB_KEY_INPUT, NULL},
	{"cpu-features", JOB_KEY_VALUE, NULL},
	{"serial", JOB_KEY_SERIAL, NULL},
	{"gdb", JOB_KEY_GDB, NULL},
	{"gdb-attach", JOB_KEY_FLAG, NULL},
	{"verbose", JOB_KEY_FLAG, NULL},
	{"no-sandbox", JOB_KEY_FLAG, NULL},
	{"break", JOB_KEY_REPEAT, NULL},
	{"expect", JOB_KEY_REPEAT, NULL},
	{"reject", JOB_KEY_REPEAT, NULL},
	{"until", JOB_KEY_VALUE, NULL},
	{"ordered", JOB_KEY_FLAG, NULL},
	{"timeout", JOB_KEY_VALUE, NULL},
	{"deadline-between-hits", JOB_KEY_VALUE, NULL},
	{"ignore", JOB_KEY_VALUE, NULL},
	{"dump", JOB_KEY_OUTPUT, NULL},
	{"stop-on-fail", JOB_KEY_FLAG, NULL},
	{"j", JOB_KEY_NEVER, ON_THE_COMMAND_LINE},
	{"jobs", JOB_KEY_NEVER, ON_THE_COMMAND_LINE},
	{"report", JOB_KEY_NEVER, ON_THE_COMMAND_LINE},
	{"job", JOB_KEY_NEVER, "a job cannot be part of another, run both"},
	{"help", JOB_KEY_NEVER, "there is no case in it, give it on the command line"},
	{"version", JOB_KEY_NEVER, "there is no case in it, give it on the command line"},
	{"probe-host", JOB_KEY_NEVER, "there is no case in it, give it on the command line"},
};
/* clang-format on */

_Static_assert(sizeof(keys) / sizeof(keys[0]) == JOB_KEYS, "JOB_KEYS");

const struct job_key *job_key_find(const char *name)
{
	for (size_t i = 0; i < JOB_KEYS; i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

size_t job_key_index(const struct job_key *key)
{
	return (size_t)(key - keys);
}

#define NEAR_MAX 32 /* longer than any key by more than a slip of the finger */

const char *job_key_near(const char *name)
{
	const char *near = NULL;
	char lower[NEAR_MAX];
	unsigned least = 3;
	size_t len;

	name += strspn(name, "-");
	len = strlen(name);
	if (len > NEAR_MAX)
		return NULL;
	for (size_t i = 0; i < len; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	for (size_t i = 0; i < JOB_KEYS; i++) {
		size_t key_len = strlen(keys[i].name);
		unsigned d = spelling_distance(lower, len, keys[i].name, key_len, least - 1);

		/* Of a short word two wrong letters leave nothing. */
		if (keys[i].kind != JOB_KEY_NEVER && d < least && 2 * d < key_len) {
			near = keys[i].name;
			least = d;
		}
	}
	return near;
}

static const char *behind(const char *value, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(value, prefix, len) ? NULL : value + len;
}

const char *job_key_path(const struct job_key *key, const char *value)
{
	const char *path;

	switch (key->kind) {
	case JOB_KEY_INPUT:
	case JOB_KEY_OUTPUT:
		return value;
	case JOB_KEY_SERIAL:
		path = behind(value, "file:");
		return path ? path : behind(value, "unix:");
	case JOB_KEY_GDB:
		if (behind(value, "tcp:") || !strcmp(value, "stdio"))
			return NULL;
		path = behind(value, "chardev:");
		return path ? path : value;
	default:
		return NULL;
	}
}

bool job_key_writes(const struct job_key *key)
{
	return key->kind == JOB_KEY_OUTPUT || key->kind == JOB_KEY_SERIAL;
}
