/*
 * The real sandbox, of each kind of thread: what it may not do ends the process with a line that names the call, what
 * it needs goes on working. Each try is a process of its own. And the broker, which stays outside.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "vmm/broker.h"
#include "vmm/exit_status.h"
#include "vmm/inherited.h"
#include "vmm/sandbox.c" /* for its tables; the library's own copy is then not linked */

#define TEXT_MAX 4096
#define WRITTEN	 5 /* status of a child that has done all it wanted */

static const char *const kinds[] = {
	[SANDBOX_VCPU] = "vCPU",
	[SANDBOX_STUB] = "debugger",
	[SANDBOX_CONSOLE] = "console",
	[SANDBOX_REMAINS] = "clearing",
	[SANDBOX_MAIN] = "main",
	[SANDBOX_BROKER] = "broker",
};

struct attempt {
	const char *call;
	unsigned who; /* these may not */
	long args[6];
};

static long number(const char *call)
{
	for (int i = 0; i < 1000; i++) {
		const char *name = seccomp_call_name(i);

		if (name && !strcmp(name, call))
			return i;
	}
	return -1;
}

static char path[64];

static const struct attempt attempts[] = {
	{"openat", THREADS, {AT_FDCWD, (long)path, O_RDONLY}},
	{"openat", THREADS | BROKER, {AT_FDCWD, (long)path, O_WRONLY}},
	{"openat", THREADS | BROKER, {AT_FDCWD, (long)path, O_RDWR}},
	{"openat", THREADS | BROKER, {AT_FDCWD, (long)path, O_RDONLY | O_CREAT, 0600}},
	{"openat", THREADS | BROKER, {AT_FDCWD, (long)path, O_RDONLY | O_TRUNC}},
	{"newfstatat", THREADS, {AT_FDCWD, (long)path, (long)path, AT_SYMLINK_NOFOLLOW}},
	{"unlinkat", THREADS, {AT_FDCWD, (long)"nowhere", 0}},
	{"renameat2", THREADS | BROKER, {AT_FDCWD, (long)path, AT_FDCWD, (long)path, 0}},
	{"execve", THREADS | BROKER, {(long)"/bin/true", 0, 0}},
	{"execveat", THREADS | BROKER, {AT_FDCWD, (long)"/bin/true", 0, 0, 0}},
	{"clone", THREADS | BROKER, {SIGCHLD}},
	{"socket", THREADS | BROKER, {AF_INET, SOCK_STREAM, 0}},
	{"connect", THREADS | BROKER, {-1, 0, 0}},
	{"bind", THREADS | BROKER, {-1, 0, 0}},
	{"ptrace", THREADS | BROKER, {PTRACE_TRACEME}},
	{"process_vm_readv", THREADS | BROKER, {1}},
	{"kill", THREADS | BROKER, {1, 0}},
	{"tgkill", THREADS | BROKER, {1, 1, 0}},
	{"mmap", THREADS | BROKER, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
	{"mprotect", THREADS | BROKER, {0, 0, PROT_EXEC}},
	{"prctl", THREADS | BROKER, {PR_SET_DUMPABLE, 0}},
	{"io_uring_setup", THREADS | BROKER, {1, 0}},
	{"bpf", THREADS | BROKER, {0, 0, 0}},
	{"ioctl", THREADS | BROKER, {0, TIOCSTI, 0}},
	{"ioctl", CONSOLE | REMAINS | BROKER, {-1, KVMIO << 8, 0}},
	{"accept4", VCPU | REMAINS | BROKER, {-1, 0, 0, 0}},
	{"recvfrom", VCPU | REMAINS, {-1, 0, 0, 0, 0, 0}},
	{"timer_create", CONSOLE | REMAINS | BROKER, {0, 0, 0}},
	{"ftruncate", VCPU | STUB | CONSOLE | REMAINS | BROKER, {-1, 0}},
	{"seccomp", VCPU | STUB | CONSOLE | REMAINS | BROKER, {SECCOMP_SET_MODE_FILTER, 0, 0}},
};

/* ---- a process in the sandbox, and in it a thread that does something ---- */

struct child {
	enum sandbox_kind kind;
	void (*act)(const void *);
	const void *arg;
};

static void *child_thread(void *arg)
{
	const struct child *c = arg;

	sandbox_thread(c->kind);
	c->act(c->arg);
	return NULL;
}

__attribute__((noreturn)) static void child_main(struct child *c)
{
	pthread_t thread;

	alarm(60);
	signal(SIGALRM, SIG_DFL);
	sandbox_no_new_privileges();
	if (c->kind == SANDBOX_BROKER) {
		confine_broker();
		c->act(c->arg);
	} else if (!sandbox_begin()) {
		sandbox_enter();
		if (c->kind == SANDBOX_MAIN)
			c->act(c->arg);
		else if (!pthread_create(&thread, NULL, child_thread, c))
			pthread_join(thread, NULL);
	}
	_exit(WRITTEN);
}

/* Its wait status, and what it said on standard error. */
static int run_child(enum sandbox_kind kind, void (*act)(const void *), const void *arg, char *text)
{
	struct child c = {kind, act, arg};
	size_t at = 0;
	int ends[2], status = -1;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (pipe(ends))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDERR_FILENO);
		child_main(&c);
	}
	close(ends[1]);
	while (at < TEXT_MAX - 1 && (n = read(ends[0], text + at, TEXT_MAX - 1 - at)) > 0)
		at += (size_t)n;
	text[at] = '\0';
	close(ends[0]);
	waitpid(pid, &status, 0);
	return status;
}

