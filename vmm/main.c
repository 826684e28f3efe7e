/* The process: options in, exit status out, and everything undone in between. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "arch/arch.h"
#include "gdb/server.h"
#include "gdb/target_vm.h"
#include "vmm/broker.h"
#include "vmm/cli.h"
#include "vmm/console.h"
#include "vmm/exit_status.h"
#include "vmm/inherited.h"
#include "vmm/job.h"
#include "vmm/job_run.h"
#include "vmm/kvm.h"
#include "vmm/log.h"
#include "vmm/printable.h"
#include "vmm/report.h"
#include "vmm/result.h"
#include "vmm/sandbox.h"
#include "vmm/signals.h"
#include "vmm/vm_verdict.h"

/* What kills the process shall not leave a raw terminal behind. */
static void on_fatal(int sig)
{
	console_restore_tty();
	raise(sig); /* its action is the default one again; taken when this returns */
}

static void signal_set_action(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

/* From here on nothing is left behind: there is a handler for what ends us, and what kills us restores the terminal. */
static void signals_init(sigset_t *ending, const struct options *opts)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGQUIT, SIGALRM,
		SIGUSR2, SIGXCPU, SIGVTALRM, SIGPROF};

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		signal_set_action(fatal[i], on_fatal, (int)SA_RESETHAND);
	signal_set_action(SIGPIPE, SIG_IGN, 0);
	signal_set_action(SIGXFSZ, SIG_IGN, 0);
	/* gdb's Ctrl-C goes to the whole foreground: to gdb, which tells the stub, and to us, who are its pipe. */
	if (opts->gdb && !strcmp(opts->gdb, "stdio"))
		signal_set_action(SIGINT, SIG_IGN, 0);
	signals_ending(ending);
	signals_catch(ending);
}

static int probe_host(void)
{
	int fd = kvm_open(), err;

	if (fd < 0)
		return STATUS_HOST;
	sandbox_enter();
	err = arch_probe_host(fd);
	close(fd);
	return err ? STATUS_HOST : STATUS_OK;
}

struct debugger {
	struct target_vm *target;
	struct gdb_server *server;
};

static int debugger_open(struct debugger *dbg, struct vm *vm)
{
	struct gdb_service service;

	if (!vm->opts->gdb)
		return 0;
	dbg->target = target_vm_new(vm->debug);
	if (!dbg->target) {
		log_error("out of memory");
		return -ENOMEM;
	}
	service = target_vm_service(dbg->target);
	return gdb_server_open(&dbg->server, vm->opts->gdb, &service);
}

static void debugger_close(struct debugger *dbg)
{
	gdb_server_close(dbg->server);
	if (dbg->target)
		target_vm_free(dbg->target);
}

/* The VM exists; give it its debugger and terminal, run it. */
static int run(struct vm *vm)
{
	struct debugger dbg = {NULL, NULL};
	int status = STATUS_HOST, err;

	if (debugger_open(&dbg, vm))
		goto out;
	sandbox_enter();
	if (console_start(vm->console))
		goto out;
	err = dbg.server ? gdb_server_start(dbg.server) : 0;
	if (err) {
		log_error("cannot start the debugger's thread: %s", strerror(-err));
		goto out;
	}
	status = vm_run(vm);
out:
	debugger_close(&dbg);
	return status;
}

static int create_and_run(const struct options *opts, const sigset_t *ending, struct result *result)
{
	struct vm vm;
	int status = vm_create(&vm, opts);

	/* From here on there are sockets to unlink and a terminal to restore: no signal may take a short cut. */
	sigprocmask(SIG_BLOCK, ending, NULL);
	if (signals_caught()) {
		status = STATUS_ENDED;
	} else if (!status) {
		vm.sig_fd = signalfd(-1, ending, SFD_CLOEXEC | SFD_NONBLOCK);
		if (vm.sig_fd < 0) {
			log_error("cannot create a signalfd: %s", strerror(errno));
			status = STATUS_HOST;
		} else {
			status = run(&vm);
			close(vm.sig_fd);
		}
	}
	if (opts->verdict && vm.verdict)
		vm_verdict_result(&vm, result);
	vm_destroy(&vm);
	return status;
}

/*
 * One machine from its making to its end. Returns the exit status, *result tells the rest if opts->verdict. What ends
 * us is blocked then.
 */
static int run_case(const struct options *opts, struct result *result)
{
	sigset_t ending;

	signals_init(&ending, opts);
	if (kick_init()) {
		log_error("cannot install a signal handler: %s", strerror(errno));
		return STATUS_HOST;
	}
	return create_and_run(opts, &ending, result);
}

