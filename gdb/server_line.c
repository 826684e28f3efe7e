#include "gdb/server_line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/log.h"

#define BACKLOG 8

/* ---- unix sockets ---- */

/* 0: the path is free (now); -EADDRINUSE: somebody listens there; -EEXIST: it is no socket. */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, err = 0;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno != ECONNREFUSED)
		err = errno == ENOENT ? 0 : -EADDRINUSE;
	else if (unlink(addr->sun_path) < 0 && errno != ENOENT)
		err = -errno;
	close(fd);
	return err;
}

static const char *unix_error(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "another program listens there; end it, or name another path";
	case -EEXIST:
		return "the file exists and is no socket; name another path";
	case -ENOENT:
	case -ENOTDIR:
		return "no such folder";
	default:
		return strerror(-err);
	}
}

static int bind_private(int fd, const struct sockaddr_un *addr)
{
	/* Nobody but the owner may connect, from the moment the name exists. */
	mode_t old = umask(0177);
	int err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;

	umask(old);
	return err;
}

static int open_unix(struct server_line *l, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int err;

	l->kind = LINE_UNIX;
	if (!path[0] || strlen(path) >= sizeof(addr.sun_path)) {
		log_error(
			"gdb socket \"%s\": a path of 1 to %zu characters is needed", path, sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	err = remove_stale(&addr);
	if (err)
		goto fail;
	l->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->listen_fd < 0) {
		err = -errno;
		goto fail;
	}
	err = bind_private(l->listen_fd, &addr);
	if (err)
		goto fail;
	l->path = strdup(path);
	if (!l->path || lstat(path, &st) < 0 || listen(l->listen_fd, BACKLOG) < 0) {
		err = l->path ? -errno : -ENOMEM;
		unlink(path);
		goto fail;
	}
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return 0;
fail:
	log_error("gdb socket %s: %s", path, unix_error(err));
	return err;
}

/* ---- TCP ---- */

/* "[HOST:]PORT" into host (loopback if none) and port. */
static int parse_tcp(const char *spec, char *host, size_t size, unsigned *port)
{
	const char *colon = strrchr(spec, ':'), *digits = colon ? colon + 1 : spec;
	const char *from = spec;
	size_t len = colon ? (size_t)(colon - spec) : 0;

	*port = 0;
	for (const char *c = digits; *c; c++) {
		if (*c < '0' || *c > '9' || (*port = *port * 10 + (unsigned)(*c - '0')) > 65535)
			return -ERANGE;
	}
	if (!*port)
		return -ERANGE;
	if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
		from++;
		len -= 2;
	}
	if (!len || (len == 9 && !memcmp(from, "localhost", 9))) {
		from = "127.0.0.1";
		len = strlen(from);
	}
	if (len >= size)
		return -EINVAL;
	memcpy(host, from, len);
	host[len] = '\0';
	return 0;
}

/* Addresses are numbers here: a resolver would need its plug-ins at run time, which a static binary does not have. */
static int tcp_address(const char *host, unsigned port, struct sockaddr_storage *addr, socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)addr;

	memset(addr, 0, sizeof(*addr));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		*len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		*len = sizeof(*v6);
		return 0;
	}
	return -EINVAL;
}

static int open_tcp(struct server_line *l, const char *spec)
{
	struct sockaddr_storage addr;
	char host[INET6_ADDRSTRLEN];
	socklen_t len;
	unsigned port;
	int one = 1;
	int err = parse_tcp(spec, host, sizeof(host), &port);

	l->kind = LINE_TCP;
	if (err == -ERANGE) {
		log_error("gdb tcp:%s: a port from 1 to 65535 is needed, as in tcp:1234 or tcp:127.0.0.1:1234", spec);
		return err;
	}
	if (err || tcp_address(host, port, &addr, &len)) {
		log_error(
			"gdb tcp:%s: the host has to be a numeric address, as in tcp:127.0.0.1:1234 or tcp:[::1]:1234",
			spec);
		return -EINVAL;
	}
	l->listen_fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->listen_fd < 0)
		goto fail;
	setsockopt(l->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l->listen_fd, (struct sockaddr *)&addr, len) < 0 || listen(l->listen_fd, BACKLOG) < 0)
		goto fail;
	return 0;
fail:
	err = -errno;
	log_error("gdb tcp:%s: %s", spec, err == -EADDRINUSE ? "the port is taken; name another one" : strerror(-err));
	return err;
}

