#include "gdb/server.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "gdb/buf.h"
#include "gdb/knock.h"
#include "gdb/server_line.h"
#include "gdb/server_lingering.h"
#include "gdb/session.h"
#include "vmm/log.h"
#include "vmm/sandbox.h"

#define READ_SIZE     (16 * 1024)
#define READS_AT_ONCE 8		   /* then others have their turn */
#define OUT_HIGH      (256 * 1024) /* unsent output above which no more input is read */
#define FLUSH_MS      1000	   /* how long the last output may take */
#define QUIET_MS      150	   /* between looks at a line that hung up, or cannot accept */
#define STALE_HUP_MS  300	   /* bytes on a hung-up device: how long its hang-up may be yesterday's */
#define STALE_LOOK_MS 5		   /* between looks meanwhile */
#define QUICK_US      300	   /* a stop that comes this soon after the client's packet: so may the next */
#define HOT_US	      50	   /* wait for it */
#define HOT_CLIENT_US 60	   /* wait for the packet after it */
#define HOT_ROUNDS    64

/*
 * The client's place.
 *   VACANT   nobody (conn.in < 0), or a line on which nobody has said a whole packet
 *   ACTIVE   session != NULL
 *   CLOSING  the session is over, its last output is still to be sent, until `deadline`
 */
enum place {
	VACANT,
	ACTIVE,
	CLOSING,
};

struct gdb_server {
	struct server_line line;
	struct gdb_service service;
	bool persistent; /* the line is one connection and outlives clients: stdio, a character device */
	pthread_t thread;
	bool started;
	int stop_fd;

	/* The server's thread only. */
	enum place place;
	struct line_conn conn;
	struct gdb_knock knock; /* VACANT: what was said so far */
	struct gdb_session *session;
	struct gdb_buf out;
	size_t sent; /* of out */
	int64_t deadline;
	int64_t quiet_until; /* the line is not looked at before; 0: no such wait */
	int64_t stale_until; /* until then a hang-up is not believed; 0: it is */
	int64_t heard;	     /* when the client last sent something, us */
	bool quick;	     /* the last stop came within QUICK_US of it */
	bool ended;	     /* stdio: end of file */
	bool accept_told;    /* that no client can be accepted */
	struct lingering linger;
};

enum { FD_STOP, FD_EVENT, FD_LISTEN, FD_IN, FD_OUT, FD_LINGER, FD_N = FD_LINGER + LINGER_MAX };

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t now_ms(void)
{
	return now_us() / 1000;
}

/* ---- the client ---- */

static void out_clear(struct gdb_server *srv)
{
	/* A large reply's memory is not kept for the next client. */
	gdb_buf_free(&srv->out);
	srv->sent = 0;
}

/* The place is free again. gone: nobody is at the other end any more. */
static void client_release(struct gdb_server *srv, bool gone)
{
	out_clear(srv);
	srv->place = VACANT;
	if (srv->persistent) {
		/* A hung-up device polls readable for ever. */
		if (gone)
			srv->quiet_until = now_ms() + QUIET_MS;
		return;
	}
	if (gone)
		line_conn_close(&srv->conn);
	else
		lingering_add(&srv->linger, srv->conn.in, now_ms());
	srv->conn = (struct line_conn){-1, -1, false};
}

static void client_gone(struct gdb_server *srv)
{
	if (srv->session)
		srv->service.close(srv->service.ctx, srv->session);
	srv->session = NULL;
	client_release(srv, true);
}

/* Sends what can be sent. False: the client is gone (and has been released). */
static bool client_flush(struct gdb_server *srv)
{
	while (srv->sent < srv->out.len) {
		ssize_t n = line_write(&srv->conn, srv->out.data + srv->sent, srv->out.len - srv->sent);

		if (n == -EAGAIN) {
			/* A slow reader may never let it become empty: what it has read must not pile up. */
			if (srv->sent > srv->out.len / 2) {
				gdb_buf_consume(&srv->out, srv->sent);
				srv->sent = 0;
			}
			return true;
		}
		if (n < 0) {
			client_gone(srv);
			return false;
		}
		srv->sent += (size_t)n;
	}
	gdb_buf_reset(&srv->out);
	srv->sent = 0;
	if (srv->place == CLOSING)
		client_release(srv, false);
	return true;
}

