/* A session's bytes: acks and repeats, Ctrl-C, packets that wait, a client that does not read, another one that comes.
 */
#include "tests/unit/session_driver.h"

/* A client that uses acks, before the machine has stopped for it. */
static void start_plain(void)
{
	d.target = fake_target(&d.fake);
	d.s = gdb_session_new(&d.target);
}

static void test_acks(void)
{
	start_plain();
	tap_is_str(driver_bytes("+$?#3f"), "+", "a packet before the machine has stopped is acknowledged");
	tap_is_str(
		stop_signal(0, 2), "T05thread:1;02:1212121212121212;03:1313131313131313;", "and answered when it has");
	tap_is_str(
		driver_bytes("-"), "T05thread:1;02:1212121212121212;03:1313131313131313;", "a nak repeats the reply");
	tap_is_str(driver_bytes("+-"), NULL, "an ack ends that");
	tap_is_str(driver_bytes("$?#40"), "-", "a broken packet is refused");
	tap_is_str(driver_bytes("$qC#b4"), "+QC1", "and sent again");
	tap_is_str(driver_bytes("$qC#b4"), "+QC1", "a packet without an ack of the last reply counts as one");
	tap_is_str(driver_bytes("$QStartNoAckMode#b0"), "+OK", "acks are switched off");
	tap_is_str(driver_bytes("+"), NULL, "the ack of that means nothing");
	tap_is_str(driver_bytes("$qC#b4"), "QC1", "no ack any more");
	tap_is_str(driver_bytes("$qC#b5"), "E74", "a broken packet cannot be refused, so it gets an error");
	tap_is_str(driver_bytes("$qC#b4"), "QC1", "and the session goes on");
	driver_end();
}

static void test_ack_order(void)
{
	start_plain();
	d.fake.fault = "x";
	driver_bytes("+");
	stop_signal(0, 2);
	driver_bytes("$c#63");
	tap_is_str(stop_signal(0, 4), "O780a", "console output goes first");
	tap_is_str(driver_bytes("+"), "T04thread:1;02:1212121212121212;03:1313131313131313;",
		"its ack lets the stop reply out");
	driver_bytes("+$c#63");
	driver_bytes("$qC#b4$QStartNoAckMode#b0$qAttached#8f");
	tap_is_str(stop_signal(1, 5), "T05thread:2;02:2222222222222222;03:2323232323232323;|QC2|OK|1",
		"whoever switches acks off gets what was held back for them first");
	driver_end();
	start_plain();
	driver_bytes("+");
	stop_signal(0, 2);
	driver_bytes("$c#63");
	tap_is_str(stop((struct gdb_stop){.kind = GDB_STOP_EXITED, .text = "over"}), "O6f7665720a|W00",
		"an end that is announced has its reply: its ack would find nobody");
	driver_end();
}

static void test_interrupt(void)
{
	driver_start(NULL);
	driver_bytes("\x03");
	tap_is_u64((uint64_t)d.fake.interrupts, 0, "Ctrl-C while stopped is too late");
	ask("vCont;c");
	tap_is_str(driver_bytes("\x03"), NULL, "Ctrl-C while running");
	tap_is_u64((uint64_t)d.fake.interrupts, 1, "reaches the machine");
	tap_is_str(stop_signal(0, 5), "T05thread:1;02:1212121212121212;03:1313131313131313;",
		"a stop that raced with it is the one reply");
	tap_is_str(stop_signal(0, 2), NULL, "its own stop is not a second one");
	tap_is_u64((uint64_t)d.fake.resumes, 1, "one resume so far");
	tap_is_str(
		ask("vCont;c"), "T02thread:1;02:1212121212121212;03:1313131313131313;", "it answers the next resume");
	tap_is_u64((uint64_t)d.fake.resumes, 1, "which the machine does not see");
	tap_is_str(ask("vCont;c"), NULL, "once");
	tap_is_str(stop_signal(0, 5), "T05thread:1;02:1212121212121212;03:1313131313131313;", "a stop");
	driver_bytes("\x03");
	ask("m1000,1");
	tap_is_str(ask("vCont;s:1"), "T02thread:1;02:1212121212121212;03:1313131313131313;",
		"a Ctrl-C after that stop has not been lost either");
	ask("vCont;c");
	driver_raw("$X10000,1:\x03", 11);
	tap_is_u64((uint64_t)d.fake.interrupts, 1, "0x03 inside of a packet is not a Ctrl-C");
	driver_end();
	start_plain();
	driver_bytes("\x03");
	tap_is_u64((uint64_t)d.fake.interrupts, 0, "nor is one before the first stop");
	driver_end();
}

