#include "tests/fake/sync.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "vmm/debug_priv.h"

#define SPIN_MAX     2000    /* turns: some microseconds */
#define SLEEP_MAX_NS 1000000 /* rare */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint seed; /* 0: no delays */
static atomic_ulong delays;
static _Atomic(void (*)(enum sync_op, bool)) watcher;

/* Each thread's own. */
static __thread uint32_t root, state;
static __thread unsigned children;

static void announce(unsigned n, const char *what)
{
	printf("# %s by the seed %u (FAKE_DELAYS=%u does it again)\n", what, n, n);
	fflush(stdout);
}

static void read_environment(void)
{
	const char *text = getenv("FAKE_DELAYS");

	if (text && strtoul(text, NULL, 10))
		sync_delay((unsigned)strtoul(text, NULL, 10));
}

unsigned sync_seed(void)
{
	struct timespec ts;
	unsigned n;

	pthread_once(&once, read_environment);
	n = atomic_load(&seed);
	if (!n) {
		clock_gettime(CLOCK_REALTIME, &ts);
		n = ((unsigned)ts.tv_nsec ^ (unsigned)getpid()) % 1000000 + 1;
		announce(n, "choices");
	}
	return n;
}

void sync_delay(unsigned n)
{
	if (atomic_exchange(&seed, n) != n)
		announce(n, "delays");
}

unsigned long sync_delays(void)
{
	return atomic_load(&delays);
}

void sync_watch(void (*hook)(enum sync_op op, bool before))
{
	atomic_store(&watcher, hook);
}

static uint32_t scatter(uint32_t n)
{
	return (n ^ n >> 15) * 2654435761u; /* neighbours come out far apart */
}

/* xorshift32; never 0 */
static uint32_t draw(void)
{
	if (!state)
		state = scatter(root + atomic_load(&seed)) | 1;
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static void pause_a_while(void)
{
	uint32_t r = draw();
	struct timespec ts = {0, (long)(r >> 8) % SLEEP_MAX_NS};

	if (r % 256 == 0)
		nanosleep(&ts, NULL);
	else if (r % 256 < 32)
		sched_yield();
	else if (r % 256 < 64)
		for (uint32_t i = (r >> 8) % SPIN_MAX; i; i--)
			debug_relax();
	else
		return;
	atomic_fetch_add_explicit(&delays, 1, memory_order_relaxed);
}

static void point(enum sync_op op, bool before)
{
	void (*hook)(enum sync_op, bool) = atomic_load_explicit(&watcher, memory_order_relaxed);
	int err = errno;

	pthread_once(&once, read_environment);
	if (hook)
		hook(op, before);
	if (atomic_load_explicit(&seed, memory_order_relaxed))
		pause_a_while();
	errno = err;
}

#define WRAP(op, type, name, params, args)                                                                             \
	type __real_##name params;                                                                                     \
	type __wrap_##name params;                                                                                     \
	type __wrap_##name params                                                                                      \
	{                                                                                                              \
		type ret;                                                                                              \
                                                                                                                       \
		point(op, true);                                                                                       \
		ret = __real_##name args;                                                                              \
		point(op, false);                                                                                      \
		return ret;                                                                                            \
	}

WRAP(SYNC_LOCK, int, pthread_mutex_lock, (pthread_mutex_t * m), (m))
WRAP(SYNC_UNLOCK, int, pthread_mutex_unlock, (pthread_mutex_t * m), (m))
WRAP(SYNC_WAIT, int, pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t *m), (c, m))
WRAP(SYNC_WAIT, int, pthread_cond_timedwait, (pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *until),
	(c, m, until))
WRAP(SYNC_WAKE, int, pthread_cond_signal, (pthread_cond_t * c), (c))
WRAP(SYNC_WAKE, int, pthread_cond_broadcast, (pthread_cond_t * c), (c))
WRAP(SYNC_KICK, int, pthread_kill, (pthread_t t, int sig), (t, sig))
WRAP(SYNC_READ, ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n))
WRAP(SYNC_WRITE, ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n))
WRAP(SYNC_POP, bool, vm_debug_next, (struct vm_debug * d, struct vm_debug_event *ev), (d, ev))

void __real_debug_post_locked(struct vm_debug *d, const struct vm_debug_event *ev);
void __wrap_debug_post_locked(struct vm_debug *d, const struct vm_debug_event *ev);
void __wrap_debug_post_locked(struct vm_debug *d, const struct vm_debug_event *ev)
{
	point(SYNC_PUSH, true);
	__real_debug_post_locked(d, ev);
	point(SYNC_PUSH, false);
}

/* ---- threads: each has a seed of its own ---- */

struct start {
	void *(*fn)(void *);
	void *arg;
	uint32_t root;
};

static void *begin(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	root = s.root;
	return s.fn(s.arg);
}

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct start *s = malloc(sizeof(*s));

	if (!s)
		abort();
	*s = (struct start){.fn = fn, .arg = arg, .root = scatter(root + ++children)};
	return __real_pthread_create(t, attr, begin, s);
}
