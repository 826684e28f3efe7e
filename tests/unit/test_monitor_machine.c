/* The monitor's commands about the machine: mappings, regions, chips, NMI, ends, events. Over a machine made of tables.
 */
#include "tests/unit/monitor_driver.h"

#define ENDLESS 0x5000000000000000ull /* from here on every second page is mapped */

/* ---- the machine ---- */

static const struct map {
	uint64_t va;
	struct mapping m;
} maps[] = {
	{0x1000, {0x8000, 0x1000, true, false, true}}, {0x2000, {0x9000, 0x1000, true, false, true}},
	{0x3000, {0xf000, 0x2000, true, false, true}}, /* not contiguous there */
	{0x5000, {0x11000, 0x1000, false, false, true}}, {0x6000, {0x12000, 0x1000, false, true, true}},
	{0x7000, {0x13000, 0x1000, false, true, false}},
	{0xffffffff80000000, {0x200000, 0x80000000, true, false, false}}, /* to the end */
};
static bool endless;
static unsigned nmaps = sizeof(maps) / sizeof(maps[0]);

static int next(void *t, int cpu, uint64_t *va, unsigned *budget, struct mapping *out)
{
	(void)t;
	(void)cpu;
	if (!*budget)
		return -E2BIG;
	--*budget;
	if (endless && *va >= ENDLESS) {
		*va = (*va + 0x1fff) & ~0x1fffull;
		*out = (struct mapping){.gpa = 0, .len = 0x1000};
		return 0;
	}
	for (unsigned i = 0; i < nmaps; i++) {
		if (*va > maps[i].va + (maps[i].m.len - 1))
			continue;
		if (*va < maps[i].va)
			*va = maps[i].va;
		*out = maps[i].m;
		out->gpa += *va - maps[i].va;
		out->len -= *va - maps[i].va;
		return 0;
	}
	return -ENOENT;
}

static void *host_at(void *t, uint64_t gpa)
{
	(void)t;
	return gpa == 0x1000 ? (void *)0x7f0000001000 : NULL;
}

static bool region(void *t, size_t i, struct region *out)
{
	static const struct region regions[] = {
		{REGION_RAM, false, 0x100000000, 0x1000, "ram"},
		{REGION_RAM, false, 0, 0x1000, "ram"},
		{REGION_DEVICE, true, 0x3f8, 8, "uart"},
		{REGION_KERNEL, false, 0xfee00000, 0x1000, "chip"},
	};

	(void)t;
	if (i < sizeof(regions) / sizeof(regions[0]))
		*out = regions[i];
	return i < sizeof(regions) / sizeof(regions[0]);
}

static int chip(void *t, int cpu, const char *name, char *buf, size_t len)
{
	(void)t;
	if (!strcmp(name, "ioapic"))
		return -EIO;
	if (strcmp(name, "pic"))
		return -ENOENT;
	snprintf(buf, len, "pic of %d\n", cpu);
	return 0;
}

static const char *chips(void *t)
{
	(void)t;
	return "ioapic, pic";
}

static int nmi_result, restarts, poweroffs, restart_result;
static unsigned nmis;

static int nmi(void *t, int cpu)
{
	(void)t;
	nmis |= 1u << cpu;
	return cpu == 1 ? -EAGAIN : nmi_result;
}

static int restart(void *t)
{
	(void)t;
	restarts++;
	return restart_result;
}

static int poweroff(void *t)
{
	(void)t;
	poweroffs++;
	return 0;
}

static struct gdb_catch catches[4];
static unsigned ncatches;

static int catch_add(void *t, const struct gdb_catch *c, char *why, size_t len)
{
	(void)t;
	if (c->kind == GDB_CATCH_IO && c->addr == 0x20) {
		snprintf(why, len, "no");
		return -EINVAL;
	}
	if (c->kind == GDB_CATCH_MSR && c->addr == 7)
		return -EIO;
	catches[ncatches] = *c;
	catches[ncatches].id = ncatches + 1;
	return (int)++ncatches;
}

static int catch_remove(void *t, unsigned id)
{
	(void)t;
	if (id > ncatches)
		return -ENOENT;
	ncatches = id ? id - 1 : 0;
	return 0;
}

static bool catch_get(void *t, size_t i, struct gdb_catch *out)
{
	(void)t;
	if (i < ncatches)
		*out = catches[i];
	return i < ncatches;
}

