/*
 * What the protocol needs from a machine. gdb/ (left of server.c and
 * target_vm.c) knows nothing else: tests put a fake here.
 *
 * All functions are called on the stub's thread. CPUs are 0-based; gdb's
 * thread ids are cpu + 1. Results: >= 0, or -errno.
 * A NULL group is a feature that this target lacks; qSupported follows it.
 */
#ifndef GDB_TARGET_H
#define GDB_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch/desc.h"

enum gdb_action_kind {
	GDB_STAY,
	GDB_CONT,
	GDB_STEP,
	GDB_STEP_RANGE,
};

struct gdb_action {
	enum gdb_action_kind kind;
	uint64_t lo, hi; /* GDB_STEP_RANGE: [lo, hi) */
};

enum gdb_stop_kind {
	GDB_STOP_SIGNAL, /* plain: signo */
	GDB_STOP_SWBREAK,
	GDB_STOP_HWBREAK,
	GDB_STOP_WATCH,	 /* addr, access */
	GDB_STOP_EXITED, /* W: status */
	GDB_STOP_KILLED, /* X: signo */
};

/* gdb's own numbers of signals, GDB manual "Stop Reply Packets" */
#define GDB_SIGNAL_INT	2
#define GDB_SIGNAL_ILL	4
#define GDB_SIGNAL_TRAP 5
#define GDB_SIGNAL_ABRT 6
#define GDB_SIGNAL_SEGV 11
#define GDB_SIGNAL_USR1 30
#define GDB_SIGNAL_PWR	32

struct gdb_stop {
	enum gdb_stop_kind kind;
	int cpu;
	int signo; /* GDB_SIGNAL_ */
	enum hw_kind access;
	uint64_t addr;
	int status;
	char text[200]; /* for the user's console, one line without its end; "" for none */
	bool stays;	/* EXITED: the stub stays, and can start the machine anew */
};

enum gdb_break_type { /* the Z packet's digit */
	GDB_BREAK_SW = 0,
	GDB_BREAK_HW = 1,
	GDB_WATCH_WRITE = 2,
	GDB_WATCH_READ = 3,
	GDB_WATCH_ACCESS = 4,
};

struct gdb_base_ops {
	int (*ncpus)(void *t);
	/* Name as in "info threads": "CPU 1"; extra: its state. Stopped only. */
	void (*cpu_name)(void *t, int cpu, char *buf, size_t len);
	void (*cpu_extra)(void *t, int cpu, char *buf, size_t len);
	/* reg: index in arch->regs. -ENOENT: the machine lacks it (shown as unavailable). */
	int (*reg_read)(void *t, int cpu, unsigned reg, void *buf, size_t len);
	int (*reg_write)(void *t, int cpu, unsigned reg, const void *buf, size_t len);
	/* Bytes done (may be short), or -errno when none. */
	ssize_t (*mem_read)(void *t, int cpu, uint64_t addr, void *buf, size_t len);
	ssize_t (*mem_write)(void *t, int cpu, uint64_t addr, const void *buf, size_t len);
	int (*resume)(void *t, const struct gdb_action *a, size_t n); /* a stop follows through gdb_session_stopped() */
	void (*interrupt)(void *t);				      /* Ctrl-C; a stop follows */
	void (*detach)(void *t);
	void (*kill)(void *t);
};

struct gdb_break_ops {
	/* *why: static one-line reason on failure, or NULL. */
	int (*insert)(void *t, int cpu, enum gdb_break_type type, uint64_t addr, uint32_t kind, const char **why);
	int (*remove)(void *t, enum gdb_break_type type, uint64_t addr, uint32_t kind);
};

struct gdb_phys_ops { /* guest physical memory: qqemu.PhyMemMode and `monitor xp` */
	ssize_t (*read)(void *t, uint64_t gpa, void *buf, size_t len);
	ssize_t (*write)(void *t, uint64_t gpa, const void *buf, size_t len);
	int (*translate)(void *t, int cpu, uint64_t va, struct mapping *out);
	/*
	 * The first mapping at or after *va, which becomes where it begins (or stays, inside of one). -ENOENT: no more;
	 * -E2BIG: not found within *budget look-ups, which are counted down; *va is where to go on. May be NULL.
	 */
	int (*next)(void *t, int cpu, uint64_t *va, unsigned *budget, struct mapping *out);
	void *(*host)(void *t, uint64_t gpa); /* RAM in this process, NULL: not RAM. May be NULL */
};

