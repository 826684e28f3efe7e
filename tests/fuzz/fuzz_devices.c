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
#include "devices/i8042.h"
#include "devices/pvpanic.h"
#include "devices/uart16550.h"

#define UART 0x3f8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct bus bus;
	struct uart16550 *uart;
	struct char_frontend front;
	struct i8042 *kbc;
	struct cmos *cmos;
	struct debugexit *exit;
	struct pvpanic *panic;
	struct acpi_pm *pm;
	struct cf9 *cf9;
	int irq_level;
	bool refuse, refused;
	size_t fed; /* bytes offered and not taken */
} m;

static void set_irq(void *ctx, unsigned irq, int level)
{
	(void)ctx;
	/* Changes only. */
	if (irq == 4 && level == m.irq_level)
		abort();
	if (irq == 4)
		m.irq_level = level;
}

static void on_power(void *ctx, enum power_event event, unsigned value)
{
	(void)ctx;
	(void)value;
	if (event > POWER_DEBUG_EXIT)
		abort();
}

static bool put(void *ctx, uint8_t byte)
{
	(void)ctx;
	(void)byte;
	m.refused |= m.refuse;
	return !m.refuse;
}

static void want_input(void *ctx)
{
	(void)ctx;
	/* Only who was turned away is called back. */
	if (!m.fed)
		abort();
	m.fed = 0;
}

static void setup(void)
{
	struct char_backend back = {.write = put, .want_input = want_input};
	struct irq_line irq = {.set = set_irq, .irq = 4};
	struct power power = {.event = on_power};
	int err = 0;

	memset(&m, 0, sizeof(m));
	m.uart = uart16550_new(&irq, &back);
	m.front = uart16550_frontend(m.uart);
	m.kbc = i8042_new(&power);
	m.cmos = cmos_new(NULL);
	m.exit = debugexit_new(&power);
	m.panic = pvpanic_new(&power);
	m.pm = acpi_pm_new(&power);
	m.cf9 = cf9_new(&power);
	err |= uart16550_add(m.uart, &m.bus, UART);
	err |= i8042_add(m.kbc, &m.bus);
	err |= cmos_add(m.cmos, &m.bus);
	err |= debugexit_add(m.exit, &m.bus, DEBUGEXIT_PORT);
	err |= pvpanic_add(m.panic, &m.bus, PVPANIC_PORT);
	err |= acpi_pm_add(m.pm, &m.bus, ACPI_PM_PORT);
	err |= cf9_add(m.cf9, &m.bus);
	if (err)
		abort();
}

static void teardown(void)
{
	uart16550_free(m.uart);
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

	bus_read(&m.bus, port, 1, &v);
	return v;
}

static void offer(const uint8_t *buf, size_t n)
{
	size_t taken = m.front.feed(m.front.ctx, buf, n);

	if (taken > n)
		abort();
	if (taken < n)
		m.fed = n - taken;
}

/* What holds whatever a guest has done. */
static void check(void)
{
	uint8_t lsr = in(UART + 5), status = in(0x64), v[8];

	if (!(lsr & 0x20) != !(lsr & 0x40))
		abort(); /* THRE and TEMT go together here */
	if (!m.refused && !(lsr & 0x20))
		abort(); /* never busy without a reason */
	if (status & 0x02)
		abort(); /* the keyboard controller is never busy */
	if (status & 0x01 && (in(0x60), in(0x64) & 0x01))
		abort(); /* and a flush ends */
	bus_read(&m.bus, 0x1000, 8, v);
	if (memcmp(v, "\xff\xff\xff\xff\xff\xff\xff\xff", 8))
		abort();
}

static const uint16_t ports[16] = {UART, UART + 1, UART + 2, UART + 3, UART + 4, UART + 5, UART + 6, 0x60, 0x64, 0x70,
	0x71, 0x92, DEBUGEXIT_PORT, PVPANIC_PORT, ACPI_PM_PORT, 0xcf8};

/* op[0]: bits 0-2 what, 3-4 log2 of the size, 5 port from the table; op[1]: port or count; op[2..3]: data. */
static void run(const uint8_t *op)
{
	uint64_t port = op[0] & 0x20 ? ports[op[1] & 15] : (uint64_t)(op[1] << 4 | op[3] >> 4);
	unsigned size = 1u << (op[0] >> 3 & 3);
	uint8_t data[8] = {op[2], op[3], op[2], op[3], 0, op[2], 0xff, op[3]};

	switch (op[0] & 7) {
	case 0:
	case 1:
		bus_read(&m.bus, port, size, data);
		break;
	case 2:
	case 3:
	case 4:
		bus_write(&m.bus, port, size, data);
		break;
	case 5:
		offer(data, op[1] & 7);
		break;
	case 6:
		m.refuse = op[1] & 1;
		break;
	case 7:
		m.refused = m.refuse;
		m.front.drained(m.front.ctx);
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
	check();
	m.refuse = m.refused = false;
	m.front.drained(m.front.ctx);
	check();
	teardown();
	return 0;
}
