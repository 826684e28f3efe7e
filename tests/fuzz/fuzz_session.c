/*
 * A client's bytes, and what the machine does at any moment, into a session over a fake machine, under the eyes of an
 * oracle (session_oracle.h). In the end a client that knows nothing of all this has to get its answers.
 *
 * The first byte says how, see enum mode. Then bytes of the client. 0xfe and a byte: what happens next, see happens();
 * 0xfd and a byte: the same in the middle of a packet. FRAMED: the bytes are payloads, a line each, and get their
 * framing here, since a fuzzer does not guess checksums; 0xfe ends a packet then. A line "monitor ..." is a qRcmd.
 */
#include "gdb/hex.h"
#include "gdb/packet.h"
#include "tests/fuzz/session_oracle.h"

enum mode {
	PERSISTENT = 1, /* the line does not hang up between clients */
	FRAMED = 2,
	WHOLE = 4,   /* a second session gets all bytes between two events at once, and has to say the same */
	ACKING = 8,  /* the client acknowledges each packet as it comes; otherwise none, as scripts do */
	NAKING = 16, /* but only the second time */
};
#define EVENT	     0xfe
#define EVENT_WITHIN 0xfd
#define EVENTS_MAX   512
/* What waits to be read, at most: what the session holds back at (256 KiB), and one more reply with its copies. */
#define OUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, made into bytes on the line and what happens between them. */
static struct {
	struct gdb_buf bytes;
	struct {
		size_t at;
		uint8_t what;
	} event[EVENTS_MAX];
	size_t nevents;
} script;

/* A session, its machine, and what it has put out. */
struct side {
	struct machine m;
	struct gdb_session *s;
	struct gdb_buf out, all;
};

static struct side careful, whole;
static struct oracle oracle;
static bool acking, naking;

/* ---- the script ---- */

static void script_event(size_t at, uint8_t what)
{
	if (script.nevents == EVENTS_MAX)
		return;
	script.event[script.nevents].at = at;
	script.event[script.nevents++].what = what;
}

/* "monitor ..." as gdb sends it, and other payloads as they are. */
static void script_encode(const uint8_t *payload, size_t n)
{
	static const char monitor[] = "monitor ";
	const size_t len = sizeof(monitor) - 1;
	struct gdb_buf command = {0};

	if (n < len || memcmp(payload, monitor, len)) {
		gdb_packet_encode(&script.bytes, payload, n);
		return;
	}
	gdb_buf_puts(&command, "qRcmd,");
	gdb_hex_put(&command, payload + len, n - len);
	gdb_packet_encode(&script.bytes, command.data, command.len);
	gdb_buf_free(&command);
}

/* One payload; an event in it comes as far inside of the packet. */
static void script_packet(const uint8_t *p, size_t n)
{
	size_t begin = script.bytes.len, first = script.nevents, k = 0;
	uint8_t *payload = malloc(n + 1);

	for (size_t i = 0; i < n; i++) {
		if (p[i] == EVENT_WITHIN && i + 1 < n)
			script_event(begin + k + 1, p[++i]);
		else
			payload[k++] = p[i];
	}
	script_encode(payload, k);
	free(payload);
	for (size_t i = first; i < script.nevents; i++) {
		if (script.event[i].at > script.bytes.len)
			script.event[i].at = script.bytes.len; /* runs have made it shorter */
	}
}

static void script_piece(const uint8_t *p, size_t n, bool framed)
{
	while (framed && n) {
		const uint8_t *nl = memchr(p, '\n', n);
		size_t k = nl ? (size_t)(nl - p) : n;

		script_packet(p, k);
		p += k + !!nl;
		n -= k + !!nl;
	}
	for (size_t i = 0; i < n; i++) {
		if (p[i] == EVENT_WITHIN && i + 1 < n)
			script_event(script.bytes.len, p[++i]);
		else
			gdb_buf_putc(&script.bytes, (char)p[i]);
	}
}

