#include "arch/arch.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "arch/arm64/arch_arm64.h"
#include "arch/arm64/reg_table.h"
#include "arch/arm64/unwind.h"
#include "arch/kvm_call.h"
#include "vmm/kvm.h"

/* M[4:0]: Arm ARM (DDI 0487), C5.2, SPSR_EL1 */
#define MODE_EL0T  0x00
#define MODE_EL1T  0x04
#define MODE_USR32 0x10
#define PSTATE_T32 (1ull << 5) /* AArch32: Thumb */

/* WFI and WFIT: Arm ARM C6.2 */
#define INSN_WFI       0xd503207f
#define INSN_WFIT      0xd5031020
#define INSN_WFIT_MASK 0xffffffe0

/* ---- the table ---- */

struct reg_place {
	enum reg_where where;
	bool writable;
	uint64_t place;
};

// NOLINTNEXTLINE(bugprone-macro-parentheses): a term of a sum
#define COUNT(...)							+1
#define PLACE(name, type, group, size, feature, where, place, writable) {where, writable, place},
#define DESC(deferred, name, type, group, size, feature)                                                               \
	{name, type, group, size, FEATURE_##feature, deferred, deferred},
#define DESC_NOW(name, type, group, size, feature, where, place, writable) DESC(false, name, type, group, size, feature)
#define DESC_LATER(name, type, group, size, feature, where, place, writable)                                           \
	DESC(true, name, type, group, size, feature)

enum {
	NREGS_G = 0 ARM64_REGS_G(COUNT),
	NREGS = NREGS_G ARM64_REGS_KEPT(COUNT) ARM64_REGS_DEFERRED(COUNT),
	REG_X29 = 29,
	REG_X30,
	REG_SP,
	REG_PC,
};

static const struct reg_place places[NREGS] = {ARM64_REGS_G(PLACE) ARM64_REGS_KEPT(PLACE) ARM64_REGS_DEFERRED(PLACE)};
static const struct reg_desc descs[NREGS] = {
	ARM64_REGS_G(DESC_NOW) ARM64_REGS_KEPT(DESC_NOW) ARM64_REGS_DEFERRED(DESC_LATER)};

/* What gdb needs to show a stop in code without asking again. */
static const unsigned expedite[] = {REG_PC, REG_SP, REG_X29, REG_X30};
static const uint8_t brk0[] = {0x00, 0x00, 0x20, 0xd4}; /* BRK #0 */

const struct arch_desc arch_desc = {
	.name = "arm64",
	.gdb_arch = "aarch64",
	.elf_machine = EM_AARCH64,
	.features = arm64_reg_features,
	.nfeatures = FEATURES,
	.regs = descs,
	.nregs = NREGS,
	.nregs_g = NREGS_G,
	.pc = REG_PC,
	.sp = REG_SP,
	.expedite = expedite,
	.nexpedite = sizeof(expedite) / sizeof(expedite[0]),
	.brk = brk0,
	.brk_len = sizeof(brk0),
	.watch_before = true,
	.max_reg_size = 256,
	.unwind = &arm64_unwind,
};

/* ---- KVM's registers, one by one: it has no call for more ---- */

int arm64_one_reg(struct vcpu *vcpu, unsigned long request, uint64_t id, const void *value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)(uintptr_t)value};
	const char *name = request == KVM_SET_ONE_REG ? "KVM_SET_ONE_REG" : "KVM_GET_ONE_REG";

	return kvm_call(vcpu->fd, request, name, (unsigned long)&reg) < 0 ? -errno : 0;
}

int arm64_get(struct vcpu *vcpu, uint64_t id, uint64_t *value)
{
	return arm64_one_reg(vcpu, KVM_GET_ONE_REG, id, value);
}

int arm64_set(struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	return arm64_one_reg(vcpu, KVM_SET_ONE_REG, id, &value);
}

