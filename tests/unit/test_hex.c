/* Hex digits, the cursor and the buffer. */
#include <stdlib.h>

#include "gdb/buf.h"
#include "gdb/hex.h"
#include "tests/unit/tap.h"

static struct gdb_cursor cursor(const char *s)
{
	return (struct gdb_cursor){(const uint8_t *)s, (const uint8_t *)s + strlen(s)};
}

static void test_digits(void)
{
	int good = 0;

	for (int c = 0; c < 256; c++)
		good += gdb_hex_digit((uint8_t)c) >= 0;
	tap_is_u64((uint64_t)good, 22, "22 characters are hex digits");
	tap_ok(gdb_hex_digit('0') == 0 && gdb_hex_digit('9') == 9 && gdb_hex_digit('a') == 10 &&
			gdb_hex_digit('F') == 15,
		"digits have their values");
	tap_ok(gdb_hex_digit('g') < 0 && gdb_hex_digit('@') < 0 && gdb_hex_digit('/') < 0 && gdb_hex_digit(':') < 0,
		"their neighbours have none");
}

static void test_numbers(void)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
		size_t left;
	} cases[] = {
		{"0", true, 0, 0},
		{"ffffffffffffffff", true, UINT64_MAX, 0},
		{"FfFf,4", true, 0xffff, 2},
		{"0000000000000000000000001x", true, 1, 1},
		{"10000000000000000", false, 0, 17},
		{"", false, 0, 0},
		{",1", false, 0, 2},
		{"-1", false, 0, 2},
		{"0x10", true, 0, 3},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gdb_cursor c = cursor(cases[i].text);
		uint64_t v = 0;
		bool ok = gdb_cursor_hex(&c, &v);

		tap_ok(ok == cases[i].ok && v == cases[i].value && gdb_cursor_left(&c) == cases[i].left,
			"hex number \"%s\"", cases[i].text);
	}
}

static void test_decimal(void)
{
	struct gdb_cursor c = cursor("18446744073709551615");
	uint64_t v = 0;

	tap_ok(gdb_cursor_dec(&c, &v) && v == UINT64_MAX, "the largest decimal number");
	c = cursor("18446744073709551616");
	tap_ok(!gdb_cursor_dec(&c, &v), "one more overflows");
	c = cursor("x");
	tap_ok(!gdb_cursor_dec(&c, &v), "no digit is no number");
}

static void test_bytes(void)
{
	struct gdb_cursor c = cursor("00ffA5");
	uint8_t out[3] = {1, 1, 1};

	tap_ok(gdb_cursor_bytes(&c, out, 3) && gdb_cursor_done(&c), "three bytes of six digits");
	tap_is_mem(out, "\x00\xff\xa5", 3, "they are right");
	c = cursor("00ffA");
	tap_ok(!gdb_cursor_bytes(&c, out, 3), "half a byte is missing");
	c = cursor("00fg");
	tap_ok(!gdb_cursor_bytes(&c, out, 2) && gdb_cursor_left(&c) == 4, "a bad digit leaves the cursor alone");
	c = cursor("0011");
	tap_ok(!gdb_cursor_bytes(&c, out, SIZE_MAX / 2 + 2), "an absurd count does not wrap around");
}

static void test_words(void)
{
	struct gdb_cursor c = cursor("vCont;c");

	tap_ok(!gdb_cursor_prefix(&c, "vCont?") && gdb_cursor_prefix(&c, "vCont"), "prefixes");
	tap_ok(!gdb_cursor_prefix(&c, ";c;c"), "a prefix longer than what is left");
	tap_ok(gdb_cursor_eat(&c, ';') && !gdb_cursor_eat(&c, ';') && gdb_cursor_eat(&c, 'c') &&
			!gdb_cursor_eat(&c, 'c'),
		"single characters, also at the end");
}

static void test_threads(void)
{
	static const struct {
		const char *text;
		bool ok;
		int id;
	} cases[] = {
		{"-1", true, GDB_THREAD_ALL},
		{"0", true, GDB_THREAD_ANY},
		{"1", true, 1},
		{"1f", true, 0x1f},
		{"7fffffff", true, 0x7fffffff},
		{"80000000", false, 9},
		{"", false, 9},
		{"-2", false, 9},
		{"-", false, 9},
		{"p1.1", false, 9},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gdb_cursor c = cursor(cases[i].text);
		int id = 9;
		bool ok = gdb_cursor_thread(&c, &id);

		tap_ok(ok == cases[i].ok && id == cases[i].id, "thread id \"%s\"", cases[i].text);
	}
}

static void test_buf(void)
{
	struct gdb_buf b = {0};
	uint8_t big[1000];

	memset(big, 0xab, sizeof(big));
	gdb_hex_put(&b, big, sizeof(big));
	tap_ok(b.len == 2000 && !memcmp(b.data, "abab", 4) && b.data[1999] == 'b', "a thousand bytes as hex");
	gdb_buf_reset(&b);
	gdb_buf_puts(&b, "abc");
	gdb_buf_printf(&b, "%03d", 7);
	gdb_buf_putc(&b, '!');
	tap_is_mem(b.data, "abc007!", 7, "pieces in a row");
	gdb_buf_consume(&b, 3);
	tap_ok(b.len == 4 && !memcmp(b.data, "007!", 4), "the front is dropped");
	gdb_buf_consume(&b, 100);
	tap_is_u64(b.len, 0, "dropping more than there is empties it");
	gdb_buf_put(&b, NULL, 0);
	tap_ok(!b.failed, "nothing can be put");
	b.failed = true;
	gdb_buf_puts(&b, "x");
	tap_is_u64(b.len, 0, "a failed buffer takes nothing more");
	gdb_buf_free(&b);
	tap_ok(!b.data && !b.cap, "freed");
}

int main(void)
{
	test_digits();
	test_numbers();
	test_decimal();
	test_bytes();
	test_words();
	test_threads();
	test_buf();
	return tap_done();
}
