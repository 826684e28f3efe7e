/*
 * What a bare-metal guest needs from its ISA: guests/$(ARCH)/platform.c and start.S. There is no libc here.
 * start.S enters main(0) on the boot CPU's own stack; main's return powers the machine off.
 */
#ifndef GUESTS_PLATFORM_H
#define GUESTS_PLATFORM_H

#include <stdint.h>

#define CPUS_MAX 64

int main(void);
void tick(unsigned cpu); /* the program's: called in interrupt context on each CPU's timer tick */

/* Start every other CPU in fn(its number, from 1). They come up on their own time. */
void platform_start_cpus(void (*fn)(unsigned cpu));
void platform_timer_start(unsigned hz); /* this CPU's own; interrupts are enabled by platform_wait() */
void platform_wait(void);		/* until the next interrupt */
void platform_putc(char c);
void platform_power_off(void) __attribute__((noreturn));

#endif
