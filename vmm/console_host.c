/* What --serial names: opening it, and reading, writing and losing what is at its other end. */
#include "vmm/console_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/log.h"

#define PTY_DRAIN_US	2000
#define PTY_DRAIN_TRIES 250
#define SHARED_CHUNK	256 /* of one write to a blocking terminal: what it has room for when it polls writable */

/* ---- stdio ---- */

/*
 * Standard streams are shared with whoever started us, so O_NONBLOCK must not be set on them; a pipe or a device
 * opened a second time has flags of its own. Returns fd itself where that cannot be done.
 */
static int reopen_nonblock(struct console *c, int fd, int flags)
{
	char name[32];
	int own;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	own = open(name, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own >= 0)
		return own;
	c->may_stick = true;
	return fd;
}

static void open_stdin(struct console *c)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st))
		return; /* closed: no input */
	c->in_fd = STDIN_FILENO;
	c->in_socket = S_ISSOCK(st.st_mode);
	c->in_tty = isatty(STDIN_FILENO);
	if (!c->in_socket && !S_ISREG(st.st_mode))
		c->in_fd = reopen_nonblock(c, STDIN_FILENO, O_RDONLY);
	if (c->in_tty)
		console_tty_open(c->in_fd, c->doorbell);
}

static void open_stdout(struct console *c)
{
	struct stat st;

	if (fstat(STDOUT_FILENO, &st)) {
		c->discard = true;
		return;
	}
	c->out_fd = STDOUT_FILENO;
	if (S_ISSOCK(st.st_mode)) {
		c->write_mode = WRITE_SOCKET;
	} else if (!S_ISREG(st.st_mode)) {
		c->out_fd = reopen_nonblock(c, STDOUT_FILENO, O_WRONLY);
		if (c->out_fd == STDOUT_FILENO)
			c->write_mode = WRITE_SHARED;
	}
}

/* ---- pty ---- */

/* The slave starts raw, so that nothing is echoed back before somebody opens it. Returns it, or -errno. */
static int open_slave(const char *name)
{
	int fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios t;

	if (fd < 0)
		return -errno;
	if (!tcgetattr(fd, &t)) {
		cfmakeraw(&t);
		tcsetattr(fd, TCSANOW, &t);
	}
	return fd;
}

static int open_pty(struct console *c)
{
	char name[64];
	int err;

	c->base_fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (c->base_fd < 0 || grantpt(c->base_fd) || unlockpt(c->base_fd)) {
		err = -errno;
		log_error("serial: cannot make a pseudo-terminal: %s", strerror(-err));
		return err;
	}
	err = -ptsname_r(c->base_fd, name, sizeof(name));
	if (!err)
		c->slave_fd = open_slave(name);
	if (err || c->slave_fd < 0) {
		err = err ? err : c->slave_fd;
		c->slave_fd = -1;
		log_error("serial: cannot open the pseudo-terminal's other end: %s", strerror(-err));
		return err;
	}
	/*
	 * A master whose slave is closed polls POLLHUP for ever, and poll() cannot wait for its end: inotify tells when
	 * the slave is opened. Where there is no inotify the slave stays open, and nobody being there looks like a
	 * reader that does not read.
	 */
	c->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (c->watch_fd >= 0 && inotify_add_watch(c->watch_fd, name, IN_OPEN) >= 0) {
		close(c->slave_fd);
		c->slave_fd = -1;
		c->lossy = true;
	} else {
		c->in_fd = c->out_fd = c->base_fd;
	}
	dprintf(STDERR_FILENO, "serial: %s\n", name);
	return 0;
}

static void pty_opened(struct console *c)
{
	char events[512];

	while (read(c->watch_fd, events, sizeof(events)) > 0)
		;
	c->in_fd = c->base_fd;
	c->hung_up = false;
	if (c->out_fd < 0) {
		c->out_fd = c->base_fd;
		console_reader_came(c);
	}
}

