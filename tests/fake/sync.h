/*
 * Every lock, unlock, wait and wake-up, kick, push and pop of the event queue, ring and drain of a doorbell goes
 * through here in the programs of tests/fake, product's and test's alike: the linker's --wrap (see FAKE_WRAP in the
 * Makefile) puts this in front of the functions themselves, which are TSan's.
 *
 * FAKE_DELAYS=SEED in the environment puts random pauses before and after each. What a thread does depends on the seed
 * and on whose how many-th thread it is, so that one seed makes the same choices again; what they lead to is the
 * scheduler's.
 */
#ifndef TESTS_FAKE_SYNC_H
#define TESTS_FAKE_SYNC_H

#include <stdbool.h>

enum sync_op {
	SYNC_LOCK,
	SYNC_UNLOCK,
	SYNC_WAIT,
	SYNC_WAKE,
	SYNC_KICK,
	SYNC_PUSH,
	SYNC_POP,
	SYNC_READ, /* of eventfds, and of all else */
	SYNC_WRITE,
};

/* FAKE_DELAYS, or a number that nobody knows yet; says which. For a test's own choices. */
unsigned sync_seed(void);
void sync_delay(unsigned seed);	 /* as FAKE_DELAYS */
unsigned long sync_delays(void); /* made so far */
/*
 * Called by the thread itself before and after the real function. The test that sets it tells by `op`, and by what it
 * has done so far, where it is. NULL: no longer.
 */
void sync_watch(void (*hook)(enum sync_op op, bool before));

#endif
