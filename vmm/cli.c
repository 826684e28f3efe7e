#include "vmm/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/exit_status.h"
#include "vmm/log.h"

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
	OPT_VERBOSE,
	OPT_VERSION,
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
	{"probe-host", no_argument, NULL, OPT_PROBE_HOST},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static const char usage_text[] =
	"Usage: minivmm [OPTION]...\n"
	"Run a virtual machine under KVM, with a GDB stub built in.\n"
	"Without --kernel it runs the small guest that is part of the program.\n"
	"\n"
	"The guest:\n"
	"      --kernel FILE        what to boot\n"
	"      --boot KIND          take FILE as one of: %s\n"
	"                           (default: the first of these that it is)\n"
	"      --initrd FILE        initial RAM disk\n"
	"      --cmdline TEXT       added to the kernel's command line (\"%s\")\n"
	"      --kaslr              let the kernel choose its own address\n"
	"                           (default: \"nokaslr\", so that symbols fit)\n"
	"      --symbols FILE       the kernel's unstripped vmlinux: with it the address\n"
	"                           is found (gdb: monitor kaslr)\n"
	"\n"
	"The machine:\n"
	"  -m, --mem SIZE           guest RAM, in bytes or with K, M or G (default: 256M)\n"
	"      --cpus N             virtual CPUs, 1 to %d (default: 1, the built-in guest: %d)\n"
	"      --cpu-features LIST  hide CPU features from the guest: \"-cx16,-xsave\"\n"
	"      --serial WHERE       the guest's serial port (default: stdio):\n"
	"                             stdio       this terminal; Ctrl-a h for its keys\n"
	"                             null        nowhere\n"
	"                             pty         a new pseudo-terminal, its name is printed\n"
	"                             file:PATH   output into a file\n"
	"                             unix:PATH   a unix socket to connect to\n"
	"\n"
	"The debugger:\n"
	"      --gdb LINE           wait for gdb before the first instruction, on:\n"
	"                             PATH             a unix socket\n"
	"                             tcp:[HOST:]PORT  a TCP port (of loopback, if no HOST)\n"
	"                             stdio            standard input and output: in gdb,\n"
	"                                              target remote | minivmm --gdb stdio ...\n"
	"                             chardev:PATH     a character device\n"
	"      --gdb-attach         do not wait: the guest runs, gdb may come later\n"
	"\n"
	"Others:\n"
	"      --probe-host         print what this host's KVM can do for a debugger\n"
	"      --verbose            say more about what is going on\n"
	"  -h, --help               print this text\n"
	"      --version            print the version\n"
	"\n"
	"Exit status:\n"
	"   %2d  the guest powered off or rebooted\n"
	"  odd  the guest wrote N to the exit device: 2 * N + 1\n"
	"   %2d  bad usage\n"
	"   %2d  the kernel or initrd is missing, malformed or does not fit\n"
	"   %2d  the host: no /dev/kvm, no permission, no memory, a path that cannot be used\n"
	"   %2d  the guest reported a panic\n"
	"   %2d  the guest shut its CPU down (triple fault)\n"
	"   %2d  KVM could not go on with the guest\n"
	"   %2d  killed from gdb\n"
	"   %2d  ended by its user: Ctrl-a x, a signal, gdb gone from --gdb stdio\n";

static void boot_kinds_text(char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int i = 0; arch_boot_kinds[i] && at < len; i++)
		at += (size_t)snprintf(buf + at, len - at, "%s%s", i ? ", " : "", arch_boot_kinds[i]);
}

static void print_help(void)
{
	char kinds[128];

	boot_kinds_text(kinds, sizeof(kinds));
	printf(usage_text, kinds, arch_default_cmdline, CPUS_MAX, BUILTIN_GUEST_CPUS, STATUS_OK, STATUS_USAGE,
		STATUS_IMAGE, STATUS_HOST, STATUS_PANIC, STATUS_TRIPLE_FAULT, STATUS_KVM_EXIT, STATUS_KILLED,
		STATUS_ENDED);
}

static int digit_value(char c, unsigned base)
{
	unsigned v = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
		     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
		     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
					    : base;

	return v < base ? (int)v : -1;
}

/* Whole number, 0x for hexadecimal; *rest is what follows. -EINVAL: not even a digit (no signs, no blanks); -ERANGE. */
static int parse_number(const char *text, uint64_t *out, const char **rest)
{
	unsigned base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *at = base == 16 ? text + 2 : text;
	uint64_t n = 0;
	int digit = digit_value(*at, base);

	if (digit < 0)
		return -EINVAL;
	for (; digit >= 0; digit = digit_value(*++at, base))
		if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, (unsigned)digit, &n))
			return -ERANGE;
	*out = n;
	*rest = at;
	return 0;
}

int cli_parse_size(const char *text, uint64_t *out)
{
	const char *unit;
	unsigned shift = 0;
	uint64_t n;
	int err = parse_number(text, &n, &unit);

	if (err)
		return err;
	switch (*unit) {
	case '\0':
		break;
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	default:
		return -EINVAL;
	}
	if (*unit && unit[1])
		return -EINVAL;
	if (n > UINT64_MAX >> shift)
		return -ERANGE;
	*out = n << shift;
	return 0;
}

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
	const char *rest;
	uint64_t n;

	if (parse_number(text, &n, &rest) || *rest || n < 1 || n > CPUS_MAX) {
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
	boot_kinds_text(kinds, sizeof(kinds));
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
	if (has_prefix(text, "tcp:")) {
		const char *colon = strrchr(text, ':'), *rest;
		uint64_t port;

		if (parse_number(colon + 1, &port, &rest) || *rest || !port || port > UINT16_MAX) {
			log_error("--gdb %s: a port from 1 to 65535 is needed: tcp:[HOST:]PORT", text);
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
	default:
		opts->verbose = true;
		return true;
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
		log_error("--gdb-attach is of no use without --gdb");
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
	return true;
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

	*opts = (struct options){.mem_size = MEM_DEFAULT};
	optind = 0; /* start anew, also the permutation state */
	opterr = 0;
	/* '+': stop at the first word that is no option, so that `word` is always the one being looked at. */
	while ((option = getopt_long(argc, argv, "+:m:h", long_options, NULL)) != -1) {
		switch (option) {
		case 'h':
			print_help();
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
