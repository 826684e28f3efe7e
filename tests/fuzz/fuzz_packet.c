/*
 * A client's bytes into a session over a fake machine.
 *
 * The first byte says how: bit 0, a persistent line; bit 1, lines are payloads and get their framing here (a fuzzer
 * does not guess checksums); bit 2, the client reads seldom. Then pieces; the byte 0xfe ends one, and the byte after
 * it is what the machine does next.
 */
#include <stdlib.h>
#include <string.h>

#include "gdb/packet.h"
#include "gdb/session.h"
#include "tests/unit/fake_target.h"

enum { PERSISTENT = 1, FRAMED = 2, LAZY = 4 };
#define EVENT 0xfe
/* What the session may put out for what it takes in, at most: OUT_HIGH, one more reply, what is repeated, acks. */
#define OUT_MAX (2u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake fake, pristine;
static size_t asked, answered; /* FRAMED: packets sent, and replies to them */

/* Text for the user's console answers nothing. */
static bool is_reply(const struct gdb_buf *packet)
{
	return !packet->len || packet->data[0] != 'O' || (packet->len == 2 && packet->data[1] == 'K');
}

/* Whatever came in, what goes out is acks and whole packets, and no packet has two replies. */
static void check_output(struct gdb_buf *out, struct gdb_decoder *dec, unsigned mode)
{
	if (out->len > OUT_MAX)
		abort();
	for (size_t i = 0; i < out->len; i++) {
		switch (gdb_decoder_byte(dec, out->data[i])) {
		case GDB_PACKET_BAD:
		case GDB_PACKET_TOO_LONG:
		case GDB_PACKET_BREAK:
			abort();
		case GDB_PACKET_READY:
			answered += is_reply(&dec->data);
			break;
		default:
			break;
		}
	}
	gdb_buf_reset(out);
	if (mode & FRAMED && answered > asked)
		abort();
}

static void piece(struct gdb_session *s, const uint8_t *data, size_t n, unsigned mode, struct gdb_buf *out)
{
	struct gdb_buf framed = {0};

	if (!(mode & FRAMED)) {
		gdb_session_input(s, data, n, out);
		return;
	}
	while (n) {
		const uint8_t *nl = memchr(data, '\n', n);
		size_t k = nl ? (size_t)(nl - data) : n;

		gdb_packet_encode(&framed, data, k);
		asked++;
		data += k + (nl ? 1 : 0);
		n -= k + (nl ? 1 : 0);
	}
	gdb_session_input(s, framed.data, framed.len, out);
	gdb_buf_free(&framed);
}

static void event(struct gdb_session *s, uint8_t what, struct gdb_buf *out)
{
	struct gdb_stop stop = {
		.kind = (enum gdb_stop_kind)((what & 7) % (GDB_STOP_KILLED + 1)),
		.cpu = (what >> 3 & 7) - 1,
		.signo = what >> 6 ? 4 : 2,
		.access = (enum hw_kind)(what >> 6),
		.addr = what * 0x1111u,
		.stays = what & 0x40,
	};

	fake.fault = what & 0x80 ? "no way on" : NULL;
	fake.resume_result = what == 0xff ? -EBUSY : what == 0xfd ? -ESHUTDOWN : 0;
	gdb_session_stopped(s, &stop, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gdb_target target;
	struct gdb_decoder dec = {.max = 16 * GDB_PACKET_MAX};
	struct gdb_buf out = {0};
	struct gdb_session *s;
	unsigned mode;

	if (!size)
		return 0;
	if (!target.t) {
		target = fake_target(&fake);
		pristine = fake;
	}
	fake = pristine;
	asked = answered = 0;
	mode = *data++;
	size--;
	s = gdb_session_new(&target);
	if (!s)
		return 0;
	gdb_session_set_persistent(s, mode & PERSISTENT);
	while (size) {
		const uint8_t *mark = memchr(data, EVENT, size);
		size_t n = mark ? (size_t)(mark - data) : size;

		piece(s, data, n, mode, &out);
		if (mark && n + 1 < size)
			event(s, data[n + 1], &out);
		n += mark ? (n + 1 < size ? 2 : 1) : 0;
		data += n;
		size -= n;
		if (!(mode & LAZY) || out.len > OUT_MAX / 2)
			check_output(&out, &dec, mode);
		if (gdb_session_gone(s)) {
			struct gdb_buf left = {0};

			gdb_session_leftover(s, &left);
			gdb_session_free(s);
			s = gdb_session_new(&target);
			if (!s)
				break;
			gdb_session_input(s, left.data, left.len, &out);
			gdb_buf_free(&left);
		}
	}
	check_output(&out, &dec, mode);
	gdb_session_free(s);
	gdb_buf_free(&out);
	gdb_buf_free(&dec.data);
	return 0;
}
