/*
 * vm_debug: the only door between the debugger and the machine.
 *
 * Stop-the-world over one pthread per vCPU. Two kinds of caller:
 *
 *   stub side   one thread at a time (the stub thread). Never issues a vCPU
 *               ioctl itself; what needs one goes through vm_debug_call().
 *               The main thread is a second one while it holds the machine
 *               (vm_debug_hold()): it may look, and change breakpoints that
 *               are the machine's own.
 *   vCPU side   the vCPU's own thread.
 *
 * The machine below is reached only through `struct vm_debug_machine`, so the
 * same code runs over KVM and over the fake vCPUs of tests/fake.
 *
 * Planted breakpoint bytes are in guest memory only while the world runs:
 * they are written when it is released and taken out when it has stopped, so
 * reads never show them and a detach or a dying client leaves none behind.
 */
#ifndef VMM_DEBUG_H
#define VMM_DEBUG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch/desc.h"

struct vm_debug;

/* Why a vCPU stopped. */
enum vm_stop_kind {
	VM_STOP_NONE,
	VM_STOP_PAUSED, /* it was asked to: start, attach, Ctrl-C */
	VM_STOP_STEPPED,
	VM_STOP_SWBREAK, /* pc is the breakpoint's address */
	VM_STOP_HWBREAK,
	VM_STOP_WATCH, /* addr is the data address, access its kind; made: the access was made, whatever the ISA's way
			*/
	VM_STOP_EVENT, /* something that was to be caught has happened; `event` says what */
	VM_STOP_FAULT, /* the VM cannot go on (or ends when resumed); vm_debug_fault_text() says why */
};

/* Events that a client may ask to stop at. */
enum vm_catch_kind {
	VM_CATCH_PANIC,	       /* stops as VM_STOP_FAULT, as it does for every client that is attached */
	VM_CATCH_TRIPLE_FAULT, /* likewise */
	VM_CATCH_RESET,
	VM_CATCH_MMIO,
	VM_CATCH_IO,
	VM_CATCH_MSR,
};

struct vm_catch {
	enum vm_catch_kind kind;
	uint64_t addr, len; /* MMIO, IO: addresses; MSR: its number, 1; others: 0, 1 */
	unsigned id;	    /* given by vm_debug_catch_add() */
};

/* What has happened. */
struct vm_access {
	enum vm_catch_kind kind; /* RESET, MMIO, IO or MSR */
	uint64_t addr;		 /* port, physical address or MSR */
	unsigned size;		 /* bytes of one access */
	unsigned count;		 /* of accesses to the same address: string instructions */
	bool write;
	bool refused;	/* MSR: the guest gets #GP */
	uint64_t value; /* of the first of them; its low `size` bytes */
};

/* VM_STOP_FAULT: what happened */
enum vm_fault {
	VM_FAULT_KVM,	  /* an exit that KVM cannot go on from */
	VM_FAULT_PANIC,	  /* the guest reported a panic */
	VM_FAULT_TRIPLE,  /* the guest shut this CPU down */
	VM_FAULT_VERDICT, /* the run has failed, and was to stop then (vm_debug_hand_over()) */
};

struct vm_stop {
	enum vm_stop_kind kind;
	enum hw_kind access; /* VM_STOP_WATCH */
	bool made;
	enum vm_fault fault; /* VM_STOP_FAULT */
	bool sequence;	     /* VM_STOP_STEPPED: over a whole exclusive sequence */
	bool foreign;	     /* VM_STOP_SWBREAK: by an instruction that is never planted */
	uint64_t pc;	     /* linear address of the next instruction */
	uint64_t addr;
	struct vm_access event; /* VM_STOP_EVENT */
};

/* What a vCPU does on resume. VM_STAY leaves it parked. */
enum vm_action_kind {
	VM_STAY,
	VM_CONT,
	VM_STEP,
	VM_STEP_RANGE, /* step while lo <= pc < hi */
};

struct vm_action {
	enum vm_action_kind kind;
	uint64_t lo, hi; /* VM_STEP_RANGE */
};

/*
 * How a vCPU enters the guest. While a range is stepped through, interrupts are held off, but let in from time to time:
 * the vCPU takes what is pending and runs free, its handlers with it, until it is back where it was. That counts as one
 * step to vm_debug, which ends with VM_STOP_STEPPED; breakpoints that are hit meanwhile stop as ever.
 */
