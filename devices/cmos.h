/*
 * MC146818A real-time clock with 128 bytes of CMOS memory: ports 0x70 (index,
 * bit 7 is the PC's NMI mask and ignored) and 0x71 (data).
 *
 * The clock follows the host's UTC plus the offset that the guest's own
 * setting of the clock made. Formats as register B says (BCD or binary, 12 or
 * 24 hours); the century is byte 0x32 in the same format. Update-in-progress
 * is up for the 244 us before each second, as the data sheet promises: who
 * reads it low has that long for a consistent read.
 *
 * With an interrupt line (IRQ 8) the alarm, update and periodic interrupts
 * work; the thread that times them exists only from the moment a guest enables
 * one. Without (irq NULL) their flags in register C can be polled.
 */
#ifndef DEVICES_CMOS_H
#define DEVICES_CMOS_H

#include "devices/bus.h"

#define CMOS_PORT 0x70
#define CMOS_IRQ  8

struct cmos;

/* Main thread; irq is copied, NULL: none. NULL: no memory. */
struct cmos *cmos_new(const struct irq_line *irq);
/*
 * Main thread, before the first vCPU starts. The memory-size bytes firmware leaves there: below4g is RAM from 0 up
 * to the hole under 4 GiB, above4g what starts at 4 GiB; bytes.
 */
void cmos_set_memory(struct cmos *cmos, uint64_t below4g, uint64_t above4g);
/* Main thread, before the first vCPU starts. Claims CMOS_PORT and the port after it. As bus_add(). */
int cmos_add(struct cmos *cmos, struct bus *bus);
void cmos_free(struct cmos *cmos); /* main thread, no vCPU runs. Joins its thread. NULL ok */

#endif
