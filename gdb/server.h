/*
 * The stub's thread: owns the line to the debugger (unix socket, TCP, stdio
 * or a character device) and its event loop. Knows bytes, not packets.
 */
#ifndef GDB_SERVER_H
#define GDB_SERVER_H

#include <stdbool.h>

struct gdb_server;

/*
 * What the server serves: a session over some machine. All on the server's thread. fd/drain/pump connect the
 * machine's doorbell: when fd is readable the server calls drain, then pump, which hands every queued event to the
 * session.
 */
struct gdb_session;
struct gdb_buf;
struct gdb_service {
	void *ctx;
	int event_fd;
	struct gdb_session *(*open)(void *ctx);		 /* a client came: attach. NULL: refuse */
	void (*close)(void *ctx, struct gdb_session *s); /* it went (detached or died): the guest runs on, frees s */
	void (*pump)(void *ctx, struct gdb_session *s, struct gdb_buf *out); /* s is NULL when no client is there */
	bool (*wait_hot)(void *ctx, unsigned us); /* spin shortly for an event while stepping */
	void (*eof)(void *ctx);			  /* --gdb stdio only: the client's end was closed */
};

/*
 * Main thread. spec: path, ":PORT", "tcp:[HOST:]PORT", "stdio", "chardev:PATH". 0 or -errno with one line logged.
 * Unix sockets are as unix_socket.h has them. TCP binds to loopback unless HOST says otherwise, with a warning then.
 */
int gdb_server_open(struct gdb_server **out, const char *spec, const struct gdb_service *service);
int gdb_server_start(struct gdb_server *srv);
/* Main thread, after the EXITED event was posted: flush the last packet (bounded, 1 s), join, close, unlink, free. NULL
 * ok. */
void gdb_server_close(struct gdb_server *srv);

#endif
