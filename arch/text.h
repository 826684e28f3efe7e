/* Text put together piece by piece in a buffer of fixed size; what does not fit is cut off. */
#ifndef ARCH_TEXT_H
#define ARCH_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct text {
	char *buf;
	size_t len, at; /* at >= len: it is full */
};

__attribute__((format(printf, 2, 3))) static inline void text_put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->at >= t->len)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->at, t->len - t->at, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->at += (size_t)n;
}

#endif
