/*
 * x87 and SSE state as KVM_GET_XSAVE gives it (KVM_GET_FPU leaves MXCSR out). Pure functions here; fpu.c's ioctls are
 * declared in arch_x86.h. Source: Intel SDM volume 1, 10.5.1 (FXSAVE, 64-bit layout) and 13.4 (XSAVE).
 */
#ifndef X86_FPU_H
#define X86_FPU_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

struct x86_fxsave {
	uint16_t fcw, fsw;
	uint8_t ftw; /* a bit per physical register: in use */
	uint8_t reserved;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16]; /* ST(i), 10 bytes each */
	uint8_t xmm[16][16];
	uint8_t rest[96];
	uint64_t xstate_bv; /* XSAVE header: components that are not in their initial state */
};

union x86_fpu {
	struct kvm_xsave xsave;
	struct x86_fxsave fx;
	uint8_t image[sizeof(struct kvm_xsave)]; /* what else there is, by struct x86_xsave_layout; it may be longer */
};

enum x86_fctrl { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP };

/* The control registers under gdb's names; the tag word is the full one, two bits a register. */
uint32_t x86_fctrl_get(const struct x86_fxsave *f, enum x86_fctrl which);
/* -EINVAL: does not fit. */
int x86_fctrl_set(struct x86_fxsave *f, enum x86_fctrl which, uint32_t value);

#endif
