/* Places as --break names them: what is understood, what is refused and with which words. */
#include "vmm/where.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/tap.h"
#include "vmm/symtab.h"
#include "vmm/symtab_build.h"

#define TEXT 0xffffffff81000000ull

static char why[WHERE_WHY_MAX];

static void good(const char *text, const char *symbol, uint64_t offset, uint64_t addr)
{
	struct where w;
	int err = where_parse(&w, text, why, sizeof(why));

	tap_ok(!err && !strcmp(w.symbol, symbol) && w.offset == offset && w.addr == addr, "'%s' is understood", text) ||
		err >= 0 || (tap_diag("%s", why), 0);
}

static void bad(const char *text, const char *want)
{
	struct where w;
	int err = where_parse(&w, text, why, sizeof(why));

	if (tap_ok(err == -EINVAL, "'%.40s' is refused", text))
		tap_is_str(why, want, "'%.40s': the reason", text);
}

static void test_parse(void)
{
	static char name[WHERE_SYMBOL_MAX + 1];
	struct where w;

	good("start_kernel", "start_kernel", 0, 0);
	good("start_kernel+16", "start_kernel", 16, 0);
	good("start_kernel+0x1F", "start_kernel", 0x1f, 0);
	good("start_kernel+0", "start_kernel", 0, 0);
	good("foo.isra.0+0xffffffffffffffff", "foo.isra.0", UINT64_MAX, 0);
	good("_RNvCs1_7kernel3foo$x@1::y", "_RNvCs1_7kernel3foo$x@1::y", 0, 0);
	good("*0xffffffff81000000", "", 0, TEXT);
	good("*4096", "", 0, 4096);
	good("*0", "", 0, 0);
	good("*18446744073709551615", "", 0, UINT64_MAX);
	bad("", "'': no symbol: a place is SYMBOL, SYMBOL+OFFSET or *0xADDRESS");
	bad("+4", "'+4': no symbol: a place is SYMBOL, SYMBOL+OFFSET or *0xADDRESS");
	bad("*", "*: no address: it is written *0xffffffff81000000, or decimal");
	bad("*0x", "*0x: no address: it is written *0xffffffff81000000, or decimal");
	bad("*ffffffff81000000", "*ffffffff81000000: no address: it is written *0xffffffff81000000, or decimal");
	bad("*start_kernel", "*start_kernel: no address: it is written *0xffffffff81000000, or decimal");
	bad("*0x1+2", "*0x1+2: no address: it is written *0xffffffff81000000, or decimal");
	bad("*18446744073709551616", "*18446744073709551616: the address has more than 64 bits");
	bad("*0x10000000000000000", "*0x10000000000000000: the address has more than 64 bits");
	bad("foo+", "foo+: bad offset '': SYMBOL+16 or SYMBOL+0x10");
	bad("foo+x", "foo+x: bad offset 'x': SYMBOL+16 or SYMBOL+0x10");
	bad("foo+-1", "foo+-1: bad offset '-1': SYMBOL+16 or SYMBOL+0x10");
	bad("foo+0x1g", "foo+0x1g: bad offset '0x1g': SYMBOL+16 or SYMBOL+0x10");
	bad("foo+1+2", "foo+1+2: bad offset '1+2': SYMBOL+16 or SYMBOL+0x10");
	bad("foo+ 1", "foo+ 1: bad offset ' 1': SYMBOL+16 or SYMBOL+0x10");
	bad("foo+18446744073709551616", "foo+18446744073709551616: the offset has more than 64 bits");
	bad("foo bar", "'foo bar': no place: a place is SYMBOL, SYMBOL+OFFSET or *0xADDRESS");
	bad("foo-1", "'foo-1': no place: a place is SYMBOL, SYMBOL+OFFSET or *0xADDRESS");
	bad("file.c:12 ", "'file.c:12 ': no place: a place is SYMBOL, SYMBOL+OFFSET or *0xADDRESS");
	bad("0xffffffff81000000", "0xffffffff81000000: an address is written with a star: '*0xffffffff81000000'");
	bad("2foo", "'2foo': no symbol begins with a digit: a place is SYMBOL, SYMBOL+OFFSET or *0xADDRESS");
	memset(name, 'a', WHERE_SYMBOL_MAX);
	tap_ok(where_parse(&w, name, why, sizeof(why)) == -EINVAL && strstr(why, "too long"),
		"a name that is too long");
	name[WHERE_SYMBOL_MAX - 1] = '\0';
	tap_ok(where_parse(&w, name, why, sizeof(why)) == 0, "one that just fits");
}