static void script_make(const uint8_t *p, size_t n, bool framed)
{
	gdb_buf_putc(&script.bytes, 0); /* so that there is memory, also for no bytes */
	gdb_buf_reset(&script.bytes);
	script.nevents = 0;
	while (n) {
		const uint8_t *mark = memchr(p, EVENT, n);
		size_t k = mark ? (size_t)(mark - p) : n;

		script_piece(p, k, framed);
		if (mark && k + 1 < n)
			script_event(script.bytes.len, mark[1]);
		k += !mark ? 0 : k + 1 < n ? 2 : 1;
		p += k;
		n -= k;
	}
}

/* ---- what happens ---- */

/* Bits 0-2: a stop of that kind, or 6: what the machine will say to what it is told. Of a stop, bits 3-5: the CPU. */
static bool is_stop(uint8_t what, struct gdb_stop *stop)
{
	unsigned kind = what & 7;

	*stop = (struct gdb_stop){
		.kind = (enum gdb_stop_kind)(kind % (GDB_STOP_KILLED + 1)),
		.cpu = (what >> 3 & 7) - 1,
		.signo = what >> 6 == 3 ? GDB_SIGNAL_SEGV
			 : what >> 6	? GDB_SIGNAL_ILL
					: GDB_SIGNAL_INT,
		.access = (enum hw_kind)(what >> 6),
		.addr = what * 0x1111u,
		.status = what,
		.stays = what & 0x40,
	};
	if (kind == 7 || (kind >= GDB_STOP_EXITED && what & 0x80))
		strcpy(stop->text, "the guest is in no mood");
	return kind != 6;
}

static void mood(struct fake *f, uint8_t what)
{
	f->resume_result = what & 0x08 ? -EBUSY : what & 0x10 ? -ESHUTDOWN : 0;
	f->restart_result = what & 0x20 ? -EIO : what & 0x10 ? -ESHUTDOWN : 0;
	f->fault = what & 0x40 ? "no way on" : NULL;
	f->program = what & 0x80 ? "ab" : NULL;
	f->slide = (struct gdb_slide){.state = what & 0x80 ? GDB_SLIDE_FOUND : GDB_SLIDE_NOT_YET,
		.slide = what & 0x40 ? 0x200000 : 0,
		.file = "vmlinux",
		.banner = ""};
}

static void happens(struct side *side, uint8_t what)
{
	struct gdb_stop stop;

	/* Who acknowledges each packet cannot do that in the middle of one. */
	if (acking && oracle.in.state != FRAME_NONE)
		return;
	if (!is_stop(what, &stop))
		mood(&side->m.fake, what);
	else if (side == &careful)
		oracle_stop(&oracle, &stop);
	if (is_stop(what, &stop))
		gdb_session_stopped(side->s, &stop, &side->out);
}

/* ---- sessions ---- */

static void begin(struct side *side, unsigned mode)
{
	struct gdb_target target = machine_reset(&side->m);

	side->s = gdb_session_new(&target);
	if (!side->s)
		abort();
	gdb_session_set_persistent(side->s, mode & PERSISTENT);
	gdb_buf_reset(&side->all);
	if (side == &careful)
		oracle_begin(&oracle, &side->m, mode & PERSISTENT);
}

/* The same line's next client, and what it has said already. */
static void next_client(struct side *side, unsigned mode, struct gdb_buf *said)
{
	struct gdb_target target = {0};

	gdb_session_leftover(side->s, said);
	gdb_session_free(side->s);
	target = machine_target(&side->m);
	side->s = gdb_session_new(&target);
	if (!side->s)
		abort();
	gdb_session_set_persistent(side->s, mode & PERSISTENT);
	if (side == &careful)
		oracle_begin(&oracle, &side->m, mode & PERSISTENT);
}

