/* The server and its lines: clients that come, go, die, do not read, and come twice. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "tests/unit/capture.h"
#include "tests/unit/server_driver.h"

static char dir[] = "/tmp/minivmm-server-XXXXXX";
static char path[64];

/* ---- unix sockets ---- */

static void test_unix(void)
{
	struct gdb_service service;
	struct gdb_server *second;
	struct capture c;
	struct stat st;
	int fd, other, err;

	tap_ok(machine_start(path), "a unix socket");
	tap_ok(!stat(path, &st) && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600, "its mode is 0600");
	service = (struct gdb_service){.event_fd = m.event_fd};
	capture_start(&c, STDERR_FILENO);
	err = gdb_server_open(&second, path, &service);
	tap_ok(err == -EADDRINUSE && strstr(capture_end(&c), "another program listens"),
		"one that is alive is not replaced");
	fd = unix_client(path);
	say_bytes(fd, "+", 1);
	usleep(50000);
	tap_is_u64((uint64_t)atomic_load(&m.opens), 0, "who only looks whether somebody is there stops nothing");
	other = unix_client(path);
	tap_is_str(talk(other, "?"), STOPPED, "a client is answered, though another one is silent");
	tap_is_str(hear(fd), "E.another debugger is attached", "which is told");
	close(fd);
	fd = other;
	tap_is_str(talk(fd, "vCont;s:2"), "T05thread:2;02:2222222222222222;03:2323232323232323;", "a step");
	say(fd, "vCont;c");
	say_bytes(fd, "\x03", 1);
	tap_is_str(hear(fd), "T02thread:1;02:1212121212121212;03:1313131313131313;", "Ctrl-C");
	tap_is_str(talk(fd, "D"), "OK", "detach");
	tap_is_str(hear(fd), NULL, "ends the connection");
	tap_is_u64((uint64_t)atomic_load(&m.closes), 1, "and the session");
	close(fd);
	machine_end();
	tap_ok(access(path, F_OK) < 0, "the socket is gone with the server");
}

static void test_stale(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0)
		tap_diag("cannot make a stale socket");
	close(fd);
	tap_ok(!access(path, F_OK) && machine_start(path), "a stale socket is replaced");
	fd = unix_client(path);
	tap_is_str(talk(fd, "qC"), "QC1", "and serves");
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	machine_end();
	tap_is_str(hear(fd), NULL, "a server that ends closes the connection");
	close(fd);
	tap_ok(!unlink(path), "a file that is not ours is left alone");
}

static void test_clients(void)
{
	int fd, other, good = 0;

	machine_start(path);
	fd = unix_client(path);
	talk(fd, "?");
	other = unix_client(path);
	say(other, "qSupported");
	tap_is_str(hear(other), "E.another debugger is attached", "a second client is told");
	tap_is_str(hear(other), NULL, "and gets an end of file");
	close(other);
	tap_is_str(talk(fd, "qC"), "QC1", "the first one does not notice");
	for (int i = 0; i < 30; i++) {
		other = unix_client(path);
		close(other);
	}
	tap_is_str(talk(fd, "qC"), "QC1", "nor many that come and go");
	say_bytes(fd, "$m1000", 6);
	close(fd);
	for (int i = 0; i < 50; i++) {
		fd = unix_client(path);
		good += talk(fd, "?") != NULL;
		/* A client that stays half in a packet, one that dies while it runs, one that says goodbye. */
		if (i % 3 == 0)
			say_bytes(fd, "$m1000", 6);
		else if (i % 3 == 1)
			say(fd, "vCont;c");
		else
			good += talk(fd, "D") != NULL ? 0 : -1;
		close(fd);
	}
	tap_is_u64((uint64_t)good, 50, "fifty clients one after the other");
	fd = unix_client(path);
	talk(fd, "?");
	say(fd, "k");
	close(fd);
	tap_ok(reaches(&m.closes, 52), "every session was closed");
	tap_ok(m.fake.kills == 1, "a kill is heard though the client hangs up at once");
	machine_end();
}

/* ---- output that nobody reads ---- */

static int64_t cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

/* A thread that spins would use most of this time. */
static bool is_quiet(void)
{
	int64_t before = cpu_ms();

	usleep(300000);
	before = cpu_ms() - before;
	if (before >= 150)
		tap_diag("%lld ms of CPU time in 300 ms", (long long)before);
	return before < 150;
}

static unsigned send_until_full(int fd, const char *frame)
{
	unsigned sent = 0;
	size_t n = strlen(frame), at = 0;

	/* Full is when nothing could be sent for a while. */
	for (struct pollfd p = {.fd = fd, .events = POLLOUT}; sent < 1000000 && poll(&p, 1, 300) > 0;) {
		ssize_t k = send(fd, frame + at, n - at, MSG_DONTWAIT);

		if (k > 0)
			at += (size_t)k;
		if (at == n) {
			sent++;
			at = 0;
		}
	}
	return sent;
}

