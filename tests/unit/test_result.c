/* Verdicts in words, and text that is shown without being obeyed. */
#include <stdlib.h>

#include "tests/unit/tap.h"
#include "vmm/exit_status.h"
#include "vmm/printable.h"
#include "vmm/result.h"

static struct result result;

static const char *line_of(size_t len)
{
	static char buf[4096];

	memset(buf, '#', sizeof(buf));
	result_line(&result, buf, len);
	return buf;
}

static void set(enum result_kind kind, const char *name, const char *reason, uint64_t duration_us)
{
	memset(&result, 0, sizeof(result));
	result.kind = kind;
	result.status = result_status(kind);
	result.began = 1;
	result.duration_us = duration_us;
	strncpy(result.name, name, sizeof(result.name));
	strncpy(result.reason, reason, sizeof(result.reason));
}

static void test_kinds(void)
{
	static const int statuses[RESULT_KINDS] = {
		[RESULT_NONE] = STATUS_HOST,
		[RESULT_PASS] = STATUS_OK,
		[RESULT_FAIL] = 20,
		[RESULT_REJECT] = 22,
		[RESULT_ORDER] = 32,
		[RESULT_TIMEOUT] = 124,
		[RESULT_DEADLINE] = 30,
		[RESULT_EARLY] = 28,
		[RESULT_GUEST] = 3,
		[RESULT_PANIC] = 8,
		[RESULT_OOPS] = 24,
		[RESULT_LOCKUP] = 26,
		[RESULT_TRIPLE_FAULT] = 10,
		[RESULT_KVM] = 12,
		[RESULT_KILLED] = 14,
		[RESULT_ENDED] = 16,
		[RESULT_ERROR] = STATUS_HOST,
	};

	for (int k = 0; k < RESULT_KINDS; k++) {
		const char *name = result_kind_name((enum result_kind)k);
		bool alone = true;
		size_t len;

		for (int other = 0; other < k; other++)
			alone = alone && strcmp(name, result_kind_name((enum result_kind)other)) != 0;
		tap_ok(alone && strspn(name, "abcdefghijklmnopqrstuvwxyz-") == strlen(name) && *name,
			"kind %d has a word of its own: %s", k, name);
		tap_is_u64((uint64_t)result_status((enum result_kind)k), (uint64_t)statuses[k], "status of %s", name);
		set((enum result_kind)k, "", "", 0);
		tap_ok(*result_reason(&result, &len) && len, "%s has a reason of its own", name);
		tap_ok((result_outcome(&result) == OUTCOME_PASSED) == (k == RESULT_PASS), "only a pass passes: %s",
			name);
	}
	tap_is_str(result_kind_name((enum result_kind)RESULT_KINDS), "none", "a kind that there is not");
	tap_is_str(result_kind_name((enum result_kind) - 1), "none", "a negative one");
	tap_is_str(result_outcome_name((enum result_outcome)99), "error", "an outcome that there is not");
	set(RESULT_NONE, "", "", 0);
	tap_is_str(result_outcome_name(result_outcome(&result)), "error", "it began and has no verdict: it died");
	result.began = 0;
	tap_is_str(result_outcome_name(result_outcome(&result)), "skipped", "it never began");
}

static void test_line(void)
{
	set(RESULT_PASS, "start_kernel", "reached start_kernel on CPU 0", 412999);
	tap_is_str(line_of(RESULT_LINE_MAX), "PASS start_kernel: reached start_kernel on CPU 0 after 0.412 s", "pass");
	set(RESULT_TIMEOUT, "", "no verdict within 60 s", 60000123);
	tap_is_str(line_of(RESULT_LINE_MAX), "FAIL (timeout, status 124): no verdict within 60 s after 60.000 s",
		"without a name");
	set(RESULT_GUEST, "init", "", 5000);
	result.status = 85;
	tap_is_str(line_of(RESULT_LINE_MAX),
		"FAIL init (guest, status 85): the guest ended with an exit code of its own after 0.005 s",
		"the status is the result's own; no reason");
	set(RESULT_ERROR, "x", "boot.elf: no such file", 0);
	tap_is_str(line_of(RESULT_LINE_MAX), "ERROR x (error, status 6): boot.elf: no such file", "it did not run");
	set(RESULT_NONE, "y", "", 0);
	result.began = 0;
	tap_is_str(line_of(RESULT_LINE_MAX), "SKIP y: was not run", "skipped");
	set(RESULT_REJECT, "a\nb\t", "line \"\x1b[31m\xff\xc2\x9b\\x41 Gr\xc3\xbc\xc3\x9f\xe2\x80\xae\"\r", 1);
	tap_is_str(line_of(RESULT_LINE_MAX),
		"FAIL a\\x0ab\\x09 (reject, status 22): line "
		"\"\\x1b[31m\\xff\\xc2\\x9b\\x5cx41 Gr\xc3\xbc\xc3\x9f\\xe2\\x80\\xae\"\\x0d after 0.000 s",
		"nothing for a terminal to act on");
}

