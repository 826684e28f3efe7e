/*
 * What a session owes its client: a model of the protocol beside the session, made from the protocol's description and
 * the headers, with a decoder of its own. It is told each byte that goes in and each stop, and then all that came out;
 * whatever it did not expect ends the process with a line that says what was wrong.
 *
 *	every complete packet has one ack (none in no-ack mode), and one reply of a kind that this packet may have;
 *	a resume has none, exactly if the machine was resumed; while it runs nothing goes out but acks and vCtrlC's OK;
 *	one stop reply for each resume, which tells that stop; O packets only ahead of it or of qRcmd's reply;
 *	a packet that was refused, or that is unknown, has changed nothing;
 *	what is not acknowledged is repeated as it was.
 */
#ifndef TESTS_FUZZ_SESSION_ORACLE_H
#define TESTS_FUZZ_SESSION_ORACLE_H

/* What is covered is the session's code; this is looked at for each byte, and costs more than all of that. */
#define ORACLE_BEGIN _Pragma("clang attribute push(__attribute__((no_sanitize(\"coverage\"))), apply_to = function)")
#define ORACLE_END   _Pragma("clang attribute pop")

#include "gdb/buf.h"
#include "gdb/session.h"
#include "tests/fuzz/session_machine.h"

/* Packets, oldest first. */
struct packets {
	struct packet {
		uint8_t *data;
		size_t n;
	} * item;
	size_t head, n, cap;
};

void packets_push(struct packets *p, const uint8_t *data, size_t n);
bool packets_pop(struct packets *p, struct packet *out); /* out->data lives until packets_clear() */
static inline size_t packets_left(const struct packets *p)
{
	return p->n - p->head;
}
void packets_clear(struct packets *p);

/* The framing again, in another way: collects the raw bytes, and looks at them when all are there. */
struct frame_reader {
	struct gdb_buf raw, payload;
	enum { FRAME_NONE, FRAME_BODY, FRAME_SUM } state;
	char sum[3];
	unsigned nsum;
};

enum frame_event {
	FRAME_NOTHING,
	FRAME_PACKET,
	FRAME_BROKEN,
	FRAME_LONG,
	FRAME_ACK,
	FRAME_NAK,
	FRAME_BREAK,
	FRAME_JUNK
};
/* FRAME_PACKET: it is in r->payload until the next byte. */
enum frame_event frame_byte(struct frame_reader *r, uint8_t c);

enum oracle_state { ORACLE_ATTACHING, ORACLE_STOPPED, ORACLE_RUNNING, ORACLE_IDLE, ORACLE_GONE };

struct oracle {
	struct machine *m;
	bool persistent;
	/* The session as it should be. */
	enum oracle_state state;
	bool noack, extended, ended, starting, phys;
	bool greeted, since_greeting, replaced;
	bool resumed;	  /* since this client came, or the machine was made */
	bool interrupted; /* by a Ctrl-C that no stop has answered yet: the next resume does */
	bool swbreak, error_text, error_hex, suffix;
	struct gdb_stop last;
	struct frame_reader in;
	struct packets waiting; /* in order, not answered yet */
	size_t waiting_bytes;	/* of the session's own queue: how long it has grown */
	int interrupts;
	/* What has to come out next. */
	char ack;	     /* '+', '-' or 0 */
	bool owes_error;     /* for a packet that was broken */
	bool owes_ok;	     /* to vCtrlC while it runs */
	bool owes_repeat;    /* of what is not acknowledged */
	struct packets owed; /* these very packets, before any other */
	bool owes_stop;
	/* What came out. */
	struct frame_reader out;
	struct packets got;
	char acks[8];
	size_t nacks;
	bool acks_at_once; /* so does the client, before anything is settled */
	struct packets unacked;
	uint8_t reply[128]; /* the beginning of the last one */
	size_t nreply;
};

/* A new session, of a machine that has not stopped yet. */
void oracle_begin(struct oracle *o, struct machine *m, bool persistent);
void oracle_free(struct oracle *o);

void oracle_byte(struct oracle *o, uint8_t c);
void oracle_stop(struct oracle *o, const struct gdb_stop *stop);
/* What the session has put out since. */
void oracle_output(struct oracle *o, const struct gdb_buf *out);
/* The client has acknowledged that many more packets. */
void oracle_acknowledged(struct oracle *o);
/* That was all. */
void oracle_settle(struct oracle *o, const struct gdb_session *s);

/* The next packet that came out, if there is one; and that there has to be. */
bool oracle_peek(const struct oracle *o, struct packet *p);
struct packet oracle_take(struct oracle *o, const char *what);

/* Ends the process. */
void oracle_complain(const struct oracle *o, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
