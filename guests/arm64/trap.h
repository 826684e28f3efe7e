/* What an exception leaves on the stack (start.S), and what the boot processor was given. */
#ifndef GUESTS_ARM64_TRAP_H
#define GUESTS_ARM64_TRAP_H

#include <stdint.h>

struct trap {
	uint64_t x[31], sp_el0, elr, spsr;
};

/* Vectors, by their place in the table (Arm ARM, D1.3.1) */
#define VECTOR_EL1_SYNC	  4
#define VECTOR_EL1_IRQ	  5
#define VECTOR_EL1_FIQ	  6
#define VECTOR_EL1_SERROR 7
#define VECTOR_EL0_SYNC	  8
#define VECTOR_EL0_IRQ	  9

/* Everything but interrupts; a program may have its own instead of the platform's, which says what happened and ends.
 * t may be changed: the program goes on with it. */
void exception(struct trap *t, unsigned vector);

/* As found at the entry, before anything was changed. */
struct boot_state {
	uint64_t x[4], el, spsel, daif, sctlr, sp;
};
extern struct boot_state boot_state;

#endif
