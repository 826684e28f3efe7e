#include "vmm/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX 2048

static atomic_bool log_verbose, log_raw;
static _Thread_local const char *(*log_context)(void);

void log_set_verbose(bool on)
{
	atomic_store(&log_verbose, on);
}

void log_set_raw_tty(bool on)
{
	/* A redirected stderr is no terminal and keeps its plain line ends. */
	atomic_store(&log_raw, on && isatty(STDERR_FILENO));
}

void log_set_context(const char *(*context)(void))
{
	log_context = context;
}

void log_bytes(const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(STDERR_FILENO, text, len);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
}

static size_t log_append(char *out, size_t at, const char *text, size_t n)
{
	if (n > LOG_LINE_MAX - at)
		n = LOG_LINE_MAX - at;
	memcpy(out + at, text, n);
	return at + n;
}

/* Every line of the text gets the prefix; a message is one write(), so that messages of several threads do not mix. */
static void log_write(const char *prefix, const char *fmt, va_list ap)
{
	const char *end = atomic_load(&log_raw) ? "\r\n" : "\n";
	char text[LOG_LINE_MAX], out[LOG_LINE_MAX];
	const char *context = log_context ? log_context() : "";
	int saved_errno = errno;
	size_t at = 0;

	vsnprintf(text, sizeof(text), fmt, ap);
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");

		at = log_append(out, at, "minivmm: ", strlen("minivmm: "));
		at = log_append(out, at, context, strlen(context));
		at = log_append(out, at, prefix, strlen(prefix));
		at = log_append(out, at, line, n);
		at = log_append(out, at, end, strlen(end));
		line += n + (line[n] == '\n');
	}
	log_bytes(out, at);
	errno = saved_errno;
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write("", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write("warning: ", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (!atomic_load(&log_verbose))
		return;
	va_start(ap, fmt);
	log_write("", fmt, ap);
	va_end(ap);
}
