/*
 * What the x86_64 room keeps per VM and per vCPU. Only arch/x86_64/ includes this.
 *
 * Order of life (see arch/arch.h): arch_vm_init() allocates vm->arch zeroed; arch_board_init() fills the device
 * pointers; arch_load() fills `entry`; arch_vcpu_reset() reads it. arch_vm_free() calls board_free() first.
 */
#ifndef ARCH_X86_H
#define ARCH_X86_H

#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "arch/own_desc.h"
#include "arch/probe.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/hwbp.h"
#include "arch/x86_64/insn.h"
#include "arch/x86_64/xsave.h"
#include "devices/bus.h"

struct vm;
struct vcpu;
struct board;

/* What a saved frame of an interrupt says of RF; see debug_letin.c. */
enum x86_frames { X86_FRAMES_UNKNOWN, X86_FRAMES_PLAIN, X86_FRAMES_WITH_RF };

/* The MSRs whose accesses KVM leaves to us. catch.c's, under its lock. */
#define X86_MSRS_CAUGHT (KVM_MSR_FILTER_MAX_RANGES - 1)
struct x86_msr_filter {
	uint32_t caught[X86_MSRS_CAUGHT];
	size_t ncaught;
	uint32_t watched; /* its writes; 0: none */
};

struct arch_vm {
	struct boot_entry entry; /* the boot processor's first state; the others wait for SIPI */
	struct board *board;	 /* board.c's own: the devices */
	struct arch_unpacked unpacked;
	struct kvm_cpuid2 *seen; /* as the guest reads it, once the vCPUs exist; NULL: not known better than `cpuid` */
	struct own_desc own;	 /* the registers that this VM has */
	size_t xsave_size;	 /* of KVM's XSAVE image, at least sizeof(union x86_fpu) */
	bool xsave2;		 /* and only KVM_GET_XSAVE2 knows it */
	struct x86_xsave_layout xsave;

	struct kvm_cpuid2 *cpuid; /* for every vCPU; the APIC id is patched in */
	unsigned phys_bits;
	uint64_t sync_regs; /* sets that KVM_RUN hands over (KVM_SYNC_X86_*) */
	bool block_irq;	    /* KVM_GUESTDBG_BLOCKIRQ is there */
	struct x86_msr_filter msr_filter;
	_Atomic(enum x86_frames) irq_frames;
};

/* One armed step; see debug_step.c. */
struct step_state {
	bool active;		 /* the last arm was for a step */
	bool done;		 /* and its end was seen */
	bool enters_handler;	 /* the instruction, or what was given to the guest, does */
	bool by_target;		 /* it ends at `target` and nowhere else: TF is not set */
	bool error_code;	 /* the frame at `target` starts with one */
	bool tf_after;		 /* the guest's own TF once the instruction is done */
	struct x86_decoded insn; /* what is at pc; behind a MOV to SS: what is at `behind` */
	uint64_t behind;	 /* rip of that: the step covers both, or (hosts differ) ends there; else 0 */
	struct kvm_regs before;
	unsigned stalls; /* exits without progress since the arm */
	int target_dr;	 /* debug register that waits at `target`; negative: none */
	uint64_t target; /* entry of the handler, or return address, that the instruction goes to; 0: none */
};

/* Where a vCPU is that lets interrupts in, and what it waits for. */
struct let_in {
	bool armed;    /* the last arm was for it */
	bool at_entry; /* the handler's first instruction */
	bool trap;     /* the trap behind home, by TF in the frame; else the handler's return to home */
	bool passing;  /* a step: past the same code further down the stack */
	bool first;    /* a step waits for it: see x86_let_in_first() */
	int dr;	       /* debug register that is armed at `wait`; negative: none */
	uint64_t wait, home;
	uint64_t rip, rsp; /* at home */
	uint16_t cs, ss;
	uint64_t flags_at; /* in the frame */
};

