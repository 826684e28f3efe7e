/*
 * How long a stub's operations take, seen by a client that does nothing else: a line "NAME VALUE" for each, on stdout.
 *
 *	rsp_bench stub SOCKET CODE END BULK BYTES	the stub behind a unix socket; its machine runs guests/tests'
 *							bench, whose straight code is [CODE, END), and has BYTES of
 *							memory at BULK
 *	rsp_bench kvm					one step by KVM_RUN itself, without any stub
 *
 * Times are medians of single operations in microseconds; rates are MiB/s of guest memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS	    1000
#define ROOM	    (4 << 20)
#define BULK_PASSES 5
#define CHUNK_MAX   (1 << 20)

static void die(const char *what)
{
	fprintf(stderr, "rsp_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void give_up(const char *what, const char *packet)
{
	fprintf(stderr, "rsp_bench: %s: %.80s\n", what, packet);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *t, int n)
{
	qsort(t, (size_t)n, sizeof(*t), by_value);
	return t[n / 2];
}

/* ---- the protocol ---- */

static int line_fd;
static bool acks = true, binary_reads;
static size_t packet_size = 400;
static char in[ROOM];

static void send_all(const char *data, size_t n)
{
	while (n) {
		ssize_t done = write(line_fd, data, n);

		if (done < 0)
			die("write");
		data += done;
		n -= (size_t)done;
	}
}

/* The next packet's payload; acks are skipped. The checksum is trusted: it costs both peers' client the same. */
static size_t receive(char **payload)
{
	size_t n = 0;
	char *begin = NULL, *end = NULL;

	for (;;) {
		ssize_t done = read(line_fd, in + n, sizeof(in) - 1 - n);
		size_t from = n;

		if (done <= 0)
			die("the stub hung up");
		n += (size_t)done;
		if (!begin) {
			begin = memchr(in, '$', n);
			from = begin ? (size_t)(begin - in) : n;
		}
		if (begin && !end)
			end = memchr(in + from, '#', n - from);
		if (end && end + 3 <= in + n)
			break;
	}
	if (acks)
		send_all("+", 1);
	*end = '\0';
	*payload = begin + 1;
	return (size_t)(end - begin - 1);
}

static size_t ask(const char *packet, char **payload)
{
	char out[2048];
	unsigned sum = 0;
	int n;

	for (const char *c = packet; *c; c++)
		sum += (unsigned char)*c;
	n = snprintf(out, sizeof(out), "$%s#%02x", packet, sum & 0xff);
	send_all(out, (size_t)n);
	return receive(payload);
}

static void expect(const char *packet, const char *reply)
{
	char *got;

	ask(packet, &got);
	if (strncmp(got, reply, strlen(reply)) != 0)
		give_up(packet, got);
}

/* Run lengths undone, in place; for short packets. GDB manual, "Overview" of the protocol. */
static void expand(char *text, size_t n)
{
	char plain[4096];
	size_t len = 0;

	for (size_t i = 0; i < n && len + 128 < sizeof(plain); i++) {
		if (text[i] == '*' && len && i + 1 < n) {
			int more = (unsigned char)text[++i] - 29;

			memset(plain + len, plain[len - 1], (size_t)more);
			len += (size_t)more;
		} else {
			plain[len++] = text[i];
		}
	}
	memcpy(text, plain, len);
	text[len] = '\0';
}

static void hello(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char *got, *size;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	line_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (line_fd < 0 || connect(line_fd, (struct sockaddr *)&sa, sizeof(sa)))
		die(path);
	ask("qSupported:swbreak+;hwbreak+;vContSupported+;binary-upload+;xmlRegisters=i386", &got);
	expand(got, strlen(got));
	size = strstr(got, "PacketSize=");
	if (size)
		packet_size = strtoul(size + 11, NULL, 16);
	binary_reads = strstr(got, "binary-upload+") != NULL;
	if (strstr(got, "QStartNoAckMode+")) {
		expect("QStartNoAckMode", "OK");
		acks = false;
	}
	expect("?", "T");
	expect("Hg1", "OK");
}

/* ---- what is measured ---- */

static double times[ROUNDS];

static void timed(const char *name, const char *packet, const char *second)
{
	char *got;

	for (int i = -ROUNDS / 10; i < ROUNDS; i++) {
		double begin = now();

		ask(packet, &got);
		if (second)
			ask(second, &got);
		if (i >= 0)
			times[i] = now() - begin;
		if (got[0] == 'E' || !got[0])
			give_up(packet, got);
	}
	printf("%s %.3f\n", name, median(times, ROUNDS) * 1e6);
}

static void go_to(unsigned long addr)
{
	char packet[64];

	snprintf(packet, sizeof(packet), "Z1,%lx,1", addr);
	expect(packet, "OK");
	expect("vCont;c", "T05");
	packet[0] = 'z';
	expect(packet, "OK");
}

/* A round: a step off the breakpoint, and all the way round the loop to it again would cost the guest's time as well;
 * so the breakpoint is on the next instruction but one. */
static void breakpoint_round(unsigned long code)
{
	char insert[64], remove[64];

	for (int i = 0; i < ROUNDS; i++) {
		unsigned long at = code + (unsigned long)i * 2 + 2;
		double begin;

		snprintf(insert, sizeof(insert), "Z1,%lx,1", at);
		snprintf(remove, sizeof(remove), "z1,%lx,1", at);
		begin = now();
		expect("vCont;s:1", "T05");
		expect(insert, "OK");
		expect("vCont;c", "T05");
		expect(remove, "OK");
		times[i] = now() - begin;
	}
	printf("breakpoint %.3f\n", median(times, ROUNDS) * 1e6);
}

