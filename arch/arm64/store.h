/*
 * Which memory does an A64 instruction write? For writes that KVM reports without a syndrome. Pure, any thread. Source:
 * Arm ARM (DDI 0487), C4.1.94 (loads and stores).
 */
#ifndef ARM64_STORE_H
#define ARM64_STORE_H

#include <stdbool.h>
#include <stdint.h>

struct arm64_store {
	unsigned size;	 /* bytes; 0: a DC ZVA, which clears the block that the address is in */
	unsigned base;	 /* register, 31: the stack pointer (DC ZVA: zero) */
	int64_t offset;	 /* added to it */
	bool indexed;	 /* and register `index`, extended and shifted */
	unsigned index;	 /* 31: zero */
	unsigned extend; /* as the instruction's option field: 2 UXTW, 3 LSL, 6 SXTW, 7 SXTX */
	unsigned shift;
	bool exclusive; /* STXR and its like: an exception before it makes it fail */
};

/* false: it stores nothing, or is none that is known here. */
bool arm64_store_decode(uint32_t insn, struct arm64_store *out);
/* The address, from the values of its registers. */
uint64_t arm64_store_address(const struct arm64_store *s, uint64_t base, uint64_t index);

#endif
