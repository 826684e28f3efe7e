/*
 * pvpanic: how a guest kernel says that it panicked (QEMU's
 * docs/specs/pvpanic; ACPI id QEMU0001). One byte: reading gives the events
 * that are understood, writing reports them. Bit 0, panicked: POWER_PANIC.
 * Bit 1, a crash kernel is loaded and takes over: not an end.
 *
 * On a port or, as qemu,pvpanic-mmio, in memory: there two bytes are the
 * device's, of which the second does nothing and is left unclaimed.
 */
#ifndef DEVICES_PVPANIC_H
#define DEVICES_PVPANIC_H

#include "devices/bus.h"
#include "devices/power.h"

#define PVPANIC_PORT	     0x505
#define PVPANIC_LEN	     1
#define PVPANIC_PANICKED     0x01
#define PVPANIC_CRASH_LOADED 0x02

struct pvpanic;

/* Main thread; power is copied. NULL: no memory. */
struct pvpanic *pvpanic_new(const struct power *power);
int pvpanic_add(struct pvpanic *dev, struct bus *bus, uint64_t base); /* main thread; as bus_add() */
void pvpanic_free(struct pvpanic *dev);				      /* main thread, no vCPU runs. NULL ok */

#endif
