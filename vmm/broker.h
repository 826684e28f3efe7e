/*
 * Files by their names. Once the process is in its sandbox it can neither open nor remove any; a small process of its
 * own, the broker, does that for it: it opens again, to be read, what was opened before, and removes what was made. It
 * also removes what is left when the process dies suddenly. Until then, and without a sandbox, all is done directly.
 *
 * Main thread. int functions return -errno on failure.
 */
#ifndef VMM_BROKER_H
#define VMM_BROKER_H

#include <stdbool.h>
#include <sys/stat.h>

/* An image, to be read: a descriptor. Whether what had this name was a regular file when it was last opened. */
int broker_open(const char *path);
bool broker_was_regular(const char *path);

/*
 * st: of the file or socket that we have made at path. The number by which it is called from now on, or -1: then it is
 * too late to do anything for it. only_empty: what has bytes in it is not removed.
 */
int broker_made(const char *path, const struct stat *st, bool only_empty);
void broker_keep(int id, bool keep); /* it stays when the process dies; or no longer */
void broker_remove(int id); /* unless another has its name by now, or this is a child of its maker; -1: nothing */

/* From here on there is one. Before anything is opened that it should not hold, too. confine: its own sandbox. */
int broker_start(void (*confine)(void));
void broker_seal(void); /* it takes no further names, and does all from now on; it calls confine() */
void broker_stop(void); /* the names that were made and not kept are gone; there is none any more */

/* In a signal handler of a process that ends: wait until what is left has been removed. */
void broker_last_wait(void);

#endif
