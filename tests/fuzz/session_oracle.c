#include "tests/fuzz/session_oracle.h"

#include <ctype.h>
#include <stdarg.h>

#include "tests/fuzz/session_rules.h"

ORACLE_BEGIN

/* The session's own bound of what waits while the machine runs, lengths included; what is over it is lost. */
#define WAITING_MAX (2 * GDB_PACKET_MAX)

/* ---- lists of packets ---- */

void packets_push(struct packets *p, const uint8_t *data, size_t n)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 16;
		p->item = realloc(p->item, p->cap * sizeof(*p->item));
	}
	p->item[p->n].data = malloc(n + 1);
	memcpy(p->item[p->n].data, n ? data : (const uint8_t *)"", n);
	p->item[p->n].data[n] = '\0';
	p->item[p->n++].n = n;
}

bool packets_pop(struct packets *p, struct packet *out)
{
	if (!packets_left(p))
		return false;
	*out = p->item[p->head++];
	return true;
}

void packets_clear(struct packets *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->item[i].data);
	p->head = p->n = 0;
}

static void packets_free(struct packets *p)
{
	packets_clear(p);
	free(p->item);
	*p = (struct packets){0};
}

/* ---- framing ---- */

/* Escapes and runs, once all is there. GDB manual, "Overview" of the remote protocol. */
static bool unpack(const struct gdb_buf *raw, struct gdb_buf *out)
{
	gdb_buf_reset(out);
	for (size_t i = 0; i < raw->len; i++) {
		uint8_t c = raw->data[i];
		size_t plain = i;

		while (plain < raw->len && raw->data[plain] != '}' && raw->data[plain] != '*')
			plain++;
		if (plain > i) {
			gdb_buf_put(out, raw->data + i, plain - i);
			i = plain - 1;
			continue;
		}
		if (++i == raw->len)
			return false;
		if (c == '}') {
			gdb_buf_putc(out, (char)(raw->data[i] ^ 0x20));
			continue;
		}
		if (raw->data[i] < ' ' || raw->data[i] > '~' || !out->len)
			return false;
		for (int k = raw->data[i] - 29; k; k--)
			gdb_buf_putc(out, (char)out->data[out->len - 1]);
	}
	return true;
}

static enum frame_event frame_end(struct frame_reader *r)
{
	uint8_t sum = 0;

	r->state = FRAME_NONE;
	for (size_t i = 0; i < r->raw.len; i++)
		sum = (uint8_t)(sum + r->raw.data[i]);
	if (!isxdigit((uint8_t)r->sum[0]) || !isxdigit((uint8_t)r->sum[1]) || strtoul(r->sum, NULL, 16) != sum)
		return FRAME_BROKEN;
	if (!unpack(&r->raw, &r->payload))
		return FRAME_BROKEN;
	return r->payload.len > GDB_PACKET_MAX ? FRAME_LONG : FRAME_PACKET;
}

enum frame_event frame_byte(struct frame_reader *r, uint8_t c)
{
	if (c == '$') { /* nowhere else than at the beginning: escaped in a packet */
		r->state = FRAME_BODY;
		gdb_buf_reset(&r->raw);
		return FRAME_NOTHING;
	}
	switch (r->state) {
	case FRAME_BODY:
		if (c == '#') {
			r->state = FRAME_SUM;
			r->nsum = 0;
		} else {
			gdb_buf_putc(&r->raw, (char)c);
		}
		return FRAME_NOTHING;
	case FRAME_SUM:
		r->sum[r->nsum++] = (char)c;
		return r->nsum == 2 ? frame_end(r) : FRAME_NOTHING;
	default:
		return c == '+' ? FRAME_ACK : c == '-' ? FRAME_NAK : c == 3 ? FRAME_BREAK : FRAME_JUNK;
	}
}

/* The same for many bytes of a body at once: how many. */
static size_t frame_bulk(struct frame_reader *r, const uint8_t *p, size_t n)
{
	size_t k = 0;

	while (r->state == FRAME_BODY && k < n && p[k] != '#' && p[k] != '$')
		k++;
	gdb_buf_put(&r->raw, p, k);
	return k;
}

/* ---- beginning and end ---- */

void oracle_complain(const struct oracle *o, const char *fmt, ...)
{
	static const char *const states[] = {"attaching", "stopped", "running", "idle", "gone"};
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "session: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n(%s%s%s)\n", states[o->state], o->noack ? ", no acks" : "", o->extended ? ", extended" : "");
	va_end(ap);
	abort();
}

static void oracle_clear(struct oracle *o)
{
	gdb_buf_free(&o->in.raw);
	gdb_buf_free(&o->in.payload);
	gdb_buf_free(&o->out.raw);
	gdb_buf_free(&o->out.payload);
	packets_free(&o->waiting);
	packets_free(&o->owed);
	packets_free(&o->got);
	packets_free(&o->unacked);
}

