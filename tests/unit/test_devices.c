/* The small devices: ways to end, and the keyboard controller's answers. */
#include "devices/acpi_pm.h"
#include "devices/cf9.h"
#include "devices/debugexit.h"
#include "devices/i8042.h"
#include "devices/pvpanic.h"
#include "tests/unit/tap.h"

static struct bus bus;
static int events;
static enum power_event last;
static unsigned last_value;

static void on_power(void *ctx, enum power_event event, unsigned value)
{
	(void)ctx;
	events++;
	last = event;
	last_value = value;
}

static const struct power power = {.event = on_power};

static void out(uint64_t port, unsigned size, uint32_t value)
{
	bus_write(&bus, port, size, &value);
}

static uint32_t in(uint64_t port, unsigned size)
{
	uint32_t value = 0;

	bus_read(&bus, port, size, &value);
	return value;
}

static bool happened(enum power_event event)
{
	bool yes = events == 1 && last == event;

	events = 0;
	return yes;
}

static void test_debugexit(void)
{
	struct debugexit *dev = debugexit_new(&power);

	memset(&bus, 0, sizeof(bus));
	debugexit_add(dev, &bus, DEBUGEXIT_PORT);
	for (unsigned size = 1; size <= 4; size *= 2) {
		out(DEBUGEXIT_PORT, size, 0x12345678);
		tap_ok(happened(POWER_DEBUG_EXIT), "debug exit by %u bytes", size);
		tap_is_u64(last_value, size == 4 ? 0x12345678 : 0x12345678 & ((1u << 8 * size) - 1), "its value");
	}
	out(DEBUGEXIT_PORT + 1, 1, 1);
	tap_ok(!events && in(DEBUGEXIT_PORT, 1) == 0, "the ports after it and reads do nothing");
	debugexit_free(dev);
}

static void test_pvpanic(void)
{
	struct pvpanic *dev = pvpanic_new(&power);

	memset(&bus, 0, sizeof(bus));
	pvpanic_add(dev, &bus, PVPANIC_PORT);
	tap_is_u64(in(PVPANIC_PORT, 1), 3, "pvpanic understands panics and crash kernels");
	out(PVPANIC_PORT, 1, 2);
	tap_ok(!events, "a crash kernel takes over: no end");
	out(PVPANIC_PORT, 1, 1);
	tap_ok(happened(POWER_PANIC), "panicked");

	/* On a bus of memory, where a guest may use any width. */
	memset(&bus, 0, sizeof(bus));
	pvpanic_add(dev, &bus, 0x09e00000);
	tap_is_u64(in(0x09e00000, 1), 3, "the same on the MMIO bus");
	out(0x09e00000, 2, 1);
	tap_ok(happened(POWER_PANIC), "panicked by 2 bytes");
	out(0x09e00000, 4, 1);
	tap_ok(happened(POWER_PANIC), "panicked by 4 bytes");
	out(0x09e00000, 4, 0x100);
	out(0x09e00001, 1, 1);
	tap_ok(!events, "only the first byte counts");
	pvpanic_free(dev);
}

static void test_acpi_pm(void)
{
	struct acpi_pm *pm = acpi_pm_new(&power);

	memset(&bus, 0, sizeof(bus));
	acpi_pm_add(pm, &bus, 0x600);
	tap_is_u64(in(0x601, 1), 0, "never woken");
	out(0x601, 1, 0x80);
	tap_is_u64(in(0x601, 1), 0, "WAK_STS is write-1-to-clear");
	out(0x600, 1, 5 << 2);
	tap_ok(!events, "a type without SLP_EN does nothing");
	out(0x600, 1, 3 << 2 | 0x20);
	tap_ok(!events, "nor does SLP_EN with another state");
	tap_is_u64(in(0x600, 1), 3 << 2, "SLP_EN reads as 0");
	out(0x600, 1, 5 << 2 | 0x20);
	tap_ok(happened(POWER_OFF), "S5 is off");
	out(0x602, 1, ACPI_PM_RESET_VALUE + 1);
	tap_ok(!events, "a wrong value does not reset");
	out(0x602, 1, ACPI_PM_RESET_VALUE);
	tap_ok(happened(POWER_RESET), "the right one does");
	acpi_pm_free(pm);
}