/* Takes what is there to read, so that the session goes on with what it held back. */
static void drain(struct side *side)
{
	for (;;) {
		if (side->out.len > OUT_MAX)
			oracle_complain(&oracle, "%zu bytes are waiting to be read", side->out.len);
		if (side == &careful)
			oracle_output(&oracle, &side->out);
		gdb_buf_put(&side->all, side->out.data, side->out.len);
		gdb_buf_reset(&side->out);
		if (!gdb_session_backlog(side->s))
			break;
		gdb_session_input(side->s, NULL, 0, &side->out);
	}
}

/* Acks may have been switched off by a packet whose reply the oracle has not seen yet. */
static bool switching_off(void)
{
	for (size_t i = oracle.waiting.head; i < oracle.waiting.n; i++) {
		if (!strcmp((char *)oracle.waiting.item[i].data, "QStartNoAckMode"))
			return true;
	}
	return false;
}

/* '-' gives the i-th packet, the oldest, once more. */
static void nak(size_t i)
{
	size_t n = oracle.got.n;
	struct packet *first, *again;

	gdb_session_input(careful.s, (const uint8_t *)"-", 1, &careful.out);
	oracle_output(&oracle, &careful.out);
	first = &oracle.got.item[i];
	if (!careful.out.len && switching_off())
		return;
	gdb_buf_reset(&careful.out);
	again = &oracle.got.item[n];
	if (oracle.got.n != n + 1 || again->n != first->n || memcmp(again->data, first->data, first->n))
		oracle_complain(&oracle, "not repeated, or not as it was: %s", first->data);
	free(again->data);
	oracle.got.n--;
}

/* The careful client reads, and acknowledges if it does that; then the oracle looks at what there is. */
static void settle(void)
{
	size_t acked = 0;

	for (drain(&careful); acking && acked < oracle.got.n; acked++) {
		if (naking && !oracle.noack && !gdb_session_gone(careful.s))
			nak(acked);
		gdb_session_input(careful.s, (const uint8_t *)"+", 1, &careful.out);
		drain(&careful);
	}
	oracle.acks_at_once = acking;
	oracle_settle(&oracle, careful.s);
}

/* A '+' from the input: from now on the session waits for more of them. */
static void begin_to_ack(void)
{
	acking = true;
	while (packets_left(&oracle.unacked)) {
		oracle_acknowledged(&oracle);
		gdb_session_input(careful.s, (const uint8_t *)"+", 1, &careful.out);
	}
	packets_clear(&oracle.unacked);
}

static void careful_bytes(const uint8_t *p, size_t n, unsigned mode)
{
	while (n--) {
		struct gdb_buf said = {0};
		bool ack = oracle.in.state == FRAME_NONE && *p == '+';

		oracle_byte(&oracle, *p);
		gdb_session_input(careful.s, p++, 1, &careful.out);
		if (ack && !acking && oracle.state != ORACLE_GONE)
			begin_to_ack();
		settle();
		if (gdb_session_replaced(careful.s)) {
			next_client(&careful, mode, &said);
			careful_bytes(said.data, said.len, mode);
			gdb_buf_free(&said);
		}
	}
}

static void whole_bytes(const uint8_t *p, size_t n, unsigned mode)
{
	gdb_session_input(whole.s, p, n, &whole.out);
	drain(&whole);
	while (gdb_session_replaced(whole.s)) {
		struct gdb_buf said = {0};

		next_client(&whole, mode, &said);
		gdb_session_input(whole.s, said.data, said.len, &whole.out);
		drain(&whole);
		gdb_buf_free(&said);
	}
}

static void play(struct side *side, unsigned mode)
{
	size_t at = 0;

	begin(side, mode);
	for (size_t i = 0; i <= script.nevents; i++) {
		size_t end = i < script.nevents ? script.event[i].at : script.bytes.len;
		struct gdb_buf said = {0};

		if (side == &careful)
			careful_bytes(script.bytes.data + at, end - at, mode);
		else
			whole_bytes(script.bytes.data + at, end - at, mode);
		at = end;
		if (i < script.nevents)
			happens(side, script.event[i].what);
		if (side == &careful)
			settle();
		else
			drain(side);
		if (gdb_session_gone(side->s))
			next_client(side, mode, &said);
		gdb_buf_free(&said);
	}
}

