#include "vmm/job_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/clock.h"
#include "vmm/exit_status.h"
#include "vmm/job_priv.h"
#include "vmm/log.h"
#include "vmm/signals.h"

#define GRACE_US 10000000 /* for a case to take its machine down after SIGTERM */

struct runner {
	const struct job *job;
	job_run_case *run_case;
	FILE *lines;
	struct job_outcome *outcome;
	size_t stride; /* of the results: whole pages */
	struct job_child *children;
	size_t places, running, next; /* next: the first case that was not begun */
	struct pollfd *polled;	      /* the signals, and one for each place */
	int sig_fd;
	sigset_t old_mask;
	struct sigaction old_child;
	bool cancelled, killed;
	uint64_t kill_at_us;
};

int job_parallel(int wanted)
{
	cpu_set_t set;
	long online;

	if (wanted)
		return wanted;
	if (!sched_getaffinity(0, sizeof(set), &set))
		return CPU_COUNT(&set);
	online = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than the set has bits */
	return online > 0 ? (int)online : 1;
}

static struct result *result_of(const struct runner *run, size_t index)
{
	return (struct result *)((char *)run->outcome->shared + index * run->stride);
}

/* --- the child --- */

/* Only its own result can be written from now on, and no descriptor of another case is left. */
static void child_close_others(const struct runner *run, size_t index)
{
	mprotect(run->outcome->shared, run->outcome->shared_len, PROT_READ);
	mprotect(result_of(run, index), run->stride, PROT_READ | PROT_WRITE);
	for (size_t i = 0; i < run->places; i++)
		if (run->children[i].pid && run->children[i].fd >= 0)
			close(run->children[i].fd);
	close(run->sig_fd);
}

static void child_set_lines(int out)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	close(out);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		close(null);
	} else {
		close(STDIN_FILENO);
	}
}

__attribute__((noreturn)) static void child_main(const struct runner *run, size_t index, int out, pid_t parent)
{
	const struct job_case *c = &run->job->cases[index];
	struct options opts;
	int status = STATUS_USAGE;

	/* No machine outlives the job, however that ends. It may have ended already. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(STATUS_ENDED);
	child_set_lines(out);
	child_close_others(run, index);
	sigaction(SIGCHLD, &run->old_child, NULL);
	sigprocmask(SIG_SETMASK, &run->old_mask, NULL);
	if (cli_parse(&opts, c->argc, c->argv) == CLI_RUN) {
		opts.verdict = true; /* also where nothing is asked for but a proper end */
		if (opts.verbose)
			log_set_verbose(true);
		status = run->run_case(&opts, result_of(run, index));
	}
	fflush(NULL);
	_exit(status);
}

/* --- the parent --- */

/* Where it has its debugger, or NULL. */
static const char *gdb_line(const struct job_case *c)
{
	static const char word[] = "--gdb=";

	for (int i = 0; i < c->argc; i++)
		if (!strncmp(c->argv[i], word, strlen(word)))
			return c->argv[i] + strlen(word);
	return NULL;
}

static struct job_child *free_place(struct runner *run)
{
	for (size_t i = 0; i < run->places; i++)
		if (!run->children[i].pid)
			return &run->children[i];
	return NULL;
}

static int fork_case(struct runner *run, struct job_child *child, size_t index)
{
	pid_t parent = getpid(), pid;
	int fds[2], err;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL); /* or the child would write it again */
	pid = fork();
	if (!pid) {
		close(fds[0]);
		child_main(run, index, fds[1], parent);
	}
	err = pid < 0 ? -errno : 0;
	close(fds[1]);
	if (err) {
		close(fds[0]);
		return err;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	child->pid = pid;
	child->fd = fds[0];
	return 0;
}

static void begin_case(struct runner *run, struct job_child *child)
{
	size_t index = run->next++;
	const struct job_case *c = &run->job->cases[index];
	struct result *r = result_of(run, index);
	int err;

	child->index = index;
	child->said = 0;
	child->live = gdb_line(c) != NULL;
	child->began_us = clock_us();
	r->began = time(NULL);
	err = fork_case(run, child, index);
	if (!err) {
		run->running++;
		log_info("[%s] began, process %d", c->name, (int)child->pid);
		if (child->live) /* it may wait for that, and without a word */
			log_error("[%s] has its line for gdb at %s", c->name, gdb_line(c));
		return;
	}
	r->kind = RESULT_ERROR;
	r->status = STATUS_HOST;
	snprintf(r->reason, sizeof(r->reason), "no process for it: %s", strerror(-err));
	job_show(run->lines, r, NULL, 0, 0);
}

