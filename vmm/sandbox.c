#include "vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm/broker.h"
#include "vmm/console.h"
#include "vmm/exit_status.h"
#include "vmm/landlock.h"
#include "vmm/log.h"
#include "vmm/seccomp.h"

enum {
	VCPU = 1 << SANDBOX_VCPU,
	STUB = 1 << SANDBOX_STUB,
	CONSOLE = 1 << SANDBOX_CONSOLE,
	REMAINS = 1 << SANDBOX_REMAINS,
	MAIN = 1 << SANDBOX_MAIN,
	BROKER = 1 << SANDBOX_BROKER,
	THREADS = VCPU | STUB | CONSOLE | REMAINS | MAIN,
};

static const char *const names[] = {
	[SANDBOX_VCPU] = "a vCPU's thread",
	[SANDBOX_STUB] = "the debugger's thread",
	[SANDBOX_CONSOLE] = "the console's thread",
	[SANDBOX_REMAINS] = "the clearing thread",
	[SANDBOX_MAIN] = "the main thread",
	[SANDBOX_BROKER] = "the broker",
};

#define TERMIOS2_SIZE 44 /* struct termios2: its header does not go together with the C library's */
#define SORT_LARGE    2048
#define IOCTL_TYPE    0xff00
#define WHOLE	      0xffffffff
#define SELF	      WHOLE /* as a value: the process's own number */

/*
 * Hot calls first. Calls in pairs are the same for different C libraries and ISAs. What takes a path is not here: a
 * file that is open needs none. Of ioctls KVM's, and what restores a terminal, which any thread does that dies.
 */
static const struct policy {
	unsigned who;
	struct seccomp_rule rule;
} policies[] = {
	{VCPU | STUB | MAIN, {"ioctl", 1, IOCTL_TYPE, KVMIO << 8, 0}},
	{CONSOLE, {"ioctl", 1, WHOLE, (uint32_t)KVM_IRQ_LINE, 0}}, /* of the serial port that it feeds */
	{THREADS | BROKER, {"futex read write poll ppoll close", 0, 0, 0, 0}},
	{STUB | CONSOLE | BROKER | MAIN, {"recvfrom sendto", 0, 0, 0, 0}},
	{BROKER | MAIN, {"recvmsg sendmsg", 0, 0, 0, 0}},
	{STUB | CONSOLE | MAIN, {"accept4 setsockopt getsockopt shutdown geteuid", 0, 0, 0, 0}},
	/* time, where the kernel does not give it without a call */
	{THREADS, {"clock_gettime clock_getres gettimeofday time clock_nanosleep nanosleep sched_yield", 0, 0, 0, 0}},
	/* memory, nothing of which can be executed */
	{THREADS, {"mmap mprotect", 2, PROT_EXEC, 0, 0}},
	{THREADS | BROKER, {"munmap mremap madvise brk sysinfo", 0, 0, 0, 0}},
	/* threads, no processes; of clone3() the kernel's filters do not see the arguments, libraries do without */
	{VCPU | MAIN, {"clone3", 0, 0, 0, ENOSYS}},
	{VCPU | MAIN, {"clone", 0, CLONE_THREAD, CLONE_THREAD, 0}},
	{THREADS, {"set_robust_list rseq gettid getpid getpgrp getpgid sched_getaffinity", 0, 0, 0, 0}},
	{THREADS | BROKER, {"exit exit_group restart_syscall getrandom", 0, 0, 0, 0}},
	{THREADS, {"prctl", 0, WHOLE, PR_SET_NAME, 0}},
	{THREADS, {"prctl", 0, WHOLE, PR_GET_NAME, 0}},
	/* signals, of this process to itself */
	{THREADS | BROKER, {"rt_sigreturn rt_sigprocmask rt_sigaction sigaltstack", 0, 0, 0, 0}},
	{THREADS | BROKER, {"tgkill kill", 0, WHOLE, SELF, 0}},
	/* the host's probe, and its time limit */
	{VCPU | STUB | MAIN, {"timer_create timer_settime timer_delete rt_sigtimedwait rt_sigpending", 0, 0, 0, 0}},
	/* what is open: output, descriptors' states */
	{MAIN, {"writev fstat fcntl lseek", 0, 0, 0, 0}},
	{MAIN, {"newfstatat", 3, AT_EMPTY_PATH, AT_EMPTY_PATH, 0}},
	{MAIN, {"statx", 2, AT_EMPTY_PATH, AT_EMPTY_PATH, 0}},
	{MAIN, {"pread64 pwrite64 ftruncate wait4", 0, 0, 0, 0}},
	/* terminals */
	{THREADS, {"ioctl", 1, WHOLE, TCGETS, 0}},
	{THREADS, {"ioctl", 1, WHOLE, TCSETS, 0}},
	{THREADS, {"ioctl", 1, WHOLE, _IOC(_IOC_READ, 'T', 0x2a, TERMIOS2_SIZE), 0}},
	{THREADS, {"ioctl", 1, WHOLE, _IOC(_IOC_WRITE, 'T', 0x2b, TERMIOS2_SIZE), 0}},
	{THREADS, {"ioctl", 1, WHOLE, TIOCGPGRP, 0}},
	{THREADS, {"ioctl", 1, WHOLE, TIOCGWINSZ, 0}},
	{MAIN, {"ioctl", 1, WHOLE, FIONREAD, 0}},
	{MAIN, {"ioctl", 1, WHOLE, TIOCGPTPEER, 0}},
	/* to narrow it further */
	{MAIN, {"seccomp", 0, WHOLE, SECCOMP_SET_MODE_FILTER, 0}},
	/* the broker's work */
	{BROKER, {"open", 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY, 0}},
	{BROKER, {"openat", 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY, 0}},
	{BROKER, {"lstat newfstatat fstat statx unlink unlinkat fcntl", 0, 0, 0, 0}},
};