/*
 * An exception queued for the guest, to be delivered when it next runs. Holds while rip and rsp are these. With TF set
 * its delivery would push our TF, and the step would end one instruction into the handler.
 */
struct given_exception {
	bool active, error_code;
	unsigned vector;
	uint64_t rip, rsp;
};

/*
 * One vCPU. Its own thread's, except that any thread may read regs, sregs and mp_state and change regs (setting
 * regs_dirty) while it is parked.
 */
struct arch_vcpu {
	struct kvm_regs *regs; /* in kvm_run with sync_regs, else in `own` */
	struct kvm_sregs *sregs;
	struct kvm_sync_regs own;
	bool synced;	   /* KVM_RUN fills them by itself */
	bool regs_dirty;   /* written since the last flush */
	bool pc_written;   /* and rip is among them: a halted CPU goes on there */
	uint32_t mp_state; /* KVM_MP_STATE_*, as of the last park */
	bool fpu_valid;	   /* fpu is cached while parked */

	struct kvm_guest_debug armed; /* what KVM has; all zero: off */
	struct hw_slots slots;	      /* what armed.arch.debugreg serves */
	struct x86_debug_regs debug_regs;
	struct step_state step;
	struct given_exception given;
	struct let_in let_in;
	bool guest_tf;	   /* the guest's own TF, which KVM hides and drops while we step */
	bool tf_leaked;	   /* a step was left inside a handler whose frame has our TF: see debug.c */
	bool break_failed; /* the last breakpoint instruction came as an emulation failure, not as a trap */
	bool ran;	   /* the last exit shows that the vCPU executes (HLT under a step aside) */
	union x86_fpu fpu; /* last: its XSAVE image may have more behind it */
};

/* regs.c, main thread, the vCPUs exist: which registers this VM has, by its CPUID. 0 or -ENOMEM, logged. */
int x86_regs_choose(struct vm *vm);

/* regs.c, own thread. */
int x86_regs_flush(struct vcpu *vcpu);	      /* dirty general registers into KVM */
int x86_regs_reload(struct vcpu *vcpu);	      /* from KVM, when KVM_RUN did not hand them over */
bool x86_is_64bit(const struct kvm_sregs *s); /* CS is 64-bit code */
const char *x86_mode_name(const struct kvm_sregs *s, uint64_t rflags);

/* translate.c, parked or own thread: linear addresses through the vCPU's own tables. Return bytes done. */
size_t x86_linear_read(struct vcpu *vcpu, uint64_t addr, void *buf, size_t len);
size_t x86_linear_write(struct vcpu *vcpu, uint64_t addr, const void *buf, size_t len);

/* segment.c, own thread: load a segment register as the processor would, descriptor and all. -EINVAL: it could not. */
int x86_segment_load(struct vcpu *vcpu, struct kvm_sregs *s, struct kvm_segment *seg, uint16_t selector);

/* fpu.c, own thread. The state is in vcpu->arch->fpu, cached until the vCPU runs. */
int x86_fpu_load(struct vcpu *vcpu);
int x86_fpu_store(struct vcpu *vcpu); /* and reads back what KVM took of it */

/* msr.c, own thread. */
int x86_msr_get(struct vcpu *vcpu, uint32_t index, uint64_t *value); /* -ENOENT: KVM does not have it */
int x86_msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value);  /* -EINVAL: refused */
int x86_msrs_reset(struct vcpu *vcpu);
int x86_msr_write(
	struct vcpu *vcpu, uint32_t index, uint64_t value);	   /* -EINVAL also: it reads back as something else */
bool x86_msr_took(uint32_t index, uint64_t written, uint64_t now); /* pure: is `now` what was written? */

/* vcpu.c: the table to ask what the guest has; vCPUs exist. Any thread. */
struct kvm_cpuid2 *x86_guest_cpuid(const struct vm *vm);

