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

#define FAKE_CPUS_MAX  8
#define FAKE_RAM       0x10000
#define FAKE_CODE(cpu) (0x1000u * ((unsigned)(cpu) + 1)) /* its loop, LOOP_LEN bytes, the last jumps back */
#define FAKE_LOOP_LEN  16
#define FAKE_SHARED    0xe000u		     /* a routine that every loop calls: OP_WORK bytes, ends with OP_RET */
#define FAKE_DATA      0xf000u		     /* a byte that OP_WRITE writes */
#define FAKE_HIGH      0xffff800000000000ull /* RAM again, as the guest's tables map it */
#define FAKE_LAYOUT    0xffffffff80000000ull /* RAM again, as only the image's headers know it */

enum fake_op {
	OP_WORK = 0x90,
	OP_CALL = 0xe8, /* to FAKE_SHARED */
	OP_RET = 0xc3,
	OP_JUMP = 0xeb,	 /* to the loop's start */
	OP_WRITE = 0x88, /* FAKE_DATA */
	OP_BREAK = 0xcc,
	OP_WAIT = 0xf4, /* until kicked, like a halted CPU */
};

enum fake_reg { FAKE_PC, FAKE_SP, FAKE_COUNT, FAKE_DEFERRED, FAKE_NREGS };

struct fake_cpu {
	struct fake_machine *m;
	int id;
	pthread_t thread;
	uint64_t pc, ret;
	uint64_t deferred;
	uint64_t count; /* instructions done */
	atomic_bool kicked;
	atomic_int inside; /* 1 while in the guest: must be 0 when somebody reads it */
	const struct hw_slots *slots;
	bool step;
	unsigned arms;
	uint64_t foreign;	/* breakpoint instructions that were the guest's own */
	uint64_t ran[FAKE_RAM]; /* how often the instruction at this address ran */
	unsigned seed;
};

struct fake_life;

struct fake_machine {
	struct vm_debug *debug;
	int ncpus;
	bool delays;	   /* random pauses at every edge */
	bool watch_before; /* watchpoints report before the access */
	bool hw_only;	   /* swbreak() answers VM_SWBREAK_HW */
	unsigned hw_slots;
	bool unmapped; /* the guest's tables do not have FAKE_HIGH */
	uint8_t ram[FAKE_RAM];
	atomic_int resumed;
	atomic_int killed;
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