static struct gdb_phys_ops phys_ops;
static struct gdb_info_ops info_ops;
static struct gdb_life_ops life_ops;
static const struct gdb_catch_ops catch_ops = {.add = catch_add, .remove = catch_remove, .get = catch_get};

static void start(const struct gdb_life_ops *life)
{
	d.target = fake_target(&d.fake);
	phys_ops = fake_phys_ops;
	phys_ops.next = next;
	phys_ops.host = host_at;
	info_ops = fake_info_ops;
	info_ops.region = region;
	info_ops.chip = chip;
	info_ops.chips = chips;
	d.target.phys = &phys_ops;
	d.target.info = &info_ops;
	d.target.life = life;
	d.target.catches = &catch_ops;
	d.s = gdb_session_new(&d.target);
	stop((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signo = 2});
	ask("QStartNoAckMode");
	ask(GDB_OLD);
	life_ops = (struct gdb_life_ops){.restart = restart, .poweroff = poweroff, .nmi = nmi};
	ncatches = 0;
}

/* ---- tests ---- */

static void test_mappings(void)
{
	const char *text;

	start(&life_ops);
	tap_is_str(monitor("info mem"),
		"0000000000001000-0000000000005000 0000000000004000 -rwx\n"
		"0000000000005000-0000000000006000 0000000000001000 -r-x\n"
		"0000000000006000-0000000000007000 0000000000001000 ur-x\n"
		"0000000000007000-0000000000008000 0000000000001000 ur--\n"
		"ffffffff80000000-10000000000000000 0000000080000000 -rw-\n",
		"info mem: contiguous mappings with the same rights are one");
	tap_is_str(monitor("info tlb"),
		"0000000000001000: 0000000000008000 0000000000002000 -rwx\n"
		"0000000000003000: 000000000000f000 0000000000002000 -rwx\n"
		"0000000000005000: 0000000000011000 0000000000001000 -r-x\n"
		"0000000000006000: 0000000000012000 0000000000001000 ur-x\n"
		"0000000000007000: 0000000000013000 0000000000001000 ur--\n"
		"ffffffff80000000: 0000000000200000 0000000080000000 -rw-\n",
		"info tlb: and lead to contiguous memory");
	tap_is_str(monitor("info mem 0x7800"),
		"0000000000007800-0000000000008000 0000000000000800 ur--\n"
		"ffffffff80000000-10000000000000000 0000000080000000 -rw-\n",
		"from an address on");
	tap_ok(strstr(monitor("info mem x"), "usage: info mem [FROM]"), "usage");
	tap_ok(strstr(monitor("info tlb 0x1 2"), "usage: info tlb [FROM]"), "usage of the other");
	endless = true;
	text = monitor("info mem 0x5000000000000000"); /* O packets, then OK */
	tap_ok(strlen(text) > 1000000, "a long list");
	tap_ok(text[0] == 'O' && strstr(text, "|OK"), "goes to the console");
	endless = false;
	nmaps = 0;
	tap_is_str(monitor("info mem"), "nothing is mapped\n", "nothing");
	nmaps = sizeof(maps) / sizeof(maps[0]);
	tap_is_str(monitor("gpa2hva 4096"), "Host virtual address for 0x1000 (ram) is 0x7f0000001000\n", "gpa2hva");
	tap_is_str(monitor("gpa2hva 0x2000"), "No memory is mapped at address 0x2000\n", "gpa2hva of nothing");
	tap_ok(strstr(monitor("gpa2hva"), "usage: gpa2hva"), "usage of gpa2hva");
	driver_end();
}

