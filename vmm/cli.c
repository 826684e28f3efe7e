/* Which option is which, and what only makes sense together. */
#include "vmm/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/cli_priv.h"
#include "vmm/log.h"
#include "vmm/number.h"

enum {
	OPT_KERNEL = 256,
	OPT_INITRD,
	OPT_CMDLINE,
	OPT_CPUS,
	OPT_BOOT,
	OPT_KASLR,
	OPT_SYMBOLS,
	OPT_CPU_FEATURES,
	OPT_SERIAL,
	OPT_GDB,
	OPT_GDB_ATTACH,
	OPT_PROBE_HOST,
	OPT_NO_SANDBOX,
	OPT_VERBOSE,
	OPT_VERSION,
	OPT_BREAK,
	OPT_EXPECT,
	OPT_REJECT,
	OPT_UNTIL,
	OPT_ORDERED,
	OPT_IGNORE,
	OPT_TIMEOUT,
	OPT_DEADLINE,
	OPT_REPORT,
	OPT_DUMP,
	OPT_STOP_ON_FAIL,
	OPT_JOB,
};

static const struct option long_options[] = {
	{"kernel", required_argument, NULL, OPT_KERNEL},
	{"initrd", required_argument, NULL, OPT_INITRD},
	{"cmdline", required_argument, NULL, OPT_CMDLINE},
	{"mem", required_argument, NULL, 'm'},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"boot", required_argument, NULL, OPT_BOOT},
	{"kaslr", no_argument, NULL, OPT_KASLR},
	{"symbols", required_argument, NULL, OPT_SYMBOLS},
	{"cpu-features", required_argument, NULL, OPT_CPU_FEATURES},
	{"serial", required_argument, NULL, OPT_SERIAL},
	{"gdb", required_argument, NULL, OPT_GDB},
	{"gdb-attach", no_argument, NULL, OPT_GDB_ATTACH},
	{"break", required_argument, NULL, OPT_BREAK},
	{"expect", required_argument, NULL, OPT_EXPECT},
	{"reject", required_argument, NULL, OPT_REJECT},
	{"until", required_argument, NULL, OPT_UNTIL},
	{"ordered", no_argument, NULL, OPT_ORDERED},
	{"ignore", required_argument, NULL, OPT_IGNORE},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"deadline-between-hits", required_argument, NULL, OPT_DEADLINE},
	{"report", required_argument, NULL, OPT_REPORT},
	{"dump", required_argument, NULL, OPT_DUMP},
	{"stop-on-fail", no_argument, NULL, OPT_STOP_ON_FAIL},
	{"job", required_argument, NULL, OPT_JOB},
	{"jobs", required_argument, NULL, 'j'},
	{"probe-host", no_argument, NULL, OPT_PROBE_HOST},
	{"no-sandbox", no_argument, NULL, OPT_NO_SANDBOX},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static bool parse_mem(struct options *opts, const char *text)
{
	int err = cli_parse_size(text, &opts->mem_size);

	if (err == -ERANGE)
		log_error("--mem %s: out of range", text);
	else if (err)
		log_error("--mem %s: not a size (bytes, or a number with K, M or G)", text);
	else if (opts->mem_size < MEM_MINIMUM)
		log_error("--mem %s: a guest needs at least 1M (bytes if K, M or G is not given)", text);
	else if (opts->mem_size % MEM_GRANULE)
		log_error("--mem %s: not a multiple of 4K", text);
	else
		return true;
	return false;
}

static bool parse_cpus(struct options *opts, const char *text)
{
	uint64_t n;

	if (number_parse(text, &n, NULL) || n < 1 || n > CPUS_MAX) {
		log_error("--cpus %s: a number from 1 to %d is needed", text, CPUS_MAX);
		return false;
	}
	opts->ncpus = (int)n;
	return true;
}

static bool parse_boot(struct options *opts, const char *text)
{
	char kinds[128];

	for (int i = 0; arch_boot_kinds[i]; i++) {
		if (!strcmp(text, arch_boot_kinds[i])) {
			opts->boot = text;
			return true;
		}
	}
	cli_boot_kinds(kinds, sizeof(kinds));
	log_error("--boot %s: not one of %s", text, kinds);
	return false;
}

