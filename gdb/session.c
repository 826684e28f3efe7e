#include "gdb/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb/session_impl.h"

/* Once this much output waits, packets wait too: the client has to read first. One more reply fits always. */
#define OUT_HIGH (256 * 1024)
/* Packets that arrive while the machine runs: no sane client sends any, so what is over this is dropped. */
#define QUEUE_MAX (2 * GDB_PACKET_MAX)

struct gdb_session *gdb_session_new(const struct gdb_target *target)
{
	struct gdb_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->target = *target;
	s->ncpus = target->base->ncpus(target->t);
	s->dec.max = GDB_PACKET_MAX;
	s->c_thread = GDB_THREAD_ANY;
	s->actions = calloc((size_t)s->ncpus, sizeof(*s->actions));
	if (!s->actions) {
		free(s);
		return NULL;
	}
	return s;
}

void gdb_session_free(struct gdb_session *s)
{
	if (!s)
		return;
	gdb_buf_free(&s->dec.data);
	gdb_link_free(&s->link);
	gdb_buf_free(&s->queue);
	gdb_buf_free(&s->inbox);
	gdb_buf_free(&s->reply);
	gdb_buf_free(&s->tdesc);
	free(s->actions);
	free(s);
}

void gdb_session_send(struct gdb_session *s)
{
	if (s->reply.failed) {
		gdb_buf_reset(&s->reply);
		gdb_reply_error(s, -ENOMEM, NULL);
	}
	gdb_link_send(&s->link, s->out, s->reply.data, s->reply.len);
	gdb_buf_reset(&s->reply);
}

void gdb_session_console(struct gdb_session *s, const char *text, size_t n)
{
	/* Hex doubles it, and the packet must not be larger than the client's buffer. */
	const size_t most = GDB_PACKET_MAX / 2 - 1;

	while (n) {
		size_t k = n < most ? n : most;

		gdb_buf_reset(&s->reply);
		gdb_buf_putc(&s->reply, 'O');
		gdb_hex_put(&s->reply, text, k);
		gdb_session_send(s);
		text += k;
		n -= k;
	}
}

static void handle_packet(struct gdb_session *s, const uint8_t *packet, size_t n)
{
	gdb_buf_reset(&s->reply);
	if (gdb_command_run(s, packet, n))
		gdb_session_send(s);
}

/* ---- the packets that wait ---- */

static bool queue_empty(const struct gdb_session *s)
{
	return s->queue_head == s->queue.len;
}

/* Packets are answered; otherwise they wait. */
static bool answers(const struct gdb_session *s)
{
	return s->state == GDB_STOPPED || s->state == GDB_IDLE;
}

static void queue_clear(struct gdb_session *s)
{
	gdb_buf_reset(&s->queue);
	s->queue_head = 0;
}

static bool queue_put(struct gdb_session *s, const uint8_t *packet, size_t n)
{
	if (s->queue.len + sizeof(n) + n > QUEUE_MAX)
		return false;
	gdb_buf_put(&s->queue, &n, sizeof(n));
	gdb_buf_put(&s->queue, packet, n);
	if (s->queue.failed)
		queue_clear(s);
	return true;
}

static bool out_full(const struct gdb_session *s)
{
	/* While it runs nothing but acks goes out, and 0x03 has to be seen. */
	return answers(s) && s->out->len >= OUT_HIGH;
}

static void queue_run(struct gdb_session *s)
{
	while (answers(s) && !queue_empty(s) && !out_full(s)) {
		const uint8_t *packet;
		size_t n;

		memcpy(&n, s->queue.data + s->queue_head, sizeof(n));
		packet = s->queue.data + s->queue_head + sizeof(n);
		s->queue_head += sizeof(n) + n;
		handle_packet(s, packet, n);
	}
	if (queue_empty(s) || s->state == GDB_GONE)
		queue_clear(s);
}

/* ---- bytes ---- */

static bool is_greeting(const uint8_t *packet, size_t n)
{
	struct gdb_cursor c = {packet, packet + n};

	return gdb_cursor_prefix(&c, "qSupported") && (gdb_cursor_done(&c) || *c.p == ':');
}

/*
 * A client says hello once. Said again after other packets, or to a running machine, it is said by another client
 * that came over the same line. (Said twice in a row it is one that missed our ack.)
 */
static bool is_new_client(struct gdb_session *s, const uint8_t *packet, size_t n)
{
	bool again;

	if (!is_greeting(packet, n)) {
		s->since_greeting = true;
		return false;
	}
	again = s->state == GDB_RUNNING || (s->greeted && s->since_greeting);
	s->greeted = true;
	s->since_greeting = false;
	return s->persistent && again;
}

static void ack(struct gdb_session *s, bool always)
{
	if (always || !s->link.noack)
		gdb_buf_putc(s->out, '+');
	gdb_link_settle(&s->link, s->out);
}