void oracle_begin(struct oracle *o, struct machine *m, bool persistent)
{
	oracle_clear(o);
	*o = (struct oracle){.m = m, .persistent = persistent, .interrupts = m->fake.interrupts};
}

void oracle_free(struct oracle *o)
{
	oracle_clear(o);
}

/* ---- what goes in ---- */

static bool answers(const struct oracle *o)
{
	return o->state == ORACLE_STOPPED || o->state == ORACLE_IDLE;
}

static bool is(const struct gdb_buf *packet, const char *text)
{
	return packet->len == strlen(text) && !memcmp(packet->data, text, packet->len);
}

/* On a line that never hangs up, a second hello is another client's. */
static bool another_client(struct oracle *o, const struct gdb_buf *packet)
{
	static const char hello[] = "qSupported";
	const size_t n = sizeof(hello) - 1;
	bool again = o->state == ORACLE_RUNNING || (o->greeted && o->since_greeting);

	if (packet->len < n || memcmp(packet->data, hello, n) || (packet->len > n && packet->data[n] != ':')) {
		o->since_greeting = true;
		return false;
	}
	o->greeted = true;
	o->since_greeting = false;
	return o->persistent && again;
}

static void packet_in(struct oracle *o, const struct gdb_buf *packet)
{
	if (another_client(o, packet)) {
		o->replaced = true;
		o->state = ORACLE_GONE;
		return;
	}
	/* QStartNoAckMode has one always: it may be the first packet of a client that does not know that acks are off.
	 */
	o->ack = o->noack && !is(packet, "QStartNoAckMode") ? 0 : '+';
	if (o->state == ORACLE_RUNNING && is(packet, "vCtrlC")) {
		packets_clear(&o->unacked);
		o->owes_ok = true;
		o->interrupts++;
		o->interrupted = o->resumed;
		return;
	}
	if (!answers(o)) {
		if (o->waiting_bytes + sizeof(size_t) + packet->len > WAITING_MAX) {
			o->ack = o->noack ? 0 : '-';
			return;
		}
		o->waiting_bytes += sizeof(size_t) + packet->len;
	}
	packets_clear(&o->unacked); /* a client that goes on has seen what was there */
	packets_push(&o->waiting, packet->data, packet->len);
}

void oracle_byte(struct oracle *o, uint8_t c)
{
	if (o->state == ORACLE_GONE)
		return;
	switch (frame_byte(&o->in, c)) {
	case FRAME_PACKET:
		packet_in(o, &o->in.payload);
		break;
	case FRAME_BROKEN:
		o->ack = o->noack ? 0 : '-';
		o->owes_error = o->noack && answers(o);
		break;
	case FRAME_LONG:
		o->ack = o->noack ? 0 : '+';
		o->owes_error = answers(o);
		break;
	case FRAME_ACK:
		oracle_acknowledged(o);
		break;
	case FRAME_NAK:
		o->owes_repeat = packets_left(&o->unacked);
		break;
	case FRAME_BREAK:
		o->interrupts += o->state == ORACLE_RUNNING;
		if (o->state == ORACLE_RUNNING || o->state == ORACLE_STOPPED)
			o->interrupted = o->resumed;
		break;
	case FRAME_NOTHING:
	case FRAME_JUNK:
		break;
	}
}

void oracle_acknowledged(struct oracle *o)
{
	struct packet gone;

	packets_pop(&o->unacked, &gone);
}

/* The text that a stop puts on the user's console. */
static void owe_text(struct oracle *o, const char *text)
{
	char packet[2 * 1024 + 2] = "O", *at = packet + 1;

	for (; *text; text++)
		at += sprintf(at, "%02x", (uint8_t)*text);
	strcpy(at, "0a");
	packets_push(&o->owed, (uint8_t *)packet, strlen(packet));
}

static bool is_end(const struct gdb_stop *stop)
{
	return stop->kind == GDB_STOP_EXITED || stop->kind == GDB_STOP_KILLED;
}

void oracle_stop(struct oracle *o, const struct gdb_stop *stop)
{
	bool end = is_end(stop), first = o->starting || o->state == ORACLE_ATTACHING;

	if (o->state == ORACLE_GONE || (!end && answers(o)) || (o->state == ORACLE_IDLE && o->ended && stop->stays))
		return;
	o->last = *stop;
	if (!end && (stop->cpu < 0 || stop->cpu >= FAKE_CPUS))
		o->last.cpu = 0;
	if (first && stop->kind == GDB_STOP_SIGNAL && stop->signo == GDB_SIGNAL_INT)
		o->last.signo = GDB_SIGNAL_TRAP;
	if (o->state == ORACLE_RUNNING) {
		if (stop->text[0])
			owe_text(o, stop->text);
		else if (stop->kind == GDB_STOP_SIGNAL && stop->signo > GDB_SIGNAL_INT &&
			 stop->signo != GDB_SIGNAL_TRAP && o->m->fake.fault)
			owe_text(o, o->m->fake.fault);
		if (o->starting && end)
			o->owes_error = true;
		else
			o->owes_stop = true;
	}
	o->starting = false;
	if (end)
		o->resumed = o->interrupted = false;
	else if (o->last.kind == GDB_STOP_SIGNAL && o->last.signo == GDB_SIGNAL_INT)
		o->interrupted = false;
	o->ended |= end;
	o->state = !end ? ORACLE_STOPPED : stop->stays ? ORACLE_IDLE : ORACLE_GONE;
}