enum vm_arm {
	VM_ARM_RUN,
	VM_ARM_STEP,	  /* one instruction, interrupts held off */
	VM_ARM_LET_IN,	  /* interrupts are let in at the present pc */
	VM_ARM_LET_IN_ON, /* one is under way and was interrupted by a stop or an exit: it goes on */
};

enum vm_event_kind {
	VM_EVENT_STOPPED, /* all vCPUs are parked; cpu/stop say which one and why */
	VM_EVENT_EXITED,  /* the machine has ended, with that status */
};

struct vm_debug_event {
	enum vm_event_kind kind;
	int cpu;
	struct vm_stop stop;
	int status;
	bool over; /* EXITED: the process ends with it; otherwise vm_debug_restart() makes another machine */
};

/* How a software breakpoint can be served. */
enum vm_swbreak {
	VM_SWBREAK_PLANT, /* plant the instruction; its hit arrives as VM_STOP_SWBREAK */
	VM_SWBREAK_HW,	  /* planting does not trap here: take a hardware slot */
};

enum vm_break_type {
	VM_BREAK_SW,	       /* Z0; may be served by a hardware slot */
	VM_BREAK_HW,	       /* Z1 */
	VM_BREAK_WATCH_WRITE,  /* Z2 */
	VM_BREAK_WATCH_READ,   /* Z3 */
	VM_BREAK_WATCH_ACCESS, /* Z4 */
};

struct vm_break {
	enum vm_break_type type;
	uint64_t addr; /* guest virtual */
	uint32_t len;  /* Z packet's kind: instruction length, or bytes watched */
	/*
	 * Optional, evaluated on the vCPU's own thread at the trap, that vCPU's registers readable, other vCPUs
	 * running: false means "not a hit", and the vCPU is moved past the breakpoint without a stop.
	 * Must not block. ctx has to outlive the breakpoint.
	 */
	bool (*cond)(void *ctx, int cpu, const struct vm_stop *stop);
	void *cond_ctx;
	/* The machine's own (--break), not the client's: it stays when clients come and go, and may share an address.
	 */
	bool machines;
	/*
	 * machines: it is met often and nobody stops for it. Where several vCPUs run, a slot that is left over is
	 * rather used than an instruction planted: cheaper, but a slot knows virtual addresses only, so the same code
	 * at another address is not met.
	 */
	bool often;
};

#define VM_SPACE_SHARED	  (~0ull)
#define VM_SPACE_PHYSICAL (~1ull)
/* How far the kernel of --symbols lies above where that file links it (KASLR). */
enum vm_slide_state {
	VM_SLIDE_NO_SYMBOLS, /* there is nothing to compare the guest with */
	VM_SLIDE_NOT_YET,    /* no CPU has it mapped, as far as can be seen */
	VM_SLIDE_OTHER,	     /* what is mapped is another kernel: see its banner */
	VM_SLIDE_FOUND,
};

struct vm_slide {
	enum vm_slide_state state;
	uint64_t slide;	     /* modulo 2^64 */
	uint64_t first;	     /* where the file links its first segment */
	bool percpu_at_zero; /* its .data..percpu is linked at 0 and does not move */
	const char *file;    /* lives as long as the machine, as does: */
	const char *banner;  /* of the file */
	char other[512];     /* VM_SLIDE_OTHER: the guest's */
};

/* The machine under vm_debug. ctx is passed back. Functions return 0 or -errno. */
struct vm_debug_machine {
	const struct arch_desc *arch;
	void *ctx;
	int ncpus;

	/* Any thread, lock held: make cpu leave (or not enter) its run loop soon. Must not block. */
	void (*kick)(void *ctx, int cpu);

	/*
	 * Own thread, no lock held, about to park: finish half-done I/O, make registers readable by others.
	 * Finishing an access may end in a debug stop: then it is stored in *late (kind != VM_STOP_NONE). -errno: what
	 * others read is not true; vm_debug_fault() has been told, or the machine ends. So also with arm().
	 */
	int (*quiesce)(void *ctx, int cpu, struct vm_stop *late);

	/*
	 * Own thread, no lock held, about to run: write registers back, load the debug hardware. slots NULL: none.
	 * 0 or -errno; 1 for VM_ARM_LET_IN: not here (the guest masks interrupts, no slot is free, ...): armed to step.
	 */
	int (*arm)(void *ctx, int cpu, const struct hw_slots *slots, enum vm_arm how);

	/* Own thread: a stop of the whole VM ends (not called for steps). May be NULL. */
	void (*resumed)(void *ctx, int cpu);

