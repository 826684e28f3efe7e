/* Tables of symbols: by name, by address, names that are near, a kernel that has moved. */
#include "vmm/symtab.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/tap.h"
#include "vmm/symtab_build.h"

#define TEXT 0xffffffff81000000ull

static void add(struct symtab *t, uint64_t addr, uint64_t size, char type, const char *name)
{
	if (symtab_add(t, addr, size, type, name, strlen(name)))
		tap_ok(false, "adding %s", name);
}

static struct symtab *made(void)
{
	struct symtab *t = symtab_new("/boot/x/vmlinux");

	add(t, TEXT + 0x200, 0x80, 't', "local_init");
	add(t, TEXT, 0, 'T', "_stext"); /* not in order */
	add(t, TEXT, 0, 'T', "_text");
	add(t, TEXT, 0x40, 'T', "startup_64");
	add(t, TEXT + 0x100, 0x100, 'T', "start_kernel");
	add(t, TEXT + 0x100, 0, 't', "$x");
	add(t, TEXT + 0x180, 0, 't', "$d.5");
	add(t, TEXT + 0x180, 0x10, 't', "inner");
	add(t, TEXT + 0x150, 0, 't', "$xyz"); /* a name */
	add(t, TEXT + 0x400, 0x80, 't', "local_init");
	add(t, TEXT + 0x500, 0, 'W', "weak_one");
	add(t, TEXT + 0x500, 0, 't', "static_one");
	add(t, TEXT + 0x600, 0, 'D', "jiffies");
	add(t, TEXT + 0x600, 0, 't', "");
	add(t, 0x1000, 0, 'A', "percpu_thing");
	add(t, TEXT + 0x700, 8, 't', "do_initcalls");
	add(t, TEXT + 0x710, 8, 't', "do_initcall_level");
	add(t, TEXT + 0x720, 8, 't', "do_one_initcall");
	add(t, TEXT + 0x730, 8, 't', "do_initcalls.cold");
	add(t, TEXT + 0x740, 8, 'T', "__pfx_do_initcalls");
	add(t, TEXT + 0x750, 8, 'T', "panic");
	add(t, TEXT + 0x800, 0, 'T', "last");
	return symtab_finish(t) ? NULL : t;
}

static const char *at(const struct symtab *t, uint64_t addr)
{
	struct symtab_entry e;

	return symtab_at(t, addr, &e) ? e.name : NULL;
}

static void test_names(const struct symtab *t)
{
	struct symtab_entry e[4] = {0};

	tap_is_u64(symtab_count(t), 19, "marks and nameless symbols are left out");
	tap_is_str(symtab_source(t), "vmlinux", "its source's name");
	tap_is_u64(symtab_find(t, "local_init", e, 4), 2, "a name that occurs twice");
	tap_ok(e[0].addr == TEXT + 0x200 && e[1].addr == TEXT + 0x400 && e[0].type == 't' && e[0].size == 0x80,
		"ascending");
	e[1].addr = 0;
	tap_ok(symtab_find(t, "local_init", e, 1) == 2 && !e[1].addr, "no more than there is room for");
	tap_is_u64(symtab_find(t, "local_ini", e, 4) + symtab_find(t, "local_init_", e, 4) + symtab_find(t, "", e, 4) +
			   symtab_find(t, "$x", e, 4),
		0, "parts of names are none");
}

static void test_addresses(const struct symtab *t)
{
	tap_is_str(at(t, TEXT), "startup_64", "of several the one that people use");
	tap_is_str(at(t, TEXT + 0x3f), "startup_64", "up to its end");
	tap_is_str(at(t, TEXT + 0x45), "_stext", "behind its end what has none");
	tap_is_str(at(t, TEXT + 0x100), "start_kernel", "a function");
	tap_is_str(at(t, TEXT + 0x17f), "$xyz", "a label in it without a size");
	tap_is_str(at(t, TEXT + 0x185), "inner", "one with a size");
	tap_is_str(at(t, TEXT + 0x195), "start_kernel", "behind that the function again");
	tap_is_str(at(t, TEXT + 0x290), NULL, "between two");
	tap_is_str(at(t, TEXT + 0x505), "static_one", "not the weak one");
	tap_is_str(at(t, TEXT + 0x6ff), "jiffies", "without a size: up to the next");
	tap_is_str(at(t, TEXT + 0x800 + SYMTAB_REACH - 1), "last", "and not without end");
	tap_is_str(at(t, TEXT + 0x800 + SYMTAB_REACH), NULL, "which is here");
	tap_is_str(at(t, 0x1000), NULL, "what is absolute has no address");
	tap_is_str(at(t, TEXT - 1), NULL, "before the first");
	tap_is_str(at(t, UINT64_MAX), NULL, "at the end of all addresses");
}

