#include "vmm/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/inherited.h"

struct name {
	char *path;   /* NULL: done with */
	pid_t maker;  /* 0: an image, to be opened; else who has made it, and may remove it */
	bool regular; /* image */
	bool only_empty, keep;
	dev_t dev;
	ino_t ino;
	struct timespec changed;
};

/* The process and its broker have the same, by the same numbers. */
static struct name *names;
static int nnames;

/* The process's own. */
static int line = -1; /* to its broker; -1: it has none */
static pid_t broker;
static bool sealed;

enum op {
	OP_ADD,
	OP_SEAL,
	OP_OPEN,
	OP_KEEP,
	OP_REMOVE,
	OP_END,
};

struct request {
	enum op op;
	int id;
	bool keep;
	struct name name;    /* OP_ADD, but for its path: */
	char path[PATH_MAX]; /* OP_ADD; else left out */
};

/* ---- names ---- */

static int name_add(const struct name *name, const char *path)
{
	struct name *more = realloc(names, ((size_t)nnames + 1) * sizeof(*names));

	if (!more)
		return -1;
	names = more;
	names[nnames] = *name;
	names[nnames].path = strdup(path);
	return names[nnames].path ? nnames++ : -1;
}

static bool name_is(int id, bool image)
{
	return id >= 0 && id < nnames && names[id].path && image == !names[id].maker;
}

static int find_image(const char *path)
{
	for (int i = 0; i < nnames; i++)
		if (name_is(i, true) && !strcmp(names[i].path, path))
			return i;
	return -1;
}

static void name_forget(int id)
{
	free(names[id].path);
	names[id].path = NULL;
}

static bool is_ours(const struct name *n, const struct stat *st)
{
	return st->st_dev == n->dev && st->st_ino == n->ino && (!n->only_empty || !st->st_size);
}

static void name_remove(int id)
{
	struct stat st;

	if (!lstat(names[id].path, &st) && is_ours(&names[id], &st))
		unlink(names[id].path);
	name_forget(id);
}

/* The next process may have replaced a socket that nobody listens on already, and have been given the same inode. */
static bool is_successors(int id)
{
	const struct timespec *made = &names[id].changed;
	struct stat st;

	return !lstat(names[id].path, &st) && S_ISSOCK(st.st_mode) &&
	       (st.st_ctim.tv_sec != made->tv_sec || st.st_ctim.tv_nsec != made->tv_nsec);
}

/* ---- the broker ---- */

/* A pipe is waited for as open() does, but not longer than there is somebody who wants it. */
static int broker_open_image(int id, int owner_fd)
{
	int fd = open(names[id].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = owner_fd}};
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISFIFO(st.st_mode))
		poll(p, 2, -1);
	fcntl(fd, F_SETFL, 0);
	return fd;
}

static void reply(int to, int result)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {.iov_base = &result, .iov_len = sizeof(result)};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1};

	if (result >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), &result, sizeof(result));
	}
	sendmsg(to, &m, MSG_NOSIGNAL);
	if (result >= 0)
		close(result);
}

static void broker_serve(int owner_fd, const struct request *r, void (*confine)(void))
{
	switch (r->op) {
	case OP_ADD:
		if (!sealed)
			name_add(&r->name, r->path);
		break;
	case OP_SEAL:
		sealed = true;
		confine();
		break;
	case OP_OPEN:
		reply(owner_fd, name_is(r->id, true) ? broker_open_image(r->id, owner_fd) : -EACCES);
		break;
	case OP_KEEP:
		if (name_is(r->id, false))
			names[r->id].keep = r->keep;
		break;
	case OP_REMOVE:
		if (name_is(r->id, false))
			name_remove(r->id);
		reply(owner_fd, -ENOENT); /* done */
		break;
	case OP_END:
		break;
	}
}

