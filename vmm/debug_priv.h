/*
 * Shared by vmm/debug*.c, and by nobody else: debug.c (who runs), debug_vcpu.c and debug_stub.c (the two sides),
 * debug_events.c (what the stub is told), debug_bp.c, debug_plant.c, debug_slots.c (breakpoints), debug_watch.c (write
 * watchpoints without slots), debug_catch.c (events), debug_mem.c (memory), debug_life.c (ends and new machines),
 * debug_hold.c (the machine's own stops), debug_pass.c (hits that are nobody's news), debug_info.c and debug_slide.c
 * (what the stub may ask besides).
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

/* Interrupts during a range step: see enum vm_arm. */
enum let_in {
	LET_IN_NO,
	LET_IN_DUE,   /* to be asked for with the next arm */
	LET_IN_GOING, /* under way: the vCPU may be anywhere in a handler */
};
#define EVENTS_LATER 3

/* One vCPU as the debugger sees it. Under the lock, except where the owner is named. */
struct cpu_debug {
	enum where where;
	struct vm_action action; /* of the last resume; VM_STAY before the first */
	struct vm_stop pending;	 /* a stop not yet reported; kind NONE: none */
	unsigned pending_seq;	 /* order among the pending ones */
	/* Events after the pending stop: an instruction may make several accesses. */
	struct vm_stop later[EVENTS_LATER];
	unsigned nlater;
	/*
	 * The client has seen this vCPU at its present pc, so a breakpoint there is not news: it is stepped over on
	 * resume. Set by a report and by an explicit step; cleared when the vCPU has moved and when its pc is written.
	 */
	bool known;
	bool told;	/* the machine's own breakpoints at its pc have been asked; until it moves on */
	bool at_watch;	/* known, and the access at its pc has hit a watchpoint but is not made yet */
	bool stepping;	/* armed to step: a VM_STOP_STEPPED is expected */
	unsigned steps; /* of range steps since interrupts were let in or it ran free */
	enum let_in let_in;
	unsigned lift;		      /* instructions from its pc to execute with the write-protection lifted */
	bool after_stop;	      /* machine.resumed is due */
	const struct hw_slots *slots; /* to arm with; NULL: none */
	bool rearm;		      /* own thread's; set by others only while parked */
	bool passing;		      /* own thread's: steps over pass_pc while the others run, see debug_pass.c */
	uint64_t pass_pc;
	struct hw_slots pass_slots;
	atomic_uint poke; /* counts wake-ups, for the spin before sleeping */
	pthread_cond_t wake;
	enum call_state call;
	int (*call_fn)(void *arg);
	void *call_arg;
	int call_result;
	uint64_t next_look_us; /* own thread's: when breaks_look() may cost time again */
};

/* How a breakpoint is served. */
enum break_service {
	SERVED_NOT_YET,	   /* its address is not mapped and no slot is free: tried again */
	SERVED_PLANTED,	   /* by an instruction in guest memory */
	SERVED_SLOT,	   /* by the debug hardware */
	SERVED_WRITE_TRAP, /* a write watchpoint: its pages are write-protected */
};

#define BREAK_SEEN 16 /* bytes of code that tell one place from another; no instruction is longer */

/* One breakpoint. Changed only while the world is stopped, so running vCPUs read the table without the lock. */
struct break_entry {
	struct vm_break spec;
	enum break_service service;
	bool old;	  /* of a machine whose end the client knows; it has not asked for it since */
	bool slot_only;	  /* a Z0 where planting does not trap */
	bool placed;	  /* gpa, host and seen tell where the code is */
	bool bound;	  /* space is that of the tables that lead there; else the next tables that do will bind it */
	bool user;	  /* bound by a page of user mode */
	bool planted;	  /* our instruction is in memory */
	bool guests_own;  /* and was, until the guest began to patch the code: its own is there for a moment */
	uint8_t turn;	  /* breaks_deal_slots() */
	uint8_t site_len; /* length of an instruction that the guest may patch, 0: it is none */
	uint8_t nseen;
	uint8_t seen[BREAK_SEEN]; /* what was there, without anything planted */
	uint64_t space;		  /* vm_debug_machine.space */
	uint64_t gpa;
	uint8_t *host;
	int watch_cpu; /* a watchpoint: whose tables say where it leads */
};

