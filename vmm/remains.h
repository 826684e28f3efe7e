/*
 * What is left of a machine that is no more: KVM's VM and its memory. Giving them back takes tens of milliseconds and
 * more, for which the next machine does not wait: a thread of its own does it, once that one runs. Main thread.
 */
#ifndef VMM_REMAINS_H
#define VMM_REMAINS_H

#include <pthread.h>
#include <stdbool.h>

#include "vmm/memory.h"

struct remains {
	bool any;
	bool busy; /* thread is at it, and to be joined */
	pthread_t thread;
	int vm_fd;
	struct guest_memory mem;
};

/*
 * vm_fd and mem belong to it now, and mem has no host addresses any more. All else that refers to that VM has been
 * closed. Waits until what was taken before is given back, so that there is never more than one machine's worth.
 */
void remains_take(struct remains *r, int vm_fd, struct guest_memory *mem);
void remains_give_back(struct remains *r); /* begin, in a thread */
void remains_wait(struct remains *r);	   /* until all is given back */

#endif