#define RULES (sizeof(policies) / sizeof(policies[0]))

/* The threads that a device has made have no name of their own. */
static _Thread_local const char *self = "a device's thread";
static bool wanted, entered;

/* ---- what a violation says ---- */

static size_t put(char *out, size_t at, size_t size, const char *text)
{
	for (; *text && at < size; text++)
		out[at++] = *text;
	return at;
}

static size_t put_number(char *out, size_t at, size_t size, int n)
{
	char digits[12], *d = digits + sizeof(digits) - 1;

	*d = '\0';
	do
		*--d = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	return put(out, at, size, d);
}

/* Async-signal-safe. */
static void on_violation(int sig, siginfo_t *info, void *context)
{
	const char *call = seccomp_call_name(info->si_syscall);
	char text[256];
	size_t at = 0;

	(void)sig;
	(void)context;
	console_restore_tty();
	at = put(text, at, sizeof(text), "minivmm: sandbox: ");
	at = put(text, at, sizeof(text), self);
	at = put(text, at, sizeof(text), " called ");
	at = put(text, at, sizeof(text), call ? call : "an unknown system call");
	at = put(text, at, sizeof(text), " (number ");
	at = put_number(text, at, sizeof(text), info->si_syscall);
	at = put(text, at, sizeof(text), "), which it may not; please report this, --no-sandbox runs without\n");
	(void)!write(STDERR_FILENO, text, at);
	broker_last_wait();
	_exit(STATUS_SANDBOX);
}

static void catch_violations(void)
{
	struct sigaction sa = {.sa_sigaction = on_violation, .sa_flags = SA_SIGINFO};

	sigfillset(&sa.sa_mask);
	sigaction(SIGSYS, &sa, NULL);
}

/* ---- entering ---- */

/* The main thread may do what any thread may: it makes them. */
static int enter(enum sandbox_kind kind)
{
	unsigned who = kind == SANDBOX_MAIN ? THREADS : 1U << kind;
	struct seccomp_rule rules[RULES];
	size_t n = 0;

	self = names[kind];
	for (size_t i = 0; i < RULES; i++) {
		if (!(policies[i].who & who))
			continue;
		rules[n] = policies[i].rule;
		if (rules[n].mask && rules[n].value == SELF)
			rules[n].value = (uint32_t)getpid();
		n++;
	}
	return seccomp_enter(rules, n);
}

static void confine_broker(void)
{
	catch_violations();
	landlock_enter(LANDLOCK_EXCEPT_READ | LANDLOCK_EXCEPT_REMOVE);
	enter(SANDBOX_BROKER);
}

void sandbox_no_new_privileges(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int sandbox_begin(void)
{
	int err;

	sandbox_no_new_privileges();
	err = broker_start(confine_broker);
	if (err)
		log_error("cannot start the broker, a process that opens files for the sandbox: %s", strerror(-err));
	else
		wanted = true;
	return err;
}

static int compare_bytes(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

/* What glibc, or an older one, would read files for. */
static void settle_libc(void)
{
	char bytes[SORT_LARGE] = {0};

	/* Its qsort() asks once how much memory there is, when it has so many bytes to sort. */
	qsort(bytes, sizeof(bytes), 1, compare_bytes);
#ifdef M_ARENA_MAX
	/* For arenas of threads: how many processors there are, the kernel's overcommit policy. */
	mallopt(M_ARENA_MAX, 1);
#endif
}

void sandbox_enter(void)
{
	int landlock, err;

	if (!wanted)
		return;
	settle_libc();
	broker_seal();
	catch_violations();
	landlock = landlock_enter(0);
	err = enter(SANDBOX_MAIN);
	entered = !err;
	if (err)
		log_warn("this kernel has no filters for system calls (%s): the sandbox is %s; --no-sandbox goes "
			 "without",
			strerror(-err), landlock ? "Landlock alone" : "next to none");
	else
		log_info("sandbox: system calls are filtered, Landlock %s", landlock ? "is on" : "is not there");
}

void sandbox_thread(enum sandbox_kind kind)
{
	sigset_t set;
	int err;

	if (!entered)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	err = enter(kind);
	if (err)
		log_warn("%s has the process's sandbox, and none of its own: %s", names[kind], strerror(-err));
}
