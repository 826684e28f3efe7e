/*
 * The tiny VM that the host probe asks its questions of: one vCPU, 64 KiB of
 * RAM, a few instructions of guest code.
 *
 * No run of it can block for ever: the guest never executes HLT, and every
 * path of it, exceptions included, ends in an OUT that exits to us. For hosts
 * that break even that there is a guard on the time.
 *
 * One thread makes, uses and destroys a tiny VM, and has all signals blocked
 * from tiny_create() to tiny_destroy(). int functions return 0 or -errno.
 */
#ifndef ARCH_X86_64_TINY_VM_H
#define ARCH_X86_64_TINY_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/tiny_machine.h"

#define TINY_SLOTS 4  /* DR0 to DR3 */
#define TINY_IRQ   32 /* the vector of tiny_raise_irq() */

/* What it can run; each program ends in TINY_END_PORT with TINY_PORT_DONE. */
enum tiny_program {
	TINY_NOPS,   /* TINY_SLOTS one-byte instructions */
	TINY_BREAK,  /* INT3 */
	TINY_FLAGS,  /* POPF that sets plain flags, two one-byte instructions */
	TINY_STORES, /* a 4-byte store to each data word, in order */
	TINY_LOADS,  /* the same with loads */
};

enum tiny_mode {
	TINY_KERNEL, /* long mode, CPL 0 */
	TINY_RESET,  /* real mode */
	TINY_USER,   /* long mode, CPL 3 */
};

#define TINY_PORT_DONE	 0xf0 /* the program has come to its end; in user mode it ends in #GP instead */
#define TINY_PORT_VECTOR 0x80 /* + vector: the guest took that exception or interrupt */

enum tiny_end_kind {
	TINY_END_OTHER,	      /* an exit that nobody expects here, or out of time */
	TINY_END_DEBUG,	      /* KVM_EXIT_DEBUG: pc, exception, dr6 */
	TINY_END_EMUL_FAILED, /* KVM could not emulate the instruction at pc */
	TINY_END_PORT,	      /* port */
};

/* How a run of the guest ended. */
struct tiny_end {
	enum tiny_end_kind kind;
	uint64_t pc;
	unsigned exception;
	uint64_t dr6;
	unsigned port;
};

struct tiny_vm {
	struct tiny_machine m;	       /* once its time is out, every run ends at once: TINY_END_OTHER */
	struct kvm_sregs reset_sregs;  /* as KVM made the vCPU */
	struct kvm_vcpu_events events; /* likewise: nothing pending */
	bool has_irqs;
};

int tiny_create(struct tiny_vm *t, int kvm_fd); /* on failure everything is undone already */
void tiny_destroy(struct tiny_vm *t);

uint64_t tiny_address(enum tiny_program program);
uint64_t tiny_data(unsigned word); /* address of a data word, word < TINY_SLOTS */

/* Start afresh at pc, which may be inside a program: debugging off, nothing pending, a known register state. */
int tiny_restart(struct tiny_vm *t, enum tiny_mode mode, uint64_t pc, bool irqs_open);

/*
 * The whole KVM_SET_GUEST_DEBUG state: control gets KVM_GUESTDBG_ENABLE added. Debug registers i in the mask `slots`
 * watch addr[i] with the R/W and LEN fields of DR7 given.
 */
int tiny_arm(struct tiny_vm *t, uint32_t control, unsigned slots, const uint64_t addr[TINY_SLOTS], unsigned rw,
	unsigned len);

struct tiny_end tiny_run(struct tiny_vm *t);

uint8_t tiny_poke(struct tiny_vm *t, uint64_t addr, uint8_t byte); /* returns the old byte */
uint64_t tiny_word(const struct tiny_vm *t, uint64_t addr);	   /* 64 bits of RAM; 0 outside */
int tiny_raise_irq(struct tiny_vm *t); /* the local APIC then keeps it in service: once in a VM's life */

#endif