	/* See arch_reg_read(): deferred registers on the own thread, others on any while parked. */
	int (*reg_read)(void *ctx, int cpu, unsigned regno, void *buf, size_t len);
	int (*reg_write)(void *ctx, int cpu, unsigned regno, const void *buf, size_t len);
	uint64_t (*pc)(void *ctx, int cpu);

	/* Parked: the vCPU's own page tables; -EFAULT not mapped. */
	int (*translate)(void *ctx, int cpu, uint64_t va, struct mapping *out);
	/*
	 * As translate(), by the tables of the guest's kernel, where the vCPU runs a program whose own tables leave it
	 * out (page-table isolation). May be NULL.
	 */
	int (*kernel_translate)(void *ctx, int cpu, uint64_t va, struct mapping *out);
	/*
	 * Own thread, running, the last exit handled: make translate() and space() true for now. 0 or -errno. May be
	 * NULL: they are.
	 */
	int (*translate_ready)(void *ctx, int cpu);
	/*
	 * Whose address is va for that vCPU? A number for its address space, VM_SPACE_SHARED where all address spaces
	 * have the same, VM_SPACE_PHYSICAL without paging. May be NULL: shared. When translate() is allowed.
	 */
	uint64_t (*space)(void *ctx, int cpu, uint64_t va);
	/*
	 * Length of the instruction at bytes if it is of a kind that a kernel replaces while it runs (NOPs left for
	 * that purpose, direct jumps and calls), else 0. May be NULL: there is none. When translate() is allowed.
	 */
	size_t (*patch_site)(void *ctx, int cpu, const uint8_t *bytes, size_t n);
	/* Where the loaded image's headers put va, when the tables do not map it. -ENOENT: nowhere. */
	int (*layout)(void *ctx, uint64_t va, struct mapping *out);
	/* Host pointer to guest RAM at gpa and bytes that follow contiguously in *len; NULL: not RAM. Any thread. */
	void *(*ram)(void *ctx, uint64_t gpa, uint64_t *len);
	/* Bytes of code were changed behind the guest's back. May be NULL. */
	void (*code_written)(void *ctx, void *host, size_t len);

	/* Where a Linux kernel has moved itself; the stop, see vm_debug_slide_stop(). May be NULL. */
	void (*slide)(void *ctx, struct vm_slide *out);
	int (*slide_stop)(void *ctx, bool on);

	/*
	 * Write-protection of guest RAM, for write watchpoints that the debug hardware cannot hold. All vCPUs parked.
	 * protect: see memslots_protect(); pages are of page_size bytes; NULL: there is no such thing here.
	 * page_busy, own thread: why writes to one of these (sorted) pages cannot be caught as this vCPU stands, or
	 * NULL.
	 */
	uint64_t page_size;
	int (*protect)(void *ctx, const uint64_t *pages, size_t n, bool lifted);
	const char *(*page_busy)(void *ctx, int cpu, const uint64_t *pages, size_t n);

	/* -EOPNOTSUPP: this host's debug hardware does not fire for such a slot. */
	int (*slots_check)(void *ctx, const struct hw_slots *slots);
	enum vm_swbreak (*swbreak)(void *ctx, int cpu);
	void (*state_text)(void *ctx, int cpu, char *buf, size_t len);

	/* What monitor commands show and do: see arch/arch.h. All of these may be NULL. */
	bool (*region)(void *ctx, size_t i, struct region *out); /* RAM, devices, what KVM serves; any thread */
	const char *chips;
	int (*chip_text)(void *ctx, int cpu, const char *name, char *buf, size_t len); /* own thread */
	int (*nmi)(void *ctx, int cpu);						       /* own thread */
	void (*poweroff)(void *ctx);						       /* stub thread */
	/* Can it be caught? 0, or -errno and why not. Stub thread, stopped. */
	int (*catch_check)(void *ctx, const struct vm_catch *c, char *why, size_t len);
	/* MSRs that are to be seen from now on, and no others. Any thread, lock held, nobody runs. */
	int (*catch_msrs)(void *ctx, const uint32_t *msrs, size_t n);

