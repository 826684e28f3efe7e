/* What a failed run shows: each vCPU's state, registers, the code at its pc and a backtrace, as lines of text. */
#ifndef VMM_EVIDENCE_H
#define VMM_EVIDENCE_H

#include <stddef.h>

struct symtab;
struct vm_debug;

/*
 * Main thread or stub thread, the world is stopped. first_cpu is the one that matters: it comes first, with all that
 * there is; the others share what space it leaves (registers and more, or a few lines, or one), and what is left out is
 * said. t: NULL if there are no symbols. Returns how long the text is: less than len, and it ends in '\0'. What it
 * costs: some ten thousand reads of guest memory for each vCPU at worst.
 */
size_t evidence_text(struct vm_debug *d, const struct symtab *t, int first_cpu, char *buf, size_t len);

#endif
