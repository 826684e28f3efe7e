/*
 * What an ELF core says of an x86_64 CPU. Pure: registers come by name. Sources: Linux's struct elf_prstatus and
 * user_regs_struct (asm/user_64.h), the processor's FXSAVE and XSAVE images (Intel SDM volume 1, 10.5.1 and 13.4), and
 * QEMU's note, as its dump-guest-memory describes it.
 */
#include <elf.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/fpu.h"
#include "arch/x86_64/xsave.h"
#include "vmm/core_notes.h"

/* ---- NT_PRSTATUS ---- */

static const char *const user_regs[] = {"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax",
	"rcx", "rdx", "rsi", "rdi", NULL /* orig_rax */, "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds",
	"es", "fs", "gs"};
#define USER_REGS     (sizeof(user_regs) / sizeof(user_regs[0]))
#define USER_ORIG_RAX 15

struct prstatus {
	struct core_prstatus_head head;
	uint64_t reg[USER_REGS];
	uint32_t fpvalid, pad2;
};
_Static_assert(sizeof(struct prstatus) == 336, "struct elf_prstatus");

static void add_prstatus(struct core_notes *out, const struct core_cpu *c, bool fpvalid)
{
	struct prstatus p = {.head.pid = (uint32_t)c->id + 1, .fpvalid = fpvalid};

	for (size_t i = 0; i < USER_REGS; i++)
		p.reg[i] = user_regs[i] ? core_cpu_value(c, user_regs[i]) : ~0ull; /* in no system call */
	core_note_add(out, "CORE", NT_PRSTATUS, &p, sizeof(p));
}

/* ---- floating point ---- */

#define XCR0_AT 464 /* where Linux puts it into the image, for debuggers to know what is in there */
/* What debuggers expect where, whatever the processor's own layout is: that of the first ones that had it. */
#define YMM_AT	    576
#define YMM_END	    832
#define OPMASK_AT   1088
#define ZMM_HI_AT   1152
#define HI16_AT	    1664
#define PKRU_AT	    2688
#define XIMAGE_MAX  2696
#define COMP(n)	    (1ull << (n))
#define COMP_AVX512 (COMP(XCOMP_OPMASK) | COMP(XCOMP_ZMM_HI256) | COMP(XCOMP_HI16_ZMM))

/* False: they cannot be read (any more). */
static bool fill_fxsave(struct x86_fxsave *f, const struct core_cpu *c)
{
	static const struct {
		const char *name;
		enum x86_fctrl which;
	} control[] = {{"fctrl", FCTRL}, {"fstat", FSTAT}, {"ftag", FTAG}, {"fop", FOP}, {"fioff", FIOFF},
		{"fiseg", FISEG}, {"fooff", FOOFF}, {"foseg", FOSEG}};
	uint32_t mxcsr;

	if (!core_cpu_reg(c, "mxcsr", &mxcsr, sizeof(mxcsr)))
		return false;
	f->mxcsr = mxcsr;
	for (size_t i = 0; i < sizeof(control) / sizeof(control[0]); i++)
		x86_fctrl_set(f, control[i].which, (uint32_t)core_cpu_value(c, control[i].name));
	for (unsigned i = 0; i < 8; i++)
		core_cpu_reg_n(c, "st", i, "", f->st[i], 10);
	for (unsigned i = 0; i < 16; i++)
		core_cpu_reg_n(c, "xmm", i, "", f->xmm[i], sizeof(f->xmm[i]));
	return true;
}

/* The extended components that the guest has; how long the image is. */
static size_t fill_extended(uint8_t *image, const struct core_cpu *c, uint64_t *bv)
{
	size_t len = 0;

	for (unsigned i = 0; i < 16; i++)
		if (core_cpu_reg_n(c, "ymm", i, "h", image + YMM_AT + (size_t)16 * i, 16))
			*bv |= COMP(XCOMP_AVX);
	for (unsigned i = 0; i < 8; i++)
		if (core_cpu_reg_n(c, "k", i, "", image + OPMASK_AT + (size_t)8 * i, 8))
			*bv |= COMP_AVX512;
	for (unsigned i = 0; i < 32 && (*bv & COMP_AVX512); i++) {
		uint8_t *high = image + HI16_AT + (size_t)64 * (i - 16);

		if (i < 16) {
			core_cpu_reg_n(c, "zmm", i, "h", image + ZMM_HI_AT + (size_t)32 * i, 32);
			continue;
		}
		core_cpu_reg_n(c, "xmm", i, "", high, 16);
		core_cpu_reg_n(c, "ymm", i, "h", high + 16, 16);
		core_cpu_reg_n(c, "zmm", i, "h", high + 32, 32);
	}
	if (core_cpu_reg(c, "pkru", image + PKRU_AT, 4))
		*bv |= COMP(XCOMP_PKRU);
	if (*bv & COMP(XCOMP_AVX))
		len = YMM_END;
	if (*bv & COMP_AVX512)
		len = PKRU_AT;
	return *bv & COMP(XCOMP_PKRU) ? XIMAGE_MAX : len;
}

