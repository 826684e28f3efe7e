#include "vmm/unix_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vmm/broker.h"
#include "vmm/log.h"

#define BACKLOG	 8
#define MODE	 0600
#define QUIET_MS 1000 /* between lines about strangers */

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* 0: the path is free (now); -EADDRINUSE: somebody listens there; -EEXIST: it is no socket. */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, err = 0;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = new_socket();
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno != ECONNREFUSED)
		err = errno == ENOENT ? 0 : -EADDRINUSE;
	else if (unlink(addr->sun_path) < 0 && errno != ENOENT)
		err = -errno;
	close(fd);
	return err;
}

static const char *reason(int err)
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

/* Linux gives the file the socket's own mode, less the umask: there is no moment in which it is wider. */
static int bind_private(int fd, const struct sockaddr_un *addr)
{
	return fchmod(fd, MODE) < 0 || bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
}

/* The file is there. */
static int listen_on(struct unix_socket *s, const char *path)
{
	struct stat st;

	s->path = strdup(path);
	if (!s->path)
		return -ENOMEM;
	if (lstat(path, &st) < 0 || listen(s->fd, BACKLOG) < 0)
		return -errno;
	s->made = broker_made(path, &st, false);
	return 0;
}

int unix_socket_open(struct unix_socket *s, const char *what, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int err;

	*s = (struct unix_socket){.what = what, .fd = -1};
	if (!path[0] || strlen(path) >= sizeof(addr.sun_path)) {
		log_error("%s socket \"%s\": a path of 1 to %zu characters is needed", what, path,
			sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	err = remove_stale(&addr);
	if (err)
		goto fail;
	s->fd = new_socket();
	err = s->fd < 0 ? -errno : bind_private(s->fd, &addr);
	if (err)
		goto fail;
	err = listen_on(s, path);
	if (!err)
		return 0;
	unlink(path);
fail:
	log_error("%s socket %s: %s", what, path, reason(err));
	if (s->fd >= 0)
		close(s->fd);
	free(s->path);
	*s = (struct unix_socket){.fd = -1};
	return err;
}

void unix_socket_close(struct unix_socket *s)
{
	if (!s->path)
		return;
	broker_remove(s->made);
	close(s->fd);
	free(s->path);
	*s = (struct unix_socket){.fd = -1};
}

static void tell_of_stranger(struct unix_socket *s, uid_t uid)
{
	struct timespec now;
	int64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	if (s->told_ms && ms - s->told_ms < QUIET_MS)
		return;
	s->told_ms = ms;
	log_warn("%s socket %s: refused the user with uid %u: only uid %u and root may connect", s->what, s->path,
		(unsigned)uid, (unsigned)geteuid());
}

int unix_socket_accept(struct unix_socket *s)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED ? -EAGAIN : -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		peer.uid = (uid_t)-1;
	if (peer.uid == geteuid() || !peer.uid)
		return fd;
	tell_of_stranger(s, peer.uid);
	close(fd);
	return -EAGAIN;
}
