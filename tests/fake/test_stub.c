/* The whole stub - server, session, vm_debug - over fake vCPUs, with a raw client on a unix socket. Run under TSan. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gdb/target_vm.h"
#include "tests/fake/fake_life.h"
#include "tests/fake/fake_machine.h"
#include "tests/unit/tap.h"

#define SHARED_BP  (FAKE_SHARED + 3)
#define TIMEOUT_MS 20000

struct stub {
	struct fake_machine *m;
	struct target_vm *target;
	struct gdb_server *server;
	char dir[64], path[80];
	int fd; /* the client's end, -1: not connected */
	char in[65536];
	size_t len;
};

/* ---- a raw client: no acks, one packet at a time ---- */

static void client_connect(struct stub *s)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", s->path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&sa, sizeof(sa)))
		tap_ok(false, "connect");
	s->len = 0;
}

static void client_close(struct stub *s)
{
	close(s->fd);
	s->fd = -1;
}

static void send_bytes(struct stub *s, const char *text, size_t n)
{
	if (send(s->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		s->len = 0; /* the reply, or its absence, will tell */
}

static void send_packet(struct stub *s, const char *text)
{
	char buf[256];
	unsigned char sum = 0;
	int n;

	for (const char *p = text; *p; p++)
		sum = (unsigned char)(sum + *p);
	n = snprintf(buf, sizeof(buf), "$%s#%02x", text, sum);
	send_bytes(s, buf, (size_t)n);
}

/* The next packet's text, or NULL on end of file or when none comes. */
static const char *receive(struct stub *s, int timeout_ms)
{
	static char packet[65536];
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	char *start, *end;
	ssize_t n;

	for (;;) {
		start = memchr(s->in, '$', s->len);
		end = start ? memchr(start, '#', s->len - (size_t)(start - s->in)) : NULL;
		if (end && end + 3 <= s->in + s->len) {
			memcpy(packet, start + 1, (size_t)(end - start - 1));
			packet[end - start - 1] = 0;
			s->len -= (size_t)(end + 3 - s->in);
			memmove(s->in, end + 3, s->len);
			return packet;
		}
		if (poll(&p, 1, timeout_ms) != 1)
			return NULL;
		n = recv(s->fd, s->in + s->len, sizeof(s->in) - s->len, 0);
		if (n <= 0)
			return NULL;
		s->len += (size_t)n;
	}
}

static const char *ask(struct stub *s, const char *text)
{
	const char *reply;

	send_packet(s, text);
	reply = receive(s, TIMEOUT_MS);
	return reply ? reply : "(nothing)";
}

static bool is_stop(const char *reply)
{
	return reply[0] == 'T';
}

static int thread_of(const char *reply)
{
	const char *p = strstr(reply, "thread:");

	return p ? (int)strtol(p + 7, NULL, 16) : 0;
}

static void greet(struct stub *s)
{
	ask(s, "qSupported:swbreak+;hwbreak+;vContSupported+");
	ask(s, "QStartNoAckMode");
	send_bytes(s, "+", 1);
}

/* ---- life ---- */

static struct stub *stub_begin(int ncpus, bool delays, void (*start)(struct fake_machine *m))
{
	struct stub *s = calloc(1, sizeof(*s));
	struct gdb_service service;

	s->m = fake_new(ncpus, true, delays);
	s->target = target_vm_new(s->m->debug);
	snprintf(s->dir, sizeof(s->dir), "/tmp/minivmm-stub.XXXXXX");
	if (!mkdtemp(s->dir))
		abort();
	snprintf(s->path, sizeof(s->path), "%s/gdb", s->dir);
	service = target_vm_service(s->target);
	if (gdb_server_open(&s->server, s->path, &service) || gdb_server_start(s->server))
		abort();
	start(s->m);
	client_connect(s);
	greet(s);
	return s;
}

static struct stub *stub_start(int ncpus, bool delays)
{
	return stub_begin(ncpus, delays, fake_start);
}

static void stub_end(struct stub *s)
{
	fake_stop(s->m);
	if (s->fd >= 0)
		client_close(s);
	gdb_server_close(s->server);
	tap_ok(access(s->path, F_OK) != 0, "the socket is gone");
	rmdir(s->dir);
	target_vm_free(s->target);
	fake_free(s->m);
	free(s);
}

/* ---- tests ---- */

static void test_hits(void)
{
	struct stub *s = stub_start(3, true);
	uint64_t hits[3] = {0};
	unsigned bad = 0;
	char z[32];

	snprintf(z, sizeof(z), "Z0,%x,1", SHARED_BP);
	tap_is_str(ask(s, z), "OK", "a breakpoint");
	for (int round = 0; round < 600 && !bad; round++) {
		const char *reply = ask(s, "vCont;c");
		int thread = thread_of(reply);

		bad += !is_stop(reply) || !strstr(reply, "swbreak:;") || thread < 1 || thread > 3;
		if (!bad)
			hits[thread - 1]++;
	}
	tap_is_u64(bad, 0, "600 hits");
	for (int i = 0; i < 3; i++) {
		uint64_t ran = s->m->cpu[i].ran[SHARED_BP];

		tap_ok(hits[i] && (ran == hits[i] || ran + 1 == hits[i]), "cpu %d: reported as often as executed", i);
	}
	stub_end(s);
}

static void test_one_reply_each(void)
{
	struct stub *s = stub_start(2, true);
	unsigned bad = 0;

	for (int round = 0; round < 400 && !bad; round++) {
		send_packet(s, round % 2 ? "vCont;s:1" : "vCont;s:2;c");
		if (round % 3 == 0)
			send_bytes(s, "\x03", 1);
		bad += !is_stop(receive(s, TIMEOUT_MS) ?: "");
		/* A Ctrl-C that came after the stop has no effect; this answer must not be a second stop. */
		bad += strncmp(ask(s, "vCont?"), "vCont;", 6) != 0;
	}
	tap_is_u64(bad, 0, "400 resumes, some with Ctrl-C in flight: one stop reply each");
	stub_end(s);
}

/* A client in a storm of steps sends its one Ctrl-C while it is between two of them. */
static void test_break_between_steps(void)
{
	struct stub *s = stub_start(2, true);
	unsigned bad = 0;

	for (int round = 0; round < 100 && !bad; round++) {
		bad += !is_stop(ask(s, "vCont;s:1"));
		send_bytes(s, "\x03", 1);
		bad += strncmp(ask(s, "vCont;s:1"), "T02", 3) != 0;
		bad += strncmp(ask(s, "vCont;s:1"), "T05", 3) != 0;
	}
	tap_is_u64(bad, 0, "100 times Ctrl-C between two steps: the next step is interrupted, once");
	ask(s, "vCont;s:1");
	send_bytes(s, "\x03", 1);
	tap_ok(!strncmp(ask(s, "vCont;c"), "T02", 3), "so is a continue: a client may pass over a stop without a word");
	stub_end(s);
}

static void test_packet_waits(void)
{
	struct stub *s = stub_start(2, false);

	send_packet(s, "vCont;c");
	send_packet(s, "qC");
	tap_ok(!receive(s, 100), "a packet does not stop a running guest");
	send_bytes(s, "\x03", 1);
	tap_ok(is_stop(receive(s, TIMEOUT_MS) ?: ""), "Ctrl-C does");
	tap_ok(!strncmp(receive(s, TIMEOUT_MS) ?: "", "QC", 2), "then the packet is answered");
	stub_end(s);
}

static void test_dying_clients(void)
{
	static const char *const last[] = {"$vCont;c#a8", "$m1000,1", "$", "$vCont;s:1#", "\x03", "}", "$g#67$g#67"};
	struct stub *s = stub_start(2, true);
	unsigned bad = 0;
	char z[32];

	snprintf(z, sizeof(z), "Z0,%x,1", SHARED_BP);
	for (int round = 0; round < 60 && !bad; round++) {
		const char *text = last[(size_t)round % (sizeof(last) / sizeof(last[0]))];

		bad += strcmp(ask(s, z), "OK") != 0;
		if (round % 4 == 0)
			bad += !is_stop(ask(s, "vCont;c"));
		send_bytes(s, text, strlen(text));
		client_close(s);
		client_connect(s);
		greet(s);
		bad += !is_stop(ask(s, "?"));
		bad += s->m->ram[SHARED_BP] != OP_WORK;
	}
	tap_is_u64(bad, 0, "60 clients that die in the middle of something, each followed by another");
	tap_is_str(ask(s, "D"), "OK", "detach");
	client_close(s);
	usleep(20000);
	tap_ok(s->m->cpu[0].foreign + s->m->cpu[1].foreign == 0, "no breakpoint was left to the guest");
	stub_end(s);
}

static void test_second_client(void)
{
	struct stub *s = stub_start(1, false);
	struct stub other = {.fd = -1};
	const char *reply;

	snprintf(other.path, sizeof(other.path), "%s", s->path);
	client_connect(&other);
	reply = receive(&other, TIMEOUT_MS);
	tap_ok(!reply || reply[0] == 'E', "a second client is refused: %s", reply ? reply : "closed");
	client_close(&other);
	tap_is_str(ask(s, "qC"), "QC1", "the first one notices nothing");
	stub_end(s);
}

static void *exit_soon(void *arg)
{
	struct stub *s = arg;

	usleep(3000);
	vm_debug_exit(s->m->debug, 42);
	return NULL;
}

static void test_exit_in_flight(void)
{
	unsigned bad = 0, ended = 0;

	for (int round = 0; round < 12; round++) {
		struct stub *s = stub_start(2, true);
		const char *reply;
		pthread_t t;

		pthread_create(&t, NULL, exit_soon, s);
		for (int i = 0; i < 100000; i++) {
			send_packet(s, i % 5 ? "vCont;s:1" : "g");
			reply = receive(s, TIMEOUT_MS);
			if (!reply || reply[0] == 'W' || reply[0] == 'E')
				break;
		}
		ended += reply && !strcmp(reply, "W2a");
		bad += reply && reply[0] == 'T';
		pthread_join(t, NULL);
		stub_end(s);
	}
	tap_is_u64(bad, 0, "12 machines that end while packets are in flight");
	tap_ok(ended > 0, "the client is told its status (%u times between a resume and its stop)", ended);
}

/*
 * The machine ends and the stub is closed at once: its client has heard of the end, whatever the stub was doing. With
 * server_finish()'s first line, the pump, behind the closing of the session, 35 of the 40 hear nothing.
 */
static void test_last_word(void)
{
	unsigned bad = 0;

	for (unsigned round = 0; round < 40; round++) {
		struct stub *s = stub_start(2, round % 2);

		send_packet(s, "vCont;c");
		while (!atomic_load(&s->m->cpu[0].inside))
			usleep(50);
		usleep(round * 10);
		vm_debug_exit(s->m->debug, 42);
		gdb_server_close(s->server);
		s->server = NULL;
		bad += strcmp(receive(s, TIMEOUT_MS) ?: "", "W2a") != 0;
		stub_end(s);
	}
	tap_is_u64(bad, 0, "40 ends with the stub closed at once: the client is told");
}

static void test_kill(void)
{
	struct stub *s = stub_start(2, false);

	ask(s, "vKill;1");
	tap_is_u64((uint64_t)atomic_load(&s->m->killed), 1, "kill reaches the machine");
	stub_end(s);
}

/* Extended mode: run, kill, the machine's own ends and restarts, in any order; then the client leaves, and that is all.
 */
static void test_lives(void)
{
	static const char *const ways[] = {"vRun;", "vKill;1", "R00", "D"};
	struct stub *s = stub_begin(3, true, fake_live);
	unsigned bad = 0;
	char z[32];

	snprintf(z, sizeof(z), "Z0,%x,1", SHARED_BP);
	tap_is_str(ask(s, "!"), "OK", "extended mode");
	for (unsigned round = 0; round < 200 && !bad; round++) {
		const char *way = ways[round % 4];

		bad += !is_stop(ask(s, "vRun;"));
		bad += strcmp(ask(s, z), "OK") != 0;
		bad += !strstr(ask(s, "vCont;c"), "swbreak");
		if (round % 3 == 0) {
			send_packet(s, "vCont;c");
			fake_exit(s->m, 42);
			/* or a hit, and then the end meets a stopped machine */
			bad += !receive(s, TIMEOUT_MS);
			bad += !is_stop(ask(s, "vRun;"));
		}
		send_packet(s, way);
		if (way[0] != 'R')
			bad += !receive(s, TIMEOUT_MS);
		bad += ask(s, "?")[0] == '(';
	}
	tap_is_u64(bad, 0, "200 rounds");
	tap_ok(is_stop(ask(s, "vRun;")), "one more life");
	tap_is_str(ask(s, "vKill;1"), "OK", "kill");
	tap_is_str(ask(s, "g"), "E03", "no registers of what is not there");
	client_close(s);
	gdb_server_close(s->server); /* joins its thread, which has seen the client go, or has not */
	target_vm_free(s->target);
	vm_debug_quit(s->m->debug, 14);
	fake_life_ring(s->m, false);
	tap_is_u64((uint64_t)fake_live_end(s->m), 14, "status");
	rmdir(s->dir);
	free(s);
}

int main(void)
{
	test_hits();
	test_one_reply_each();
	test_break_between_steps();
	test_packet_waits();
	test_dying_clients();
	test_second_client();
	test_exit_in_flight();
	test_last_word();
	test_kill();
	test_lives();
	return tap_done();
}
