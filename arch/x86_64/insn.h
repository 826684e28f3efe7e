/*
 * Just enough instruction decoding to know which ones read, write or clear RFLAGS.TF, or stop the processor, and which
 * ones a kernel may replace while it runs. Pure.
 * Source: Intel SDM volume 2, chapter 2 (prefixes) and the instructions' own pages.
 */
#ifndef X86_INSN_H
#define X86_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define X86_INSN_MAX 15

enum x86_insn {
	X86_INSN_OTHER,
	X86_INSN_PUSHF,
	X86_INSN_POPF,
	X86_INSN_IRET,
	X86_INSN_SYSCALL,
	X86_INSN_SYSRET,
	X86_INSN_INT, /* INT n, INT3, INT1: vector is set */
	X86_INSN_HLT,
	X86_INSN_TO_SS, /* POP SS, and MOV to SS from a register: the trap after them waits for the next instruction's
			 */
};

struct x86_decoded {
	enum x86_insn insn;
	unsigned len;	  /* of the instruction; 0 for X86_INSN_OTHER */
	unsigned operand; /* operand size in bytes: 2, 4 or 8 (PUSHF, POPF, IRET) */
	unsigned vector;  /* X86_INSN_INT */
};

/* How CS makes the processor read code. */
enum x86_code { X86_CODE_16, X86_CODE_32, X86_CODE_64 };

struct x86_decoded x86_decode(const uint8_t *bytes, size_t n, enum x86_code code);

/*
 * Length of the instruction if it is of a kind that kernels replace in running code, else 0: what a call or jump can be
 * turned into and out of. Direct CALL and JMP (function tracing, static calls, jump labels; with CS prefixes that pad
 * them), Jcc with a 4-byte offset (tail calls), the NOPs of 2 to 9 bytes, and XOR EAX, EAX padded to 5 bytes. In
 * 16-bit code, which no kernel patches: 0.
 */
size_t x86_patch_site(const uint8_t *bytes, size_t n, enum x86_code code);

#endif
