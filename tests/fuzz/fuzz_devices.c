/*
 * A guest that does anything to the device registers, and a host that feeds and refuses at any moment. The input is
 * a program of four-byte operations; see run().
 */
#include <stdlib.h>
#include <string.h>

#include "devices/acpi_pm.h"
#include "devices/cf9.h"
#include "devices/cmos.h"
#include "devices/debugexit.h"
#include "devices/exitmmio.h"
#include "devices/i8042.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/pvpanic.h"
#include "devices/uart16550.h"

#define UART	   0x3f8
#define COM1_IRQ   4
#define PL011	   0x09000000
#define PL031	   0x09010000
#define PVPANIC	   0x09e00000
#define EXIT	   0x09f00000
#define PL011_FR   (PL011 + 0x18)
#define PL011_CR   (PL011 + 0x30)
#define PL011_IMSC (PL011 + 0x38)
#define PL011_MIS  (PL011 + 0x40)
#define PL031_MIS  (PL031 + 0x18)
#define RESET_PORT 0xcf9
#define KBC_PORT   0x64
#define KBC_RESET  0xfe

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A UART's other side. */
struct side {
	struct char_frontend front;
	int irq_level;
	bool refuse, refused;
	size_t fed; /* bytes offered and not taken */
};

static struct {
	struct bus pio, mmio;
	struct uart16550 *uart;
	struct pl011 *pl011;
	struct side com1, arm;
	struct i8042 *kbc;
	struct cmos *cmos;
	struct pl031 *pl031;
	int pl031_level; /* written with the clock's lock held */
	struct debugexit *exit;
	struct exitmmio *exitmmio;
	struct pvpanic *panic, *panic_mmio;
	struct acpi_pm *pm;
	struct cf9 *cf9;
	struct {
		unsigned n;
		enum power_event event;
		unsigned value;
	} power; /* what the guest has asked for */
} m;

/* Changes only. */
static void set_level(int *level, int now)
{
	if (now == *level)
		abort();
	*level = now;
}

static void set_irq(void *ctx, unsigned irq, int level)
{
	(void)irq;
	set_level(ctx, level);
}

static void on_power(void *ctx, enum power_event event, unsigned value)
{
	(void)ctx;
	m.power.n++;
	m.power.event = event;
	m.power.value = value;
	if (event > POWER_DEBUG_EXIT)
		abort();
}

static bool put(void *ctx, uint8_t byte)
{
	struct side *side = ctx;

	(void)byte;
	side->refused |= side->refuse;
	return !side->refuse;
}

static void want_input(void *ctx)
{
	struct side *side = ctx;

	/* Only who was turned away is called back. */
	if (!side->fed)
		abort();
	side->fed = 0;
}

static struct char_backend backend(struct side *side)
{
	return (struct char_backend){.write = put, .want_input = want_input, .ctx = side};
}

static int setup_pio(const struct power *power)
{
	struct char_backend back = backend(&m.com1);
	struct irq_line irq = {.set = set_irq, .ctx = &m.com1.irq_level, .irq = COM1_IRQ};
	int err = 0;

	m.uart = uart16550_new(&irq, &back);
	m.com1.front = uart16550_frontend(m.uart);
	m.kbc = i8042_new(power);
	m.cmos = cmos_new(NULL);
	m.exit = debugexit_new(power);
	m.panic = pvpanic_new(power);
	m.pm = acpi_pm_new(power);
	m.cf9 = cf9_new(power);
	err |= uart16550_add(m.uart, &m.pio, UART);
	err |= i8042_add(m.kbc, &m.pio);
	err |= cmos_add(m.cmos, &m.pio);
	err |= debugexit_add(m.exit, &m.pio, DEBUGEXIT_PORT);
	err |= pvpanic_add(m.panic, &m.pio, PVPANIC_PORT);
	err |= acpi_pm_add(m.pm, &m.pio, ACPI_PM_PORT);
	err |= cf9_add(m.cf9, &m.pio);
	return err;
}

