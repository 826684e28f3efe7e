/* The runner of jobs, with cases that are no machines: they pass, fail, crash, hang, flood, and are ended. */
#include "vmm/job_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/capture.h"
#include "tests/unit/tap.h"
#include "vmm/exit_status.h"
#include "vmm/log.h"

#define WAIT_MS 60000 /* for what must come; never for what must not */

/* What the cases tell each other and the test. */
static struct shared {
	atomic_int together, most; /* cases that run now; the most ever */
	atomic_int began;
	atomic_int pids[16];
} * shared;

static struct capture out, err;
static struct job_outcome outcome;
static struct job job;

static void nap(int ms)
{
	poll(NULL, 0, ms);
}

static void set(struct result *r, enum result_kind kind, int status, const char *reason)
{
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
	r->kind = kind;
	r->status = status;
}

static void crash(void)
{
	struct sigaction by_default = {.sa_handler = SIG_DFL};

	sigaction(SIGSEGV, &by_default, NULL); /* the sanitizer's would make an exit status of it */
	raise(SIGSEGV);
}

/* Waits until `n` cases run at once: only if they really are side by side. */
static void meet(int n)
{
	int now;

	atomic_fetch_add(&shared->together, 1);
	for (int ms = 0; atomic_load(&shared->most) < n && ms < WAIT_MS; ms += 5) {
		now = atomic_load(&shared->together);
		if (now > atomic_load(&shared->most))
			atomic_store(&shared->most, now);
		nap(5);
	}
	nap(20);
	now = atomic_load(&shared->together);
	if (now > atomic_load(&shared->most))
		atomic_store(&shared->most, now);
	atomic_fetch_sub(&shared->together, 1);
}

static void on_term(int sig)
{
	(void)sig;
}

/* As a machine: ends on SIGTERM, with a verdict. */
static void do_wait(struct result *r)
{
	struct sigaction sa = {.sa_handler = on_term};
	sigset_t set_, old;

	sigemptyset(&set_);
	sigaddset(&set_, SIGTERM);
	sigprocmask(SIG_BLOCK, &set_, &old);
	sigaction(SIGTERM, &sa, NULL);
	atomic_fetch_add(&shared->began, 1);
	sigsuspend(&old);
	set(r, RESULT_ENDED, STATUS_ENDED, "ended by SIGTERM");
}

static void flood(void)
{
	for (int i = 0; i < 40000; i++)
		fprintf(stderr, "line %d of many, none of them is short enough\n", i);
}

static void write_elsewhere(struct result *r)
{
	struct result *other = (struct result *)((char *)r - ((sizeof(*r) + 4095) & ~(size_t)4095));

	other->kind = RESULT_PASS; /* the one before */
}

static void do_pass(struct result *r)
{
	set(r, RESULT_PASS, 0, "all is well");
}

static void do_fail(struct result *r)
{
	fprintf(stderr, "minivmm: something\x1b[31m\n");
	r->text_len = (size_t)sprintf(r->text, "CPU 0: pc 0x1234\n");
	r->serial_len = (size_t)sprintf((char *)r->serial, "Kernel panic\r\nbye");
	set(r, RESULT_FAIL, 20, "reached panic");
}

static void do_crash(struct result *r)
{
	do_pass(r);
	crash();
}

static void do_silent(struct result *r)
{
	r->status = 6;
}

static void do_say_why(struct result *r)
{
	log_error("cannot open nothing: it is not there");
	r->status = STATUS_IMAGE;
}

static void do_flood(struct result *r)
{
	flood();
	set(r, RESULT_TIMEOUT, 124, "late");
}

static void do_flood_and_pass(struct result *r)
{
	flood();
	do_pass(r);
}

static void do_meet(struct result *r)
{
	meet(4);
	do_pass(r);
}

static void do_alone(struct result *r)
{
	meet(1);
	do_pass(r);
}

