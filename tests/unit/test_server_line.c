/* The names of lines: those that cannot be opened, and what is said about them; TCP with and without a host. */
#include <fcntl.h>
#include <netinet/in.h>

#include "tests/unit/capture.h"
#include "tests/unit/server_driver.h"

static char dir[] = "/tmp/minivmm-line-XXXXXX";

/* ---- lines that cannot be opened ---- */

static void refuse(const char *spec, const char *says)
{
	struct gdb_service service = machine_init();
	struct gdb_server *srv = NULL;
	struct capture c;
	const char *text;
	int err;

	capture_start(&c, STDERR_FILENO);
	err = gdb_server_open(&srv, spec, &service);
	text = capture_end(&c);
	if (!tap_ok(err < 0 && strstr(text, says) && strchr(text, '\n') == strrchr(text, '\n'), "refused: %.40s", spec))
		tap_diag("%d: %s", err, text);
	if (!err)
		gdb_server_close(srv);
	close(m.event_fd);
}

static void test_bad_lines(void)
{
	char spec[256];

	refuse("tcp:", "port from 1 to 65535");
	refuse(":", "port from 1 to 65535");
	refuse(":0", "port from 1 to 65535");
	refuse(":123456", "port from 1 to 65535");
	refuse("tcp:0", "port from 1 to 65535");
	refuse("tcp:65536", "port from 1 to 65535");
	refuse("tcp:99999999999999999999", "port from 1 to 65535");
	refuse("tcp:-1", "port from 1 to 65535");
	refuse("tcp:12x", "port from 1 to 65535");
	refuse("tcp:127.0.0.1:", "port from 1 to 65535");
	refuse("tcp:example.org:1", "numeric address");
	refuse("tcp:300.0.0.1:1", "numeric address");
	refuse("tcp:[::1:1", "numeric address");
	refuse("chardev:/nonexistent/tty", "No such file");
	refuse("chardev:/", "directory");
	refuse("", "1 to 107 characters");
	memset(spec, 'x', sizeof(spec) - 1);
	spec[sizeof(spec) - 1] = '\0';
	refuse(spec, "1 to 107 characters");
	snprintf(spec, sizeof(spec), "%s/none/sock", dir);
	refuse(spec, "no such folder");
	snprintf(spec, sizeof(spec), "%s/file", dir);
	close(open(spec, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	refuse(spec, "no socket");
	tap_ok(!access(spec, F_OK), "the file is still there");
	unlink(spec);
	snprintf(spec, sizeof(spec), "chardev:%s/file", dir);
	close(open(spec + 8, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	refuse(spec, "no character device");
	unlink(spec + 8);
}

/* ---- TCP ---- */

static int tcp_client(int family, unsigned port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr = in6addr_loopback;
	if (family == AF_INET)
		err = connect(fd, (struct sockaddr *)&v4, sizeof(v4));
	else
		err = connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	if (err < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&addr, len) < 0 || getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		abort();
	close(fd);
	return ntohs(addr.sin_port);
}

static void test_tcp_spec(const char *format, int family)
{
	char spec[64];
	bool up = false;
	unsigned port = 0;
	int fd;

	for (int i = 0; i < 5 && !up; i++) {
		port = free_port();
		snprintf(spec, sizeof(spec), format, port);
		up = machine_start(spec);
	}
	if (!tap_ok(up, "listening on %s", format))
		return;
	fd = tcp_client(family, port);
	tap_is_str(talk(fd, "?"), STOPPED, "and answering");
	tap_is_str(talk(fd, "D"), "OK", "also the last packet");
	close(fd);
	fd = tcp_client(family, port);
	tap_is_str(talk(fd, "?"), STOPPED, "and the next client");
	close(fd);
	machine_end();
}

static void test_tcp(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	bool has_v6;

	test_tcp_spec("tcp:%u", AF_INET);
	test_tcp_spec(":%u", AF_INET);
	test_tcp_spec("tcp:127.0.0.1:%u", AF_INET);
	test_tcp_spec("tcp:localhost:%u", AF_INET);
	v6.sin6_addr = in6addr_loopback;
	has_v6 = fd >= 0 && !bind(fd, (struct sockaddr *)&v6, sizeof(v6));
	close(fd);
	if (has_v6)
		test_tcp_spec("tcp:[::1]:%u", AF_INET6);
	else
		tap_skip("IPv6 loopback", "listening on tcp:[::1]:PORT");
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	test_bad_lines();
	test_tcp();
	rmdir(dir);
	return tap_done();
}
