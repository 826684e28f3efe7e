/* Guest memory: accesses at, over and far behind the ends of ranges, and over holes. */
#include "vmm/memory.h"

#include <errno.h>

#include "tests/unit/tap.h"

#define PAGE 4096ull
#define TOP  (0 - 2 * PAGE) /* a range that ends one page below the end of the address space */

/* Two that touch, with host memory elsewhere; a hole; one page; one at the top. Canaries around each host block. */
static struct {
	uint8_t before[64], second[2 * PAGE], between[64], first[PAGE], behind[64], alone[PAGE], last[64], top[PAGE],
		end[64];
} host;

static const struct guest_memory mem = {
	.n = 4,
	.size = 5 * PAGE,
	.range = {{.gpa = PAGE, .size = PAGE, .host = host.first},
		{.gpa = 2 * PAGE, .size = 2 * PAGE, .host = host.second},
		{.gpa = 16 * PAGE, .size = PAGE, .host = host.alone}, {.gpa = TOP, .size = PAGE, .host = host.top}},
};

static void canaries(void)
{
	memset(&host, 0x5a, sizeof(host));
	memset(host.first, 1, sizeof(host.first));
	memset(host.second, 2, sizeof(host.second));
	memset(host.alone, 3, sizeof(host.alone));
	memset(host.top, 4, sizeof(host.top));
}

/* gpa, len; how much is RAM; is it in one range? */
static const struct access {
	uint64_t gpa, len, reach;
	bool one;
	const char *what;
} accesses[] = {
	{PAGE, PAGE, PAGE, true, "a whole range"},
	{PAGE, PAGE + 1, PAGE + 1, false, "over the end into a range that touches"},
	{PAGE, 3 * PAGE, 3 * PAGE, false, "two ranges that touch"},
	{PAGE, 3 * PAGE + 1, 3 * PAGE, false, "one byte more than these"},
	{PAGE - 1, 1, 0, false, "the byte before a range"},
	{PAGE - 1, 2, 0, false, "over the begin of a range"},
	{2 * PAGE - 1, 2, 2, false, "over the seam"},
	{4 * PAGE - 1, 1, 1, true, "the last byte before the hole"},
	{4 * PAGE - 1, 2, 1, false, "into the hole"},
	{4 * PAGE, 1, 0, false, "in the hole"},
	{4 * PAGE - 1, 12 * PAGE + 2, 1, false, "across the hole"},
	{15 * PAGE, 2 * PAGE, 0, false, "out of the hole"},
	{17 * PAGE, 1, 0, false, "the byte behind a range"},
	{16 * PAGE, UINT64_MAX, PAGE, false, "a length that wraps"},
	{16 * PAGE, 0 - 16 * PAGE, PAGE, false, "a length up to the end of the address space"},
	{2 * PAGE, 0 - PAGE, 2 * PAGE, false, "a length that wraps to where it began"},
	{TOP, PAGE, PAGE, true, "the last range"},
	{TOP, 2 * PAGE, PAGE, false, "behind it"},
	{TOP + PAGE - 1, UINT64_MAX, 1, false, "its last byte, and a length that wraps"},
	{UINT64_MAX, 1, 0, false, "the last address"},
	{UINT64_MAX, 2, 0, false, "and over it"},
	{0, PAGE, 0, false, "no RAM at 0"},
	{PAGE, 0, 0, true, "nothing, in RAM"},
};

static void test_accesses(void)
{
	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
		const struct access *a = &accesses[i];

		tap_is_u64(memory_reach(&mem, a->gpa, a->len), a->reach, "%s: how far", a->what);
		tap_ok(memory_has(&mem, a->gpa, a->len) == a->one && !memory_at(&mem, a->gpa, a->len) == !a->one,
			"%s: in one range or not", a->what);
	}
}

/* Refused whole, with nothing copied in either direction. */
static void test_copies(void)
{
	static uint8_t buf[4 * PAGE], was[4 * PAGE];
	static uint8_t copy[sizeof(host)];
	struct guest_memory *writable = (struct guest_memory *)(uintptr_t)&mem;

	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
		const struct access *a = &accesses[i];
		bool whole = a->reach == a->len;
		int got, put;

		canaries();
		memcpy(copy, &host, sizeof(host));
		memset(buf, 9, sizeof(buf));
		memcpy(was, buf, sizeof(buf));
		got = memory_read(&mem, a->gpa, buf, a->len);
		tap_ok(got == (whole ? 0 : -EFAULT) && (whole || !memcmp(buf, was, sizeof(buf))), "%s: read", a->what);
		memset(buf, 9, sizeof(buf));
		put = memory_write(writable, a->gpa, buf, a->len);
		tap_ok(put == (whole ? 0 : -EFAULT) && (whole || !memcmp(&host, copy, sizeof(host))), "%s: written",
			a->what);
		tap_ok(host.before[63] == 0x5a && host.between[0] == 0x5a && host.between[63] == 0x5a &&
				host.behind[0] == 0x5a && host.behind[63] == 0x5a && host.last[0] == 0x5a &&
				host.last[63] == 0x5a && host.end[0] == 0x5a,
			"%s: nothing beside it", a->what);
	}
	canaries();
	tap_ok(!memory_read(&mem, 2 * PAGE - 1, buf, 2) && buf[0] == 1 && buf[1] == 2, "both sides of a seam");
	tap_is_u64((uint64_t)-memory_zero(writable, 2 * PAGE - 1, 2), EFAULT, "zeroing is for one range");
	tap_is_u64((uint64_t)-memory_zero(writable, 16 * PAGE, UINT64_MAX), EFAULT, "and no more of it than there is");
	tap_ok(!memory_zero(writable, 16 * PAGE + 1, PAGE - 1) && host.alone[0] == 3 && !host.alone[1] &&
			!host.alone[PAGE - 1] && host.last[0] == 0x5a,
		"up to its end");
}

/* RAM at both ends of the address space does not touch. */
static void test_wrap(void)
{
	static const struct guest_memory ends = {
		.n = 2,
		.size = 2 * PAGE,
		.range = {{.gpa = 0, .size = PAGE, .host = host.alone}, {.gpa = -PAGE, .size = PAGE, .host = host.top}},
	};
	uint8_t buf[2];

	tap_is_u64(memory_reach(&ends, -PAGE, 2 * PAGE), PAGE, "the end of the address space is one");
	tap_is_u64(memory_reach(&ends, UINT64_MAX, 1), 1, "its last byte");
	tap_is_u64((uint64_t)-memory_read(&ends, UINT64_MAX, buf, 2), EFAULT, "nothing wraps around");
}

int main(void)
{
	canaries();
	test_accesses();
	test_copies();
	test_wrap();
	return tap_done();
}
