/* Write-protected RAM: which pages cannot be protected, because the processor or KVM writes them by other ways. */
#include "arch/arch.h"

#include <errno.h>

#include "arch/kvm_call.h"
#include "arch/page_set.h"
#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/mmu.h"
#include "vmm/kvm.h"

#define REFUSED "no slot can watch this, and its page cannot be write-protected: "

/* ---- writes; KVM reports them after the access, with all that it wrote ---- */

void arch_write_at(struct vcpu *vcpu, struct arch_write *out)
{
	(void)vcpu;
	*out = (struct arch_write){.steps = 1};
}

bool arch_write_whole(struct vcpu *vcpu)
{
	(void)vcpu;
	return true;
}

/* Else KVM gives the guest #UD instead; in its user mode without an exit. Linux 5.14 */
void arch_protected(struct vm *vm, bool on)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = {on}};

	if (kvm_check(vm->kvm_fd, KVM_CAP_EXIT_ON_EMULATION_FAILURE) && kvm_ioctl(vm->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		kvm_failed("KVM_ENABLE_CAP, KVM_CAP_EXIT_ON_EMULATION_FAILURE");
}

int arch_write_pc(struct vcpu *vcpu, uint64_t *pc)
{
	(void)vcpu;
	(void)pc;
	return -EOPNOTSUPP;
}

int arch_write_undo(struct vcpu *vcpu, uint64_t pc)
{
	(void)vcpu;
	(void)pc;
	return -EOPNOTSUPP;
}

/* ---- page tables: the processor sets their accessed and dirty bits ---- */

#define PTE_P	     1u
#define PTE_PS	     (1u << 7)
#define PTE_ADDRESS  0xffffffffff000ull
#define TABLE_BYTES  4096
#define LEVEL_PAE    2
#define LARGE_LEVELS 3 /* up to there a large page ends the walk */

static void walk_64(struct vcpu *vcpu, struct page_set *s, uint64_t table, unsigned level)
{
	const struct guest_memory *mem = &vcpu->vm->mem;
	uint64_t entry;

	if (!memory_has(mem, table, TABLE_BYTES) || !page_set_enter(s, table, TABLE_BYTES) || level == 1)
		return;
	for (unsigned at = 0; at < TABLE_BYTES && !s->found; at += sizeof(entry)) {
		if (!memory_read(mem, table + at, &entry, sizeof(entry)) && (entry & PTE_P) &&
			!(level <= LARGE_LEVELS && (entry & PTE_PS)))
			walk_64(vcpu, s, entry & PTE_ADDRESS, level - 1);
	}
}

static void walk_32(struct vcpu *vcpu, struct page_set *s, uint64_t table, bool large)
{
	const struct guest_memory *mem = &vcpu->vm->mem;
	uint32_t entry;

	if (!memory_has(mem, table, TABLE_BYTES) || !page_set_enter(s, table, TABLE_BYTES))
		return;
	for (unsigned at = 0; at < TABLE_BYTES; at += sizeof(entry)) {
		if (!memory_read(mem, table + at, &entry, sizeof(entry)) && (entry & PTE_P) &&
			!(large && (entry & PTE_PS)))
			(void)page_set_enter(s, entry & (uint32_t)PTE_ADDRESS, TABLE_BYTES);
	}
}

static bool in_tables(struct vcpu *vcpu, struct page_set *s)
{
	const struct kvm_sregs *r = vcpu->arch->sregs;
	const struct x86_mmu_state state = {.cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4, .efer = r->efer};
	uint64_t table = r->cr3 & PTE_ADDRESS, pdpt = r->cr3 & 0xffffffe0u;
	uint64_t pdpte[4];

	switch (x86_mmu_paging(&state)) {
	case X86_PAGING_NONE:
		break;
	case X86_PAGING_32:
		walk_32(vcpu, s, (uint32_t)table, r->cr4 & X86_CR4_PSE);
		break;
	case X86_PAGING_PAE:
		s->found = s->found || page_set_has(s, pdpt, sizeof(pdpte));
		if (memory_read(&vcpu->vm->mem, pdpt, pdpte, sizeof(pdpte)))
			break;
		for (unsigned i = 0; i < 4; i++) {
			if (pdpte[i] & PTE_P)
				walk_64(vcpu, s, pdpte[i] & PTE_ADDRESS, LEVEL_PAE);
		}
		break;
	case X86_PAGING_4LEVEL:
		walk_64(vcpu, s, table, 4);
		break;
	case X86_PAGING_5LEVEL:
		walk_64(vcpu, s, table, 5);
		break;
	}
	return s->found;
}

/* ---- what exceptions write: frames, and accessed and busy bits of descriptors (the IDT is only read) ---- */

#define FRAME_MAX     64 /* bytes an exception pushes; five or six words, the stack pointer aligned before */
#define RED_ZONE      128
#define TSS64_STACKS  4 /* RSP0, RSP1, RSP2 */
#define TSS64_IST     36
#define TSS64_NSTACKS 3
#define TSS64_NISTS   7
#define TSS32_STACKS  4 /* ESP0, and every 8 bytes the next */

static bool has_linear(struct vcpu *vcpu, const struct page_set *s, uint64_t addr, uint64_t len)
{
	struct mapping m;

	while (len) {
		if (arch_translate(vcpu, addr, &m) < 0) {
			m.len = TABLE_BYTES - addr % TABLE_BYTES;
		} else if (page_set_has(s, m.gpa, m.len < len ? m.len : len)) {
			return true;
		}
		if (m.len >= len)
			break;
		addr += m.len;
		len -= m.len;
	}
	return false;
}

static bool below(struct vcpu *vcpu, const struct page_set *s, uint64_t top, uint64_t len)
{
	return top && has_linear(vcpu, s, top - len, len);
}

static bool in_tss_stacks(struct vcpu *vcpu, const struct page_set *s)
{
	const struct kvm_sregs *r = vcpu->arch->sregs;
	bool lm = r->efer & X86_EFER_LMA;
	uint64_t top;

	for (unsigned i = 0; i < TSS64_NSTACKS; i++) {
		top = 0;
		if (x86_linear_read(vcpu, r->tr.base + TSS64_STACKS + i * 8, &top, lm ? 8 : 4) &&
			below(vcpu, s, top, FRAME_MAX))
			return true;
	}
	for (unsigned i = 0; lm && i < TSS64_NISTS; i++) {
		top = 0;
		if (x86_linear_read(vcpu, r->tr.base + TSS64_IST + i * 8, &top, 8) && below(vcpu, s, top, FRAME_MAX))
			return true;
	}
	return false;
}

static const char *in_exceptions(struct vcpu *vcpu, const struct page_set *s)
{
	const struct arch_vcpu *a = vcpu->arch;
	const struct kvm_sregs *r = a->sregs;
	uint64_t sp = x86_is_64bit(r) ? a->regs->rsp : (uint32_t)(r->ss.base + a->regs->rsp);

	if (has_linear(vcpu, s, r->gdt.base, r->gdt.limit + 1ull))
		return REFUSED "it holds the GDT";
	if (!r->ss.dpl && below(vcpu, s, sp, RED_ZONE + FRAME_MAX))
		return REFUSED "it holds a CPU's present stack, where exceptions push";
	if (!(r->cr0 & X86_CR0_PE) || !r->tr.present)
		return NULL;
	if (has_linear(vcpu, s, r->tr.base, r->tr.limit + 1ull))
		return REFUSED "it holds a TSS";
	return in_tss_stacks(vcpu, s) ? REFUSED "it holds an exception stack of a TSS" : NULL;
}

/* ---- what KVM writes ---- */

/* Linux Documentation/virt/kvm/x86/msr.rst. The low bits are flags. */
static const struct {
	uint32_t msr, len;
	uint64_t enabled, address;
	const char *why;
} kvm_msrs[] = {
	{0x4b564d01, 32, 1, ~1ull, REFUSED "KVM writes it for the guest (kvmclock)"},
	{0x12, 32, 1, ~1ull, REFUSED "KVM writes it for the guest (kvmclock)"},
	{0x4b564d00, 12, 0, ~0ull, REFUSED "KVM writes it for the guest (wall clock)"},
	{0x11, 12, 0, ~0ull, REFUSED "KVM writes it for the guest (wall clock)"},
	{0x4b564d02, 64, 1, ~0x3full, REFUSED "KVM writes it for the guest (async page faults)"},
	{0x4b564d03, 64, 1, ~0x3full, REFUSED "KVM writes it for the guest (steal time)"},
	{0x4b564d04, 4, 1, ~3ull, REFUSED "KVM writes it for the guest (PV EOI)"},
};

static const char *in_kvm_pages(struct vcpu *vcpu, const struct page_set *s)
{
	for (size_t i = 0; i < sizeof(kvm_msrs) / sizeof(kvm_msrs[0]); i++) {
		uint64_t v = 0;
		int ret = x86_msr_get(vcpu, kvm_msrs[i].msr, &v);

		if (ret < 0 && ret != -ENOENT)
			return REFUSED "KVM does not say whether it writes it for the guest";
		if (ret < 0 || !v || (v & kvm_msrs[i].enabled) != kvm_msrs[i].enabled)
			continue;
		if (page_set_has(s, v & kvm_msrs[i].address, kvm_msrs[i].len))
			return kvm_msrs[i].why;
	}
	return NULL;
}

const char *arch_page_busy(struct vcpu *vcpu, const uint64_t *pages, size_t n, uint64_t page)
{
	const struct arch_vcpu *a = vcpu->arch;
	const char *why = NULL;
	struct page_set s;

	if (a->mp_state == KVM_MP_STATE_UNINITIALIZED || a->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return NULL;
	if (page_set_init(&s, &vcpu->vm->mem, pages, n, page) < 0)
		return "out of memory";
	why = in_exceptions(vcpu, &s);
	if (!why)
		why = in_kvm_pages(vcpu, &s);
	if (!why && in_tables(vcpu, &s))
		why = REFUSED "it holds page tables in use";
	page_set_free(&s);
	return why;
}
