#include "arch/arch.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/mmu.h"
#include "arch/x86_64/reg_table.h"
#include "arch/x86_64/unwind_x86.h"
#include "vmm/kvm.h"

#define RFLAGS_FIXED	   (1ull << 1) /* always one */
#define RFLAGS_BITS	   0x3f7fd5ull /* all that exist; the others are always zero */
#define RFLAGS_VM	   (1ull << 17)
#define MXCSR_MASK_DEFAULT 0xffbfu /* where FXSAVE gives no mask: all but DAZ */

/* ---- the table ---- */

struct reg_place {
	enum reg_where where;
	uint32_t place;
};

// NOLINTNEXTLINE(bugprone-macro-parentheses): a term of a sum
#define COUNT(...)					      +1
#define PLACE(name, type, group, size, feature, where, place) {where, place},
#define DESC(deferred, wdeferred, name, type, group, size, feature)                                                    \
	{name, type, group, size, FEATURE_##feature, deferred, wdeferred},
#define DESC_G(name, type, group, size, feature, where, place)                                                         \
	DESC(false, (where) != IN_REGS, name, type, group, size, feature)
#define DESC_D(name, type, group, size, feature, where, place) DESC(true, true, name, type, group, size, feature)

enum {
	NREGS_G = 0 X86_REGS_G(COUNT),
	NREGS = NREGS_G X86_REGS_DEFERRED(COUNT),
	REG_RBP = 6,
	REG_RSP = 7,
	REG_RIP = 16,
	REG_EFLAGS = 17,
};

static const struct reg_place places[NREGS] = {X86_REGS_G(PLACE) X86_REGS_DEFERRED(PLACE)};
static const struct reg_desc descs[NREGS] = {X86_REGS_G(DESC_G) X86_REGS_DEFERRED(DESC_D)};

/* What gdb needs to show a stop in code without asking again. */
static const unsigned expedite[] = {REG_RIP, REG_RSP, REG_RBP, REG_EFLAGS};
static const uint8_t int3[] = {0xcc};

const struct arch_desc arch_desc = {
	.name = "x86_64",
	.gdb_arch = "i386:x86-64",
	.elf_machine = EM_X86_64,
	.features = x86_reg_features,
	.nfeatures = FEATURES,
	.regs = descs,
	.nregs = NREGS,
	.nregs_g = NREGS_G,
	.pc = REG_RIP,
	.sp = REG_RSP,
	.expedite = expedite,
	.nexpedite = sizeof(expedite) / sizeof(expedite[0]),
	.brk = int3,
	.brk_len = sizeof(int3),
	.max_reg_size = 32,
	.unwind = &x86_unwind,
	.no_read_watch = true,
};

int x86_regs_choose(struct vm *vm)
{
	struct arch_vm *av = vm->arch;
	const struct x86_xsave_layout *l = &av->xsave;
	struct kvm_cpuid2 *c = x86_guest_cpuid(vm);
	struct reg_feature *f;
	bool avx;

	if (own_desc_init(&av->own, &arch_desc))
		return -ENOMEM;
	f = av->own.features;
	x86_xsave_layout(c, av->xsave_size, &av->xsave);
	avx = x86_cpuid_has(c, "avx") && x86_xsave_has(l, XCOMP_AVX, 16 * 16);
	f[FEATURE_AVX].absent = !avx;
	f[FEATURE_AVX512].absent = !avx || !x86_cpuid_has(c, "avx512f") || !x86_xsave_has(l, XCOMP_OPMASK, 8 * 8) ||
				   !x86_xsave_has(l, XCOMP_ZMM_HI256, 16 * 32) ||
				   !x86_xsave_has(l, XCOMP_HI16_ZMM, 16 * 64);
	f[FEATURE_PKEYS].absent = !x86_cpuid_has(c, "pku") || !x86_xsave_has(l, XCOMP_PKRU, sizeof(uint32_t));
	return 0;
}

/* ---- moving whole sets ---- */

int x86_regs_flush(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;

	if (!a->regs_dirty)
		return 0;
	if (kvm_ioctl(vcpu->fd, KVM_SET_REGS, a->regs) < 0)
		return -errno;
	a->regs_dirty = false;
	return 0;
}

int x86_regs_reload(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;

	if (kvm_ioctl(vcpu->fd, KVM_GET_REGS, a->regs) < 0 || kvm_ioctl(vcpu->fd, KVM_GET_SREGS, a->sregs) < 0)
		return -errno;
	return 0;
}

bool x86_is_64bit(const struct kvm_sregs *s)
{
	return (s->efer & X86_EFER_LMA) && s->cs.l;
}

const char *x86_mode_name(const struct kvm_sregs *s, uint64_t rflags)
{
	if (!(s->cr0 & X86_CR0_PE))
		return "real mode";
	if (s->efer & X86_EFER_LMA)
		return s->cs.l ? "64-bit" : s->cs.db ? "32-bit compatibility" : "16-bit compatibility";
	if (rflags & RFLAGS_VM)
		return "virtual-8086";
	return s->cs.db ? "32-bit protected" : "16-bit protected";
}

uint64_t arch_pc(struct vcpu *vcpu)
{
	const struct kvm_sregs *s = vcpu->arch->sregs;
	uint64_t rip = vcpu->arch->regs->rip;

	return x86_is_64bit(s) ? rip : (uint32_t)(s->cs.base + rip);
}

/* ---- reading ---- */

/* The bytes of a register, in place; NULL when it is not kept as such (then it comes in *value). */
static const void *locate(const struct vcpu *vcpu, const struct reg_place *p, uint64_t *value)
{
	const struct arch_vcpu *a = vcpu->arch;
	const uint8_t *sregs = (const uint8_t *)a->sregs;

	switch (p->where) {
	case IN_REGS:
		return (const uint8_t *)a->regs + p->place;
	case IN_SELECTOR:
		*value = ((const struct kvm_segment *)(sregs + p->place))->selector;
		return NULL;
	case IN_SREGS64:
	case IN_SREGS32:
	case IN_SREGS16:
		return sregs + p->place;
	case IN_ST:
		return a->fpu.fx.st[p->place];
	case IN_FCTRL:
		*value = x86_fctrl_get(&a->fpu.fx, (enum x86_fctrl)p->place);
		return NULL;
	case IN_XMM:
		return a->fpu.fx.xmm[p->place];
	case IN_MXCSR:
		return &a->fpu.fx.mxcsr;
	case IN_XSTATE:
		return a->fpu.image + vcpu->vm->arch->xsave.comp[X86_XPLACE_COMP(p->place)].offset +
		       X86_XPLACE_OFFSET(p->place);
	case IN_MSR:
	case IN_MSR_VA:
	case IN_DR:
		break;
	}
	return NULL;
}

static bool is_fpu(enum reg_where where)
{
	return where == IN_ST || where == IN_FCTRL || where == IN_XMM || where == IN_MXCSR || where == IN_XSTATE;
}

/* 0: it can be accessed with this size. */
static int check_access(const struct vcpu *vcpu, unsigned regno, size_t len)
{
	if (regno >= NREGS || len != descs[regno].size)
		return -EINVAL;
	return arch_desc_has(&vcpu->vm->arch->own.desc, regno) ? 0 : -ENOENT;
}

int arch_reg_read(struct vcpu *vcpu, unsigned regno, void *buf, size_t len)
{
	const struct reg_place *p = &places[regno < NREGS ? regno : 0];
	int ret = check_access(vcpu, regno, len);
	const void *bytes;
	uint64_t value = 0;

	if (ret < 0)
		return ret;
	if (is_fpu(p->where))
		ret = x86_fpu_load(vcpu);
	else if (p->where == IN_MSR || p->where == IN_MSR_VA)
		ret = x86_msr_get(vcpu, p->place, &value);
	else if (p->where == IN_DR)
		ret = x86_dr_get(vcpu, p->place, &value);
	if (ret < 0)
		return ret;
	bytes = locate(vcpu, p, &value);
	memcpy(buf, bytes ? bytes : &value, len);
	return 0;
}

/* ---- writing ---- */

static bool canonical(const struct kvm_sregs *s, uint64_t va)
{
	unsigned shift = s->cr4 & X86_CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(va << shift) >> shift) == va;
}