static void test_queue(void)
{
	struct gdb_buf many = {0};
	const char *reply;

	driver_start(NULL);
	ask("vCont;c");
	tap_is_str(ask("qC"), NULL, "a packet while running waits");
	tap_is_str(ask("Z0,10000,1"), NULL, "and so does the next one");
	tap_ok(gdb_session_running(d.s) && !d.fake.brk[0].used && !d.fake.interrupts, "it does not touch the machine");
	reply = stop_signal(1, 5);
	tap_is_str(reply, "T05thread:2;02:2222222222222222;03:2323232323232323;|QC2|OK", "the stop comes first");
	ask("vCont;c");
	ask("vCont;s:1");
	tap_is_str(ask("qC"), NULL, "waiting behind a resume");
	tap_is_str(stop_signal(0, 5), "T05thread:1;02:1212121212121212;03:1313131313131313;", "resumed again at once");
	tap_ok(gdb_session_running(d.s), "running");
	tap_is_str(stop_signal(2, 5), "T05thread:3;02:3232323232323232;03:3333333333333333;|QC3", "then the last one");
	ask("vCont;c");
	for (int i = 0; i < 100000; i++)
		gdb_buf_puts(&many, "$qC#b4");
	driver_raw(many.data, many.len);
	driver_bytes("\x03");
	tap_is_u64((uint64_t)d.fake.interrupts, 1, "Ctrl-C is heard behind a flood");
	tap_ok(!gdb_session_backlog(d.s), "which is not kept whole");
	tap_ok(strlen(stop_signal(0, 2)) < 8 * GDB_PACKET_MAX, "nor answered whole");
	gdb_buf_free(&many);
	driver_end();
}

static void test_too_long(void)
{
	static uint8_t packet[GDB_PACKET_MAX + 1];

	memset(packet, 'q', sizeof(packet));
	start_plain();
	tap_is_str(driver_send(packet, sizeof(packet)), "-", "a packet that is too long and cannot be answered now");
	stop_signal(0, 5);
	tap_is_str(driver_send(packet, sizeof(packet)), "+E90", "and one that can");
	tap_is_str(driver_send(packet, GDB_PACKET_MAX), "+", "the largest one");
	driver_end();
}

/* 200 requests of 64 KiB each, and nobody who reads: many times what is let out at once. */
static void test_backpressure(void)
{
	enum { MANY = 200 };
	struct gdb_buf many = {0};
	struct gdb_decoder dec = {.max = 4 * GDB_PACKET_MAX};
	size_t largest = 0, replies = 0;

	driver_start(NULL);
	for (int i = 0; i < MANY; i++)
		gdb_buf_puts(&many, "$m10000,10000#7b");
	gdb_session_input(d.s, many.data, many.len, &d.out);
	tap_ok(gdb_session_backlog(d.s) && d.out.len < 4 * GDB_PACKET_MAX, "input is held back: %zu bytes are out",
		d.out.len);
	do {
		if (d.out.len > largest)
			largest = d.out.len;
		for (size_t i = 0; i < d.out.len; i++)
			replies += gdb_decoder_byte(&dec, d.out.data[i]) == GDB_PACKET_READY;
		gdb_buf_reset(&d.out);
		gdb_session_input(d.s, NULL, 0, &d.out);
	} while (d.out.len);
	tap_is_u64(replies, MANY, "every request is answered in the end");
	tap_ok(largest < 4 * GDB_PACKET_MAX, "and the output was never larger than %zu", largest);
	tap_ok(!gdb_session_backlog(d.s), "nothing is left");
	gdb_buf_reset(&many);
	for (int i = 0; i < MANY; i++)
		gdb_buf_puts(&many, "$qC#b4$m10000,10000#7b");
	gdb_session_input(d.s, many.data, many.len, &d.out);
	gdb_session_input(d.s, (const uint8_t *)"$vCont;c#a8", 11, &d.out);
	while (gdb_session_backlog(d.s)) {
		gdb_buf_reset(&d.out);
		gdb_session_input(d.s, NULL, 0, &d.out);
	}
	tap_is_u64((uint64_t)d.fake.resumes, 1, "bytes that came later are behind those held back");
	gdb_buf_free(&dec.data);
	gdb_buf_free(&many);
	driver_end();
}

