/* The UART as drivers see it: what Linux's amba-pl011 does, bare-metal habits, back-pressure, input that waits. */
#include "devices/pl011.h"
#include "tests/unit/tap.h"

#define BASE 0x09000000

enum {
	DR = 0x00,
	RSR = 0x04,
	FR = 0x18,
	IBRD = 0x24,
	FBRD = 0x28,
	LCR_H = 0x2c,
	CR = 0x30,
	IFLS = 0x34,
	IMSC = 0x38,
	RIS = 0x3c,
	MIS = 0x40,
	ICR = 0x44,
	DMACR = 0x48,
};

enum { RXIM = 0x10, TXIM = 0x20, RTIM = 0x40, OEIM = 0x400, ALL = 0x7ff };
enum { BUSY = 0x08, RXFE = 0x10, TXFF = 0x20, RXFF = 0x40, TXFE = 0x80 };
enum { FEN = 0x10, ENABLED = 0x301, LOOP = 0x80 };

static struct {
	struct bus bus;
	struct pl011 *uart;
	struct char_frontend front;
	char out[512];
	size_t out_len;
	int irq;
	bool refuse;
	int wants;
} t;

static void set_irq(void *ctx, unsigned irq, int level)
{
	(void)ctx;
	(void)irq;
	t.irq = level;
}

static bool put(void *ctx, uint8_t byte)
{
	(void)ctx;
	if (t.refuse || t.out_len == sizeof(t.out))
		return false;
	t.out[t.out_len++] = (char)byte;
	return true;
}

static void want(void *ctx)
{
	(void)ctx;
	t.wants++;
}

static void setup(void)
{
	struct irq_line irq = {.set = set_irq, .irq = 1};
	struct char_backend back = {.write = put, .want_input = want};

	memset(&t, 0, sizeof(t));
	t.uart = pl011_new(&irq, &back);
	pl011_add(t.uart, &t.bus, BASE);
	t.front = pl011_frontend(t.uart);
}

static void teardown(void)
{
	pl011_free(t.uart);
}

static uint32_t in(unsigned reg)
{
	uint32_t v = 0;

	bus_read(&t.bus, BASE + reg, 4, &v);
	return v;
}

static void out(unsigned reg, uint32_t v)
{
	bus_write(&t.bus, BASE + reg, 4, &v);
}

static size_t feed(const char *s)
{
	return t.front.feed(t.front.ctx, (const uint8_t *)s, strlen(s));
}

/* All that can be read, as text. */
static const char *drain(void)
{
	static char got[64];
	size_t n = 0;

	while (n + 1 < sizeof(got) && !(in(FR)&RXFE))
		got[n++] = (char)in(DR);
	got[n] = 0;
	return got;
}

/* As a driver leaves it: FIFOs on, both receive interrupts. */
static void open_port(uint32_t ifls)
{
	out(LCR_H, 0x60 | FEN);
	out(IFLS, ifls);
	out(CR, ENABLED);
	out(IMSC, RXIM | RTIM);
}

static void test_registers(void)
{
	static const uint8_t id[] = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
	uint64_t wide;
	uint16_t half;
	uint8_t byte;

	setup();
	tap_is_u64(in(FR), 0x97, "reset: all empty, peer there");
	tap_is_u64(in(CR), 0x300, "reset: receiver and transmitter on, UART off");
	tap_is_u64(in(IFLS), 0x12, "reset: triggers at half");
	tap_ok(!in(IMSC) && !in(RIS) && !in(MIS) && !in(RSR), "reset: no interrupts, no errors");
	for (unsigned i = 0; i < sizeof(id); i++)
		tap_is_u64(in(0xfe0 + i * 4), id[i], "identification %u", i);
	out(IBRD, 0x12345678);
	out(FBRD, 0xff);
	out(LCR_H, 0x70);
	tap_ok(in(IBRD) == 0x5678 && in(FBRD) == 0x3f && in(LCR_H) == 0x70, "what is set reads back, in its width");
	out(IMSC, 0xffffffff);
	tap_is_u64(in(IMSC), 0x7ff, "eleven interrupts");
	out(0x80, 1);
	tap_is_u64(in(0x80), 0, "nothing else is there");

	byte = 'b';
	bus_write(&t.bus, BASE + DR, 1, &byte);
	half = 0x100 | 'h';
	bus_write(&t.bus, BASE + DR, 2, &half);
	bus_write(&t.bus, BASE + DR + 1, 1, &byte);
	wide = 'w';
	bus_write(&t.bus, BASE + DR, 8, &wide);
	tap_is_str(t.out, "bhw", "bytes, halves and 8 bytes are stores; inside a register is not");
	byte = 0;
	bus_read(&t.bus, BASE + IBRD + 1, 1, &byte);
	bus_read(&t.bus, BASE + IBRD, 2, &half);
	bus_read(&t.bus, BASE + FBRD - 4, 8, &wide);
	tap_ok(byte == 0x56 && half == 0x5678, "narrow loads get their part");
	bus_read(&t.bus, BASE + 0x30, 8, &wide);
	tap_is_u64(wide, 0x1200000300, "8 bytes are two registers");
	teardown();
}

