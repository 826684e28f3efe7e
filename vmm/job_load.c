/* A job from its file, and what the command line says to its cases. */
#include "vmm/job.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli.h"
#include "vmm/job_keys.h"
#include "vmm/log.h"

static const char *shown(const char *path)
{
	return strcmp(path, "-") ? path : "standard input";
}

/* Up to JOB_FILE_MAX + 1 bytes, so that too large a file is seen to be that. */
static int read_all(int fd, char *buf, size_t *len)
{
	for (*len = 0; *len <= JOB_FILE_MAX;) {
		ssize_t n = read(fd, buf + *len, JOB_FILE_MAX + 1 - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : 0;
		*len += (size_t)n;
	}
	return 0;
}

static int read_file(const char *path, char *buf, size_t *len)
{
	int fd, err;

	if (!strcmp(path, "-"))
		return read_all(STDIN_FILENO, buf, len);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = read_all(fd, buf, len);
	close(fd);
	return err;
}

/* Up to and with the last '/'; empty for the working directory. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
}

int job_load(struct job *job, const char *path)
{
	char *text = malloc(JOB_FILE_MAX + 1), *folder = folder_of(path);
	struct job_error error;
	size_t len = 0;
	int err = -ENOMEM;

	*job = (struct job){0};
	if (!text || !folder) {
		log_error("out of memory");
		goto out;
	}
	err = read_file(path, text, &len);
	if (err) {
		log_error("--job %s: cannot be read: %s", path, strerror(-err));
		goto out;
	}
	err = job_parse(job, folder, text, len, &error);
	if (err && error.line)
		log_error("%s:%u: %s", shown(path), error.line, error.text);
	else if (err)
		log_error("%s: %s", shown(path), error.text);
out:
	free(folder);
	free(text);
	return err;
}

/* The case that cli_parse() has before it. */
static struct {
	const char *path;
	const struct job_case *c;
	char text[PATH_MAX + 32];
} checked;

/*
 * getopt's optind is behind the word that is being looked at. Each option is one word, so that its line is known;
 * behind
 * "--", the last one, it is about what does not go together: the line of the case.
 */
static const char *place(void)
{
	const struct job_case *c = checked.c;
	bool in_word = optind > 1 && optind < c->argc && c->lines[optind - 1];

	snprintf(checked.text, sizeof(checked.text), "%s:%u: ", checked.path, in_word ? c->lines[optind - 1] : c->line);
	return checked.text;
}

/* A file that is not there is better told now than after an hour of other cases. */
static bool check_files(const struct job_case *c)
{
	for (int i = 1; i < c->argc; i++) {
		const char *equals = strchr(c->argv[i], '=');
		const struct job_key *key;
		char name[32];

		if (!equals)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(equals - c->argv[i]) - 2, c->argv[i] + 2);
		key = job_key_find(name);
		if (!key || key->kind != JOB_KEY_INPUT || !access(equals + 1, R_OK))
			continue;
		optind = i + 1;
		log_error("%s: %s cannot be read: %s", name, equals + 1, strerror(errno));
		return false;
	}
	return true;
}

static bool check_case(const struct job_case *c, const char *path, int parallel)
{
	struct options opts;
	bool ok;

	checked.path = shown(path);
	checked.c = c;
	optind = 0;
	log_set_context(place);
	ok = cli_parse(&opts, c->argc, c->argv) == CLI_RUN;
	ok = ok && check_files(c);
	if (ok && opts.gdb && parallel != 1) {
		optind = 0;
		log_error("gdb in a job needs -j 1: cases side by side would wait for it all at once");
		ok = false;
	}
	log_set_context(NULL);
	return ok;
}

int job_check(const struct job *job, const char *path, int parallel)
{
	for (size_t i = 0; i < job->ncases; i++)
		if (!check_case(&job->cases[i], path, parallel))
			return -EINVAL;
	return 0;
}
