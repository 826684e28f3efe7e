/*
 * Inside the console: console.c (ring, thread), console_input.c, console_host.c (what --serial names), console_tty.c
 * (terminal). Nobody else includes this.
 */
#ifndef VMM_CONSOLE_PRIV_H
#define VMM_CONSOLE_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/console.h"
#include "vmm/unix_socket.h"

#define RING_SIZE  65536 /* guest output on its way to the reader; what a late reader is shown */
#define INPUT_SIZE 65536 /* host input that the guest has not taken yet */
#define CHUNK_SIZE 4096	 /* of one write: a pipe that polls writable takes this much (PIPE_BUF) */

enum console_kind {
	CONSOLE_NULL,
	CONSOLE_STDIO,
	CONSOLE_PTY,
	CONSOLE_FILE,
	CONSOLE_UNIX,
};

/* How a descriptor is written to without being stuck in it. */
enum console_write_mode {
	WRITE_PLAIN,  /* our own non-blocking description, or a regular file */
	WRITE_SOCKET, /* per-call flags do it */
	WRITE_SHARED, /* a blocking description that others share: poll, then a little at a time */
};

/* The escape key's state machine. */
struct console_escape {
	bool armed; /* Ctrl-a was the last byte */
};

enum console_key {
	KEY_DATA, /* *byte is for the guest */
	KEY_NONE, /* swallowed */
	KEY_QUIT,
	KEY_BREAK,
	KEY_HELP,
};

struct console {
	enum console_kind kind;
	struct console_hooks hooks;
	pthread_mutex_t frontend_lock; /* held by the console's thread inside of the UART; never by a vCPU's */
	struct char_frontend frontend; /* under frontend_lock; feed is NULL while none is connected */
	pthread_t thread;
	bool started;
	int doorbell; /* eventfd that wakes the thread */

	/* Between vCPU threads and the console's; all under lock. */
	pthread_mutex_t lock;
	pthread_cond_t done_cond, flush_cond;
	uint8_t *ring;
	size_t head, count;
	size_t bell_at;	   /* a writer that fills the ring up to here rings; SIZE_MAX: nobody waits for it */
	bool bell_input;   /* want_input rings */
	bool input_wanted; /* want_input was called since the last feed began, or that one took all */
	bool refused;	   /* a write was turned away: drained() is owed */
	bool lossy;	   /* nobody reads: a full ring drops its oldest byte instead of refusing */
	bool discard;	   /* there is nowhere to write to, for good */
	bool flushed;	   /* nothing was written, or refused, since all of it was with the reader */
	unsigned flushers; /* threads that wait for flush_cond */
	int64_t stop_ms;   /* deadline of the last flush; 0: not stopping */
	bool done;

	/* The console thread's own (main thread's before it starts and after it ended). */
	int in_fd, out_fd; /* -1: nobody there, or that direction has ended */
	bool no_accept;	   /* no client can be had now: not to be looked at for a while */
	bool accept_told;  /* and that has been said */
	int watch_fd;	   /* pty: inotify, tells that the slave was opened */
	int base_fd;	   /* what in_fd and out_fd are copies of. pty: the master; unix: the client, or -1 */
	int slave_fd;	   /* pty without inotify: keeps the slave open, -1 otherwise */
	bool in_tty;	   /* in_fd is a terminal that has our escape key */
	bool in_socket;
	bool may_stick; /* in_fd or out_fd is a blocking description that others share */
	enum console_write_mode write_mode;
	bool hung_up;		 /* in_fd's other side is gone; what it sent before is still read */
	bool blocked;		 /* the reader takes no more now: wait for POLLOUT */
	int64_t progress_ms;	 /* when the reader last took something, or came */
	uint8_t out[CHUNK_SIZE]; /* taken out of the ring, not written yet */
	size_t out_at, out_len;
	uint8_t *in; /* INPUT_SIZE */
	size_t in_at, in_len;
	struct console_escape escape;

	struct unix_socket socket; /* unix */
};

/* console.c, console thread. */
void console_reader_came(struct console *c);	/* out_fd is new */
void console_reader_gone(struct console *c);	/* out_fd has become -1; another may come */
void console_give_up_output(struct console *c); /* out_fd has become -1 for good */

/* console_input.c, console thread. */
void console_push_input(struct console *c);  /* offer the guest what it has not taken yet */
bool console_reads(const struct console *c); /* is there room to read more? */
void console_read(struct console *c);	     /* in_fd is readable */

/* console_host.c. open: main thread, 0 or -errno, logged. The rest: console thread, or main when there is none. */
int console_host_open(struct console *c, const char *spec);
void console_host_close(struct console *c);
void console_host_event(struct console *c); /* listen_fd or watch_fd is readable */
/* Bytes done, or -errno; -EAGAIN: not now. read: 0 is the end. */
ssize_t console_host_read(struct console *c, void *buf, size_t len);
ssize_t console_host_write(struct console *c, const void *buf, size_t len);
void console_host_lost(struct console *c, int err); /* a write failed with that errno */
void console_host_eof(struct console *c);	    /* a read ended */

/* console_tty.c. One terminal per process: its state is global because signal handlers need it. */
void console_tty_open(int fd, int doorbell); /* main thread */
/* Console or main thread: raw if we are in the foreground and it is not raw yet. Returns whether we may read it. */
bool console_tty_refresh(void);
void console_tty_close(void); /* main thread; restores it */
/* What one byte from the keyboard means. */
enum console_key console_escape_key(struct console_escape *e, uint8_t *byte);
extern const char console_help[];

#endif
