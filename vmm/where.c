#include "vmm/where.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/number.h"
#include "vmm/symtab.h"

#define NEAR_MAX    3
#define SEVERAL_MAX 4
#define HOW	    "a place is SYMBOL, SYMBOL+OFFSET or *0xADDRESS"

/* Appends; cut off at the end of the room. */
static void say(char *why, size_t len, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(char *why, size_t len, const char *fmt, ...)
{
	size_t at = strlen(why);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why + at, len - at, fmt, ap);
	va_end(ap);
}

static int fail(int err, char *why, size_t len, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static int fail(int err, char *why, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, len, fmt, ap);
	va_end(ap);
	return err;
}

/* ---- reading ---- */

/* What compilers put into names, and what is likely to be meant as one. */
static bool in_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
	       c == '$' || c == '@' || c == ':' || (unsigned char)c >= 0x80;
}

static int parse_address(struct where *w, const char *text, char *why, size_t len)
{
	switch (number_parse(text + 1, &w->addr, NULL)) {
	case 0:
		return 0;
	case -ERANGE:
		return fail(-EINVAL, why, len, "%.80s: the address has more than 64 bits", text);
	default:
		return fail(
			-EINVAL, why, len, "%.80s: no address: it is written *0xffffffff81000000, or decimal", text);
	}
}

static int parse_offset(struct where *w, const char *text, const char *plus, char *why, size_t len)
{
	switch (number_parse(plus + 1, &w->offset, NULL)) {
	case 0:
		return 0;
	case -ERANGE:
		return fail(-EINVAL, why, len, "%.160s: the offset has more than 64 bits", text);
	default:
		return fail(-EINVAL, why, len, "%.160s: bad offset '%.40s': SYMBOL+16 or SYMBOL+0x10", text, plus + 1);
	}
}

int where_parse(struct where *w, const char *text, char *why, size_t len)
{
	const char *plus = strchr(text, '+');
	size_t n = plus ? (size_t)(plus - text) : strlen(text);
	uint64_t address;

	memset(w, 0, sizeof(*w));
	if (*text == '*')
		return parse_address(w, text, why, len);
	if (!n)
		return fail(-EINVAL, why, len, "'%.80s': no symbol: " HOW, text);
	for (size_t i = 0; i < n; i++)
		if (!in_name(text[i]))
			return fail(-EINVAL, why, len, "'%.160s': no place: " HOW, text);
	if (text[0] >= '0' && text[0] <= '9') {
		if (number_parse(text, &address, NULL) == 0)
			return fail(
				-EINVAL, why, len, "%.80s: an address is written with a star: '*%.80s'", text, text);
		return fail(-EINVAL, why, len, "'%.160s': no symbol begins with a digit: " HOW, text);
	}
	if (n >= sizeof(w->symbol))
		return fail(-EINVAL, why, len,
			"'%.80s...': the name is too long, the kernel's have less than %d letters", text,
			WHERE_SYMBOL_MAX);
	memcpy(w->symbol, text, n);
	return plus ? parse_offset(w, text, plus, why, len) : 0;
}

/* ---- finding ---- */

static int unknown(const struct where *w, const struct symtab *t, char *why, size_t len)
{
	const char *near[NEAR_MAX];
	size_t n = symtab_near(t, w->symbol, near, NEAR_MAX);

	fail(0, why, len, "no symbol %.160s in %s", w->symbol, symtab_source(t));
	for (size_t i = 0; i < n; i++)
		say(why, len, "%s%.80s", i ? ", " : "; did you mean ", near[i]);
	if (n)
		say(why, len, "?");
	else
		say(why, len, " (%zu symbols); an address is written *0xADDRESS", symtab_count(t));
	return -ENOENT;
}

static const char *kind(char type)
{
	switch (type) {
	case 'T':
		return "global code";
	case 't':
		return "local code";
	case 'W':
	case 'w':
		return "weak";
	case 'A':
	case 'a':
		return "absolute";
	case 'R':
	case 'r':
		return "constant";
	default:
		return "data";
	}
}

static int several(
	const struct where *w, const struct symtab *t, const struct symtab_entry *e, size_t n, char *why, size_t len)
{
	fail(0, why, len, "symbol %.160s occurs %zu times in %s:", w->symbol, n, symtab_source(t));
	for (size_t i = 0; i < n && i < SEVERAL_MAX; i++)
		say(why, len, " 0x%" PRIx64 " (%s)%s", e[i].addr, kind(e[i].type),
			i + 1 < n && i + 1 < SEVERAL_MAX ? "," : "");
	say(why, len, "%s; say which: *0x%" PRIx64, n > SEVERAL_MAX ? ", ..." : "", e[0].addr + w->offset);
	return -ENOTUNIQ;
}

/* Of several of one name: the same address under it twice is one place. */
static bool all_one(const struct symtab_entry *e, size_t n)
{
	return n <= SEVERAL_MAX && e[0].addr == e[n - 1].addr;
}

int where_resolve(const struct where *w, const struct symtab *t, uint64_t *addr, char *why, size_t len)
{
	struct symtab_entry e[SEVERAL_MAX];
	size_t n;

	if (!*w->symbol) {
		*addr = w->addr;
		return 0;
	}
	if (!t)
		return fail(-ENOENT, why, len,
			"no symbols to look %.160s up in: give the kernel's vmlinux with --symbols, or *0xADDRESS",
			w->symbol);
	n = symtab_find(t, w->symbol, e, SEVERAL_MAX);
	if (!n)
		return unknown(w, t, why, len);
	if (n > 1 && !all_one(e, n))
		return several(w, t, e, n, why, len);
	if (e[0].type == 'A' || e[0].type == 'a')
		return fail(-EINVAL, why, len,
			"%.160s is a number (0x%" PRIx64 ", absolute or per-CPU) in %s, no place in memory", w->symbol,
			e[0].addr, symtab_source(t));
	if (e[0].size && w->offset >= e[0].size)
		return fail(-EINVAL, why, len, "%.160s+0x%" PRIx64 ": beyond its end, it has %" PRIu64 " bytes in %s",
			w->symbol, w->offset, e[0].size, symtab_source(t));
	if (w->offset > UINT64_MAX - e[0].addr)
		return fail(-EINVAL, why, len, "%.160s+0x%" PRIx64 ": beyond the end of all addresses", w->symbol,
			w->offset);
	*addr = e[0].addr + w->offset;
	return 0;
}
