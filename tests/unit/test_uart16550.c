/* The UART as drivers see it: Linux's probes, interrupts and their order, back-pressure, loopback, input that waits. */
#include "devices/uart16550.h"
#include "tests/unit/tap.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, FCR = IIR };

static struct {
	struct bus bus;
	struct uart16550 *uart;
	struct char_frontend front;
	char out[512];
	size_t out_len;
	int irq, edges;
	bool refuse;
	int wants;
} t;

static void set_irq(void *ctx, unsigned irq, int level)
{
	(void)ctx;
	(void)irq;
	t.irq = level;
	t.edges += level;
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
	struct irq_line irq = {.set = set_irq, .irq = 4};
	struct char_backend back = {.write = put, .want_input = want};

	memset(&t, 0, sizeof(t));
	t.uart = uart16550_new(&irq, &back);
	uart16550_add(t.uart, &t.bus, 0x3f8);
	t.front = uart16550_frontend(t.uart);
}

static void teardown(void)
{
	uart16550_free(t.uart);
}

static uint8_t in(unsigned reg)
{
	uint8_t v = 0;

	bus_read(&t.bus, 0x3f8 + reg, 1, &v);
	return v;
}

static void out(unsigned reg, uint8_t v)
{
	bus_write(&t.bus, 0x3f8 + reg, 1, &v);
}

static size_t feed(const char *s)
{
	return t.front.feed(t.front.ctx, (const uint8_t *)s, strlen(s));
}

/* As a driver leaves it: FIFOs on with the given trigger bits, OUT2, receive interrupt. */
static void open_port(uint8_t trigger)
{
	out(FCR, trigger | 0x07);
	out(MCR, 0x0b);
	out(IER, 0x01);
}

static void test_registers(void)
{
	setup();
	tap_is_u64(in(LSR), 0x60, "reset: transmitter empty, nothing received");
	tap_is_u64(in(MSR), 0xb0, "reset: DCD, DSR and CTS on, no changes");
	tap_is_u64(in(IIR), 0x01, "reset: no interrupt, FIFOs off");
	out(SCR, 0xa5);
	tap_is_u64(in(SCR), 0xa5, "scratch");
	out(IER, 0xff);
	tap_is_u64(in(IER), 0x0f, "IER has four bits (no XScale, no sleep mode)");
	out(IER, 0);
	out(LCR, 0x83);
	out(0, 0x01);
	out(1, 0x02);
	tap_ok(in(0) == 0x01 && in(1) == 0x02, "divisor");
	out(LCR, 0x03);
	tap_ok(in(IER) == 0 && in(LCR) == 0x03, "the divisor is not IER");
	tap_is_u64(t.out_len, 0, "nothing was sent by writing the divisor");
	out(MCR, 0xff);
	tap_is_u64(in(MCR), 0x1f, "MCR has five bits");
	teardown();
}

/* What Linux's autoconfig() looks at to tell a 16550A from its relatives. */
static void test_autoconfig(void)
{
	setup();
	out(MCR, 0x10 | 0x0a);
	tap_is_u64(in(MSR)&0xf0, 0x90, "loopback: RTS and OUT2 come back as CTS and DCD");
	out(MCR, 0x10 | 0x05);
	tap_is_u64(in(MSR)&0xf0, 0x60, "loopback: DTR and OUT1 come back as DSR and RI");
	out(MCR, 0);
	tap_is_u64(in(MSR)&0xf0, 0xb0, "and the peer's lines again after it");
	out(FCR, 0x01);
	tap_is_u64(in(IIR) >> 6, 3, "working FIFOs");
	out(LCR, 0x80);
	tap_ok(in(IIR) != 0, "no EFR under DLAB");
	out(LCR, 0);
	out(FCR, 0x21);
	tap_is_u64(in(IIR) >> 5, 6, "no 64-byte FIFO");
	out(LCR, 0x80);
	out(FCR, 0x21);
	tap_is_u64(in(IIR) >> 5, 6, "no 64-byte FIFO under DLAB either");
	out(LCR, 0x03);

	out(FCR, 0x07);
	out(MCR, 0x10);
	for (int i = 0; i < 256; i++)
		out(THR, (uint8_t)i);
	int n = 0;

	while (in(LSR)&0x01 && n < 1000)
		n += in(RBR) == n;
	tap_is_u64((uint64_t)n, 16, "the FIFO measured in loopback is 16 deep and in order");
	tap_is_u64(t.out_len, 0, "nothing of it got out");
	teardown();
}

