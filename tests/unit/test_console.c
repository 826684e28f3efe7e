/*
 * The console with everything it can be connected to but the standard streams: nothing lost, nobody blocked, nothing
 * left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "devices/uart16550.h"
#include "tests/unit/capture.h"
#include "tests/unit/console_guest.h"

/* Everything happens in a folder of its own, by names relative to it: a socket's path has to be short. */
static char *dir;

static bool enter_folder(void)
{
	const char *build = getenv("BUILD");

	if (asprintf(&dir, "%s%s/console.XXXXXX", build ? build : "/tmp", build ? "/tests" : "") < 0)
		return false;
	return mkdtemp(dir) && !chdir(dir);
}

static const char *spec(const char *kind, const char *name)
{
	static char text[100];

	snprintf(text, sizeof(text), "%s:%s", kind, name);
	return text;
}

static int dial(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", name);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *guest_sender(void *arg)
{
	guest_send(arg, BIG);
	return NULL;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* CPU time, not wall time: a thread that spins uses all of it, one that sleeps next to none, on any machine. */
static bool idle_sleeps(void)
{
	double before = cpu_seconds();

	usleep(300000);
	return cpu_seconds() - before < 0.1;
}

/* ---- null, file, what cannot be opened ---- */

static void test_null(void)
{
	struct guest g;

	tap_ok(guest_open(&g, "null") == 0, "null opens");
	guest_send(&g, 200000);
	guest_close(&g);
	tap_ok(true, "and takes everything");
}

static void test_file(void)
{
	uint8_t *buf = malloc(BIG + 1);
	struct guest g;
	FILE *f;

	tap_ok(guest_open(&g, spec("file", "log")) == 0, "file opens");
	guest_send(&g, BIG);
	guest_close(&g);
	f = fopen("log", "rb");
	tap_is_u64(f ? fread(buf, 1, BIG + 1, f) : 0, BIG, "file: all of it is there after the end");
	tap_ok(is_pattern(buf, BIG, 0), "file: and right");
	if (f)
		fclose(f);
	free(buf);
}

static void test_flush(void)
{
	unsigned late = 0;
	struct stat st;
	struct guest g;

	guest_open(&g, spec("file", "flushed"));
	for (int i = 1; i <= 200; i++) {
		guest_say(&g, "word\n");
		console_flush(g.console);
		late += stat("flushed", &st) || st.st_size != i * 5;
	}
	tap_is_u64(late, 0, "flush: what was written is in the file, 200 times");
	guest_close(&g);
}

static void refuse(const char *what, const char *with, int err, const char *names)
{
	static struct capture cap;
	struct guest g;
	const char *text;
	int got;

	capture_start(&cap, STDERR_FILENO);
	got = guest_open(&g, what);
	text = capture_end(&cap);
	tap_ok(got == err, "%s: refused with %d (%d)", with, err, got);
	tap_ok(!g.console && strstr(text, names) && strchr(text, '\n') == text + strlen(text) - 1,
		"%s: one line that says why", with);
}

static void test_refused(void)
{
	char longpath[200];
	int fd;

	refuse("serial:/dev/null", "an unknown kind", -EINVAL, "expected stdio");
	refuse("file:", "an empty path", -EINVAL, "file:PATH");
	refuse("file:/nonexistent/log", "a missing folder", -ENOENT, "/nonexistent/log");
	refuse("file:/", "a folder", -EISDIR, "/");
	memset(longpath, 'x', sizeof(longpath));
	memcpy(longpath, "unix:/", 6);
	longpath[sizeof(longpath) - 1] = '\0';
	refuse(longpath, "a long path", -ENAMETOOLONG, "1 to 107 characters");
	refuse("unix:/nonexistent/s", "a socket in a missing folder", -ENOENT, "/nonexistent/s");
	fd = open("plain", O_CREAT | O_WRONLY, 0600);
	close(fd);
	refuse(spec("unix", "plain"), "a file where the socket should be", -EEXIST, "is no socket");
	tap_ok(!access("plain", F_OK), "which is left alone");
}

/* ---- unix ---- */

static void test_unix_basic(void)
{
	uint8_t *buf = malloc(BIG);
	struct stat st;
	struct guest g;
	int a, b;

	tap_ok(guest_open(&g, spec("unix", "s")) == 0, "unix opens");
	tap_ok(!stat("s", &st) && (st.st_mode & 07777) == 0600, "its socket has mode 0600");
	refuse(spec("unix", "s"), "a socket in use", -EADDRINUSE, "another program listens there");
	guest_send(&g, 100000);
	tap_ok(true, "a guest without a client is not held up");
	a = dial("s");
	tap_ok(a >= 0 && read_all(a, buf, 65536), "a client is shown the last 64 KiB");
	tap_ok(is_pattern(buf, 65536, 100000 - 65536), "which are the last");
	b = dial("s");
	tap_ok(read_until(b, "another client\r\n") && read(b, buf, 1) == 0, "a second client is refused and told so");
	close(b);
	guest_say(&g, "hello");
	tap_ok(read_all(a, buf, 5) && !memcmp(buf, "hello", 5), "the first does not notice");
	tap_ok(write(a, "input", 5) == 5, "input");
	guest_receive(&g, 5, 5);
	tap_is_mem(g.in, "input", 5, "arrives");
	tap_ok(idle_sleeps(), "an idle console sleeps");

	close(a);
	guest_send(&g, 200000);
	tap_ok(true, "after it has gone the guest is not held up");
	a = dial("s");
	tap_ok(read_all(a, buf, 65536), "the next client gets the last 64 KiB");
	shutdown(a, SHUT_WR);
	guest_say(&g, "still");
	while (buf[0] != 'l' && read_all(a, buf, 1))
		;
	tap_ok(buf[0] == 'l', "a client that closed its sending side still reads");
	tap_ok(idle_sleeps(), "and does not make it spin");
	guest_say(&g, "the last words");
	guest_close(&g);
	tap_ok(read_until(a, "the last words"), "what was written before the end arrives");
	tap_ok(read(a, buf, 1) == 0, "then the end");
	close(a);
	tap_ok(stat("s", &st) && errno == ENOENT, "the socket is gone");
	free(buf);
}

static void test_unix_stale(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct guest g;

	strcpy(addr.sun_path, "stale");
	bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	listen(fd, 1);
	close(fd);
	tap_ok(!access(addr.sun_path, F_OK) && guest_open(&g, spec("unix", "stale")) == 0,
		"a stale socket is replaced");
	unlink(addr.sun_path);
	fd = open(addr.sun_path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	guest_close(&g);
	tap_ok(!access(addr.sun_path, F_OK), "somebody else's file in its place is left alone");
}

/* Both directions at once, a guest that takes 16 bytes at a time. */
static void test_unix_full_speed(void)
{
	uint8_t *buf = malloc(BIG);
	pthread_t sender, writer;
	struct guest g;
	int fd;

	guest_open(&g, spec("unix", "fast"));
	guest_set_room(&g, 16);
	fd = dial("fast");
	/* Whatever is sent before the client is there may be dropped: wait for it. */
	tap_ok(write(fd, "!", 1) == 1, "client");
	guest_receive(&g, 1, 16);
	pthread_mutex_lock(&g.lock);
	g.in_len = 0;
	pthread_mutex_unlock(&g.lock);
	pthread_create(&sender, NULL, guest_sender, &g);
	pthread_create(&writer, NULL, host_writer, &(struct stream){.fd = fd, .n = BIG});
	tap_ok(read_all(fd, buf, BIG) && is_pattern(buf, BIG, 0), "1 MiB out: every byte");
	guest_receive(&g, BIG, 16);
	tap_ok(g.in_len == BIG && is_pattern(g.in, BIG, 0), "1 MiB in, 16 bytes at a time: every byte");
	pthread_join(sender, NULL);
	pthread_join(writer, NULL);
	close(fd);
	guest_close(&g);
	free(buf);
}

/* A client that is there and does not read: busy, then dropped, then served again. */
/* Reads until this has come, in one piece or in several. */
static bool reads_to(int fd, const char *text)
{
	size_t n = strlen(text), have = 0;
	char buf[4096];
	ssize_t got;

	while ((got = read(fd, buf + have, sizeof(buf) - have)) > 0) {
		have += (size_t)got;
		if (memmem(buf, have, text, n))
			return true;
		if (have >= n) {
			memmove(buf, buf + have - (n - 1), n - 1);
			have = n - 1;
		}
	}
	return false;
}

static void test_stalled_reader(void)
{
	uint8_t *buf = malloc(BIG);
	pthread_t sender;
	struct guest g;
	size_t n = 0;
	int fd;

	guest_open(&g, spec("unix", "slow"));
	fd = dial("slow");
	tap_ok(write(fd, "!", 1) == 1, "a client that does not read");
	guest_receive(&g, 1, 1);
	while (n < 16 * BIG && g.back.write(g.back.ctx, 'x'))
		n++;
	tap_ok(n < 16 * BIG, "fills the ring: busy");
	/* The socket may have had room for some more rounds of that; after them it is the stall that ends the wait. */
	for (int round = 1; round < 100; round++) {
		pthread_mutex_lock(&g.lock);
		while (g.drained < round)
			pthread_cond_wait(&g.changed, &g.lock);
		pthread_mutex_unlock(&g.lock);
		for (n = 0; n < BIG && g.back.write(g.back.ctx, 'y'); n++)
			;
		if (n == BIG)
			break;
	}
	tap_is_u64(n, BIG, "after a while the guest is told to go on, and is not held up any more");
	tap_ok(idle_sleeps(), "meanwhile the console sleeps");
	console_flush(g.console);
	tap_ok(true, "flushing does not wait for such a reader");
	guest_say(&g, "END");
	tap_ok(true, "its newest output is kept");
	tap_ok(reads_to(fd, "END"), "a reader that comes back gets it");
	/*
	 * The console's thread need not know yet that it is back: it looks up after some chunks, of which each byte
	 * that is waited for is one.
	 */
	for (int i = 0; i < 64; i++) {
		guest_say(&g, "!");
		reads_to(fd, "!");
	}
	/* And refusing works as before. */
	pthread_create(&sender, NULL, guest_sender, &g);
	tap_ok(read_all(fd, buf, BIG) && is_pattern(buf, BIG, 0), "and all that follows");
	pthread_join(sender, NULL);
	free(buf);
	while (g.back.write(g.back.ctx, 'w'))
		;
	guest_close(&g);
	tap_ok(true, "closing on a reader that does not read ends");
	close(fd);
}

/* What the transmitter still holds when its machine is taken apart. */
static void *late_reader(void *arg)
{
	struct stream *s = arg;
	uint8_t buf[4096];
	ssize_t got;

	usleep(50000); /* the other one waits by then, most likely */
	while ((got = read(s->fd, buf, sizeof(buf))) > 0)
		s->n += (size_t)got;
	return NULL;
}

static void test_disconnect(void)
{
	struct stream s = {0};
	pthread_t reader;
	struct guest g;
	size_t n = 0;
	int before;

	guest_open(&g, spec("unix", "last"));
	s.fd = dial("last");
	tap_ok(write(s.fd, "!", 1) == 1, "a client that reads late");
	guest_receive(&g, 1, 1);
	/* The thread goes on filling the socket's own buffer for a while; a refusal that stays is what is wanted. */
	for (int refused = -1; refused != guest_drained_count(&g);) {
		refused = guest_drained_count(&g);
		while (g.back.write(g.back.ctx, 'x'))
			n++;
		usleep(20000);
	}
	pthread_create(&reader, NULL, late_reader, &s);
	before = guest_drained_count(&g);
	console_disconnect(g.console);
	tap_ok(guest_drained_count(&g) > before, "a transmitter that was refused is served before it is disconnected");
	guest_close(&g);
	pthread_join(reader, NULL);
	tap_is_u64(s.n, n, "and its reader has got everything");
	close(s.fd);
}

/* ---- pty ---- */

static void test_pty(void)
{
	static struct capture cap;
	char name[64] = "";
	uint8_t *buf = malloc(BIG);
	struct guest g;
	const char *text;
	int fd, err;

	capture_start(&cap, STDERR_FILENO);
	err = guest_open(&g, "pty");
	text = capture_end(&cap);
	tap_ok(!err && sscanf(text, "serial: %60s", name) == 1, "pty opens and says where: %s", text);
	guest_send(&g, 200000);
	tap_ok(true, "nobody there: the guest is not held up");
	tap_ok(idle_sleeps(), "nor does the console spin");
	fd = open(name, O_RDWR | O_NOCTTY);
	tap_ok(read_all(fd, buf, 65536) && is_pattern(buf, 65536, 200000 - 65536),
		"who opens it is shown the last 64 KiB");
	tap_ok(write(fd, "\x01\x03x\r\n", 5) == 5, "input");
	guest_receive(&g, 5, 5);
	tap_is_mem(g.in, "\x01\x03x\r\n", 5, "arrives as it is, no escape key");
	tap_ok(idle_sleeps(), "idle");
	write(fd, "bye", 3);
	close(fd);
	guest_receive(&g, 8, 3);
	tap_is_mem(g.in + 5, "bye", 3, "what was typed last before it was closed arrives");
	guest_send(&g, 70000);
	tap_ok(idle_sleeps(), "closed again: no spin");
	fd = open(name, O_RDWR | O_NOCTTY);
	tap_ok(read_all(fd, buf, 65536), "opened again");
	guest_say(&g, "the end");
	tap_ok(read_until(fd, "the end"), "and served again");
	close(fd);
	guest_close(&g);
	free(buf);
}

/* ---- a real UART between two vCPU threads and a socket ---- */

#define UART_BYTES (BIG / 4)

struct machine {
	struct bus bus;
	struct uart16550 *uart;
	atomic_int irq;
	uint8_t *in;
};

static void machine_irq(void *ctx, unsigned irq, int level)
{
	(void)irq;
	atomic_store(&((struct machine *)ctx)->irq, level);
}

static uint8_t inb(struct machine *m, unsigned reg)
{
	uint8_t v;

	bus_read(&m->bus, reg, 1, &v);
	return v;
}

static void *vcpu_sender(void *arg)
{
	struct machine *m = arg;

	for (size_t i = 0; i < UART_BYTES;) {
		if (!(inb(m, 5) & 0x20)) {
			sched_yield();
			continue;
		}
		for (int burst = 0; burst < 16 && i < UART_BYTES; burst++, i++) {
			uint8_t byte = pattern(i);

			bus_write(&m->bus, 0, 1, &byte);
		}
	}
	return NULL;
}

/* By interrupts, as Linux does: IIR until it is empty, and all that LSR shows. */
static void *vcpu_receiver(void *arg)
{
	struct machine *m = arg;
	size_t n = 0;

	while (n < UART_BYTES) {
		if (!atomic_load(&m->irq)) {
			sched_yield();
			continue;
		}
		while (!(inb(m, 2) & 1))
			while (n < UART_BYTES && (inb(m, 5) & 1))
				m->in[n++] = inb(m, 0);
	}
	return NULL;
}

static void test_uart(void)
{
	struct console_hooks hooks = {.quit = NULL};
	struct machine m = {.in = malloc(UART_BYTES)};
	struct irq_line irq = {.set = machine_irq, .ctx = &m, .irq = 4};
	uint8_t *buf = malloc(UART_BYTES);
	pthread_t sender, receiver, writer;
	struct char_frontend front;
	struct char_backend back;
	struct console *console;
	int fd;

	tap_ok(console_open(&console, spec("unix", "uart"), &hooks) == 0, "a UART on a socket");
	back = console_backend(console);
	m.uart = uart16550_new(&irq, &back);
	front = uart16550_frontend(m.uart);
	uart16550_add(m.uart, &m.bus, 0);
	console_connect(console, &front);
	console_start(console);
	fd = dial("uart");
	pthread_create(&writer, NULL, host_writer, &(struct stream){.fd = fd, .n = UART_BYTES});
	usleep(20000);
	bus_write(&m.bus, 2, 1, "\xc7");
	bus_write(&m.bus, 4, 1, "\x0b");
	bus_write(&m.bus, 1, 1, "\x01");
	while (!atomic_load(&m.irq))
		sched_yield();
	pthread_create(&sender, NULL, vcpu_sender, &m);
	pthread_create(&receiver, NULL, vcpu_receiver, &m);
	tap_ok(read_all(fd, buf, UART_BYTES) && is_pattern(buf, UART_BYTES, 0), "256 KiB through it: every byte");
	pthread_join(sender, NULL);
	pthread_join(receiver, NULL);
	pthread_join(writer, NULL);
	tap_ok(is_pattern(m.in, UART_BYTES, 0), "256 KiB into it at the same time, from before its set-up: every byte");
	console_close(console);
	uart16550_free(m.uart);
	close(fd);
	free(buf);
	free(m.in);
}

int main(void)
{
	alarm(2 * LIMIT_S);
	signal(SIGPIPE, SIG_IGN);
	if (!enter_folder())
		return 1;
	test_null();
	test_file();
	test_flush();
	test_refused();
	test_unix_basic();
	test_unix_stale();
	test_unix_full_speed();
	test_stalled_reader();
	test_disconnect();
	test_pty();
	test_uart();
	unlink("log");
	unlink("flushed");
	unlink("plain");
	unlink("stale");
	tap_ok(!rmdir(dir), "nothing is left behind");
	free(dir);
	return tap_done();
}
