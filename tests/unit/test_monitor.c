/* gdb's `monitor`: every command, and lines that are none. */
#include "tests/unit/monitor_driver.h"

static void test_monitor(void)
{
	driver_start(GDB_OLD);
	tap_ok(strstr(monitor("help"), "gva2gpa"), "help");
	tap_is_str(monitor("info version"), "minivmm, a KVM machine (fake)\n", "version");
	tap_is_str(monitor("  info   version "), "minivmm, a KVM machine (fake)\n", "spaces do not matter");
	tap_is_str(monitor("info cpus"),
		"* CPU 0 (thread 1): stopped\n  CPU 1 (thread 2): halted <&>\n  CPU 2 (thread 3): halted <&>\n",
		"CPUs");
	tap_is_str(monitor("info registers"),
		"CPU#0\nR0=1010101010101010 R1=1111111111111111 PC=1212121212121212 SP=1313131313131313\n"
		"FLAGS=14141414\nVEC0=15151515151515151515151515151515\n"
		"CTL=1616161616161616 MISSING=unavailable\n",
		"registers");
	tap_ok(!strstr(monitor("info registers"), "ABSENT"), "but not those of an absent feature");
	tap_ok(strstr(monitor("info registers -a"), "CPU#2\nR0=3030303030303030"), "registers of all CPUs");
	tap_is_str(monitor("info breakpoints"), "no breakpoints are inserted\n", "no breakpoints");
	ask("Z0,10010,1");
	tap_is_str(monitor("info breakpoints"), "breakpoint 0 at 0x10010\n", "one breakpoint");
	tap_is_str(monitor("xp 0x8000"), "0000000000008000: 0x150e0700\n", "physical memory");
	tap_is_str(monitor("xp/2xg 32768"), "0000000000008000: 0x312a231c150e0700 0x69625b544d463f38\n", "in any size");
	tap_is_str(monitor("xp /18xb 0x8000"),
		"0000000000008000: 0x00 0x07 0x0e 0x15 0x1c 0x23 0x2a 0x31 0x38 0x3f 0x46 0x4d 0x54 0x5b 0x62 0x69\n"
		"0000000000008010: 0x70 0x77\n",
		"in lines");
	tap_is_str(monitor("xp 0"), "0x0 is not RAM\n", "where no RAM is");
	tap_ok(strstr(monitor("xp"), "usage"), "xp without an address");
	tap_ok(strstr(monitor("xp /4z 0"), "usage"), "xp in an unknown format");
	tap_ok(strstr(monitor("xp /99999999999999999999b 0"), "usage"), "xp with an absurd count");
	tap_ok(strstr(monitor("xp /100000b 0x8000"), "1 to"), "xp with a large count");
	tap_ok(strstr(monitor("xp /0b 0x8000"), "1 to"), "xp of nothing");
	tap_is_str(monitor("gva2gpa 0x10123"), "gpa: 0x8123 (writable, 0xedd bytes to the end of the page)\n",
		"translation");
	tap_is_str(monitor("gva2gpa 0x1"), "Unmapped\n", "of an address that leads nowhere");
	tap_ok(strstr(monitor("gva2gpa x"), "usage"), "of no address");
	tap_ok(strstr(monitor("bogus"), "unknown command: bogus"), "an unknown command");
	tap_ok(strstr(monitor("helpme"), "unknown command"), "a command's name is a whole word");
	tap_ok(strstr(monitor(""), "monitor help"), "no command");
	tap_ok(strstr(monitor("info fault now"), "no argument"), "an argument too many");
	tap_is_str(ask("qRcmd,6"), "E22", "half a byte");
	tap_is_str(ask("qRcmd,zz"), "E22", "no hex");
	tap_is_str(ask("qRcmd,00"), "E22", "a zero byte");
	tap_ok(!d.fake.kills && strstr(monitor("quit"), "ends") && d.fake.kills == 1, "quit");
	tap_ok(gdb_session_gone(d.s), "is the end");
	driver_end();
}

static const char *slide_of(struct gdb_slide slide)
{
	d.fake.slide = slide;
	return monitor("kaslr");
}

static void test_kaslr(void)
{
	struct gdb_slide found = {.state = GDB_SLIDE_FOUND,
		.slide = 0x1a200000,
		.first = 0xffffffff81000000,
		.file = "vmlinux",
		.banner = "Linux version 6\n"};
	struct gdb_slide other = found;

	driver_start(GDB_OLD);
	tap_is_str(ask("qOffsets"), "", "without symbols gdb is told nothing");
	tap_ok(strstr(slide_of((struct gdb_slide){.state = GDB_SLIDE_NO_SYMBOLS}), "--symbols"), "no symbols");
	tap_ok(strstr(slide_of((struct gdb_slide){.state = GDB_SLIDE_NOT_YET}), "not known yet"), "not yet");
	tap_is_str(ask("qOffsets"), "", "gdb is told nothing then");
	tap_is_str(slide_of(found),
		"the kernel runs 0x1a200000 above where vmlinux links it; in gdb:\nsymbol-file vmlinux -o 0x1a200000\n",
		"found");
	tap_is_str(ask("qOffsets"), "TextSeg=ffffffff9b200000", "and gdb is told");
	found.percpu_at_zero = true;
	tap_ok(strstr(slide_of(found), "symbol-file\nadd-symbol-file vmlinux -o 0x1a200000 -s .data..percpu 0\n"),
		"per-CPU data stay at 0");
	found.slide = 0;
	tap_ok(strstr(slide_of(found), "fit as they are"), "not moved");
	tap_is_str(ask("qOffsets"), "", "nothing to tell gdb");
	other.state = GDB_SLIDE_OTHER;
	strcpy(other.other, "Linux version 5");
	tap_is_str(slide_of(other),
		"another kernel runs than that of vmlinux\nfile:  Linux version 6\nguest: Linux version 5\n",
		"another");
	tap_is_str(ask("qOffsets"), "", "gdb is told nothing of it");
	tap_ok(strstr(monitor("kaslr stop"), "continue"), "stop");
	d.fake.slide_stop_result = -EALREADY;
	tap_ok(strstr(monitor("kaslr stop"), "already"), "stop, too late");
	d.fake.slide_stop_result = -ENOENT;
	tap_ok(strstr(monitor("kaslr stop"), "--symbols"), "stop, without symbols");
	d.fake.slide_stop_result = -ENOSPC;
	tap_ok(strstr(monitor("kaslr stop"), "no hardware breakpoint"), "stop, without a slot for it");
	d.fake.slide_stop_result = -ENOTSUP;
	tap_ok(strstr(monitor("kaslr stop"), "not here"), "stop, where that cannot be");
	tap_ok(strstr(monitor("kaslr now"), "usage"), "something else");
	driver_end();
}

int main(void)
{
	test_kaslr();
	test_monitor();
	return tap_done();
}