static void test_machine(void)
{
	start(&life_ops);
	tap_is_str(monitor("info mtree"),
		"address-space: memory\n"
		"  0000000000000000-0000000000000fff (ram): ram\n"
		"  00000000fee00000-00000000fee00fff (i/o, by KVM itself): chip\n"
		"  0000000100000000-0000000100000fff (ram): ram\n"
		"address-space: I/O\n"
		"  03f8-03ff (i/o): uart\n",
		"info mtree");
	tap_is_str(monitor("info pic"), "pic of 0\n", "a chip");
	tap_is_str(monitor("info lapic"), "this machine has no lapic; it has: ioapic, pic\n", "one that is not there");
	tap_ok(strstr(monitor("info ioapic"), "cannot be read: "), "one that cannot be read");
	tap_ok(strstr(monitor("help"), "info pic") && !strstr(monitor("help"), "info lapic"), "help has what is there");
	tap_is_str(monitor("nmi"), "CPU 0 takes an NMI when it runs next\n", "nmi");
	tap_is_u64(nmis, 1, "for the selected CPU");
	ask("Hg3");
	monitor("nmi");
	tap_is_u64(nmis, 5, "for another");
	nmi_result = -ENOTSUP;
	tap_is_str(
		monitor("nmi all"), "fake has no NMI\nCPU 1: not started yet, it gets none\nfake has no NMI\n", "all");
	tap_ok(strstr(monitor("nmi 1"), "usage: nmi"), "usage");
	tap_ok(strstr(monitor("reset"), "first instruction") && restarts == 1, "reset");
	tap_ok(!ask("qC"), "what is asked next waits for the machine's first stop");
	stop_signal(0, 5);
	driver_decode();
	restart_result = -ENOTSUP;
	tap_is_str(monitor("reset"), "this machine cannot restart\n", "reset that cannot be");
	restart_result = -EIO;
	tap_ok(strstr(monitor("reset"), "did not restart"), "reset that fails");
	tap_ok(!gdb_session_gone(d.s) && strstr(monitor("poweroff"), "off") && poweroffs == 1, "poweroff");
	tap_ok(gdb_session_gone(d.s), "is the end");
	driver_end();
	start(NULL);
	tap_is_str(monitor("nmi"), "this machine has no NMI\n", "without the group: nmi");
	tap_is_str(monitor("reset"), "this machine cannot restart\n", "reset");
	tap_ok(strstr(monitor("poweroff"), "cannot") && !gdb_session_gone(d.s), "poweroff");
	driver_end();
}

static void test_catch(void)
{
	static const char *const bad[] = {"catch x", "catch io", "catch io ", "catch io 0x", "catch io 1 2",
		"catch io 1,", "catch io 1,0", "catch msr 1,2", "catch reset 3", "catch resets", "catch mmio 0x1,2,3",
		"catch io 99999999999999999999"};

	start(&life_ops);
	tap_ok(strstr(monitor("catch"), "nothing is caught; usage: catch EVENT, one of panic, "), "no catches");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(!strncmp(monitor(bad[i]), "usage: catch ", 13), "usage: %s", bad[i]);
	tap_is_u64(ncatches, 0, "none of which came through");
	tap_is_str(monitor("catch io 0x20"), "not caught: no\n", "a refusal with its reason");
	tap_is_str(monitor("catch msr 7"), "not caught: Input/output error\n", "and without");
	tap_is_str(monitor("catch mmio 0x10,2"), "1: mmio 0x10 to 0x11 stops the machine\n", "mmio");
	tap_is_str(monitor("catch io 128"), "2: io 0x80 stops the machine\n", "io");
	tap_is_str(monitor("catch triple-fault"),
		"3: triple-fault stops the machine, as it does without this while a debugger is attached\n", "a fault");
	tap_is_str(monitor("catch"),
		"1: mmio 0x10 to 0x11 stops the machine\n2: io 0x80 stops the machine\n"
		"3: triple-fault stops the machine, as it does without this while a debugger is attached\n",
		"the list");
	tap_is_str(monitor("catch delete 3"), "catch 3 is gone\n", "delete");
	tap_is_str(monitor("catch delete 3"), "there is no catch 3; \"monitor catch\" lists them\n", "again");
	for (size_t i = 0; i < 4; i++)
		tap_ok(strstr(monitor((const char *[]){
				      "catch delete", "catch delete 0", "catch delete x", "catch delete 1 2"}[i]),
			       "usage: catch delete"),
			"usage of delete");
	tap_is_u64(ncatches, 2, "nothing was deleted by that");
	tap_is_str(monitor("catch delete all"), "nothing is caught any more\n", "delete all");
	monitor("catch reset");
	tap_is_str(monitor("catch off"), "nothing is caught any more\n", "off");
	d.target.catches = NULL;
	driver_end();
}

static void test_event_text(void)
{
	struct gdb_stop st = {.kind = GDB_STOP_SIGNAL, .cpu = 1, .signo = GDB_SIGNAL_USR1, .text = "caught it"};
	const char *text;

	start(&life_ops);
	ask("vCont;c");
	text = stop(st);
	tap_ok(!strncmp(text, "O6361756768742069740a|T1ethread:2;", 34), "the text, then the stop: %s", text);
	text = ask("?");
	tap_ok(!strncmp(text, "T1ethread:2;", 12), "asked again the stop alone: %s", text);
	driver_end();
}

int main(void)
{
	test_mappings();
	test_machine();
	test_catch();
	test_event_text();
	return tap_done();
}
