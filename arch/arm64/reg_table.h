/*
 * Every register gdb sees, once: R(name, type, group, size, feature, where, place, writable). The order is the wire's:
 * what a park fetches comes first and makes up the `g` packet; what costs an ioctl follows. Only regs.c and reg_types.c
 * include this. Encodings: Arm ARM (DDI 0487), op0, op1, CRn, CRm and op2 as on each register's page.
 */
#ifndef ARM64_REG_TABLE_H
#define ARM64_REG_TABLE_H

#include <linux/kvm.h>
#include <stddef.h>

#include "arch/arm64/arch_arm64.h"
#include "arch/desc.h"

enum { FEATURE_CORE, FEATURE_FPU, FEATURE_SYSTEM, FEATURE_SVE, FEATURE_SVE_SYSTEM, FEATURES };
extern const struct reg_feature arm64_reg_features[FEATURES];
extern const char arm64_fp_status_types[]; /* of FPSR and FPCR, which are FEATURE_FPU's or FEATURE_SVE's */

/* Where a register is kept, and what `place` means there. */
enum reg_where {
	IN_CORE,   /* index in arch_vcpu.core */
	IN_SP,	   /* in core, which one is PSTATE's to say */
	IN_PSTATE, /* the low half of core[CORE_PSTATE] */
	IN_PC,
	IN_KVM,	  /* KVM's id */
	IN_SLICE, /* KVM's id of an SVE register's first slice, which is longer than the register may be */
	IN_ZCR,	  /* from ZCR_EL1 */
};

#define CORE_ID(size, field) (KVM_REG_ARM64 | KVM_REG_SIZE_##size | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

/* clang-format off */
#define X(R, n)	 R("x" #n, "int64", "general", 8, CORE, IN_CORE, n, true)
#define V(R, n)	 R("v" #n, "aarch64v", "vector", 16, FPU, IN_KVM, CORE_ID(U128, fp_regs.vregs[n]), true)
#define SYS(R, name, type, id)	  R(name, type, "system", 8, SYSTEM, IN_KVM, id, true)
#define SYS_RO(R, name, type, id) R(name, type, "system", 8, SYSTEM, IN_KVM, id, false)
#define Z(R, n)	 R("z" #n, "svev", "vector", 256, SVE, IN_SLICE, KVM_REG_ARM64_SVE_ZREG(n, 0), true)
#define P(R, n)	 R("p" #n, "svep", "vector", 32, SVE, IN_SLICE, KVM_REG_ARM64_SVE_PREG(n, 0), true)
#define S ARM64_SYS_REG

#define ARM64_REGS_G(R) \
	X(R, 0) X(R, 1) X(R, 2) X(R, 3) X(R, 4) X(R, 5) X(R, 6) X(R, 7) \
	X(R, 8) X(R, 9) X(R, 10) X(R, 11) X(R, 12) X(R, 13) X(R, 14) X(R, 15) \
	X(R, 16) X(R, 17) X(R, 18) X(R, 19) X(R, 20) X(R, 21) X(R, 22) X(R, 23) \
	X(R, 24) X(R, 25) X(R, 26) X(R, 27) X(R, 28) X(R, 29) X(R, 30) \
	R("sp", "data_ptr", "general", 8, CORE, IN_SP, 0, true) \
	R("pc", "code_ptr", "general", 8, CORE, IN_PC, CORE_PC, true) \
	R("cpsr", "cpsr_flags", "general", 4, CORE, IN_PSTATE, CORE_PSTATE, true)

/*
 * Fetched with the general ones, but gdb's core feature has no place for them. SP_EL0 is a number: in the kernel it is
 * the current task, and Linux's gdb scripts shift it.
 */
#define ARM64_REGS_KEPT(R) \
	R("SP_EL0", "int64", "system", 8, SYSTEM, IN_CORE, CORE_SP_EL0, true) \
	R("SP_EL1", "data_ptr", "system", 8, SYSTEM, IN_CORE, CORE_SP_EL1, true)

