/* The bus: adding ranges, and accesses of every size at every edge of them. */
#include <errno.h>

#include "devices/bus.h"
#include "tests/unit/tap.h"

struct recorder {
	uint64_t off, value, answer;
	unsigned size;
	int reads, writes;
};

static uint64_t recorder_read(void *ctx, uint64_t off, unsigned size)
{
	struct recorder *r = ctx;

	r->off = off;
	r->size = size;
	r->reads++;
	return r->answer;
}

static void recorder_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct recorder *r = ctx;

	r->off = off;
	r->size = size;
	r->value = value;
	r->writes++;
}

static const struct bus_ops wide_ops = {.read = recorder_read, .write = recorder_write};
static const struct bus_ops byte_ops = {.read = recorder_read, .write = recorder_write, .byte_wide = true};

static void test_add(void)
{
	struct bus bus = {.n = 0};
	struct recorder r = {.off = 0};

	tap_ok(bus_add(&bus, "empty", 0x10, 0, &wide_ops, &r) == -EINVAL, "an empty range is refused");
	tap_ok(bus_add(&bus, "wraps", UINT64_MAX, 2, &wide_ops, &r) == -EINVAL, "a range that wraps is refused");
	tap_ok(bus_add(&bus, "top", UINT64_MAX - 3, 4, &wide_ops, &r) == 0, "a range may end at the top");
	tap_ok(bus_add(&bus, "a", 0x100, 8, &wide_ops, &r) == 0, "a range");
	tap_ok(bus_add(&bus, "same", 0x100, 8, &wide_ops, &r) == -EEXIST, "the same range again is refused");
	tap_ok(bus_add(&bus, "head", 0xf9, 8, &wide_ops, &r) == -EEXIST, "one byte of overlap at the start");
	tap_ok(bus_add(&bus, "tail", 0x107, 1, &wide_ops, &r) == -EEXIST, "one byte of overlap at the end");
	tap_ok(bus_add(&bus, "around", 0, 0x1000, &wide_ops, &r) == -EEXIST, "a range around another");
	tap_ok(bus_add(&bus, "top2", UINT64_MAX, 1, &wide_ops, &r) == -EEXIST, "overlap at the top");
	tap_ok(bus_add(&bus, "before", 0xf8, 8, &wide_ops, &r) == 0, "touching below is fine");
	tap_ok(bus_add(&bus, "after", 0x108, 8, &wide_ops, &r) == 0, "touching above is fine");
	for (uint64_t base = 0x1000; bus.n < BUS_RANGES_MAX; base += 0x10)
		bus_add(&bus, "more", base, 1, &wide_ops, &r);
	tap_ok(bus_add(&bus, "full", 0x10000, 1, &wide_ops, &r) == -ENOSPC, "a full table is refused");
}

static void test_whole(void)
{
	struct recorder r = {.answer = 0x8877665544332211};
	struct bus bus = {.n = 0};
	uint8_t data[8];

	bus_add(&bus, "dev", 0x100, 16, &wide_ops, &r);
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t got = 0;

		memset(data, 0, sizeof(data));
		tap_ok(bus_read(&bus, 0x104, size, data), "read of %u is claimed", size);
		memcpy(&got, data, size);
		tap_is_u64(got, size == 8 ? r.answer : r.answer & ((1ull << (8 * size)) - 1), "read of %u", size);
		tap_ok(r.off == 4 && r.size == size, "offset and size of a read of %u", size);
		memcpy(data, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
		tap_ok(bus_write(&bus, 0x108, size, data), "write of %u is claimed", size);
		tap_is_u64(r.value, 0x0807060504030201 & (size == 8 ? UINT64_MAX : (1ull << (8 * size)) - 1),
			"write of %u", size);
		tap_ok(r.off == 8 && r.size == size, "offset and size of a write of %u", size);
	}
	tap_ok(r.reads == 4 && r.writes == 4, "one call for each access");
}

static void test_unclaimed(void)
{
	struct recorder r = {.answer = 0};
	struct bus bus = {.n = 0};
	uint8_t data[8] = {0};

	bus_add(&bus, "dev", 0x100, 4, &wide_ops, &r);
	tap_ok(!bus_read(&bus, 0x200, 8, data), "a read of nothing is not claimed");
	tap_is_mem(data, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "and gives all-ones");
	tap_ok(!bus_write(&bus, 0xfc, 4, data), "a write just below is not claimed");
	tap_ok(!bus_read(&bus, UINT64_MAX, 2, data), "an access that wraps to nothing is harmless");
	tap_ok(!bus_read(&bus, 0x104, 1, data) && r.reads == 0, "nor does the byte after the range belong to it");
}

static void test_straddle(void)
{
	struct recorder r = {.answer = 0x42};
	struct bus bus = {.n = 0};
	uint8_t data[4] = {0};

	bus_add(&bus, "dev", 0x100, 4, &wide_ops, &r);
	tap_ok(bus_read(&bus, 0x102, 4, data), "a read over the end is claimed");
	tap_is_mem(data, "\x42\x42\xff\xff", 4, "byte by byte, all-ones outside");
	tap_ok(r.reads == 2 && r.size == 1 && r.off == 3, "as two single reads");
	tap_ok(bus_read(&bus, 0xfe, 4, data), "a read over the start is claimed");
	tap_is_mem(data, "\xff\xff\x42\x42", 4, "byte by byte too");
	tap_ok(bus_write(&bus, 0x103, 2, "\x05\x06"), "a write over the end is claimed");
	tap_ok(r.writes == 1 && r.value == 5 && r.off == 3, "its inner byte arrives");
}

static void test_byte_wide(void)
{
	struct recorder r = {.answer = 0xab};
	struct bus bus = {.n = 0};
	uint8_t data[4] = {0};

	bus_add(&bus, "dev", 0x70, 2, &byte_ops, &r);
	bus_write(&bus, 0x70, 2, "\x0a\x55");
	tap_ok(r.writes == 2 && r.size == 1 && r.off == 1 && r.value == 0x55,
		"a word is two byte writes, lowest first");
	bus_read(&bus, 0x70, 4, data);
	tap_is_mem(data, "\xab\xab\xff\xff", 4, "a dword over its end");
}

int main(void)
{
	test_add();
	test_whole();
	test_unclaimed();
	test_straddle();
	test_byte_wide();
	return tap_done();
}
