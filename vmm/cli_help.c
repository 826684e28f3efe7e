/* The text of --help: at most 80 columns, grouped as the manual page is. */
#include <stdio.h>

#include "arch/arch.h"
#include "vmm/cli_priv.h"
#include "vmm/exit_status.h"

static const char guest_text[] = "Usage: minivmm [OPTION]...\n"
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
				 "      --symbols FILE       the kernel's unstripped vmlinux, for --break, for\n"
				 "                           backtraces and to find a kernel that has moved\n"
				 "\n"
				 "The machine:\n"
				 "  -m, --mem SIZE           guest RAM, in bytes or with K, M or G (default: 256M)\n"
				 "      --cpus N             virtual CPUs, 1 to %d (default: 1, built-in guest: %d)\n"
				 "      --cpu-features LIST  hide CPU features from the guest: \"-cx16,-xsave\"\n"
				 "      --serial WHERE       the guest's serial port (default: stdio):\n"
				 "                             stdio       this terminal; Ctrl-a h for its keys\n"
				 "                             null        nowhere\n"
				 "                             pty         a new pseudo-terminal; prints its name\n"
				 "                             file:PATH   output into a file\n"
				 "                             unix:PATH   a unix socket to connect to\n"
				 "\n"
				 "The debugger:\n"
				 "      --gdb LINE           wait for gdb before the first instruction, on:\n"
				 "                             PATH             a unix socket\n"
				 "                             :PORT, tcp:[HOST:]PORT  of loopback if no HOST\n"
				 "                             stdio            standard input and output: in gdb,\n"
				 "                                           target remote | minivmm --gdb stdio\n"
				 "                             chardev:PATH     a character device\n"
				 "      --gdb-attach         do not wait: the guest runs, gdb may come later\n"
				 "\n";

static const char verdict_text[] = "Boot and break: what the run has to prove, and its verdict:\n"
				   "      --break WHERE[=ACTION]  at SYMBOL, SYMBOL+OFFSET or *ADDRESS:\n"
				   "                             pass        the run has passed (the default)\n"
				   "                             fail        it has failed\n"
				   "                             count       count it, go on\n"
				   "                             log[:REG,...]  print it, and registers; go on\n"
				   "      --expect REGEX       this has to be in the serial output\n"
				   "      --reject REGEX       this may not be in the serial output\n"
				   "      --until WHICH        pass at: any goal (break or expect), all of them, or\n"
				   "                           the guest's own end when all were reached\n"
				   "                           (default: one passing break, and every expect)\n"
				   "      --ordered            all goals, in the order given\n"
				   "      --timeout TIME       fail then: 90, 90s, 500ms, 2m\n"
				   "      --deadline-between-hits TIME\n"
				   "                           fail when nothing was hit for so long\n"
				   "      --ignore LIST        go on after a panic, oops or lockup: \"oops,lockup\"\n"
				   "      --report [FORMAT:]FILE  write junit (.xml), tap (.tap) or json (.json)\n"
				   "      --dump FILE          on failure, an ELF core for gdb and crash\n"
				   "      --stop-on-fail       on failure, wait for gdb on --gdb instead of ending\n"
				   "      --job FILE           run the cases of a job file; see minivmm(1)\n"
				   "  -j, --jobs N             so many at a time (0: one for each processor)\n"
				   "\n"
				   "Others:\n"
				   "      --probe-host         print what this host's KVM can do for a debugger\n"
				   "      --no-sandbox         run without the sandbox\n"
				   "      --verbose            say more about what is going on\n"
				   "  -h, --help               print this text\n"
				   "      --version            print the version\n"
				   "\n";

static const struct {
	int status;
	const char *text;
} statuses[] = {
	{STATUS_OK, "passed; without a verdict: the guest powered off or rebooted"},
	{STATUS_USAGE, "bad usage"},
	{STATUS_IMAGE, "the kernel or initrd is missing, malformed or does not fit"},
	{STATUS_HOST, "the host: no /dev/kvm, no memory, a path that cannot be used"},
	{STATUS_PANIC, "the guest reported a panic"},
	{STATUS_TRIPLE_FAULT, "the guest shut its CPU down (triple fault)"},
	{STATUS_KVM_EXIT, "KVM could not go on with the guest"},
	{STATUS_KILLED, "killed from gdb"},
	{STATUS_ENDED, "ended by its user: Ctrl-a x, a signal, gdb gone from --gdb stdio"},
	{STATUS_FAIL, "a --break WHERE=fail was reached"},
	{STATUS_REJECT, "the serial output matches a --reject"},
	{STATUS_OOPS, "the kernel reported an oops"},
	{STATUS_LOCKUP, "the kernel reported a lockup, a stall or a hung task"},
	{STATUS_EARLY, "the guest ended before all goals were reached"},
	{STATUS_DEADLINE, "nothing was hit for --deadline-between-hits"},
	{STATUS_ORDER, "--ordered: a goal was reached before its turn"},
	{STATUS_JOB, "some case of a --job did not pass"},
	{STATUS_SANDBOX, "minivmm made a system call that its sandbox does not allow"},
	{STATUS_TIMEOUT, "--timeout"},
};

void cli_boot_kinds(char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int i = 0; arch_boot_kinds[i] && at < len; i++)
		at += (size_t)snprintf(buf + at, len - at, "%s%s", i ? ", " : "", arch_boot_kinds[i]);
}

void cli_print_help(void)
{
	char kinds[128];

	cli_boot_kinds(kinds, sizeof(kinds));
	printf(guest_text, kinds, arch_default_cmdline, CPUS_MAX, BUILTIN_GUEST_CPUS);
	fputs(verdict_text, stdout);
	printf("Exit status:\n  odd  the guest wrote N to the exit device: 2 * N + 1\n");
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		printf("  %3d  %s\n", statuses[i].status, statuses[i].text);
}
