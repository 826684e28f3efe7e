/* Linear addresses through a vCPU's own page tables: mmu.c's walker over guest RAM. */
#include "arch/x86_64/arch_x86.h"

#include <errno.h>

#include "arch/arch.h"
#include "arch/x86_64/mmu.h"
#include "vmm/kvm.h"

static int read_phys(void *ctx, uint64_t gpa, unsigned size, uint64_t *value)
{
	*value = 0;
	return memory_read(ctx, gpa, value, size);
}

int arch_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out)
{
	const struct kvm_sregs *s = vcpu->arch->sregs;
	const struct x86_mmu_state state = {
		.cr0 = s->cr0,
		.cr3 = s->cr3,
		.cr4 = s->cr4,
		.efer = s->efer,
		.phys_bits = vcpu->vm->arch->phys_bits,
	};

	return x86_mmu_walk(&state, read_phys, &vcpu->vm->mem, va, out);
}

int arch_translate_ready(struct vcpu *vcpu)
{
	return vcpu->arch->synced ? 0 : x86_regs_reload(vcpu);
}

/* CR3's flags and PCID are no part of the tables' address. Canonical addresses with bit 63 set are the kernel's. */
uint64_t arch_space(struct vcpu *vcpu, uint64_t va)
{
	const struct kvm_sregs *s = vcpu->arch->sregs;

	if (!(s->cr0 & X86_CR0_PG))
		return VM_SPACE_PHYSICAL;
	if (va >> 63)
		return VM_SPACE_SHARED;
	return s->efer & X86_EFER_LMA ? s->cr3 & 0x000ffffffffff000 : s->cr3 & 0xffffffe0;
}

size_t arch_patch_site(struct vcpu *vcpu, const uint8_t *bytes, size_t n)
{
	const struct kvm_sregs *s = vcpu->arch->sregs;

	return x86_patch_site(bytes, n, x86_is_64bit(s) ? X86_CODE_64 : s->cs.db ? X86_CODE_32 : X86_CODE_16);
}

/* How many of the len bytes at addr lie in RAM and in one page, and where; 0: unmapped or not RAM. */
static size_t piece_at(struct vcpu *vcpu, uint64_t addr, size_t len, uint64_t *gpa)
{
	struct mapping m;

	if (arch_translate(vcpu, addr, &m) < 0)
		return 0;
	*gpa = m.gpa;
	return (size_t)memory_reach(&vcpu->vm->mem, m.gpa, len < m.len ? len : m.len);
}

size_t x86_linear_read(struct vcpu *vcpu, uint64_t addr, void *buf, size_t len)
{
	size_t done = 0, n;
	uint64_t gpa;

	for (; done < len && (n = piece_at(vcpu, addr + done, len - done, &gpa)) != 0; done += n)
		(void)memory_read(&vcpu->vm->mem, gpa, (uint8_t *)buf + done, n);
	return done;
}

size_t x86_linear_write(struct vcpu *vcpu, uint64_t addr, const void *buf, size_t len)
{
	size_t done = 0, n;
	uint64_t gpa;

	for (; done < len && (n = piece_at(vcpu, addr + done, len - done, &gpa)) != 0; done += n)
		(void)memory_write(&vcpu->vm->mem, gpa, (const uint8_t *)buf + done, n);
	return done;
}
