/*
 * The line to the debugger: opening it by its name on the command line, and
 * bytes in and out without ever blocking. Used by server.c only.
 */
#ifndef GDB_SERVER_LINE_H
#define GDB_SERVER_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

#include "vmm/unix_socket.h"

enum line_kind {
	LINE_UNIX,
	LINE_TCP,
	LINE_STDIO,
	LINE_CHARDEV,
};

/* One connection. A line without connections (stdio, a character device) is one itself, for as long as it is open. */
struct line_conn {
	int in, out; /* the same descriptor, but for stdio; -1: none */
	bool socket;
};

struct server_line {
	enum line_kind kind;
	int listen_fd;	       /* LINE_UNIX, LINE_TCP; else -1 */
	struct line_conn conn; /* LINE_STDIO, LINE_CHARDEV */
	struct unix_socket unix_socket;
	bool raw; /* LINE_CHARDEV: a terminal that was made raw; as it was before: */
	struct termios saved;
};

/* Main thread. 0, or -errno with one line logged and nothing left behind. */
int line_open(struct server_line *l, const char *spec);
void line_close(struct server_line *l);

/* The next connection, or -errno (-EAGAIN: none). */
int line_accept(struct server_line *l, struct line_conn *conn);
void line_conn_close(struct line_conn *conn);

/* Bytes done, 0 at the end of file, -EAGAIN where it would block, or -errno. Never blocks, never raises SIGPIPE
 * towards a socket (elsewhere the caller's thread has it blocked). */
ssize_t line_read(const struct line_conn *conn, void *buf, size_t n);
ssize_t line_write(const struct line_conn *conn, const void *buf, size_t n);

#endif
