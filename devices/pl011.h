/*
 * Arm PrimeCell UART PL011 (DDI 0183), a 16-byte deep one (r1p4 and before).
 *
 * FIFOs, interrupts with trigger levels and the receive time-out, loopback,
 * modem lines with a peer that is always there (CTS, DSR, DCD on). There is no
 * baud clock: a byte leaves as soon as the backend takes it, and received
 * bytes below the trigger level raise the time-out at once, since no further
 * byte is on its way. Nothing is lost in either direction: the transmitter
 * shows itself busy (FR) while the backend refuses, and input waits in the
 * backend until the FIFO has been read empty; it also waits there until the
 * guest first listens (a receive interrupt unmasked, or FR polled), and a
 * driver that clears the receive interrupts and reads the FIFO empty before it
 * opens finds it empty. A change of LCR_H loses nothing either.
 *
 * More lenient than the chip, as guests written against emulators expect: it
 * sends whether or not CR enables it, and receives unless a guest has enabled
 * it once and then disabled it; with the time-out interrupt masked the receive
 * interrupt comes with the first byte. Errors other than overrun (which only
 * loopback makes), break, DMA and IrDA do not exist; their registers keep what
 * is written.
 *
 * Registers are 32 bits wide; 1, 2 and 8-byte accesses work too, a store
 * inside a register does nothing.
 *
 * Every function below may be called on any thread where it does not say
 * otherwise; the UART locks itself. The interrupt line is set, and the
 * backend called, with that lock held.
 */
#ifndef DEVICES_PL011_H
#define DEVICES_PL011_H

#include "devices/bus.h"
#include "devices/chardev.h"

#define PL011_LEN 0x1000

struct pl011;

/* Main thread. irq and backend are copied. NULL: no memory. */
struct pl011 *pl011_new(const struct irq_line *irq, const struct char_backend *backend);
/* Main thread, before the first vCPU starts. As bus_add(). */
int pl011_add(struct pl011 *uart, struct bus *bus, uint64_t base);
/* What the backend's thread calls. Valid until pl011_free(). */
struct char_frontend pl011_frontend(struct pl011 *uart);
/* Main thread, after the vCPU threads and the backend's thread have ended. NULL ok. */
void pl011_free(struct pl011 *uart);

#endif
