#include "vmm/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/broker.h"
#include "vmm/log.h"
#include "vmm/report_priv.h"

struct format {
	const char *name, *suffix;
	void (*write)(struct report_out *o, const char *suite, const struct result *const *results, size_t n);
};

static const struct format formats[] = {
	{"junit", ".xml", report_junit},
	{"tap", ".tap", report_tap},
	{"json", ".json", report_json},
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

struct report {
	const struct format *format;
	char *spec;   /* as the user wrote it */
	int made;     /* as vmm/broker.h calls it: there was no such file; else -1 */
	bool regular; /* can be emptied and written again */
	bool written; /* there is a whole report in it */
	struct report_out out;
};

/* The format, and in *file where its file's name begins; NULL: neither says which. */
static const struct format *format_of(const char *spec, const char **file)
{
	for (size_t i = 0; i < FORMATS; i++) {
		size_t n = strlen(formats[i].name);

		if (!strncmp(spec, formats[i].name, n) && spec[n] == ':') {
			*file = spec + n + 1;
			return &formats[i];
		}
	}
	*file = spec;
	for (size_t i = 0; i < FORMATS; i++) {
		size_t n = strlen(formats[i].suffix), len = strlen(spec);

		if (len >= n && !strcasecmp(spec + len - n, formats[i].suffix))
			return &formats[i];
	}
	return NULL;
}

static const char *way_out(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "; make its folder first";
	case EISDIR:
		return "; name a file in that folder";
	case ENXIO:
		return "; start the program that reads this pipe first";
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return "; make room, or name a file elsewhere";
	default:
		return "; name a file that can be written";
	}
}

/* Without O_NONBLOCK a pipe that nobody reads would keep us here for ever. */
static int open_file(const char *path, bool *made)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, fd;

	fd = open(path, flags | O_EXCL, 0666);
	*made = fd >= 0;
	if (fd < 0 && errno == EEXIST)
		fd = open(path, flags | O_TRUNC, 0666);
	return fd < 0 ? -errno : fd;
}

/* By its absolute name, since the folder may be left. */
static int remember(const char *file, const struct stat *st)
{
	char *path = realpath(file, NULL);
	int made = broker_made(path ? path : file, st, true);

	free(path);
	return made;
}

static int open_path(struct report *r, const char *file)
{
	bool made;
	struct stat st;
	int flags;

	r->out.fd = open_file(file, &made);
	if (r->out.fd < 0)
		return r->out.fd;
	flags = fcntl(r->out.fd, F_GETFL);
	if (flags < 0 || fcntl(r->out.fd, F_SETFL, flags & ~O_NONBLOCK) < 0 || fstat(r->out.fd, &st) < 0)
		return -errno;
	r->regular = S_ISREG(st.st_mode);
	if (made)
		r->made = remember(file, &st);
	return 0;
}

bool report_is_stdout(const char *spec)
{
	size_t len = strlen(spec);

	return len >= 2 && !strcmp(spec + len - 2, ":-"); /* "-" alone has no format */
}

/* One that is closed, or only to be read from. */
static int check_stdout(void)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	return flags < 0 || (flags & O_ACCMODE) == O_RDONLY ? -EBADF : 0;
}

int report_open(struct report **out, const char *spec)
{
	const struct format *format;
	struct report *r;
	const char *file;
	int ret = 0;

	format = format_of(spec, &file);
	if (!format || !*file) {
		log_error(
			"--report %s: %s; FILE.xml, FILE.tap or FILE.json says it, or junit:FILE, tap:FILE, json:FILE",
			spec, format ? "no file" : "which format?");
		return -EINVAL;
	}
	r = calloc(1, sizeof(*r));
	if (r)
		r->spec = strdup(spec);
	if (!r || !r->spec) {
		log_error("--report %s: no memory", spec);
		free(r);
		return -ENOMEM;
	}
	r->format = format;
	r->made = -1;
	r->out.fd = STDOUT_FILENO;
	if (strcmp(file, "-") != 0)
		ret = open_path(r, file);
	else
		ret = check_stdout();
	if (ret) {
		log_error("--report %s: cannot be written: %s%s", spec, strerror(-ret), way_out(-ret));
		report_close(r);
		return ret;
	}
	*out = r;
	return 0;
}

/* Some file systems say only at a close() that there was no room. */
static int close_a_copy(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy >= 0 && close(copy) < 0 && errno != EINTR ? -errno : 0;
}

int report_write(struct report *r, const char *suite, const struct result *const *results, size_t n)
{
	struct report_out *o = &r->out;

	r->written = false;
	o->error = 0;
	o->used = 0;
	if (r->regular && (ftruncate(o->fd, 0) < 0 || lseek(o->fd, 0, SEEK_SET) < 0))
		o->error = -errno;
	if (!o->error) {
		r->format->write(o, suite && *suite ? suite : "minivmm", results, n);
		report_flush(o);
	}
	if (!o->error && r->regular)
		o->error = close_a_copy(o->fd);
	if (o->error) {
		/* Half of a report would be worse than none. */
		bool emptied = r->regular && !ftruncate(o->fd, 0);

		log_error("--report %s: cannot be written: %s%s%s", r->spec, strerror(-o->error),
			emptied ? "; there is no report" : "", way_out(-o->error));
		return o->error;
	}
	r->written = true;
	return 0;
}

void report_close(struct report *r)
{
	if (!r)
		return;
	if (!r->written)
		broker_remove(r->made);
	if (r->out.fd >= 0 && r->out.fd != STDOUT_FILENO)
		close(r->out.fd);
	free(r->spec);
	free(r);
}
