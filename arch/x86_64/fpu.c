#include "arch/x86_64/fpu.h"

#include <errno.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "arch/x86_64/arch_x86.h"
#include "vmm/kvm.h"

#define LOW32	0xffffffffull
#define FOP_MAX 0x7ffu /* 11 bits of the opcode */

_Static_assert(offsetof(struct x86_fxsave, mxcsr) == 24, "FXSAVE layout");
_Static_assert(offsetof(struct x86_fxsave, xmm) == 160, "FXSAVE layout");
_Static_assert(offsetof(struct x86_fxsave, xstate_bv) == 512, "XSAVE header");

enum { TAG_VALID = 0, TAG_ZERO = 1, TAG_SPECIAL = 2, TAG_EMPTY = 3 };

/* What the processor's FSTENV computes from a register's contents (Intel SDM volume 1, 8.1.7). */
static unsigned classify(const uint8_t *st)
{
	unsigned exponent = (unsigned)(st[9] & 0x7f) << 8 | st[8];
	uint64_t mantissa;

	memcpy(&mantissa, st, sizeof(mantissa));
	if (exponent == 0)
		return mantissa == 0 ? TAG_ZERO : TAG_SPECIAL;
	if (exponent == 0x7fff || !(mantissa >> 63))
		return TAG_SPECIAL;
	return TAG_VALID;
}

static uint32_t tag_full(const struct x86_fxsave *f)
{
	unsigned top = f->fsw >> 11 & 7;
	uint32_t full = 0;

	for (unsigned phys = 0; phys < 8; phys++) {
		unsigned tag = f->ftw & (1u << phys) ? classify(f->st[(phys - top) & 7]) : TAG_EMPTY;

		full |= tag << (phys * 2);
	}
	return full;
}

static uint8_t tag_short(uint32_t full)
{
	unsigned tags = 0;

	for (unsigned phys = 0; phys < 8; phys++) {
		if ((full >> (phys * 2) & 3) != TAG_EMPTY)
			tags |= 1u << phys;
	}
	return (uint8_t)tags;
}

uint32_t x86_fctrl_get(const struct x86_fxsave *f, enum x86_fctrl which)
{
	switch (which) {
	case FCTRL:
		return f->fcw;
	case FSTAT:
		return f->fsw;
	case FTAG:
		return tag_full(f);
	case FISEG:
		return f->fip >> 32 & 0xffff;
	case FIOFF:
		return f->fip & LOW32;
	case FOSEG:
		return f->fdp >> 32 & 0xffff;
	case FOOFF:
		return f->fdp & LOW32;
	case FOP:
		return f->fop;
	}
	return 0;
}

int x86_fctrl_set(struct x86_fxsave *f, enum x86_fctrl which, uint32_t value)
{
	if ((value > 0xffff && which != FIOFF && which != FOOFF) || (value > FOP_MAX && which == FOP))
		return -EINVAL;
	switch (which) {
	case FCTRL:
		f->fcw = (uint16_t)value;
		break;
	case FSTAT:
		f->fsw = (uint16_t)value;
		break;
	case FTAG:
		f->ftw = tag_short(value);
		break;
	case FISEG:
		f->fip = (f->fip & LOW32) | (uint64_t)value << 32;
		break;
	case FIOFF:
		f->fip = (f->fip & ~LOW32) | value;
		break;
	case FOSEG:
		f->fdp = (f->fdp & LOW32) | (uint64_t)value << 32;
		break;
	case FOOFF:
		f->fdp = (f->fdp & ~LOW32) | value;
		break;
	case FOP:
		f->fop = (uint16_t)value;
		break;
	}
	return 0;
}

int x86_fpu_load(struct vcpu *vcpu)
{
	const struct arch_vm *av = vcpu->vm->arch;
	struct arch_vcpu *a = vcpu->arch;
	int ret;

	if (a->fpu_valid)
		return 0;
	ret = av->xsave2 ? kvm_ioctl(vcpu->fd, KVM_GET_XSAVE2, &a->fpu) : kvm_ioctl(vcpu->fd, KVM_GET_XSAVE, &a->fpu);
	if (ret < 0)
		return -errno;
	x86_xsave_complete(a->fpu.image, &av->xsave);
	a->fpu_valid = true;
	return 0;
}

int x86_fpu_store(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;

	x86_xsave_mark(a->fpu.image, XCOMP_X87);
	x86_xsave_mark(a->fpu.image, XCOMP_SSE);
	a->fpu_valid = false; /* refused, what KVM has is still the old state */
	if (kvm_ioctl(vcpu->fd, KVM_SET_XSAVE, &a->fpu) < 0)
		return -errno;
	return x86_fpu_load(vcpu);
}
