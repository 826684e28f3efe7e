/* A vCPU's own view of memory: mmu.c's walker over guest RAM; and what changed code needs for processors to see it. */
#include "arch/arm64/arch_arm64.h"

#include <errno.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/kvm.h"

#define SCTLR_M		  1ull			      /* the MMU is on */
#define CTR_DMINLINE(ctr) (4u << ((ctr) >> 16 & 0xf)) /* bytes of the shortest data cache line: Arm ARM, CTR_EL0 */

static int read_phys(void *ctx, uint64_t gpa, uint64_t *value)
{
	return memory_read(ctx, gpa, value, sizeof(*value));
}

int arch_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out)
{
	return arm64_mmu_walk(&vcpu->arch->mmu, read_phys, &vcpu->vm->mem, va, out);
}

int arch_translate_ready(struct vcpu *vcpu)
{
	return arm64_mmu_fetch(vcpu);
}

/* Bit 55 chooses TTBR1, which all address spaces have alike. The ASID and CnP are no part of the tables' address. */
uint64_t arch_space(struct vcpu *vcpu, uint64_t va)
{
	const struct arm64_mmu_state *s = &vcpu->arch->mmu;

	if (!(s->sctlr & SCTLR_M))
		return VM_SPACE_PHYSICAL;
	if (va & 1ull << 55)
		return VM_SPACE_SHARED;
	return s->ttbr0 & 0x0000fffffffffffe;
}

size_t arch_patch_site(struct vcpu *vcpu, const uint8_t *bytes, size_t n)
{
	uint32_t insn;

	(void)vcpu;
	if (n < sizeof(insn))
		return 0;
	memcpy(&insn, bytes, sizeof(insn));
	return arm64_is_patch_site(insn) ? sizeof(insn) : 0;
}

size_t arm64_virt_read(struct vcpu *vcpu, uint64_t addr, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t n = len - done;
		struct mapping m;

		if (arch_translate(vcpu, addr + done, &m) < 0)
			break;
		n = (size_t)memory_reach(&vcpu->vm->mem, m.gpa, n < m.len ? n : m.len);
		if (!n || memory_read(&vcpu->vm->mem, m.gpa, (uint8_t *)buf + done, n))
			break;
		done += n;
	}
	return done;
}

/* A guest whose MMU is off fetches from memory itself, past the caches that all others share: clean down to there. */
void arch_code_written(struct vm *vm, void *host, size_t len)
{
	uintptr_t begin = (uintptr_t)host, end = begin + len, line;
	uint64_t ctr;

	(void)vm;
	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	line = CTR_DMINLINE(ctr);
	for (uintptr_t p = begin & ~(line - 1); p < end; p += line)
		__asm__ volatile("dc cvac, %0" : : "r"(p) : "memory");
	__asm__ volatile("dsb sy" : : : "memory");
	__builtin___clear_cache(host, (char *)host + len);
}
