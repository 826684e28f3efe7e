#include "devices/uart16550.h"

#include <pthread.h>
#include <stdlib.h>

#include "devices/fifo.h"

#define POLLS_ENOUGH 4 /* see uart_listening() */

/* Register offsets; 0 and 1 are the divisor while LCR_DLAB is set. */
#define REG_DATA    0
#define REG_IER	    1
#define REG_IIR_FCR 2
#define REG_LCR	    3
#define REG_MCR	    4
#define REG_LSR	    5
#define REG_MSR	    6
#define REG_SCRATCH 7

#define IER_RDA	 0x01
#define IER_THRE 0x02
#define IER_RLS	 0x04
#define IER_MS	 0x08
#define IER_MASK 0x0f

#define IIR_NONE    0x01
#define IIR_MS	    0x00
#define IIR_THRE    0x02
#define IIR_RDA	    0x04
#define IIR_RLS	    0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO_ON 0xc0

#define FCR_ENABLE   0x01
#define FCR_RESET_RX 0x02
#define FCR_RESET_TX 0x04
#define FCR_KEPT     0xc9 /* trigger level, DMA mode, enable */

#define LCR_DLAB 0x80

#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08 /* gates the interrupt line on a PC */
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f

#define LSR_DR	 0x01
#define LSR_OE	 0x02
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define MSR_CTS	 0x10
#define MSR_DSR	 0x20
#define MSR_RI	 0x40
#define MSR_DCD	 0x80
#define MSR_TERI 0x04 /* the only delta that is not "changed": RI went off */

struct uart16550 {
	struct irq_line irq;
	struct char_backend backend;
	pthread_mutex_t lock; /* all that follows */
	struct fifo rx, tx;   /* with FIFOs off only one place of each is used */
	uint8_t ier, fcr, lcr, mcr, msr, scratch, dll, dlm;
	bool overrun;
	/* The transmitter ran empty and neither a read of IIR nor a new byte has answered it yet. */
	bool thre_pending;
	bool rx_starved;  /* the backend has input that was not taken */
	bool rx_seen;	  /* the guest could know of what is in rx */
	struct fifo held; /* goes into rx before anything new; see uart_hold() */
	/* See uart_listening(). */
	unsigned polls;
	unsigned lsr_reads;
	bool out2_used; /* the guest has set OUT2 once: it knows that the line is gated */
	int irq_level;	/* as last set */
};