/* Closing the master throws away what the slave's reader has not read yet: give it a moment. */
static void pty_drain(struct console *c)
{
	int queued = 1;

	if (c->slave_fd < 0)
		c->slave_fd = ioctl(c->base_fd, TIOCGPTPEER, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	for (int i = 0; i < PTY_DRAIN_TRIES && c->slave_fd >= 0; i++) {
		if (!ioctl(c->slave_fd, FIONREAD, &queued) && !queued)
			break;
		usleep(PTY_DRAIN_US);
	}
}

/* ---- file ---- */

static int open_file(struct console *c, const char *path)
{
	struct stat st;
	int err;

	c->out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	if (c->out_fd < 0) {
		err = -errno;
		log_error("serial: cannot open %s: %s%s", path, strerror(-err),
			err == -ENXIO ? " (a pipe needs its reader first)" : "");
		return err;
	}
	if (!fstat(c->out_fd, &st) && S_ISSOCK(st.st_mode))
		c->write_mode = WRITE_SOCKET;
	return 0;
}

/* ---- unix ---- */

static int open_unix(struct console *c, const char *path)
{
	c->write_mode = WRITE_SOCKET;
	c->in_socket = true;
	c->lossy = true;
	return unix_socket_open(&c->socket, "serial", path);
}

static void unix_accept(struct console *c)
{
	static const char busy[] = "minivmm: the serial port has another client\r\n";
	int fd = unix_socket_accept(&c->socket);

	if (fd < 0) {
		c->no_accept = fd != -EAGAIN;
		if (c->no_accept && !c->accept_told)
			log_warn("serial: cannot accept a client: %s", strerror(-fd));
		c->accept_told |= c->no_accept;
		return;
	}
	c->accept_told = false;
	if (c->out_fd >= 0) {
		send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
		return;
	}
	if (c->base_fd >= 0) /* the last one has gone, only what it sent is left */
		close(c->base_fd);
	c->base_fd = c->in_fd = c->out_fd = fd;
	c->hung_up = false;
	console_reader_came(c);
}

/* ---- for console.c ---- */

int console_host_open(struct console *c, const char *spec)
{
	c->in_fd = c->out_fd = c->watch_fd = c->base_fd = c->slave_fd = -1;
	if (!strcmp(spec, "null")) {
		c->kind = CONSOLE_NULL;
		c->discard = true;
		return 0;
	}
	if (!strcmp(spec, "stdio")) {
		c->kind = CONSOLE_STDIO;
		open_stdin(c);
		open_stdout(c);
		return 0;
	}
	if (!strcmp(spec, "pty")) {
		c->kind = CONSOLE_PTY;
		return open_pty(c);
	}
	if (!strncmp(spec, "file:", 5) && spec[5]) {
		c->kind = CONSOLE_FILE;
		return open_file(c, spec + 5);
	}
	if (!strncmp(spec, "unix:", 5) && spec[5]) {
		c->kind = CONSOLE_UNIX;
		return open_unix(c, spec + 5);
	}
	log_error("serial: %s: expected stdio, null, pty, file:PATH or unix:PATH", spec);
	return -EINVAL;
}

static void close_fd(int fd)
{
	if (fd > STDERR_FILENO)
		close(fd);
}

void console_host_close(struct console *c)
{
	if (c->in_tty)
		console_tty_close();
	if (c->kind == CONSOLE_PTY && c->out_fd >= 0)
		pty_drain(c);
	if (c->in_fd != c->base_fd)
		close_fd(c->in_fd);
	if (c->out_fd != c->in_fd && c->out_fd != c->base_fd)
		close_fd(c->out_fd);
	close_fd(c->base_fd);
	close_fd(c->slave_fd);
	close_fd(c->watch_fd);
	unix_socket_close(&c->socket);
}

void console_host_event(struct console *c)
{
	if (c->kind == CONSOLE_UNIX)
		unix_accept(c);
	else
		pty_opened(c);
}

ssize_t console_host_read(struct console *c, void *buf, size_t len)
{
	ssize_t n = c->in_socket ? recv(c->in_fd, buf, len, MSG_DONTWAIT) : read(c->in_fd, buf, len);

	if (n < 0 && c->in_tty && errno == EIO && !console_tty_refresh())
		return -EAGAIN; /* sent to the background in between */
	return n < 0 ? -errno : n;
}

/* The only place where the thread may be stuck for long: another writer may have used up the room. */
static ssize_t write_shared(int fd, const void *buf, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	ssize_t n;

	if (poll(&p, 1, 0) == 0)
		return -EAGAIN;
	n = write(fd, buf, len < SHARED_CHUNK ? len : SHARED_CHUNK);
	return n < 0 ? -errno : n;
}

ssize_t console_host_write(struct console *c, const void *buf, size_t len)
{
	ssize_t n;

	switch (c->write_mode) {
	case WRITE_SOCKET:
		n = send(c->out_fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case WRITE_SHARED:
		return write_shared(c->out_fd, buf, len);
	default:
		n = write(c->out_fd, buf, len);
		break;
	}
	return n < 0 ? -errno : n;
}

/* Both directions of a unix client have ended. */
static void unix_settle(struct console *c)
{
	if (c->in_fd >= 0 || c->out_fd >= 0 || c->base_fd < 0)
		return;
	close(c->base_fd);
	c->base_fd = -1;
}

void console_host_lost(struct console *c, int err)
{
	switch (c->kind) {
	case CONSOLE_PTY:
	case CONSOLE_UNIX:
		/* What it sent before is still read. */
		c->out_fd = -1;
		if (c->kind == CONSOLE_UNIX)
			unix_settle(c);
		console_reader_gone(c);
		break;
	default:
		log_warn("serial: %s; the guest's further output is dropped",
			err == EPIPE ? "the reader of the output has gone" : strerror(err));
		close_fd(c->out_fd);
		c->out_fd = -1;
		console_give_up_output(c);
		break;
	}
}

void console_host_eof(struct console *c)
{
	switch (c->kind) {
	case CONSOLE_UNIX:
		/* A client may close its sending side and go on reading. */
		c->in_fd = -1;
		unix_settle(c);
		break;
	case CONSOLE_PTY:
		c->in_fd = -1;
		if (c->out_fd >= 0)
			console_host_lost(c, EIO);
		break;
	default:
		if (c->in_tty)
			console_tty_close();
		c->in_tty = false;
		close_fd(c->in_fd);
		c->in_fd = -1;
		break;
	}
}
