/*
 * What every board has, whatever its devices: lines into the in-kernel interrupt controller, and the host's end of the
 * serial port. Which devices there are, and where, is each ISA's board.c. Main thread, while the machine is made.
 */
#ifndef ARCH_BOARD_H
#define ARCH_BOARD_H

#include "devices/bus.h"
#include "devices/chardev.h"

struct vm;

/* irq: as KVM_IRQ_LINE wants it. The line may be set from any thread. */
struct irq_line board_line(struct vm *vm, unsigned irq);

/* Where the serial port writes to: the console; in a machine without one (unit tests) nowhere. */
struct char_backend board_serial_backend(struct vm *vm);
/* And where the console's input goes. */
void board_serial_connect(struct vm *vm, const struct char_frontend *frontend);

#endif
