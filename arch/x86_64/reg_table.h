/*
 * Every register gdb sees, once: R(name, type, group, size, feature, where, place). The order is the wire's: what
 * KVM_RUN hands over (general, segments, system) comes first and makes up the `g` packet; what costs an ioctl follows.
 * Only regs.c and reg_types.c include this.
 *
 * Flags have the register's whole size. gdb casts nothing between a flags type and an integer of another size: setting
 * cr0 to 0x80000011, an int, is an "Invalid cast", to 0x80000011ul it is not. With flags of half the size it would be
 * the other way round, and (unsigned long)$cr0 be the invalid one; an enum can be cast, but is shown as a number.
 */
#ifndef X86_REG_TABLE_H
#define X86_REG_TABLE_H

#include <linux/kvm.h>
#include <stddef.h>

#include "arch/desc.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/xsave.h"

enum {
	FEATURE_CORE,
	FEATURE_SSE,
	FEATURE_SEGMENTS,
	FEATURE_SYSTEM,
	FEATURE_AVX, /* from here on: not in every VM */
	FEATURE_AVX512,
	FEATURE_PKEYS,
	FEATURES,
};
extern const struct reg_feature x86_reg_features[FEATURES];

/* Where a register is kept, and what `place` means there. */
enum reg_where {
	IN_REGS,     /* offset in struct kvm_regs */
	IN_SELECTOR, /* offset in struct kvm_sregs of a struct kvm_segment that is loaded with its descriptor */
	IN_SREGS64,  /* offset in struct kvm_sregs */
	IN_SREGS32,  /* u32 there: widens nothing, selectors' limits */
	IN_SREGS16,
	IN_ST,	  /* number */
	IN_FCTRL, /* enum x86_fctrl */
	IN_XMM,	  /* number */
	IN_MXCSR,
	IN_XSTATE, /* X86_XPLACE: in an extended component of the XSAVE image */
	IN_MSR,	   /* its index */
	IN_MSR_VA, /* the same; what it holds is a linear address */
	IN_DR,	   /* number */
};

#define X86_XPLACE(comp, offset) ((uint32_t)(comp) << 16 | (uint32_t)(offset))
#define X86_XPLACE_COMP(place)	 ((enum x86_xcomp)((place) >> 16))
#define X86_XPLACE_OFFSET(place) ((place)&0xffff)

/* clang-format off */
#define GPR(R, name, type) R(#name, type, "general", 8, CORE, IN_REGS, offsetof(struct kvm_regs, name))
#define SEG(R, name)	   R(#name, "int32", "general", 4, CORE, IN_SELECTOR, offsetof(struct kvm_sregs, name))
#define SYS(R, name, type, size, where, field) \
	R(name, type, "system", size, SYSTEM, where, offsetof(struct kvm_sregs, field))
#define BASE(R, name, field) \
	R(name, "int64", "general", 8, SEGMENTS, IN_SREGS64, offsetof(struct kvm_sregs, field))
#define ST(R, n)	   R("st" #n, "i387_ext", "float", 10, CORE, IN_ST, n)
#define FC(R, name, which) R(name, "int", "float", 4, CORE, IN_FCTRL, which)
#define XMM(R, n)	   R("xmm" #n, "vec128", "vector", 16, SSE, IN_XMM, n)

#define MSR(R, name, index)    R(name, "int64", "system", 8, SYSTEM, IN_MSR, index)
#define MSR_VA(R, name, index) R(name, "data_ptr", "system", 8, SYSTEM, IN_MSR_VA, index)
#define DR(R, n, type)	       R("dr" #n, type, "system", 8, SYSTEM, IN_DR, n)

#define YMMH(R, n)   R("ymm" #n "h", "uint128", "vector", 16, AVX, IN_XSTATE, X86_XPLACE(XCOMP_AVX, (n) * 16))
#define K(R, n)	     R("k" #n, "uint64", "vector", 8, AVX512, IN_XSTATE, X86_XPLACE(XCOMP_OPMASK, (n) * 8))
#define ZMMH(R, n)   R("zmm" #n "h", "v2ui128", "vector", 32, AVX512, IN_XSTATE, X86_XPLACE(XCOMP_ZMM_HI256, (n) * 32))
/* XMM, YMM's and ZMM's upper parts of ZMM16-31 lie together. */
#define HI16(R, n, name, type, size, at) \
	R(name, type, "vector", size, AVX512, IN_XSTATE, X86_XPLACE(XCOMP_HI16_ZMM, ((n) - 16) * 64 + (at)))
#define XMM_HI(R, n)  HI16(R, n, "xmm" #n, "vec128", 16, 0)
#define YMMH_HI(R, n) HI16(R, n, "ymm" #n "h", "uint128", 16, 16)
#define ZMMH_HI(R, n) HI16(R, n, "zmm" #n "h", "v2ui128", 32, 32)

#define LOW16(X, R) \
	X(R, 0) X(R, 1) X(R, 2) X(R, 3) X(R, 4) X(R, 5) X(R, 6) X(R, 7) \
	X(R, 8) X(R, 9) X(R, 10) X(R, 11) X(R, 12) X(R, 13) X(R, 14) X(R, 15)