static void add_xstate(struct core_notes *out, const struct core_cpu *c, const struct x86_fxsave *f)
{
	uint8_t image[XIMAGE_MAX] = {0};
	uint64_t bv = COMP(XCOMP_X87) | COMP(XCOMP_SSE);
	size_t len = fill_extended(image, c, &bv);

	if (!len)
		return;
	memcpy(image, f, X86_XSAVE_BV);
	memcpy(image + XCR0_AT, &bv, sizeof(bv));
	memcpy(image + X86_XSAVE_BV, &bv, sizeof(bv));
	core_note_add(out, "LINUX", NT_X86_XSTATE, image, len);
}

void arch_core_cpu(struct core_notes *out, const struct core_cpu *c)
{
	struct x86_fxsave f = {0};
	bool valid = fill_fxsave(&f, c);

	add_prstatus(out, c, valid);
	if (!valid)
		return;
	core_note_add(out, "CORE", NT_FPREGSET, &f, X86_XSAVE_BV);
	add_xstate(out, c, &f);
}

/* ---- QEMU's note: what crash finds a kernel's place by where there is no VMCOREINFO ---- */

#define QEMU_VERSION 1

struct qemu_segment {
	uint32_t selector, limit, flags, pad;
	uint64_t base;
};

struct qemu_cpu {
	uint32_t version, size;
	uint64_t reg[18];
	struct qemu_segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
	uint64_t cr[5];
	uint64_t kernel_gs_base;
};
_Static_assert(sizeof(struct qemu_cpu) == 440, "QEMUCPUState");

static const char *const qemu_regs[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10",
	"r11", "r12", "r13", "r14", "r15", "rip", "eflags"};
_Static_assert(sizeof(qemu_regs) / sizeof(qemu_regs[0]) == 18, "QEMUCPUState");

void arch_core_machine(struct core_notes *out, const struct core_cpu *c)
{
	struct qemu_cpu q = {.version = QEMU_VERSION, .size = sizeof(q)};
	/* Rights are left out: nobody reads them there, and the debugger's registers do not have them. */
	const struct {
		struct qemu_segment *to;
		const char *selector, *base, *limit;
	} segments[] = {
		{&q.cs, "cs", NULL, NULL},
		{&q.ds, "ds", NULL, NULL},
		{&q.es, "es", NULL, NULL},
		{&q.fs, "fs", "fs_base", NULL},
		{&q.gs, "gs", "gs_base", NULL},
		{&q.ss, "ss", NULL, NULL},
		{&q.ldt, "ldtr", "ldtr_base", "ldtr_limit"},
		{&q.tr, "tr", "tr_base", "tr_limit"},
		{&q.gdt, NULL, "gdtr_base", "gdtr_limit"},
		{&q.idt, NULL, "idtr_base", "idtr_limit"},
	};

	for (size_t i = 0; i < sizeof(qemu_regs) / sizeof(qemu_regs[0]); i++)
		q.reg[i] = core_cpu_value(c, qemu_regs[i]);
	for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
		struct qemu_segment *to = segments[i].to;

		to->selector = segments[i].selector ? (uint32_t)core_cpu_value(c, segments[i].selector) : 0;
		to->limit = segments[i].limit ? (uint32_t)core_cpu_value(c, segments[i].limit) : UINT32_MAX;
		to->base = segments[i].base ? core_cpu_value(c, segments[i].base) : 0;
	}
	for (unsigned i = 0; i < 5; i++)
		core_cpu_reg_n(c, "cr", i, "", &q.cr[i], sizeof(q.cr[i]));
	q.kernel_gs_base = core_cpu_value(c, "k_gs_base");
	core_note_add(out, "QEMU", 0, &q, sizeof(q));
}