static struct symtab *made(void)
{
	static const struct symtab_entry list[] = {
		{TEXT, 0x100, 'T', "start_kernel"},
		{TEXT + 0x100, 8, 't', "do_initcalls"},
		{TEXT + 0x200, 0x20, 't', "init"},
		{TEXT + 0x240, 0x20, 'W', "init"},
		{TEXT + 0x300, 8, 'd', "state"},
		{TEXT + 0x310, 8, 'r', "state"},
		{TEXT + 0x320, 8, 'T', "state"},
		{TEXT + 0x330, 8, 'b', "state"},
		{TEXT + 0x340, 8, 'b', "state"},
		{TEXT + 0x400, 8, 'T', "same"},
		{TEXT + 0x400, 8, 't', "same"},
		{TEXT + 0x500, 8, 'D', "jiffies"},
		{0x1000, 8, 'A', "this_cpu_off"},
		{TEXT + 0x600, 0, 'T', "no_size"},
	};
	struct symtab *t = symtab_new("/x/vmlinux");

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		symtab_add(t, list[i].addr, list[i].size, list[i].type, list[i].name, strlen(list[i].name));
	symtab_finish(t);
	return t;
}

static int resolve(const char *text, const struct symtab *t, uint64_t *addr)
{
	struct where w;

	*addr = 1;
	if (where_parse(&w, text, why, sizeof(why)))
		return -1;
	return where_resolve(&w, t, addr, why, sizeof(why));
}

static void leads(const struct symtab *t, const char *text, uint64_t want)
{
	uint64_t addr;
	int err = resolve(text, t, &addr);

	if (!tap_ok(err == 0 && addr == want, "'%s' leads to 0x%" PRIx64, text, want))
		tap_diag("error %d, 0x%" PRIx64 ": %s", err, addr, why);
}

static void refused(const struct symtab *t, const char *text, int want_err, const char *want)
{
	uint64_t addr;
	int err = resolve(text, t, &addr);

	tap_ok(err == want_err && addr == 1, "'%.60s' leads nowhere", text);
	tap_is_str(why, want, "'%.60s': the reason", text);
}

static void test_resolve(const struct symtab *t)
{
	leads(t, "start_kernel", TEXT);
	leads(t, "start_kernel+0xff", TEXT + 0xff);
	leads(t, "same", TEXT + 0x400);
	leads(t, "jiffies", TEXT + 0x500);
	leads(t, "no_size+0x1000", TEXT + 0x1600);
	leads(t, "*0x1234", 0x1234);
	leads(NULL, "*0x1234", 0x1234);
	refused(t, "start_kernel+0x100", -EINVAL, "start_kernel+0x100: beyond its end, it has 256 bytes in vmlinux");
	refused(t, "no_size+0xffffffffffffffff", -EINVAL,
		"no_size+0xffffffffffffffff: beyond the end of all addresses");
	refused(t, "do_initcals", -ENOENT, "no symbol do_initcals in vmlinux; did you mean do_initcalls?");
	refused(t, "xyzzy", -ENOENT, "no symbol xyzzy in vmlinux (14 symbols); an address is written *0xADDRESS");
	refused(t, "init+4", -ENOTUNIQ,
		"symbol init occurs 2 times in vmlinux: 0xffffffff81000200 (local code), 0xffffffff81000240 (weak); "
		"say "
		"which: *0xffffffff81000204");
	refused(t, "state", -ENOTUNIQ,
		"symbol state occurs 5 times in vmlinux: 0xffffffff81000300 (data), 0xffffffff81000310 (constant), "
		"0xffffffff81000320 (global code), 0xffffffff81000330 (data), ...; say which: *0xffffffff81000300");
	refused(t, "this_cpu_off", -EINVAL,
		"this_cpu_off is a number (0x1000, absolute or per-CPU) in vmlinux, no place in memory");
	refused(NULL, "start_kernel", -ENOENT,
		"no symbols to look start_kernel up in: give the kernel's vmlinux with --symbols, or *0xADDRESS");
}

/* Room for a part of the reason is no reason to write beyond it. */
static void test_short(const struct symtab *t)
{
	struct where w;
	uint64_t addr;

	for (size_t len = 1; len < 120; len++) {
		char *room = malloc(len);

		where_parse(&w, "state", room, len);
		where_resolve(&w, t, &addr, room, len);
		where_parse(&w, "do_initcals", room, len);
		where_resolve(&w, t, &addr, room, len);
		if (strlen(room) > len - 1)
			tap_ok(false, "%zu bytes", len);
		free(room);
	}
	tap_ok(true, "reasons are cut off where there is no room");
}

int main(void)
{
	struct symtab *t = made();

	test_parse();
	test_resolve(t);
	test_short(t);
	symtab_free(t);
	return tap_done();
}
