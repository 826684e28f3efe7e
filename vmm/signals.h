/* What ends a run from outside. Main thread. */
#ifndef VMM_SIGNALS_H
#define VMM_SIGNALS_H

#include <signal.h>

/*
 * SIGINT, SIGTERM, SIGHUP, without those that are ignored: a shell starts background jobs, nohup its child, with some
 * of these ignored, and that stays so.
 */
void signals_ending(sigset_t *set);

#endif
