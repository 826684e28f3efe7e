/* A line for `monitor`, and the text that comes back. */
#ifndef TESTS_UNIT_MONITOR_DRIVER_H
#define TESTS_UNIT_MONITOR_DRIVER_H

#include "tests/unit/session_driver.h"

static const char *monitor(const char *line)
{
	struct gdb_buf packet = {0};
	struct gdb_cursor c;
	static char text[65536];
	const char *reply;
	size_t n;

	gdb_buf_puts(&packet, "qRcmd,");
	gdb_hex_put(&packet, line, strlen(line));
	reply = driver_send(packet.data, packet.len);
	gdb_buf_free(&packet);
	if (!reply)
		return "(no reply)";
	n = strlen(reply) / 2;
	c = (struct gdb_cursor){(const uint8_t *)reply, (const uint8_t *)reply + strlen(reply)};
	if (n >= sizeof(text) || !gdb_cursor_bytes(&c, text, n))
		return reply;
	text[n] = '\0';
	return text;
}

#endif