/* Watched bytes that are contiguous in both views of memory. */
struct watch_piece {
	uint64_t va, gpa;
	uint64_t len;
	enum hw_kind access;
	bool slot; /* a slot's: it fires by itself, but not for writes that the protection of its page catches */
};

/* The write watchpoints that are served by write-protection. Changed only while the world is stopped. */
struct watch_set {
	struct watch_piece *piece; /* as of the last release */
	size_t n;
	uint64_t *page; /* protected now, sorted */
	size_t npages;
	bool lifted;	 /* for the one that steps alone */
	uint8_t *before; /* lifted: the watched bytes as they were */
};

struct break_table {
	struct break_entry *entry; /* in order of address, type and length */
	size_t n, cap;
	bool in_memory;		    /* instructions are planted right now */
	bool changed;		    /* slots are to be dealt anew */
	atomic_size_t waiting;	    /* entries that a running vCPU may find to have become plantable */
	struct hw_slots slots;	    /* for every vCPU that runs */
	struct hw_slots solo_slots; /* for the one that steps past a breakpoint */
};

#define CATCHES_MAX 32

/* Changed only while the world is stopped, as the breakpoints are. */
struct catch_table {
	struct vm_catch entry[CATCHES_MAX];
	size_t n;
	unsigned last_id;
};

#define DEBUG_EVENTS 8

