/*
 * Who called whom on a vCPU, with names: what arch/unwind.h finds, over vm_debug. Lines are like gdb's:
 *
 *	#0  0xffffffff81aa1c30 panic+0x0/0x33b
 *	#1  0xffffffff8130b2e5 mount_block_root+0x1e5/0x250
 *	#2  0xffffffff8130b2e5 ? prepare_namespace+0x12/0x1c0
 *
 * A "?" is before what was only found on the stack and may have returned long ago. Offsets of callers are those of the
 * return address, which may be the size: the call was the function's last instruction.
 */
#ifndef VMM_BACKTRACE_H
#define VMM_BACKTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/unwind.h"

struct symtab;
struct text;
struct vm_debug;

#define BACKTRACE_LINES_MAX 64

/*
 * "panic+0x0/0x33b", without the size where it is not known, and "" where the symbol is not. call: addr is a return
 * address, the symbol is that of the call before it. t may be NULL. Any thread.
 */
void backtrace_symbol(const struct symtab *t, uint64_t addr, bool call, char *buf, size_t len);

/* How it was made ("frame pointers"), in words, for a headline. */
const char *backtrace_way(const struct unwind *u);
/* At most `lines` lines; what calls itself again and again is said once. */
void backtrace_put(struct text *out, const struct unwind *u, const struct symtab *t, unsigned lines);

/*
 * The walk itself. Main thread or stub thread, the world is stopped. t may be NULL. false: nothing is known about such
 * vCPUs (arch_desc.unwind), or this one has gone.
 */
bool backtrace_walk(struct vm_debug *d, const struct symtab *t, int cpu, struct unwind *out);

#endif
