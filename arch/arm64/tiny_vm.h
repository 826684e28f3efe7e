/*
 * The tiny VM that the host probe asks its questions of: one vCPU without an
 * interrupt controller, some RAM at 0, a few instructions of guest code.
 *
 * No run of it can block for ever: the guest never executes WFI, and every
 * path of it, exceptions included, ends in a store to where no RAM is, which
 * exits to us. For hosts that break even that there is a guard on the time.
 *
 * One thread makes, uses and destroys a tiny VM, and has all signals blocked
 * from tiny_create() to tiny_destroy(). int functions return 0 or -errno.
 */
#ifndef ARCH_ARM64_TINY_VM_H
#define ARCH_ARM64_TINY_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/tiny_machine.h"

#define TINY_SLOTS 16 /* breakpoints, or watchpoints, that the architecture can have */

/* What it can run; each program ends in TINY_END_DONE, in any mode. */
enum tiny_program {
	TINY_NOPS,   /* TINY_SLOTS NOPs */
	TINY_BREAK,  /* BRK #0 */
	TINY_FLAGS,  /* an instruction that writes NZCV, one that writes DAIF (kernel and reset mode only), a NOP */
	TINY_STORES, /* a 4-byte store to each data word, in order */
	TINY_LOADS,  /* the same with loads */
};

enum tiny_mode {
	TINY_KERNEL, /* EL1h, MMU and caches on */
	TINY_RESET,  /* EL1h, MMU and caches off */
	TINY_USER,   /* EL0, MMU and caches on */
};

/* The entries of the vector table that can be seen here: offsets from VBAR_EL1, Arm ARM D1.3.1.4, in units of 0x80 */
#define TINY_VECTOR_SYNC      4
#define TINY_VECTOR_IRQ	      5
#define TINY_VECTOR_SYNC_USER 8

enum tiny_end_kind {
	TINY_END_OTHER,	 /* an exit that nobody expects here, or out of time */
	TINY_END_DEBUG,	 /* KVM_EXIT_DEBUG: pc, ec, far */
	TINY_END_DONE,	 /* the program has come to its end */
	TINY_END_VECTOR, /* the guest took an exception: vector */
};

/* How a run of the guest ended. */
struct tiny_end {
	enum tiny_end_kind kind;
	uint64_t pc;
	uint64_t far; /* of a watchpoint */
	unsigned ec;  /* the exception class in ESR: Arm ARM D24.2.39 */
	unsigned vector;
};

struct tiny_vm {
	struct tiny_machine m; /* once its time is out, every run ends at once: TINY_END_OTHER */
};

/* What tiny_get() and tiny_set() know: KVM's ids. */
#define TINY_CORE(field)                                                                                               \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | (offsetof(struct kvm_regs, field) / sizeof(uint32_t)))
#define TINY_PC	      TINY_CORE(regs.pc)
#define TINY_PSTATE   TINY_CORE(regs.pstate)
#define TINY_ELR_EL1  TINY_CORE(elr_el1)
#define TINY_SPSR_EL1 TINY_CORE(spsr[KVM_SPSR_EL1])
#define TINY_ESR_EL1  ARM64_SYS_REG(3, 0, 5, 2, 0)

int tiny_create(struct tiny_vm *t, int kvm_fd); /* on failure everything is undone already */
void tiny_destroy(struct tiny_vm *t);

uint64_t tiny_address(enum tiny_program program);
uint64_t tiny_data(unsigned word); /* address of a data word, word < TINY_SLOTS; none within 64 bytes of another */
uint64_t tiny_vector(unsigned vector);

/* Start afresh at pc, which may be inside a program: debugging off, DAIF masked, a known register state. */
int tiny_restart(struct tiny_vm *t, enum tiny_mode mode, uint64_t pc);

/*
 * The whole KVM_SET_GUEST_DEBUG state: control gets KVM_GUESTDBG_ENABLE added. tiny_arm_breaks(): breakpoint i of the
 * mask `slots` is on addr[i]. tiny_arm_watches(): watchpoint i is on the data word i, for stores (and loads).
 */
int tiny_arm(struct tiny_vm *t, uint32_t control);
int tiny_arm_breaks(struct tiny_vm *t, unsigned slots, const uint64_t addr[TINY_SLOTS]);
int tiny_arm_watches(struct tiny_vm *t, unsigned slots, bool loads);

struct tiny_end tiny_run(struct tiny_vm *t);

int tiny_get(struct tiny_vm *t, uint64_t id, uint64_t *value);
int tiny_set(struct tiny_vm *t, uint64_t id, uint64_t value);
void tiny_poke(struct tiny_vm *t, uint64_t addr, uint32_t insn); /* seen by the guest's next fetch */
int tiny_set_irq(struct tiny_vm *t, int level);			 /* the line into the vCPU; level-triggered */

#endif
