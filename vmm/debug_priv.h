/*
 * Shared by debug.c (who runs), debug_stub.c (the stub's side of it), debug_events.c (what the stub is told),
 * debug_bp.c (breakpoints) and debug_mem.c (memory). Nobody else includes it.
 */
#ifndef VMM_DEBUG_PRIV_H
#define VMM_DEBUG_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/debug.h"

/*
 * RUNNING -> STOPPING: somebody wants the world to stop; running vCPUs were kicked.
 * STOPPING -> STOPPED: the last one parked and there is something to report.
 * STOPPING -> RUNNING: the last one parked and there was not (a step past a breakpoint, a detach).
 * STOPPED -> RUNNING:  vm_debug_resume() or vm_debug_detach().
 * Changed under the lock only; read without it by vCPUs (the checkpoint) and by the stub.
 */
enum world {
	WORLD_RUNNING,
	WORLD_STOPPING,
	WORLD_STOPPED,
};

enum where {
	AT_RUNNING, /* in the guest, or on its way in or out: counted in nrunning */
	AT_PARKED,  /* inside vm_debug_checkpoint(), until somebody sets AT_RUNNING */
	AT_GONE,    /* the thread has left */
};

enum call_state {
	CALL_NONE,
	CALL_ASKED, /* by the stub, which waits for CALL_DONE */
	CALL_DONE,
};

/* One vCPU as the debugger sees it. Under the lock, except where the owner is named. */
struct cpu_debug {
	enum where where;
	struct vm_action action; /* of the last resume; VM_STAY before the first */
	struct vm_stop pending;	 /* a stop not yet reported; kind NONE: none */
	unsigned pending_seq;	 /* order among the pending ones */
	/*
	 * The client has seen this vCPU at its present pc, so a breakpoint there is not news: it is stepped over on
	 * resume. Set by a report and by an explicit step; cleared when the vCPU has moved and when its pc is written.
	 */
	bool known;
	bool at_watch;		      /* known, and the access at its pc has hit a watchpoint but is not made yet */
	bool stepping;		      /* armed to step: a VM_STOP_STEPPED is expected */
	bool after_stop;	      /* machine.resumed is due */
	const struct hw_slots *slots; /* to arm with; NULL: none */
	bool rearm;		      /* own thread's; set by others only while parked */
	atomic_uint poke;	      /* counts wake-ups, for the spin before sleeping */
	pthread_cond_t wake;
	enum call_state call;
	int (*call_fn)(void *arg);
	void *call_arg;
	int call_result;
};

/* How a breakpoint is served. */
enum break_service {
	SERVED_NOT_YET,	   /* its address is not mapped and no slot is free: tried again */
	SERVED_PLANTED,	   /* by an instruction in guest memory */
	SERVED_SLOT,	   /* by the debug hardware */
	SERVED_WRITE_TRAP, /* a write watchpoint: its pages are write-protected */
};

/* One breakpoint. Changed only while the world is stopped, so running vCPUs read the table without the lock. */
struct break_entry {
	struct vm_break spec;
	enum break_service service;
	bool old;      /* of a machine whose end the client knows; it has not asked for it since */
	bool unmapped; /* a slot only because the address was not mapped: to be planted once it is */
	uint64_t gpa;  /* planted: where */
	uint8_t *host;
	uint8_t saved[8]; /* planted and in memory: what was there */
};

struct break_table {
	struct break_entry *entry;
	size_t n, cap;
	bool in_memory;		    /* instructions are planted right now */
	struct hw_slots slots;	    /* for every vCPU that runs */
	struct hw_slots solo_slots; /* for the one that steps past a breakpoint */
};

#define DEBUG_EVENTS 8

struct vm_debug {
	struct vm_debug_machine m;
	pthread_mutex_t lock;
	pthread_cond_t call_done;
	atomic_int world;
	bool attached;
	bool exiting;	 /* the machine ends, or has ended: vCPUs leave, nothing can be asked of them */
	bool kept;	 /* by a client, beyond the machine's end */
	bool over;	 /* the process ends, with over_status */
	bool end_told;	 /* EXITED was posted for the last machine that ended */
	bool restarting; /* a new machine was asked for */
	bool reborn;	 /* and is there, and has not been reported yet */
	int over_status;
	bool pause_wanted, detach_wanted;
	bool hot; /* the last stop was a step: the next resume is near */
	int nrunning;
	int solo;     /* vCPU that steps past a breakpoint alone, or -1 */
	int last_cpu; /* of the last report */
	unsigned stop_seq;
	struct cpu_debug *cpu;
	struct break_table breaks;
	char fault[512];
	int fd;
	atomic_uint queued;
	unsigned first; /* ring of events */
	struct vm_debug_event event[DEBUG_EVENTS];
};

static inline bool debug_stopped(const struct vm_debug *d)
{
	return atomic_load_explicit(&d->world, memory_order_acquire) == WORLD_STOPPED;
}

/* debug.c */
void debug_set_world_locked(struct vm_debug *d, enum world w);
void debug_wake_locked(struct cpu_debug *c);
/* Make every running vCPU but `self` (-1: nobody) park; the last one calls debug_advance_locked(). */
void debug_begin_stop_locked(struct vm_debug *d, int self);
/* nrunning == 0: report a stop, or step somebody past a breakpoint, or let everybody go on. */
void debug_advance_locked(struct vm_debug *d);
void debug_report_pause_locked(struct vm_debug *d);

/* debug_events.c */
void debug_post_locked(struct vm_debug *d, const struct vm_debug_event *ev);
/* What was reported to a client that has gone is nobody's news. */
void debug_drop_stopped_events_locked(struct vm_debug *d);
void debug_drop_events_locked(struct vm_debug *d);
uint64_t debug_now_us(void);
/* In a loop that spins. */
static inline void debug_relax(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* debug_mem.c: where va leads for that vCPU: its own tables, then (if allowed) the image's layout. Parked or own
 * thread. */
int debug_resolve(struct vm_debug *d, int cpu, uint64_t va, bool use_layout, struct mapping *out);

/* debug_bp.c. "stopped": nrunning == 0 and the lock held. */
void breaks_free(struct break_table *t);
void breaks_clear(struct vm_debug *d);	 /* stopped */
void breaks_plant(struct vm_debug *d);	 /* stopped: instructions into memory, slots rebuilt */
void breaks_unplant(struct vm_debug *d); /* stopped */
/* stopped, a new machine: what was planted in the memory of the old one is looked up anew */
void breaks_machine_new(struct vm_debug *d);
/* No machine: the client may have forgotten its breakpoints with it. They stay until their slots are needed. */
void breaks_end_told(struct vm_debug *d);
/* stopped: all but execution slots at pc; with lift_watches no data slots either */
void breaks_solo_slots(struct vm_debug *d, uint64_t pc, bool lift_watches);
/* The instruction breakpoint that a vCPU at pc is on, or NULL. Parked or own thread. */
const struct break_entry *breaks_at(struct vm_debug *d, int cpu, uint64_t pc);
/* The entry that explains this stop, or NULL (not ours, or removed meanwhile). Parked or own thread. */
const struct break_entry *breaks_explain(struct vm_debug *d, int cpu, const struct vm_stop *stop);

#endif