static void test_thre(void)
{
	setup();
	out(FCR, 0x01);
	out(MCR, 0x08);
	out(IER, 0x02);
	tap_is_u64((uint64_t)t.irq, 1, "enabling THRE with an empty transmitter interrupts");
	tap_is_u64(in(IIR), 0xc2, "IIR says THRE");
	tap_is_u64((uint64_t)t.irq, 0, "reading IIR answers it");
	tap_is_u64(in(IIR), 0xc1, "and only once");
	out(IER, 0x00);
	out(IER, 0x02);
	tap_is_u64(in(IIR), 0xc2, "enabling again interrupts again (Linux's THRE test)");
	out(IER, 0x02);
	tap_is_u64(in(IIR), 0xc1, "writing the same IER does not");
	out(THR, 'x');
	tap_ok(t.irq && t.out_len == 1, "a byte that leaves at once leaves the transmitter empty: interrupt");
	out(IER, 0x00);
	tap_is_u64((uint64_t)t.irq, 0, "disabling takes the line down");
	teardown();
}

static void test_receive(void)
{
	setup();
	open_port(0x80); /* trigger at 8 */
	tap_is_u64(feed("abc"), 3, "three bytes are taken");
	tap_is_u64((uint64_t)t.irq, 1, "below the trigger they interrupt all the same");
	tap_is_u64(in(IIR), 0xcc, "as a time-out");
	tap_is_u64(feed("defgh"), 5, "five more");
	tap_is_u64(in(IIR), 0xc4, "at the trigger it is data available");
	tap_is_u64(in(RBR), 'a', "in order");
	tap_is_u64(in(IIR), 0xcc, "and a time-out again below it");
	tap_is_u64(feed("0123456789"), 9, "a full FIFO takes no more");
	tap_is_u64(in(LSR), 0x61, "no overrun");
	tap_is_u64((uint64_t)t.wants, 0, "nothing is asked for while it is not empty");
	char got[17] = "";

	for (int i = 0; i < 16; i++)
		got[i] = (char)in(RBR);
	tap_is_str(got, "bcdefgh012345678", "all of it, in order");
	tap_is_u64((uint64_t)t.wants, 1, "empty: the rest is asked for, once");
	tap_ok(!t.irq && in(RBR) == 0 && in(LSR) == 0x60, "empty: no interrupt, no data");
	teardown();
}

static void test_priorities(void)
{
	setup();
	open_port(0x00);
	out(IER, 0x0f);
	out(MCR, 0x18); /* loopback; CTS and DSR go off */
	for (int i = 0; i < 17; i++)
		out(THR, 'z');
	out(MCR, 0x08);
	tap_is_u64(in(IIR), 0xc6, "overrun comes first");
	tap_is_u64(in(LSR)&0x02, 0x02, "LSR has it");
	tap_is_u64(in(LSR)&0x02, 0, "and reading LSR clears it");
	tap_is_u64(in(IIR), 0xc4, "then data");
	for (int i = 0; i < 16; i++)
		in(RBR);
	tap_is_u64(in(IIR), 0xc2, "then the transmitter");
	tap_is_u64(in(IIR), 0xc0, "then the modem lines");
	tap_ok((in(MSR)&0x03) == 0x03 && in(IIR) == 0xc1, "which MSR answers");
	tap_is_u64((uint64_t)t.irq, 0, "line down");
	teardown();
}

static void test_out2(void)
{
	setup();
	out(IER, 0x01);
	feed("a");
	tap_is_u64((uint64_t)t.irq, 1, "a guest that never touched OUT2 gets its interrupts");
	out(MCR, 0x08);
	tap_is_u64((uint64_t)t.irq, 1, "OUT2 set: line up");
	out(MCR, 0x00);
	tap_is_u64((uint64_t)t.irq, 0, "OUT2 cleared by a guest that knows it: line down");
	out(MCR, 0x18);
	tap_is_u64((uint64_t)t.irq, 0, "loopback: line down");
	out(MCR, 0x08);
	tap_is_u64((uint64_t)t.irq, 1, "line up again");
	teardown();
}

static void test_back_pressure(void)
{
	setup();
	open_port(0);
	out(IER, 0x02);
	in(IIR);
	t.refuse = true;
	for (int i = 0; i < 16; i++)
		out(THR, (uint8_t)('a' + i));
	tap_is_u64(in(LSR), 0x00, "refused: transmitter busy");
	tap_ok(!t.irq && in(IIR) == 0xc1, "no THRE interrupt");
	out(THR, 'X');
	t.front.drained(t.front.ctx);
	tap_is_u64(in(LSR), 0x00, "still refused: still busy");
	t.refuse = false;
	t.front.drained(t.front.ctx);
	tap_ok(in(LSR) == 0x60 && t.irq && in(IIR) == 0xc2, "drained: empty, and interrupting");
	tap_ok(t.out_len == 16 && !memcmp(t.out, "abcdefghijklmnop", 16),
		"sixteen bytes in order, the seventeenth lost");
	t.refuse = true;
	out(THR, 'q');
	out(FCR, 0x05);
	tap_is_u64(in(LSR), 0x60, "a transmitter reset empties it");
	t.refuse = false;
	t.front.drained(t.front.ctx);
	tap_is_u64(t.out_len, 16, "for good");
	teardown();
}

