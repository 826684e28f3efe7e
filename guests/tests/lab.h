/*
 * The guest of the debugger's and the machine's tests. Its command line says which scene is played: lab=NAME[,N[,M]].
 * lab.c has the scenes that any ISA can play, $(ARCH)/lab_isa.c the others.
 */
#ifndef GUESTS_TESTS_LAB_H
#define GUESTS_TESTS_LAB_H

#include <stddef.h>
#include <stdint.h>

struct scene {
	const char *name;
	void (*play)(unsigned long n, unsigned long m);
};

/* lab.c */
void say(const char *text);
void say_number(unsigned long n);
unsigned long shared(unsigned long i, unsigned long tag);

/* $(ARCH)/lab_isa.c */
extern const struct scene isa_scenes[]; /* ends with a NULL name */
const char *isa_command_line(void);
int isa_getc(void);			    /* waits for a character from the serial line */
void isa_write(const char *text, size_t n); /* to the serial line, a FIFO at a time */
void isa_touch(unsigned value);		    /* writes it to where a debugger can see it, and nothing else can */
void isa_interrupts_on(void);
void isa_interrupts_off(void);
void isa_idle(void) __attribute__((noreturn)); /* interrupts off, for ever */

#endif
