/* Unix sockets: their mode, what they replace and what not, and who may connect. */
#include "vmm/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/capture.h"
#include "tests/unit/tap.h"

#define STRANGER 54321
#define OURSELF	 54322

static char dir[] = "/tmp/minivmm-unix-XXXXXX";
static char path[64], other[64];

static struct sockaddr_un address(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", name);
	return addr;
}

/* A socket of somebody else's that is bound there. */
static int bound(int type, bool listens)
{
	struct sockaddr_un addr = address(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || (listens && listen(fd, 1) < 0))
		abort();
	return fd;
}

static int connected(void)
{
	struct sockaddr_un addr = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		abort();
	return fd;
}

static bool one_line(const char *text, const char *says)
{
	return strstr(text, says) && strchr(text, '\n') == text + strlen(text) - 1;
}

/* ---- the file ---- */

static void test_mode(void)
{
	static const mode_t masks[] = {0, 022, 077};
	struct unix_socket s;
	struct stat st = {0};

	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		mode_t old = umask(masks[i]), after;
		int err = unix_socket_open(&s, "test", path);

		after = umask(old);
		tap_ok(!err && !stat(path, &st) && (st.st_mode & 07777) == 0600 && after == masks[i],
			"mode 0600 under umask %03o, which stays", (unsigned)masks[i]);
		unix_socket_close(&s);
		tap_ok(access(path, F_OK) < 0, "and the file goes");
	}
}

static void refused(int want, const char *says, const char *what)
{
	struct unix_socket s;
	struct capture c;
	struct stat before = {0}, after = {0};
	const char *text;
	int err;

	(void)lstat(path, &before);
	capture_start(&c, STDERR_FILENO);
	err = unix_socket_open(&s, "test", path);
	text = capture_end(&c);
	(void)lstat(path, &after);
	tap_ok(err == want && one_line(text, says), "refused: %s: %s", what, text);
	tap_ok(before.st_ino == after.st_ino, "it is left alone");
	unix_socket_close(&s);
}

static void test_in_the_way(void)
{
	struct unix_socket s;
	int fd = bound(SOCK_STREAM, true);

	refused(-EADDRINUSE, "another program listens", "one that is in use");
	close(fd);
	tap_ok(!unix_socket_open(&s, "test", path), "a stale one is replaced");
	unlink(path);
	fd = bound(SOCK_STREAM, true);
	unix_socket_close(&s);
	tap_ok(!access(path, F_OK), "another one in its place is not unlinked");
	close(fd);
	unlink(path);
	fd = bound(SOCK_DGRAM, false);
	refused(-EADDRINUSE, "another program listens", "a socket of another kind, in use");
	close(fd);
	rename(path, other);
	if (symlink(other, path) < 0)
		abort();
	refused(-EEXIST, "no socket", "a link to a stale one");
	unlink(other);
	refused(-EEXIST, "no socket", "a link to nothing");
	unlink(path);
	if (mkfifo(path, 0600) < 0)
		abort();
	refused(-EEXIST, "no socket", "a pipe");
	unlink(path);
	if (mkdir(path, 0700) < 0)
		abort();
	refused(-EEXIST, "no socket", "a folder");
	rmdir(path);
}

/* ---- who connects ---- */

/* A process of that user connects, and leaves when the connection ends: is it accepted? */
static bool is_accepted(struct unix_socket *s, uid_t uid)
{
	pid_t pid = fork();
	int fd, status = -1;
	char c;

	if (!pid)
		_exit(seteuid(0) < 0 || setresuid(uid, uid, uid) < 0 || read(connected(), &c, 1) != 0);
	while ((fd = unix_socket_accept(s)) == -EAGAIN && !waitpid(pid, &status, WNOHANG))
		usleep(1000);
	if (fd < 0)
		return !tap_ok(status == 0, "who is refused gets an end of file");
	close(fd);
	waitpid(pid, &status, 0);
	return true;
}

/* Opened to everybody by its mode. */
static void test_peers(uid_t own)
{
	static struct capture first, soon, later;
	struct unix_socket s;
	bool in;

	if (chmod(dir, 0777) < 0 || seteuid(own) < 0)
		abort();
	tap_ok(!unix_socket_open(&s, "test", path) && !chmod(path, 0666), "a socket of uid %u", (unsigned)own);
	capture_start(&first, STDERR_FILENO);
	in = is_accepted(&s, STRANGER);
	tap_ok(one_line(capture_end(&first), "the user with uid 54321") && !in, "another user is refused: %s",
		first.text);
	s.told_ms += 3600 * 1000; /* as if it had been just now */
	capture_start(&soon, STDERR_FILENO);
	in = is_accepted(&s, STRANGER);
	tap_is_str(capture_end(&soon), "", "which does not fill the log");
	tap_ok(!in, "and is refused each time");
	s.told_ms = 1;
	capture_start(&later, STDERR_FILENO);
	in = is_accepted(&s, STRANGER);
	tap_ok(one_line(capture_end(&later), "the user with uid 54321") && !in, "nor is it told only once");
	tap_ok(is_accepted(&s, own), "its own user is accepted");
	tap_ok(is_accepted(&s, 0), "and so is root");
	unix_socket_close(&s);
	if (seteuid(0) < 0)
		abort();
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/socket", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	test_mode();
	test_in_the_way();
	if (geteuid()) {
		tap_skip("root, to be another user", "who may connect");
	} else {
		test_peers(0);
		test_peers(OURSELF);
	}
	rmdir(dir);
	return tap_done();
}