static bool has_prefix(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static bool parse_serial(struct options *opts, const char *text)
{
	static const char *const plain[] = {"stdio", "null", "pty"};

	opts->serial = text;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (!strcmp(text, plain[i]))
			return true;
	if ((has_prefix(text, "file:") || has_prefix(text, "unix:")) && text[5])
		return true;
	log_error("--serial %s: not one of stdio, null, pty, file:PATH, unix:PATH", text);
	return false;
}

static bool parse_gdb(struct options *opts, const char *text)
{
	opts->gdb = text;
	if (!*text || !strcmp(text, "chardev:")) {
		log_error("--gdb %s: a path is missing", text);
		return false;
	}
	if (text[0] == ':' || has_prefix(text, "tcp:")) {
		const char *colon = strrchr(text, ':');
		uint64_t port;

		if (number_parse(colon + 1, &port, NULL) || !port || port > UINT16_MAX) {
			log_error("--gdb %s: a port from 1 to 65535 is needed: :PORT or tcp:[HOST:]PORT", text);
			return false;
		}
	}
	return true;
}

/* A file or text that may not be empty. */
static bool parse_path(const char **out, const char *text, const char *option)
{
	*out = text;
	if (*text)
		return true;
	log_error("--%s: the file's name is empty", option);
	return false;
}

static bool parse_verdict_option(struct options *opts, int option, const char *arg)
{
	opts->verdict = true;
	switch (option) {
	case OPT_BREAK:
		return cli_add_goal(opts, GOAL_BREAK, arg);
	case OPT_EXPECT:
		return cli_add_goal(opts, GOAL_EXPECT, arg);
	case OPT_REJECT:
		return cli_add_goal(opts, GOAL_REJECT, arg);
	case OPT_UNTIL:
		return cli_set_until(opts, arg);
	case OPT_ORDERED:
		opts->ordered = true;
		return true;
	case OPT_IGNORE:
		return cli_set_ignore(opts, arg);
	case OPT_TIMEOUT:
		return cli_set_duration(&opts->timeout_us, "timeout", arg);
	case OPT_DEADLINE:
		return cli_set_duration(&opts->deadline_us, "deadline-between-hits", arg);
	case OPT_REPORT:
		return parse_path(&opts->report, arg, "report");
	case OPT_DUMP:
		return parse_path(&opts->dump, arg, "dump");
	case OPT_STOP_ON_FAIL:
		opts->stop_on_fail = opts->gdb_attach = true;
		return true;
	case OPT_JOB:
		return parse_path(&opts->job, arg, "job");
	default:
		return cli_set_parallel(opts, arg);
	}
}

static bool parse_option(struct options *opts, int option, const char *arg)
{
	switch (option) {
	case OPT_KERNEL:
		return parse_path(&opts->kernel, arg, "kernel");
	case OPT_INITRD:
		return parse_path(&opts->initrd, arg, "initrd");
	case OPT_CMDLINE:
		opts->cmdline = arg;
		return true;
	case 'm':
		return parse_mem(opts, arg);
	case OPT_CPUS:
		return parse_cpus(opts, arg);
	case OPT_BOOT:
		return parse_boot(opts, arg);
	case OPT_KASLR:
		opts->kaslr = true;
		return true;
	case OPT_SYMBOLS:
		return parse_path(&opts->symbols, arg, "symbols");
	case OPT_CPU_FEATURES:
		opts->cpu_features = arg;
		return true;
	case OPT_SERIAL:
		return parse_serial(opts, arg);
	case OPT_GDB:
		return parse_gdb(opts, arg);
	case OPT_GDB_ATTACH:
		opts->gdb_attach = true;
		return true;
	case OPT_PROBE_HOST:
		opts->probe_host = true;
		return true;
	case OPT_NO_SANDBOX:
		opts->no_sandbox = true;
		return true;
	case OPT_VERBOSE:
		opts->verbose = true;
		return true;
	default:
		return parse_verdict_option(opts, option, arg);
	}
}

/* What only makes sense together, and the defaults that depend on other options. */
static bool check_together(struct options *opts)
{
	bool gdb_stdio = opts->gdb && !strcmp(opts->gdb, "stdio");
	const char *needs_kernel = opts->initrd	   ? "--initrd"
				   : opts->boot	   ? "--boot"
				   : opts->kaslr   ? "--kaslr"
				   : opts->symbols ? "--symbols"
						   : NULL;

	if (!opts->kernel && needs_kernel) {
		log_error("%s is of no use without --kernel", needs_kernel);
		return false;
	}
	if (opts->gdb_attach && !opts->gdb) {
		log_error("%s is of no use without --gdb", opts->stop_on_fail ? "--stop-on-fail" : "--gdb-attach");
		return false;
	}
	if (gdb_stdio && opts->serial && !strcmp(opts->serial, "stdio")) {
		log_error("--gdb stdio and --serial stdio cannot share standard input and output");
		return false;
	}
	if (!opts->serial)
		opts->serial = gdb_stdio ? "null" : "stdio";
	if (!opts->ncpus)
		opts->ncpus = opts->kernel ? 1 : BUILTIN_GUEST_CPUS;
	return cli_check_verdict(opts);
}

/* word: the word of the command line that getopt did not like. */
static void complain(int option, const char *word)
{
	const char *equals = strchr(word, '=');
	int name = (int)(equals ? equals - word : (ptrdiff_t)strlen(word));
	size_t matches = 0;

	for (const struct option *o = long_options; has_prefix(word, "--") && o->name; o++)
		matches += (int)strlen(o->name) >= name - 2 && !strncmp(o->name, word + 2, (size_t)name - 2);
	if (option == ':')
		log_error("option %s needs a value, see minivmm --help", word);
	else if (has_prefix(word, "--") && equals && matches == 1)
		log_error("option %.*s takes no value, see minivmm --help", name, word);
	else if (has_prefix(word, "--") && matches > 1)
		log_error("option %s may be several, see minivmm --help", word);
	else if (has_prefix(word, "--"))
		log_error("unknown option %s, see minivmm --help", word);
	else
		log_error("unknown option -%c, see minivmm --help", optopt);
}

enum cli_result cli_parse(struct options *opts, int argc, char **argv)
{
	int option, word = 1;

	*opts = (struct options){.mem_size = MEM_DEFAULT, .parallel = 1};
	optind = 0; /* start anew, also the permutation state */
	opterr = 0;
	/* '+': stop at the first word that is no option, so that `word` is always the one being looked at. */
	while ((option = getopt_long(argc, argv, "+:m:j:h", long_options, NULL)) != -1) {
		switch (option) {
		case 'h':
			cli_print_help();
			return CLI_DONE;
		case OPT_VERSION:
			printf("minivmm %s (%s)\n", MINIVMM_VERSION, arch_desc.name);
			return CLI_DONE;
		case '?':
		case ':':
			complain(option, argv[word]);
			return CLI_BAD;
		default:
			if (!parse_option(opts, option, optarg))
				return CLI_BAD;
		}
		word = optind;
	}
	if (optind < argc) {
		log_error("unexpected argument %s (a kernel is given with --kernel), see minivmm --help", argv[optind]);
		return CLI_BAD;
	}
	return check_together(opts) ? CLI_RUN : CLI_BAD;
}
