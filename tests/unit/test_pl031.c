/* The real-time clock: the host's time, setting it, alarms now, soon, never, and past the end of 32 bits. */
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "devices/pl031.h"
#include "tests/unit/tap.h"

#define BASE 0x09010000

enum { DR = 0x00, MR = 0x04, LR = 0x08, CR = 0x0c, IMSC = 0x10, RIS = 0x14, MIS = 0x18, ICR = 0x1c };

static struct bus bus;
static struct pl031 *rtc;
static atomic_int irq_level, irq_changes;

static void set_irq(void *ctx, unsigned irq, int level)
{
	(void)ctx;
	(void)irq;
	atomic_store(&irq_level, level);
	atomic_fetch_add(&irq_changes, 1);
}

static void setup(void)
{
	struct irq_line irq = {.set = set_irq, .irq = 2};

	memset(&bus, 0, sizeof(bus));
	atomic_store(&irq_level, 0);
	atomic_store(&irq_changes, 0);
	rtc = pl031_new(&irq);
	pl031_add(rtc, &bus, BASE);
}

static uint32_t in(unsigned reg)
{
	uint32_t v = 0;

	bus_read(&bus, BASE + reg, 4, &v);
	return v;
}

static void out(unsigned reg, uint32_t v)
{
	bus_write(&bus, BASE + reg, 4, &v);
}

static bool wait_irq(void)
{
	for (int i = 0; i < 5000 && !atomic_load(&irq_level); i++)
		usleep(1000);
	return atomic_load(&irq_level);
}

/* Not time(), which may be a tick behind. */
static uint32_t host_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint32_t)ts.tv_sec;
}

static void test_clock(void)
{
	static const uint8_t id[] = {0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
	uint32_t before, guest, after;
	uint64_t wide = 0;

	setup();
	before = host_seconds();
	guest = in(DR);
	after = host_seconds();
	tap_ok(before <= guest && guest <= after, "the host's time");
	tap_is_u64(in(CR), 1, "it runs");
	out(CR, 0);
	tap_is_u64(in(CR), 1, "and cannot be stopped");
	tap_ok(!in(RIS) && !in(MIS) && !in(IMSC) && !in(LR) && !in(MR), "all else is 0 at reset");
	for (unsigned i = 0; i < sizeof(id); i++)
		tap_is_u64(in(0xfe0 + i * 4), id[i], "identification %u", i);
	out(LR, 1000000000);
	guest = in(DR);
	tap_ok(guest >= 1000000000 && guest < 1000000060, "it goes on from what was set");
	tap_is_u64(in(LR), 1000000000, "which reads back");
	out(DR, 5);
	out(RIS, 1);
	tap_ok(in(DR) >= 1000000000 && !in(RIS), "read-only is read-only");
	bus_read(&bus, BASE + LR, 8, &wide);
	tap_is_u64(wide, 1000000000 | 1ULL << 32, "8 bytes are two registers");
	tap_is_u64((uint64_t)atomic_load(&irq_changes), 0, "no interrupt so far");
	pl031_free(rtc);
}

static void test_alarm(void)
{
	setup();
	out(MR, in(DR) + 1);
	out(IMSC, 1);
	tap_ok(!atomic_load(&irq_level) || in(DR) >= in(MR), "not before its time");
	tap_ok(wait_irq(), "an alarm");
	tap_ok(in(RIS) == 1 && in(MIS) == 1 && in(DR) >= in(MR), "as the registers say");
	out(IMSC, 0);
	tap_ok(!atomic_load(&irq_level) && in(RIS) == 1 && in(MIS) == 0, "masked");
	out(IMSC, 1);
	tap_ok(atomic_load(&irq_level), "unmasked");
	out(ICR, 1);
	tap_ok(!atomic_load(&irq_level) && !in(RIS), "cleared");
	out(MR, in(DR) + 1);
	tap_ok(wait_irq(), "and another");
	out(ICR, 1);
	out(MR, in(DR) + 1000);
	out(LR, in(MR)-1);
	tap_ok(wait_irq(), "setting the clock brings the alarm near");
	out(ICR, 1);
	out(LR, in(MR));
	tap_ok(atomic_load(&irq_level), "or there at once");
	out(ICR, 1);
	out(MR, in(DR)-10);
	usleep(20000);
	tap_ok(!in(RIS), "what is past comes in 136 years");
	pl031_free(rtc);
}

static void test_polled(void)
{
	setup();
	out(MR, in(DR) + 1);
	for (int i = 0; i < 3000 && !in(RIS); i++)
		usleep(1000);
	tap_ok(in(RIS) && !in(MIS), "the flag can be polled");
	tap_is_u64((uint64_t)atomic_load(&irq_changes), 0, "and raises no interrupt");
	pl031_free(rtc);
}

static void test_wrap(void)
{
	setup();
	out(IMSC, 1);
	out(LR, 0xffffffff);
	out(MR, 0);
	tap_ok(wait_irq(), "the second after the last of 32 bits is 0");
	tap_ok(in(DR) < 60, "and the clock goes on");
	pl031_free(rtc);
	pl031_free(NULL);
}

int main(void)
{
	test_clock();
	test_alarm();
	test_polled();
	test_wrap();
	return tap_done();
}
