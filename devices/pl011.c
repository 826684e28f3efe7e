#include "devices/pl011.h"

#include <pthread.h>
#include <stdlib.h>

#include "devices/fifo.h"
#include "devices/primecell.h"

#define PART	     0x011
#define REVISION     1
#define POLLS_ENOUGH 4 /* see pl011_listening() */

/* Register offsets and bits: DDI 0183, table 3-1 and 3.3 */
#define REG_DR	  0x00
#define REG_RSR	  0x04 /* written: ECR */
#define REG_FR	  0x18
#define REG_ILPR  0x20
#define REG_IBRD  0x24
#define REG_FBRD  0x28
#define REG_LCR_H 0x2c
#define REG_CR	  0x30
#define REG_IFLS  0x34
#define REG_IMSC  0x38
#define REG_RIS	  0x3c
#define REG_MIS	  0x40
#define REG_ICR	  0x44
#define REG_DMACR 0x48

#define DR_OE  0x800
#define RSR_OE 0x8

#define FR_CTS	0x001
#define FR_DSR	0x002
#define FR_DCD	0x004
#define FR_BUSY 0x008
#define FR_RXFE 0x010
#define FR_TXFF 0x020
#define FR_RXFF 0x040
#define FR_TXFE 0x080
#define FR_RI	0x100

#define LCR_FEN 0x10

#define CR_UARTEN 0x0001
#define CR_LBE	  0x0080
#define CR_TXE	  0x0100
#define CR_RXE	  0x0200
#define CR_DTR	  0x0400
#define CR_RTS	  0x0800
#define CR_OUT1	  0x1000
#define CR_OUT2	  0x2000
#define CR_MASK	  0xff87

#define IFLS_MASK  0x3f
#define IFLS_RESET 0x12 /* both at half */

#define INT_RI	 0x001
#define INT_CTS	 0x002
#define INT_DCD	 0x004
#define INT_DSR	 0x008
#define INT_RX	 0x010
#define INT_TX	 0x020
#define INT_RT	 0x040
#define INT_OE	 0x400
#define INT_MASK 0x7ff

struct pl011 {
	struct irq_line irq;
	struct char_backend backend;
	pthread_mutex_t lock; /* all that follows */
	struct fifo rx, tx;   /* with FIFOs off only one place of each is used */
	uint32_t cr, lcr_h, ifls, imsc, ris, rsr, ibrd, fbrd, ilpr, dmacr;
	uint32_t modem;	 /* FR's modem lines as last looked at */
	bool overrun;	 /* at the next byte that is read */
	bool rx_starved; /* the backend has input that was not taken */
	/* Bytes have come, or are left after a read, that the next write of ICR cannot mean; see pl011_clear(). */
	bool rx_news;
	bool enable_used; /* the guest has set UARTEN once: it knows that there is such a thing */
	/* See pl011_listening(). */
	unsigned polls;
	unsigned fr_reads;
	/* See pl011_clear(). */
	bool opening, hide_rx;
	int irq_level; /* as last set */
};

static unsigned pl011_depth(const struct pl011 *uart)
{
	return uart->lcr_h & LCR_FEN ? FIFO_SIZE : 1;
}

/* Bytes at the level that a 3-bit field of IFLS says; the reserved values are taken for the highest. */
static unsigned pl011_level(uint32_t field)
{
	static const uint8_t level[8] = {
		FIFO_SIZE / 8,
		FIFO_SIZE / 4,
		FIFO_SIZE / 2,
		FIFO_SIZE * 3 / 4,
		FIFO_SIZE * 7 / 8,
		FIFO_SIZE * 7 / 8,
		FIFO_SIZE * 7 / 8,
		FIFO_SIZE * 7 / 8,
	};

	return level[field & 7];
}

/* The receive interrupt comes at so many bytes. Who does not ask for the time-out would wait for ever below it. */
static unsigned pl011_rx_trigger(const struct pl011 *uart)
{
	bool levels = (uart->lcr_h & LCR_FEN) && (uart->imsc & INT_RT);

	return levels ? pl011_level(uart->ifls >> 3) : 1;
}