/* ---- lines that are one connection ---- */

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int open_stdio(struct server_line *l)
{
	l->kind = LINE_STDIO;
	if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDOUT_FILENO, F_GETFD) < 0) {
		log_error("gdb stdio: standard input or output is closed");
		return -EBADF;
	}
	l->conn.in = STDIN_FILENO;
	l->conn.out = STDOUT_FILENO;
	l->conn.socket = is_socket(STDIN_FILENO) && is_socket(STDOUT_FILENO);
	return 0;
}

static int make_raw(struct server_line *l, int fd)
{
	struct termios raw;

	if (!isatty(fd))
		return 0;
	if (tcgetattr(fd, &l->saved) < 0)
		return -errno;
	raw = l->saved;
	cfmakeraw(&raw);
	/* No modem lines: a null modem cable has none. The speed stays what stty made it. */
	raw.c_cflag |= CLOCAL | CREAD;
	raw.c_cflag &= ~(tcflag_t)HUPCL;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		return -errno;
	l->raw = true;
	return 0;
}

static int open_chardev(struct server_line *l, const char *path)
{
	struct stat st;
	int fd, err = 0;

	l->kind = LINE_CHARDEV;
	fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISCHR(st.st_mode))
		err = -ENOTTY;
	else
		err = make_raw(l, fd);
	if (err) {
		log_error("gdb chardev:%s: %s", path, err == -ENOTTY ? "no character device" : strerror(-err));
		if (fd >= 0)
			close(fd);
		return err;
	}
	l->conn.in = l->conn.out = fd;
	return 0;
}

/* ---- all of them ---- */

int line_open(struct server_line *l, const char *spec)
{
	int err;

	*l = (struct server_line){.listen_fd = -1, .conn = {-1, -1, false}};
	if (!strcmp(spec, "stdio"))
		err = open_stdio(l);
	else if (!strncmp(spec, "tcp:", 4))
		err = open_tcp(l, spec + 4);
	else if (!strncmp(spec, "chardev:", 8))
		err = open_chardev(l, spec + 8);
	else
		err = open_unix(l, spec);
	if (err) {
		if (l->listen_fd >= 0)
			close(l->listen_fd);
		free(l->path);
		*l = (struct server_line){.listen_fd = -1, .conn = {-1, -1, false}};
	}
	return err;
}

void line_close(struct server_line *l)
{
	struct stat st;

	if (l->kind == LINE_UNIX && l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	if (l->listen_fd >= 0)
		close(l->listen_fd);
	if (l->raw)
		tcsetattr(l->conn.in, TCSANOW, &l->saved);
	if (l->kind == LINE_CHARDEV)
		line_conn_close(&l->conn);
	free(l->path);
	*l = (struct server_line){.listen_fd = -1, .conn = {-1, -1, false}};
}

int line_accept(struct server_line *l, struct line_conn *conn)
{
	int one = 1, idle = 60, interval = 10, probes = 3;
	int fd = accept4(l->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED ? -EAGAIN : -errno;
	if (l->kind == LINE_TCP) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		/* A client whose host vanished must not hold the machine's only place for ever. */
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	}
	*conn = (struct line_conn){fd, fd, true};
	return 0;
}

void line_conn_close(struct line_conn *conn)
{
	if (conn->in >= 0)
		close(conn->in);
	if (conn->out >= 0 && conn->out != conn->in)
		close(conn->out);
	*conn = (struct line_conn){-1, -1, false};
}

/* stdio is shared with others who do not expect O_NONBLOCK on it, so there readiness is asked for each time. */
static bool ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) > 0;
}

static ssize_t result(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

ssize_t line_read(const struct line_conn *conn, void *buf, size_t n)
{
	if (conn->socket)
		return result(recv(conn->in, buf, n, MSG_DONTWAIT));
	return ready(conn->in, POLLIN) ? result(read(conn->in, buf, n)) : -EAGAIN;
}

ssize_t line_write(const struct line_conn *conn, const void *buf, size_t n)
{
	if (conn->socket)
		return result(send(conn->out, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL));
	/* A pipe that polls writable takes this much without blocking. */
	return ready(conn->out, POLLOUT) ? result(write(conn->out, buf, n < PIPE_BUF ? n : PIPE_BUF)) : -EAGAIN;
}