static void range_step(unsigned long code, unsigned long end)
{
	unsigned long steps = end - code;
	char packet[64], *got;
	double begin;

	snprintf(packet, sizeof(packet), "vCont;r%lx,%lx:1", code, end);
	begin = now();
	ask(packet, &got);
	if (got[0] != 'T')
		give_up(packet, got);
	printf("range-step %.3f\n", (now() - begin) / (double)steps * 1e6);
}

/* Memory that no run-length coding makes shorter. */
static void fill(unsigned long addr, size_t bytes)
{
	const size_t chunk = 512;
	unsigned seed = 1;
	char packet[64 + 2 * 512];

	for (size_t at = 0; at < bytes; at += chunk) {
		size_t n = (size_t)snprintf(packet, sizeof(packet), "M%lx,%zx:", addr + at, chunk);

		for (size_t i = 0; i < 2 * chunk; i++) {
			seed = seed * 1664525 + 1013904223;
			packet[n++] = "0123456789abcdef"[seed >> 28];
		}
		packet[n] = '\0';
		expect(packet, "OK");
	}
}

static void bulk(const char *name, const char *format, unsigned long addr, size_t bytes, size_t chunk)
{
	double best = 0;

	for (int pass = 0; pass < BULK_PASSES; pass++) {
		double begin = now(), rate;

		for (size_t at = 0; at < bytes; at += chunk) {
			char packet[64], *got;

			snprintf(packet, sizeof(packet), format, addr + at, at + chunk < bytes ? chunk : bytes - at);
			if (ask(packet, &got) < chunk && at + chunk < bytes)
				give_up(packet, got);
		}
		rate = (double)bytes / (now() - begin) / (1 << 20);
		if (rate > best)
			best = rate;
	}
	printf("%s %.1f\n", name, best);
}

static void stub(char **argv)
{
	unsigned long code = strtoul(argv[1], NULL, 16), end = strtoul(argv[2], NULL, 16),
		      mem = strtoul(argv[3], NULL, 16), bytes = strtoul(argv[4], NULL, 16);
	char *got, small[64];
	size_t chunk;

	hello(argv[0]);
	go_to(code);
	snprintf(small, sizeof(small), "m%lx,4", mem);
	timed("g", "g", NULL);
	timed("m4", small, NULL);
	timed("step", "vCont;s:1", NULL);
	timed("step+g", "vCont;s:1", "g");
	go_to(code);
	breakpoint_round(code);
	ask("vCont?", &got);
	if (strstr(got, ";r")) {
		go_to(code);
		range_step(code, end);
	}
	fill(mem, bytes);
	/* '$', '#', two digits; hex doubles. */
	chunk = packet_size - 8 < CHUNK_MAX ? packet_size - 8 : CHUNK_MAX;
	bulk("bulk-m", "m%lx,%zx", mem, bytes, chunk / 2 & ~(size_t)15);
	if (binary_reads)
		bulk("bulk-x", "x%lx,%zx", mem, bytes, chunk & ~(size_t)15);
	expect("D", "OK");
}

/* ---- the floor: KVM alone ---- */

#define GUEST_SIZE 0x10000

static void checked(int ret, const char *what)
{
	if (ret < 0)
		die(what);
}

static void kvm(void)
{
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu, size;
	uint8_t *code = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {.memory_size = GUEST_SIZE, .userspace_addr = (uintptr_t)code};
	struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	struct kvm_regs regs = {.rflags = 2};
	struct kvm_sregs sregs;
	struct kvm_run *run;

	checked(kvm_fd, "/dev/kvm");
	if (code == MAP_FAILED)
		die("mmap");
	memset(code, 0x90, GUEST_SIZE);
	checked(vm = ioctl(kvm_fd, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	checked(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	checked(vcpu = ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	checked(size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		die("mmap");
	checked(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	/* Flat 32-bit code without paging, as the guest of the stubs has it. */
	sregs.cs.base = sregs.ds.base = sregs.ss.base = sregs.es.base = 0;
	sregs.cs.limit = sregs.ds.limit = sregs.ss.limit = sregs.es.limit = ~0u;
	sregs.cs.db = sregs.ss.db = sregs.cs.g = sregs.ds.g = sregs.ss.g = sregs.es.g = 1;
	sregs.cs.selector = 0x10;
	sregs.cr0 |= 1;
	checked(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	checked(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	checked(ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug), "KVM_SET_GUEST_DEBUG");
	for (int i = -ROUNDS; i < ROUNDS; i++) {
		double begin = now();

		checked(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
		if (i >= 0)
			times[i] = now() - begin;
		if (run->exit_reason != KVM_EXIT_DEBUG)
			give_up("KVM_RUN", "no step");
	}
	printf("kvm-step %.3f\n", median(times, ROUNDS) * 1e6);
}

int main(int argc, char **argv)
{
	if (argc == 7 && !strcmp(argv[1], "stub"))
		stub(argv + 2);
	else if (argc == 2 && !strcmp(argv[1], "kvm"))
		kvm();
	else
		give_up("usage", "rsp_bench stub SOCKET CODE END BULK BYTES | kvm");
	return 0;
}