/* A guest that never touches anything but DR and FR. */
static void test_bare(void)
{
	setup();
	for (const char *s = "hello, world: more than sixteen bytes"; *s; s++)
		out(DR, (uint32_t)*s);
	tap_is_str(t.out, "hello, world: more than sixteen bytes", "sends without being enabled");
	tap_is_u64(feed("ab"), 0, "input waits while nobody asks");
	for (int i = 0; i < 8 && !t.wants; i++)
		tap_ok(in(FR)&RXFE, "poll");
	tap_is_u64((uint64_t)t.wants, 1, "a guest that polls gets asked for");
	tap_is_u64(feed("ab"), 1, "with FIFOs off one byte goes in");
	tap_is_u64(in(FR) & (RXFE | RXFF), RXFF, "and fills it");
	tap_is_u64(in(DR), 'a', "it comes");
	tap_is_u64((uint64_t)t.wants, 2, "the next is asked for");
	feed("b");
	tap_is_str(drain(), "b", "and comes");
	tap_ok(!t.irq, "no interrupt unasked");
	teardown();

	/* Writing without polling for input is no polling, with Linux's earlycon's two looks a byte neither for long.
	 */
	setup();
	for (int i = 0; i < 50; i++) {
		in(FR);
		out(DR, '.');
	}
	tap_is_u64(feed("x"), 0, "a guest that only writes does not listen");
	teardown();
}

static void test_receive(void)
{
	setup();
	open_port(0x12); /* receive trigger at 8 */
	tap_is_u64(feed("abc"), 3, "three bytes are taken");
	tap_ok(t.irq && in(MIS) == RTIM, "below the trigger: a time-out, at once");
	tap_is_u64(feed("defgh"), 5, "five more");
	tap_is_u64(in(MIS), RTIM | RXIM, "at the trigger: data");
	tap_is_u64(in(DR), 'a', "in order");
	tap_is_u64(in(MIS), RTIM, "below it again");
	tap_is_u64(feed("0123456789"), 9, "a full FIFO takes no more");
	tap_ok((in(FR)&RXFF) && !in(RSR) && !(in(RIS)&OEIM), "full, no overrun");
	tap_is_u64((uint64_t)t.wants, 0, "nothing is asked for while it is not empty");
	tap_is_str(drain(), "bcdefgh012345678", "all of it, in order");
	tap_is_u64((uint64_t)t.wants, 1, "empty: the rest is asked for, once");
	tap_ok(!t.irq && in(DR) == 0, "empty: no interrupt, no data");

	for (unsigned field = 0; field < 8; field++) {
		static const uint8_t level[] = {2, 4, 8, 12, 14, 14, 14, 14};
		unsigned n = 0;

		out(IFLS, field << 3);
		while (!(in(RIS)&RXIM) && n < 17)
			n += (unsigned)feed("x");
		tap_is_u64(n, level[field], "receive trigger %u", field);
		drain();
	}
	teardown();

	setup();
	out(LCR_H, FEN);
	out(IMSC, RXIM);
	feed("x");
	tap_ok(t.irq, "without the time-out one byte is enough for the interrupt");
	tap_is_u64(in(MIS), RXIM, "the receive interrupt");
	teardown();
}