	/* Stub thread: the client leaves, and nobody has been let run yet. May be NULL. */
	void (*detached)(void *ctx);
	/*
	 * Stub thread, before it is told of the machine's end: bring what the guest has said to its reader. May take a
	 * second. May be NULL.
	 */
	void (*flush)(void *ctx);
	/* Stub thread: end the machine, killed from gdb. Leads to vm_debug_exit(). */
	void (*kill)(void *ctx);
	/*
	 * Stub thread: nobody is at gdb's end of the line any more: end the process, with the status of the machine's
	 * end if it has ended already. Leads to vm_debug_quit().
	 */
	void (*hangup)(void *ctx);
	/*
	 * Stub thread, must not block: make the machine anew from its images. Its vCPU threads have been told to leave.
	 * Leads to vm_debug_reborn() or vm_debug_stillborn(). NULL: this machine cannot.
	 */
	void (*restart)(void *ctx);
	const char *program; /* what the images are called: --kernel's path, or NULL for the built-in guest */
};

/* ---- life, main thread ---- */

/* start_stopped: vCPUs park before their first instruction. m is copied. NULL and errno on failure. */
struct vm_debug *vm_debug_new(const struct vm_debug_machine *m, bool start_stopped);
void vm_debug_free(struct vm_debug *d); /* after all vCPU threads and the stub have been joined */

/*
 * The machine ends. Any thread, never blocks, idempotent (the first status wins): fails open requests, makes the vCPUs
 * leave, posts EXITED. Is it the process's end, too? It is not while a client keeps it (vm_debug_keep()).
 */
void vm_debug_exit(struct vm_debug *d, int status);
/* The process ends, whatever a client wants. Any thread, otherwise like vm_debug_exit(). */
void vm_debug_quit(struct vm_debug *d, int status);
/* Any thread. True once it is certain that the process ends; *status is then what with. */
bool vm_debug_over(struct vm_debug *d, int *status);

/*
 * After machine.restart, when all vCPU threads of the old machine have been joined. reborn: before those of the new one
 * start; they park at once and a STOPPED event follows, or they run if the client has left meanwhile. Breakpoints stay,
 * and those in memory are looked up anew. stillborn: there is no new machine; an EXITED event follows.
 */
void vm_debug_reborn(struct vm_debug *d);
void vm_debug_stillborn(struct vm_debug *d, int status);

/* ---- the machine's own stops (debug_hold.c) ---- */

/*
 * Stop the world and keep it stopped, whatever the client wants; it is told nothing of it. Any thread, also a vCPU's
 * own; never blocks, idempotent. No vCPU enters the guest again once its present run is over.
 */
void vm_debug_hold(struct vm_debug *d);
/*
 * Main thread, after vm_debug_hold(): true once everybody has parked, and whatever is allowed while stopped is allowed
 * to the main thread. false: the machine ends, or timeout_ms is over.
 */
bool vm_debug_hold_wait(struct vm_debug *d, int timeout_ms);
/* Main thread: all go on with what they were doing, unless the client has them stopped. */
void vm_debug_unhold(struct vm_debug *d);
/*
 * Main thread, held: the stop becomes the client's: a VM_STOP_FAULT of that vCPU with this text. Is there none, the
 * next one finds it.
 */
void vm_debug_hand_over(struct vm_debug *d, int cpu, const char *text);
/* Any thread, no lock held: microseconds since the machine was made during which the world was not stopped. */
uint64_t vm_debug_ran_us(struct vm_debug *d);

/* ---- stub side ---- */

const struct arch_desc *vm_debug_arch(const struct vm_debug *d);
int vm_debug_ncpus(const struct vm_debug *d);

/*
 * A client has come: faults stop instead of ending the VM. Asks for a pause; a STOPPED event follows (at once if
 * all are parked already).
 */
void vm_debug_attach(struct vm_debug *d);
/* The client has gone: every breakpoint is removed, pending stops are forgotten, all vCPUs run. Also valid while
 * running. */
void vm_debug_detach(struct vm_debug *d);
/* Any thread. True between attach and detach. */
bool vm_debug_attached(struct vm_debug *d);

/*
 * A client is there that wants to outlive the machine (gdb's extended mode): its end is not the process's. Taken back
 * when there is no machine, the process ends (machine.hangup).
 */
void vm_debug_keep(struct vm_debug *d, bool keep);
/*
 * A new machine from the same images, whatever the old one is doing, or after its end. Events of the old one are
 * forgotten; a STOPPED event follows, or EXITED if it could not be made. -ESHUTDOWN: the process ends. -ENOTSUP.
 */
int vm_debug_restart(struct vm_debug *d);
/* --kernel's path, NULL for the built-in guest. */
const char *vm_debug_program(const struct vm_debug *d);

