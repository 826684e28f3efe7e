#include "gdb/packet.h"

#include <string.h>

#include "gdb/hex.h"

/*
 * A run of the byte before it is '*' and a count, sent as count + 29 in printable characters: 3 to 97 repeats.
 */
#define RLE_BIAS 29
#define RLE_MIN	 3
#define RLE_MAX	 97
#define ESCAPE	 0x7d
#define ESCAPE_X 0x20

static void decoder_start(struct gdb_decoder *dec)
{
	gdb_buf_reset(&dec->data);
	dec->state = DEC_DATA;
	dec->sum = 0;
	dec->malformed = false;
	dec->too_long = false;
}

static void decoder_store(struct gdb_decoder *dec, uint8_t c, size_t times)
{
	if (dec->too_long || times > dec->max - dec->data.len) {
		dec->too_long = true;
		return;
	}
	while (times--)
		gdb_buf_putc(&dec->data, (char)c);
	if (dec->data.failed)
		dec->too_long = true;
}

static void decoder_repeat(struct gdb_decoder *dec, uint8_t c)
{
	if (c < RLE_BIAS + RLE_MIN || c > RLE_BIAS + RLE_MAX || (!dec->data.len && !dec->too_long))
		dec->malformed = true;
	else if (!dec->too_long)
		decoder_store(dec, dec->data.data[dec->data.len - 1], c - RLE_BIAS);
}

static enum gdb_packet_event decoder_idle(struct gdb_decoder *dec, uint8_t c)
{
	switch (c) {
	case '$':
		decoder_start(dec);
		return GDB_PACKET_NONE;
	case '+':
		return GDB_PACKET_ACK;
	case '-':
		return GDB_PACKET_NAK;
	case GDB_INTERRUPT:
		return GDB_PACKET_BREAK;
	default:
		return GDB_PACKET_NONE;
	}
}

/* Inside of the payload, state DEC_DATA, DEC_ESCAPE or DEC_REPEAT. */
static void decoder_payload(struct gdb_decoder *dec, uint8_t c)
{
	if (c == '#') {
		/* A packet that ends in half an escape or a run without a count. */
		if (dec->state != DEC_DATA)
			dec->malformed = true;
		dec->state = DEC_SUM1;
		return;
	}
	dec->sum = (uint8_t)(dec->sum + c);
	switch (dec->state) {
	case DEC_ESCAPE:
		decoder_store(dec, c ^ ESCAPE_X, 1);
		dec->state = DEC_DATA;
		break;
	case DEC_REPEAT:
		decoder_repeat(dec, c);
		dec->state = DEC_DATA;
		break;
	default:
		if (c == ESCAPE)
			dec->state = DEC_ESCAPE;
		else if (c == '*')
			dec->state = DEC_REPEAT;
		else
			decoder_store(dec, c, 1);
	}
}

static enum gdb_packet_event decoder_end(struct gdb_decoder *dec, int low)
{
	dec->state = DEC_IDLE;
	if (low < 0 || dec->malformed || (uint8_t)(dec->want | low) != dec->sum)
		return GDB_PACKET_BAD;
	return dec->too_long ? GDB_PACKET_TOO_LONG : GDB_PACKET_READY;
}

enum gdb_packet_event gdb_decoder_byte(struct gdb_decoder *dec, uint8_t c)
{
	int digit;

	/* '$' is always escaped in a payload: a bare one is a client that gave up on its packet, or another client. */
	if (c == '$' && dec->state != DEC_IDLE) {
		decoder_start(dec);
		return GDB_PACKET_NONE;
	}
	switch (dec->state) {
	case DEC_IDLE:
		return decoder_idle(dec, c);
	case DEC_SUM1:
		digit = gdb_hex_digit(c);
		dec->malformed |= digit < 0;
		dec->want = (uint8_t)((unsigned)digit << 4);
		dec->state = DEC_SUM2;
		return GDB_PACKET_NONE;
	case DEC_SUM2:
		return decoder_end(dec, gdb_hex_digit(c));
	default:
		decoder_payload(dec, c);
		return GDB_PACKET_NONE;
	}
}

/* The largest count <= n that is not sent as one of the characters with a meaning of their own: # $ + - */
static size_t rle_count(size_t n)
{
	if (n > RLE_MAX)
		n = RLE_MAX;
	while (strchr("#$+-", (int)(n + RLE_BIAS)))
		n--;
	return n;
}

static bool must_escape(uint8_t c)
{
	return (c == '#') | (c == '$') | (c == '*') | (c == ESCAPE);
}