/* ---- what comes out ---- */

void oracle_output(struct oracle *o, const struct gdb_buf *out)
{
	for (size_t i = 0; i < out->len; i++) {
		i += frame_bulk(&o->out, out->data + i, out->len - i);
		switch (i < out->len ? frame_byte(&o->out, out->data[i]) : FRAME_NOTHING) {
		case FRAME_PACKET:
			packets_push(&o->got, o->out.payload.data, o->out.payload.len);
			break;
		case FRAME_ACK:
		case FRAME_NAK:
			if (o->nacks == sizeof(o->acks))
				oracle_complain(o, "a shower of acks");
			o->acks[o->nacks++] = (char)out->data[i];
			break;
		case FRAME_NOTHING:
			break;
		default:
			oracle_complain(o, "output that is no packet, at byte %zu of %zu", i, out->len);
		}
	}
}

bool oracle_peek(const struct oracle *o, struct packet *p)
{
	if (packets_left(&o->got))
		*p = o->got.item[o->got.head];
	return packets_left(&o->got);
}

struct packet oracle_take(struct oracle *o, const char *what)
{
	struct packet p;

	if (!packets_pop(&o->got, &p))
		oracle_complain(o, "%s was not sent", what);
	o->nreply = p.n < sizeof(o->reply) - 1 ? p.n : sizeof(o->reply) - 1;
	memcpy(o->reply, p.data, o->nreply);
	o->reply[o->nreply] = '\0';
	if (!o->noack && !o->acks_at_once)
		packets_push(&o->unacked, p.data, p.n);
	return p;
}

static void settle_acks(struct oracle *o)
{
	char got = o->nacks ? o->acks[0] : 0;

	if (o->nacks > 1 || got != o->ack)
		oracle_complain(
			o, "%zu acks, '%c' where '%c' was due", o->nacks, got ? got : ' ', o->ack ? o->ack : ' ');
	o->nacks = 0;
	o->ack = 0;
}

/* What is due before any packet that waits is looked at. */
static void settle_debts(struct oracle *o)
{
	struct packet want, p;

	if (o->owes_repeat) {
		want = o->unacked.item[o->unacked.head];
		if (!packets_pop(&o->got, &p) || p.n != want.n || memcmp(p.data, want.data, p.n))
			oracle_complain(o, "not repeated: %s", want.data);
	}
	while (packets_pop(&o->owed, &want)) {
		p = oracle_take(o, "console output");
		if (p.n != want.n || memcmp(p.data, want.data, p.n))
			oracle_complain(o, "console output is %s", p.data);
	}
	packets_clear(&o->owed);
	if (o->owes_ok && strcmp((char *)oracle_take(o, "vCtrlC's OK").data, "OK"))
		oracle_complain(o, "vCtrlC was answered by %s", o->reply);
	if (o->owes_stop && !rules_is_stop(o, oracle_take(o, "a stop reply")))
		oracle_complain(o, "a stop was reported as %s", o->reply);
	if (o->owes_error && !rules_is_error(o, oracle_take(o, "an error"), false))
		oracle_complain(o, "a broken packet was answered by %s", o->reply);
	o->owes_repeat = o->owes_ok = o->owes_stop = o->owes_error = false;
}

void oracle_settle(struct oracle *o, const struct gdb_session *s)
{
	struct packet p;

	settle_acks(o);
	settle_debts(o);
	while (answers(o) && packets_pop(&o->waiting, &p))
		rules_answer(o, p.data, p.n);
	if (packets_pop(&o->got, &p))
		oracle_complain(o, "sent, and nobody had asked: %s", p.data);
	packets_clear(&o->got);
	if (!packets_left(&o->waiting) || o->state == ORACLE_GONE) {
		packets_clear(&o->waiting);
		o->waiting_bytes = 0;
	}
	if (o->m->ndeeds)
		oracle_complain(o, "the machine was told to do %d by no packet", o->m->deed[0]);
	if (o->m->fake.interrupts != o->interrupts)
		oracle_complain(o, "%d interrupts, where %d were due", o->m->fake.interrupts, o->interrupts);
	if (gdb_session_running(s) != (o->state == ORACLE_RUNNING) || gdb_session_gone(s) != (o->state == ORACLE_GONE))
		oracle_complain(o, "the session's state is another one");
	if (gdb_session_replaced(s) != o->replaced)
		oracle_complain(o, "another client has %scome", o->replaced ? "" : "not ");
	if (gdb_session_backlog(s))
		oracle_complain(o, "bytes are left over");
}

ORACLE_END
