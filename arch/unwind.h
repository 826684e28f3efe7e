/*
 * Who called whom on a stopped vCPU, and which of its registers tell what went on. Pure: numbers, callbacks into the
 * guest's memory and symbols. Nothing of what is read there is believed: every loop is bounded, whatever the guest has
 * made of its stack.
 */
#ifndef ARCH_UNWIND_H
#define ARCH_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNWIND_FRAMES_MAX 1024
#define UNWIND_SCAN_MAX	  16384 /* bytes of a stack that are looked through: what kernels' stacks have */

struct unwind_function {
	uint64_t start;
	uint64_t size;	  /* 0: not known */
	const char *name; /* lives as long as the symbols */
};

/* One stopped vCPU and what is known about the program that it runs. ctx is passed back. */
struct unwind_guest {
	/* Its virtual memory: how many bytes from va on could be read. */
	size_t (*read)(void *ctx, uint64_t va, void *buf, size_t len);
	/* By the name that arch_desc has for it; false: there is none. */
	bool (*reg)(void *ctx, const char *name, uint64_t *value);
	/* The address of a symbol of the kernel; false: not known. */
	bool (*symbol)(void *ctx, const char *name, uint64_t *addr);
	/* The function of the kernel that addr is in; false: not known. */
	bool (*function)(void *ctx, uint64_t addr, struct unwind_function *out);
	/* May there be code (of the kernel, of modules) at addr, as far as symbols and page tables tell? Of a return
	 * address, ask for the byte before: a call may be the last instruction of its function. */
	bool (*text)(void *ctx, uint64_t addr);
	void *ctx;
};

/* How a backtrace was made, on the whole. */
enum unwind_way {
	UNWIND_NONE, /* there is none to be made: the pc is all there is */
	UNWIND_USER, /* the vCPU runs a program: likewise */
	UNWIND_FRAME_POINTERS,
	UNWIND_ORC, /* Linux: Documentation/arch/x86/orc-unwinder.rst */
	UNWIND_SCAN,
};

struct unwind_frame {
	uint64_t pc;
	bool call;  /* a return address: the call lies before it. Otherwise this very instruction was interrupted */
	bool guess; /* a word on the stack that looks like a return address */
	bool user;  /* of the program that was interrupted, or called the kernel */
};

struct unwind {
	enum unwind_way way;
	size_t n; /* at least 1 */
	struct unwind_frame frame[UNWIND_FRAMES_MAX];
};

struct unwind_isa {
	/* Registers worth showing, by name, in order, NULL at the end; "" begins a new line. */
	const char *const *regs;
	/* What vm_debug_state_text() says of a vCPU that has no state to show, NULL at the end. */
	const char *const *not_started;
	/* How many bytes of code at the pc are worth showing, and in units of how many. */
	unsigned code_bytes, code_unit;
	void (*walk)(const struct unwind_guest *g, struct unwind *out);
};

/* ---- for the ISAs' unwinders ---- */

/* A register, 0 if there is none of that name. */
uint64_t unwind_reg(const struct unwind_guest *g, const char *name);
/* A little-endian word of that many bytes, 4 or 8. */
bool unwind_word(const struct unwind_guest *g, uint64_t va, unsigned size, uint64_t *value);

/* One frame more; false: there is no room for another one. */
bool unwind_add(struct unwind *u, struct unwind_frame frame);

struct unwind_scan {
	const struct unwind_guest *g;
	unsigned word; /* bytes */
	/* Is there a call right before addr? */
	bool (*behind_call)(const struct unwind_guest *g, uint64_t addr);
	uint64_t (*clean)(const struct unwind_scan *s, uint64_t value); /* NULL: as it is */
	uint64_t mask[2];						/* for clean() */
	uint64_t at;							/* where the next word is */
	uint64_t end;							/* set by unwind_scan_from() */
};

/* From sp to the end of a stack, as far as that is known. */
void unwind_scan_from(struct unwind_scan *s, uint64_t sp);
/* The next word that looks like a return address; at is behind it then. */
bool unwind_scan_next(struct unwind_scan *s, uint64_t *pc);
/* All of them, marked as guesses. */
void unwind_scan_all(struct unwind_scan *s, struct unwind *u);

#endif
