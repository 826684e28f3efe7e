/*
 * One client's session of the GDB remote protocol, sans-IO: bytes and events
 * in, bytes out. One thread at a time. No sockets, no clocks, no KVM.
 *
 * States:  ATTACHING  client is there, the machine has not stopped yet
 *          STOPPED    packets are answered
 *          RUNNING    only 0x03 means something; other packets wait until the stop, as far as there is room: what
 *                     is too long or too much is not acknowledged
 *          IDLE       extended mode, after k, D, W or X: there is nothing to debug until vRun or vAttach
 *          GONE       after k, D, W or X: output is still to be sent, input is ignored
 *
 * Output is bounded: a client that sends and does not read makes the session
 * hold its input back (gdb_session_backlog) until the caller has drained out.
 */
#ifndef GDB_SESSION_H
#define GDB_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdb/buf.h"
#include "gdb/target.h"

struct gdb_session;

/* Largest packet accepted and sent, announced as PacketSize. */
#define GDB_PACKET_MAX (128 * 1024)

struct gdb_session *gdb_session_new(const struct gdb_target *target); /* NULL: no memory */
void gdb_session_free(struct gdb_session *s);

/* Bytes from the client. Replies and acks are appended to out. Malformed input never ends the session. */
void gdb_session_input(struct gdb_session *s, const uint8_t *data, size_t n, struct gdb_buf *out);
/* The machine stopped or ended. */
void gdb_session_stopped(struct gdb_session *s, const struct gdb_stop *stop, struct gdb_buf *out);

/*
 * Some of the input waits for room in out. Read no more from the client; once out is drained, call
 * gdb_session_input(s, NULL, 0, out) to go on.
 */
bool gdb_session_backlog(const struct gdb_session *s);

/*
 * The line is one that does not hang up between clients (a serial line). There a qSupported in the middle of a
 * session is a new client: the session is then gone, and gdb_session_leftover() gives the bytes, that packet first,
 * with which to start the next one. False: nobody new is there.
 */
void gdb_session_set_persistent(struct gdb_session *s, bool persistent);
bool gdb_session_leftover(struct gdb_session *s, struct gdb_buf *bytes);

/* What to send to a client that cannot be served, before closing: gdb shows the text. */
void gdb_session_refusal(struct gdb_buf *out, const char *why);

bool gdb_session_replaced(const struct gdb_session *s); /* gone, because a new client is there */
bool gdb_session_gone(const struct gdb_session *s);	/* flush and close */
bool gdb_session_running(const struct gdb_session *s);

#endif
