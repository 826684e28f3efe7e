/*
 * The console on standard streams and on a terminal, each case in a child of its own: nothing lost, nobody killed or
 * stuck, the terminal as it was.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

#include "tests/unit/console_guest.h"

/* ---- standard streams, in a child ---- */

static pid_t spawn(int in, int out, int (*fn)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	alarm(LIMIT_S);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	_exit(fn());
}

static bool exits_0(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	if (status)
		tap_diag("status 0x%x", (unsigned)status);
	return status == 0;
}

static int child_send(void)
{
	struct guest g;

	if (guest_open(&g, "stdio"))
		return 1;
	guest_send(&g, BIG);
	guest_close(&g);
	return 0;
}

/* No descriptor left to open a stream anew with: the shared one has to do. */
static int child_send_shared(void)
{
	struct rlimit limit = {.rlim_cur = 4, .rlim_max = 4};

	setrlimit(RLIMIT_NOFILE, &limit);
	return child_send();
}

static int child_echo(void)
{
	struct guest g;

	if (guest_open(&g, "stdio"))
		return 1;
	guest_set_room(&g, 16);
	guest_receive(&g, BIG, 16);
	for (size_t i = 0; i < BIG; i++)
		guest_put(&g, g.in[i]);
	guest_close(&g);
	return 0;
}

static void check_child_send(int (*fn)(void), const char *what)
{
	uint8_t *buf = malloc(BIG);
	int null = open("/dev/null", O_RDWR), p[2];
	pid_t pid;

	if (pipe(p))
		abort();
	pid = spawn(null, p[1], fn);
	tap_ok(read_all(p[0], buf, BIG) && is_pattern(buf, BIG, 0), "%s: every byte to a pipe", what);
	tap_ok(exits_0(pid), "%s: and the end of input is no end", what);
	tap_ok(!(fcntl(p[1], F_GETFL) & O_NONBLOCK), "%s: the shared description is as it was", what);

	pid = spawn(null, p[1], fn);
	close(p[0]);
	tap_ok(exits_0(pid), "%s: a reader that closes neither kills nor blocks", what);
	close(p[1]);
	if (pipe(p))
		abort();
	pid = spawn(null, p[1], fn);
	tap_ok(exits_0(pid), "%s: a reader that never reads does not hang the end", what);
	close(p[0]);
	close(p[1]);
	close(null);
	free(buf);
}

static void test_streams(void)
{
	uint8_t *buf = malloc(BIG);
	int in[2], out[2], sv[2];
	struct stream host;
	pthread_t writer;
	pid_t pid;

	check_child_send(child_send, "stdio");
	check_child_send(child_send_shared, "stdio, blocking");
	if (pipe(in) || pipe(out) || socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		abort();
	pid = spawn(in[0], out[1], child_echo);
	host = (struct stream){.fd = in[1], .n = BIG};
	pthread_create(&writer, NULL, host_writer, &host);
	tap_ok(read_all(out[0], buf, BIG) && is_pattern(buf, BIG, 0), "pipes: 1 MiB in and out again");
	pthread_join(writer, NULL);
	tap_ok(exits_0(pid), "pipes: end");
	pid = spawn(sv[1], sv[1], child_echo);
	host = (struct stream){.fd = sv[0], .n = BIG};
	pthread_create(&writer, NULL, host_writer, &host);
	tap_ok(read_all(sv[0], buf, BIG) && is_pattern(buf, BIG, 0), "a socket: 1 MiB in and out again");
	pthread_join(writer, NULL);
	tap_ok(exits_0(pid), "a socket: end");
	free(buf);
}

/* ---- a terminal ---- */

static int child_terminal(void)
{
	struct guest g;

	dup2(STDOUT_FILENO, STDERR_FILENO);
	if (guest_open(&g, "stdio"))
		return 1;
	guest_say(&g, "ready.");
	guest_receive(&g, 4, 4);
	if (memcmp(g.in, "a\x01\x03z", 4))
		return 2;
	guest_say(&g, "typed.");
	while (!atomic_load(&g.quits))
		usleep(1000);
	if (atomic_load(&g.breaks) != 1)
		return 3;
	guest_close(&g);
	return 0;
}

static int child_hung(void)
{
	struct guest g;

	setsid();
	ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	if (guest_open(&g, "stdio"))
		return 1;
	guest_set_room(&g, 0);
	guest_say(&g, "ready.");
	while (!atomic_load(&g.quits))
		usleep(1000);
	guest_close(&g);
	return 0;
}

/*
 * The console's process under a leader that plays the shell: with job control it starts in the background and is
 * fetched to the foreground on a key; its stops and its end are told on the terminal, and the leader, whose exit
 * would reset the terminal's modes, stays for one more key.
 */
static int lead(bool job_control)
{
	int status = 0;
	pid_t pid;
	char c;

	setsid();
	ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	signal(SIGTTOU, SIG_IGN);
	signal(SIGTSTP, SIG_IGN);
	pid = fork();
	if (!pid) {
		if (job_control)
			setpgid(0, 0);
		signal(SIGTTOU, SIG_DFL);
		signal(SIGTSTP, SIG_DFL);
		_exit(child_terminal());
	}
	if (job_control) {
		setpgid(pid, pid);
		if (read(STDIN_FILENO, &c, 1) != 1)
			return 0x70;
		tcsetpgrp(STDIN_FILENO, pid);
	}
	while (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status))
		dprintf(STDOUT_FILENO, "stopped.");
	tcsetpgrp(STDIN_FILENO, getpgrp());
	dprintf(STDOUT_FILENO, "over.");
	return read(STDIN_FILENO, &c, 1) == 1 && WIFEXITED(status) ? WEXITSTATUS(status) : 0x71;
}