/* What KVM takes unseen and the processor then refuses to run with (Intel SDM volume 3C, 26.3.1.4). */
static bool general_valid(const struct kvm_sregs *s, unsigned regno, uint64_t value)
{
	if (regno == REG_RIP)
		return x86_is_64bit(s) ? canonical(s, value) : value <= UINT32_MAX;
	if (regno == REG_EFLAGS)
		return (value & ~RFLAGS_BITS) == RFLAGS_FIXED &&
		       (!(value & RFLAGS_VM) || ((s->cr0 & X86_CR0_PE) && !(s->efer & X86_EFER_LMA)));
	return true;
}

static int write_general(struct arch_vcpu *a, unsigned regno, const struct reg_place *p, uint64_t value)
{
	if (!general_valid(a->sregs, regno, value))
		return -EINVAL;
	memcpy((uint8_t *)a->regs + p->place, &value, sizeof(value));
	a->regs_dirty = true;
	if (regno == REG_RIP)
		a->pc_written = true;
	return 0;
}

/* Sets them all and reads back whether the one that was written holds what it should; if not, all is as before. */
static int set_sregs(struct vcpu *vcpu, struct kvm_sregs *s, const struct reg_place *p, size_t len)
{
	struct kvm_sregs *now = vcpu->arch->sregs, old = *now;
	size_t at = p->place;

	if (p->where == IN_SELECTOR) {
		at += offsetof(struct kvm_segment, selector);
		len = sizeof(s->cs.selector);
	}
	if (kvm_ioctl(vcpu->fd, KVM_SET_SREGS, s) < 0 || kvm_ioctl(vcpu->fd, KVM_GET_SREGS, now) < 0)
		return -errno;
	if (!memcmp((const uint8_t *)now + at, (const uint8_t *)s + at, len))
		return 0;
	if (kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &old) < 0 || kvm_ioctl(vcpu->fd, KVM_GET_SREGS, now) < 0)
		return -errno;
	return -EINVAL;
}

