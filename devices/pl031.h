/*
 * Arm PrimeCell real-time clock PL031 (DDI 0224): seconds since 1970 in 32
 * bits, which count on past 2106 from 0.
 *
 * The clock follows the host's UTC plus the offset that the guest's own
 * setting of it (LR) made. It runs from the start, as on boards whose firmware
 * has started it: CR reads 1. The alarm (MR) raises its interrupt when the
 * clock comes to that second, or at once when it is there already; the thread
 * that times it exists only from the moment a guest unmasks it.
 *
 * Registers are 32 bits wide; 1, 2 and 8-byte accesses work too, a store
 * inside a register does nothing.
 */
#ifndef DEVICES_PL031_H
#define DEVICES_PL031_H

#include "devices/bus.h"

#define PL031_LEN 0x1000

struct pl031;

/* Main thread; irq is copied. NULL: no memory. */
struct pl031 *pl031_new(const struct irq_line *irq);
int pl031_add(struct pl031 *rtc, struct bus *bus, uint64_t base); /* main thread, before the first vCPU; as bus_add() */
void pl031_free(struct pl031 *rtc); /* main thread, no vCPU runs. Joins its thread. NULL ok */

#endif
