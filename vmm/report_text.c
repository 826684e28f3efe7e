#include "vmm/report_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices/calendar.h"
#include "vmm/printable.h"
#include "vmm/signals.h"

#define PRINTF_MAX     256
#define YEARS_9999_END 253402300800 /* 10000-01-01, Unix time: behind it a year has five digits */
#define US_PER_S       1000000

/*
 * A signal that is to end us ends the wait for a reader, and only that: it may be blocked otherwise, since half a
 * report is none. A pipe that polls writable takes PIPE_BUF without blocking.
 */
static ssize_t write_some(int fd, const char *data, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	sigset_t none;
	ssize_t done;

	sigemptyset(&none);
	if (ppoll(&p, 1, NULL, &none) < 0)
		return -errno;
	done = write(fd, data, n < PIPE_BUF ? n : PIPE_BUF);
	return done < 0 ? -errno : done;
}

void report_flush(struct report_out *o)
{
	size_t done = 0;

	while (!o->error && done < o->used) {
		ssize_t n = write_some(o->fd, o->buf + done, o->used - done);

		if (n >= 0)
			done += (size_t)n;
		else if (n != -EAGAIN && (n != -EINTR || signals_caught())) /* EAGAIN: another writer was quicker */
			o->error = (int)n;
	}
	o->used = 0;
}

void report_put(struct report_out *o, const char *text, size_t n)
{
	while (n && !o->error) {
		size_t part = n < REPORT_BUFFER - o->used ? n : REPORT_BUFFER - o->used;

		memcpy(o->buf + o->used, text, part);
		o->used += part;
		text += part;
		n -= part;
		if (o->used == REPORT_BUFFER)
			report_flush(o);
	}
}

void report_puts(struct report_out *o, const char *text)
{
	report_put(o, text, strlen(text));
}

void report_printf(struct report_out *o, const char *fmt, ...)
{
	char text[PRINTF_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report_puts(o, text);
}

static void put_unicode(struct report_out *o, uint32_t c)
{
	if (c >= 0x10000) {
		/* RFC 8259, 7: a surrogate pair */
		report_printf(o, "\\u%04x", (unsigned)(0xd7c0 + (c >> 10)));
		c = 0xdc00 | (c & 0x3ff);
	}
	report_printf(o, "\\u%04x", (unsigned)c);
}

/* The carriage returns here that a newline follows. */
static size_t line_end(const char *text, size_t n)
{
	size_t i = 0;

	while (i < n && text[i] == '\r')
		i++;
	return i < n && text[i] == '\n' ? i : 0;
}

/* The piece of len bytes at text. */
static void put_glyph(
	struct report_out *o, const struct report_syntax *s, const char *text, size_t len, enum glyph kind, uint32_t c)
{
	char escaped[GLYPH_ESCAPED_MAX];

	if (kind != GLYPH_BYTE && c < 128 && s->special[c])
		report_puts(o, s->special[c]);
	else if (kind == GLYPH_PLAIN)
		report_put(o, text, len);
	else if (kind == GLYPH_HIDDEN && s->unicode)
		put_unicode(o, c);
	else
		report_put(o, escaped, glyph_escape(escaped, text, len, s->backslash));
}

void report_text(struct report_out *o, const struct report_syntax *s, const char *text, size_t n)
{
	size_t defused = s->defuse ? strlen(s->defuse) : 0;
	enum glyph kind;
	uint32_t c;

	for (size_t len; n && !o->error; text += len, n -= len) {
		if (s->plain_lines && *text == '\r') {
			len = line_end(text, n);
			if (len)
				continue;
		}
		len = glyph_next(text, n, &kind, &c);
		if (defused && *text == *s->defuse && n >= defused && !memcmp(text, s->defuse, defused))
			kind = GLYPH_BYTE;
		put_glyph(o, s, text, len, kind, c);
		if (*text == '\n' && s->line && n > len)
			report_puts(o, s->line);
	}
}

void report_string(struct report_out *o, const struct report_syntax *s, const char *text, size_t max)
{
	report_text(o, s, text, strnlen(text, max));
}

void report_reason(struct report_out *o, const struct report_syntax *s, const struct result *r)
{
	size_t n;
	const char *text = result_reason(r, &n);

	report_text(o, s, text, n);
}

void report_name(struct report_out *o, const struct report_syntax *s, const struct result *r)
{
	report_string(o, s, r->name[0] ? r->name : "run", sizeof(r->name));
}

void report_seconds(struct report_out *o, uint64_t us)
{
	report_printf(o, "%" PRIu64 ".%06u", us / US_PER_S, (unsigned)(us % US_PER_S));
}

void report_time(struct report_out *o, int64_t unix_time)
{
	unsigned s = (unsigned)(unix_time % CALENDAR_DAY_S);
	int year, month, day;

	calendar_from_days(unix_time / CALENDAR_DAY_S, &year, &month, &day);
	report_printf(o, "%04d-%02d-%02dT%02u:%02u:%02u", year, month, day, s / 3600, s / 60 % 60, s % 60);
}

bool report_began(const struct result *r)
{
	return r->began > 0 && r->began < YEARS_9999_END;
}

size_t report_goals(const struct result *r)
{
	return r->ngoals < RESULT_GOALS_MAX ? r->ngoals : RESULT_GOALS_MAX;
}

size_t report_times(const struct result_goal *goal)
{
	return goal->count < RESULT_TIMES_MAX ? goal->count : RESULT_TIMES_MAX;
}

size_t report_evidence(const struct result *r)
{
	return r->text_len < sizeof(r->text) ? r->text_len : sizeof(r->text);
}

size_t report_serial(const struct result *r)
{
	return r->serial_len < sizeof(r->serial) ? r->serial_len : sizeof(r->serial);
}

struct report_totals report_totals(const struct result *const *results, size_t n)
{
	struct report_totals t = {.began = 0};

	for (size_t i = 0; i < n; i++) {
		t.outcome[result_outcome(results[i])]++;
		t.duration_us += results[i]->duration_us;
		if (report_began(results[i]) && (!t.began || results[i]->began < t.began))
			t.began = results[i]->began;
	}
	return t;
}