uint64_t arm64_core_id(unsigned core)
{
	switch (core) {
	case CORE_SP_EL0:
		return CORE_ID(U64, regs.sp);
	case CORE_SP_EL1:
		return CORE_ID(U64, sp_el1);
	case CORE_PC:
		return CORE_ID(U64, regs.pc);
	case CORE_PSTATE:
		return CORE_ID(U64, regs.pstate);
	default:
		return CORE_ID(U64, regs.regs[0]) + core * (sizeof(uint64_t) / sizeof(uint32_t));
	}
}

/* ---- moving whole sets ---- */

int arm64_regs_flush(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;

	for (unsigned i = 0; a->dirty; i++) {
		int ret;

		if (!(a->dirty >> i & 1))
			continue;
		ret = arm64_set(vcpu, arm64_core_id(i), a->core[i]);
		if (ret < 0)
			return ret;
		a->dirty &= ~(1ull << i);
	}
	return 0;
}

int arm64_mmu_fetch(struct vcpu *vcpu)
{
	struct arm64_mmu_state *s = &vcpu->arch->mmu;
	int ret = arm64_get(vcpu, ID_SCTLR_EL1, &s->sctlr);

	if (ret == 0)
		ret = arm64_get(vcpu, ID_TCR_EL1, &s->tcr);
	if (ret == 0)
		ret = arm64_get(vcpu, ID_TTBR0_EL1, &s->ttbr0);
	if (ret == 0)
		ret = arm64_get(vcpu, ID_TTBR1_EL1, &s->ttbr1);
	return ret;
}

static int fetch_mp_state(struct vcpu *vcpu)
{
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_RUNNABLE};

	/* One that comes from a debug exit executes, which saves an ioctl at each step. */
	if (vcpu->run->exit_reason != KVM_EXIT_DEBUG && kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) < 0)
		return -errno;
	vcpu->arch->mp_state = mp.mp_state;
	return 0;
}

/* A signal takes a vCPU out of WFI and leaves pc behind it. */
static bool was_waiting(struct vcpu *vcpu)
{
	const struct arch_vcpu *a = vcpu->arch;
	uint32_t insn;

	if (vcpu->run->exit_reason != KVM_EXIT_INTR || a->mp_state == KVM_MP_STATE_STOPPED ||
		(a->core[CORE_PSTATE] & PSTATE_NRW) ||
		arm64_virt_read(vcpu, a->core[CORE_PC] - sizeof(insn), &insn, sizeof(insn)) != sizeof(insn))
		return false;
	return insn == INSN_WFI || (insn & INSN_WFIT_MASK) == INSN_WFIT;
}

int arm64_regs_load(struct vcpu *vcpu)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret = fetch_mp_state(vcpu);

	for (unsigned i = 0; i < CORE_REGS && ret == 0; i++)
		ret = arm64_get(vcpu, arm64_core_id(i), &a->core[i]);
	/* Steps know whether they changed how addresses are translated, once they have ended. */
	if (ret == 0 && (a->mmu_stale || (a->step.active && !a->step.done)))
		ret = arm64_mmu_fetch(vcpu);
	if (ret == 0)
		a->in_wfi = was_waiting(vcpu);
	return ret;
}

uint64_t arch_pc(struct vcpu *vcpu)
{
	return vcpu->arch->core[CORE_PC];
}

/* ---- reading ---- */

/* Which of core[] `sp` is. In AArch32 user programs have theirs in X13: Arm ARM D1, mapping of general registers. */
static unsigned sp_place(const struct arch_vcpu *a)
{
	uint64_t pstate = a->core[CORE_PSTATE];

	if (pstate & PSTATE_NRW)
		return 13;
	return (pstate & PSTATE_MODE) == PSTATE_EL1H ? CORE_SP_EL1 : CORE_SP_EL0;
}

/* 0: it can be accessed with this size. */
static int check_access(const struct vcpu *vcpu, unsigned regno, size_t len)
{
	const struct arch_desc *desc = &vcpu->vm->arch->own.desc;

	if (regno >= NREGS || len != desc->regs[regno].size)
		return -EINVAL;
	return arch_desc_has(desc, regno) ? 0 : -ENOENT;
}

