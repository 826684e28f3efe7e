/* A program's own breakpoint instruction. Its SIGTRAP comes with the pc behind it. */
#ifndef OWN_BREAK_H
#define OWN_BREAK_H

#define OWN_BREAK	"int3"
#define DEBUGGERS_BREAK OWN_BREAK /* what minivmm plants, too */

static inline void own_break_passed(void *context)
{
	(void)context;
}

#endif
