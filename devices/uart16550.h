/*
 * National Semiconductor 16550A UART (PC16550D data sheet; TL16C550C manual).
 *
 * 16-byte FIFOs, interrupts with the chip's priorities, loopback, modem
 * lines with a peer that is always there (DCD, DSR, CTS on). There is no baud
 * clock: a byte leaves as soon as the backend takes it, and received bytes
 * below the FIFO's trigger level raise the character time-out at once, since
 * no further byte is on its way. Nothing is lost in either direction: the
 * transmitter shows itself busy (THRE, TEMT low) while the backend refuses,
 * and input waits in the backend until the FIFO has been read empty; it also
 * waits there until the guest first listens (receive interrupt enabled, or LSR
 * polled), so what is sent early survives the guest's set-up of the chip.
 *
 * OUT2 gates the interrupt line as on a PC, from the first time that a guest
 * sets it: one that never does gets its interrupts.
 *
 * Every function below may be called on any thread where it does not say
 * otherwise; the UART locks itself. The interrupt line is set, and the
 * backend called, with that lock held.
 */
#ifndef DEVICES_UART16550_H
#define DEVICES_UART16550_H

#include "devices/bus.h"
#include "devices/chardev.h"

#define UART16550_LEN 8 /* registers, one byte each */

struct uart16550;

/* Main thread. irq and backend are copied. NULL: no memory. */
struct uart16550 *uart16550_new(const struct irq_line *irq, const struct char_backend *backend);
/* Main thread, before the first vCPU starts. As bus_add(). */
int uart16550_add(struct uart16550 *uart, struct bus *bus, uint64_t base);
/* What the backend's thread calls. Valid until uart16550_free(). */
struct char_frontend uart16550_frontend(struct uart16550 *uart);
/* Main thread, after the vCPU threads and the backend's thread have ended. NULL ok. */
void uart16550_free(struct uart16550 *uart);

#endif
