/* The host's monotonic clock. Any thread. (vmm/debug*.c has debug_now_us(): it includes nobody else's headers.) */
#ifndef VMM_CLOCK_H
#define VMM_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* So many milliseconds from now, for pthread_cond_timedwait() with a condition of this clock. */
static inline struct timespec clock_in_ms(unsigned ms)
{
	uint64_t us = clock_us() + (uint64_t)ms * 1000;

	return (struct timespec){.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000)};
}

#endif