#define HIGH16(X, R) \
	X(R, 16) X(R, 17) X(R, 18) X(R, 19) X(R, 20) X(R, 21) X(R, 22) X(R, 23) \
	X(R, 24) X(R, 25) X(R, 26) X(R, 27) X(R, 28) X(R, 29) X(R, 30) X(R, 31)

#define X86_REGS_G(R) \
	GPR(R, rax, "int64") GPR(R, rbx, "int64") GPR(R, rcx, "int64") GPR(R, rdx, "int64") \
	GPR(R, rsi, "int64") GPR(R, rdi, "int64") GPR(R, rbp, "data_ptr") GPR(R, rsp, "data_ptr") \
	GPR(R, r8, "int64") GPR(R, r9, "int64") GPR(R, r10, "int64") GPR(R, r11, "int64") \
	GPR(R, r12, "int64") GPR(R, r13, "int64") GPR(R, r14, "int64") GPR(R, r15, "int64") \
	GPR(R, rip, "code_ptr") \
	R("eflags", "i386_eflags", "general", 4, CORE, IN_REGS, offsetof(struct kvm_regs, rflags)) \
	SEG(R, cs) SEG(R, ss) SEG(R, ds) SEG(R, es) SEG(R, fs) SEG(R, gs) \
	BASE(R, "fs_base", fs.base) BASE(R, "gs_base", gs.base) \
	SYS(R, "cr0", "i386_cr0", 8, IN_SREGS64, cr0) \
	SYS(R, "cr2", "int64", 8, IN_SREGS64, cr2) \
	SYS(R, "cr3", "int64", 8, IN_SREGS64, cr3) \
	SYS(R, "cr4", "i386_cr4", 8, IN_SREGS64, cr4) \
	SYS(R, "cr8", "int64", 8, IN_SREGS64, cr8) \
	SYS(R, "efer", "i386_efer", 8, IN_SREGS64, efer) \
	SYS(R, "apic_base", "i386_apic_base", 8, IN_SREGS64, apic_base) \
	SYS(R, "gdtr_base", "int64", 8, IN_SREGS64, gdt.base) \
	SYS(R, "gdtr_limit", "int16", 2, IN_SREGS16, gdt.limit) \
	SYS(R, "idtr_base", "int64", 8, IN_SREGS64, idt.base) \
	SYS(R, "idtr_limit", "int16", 2, IN_SREGS16, idt.limit) \
	SYS(R, "ldtr", "int16", 2, IN_SREGS16, ldt.selector) \
	SYS(R, "ldtr_base", "int64", 8, IN_SREGS64, ldt.base) \
	SYS(R, "ldtr_limit", "int32", 4, IN_SREGS32, ldt.limit) \
	SYS(R, "tr", "int16", 2, IN_SREGS16, tr.selector) \
	SYS(R, "tr_base", "int64", 8, IN_SREGS64, tr.base) \
	SYS(R, "tr_limit", "int32", 4, IN_SREGS32, tr.limit)

#define X86_REGS_DEFERRED(R) \
	ST(R, 0) ST(R, 1) ST(R, 2) ST(R, 3) ST(R, 4) ST(R, 5) ST(R, 6) ST(R, 7) \
	FC(R, "fctrl", FCTRL) FC(R, "fstat", FSTAT) FC(R, "ftag", FTAG) FC(R, "fiseg", FISEG) \
	FC(R, "fioff", FIOFF) FC(R, "foseg", FOSEG) FC(R, "fooff", FOOFF) FC(R, "fop", FOP) \
	LOW16(XMM, R) \
	R("mxcsr", "i386_mxcsr", "vector", 4, SSE, IN_MXCSR, 0) \
	MSR_VA(R, "k_gs_base", 0xc0000102) \
	MSR(R, "star", 0xc0000081) MSR_VA(R, "lstar", 0xc0000082) MSR_VA(R, "cstar", 0xc0000083) \
	MSR(R, "sfmask", 0xc0000084) MSR(R, "tsc_aux", 0xc0000103) \
	MSR(R, "sysenter_cs", 0x174) MSR_VA(R, "sysenter_esp", 0x175) MSR_VA(R, "sysenter_eip", 0x176) \
	MSR(R, "tsc", 0x10) MSR(R, "pat", 0x277) MSR(R, "misc_enable", 0x1a0) MSR(R, "mtrr_def_type", 0x2ff) \
	DR(R, 0, "data_ptr") DR(R, 1, "data_ptr") DR(R, 2, "data_ptr") DR(R, 3, "data_ptr") \
	DR(R, 6, "i386_dr6") DR(R, 7, "i386_dr7") \
	LOW16(YMMH, R) \
	HIGH16(XMM_HI, R) HIGH16(YMMH_HI, R) \
	K(R, 0) K(R, 1) K(R, 2) K(R, 3) K(R, 4) K(R, 5) K(R, 6) K(R, 7) \
	LOW16(ZMMH, R) HIGH16(ZMMH_HI, R) \
	R("pkru", "uint32", "vector", 4, PKEYS, IN_XSTATE, X86_XPLACE(XCOMP_PKRU, 0))
/* clang-format on */

#endif
