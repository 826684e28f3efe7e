/*
 * Intel 8042 keyboard controller as of the PC/AT: ports 0x60 and 0x64, and
 * system control port A (0x92). No keyboard and no mouse are attached and no
 * interrupt is raised; it is there for its reset line and so that guests that
 * probe it get prompt, final answers (self-test passes, status never stays
 * busy, a flush loop ends).
 *
 * Resets (POWER_RESET): commands 0xF0-0xFE with bit 0 clear (0xFE is the usual
 * one), an output port (command 0xD1) with bit 0 clear, port 0x92 bit 0.
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "devices/bus.h"
#include "devices/power.h"

struct i8042;

/* Main thread; power is copied. NULL: no memory. */
struct i8042 *i8042_new(const struct power *power);
/* Main thread, before the first vCPU starts. Claims 0x60, 0x64 and 0x92. As bus_add(). */
int i8042_add(struct i8042 *kbc, struct bus *bus);
void i8042_free(struct i8042 *kbc); /* main thread, no vCPU runs. NULL ok */

#endif
