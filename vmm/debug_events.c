/* What the stub is told: a short queue under the lock, and an eventfd as its doorbell. */
#include "vmm/debug.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "vmm/debug_priv.h"

uint64_t debug_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void debug_post_locked(struct vm_debug *d, const struct vm_debug_event *ev)
{
	unsigned n = atomic_load_explicit(&d->queued, memory_order_relaxed);
	uint64_t one = 1;

	if (n == DEBUG_EVENTS) /* the client has stopped reading; the newest matters most */
		n--;
	d->event[(d->first + n) % DEBUG_EVENTS] = *ev;
	atomic_store_explicit(&d->queued, n + 1, memory_order_release);
	while (write(d->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

int vm_debug_fd(const struct vm_debug *d)
{
	return d->fd;
}

void vm_debug_drain(struct vm_debug *d)
{
	uint64_t n;

	while (read(d->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

bool vm_debug_next(struct vm_debug *d, struct vm_debug_event *out)
{
	unsigned n;

	pthread_mutex_lock(&d->lock);
	n = atomic_load_explicit(&d->queued, memory_order_relaxed);
	if (n) {
		*out = d->event[d->first];
		d->first = (d->first + 1) % DEBUG_EVENTS;
		atomic_store_explicit(&d->queued, n - 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&d->lock);
	if (n && out->kind == VM_EVENT_EXITED && d->m.flush)
		d->m.flush(d->m.ctx);
	return n != 0;
}

bool vm_debug_wait_hot(struct vm_debug *d, unsigned us)
{
	uint64_t end = debug_now_us() + us;

	do {
		for (int i = 0; i < 64; i++) {
			if (atomic_load_explicit(&d->queued, memory_order_acquire))
				return true;
			debug_relax();
		}
		sched_yield();
	} while (debug_now_us() < end);
	return false;
}

void debug_drop_stopped_events_locked(struct vm_debug *d)
{
	unsigned n = atomic_load_explicit(&d->queued, memory_order_relaxed), kept = 0;
	struct vm_debug_event ev;

	for (unsigned i = 0; i < n; i++) {
		ev = d->event[(d->first + i) % DEBUG_EVENTS];
		if (ev.kind != VM_EVENT_STOPPED)
			d->event[(d->first + kept++) % DEBUG_EVENTS] = ev;
	}
	atomic_store_explicit(&d->queued, kept, memory_order_relaxed);
}

void debug_drop_events_locked(struct vm_debug *d)
{
	atomic_store_explicit(&d->queued, 0, memory_order_relaxed);
}
