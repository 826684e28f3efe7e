/*
 * The sandbox: what is left to do for a process that runs a guest, and for each of its threads. A guest, an image or a
 * debugger that takes one of them over finds no file, no program, no network and no other process.
 *
 *   sandbox_begin()   no new privileges, the broker; first of all
 *   sandbox_enter()   the process, once all is open: no file by its name but through the broker (Landlock, where the
 *                     kernel has it), and of system calls those that some thread needs
 *   sandbox_thread()  a thread, at its start: of these its own; those that devices make have what their maker has
 *
 * A call that is not allowed ends the process with STATUS_SANDBOX and one line that names it. Without sandbox_begin()
 * none of them does anything.
 */
#ifndef VMM_SANDBOX_H
#define VMM_SANDBOX_H

#include <stdbool.h>

enum sandbox_kind {
	SANDBOX_VCPU,
	SANDBOX_STUB,
	SANDBOX_CONSOLE,
	SANDBOX_REMAINS,
	SANDBOX_MAIN,
	SANDBOX_BROKER, /* a process */
};

/* Main thread, the only one. 0, or -errno, logged. */
int sandbox_begin(void);
void sandbox_no_new_privileges(void); /* nothing but that */
void sandbox_enter(void);
/* The thread itself. */
void sandbox_thread(enum sandbox_kind kind);

#endif