/* What the report calls it: after its kernel. */
static void name_result(struct result *result, const struct options *opts)
{
	const char *kernel = opts->kernel ? opts->kernel : "built-in guest", *slash = strrchr(kernel, '/');

	snprintf(result->name, sizeof(result->name), "%s", slash && slash[1] ? slash + 1 : kernel);
}

/* What a failed run has left, for people. The guest's output only if they have not seen it. */
static void show_evidence(const struct result *r, const struct options *opts)
{
	if (result_outcome(r) == OUTCOME_PASSED || !r->text_len)
		return;
	printable_lines(stderr, "", r->text, r->text_len, SIZE_MAX);
	if (strcmp(opts->serial, "stdio") && r->serial_len) {
		fprintf(stderr, "serial output, the last %zu bytes:\n", r->serial_len);
		printable_lines(stderr, "", (const char *)r->serial, r->serial_len, SIZE_MAX);
	}
	fflush(stderr);
}

static int run_for_verdict(const struct options *opts)
{
	static struct result result; /* too large for a stack */
	const struct result *results[] = {&result};
	struct report *report = NULL;
	char line[RESULT_LINE_MAX];
	sigset_t ending;
	int status;

	signals_init(&ending, opts);
	if (opts->report && report_open(&report, opts->report))
		return STATUS_HOST;
	name_result(&result, opts);
	status = run_case(opts, &result);
	if (result.kind != RESULT_NONE) {
		show_evidence(&result, opts);
		result_line(&result, line, sizeof(line));
		log_error("%s", line);
		if (report && report_write(report, "minivmm", results, 1) && status == STATUS_OK)
			status = STATUS_HOST;
	}
	report_close(report);
	return status;
}

/* A case's own process. */
static int run_sandboxed_case(const struct options *opts, struct result *result)
{
	int status = STATUS_HOST;

	if (opts->no_sandbox)
		return run_case(opts, result);
	if (!sandbox_begin())
		status = run_case(opts, result);
	broker_stop();
	return status;
}

static int run_job(const struct options *opts)
{
	FILE *lines = opts->report && report_is_stdout(opts->report) ? stderr : stdout; /* each for itself */
	struct report *report = NULL;
	struct job_outcome outcome = {0};
	sigset_t ending;
	struct job job;
	int status;

	if (job_load(&job, opts->job))
		return STATUS_USAGE;
	status = STATUS_USAGE;
	if (job_check(&job, opts->job, opts->parallel))
		goto out;
	status = STATUS_HOST;
	for (size_t i = 0; i < job.ncases; i++)
		inherited_keep(job.cases[i].argc, job.cases[i].argv);
	if (!opts->no_sandbox)
		inherited_close();
	signals_init(&ending, opts);
	if (opts->report && report_open(&report, opts->report))
		goto out;
	sigprocmask(SIG_BLOCK, &ending, NULL); /* job_run() looks for them from now on */
	if (signals_caught())
		status = STATUS_ENDED;
	else
		status = job_run(&job, job_parallel(opts->parallel), opts->no_sandbox ? run_case : run_sandboxed_case,
			lines, &outcome);
	if (outcome.n && report && report_write(report, opts->job, outcome.results, outcome.n) && status == STATUS_OK)
		status = STATUS_HOST;
	report_close(report);
	job_outcome_free(&outcome);
out:
	job_free(&job);
	return status;
}

/*
 * A standard stream that is closed stays unusable, but its number is taken: a file or KVM's device would get it
 * otherwise, and what is meant for the stream.
 */
static void hold_closed_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* What was printed is the result: if it has not got out, that is no success. */
static int finish_stdout(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	log_error("standard output: %s", strerror(errno));
	return status == STATUS_OK ? STATUS_HOST : status;
}

int main(int argc, char **argv)
{
	static struct result none;
	struct options opts;
	int status;

	hold_closed_streams();
	switch (cli_parse(&opts, argc, argv)) {
	case CLI_DONE:
		return finish_stdout(STATUS_OK);
	case CLI_BAD:
		return STATUS_USAGE;
	case CLI_RUN:
		break;
	}
	log_set_verbose(opts.verbose);
	inherited_keep(argc, argv);
	if (!opts.no_sandbox)
		sandbox_no_new_privileges();
	if (opts.job)
		return finish_stdout(run_job(&opts));
	if (!opts.no_sandbox) {
		inherited_close();
		if (sandbox_begin())
			return STATUS_HOST;
	}
	if (opts.probe_host)
		status = finish_stdout(probe_host());
	else
		status = opts.verdict ? run_for_verdict(&opts) : run_case(&opts, &none);
	broker_stop();
	return status;
}
