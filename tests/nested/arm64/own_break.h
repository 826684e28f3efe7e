/* A program's own breakpoint instruction. Its SIGTRAP comes with the pc at it: the handler has to step over it. */
#ifndef OWN_BREAK_H
#define OWN_BREAK_H

#include <ucontext.h>

#define OWN_BREAK	"brk #0x42"
#define DEBUGGERS_BREAK "brk #0" /* what minivmm plants, too */

static inline void own_break_passed(void *context)
{
	((ucontext_t *)context)->uc_mcontext.pc += 4;
}

#endif