/* The last line it said is why, if it could not say so in its result. */
static void reason_from_messages(struct result *r, const char *messages)
{
	static const char prefix[] = "minivmm: ";
	const char *line = messages + strlen(messages);

	while (line > messages && line[-1] == '\n')
		line--;
	while (line > messages && line[-1] != '\n')
		line--;
	if (!strncmp(line, prefix, strlen(prefix)))
		snprintf(r->reason, sizeof(r->reason), "%.*s", (int)strcspn(line, "\n") - (int)strlen(prefix),
			line + strlen(prefix));
}

/* The report of a case that died has what it said, for want of anything better. */
static void keep_messages(struct result *r, const char *messages, size_t len)
{
	if (r->kind != RESULT_ERROR || r->text_len || !messages)
		return;
	r->text_len = len < RESULT_TEXT_MAX ? len : RESULT_TEXT_MAX;
	memcpy(r->text, messages + len - r->text_len, r->text_len);
}

static void end_case(struct runner *run, struct job_child *child, int wait_status)
{
	struct result *r = result_of(run, child->index);
	int64_t began = r->began;
	bool silent;
	char *messages;
	size_t len;

	for (int i = 0; child->fd >= 0 && i < 64; i++) /* a pipe holds 1 MiB at most */
		job_child_read(child);
	if (child->fd >= 0)
		close(child->fd);
	messages = job_child_messages(child, &len);
	silent = WIFEXITED(wait_status) && r->kind == RESULT_NONE;
	job_judge(r, &run->job->cases[child->index], wait_status, run->cancelled);
	if (silent && r->kind == RESULT_ERROR && messages)
		reason_from_messages(r, messages);
	if (!r->began)
		r->began = began;
	if (!r->duration_us)
		r->duration_us = clock_us() - child->began_us;
	job_show(run->lines, r, messages, child->live ? 0 : len, child->said - len);
	keep_messages(r, messages, len);
	free(messages);
	child->pid = 0;
	run->running--;
}

static void reap(struct runner *run)
{
	for (size_t i = 0; i < run->places; i++) {
		struct job_child *child = &run->children[i];
		int status;

		if (child->pid && waitpid(child->pid, &status, WNOHANG) == child->pid)
			end_case(run, child, status);
	}
}

static void signal_all(struct runner *run, int sig)
{
	for (size_t i = 0; i < run->places; i++)
		if (run->children[i].pid)
			kill(run->children[i].pid, sig);
}

/* The first time: everybody, please; the second time: now. */
static void cancel(struct runner *run)
{
	if (run->cancelled) {
		run->kill_at_us = clock_us();
		return;
	}
	run->cancelled = true;
	run->kill_at_us = clock_us() + GRACE_US;
	signal_all(run, SIGTERM);
}

