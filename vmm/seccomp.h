/*
 * Filters for system calls, built by hand: Linux, Documentation/userspace-api/seccomp_filter.rst. Calls are named as
 * the kernel names them; a name that this ISA does not have is passed over, so one list serves both.
 */
#ifndef VMM_SECCOMP_H
#define VMM_SECCOMP_H

#include <stddef.h>
#include <stdint.h>

/*
 * These calls may be made: with any arguments if mask is 0, else where (argument arg & mask) == value; a further rule
 * for the same call allows more. The first rules cost least. error: they are not made, and give that errno.
 */
struct seccomp_rule {
	const char *calls; /* "read write" */
	unsigned arg;
	uint32_t mask, value;
	int error;
};

/*
 * From now on this thread, and those that it makes, may only call what the rules allow, and never again more. All else
 * raises SIGSYS (fatal where that is blocked), except that calls newer than those known to this build give ENOSYS: a C
 * library that knows them knows how to do without. 0, or -errno: -EINVAL or -ENOSYS is a kernel without such filters.
 * The process must have no new privileges. Any thread.
 */
int seccomp_enter(const struct seccomp_rule *rules, size_t n);

/* "openat", or NULL. Async-signal-safe. */
const char *seccomp_call_name(int number);

#endif