/*
 * KVM checks a set of system registers as a whole, when it is set: that happens here, on the vCPU's own thread, so that
 * a refusal reaches whoever wrote the register.
 */
static int write_sregs(struct vcpu *vcpu, const struct reg_place *p, const void *buf, size_t len)
{
	struct kvm_sregs s = *vcpu->arch->sregs;
	uint8_t *field = (uint8_t *)&s + p->place;
	uint64_t value = 0, efer;
	int ret;

	memcpy(&value, buf, len);
	if (p->where == IN_SELECTOR) {
		struct kvm_segment *seg = (struct kvm_segment *)field;

		if (value > 0xffff)
			return -EINVAL;
		if (value == seg->selector)
			return 0;
		ret = x86_segment_load(vcpu, &s, seg, (uint16_t)value);
		if (ret < 0)
			return ret;
	} else {
		if (!memcmp(field, buf, len))
			return 0;
		memcpy(field, buf, len);
	}
	if (!canonical(&s, s.fs.base) || !canonical(&s, s.gs.base))
		return -EINVAL;
	/* The processor keeps LMA by itself: LME and paging together. */
	efer = s.efer & ~X86_EFER_LMA;
	if ((efer & X86_EFER_LME) && (s.cr0 & X86_CR0_PG))
		efer |= X86_EFER_LMA;
	if (field == (uint8_t *)&s.efer && efer != value)
		return -EINVAL;
	s.efer = efer;
	return set_sregs(vcpu, &s, p, len);
}

static int put_fpu(struct vcpu *vcpu, const struct reg_place *p, const void *buf, size_t len)
{
	struct x86_fxsave *f = &vcpu->arch->fpu.fx;
	uint8_t *image = vcpu->arch->fpu.image;
	uint32_t value = 0;

	switch (p->where) {
	case IN_ST:
		memcpy(f->st[p->place], buf, len);
		return 0;
	case IN_XMM:
		memcpy(f->xmm[p->place], buf, len);
		return 0;
	case IN_XSTATE:
		memcpy(image + vcpu->vm->arch->xsave.comp[X86_XPLACE_COMP(p->place)].offset +
				X86_XPLACE_OFFSET(p->place),
			buf, len);
		x86_xsave_mark(image, X86_XPLACE_COMP(p->place));
		return 0;
	default:
		break;
	}
	memcpy(&value, buf, len);
	if (p->where == IN_FCTRL)
		return x86_fctrl_set(f, (enum x86_fctrl)p->place, value);
	if (value & ~(f->mxcsr_mask ? f->mxcsr_mask : MXCSR_MASK_DEFAULT))
		return -EINVAL;
	f->mxcsr = value;
	return 0;
}

static int write_fpu(struct vcpu *vcpu, unsigned regno, const void *buf, size_t len)
{
	const struct reg_place *p = &places[regno];
	uint8_t before[REG_SIZE_MAX], after[REG_SIZE_MAX];
	uint64_t value = 0;
	const void *bytes;
	int ret = x86_fpu_load(vcpu);

	if (ret == 0)
		ret = put_fpu(vcpu, p, buf, len);
	if (ret < 0)
		return ret;
	/* What it reads as now: a tag word says of what is in use what it holds. */
	bytes = locate(vcpu, p, &value);
	memcpy(before, bytes ? bytes : &value, len);
	ret = x86_fpu_store(vcpu);
	if (ret == 0)
		ret = arch_reg_read(vcpu, regno, after, len);
	return ret < 0 ? ret : memcmp(before, after, len) ? -EINVAL : 0;
}

int arch_reg_write(struct vcpu *vcpu, unsigned regno, const void *buf, size_t len)
{
	const struct reg_place *p = &places[regno < NREGS ? regno : 0];
	int ret = check_access(vcpu, regno, len);
	uint64_t value = 0;

	if (ret < 0)
		return ret;
	if (is_fpu(p->where))
		return write_fpu(vcpu, regno, buf, len);
	memcpy(&value, buf, len);
	switch (p->where) {
	case IN_REGS:
		return write_general(vcpu->arch, regno, p, value);
	case IN_MSR_VA:
		if (!canonical(vcpu->arch->sregs, value))
			return -EINVAL;
		return x86_msr_write(vcpu, p->place, value);
	case IN_MSR:
		return x86_msr_write(vcpu, p->place, value);
	case IN_DR:
		return x86_dr_set(vcpu, p->place, value);
	default:
		return write_sregs(vcpu, p, buf, len);
	}
}
