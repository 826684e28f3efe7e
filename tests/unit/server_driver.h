/*
 * A server over a machine that is not there: its steps end at once, it runs until it is told to stop, and the test
 * can make it stop or end. And clients, with a bound on every wait.
 */
#ifndef TESTS_UNIT_SERVER_DRIVER_H
#define TESTS_UNIT_SERVER_DRIVER_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "gdb/hex.h"
#include "gdb/packet.h"
#include "gdb/server.h"
#include "gdb/session.h"
#include "tests/unit/fake_target.h"
#include "tests/unit/tap.h"

#define PATIENCE_MS 20000

struct machine {
	struct fake fake;
	struct gdb_target target;
	struct gdb_base_ops base;
	int event_fd;
	pthread_mutex_t lock;
	struct gdb_stop queue[16];
	unsigned n;
	bool ended;
	atomic_int opens, closes, eofs, interrupts, resumes;
	struct gdb_server *server;
};

static struct machine m;

static void machine_post(struct gdb_stop stop)
{
	uint64_t one = 1;

	pthread_mutex_lock(&m.lock);
	if (m.n < 16)
		m.queue[m.n++] = stop;
	m.ended |= stop.kind == GDB_STOP_EXITED;
	pthread_mutex_unlock(&m.lock);
	if (write(m.event_fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static int machine_resume(void *t, const struct gdb_action *a, size_t n)
{
	int ret = fake_resume(t, a, n);

	for (size_t i = 0; i < n; i++) {
		if (!ret && a[i].kind == GDB_STEP) {
			machine_post((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .cpu = (int)i, .signo = 5});
			break;
		}
	}
	atomic_fetch_add(&m.resumes, 1);
	return ret;
}

static void machine_interrupt(void *t)
{
	(void)t;
	atomic_fetch_add(&m.interrupts, 1);
	machine_post((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signo = 2});
}

static void machine_pump(void *ctx, struct gdb_session *s, struct gdb_buf *out)
{
	struct gdb_stop queue[16];
	uint64_t count;
	unsigned n;

	(void)ctx;
	if (read(m.event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort();
	pthread_mutex_lock(&m.lock);
	n = m.n;
	memcpy(queue, m.queue, sizeof(queue));
	m.n = 0;
	pthread_mutex_unlock(&m.lock);
	for (unsigned i = 0; s && i < n; i++)
		gdb_session_stopped(s, &queue[i], out);
}

static struct gdb_session *machine_open(void *ctx)
{
	struct gdb_session *s;

	machine_pump(ctx, NULL, NULL);
	if (m.ended)
		return NULL;
	s = gdb_session_new(&m.target);
	atomic_fetch_add(&m.opens, 1);
	machine_post((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signo = 2});
	return s;
}

static void machine_close(void *ctx, struct gdb_session *s)
{
	(void)ctx;
	gdb_session_free(s);
	atomic_fetch_add(&m.closes, 1);
}

static bool machine_wait_hot(void *ctx, unsigned us)
{
	bool any;

	(void)ctx;
	(void)us;
	pthread_mutex_lock(&m.lock);
	any = m.n;
	pthread_mutex_unlock(&m.lock);
	return any;
}

static void machine_eof(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&m.eofs, 1);
}

/* The service alone; machine_start() serves it. */
static struct gdb_service machine_init(void)
{
	memset(&m, 0, sizeof(m));
	pthread_mutex_init(&m.lock, NULL);
	m.target = fake_target(&m.fake);
	m.base = fake_base_ops;
	m.base.resume = machine_resume;
	m.base.interrupt = machine_interrupt;
	m.target.base = &m.base;
	m.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return (struct gdb_service){
		.ctx = &m,
		.event_fd = m.event_fd,
		.open = machine_open,
		.close = machine_close,
		.pump = machine_pump,
		.wait_hot = machine_wait_hot,
		.eof = machine_eof,
	};
}

static bool machine_start(const char *spec)
{
	struct gdb_service service = machine_init();

	return !gdb_server_open(&m.server, spec, &service) && !gdb_server_start(m.server);
}

static void machine_end(void)
{
	gdb_server_close(m.server);
	close(m.event_fd);
	pthread_mutex_destroy(&m.lock);
}

/* ---- clients ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits until counter is at least n. */
TAP_UNUSED static bool reaches(atomic_int *counter, int n)
{
	for (int64_t until = now_ms() + PATIENCE_MS; now_ms() < until;) {
		if (atomic_load(counter) >= n)
			return true;
		usleep(1000);
	}
	return false;
}

TAP_UNUSED static int unix_client(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool say_bytes(int fd, const void *data, size_t n)
{
	return write(fd, data, n) == (ssize_t)n;
}

static bool say(int fd, const char *payload)
{
	struct gdb_buf b = {0};
	bool ok;

	gdb_packet_encode(&b, payload, strlen(payload));
	ok = say_bytes(fd, b.data, b.len);
	gdb_buf_free(&b);
	return ok;
}

/* The next packet, "" if it is empty; NULL at the end of file, or when nothing comes. */
static const char *hear(int fd)
{
	static struct gdb_decoder dec;
	int64_t until = now_ms() + PATIENCE_MS;

	gdb_buf_free(&dec.data);
	dec = (struct gdb_decoder){.max = 4 * GDB_PACKET_MAX};
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = until - now_ms();
		uint8_t c;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0 || read(fd, &c, 1) != 1)
			return NULL;
		if (gdb_decoder_byte(&dec, c) == GDB_PACKET_READY) {
			gdb_buf_putc(&dec.data, '\0');
			return (const char *)dec.data.data;
		}
	}
}

/* The packet, and its reply. */
static const char *talk(int fd, const char *payload)
{
	return say(fd, payload) ? hear(fd) : NULL;
}

#define STOPPED "T05thread:1;02:1212121212121212;03:1313131313131313;"

#endif