static void try(const void *arg)
{
	const struct attempt *a = arg;

	syscall(number(a->call), a->args[0], a->args[1], a->args[2], a->args[3], a->args[4], a->args[5]);
}

static void test_attempt(const struct attempt *a)
{
	char text[TEXT_MAX], named[128];

	for (int kind = 0; kind <= SANDBOX_BROKER; kind++) {
		bool may = !(a->who & 1U << kind);
		int status;

		if (number(a->call) < 0)
			continue;
		status = run_child((enum sandbox_kind)kind, try, a, text);
		snprintf(named, sizeof(named), "called %s (number %ld)", a->call, number(a->call));
		if (may && !(WIFEXITED(status) && WEXITSTATUS(status) == WRITTEN))
			tap_ok(false, "%s may call %s: status 0x%x, %s", kinds[kind], a->call, (unsigned)status, text);
		else if (!may)
			tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SANDBOX && strstr(text, named) &&
					strstr(text, kinds[kind]) && strstr(text, "--no-sandbox"),
				"%s, %s: status 0x%x, %s", kinds[kind], a->call, (unsigned)status, text);
	}
}

/* ---- what is told otherwise ---- */

#define FUTURE_CALL 100000
#define X32_READ    0x40000000

static void call_the_unknown(const void *arg)
{
	(void)arg;
	if (syscall(FUTURE_CALL) != -1 || errno != ENOSYS || syscall(X32_READ, 0, 0, 0) != -1 || errno != ENOSYS)
		_exit(1);
}

static void call_blocked(const void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	try(arg);
}

static void work(const void *arg)
{
	void *p = malloc(1 << 20);
	pthread_t self_thread = pthread_self();
	struct timespec ts;

	(void)arg;
	memset(p, 1, 1 << 20);
	free(p);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	sched_yield();
	usleep(1);
	pthread_kill(self_thread, SIGURG);
	if (!isatty(STDERR_FILENO))
		fprintf(stderr, "worked\n");
}

static void test_otherwise(void)
{
	static const struct attempt socket_call = {"socket", 0, {AF_INET, SOCK_STREAM, 0}};
	char text[TEXT_MAX];
	int status = run_child(SANDBOX_VCPU, call_the_unknown, NULL, text);

	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == WRITTEN,
		"calls that are newer than this build, and those of other ABIs, are not there: 0x%x %s",
		(unsigned)status, text);
	status = run_child(SANDBOX_VCPU, call_blocked, &socket_call, text);
	tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "with SIGSYS blocked it is fatal: 0x%x",
		(unsigned)status);
	for (int kind = 0; kind < SANDBOX_BROKER; kind++) {
		status = run_child((enum sandbox_kind)kind, work, NULL, text);
		tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == WRITTEN && !strcmp(text, "worked\n"),
			"%s: what a C library needs: 0x%x %s", kinds[kind], (unsigned)status, text);
	}
}