static void do_hang(struct result *r)
{
	(void)r;
	signal(SIGTERM, SIG_IGN);
	atomic_fetch_add(&shared->began, 1);
	for (;;)
		pause();
}

static void do_close(struct result *r)
{
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	nap(100);
	do_pass(r);
}

static void do_garbage(struct result *r)
{
	memset(r, 0xff, sizeof(*r));
	r->status = 0;
}

static void do_elsewhere(struct result *r)
{
	signal(SIGSEGV, SIG_DFL);
	write_elsewhere(r);
}

/* The status tells how many descriptors it has. */
static void do_lines(struct result *r)
{
	bool eof = !read(STDIN_FILENO, r->text, 1);
	sigset_t now;
	int n = 0;

	sigprocmask(SIG_BLOCK, NULL, &now);
	for (int fd = 3; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	set(r, eof && !sigismember(&now, SIGTERM) && !sigismember(&now, SIGCHLD) ? RESULT_PASS : RESULT_FAIL, n,
		"stdin is empty, no signal blocked");
}

static int fake_case(const struct options *opts, struct result *r)
{
	static const struct {
		const char *name;
		void (*act)(struct result *r);
	} acts[] = {{"pass", do_pass}, {"fail", do_fail}, {"crash", do_crash}, {"silent", do_silent},
		{"says why", do_say_why}, {"flood", do_flood}, {"flood and pass", do_flood_and_pass}, {"meet", do_meet},
		{"alone", do_alone}, {"wait", do_wait}, {"hang", do_hang}, {"close", do_close}, {"garbage", do_garbage},
		{"elsewhere", do_elsewhere}, {"lines", do_lines}};
	int slot = atomic_fetch_add(&shared->pids[0], 1) + 1;

	if (slot < 16)
		atomic_store(&shared->pids[slot], getpid());
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (!strcmp(opts->cmdline, acts[i].name))
			acts[i].act(r);
	return r->status;
}

/* Cases whose names are their command lines. */
static bool make_job(const char *const *names)
{
	static char text[8192];
	struct job_error e;
	size_t at = 0, n = 0;

	for (; *names; names++, n++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "[%s %zu]\ncmdline = %s\n", *names, n, *names);
	job_free(&job);
	job_outcome_free(&outcome);
	memset(shared, 0, sizeof(*shared));
	return tap_ok(!job_parse(&job, "", text, at, &e), "a job of %zu cases", n);
}

#define NAMES(...)                                                                                                     \
	(const char *const[])                                                                                          \
	{                                                                                                              \
		__VA_ARGS__, NULL                                                                                      \
	}

static int run_job(const char *const *names, int parallel)
{
	int status;

	if (!make_job(names))
		return -1;
	capture_start(&err, STDERR_FILENO);
	capture_start(&out, STDOUT_FILENO);
	status = job_run(&job, parallel, fake_case, stdout, &outcome);
	capture_end(&out);
	capture_end(&err);
	return status;
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void no_child_left(const char *after)
{
	bool gone = true;

	tap_ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "%s: no child is left, not even a zombie", after);
	for (int i = 1; i < 16; i++) {
		int pid = atomic_load(&shared->pids[i]);

		gone = gone && (!pid || (kill(pid, 0) < 0 && errno == ESRCH));
	}
	tap_ok(gone, "%s: all processes are gone", after);
}

static const struct result *result(size_t i)
{
	return outcome.results[i];
}

static void is_in(const char *text, const char *what)
{
	if (!tap_ok(strstr(text, what), "said: %s", what))
		tap_diag("%s", text);
}

static void test_verdicts(void)
{
	int status = run_job(NAMES("pass", "fail", "crash", "silent", "says why", "garbage"), 1);

	tap_is_u64((unsigned)status, STATUS_JOB, "some did not pass: the status");
	tap_is_u64(outcome.n, 6, "a result for each case");
	tap_is_u64(result(0)->kind, RESULT_PASS, "pass");
	tap_is_str(result(0)->name, "pass 0", "its name");
	tap_ok(result(0)->began > 0 && result(0)->duration_us, "its times");
	tap_is_u64(result(1)->kind, RESULT_FAIL, "fail");
	tap_is_u64(result(2)->kind, RESULT_ERROR, "a crash is no pass, even behind the verdict");
	tap_is_str(result(2)->reason, "minivmm itself died of signal 11 (Segmentation fault)", "its reason");
	tap_is_u64(result(3)->kind, RESULT_ERROR, "no verdict at all");
	tap_is_str(result(3)->reason, "it ended with status 6, without a verdict", "its reason");
	tap_is_u64((unsigned)result(3)->status, 6, "its status");
	tap_is_str(result(4)->reason, "cannot open nothing: it is not there", "the last line is the reason");
	tap_is_u64((unsigned)result(4)->status, STATUS_IMAGE, "its status");
	tap_is_mem(result(4)->text, "minivmm: cannot open nothing", 28, "what it said is kept for the report");
	tap_ok(result(5)->kind == RESULT_ERROR && !result(5)->ngoals && !result(5)->text_len && !result(5)->serial_len,
		"garbage is not believed");
	tap_is_str(result(5)->name, "garbage 5", "not even its name");
	is_in(out.text, "PASS pass 0");
	is_in(out.text, "fail 1");
	is_in(out.text, "reached panic");
	is_in(out.text, "    CPU 0: pc 0x1234\n");
	is_in(out.text, "    Kernel panic\n    bye\n");
	is_in(out.text, "    minivmm: something\\x1b[31m\n");
	is_in(out.text, "1 passed, 5 failed of 6 in ");
	tap_is_str(err.text, "", "nothing on stderr");
	no_child_left("verdicts");
	status = run_job(NAMES("pass", "pass"), 2);
	tap_is_u64((unsigned)status, STATUS_OK, "all passed: the status");
	is_in(out.text, "2 passed, 0 failed of 2 in ");
}

static void test_lines(void)
{
	int fds = open_fds();

	tap_is_u64((unsigned)run_job(NAMES("lines", "lines", "lines"), 3), STATUS_OK, "stdin and signals of a case");
	tap_is_u64((unsigned)result(0)->status, (unsigned)result(2)->status,
		"nothing of the first one is open in the last");
	tap_is_u64((unsigned)open_fds(), (unsigned)fds, "no descriptor is left open");
	run_job(NAMES("close"), 1);
	tap_is_u64(result(0)->kind, RESULT_PASS, "a case that closes its lines early");
	run_job(NAMES("fail", "elsewhere"), 1);
	tap_is_u64(result(0)->kind, RESULT_FAIL, "a case cannot write another one's verdict");
	tap_is_u64(result(1)->kind, RESULT_ERROR, "and dies of the try");
}

static void test_flood(void)
{
	int status = run_job(NAMES("flood", "flood and pass", "flood"), 2);

	tap_is_u64((unsigned)status, STATUS_JOB, "floods");
	tap_is_u64(result(0)->kind, RESULT_TIMEOUT, "the verdict of one that floods");
	tap_is_u64(result(1)->kind, RESULT_PASS, "and of one that passes");
	is_in(out.text, "bytes of messages are lost");
	is_in(out.text, "    line 39999 of many");
	tap_ok(!strstr(out.text, "line 39899 of many"), "only the last 100 lines are shown");
}

static void test_side_by_side(void)
{
	tap_is_u64((unsigned)run_job(NAMES("meet", "meet", "meet", "meet", "meet", "meet", "meet", "meet"), 4), 0,
		"eight cases by fours");
	tap_is_u64((unsigned)atomic_load(&shared->most), 4, "four at a time, never more");
	run_job(NAMES("alone", "alone", "alone"), 1);
	tap_is_u64((unsigned)atomic_load(&shared->most), 1, "one at a time");
	tap_ok(job_parallel(0) >= 1 && job_parallel(3) == 3, "-j 0 is the number of CPUs");
	run_job(NAMES("pass", "fail"), 64);
	tap_is_str(result(0)->name, "pass 0", "more places than cases");
}

/* Ends this process's job as the terminal would, once `cases` of it have begun; `signals` times. */
static pid_t start_ender(int cases, int sig, int signals)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	for (int ms = 0; atomic_load(&shared->began) < cases && ms < WAIT_MS; ms += 5)
		nap(5);
	for (int i = 0; i < signals; i++) {
		kill(parent, sig);
		nap(50); /* two that come at once are one */
	}
	_exit(0);
}