/*
 * Bytes that are sent as they are: nothing to escape, and no run that is worth coding begins with any of them. Blocks
 * are of a fixed size, so that compilers make vector code of it: bulk memory goes through here.
 */
#define PLAIN_BLOCK 16

static bool block_is_plain(const uint8_t *p)
{
	uint8_t odd = 0;

	for (int i = 0; i < PLAIN_BLOCK; i++) {
		odd |= must_escape(p[i]);
		odd |= (uint8_t)((p[i] == p[i + 1]) & (p[i] == p[i + 2]) & (p[i] == p[i + RLE_MIN]));
	}
	return !odd;
}

static uint8_t *encode_byte(uint8_t *out, const uint8_t **p, const uint8_t *end)
{
	const uint8_t c = *(*p)++, *q = *p;
	size_t repeats;

	if (must_escape(c)) {
		*out++ = ESCAPE;
		*out++ = c ^ ESCAPE_X;
		return out;
	}
	*out++ = c;
	while (q < end && *q == c && q - *p < RLE_MAX)
		q++;
	repeats = (size_t)(q - *p);
	if (repeats >= RLE_MIN) {
		repeats = rle_count(repeats);
		*out++ = '*';
		*out++ = (uint8_t)(repeats + RLE_BIAS);
		*p += repeats;
	}
	return out;
}

static uint8_t checksum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	return sum;
}

void gdb_packet_encode(struct gdb_buf *out, const void *payload, size_t n)
{
	const uint8_t *p = n ? payload : (const void *)"", *end = p + n;
	size_t at = out->len + 1;
	uint8_t *to;

	gdb_buf_putc(out, '$');
	to = gdb_buf_extend(out, 2 * n);
	if (!to)
		return;
	while (p < end) {
		if (end - p >= PLAIN_BLOCK + RLE_MIN && block_is_plain(p)) {
			memcpy(to, p, PLAIN_BLOCK);
			to += PLAIN_BLOCK;
			p += PLAIN_BLOCK;
			continue;
		}
		to = encode_byte(to, &p, end);
	}
	out->len = (size_t)(to - out->data);
	gdb_buf_printf(out, "#%02x", checksum(out->data + at, out->len - at));
}

void gdb_link_free(struct gdb_link *l)
{
	gdb_buf_free(&l->frames);
}

static bool link_empty(const struct gdb_link *l)
{
	return l->head == l->frames.len;
}

static size_t link_frame_len(const struct gdb_link *l, size_t at)
{
	size_t len;

	memcpy(&len, l->frames.data + at, sizeof(len));
	return len;
}

static size_t link_emit(struct gdb_link *l, size_t at, struct gdb_buf *out)
{
	size_t len = link_frame_len(l, at);

	gdb_buf_put(out, l->frames.data + at + sizeof(len), len);
	return at + sizeof(len) + len;
}

static void link_clear(struct gdb_link *l)
{
	gdb_buf_reset(&l->frames);
	l->head = 0;
	l->emitted = 0;
}

void gdb_link_send(struct gdb_link *l, struct gdb_buf *out, const void *payload, size_t n)
{
	size_t at = l->frames.len, len = 0;

	if (l->noack) {
		gdb_packet_encode(out, payload, n);
		return;
	}
	gdb_buf_put(&l->frames, &len, sizeof(len));
	gdb_packet_encode(&l->frames, payload, n);
	if (l->frames.failed) {
		/* No memory to keep copies: send without. */
		link_clear(l);
		gdb_packet_encode(out, payload, n);
		return;
	}
	len = l->frames.len - at - sizeof(len);
	memcpy(l->frames.data + at, &len, sizeof(len));
	if (l->emitted && l->acks_seen)
		return;
	link_emit(l, at, out);
	l->emitted++;
}

void gdb_link_ack(struct gdb_link *l, struct gdb_buf *out)
{
	l->acks_seen = true;
	if (link_empty(l))
		return;
	l->head += sizeof(size_t) + link_frame_len(l, l->head);
	l->emitted--;
	if (link_empty(l)) {
		link_clear(l);
	} else if (!l->emitted) {
		link_emit(l, l->head, out);
		l->emitted = 1;
	}
}

void gdb_link_nak(struct gdb_link *l, struct gdb_buf *out)
{
	if (!link_empty(l))
		link_emit(l, l->head, out);
}

void gdb_link_settle(struct gdb_link *l, struct gdb_buf *out)
{
	size_t at = l->head;

	for (unsigned i = 0; at < l->frames.len; i++) {
		if (i < l->emitted)
			at += sizeof(size_t) + link_frame_len(l, at);
		else
			at = link_emit(l, at, out);
	}
	link_clear(l);
}
