/* A vCPU's own view of memory: mmu.c's walker over guest RAM; and what changed code needs for processors to see it. */
#include "arch/arm64/arch_arm64.h"

#include <errno.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/kvm.h"

#define CTR_DMINLINE(ctr) (4u << ((ctr) >> 16 & 0xf)) /* bytes of the shortest data cache line: Arm ARM, CTR_EL0 */

static int read_phys(void *ctx, uint64_t gpa, uint64_t *value)
{
	return memory_read(ctx, gpa, value, sizeof(*value));
}

int arch_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out)
{
	return arm64_mmu_walk(&vcpu->arch->mmu, read_phys, &vcpu->vm->mem, va, out);
}

size_t arm64_virt_read(struct vcpu *vcpu, uint64_t addr, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t n = len - done;
		struct mapping m;
		uint64_t ram;
		const uint8_t *host;

		if (arch_translate(vcpu, addr + done, &m) < 0)
			break;
		host = memory_span(&vcpu->vm->mem, m.gpa, &ram);
		if (!host)
			break;
		if (ram > m.len)
			ram = m.len;
		if (n > ram)
			n = (size_t)ram;
		memcpy((uint8_t *)buf + done, host, n);
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
