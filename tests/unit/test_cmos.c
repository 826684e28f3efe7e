/* The real-time clock: formats, setting, update-in-progress, flags and interrupts, memory bytes. */
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "devices/cmos.h"
#include "tests/unit/tap.h"

static struct bus bus;
static struct cmos *cmos;
static atomic_int irq_level, irq_edges;

static void set_irq(void *ctx, unsigned irq, int level)
{
	(void)ctx;
	(void)irq;
	atomic_store(&irq_level, level);
	if (level)
		atomic_fetch_add(&irq_edges, 1);
}

static void setup(bool with_irq)
{
	struct irq_line irq = {.set = set_irq, .irq = CMOS_IRQ};

	memset(&bus, 0, sizeof(bus));
	atomic_store(&irq_level, 0);
	atomic_store(&irq_edges, 0);
	cmos = cmos_new(with_irq ? &irq : NULL);
	cmos_add(cmos, &bus);
}

static uint8_t in(uint8_t reg)
{
	uint8_t v = 0;

	bus_write(&bus, 0x70, 1, &reg);
	bus_read(&bus, 0x71, 1, &v);
	return v;
}

static void out(uint8_t reg, uint8_t v)
{
	bus_write(&bus, 0x70, 1, &reg);
	bus_write(&bus, 0x71, 1, &v);
}

static int number(uint8_t v, bool binary)
{
	return binary ? v : (v >> 4) * 10 + (v & 15);
}

/* The guest's idea of the time, read as drivers do: wait for UIP low, read, and again if UIP came up. */
static time_t read_clock(bool binary, bool h24)
{
	struct tm tm = {.tm_sec = 0};
	uint8_t hours;

	do {
		while (in(0x0a) & 0x80)
			;
		tm.tm_sec = number(in(0), binary);
		tm.tm_min = number(in(2), binary);
		hours = in(4);
		tm.tm_hour = h24 ? number(hours, binary) : number(hours & 0x7f, binary) % 12 + (hours & 0x80 ? 12 : 0);
		tm.tm_mday = number(in(7), binary);
		tm.tm_mon = number(in(8), binary) - 1;
		tm.tm_year = number(in(9), binary) + number(in(0x32), binary) * 100 - 1900;
	} while (in(0x0a) & 0x80);
	return timegm(&tm);
}

static void test_formats(void)
{
	setup(false);
	tap_is_u64(in(0x0b), 0x02, "24 hours and BCD at reset");
	tap_is_u64(in(0x0d), 0x80, "the battery is good");
	for (int b = 0; b < 4; b++) {
		bool binary = b & 1, h24 = b & 2;
		time_t before, after, guest;

		out(0x0b, (uint8_t)((binary ? 4 : 0) | (h24 ? 2 : 0)));
		before = time(NULL);
		guest = read_clock(binary, h24);
		after = time(NULL);
		tap_ok(before <= guest && guest <= after + 1, "the host's time in %s, %d hours",
			binary ? "binary" : "BCD", h24 ? 24 : 12);
	}
	tap_ok(in(6) >= 1 && in(6) <= 7, "a day of the week");
	cmos_free(cmos);
}

static void set_clock(uint8_t century, uint8_t year, uint8_t mon, uint8_t day, uint8_t hour, uint8_t min, uint8_t sec)
{
	uint8_t b = in(0x0b);

	out(0x0b, b | 0x80);
	out(0x32, century);
	out(9, year);
	out(8, mon);
	out(7, day);
	out(4, hour);
	out(2, min);
	out(0, sec);
	tap_is_u64(in(0), sec, "while SET is up the bytes are plain memory");
	out(0x0b, b);
}

