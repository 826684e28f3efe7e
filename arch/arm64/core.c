/*
 * What an ELF core says of an arm64 CPU. Pure: registers come by name. Sources: Linux's struct elf_prstatus,
 * user_pt_regs and user_fpsimd_state (asm/ptrace.h of arm64).
 */
#include <elf.h>

#include "arch/arch.h"
#include "vmm/core_notes.h"

#define GENERAL 31
#define VECTORS 32

struct prstatus {
	struct core_prstatus_head head;
	uint64_t x[GENERAL], sp, pc, pstate;
	uint32_t fpvalid, pad2;
};
_Static_assert(sizeof(struct prstatus) == 392, "struct elf_prstatus");

struct fpregs {
	uint8_t v[VECTORS][16];
	uint32_t fpsr, fpcr;
	uint32_t reserved[2];
};
_Static_assert(sizeof(struct fpregs) == 528, "struct user_fpsimd_state");

/* False: they cannot be read (any more). */
static bool fill_fpregs(struct fpregs *f, const struct core_cpu *c)
{
	if (!core_cpu_reg(c, "fpsr", &f->fpsr, sizeof(f->fpsr)))
		return false;
	core_cpu_reg(c, "fpcr", &f->fpcr, sizeof(f->fpcr));
	/* With SVE, the V registers are the low ends of its own. */
	for (unsigned i = 0; i < VECTORS; i++)
		if (!core_cpu_reg_n(c, "v", i, "", f->v[i], sizeof(f->v[i])))
			core_cpu_reg_n(c, "z", i, "", f->v[i], sizeof(f->v[i]));
	return true;
}

void arch_core_cpu(struct core_notes *out, const struct core_cpu *c)
{
	struct prstatus p = {
		.head.pid = (uint32_t)c->id + 1,
		.sp = core_cpu_value(c, "sp"),
		.pc = core_cpu_value(c, "pc"),
		.pstate = core_cpu_value(c, "cpsr"),
	};
	struct fpregs f = {0};

	for (unsigned i = 0; i < GENERAL; i++)
		core_cpu_reg_n(c, "x", i, "", &p.x[i], sizeof(p.x[i]));
	p.fpvalid = fill_fpregs(&f, c);
	core_note_add(out, "CORE", NT_PRSTATUS, &p, sizeof(p));
	if (p.fpvalid)
		core_note_add(out, "CORE", NT_FPREGSET, &f, sizeof(f));
}

/* crash wants no more than that on arm64: page tables and offsets are in VMCOREINFO. */
void arch_core_machine(struct core_notes *out, const struct core_cpu *c)
{
	(void)out;
	(void)c;
}