/* The transmit interrupt comes with so many bytes left. */
static unsigned pl011_tx_trigger(const struct pl011 *uart)
{
	return uart->lcr_h & LCR_FEN ? pl011_level(uart->ifls) : 0;
}

static void pl011_update_irq(struct pl011 *uart)
{
	int level = (uart->ris & uart->imsc) != 0;

	if (level == uart->irq_level)
		return;
	uart->irq_level = level;
	irq_line_set(&uart->irq, level);
}

/* ---- receiver ---- */

/* There is something to read, now or still. */
static void pl011_raise_rx(struct pl011 *uart)
{
	if (!uart->rx.count)
		return;
	uart->rx_news = true;
	uart->ris |= INT_RT;
	if (uart->rx.count >= pl011_rx_trigger(uart))
		uart->ris |= INT_RX;
}

/* A byte that comes round the loop, the only one that can find no room. */
static void pl011_receive(struct pl011 *uart, uint8_t byte)
{
	if (uart->rx.count < pl011_depth(uart)) {
		fifo_put(&uart->rx, byte);
	} else {
		uart->overrun = true;
		uart->rsr |= RSR_OE;
		uart->ris |= INT_OE;
	}
	pl011_raise_rx(uart);
}

/*
 * Does the guest receive at all yet? Input that comes before its driver would be lost to the driver's reset of the
 * chip, so it waits in the backend until the guest unmasks a receive interrupt, or polls. A poll is a second read of FR
 * (or RIS) with the transmitter empty and no other access between; drivers that write may do it too, once a byte. In
 * loopback the receiver's pin is disconnected.
 */
static bool pl011_listening(const struct pl011 *uart)
{
	const uint32_t on = CR_UARTEN | CR_RXE;

	if ((uart->cr & CR_LBE) || (uart->enable_used && (uart->cr & on) != on))
		return false;
	return (uart->imsc & (INT_RX | INT_RT)) || uart->polls >= POLLS_ENOUGH;
}

/* Let the input come that was not taken, once the receiver is empty and somebody listens. */
static void pl011_want_input(struct pl011 *uart)
{
	if (!uart->rx_starved || uart->rx.count || !pl011_listening(uart))
		return;
	uart->rx_starved = false;
	uart->backend.want_input(uart->backend.ctx);
}

static void pl011_count_poll(struct pl011 *uart)
{
	if (!uart->tx.count && uart->fr_reads++ && uart->polls < POLLS_ENOUGH && ++uart->polls == POLLS_ENOUGH)
		pl011_want_input(uart);
}

static uint32_t pl011_read_data(struct pl011 *uart)
{
	uint32_t value;

	uart->hide_rx = false;
	if (!uart->rx.count)
		return 0;
	value = fifo_get(&uart->rx) | (uart->overrun ? DR_OE : 0);
	uart->overrun = false;
	if (uart->rx.count < pl011_rx_trigger(uart))
		uart->ris &= ~(uint32_t)INT_RX;
	if (!uart->rx.count)
		uart->ris &= ~(uint32_t)INT_RT;
	pl011_raise_rx(uart); /* the time-out runs again for what is left */
	pl011_want_input(uart);
	return value;
}

/* ---- transmitter ---- */

/* Move what the backend takes. Falling to the trigger level is what asks for an interrupt. */
static void pl011_transmit(struct pl011 *uart)
{
	unsigned before = uart->tx.count;

	while (uart->tx.count) {
		uint8_t byte = uart->tx.byte[uart->tx.head];

		if (uart->cr & CR_LBE)
			pl011_receive(uart, byte);
		else if (!uart->backend.write(uart->backend.ctx, byte))
			break;
		fifo_get(&uart->tx);
	}
	if (uart->tx.count < before && uart->tx.count <= pl011_tx_trigger(uart))
		uart->ris |= INT_TX;
}

static void pl011_write_data(struct pl011 *uart, uint8_t byte)
{
	if (uart->tx.count >= pl011_depth(uart))
		return; /* the guest wrote without asking TXFF: the chip drops this byte */
	fifo_put(&uart->tx, byte);
	if (uart->tx.count > pl011_tx_trigger(uart))
		uart->ris &= ~(uint32_t)INT_TX;
	if (uart->tx.count == 1)
		pl011_transmit(uart);
}