static bool client_open(struct gdb_server *srv)
{
	srv->session = srv->service.open(srv->service.ctx);
	if (!srv->session)
		return false;
	gdb_session_set_persistent(srv->session, srv->persistent);
	srv->place = ACTIVE;
	return true;
}

/* The session is gone: take it down; another client on the same line gets the next one, and so on. */
static void session_over(struct gdb_server *srv)
{
	while (srv->session && gdb_session_gone(srv->session)) {
		struct gdb_buf bytes = {0};
		bool next = gdb_session_leftover(srv->session, &bytes);

		srv->service.close(srv->service.ctx, srv->session);
		srv->session = NULL;
		srv->place = CLOSING;
		srv->deadline = now_ms() + FLUSH_MS;
		if (next && client_open(srv))
			gdb_session_input(srv->session, bytes.data, bytes.len, &srv->out);
		gdb_buf_free(&bytes);
	}
}

/* After every call into the session. */
static void session_settle(struct gdb_server *srv)
{
	session_over(srv);
	while (client_flush(srv)) {
		if (!srv->session || srv->out.len || !gdb_session_backlog(srv->session))
			break;
		gdb_session_input(srv->session, NULL, 0, &srv->out);
		session_over(srv);
	}
}

/* Closes with an explanation. */
static void client_refuse(struct gdb_server *srv, struct line_conn *conn, const char *why)
{
	struct gdb_buf text = {0};

	gdb_session_refusal(&text, why);
	line_write(conn, text.data, text.len);
	gdb_buf_free(&text);
	lingering_add(&srv->linger, conn->in, now_ms());
	*conn = (struct line_conn){-1, -1, false};
}

/* Nobody has been there so far. */
static void client_knocks(struct gdb_server *srv, const uint8_t *data, size_t n)
{
	const char *why = "the machine has ended";

	switch (gdb_knock_input(&srv->knock, data, n)) {
	case GDB_KNOCK_NOT_YET:
		return;
	case GDB_KNOCK_PACKET:
		if (!client_open(srv))
			break;
		gdb_session_input(srv->session, srv->knock.held.data, srv->knock.held.len, &srv->out);
		gdb_knock_free(&srv->knock);
		session_settle(srv);
		return;
	case GDB_KNOCK_STRANGE:
		why = "this line is for debuggers";
		break;
	case GDB_KNOCK_TOO_LONG:
		why = "packet too long";
		break;
	}
	gdb_knock_free(&srv->knock);
	if (!srv->persistent)
		client_refuse(srv, &srv->conn, why);
}

static void client_bytes(struct gdb_server *srv, const uint8_t *data, size_t n)
{
	if (srv->place == VACANT) {
		client_knocks(srv, data, n);
	} else if (srv->place == ACTIVE) {
		gdb_session_input(srv->session, data, n, &srv->out);
		session_settle(srv);
	}
}

static void line_ended(struct gdb_server *srv)
{
	if (srv->line.kind == LINE_STDIO && !srv->ended) {
		srv->ended = true;
		if (srv->service.eof)
			srv->service.eof(srv->service.ctx);
	}
}

/*
 * A device may deliver a new client's bytes before it takes back the hang-up that the last one left (a virtio port
 * does: the two come on different queues). Whoever speaks is there; a hang-up that lasts is believed a little later.
 */
static bool hangup_is_stale(struct gdb_server *srv)
{
	if (!srv->persistent || srv->place != ACTIVE || now_ms() >= srv->stale_until)
		return false;
	srv->quiet_until = now_ms() + STALE_LOOK_MS;
	return true;
}

/* One read. False: no more now, or the client is gone. */
static bool client_read(struct gdb_server *srv)
{
	uint8_t data[READ_SIZE];
	ssize_t n = line_read(&srv->conn, data, sizeof(data));

	if (n == -EAGAIN)
		return false;
	if (n == 0 && hangup_is_stale(srv))
		return false;
	if (n <= 0) {
		client_gone(srv);
		line_ended(srv);
		return false;
	}
	srv->heard = now_us();
	client_bytes(srv, data, (size_t)n);
	return srv->conn.in >= 0;
}

static bool wants_input(const struct gdb_server *srv)
{
	if (srv->conn.in < 0 || srv->ended || (srv->persistent && srv->quiet_until))
		return false;
	if (srv->place != ACTIVE)
		return srv->place == VACANT;
	return srv->out.len - srv->sent < OUT_HIGH && !gdb_session_backlog(srv->session);
}

