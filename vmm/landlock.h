/*
 * Landlock: what is not open yet stays closed. Linux, Documentation/userspace-api/landlock.rst. The numbers are here
 * because the kernel may be newer than the compiler's headers.
 */
#ifndef VMM_LANDLOCK_H
#define VMM_LANDLOCK_H

#include <stdint.h>

/* Access to files that may be left open to everybody. */
enum {
	LANDLOCK_EXCEPT_READ = 1 << 2,
	LANDLOCK_EXCEPT_REMOVE = 1 << 5,
};

/*
 * Refuses this thread, and those that it makes, whatever this kernel's Landlock knows: opening, making and removing
 * files, TCP, abstract unix sockets, signals to others. What is open goes on working. Returns the ABI that is in force,
 * 0 where there is none. The process must have no new privileges.
 */
int landlock_enter(uint64_t except);

#endif