/* ---- registers ---- */

/* The modem lines as they stand: the peer's, or our own outputs looped back. */
static uint32_t pl011_modem_lines(const struct pl011 *uart)
{
	if (!(uart->cr & CR_LBE))
		return FR_CTS | FR_DSR | FR_DCD;
	return (uart->cr & CR_RTS ? FR_CTS : 0) | (uart->cr & CR_DTR ? FR_DSR : 0) | (uart->cr & CR_OUT1 ? FR_DCD : 0) |
	       (uart->cr & CR_OUT2 ? FR_RI : 0);
}

static void pl011_write_cr(struct pl011 *uart, uint32_t value)
{
	const uint32_t on = CR_UARTEN | CR_RXE;
	uint32_t changed;

	uart->cr = value & CR_MASK;
	uart->enable_used |= (uart->cr & CR_UARTEN) != 0;
	uart->opening = (uart->cr & on) == on;
	changed = uart->modem ^ pl011_modem_lines(uart);
	uart->modem ^= changed;
	uart->ris |= (changed & FR_RI ? INT_RI : 0) | (changed & FR_CTS ? INT_CTS : 0) |
		     (changed & FR_DCD ? INT_DCD : 0) | (changed & FR_DSR ? INT_DSR : 0);
	pl011_transmit(uart); /* what the backend had refused goes round the loop now, or the other way */
	pl011_want_input(uart);
}

static void pl011_write_imsc(struct pl011 *uart, uint32_t value)
{
	const uint32_t receive = INT_RX | INT_RT;
	uint32_t changed = uart->imsc ^ (value & INT_MASK);

	uart->imsc = value & INT_MASK;
	uart->opening = uart->hide_rx = false;
	if (changed & receive) {
		uart->polls = 0;
		pl011_raise_rx(uart);
	}
	pl011_want_input(uart);
}

/*
 * Clearing a receive interrupt. Without a baud clock a byte may come at any moment, also between a handler's last read
 * and its write here, which would be the end of all input to that handler: whatever has come since the last write, or
 * been left by a read since then, is raised again, once.
 *
 * A driver that opens (CR, then this) may read the FIFO empty before it unmasks its interrupt, to be rid of old bytes.
 * Ours are new ones: the next look at FR shows none.
 */
static void pl011_clear(struct pl011 *uart, uint32_t value)
{
	uart->ris &= ~value;
	if (!(value & (INT_RX | INT_RT)))
		return;
	if (uart->rx_news || uart->opening)
		pl011_raise_rx(uart);
	uart->rx_news = false;
	uart->hide_rx = uart->opening;
	uart->opening = false;
}

static uint32_t pl011_read_fr(struct pl011 *uart)
{
	uint32_t fr = pl011_modem_lines(uart);

	if (!uart->rx.count || uart->hide_rx)
		fr |= FR_RXFE;
	else if (uart->rx.count >= pl011_depth(uart))
		fr |= FR_RXFF;
	if (!uart->tx.count)
		fr |= FR_TXFE;
	else
		fr |= FR_BUSY | (uart->tx.count >= pl011_depth(uart) ? FR_TXFF : 0);
	uart->hide_rx = false;
	pl011_count_poll(uart);
	return fr;
}

static uint32_t pl011_read_kept(const struct pl011 *uart, uint64_t reg)
{
	switch (reg) {
	case REG_RSR:
		return uart->rsr;
	case REG_ILPR:
		return uart->ilpr;
	case REG_IBRD:
		return uart->ibrd;
	case REG_FBRD:
		return uart->fbrd;
	case REG_LCR_H:
		return uart->lcr_h;
	case REG_CR:
		return uart->cr;
	case REG_IFLS:
		return uart->ifls;
	case REG_IMSC:
		return uart->imsc;
	case REG_MIS:
		return uart->ris & uart->imsc;
	case REG_DMACR:
		return uart->dmacr;
	default:
		return reg >= PRIMECELL_IDS ? primecell_id(reg, PART, REVISION) : 0;
	}
}

