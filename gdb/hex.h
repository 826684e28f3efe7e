/*
 * Hex digits and a bounded cursor over a packet's bytes. Everything that
 * parses foreign bytes goes through the cursor: it never reads past the end
 * and a failed parse leaves it where it was. No allocation, any thread.
 */
#ifndef GDB_HEX_H
#define GDB_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdb/buf.h"

struct gdb_cursor {
	const uint8_t *p, *end;
};

int gdb_hex_digit(uint8_t c); /* 0..15, or -1 */
/* Two digits for each byte. */
void gdb_hex_put(struct gdb_buf *b, const void *data, size_t n);

static inline size_t gdb_cursor_left(const struct gdb_cursor *c)
{
	return (size_t)(c->end - c->p);
}

static inline bool gdb_cursor_done(const struct gdb_cursor *c)
{
	return c->p == c->end;
}

bool gdb_cursor_eat(struct gdb_cursor *c, char ch);
bool gdb_cursor_prefix(struct gdb_cursor *c, const char *s);
/* 1 to 16 significant digits, leading zeros beyond that allowed; false on none or on overflow. */
bool gdb_cursor_hex(struct gdb_cursor *c, uint64_t *out);
/* The same as a decimal number. */
bool gdb_cursor_dec(struct gdb_cursor *c, uint64_t *out);
/* Exactly 2 * n digits into n bytes. */
bool gdb_cursor_bytes(struct gdb_cursor *c, void *out, size_t n);

/*
 * Thread ids are cpu + 1. GDB_THREAD_ALL: -1; GDB_THREAD_ANY: 0. False on anything else that is no positive int.
 */
#define GDB_THREAD_ALL (-1)
#define GDB_THREAD_ANY 0
bool gdb_cursor_thread(struct gdb_cursor *c, int *id);

#endif
