/* A growing byte buffer with a sticky error: append freely, check once. One thread at a time. */
#ifndef GDB_BUF_H
#define GDB_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gdb_buf {
	uint8_t *data;
	size_t len, cap;
	bool failed; /* memory ran out: contents are incomplete */
};

void gdb_buf_free(struct gdb_buf *b);
void gdb_buf_reset(struct gdb_buf *b); /* len = 0, failed = false; memory kept */
/* n more bytes at the end, for the caller to fill; NULL: no memory, and failed is set. */
uint8_t *gdb_buf_extend(struct gdb_buf *b, size_t n);
void gdb_buf_put(struct gdb_buf *b, const void *data, size_t n);
void gdb_buf_putc(struct gdb_buf *b, char c);
void gdb_buf_puts(struct gdb_buf *b, const char *s);
void gdb_buf_printf(struct gdb_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void gdb_buf_consume(struct gdb_buf *b, size_t n); /* drop n bytes from the front */

#endif
