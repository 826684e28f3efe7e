/*
 * Unix sockets that the machine's own user connects to: --gdb PATH and --serial unix:PATH. Mode 0600 from the moment
 * the name exists; and who connects has to be the user that we run as, or root, whatever was made of the mode since.
 * unix(7): SO_PEERCRED has the peer's effective user as it was at connect().
 */
#ifndef VMM_UNIX_SOCKET_H
#define VMM_UNIX_SOCKET_H

#include <stdint.h>

struct unix_socket {
	const char *what; /* "gdb", "serial": how messages begin; the caller's */
	int fd;		  /* listens, non-blocking; -1: not open */
	char *path;
	int made;	 /* the file, as vmm/broker.h calls it */
	int64_t told_ms; /* when a stranger was last told of; strangers must not fill the log */
};

/*
 * Main thread. 0, or -errno with one line logged and nothing left behind. A socket on which nobody listens is
 * replaced; one that is in use and any other file, links included, are refused.
 */
int unix_socket_open(struct unix_socket *s, const char *what, const char *path);
/* Unlinks it, unless somebody has put another file in its place. Harmless on one that is not open. */
void unix_socket_close(struct unix_socket *s);
/*
 * One thread at a time. The next connection (non-blocking), or -errno; -EAGAIN: none. One of another user is closed at
 * once, with one line logged a second at most, and is none.
 */
int unix_socket_accept(struct unix_socket *s);

#endif