static int setup_mmio(const struct power *power)
{
	struct char_backend back = backend(&m.arm);
	struct irq_line irq = {.set = set_irq, .ctx = &m.arm.irq_level, .irq = 1};
	struct irq_line alarm = {.set = set_irq, .ctx = &m.pl031_level, .irq = 2};
	int err = 0;

	m.pl011 = pl011_new(&irq, &back);
	m.arm.front = pl011_frontend(m.pl011);
	m.pl031 = pl031_new(&alarm);
	m.exitmmio = exitmmio_new(power);
	m.panic_mmio = pvpanic_new(power);
	err |= pl011_add(m.pl011, &m.mmio, PL011);
	err |= pl031_add(m.pl031, &m.mmio, PL031);
	err |= exitmmio_add(m.exitmmio, &m.mmio, EXIT);
	err |= pvpanic_add(m.panic_mmio, &m.mmio, PVPANIC);
	return err;
}

static void setup(void)
{
	struct power power = {.event = on_power};

	memset(&m, 0, sizeof(m));
	if (setup_pio(&power) || setup_mmio(&power))
		abort();
}

static void teardown(void)
{
	uart16550_free(m.uart);
	pl011_free(m.pl011);
	pl031_free(m.pl031);
	exitmmio_free(m.exitmmio);
	pvpanic_free(m.panic_mmio);
	i8042_free(m.kbc);
	cmos_free(m.cmos);
	debugexit_free(m.exit);
	pvpanic_free(m.panic);
	acpi_pm_free(m.pm);
	cf9_free(m.cf9);
}

static uint8_t in(uint64_t port)
{
	uint8_t v;

	bus_read(&m.pio, port, 1, &v);
	return v;
}

static void out(uint64_t port, uint8_t v)
{
	bus_write(&m.pio, port, 1, &v);
}

static uint32_t load(uint64_t addr)
{
	uint32_t v;

	bus_read(&m.mmio, addr, 4, &v);
	return v;
}

static void store(uint64_t addr, uint32_t v)
{
	bus_write(&m.mmio, addr, 4, &v);
}

static void offer(struct side *side, const uint8_t *buf, size_t n)
{
	size_t taken = side->front.feed(side->front.ctx, buf, n);

	if (taken > n)
		abort();
	if (taken < n)
		side->fed = n - taken;
}

/* What holds whatever a guest has done. */
static void check_pio(void)
{
	uint8_t lsr = in(UART + 5), status = in(0x64);
	int line;

	if (!(lsr & 0x20) != !(lsr & 0x40))
		abort(); /* THRE and TEMT go together here */
	if (!m.com1.refused && !(lsr & 0x20))
		abort(); /* never busy without a reason */
	if (status & 0x02)
		abort(); /* the keyboard controller is never busy */
	if (status & 0x01 && (in(0x60), in(0x64) & 0x01))
		abort(); /* and a flush ends */
	/* The line is what the registers say, where the gate is open. */
	out(UART + 4, 0x08);
	line = m.com1.irq_level;
	if (line != !(in(UART + 2) & 0x01))
		abort();
}

static void check_mmio(void)
{
	uint32_t fr = load(PL011_FR), mis;
	int before = m.pl031_level;

	if (!(fr & 0x08) != !!(fr & 0x80))
		abort(); /* busy or empty */
	if ((fr & 0x28) == 0x20 || (fr & 0x50) == 0x50)
		abort(); /* a full transmitter is busy, a full receiver is not empty */
	if (!m.arm.refused && (fr & 0x08))
		abort(); /* never busy without a reason */
	if (m.arm.irq_level != (load(PL011_MIS) != 0))
		abort(); /* the line is what the registers say */
	if (load(PL011 + 0xff8) != 0x05 || load(PL031 + 0xfe0) != 0x31)
		abort();
	mis = load(PL031_MIS);
	if (before == m.pl031_level && before != !!mis) /* else its alarm has come just now */
		abort();
}

/* Whatever the guest has done, once it reads in the proper way it gets at all of its input. */
static void check_uart_input(void)
{
	int n = 0;

	out(UART + 3, 0x03);
	out(UART + 4, 0x08);
	out(UART + 2, 0x01);
	out(UART + 1, 0x01);
	while (in(UART + 5) & 0x01)
		if (in(UART), ++n > 32) /* what the receiver holds, and what was held back for it */
			abort();
	if (m.com1.fed || m.com1.irq_level)
		abort();
	offer(&m.com1, (const uint8_t *)"xy", 1);
	if (m.com1.fed || !m.com1.irq_level || in(UART) != 'x')
		abort();
}

static void check_pl011_input(void)
{
	int n = 0;

	store(PL011_CR, 0x301);
	store(PL011_IMSC, 0x50);
	while (!(load(PL011_FR) & 0x10))
		if (load(PL011), ++n > 16)
			abort();
	if (m.arm.fed || m.arm.irq_level)
		abort();
	offer(&m.arm, (const uint8_t *)"xy", 1);
	if (m.arm.fed || !m.arm.irq_level || load(PL011) != 'x')
		abort();
}

