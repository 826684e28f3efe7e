#include "vmm/inherited.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT_MAX   64
#define OLD_KERNEL 1024 /* without close_range() (Linux 5.9) those below this are closed */

static unsigned kept[KEPT_MAX];
static size_t nkept;

static void keep(unsigned long fd)
{
	if (nkept < KEPT_MAX && fd < 1u << 30)
		kept[nkept++] = (unsigned)fd;
}

void inherited_keep(int argc, char **argv)
{
	static const char folder[] = "/fd/"; /* of /dev, of /proc/self, of /proc/NUMBER */

	for (int i = 1; i < argc; i++) {
		for (const char *at = argv[i]; (at = strstr(at, folder)) != NULL;) {
			at += strlen(folder);
			if (*at >= '0' && *at <= '9')
				keep(strtoul(at, NULL, 10));
		}
		if (strstr(argv[i], "/dev/stdin"))
			keep(STDIN_FILENO);
	}
}

static bool is_kept(unsigned fd)
{
	for (size_t i = 0; i < nkept; i++)
		if (kept[i] == fd)
			return true;
	return false;
}

/* The first that is kept, of those from fd on. */
static unsigned next_kept(unsigned fd)
{
	unsigned next = ~0U;

	for (size_t i = 0; i < nkept; i++)
		if (kept[i] >= fd && kept[i] < next)
			next = kept[i];
	return next;
}

static void close_between(unsigned first, unsigned last)
{
	if (!syscall(SYS_close_range, first, last, 0))
		return;
	for (unsigned fd = first; fd <= last && fd < OLD_KERNEL; fd++)
		close((int)fd);
}

void inherited_close(void)
{
	for (unsigned fd = STDERR_FILENO + 1;; fd++) {
		unsigned next = next_kept(fd);

		if (next > fd)
			close_between(fd, next - 1);
		if (next == ~0U)
			return;
		fd = next;
	}
}

void inherited_leave(int but)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (!is_kept((unsigned)fd) && (null < 0 || dup2(null, fd) < 0))
			close(fd);
	keep((unsigned)but);
	inherited_close();
}