static void test_naks(void)
{
	char naks[4096];

	start_plain();
	stop_signal(0, 2);
	driver_bytes("$m10000,10000#7b");
	memset(naks, '-', sizeof(naks));
	gdb_session_input(d.s, (uint8_t *)naks, sizeof(naks), &d.out);
	tap_ok(d.out.len < 4 * GDB_PACKET_MAX, "a flood of naks does not fill memory: %zu bytes", d.out.len);
	driver_end();
}

static void test_garbage(void)
{
	uint8_t bytes[4096];
	uint32_t seed = 7;

	driver_start(GDB_OLD);
	for (int round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1103515245u + 12345u;
			bytes[i] = (uint8_t)(seed >> 20);
		}
		gdb_session_input(d.s, bytes, sizeof(bytes), &d.out);
		gdb_buf_reset(&d.out);
	}
	tap_is_str(driver_bytes("#00$qC#b4") + strlen((char *)d.text.data) - 3, "QC1", "noise does not end a session");
	driver_bytes("$");
	for (int round = 0; round < 1000; round++) {
		memset(bytes, 'a', sizeof(bytes));
		gdb_session_input(d.s, bytes, sizeof(bytes), &d.out);
	}
	tap_ok(!d.out.len, "an endless packet has no answer");
	tap_is_str(driver_bytes("#00"), "E90", "until it ends");
	tap_is_str(driver_bytes("$qC#b4"), "QC1", "and the session goes on");
	driver_end();
}

/* On a line that does not hang up. */
static void test_reconnect(void)
{
	struct gdb_buf left = {0};

	driver_start(GDB_OLD);
	ask("vCont;c");
	tap_is_str(ask(GDB_OLD), NULL, "over a socket a greeting while running only waits");
	tap_ok(!gdb_session_gone(d.s), "and is not another client");
	driver_end();

	driver_start(NULL);
	gdb_session_set_persistent(d.s, true);
	tap_ok(ask(GDB_OLD) && ask(GDB_OLD), "a greeting repeated is the same client");
	ask("vCont;c");
	driver_bytes("+$qSupported:a#d2$?#3f+");
	tap_ok(gdb_session_gone(d.s), "a greeting to a running machine is another client");
	tap_ok(gdb_session_leftover(d.s, &left), "whose bytes are kept");
	tap_ok(left.len == 22 && !memcmp(left.data, "$qSupported:a#d2$?#3f+", 22), "in order");
	tap_is_str(stop_signal(0, 5), NULL, "the old session says nothing more");
	driver_end();

	driver_start(GDB_OLD);
	gdb_session_set_persistent(d.s, true);
	ask("qC");
	ask(GDB_OLD);
	tap_ok(gdb_session_gone(d.s), "so it is to a stopped one, after other packets");
	gdb_buf_reset(&left);
	gdb_session_leftover(d.s, &left);
	tap_ok(left.len > 4 && left.data[0] == '$', "whose greeting is kept");
	driver_end();

	driver_start(GDB_OLD);
	tap_ok(!gdb_session_leftover(d.s, &left), "no other client, nothing kept");
	gdb_session_set_persistent(d.s, true);
	driver_end();

	driver_start(NULL);
	gdb_session_set_persistent(d.s, true);
	tap_is_str(driver_bytes("$QStartNoAckMode#b0"), "+OK",
		"one that switches acks off again may not know that they are: it gets its ack");
	gdb_buf_free(&left);
	driver_end();
}

static void test_refusal(void)
{
	gdb_session_refusal(&d.out, "busy");
	tap_is_str(driver_decode(), "+E.busy", "a refusal answers the first packet");
	gdb_buf_free(&d.out);
	gdb_buf_free(&d.text);
}

int main(void)
{
	test_acks();
	test_ack_order();
	test_interrupt();
	test_queue();
	test_too_long();
	test_backpressure();
	test_naks();
	test_garbage();
	test_reconnect();
	test_refusal();
	return tap_done();
}
