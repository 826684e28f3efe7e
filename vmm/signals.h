/*
 * What ends a run from outside. Main thread.
 *
 * While the machine is being made, signals only cut a wait for a pipe short and are remembered here; once it runs they
 * are blocked everywhere and come through a signalfd.
 */
#ifndef VMM_SIGNALS_H
#define VMM_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/*
 * SIGINT, SIGTERM, SIGHUP, without those that are ignored: a shell starts background jobs, nohup its child, with some
 * of these ignored, and that stays so.
 */
void signals_ending(sigset_t *set);

/* From now on they are remembered: also what is pending. Unblocks them. */
void signals_catch(const sigset_t *set);
bool signals_caught(void);

#endif
