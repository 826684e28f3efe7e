/* The file of a report: made, refused, filled, lost. What stands in it is for test_report_formats.py. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "tests/unit/capture.h"
#include "tests/unit/tap.h"
#include "vmm/report.h"
#include "vmm/result.h"

#define MANY 8

static char folder[] = "/tmp/test-report-XXXXXX";
static struct result *many[MANY]; /* a report of these is larger than any pipe's buffer */
static const struct result *const *all = (const struct result *const *)many;
static struct capture errors;

static const char *in_folder(const char *format, const char *name)
{
	static char text[4][PATH_MAX];
	static unsigned turn;
	char *spec = text[turn++ % 4];

	snprintf(spec, PATH_MAX, "%s%s/%s", format, folder, name);
	return spec;
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

/* -1: not there */
static long size_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? -1 : (long)st.st_size;
}

static char *contents(const char *path)
{
	static char text[1 << 22];
	FILE *f = fopen(path, "r");

	text[f ? fread(text, 1, sizeof(text) - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
	return text;
}

static bool is_one_line(const char *text, const char *a, const char *b)
{
	bool good = !strncmp(text, "minivmm: --report ", 18) && strchr(text, '\n') == text + strlen(text) - 1 &&
		    strstr(text, a) && strstr(text, b);

	if (!good)
		tap_diag("said: %s", text);
	return good;
}

static void make_results(void)
{
	for (size_t i = 0; i < MANY; i++) {
		struct result *r = calloc(1, sizeof(*r));

		many[i] = r;
		snprintf(r->name, sizeof(r->name), "case %zu", i);
		r->kind = i & 1 ? RESULT_TIMEOUT : RESULT_PASS;
		r->status = result_status(r->kind);
		r->began = 1700000000;
		r->ngoals = RESULT_GOALS_MAX;
		for (size_t g = 0; g < RESULT_GOALS_MAX; g++)
			r->goal[g] = (struct result_goal){.text = "x", .option = "break", .action = "log", .count = g};
		r->text_len = sizeof(r->text);
		memset(r->text, 'e', sizeof(r->text));
		r->serial_len = sizeof(r->serial);
		memset(r->serial, 0x1b, sizeof(r->serial));
	}
}

/* Opens, writes and closes; what was said is in errors.text. The worst of all returns. */
static int whole(const char *spec, size_t n)
{
	struct report *report = NULL;
	int ret;

	capture_start(&errors, STDERR_FILENO);
	ret = report_open(&report, spec);
	if (!ret)
		ret = report_write(report, "suite", all, n);
	report_close(report);
	capture_end(&errors);
	return ret;
}

static void test_formats(void)
{
	static const struct {
		const char *format, *name, *begin;
	} good[] = {
		{"", "a.xml", "<?xml"},
		{"", "a.XML", "<?xml"},
		{"", "a.tap", "TAP version 13\n"},
		{"", "a.json", "{\n"},
		{"junit:", "b", "<?xml"},
		{"tap:", "b.xml", "TAP version 13\n"},
		{"json:", "c:d.tap", "{\n"},
		{"", "tap:e.json", "{\n"},
		{"json:", ".tap", "{\n"},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const char *spec = in_folder(good[i].format, good[i].name), *path = in_folder("", good[i].name);

		put_file(path, "an old report");
		tap_ok(!whole(spec, 2) && !errors.text[0] &&
				!strncmp(contents(path), good[i].begin, strlen(good[i].begin)),
			"%s%s is written", good[i].format, good[i].name);
		unlink(path);
	}
}

static void test_refused(void)
{
	static const struct {
		const char *format, *name, *word, *way_out;
		int ret;
	} bad[] = {
		{"", "a.txt", "which format?", "junit:FILE", -EINVAL},
		{"html:", "a", "which format?", "junit:FILE", -EINVAL},
		{"", "xml", "which format?", "junit:FILE", -EINVAL},
		{"tap:", "", "directory", "name a file in that folder", -EISDIR},
		{"", "none/a.xml", "No such file", "make its folder first", -ENOENT},
		{"", "file/a.xml", "Not a directory", "make its folder first", -ENOTDIR},
		{"", "loop.tap", "symbolic links", "name a file", -ELOOP},
		{"", "pipe.json", "No such device", "reads this pipe", -ENXIO},
	};
	char *long_name = malloc(PATH_MAX + 8);
	struct report *report = NULL;

	put_file(in_folder("", "file"), "x");
	mkfifo(in_folder("", "pipe.json"), 0600);
	if (symlink("loop.tap", in_folder("", "loop.tap")))
		tap_diag("no symbolic link: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int ret = whole(in_folder(bad[i].format, bad[i].name), 1);

		tap_ok(ret == bad[i].ret && is_one_line(errors.text, bad[i].name, bad[i].word) &&
				strstr(errors.text, bad[i].way_out),
			"refused: %s%s: %s", bad[i].format, bad[i].name, bad[i].word);
	}
	tap_ok(whole("junit:", 1) == -EINVAL && is_one_line(errors.text, "junit:", "no file"), "refused: no file");
	tap_ok(whole("", 1) == -EINVAL && is_one_line(errors.text, "", "which format?"), "refused: nothing at all");
	memset(long_name, 'n', PATH_MAX);
	strcpy(long_name + PATH_MAX, ".xml");
	capture_start(&errors, STDERR_FILENO);
	tap_ok(report_open(&report, long_name) == -ENAMETOOLONG && !report, "refused: a name that is too long");
	capture_end(&errors);
	free(long_name);
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = {"pipe.json", "loop.tap", "file"};

		unlink(in_folder("", names[i]));
	}
	tap_is_u64((uint64_t)rmdir(folder), 0, "nothing is left behind");
	mkdir(folder, 0700);
}

static void test_permission(void)
{
	pid_t child;
	int status = 0;

	if (geteuid()) {
		tap_skip("root, to become somebody else", "a folder that cannot be written");
		return;
	}
	child = fork();
	if (!child) {
		int ret = seteuid(65534) ? 0 : whole(in_folder("", "a.xml"), 1);

		_exit(ret == -EACCES && is_one_line(errors.text, "a.xml", "that can be written") ? 0 : 1);
	}
	waitpid(child, &status, 0);
	tap_ok(!status, "a folder that cannot be written");
}

static void test_life(void)
{
	const char *path = in_folder("", "life.json"), *moved = in_folder("", "moved.json");
	struct report *report;
	long size;
	int status = 1;
	pid_t child;

	put_file(path, "an old report");
	tap_ok(!report_open(&report, path) && !size_of(path), "an old report is emptied at once");
	report_close(report);
	tap_is_u64((uint64_t)size_of(path), 0, "and its file, which is not ours, stays");
	unlink(path);

	tap_ok(!report_open(&report, path) && !size_of(path), "a new file is there at once");
	child = fork();
	if (!child) {
		report_close(report);
		_exit(0);
	}
	waitpid(child, &status, 0);
	tap_ok(!status && !size_of(path), "a child that closes it leaves it alone");
	report_close(report);
	tap_ok(size_of(path) < 0, "and without a report it is removed");

	tap_ok(!report_open(&report, path) && !report_write(report, NULL, all, 3), "three results");
	size = size_of(path);
	tap_ok(!report_write(report, "", all, 1) && size_of(path) < size, "one instead");
	report_close(report);
	tap_ok(strstr(contents(path), "\"suite\": \"minivmm\"") && strstr(contents(path), "\"cases\": 1,"),
		"the last one stays, with a suite's name");
	unlink(path);

	tap_ok(!report_open(&report, path) && !rename(path, moved), "a file that is moved away");
	put_file(path, "");
	report_close(report);
	tap_ok(!size_of(path) && !size_of(moved), "and another in its place: neither is removed");
	unlink(path);
	unlink(moved);
	report_close(NULL);
	tap_ok(true, "none at all is closed");
}

static void test_relative(void)
{
	char here[PATH_MAX];
	struct report *report;
	bool good;

	if (!getcwd(here, sizeof(here)) || chdir(folder)) {
		tap_ok(false, "a folder to go to");
		return;
	}
	good = !report_open(&report, "near.tap") && !chdir(here);
	report_close(report);
	tap_ok(good && size_of(in_folder("", "near.tap")) < 0, "removed also where the folder was left meanwhile");
}

static void test_full(void)
{
	const char *path = in_folder("", "full.xml");
	struct rlimit limit = {.rlim_cur = 100000, .rlim_max = RLIM_INFINITY}, before;

	tap_ok(whole("json:/dev/full", MANY) == -ENOSPC && is_one_line(errors.text, "/dev/full", "No space left"),
		"a full disk is said");
	tap_ok(whole("tap:/dev/full", 0) == -ENOSPC, "also when all of it fits the buffer");
	tap_ok(size_of("/dev/full") == 0, "and is still there");

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	tap_ok(whole(path, MANY) == -EFBIG && is_one_line(errors.text, "full.xml", "there is no report"),
		"a disk that fills up on the way");
	tap_ok(size_of(path) < 0, "and half a report is removed");
	put_file(path, "an old report");
	tap_ok(whole(path, MANY) == -EFBIG && !size_of(path), "or emptied, in a file that was there");
	setrlimit(RLIMIT_FSIZE, &before);
	unlink(path);
}

static void on_alarm(int number)
{
	(void)number;
}

struct reader {
	int fd;
	size_t bytes;
	char last[8];
};

/* Slowly, so that the writer has to wait. */
static void *read_slowly(void *arg)
{
	struct reader *r = arg;
	static char buf[30000];
	ssize_t n;

	while ((n = read(r->fd, buf, sizeof(buf))) != 0) {
		if (n > 0) {
			r->bytes += (size_t)n;
			r->last[0] = buf[n - 1];
		}
		usleep(500);
	}
	return NULL;
}

/* Into a pipe, non-blocking or not, under a storm of signals that interrupt. */
static void through_pipe(const char *what, bool non_blocking, bool to_stdout)
{
	struct itimerval often = {.it_interval.tv_usec = 300, .it_value.tv_usec = 300}, never = {.it_value.tv_usec = 0};
	struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
	const char *path = in_folder("", "size.tap");
	struct reader reader = {.fd = -1};
	int ends[2], saved = dup(STDOUT_FILENO), ret;
	sigset_t alarm_only;
	pthread_t thread;
	char spec[64];
	long size;

	whole(path, MANY);
	size = size_of(path);
	unlink(path);
	if (pipe2(ends, O_CLOEXEC))
		return;
	reader.fd = ends[0];
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	pthread_create(&thread, NULL, read_slowly, &reader);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	if (non_blocking)
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
	snprintf(spec, sizeof(spec), to_stdout ? "tap:-" : "tap:/proc/self/fd/%d", ends[1]);
	fflush(stdout);
	if (to_stdout)
		dup2(ends[1], STDOUT_FILENO);
	setitimer(ITIMER_REAL, &often, NULL);
	ret = whole(spec, MANY);
	setitimer(ITIMER_REAL, &never, NULL);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(ends[1]);
	pthread_join(thread, NULL);
	close(ends[0]);
	tap_ok(!ret && (long)reader.bytes == size && reader.last[0] == '\n', "%s: %zu bytes of %ld arrive", what,
		reader.bytes, size);
}

static void test_gone(void)
{
	int ends[2], saved, gone, unwritable, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	signal(SIGPIPE, SIG_IGN);
	if (pipe2(ends, O_CLOEXEC))
		return;
	close(ends[0]);
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	gone = whole("json:-", 1);
	dup2(null, STDOUT_FILENO);
	unwritable = whole("json:-", 1);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(null);
	tap_ok(gone == -EPIPE, "standard output that nobody reads is said");
	tap_ok(unwritable == -EBADF && is_one_line(errors.text, "json:-", "Bad file descriptor"),
		"and one that cannot be written");
}

/* Memory that a process shared which died anywhere: no NULs, counts beyond the arrays, kinds that there are not. */
static void test_wild(void)
{
	static const char *const specs[] = {"wild.xml", "wild.tap", "wild.json"};
	struct result *wild = malloc(sizeof(*wild));
	const struct result *const one[] = {wild};
	struct report *report;
	bool good = true;

	for (int fill = 0; fill < 256; fill += 51) {
		memset(wild, fill, sizeof(*wild));
		for (size_t i = 0; i < 3; i++) {
			const char *path = in_folder("", specs[i]);

			report = NULL;
			good = good && !report_open(&report, path) && !report_write(report, "s", one, 1);
			report_close(report);
			good = good && size_of(path) > 40;
			unlink(path);
		}
	}
	tap_ok(good, "results made of one byte are reports");
	free(wild);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	make_results();
	test_formats();
	test_refused();
	test_permission();
	test_life();
	test_relative();
	test_full();
	through_pipe("a pipe and signals", false, false);
	through_pipe("standard output and signals", false, true);
	through_pipe("standard output that does not block", true, true);
	test_gone();
	test_wild();
	for (size_t i = 0; i < MANY; i++)
		free(many[i]);
	tap_is_u64((uint64_t)rmdir(folder), 0, "nothing is left behind");
	return tap_done();
}