static void client_readable(struct gdb_server *srv, short revents)
{
	bool was_vacant = srv->place == VACANT;

	if (revents & POLLHUP && hangup_is_stale(srv))
		return;
	/* With nobody to read it, output must not hold back what was sent before the end: it may be a kill. */
	if (revents & (POLLHUP | POLLERR) && srv->conn.in == srv->conn.out) {
		out_clear(srv);
		while (srv->session && gdb_session_backlog(srv->session)) {
			gdb_session_input(srv->session, NULL, 0, &srv->out);
			gdb_buf_reset(&srv->out);
			session_over(srv);
		}
		if (srv->place == CLOSING) {
			client_gone(srv);
			return;
		}
	}
	for (int i = 0; i < READS_AT_ONCE && (wants_input(srv) || revents & POLLHUP); i++) {
		if (!client_read(srv))
			break;
		if (was_vacant && revents & POLLHUP && srv->place == ACTIVE) {
			srv->stale_until = now_ms() + STALE_HUP_MS;
			break;
		}
	}
}

/* ---- clients that come ---- */

static void client_accept(struct gdb_server *srv)
{
	struct line_conn conn;
	int err = line_accept(&srv->line, &conn);

	if (err == -EAGAIN)
		return;
	if (err) {
		if (!srv->accept_told)
			log_warn("gdb: cannot accept a client: %s", strerror(-err));
		srv->accept_told = true;
		srv->quiet_until = now_ms() + QUIET_MS;
		return;
	}
	srv->accept_told = false;
	if (srv->place != VACANT) {
		client_refuse(srv, &conn, "another debugger is attached");
		return;
	}
	/* A connection on which nobody speaks does not keep others out. */
	if (srv->conn.in >= 0)
		client_refuse(srv, &srv->conn, "another debugger is attached");
	gdb_knock_free(&srv->knock);
	srv->conn = conn;
}

/* ---- the machine ---- */

static void server_pump(struct gdb_server *srv)
{
	bool running = srv->session && gdb_session_running(srv->session);

	srv->service.pump(srv->service.ctx, srv->session, &srv->out);
	if (running)
		srv->quick = now_us() - srv->heard < QUICK_US;
	if (srv->session)
		session_settle(srv);
}

/*
 * While the client asks packet after packet or steps from stop to stop, each side's next move is microseconds away, and
 * sleeping for it would cost more than the move itself. Gives up as soon as either is late; then the thread sleeps as
 * always.
 */
static void server_hot(struct gdb_server *srv)
{
	for (int i = 0; i < HOT_ROUNDS && srv->session; i++) {
		if (gdb_session_running(srv->session)) {
			if (!srv->quick || !srv->service.wait_hot || !srv->service.wait_hot(srv->service.ctx, HOT_US))
				return;
			server_pump(srv);
		} else {
			int64_t until = now_us() + HOT_CLIENT_US;
			struct gdb_session *s = srv->session;

			if (!wants_input(srv))
				return;
			while (!client_read(srv) && srv->session == s) {
				if (now_us() >= until)
					return;
				sched_yield(); /* the client may want this very processor */
			}
		}
	}
}

/* ---- the loop ---- */

static void set_poll(struct gdb_server *srv, struct pollfd *p)
{
	bool left_alone = srv->persistent && srv->quiet_until;
	bool in = wants_input(srv), watched = srv->place == ACTIVE && !left_alone;
	bool out = srv->conn.out >= 0 && srv->sent < srv->out.len && !left_alone;

	p[FD_STOP] = (struct pollfd){.fd = srv->stop_fd, .events = POLLIN};
	p[FD_EVENT] = (struct pollfd){.fd = srv->service.event_fd, .events = POLLIN};
	p[FD_LISTEN] = (struct pollfd){.fd = srv->quiet_until ? -1 : srv->line.listen_fd, .events = POLLIN};
	/* Hang-ups are reported whatever is asked for; a line that is to be left alone is left out. */
	p[FD_IN] = (struct pollfd){.fd = in || watched ? srv->conn.in : -1, .events = in ? POLLIN : 0};
	p[FD_OUT] = (struct pollfd){.fd = out ? srv->conn.out : -1, .events = POLLOUT};
	for (int i = 0; i < LINGER_MAX; i++)
		p[FD_LINGER + i] = (struct pollfd){.fd = srv->linger.slot[i].fd, .events = POLLIN};
}