/* The one packet that means something while the machine runs. */
static bool is_interrupt(const struct gdb_session *s, const uint8_t *packet, size_t n)
{
	static const char name[] = "vCtrlC";

	return s->state == GDB_RUNNING && n == sizeof(name) - 1 && !memcmp(packet, name, n);
}

/* Its answer first, then the stop that it leads to. */
static void interrupt_asked(struct gdb_session *s)
{
	gdb_buf_reset(&s->reply);
	gdb_reply_ok(s);
	gdb_session_send(s);
	s->interrupted = s->resumed;
	s->target.base->interrupt(s->target.t);
}

static void packet_ready(struct gdb_session *s, const uint8_t *packet, size_t n)
{
	static const char noack[] = "QStartNoAckMode";

	if (is_new_client(s, packet, n)) {
		gdb_buf_reset(&s->inbox);
		gdb_packet_encode(&s->inbox, packet, n);
		s->replaced = true;
		s->state = GDB_GONE;
		return;
	}
	if (is_interrupt(s, packet, n)) {
		ack(s, false);
		interrupt_asked(s);
		return;
	}
	if (!answers(s) && !queue_put(s, packet, n)) {
		if (!s->link.noack)
			gdb_buf_putc(s->out, '-');
		return;
	}
	/*
	 * The one packet that is acknowledged always: over a line that never hung up it may come from a new client,
	 * which does not know that the one before it had switched acks off. Others skip the byte.
	 */
	ack(s, n == sizeof(noack) - 1 && !memcmp(packet, noack, n));
	if (answers(s))
		handle_packet(s, packet, n);
}

/* Without acks nobody would repeat the packet: an error keeps the client from waiting for ever. */
static void packet_lost(struct gdb_session *s, int err, const char *why)
{
	if (!answers(s))
		return;
	gdb_buf_reset(&s->reply);
	s->text_errors = false;
	gdb_reply_error(s, err, why);
	gdb_session_send(s);
}

static void session_event(struct gdb_session *s, enum gdb_packet_event ev)
{
	switch (ev) {
	case GDB_PACKET_NONE:
		break;
	case GDB_PACKET_READY:
		packet_ready(s, s->dec.data.len ? s->dec.data.data : (const uint8_t *)"", s->dec.data.len);
		break;
	case GDB_PACKET_BAD:
		if (s->link.noack)
			packet_lost(s, -EBADMSG, "bad checksum");
		else
			gdb_buf_putc(s->out, '-');
		break;
	case GDB_PACKET_TOO_LONG:
		/* While it runs this is one of those that do not fit into the queue. */
		if (!s->link.noack)
			gdb_buf_putc(s->out, answers(s) ? '+' : '-');
		packet_lost(s, -EMSGSIZE, "packet too long");
		break;
	case GDB_PACKET_ACK:
		gdb_link_ack(&s->link, s->out);
		break;
	case GDB_PACKET_NAK:
		gdb_link_nak(&s->link, s->out);
		break;
	case GDB_PACKET_BREAK:
		/*
		 * Another stop may come first, or be under way already, and be one that the client passes over without
		 * a word: a step of many, a condition that was false. It said this once, and means the next one then.
		 */
		if (s->state == GDB_RUNNING)
			s->target.base->interrupt(s->target.t);
		if (s->state == GDB_RUNNING || s->state == GDB_STOPPED)
			s->interrupted = s->resumed;
		break;
	}
}

/* Looks at bytes until they end, the output is full or the session is over; returns how many. */
static size_t session_bytes(struct gdb_session *s, const uint8_t *data, size_t n)
{
	size_t i = 0;

	while (i < n && s->state != GDB_GONE && !out_full(s))
		session_event(s, gdb_decoder_byte(&s->dec, data[i++]));
	return i;
}

static void session_go_on(struct gdb_session *s)
{
	struct gdb_buf held = s->inbox;
	size_t done;

	queue_run(s);
	if (!held.len || s->state == GDB_GONE)
		return;
	/* A packet in there may put bytes of its own into the inbox (a new client), so it is taken out meanwhile. */
	s->inbox = (struct gdb_buf){0};
	done = session_bytes(s, held.data, held.len);
	gdb_buf_consume(&held, done);
	if (s->replaced) {
		gdb_buf_put(&s->inbox, held.data, held.len);
		gdb_buf_free(&held);
	} else {
		s->inbox = held;
		if (!held.len)
			gdb_buf_reset(&s->inbox);
	}
}

/* Once the session is over no ack is heard: what is held back for one goes out now. (A new client gets none of it.) */
static void session_done(struct gdb_session *s)
{
	if (s->state == GDB_GONE && !s->replaced)
		gdb_link_settle(&s->link, s->out);
	s->out = NULL;
}