static void test_cf9(void)
{
	struct cf9 *dev = cf9_new(&power);

	memset(&bus, 0, sizeof(bus));
	cf9_add(dev, &bus);
	out(0xcf8, 4, 0x80000600);
	tap_ok(!events, "a PCI address whose second byte is 6 resets nothing");
	tap_is_u64(in(0xcf8, 4), 0xffffffff, "and reads back as no PCI");
	out(0xcf9, 1, 0x02);
	tap_ok(!events && in(0xcf9, 1) == 0x02, "choosing a hard reset is not doing it");
	out(0xcf9, 1, 0x06);
	tap_ok(happened(POWER_RESET), "reset");
	cf9_free(dev);
}

/* A command that answers: what it answers, 0x100 if nothing. */
static unsigned kbc_ask(uint8_t cmd)
{
	out(0x64, 1, cmd);
	return in(0x64, 1) & 1 ? in(0x60, 1) : 0x100;
}

static void test_i8042(void)
{
	struct i8042 *kbc = i8042_new(&power);
	int n = 0;

	memset(&bus, 0, sizeof(bus));
	i8042_add(kbc, &bus);
	while (n < 100 && (in(0x64, 1) & 1))
		n += in(0x60, 1) < 256;
	tap_is_u64((uint64_t)n, 0, "a flush ends");
	tap_is_u64(in(0x64, 1) & 0x12, 0x10, "never busy, never locked");
	tap_is_u64(kbc_ask(0xaa), 0x55, "self-test");
	tap_is_u64(kbc_ask(0xab), 0x00, "keyboard port test");
	tap_is_u64(kbc_ask(0xa9), 0x01, "mouse port test: nothing there");
	out(0x64, 1, 0x60);
	out(0x60, 1, 0x47);
	tap_is_u64(kbc_ask(0x20), 0x47, "the command byte is kept");
	tap_is_u64(kbc_ask(0xad), 0x100, "no answer where there is none to give");
	tap_is_u64(kbc_ask(0x20), 0x57, "keyboard off shows in it");
	out(0x64, 1, 0xd3);
	out(0x60, 1, 0x5a);
	tap_ok((in(0x64, 1) & 0x21) == 0x01 && in(0x60, 1) == 0x5a, "a mouse loop does not come from the mouse");
	out(0x60, 1, 0xf2);
	tap_is_u64(in(0x64, 1) & 0x41, 0x41, "a keyboard command times out at once");
	tap_is_u64(in(0x60, 1), 0xfe, "with the controller's resend");
	tap_is_u64(in(0x64, 1) & 0x41, 0, "which clears it");
	tap_is_u64(kbc_ask(0xd0) & 3, 3, "output port: running, A20 on");
	out(0x64, 1, 0xdd);
	tap_is_u64(in(0x92, 1), 0, "A20 can be off");
	out(0x92, 1, 2);
	tap_is_u64(kbc_ask(0xd0) & 3, 3, "and is one line");
	out(0x64, 1, 0xff);
	out(0x64, 1, 0xd1);
	out(0x60, 1, 0xdf);
	tap_ok(!events, "no reset so far");
	out(0x64, 1, 0xfe);
	tap_ok(happened(POWER_RESET), "0xfe resets");
	out(0x64, 1, 0xd1);
	out(0x60, 1, 0xde);
	tap_ok(happened(POWER_RESET), "the output port resets");
	out(0x92, 1, 3);
	tap_ok(happened(POWER_RESET), "port 0x92 resets");
	i8042_free(kbc);
}

int main(void)
{
	test_debugexit();
	test_pvpanic();
	test_acpi_pm();
	test_cf9();
	test_i8042();
	return tap_done();
}