/* Handlers clear before they read, after it, byte by byte, or never: none may lose its next interrupt, or storm. */
static void test_clearing(void)
{
	char got[8] = "";
	int n;

	setup();
	open_port(0x12);
	feed("abc");
	for (n = 0; n < 10 && t.irq; n++) {
		out(ICR, RXIM | RTIM);
		got[n] = (char)in(DR);
	}
	tap_is_str(got, "abc", "clear, then read one byte");
	feed("def");
	for (n = 0; n < 10 && t.irq; n++) {
		got[n] = (char)in(DR);
		out(ICR, RXIM | RTIM);
	}
	tap_is_str(got, "def", "read one byte, then clear");
	feed("g");
	in(DR);
	feed("h");
	out(ICR, ALL);
	tap_ok(t.irq, "a byte that comes between the last read and the clearing keeps its interrupt");
	for (n = 0; n < 10 && t.irq; n++)
		out(ICR, ALL);
	tap_ok(!t.irq, "who only clears gets rid of it");
	feed("i");
	tap_ok(t.irq, "until the next byte");
	out(IMSC, 0);
	tap_ok(!t.irq, "masked");
	out(ICR, ALL), out(ICR, ALL);
	out(IMSC, RXIM | RTIM);
	tap_ok(t.irq, "unmasked with bytes there: an interrupt, cleared or not");
	tap_is_str(drain(), "hi", "nothing was lost");
	teardown();
}

static void test_transmit(void)
{
	setup();
	out(LCR_H, FEN);
	out(CR, ENABLED);
	out(IMSC, TXIM);
	tap_ok(!t.irq, "nothing sent yet: no transmit interrupt");
	out(DR, 'x');
	tap_ok(t.irq && t.out_len == 1 && in(FR)&TXFE, "a byte that leaves at once leaves it empty: interrupt");
	out(ICR, TXIM);
	tap_ok(!t.irq, "cleared");
	t.refuse = true;
	for (int i = 0; i < 16; i++) {
		tap_is_u64(in(FR) & (TXFF | BUSY), i ? BUSY : 0, "room for byte %d", i);
		out(DR, (uint32_t)('a' + i));
	}
	tap_is_u64(in(FR) & (TXFF | BUSY | TXFE), TXFF | BUSY, "full and busy while the backend refuses");
	tap_ok(!t.irq, "no interrupt above the trigger");
	t.front.drained(t.front.ctx);
	tap_ok(!t.irq && t.out_len == 1, "a false alarm changes nothing");
	t.out_len = sizeof(t.out) - 8;
	t.refuse = false;
	t.front.drained(t.front.ctx);
	tap_ok(t.irq, "half empty: interrupt (trigger at 8)");
	tap_is_u64(in(FR) & (TXFF | BUSY | TXFE), BUSY, "half empty: still busy");
	for (int i = 0; i < 8; i++)
		out(DR, (uint32_t)('A' + i));
	tap_ok(!t.irq && in(FR)&TXFF, "eight more fit, as Linux takes for granted; above the trigger again");
	t.out_len = 0;
	t.front.drained(t.front.ctx);
	tap_is_mem(t.out, "ijklmnopABCDEFGH", 16, "all of it, in order");
	tap_is_u64(in(FR) & (TXFF | BUSY | TXFE), TXFE, "empty");
	t.refuse = true;
	out(LCR_H, 0);
	out(DR, '1');
	tap_is_u64(in(FR) & (TXFF | BUSY), TXFF | BUSY, "FIFOs off: one byte fills it");
	out(LCR_H, FEN);
	out(DR, '2');
	t.refuse = false;
	t.front.drained(t.front.ctx);
	tap_is_mem(t.out + 16, "12", 2, "switching FIFOs loses nothing");
	teardown();
}