static int run_ended(const char *const *names, int cases, int sig, int signals)
{
	pid_t ender;
	int status;

	if (!make_job(names))
		return -1;
	ender = start_ender(cases, sig, signals);
	capture_start(&out, STDOUT_FILENO);
	status = job_run(&job, 2, fake_case, stdout, &outcome);
	capture_end(&out);
	waitpid(ender, NULL, 0);
	return status;
}

static void test_ended(void)
{
	int status = run_ended(NAMES("wait", "wait", "pass", "pass"), 2, SIGINT, 1);

	tap_is_u64((unsigned)status, STATUS_ENDED, "Ctrl-C: the status");
	tap_is_u64(result(0)->kind, RESULT_ENDED, "who ran was told to end");
	tap_is_str(result(1)->reason, "ended by SIGTERM", "and said how");
	tap_ok(result(2)->kind == RESULT_NONE && !result(2)->began, "who had not begun, did not");
	is_in(out.text, "0 passed, 2 failed, 2 not run of 4 in ");
	no_child_left("Ctrl-C");
	status = run_ended(NAMES("wait", "hang", "pass"), 2, SIGTERM, 2);
	tap_is_u64((unsigned)status, STATUS_ENDED, "twice SIGTERM: the status");
	tap_is_u64(result(1)->kind, RESULT_ENDED, "who does not listen is ended");
	tap_is_str(result(1)->reason, "the job was ended by its user", "its reason");
	no_child_left("SIGTERM");
	tap_ok(!run_job(NAMES("pass"), 1), "the next job is not disturbed");
}

