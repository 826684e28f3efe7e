#include "gdb/knock.h"

#include <string.h>

#include "gdb/packet.h"
#include "gdb/session.h"

#define SUM_DIGITS 2
#define FRAME_MAX  (2 * GDB_PACKET_MAX + 2 + SUM_DIGITS) /* every byte escaped */

void gdb_knock_free(struct gdb_knock *k)
{
	gdb_buf_free(&k->held);
	k->sum_left = 0;
}

enum gdb_knock_event gdb_knock_input(struct gdb_knock *k, const uint8_t *data, size_t n)
{
	static const uint8_t between[] = {'+', '-', GDB_INTERRUPT}; /* packets */

	for (size_t i = 0; i < n; i++) {
		if (data[i] == '$') {
			gdb_buf_reset(&k->held);
			k->sum_left = 0;
		} else if (!k->held.len) {
			if (k->strict && !memchr(between, data[i], sizeof(between)))
				return GDB_KNOCK_STRANGE;
			continue;
		}
		gdb_buf_putc(&k->held, (char)data[i]);
		if (k->held.len > FRAME_MAX || k->held.failed) {
			gdb_knock_free(k);
			return GDB_KNOCK_TOO_LONG;
		}
		if (data[i] == '#' && !k->sum_left) {
			k->sum_left = SUM_DIGITS;
		} else if (k->sum_left && !--k->sum_left) {
			gdb_buf_put(&k->held, data + i + 1, n - i - 1);
			return GDB_KNOCK_PACKET;
		}
	}
	return GDB_KNOCK_NOT_YET;
}