static int child_session(void)
{
	return lead(false);
}

static int child_shell(void)
{
	return lead(true);
}

static int open_terminal(int *slave)
{
	char name[64];
	int fd = posix_openpt(O_RDWR | O_NOCTTY);

	grantpt(fd);
	unlockpt(fd);
	ptsname_r(fd, name, sizeof(name));
	*slave = open(name, O_RDWR | O_NOCTTY);
	return fd;
}

static bool is_raw(int fd)
{
	struct termios t;

	return !tcgetattr(fd, &t) && !(t.c_lflag & (ICANON | ECHO | ISIG));
}

static bool becomes_raw(int fd)
{
	for (int i = 0; i < LIMIT_S * 100 && !is_raw(fd); i++)
		usleep(10000);
	return is_raw(fd);
}

static bool same_modes(int fd, const struct termios *want)
{
	struct termios t;

	return !tcgetattr(fd, &t) && t.c_iflag == want->c_iflag && t.c_oflag == want->c_oflag &&
	       t.c_cflag == want->c_cflag && t.c_lflag == want->c_lflag && !memcmp(t.c_cc, want->c_cc, 17);
}

static void test_terminal_keys(void)
{
	int slave, fd = open_terminal(&slave);
	struct termios before;
	pid_t pid;

	tcgetattr(fd, &before);
	pid = spawn(slave, slave, child_session);
	tap_ok(read_until(fd, "ready."), "a terminal");
	tap_ok(is_raw(fd), "is raw");
	kill(-pid, SIGTSTP);
	tap_ok(read_until(fd, "stopped.") && same_modes(fd, &before), "stopped: it is as it was");
	kill(-pid, SIGCONT);
	tap_ok(becomes_raw(fd), "continued: raw again");
	tap_ok(write(fd, "a\x01\x01\x03z", 5) == 5 && read_until(fd, "typed."),
		"keys, Ctrl-C and an escaped Ctrl-a arrive");
	tap_ok(write(fd, "\x01h", 2) == 2 && read_until(fd, "this help"), "Ctrl-a h helps");
	tap_ok(write(fd,
		       "\x01q\x01"
		       "b\x01x",
		       6) == 6 &&
			read_until(fd, "over."),
		"Ctrl-a x ends");
	tap_ok(same_modes(fd, &before), "and the terminal is as it was");
	tap_ok(write(fd, "\n", 1) == 1 && exits_0(pid), "Ctrl-a b broke into the debugger once");
	close(slave);
	close(fd);
}

static void test_terminal_background(void)
{
	int slave, fd = open_terminal(&slave);
	struct termios before;
	pid_t pid;

	tcgetattr(fd, &before);
	pid = spawn(slave, slave, child_shell);
	tap_ok(read_until(fd, "ready."), "a console in the background");
	tap_ok(same_modes(fd, &before), "leaves the terminal alone");
	tap_ok(write(fd, "\n", 1) == 1 && becomes_raw(fd), "in the foreground it takes it");
	tap_ok(write(fd, "a\x01\x01\x03z", 5) == 5 && read_until(fd, "typed."), "and its keys");
	tap_ok(write(fd,
		       "\x01"
		       "b\x01x",
		       4) == 4 &&
			read_until(fd, "over."),
		"to the end");
	tap_ok(same_modes(fd, &before), "when it is as it was");
	tap_ok(write(fd, "\n", 1) == 1 && exits_0(pid), "end");
	close(slave);
	close(fd);
}

/* The escape key has to work while the guest hangs, so everything typed is looked at. */
static void test_terminal_hung_guest(void)
{
	int slave, fd = open_terminal(&slave);
	pid_t pid = spawn(slave, slave, child_hung);
	size_t left = 300000;
	char junk[1000];

	memset(junk, 'j', sizeof(junk));
	tap_ok(read_until(fd, "ready."), "a guest that does not read");
	while (left) {
		ssize_t n = write(fd, junk, left < sizeof(junk) ? left : sizeof(junk));

		left -= n > 0 ? (size_t)n : 0;
	}
	tap_ok(write(fd, "\x01x", 2) == 2 && exits_0(pid), "does not keep Ctrl-a x from its work");
	close(slave);
	close(fd);
}

static void test_terminal(void)
{
	test_terminal_keys();
	test_terminal_background();
	test_terminal_hung_guest();
}

int main(void)
{
	alarm(2 * LIMIT_S);
	signal(SIGPIPE, SIG_IGN);
	test_streams();
	test_terminal();
	return tap_done();
}
