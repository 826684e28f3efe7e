/*
 * isa-debug-exit: a guest's test program ends the VM by writing a number of
 * 1, 2 or 4 bytes to the port: POWER_DEBUG_EXIT with that number (the process
 * then exits with (value << 1) | 1). Reads give 0.
 */
#ifndef DEVICES_DEBUGEXIT_H
#define DEVICES_DEBUGEXIT_H

#include "devices/bus.h"
#include "devices/power.h"

#define DEBUGEXIT_PORT 0xf4 /* the usual choice */
#define DEBUGEXIT_LEN  4

struct debugexit;

/* Main thread; power is copied. NULL: no memory. */
struct debugexit *debugexit_new(const struct power *power);
int debugexit_add(struct debugexit *dev, struct bus *bus, uint64_t base); /* main thread; as bus_add() */
void debugexit_free(struct debugexit *dev);				  /* main thread, no vCPU runs. NULL ok */

#endif