static unsigned uart_depth(const struct uart16550 *uart)
{
	return uart->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned uart_trigger(const struct uart16550 *uart)
{
	static const uint8_t level[4] = {1, 4, 8, 14};

	return uart->fcr & FCR_ENABLE ? level[uart->fcr >> 6] : 1;
}

/* The most urgent interrupt that is pending and enabled, as IIR's low nibble. */
static uint8_t uart_pending(const struct uart16550 *uart)
{
	if ((uart->ier & IER_RLS) && uart->overrun)
		return IIR_RLS;
	if ((uart->ier & IER_RDA) && uart->rx.count)
		return uart->rx.count >= uart_trigger(uart) ? IIR_RDA : IIR_TIMEOUT;
	if ((uart->ier & IER_THRE) && uart->thre_pending)
		return IIR_THRE;
	if ((uart->ier & IER_MS) && (uart->msr & 0x0f))
		return IIR_MS;
	return IIR_NONE;
}

/*
 * Loopback disconnects OUT2 from its pin, and with it the line. Guests written against emulators that have no gate
 * never set OUT2: for them it counts as open.
 */
static void uart_update_irq(struct uart16550 *uart)
{
	bool gate = !(uart->mcr & MCR_LOOP) && ((uart->mcr & MCR_OUT2) || !uart->out2_used);
	int level = gate && uart_pending(uart) != IIR_NONE;

	if (level == uart->irq_level)
		return;
	uart->irq_level = level;
	irq_line_set(&uart->irq, level);
}

static void uart_receive(struct uart16550 *uart, uint8_t byte)
{
	uart->rx_seen = true; /* the guest's own byte */
	if (uart->rx.count < uart_depth(uart)) {
		fifo_put(&uart->rx, byte);
		return;
	}
	uart->overrun = true;
	/* The shift register's byte is the one lost with FIFOs on, the holding register's without. */
	if (!(uart->fcr & FCR_ENABLE))
		uart->rx.byte[uart->rx.head] = byte;
}

/* Move what the backend takes. The transmitter running empty is what asks for an interrupt. */
static void uart_transmit(struct uart16550 *uart)
{
	if (!uart->tx.count)
		return;
	while (uart->tx.count) {
		uint8_t byte = uart->tx.byte[uart->tx.head];

		if (uart->mcr & MCR_LOOP)
			uart_receive(uart, byte);
		else if (!uart->backend.write(uart->backend.ctx, byte))
			return;
		fifo_get(&uart->tx);
	}
	uart->thre_pending = true;
}

/*
 * Does the guest receive at all yet? Input that comes before its driver would be lost to the driver's FIFO reset, so
 * it waits in the backend until the guest enables the receive interrupt, or polls. A poll is a second read of LSR with
 * the transmitter empty and neither a write nor a look at IIR or the data between; a driver that writes has no use for
 * it, but one that sets the chip up may do it once or twice. In loopback the receiver's pin is disconnected.
 */
static bool uart_listening(const struct uart16550 *uart)
{
	return !(uart->mcr & MCR_LOOP) && ((uart->ier & IER_RDA) || uart->polls >= POLLS_ENOUGH);
}

/*
 * The receiver is being reset or switched off. Bytes in it that the guest cannot know of have not arrived yet, as it
 * were: a probe of the chip, which enables everything for a moment, shall not swallow them.
 */
static void uart_hold(struct uart16550 *uart)
{
	if (uart->rx_seen)
		return;
	while (uart->held.count)
		fifo_put(&uart->rx, fifo_get(&uart->held));
	uart->held = uart->rx;
	uart->rx.count = 0;
}

/* Let the input come that was not taken, once the receiver is empty and somebody listens. */
static void uart_want_input(struct uart16550 *uart)
{
	if (uart->rx.count || !uart_listening(uart))
		return;
	if (uart->held.count)
		uart->rx_seen = false;
	while (uart->held.count && uart->rx.count < uart_depth(uart))
		fifo_put(&uart->rx, fifo_get(&uart->held));
	if (!uart->rx_starved || uart->rx.count)
		return;
	uart->rx_starved = false;
	uart->backend.want_input(uart->backend.ctx);
}

static void uart_write_data(struct uart16550 *uart, uint8_t byte)
{
	uart->thre_pending = false;
	if (uart->tx.count >= uart_depth(uart)) {
		/* The guest wrote without asking THRE; the chip drops this byte, or the one it had without FIFOs. */
		if (!(uart->fcr & FCR_ENABLE))
			uart->tx.byte[uart->tx.head] = byte;
		return;
	}
	fifo_put(&uart->tx, byte);
	if (uart->tx.count == 1)
		uart_transmit(uart);
}

static void uart_write_ier(struct uart16550 *uart, uint8_t value)
{
	uint8_t changed = uart->ier ^ (value & IER_MASK);

	uart->ier = value & IER_MASK;
	if (changed & IER_RDA) {
		uart->polls = 0;
		if (!(uart->ier & IER_RDA))
			uart_hold(uart);
	}
	uart_want_input(uart);
	/* Enabling the interrupt while the transmitter is empty raises it at once. */
	if (changed & IER_THRE)
		uart->thre_pending = (uart->ier & IER_THRE) && !uart->tx.count;
}

static void uart_write_fcr(struct uart16550 *uart, uint8_t value)
{
	bool switched = (uart->fcr ^ value) & FCR_ENABLE;

	if (switched || (value & FCR_RESET_RX)) {
		uart_hold(uart);
		uart->rx.count = 0;
		uart->polls = 0;
	}
	if ((switched || (value & FCR_RESET_TX)) && uart->tx.count) {
		uart->tx.count = 0;
		uart->thre_pending = true;
	}
	uart->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	uart_want_input(uart);
}

/* The modem lines as they stand: the peer's, or our own outputs looped back. */
static uint8_t uart_modem_lines(const struct uart16550 *uart)
{
	if (!(uart->mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (uint8_t)((uart->mcr & MCR_RTS ? MSR_CTS : 0) | (uart->mcr & MCR_DTR ? MSR_DSR : 0) |
			 (uart->mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void uart_write_mcr(struct uart16550 *uart, uint8_t value)
{
	uint8_t lines, changed;

	uart->mcr = value & MCR_MASK;
	if ((uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2)
		uart->out2_used = true;
	lines = uart_modem_lines(uart);
	changed = (uart->msr ^ lines) & 0xf0;
	/* RI reports only its trailing edge. */
	if (lines & MSR_RI)
		changed &= (uint8_t)~MSR_RI;
	uart->msr = (uint8_t)(lines | (uart->msr & 0x0f) | (changed >> 4));
	uart_transmit(uart); /* what the backend had refused goes round the loop now, or the other way */
	uart_want_input(uart);
}

static uint8_t uart_read_data(struct uart16550 *uart)
{
	uint8_t byte;

	uart->lsr_reads = 0;
	uart->rx_seen = true;
	if (!uart->rx.count)
		return 0;
	byte = fifo_get(&uart->rx);
	uart_want_input(uart);
	return byte;
}

static uint8_t uart_read_iir(struct uart16550 *uart)
{
	uint8_t iir = uart_pending(uart);

	if (iir == IIR_RDA || iir == IIR_TIMEOUT)
		uart->rx_seen = true;

	uart->lsr_reads = 0;
	if (iir == IIR_THRE)
		uart->thre_pending = false;
	return iir | (uart->fcr & FCR_ENABLE ? IIR_FIFO_ON : 0);
}

static uint8_t uart_read_lsr(struct uart16550 *uart)
{
	uint8_t lsr = (uint8_t)((uart->rx.count ? LSR_DR : 0) | (uart->overrun ? LSR_OE : 0) |
				(uart->tx.count ? 0 : LSR_THRE | LSR_TEMT));

	uart->overrun = false;
	uart->rx_seen |= uart->rx.count > 0;
	if (!uart->tx.count && uart->lsr_reads++ && uart->polls < POLLS_ENOUGH && ++uart->polls == POLLS_ENOUGH)
		uart_want_input(uart);
	return lsr;
}

static uint8_t uart_read_msr(struct uart16550 *uart)
{
	uint8_t msr = uart->msr;

	uart->msr &= 0xf0;
	return msr;
}

static uint8_t uart_read_reg(struct uart16550 *uart, uint64_t reg)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return dlab ? uart->dll : uart_read_data(uart);
	case REG_IER:
		return dlab ? uart->dlm : uart->ier;
	case REG_IIR_FCR:
		return uart_read_iir(uart);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return uart_read_lsr(uart);
	case REG_MSR:
		return uart_read_msr(uart);
	default:
		return uart->scratch;
	}
}

static void uart_write_reg(struct uart16550 *uart, uint64_t reg, uint8_t value)
{
	bool dlab = uart->lcr & LCR_DLAB;

	uart->lsr_reads = 0;
	switch (reg) {
	case REG_DATA:
		if (dlab)
			uart->dll = value;
		else
			uart_write_data(uart, value);
		break;
	case REG_IER:
		if (dlab)
			uart->dlm = value;
		else
			uart_write_ier(uart, value);
		break;
	case REG_IIR_FCR:
		uart_write_fcr(uart, value);
		break;
	case REG_LCR:
		uart->lcr = value;
		break;
	case REG_MCR:
		uart_write_mcr(uart, value);
		break;
	case REG_SCRATCH:
		uart->scratch = value;
		break;
	}
}

static uint64_t uart_read(void *ctx, uint64_t off, unsigned size)
{
	struct uart16550 *uart = ctx;
	uint8_t value;

	(void)size;
	pthread_mutex_lock(&uart->lock);
	value = uart_read_reg(uart, off);
	uart_update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
	return value;
}

static void uart_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct uart16550 *uart = ctx;

	(void)size;
	pthread_mutex_lock(&uart->lock);
	uart_write_reg(uart, off, (uint8_t)value);
	uart_update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
}

static const struct bus_ops uart_ops = {
	.read = uart_read,
	.write = uart_write,
	.byte_wide = true,
};

static size_t uart_feed(void *ctx, const uint8_t *buf, size_t n)
{
	struct uart16550 *uart = ctx;
	size_t taken = 0;

	pthread_mutex_lock(&uart->lock);
	if (!uart->rx.count)
		uart->rx_seen = false;
	if (uart_listening(uart) && !uart->held.count)
		while (taken < n && uart->rx.count < uart_depth(uart))
			fifo_put(&uart->rx, buf[taken++]);
	if (taken < n)
		uart->rx_starved = true;
	uart_update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
	return taken;
}

static void uart_drained(void *ctx)
{
	struct uart16550 *uart = ctx;

	pthread_mutex_lock(&uart->lock);
	uart_transmit(uart);
	uart_update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
}

struct uart16550 *uart16550_new(const struct irq_line *irq, const struct char_backend *backend)
{
	struct uart16550 *uart = calloc(1, sizeof(*uart));

	if (!uart)
		return NULL;
	uart->irq = *irq;
	uart->backend = *backend;
	uart->msr = uart_modem_lines(uart);
	uart->dll = 12; /* 9600 baud, as firmware leaves it */
	pthread_mutex_init(&uart->lock, NULL);
	return uart;
}

int uart16550_add(struct uart16550 *uart, struct bus *bus, uint64_t base)
{
	return bus_add(bus, "uart16550", base, UART16550_LEN, &uart_ops, uart);
}

struct char_frontend uart16550_frontend(struct uart16550 *uart)
{
	return (struct char_frontend){.feed = uart_feed, .drained = uart_drained, .ctx = uart};
}

void uart16550_free(struct uart16550 *uart)
{
	if (!uart)
		return;
	pthread_mutex_destroy(&uart->lock);
	free(uart);
}
