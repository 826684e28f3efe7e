/* The command line: values, defaults, what is refused and with which words. */
#include "vmm/cli.h"

#include <errno.h>

#include "arch/arch.h"
#include "tests/unit/capture.h"
#include "tests/unit/tap.h"

#define ARGS_MAX 32

static struct capture out, err;
static struct options opts;

/* Words separated by blanks; "''" is an empty word. */
static enum cli_result parse(const char *line)
{
	static char buf[512];
	char *argv[ARGS_MAX + 1] = {buf, NULL};
	enum cli_result ret;
	int argc = 0;

	snprintf(buf, sizeof(buf), "minivmm %s", line);
	for (char *save, *word = strtok_r(buf, " ", &save); word && argc < ARGS_MAX; word = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(word, "''") ? word : word + 2;
	argv[argc] = NULL;
	capture_start(&out, STDOUT_FILENO);
	capture_start(&err, STDERR_FILENO);
	ret = cli_parse(&opts, argc, argv);
	capture_end(&err);
	capture_end(&out);
	return ret;
}

static bool is_one_line(const char *s)
{
	const char *nl = strchr(s, '\n');

	return nl && !nl[1];
}

static void refused(const char *line, const char *words)
{
	enum cli_result ret = parse(line);

	if (!tap_ok(ret == CLI_BAD && is_one_line(err.text) && !strncmp(err.text, "minivmm: ", 9) &&
			    strstr(err.text, words) && !*out.text,
		    "refused: %s", line))
		tap_diag("returned %d, said: %s", ret, err.text);
}

static bool taken(const char *line)
{
	bool ok = tap_ok(parse(line) == CLI_RUN && !*err.text && !*out.text, "taken: %s", line);

	if (!ok)
		tap_diag("said: %s", err.text);
	return ok;
}

static void test_sizes(void)
{
	static const struct {
		const char *text;
		int err;
		uint64_t value;
	} cases[] = {
		{"0", 0, 0},
		{"1", 0, 1},
		{"4096", 0, 4096},
		{"64k", 0, 65536},
		{"64K", 0, 65536},
		{"512M", 0, 512ULL << 20},
		{"2G", 0, 2ULL << 30},
		{"2g", 0, 2ULL << 30},
		{"0x10M", 0, 16ULL << 20},
		{"18446744073709551615", 0, UINT64_MAX},
		{"17179869183G", 0, 17179869183ULL << 30},
		{"17179869184G", -ERANGE, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1T", -EINVAL, 0},
		{"1MB", -EINVAL, 0},
		{"1.5G", -EINVAL, 0},
		{"0x", -EINVAL, 0},
		{"0xg", -EINVAL, 0},
		{"0x-1", -EINVAL, 0},
		{"0x0x1", -EINVAL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 0;
		int ret = cli_parse_size(cases[i].text, &value);

		tap_ok(ret == cases[i].err && (ret || value == cases[i].value), "size \"%s\"", cases[i].text);
	}
}

static void test_defaults(void)
{
	if (taken("")) {
		tap_ok(!opts.kernel && !opts.initrd && !opts.cmdline && !opts.boot && !opts.gdb && !opts.cpu_features,
			"nothing is set by default");
		tap_is_u64(opts.mem_size, 256ULL << 20, "256 MiB of memory by default");
		tap_is_u64((uint64_t)opts.ncpus, 2, "the built-in guest has two CPUs");
		tap_is_str(opts.serial, "stdio", "the serial port is on stdio by default");
	}
	if (taken("--kernel k"))
		tap_is_u64((uint64_t)opts.ncpus, 1, "a kernel has one CPU by default");
	if (taken("--cpus 1"))
		tap_is_u64((uint64_t)opts.ncpus, 1, "--cpus also counts for the built-in guest");
	if (taken("--gdb stdio"))
		tap_is_str(opts.serial, "null", "--gdb stdio leaves the serial port nowhere");
	if (taken("--gdb stdio --serial pty"))
		tap_is_str(opts.serial, "pty", "unless it is said where");
}

static void test_values(void)
{
	if (taken("--kernel k --initrd i --cmdline a=b --mem 1G --cpus 64 --kaslr --verbose --cpu-features -cx16")) {
		tap_is_str(opts.kernel, "k", "--kernel");
		tap_is_str(opts.initrd, "i", "--initrd");
		tap_is_str(opts.cmdline, "a=b", "--cmdline");
		tap_is_str(opts.cpu_features, "-cx16", "--cpu-features takes a word that begins with a dash");
		tap_is_u64(opts.mem_size, 1ULL << 30, "--mem");
		tap_is_u64((uint64_t)opts.ncpus, 64, "--cpus");
		tap_ok(opts.kaslr && opts.verbose && !opts.gdb_attach && !opts.probe_host, "flags");
	}
	if (taken("--gdb /tmp/s --gdb-attach -m 512M --serial=file:x"))
		tap_ok(opts.gdb_attach && opts.mem_size == 512ULL << 20 && !strcmp(opts.serial, "file:x"),
			"--gdb-attach, -m, and a value after =");
	if (taken("--mem 1M --mem 2M"))
		tap_is_u64(opts.mem_size, 2ULL << 20, "the last one counts");
	if (taken("--kernel k --symbols vmlinux"))
		tap_is_str(opts.symbols, "vmlinux", "--symbols");
	taken("--probe-host");
	taken("--gdb tcp:1");
	taken("--gdb tcp:[::1]:65535");
	taken("--gdb chardev:/dev/ttyS0");
	taken("--serial unix:/tmp/u");
	for (int i = 0; arch_boot_kinds[i]; i++) {
		char line[64];

		snprintf(line, sizeof(line), "--kernel k --boot %s", arch_boot_kinds[i]);
		if (taken(line))
			tap_is_str(opts.boot, arch_boot_kinds[i], "--boot %s", arch_boot_kinds[i]);
	}
}

static void test_bad_values(void)
{
	refused("--mem 0", "at least 1M");
	refused("--mem 512", "bytes if K, M or G");
	refused("--mem 1048577", "multiple of 4K");
	refused("--mem lots", "not a size");
	refused("--mem 99999999999999999999G", "out of range");
	refused("--mem ''", "not a size");
	refused("--cpus 0", "1 to 64");
	refused("--cpus 65", "1 to 64");
	refused("--cpus -1", "1 to 64");
	refused("--cpus 2x", "1 to 64");
	refused("--cpus 18446744073709551617", "1 to 64");
	refused("--kernel k --boot floppy", "--boot floppy: not one of");
	refused("--serial tty", "--serial tty: not one of");
	refused("--serial file:", "not one of");
	refused("--gdb ''", "path");
	refused("--gdb chardev:", "path");
	refused("--gdb tcp:", "65535");
	refused("--gdb tcp:0", "65535");
	refused("--gdb tcp:65536", "65535");
	refused("--gdb tcp:host", "65535");
	refused("--kernel ''", "empty");
}

static void test_bad_options(void)
{
	refused("--frobnicate", "unknown option --frobnicate, see minivmm --help");
	refused("--frobnicate=1", "unknown option --frobnicate=1");
	refused("-q", "unknown option -q");
	refused("--kernel", "--kernel needs a value");
	refused("-m", "-m needs a value");
	refused("--kaslr=yes", "--kaslr takes no value");
	refused("--ke", "--ke needs a value");
	refused("--c 1", "--c may be several");
	refused("vmlinux", "unexpected argument vmlinux");
	refused("--verbose vmlinux --mem 1G", "unexpected argument vmlinux");
	refused("-- x", "unexpected argument x");
}

static void test_bad_together(void)
{
	refused("--initrd i", "--initrd is of no use without --kernel");
	refused("--kaslr", "--kaslr is of no use without --kernel");
	refused("--symbols s", "--symbols is of no use without --kernel");
	refused("--gdb-attach", "without --gdb");
	refused("--gdb stdio --serial stdio", "cannot share");
}

/* ---- boot and break ---- */

static void test_durations(void)
{
	static const struct {
		const char *text;
		int err;
		uint64_t us;
	} cases[] = {
		{"1", 0, 1000000},
		{"90s", 0, 90000000},
		{"500ms", 0, 500000},
		{"2m", 0, 120000000},
		{"1h", 0, 3600000000},
		{"0", 0, 0},
		{"", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"ms", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
		{"1d", -EINVAL, 0},
		{"1ss", -EINVAL, 0},
		{"99999999999999999999", -ERANGE, 0},
		{"18446744073709551615h", -ERANGE, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t us = 0;
		int ret = cli_parse_duration(cases[i].text, &us);

		if (!tap_ok(ret == cases[i].err && (ret || us == cases[i].us), "time \"%s\"", cases[i].text))
			tap_diag("returned %d, %" PRIu64, ret, us);
	}
}

static void is_break(const char *text, const char *where, enum break_action action, const char *regs)
{
	const struct goal_option *g = &opts.goal[0];
	char line[128];

	snprintf(line, sizeof(line), "--break %s", text);
	if (!taken(line))
		return;
	tap_ok(opts.verdict && opts.ngoals == 1 && g->kind == GOAL_BREAK && g->action == action, "%s: action", line);
	tap_ok(g->where_len == strlen(where) && !strncmp(g->text, where, g->where_len), "%s: place", line);
	tap_is_str(g->regs, regs, "%s: registers", line);
}

static void test_goals(void)
{
	taken("");
	tap_ok(!opts.verdict && !opts.ngoals && opts.parallel == 1, "no verdict by default");
	is_break("start_kernel", "start_kernel", ACTION_PASS, NULL);
	is_break("panic=fail", "panic", ACTION_FAIL, NULL);
	is_break("a.b+0x10=count", "a.b+0x10", ACTION_COUNT, NULL);
	is_break("*0xffffffff81000000=pass", "*0xffffffff81000000", ACTION_PASS, NULL);
	is_break("f=log", "f", ACTION_LOG, NULL);
	is_break("f=log:rdi,rsi", "f", ACTION_LOG, "rdi,rsi");
	if (taken("--expect a --break b --reject c --expect d=e")) {
		tap_is_u64(opts.ngoals, 4, "goals keep their order");
		tap_ok(opts.goal[0].kind == GOAL_EXPECT && opts.goal[1].kind == GOAL_BREAK &&
				opts.goal[2].kind == GOAL_REJECT && opts.goal[3].kind == GOAL_EXPECT,
			"and their kinds");
		tap_is_str(opts.goal[3].text, "d=e", "a regular expression is taken as it is");
	}
	for (const char *const *o = (const char *const[]){"--break a", "--expect a", "--reject a", "--timeout 1",
		     "--deadline-between-hits 1", "--ignore oops", "--report a.xml", "--dump a",
		     "--stop-on-fail --gdb s", "--job a", NULL};
		*o; o++)
		if (taken(*o))
			tap_ok(opts.verdict, "%s asks for a verdict", *o);
}

static void test_rules(void)
{
	if (taken("--expect a --until any"))
		tap_ok(opts.until == UNTIL_ANY, "--until any");
	if (taken("--break a --until all --timeout 90 --deadline-between-hits 500ms"))
		tap_ok(opts.until == UNTIL_ALL && opts.timeout_us == 90000000 && opts.deadline_us == 500000,
			"--until all, --timeout, --deadline-between-hits");
	if (taken("--break a --expect b --ordered --until end"))
		tap_ok(opts.until == UNTIL_END && opts.ordered, "--until end, --ordered");
	if (taken("--ignore oops,lockup"))
		tap_ok(opts.ignore == (IGNORE_OOPS | IGNORE_LOCKUP), "--ignore with two");
	if (taken("--ignore panic --ignore oops"))
		tap_ok(opts.ignore == (IGNORE_PANIC | IGNORE_OOPS), "--ignore twice");
	if (taken("--job f -j 0"))
		tap_is_u64((uint64_t)opts.parallel, 0, "-j 0");
	if (taken("--job f --jobs 4 --report tap:x --verbose"))
		tap_is_u64((uint64_t)opts.parallel, 4, "--jobs 4");
}

static void test_bad_goals(void)
{
	char line[64];

	refused("--break ''", "no symbol");
	refused("--break =fail", "no symbol");
	refused("--break *12q", "no address");
	refused("--break *0x10000000000000000", "more than 64 bits");
	refused("--break 0xffff", "written with a star");
	refused("--break 9lives", "no symbol begins with a digit");
	refused("--break a-b", "no place");
	refused("--break a+q", "bad offset");
	refused("--break a+99999999999999999999", "more than 64 bits");
	for (const char *const *bad = (const char *const[]){"a=", "a=stop", "a=passs", "a=log:", "a=pass:rdi",
		     "a=count:rdi", "a=LOG", "a==pass=x", NULL};
		*bad; bad++) {
		snprintf(line, sizeof(line), "--break %s", *bad);
		refused(line, *bad);
	}
	refused("--break a=stop", "one of pass, fail, count, log, log:REGISTER");
	refused("--expect ''", "is empty, and would match anything");
	refused("--reject ''", "--reject: the regular expression is empty");
	refused("--expect (", "--expect '(': not a POSIX extended regular expression");
	refused("--reject [a", "--reject '[a': not a POSIX extended regular expression");
}

/* One more than there may be. */
static void test_too_many(void)
{
	static char name[] = "minivmm", with_break[] = "--break", with_reject[] = "--reject", what[] = "a";
	char *argv[2 * (GOALS_MAX + 2)] = {name};
	int argc = 1;

	for (int i = 0; i <= GOALS_MAX; i++) {
		argv[argc++] = i % 2 ? with_break : with_reject;
		argv[argc++] = what;
	}
	for (int n = argc; n > argc - 4; n -= 2) {
		enum cli_result ret;

		capture_start(&err, STDERR_FILENO);
		ret = cli_parse(&opts, n, argv);
		capture_end(&err);
		if (n == argc)
			tap_ok(ret == CLI_BAD && is_one_line(err.text) && strstr(err.text, "there may be 64 of"),
				"one goal too many");
		else
			tap_ok(ret == CLI_RUN && opts.ngoals == GOALS_MAX, "as many goals as there may be");
	}
}

static void test_bad_rules(void)
{
	refused("--expect a --until soon", "--until soon: not one of any, all, end");
	refused("--until all", "--until is of no use without --expect or --break WHERE=pass");
	refused("--until end --break a=count --reject b", "--until is of no use");
	refused("--ordered --break a=fail", "--ordered is of no use");
	refused("--ordered --until any --break a", "--ordered wants every goal, --until any only one");
	refused("--ignore ''", "a list of panic, oops, lockup is needed");
	refused("--ignore oops,", "--ignore oops,: a list of");
	refused("--ignore oops;panic", "a list of");
	refused("--ignore Oops", "a list of");
	refused("--timeout 0", "--timeout 0: that is no time at all");
	refused("--timeout 1x", "--timeout 1x: not a time");
	refused("--timeout 99999999999999999999", "out of range");
	refused("--deadline-between-hits -1", "--deadline-between-hits -1: not a time");
	refused("-j 4", "-j is of no use without --job");
	refused("--job f -j many", "-j many: a number from 1 to 256");
	refused("--job f -j 257", "-j 257");
	refused("--break a --stop-on-fail --gdb stdio", "cannot be at --gdb stdio");
	refused("--break a --stop-on-fail", "--gdb");
}

static void test_bad_jobs(void)
{
	static const char *const others[][2] = {
		{"--kernel k", "--kernel"},
		{"--kernel k --initrd i", "--kernel"},
		{"--gdb s", "--gdb"},
		{"--break a", "--break, --expect or --reject"},
		{"--reject a", "--break, --expect or --reject"},
		{"--dump d", "--dump"},
		{"--timeout 1", "--timeout"},
		{"--deadline-between-hits 1", "--deadline-between-hits"},
		{"--until all", "--until"},
		{"--ordered", "--ordered"},
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		char line[128], words[128];

		snprintf(line, sizeof(line), "--job f %s", others[i][0]);
		snprintf(words, sizeof(words), "%s and --job do not go together: write it into the job file",
			others[i][1]);
		refused(line, words);
	}
}

static void test_texts(void)
{
	tap_ok(parse("--help") == CLI_DONE && !*err.text && strstr(out.text, "--kernel"), "--help prints the help");
	for (const char *const *o = (const char *const[]){"--initrd", "--cmdline", "--mem", "--cpus", "--boot",
		     "--kaslr", "--symbols", "--cpu-features", "--serial", "--gdb ", "--gdb-attach", "--probe-host",
		     "--verbose", "--version", "--break", "--expect", "--reject", "--until", "--ordered", "--timeout",
		     "--deadline-between-hits", "--ignore", "--report", "--dump", "--stop-on-fail", "--job", "-j,",
		     NULL};
		*o; o++)
		tap_ok(strstr(out.text, *o) != NULL, "--help knows %s", *o);
	tap_ok(strstr(out.text, "   16  ended by its user") != NULL, "--help ends with the exit statuses");
	tap_ok(parse("-h --frobnicate") == CLI_DONE && *out.text, "-h counts before what follows it");
	tap_ok(parse("--version") == CLI_DONE && !strncmp(out.text, "minivmm " MINIVMM_VERSION, 13) &&
			strstr(out.text, arch_desc.name),
		"--version prints version and ISA");
}

int main(void)
{
	test_sizes();
	test_defaults();
	test_values();
	test_bad_values();
	test_bad_options();
	test_bad_together();
	test_durations();
	test_goals();
	test_rules();
	test_bad_goals();
	test_too_many();
	test_bad_rules();
	test_bad_jobs();
	test_texts();
	return tap_done();
}
