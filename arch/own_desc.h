/*
 * One VM's own description of its registers: a copy of the ISA's arch_desc that set-up completes. Up to the end of
 * arch_vm_ready() the ISA's code may change features[].absent, features[].types, regs[].size, regs[].type and
 * regs[].feature; from then on it is constant, and any thread reads it through arch_vm_desc(). Main thread.
 */
#ifndef ARCH_OWN_DESC_H
#define ARCH_OWN_DESC_H

#include "arch/desc.h"

struct own_desc {
	struct arch_desc desc; /* its features and regs are those below */
	struct reg_feature *features;
	struct reg_desc *regs;
};

/* Copies the tables of `from`; what they point to (names, types) stays its own. 0 or -ENOMEM (logged). */
int own_desc_init(struct own_desc *own, const struct arch_desc *from);
/* Frees the copies. NULL-safe for one that was never initialised but zeroed. */
void own_desc_free(struct own_desc *own);

#endif