/* Any thread; asynchronous. A STOPPED event follows (once, also if asked twice). No effect while stopped or unattached.
 */
void vm_debug_pause(struct vm_debug *d);

/*
 * a[i] is vCPU i's action; n == ncpus. Returns 0 and a STOPPED or EXITED event follows later: if a resumed vCPU
 * still has a stop pending that is reported at once and nothing runs. -EBUSY: not stopped. -ESHUTDOWN: exiting.
 */
int vm_debug_resume(struct vm_debug *d, const struct vm_action *a, size_t n);

int vm_debug_fd(
	const struct vm_debug *d);	 /* eventfd, readable when events may be queued: a doorbell, not the message */
void vm_debug_drain(struct vm_debug *d); /* reset the doorbell; call before draining the queue */
bool vm_debug_next(struct vm_debug *d, struct vm_debug_event *out);
/* Spin for at most `us` microseconds until an event is queued; true if one is. For the stub while stepping. */
bool vm_debug_wait_hot(struct vm_debug *d, unsigned us);

/* Run fn on that vCPU's own thread while it is parked; returns fn's result, -EBUSY running, -ENXIO gone or exiting. */
int vm_debug_call(struct vm_debug *d, int cpu, int (*fn)(void *arg), void *arg);

/* Stopped only (-EBUSY otherwise). */
int vm_debug_reg_read(struct vm_debug *d, int cpu, unsigned regno, void *buf, size_t len);
int vm_debug_reg_write(struct vm_debug *d, int cpu, unsigned regno, const void *buf, size_t len);
int vm_debug_pc(struct vm_debug *d, int cpu, uint64_t *pc);

/*
 * Guest virtual memory as that vCPU sees it (its own tables, then its kernel's, then the image's layout). Returns bytes
 * done from the start, which is short where the next page is unmapped or not RAM; -EFAULT when not even one byte is;
 * -EBUSY.
 */
ssize_t vm_debug_mem_read(struct vm_debug *d, int cpu, uint64_t va, void *buf, size_t len);
ssize_t vm_debug_mem_write(struct vm_debug *d, int cpu, uint64_t va, const void *buf, size_t len);
/* Guest physical memory (RAM only); same results. */
ssize_t vm_debug_phys_read(struct vm_debug *d, uint64_t gpa, void *buf, size_t len);
ssize_t vm_debug_phys_write(struct vm_debug *d, uint64_t gpa, const void *buf, size_t len);
int vm_debug_translate(struct vm_debug *d, int cpu, uint64_t va, struct mapping *out);

/*
 * The first mapping at or after *va, as that vCPU's tables have it: *va is where it begins, or the address asked about
 * if it begins before that. -ENOENT: there is none; -E2BIG: *budget look-ups (counted down) were not enough to find
 * one, *va is where to go on.
 */
int vm_debug_next_mapping(struct vm_debug *d, int cpu, uint64_t *va, unsigned *budget, struct mapping *out);
/* Where RAM at gpa is in this process, NULL: it is none. */
void *vm_debug_host_address(struct vm_debug *d, uint64_t gpa);
/* The i-th range of the machine's address spaces, RAM first and in ascending order; false past the end. */
bool vm_debug_region(struct vm_debug *d, size_t i, struct region *out);
/* Stopped only. -ENOENT: no such interrupt controller; vm_debug_chips() has the names of those there are. */
int vm_debug_chip_text(struct vm_debug *d, int cpu, const char *name, char *buf, size_t len);
const char *vm_debug_chips(const struct vm_debug *d);
/* Stopped only. -ENOTSUP: this machine has none; -EAGAIN: this vCPU is not started. */
int vm_debug_nmi(struct vm_debug *d, int cpu);
int vm_debug_poweroff(struct vm_debug *d); /* as if the guest had done it; -ENOTSUP */

/*
 * Events to stop at, on every vCPU; gone when the client leaves. Stopped only. Add: the catch's number (> 0), the old
 * one if it is there already; or -errno and one line in why. Remove: by number, 0: all; -ENOENT. Get: the i-th.
 */
int vm_debug_catch_add(struct vm_debug *d, const struct vm_catch *c, char *why, size_t len);
int vm_debug_catch_remove(struct vm_debug *d, unsigned id);
bool vm_debug_catch_get(struct vm_debug *d, size_t i, struct vm_catch *out);