/* Ends what its time has come for, and returns how long to sleep: ms, or -1. */
static int run_timers(struct gdb_server *srv)
{
	int64_t now = now_ms(), next = lingering_expire(&srv->linger, now);

	if (srv->quiet_until && now >= srv->quiet_until)
		srv->quiet_until = 0;
	if (srv->quiet_until && srv->quiet_until < next)
		next = srv->quiet_until;
	if (srv->place == CLOSING && now >= srv->deadline)
		client_release(srv, true);
	else if (srv->place == CLOSING && srv->deadline < next)
		next = srv->deadline;
	return next == INT64_MAX ? -1 : (int)(next - now);
}

static void handle_poll(struct gdb_server *srv, const struct pollfd *p)
{
	int out = p[FD_OUT].fd;

	for (int i = 0; i < LINGER_MAX; i++) {
		if (p[FD_LINGER + i].revents)
			lingering_ready(&srv->linger, i);
	}
	if (p[FD_EVENT].revents)
		server_pump(srv);
	if (p[FD_OUT].revents && srv->conn.out == out)
		session_settle(srv);
	if (p[FD_IN].revents && srv->conn.in == p[FD_IN].fd)
		client_readable(srv, p[FD_IN].revents);
	/* Last: a client that has left makes room for the next one in the same round. */
	if (p[FD_LISTEN].revents)
		client_accept(srv);
}

/* The machine has ended: hand on its last word, and give it a bounded time to be sent. */
static void server_finish(struct gdb_server *srv)
{
	int64_t until = now_ms() + FLUSH_MS;

	server_pump(srv);
	if (srv->session) {
		srv->service.close(srv->service.ctx, srv->session);
		srv->session = NULL;
		srv->place = CLOSING;
	}
	while (srv->conn.out >= 0 && srv->sent < srv->out.len) {
		struct pollfd p = {.fd = srv->conn.out, .events = POLLOUT};
		int64_t left = until - now_ms();

		if (left <= 0 || poll(&p, 1, (int)left) <= 0 || !client_flush(srv))
			break;
	}
	gdb_buf_free(&srv->out);
	gdb_knock_free(&srv->knock);
	lingering_close(&srv->linger);
	if (!srv->persistent)
		line_conn_close(&srv->conn);
}

static void *server_main(void *arg)
{
	struct gdb_server *srv = arg;
	struct pollfd p[FD_N];

	pthread_setname_np(pthread_self(), "gdb");
	sandbox_thread(SANDBOX_STUB);
	for (;;) {
		int timeout;

		server_hot(srv);
		timeout = run_timers(srv);
		set_poll(srv, p);
		if (poll(p, FD_N, timeout) < 0)
			continue;
		if (p[FD_STOP].revents)
			break;
		handle_poll(srv, p);
	}
	server_finish(srv);
	return NULL;
}

/* ---- life ---- */

int gdb_server_open(struct gdb_server **out, const char *spec, const struct gdb_service *service)
{
	struct gdb_server *srv = calloc(1, sizeof(*srv));
	int err;

	if (!srv) {
		log_error("gdb: out of memory");
		return -ENOMEM;
	}
	err = line_open(&srv->line, spec);
	if (err)
		goto fail;
	srv->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (srv->stop_fd < 0) {
		err = -errno;
		log_error("gdb: eventfd: %s", strerror(-err));
		line_close(&srv->line);
		goto fail;
	}
	srv->service = *service;
	srv->persistent = srv->line.kind == LINE_STDIO || srv->line.kind == LINE_CHARDEV;
	srv->conn = srv->line.conn;
	srv->knock.strict = !srv->persistent;
	lingering_init(&srv->linger);
	*out = srv;
	return 0;
fail:
	free(srv);
	return err;
}

int gdb_server_start(struct gdb_server *srv)
{
	sigset_t all, old;
	int err;

	/* Signals are for other threads; SIGPIPE, from a closed stdio or device, comes back as EPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&srv->thread, NULL, server_main, srv);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	srv->started = !err;
	return -err;
}

void gdb_server_close(struct gdb_server *srv)
{
	uint64_t one = 1;

	if (!srv)
		return;
	if (srv->started) {
		while (write(srv->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(srv->thread, NULL);
	}
	close(srv->stop_fd);
	line_close(&srv->line);
	free(srv);
}