#define ARM64_REGS_DEFERRED(R) \
	V(R, 0) V(R, 1) V(R, 2) V(R, 3) V(R, 4) V(R, 5) V(R, 6) V(R, 7) \
	V(R, 8) V(R, 9) V(R, 10) V(R, 11) V(R, 12) V(R, 13) V(R, 14) V(R, 15) \
	V(R, 16) V(R, 17) V(R, 18) V(R, 19) V(R, 20) V(R, 21) V(R, 22) V(R, 23) \
	V(R, 24) V(R, 25) V(R, 26) V(R, 27) V(R, 28) V(R, 29) V(R, 30) V(R, 31) \
	R("fpsr", "fpsr_flags", "float", 4, FPU, IN_KVM, CORE_ID(U32, fp_regs.fpsr), true) \
	R("fpcr", "fpcr_flags", "float", 4, FPU, IN_KVM, CORE_ID(U32, fp_regs.fpcr), true) \
	SYS(R, "SCTLR_EL1", "sctlr_flags", ID_SCTLR_EL1) \
	SYS(R, "TTBR0_EL1", "int64", ID_TTBR0_EL1) \
	SYS(R, "TTBR1_EL1", "int64", ID_TTBR1_EL1) \
	SYS(R, "TCR_EL1", "tcr_flags", ID_TCR_EL1) \
	SYS(R, "MAIR_EL1", "int64", S(3, 0, 10, 2, 0)) \
	SYS(R, "AMAIR_EL1", "int64", S(3, 0, 10, 3, 0)) \
	SYS(R, "CONTEXTIDR_EL1", "int64", S(3, 0, 13, 0, 1)) \
	SYS(R, "VBAR_EL1", "code_ptr", ID_VBAR_EL1) \
	SYS(R, "ESR_EL1", "esr_flags", ID_ESR_EL1) \
	SYS(R, "FAR_EL1", "data_ptr", ID_FAR_EL1) \
	SYS(R, "ELR_EL1", "code_ptr", ID_ELR_EL1) \
	SYS(R, "SPSR_EL1", "spsr_flags", ID_SPSR_EL1) \
	SYS(R, "AFSR0_EL1", "int64", S(3, 0, 5, 1, 0)) \
	SYS(R, "AFSR1_EL1", "int64", S(3, 0, 5, 1, 1)) \
	SYS(R, "PAR_EL1", "int64", S(3, 0, 7, 4, 0)) \
	SYS(R, "TPIDR_EL0", "data_ptr", S(3, 3, 13, 0, 2)) \
	SYS(R, "TPIDRRO_EL0", "data_ptr", S(3, 3, 13, 0, 3)) \
	SYS(R, "TPIDR_EL1", "data_ptr", S(3, 0, 13, 0, 4)) \
	SYS(R, "CPACR_EL1", "int64", ID_CPACR_EL1) \
	SYS(R, "ACTLR_EL1", "int64", S(3, 0, 1, 0, 1)) \
	SYS(R, "CSSELR_EL1", "int64", S(3, 2, 0, 0, 0)) \
	SYS(R, "MDSCR_EL1", "int64", ID_MDSCR_EL1) \
	SYS(R, "CNTKCTL_EL1", "int64", S(3, 0, 14, 1, 0)) \
	/* KVM has the ids of the next two swapped; these constants know. */ \
	SYS(R, "CNTV_CVAL_EL0", "int64", KVM_REG_ARM_TIMER_CVAL) \
	SYS_RO(R, "CNTVCT_EL0", "int64", KVM_REG_ARM_TIMER_CNT) \
	SYS(R, "CNTV_CTL_EL0", "int64", KVM_REG_ARM_TIMER_CTL) \
	SYS_RO(R, "MPIDR_EL1", "mpidr_flags", S(3, 0, 0, 0, 5)) \
	SYS_RO(R, "MIDR_EL1", "midr_flags", S(3, 0, 0, 0, 0)) \
	SYS_RO(R, "ID_AA64PFR0_EL1", "int64", ID_AA64PFR0_EL1) \
	SYS_RO(R, "ID_AA64DFR0_EL1", "int64", S(3, 0, 0, 5, 0)) \
	SYS_RO(R, "ID_AA64ISAR0_EL1", "int64", S(3, 0, 0, 6, 0)) \
	SYS_RO(R, "ID_AA64ISAR1_EL1", "int64", S(3, 0, 0, 6, 1)) \
	SYS_RO(R, "ID_AA64MMFR0_EL1", "int64", ID_AA64MMFR0_EL1) \
	SYS_RO(R, "ID_AA64MMFR1_EL1", "int64", S(3, 0, 0, 7, 1)) \
	SYS_RO(R, "ID_AA64MMFR2_EL1", "int64", ID_AA64MMFR2_EL1) \
	/* sizes: the architecture's largest, each VM has its own */ \
	Z(R, 0) Z(R, 1) Z(R, 2) Z(R, 3) Z(R, 4) Z(R, 5) Z(R, 6) Z(R, 7) \
	Z(R, 8) Z(R, 9) Z(R, 10) Z(R, 11) Z(R, 12) Z(R, 13) Z(R, 14) Z(R, 15) \
	Z(R, 16) Z(R, 17) Z(R, 18) Z(R, 19) Z(R, 20) Z(R, 21) Z(R, 22) Z(R, 23) \
	Z(R, 24) Z(R, 25) Z(R, 26) Z(R, 27) Z(R, 28) Z(R, 29) Z(R, 30) Z(R, 31) \
	P(R, 0) P(R, 1) P(R, 2) P(R, 3) P(R, 4) P(R, 5) P(R, 6) P(R, 7) \
	P(R, 8) P(R, 9) P(R, 10) P(R, 11) P(R, 12) P(R, 13) P(R, 14) P(R, 15) \
	R("ffr", "svep", "vector", 32, SVE, IN_SLICE, KVM_REG_ARM64_SVE_FFR(0), true) \
	R("vg", "int64", "vector", 8, SVE, IN_ZCR, 0, false) \
	R("ZCR_EL1", "int64", "system", 8, SVE_SYSTEM, IN_KVM, ID_ZCR_EL1, true)
/* clang-format on */

#endif
