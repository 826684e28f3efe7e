#include "gdb/hex.h"

#include <limits.h>
#include <string.h>

int gdb_hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Two digits a byte, together: bulk memory goes through here. */
#define PAIRS(high)                                                                                                    \
	high "0" high "1" high "2" high "3" high "4" high "5" high "6" high "7" high "8" high "9" high "a" high        \
	     "b" high "c" high "d" high "e" high "f"
static const char pairs[] = PAIRS("0") PAIRS("1") PAIRS("2") PAIRS("3") PAIRS("4") PAIRS("5") PAIRS("6") PAIRS("7")
	PAIRS("8") PAIRS("9") PAIRS("a") PAIRS("b") PAIRS("c") PAIRS("d") PAIRS("e") PAIRS("f");

void gdb_hex_put(struct gdb_buf *b, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint8_t *out = gdb_buf_extend(b, 2 * n);

	for (size_t i = 0; out && i < n; i++)
		memcpy(out + 2 * i, pairs + 2 * (size_t)p[i], 2);
}

bool gdb_cursor_eat(struct gdb_cursor *c, char ch)
{
	if (c->p == c->end || *c->p != (uint8_t)ch)
		return false;
	c->p++;
	return true;
}

bool gdb_cursor_prefix(struct gdb_cursor *c, const char *s)
{
	size_t n = strlen(s);

	if (gdb_cursor_left(c) < n || memcmp(c->p, s, n))
		return false;
	c->p += n;
	return true;
}

bool gdb_cursor_hex(struct gdb_cursor *c, uint64_t *out)
{
	const uint8_t *p = c->p;
	uint64_t v = 0;
	int d;

	for (; p < c->end && (d = gdb_hex_digit(*p)) >= 0; p++) {
		if (v >> 60)
			return false;
		v = v << 4 | (unsigned)d;
	}
	if (p == c->p)
		return false;
	c->p = p;
	*out = v;
	return true;
}

bool gdb_cursor_dec(struct gdb_cursor *c, uint64_t *out)
{
	const uint8_t *p = c->p;
	uint64_t v = 0;

	for (; p < c->end && *p >= '0' && *p <= '9'; p++) {
		unsigned d = (unsigned)(*p - '0');

		if (v > (UINT64_MAX - d) / 10)
			return false;
		v = v * 10 + d;
	}
	if (p == c->p)
		return false;
	c->p = p;
	*out = v;
	return true;
}

bool gdb_cursor_bytes(struct gdb_cursor *c, void *out, size_t n)
{
	uint8_t *to = out;

	if (gdb_cursor_left(c) / 2 < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = gdb_hex_digit(c->p[2 * i]), lo = gdb_hex_digit(c->p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		to[i] = (uint8_t)(hi << 4 | lo);
	}
	c->p += 2 * n;
	return true;
}

bool gdb_cursor_thread(struct gdb_cursor *c, int *id)
{
	struct gdb_cursor t = *c;
	uint64_t v;

	if (gdb_cursor_prefix(&t, "-1")) {
		*id = GDB_THREAD_ALL;
	} else if (gdb_cursor_hex(&t, &v) && v <= INT_MAX) {
		*id = (int)v;
	} else {
		return false;
	}
	*c = t;
	return true;
}
