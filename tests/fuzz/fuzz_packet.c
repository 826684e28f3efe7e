/*
 * Framing, both ways: any bytes through the decoder, beside the oracle's own one, which works otherwise; and any
 * payload through the encoder and back.
 */
#include "gdb/packet.h"
#include "tests/fuzz/session_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum gdb_packet_event same[] = {
	[FRAME_NOTHING] = GDB_PACKET_NONE,
	[FRAME_JUNK] = GDB_PACKET_NONE,
	[FRAME_PACKET] = GDB_PACKET_READY,
	[FRAME_BROKEN] = GDB_PACKET_BAD,
	[FRAME_LONG] = GDB_PACKET_TOO_LONG,
	[FRAME_ACK] = GDB_PACKET_ACK,
	[FRAME_NAK] = GDB_PACKET_NAK,
	[FRAME_BREAK] = GDB_PACKET_BREAK,
};

static bool is_payload(const struct gdb_buf *b, const uint8_t *data, size_t size)
{
	return b->len == size && (!size || !memcmp(b->data, data, size));
}

static void decode(const uint8_t *data, size_t size)
{
	struct gdb_decoder dec = {.max = GDB_PACKET_MAX};
	struct frame_reader reader = {0};

	for (size_t i = 0; i < size; i++) {
		enum gdb_packet_event ev = gdb_decoder_byte(&dec, data[i]);

		if (ev != same[frame_byte(&reader, data[i])])
			abort();
		if (ev == GDB_PACKET_READY && !is_payload(&dec.data, reader.payload.data, reader.payload.len))
			abort();
	}
	gdb_buf_free(&dec.data);
	gdb_buf_free(&reader.raw);
	gdb_buf_free(&reader.payload);
}

/* One packet comes back, with nothing before its end, and the payload in it. */
static void encode(const uint8_t *data, size_t size)
{
	struct gdb_decoder dec = {.max = size};
	struct gdb_buf frame = {0};
	bool count = false;

	gdb_packet_encode(&frame, data, size);
	if (frame.len > 2 * size + strlen("$#00"))
		abort();
	for (size_t i = 0; i < frame.len; i++) {
		enum gdb_packet_event ev = gdb_decoder_byte(&dec, frame.data[i]);

		if (ev != (i == frame.len - 1 ? GDB_PACKET_READY : GDB_PACKET_NONE))
			abort();
		/* A run's count that clients would take for something else. */
		if (count && memchr("#$+-", frame.data[i], 4))
			abort();
		count = !count && frame.data[i] == '*';
	}
	if (!is_payload(&dec.data, data, size))
		abort();
	gdb_buf_free(&dec.data);
	gdb_buf_free(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	decode(data, size);
	encode(data, size);
	return 0;
}