static uint32_t pl011_read_reg(void *ctx, uint64_t reg)
{
	struct pl011 *uart = ctx;
	uint32_t ris = uart->ris;

	if (reg == REG_FR)
		return pl011_read_fr(uart);
	if (reg == REG_RIS) {
		pl011_count_poll(uart);
		return ris;
	}
	uart->fr_reads = 0;
	return reg == REG_DR ? pl011_read_data(uart) : pl011_read_kept(uart, reg);
}

static void pl011_write_reg(void *ctx, uint64_t reg, uint32_t value)
{
	struct pl011 *uart = ctx;

	uart->fr_reads = 0;
	switch (reg) {
	case REG_DR:
		pl011_write_data(uart, (uint8_t)value);
		break;
	case REG_RSR:
		uart->rsr = 0;
		break;
	case REG_ILPR:
		uart->ilpr = value & 0xff;
		break;
	case REG_IBRD:
		uart->ibrd = value & 0xffff;
		break;
	case REG_FBRD:
		uart->fbrd = value & 0x3f;
		break;
	case REG_LCR_H:
		uart->lcr_h = value & 0xff;
		pl011_raise_rx(uart); /* the triggers are others */
		break;
	case REG_CR:
		pl011_write_cr(uart, value);
		break;
	case REG_IFLS:
		uart->ifls = value & IFLS_MASK;
		break;
	case REG_IMSC:
		pl011_write_imsc(uart, value);
		break;
	case REG_ICR:
		pl011_clear(uart, value);
		break;
	case REG_DMACR:
		uart->dmacr = value & 0x7;
		break;
	}
}

static uint64_t pl011_read(void *ctx, uint64_t off, unsigned size)
{
	struct pl011 *uart = ctx;
	uint64_t value;

	pthread_mutex_lock(&uart->lock);
	value = primecell_read(pl011_read_reg, uart, off, size);
	pl011_update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
	return value;
}

static void pl011_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct pl011 *uart = ctx;

	pthread_mutex_lock(&uart->lock);
	primecell_write(pl011_write_reg, uart, off, size, value);
	pl011_update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
}

static const struct bus_ops pl011_ops = {
	.read = pl011_read,
	.write = pl011_write,
};

static size_t pl011_feed(void *ctx, const uint8_t *buf, size_t n)
{
	struct pl011 *uart = ctx;
	size_t taken = 0;

	pthread_mutex_lock(&uart->lock);
	if (pl011_listening(uart))
		while (taken < n && uart->rx.count < pl011_depth(uart))
			fifo_put(&uart->rx, buf[taken++]);
	if (taken)
		pl011_raise_rx(uart);
	if (taken < n)
		uart->rx_starved = true;
	pl011_update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
	return taken;
}

static void pl011_drained(void *ctx)
{
	struct pl011 *uart = ctx;

	pthread_mutex_lock(&uart->lock);
	pl011_transmit(uart);
	pl011_update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
}

struct pl011 *pl011_new(const struct irq_line *irq, const struct char_backend *backend)
{
	struct pl011 *uart = calloc(1, sizeof(*uart));

	if (!uart)
		return NULL;
	uart->irq = *irq;
	uart->backend = *backend;
	uart->cr = CR_TXE | CR_RXE;
	uart->ifls = IFLS_RESET;
	uart->modem = pl011_modem_lines(uart);
	pthread_mutex_init(&uart->lock, NULL);
	return uart;
}

int pl011_add(struct pl011 *uart, struct bus *bus, uint64_t base)
{
	return bus_add(bus, "pl011", base, PL011_LEN, &pl011_ops, uart);
}

struct char_frontend pl011_frontend(struct pl011 *uart)
{
	return (struct char_frontend){.feed = pl011_feed, .drained = pl011_drained, .ctx = uart};
}

void pl011_free(struct pl011 *uart)
{
	if (!uart)
		return;
	pthread_mutex_destroy(&uart->lock);
	free(uart);
}
