/*
 * The PC's reset control register at port 0xCF9 (Intel ICH/PCH data sheets,
 * "RST_CNT"): setting bit 2 (RST_CPU) is POWER_RESET. It lies inside PCI's
 * configuration address port, so only single-byte accesses to 0xCF9 are its;
 * everything else at 0xCF8-0xCFB reads all-ones, which tells a guest that
 * there is no PCI.
 */
#ifndef DEVICES_CF9_H
#define DEVICES_CF9_H

#include "devices/bus.h"
#include "devices/power.h"

struct cf9;

/* Main thread; power is copied. NULL: no memory. */
struct cf9 *cf9_new(const struct power *power);
int cf9_add(struct cf9 *dev, struct bus *bus); /* main thread; claims 0xCF8-0xCFB; as bus_add() */
void cf9_free(struct cf9 *dev);		       /* main thread, no vCPU runs. NULL ok */

#endif