enum gdb_slide_state {
	GDB_SLIDE_NO_SYMBOLS, /* the machine was not told the kernel's symbols */
	GDB_SLIDE_NOT_YET,
	GDB_SLIDE_OTHER, /* another kernel runs than that of the symbols */
	GDB_SLIDE_FOUND,
};

struct gdb_slide {
	enum gdb_slide_state state;
	uint64_t slide;	     /* how far the kernel lies above where its file links it, modulo 2^64 */
	uint64_t first;	     /* where the file links its first segment */
	bool percpu_at_zero; /* but not its .data..percpu, which is linked at address 0 */
	const char *file, *banner;
	char other[512]; /* GDB_SLIDE_OTHER: the banner of what runs */
};

struct gdb_slide_ops { /* a Linux kernel that moves itself: qOffsets and `monitor kaslr` */
	int (*get)(void *t, struct gdb_slide *out);
	/* Stop once it is found. -EALREADY: it is; -ENOENT: no symbols; -ENOSPC: no hardware breakpoint left; -ENOTSUP.
	 */
	int (*stop)(void *t);
};

struct gdb_info_ops { /* for monitor commands; each returns false past the end */
	bool (*breakpoint)(void *t, size_t i, char *buf, size_t len);
	void (*fault)(void *t, char *buf, size_t len);	       /* why the VM cannot go on; "" if it can */
	bool (*region)(void *t, size_t i, struct region *out); /* the i-th range of the address spaces; RAM ascends */
	/*
	 * These may be NULL. An interrupt controller's state as that CPU has it. -ENOENT: not there; chips() lists the
	 * names that are.
	 */
	int (*chip)(void *t, int cpu, const char *name, char *buf, size_t len);
	const char *(*chips)(void *t);
};

enum gdb_catch_kind {
	GDB_CATCH_PANIC,
	GDB_CATCH_TRIPLE_FAULT,
	GDB_CATCH_RESET,
	GDB_CATCH_MMIO,
	GDB_CATCH_IO,
	GDB_CATCH_MSR,
};

struct gdb_catch {
	enum gdb_catch_kind kind;
	uint64_t addr, len; /* MMIO, IO; MSR: its number, 1; others 0, 1 */
	unsigned id;
};

struct gdb_catch_ops { /* events to stop at; gone when the client leaves */
	/* The new one's number, > 0, or -errno with the reason in why. */
	int (*add)(void *t, const struct gdb_catch *c, char *why, size_t len);
	int (*remove)(void *t, unsigned id); /* 0: all. -ENOENT */
	bool (*get)(void *t, size_t i, struct gdb_catch *out);
};

/*
 * Lives of the machine after the first. While there is none, whatever needs a CPU or memory gives -EBUSY or another
 * error.
 */
struct gdb_life_ops {
	/*
	 * A new machine from the same images in place of the present one, if any; breakpoints stay. A stop follows
	 * through gdb_session_stopped(): of its first instruction, or GDB_STOP_EXITED if it could not be made.
	 * -ESHUTDOWN: the stub's process ends.
	 */
	int (*restart)(void *t);
	/* This client wants to stay when the machine ends: until the session is over. */
	void (*keep)(void *t);
	void (*attach)(void *t);	 /* after base->detach: stop the machine again; a stop follows */
	const char *(*program)(void *t); /* the name that the image was given, or NULL */
	/* These may be NULL: the machine cannot do that. */
	int (*poweroff)(void *t);
	int (*nmi)(void *t, int cpu); /* -ENOTSUP: the ISA has none; -EAGAIN: the CPU is not started */
};

struct gdb_target {
	void *t;
	const struct arch_desc *arch;
	const struct gdb_base_ops *base; /* required */
	const struct gdb_break_ops *breaks;
	const struct gdb_phys_ops *phys;
	const struct gdb_info_ops *info;
	const struct gdb_life_ops *life;
	const struct gdb_catch_ops *catches;
	const struct gdb_slide_ops *slide;
};

#endif
