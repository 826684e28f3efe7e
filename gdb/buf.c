#include "gdb/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN 256

void gdb_buf_free(struct gdb_buf *b)
{
	free(b->data);
	*b = (struct gdb_buf){0};
}

void gdb_buf_reset(struct gdb_buf *b)
{
	b->len = 0;
	b->failed = false;
}

static bool buf_reserve(struct gdb_buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : BUF_MIN;
	uint8_t *data;

	if (b->failed)
		return false;
	if (n <= b->cap - b->len)
		return true;
	while (cap - b->len < n) {
		if (cap > SIZE_MAX / 2) {
			b->failed = true;
			return false;
		}
		cap *= 2;
	}
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

uint8_t *gdb_buf_extend(struct gdb_buf *b, size_t n)
{
	if (!buf_reserve(b, n))
		return NULL;
	b->len += n;
	return b->data + b->len - n;
}

void gdb_buf_put(struct gdb_buf *b, const void *data, size_t n)
{
	if (!n || !buf_reserve(b, n))
		return;
	memcpy(b->data + b->len, data, n);
	b->len += n;
}

void gdb_buf_putc(struct gdb_buf *b, char c)
{
	if (b->len == b->cap && !buf_reserve(b, 1))
		return;
	if (b->failed)
		return;
	b->data[b->len++] = (uint8_t)c;
}

void gdb_buf_puts(struct gdb_buf *b, const char *s)
{
	gdb_buf_put(b, s, strlen(s));
}

void gdb_buf_printf(struct gdb_buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	/* vsnprintf wants room for a terminator, which is not part of the contents. */
	if (n >= 0 && buf_reserve(b, (size_t)n + 1)) {
		vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	} else {
		b->failed = true;
	}
	va_end(again);
	va_end(ap);
}

void gdb_buf_consume(struct gdb_buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (!n)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
}
