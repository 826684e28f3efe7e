/* A client that talks to a session over the fake target: one packet out, its reply decoded. */
#ifndef TESTS_UNIT_SESSION_DRIVER_H
#define TESTS_UNIT_SESSION_DRIVER_H

#include <stdlib.h>

#include "gdb/hex.h"
#include "gdb/packet.h"
#include "gdb/session.h"
#include "tests/unit/fake_target.h"
#include "tests/unit/tap.h"

struct driver {
	struct fake fake;
	struct gdb_target target;
	struct gdb_session *s;
	struct gdb_buf out;  /* raw, of the last call */
	struct gdb_buf text; /* the decoded packets of it, '|' between them */
};

static struct driver d;

/* Raw output -> text. Acks show as '+' and '-'. */
static const char *driver_decode(void)
{
	struct gdb_decoder dec = {.max = 4 * GDB_PACKET_MAX};
	bool first = true;

	gdb_buf_reset(&d.text);
	for (size_t i = 0; i < d.out.len; i++) {
		switch (gdb_decoder_byte(&dec, d.out.data[i])) {
		case GDB_PACKET_READY:
			if (!first)
				gdb_buf_putc(&d.text, '|');
			first = false;
			gdb_buf_put(&d.text, dec.data.data, dec.data.len);
			break;
		case GDB_PACKET_ACK:
			gdb_buf_putc(&d.text, '+');
			break;
		case GDB_PACKET_NAK:
			gdb_buf_putc(&d.text, '-');
			break;
		case GDB_PACKET_NONE:
			break;
		default:
			gdb_buf_puts(&d.text, "<broken output>");
		}
	}
	gdb_buf_free(&dec.data);
	gdb_buf_putc(&d.text, '\0');
	gdb_buf_reset(&d.out);
	/* No reply at all is not the same as an empty one. */
	return first && d.text.len == 1 ? NULL : (const char *)d.text.data;
}

static const char *driver_raw(const void *bytes, size_t n)
{
	gdb_session_input(d.s, bytes, n, &d.out);
	return driver_decode();
}

TAP_UNUSED static const char *driver_bytes(const char *text)
{
	return driver_raw(text, strlen(text));
}

static const char *driver_send(const void *payload, size_t n)
{
	struct gdb_buf frame = {0};
	const char *reply;

	gdb_packet_encode(&frame, payload, n);
	reply = driver_raw(frame.data, frame.len);
	gdb_buf_free(&frame);
	return reply;
}

static const char *ask(const char *payload)
{
	return driver_send(payload, strlen(payload));
}

static const char *stop(struct gdb_stop st)
{
	gdb_session_stopped(d.s, &st, &d.out);
	return driver_decode();
}

TAP_UNUSED static const char *stop_signal(int cpu, int signo)
{
	return stop((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .cpu = cpu, .signo = signo});
}

/* A session that has stopped for its client, in NoAck mode; features as in qSupported, or NULL. */
TAP_UNUSED static void driver_start(const char *features)
{
	d.target = fake_target(&d.fake);
	d.s = gdb_session_new(&d.target);
	stop((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signo = 2});
	ask("QStartNoAckMode");
	if (features)
		ask(features);
}

static void driver_end(void)
{
	gdb_session_free(d.s);
	d.s = NULL;
	gdb_buf_free(&d.out);
	gdb_buf_free(&d.text);
}

#define GDB_OLD "qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+"
#define GDB_NEW "qSupported:swbreak+;hwbreak+;error-message+"

#endif
