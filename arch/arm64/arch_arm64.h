/*
 * What the arm64 room keeps per VM and per vCPU. Only arch/arm64/ includes this.
 *
 * Order of life (see arch/arch.h): arch_vm_init() allocates vm->arch zeroed; arch_board_init() fills the device
 * pointers; arch_load() fills `entry`; arch_vcpu_reset() reads it. arch_vm_free() calls board_free() first.
 */
#ifndef ARCH_ARM64_H
#define ARCH_ARM64_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arm64/boot.h"
#include "arch/arm64/hwbp.h"
#include "arch/arm64/insn.h"
#include "arch/arm64/mmu.h"
#include "arch/arm64/sve.h"
#include "arch/own_desc.h"
#include "arch/probe.h"

struct vm;
struct vcpu;
struct board;

/* PSTATE: Arm ARM C5.2, as in SPSR_EL1 */
#define PSTATE_MODE 0x1full /* M[4:0]; bit 4: AArch32 */
#define PSTATE_NRW  (1ull << 4)
#define PSTATE_EL1H 0x5ull
#define PSTATE_F    (1ull << 6)
#define PSTATE_I    (1ull << 7)
#define PSTATE_A    (1ull << 8)
#define PSTATE_D    (1ull << 9)
#define PSTATE_DAIF (PSTATE_D | PSTATE_A | PSTATE_I | PSTATE_F)
#define PSTATE_SS   (1ull << 21)
#define PSTATE_PAN  (1ull << 22)
#define PSTATE_NZCV (0xfull << 28)

/* The guest's clock stands still while the whole machine is stopped: time.c. */
struct guest_time {
	pthread_mutex_t lock;
	uint64_t stopped_at; /* the host's counter when the last vCPU parked; 0: somebody runs */
	uint64_t held;	     /* counts of stops that the guest's counter is still to lose */
};

struct arch_vm {
	struct boot_entry entry; /* the boot processor's first state; the others wait for PSCI CPU_ON */
	struct board *board;	 /* board.c's own: the devices */
	struct own_desc own;	 /* the registers that this VM has */

	int gic_fd;	      /* of the in-kernel interrupt controller, or -1 */
	unsigned gic_version; /* 3 or 2 */
	struct kvm_vcpu_init vcpu_init;
	unsigned pa_bits; /* of guest-physical addresses */
	bool lva;
	bool aarch32_el0; /* the processor runs 32-bit programs */
	struct arm64_sve sve;
	unsigned nbreaks, nwatches; /* debug registers that the host has for a guest */
	uint64_t kpti_distance;	    /* from the tables of programs to the kernel's: kaslr.c; 0: not known */
	struct guest_time time;
};

/* KVM's core registers, by their place in arch_vcpu.core; X0-X30 are 0-30 */
enum {
	CORE_SP_EL0 = 31,
	CORE_SP_EL1,
	CORE_PC,
	CORE_PSTATE,
	CORE_REGS,
};

/* One armed step; see debug_step.c. */
struct step_state {
	bool active;		   /* the last arm was for a step */
	bool done;		   /* and its end was seen: an exit, or the pc that had moved when the vCPU parked */
	bool exited;		   /* by an exit, so that KVM waits for nothing more */
	bool by_leaving;	   /* an exclusive sequence: runs until one of the private breakpoints is hit */
	bool open;		   /* interrupts are not held off: the first step of a let-in */
	bool given;		   /* an exception was given to the guest: the step has ended at its handler */
	struct arm64_decoded insn; /* what is at pc */
	uint64_t pc;		   /* where it began */
	uint64_t pstate;	   /* the guest's own before it */
	uint64_t spsr;		   /* ERET: the guest's own SPSR_EL1 */
};

/* Interrupts let in during a range step; see debug_letin.c. */
struct let_in {
	bool armed;	 /* the last arm was for it */
	bool entered;	 /* an interrupt came in, its return is waited for */
	bool passing;	 /* by a step past that pc, somewhere in a handler */
	uint64_t pc;	 /* where it returns to */
	uint64_t sp;	 /* which it has then */
	uint64_t pstate; /* and the exception level */
};

/* The guest's own debug registers, which KVM keeps aside while ours are loaded. */
struct guest_debug {
	bool stale;	/* the guest may have changed them since */
	bool stepping;	/* KVM steps on its behalf: its own software step is due after this instruction */
	bool returning; /* it handles an exception of its own, given at return_pc */
	uint64_t return_pc;
	bool return_ss; /* its own step is still to come after the instruction there */
	uint64_t mdscr;
	uint64_t bcr[ARM64_DBG_MAX], bvr[ARM64_DBG_MAX], wcr[ARM64_DBG_MAX], wvr[ARM64_DBG_MAX];
};

