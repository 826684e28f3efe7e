#include "gdb/server_lingering.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void lingering_init(struct lingering *l)
{
	for (int i = 0; i < LINGER_MAX; i++)
		l->slot[i].fd = -1;
}

static void lingering_end(struct lingering *l, int i)
{
	if (l->slot[i].fd >= 0)
		close(l->slot[i].fd);
	l->slot[i].fd = -1;
}

void lingering_add(struct lingering *l, int fd, int64_t now)
{
	int slot = 0;

	shutdown(fd, SHUT_WR);
	for (int i = 0; i < LINGER_MAX; i++) {
		if (l->slot[i].fd < 0) {
			slot = i;
			break;
		}
		if (l->slot[i].deadline < l->slot[slot].deadline)
			slot = i;
	}
	lingering_end(l, slot);
	l->slot[slot].fd = fd;
	l->slot[slot].deadline = now + LINGER_MS;
}

void lingering_ready(struct lingering *l, int i)
{
	char sink[4096];
	ssize_t n = recv(l->slot[i].fd, sink, sizeof(sink), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		lingering_end(l, i);
}

int64_t lingering_expire(struct lingering *l, int64_t now)
{
	int64_t next = INT64_MAX;

	for (int i = 0; i < LINGER_MAX; i++) {
		if (l->slot[i].fd < 0)
			continue;
		if (now >= l->slot[i].deadline)
			lingering_end(l, i);
		else if (l->slot[i].deadline < next)
			next = l->slot[i].deadline;
	}
	return next;
}

void lingering_close(struct lingering *l)
{
	for (int i = 0; i < LINGER_MAX; i++)
		lingering_end(l, i);
}