static int read_kvm(struct vcpu *vcpu, const struct reg_place *p, void *buf, size_t len)
{
	uint64_t vg;
	int ret;

	if (p->where == IN_KVM)
		return arm64_one_reg(vcpu, KVM_GET_ONE_REG, p->place, buf);
	if (p->where == IN_SLICE)
		return arm64_sve_get(vcpu, p->place, buf, len);
	ret = arm64_sve_vg(vcpu, &vg);
	if (ret == 0)
		memcpy(buf, &vg, len);
	return ret;
}

int arch_reg_read(struct vcpu *vcpu, unsigned regno, void *buf, size_t len)
{
	const struct reg_place *p = &places[regno < NREGS ? regno : 0];
	const struct arch_vcpu *a = vcpu->arch;
	int ret = check_access(vcpu, regno, len);

	if (ret < 0)
		return ret;
	if (p->where == IN_KVM || p->where == IN_SLICE || p->where == IN_ZCR)
		return read_kvm(vcpu, p, buf, len);
	memcpy(buf, &a->core[p->where == IN_SP ? sp_place(a) : p->place], len);
	return 0;
}

/* ---- writing ---- */

static bool mode_exists(struct vcpu *vcpu, uint64_t pstate)
{
	switch (pstate & PSTATE_MODE) {
	case MODE_EL0T:
	case MODE_EL1T:
	case PSTATE_EL1H:
		return true;
	case MODE_USR32:
		return vcpu->vm->arch->aarch32_el0;
	default:
		return false;
	}
}

/* SS belongs to steps, and what PSTATE has above 32 bits is no part of CPSR. */
static int write_pstate(struct vcpu *vcpu, uint64_t value)
{
	uint64_t *pstate = &vcpu->arch->core[CORE_PSTATE];

	if (!mode_exists(vcpu, value))
		return -EINVAL;
	*pstate = (*pstate & ~0xffffffffull) | (value & ~PSTATE_SS);
	vcpu->arch->dirty |= 1ull << CORE_PSTATE;
	return 0;
}

static unsigned insn_align(uint64_t pstate)
{
	return (pstate & PSTATE_NRW) && (pstate & PSTATE_T32) ? 2 : 4;
}

static int write_kvm(struct vcpu *vcpu, const struct reg_place *p, const void *buf)
{
	struct arch_vcpu *a = vcpu->arch;
	int ret = arm64_one_reg(vcpu, KVM_SET_ONE_REG, p->place, buf);

	if (ret < 0)
		return ret;
	switch (p->place) {
	case ID_SCTLR_EL1:
	case ID_TCR_EL1:
	case ID_TTBR0_EL1:
	case ID_TTBR1_EL1:
		return arm64_mmu_fetch(vcpu);
	case ID_MDSCR_EL1:
		a->guest.stale = true;
		return 0;
	default:
		return 0;
	}
}

int arch_reg_write(struct vcpu *vcpu, unsigned regno, const void *buf, size_t len)
{
	const struct reg_place *p = &places[regno < NREGS ? regno : 0];
	struct arch_vcpu *a = vcpu->arch;
	uint64_t place = p->place, value = 0;
	int ret = check_access(vcpu, regno, len);

	if (ret < 0)
		return ret;
	if (!p->writable)
		return -EINVAL;
	if (p->where == IN_SLICE)
		return arm64_sve_set(vcpu, p->place, buf, len);
	if (p->where == IN_KVM)
		return write_kvm(vcpu, p, buf);
	memcpy(&value, buf, len);
	if (p->where == IN_PSTATE)
		return write_pstate(vcpu, value);
	if (p->where == IN_PC && value % insn_align(a->core[CORE_PSTATE]))
		return -EINVAL;
	if (p->where == IN_SP)
		place = sp_place(a);
	a->core[place] = value;
	a->dirty |= 1ull << place;
	return 0;
}
