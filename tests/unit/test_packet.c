/* Framing: what goes out comes back, and what is broken on the way is noticed. */
#include <stdlib.h>

#include "gdb/packet.h"
#include "tests/unit/tap.h"

#define MAX_PAYLOAD 4096

struct seen {
	unsigned ready, bad, too_long, acks, naks, breaks;
	uint8_t data[MAX_PAYLOAD];
	size_t len;
};

static void feed(struct gdb_decoder *dec, const void *bytes, size_t n, struct seen *seen)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++) {
		switch (gdb_decoder_byte(dec, p[i])) {
		case GDB_PACKET_READY:
			seen->ready++;
			seen->len = dec->data.len;
			if (seen->len)
				memcpy(seen->data, dec->data.data, seen->len);
			break;
		case GDB_PACKET_BAD:
			seen->bad++;
			break;
		case GDB_PACKET_TOO_LONG:
			seen->too_long++;
			break;
		case GDB_PACKET_ACK:
			seen->acks++;
			break;
		case GDB_PACKET_NAK:
			seen->naks++;
			break;
		case GDB_PACKET_BREAK:
			seen->breaks++;
			break;
		case GDB_PACKET_NONE:
			break;
		}
	}
}

static struct seen decode_bytes(const void *bytes, size_t n)
{
	struct gdb_decoder dec = {.max = MAX_PAYLOAD};
	struct seen seen = {0};

	feed(&dec, bytes, n, &seen);
	gdb_buf_free(&dec.data);
	return seen;
}

static struct seen decode(const char *text)
{
	return decode_bytes(text, strlen(text));
}

static bool is_payload(const struct seen *seen, const char *want)
{
	return seen->ready == 1 && seen->len == strlen(want) && !memcmp(seen->data, want, seen->len);
}

static void test_decode(void)
{
	struct seen s = decode("$OK#9a");

	tap_ok(is_payload(&s, "OK"), "a packet");
	s = decode("$OK#9A");
	tap_ok(is_payload(&s, "OK"), "upper-case checksum");
	s = decode("$#00");
	tap_ok(s.ready == 1 && !s.len, "an empty packet");
	s = decode("noise + - \x03 more$OK#9atail");
	tap_ok(is_payload(&s, "OK") && s.acks == 1 && s.naks == 1 && s.breaks == 1, "bytes around packets");
	s = decode("$OK#9b");
	tap_ok(s.bad == 1 && !s.ready, "a wrong checksum");
	s = decode("$OK#zz");
	tap_ok(s.bad == 1 && !s.ready, "a checksum that is no number");
	s = decode("$OK#9z$OK#z9$OK#9a");
	tap_ok(s.bad == 2 && s.ready == 1, "half a number, either half; then a good one");
	s = decode("$unfini$OK#9a");
	tap_ok(is_payload(&s, "OK"), "a packet begun anew");
	s = decode("$OK#$OK#9$OK#9a");
	tap_ok(s.ready == 1 && !s.bad, "begun anew inside of the checksum");
	s = decode_bytes("$X\x03#5b", 6);
	tap_ok(s.ready == 1 && !s.breaks, "0x03 inside of a packet is data");
	s = decode_bytes("$a}\x03}]}\x04#3c", 11);
	tap_ok(is_payload(&s, "a#}$"), "escapes");
	s = decode("$a}#de");
	tap_ok(s.bad == 1, "half an escape");
	s = decode("$0* #7a");
	tap_ok(is_payload(&s, "0000"), "a run");
	s = decode("$* #4a");
	tap_ok(s.bad == 1, "a run of nothing");
	s = decode("$0*#5a");
	tap_ok(s.bad == 1, "a run without a count");
	s = decode("$0*\x1f#79");
	tap_ok(s.bad == 1, "a run's count below the least");
}

static void test_limits(void)
{
	struct gdb_decoder dec = {.max = 8};
	struct seen s = {0};

	feed(&dec, "$12345678#a4", 12, &s);
	tap_ok(s.ready == 1 && s.len == 8, "the longest packet");
	feed(&dec, "$123456789#dd", 13, &s);
	tap_ok(s.too_long == 1, "one byte more is swallowed, and said so");
	feed(&dec, "$OK#9a", 6, &s);
	tap_ok(s.ready == 2, "the next one is good again");
	feed(&dec, "$0*~#d8", 7, &s);
	tap_ok(s.too_long == 2, "a run that grows too long");
	feed(&dec, "$123456789#00", 13, &s);
	tap_ok(s.bad == 1, "too long and broken is broken");
	feed(&dec, "$", 1, &s);
	for (int i = 0; i < 100000; i++)
		feed(&dec, "endless", 7, &s);
	tap_ok(dec.data.cap <= 256, "an endless packet takes no memory");
	feed(&dec, "$OK#9a", 6, &s);
	tap_ok(s.ready == 3, "and is survived");
	gdb_buf_free(&dec.data);
}