static void test_no_fifo(void)
{
	setup();
	out(IER, 0x01);
	tap_is_u64(feed("ab"), 1, "FIFOs off: one byte at a time");
	tap_is_u64(in(IIR), 0x04, "data available, no time-out");
	tap_is_u64(in(RBR), 'a', "the byte");
	tap_is_u64((uint64_t)t.wants, 1, "the next is asked for");
	t.refuse = true;
	out(THR, 'x');
	out(THR, 'y');
	t.refuse = false;
	t.front.drained(t.front.ctx);
	tap_ok(t.out_len == 1 && t.out[0] == 'y', "a holding register is overwritten");
	teardown();
}

/* Input from before the driver must survive its set-up of the chip. */
static void test_early_input(void)
{
	setup();
	tap_is_u64(feed("early"), 0, "nobody listens: nothing is taken");
	for (int i = 0; i < 8; i++) {
		in(LSR);
		out(THR, 'o');
	}
	tap_is_u64(feed("early"), 0, "a guest that prints does not listen");
	out(FCR, 0x07);
	in(LSR), in(RBR), in(IIR), in(MSR);
	in(LSR), in(RBR), in(IIR), in(MSR);
	tap_is_u64(feed("early"), 0, "nor does one that clears interrupts");
	tap_is_u64((uint64_t)t.wants, 0, "nothing was asked for");
	out(IER, 0x05);
	tap_is_u64((uint64_t)t.wants, 1, "enabling the receive interrupt asks");
	tap_is_u64(feed("early"), 5, "and takes");
	in(LSR);
	out(IER, 0x00);
	tap_is_u64(feed("x"), 0, "disabling it ends that");
	for (int i = 0; i < 5; i++)
		in(RBR);
	in(LSR), in(LSR);
	tap_is_u64((uint64_t)t.wants, 1, "two looks at LSR are no polling");
	for (int i = 0; i < 3; i++) {
		out(THR, '.');
		in(LSR), in(LSR);
	}
	tap_is_u64((uint64_t)t.wants, 2, "polling LSR asks too");
	tap_is_u64(feed("x"), 1, "and takes");
	tap_ok((in(LSR)&1) && in(RBR) == 'x', "a polled byte");
	tap_is_u64(feed("y"), 1, "a polling guest goes on listening");
	out(MCR, 0x10);
	tap_is_u64(feed("z"), 0, "not in loopback");
	out(MCR, 0x00);
	tap_ok(in(RBR) == 'y' && t.wants == 3, "after which it is asked for");
	teardown();
}

/* A probe switches everything on for a moment; what comes in then is for the driver that follows. */
static void test_input_during_probe(void)
{
	char got[9] = "";

	setup();
	feed("early");
	out(IER, 0x0f);
	tap_is_u64(feed("12345678"), 1, "FIFOs off: the probe lets one byte in");
	out(IER, 0x00);
	out(FCR, 0x01);
	out(FCR, 0x07);
	out(FCR, 0x00);
	in(LSR), in(RBR), in(IIR), in(MSR);
	out(FCR, 0x07);
	tap_is_u64(in(LSR)&1, 0, "which does not show while nobody listens");
	out(IER, 0x05);
	tap_ok((in(LSR)&1) && in(RBR) == '1', "and is there for who does");
	tap_is_u64(feed("2345678"), 7, "with what follows");
	for (int i = 0; i < 7; i++)
		got[i] = (char)in(RBR);
	tap_is_str(got, "2345678", "in order");

	feed("abc");
	out(IER, 0x00);
	out(IER, 0x01);
	tap_ok(in(IIR) == 0xc4 && in(RBR) == 'a', "a driver that masks for a moment loses nothing");
	out(FCR, 0x07);
	tap_is_u64(in(LSR)&1, 0, "what it knew of, a reset clears");

	feed("q");
	out(FCR, 0x07);
	tap_ok((in(LSR)&1) && in(RBR) == 'q', "what it does not know of comes after the reset");

	out(FCR, 0x00);
	feed("x");
	out(IER, 0x00);
	out(FCR, 0x07);
	out(IER, 0x01);
	tap_is_u64(feed("yz"), 2, "more behind a held byte");
	tap_ok(in(RBR) == 'x' && in(RBR) == 'y' && in(RBR) == 'z', "comes out behind it");
	teardown();
}

static void test_wide(void)
{
	setup();
	bus_write(&t.bus, 0x3f8 + LCR, 2, "\x03\x0b");
	tap_ok(in(LCR) == 0x03 && in(MCR) == 0x0b, "a word write is two registers");
	teardown();
}

int main(void)
{
	test_registers();
	test_autoconfig();
	test_thre();
	test_receive();
	test_priorities();
	test_out2();
	test_back_pressure();
	test_no_fifo();
	test_early_input();
	test_input_during_probe();
	test_wide();
	return tap_done();
}
