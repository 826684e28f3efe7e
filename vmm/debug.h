/*
 * vm_debug: the only door between the debugger and the machine.
 *
 * Stop-the-world over one pthread per vCPU. Two kinds of caller:
 *
 *   stub side   one thread at a time (the stub thread). Never issues a vCPU
 *               ioctl itself; what needs one goes through vm_debug_call().
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
	VM_STOP_FAULT, /* the VM cannot go on (or ends when resumed); vm_debug_fault_text() says why */
};

struct vm_stop {
	enum vm_stop_kind kind;
	enum hw_kind access; /* VM_STOP_WATCH */
	bool made;
	bool sequence; /* VM_STOP_STEPPED: over a whole exclusive sequence */
	uint64_t pc;   /* linear address of the next instruction */
	uint64_t addr;
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

enum vm_event_kind {
	VM_EVENT_STOPPED, /* all vCPUs are parked; cpu/stop say which one and why */
	VM_EVENT_EXITED,  /* the VM ends; status is the process's exit status */
};

struct vm_debug_event {
	enum vm_event_kind kind;
	int cpu;
	struct vm_stop stop;
	int status;
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
	 * Finishing an access may end in a debug stop: then it is stored in *late (kind != VM_STOP_NONE).
	 */
	int (*quiesce)(void *ctx, int cpu, struct vm_stop *late);

	/* Own thread, no lock held, about to run: write registers back, load the debug hardware. slots NULL: none. */
	int (*arm)(void *ctx, int cpu, const struct hw_slots *slots, bool step);

	/* Own thread: a stop of the whole VM ends (not called for steps). May be NULL. */
	void (*resumed)(void *ctx, int cpu);

	/* See arch_reg_read(): deferred registers on the own thread, others on any while parked. */
	int (*reg_read)(void *ctx, int cpu, unsigned regno, void *buf, size_t len);
	int (*reg_write)(void *ctx, int cpu, unsigned regno, const void *buf, size_t len);
	uint64_t (*pc)(void *ctx, int cpu);

	/* Parked: the vCPU's own page tables; -EFAULT not mapped. */
	int (*translate)(void *ctx, int cpu, uint64_t va, struct mapping *out);
	/* Where the loaded image's headers put va, when the tables do not map it. -ENOENT: nowhere. */
	int (*layout)(void *ctx, uint64_t va, struct mapping *out);
	/* Host pointer to guest RAM at gpa and bytes that follow contiguously in *len; NULL: not RAM. Any thread. */
	void *(*ram)(void *ctx, uint64_t gpa, uint64_t *len);
	/* Bytes of code were changed behind the guest's back. May be NULL. */
	void (*code_written)(void *ctx, void *host, size_t len);

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

	/* Stub thread: end the VM, killed from gdb or because gdb's end of the line was closed. Leads to
	 * vm_debug_exit(). */
	void (*kill)(void *ctx);
	void (*hangup)(void *ctx);
};

/* ---- life, main thread ---- */

/* start_stopped: vCPUs park before their first instruction. m is copied. NULL and errno on failure. */
struct vm_debug *vm_debug_new(const struct vm_debug_machine *m, bool start_stopped);
void vm_debug_free(struct vm_debug *d); /* after all vCPU threads and the stub have been joined */

/* Any thread, never blocks, idempotent (the first status wins): fails open requests, wakes parked vCPUs, posts EXITED.
 */
void vm_debug_exit(struct vm_debug *d, int status);

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
 * Guest virtual memory as that vCPU sees it (its own tables, then the image's layout). Returns bytes done from the
 * start, which is short where the next page is unmapped or not RAM; -EFAULT when not even one byte is; -EBUSY.
 */
ssize_t vm_debug_mem_read(struct vm_debug *d, int cpu, uint64_t va, void *buf, size_t len);
ssize_t vm_debug_mem_write(struct vm_debug *d, int cpu, uint64_t va, const void *buf, size_t len);
/* Guest physical memory (RAM only); same results. */
ssize_t vm_debug_phys_read(struct vm_debug *d, uint64_t gpa, void *buf, size_t len);
ssize_t vm_debug_phys_write(struct vm_debug *d, uint64_t gpa, const void *buf, size_t len);
int vm_debug_translate(struct vm_debug *d, int cpu, uint64_t va, struct mapping *out);

/*
 * Breakpoints, on every vCPU; cpu is the one whose view of memory resolves the address. Inserting the same
 * type/addr/len again is 0 without a second entry. Failures: -EBUSY running, -EFAULT address not mapped and no
 * hardware slot for it, -ENOSPC no slot left, -EINVAL length or kind, -ENOENT on removal of what is not there.
 * *why (if not NULL) is set to a static one-line reason.
 */
int vm_debug_break_insert(struct vm_debug *d, int cpu, const struct vm_break *b, const char **why);
int vm_debug_break_remove(struct vm_debug *d, enum vm_break_type type, uint64_t addr, uint32_t len);
/* The i-th breakpoint for listings; how: "planted", "hardware", "write-protected". -ENOENT past the end. */
int vm_debug_break_get(struct vm_debug *d, size_t i, struct vm_break *out, const char **how);

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
bool vm_debug_fault(struct vm_debug *d, int cpu, uint64_t pc, const char *text);

/* The vCPU's thread has ended (vm_debug_checkpoint() gave false, or a failure): nobody waits for it any more. */
void vm_debug_gone(struct vm_debug *d, int cpu);

#endif
