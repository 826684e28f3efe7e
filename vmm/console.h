/*
 * The host side of the guest's serial port: --serial stdio|null|pty|file:PATH|unix:PATH.
 *
 * One thread owns the host's file descriptors and sleeps in poll() when there is nothing to do. Output goes through
 * a ring: a vCPU never blocks on it. A slow reader fills the ring, which the guest sees as a busy transmitter. While
 * a reader makes no progress for a second, or is not there (unix, pty), the ring keeps the newest 64 KiB instead and
 * shows them to who reads next. A closed standard output ends output, the end of standard input only input. unix: a
 * socket of mode 0600 that serves one client at a time and refuses a second one.
 *
 * stdio on a terminal is raw (output processing stays on) while we are in its foreground, with an escape key: Ctrl-a x
 * ends, Ctrl-a b breaks into the debugger, Ctrl-a h helps, Ctrl-a Ctrl-a sends Ctrl-a. The terminal is restored on
 * every way out (console_restore_tty() is async-signal-safe for fatal signals). SIGTSTP/SIGCONT keep it right. Flags
 * of standard streams, which others share, are never changed.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include "devices/chardev.h"

struct console;

struct console_hooks {
	void (*quit)(void *ctx);	/* Ctrl-a x. Console thread */
	void (*debug_break)(void *ctx); /* Ctrl-a b. Console thread */
	void *ctx;
};

/*
 * Main thread. spec as on the command line. 0 or -errno with one line logged (what cannot be opened and why; a unix
 * path that is no socket is refused, a stale socket replaced); nothing left behind on failure. pty: the name of the
 * slave is logged with log_error's stream but no prefix: "serial: /dev/pts/N".
 */
int console_open(struct console **out, const char *spec, const struct console_hooks *hooks);
struct char_backend console_backend(struct console *c);
/* Main thread. Connect the UART: before console_start, or after console_disconnect. */
void console_connect(struct console *c, const struct char_frontend *frontend);
/*
 * Any thread but the console's own. Waits until what the guest has written is with its reader: for 1 s at most, and not
 * for a reader that is not there or has stalled. Others may go on writing.
 */
void console_flush(struct console *c);
/*
 * Main thread. When it returns nobody is inside of the UART, and nobody will call it. What it wrote stays, its FIFO
 * is emptied as console_flush() does.
 */
void console_disconnect(struct console *c);
int console_start(struct console *c); /* create the thread, make the terminal raw */
/* Main thread, vCPUs have ended: flush the ring (bounded, 1 s), stop and join the thread, restore, unlink, free. NULL
 * ok. */
void console_close(struct console *c);
void console_restore_tty(void);

#endif
