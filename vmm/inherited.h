/*
 * Descriptors that the process was started with, beyond the standard three: none is needed but those that the command
 * line names as files, like /dev/fd/5. Main thread.
 */
#ifndef VMM_INHERITED_H
#define VMM_INHERITED_H

/* The words may name some; those are kept. May be called again. */
void inherited_keep(int argc, char **argv);
/* Closes all others, before the process has opened anything. */
void inherited_close(void);
/* In a child that has no use for what its parent has opened since, nor for its standard streams, but for one: */
void inherited_leave(int but);

#endif