static void check_round_trip(const uint8_t *data, size_t n, const char *name)
{
	struct gdb_buf out = {0};
	struct seen s;
	bool clean = true;

	gdb_packet_encode(&out, data, n);
	/* Nothing inside may look like the start of a packet, nor a run's count like an ack or an end. */
	for (size_t i = 1; i + 3 < out.len; i++)
		clean &= out.data[i] != '$' && out.data[i] != '#' &&
			 (out.data[i] != '*' || !strchr("#$+-", out.data[i + 1]));
	s = decode_bytes(out.data, out.len);
	tap_ok(clean && s.ready == 1 && s.len == n && (!n || !memcmp(s.data, data, n)), "there and back: %s", name);
	gdb_buf_free(&out);
}

static void test_round_trips(void)
{
	uint8_t data[MAX_PAYLOAD];
	uint32_t seed = 1;
	char name[64];
	int bad = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	check_round_trip(data, sizeof(data), "all bytes");
	check_round_trip(data, 0, "no bytes");
	memset(data, '*', 100);
	check_round_trip(data, 100, "a run of what has to be escaped");
	/* Every run length on its own: those with a forbidden count are the difficult ones. */
	for (size_t n = 1; n <= 300; n++) {
		struct gdb_buf out = {0};
		struct seen s;

		memset(data, '0', n);
		gdb_packet_encode(&out, data, n);
		s = decode_bytes(out.data, out.len);
		bad += !(s.ready == 1 && s.len == n && !memcmp(s.data, data, n));
		gdb_buf_free(&out);
	}
	tap_is_u64((uint64_t)bad, 0, "there and back: runs of 1 to 300");
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(data); i++) {
			seed = seed * 1103515245u + 12345u;
			data[i] = (uint8_t)(seed >> 24 & (round & 1 ? 0xff : 1) ? '#' + (seed >> 16 & 7) : 0);
		}
		snprintf(name, sizeof(name), "mixture %d", round);
		check_round_trip(data, sizeof(data), name);
	}
}

static void test_encode(void)
{
	struct gdb_buf out = {0};

	gdb_packet_encode(&out, "OK", 2);
	tap_ok(out.len == 6 && !memcmp(out.data, "$OK#9a", 6), "the usual one");
	gdb_buf_reset(&out);
	gdb_packet_encode(&out, "00000000000000000000000000000000", 32);
	tap_ok(out.len < 12, "zeros are short: %zu bytes", out.len);
	gdb_buf_reset(&out);
	gdb_packet_encode(&out, "abb", 3);
	tap_ok(!memchr(out.data, '*', out.len), "short runs stay as they are");
	gdb_buf_free(&out);
}

static bool out_is(struct gdb_buf *out, const char *want)
{
	bool same = out->len == strlen(want) && !memcmp(out->data ? out->data : (const uint8_t *)"", want, out->len);

	if (!same)
		tap_diag("got \"%.*s\"", (int)out->len, (const char *)out->data);
	gdb_buf_reset(out);
	return same;
}

static void test_link(void)
{
	struct gdb_buf out = {0};
	struct gdb_link l = {0};

	gdb_link_send(&l, &out, "a", 1);
	gdb_link_send(&l, &out, "b", 1);
	tap_ok(out_is(&out, "$a#61$b#62"), "a client that never acknowledged gets all at once");
	gdb_link_nak(&l, &out);
	tap_ok(out_is(&out, "$a#61"), "the oldest is repeated");
	gdb_link_ack(&l, &out);
	gdb_link_nak(&l, &out);
	tap_ok(out_is(&out, "$b#62"), "then the next one");
	gdb_link_ack(&l, &out);
	gdb_link_nak(&l, &out);
	gdb_link_ack(&l, &out);
	tap_ok(out_is(&out, ""), "with nothing on the way acks and naks mean nothing");

	gdb_link_send(&l, &out, "c", 1);
	gdb_link_send(&l, &out, "d", 1);
	gdb_link_send(&l, &out, "e", 1);
	tap_ok(out_is(&out, "$c#63"), "towards one that does, one at a time");
	gdb_link_ack(&l, &out);
	tap_ok(out_is(&out, "$d#64"), "the ack lets the next one out");
	gdb_link_nak(&l, &out);
	tap_ok(out_is(&out, "$d#64"), "a nak repeats it");
	gdb_link_settle(&l, &out);
	tap_ok(out_is(&out, "$e#65"), "a new packet lets all out");
	gdb_link_nak(&l, &out);
	tap_ok(out_is(&out, ""), "and nothing is repeated then");

	l.noack = true;
	gdb_link_send(&l, &out, "f", 1);
	gdb_link_send(&l, &out, "g", 1);
	gdb_link_nak(&l, &out);
	tap_ok(out_is(&out, "$f#66$g#67"), "without acks all goes out once");
	gdb_link_free(&l);
	gdb_buf_free(&out);
}

int main(void)
{
	test_decode();
	test_limits();
	test_round_trips();
	test_encode();
	test_link();
	return tap_done();
}