/* Each word in the tables is a call: of this ISA, since x86_64 has all of them. */
static void test_names(void)
{
	for (size_t i = 0; i < RULES; i++) {
		char words[256], *next = words;

		snprintf(words, sizeof(words), "%s", policies[i].rule.calls);
		while (next) {
			const char *word = strsep(&next, " ");

			if (number("open") >= 0 && number(word) < 0)
				tap_ok(false, "there is no call %s", word);
		}
	}
	tap_ok(number("read") >= 0 && number("nosuchcall") < 0, "names of calls");
}

/* ---- Landlock by itself ---- */

static bool refuses(bool failed)
{
	return failed && (errno == EACCES || errno == EPERM);
}

/* What is wrong, or NULL. fd was open before. */
static const char *landlocked(int abi, uint64_t except, int fd)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char byte;

	if (pread(fd, &byte, 1, 0) < 0 || (abi >= 3 && ftruncate(fd, 0)))
		return "what was open";
	if (refuses(open(path, O_RDONLY) < 0) == (except != 0))
		return "reading";
	if (!refuses(open(path, O_WRONLY) < 0) || !refuses(mkdir("folder", 0700) < 0))
		return "writing";
	if (abi >= 4 && !refuses(bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&any, sizeof(any)) < 0))
		return "TCP";
	if (abi >= 6 && !refuses(kill(getppid(), 0) < 0))
		return "signals";
	if (refuses(unlink(path) < 0) == (except != 0))
		return "removing";
	return NULL;
}

static void test_landlock(uint64_t except)
{
	int status = -1, fd = open(path, O_RDWR | O_CREAT, 0600);
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		const char *wrong;
		int abi;

		sandbox_no_new_privileges();
		abi = landlock_enter(except);
		wrong = abi ? landlocked(abi, except, fd) : NULL;
		if (wrong)
			printf("# wrong: %s\n", wrong);
		fflush(stdout);
		_exit(wrong ? 1 : abi ? 0 : WRITTEN);
	}
	close(fd);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == WRITTEN)
		tap_skip("a kernel with Landlock", "Landlock");
	else
		tap_ok(WIFEXITED(status) && !WEXITSTATUS(status), "Landlock, except %#" PRIx64, except);
}

/* ---- the broker, and descriptors ---- */

static bool is_file(int fd, const char *want)
{
	char got[16] = "";
	bool same = fd >= 0 && read(fd, got, sizeof(got) - 1) == (ssize_t)strlen(want) && !strcmp(got, want);

	if (fd >= 0)
		close(fd);
	return same;
}

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
}

static int made(const char *name, bool only_empty)
{
	struct stat st;

	return lstat(name, &st) ? -1 : broker_made(name, &st, only_empty);
}

/* Tells through the pipe to its parent, which changes the file meanwhile. */
static void use_broker(const void *arg)
{
	const int *line = arg;
	char go;

	if (broker_open("other") != -EACCES || !is_file(broker_open("image"), "one") || !broker_was_regular("image"))
		_exit(1);
	if (write(line[1], "x", 1) != 1 || read(line[2], &go, 1) != 1)
		_exit(2);
	if (!is_file(broker_open("image"), "two"))
		_exit(3);
	if (write(line[1], "x", 1) != 1 || read(line[2], &go, 1) != 1)
		_exit(4);
	if (broker_open("image") != -ENOENT || write(line[1], "x", 1) != 1)
		_exit(5);
}

static int made_socket(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(addr.sun_path, name, strlen(name) + 1);
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -1 : made(name, false);
}

static bool there(const char *name)
{
	return !access(name, F_OK);
}

