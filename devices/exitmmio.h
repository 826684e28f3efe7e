/*
 * The exit device of boards that have no ports: a guest's test program ends
 * the VM by storing a number at the device's first byte: POWER_DEBUG_EXIT with
 * its low 32 bits (the process then exits with (value << 1) | 1, as with
 * isa-debug-exit). A store of 4 bytes is meant; any other size gives its own
 * bytes. Reads give 0, the rest of the page does nothing.
 */
#ifndef DEVICES_EXITMMIO_H
#define DEVICES_EXITMMIO_H

#include "devices/bus.h"
#include "devices/power.h"

#define EXITMMIO_LEN 0x1000 /* a page, which a guest can map by itself */

struct exitmmio;

/* Main thread; power is copied. NULL: no memory. */
struct exitmmio *exitmmio_new(const struct power *power);
int exitmmio_add(struct exitmmio *dev, struct bus *bus, uint64_t base); /* main thread; as bus_add() */
void exitmmio_free(struct exitmmio *dev);				/* main thread, no vCPU runs. NULL ok */

#endif
