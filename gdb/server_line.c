#include "gdb/server_line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/log.h"

#define BACKLOG 8

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

static bool is_loopback(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)addr;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)addr;

	if (addr->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
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
	if (!is_loopback(&addr))
		log_warn("gdb tcp:%s: whoever reaches this address owns the guest: the protocol has no authentication",
			spec);
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
	int in = fcntl(STDIN_FILENO, F_GETFL), out = fcntl(STDOUT_FILENO, F_GETFL);

	l->kind = LINE_STDIO;
	if (in < 0 || out < 0 || (in & O_ACCMODE) == O_WRONLY || (out & O_ACCMODE) == O_RDONLY) {
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

static const struct server_line closed = {.listen_fd = -1, .unix_socket = {.fd = -1}, .conn = {-1, -1, false}};

static int open_unix(struct server_line *l, const char *path)
{
	int err = unix_socket_open(&l->unix_socket, "gdb", path);

	l->kind = LINE_UNIX;
	l->listen_fd = l->unix_socket.fd;
	return err;
}

int line_open(struct server_line *l, const char *spec)
{
	int err;

	*l = closed;
	if (!strcmp(spec, "stdio"))
		err = open_stdio(l);
	else if (spec[0] == ':') /* as gdb has it: no host is this one */
		err = open_tcp(l, spec);
	else if (!strncmp(spec, "tcp:", 4))
		err = open_tcp(l, spec + 4);
	else if (!strncmp(spec, "chardev:", 8))
		err = open_chardev(l, spec + 8);
	else
		err = open_unix(l, spec);
	if (err)
		line_close(l);
	return err;
}

void line_close(struct server_line *l)
{
	if (l->kind == LINE_UNIX)
		unix_socket_close(&l->unix_socket);
	else if (l->listen_fd >= 0)
		close(l->listen_fd);
	if (l->raw)
		tcsetattr(l->conn.in, TCSANOW, &l->saved);
	if (l->kind == LINE_CHARDEV)
		line_conn_close(&l->conn);
	*l = closed;
}

int line_accept(struct server_line *l, struct line_conn *conn)
{
	int one = 1, idle = 60, interval = 10, probes = 3;
	int fd;

	if (l->kind == LINE_UNIX) {
		fd = unix_socket_accept(&l->unix_socket);
		if (fd < 0)
			return fd;
	} else {
		fd = accept4(l->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return errno == EINTR || errno == ECONNABORTED ? -EAGAIN : -errno;
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
