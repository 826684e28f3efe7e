/*
 * A machine of threads without KVM: each fake vCPU runs one-byte instructions from its own loop of code, under the
 * real vm_debug. Everything it does is counted, so that a test can say "this instruction ran exactly that often".
 */
#ifndef TESTS_FAKE_MACHINE_H
#define TESTS_FAKE_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/debug.h"
#include "vmm/kick.h"

#define FAKE_CPUS_MAX  8
#define FAKE_RAM       0x10000
#define FAKE_CODE(cpu) (0x1000u * ((unsigned)(cpu) + 1)) /* its loop, LOOP_LEN bytes, the last jumps back */
#define FAKE_LOOP_LEN  16
#define FAKE_SHARED    0xe000u		     /* a routine that every loop calls: OP_WORK bytes, ends with OP_RET */
#define FAKE_HANDLER   0xd000u		     /* of interrupts: calls FAKE_SHARED, ends with OP_IRET */
#define FAKE_DATA      0xf000u		     /* a byte that OP_WRITE writes */
#define FAKE_HIGH      0xffff800000000000ull /* RAM again, as the guest's tables map it */
#define FAKE_USER      0x200000u	     /* a page that each address space maps as fake_machine.user says */
#define FAKE_MODULE    0xffffc00000000000ull /* a page of all address spaces: fake_machine.module */
#define FAKE_PAGE      0x1000u
#define FAKE_SPACES    4
#define FAKE_LAYOUT    0xffffffff80000000ull /* RAM again, as only the image's headers know it */

enum fake_op {
	OP_WORK = 0x90,
	OP_CALL = 0xe8, /* to FAKE_SHARED */
	OP_RET = 0xc3,
	OP_IRET = 0xcf,
	OP_JUMP = 0xeb,	 /* to the loop's start */
	OP_WRITE = 0x88, /* FAKE_DATA: each changes it */
	OP_BREAK = 0xcc,
	OP_BREAK_FOREIGN = 0xcd,
	OP_UNTIL = 0x75, /* to the loop's start until enough interrupts were handled */
	OP_WAIT = 0xf4,	 /* until kicked, like a halted CPU */
	OP_FAR = 0x9a,	 /* calls fake_cpu.far, if it is mapped and not all zero there */
	OP_SITE = 0xa0,	 /* does nothing; FAKE_SITE_LEN bytes, the others 1, or 2 if this one is ... */
	OP_SITE2 = 0xa1,
	OP_POKE = 0xa8, /* the next of three writes that make the one of the other, at fake_machine.site */
};

#define FAKE_SITE_LEN 3

enum fake_reg { FAKE_PC, FAKE_SP, FAKE_COUNT, FAKE_DEFERRED, FAKE_ABSENT, FAKE_NREGS };

struct fake_cpu {
	struct fake_machine *m;
	int id;
	pthread_t thread;
	uint64_t pc, ret;
	uint64_t deferred;
	uint64_t count; /* instructions done */
	bool wrote;	/* the last one was OP_WRITE */
	uint64_t writes;
	atomic_bool left; /* its thread has nothing more to do */
	struct kick kick;
	uint8_t immediate_exit; /* as in kvm_run: looked at before each instruction */
	bool blocked;		/* the last exit was a write that is to be made otherwise */
	atomic_int inside;	/* 1 while in the guest: must be 0 when somebody reads it */
	atomic_uint entries;	/* into the guest */
	atomic_bool offline;	/* it waits at its loop's start, until kicked, like a CPU that is to be started */
	const struct hw_slots *slots;
	enum vm_arm how;
	unsigned arms, let_ins;
	atomic_int irqs; /* pending interrupts; taken while nothing holds them off, one at a time */
	bool timer;	 /* one is pending whenever they are let in */
	uint64_t enough; /* for OP_UNTIL */
	bool closed;	 /* the guest masks them: a let-in is refused */
	bool in_handler; /* and these are what it returns to */
	uint64_t irq_pc, irq_ret;
	uint64_t home; /* of the let-in under way, or the last one */
	uint64_t far;
	unsigned space;
	unsigned overfull;	/* more slots were to be armed than there are */
	unsigned poke;		/* writes that OP_POKE has done */
	uint64_t torn;		/* half of each version of a site was executed */
	uint64_t foreign;	/* breakpoint instructions that were the guest's own */
	uint64_t ran[FAKE_RAM]; /* how often the instruction at this address ran */
	unsigned seed;
};

/* On a vCPU's way round its loop. */
enum fake_place {
	FAKE_MAY_ENTER, /* it has looked whether it may */
	FAKE_TRAPS,	/* it has left by a stop, of which nobody knows yet */
	FAKE_LEFT,	/* it is out of KVM_RUN, and has dealt with why */
};

struct fake_life;

#define FAKE_FAILED 12 /* its status where it cannot go on */

struct fake_machine {
	struct vm_debug *debug;
	int ncpus;
	bool delays;	   /* random pauses at every edge */
	bool watch_before; /* watchpoints report before the access */
	bool hw_only;	   /* swbreak() answers VM_SWBREAK_HW */
	unsigned hw_slots;
	unsigned exits;		       /* instructions between exits to user space, 0: none but stops */
	atomic_uint user[FAKE_SPACES]; /* where FAKE_USER leads; 0: nowhere */
	atomic_uint module;	       /* where FAKE_MODULE leads */
	bool unmapped;		       /* the tables do not have FAKE_HIGH; changed while stopped */
	unsigned site;
	bool events; /* OP_WRITE is two accesses that may be caught, reading and writing `writes` at FAKE_DATA */
	unsigned nmsrs;
	bool no_data_slots;	/* data accesses do not trap */
	bool undecoded;		/* writes to protected pages leave the guest without saying what they are */
	const char *busy;	/* what page_busy() answers */
	atomic_uint nprotected; /* pages: FAKE_DATA's is one of them whenever there are any */
	atomic_bool lifted;
	atomic_uint protects, lifts; /* how often */
	uint8_t ram[FAKE_RAM];
	atomic_uint kicks;				       /* by the debugger */
	void (*at)(struct fake_cpu *c, enum fake_place place); /* own thread, no lock held; NULL: nobody looks */
	atomic_int resumed;
	atomic_int killed;
	unsigned flushes;	/* by the stub side */
	struct fake_life *life; /* fake_life.h; NULL: the machine has one life */
	struct fake_cpu cpu[FAKE_CPUS_MAX];
};

extern const struct arch_desc fake_arch;

struct fake_machine *fake_new(int ncpus, bool start_stopped, bool delays);
/* The same for an ISA whose watchpoints report before the access. */
struct fake_machine *fake_new_watch_before(int ncpus, bool start_stopped, bool delays);
void fake_start(struct fake_machine *m);
void fake_reset(struct fake_machine *m); /* as before its first instruction; no thread runs */
void fake_join(struct fake_machine *m);	 /* the threads, which have been told to leave */
void fake_stop(struct fake_machine *m);	 /* the VM ends, its threads are joined */
void fake_free(struct fake_machine *m);
void fake_end(struct fake_machine *m); /* both */

#endif
