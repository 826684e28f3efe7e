/* Backtraces on arm64: Procedure Call Standard (AAPCS64), 6.4.6 "The Frame Pointer". Pure. */
#ifndef ARM64_UNWIND_H
#define ARM64_UNWIND_H

#include "arch/unwind.h"

extern const struct unwind_isa arm64_unwind;

#endif