/* guest_dr.c, own thread: DR0-3, 6 and 7 as the guest has them. -EINVAL: reserved bits. */
int x86_dr_get(struct vcpu *vcpu, unsigned n, uint64_t *value);
int x86_dr_set(struct vcpu *vcpu, unsigned n, uint64_t value);
bool x86_dr_valid(struct kvm_cpuid2 *c, unsigned n, uint64_t value); /* pure */

/*
 * exit.c, own thread: let the guest take `vector` as if an instruction of len bytes at pc had raised it; for hosts
 * where that instruction fails to emulate.
 */
int x86_give_exception(struct vcpu *vcpu, unsigned vector, unsigned len);
/* catch.c, own thread: a filtered MSR was read or written. */
enum arch_exit x86_msr_exit(struct vcpu *vcpu, bool write);
/* debug.c, own thread: an exception was queued at the present pc. The next arm (a step's own included) takes it up. */
void x86_given(struct vcpu *vcpu, unsigned vector, bool error_code);

/* debug_step.c, own thread. */
/* Before arming a step from pc: fills vcpu->arch->step, may take a register of *regs. */
void x86_step_prepare(struct vcpu *vcpu, uint64_t pc, struct x86_debug_regs *regs);
/* Is pc the entry of the handler that the step was to reach? */
bool x86_step_entered(const struct arch_vcpu *a, uint64_t pc);
/* The step has ended at pc: takes back what it left in guest-visible state. */
void x86_step_repair(struct vcpu *vcpu, uint64_t pc);
/* RFLAGS.TF if the guest has it and KVM hides it: a step is under way and nothing has happened yet. */
uint64_t x86_hidden_tf(const struct arch_vcpu *a);
/* Linear address of the handler, and the privilege that INT n needs for it; 0: none. */
uint64_t x86_vector_entry(struct vcpu *vcpu, unsigned vector, unsigned *dpl);
struct x86_decoded x86_decode_at(struct vcpu *vcpu, uint64_t pc);

/* Where a stack pointer points, and the size of what an interrupt's frame consists of. */
uint64_t x86_stack_address(const struct arch_vcpu *a, uint64_t rsp);
unsigned x86_frame_word(const struct arch_vcpu *a);

/* debug_letin.c, own thread. */
enum x86_let_in {
	X86_LET_IN_RUNS,    /* to be armed to run */
	X86_LET_IN_PASSES,  /* by a step that is no news */
	X86_LET_IN_NONE,    /* nothing is pending: a step */
	X86_LET_IN_REFUSED, /* not here: a step */
	X86_LET_IN_FAILED,  /* errno; x86_let_in_first() only */
};
/* Before arming, registers flushed: begin anew at the present pc, or go on. May take a register of *regs. */
enum x86_let_in x86_let_in_arm(struct vcpu *vcpu, bool anew, struct x86_debug_regs *regs);
/*
 * Before a step: what KVM has begun to deliver comes first. An interrupt and its handler run (X86_LET_IN_RUNS); an
 * exception becomes a given one, into whose handler the step goes.
 */
enum x86_let_in x86_let_in_first(struct vcpu *vcpu, bool after_step, struct x86_debug_regs *regs);
void x86_let_in_leave(struct vcpu *vcpu); /* the next arm is none of its own */
/* A debug exit: is the vCPU back? Else: was it met on its way, so that it goes on? */
bool x86_let_in_ended(struct vcpu *vcpu, uint64_t dr6, uint64_t pc);
bool x86_let_in_hit(const struct arch_vcpu *a, uint64_t dr6, uint64_t pc);
void x86_let_in_goes_on(struct vcpu *vcpu);
void x86_let_in_parks(struct vcpu *vcpu); /* memory and registers become the guest's own */
/* catch.c: KVM is to leave writes of this MSR to us, besides what is caught; 0: none. -ENOTSUP: it cannot. */
int x86_msr_watch(struct vm *vm, uint32_t msr);

/* board.c. NULL-safe; main thread, the vCPUs have ended. */
void board_free(struct vm *vm);

#endif
