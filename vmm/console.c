/* The ring between the guest and the host, and the thread that works on it. */
#include "vmm/console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/clock.h"
#include "vmm/console_priv.h"
#include "vmm/log.h"
#include "vmm/sandbox.h"

#define STALL_MS       1000   /* a reader that takes nothing for so long holds up nobody any more */
#define FLUSH_MS       1000   /* how long console_close() and console_flush() wait for the reader */
#define UNSTICK_MS     20     /* between signals to a thread that is stuck after that */
#define SIGNAL_UNSTICK SIGURG /* one that nothing else here uses and whose default action is none */
#define NAP_MS	       1      /* while output flows the thread looks at it so often instead of at every byte */
#define BACKGROUND_MS  500    /* a shell's `fg` does not tell a process that is running already */
#define ACCEPT_MS      150    /* between attempts where there is no descriptor for a client */
#define ROUND_CHUNKS   16     /* written before input is looked at again */

static int64_t now_ms(void)
{
	return (int64_t)(clock_us() / 1000);
}

static int sooner(int timeout, int ms)
{
	return timeout < 0 || timeout > ms ? ms : timeout;
}

static void console_ring(struct console *c)
{
	uint64_t one = 1;

	/* Fails only with the counter full, and then it rings anyway. */
	while (write(c->doorbell, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* ---- the guest's side: vCPU threads ---- */

/* Returns whether the byte was taken; *ring: whether the thread has to be woken. */
static bool console_put_locked(struct console *c, uint8_t byte, bool *ring)
{
	*ring = false;
	if (c->discard)
		return true;
	c->flushed = false;
	if (c->count == RING_SIZE) {
		if (!c->lossy) {
			c->refused = true;
			return false;
		}
		c->head = (c->head + 1) % RING_SIZE;
		c->count--;
	}
	c->ring[(c->head + c->count++) % RING_SIZE] = byte;
	if (c->count >= c->bell_at) {
		c->bell_at = SIZE_MAX;
		*ring = true;
	}
	return true;
}

static bool console_write(void *ctx, uint8_t byte)
{
	struct console *c = ctx;
	bool taken, ring;

	pthread_mutex_lock(&c->lock);
	taken = console_put_locked(c, byte, &ring);
	pthread_mutex_unlock(&c->lock);
	if (ring)
		console_ring(c);
	return taken;
}

static void console_want_input(void *ctx)
{
	struct console *c = ctx;
	bool ring;

	pthread_mutex_lock(&c->lock);
	c->input_wanted = true;
	ring = c->bell_input;
	c->bell_input = false;
	pthread_mutex_unlock(&c->lock);
	if (ring)
		console_ring(c);
}

/* ---- output: console thread ---- */

/* Change how a full ring is treated, and let a refused transmitter try again. */
static void console_unblock_guest(struct console *c, bool lossy)
{
	bool refused;

	pthread_mutex_lock(&c->lock);
	c->lossy = lossy;
	refused = c->refused;
	c->refused = false;
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_lock(&c->frontend_lock);
	if (refused && c->frontend.drained)
		c->frontend.drained(c->frontend.ctx);
	pthread_mutex_unlock(&c->frontend_lock);
}

void console_reader_came(struct console *c)
{
	c->blocked = false;
	c->progress_ms = now_ms();
	console_unblock_guest(c, false);
}

/* What was not written goes back where it came from, so that the ring stays one piece; the oldest gives way. */
static void console_return_chunk(struct console *c)
{
	pthread_mutex_lock(&c->lock);
	while (c->out_at < c->out_len && c->count < RING_SIZE) {
		c->head = (c->head + RING_SIZE - 1) % RING_SIZE;
		c->ring[c->head] = c->out[--c->out_len];
		c->count++;
	}
	pthread_mutex_unlock(&c->lock);
	c->out_at = c->out_len = 0;
}

void console_reader_gone(struct console *c)
{
	console_return_chunk(c);
	console_unblock_guest(c, true);
}

void console_give_up_output(struct console *c)
{
	pthread_mutex_lock(&c->lock);
	c->discard = true;
	c->count = 0;
	pthread_mutex_unlock(&c->lock);
	c->out_at = c->out_len = 0;
	console_unblock_guest(c, true);
}

/* Refill the chunk that is being written. Returns whether there is something in it. */
static bool console_fill_chunk(struct console *c)
{
	if (c->out_at < c->out_len)
		return true;
	pthread_mutex_lock(&c->lock);
	c->out_at = 0;
	c->out_len = c->count < CHUNK_SIZE ? c->count : CHUNK_SIZE;
	for (size_t done = 0; done < c->out_len;) {
		size_t n = c->out_len - done;

		n = n < RING_SIZE - c->head ? n : RING_SIZE - c->head;
		memcpy(c->out + done, c->ring + c->head, n);
		c->head = (c->head + n) % RING_SIZE;
		done += n;
	}
	c->count -= c->out_len;
	pthread_mutex_unlock(&c->lock);
	return c->out_len > 0;
}

/* Write what the reader takes. Returns whether it took something. */
static bool console_push_output(struct console *c)
{
	bool progress = false;

	for (int i = 0; i < ROUND_CHUNKS && c->out_fd >= 0 && console_fill_chunk(c); i++) {
		ssize_t n = console_host_write(c, c->out + c->out_at, c->out_len - c->out_at);

		if (n == -EINTR)
			break;
		if (n == -EAGAIN) {
			/* Its second of grace begins now, not when it last happened to get something. */
			if (!c->blocked)
				c->progress_ms = now_ms();
			c->blocked = true;
			break;
		}
		if (n < 0) {
			console_host_lost(c, (int)-n);
			break;
		}
		c->out_at += (size_t)n;
		progress = true;
	}
	if (progress && c->out_fd >= 0) {
		c->progress_ms = now_ms();
		console_unblock_guest(c, false);
	}
	return progress;
}

/* ---- the thread ---- */

/* console_close() was called. *end: and all is written, or nobody takes it, or time is up. */
static bool console_stopping(struct console *c, bool *end)
{
	int64_t deadline;
	bool empty;

	pthread_mutex_lock(&c->lock);
	deadline = c->stop_ms;
	empty = c->out_at == c->out_len && !c->count && !c->refused;
	empty |= c->discard || c->lossy;
	pthread_mutex_unlock(&c->lock);
	*end = deadline && (empty || c->out_fd < 0 || now_ms() >= deadline);
	return deadline;
}

/* After console_push_output(), so that a transmitter that was refused has been served as far as there is room. */
static void console_flush_check_locked(struct console *c)
{
	c->flushed = !c->count && c->out_at == c->out_len && !c->refused;
	if (c->flushers && (c->flushed || c->lossy || c->discard))
		pthread_cond_broadcast(&c->flush_cond);
}

/*
 * Say what shall ring the doorbell. Returns poll()'s timeout: 0 when there is work already. hot: output flowed just
 * now, so more of it is likely and the thread comes back by itself instead of being woken for each byte.
 */
static int console_prepare_sleep(struct console *c, bool hot)
{
	bool work, reader = c->out_fd >= 0 && !c->blocked;
	int timeout = -1;

	pthread_mutex_lock(&c->lock);
	work = reader && (c->out_at < c->out_len || c->count);
	work |= c->input_wanted && c->in_at < c->in_len;
	c->bell_input = !work && c->in_at < c->in_len;
	console_flush_check_locked(c);
	if (!work && reader)
		c->bell_at = hot ? RING_SIZE / 2 : 1;
	else
		c->bell_at = SIZE_MAX;
	/* A stalled reader is waited for only so long, unless it is known as one already. */
	if (c->blocked && c->out_fd >= 0 && !c->lossy) {
		int64_t left = c->progress_ms + STALL_MS - now_ms();

		timeout = left > 0 ? (int)left : 0;
	}
	if (c->stop_ms)
		timeout = sooner(timeout, FLUSH_MS / 10);
	pthread_mutex_unlock(&c->lock);
	if (work)
		return 0;
	return hot && reader ? NAP_MS : timeout;
}

enum { SLOT_BELL, SLOT_EVENT, SLOT_IN, SLOT_OUT, SLOTS };

/* in_fd and out_fd share one entry where they are the same. */
static void console_poll_set(struct console *c, struct pollfd *p, bool readable)
{
	bool duplex = c->base_fd >= 0 && (c->in_fd == c->base_fd || c->out_fd == c->base_fd);
	short in = readable && console_reads(c) ? POLLIN : 0;
	short out = c->out_fd >= 0 && c->blocked ? POLLOUT : 0;

	for (int i = 0; i < SLOTS; i++)
		p[i] = (struct pollfd){.fd = -1};
	p[SLOT_BELL] = (struct pollfd){.fd = c->doorbell, .events = POLLIN};
	p[SLOT_EVENT] = (struct pollfd){.fd = c->kind == CONSOLE_UNIX ? c->socket.fd : c->watch_fd, .events = POLLIN};
	if (c->no_accept)
		p[SLOT_EVENT].fd = -1;
	if (duplex) {
		/* No events, but its hanging up is told all the same; once is enough. */
		if (in || out || !c->hung_up)
			p[SLOT_IN] = (struct pollfd){.fd = c->base_fd, .events = (short)(in | out)};
		return;
	}
	if (in)
		p[SLOT_IN] = (struct pollfd){.fd = c->in_fd, .events = in};
	if (out)
		p[SLOT_OUT] = (struct pollfd){.fd = c->out_fd, .events = out};
}

static void console_poll_done(struct console *c, const struct pollfd *p)
{
	short in = p[SLOT_IN].revents, out = p[SLOT_OUT].revents | in;
	uint64_t rings;

	while (p[SLOT_BELL].revents && read(c->doorbell, &rings, sizeof(rings)) > 0)
		;
	if (out & (POLLOUT | POLLERR | POLLHUP | POLLNVAL))
		c->blocked = false;
	if (c->base_fd >= 0 && (in & (POLLHUP | POLLERR)) && !c->hung_up) {
		c->hung_up = true;
		if (c->out_fd >= 0)
			console_host_lost(c, EPIPE);
	}
	if ((in & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) && (p[SLOT_IN].events & POLLIN) && c->in_fd >= 0)
		console_read(c);
	/* Last, so that the end of one client does not hit the next. */
	if (p[SLOT_EVENT].revents)
		console_host_event(c);
}

static void console_check_stall(struct console *c)
{
	if (c->blocked && c->out_fd >= 0 && !c->lossy && now_ms() - c->progress_ms >= STALL_MS)
		console_unblock_guest(c, true);
}

static void *console_thread(void *arg)
{
	struct console *c = arg;
	struct pollfd p[SLOTS];

	pthread_setname_np(pthread_self(), "console");
	sandbox_thread(SANDBOX_CONSOLE);
	for (;;) {
		bool readable = !c->in_tty || console_tty_refresh();
		bool hot = console_push_output(c);
		bool stopping, end;
		int timeout;

		console_push_input(c);
		stopping = console_stopping(c, &end);
		if (end)
			break;
		timeout = console_prepare_sleep(c, hot);
		if (!readable)
			timeout = sooner(timeout, BACKGROUND_MS);
		if (c->no_accept)
			timeout = sooner(timeout, ACCEPT_MS);
		console_poll_set(c, p, readable && !stopping);
		if (poll(p, SLOTS, timeout) > 0)
			console_poll_done(c, p);
		else
			c->no_accept = false;
		console_check_stall(c);
	}
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->done_cond);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- life: main thread ---- */

int console_open(struct console **out, const char *spec, const struct console_hooks *hooks)
{
	struct console *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int err = -ENOMEM;

	*out = NULL;
	if (!c) {
		log_error("serial: out of memory");
		return err;
	}
	c->hooks = *hooks;
	c->bell_at = SIZE_MAX;
	c->flushed = true;
	c->input_wanted = true;
	c->ring = malloc(RING_SIZE);
	c->in = malloc(INPUT_SIZE);
	c->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->frontend_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->done_cond, &attr);
	pthread_cond_init(&c->flush_cond, &attr);
	pthread_condattr_destroy(&attr);
	c->in_fd = c->out_fd = c->watch_fd = c->base_fd = c->slave_fd = -1;
	if (!c->ring || !c->in || c->doorbell < 0)
		log_error("serial: %s", c->doorbell < 0 ? strerror(errno) : "out of memory");
	else
		err = console_host_open(c, spec);
	if (err) {
		console_close(c);
		return err;
	}
	*out = c;
	return 0;
}

struct char_backend console_backend(struct console *c)
{
	return (struct char_backend){.write = console_write, .want_input = console_want_input, .ctx = c};
}

void console_connect(struct console *c, const struct char_frontend *frontend)
{
	pthread_mutex_lock(&c->frontend_lock);
	c->frontend = *frontend;
	pthread_mutex_unlock(&c->frontend_lock);
	/* It has asked for nothing yet: whatever is there may be offered. */
	console_want_input(c);
}

void console_flush(struct console *c)
{
	struct timespec until;

	if (!c->started)
		return;
	until = clock_in_ms(FLUSH_MS);
	pthread_mutex_lock(&c->lock);
	c->flushers++;
	if (!c->flushed)
		console_ring(c); /* it may be in its nap */
	while (!c->flushed && !c->lossy && !c->discard) {
		if (pthread_cond_timedwait(&c->flush_cond, &c->lock, &until) == ETIMEDOUT)
			break;
	}
	c->flushers--;
	pthread_mutex_unlock(&c->lock);
}

void console_disconnect(struct console *c)
{
	console_flush(c);
	pthread_mutex_lock(&c->frontend_lock);
	c->frontend = (struct char_frontend){0};
	pthread_mutex_unlock(&c->frontend_lock);
	pthread_mutex_lock(&c->lock);
	c->refused = false;
	pthread_mutex_unlock(&c->lock);
}

/* Only there so that a system call is cut short. */
static void on_unstick(int sig)
{
	(void)sig;
}

int console_start(struct console *c)
{
	struct sigaction unstick = {.sa_handler = on_unstick};
	sigset_t all, old;
	int err;

	if (c->kind == CONSOLE_NULL)
		return 0;
	c->progress_ms = now_ms();
	/*
	 * Signals are for the main thread. Blocked ones here also mean that SIGPIPE does not kill and that writing to
	 * the terminal from the background is allowed (SIGTTOU).
	 */
	sigfillset(&all);
	if (c->may_stick) {
		sigaction(SIGNAL_UNSTICK, &unstick, NULL);
		sigdelset(&all, SIGNAL_UNSTICK);
	}
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (c->in_tty)
		console_tty_refresh();
	err = pthread_create(&c->thread, NULL, console_thread, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		log_error("serial: cannot start a thread: %s", strerror(err));
	c->started = !err;
	return -err;
}

/* The thread keeps the deadline itself, unless it is stuck in a read or write of a shared descriptor. */
static void console_join(struct console *c)
{
	struct timespec until = clock_in_ms(FLUSH_MS);

	pthread_mutex_lock(&c->lock);
	c->stop_ms = now_ms() + FLUSH_MS;
	console_ring(c);
	while (!c->done) {
		if (pthread_cond_timedwait(&c->done_cond, &c->lock, &until) != ETIMEDOUT)
			continue;
		/* Again and again: a signal that comes just before the call does not cut it short. */
		if (c->may_stick)
			pthread_kill(c->thread, SIGNAL_UNSTICK);
		until = clock_in_ms(UNSTICK_MS);
	}
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
}

void console_close(struct console *c)
{
	if (!c)
		return;
	if (c->started)
		console_join(c);
	console_host_close(c);
	if (c->doorbell >= 0)
		close(c->doorbell);
	pthread_cond_destroy(&c->done_cond);
	pthread_cond_destroy(&c->flush_cond);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->frontend_lock);
	free(c->ring);
	free(c->in);
	free(c);
}