/* Reads in bulk until that many packets were seen, or nothing comes; returns how many. */
static unsigned hear_many(int fd, unsigned n)
{
	static uint8_t data[64 * 1024];
	struct gdb_decoder dec = {.max = 4 * GDB_PACKET_MAX};
	unsigned got = 0;

	while (got < n) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t k = poll(&p, 1, PATIENCE_MS) > 0 ? read(fd, data, sizeof(data)) : 0;

		if (k <= 0)
			break;
		for (ssize_t i = 0; i < k; i++)
			got += gdb_decoder_byte(&dec, data[i]) == GDB_PACKET_READY;
	}
	gdb_buf_free(&dec.data);
	return got;
}

static void test_no_reader(void)
{
	static const char frame[] = "$m10000,10000#7b";
	int fd, other;
	unsigned sent;

	machine_start(path);
	fd = unix_client(path);
	talk(fd, "QStartNoAckMode");
	sent = send_until_full(fd, frame);
	tap_ok(sent > 0 && sent < 1000000, "a client that only asks is stopped: after %u requests", sent);
	tap_ok(is_quiet(), "nobody spins meanwhile");
	other = unix_client(path);
	tap_is_str(hear(other), "E.another debugger is attached", "the server lives");
	close(other);
	/* The rest of the last request is left off: it is begun anew below. */
	tap_is_u64(hear_many(fd, sent), sent, "once it reads it gets every answer");
	tap_is_str(talk(fd, "qC"), "QC1", "and is served as before");
	send_until_full(fd, frame);
	close(fd);
	fd = unix_client(path);
	tap_is_str(talk(fd, "qC"), "QC1", "one that dies unread makes room");
	close(fd);
	machine_end();
}

/* ---- clients that never say a whole packet ---- */

static void test_half_said(void)
{
	static uint8_t data[64 * 1024];
	int fd, other;

	machine_start(path);
	fd = unix_client(path);
	say_bytes(fd, "$?#3", 4);
	usleep(50000);
	tap_is_u64((uint64_t)atomic_load(&m.opens), 0, "half a packet stops nothing");
	other = unix_client(path);
	tap_is_str(talk(other, "?"), STOPPED, "nor keeps others out");
	tap_is_str(hear(fd), "E.another debugger is attached", "who said it is told");
	tap_is_str(talk(other, "D"), "OK", "the other one leaves");
	close(fd);
	close(other);
	fd = unix_client(path);
	say_bytes(fd, "$?#3", 4);
	usleep(20000);
	say_bytes(fd, "f", 1);
	tap_is_str(hear(fd), STOPPED, "a packet in two pieces");
	tap_is_str(talk(fd, "D"), "OK", "and goes");
	close(fd);
	fd = unix_client(path);
	memset(data, '$', 1);
	memset(data + 1, 'a', sizeof(data) - 1);
	for (int i = 0; i < 8 && say_bytes(fd, data, sizeof(data)); i++)
		data[0] = 'a';
	tap_is_str(hear(fd), "E.packet too long", "one that never ends is told so");
	tap_is_str(hear(fd), NULL, "and hung up on");
	close(fd);
	fd = unix_client(path);
	say_bytes(fd, "POST / HTTP/1.1\r\n\r\n$k#6b", 24);
	tap_is_str(hear(fd), "E.this line is for debuggers", "and so is a browser");
	tap_is_str(hear(fd), NULL, "whatever its page has sent");
	tap_is_u64((uint64_t)atomic_load(&m.opens), 2, "without a session");
	close(fd);
	machine_end();
}

/* ---- the end of the machine ---- */

static void test_end(void)
{
	int fd;

	machine_start(path);
	fd = unix_client(path);
	talk(fd, "?");
	say(fd, "vCont;c");
	say(fd, "qC");
	reaches(&m.resumes, 1);
	machine_post((struct gdb_stop){.kind = GDB_STOP_EXITED, .status = 7});
	machine_end();
	tap_is_str(hear(fd), "W07", "the last word is sent before the end");
	tap_is_str(hear(fd), NULL, "then the line ends");
	close(fd);

	machine_start(path);
	fd = unix_client(path);
	talk(fd, "?");
	say(fd, "vCont;c");
	reaches(&m.resumes, 1);
	machine_post((struct gdb_stop){.kind = GDB_STOP_EXITED, .status = 7});
	tap_is_str(hear(fd), "W07", "it is sent at once");
	close(fd);
	fd = unix_client(path);
	tap_is_str(talk(fd, "?"), "E.the machine has ended", "who comes later is told");
	close(fd);
	machine_end();

	machine_start(path);
	fd = unix_client(path);
	talk(fd, "QStartNoAckMode");
	send_until_full(fd, "$m10000,10000#7b");
	machine_post((struct gdb_stop){.kind = GDB_STOP_EXITED});
	machine_end();
	tap_ok(true, "a client that does not read does not hold the end up");
	close(fd);

	machine_start(path);
	machine_end();
	tap_ok(true, "a server that nobody used");
}