static void near_is(const struct symtab *t, const char *name, const char *want, const char *what)
{
	const char *out[3];
	char all[512] = "";
	size_t n = symtab_near(t, name, out, 3);

	for (size_t i = 0; i < n; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? " " : "", out[i]);
	tap_is_str(all, want, "%s", what);
}

static void test_near(const struct symtab *t)
{
	static char long_name[300];

	near_is(t, "do_initcals", "do_initcalls do_initcall_level do_initcalls.cold", "a letter too few");
	near_is(t, "panci", "panic", "two that have changed places");
	near_is(t, "Panic", "panic", "upper case");
	near_is(t, "start_kern", "start_kernel", "the begin of a name");
	near_is(t, "kernel", "start_kernel", "the end of one");
	near_is(t, "local_inti", "local_init", "one that occurs twice is named once");
	near_is(t, "do_initcall", "do_initcalls do_initcall_level do_initcalls.cold", "no generated ones");
	near_is(t, "__pfx_do_initcall", "__pfx_do_initcalls", "but for who wants one");
	near_is(t, "zzz", "", "nothing");
	near_is(t, "", "", "nothing for nothing");
	memset(long_name, 'a', sizeof(long_name) - 1);
	near_is(t, long_name, "", "nor for what is too long");
}

static void test_slide(struct symtab *t)
{
	struct symtab_entry e;

	symtab_slide(t, 0x1e000000);
	tap_ok(symtab_find(t, "start_kernel", &e, 1) == 1 && e.addr == TEXT + 0x1e000100, "moved");
	tap_is_str(at(t, TEXT + 0x1e000110), "start_kernel", "and found there");
	tap_ok(symtab_find(t, "percpu_thing", &e, 1) == 1 && e.addr == 0x1000, "but for the lower half");
	symtab_slide(t, (uint64_t)0 - 0x1e000000);
	tap_is_str(at(t, TEXT + 0x110), "start_kernel", "and back");
	symtab_slide(t, 0x7f000000);
	tap_ok(symtab_find(t, "last", &e, 1) == 1 && e.addr == 0x800 && !strcmp(at(t, 0x805), "last"),
		"around the end of all addresses");
}

static void test_limits(void)
{
	static char name[SYMTAB_NAME_MAX + 2];
	struct symtab *t = symtab_new(NULL);
	struct symtab_entry e;

	memset(name, 'n', sizeof(name) - 1);
	tap_is_u64((uint64_t)symtab_add(t, 1, 0, 'T', name, SYMTAB_NAME_MAX + 1), 0, "a name that is too long");
	symtab_add(t, 2, 0, 'T', name, SYMTAB_NAME_MAX);
	tap_ok(symtab_finish(t) == 0 && symtab_count(t) == 1 && symtab_at(t, 2, &e), "is left out");
	symtab_free(t);
	t = symtab_new("vmlinux/");
	tap_ok(symtab_finish(t) == 0 && !symtab_at(t, 0, &e) && !symtab_find(t, "x", &e, 1) && !symtab_get(t, 0, &e),
		"an empty table");
	symtab_free(t);
	symtab_free(NULL);
}

int main(void)
{
	struct symtab *t = made();

	if (tap_ok(t, "a table")) {
		test_names(t);
		test_addresses(t);
		test_near(t);
		test_slide(t);
	}
	symtab_free(t);
	test_limits();
	return tap_done();
}
