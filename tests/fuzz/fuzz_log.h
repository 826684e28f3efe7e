/* The log of a fuzzed program: messages are counted and looked at, and go nowhere. */
#ifndef TESTS_FUZZ_LOG_H
#define TESTS_FUZZ_LOG_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"

static unsigned errors;	      /* logged so far */
static char last_error[8192]; /* its text */

/* One message, one line. */
static void check_line(char *text, size_t size, const char *fmt, va_list ap)
{
	vsnprintf(text, size, fmt, ap);
	if (!*text || strchr(text, '\n'))
		abort();
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	check_line(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
	errors++;
}

void log_warn(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	check_line(text, sizeof(text), fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	(void)fmt;
}

/* All of log.c, so that it is not linked. */
void log_set_verbose(bool on)
{
	(void)on;
}

void log_set_raw_tty(bool on)
{
	(void)on;
}

void log_set_context(const char *(*context)(void))
{
	(void)context;
}

#endif
