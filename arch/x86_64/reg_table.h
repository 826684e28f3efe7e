/*
 * Every register gdb sees, once: R(name, type, group, size, feature, where, place). The order is the wire's: what
 * KVM_RUN hands over (general, segments, system) comes first and makes up the `g` packet; what costs an ioctl follows.
 * Only regs.c and reg_types.c include this.
 */
#ifndef X86_REG_TABLE_H
#define X86_REG_TABLE_H

#include <linux/kvm.h>
#include <stddef.h>

#include "arch/desc.h"
#include "arch/x86_64/fpu.h"

enum { FEATURE_CORE, FEATURE_SSE, FEATURE_SEGMENTS, FEATURE_SYSTEM, FEATURES };
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
	IN_MSR, /* its index */
};

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
	XMM(R, 0) XMM(R, 1) XMM(R, 2) XMM(R, 3) XMM(R, 4) XMM(R, 5) XMM(R, 6) XMM(R, 7) \
	XMM(R, 8) XMM(R, 9) XMM(R, 10) XMM(R, 11) XMM(R, 12) XMM(R, 13) XMM(R, 14) XMM(R, 15) \
	R("mxcsr", "i386_mxcsr", "vector", 4, SSE, IN_MXCSR, 0) \
	R("k_gs_base", "int64", "system", 8, SYSTEM, IN_MSR, 0xc0000102)
/* clang-format on */

#endif
