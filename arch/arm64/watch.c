/* Writes to write-protected RAM: what an instruction writes, how one is taken back, and which pages cannot be watched.
 */
#include "arch/arch.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/arm64/arch_arm64.h"
#include "arch/arm64/store.h"
#include "arch/page_set.h"
#include "vmm/kvm.h"

/*
 * A store-exclusive fails after an exception, and the guest tries again from its load: that many steps lead there, each
 * run over a whole sequence being one.
 */
#define EXCLUSIVE_STEPS 8
#define ZERO_REGISTER	31
#define STAGE2_PAGE	4096 /* what KVM tells of the address is right within this */

#define DCZID_DZP      (1u << 4)
#define DCZID_WORDS(v) ((v)&0xf) /* log2 */

/* ---- what is written ---- */

static uint64_t stack_pointer(const struct arch_vcpu *a)
{
	return a->core[(a->core[CORE_PSTATE] & PSTATE_MODE) == PSTATE_EL1H ? CORE_SP_EL1 : CORE_SP_EL0];
}

static uint64_t zva_block(void)
{
	uint64_t id;

	__asm__("mrs %0, dczid_el0" : "=r"(id));
	return 4ull << DCZID_WORDS(id);
}

void arch_write_at(struct vcpu *vcpu, struct arch_write *out)
{
	const struct arch_vcpu *a = vcpu->arch;
	struct arm64_store s;
	uint64_t base, index;
	uint32_t insn;

	*out = (struct arch_write){.steps = 1};
	if ((a->core[CORE_PSTATE] & PSTATE_NRW) ||
		arm64_virt_read(vcpu, a->core[CORE_PC], &insn, sizeof(insn)) != sizeof(insn) ||
		!arm64_store_decode(insn, &s))
		return;
	if (s.exclusive) { /* whether it stores is not known before */
		out->steps = EXCLUSIVE_STEPS;
		return;
	}
	index = s.index == ZERO_REGISTER ? 0 : a->core[s.index];
	if (s.base != ZERO_REGISTER)
		base = a->core[s.base];
	else
		base = s.size ? stack_pointer(a) : 0;
	out->va = arm64_store_address(&s, base, index);
	out->len = s.size;
	if (!s.size) {
		out->len = zva_block();
		out->va &= ~(out->len - 1);
	}
}

bool arch_write_whole(struct vcpu *vcpu)
{
	uint64_t gpa = vcpu->run->mmio.phys_addr, len = vcpu->run->mmio.len;
	struct arch_write w;

	if (gpa % STAGE2_PAGE && gpa % STAGE2_PAGE + len <= STAGE2_PAGE)
		return true;
	/* At a page's begin it may be the rest of one, and then has the data of all of it. */
	if (arch_regs_fetch(vcpu) < 0)
		return true;
	arch_write_at(vcpu, &w);
	return len == 1 ||
	       (w.len == len && w.va % STAGE2_PAGE == gpa % STAGE2_PAGE && gpa % STAGE2_PAGE + len <= STAGE2_PAGE);
}

void arch_protected(struct vm *vm, bool on)
{
	(void)vm; /* see KVM_CAP_ARM_NISV_TO_USER, which is always on */
	(void)on;
}

int arch_write_pc(struct vcpu *vcpu, uint64_t *pc)
{
	return arm64_get(vcpu, arm64_core_id(CORE_PC), pc);
}

/* A store that comes with a syndrome has changed nothing but pc. */
int arch_write_undo(struct vcpu *vcpu, uint64_t pc)
{
	vcpu->arch->core[CORE_PC] = pc;
	return arm64_set(vcpu, arm64_core_id(CORE_PC), pc);
}

/* ---- pages in use ---- */

#define SCTLR_M		1u
#define TCR_TSZ(tcr, n) ((tcr) >> ((n)*16) & 0x3f)
#define TCR_EPD(n)	(1ull << (7 + (n)*16))
#define TCR_TG(tcr, n)	((tcr) >> (14 + (n)*16) & 3)
#define TTBR_TABLE	0xfffffffffffeull /* bits 47:1 */
#define DESC_TABLE	3u
#define DESC_ADDRESS	0xfffffffff000ull
#define LAST_LEVEL	3
#define ENTRY_BITS	3
#define VA_BITS_MIN	16

struct tables {
	struct page_set set;
	unsigned page_shift;
};

static void walk(struct vcpu *vcpu, struct tables *t, uint64_t table, unsigned bits, int level)
{
	uint64_t size = 1ull << (bits + ENTRY_BITS), granule = 1ull << t->page_shift, desc;
	const struct guest_memory *mem = &vcpu->vm->mem;

	if (!memory_has(mem, table, size) || !page_set_enter(&t->set, table, size) || level == LAST_LEVEL)
		return;
	for (uint64_t at = 0; at < size && !t->set.found; at += sizeof(desc)) {
		if (!memory_read(mem, table + at, &desc, sizeof(desc)) && (desc & DESC_TABLE) == DESC_TABLE)
			walk(vcpu, t, desc & DESC_ADDRESS & ~(granule - 1), t->page_shift - ENTRY_BITS, level + 1);
	}
}

static void walk_half(struct vcpu *vcpu, struct tables *t, unsigned half)
{
	static const uint8_t granules[2][4] = {{12, 16, 14, 12}, {12, 14, 12, 16}};
	const struct arm64_mmu_state *mmu = &vcpu->arch->mmu;
	unsigned va_bits = 64 - (unsigned)TCR_TSZ(mmu->tcr, half), stride, bits;
	int level = LAST_LEVEL;

	t->page_shift = granules[half][TCR_TG(mmu->tcr, half)];
	stride = t->page_shift - ENTRY_BITS;
	if ((mmu->tcr & TCR_EPD(half)) || va_bits < VA_BITS_MIN || va_bits > 52)
		return;
	for (bits = va_bits - t->page_shift; bits > stride; bits -= stride)
		level--;
	walk(vcpu, t, (half ? mmu->ttbr1 : mmu->ttbr0) & TTBR_TABLE & ~((8ull << bits) - 1), bits, level);
}

const char *arch_page_busy(struct vcpu *vcpu, const uint64_t *pages, size_t n, uint64_t page)
{
	struct tables t = {0};
	const char *why = NULL;

	if (vcpu->arch->mp_state == KVM_MP_STATE_STOPPED || !(vcpu->arch->mmu.sctlr & SCTLR_M))
		return NULL;
	if (page_set_init(&t.set, &vcpu->vm->mem, pages, n, page) < 0)
		return "out of memory";
	for (unsigned half = 0; half < 2 && !t.set.found; half++)
		walk_half(vcpu, &t, half);
	if (t.set.found)
		why = "no slot can watch this, and its page cannot be write-protected: it holds page tables in use";
	page_set_free(&t.set);
	return why;
}
