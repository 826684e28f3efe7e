/*
 * Several lives for a fake machine: a thread that does what the main thread of minivmm does. It starts the vCPUs, joins
 * them when the machine ends, and makes it anew when vm_debug asks for that.
 */
#ifndef TESTS_FAKE_LIFE_H
#define TESTS_FAKE_LIFE_H

#include "tests/fake/fake_machine.h"

void fake_live(struct fake_machine *m); /* in place of fake_start() */
/* Joins the thread and frees the machine; it has to be over. Returns the status it ended with. */
int fake_live_end(struct fake_machine *m);
/* The next new machine cannot be made. */
void fake_life_spoil(struct fake_machine *m);
unsigned fake_lives(struct fake_machine *m);

/* As vm_exit(): any thread. */
void fake_exit(struct fake_machine *m, int status);
int fake_life_end_status(struct fake_machine *m);
void fake_life_ring(struct fake_machine *m, bool restart); /* no life: nothing */

#endif