/* ---- stdio ---- */

/* A child that serves its standard input and output until they end; its status is the number of ends it saw. */
static pid_t stdio_child(int in, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	if (!machine_start("stdio"))
		_exit(100);
	reaches(&m.eofs, 1);
	usleep(300000);
	machine_end();
	_exit(atomic_load(&m.eofs) + 10 * atomic_load(&m.closes));
}

static void test_stdio(bool sockets)
{
	const char *kind = sockets ? "sockets" : "pipes";
	int to[2], from[2], status = -1;
	pid_t pid;

	if (sockets ? socketpair(AF_UNIX, SOCK_STREAM, 0, to) || (from[0] = to[0], from[1] = to[1], 0)
		    : pipe(to) || pipe(from))
		abort();
	/* to[0], from[1] are the child's */
	if (sockets) {
		int swap = to[1];

		to[1] = to[0];
		from[0] = to[1];
		to[0] = from[1] = swap;
	}
	pid = stdio_child(to[0], from[1]);
	close(to[0]);
	if (!sockets)
		close(from[1]);
	say_bytes(to[1], "+", 1);
	say(to[1], "?");
	tap_is_str(hear(from[0]), STOPPED, "stdio over %s", kind);
	say(to[1], "vCont;s:1");
	tap_is_str(hear(from[0]), STOPPED, "a step");
	say(to[1], "D");
	tap_is_str(hear(from[0]), "OK", "detach");
	say_bytes(to[1], "+", 1);
	say(to[1], "?");
	tap_is_str(hear(from[0]), STOPPED, "and attach again");
	close(to[1]);
	waitpid(pid, &status, 0);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 21, "the end of input is told once, after two clients");
	if (!sockets)
		close(from[0]);
}

/* ---- character devices ---- */

/* The other side of the server's line: the server has the master of a pty, the only device that a test can hang up. */
static int device_client(void)
{
	struct termios t;
	char name[64] = "";
	int fd;

	for (int i = 3; i < 64; i++) {
		char link[64], target[64] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", i);
		if (readlink(link, target, sizeof(target) - 1) > 0 && strstr(target, "ptmx") && !unlockpt(i) &&
			!ptsname_r(i, name, sizeof(name)))
			break;
	}
	fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || tcgetattr(fd, &t) < 0)
		return -1;
	cfmakeraw(&t);
	tcsetattr(fd, TCSANOW, &t);
	return fd;
}

static void test_device(void)
{
	int fd;

	if (!machine_start("chardev:/dev/ptmx")) {
		tap_skip("/dev/ptmx", "a character device");
		return;
	}
	fd = device_client();
	say_bytes(fd, "+++\x03noise", 9);
	usleep(50000);
	tap_is_u64((uint64_t)atomic_load(&m.opens), 0, "noise on the line is no client");
	tap_is_str(talk(fd, "?"), STOPPED, "a packet is one");
	say(fd, "vCont;c");
	close(fd);
	tap_ok(reaches(&m.closes, 1), "a line that hangs up ends the session");
	tap_ok(is_quiet(), "nobody spins on a line that hung up");
	fd = device_client();
	tap_is_str(talk(fd, "?"), STOPPED, "the next client on it");
	tap_is_str(talk(fd, "D"), "OK", "detaches");
	say_bytes(fd, "+", 1);
	tap_is_str(talk(fd, "qSupported:swbreak+") ? "" : NULL, "", "and attaches again, without a hang-up");
	talk(fd, "QStartNoAckMode");
	say(fd, "vCont;c");
	say_bytes(fd, "$m10", 4);
	say_bytes(fd, "+", 1);
	tap_ok(talk(fd, "qSupported:hwbreak+") != NULL, "a new client after one that died silently, running");
	tap_is_str(talk(fd, "?"), STOPPED, "finds it stopped");
	tap_is_u64((uint64_t)atomic_load(&m.opens), 4, "in a session of its own");
	say_bytes(fd, "+$QStartNoAckMode#b0", 20);
	tap_is_str(hear(fd), "OK", "which goes on");
	tap_ok(talk(fd, "qSupported:swbreak+") != NULL && reaches(&m.opens, 5), "a new client on a stopped machine");
	close(fd);
	tap_ok(reaches(&m.closes, 5), "every session was closed");
	machine_end();
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/gdb.sock", dir);
	test_stdio(false);
	test_stdio(true);
	test_unix();
	test_stale();
	test_clients();
	test_no_reader();
	test_half_said();
	test_end();
	test_device();
	rmdir(dir);
	return tap_done();
}
