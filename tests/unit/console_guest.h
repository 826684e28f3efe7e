/*
 * What the console's tests share: a guest that is the test's own thread, a pattern whose every byte is checked, and
 * the host's side of a stream.
 */
#ifndef TESTS_UNIT_CONSOLE_GUEST_H
#define TESTS_UNIT_CONSOLE_GUEST_H

#include "vmm/console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/tap.h"

#define BIG	(1 << 20)
#define LIMIT_S 60 /* a hang ends the test */

/* Byte i of the stream that everybody sends: no period that a ring's size could hide. */
static inline uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 251 + i / 65521);
}

/* ---- a guest ---- */

struct guest {
	struct console *console;
	struct char_backend back;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int drained;
	size_t room; /* it takes so much before it wants a rest */
	uint8_t *in;
	size_t in_len, in_size;
	bool starved, echo;
	atomic_int quits, breaks;
};

static inline size_t guest_feed(void *ctx, const uint8_t *buf, size_t n)
{
	struct guest *g = ctx;
	size_t taken;

	pthread_mutex_lock(&g->lock);
	taken = n < g->room ? n : g->room;
	taken = taken < g->in_size - g->in_len ? taken : g->in_size - g->in_len;
	memcpy(g->in + g->in_len, buf, taken);
	g->in_len += taken;
	g->room -= taken;
	g->starved = taken < n;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	return taken;
}

static inline void guest_drained(void *ctx)
{
	struct guest *g = ctx;

	pthread_mutex_lock(&g->lock);
	g->drained++;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static inline int guest_drained_count(struct guest *g)
{
	int n;

	pthread_mutex_lock(&g->lock);
	n = g->drained;
	pthread_mutex_unlock(&g->lock);
	return n;
}

static inline void guest_quit(void *ctx)
{
	atomic_fetch_add(&((struct guest *)ctx)->quits, 1);
}

static inline void guest_break(void *ctx)
{
	atomic_fetch_add(&((struct guest *)ctx)->breaks, 1);
}

static inline int guest_open(struct guest *g, const char *where)
{
	struct console_hooks hooks = {.quit = guest_quit, .debug_break = guest_break, .ctx = g};
	struct char_frontend front = {.feed = guest_feed, .drained = guest_drained, .ctx = g};
	int err;

	memset(g, 0, sizeof(*g));
	err = console_open(&g->console, where, &hooks);
	if (err)
		return err;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	g->in_size = BIG + 4096;
	g->in = malloc(g->in_size);
	g->room = g->in_size;
	g->back = console_backend(g->console);
	console_connect(g->console, &front);
	return console_start(g->console);
}

/* So much more it takes before it wants a rest. */
static inline void guest_set_room(struct guest *g, size_t room)
{
	pthread_mutex_lock(&g->lock);
	g->room = room;
	pthread_mutex_unlock(&g->lock);
}

static inline void guest_close(struct guest *g)
{
	console_close(g->console);
	free(g->in);
}

/* As a driver does: a refused byte waits for drained(). */
static inline void guest_put(struct guest *g, uint8_t byte)
{
	for (;;) {
		int before;

		pthread_mutex_lock(&g->lock);
		before = g->drained;
		pthread_mutex_unlock(&g->lock);
		if (g->back.write(g->back.ctx, byte))
			return;
		pthread_mutex_lock(&g->lock);
		while (g->drained == before)
			pthread_cond_wait(&g->changed, &g->lock);
		pthread_mutex_unlock(&g->lock);
	}
}

static inline void guest_send(struct guest *g, size_t n)
{
	for (size_t i = 0; i < n; i++)
		guest_put(g, pattern(i));
}

static inline void guest_say(struct guest *g, const char *text)
{
	while (*text)
		guest_put(g, (uint8_t)*text++);
}

/* Wait until n bytes have come in all, in bites of `bite`. */
static inline void guest_receive(struct guest *g, size_t n, size_t bite)
{
	pthread_mutex_lock(&g->lock);
	while (g->in_len < n) {
		if (g->room || !g->starved) {
			pthread_cond_wait(&g->changed, &g->lock);
			continue;
		}
		g->room = bite;
		g->starved = false;
		pthread_mutex_unlock(&g->lock);
		g->back.want_input(g->back.ctx);
		pthread_mutex_lock(&g->lock);
	}
	pthread_mutex_unlock(&g->lock);
}

/* ---- the host's side ---- */

static inline bool read_all(int fd, uint8_t *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = read(fd, buf + done, n - done);

		if (got <= 0 && errno != EINTR)
			return false;
		done += got > 0 ? (size_t)got : 0;
	}
	return true;
}

struct stream {
	int fd;
	size_t n;
};

static inline void *host_writer(void *arg)
{
	struct stream *s = arg;
	uint8_t buf[997];

	for (size_t i = 0; i < s->n;) {
		size_t n = s->n - i < sizeof(buf) ? s->n - i : sizeof(buf);
		ssize_t sent;

		for (size_t k = 0; k < n; k++)
			buf[k] = pattern(i + k);
		sent = write(s->fd, buf, n);
		if (sent < 0)
			break;
		i += (size_t)sent;
	}
	return NULL;
}

static inline bool is_pattern(const uint8_t *buf, size_t n, size_t from)
{
	for (size_t i = 0; i < n; i++)
		if (buf[i] != pattern(from + i))
			return tap_diag("byte %zu is 0x%02x, not 0x%02x", i, buf[i], pattern(from + i)), false;
	return true;
}

/* Reads until text has been seen. */
static inline bool read_until(int fd, const char *text)
{
	char buf[8192];
	size_t n = 0;

	while (n < sizeof(buf) - 1) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t got;

		if (poll(&p, 1, LIMIT_S * 1000) != 1)
			return false;
		got = read(fd, buf + n, 1);
		if (got <= 0)
			return false;
		n++;
		buf[n] = '\0';
		if (n >= strlen(text) && !strcmp(buf + n - strlen(text), text))
			return true;
	}
	return false;
}

#endif