/*
 * One vCPU. Its own thread's, except that any thread may read core, mmu and mp_state and change core (setting bits of
 * dirty) while it is parked.
 */
struct arch_vcpu {
	/* As of the last park, PSTATE with the guest's own masks. */
	uint64_t core[CORE_REGS];
	uint64_t dirty; /* bit n: core[n] was written since the last flush */
	struct arm64_mmu_state mmu;
	uint32_t mp_state; /* KVM_MP_STATE_* */
	bool in_wfi;	   /* parked in a wait for interrupts: the instruction before pc is one */

	/* debug.c, debug_step.c */
	struct kvm_guest_debug armed; /* what KVM has; all zero: off */
	struct hw_slots slots;	      /* what armed.arch serves */
	struct arm64_debug_regs debug_regs;
	struct guest_debug guest;
	struct step_state step;
	struct let_in let_in;
	uint64_t kvm_pstate; /* PSTATE as KVM has it, as of the last read or write */
	bool masked;	     /* and its I, F and SS are a step's; the guest's own are in core[CORE_PSTATE] */
	bool mmu_stale;	     /* a step may have changed translation registers */
};

/* ---- regs.c, own thread unless it says otherwise ---- */

/* KVM_GET_ONE_REG or KVM_SET_ONE_REG; value has the size that the id says. 0 or -errno. */
int arm64_one_reg(struct vcpu *vcpu, unsigned long request, uint64_t id, const void *value);
/* One 64-bit register of KVM's (KVM_GET_ONE_REG). -ENOENT: this host lacks it. */
int arm64_get(struct vcpu *vcpu, uint64_t id, uint64_t *value);
int arm64_set(struct vcpu *vcpu, uint64_t id, uint64_t value);
uint64_t arm64_core_id(unsigned core); /* the id of core[n]; any thread */
/* The registers of core[] that `dirty` names into KVM; a PSTATE is written as it is in core[]. Clears dirty. */
int arm64_regs_flush(struct vcpu *vcpu);
/* SCTLR, TCR, TTBR0, TTBR1 into arch_vcpu.mmu. */
int arm64_mmu_fetch(struct vcpu *vcpu);
/*
 * X0-X30, SPs, pc and PSTATE (as KVM has it), mmu, mp_state, in_wfi. debug.c's arch_regs_fetch() calls it and then puts
 * the guest's own masks into core[CORE_PSTATE].
 */
int arm64_regs_load(struct vcpu *vcpu);

/* ids for arm64_get(): op0 3 and 2. See ARM64_SYS_REG() in <asm/kvm.h>. */
#define ID_SCTLR_EL1	 ARM64_SYS_REG(3, 0, 1, 0, 0)
#define ID_CPACR_EL1	 ARM64_SYS_REG(3, 0, 1, 0, 2)
#define ID_ZCR_EL1	 ARM64_SYS_REG(3, 0, 1, 2, 0)
#define ID_TTBR0_EL1	 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define ID_TTBR1_EL1	 ARM64_SYS_REG(3, 0, 2, 0, 1)
#define ID_TCR_EL1	 ARM64_SYS_REG(3, 0, 2, 0, 2)
#define ID_ESR_EL1	 ARM64_SYS_REG(3, 0, 5, 2, 0)
#define ID_FAR_EL1	 ARM64_SYS_REG(3, 0, 6, 0, 0)
#define ID_VBAR_EL1	 ARM64_SYS_REG(3, 0, 12, 0, 0)
#define ID_AA64PFR0_EL1	 ARM64_SYS_REG(3, 0, 0, 4, 0)
#define ID_AA64MMFR0_EL1 ARM64_SYS_REG(3, 0, 0, 7, 0)
#define ID_AA64MMFR2_EL1 ARM64_SYS_REG(3, 0, 0, 7, 2)
#define ID_MDSCR_EL1	 ARM64_SYS_REG(2, 0, 0, 2, 2)
#define ID_DBGBVR(n)	 ARM64_SYS_REG(2, 0, 0, (n), 4)
#define ID_DBGBCR(n)	 ARM64_SYS_REG(2, 0, 0, (n), 5)
#define ID_DBGWVR(n)	 ARM64_SYS_REG(2, 0, 0, (n), 6)
#define ID_DBGWCR(n)	 ARM64_SYS_REG(2, 0, 0, (n), 7)
#define ID_ELR_EL1	 (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(elr_el1))
#define ID_SPSR_EL1	 (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(spsr[KVM_SPSR_EL1]))

/* ---- translate.c, parked or own thread: the vCPU's own tables. Returns bytes done. ---- */
size_t arm64_virt_read(struct vcpu *vcpu, uint64_t addr, void *buf, size_t len);