__attribute__((noreturn)) static void broker_main(int owner_fd, pid_t owner, void (*confine)(void))
{
	static struct request r; /* large */
	sigset_t all;

	/* It ends when its process does, and by nothing else: a terminal's signals are for that one. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "broker");
	inherited_leave(owner_fd);
	for (int i = 0; i < nnames; i++) /* of the process whose child the owner is */
		if (name_is(i, false) && names[i].maker != owner)
			name_forget(i);
	while (recv(owner_fd, &r, sizeof(r), 0) > 0 && r.op != OP_END)
		broker_serve(owner_fd, &r, confine);
	for (int i = 0; i < nnames; i++)
		if (name_is(i, false) && !names[i].keep && !is_successors(i))
			name_remove(i);
	_exit(0);
}

/* ---- the process ---- */

static int ask(const struct request *r)
{
	size_t len = r->op == OP_ADD ? sizeof(*r) : offsetof(struct request, path);

	return send(line, r, len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int answer(void)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	int result = -EPIPE;
	struct iovec data = {.iov_base = &result, .iov_len = sizeof(result)};
	struct msghdr m = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;

	n = recvmsg(line, &m, MSG_CMSG_CLOEXEC);
	if (n < 0 && errno == EINTR) {
		/* A signal that ends the process, while a pipe is waited for: the broker clears up, and is not needed
		 * more. */
		broker_stop();
		return -EINTR;
	}
	if (n != (ssize_t)sizeof(result))
		return -EPIPE;
	if (result >= 0 && m.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&result, CMSG_DATA(&control.header), sizeof(result));
	return result;
}

static int add(const struct name *name, const char *path)
{
	static struct request r; /* large */
	int id = strlen(path) < sizeof(r.path) ? name_add(name, path) : -1;

	if (id < 0 || line < 0)
		return id;
	r = (struct request){.op = OP_ADD, .name = *name};
	memcpy(r.path, path, strlen(path) + 1);
	ask(&r);
	return id;
}

int broker_open(const char *path)
{
	struct name name = {0};
	struct request r = {.op = OP_OPEN, .id = find_image(path)};
	struct stat st;
	int fd, err;

	if (sealed) {
		err = r.id < 0 ? -EACCES : ask(&r);
		fd = err ? err : answer();
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		err = errno;
		if (fd >= 0 && r.id < 0)
			r.id = add(&name, path);
		if (fd < 0)
			return -err;
	}
	if (fd >= 0 && r.id >= 0)
		names[r.id].regular = !fstat(fd, &st) && S_ISREG(st.st_mode);
	return fd;
}

bool broker_was_regular(const char *path)
{
	int id = find_image(path);

	return id >= 0 && names[id].regular;
}

int broker_made(const char *path, const struct stat *st, bool only_empty)
{
	struct name name = {
		.maker = getpid(),
		.only_empty = only_empty,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.changed = st->st_ctim,
	};

	return sealed ? -1 : add(&name, path);
}

void broker_keep(int id, bool keep)
{
	struct request r = {.op = OP_KEEP, .id = id, .keep = keep};

	if (line >= 0 && id >= 0)
		ask(&r);
}

void broker_remove(int id)
{
	struct request r = {.op = OP_REMOVE, .id = id};

	if (!name_is(id, false) || names[id].maker != getpid())
		return;
	if (line < 0) {
		if (sealed)
			name_forget(id); /* the broker has removed it already */
		else
			name_remove(id);
		return;
	}
	if (!ask(&r))
		answer();
	name_forget(id);
}

int broker_start(void (*confine)(void))
{
	pid_t owner = getpid();
	int ends[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	broker = fork();
	if (!broker) {
		close(ends[0]);
		broker_main(ends[1], owner, confine);
	}
	err = -errno;
	close(ends[1]);
	if (broker < 0) {
		close(ends[0]);
		return err;
	}
	line = ends[0];
	return 0;
}

void broker_seal(void)
{
	struct request r = {.op = OP_SEAL};

	sealed = line >= 0 && !ask(&r);
}

void broker_last_wait(void)
{
	static const struct request end = {.op = OP_END};
	char none;

	/* Calls that every thread may make. */
	if (line >= 0 && write(line, &end, offsetof(struct request, path)) > 0)
		while (read(line, &none, sizeof(none)) < 0 && errno == EINTR)
			;
}

void broker_stop(void)
{
	if (line < 0)
		return;
	close(line);
	line = -1;
	while (waitpid(broker, NULL, 0) < 0 && errno == EINTR)
		;
}