static void test_setting(void)
{
	struct tm want = {.tm_year = 99, .tm_mon = 11, .tm_mday = 31, .tm_hour = 23, .tm_min = 58, .tm_sec = 7};
	time_t target = timegm(&want), got;

	setup(false);
	set_clock(0x19, 0x99, 0x12, 0x31, 0x23, 0x58, 0x07);
	got = read_clock(false, true);
	tap_ok(got >= target && got < target + 60, "the clock goes on from what was set");
	out(9, 0x38);
	out(0x32, 0x20);
	got = read_clock(false, true);
	want.tm_year = 138;
	tap_ok(got >= timegm(&want) && got < timegm(&want) + 60,
		"single bytes can be set while it runs; 2038 is no end");
	set_clock(0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff);
	set_clock(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
	in(0), in(9), in(0x0c);
	out(0x0b, 0x06 | 0x70);
	set_clock(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
	in(0), in(9), in(0x0c);
	tap_ok(true, "nonsense dates are survived");
	cmos_free(cmos);
}

static void test_hours(void)
{
	static const uint8_t h24[] = {0x00, 0x01, 0x11, 0x12, 0x13, 0x23};
	static const uint8_t h12[] = {0x12, 0x01, 0x11, 0x92, 0x81, 0x91};

	setup(false);
	for (int i = 0; i < 6; i++) {
		out(0x0b, 0x02);
		out(2, 0x30);
		out(4, h24[i]);
		out(0x0b, 0x00);
		tap_is_u64(in(4), h12[i], "hour %x of 24", h24[i]);
		out(4, h12[i]);
		out(0x0b, 0x02);
		tap_is_u64(in(4), h24[i], "and back");
	}
	cmos_free(cmos);
}

static void test_uip(void)
{
	bool seen = false;

	setup(false);
	/* It is up for 244 us of each second: the second changes only after it was seen. */
	for (int tries = 0; tries < 60 && !seen; tries++) {
		uint8_t sec = in(0);

		while (in(0) == sec && !seen)
			seen = in(0x0a) & 0x80;
	}
	tap_ok(seen, "update-in-progress shows");
	out(0x0b, 0x82);
	for (int i = 0; i < 20000 && !(in(0x0a) & 0x80); i++)
		;
	tap_is_u64(in(0x0a), 0x26, "and never while SET stops the clock");
	cmos_free(cmos);
}

static bool wait_irq(int edges)
{
	for (int i = 0; i < 5000; i++) {
		if (atomic_load(&irq_edges) >= edges)
			return true;
		usleep(1000);
	}
	return false;
}

static void test_interrupts(void)
{
	setup(true);
	usleep(2000);
	tap_ok(in(0x0c) & 0x40, "the periodic flag can be polled without any interrupt");
	tap_is_u64((uint64_t)atomic_load(&irq_edges), 0, "and raises none");
	out(0x0b, 0x42);
	tap_ok(wait_irq(1), "periodic interrupt");
	tap_is_u64(in(0x0c) & 0xc0, 0xc0, "register C tells");
	tap_ok(wait_irq(2), "and the next one comes after that was read");
	out(0x0b, 0x02);
	in(0x0c);
	tap_is_u64((uint64_t)atomic_load(&irq_level), 0, "disabled and read: line down");
	atomic_store(&irq_edges, 0);
	out(0x0b, 0x12);
	tap_ok(wait_irq(1), "update interrupt");
	tap_is_u64(in(0x0c) & 0x90, 0x90, "register C tells");
	out(0x0b, 0x02);
	in(0x0c);
	atomic_store(&irq_edges, 0);
	out(1, 0xff), out(3, 0xff), out(5, 0xff);
	out(0x0b, 0x22);
	tap_ok(wait_irq(1), "alarm interrupt, every second");
	tap_is_u64(in(0x0c) & 0xa0, 0xa0, "register C tells");
	out(0x0b, 0x02);
	set_clock(0x20, 0x26, 0x01, 0x01, 0x11, 0x59, 0x59);
	out(1, 0x00), out(3, 0x00), out(5, 0x12);
	in(0x0c);
	atomic_store(&irq_edges, 0);
	out(0x0b, 0x22);
	tap_ok(wait_irq(1), "alarm interrupt at a time of day");
	tap_ok(in(4) == 0x12 && in(2) == 0x00, "which it is");
	cmos_free(cmos);
	tap_ok(true, "and its thread ends");
}

static void test_memory(void)
{
	setup(false);
	cmos_set_memory(cmos, 3ull << 30, 5ull << 30);
	tap_is_u64(in(0x15) | in(0x16) << 8, 640, "640 KiB of base memory");
	tap_is_u64(in(0x30) | in(0x31) << 8, 0xffff, "over 1 MiB, as much as can be said");
	tap_is_u64((uint64_t)(in(0x34) | in(0x35) << 8), ((3ull << 30) - (16 << 20)) >> 16, "over 16 MiB");
	tap_is_u64((uint64_t)(in(0x5b) | in(0x5c) << 8 | in(0x5d) << 16), (5ull << 30) >> 16, "over 4 GiB");
	cmos_set_memory(cmos, 1 << 19, 0);
	tap_is_u64((uint64_t)(in(0x15) | in(0x16) << 8), 512, "a very small machine");
	out(0x8f, 0x0a);
	tap_is_u64(in(0x0f), 0x0a, "the NMI mask bit is no part of the index");
	tap_is_u64(in(0x7f), 0, "128 bytes");
	out(0x0d, 0);
	tap_is_u64(in(0x0d), 0x80, "register D is read-only");
	cmos_free(cmos);
}

int main(void)
{
	test_formats();
	test_setting();
	test_hours();
	test_uip();
	test_interrupts();
	test_memory();
	return tap_done();
}