/* ---- gic.c, main thread ---- */
/* In-kernel GICv3, or GICv2 where the host has only that; sets gic_fd and gic_version. 0 or -errno, logged. */
int gic_create(struct vm *vm);
/* After all vCPUs exist. */
int gic_init(struct vm *vm);
void gic_free(struct vm *vm); /* safe on a half-made one */
/* What the board has at shared peripheral interrupt n, or NULL. */
const char *board_spi_name(unsigned n);
/* What KVM_IRQ_LINE wants for shared peripheral interrupt n. */
unsigned gic_spi(unsigned n);

/* ---- debug_step.c, own thread ---- */
/* What a step takes from the guest for as long as it lasts. */
#define PSTATE_HELD (PSTATE_I | PSTATE_F | PSTATE_SS)

/* pc and PSTATE from KVM: core[CORE_PC], kvm_pstate. */
int arm64_pc_fetch(struct vcpu *vcpu);
/* core[CORE_PSTATE]: what KVM has, with these bits of PSTATE_HELD. */
void arm64_show_pstate(struct arch_vcpu *a, uint64_t own);
/*
 * Before arming a step: fills vcpu->arch->step from the instruction at pc, may take registers of *regs. open:
 * interrupts are to be let in, which step.open says if this instruction allows it.
 */
int arm64_step_prepare(struct vcpu *vcpu, struct arm64_debug_regs *regs, bool open);
/* The step has ended at core[CORE_PC], or is given up there: takes back what it left in guest-visible state. */
int arm64_step_finish(struct vcpu *vcpu);
/*
 * Let the guest take a synchronous exception to EL1, as the processor would, from the present pc: esr is what ESR_EL1
 * will be, far NULL or what FAR_EL1 will be. A step under way ends with it, at the handler.
 */
int arm64_give_exception(struct vcpu *vcpu, uint64_t esr, const uint64_t *far);

/* ---- debug_letin.c, own thread ---- */
/* Before arming: may an interrupt come in at the present pc, and its return be waited for? Refetches what is stale. */
bool arm64_let_in_open(struct vcpu *vcpu, const struct arm64_debug_regs *regs);
/*
 * The open step has ended: true if in an interrupt's vector, which is then as the guest expects it; its return is
 * waited for from now on. -errno.
 */
int arm64_let_in_entered(struct vcpu *vcpu);
/* Is the vCPU, whose pc is where it was to return to, back? 1 or 0, or -errno. */
int arm64_let_in_home(struct vcpu *vcpu);

/* ---- debug.c, own thread ---- */
int arm64_set_guest_debug(struct vcpu *vcpu, const struct kvm_guest_debug *dbg);

/* ---- debug_guest.c, own thread ---- */
/* ESR: exception classes (of a lower exception level; the same level's is one more) and syndromes. Arm ARM D24.2.40 */
#define ESR_EC_SHIFT	 26
#define ESR_IL		 (1ull << 25)
#define ESR_ISS		 0x1ffffffull
#define ESR_EC_BREAK_LOW 0x30
#define ESR_EC_STEP_LOW	 0x32
#define ESR_EC_WATCH_LOW 0x34
#define ESR_EC_BKPT32	 0x38
#define ESR_EC_BRK64	 0x3c
#define ESR_ISS_DEBUG	 0x22ull /* a debug exception's fault status */

/*
 * Before arming: the guest's own enabled breakpoints and watchpoints into what is free of *regs, and (unless we step
 * ourselves) its own software step, as far as it is due at the present pc.
 */
int arm64_guest_debug_merge(struct vcpu *vcpu, struct arm64_debug_regs *regs, bool step);
/*
 * These return 1: no news for the debugger; or -errno. hit: a breakpoint or watchpoint of the guest's register `owner`
 * (negative: not known which), which goes to the guest if it still has that. returned: from its handler. stepped: the
 * step made on its behalf.
 */
int arm64_guest_debug_hit(struct vcpu *vcpu, int owner, unsigned ec_low, uint64_t iss, const uint64_t *far);
int arm64_guest_debug_returned(struct vcpu *vcpu);
int arm64_guest_debug_stepped(struct vcpu *vcpu);
/* Reads the guest's debug registers if it may have changed them: does it step, or handle an exception of its own? */
bool arm64_guest_debug_busy(struct vcpu *vcpu);
/* In a debugger's step: does an ERET to here load PSTATE.SS; and its own step after an instruction with that. */
bool arm64_guest_debug_takes_ss(struct vcpu *vcpu);
int arm64_guest_debug_step_due(struct vcpu *vcpu);

/* board.c. NULL-safe; main thread, the vCPUs have ended. */
void board_free(struct vm *vm);

#endif
