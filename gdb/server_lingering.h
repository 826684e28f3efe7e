/*
 * Sockets that are over. Closing one at once can take back what was sent
 * last, and makes the client's next write fail before it has read; so the
 * client gets an end of file and a while to close its side. The server's
 * thread only.
 */
#ifndef GDB_SERVER_LINGERING_H
#define GDB_SERVER_LINGERING_H

#include <stdint.h>

#define LINGER_MAX 8 /* the oldest makes room */
#define LINGER_MS  1000

struct lingering {
	struct {
		int fd;		  /* -1: none */
		int64_t deadline; /* ms, monotonic */
	} slot[LINGER_MAX];
};

void lingering_init(struct lingering *l);
void lingering_add(struct lingering *l, int fd, int64_t now);
/* slot i polls readable: what the client sends is discarded, until it ends. */
void lingering_ready(struct lingering *l, int i);
/* Closes those whose time is over; the earliest deadline of the others, INT64_MAX if there is none. */
int64_t lingering_expire(struct lingering *l, int64_t now);
void lingering_close(struct lingering *l);

#endif
