/*
 * TAP for tests written in C. One test program is one translation unit that includes this; main() ends with
 * `return tap_done();`. Call from one thread. Every check returns whether it held, so that a test can give up early.
 *
 *	tap_ok(cond, fmt, ...)			the check's name is a printf format
 *	tap_is_u64(got, want, fmt, ...)
 *	tap_is_str(got, want, fmt, ...)		NULL is a value of its own
 *	tap_is_mem(got, want, len, fmt, ...)
 *	tap_skip(why, fmt, ...)			why names the missing thing
 *	tap_diag(fmt, ...)			a "# " line
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TAP_PRINTF(f, a) __attribute__((unused, format(printf, f, a)))
#define TAP_UNUSED	 __attribute__((unused))

static int tap_count, tap_failures;

#define tap_ok(cond, ...)		tap_ok_at(__FILE__, __LINE__, (cond), #cond, __VA_ARGS__)
#define tap_is_u64(got, want, ...)	tap_is_u64_at(__FILE__, __LINE__, (got), (want), __VA_ARGS__)
#define tap_is_str(got, want, ...)	tap_is_str_at(__FILE__, __LINE__, (got), (want), __VA_ARGS__)
#define tap_is_mem(got, want, len, ...) tap_is_mem_at(__FILE__, __LINE__, (got), (want), (len), __VA_ARGS__)

/* Names may come from format arguments: '#' would start a directive and a newline would end the line. */
static inline void tap_print_name(const char *fmt, va_list ap)
{
	char name[512];

	vsnprintf(name, sizeof(name), fmt, ap);
	for (char *c = name; *c; c++)
		putchar(*c == '#' ? '~' : *c == '\n' ? ' ' : *c);
}

TAP_PRINTF(3, 0) static inline bool tap_result(bool ok, const char *directive, const char *fmt, va_list ap)
{
	if (!ok)
		tap_failures++;
	printf("%sok %d - ", ok ? "" : "not ", ++tap_count);
	tap_print_name(fmt, ap);
	printf("%s\n", directive);
	return ok;
}

TAP_PRINTF(1, 2) static inline void tap_diag(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

TAP_PRINTF(5, 6)
static inline bool tap_ok_at(const char *file, int line, bool ok, const char *expr, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_result(ok, "", fmt, ap);
	va_end(ap);
	if (!ok)
		tap_diag("%s:%d: failed: %s", file, line, expr);
	fflush(stdout);
	return ok;
}

TAP_PRINTF(5, 6)
static inline bool tap_is_u64_at(const char *file, int line, uint64_t got, uint64_t want, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_result(got == want, "", fmt, ap);
	va_end(ap);
	if (got != want) {
		tap_diag("%s:%d:  got %" PRIu64 " (0x%" PRIx64 ")", file, line, got, got);
		tap_diag("%s:%d: want %" PRIu64 " (0x%" PRIx64 ")", file, line, want, want);
	}
	fflush(stdout);
	return got == want;
}

TAP_PRINTF(5, 6)
static inline bool tap_is_str_at(const char *file, int line, const char *got, const char *want, const char *fmt, ...)
{
	bool same = got && want ? !strcmp(got, want) : got == want;
	va_list ap;

	va_start(ap, fmt);
	tap_result(same, "", fmt, ap);
	va_end(ap);
	if (!same) {
		tap_diag("%s:%d:  got %s%s%s", file, line, got ? "\"" : "", got ? got : "NULL", got ? "\"" : "");
		tap_diag("%s:%d: want %s%s%s", file, line, want ? "\"" : "", want ? want : "NULL", want ? "\"" : "");
	}
	fflush(stdout);
	return same;
}

TAP_PRINTF(6, 7)
static inline bool tap_is_mem_at(
	const char *file, int line, const void *got, const void *want, size_t len, const char *fmt, ...)
{
	const uint8_t *g = got, *w = want;
	size_t i = 0;
	va_list ap;

	while (i < len && g[i] == w[i])
		i++;
	va_start(ap, fmt);
	tap_result(i == len, "", fmt, ap);
	va_end(ap);
	if (i < len)
		tap_diag("%s:%d: byte %zu of %zu: got 0x%02x, want 0x%02x", file, line, i, len, g[i], w[i]);
	fflush(stdout);
	return i == len;
}

TAP_PRINTF(2, 3) static inline void tap_skip(const char *why, const char *fmt, ...)
{
	char directive[256];
	va_list ap;

	snprintf(directive, sizeof(directive), " # SKIP %s", why);
	va_start(ap, fmt);
	tap_result(true, directive, fmt, ap);
	va_end(ap);
	fflush(stdout);
}

/* Prints the plan. The exit status of the program: 0 when every check held and there was one. */
TAP_UNUSED static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	if (tap_failures)
		tap_diag("%d of %d failed", tap_failures, tap_count);
	fflush(stdout);
	return tap_failures || !tap_count;
}

#endif