static void take_signals(struct runner *run)
{
	struct signalfd_siginfo info;

	while (read(run->sig_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			cancel(run);
	reap(run);
}

static void wait_for_something(struct runner *run)
{
	int timeout = -1;

	run->polled[0] = (struct pollfd){.fd = run->sig_fd, .events = POLLIN};
	for (size_t i = 0; i < run->places; i++)
		run->polled[i + 1] = (struct pollfd){
			.fd = run->children[i].pid ? run->children[i].fd : -1,
			.events = POLLIN,
		};
	if (run->cancelled && !run->killed) {
		uint64_t now = clock_us();

		timeout = now < run->kill_at_us ? (int)((run->kill_at_us - now) / 1000) + 1 : 0;
	}
	if (poll(run->polled, run->places + 1, timeout) < 0)
		return; /* EINTR: a signal that is none of ours; the next round looks again */
	for (size_t i = 0; i < run->places; i++)
		if (run->polled[i + 1].revents)
			job_child_read(&run->children[i]);
	if (run->polled[0].revents)
		take_signals(run);
	if (run->cancelled && !run->killed && clock_us() >= run->kill_at_us) {
		run->killed = true;
		signal_all(run, SIGKILL);
	}
}

static void run_all(struct runner *run)
{
	while (run->running || (!run->cancelled && run->next < run->job->ncases)) {
		struct job_child *place;

		while (!run->cancelled && run->next < run->job->ncases && (place = free_place(run)))
			begin_case(run, place);
		if (run->running)
			wait_for_something(run);
	}
}

/* --- before and after --- */

/* What ends the job, and its children's ends, come through a descriptor while it runs. */
static int signals_take_over(struct runner *run)
{
	struct sigaction by_default = {.sa_handler = SIG_DFL};
	sigset_t set;

	signals_ending(&set);
	sigaddset(&set, SIGCHLD);
	run->sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->sig_fd < 0)
		return -errno;
	sigaction(SIGCHLD, &by_default, &run->old_child); /* if it was ignored, there would be no ends to wait for */
	sigprocmask(SIG_BLOCK, &set, &run->old_mask);
	return 0;
}

static void signals_give_back(struct runner *run)
{
	sigaction(SIGCHLD, &run->old_child, NULL);
	sigprocmask(SIG_SETMASK, &run->old_mask, NULL);
	close(run->sig_fd);
}

static int make_results(struct runner *run)
{
	struct job_outcome *outcome = run->outcome;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = run->job->ncases;
	void *shared;

	run->stride = (sizeof(struct result) + page - 1) & ~(page - 1);
	outcome->results = calloc(n, sizeof(const struct result *));
	if (!outcome->results)
		return -ENOMEM;
	shared = mmap(NULL, n * run->stride, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	outcome->shared = shared;
	outcome->shared_len = n * run->stride;
	outcome->n = n;
	for (size_t i = 0; i < n; i++) {
		struct result *r = result_of(run, i);

		snprintf(r->name, sizeof(r->name), "%s", run->job->cases[i].name);
		outcome->results[i] = r;
	}
	return 0;
}

static int make_places(struct runner *run, int parallel)
{
	run->places = (size_t)parallel < run->job->ncases ? (size_t)parallel : run->job->ncases;
	run->children = calloc(run->places, sizeof(run->children[0]));
	run->polled = calloc(run->places + 1, sizeof(run->polled[0]));
	if (!run->children || !run->polled)
		return -ENOMEM;
	for (size_t i = 0; i < run->places; i++) {
		run->children[i].fd = -1;
		run->children[i].messages = malloc(MESSAGES_MAX);
		if (!run->children[i].messages)
			return -ENOMEM;
	}
	return 0;
}

static void free_places(struct runner *run)
{
	for (size_t i = 0; run->children && i < run->places; i++)
		free(run->children[i].messages);
	free(run->children);
	free(run->polled);
}

int job_run(const struct job *job, int parallel, job_run_case *run_case, FILE *lines, struct job_outcome *outcome)
{
	struct runner run = {.job = job, .run_case = run_case, .lines = lines, .outcome = outcome};
	uint64_t began_us = clock_us();
	int status = STATUS_HOST, err;

	*outcome = (struct job_outcome){.began = time(NULL)};
	err = make_results(&run);
	if (!err)
		err = make_places(&run, parallel);
	if (!err)
		err = signals_take_over(&run);
	if (err) {
		log_error("the job cannot be run: %s", strerror(-err));
		goto out;
	}
	run_all(&run);
	signals_give_back(&run);
	outcome->duration_us = clock_us() - began_us;
	job_show_total(lines, outcome);
	status = run.cancelled ? STATUS_ENDED : STATUS_OK;
	for (size_t i = 0; i < outcome->n && status == STATUS_OK; i++)
		if (outcome->results[i]->kind != RESULT_PASS)
			status = STATUS_JOB;
out:
	free_places(&run);
	return status;
}

void job_outcome_free(struct job_outcome *outcome)
{
	if (outcome->shared)
		munmap(outcome->shared, outcome->shared_len);
	free(outcome->results);
	*outcome = (struct job_outcome){0};
}
