/*
 * Framing: `$payload#cs`, escapes, run-length encoding, acknowledgements.
 * GDB manual, "Remote Protocol", sections Overview and Packet
 * Acknowledgment. Sans-IO; one thread at a time.
 */
#ifndef GDB_PACKET_H
#define GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdb/buf.h"

#define GDB_INTERRUPT 0x03

/* ---- decoding ---- */

enum gdb_packet_event {
	GDB_PACKET_NONE,     /* go on */
	GDB_PACKET_READY,    /* payload in dec->data: unescaped and expanded; valid until the next byte */
	GDB_PACKET_BAD,	     /* the checksum is wrong */
	GDB_PACKET_TOO_LONG, /* well formed, but the payload did not fit and is lost */
	GDB_PACKET_ACK,
	GDB_PACKET_NAK,
	GDB_PACKET_BREAK, /* 0x03 outside of a packet */
};

struct gdb_decoder {
	enum { DEC_IDLE, DEC_DATA, DEC_ESCAPE, DEC_REPEAT, DEC_SUM1, DEC_SUM2 } state;
	uint8_t sum, want;
	bool malformed, too_long;
	size_t max; /* largest payload */
	struct gdb_buf data;
};

/* Zero-initialise, then set max. Bytes outside of a packet that mean nothing are skipped; a '$' always starts anew. */
enum gdb_packet_event gdb_decoder_byte(struct gdb_decoder *dec, uint8_t c);

/* ---- encoding ---- */

/* Appends payload as one packet. Bytes that must be are escaped, and runs are shortened; any bytes may be in it. */
void gdb_packet_encode(struct gdb_buf *out, const void *payload, size_t n);

/* ---- acknowledgements ---- */

/*
 * What was sent and is not acknowledged yet, oldest first. Towards a client that has acknowledged something before,
 * one packet is on its way at a time; one that never does (scripts) gets all at once.
 */
struct gdb_link {
	bool noack;
	bool acks_seen;
	struct gdb_buf frames; /* for each: size_t length, bytes */
	size_t head;	       /* of the oldest frame in it */
	unsigned emitted;      /* frames, from the head, that were put out at least once */
};

void gdb_link_free(struct gdb_link *l);
void gdb_link_send(struct gdb_link *l, struct gdb_buf *out, const void *payload, size_t n);
void gdb_link_ack(struct gdb_link *l, struct gdb_buf *out);
void gdb_link_nak(struct gdb_link *l, struct gdb_buf *out);
/* A new packet came: the client has seen what it waited for. Puts out what is still held back and forgets all. */
void gdb_link_settle(struct gdb_link *l, struct gdb_buf *out);

#endif