void gdb_session_input(struct gdb_session *s, const uint8_t *data, size_t n, struct gdb_buf *out)
{
	size_t done = 0;

	if (s->state == GDB_GONE)
		return;
	s->out = out;
	session_go_on(s);
	if (!s->inbox.len && !(answers(s) && !queue_empty(s)))
		done = session_bytes(s, data, n);
	if (s->state != GDB_GONE || s->replaced)
		gdb_buf_put(&s->inbox, data ? data + done : NULL, n - done);
	session_done(s);
}

/* ---- the machine's side ---- */

/* Why the machine cannot go on, onto the user's screen: a stop reply carries no more than a signal. */
static void console_fault(struct gdb_session *s, const struct gdb_stop *stop)
{
	const struct gdb_info_ops *info = s->target.info;
	char text[1024] = "";
	size_t n;

	if (stop->text[0]) {
		snprintf(text, sizeof(text), "%s\n", stop->text);
		gdb_session_console(s, text, strlen(text));
		return;
	}
	if (stop->kind != GDB_STOP_SIGNAL || stop->signo == 2 || stop->signo == 5 || !info || !info->fault)
		return;
	info->fault(s->target.t, text, sizeof(text) - 1);
	if (!text[0])
		return;
	n = strlen(text);
	if (text[n - 1] != '\n')
		text[n++] = '\n';
	gdb_session_console(s, text, n);
}

/* One stop reply per resume: a pause that comes after the stop it raced with, or after a detach, is old news. */
static bool is_news(const struct gdb_session *s, const struct gdb_stop *stop)
{
	if (s->state == GDB_GONE)
		return false;
	if (!gdb_stop_is_end(stop))
		return !answers(s);
	/* It was killed; and this is how it went. */
	return !(s->state == GDB_IDLE && s->ended && stop->stays);
}

static void send_stop(struct gdb_session *s, bool end)
{
	gdb_buf_reset(&s->reply);
	if (s->starting && end)
		gdb_reply_error(s, -EIO, "the machine could not be started: minivmm's own messages say why");
	else
		gdb_put_stop_reply(s, &s->reply);
	gdb_session_send(s);
}

void gdb_session_stopped(struct gdb_session *s, const struct gdb_stop *stop, struct gdb_buf *out)
{
	bool waited_for = s->state == GDB_RUNNING;
	bool end = gdb_stop_is_end(stop);

	if (!is_news(s, stop))
		return;
	s->out = out;
	s->last_stop = *stop;
	if (!end) {
		if (stop->cpu < 0 || stop->cpu >= s->ncpus)
			s->last_stop.cpu = 0;
		/* The first stop answers nobody's Ctrl-C. */
		if ((s->state == GDB_ATTACHING || s->starting) && stop->kind == GDB_STOP_SIGNAL &&
			stop->signo == GDB_SIGNAL_INT)
			s->last_stop.signo = GDB_SIGNAL_TRAP;
		if (s->last_stop.kind == GDB_STOP_SIGNAL && s->last_stop.signo == GDB_SIGNAL_INT)
			s->interrupted = false;
		s->g_cpu = s->last_stop.cpu;
		s->c_thread = GDB_THREAD_ANY;
	}
	if (waited_for) {
		console_fault(s, stop);
		send_stop(s, end);
	}
	s->starting = false;
	if (end) {
		s->ended = true;
		s->created = s->resumed = s->interrupted = false;
	}
	s->state = !end ? GDB_STOPPED : stop->stays ? GDB_IDLE : GDB_GONE;
	session_go_on(s);
	session_done(s);
}

/* ---- what the server asks ---- */

bool gdb_session_backlog(const struct gdb_session *s)
{
	return s->state != GDB_GONE && (s->inbox.len || (answers(s) && !queue_empty(s)));
}

void gdb_session_set_persistent(struct gdb_session *s, bool persistent)
{
	s->persistent = persistent;
}

bool gdb_session_leftover(struct gdb_session *s, struct gdb_buf *bytes)
{
	if (!s->replaced)
		return false;
	gdb_buf_put(bytes, s->inbox.data, s->inbox.len);
	gdb_buf_reset(&s->inbox);
	return true;
}

void gdb_session_refusal(struct gdb_buf *out, const char *why)
{
	struct gdb_buf text = {0};

	/* The ack belongs to the client's first packet, qSupported, which this then answers: gdb shows such an error.
	 */
	gdb_buf_putc(out, '+');
	gdb_buf_printf(&text, "E.%s", why);
	gdb_packet_encode(out, text.data, text.len);
	gdb_buf_free(&text);
}

bool gdb_session_gone(const struct gdb_session *s)
{
	return s->state == GDB_GONE;
}

bool gdb_session_running(const struct gdb_session *s)
{
	return s->state == GDB_RUNNING;
}

bool gdb_session_replaced(const struct gdb_session *s)
{
	return s->replaced;
}