static void test_line_bounds(void)
{
	bool good = true;
	size_t n;

	set(RESULT_REJECT, "n\xc3\xbc", "\x1b\xe2\x82\xac", UINT64_MAX);
	for (size_t len = 0; len < 200; len++) {
		const char *line = line_of(len);
		uint32_t c;
		enum glyph kind;

		good = good && line[len] == '#' && (!len || strlen(line) < len);
		for (size_t at = 0; len && line[at]; at += glyph_next(line + at, strlen(line + at), &kind, &c))
			good = good && !(line[at] & 0x80 && glyph_next(line + at, strlen(line + at), &kind, &c) == 1);
		n = len ? strlen(line) : 0;
		good = good && !(n > 2 && line[n - 1] == 'x' && line[n - 2] == '\\');
	}
	tap_ok(good, "cut at every length: bounded, and no half character or escape");
	memset(&result, 0xff, sizeof(result));
	n = strlen(line_of(4096));
	tap_ok(n > 128 * 4 && n < 4096, "a result that is all ones has a line, %zu bytes", n);
	line_of(RESULT_LINE_MAX);
	tap_ok(true, "and a shorter one");
}

static void one_glyph(const char *bytes, size_t n, size_t len, enum glyph kind, const char *what)
{
	/* exactly as large as it is, for the sanitizer */
	char *copy = malloc(n);
	enum glyph got_kind;
	uint32_t c;
	size_t got;

	memcpy(copy, bytes, n);
	got = glyph_next(copy, n, &got_kind, &c);
	tap_ok(got == len && got_kind == kind, "%s", what);
	free(copy);
}

static void test_glyphs(void)
{
	one_glyph("a", 1, 1, GLYPH_PLAIN, "a letter");
	one_glyph("\0", 1, 1, GLYPH_HIDDEN, "NUL");
	one_glyph("\n", 1, 1, GLYPH_PLAIN, "a newline is for the caller");
	one_glyph("\r", 1, 1, GLYPH_HIDDEN, "a carriage return");
	one_glyph("\x7f", 1, 1, GLYPH_HIDDEN, "DEL");
	one_glyph("\\", 1, 1, GLYPH_PLAIN, "a backslash at the end");
	one_glyph("\\x4", 3, 1, GLYPH_PLAIN, "half an escape");
	one_glyph("\\x4g", 4, 1, GLYPH_PLAIN, "none");
	one_glyph("\\x4A", 4, 1, GLYPH_BYTE, "a backslash that would read as an escape");
	one_glyph("\xc2\xa0", 2, 2, GLYPH_PLAIN, "a space that does not break");
	one_glyph("\xc2\x80", 2, 2, GLYPH_HIDDEN, "C1");
	one_glyph("\xc1\xbf", 2, 1, GLYPH_BYTE, "longer than need be, 2 bytes");
	one_glyph("\xe0\x9f\xbf", 3, 1, GLYPH_BYTE, "3 bytes");
	one_glyph("\xf0\x8f\xbf\xbf", 4, 1, GLYPH_BYTE, "4 bytes");
	one_glyph("\xed\xa0\x80", 3, 1, GLYPH_BYTE, "a surrogate");
	one_glyph("\xf4\x90\x80\x80", 4, 1, GLYPH_BYTE, "behind the last character");
	one_glyph("\xf4\x8f\xbf\xbd", 4, 4, GLYPH_PLAIN, "the last but two");
	one_glyph("\xf4\x8f\xbf\xbe", 4, 4, GLYPH_HIDDEN, "no character");
	one_glyph("\xe2\x82", 2, 1, GLYPH_BYTE, "cut off");
	one_glyph("\xe2\x82x", 3, 1, GLYPH_BYTE, "broken off");
	one_glyph("\xff", 1, 1, GLYPH_BYTE, "never in UTF-8");
	one_glyph("\x80", 1, 1, GLYPH_BYTE, "the end of something");
}

int main(void)
{
	test_kinds();
	test_line();
	test_line_bounds();
	test_glyphs();
	return tap_done();
}