/*
 * Breakpoints, on every vCPU; cpu is the one whose view of memory resolves the address. Inserting the same
 * type/addr/len again is 0 without a second entry. A VM_BREAK_SW whose address leads nowhere yet is accepted: it has
 * a slot if one is free, and is planted once the address leads to code. Failures: -EBUSY running, -ENOSPC no slot
 * left for what needs one, -EINVAL length or kind, -EOPNOTSUPP, -ENOENT on removal of what is not there.
 * *why (if not NULL) is set to a static one-line reason.
 */
int vm_debug_break_insert(struct vm_debug *d, int cpu, const struct vm_break *b, const char **why);
int vm_debug_break_remove(struct vm_debug *d, enum vm_break_type type, uint64_t addr, uint32_t len);
/* Of the machine's own: one, all. */
int vm_debug_machines_break_remove(struct vm_debug *d, enum vm_break_type type, uint64_t addr, uint32_t len);
void vm_debug_machines_breaks_clear(struct vm_debug *d);
/* The i-th breakpoint, by address, for listings; how: "planted", "hardware", "write-protected" or "pending". -ENOENT
 * past the end. */
int vm_debug_break_get(struct vm_debug *d, size_t i, struct vm_break *out, const char **how);

/* Stopped only (-EBUSY). Looks through the guest's memory (some ms) while the state is not VM_SLIDE_FOUND. */
int vm_debug_slide(struct vm_debug *d, struct vm_slide *out);
/*
 * Once the slide is found, the machine is to stop (as by vm_debug_pause()), before the kernel gets anywhere. -EALREADY:
 * it is; -ENOENT: no symbols; -ENOSPC: it takes a hardware slot, and none is left; -ENOTSUP: nothing tells so early.
 */
int vm_debug_slide_stop(struct vm_debug *d);

void vm_debug_state_text(struct vm_debug *d, int cpu, char *buf, size_t len);
void vm_debug_fault_text(struct vm_debug *d, char *buf, size_t len); /* of the last VM_STOP_FAULT */
void vm_debug_kill(struct vm_debug *d);
void vm_debug_hangup(struct vm_debug *d);

/* ---- vCPU side ---- */

/*
 * Before every entry into the guest. Parks here while a stop is asked for or the vCPU's action is VM_STAY, serves
 * calls while parked, arms the debug hardware when it changed. Cheap (two loads) when nobody debugs.
 * false: leave the thread.
 */
bool vm_debug_checkpoint(struct vm_debug *d, int cpu);

enum vm_trap_result {
	VM_TRAP_TAKEN,	 /* recorded, or moved past: go on to the checkpoint */
	VM_TRAP_FOREIGN, /* VM_STOP_SWBREAK only: not planted by us, the guest's own */
};

/* After a debug exit. stop->pc must be valid. */
enum vm_trap_result vm_debug_trap(struct vm_debug *d, int cpu, const struct vm_stop *stop);

/*
 * The guest writes, or (arch_desc.watch_before) is about to write, these bytes of RAM, whose page is write-protected.
 * Is that news? Then *stop is a VM_STOP_WATCH but for its pc; addr is the first of them that is watched.
 */
bool vm_debug_watched(struct vm_debug *d, int cpu, uint64_t gpa, uint64_t len, struct vm_stop *stop);

/*
 * The instruction at pc did not get through and may be a write to a write-protected page: it, and up to steps - 1 that
 * follow, are executed alone with the protection lifted; what changes of the watched bytes is a VM_STOP_WATCH. True: go
 * on to the checkpoint. False: nothing is protected, or is lifted already: it is something else.
 */
bool vm_debug_lift(struct vm_debug *d, int cpu, unsigned steps);

/*
 * A fatal condition (internal error, triple fault, guest panic). true: a debugger is attached, the stop is recorded
 * and the thread must go on to the checkpoint; it decides itself what to do once resumed. false: nobody is there.
 */
bool vm_debug_fault(struct vm_debug *d, int cpu, enum vm_fault fault, uint64_t pc, const char *text);

/*
 * This has just happened. true: it was to be caught, the stop is recorded and the thread goes on to the checkpoint,
 * also when another stop is recorded already: both are reported.
 */
bool vm_debug_event(struct vm_debug *d, int cpu, const struct vm_access *a);
/* Would that be caught? */
bool vm_debug_catches(struct vm_debug *d, const struct vm_access *a);

/* The vCPU's thread has ended (vm_debug_checkpoint() gave false, or a failure): nobody waits for it any more. */
void vm_debug_gone(struct vm_debug *d, int cpu);

#endif
