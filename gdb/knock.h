/*
 * Before there is a session: a machine stops for who has said a whole packet, not for noise, for half a packet or for
 * one that only looks whether somebody is there. Sans-IO; one thread at a time.
 */
#ifndef GDB_KNOCK_H
#define GDB_KNOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdb/buf.h"

/* Zero-initialise. */
struct gdb_knock {
	struct gdb_buf held; /* the packet from its '$' on; GDB_KNOCK_PACKET: and all that came behind it */
	unsigned sum_left;   /* bytes of the checksum that are still to come */
	/*
	 * What no debugger says first is told of and not skipped: a browser, which web pages can send to loopback, or
	 * another program that has the wrong port. On a serial line it is noise. Set by the caller.
	 */
	bool strict;
};

enum gdb_knock_event {
	GDB_KNOCK_NOT_YET,
	GDB_KNOCK_PACKET,   /* held is the first input of a session, its checksum not looked at; free it */
	GDB_KNOCK_STRANGE,  /* strict: neither a packet nor an ack nor Ctrl-C */
	GDB_KNOCK_TOO_LONG, /* what has begun is longer than any packet, and dropped */
};

enum gdb_knock_event gdb_knock_input(struct gdb_knock *k, const uint8_t *data, size_t n);
void gdb_knock_free(struct gdb_knock *k); /* nothing is held */

#endif