struct vm_debug {
	struct vm_debug_machine m;
	pthread_mutex_t lock;
	pthread_cond_t call_done;
	pthread_cond_t hold_done;
	atomic_int world;
	bool held;			/* by the main thread: nobody is released */
	bool reported;			/* the client was told of this stop and has not resumed */
	uint64_t ran_us, runs_since_us; /* before the world last ran on, and when it did */
	bool attached;
	bool exiting;	 /* the machine ends, or has ended: vCPUs leave, nothing can be asked of them */
	bool kept;	 /* by a client, beyond the machine's end */
	bool over;	 /* the process ends, with over_status */
	bool end_told;	 /* EXITED was posted for the last machine that ended */
	bool restarting; /* a new machine was asked for */
	bool reborn;	 /* and is there, and has not been reported yet */
	int over_status;
	bool pause_wanted, detach_wanted;
	uint64_t resumed_us; /* when vm_debug_resume() was called */
	bool hot;	     /* the last stop came quickly: the next resume may, too */
	int nrunning;
	int solo;     /* vCPU that steps past a breakpoint alone, or -1 */
	int last_cpu; /* of the last report */
	unsigned stop_seq;
	struct cpu_debug *cpu;
	struct break_table breaks;
	struct catch_table catches;
	struct watch_set watch;
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

/* debug_hold.c */
void debug_hold_init(struct vm_debug *d);

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

/* debug.c: own thread, after a stop. */
void debug_record_locked(struct vm_debug *d, int cpu, const struct vm_stop *stop);
/* What stopped this vCPU at its pc has been dealt with: resumed, it goes past it. */
void debug_known_locked(struct vm_debug *d, int cpu, const struct vm_stop *stop);

/* debug_pass.c: own thread, running, without the lock */
/*
 * The breakpoint that this vCPU has met, by a slot, is nobody's news: it goes past it while the others run. false: it
 * cannot, the world has to be stopped for that.
 */
bool pass_begin(struct vm_debug *d, int cpu, const struct vm_stop *stop);
/* A stop while passing: is the instruction behind it? */
void pass_stopped(struct vm_debug *d, int cpu, const struct vm_stop *stop);
/* About to park, and its pc is that: likewise. */
void pass_parks(struct vm_debug *d, int cpu, uint64_t pc);

/* debug_catch.c: stopped */
void catches_clear(struct vm_debug *d);
void catches_machine_new(struct vm_debug *d); /* which knows of none */

/* debug_bp.c. "stopped": nrunning == 0 and the lock held. */
void breaks_free(struct break_table *t);
void breaks_clear(struct vm_debug *d); /* stopped */
bool break_is_exec(const struct break_entry *e);
/* stopped, a new machine: what was planted in the memory of the old one is looked up anew */
void breaks_machine_new(struct vm_debug *d);
/* No machine: the client may have forgotten its breakpoints with it. They stay until their slots are needed. */
void breaks_end_told(struct vm_debug *d);
/* The instruction breakpoint that a vCPU at pc is on, or NULL. Parked or own thread. */
const struct break_entry *breaks_at(struct vm_debug *d, int cpu, uint64_t pc);
/* debug_watch.c. "stopped" as above. */
/* Serves a write watchpoint for which slots_check() has given `ret`. Stub thread, stopped. 0, or -errno and *why. */
int watch_choose(struct vm_debug *d, struct break_entry *e, int ret, const char **why);
/* stopped, about to release: protect what the table has; only_steps: what is protected besides may stay so. */
void watch_apply(struct vm_debug *d, bool only_steps);
/* stopped, about to step alone: let writes through and remember the watched bytes; or end that. */
void watch_lift(struct vm_debug *d, bool lifted);
/* Lifted, own thread of the one that steps: have watched bytes changed since? Looks again from here the next time. */
bool watch_changed(struct vm_debug *d, uint64_t *va);
/* At the end; and stopped: the new machine has nothing protected. */
void watch_free(struct vm_debug *d);

/* Own thread, running: is something in memory at pc that would trap? */
bool breaks_planted_at(struct vm_debug *d, int cpu, uint64_t pc);
/* The entry that explains this stop, or NULL (not ours, or removed meanwhile). Parked or own thread. */
const struct break_entry *breaks_explain(struct vm_debug *d, int cpu, const struct vm_stop *stop);
/* Explained by e: does anybody want to know? Evaluates the conditions of all that mean this stop. Own thread. */
bool breaks_hit(struct vm_debug *d, int cpu, const struct break_entry *e, const struct vm_stop *stop);
/*
 * Own thread, about to execute alone what is under a breakpoint that a client knows of, and the machine may not: asks
 * the machine's. True if there was one: a stop may be wanted now.
 */
bool breaks_tell_machines(struct vm_debug *d, int cpu);
/* Parked: is there one of the client's at pc that means this vCPU? */
bool breaks_clients_at(struct vm_debug *d, int cpu, uint64_t pc);
/* No entry explains a breakpoint instruction that trapped there: is it the guest's? Own thread. */
bool breaks_guests_own(struct vm_debug *d, int cpu, uint64_t pc);
/* A slot knows virtual addresses only: has this vCPU met it in an address space that is not the breakpoint's? */
bool break_is_elsewhere(struct vm_debug *d, int cpu, const struct break_entry *e, uint64_t pc);

/* debug_plant.c: where breakpoints lead, and instructions in memory */
/*
 * stopped, about to run: addresses are translated anew, instructions go into memory, slots are rebuilt. only_steps:
 * nobody executes more than the instruction at its pc, which is not to be stopped at, so nothing is planted.
 */
void breaks_plant(struct vm_debug *d, bool only_steps);
void breaks_unplant(struct vm_debug *d); /* stopped */
/* Own thread, running. True: something that waits for its code can be planted now, and the world has begun to stop. */
bool breaks_look(struct vm_debug *d, int cpu);
/* A new breakpoint of type SW: fills its place, if there is one, as that vCPU sees it. Stopped, stub thread. */
void break_find_place(struct vm_debug *d, int cpu, struct break_entry *e);
/* Running or stopped: guest memory that the guest may be writing, against n bytes. */
bool debug_code_differs(const uint8_t *host, const uint8_t *want, size_t n);
/* Running or stopped: is the instruction at a planted breakpoint still the one that it was planted over? */
bool break_is_ours(const struct vm_debug *d, const struct break_entry *e);

/* debug_slots.c: who has a hardware slot */
/* Stopped: would the hardware hold this one and all that cannot do without? 0 or slots_check()'s -errno. */
int breaks_check_slot(struct vm_debug *d, const struct break_entry *e);
/*
 * Stopped: what slots are left over go to those who would rather have one (addresses that lead nowhere yet, code that
 * the guest may patch), first come, first served; the others are planted or wait.
 */
void breaks_deal_slots(struct vm_debug *d);
void breaks_build_slots(struct break_table *t, struct hw_slots *s);
/* stopped: all but execution slots at pc; with lift_watches no data slots either */
void breaks_solo_slots(struct vm_debug *d, uint64_t pc, bool lift_watches);

#endif
