#include "vmm/landlock.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same on every ISA. */
#define NR_CREATE_RULESET 444
#define NR_RESTRICT_SELF  446

#define CREATE_RULESET_VERSION 1

struct ruleset {
	uint64_t fs;
	uint64_t net;	 /* since ABI 4 */
	uint64_t scoped; /* since ABI 6 */
};

#define RIGHTS(n) ((1ULL << (n)) - 1) /* the first n that there are */

/* What each version has brought: how many rights of each kind it has, newest first. */
static const struct {
	int abi;
	size_t size;
	struct ruleset all;
} versions[] = {
	{6, sizeof(struct ruleset), {RIGHTS(16), RIGHTS(2), RIGHTS(2)}},
	{5, offsetof(struct ruleset, scoped), {RIGHTS(16), RIGHTS(2), 0}},
	{4, offsetof(struct ruleset, scoped), {RIGHTS(15), RIGHTS(2), 0}},
	{3, offsetof(struct ruleset, net), {RIGHTS(15), 0, 0}},
	{2, offsetof(struct ruleset, net), {RIGHTS(14), 0, 0}},
	{1, offsetof(struct ruleset, net), {RIGHTS(13), 0, 0}},
};

static int restrict_to(const struct ruleset *r, size_t size)
{
	int fd = (int)syscall(NR_CREATE_RULESET, r, size, 0);
	long err;

	if (fd < 0)
		return -1;
	err = syscall(NR_RESTRICT_SELF, fd, 0);
	close(fd);
	return err ? -1 : 0;
}

int landlock_enter(uint64_t except)
{
	int abi = (int)syscall(NR_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		struct ruleset r = versions[i].all;

		if (abi < versions[i].abi)
			continue;
		r.fs &= ~except;
		return restrict_to(&r, versions[i].size) ? 0 : abi;
	}
	return 0;
}