static const uint16_t ports[16] = {UART, UART + 1, UART + 2, UART + 3, UART + 4, UART + 5, UART + 6, 0x60, KBC_PORT,
	0x70, 0x71, 0x92, DEBUGEXIT_PORT, PVPANIC_PORT, ACPI_PM_PORT, RESET_PORT};

static const uint32_t addresses[16] = {PL011, PL011 + 0x04, PL011_FR, PL011 + 0x2c, PL011_CR, PL011 + 0x34, PL011_IMSC,
	PL011 + 0x3c, PL011_MIS, PL011 + 0x44, PL031 + 0x04, PL031 + 0x08, PL031 + 0x10, PL031 + 0x1c, PVPANIC, EXIT};

/* Nobody is there: all ones. */
static void check_read(const struct bus *bus, uint64_t addr, unsigned size)
{
	static const uint8_t ones[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	unsigned before = m.power.n;
	uint8_t data[8] = {0};

	if (!bus_read(bus, addr, size, data) && memcmp(data, ones, size))
		abort();
	if (m.power.n != before)
		abort(); /* looking ends nothing */
}

/* The registers that end the machine do that at once, and say how. Where bytes are split it is others' business. */
static void check_write(const struct bus *bus, uint64_t addr, unsigned size, const uint8_t *data)
{
	bool mmio = bus == &m.mmio, ends = false;
	unsigned before = m.power.n, value = 0;
	enum power_event event = POWER_RESET;

	memcpy(&value, data, size < sizeof(value) ? size : sizeof(value));
	if (addr == (mmio ? EXIT : DEBUGEXIT_PORT) && size <= sizeof(value)) {
		ends = true;
		event = POWER_DEBUG_EXIT;
	} else if (addr == (mmio ? PVPANIC : PVPANIC_PORT) && size == 1) {
		ends = value & PVPANIC_PANICKED;
		event = POWER_PANIC;
	} else if (!mmio && addr == RESET_PORT && size == 1) {
		ends = value & 0x04;
	} else if (!mmio && addr == KBC_PORT && size == 1) {
		ends = value == KBC_RESET;
	}
	bus_write(bus, addr, size, data);
	if (ends && (m.power.n != before + 1 || m.power.event != event))
		abort();
	if (ends && event == POWER_DEBUG_EXIT && m.power.value != value)
		abort();
}

/*
 * op[0]: bits 0-2 what, 3-4 log2 of the size, 5 address from the table, 6 the MMIO bus and its UART; op[1]: address or
 * count; op[2..3]: data.
 */
static void run(const uint8_t *op)
{
	bool mmio = op[0] & 0x40;
	struct bus *bus = mmio ? &m.mmio : &m.pio;
	struct side *side = mmio ? &m.arm : &m.com1;
	uint64_t anywhere = (uint64_t)(op[1] << 4 | op[3] >> 4);
	uint64_t listed = mmio ? addresses[op[1] & 15] : ports[op[1] & 15];
	uint64_t addr = op[0] & 0x20 ? listed : anywhere + (mmio ? PL011 : 0);
	unsigned size = 1u << (op[0] >> 3 & 3);
	uint8_t data[8] = {op[2], op[3], op[2], op[3], 0, op[2], 0xff, op[3]};

	switch (op[0] & 7) {
	case 0:
	case 1:
		check_read(bus, addr, size);
		break;
	case 2:
	case 3:
	case 4:
		check_write(bus, addr, size, data);
		break;
	case 5:
		offer(side, data, op[1] & 7);
		break;
	case 6:
		side->refuse = op[1] & 1;
		break;
	case 7:
		side->refused = side->refuse;
		side->front.drained(side->front.ctx);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Longer programs find nothing that shorter ones do not. */
	if (size > 4096)
		return 0;
	setup();
	for (size_t i = 0; i + 4 <= size; i += 4)
		run(data + i);
	check_pio();
	check_mmio();
	m.com1.refuse = m.com1.refused = m.arm.refuse = m.arm.refused = false;
	m.com1.front.drained(m.com1.front.ctx);
	m.arm.front.drained(m.arm.front.ctx);
	check_pio();
	check_mmio();
	check_uart_input();
	check_pl011_input();
	teardown();
	return 0;
}