/* ---- afterwards ---- */

static void say(const char *bytes, unsigned mode)
{
	careful_bytes((const uint8_t *)bytes, strlen(bytes), mode);
}

static void ask(const char *payload, const char *reply, unsigned mode)
{
	struct gdb_buf frame = {0};

	gdb_packet_encode(&frame, payload, strlen(payload));
	oracle.nreply = 0;
	careful_bytes(frame.data, frame.len, mode);
	gdb_buf_free(&frame);
	if (reply && (oracle.nreply < strlen(reply) || strncmp((char *)oracle.reply, reply, strlen(reply))))
		oracle_complain(&oracle, "in the end, to %s the reply was %s", payload, oracle.reply);
}

static void stops(int signo)
{
	struct gdb_stop stop = {.kind = GDB_STOP_SIGNAL, .signo = signo};

	oracle_stop(&oracle, &stop);
	gdb_session_stopped(careful.s, &stop, &careful.out);
	settle();
}

/* From wherever it is now to a machine that is stopped. */
static void bring_back(unsigned mode)
{
	struct gdb_buf said = {0};
	size_t rounds;

	say("$#00", mode);			    /* ends what was half said */
	rounds = packets_left(&oracle.waiting) + 8; /* any packet that waits may be another resume */
	for (size_t i = 0; oracle.state != ORACLE_STOPPED; i++) {
		if (i == rounds)
			oracle_complain(&oracle, "it cannot be brought to a stop");
		switch (oracle.state) {
		case ORACLE_GONE:
			next_client(&careful, mode, &said);
			break;
		case ORACLE_IDLE:
			ask("!", "OK", mode);
			ask("vRun;", NULL, mode);
			break;
		case ORACLE_RUNNING:
			say("\003", mode);
			stops(GDB_SIGNAL_INT);
			break;
		default:
			stops(GDB_SIGNAL_TRAP);
			break;
		}
	}
	gdb_buf_free(&said);
}

/* Whatever was said before, and whatever has happened. */
static void probe(unsigned mode)
{
	mood(&careful.m.fake, 0);
	careful.m.fake.program = NULL;
	bring_back(mode);
	ask("qSupported:swbreak+", NULL, mode);
	if (oracle.state != ORACLE_STOPPED) /* a new client's, on a persistent line */
		stops(GDB_SIGNAL_TRAP);
	ask("?", "T", mode);
	ask("Hg2", "OK", mode);
	ask("qC", "QC2", mode);
	ask("g", NULL, mode);
	ask("Qqemu.PhyMemMode:0", "OK", mode);
	ask("m10000,8", NULL, mode);
	if (oracle.interrupted)
		ask("vCont;c", "T02", mode);
	ask("vCont;c", NULL, mode);
	if (oracle.state != ORACLE_RUNNING)
		oracle_complain(&oracle, "in the end, it does not run");
	say("\003", mode);
	stops(GDB_SIGNAL_INT);
	if (strncmp((char *)oracle.reply, "T02", 3))
		oracle_complain(&oracle, "in the end, a Ctrl-C was reported as %s", oracle.reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned mode;

	if (!size)
		return 0;
	mode = data[0];
	acking = mode & ACKING;
	naking = mode & NAKING;
	script_make(data + 1, size - 1, mode & FRAMED);
	play(&careful, mode);
	/* Acks go in when something has come out, which depends on when that is. */
	if (mode & WHOLE && !acking) {
		whole.m.unwatched = true;
		play(&whole, mode);
		if (careful.all.len != whole.all.len ||
			(whole.all.len && memcmp(careful.all.data, whole.all.data, whole.all.len)))
			oracle_complain(&oracle, "what comes all at once is answered otherwise");
		gdb_session_free(whole.s);
	}
	probe(mode);
	gdb_session_free(careful.s);
	oracle_free(&oracle);
	return 0;
}