/* SIGCHLD ignored, as some parents leave it; SIGINT ignored, as for a background job. */
static void test_inherited(void)
{
	void (*before)(int) = signal(SIGCHLD, SIG_IGN);

	tap_is_u64((unsigned)run_job(NAMES("pass", "fail"), 2), STATUS_JOB, "SIGCHLD ignored");
	tap_is_u64(result(0)->kind, RESULT_PASS, "the verdict arrives");
	tap_ok(signal(SIGCHLD, before) == SIG_IGN, "and is ignored again");
}

/* Nothing outlives the job: its process is killed while two cases hang. */
static void test_killed(void)
{
	pid_t runner;
	bool gone = false;

	if (!make_job(NAMES("hang", "wait", "pass")))
		return;
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* whom it leaves behind come to us */
	fflush(NULL);
	runner = fork();
	if (!runner) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(1);
		job_run(&job, 2, fake_case, stdout, &outcome);
		_exit(0);
	}
	for (int ms = 0; atomic_load(&shared->began) < 2 && ms < WAIT_MS; ms += 5)
		nap(5);
	kill(runner, SIGKILL);
	waitpid(runner, NULL, 0);
	for (int ms = 0; !gone && ms < WAIT_MS; ms += 5) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		gone = pid < 0 && errno == ECHILD;
		nap(pid > 0 ? 0 : 5);
	}
	tap_ok(gone, "SIGKILL: no case outlives the job");
	no_child_left("SIGKILL");
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int main(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signal(SIGINT, SIG_DFL); /* a shell's background job has it ignored, and so would the job */
	test_verdicts();
	test_lines();
	test_flood();
	test_side_by_side();
	test_ended();
	test_inherited();
	test_killed();
	job_free(&job);
	job_outcome_free(&outcome);
	return tap_done();
}