__attribute__((noreturn)) static void broker_child(const int *line)
{
	int kept, gone, replaced;
	char go;

	if (sandbox_begin() || !is_file(broker_open("image"), "one"))
		_exit(10);
	kept = made("kept", false);
	gone = made("gone", false);
	replaced = made("replaced", false);
	if (made_socket("socket") < 0 || made_socket("successor") < 0 || made("left", false) < 0 ||
		made("full", true) < 0 || made("empty", true) < 0)
		_exit(11);
	sandbox_enter();
	use_broker(line);
	broker_keep(kept, true);
	broker_remove(gone);
	broker_remove(replaced);
	broker_remove(-1);
	_exit(write(line[1], "x", 1) == 1 && read(line[2], &go, 1) ? 13 : 12); /* killed here */
}

static void test_broker(void)
{
	static const char *const all[] = {"image", "other", "kept", "gone", "replaced", "left", "full", "empty"};
	int up[2], down[2], status;
	pid_t pid;
	char c;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		write_file(all[i], i && strcmp(all[i], "full") ? "" : "one");
	if (pipe(up) || pipe(down))
		return;
	pid = fork();
	if (!pid) {
		int line[] = {-1, up[1], down[0]};

		close(up[0]);
		close(down[1]);
		broker_child(line);
	}
	close(up[1]);
	close(down[0]);
	tap_ok(read(up[0], &c, 1) == 1, "it opens what was opened before, and nothing else");
	write_file("new", "two");
	rename("new", "image");
	rename("other", "replaced");
	chmod("successor", 0660); /* as good as another one with the same inode */
	tap_ok(write(down[1], "x", 1) == 1 && read(up[0], &c, 1) == 1, "another file of that name");
	unlink("image");
	tap_ok(write(down[1], "x", 1) == 1 && read(up[0], &c, 1) == 1, "no file of that name");
	tap_ok(read(up[0], &c, 1) == 1, "removing");
	tap_ok(!there("gone"), "what is removed is gone at once");
	tap_ok(there("replaced"), "another's file stays");
	tap_ok(there("left") && there("empty"), "the rest is there until the end");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	for (int i = 0; i < 1000 && there("empty"); i++)
		usleep(10000);
	tap_ok(!there("left") && !there("socket") && there("kept") && there("full") && there("successor"),
		"after a sudden death: what was made goes, unless it is kept, has bytes in it, or is the next "
		"process's");
	close(up[0]);
	close(down[1]);
}

static void test_inherited(void)
{
	char word[] = "/dev/fd/200,/proc/self/fd/201", other[] = "--kernel=/dev/fd/203", name[] = "minivmm";
	char *argv[] = {name, word, other, NULL};
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		for (int fd = 200; fd < 206; fd++)
			dup2(STDERR_FILENO, fd);
		inherited_keep(3, argv);
		inherited_close();
		for (int fd = 200; fd < 206; fd++) {
			bool open_still = fcntl(fd, F_GETFD) >= 0, wanted_open = fd == 200 || fd == 201 || fd == 203;

			if (open_still != wanted_open)
				_exit(fd);
		}
		_exit(0);
	}
	waitpid(pid, &status, 0);
	tap_ok(WIFEXITED(status) && !WEXITSTATUS(status), "only descriptors that are named stay open: 0x%x",
		(unsigned)status);
}

int main(void)
{
	char dir[] = "/tmp/sandbox.XXXXXX", command[64], text[TEXT_MAX];
	int status;

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/file", dir);
	write_file(path, "");
	test_names();
	test_landlock(LANDLOCK_EXCEPT_READ | LANDLOCK_EXCEPT_REMOVE);
	test_landlock(0);
	test_inherited();
	status = run_child(SANDBOX_MAIN, try, &attempts[0], text);
	if (WIFEXITED(status) && WEXITSTATUS(status) == WRITTEN && strstr(text, "no filters"))
		tap_skip("a kernel with seccomp filters", "the sandbox");
	else {
		for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
			test_attempt(&attempts[i]);
		test_otherwise();
		test_broker();
	}
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (chdir("/") || system(command))
		return 1;
	return tap_done();
}