static void test_loopback(void)
{
	int n = 0;

	setup();
	open_port(0x12);
	out(CR, ENABLED | LOOP);
	tap_is_u64(in(FR)&0x107, 0, "loopback: no modem lines");
	out(CR, ENABLED | LOOP | 0x2800);
	tap_is_u64(in(FR)&0x107, 0x101, "RTS comes back as CTS, Out2 as RI");
	out(CR, ENABLED | LOOP | 0x1400);
	tap_is_u64(in(FR)&0x107, 0x006, "DTR as DSR, Out1 as DCD");
	tap_is_u64(in(RIS)&0x0f, 0x0f, "and all have changed");
	for (int i = 0; i < 20; i++)
		out(DR, (uint32_t)(0x80 + i));
	tap_ok(in(RSR) == 8 && in(RIS)&OEIM, "20 bytes overrun");
	tap_is_u64(feed("x"), 0, "the pin is disconnected");
	tap_is_u64(in(DR), 0x880, "the first byte tells of it");
	while (!(in(FR)&RXFE) && n < 100)
		n += in(DR) == (uint32_t)(0x81 + n);
	tap_is_u64((uint64_t)n, 15, "the FIFO is 16 deep and in order");
	out(RSR, 0);
	tap_is_u64(in(RSR), 0, "cleared by any write");
	tap_is_u64(t.out_len, 0, "nothing of it got out");
	tap_ok(!t.wants, "nor in so far");
	out(CR, ENABLED);
	tap_is_u64((uint64_t)t.wants, 1, "end of loopback: the pin again");
	tap_is_u64(in(FR)&0x107, 0x007, "and the peer's lines");
	teardown();
}

static void test_disabled(void)
{
	setup();
	open_port(0x12);
	out(CR, 0x101);
	tap_is_u64(feed("x"), 0, "the receiver is off: input waits");
	out(CR, ENABLED);
	tap_is_u64((uint64_t)t.wants, 1, "on: it is asked for");
	out(CR, 0);
	out(DR, 'x');
	tap_is_u64(t.out_len, 1, "what is sent while it is off is not lost");
	teardown();
}

/* The whole way of Linux's driver, with input from before the beginning. Each console line switches CR on and off. */
static void linux_print(void)
{
	uint32_t cr = in(CR);

	out(CR, (cr & ~0x8000u) | 0x101);
	in(FR);
	out(DR, 'k');
	in(FR);
	out(CR, cr);
}

static void test_linux(void)
{
	const char *input = "0123456789abcdef!";

	setup();
	for (int i = 0; i < 40; i++) { /* earlycon */
		in(FR);
		out(DR, 'e');
		in(FR);
	}
	input += feed(input); /* its two looks a byte, before and after, are taken for polling */
	out(IMSC, 0);	      /* probe */
	out(ICR, 0xffff);
	linux_print();
	out(ICR, 0x7d0); /* console setup: clear, and all on for a moment that lasts */
	out(IMSC, RXIM | RTIM);
	input += feed(input);
	linux_print();
	input += feed(input);
	out(ICR, 0x7d0); /* open: the same, and the old mask back, which is that very one */
	out(IMSC, RXIM | RTIM);
	out(IMSC, RXIM | RTIM);
	out(IFLS, 0x12);
	out(CR, ENABLED);
	input += feed(input);
	out(ICR, RXIM | RTIM);
	for (int i = 0; i < 32 && !(in(FR)&RXFE); i++)
		tap_ok(false, "thrown away: %c", (int)in(DR));
	out(IMSC, RXIM | RTIM);
	input += feed(input);
	out(CR, 0); /* termios */
	out(LCR_H, 0x70);
	out(CR, ENABLED);
	tap_ok(t.irq, "the early input interrupts");
	char got[32] = "";
	size_t n = 0;

	for (int i = 0; i < 40 && n < 17; i++) {
		uint32_t ris = in(RIS)&in(IMSC);

		if (!ris)
			break;
		out(ICR, ris & ~(uint32_t)(RXIM | TXIM | RTIM));
		while (!(in(FR)&RXFE) && n < sizeof(got) - 1)
			got[n++] = (char)in(DR);
		input += feed(input);
	}
	tap_is_str(got, "0123456789abcdef!", "and none of it is lost");
	teardown();
}

int main(void)
{
	test_registers();
	test_bare();
	test_receive();
	test_clearing();
	test_transmit();
	test_loopback();
	test_disabled();
	test_linux();
	return tap_done();
}
