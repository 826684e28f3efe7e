/* The exit device: which stores end the machine, and with what. */
#include "devices/exitmmio.h"
#include "tests/unit/tap.h"

#define BASE 0x09f00000

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

int main(void)
{
	const struct power power = {.event = on_power};
	const uint64_t value = 0x123456789abcdef0;
	struct exitmmio *dev = exitmmio_new(&power);
	struct bus bus = {.n = 0};
	uint64_t got = 1;

	tap_ok(exitmmio_add(dev, &bus, BASE) == 0, "has its place");
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t want = size < 4 ? value & ((1u << 8 * size) - 1) : 0x9abcdef0;

		events = 0;
		tap_ok(bus_write(&bus, BASE, size, &value) && events == 1 && last == POWER_DEBUG_EXIT,
			"%u bytes end it, once", size);
		tap_is_u64(last_value, want, "with their value");
	}
	events = 0;
	tap_ok(bus_write(&bus, BASE + 4, 4, &value) && bus_write(&bus, BASE + EXITMMIO_LEN - 4, 4, &value),
		"the page is all its own");
	tap_ok(bus_read(&bus, BASE, 4, &got) && (uint32_t)got == 0, "reads give 0");
	tap_ok(!events, "neither ends anything");
	tap_ok(!bus_write(&bus, BASE + EXITMMIO_LEN, 4, &value), "behind the page is nothing");
	exitmmio_free(dev);
	exitmmio_free(NULL);
	return tap_done();
}
