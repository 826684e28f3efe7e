/* The register table, and what of registers, segments, FPU and steps needs no KVM: over a made-up vCPU and memory. */
#include "arch/arch.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/mmu.h"
#include "tests/unit/tap.h"
#include "vmm/kvm.h"

#define RAM_SIZE 0x10000
#define TF	 0x100u

static uint8_t ram[RAM_SIZE];
static struct kvm_cpuid2 no_cpuid; /* without any option */
static struct kvm_run run;
static struct arch_vcpu av;
static struct arch_vm avm;
static struct vm vm;
static struct vcpu vcpu = {.vm = &vm, .run = &run, .arch = &av, .fd = -1};

/* Long mode needs tables; protected mode without paging is identity and serves as well here. */
static void fresh(void)
{
	memset(ram, 0, sizeof(ram));
	memset(&run, 0, sizeof(run));
	memset(&av, 0, sizeof(av));
	vm.arch = &avm;
	avm.cpuid = &no_cpuid;
	own_desc_free(&avm.own);
	if (x86_regs_choose(&vm))
		abort();
	avm.phys_bits = 40;
	vm.mem.n = 1;
	vm.mem.size = RAM_SIZE;
	vm.mem.range[0] = (struct mem_range){.gpa = 0, .size = RAM_SIZE, .host = ram};
	av.regs = &run.s.regs.regs;
	av.sregs = &run.s.regs.sregs;
	av.synced = true;
	av.sregs->cr0 = X86_CR0_PE;
	av.sregs->cs.db = 1;
	av.sregs->ss.db = 1;
}

/* Four levels that map the first 2 MiB to itself, at 0xd000. */
static void long_mode(void)
{
	uint64_t entry = 0xe000 | 7;

	memcpy(ram + 0xd000, &entry, 8);
	entry = 0xf000 | 7;
	memcpy(ram + 0xe000, &entry, 8);
	entry = 0x87;
	memcpy(ram + 0xf000, &entry, 8);
	av.sregs->cr0 = X86_CR0_PE | X86_CR0_PG;
	av.sregs->cr4 = X86_CR4_PAE;
	av.sregs->cr3 = 0xd000;
	av.sregs->efer = X86_EFER_LME | X86_EFER_LMA;
	av.sregs->cs.l = 1;
	av.sregs->cs.db = 0;
}

static int find(const char *name)
{
	for (size_t i = 0; i < arch_desc.nregs; i++) {
		if (!strcmp(arch_desc.regs[i].name, name))
			return (int)i;
	}
	return -1;
}

static void test_table(void)
{
	static const char *const needed[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r15", "rip",
		"eflags", "cs", "ss", "ds", "es", "fs", "gs", "st0", "st7", "fctrl", "fop", "xmm0", "xmm15", "mxcsr",
		"fs_base", "gs_base", "k_gs_base", "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base", "lstar",
		"star", "cstar", "sfmask", "tsc", "tsc_aux", "pat", "misc_enable", "mtrr_def_type", "sysenter_cs",
		"sysenter_esp", "sysenter_eip", "dr0", "dr3", "dr6", "dr7", "ymm0h", "ymm31h", "zmm0h", "zmm31h",
		"xmm16", "xmm31", "k0", "k7", "pkru"};
	unsigned twice = 0, wrong = 0;

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		tap_ok(find(needed[i]) >= 0, "%s is there", needed[i]);
	for (size_t i = 0; i < arch_desc.nregs; i++) {
		const struct reg_desc *r = &arch_desc.regs[i];

		twice += find(r->name) != (int)i;
		wrong += r->deferred != (i >= arch_desc.nregs_g) || (r->deferred && !r->write_deferred) ||
			 r->feature >= arch_desc.nfeatures || !r->size || r->size > arch_desc.max_reg_size;
	}
	tap_is_u64(twice, 0, "no name twice");
	tap_is_u64(wrong, 0, "the deferred ones come last, every size and feature is in range");
	tap_is_str(arch_desc.regs[arch_desc.pc].name, "rip", "pc");
	tap_is_str(arch_desc.regs[arch_desc.sp].name, "rsp", "sp");
	for (size_t i = 0; i < arch_desc.nexpedite; i++)
		tap_ok(arch_desc.expedite[i] < arch_desc.nregs_g, "expedited %s costs nothing",
			arch_desc.regs[arch_desc.expedite[i]].name);
	tap_ok(arch_desc.brk_len == 1 && arch_desc.brk[0] == 0xcc, "the breakpoint instruction is INT3");
	tap_ok(!arch_desc.regs[find("rax")].write_deferred && arch_desc.regs[find("cr3")].write_deferred,
		"general registers are written anywhere, system ones on their own thread");
}

static uint64_t get(const char *name)
{
	int reg = find(name);
	uint64_t v = 0;

	if (reg < 0 || arch_reg_read(&vcpu, (unsigned)reg, &v, arch_desc.regs[reg].size))
		return 0xdeaddeaddeaddeadull;
	return v;
}

static int set(const char *name, uint64_t v)
{
	int reg = find(name);

	return reg < 0 ? -ENXIO : arch_reg_write(&vcpu, (unsigned)reg, &v, arch_desc.regs[reg].size);
}

/* What no processor would run with is refused, and changes nothing. */
static void test_general_values(void)
{
	static const uint64_t bad[] = {0, 0x246 | 1 << 3, 0x246 | 1 << 5, 0x246 | 1 << 15, 0x246 | 1ull << 22};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(set("eflags", bad[i]) == -EINVAL && av.regs->rflags == 0x246, "eflags 0x%llx is refused",
			(unsigned long long)bad[i]);
	tap_ok(!set("eflags", 0x3f7fd7) && av.regs->rflags == 0x3f7fd7, "all bits of eflags");
	av.sregs->efer = X86_EFER_LMA;
	av.sregs->cs.l = 1;
	tap_ok(set("eflags", 0x20002) == -EINVAL, "no virtual-8086 mode in long mode");
	tap_ok(!set("rip", 0xffff800000000000) && set("rip", 0x800000000000) == -EINVAL, "rip is canonical");
	av.sregs->efer = 0;
	av.sregs->cs.l = 0;
	tap_ok(!set("rip", 0xffffffff) && set("rip", 0x100000000) == -EINVAL, "and has 32 bits outside 64-bit code");
	av.sregs->cr0 = 0;
	tap_ok(set("eflags", 0x20002) == -EINVAL, "no virtual-8086 mode in real mode");
}

static void test_access(void)
{
	uint8_t buf[16] = {0};

	fresh();
	av.regs->rax = 0x1122334455667788;
	av.regs->r15 = 15;
	av.regs->rip = 0x1000;
	av.regs->rflags = 0x246;
	av.sregs->cs.selector = 0x10;
	av.sregs->gs.selector = 0x2b;
	av.sregs->gs.base = 0xffff888000000000;
	av.sregs->cr2 = 0xdead000;
	av.sregs->gdt.limit = 0x7f;
	av.sregs->tr.base = 0x5000;
	tap_is_u64(get("rax"), 0x1122334455667788, "rax");
	tap_is_u64(get("r15"), 15, "r15");
	tap_is_u64(get("rip"), 0x1000, "rip");
	tap_is_u64(get("eflags"), 0x246, "eflags");
	tap_is_u64(get("cs"), 0x10, "cs");
	tap_is_u64(get("gs"), 0x2b, "gs");
	tap_is_u64(get("gs_base"), 0xffff888000000000, "gs_base");
	tap_is_u64(get("cr2"), 0xdead000, "cr2");
	tap_is_u64(get("gdtr_limit"), 0x7f, "gdtr_limit");
	tap_is_u64(get("tr_base"), 0x5000, "tr_base");
	tap_ok(!set("rbx", 7) && av.regs->rbx == 7 && av.regs_dirty && !av.pc_written, "a write marks the set dirty");
	tap_ok(!set("rip", 0x2000) && av.pc_written, "a write of rip is remembered");
	test_general_values();
	tap_is_u64((uint64_t)-set("cs", 0x12345), EINVAL, "a selector has 16 bits");
	tap_is_u64((uint64_t)set("cr2", 0xdead000), 0, "writing what is there costs nothing");
	tap_is_u64((uint64_t)-set("gs_base", 0x800000000000), EINVAL, "a base is canonical");
	tap_is_u64((uint64_t)-arch_reg_read(&vcpu, 0, buf, 4), EINVAL, "a read of the wrong size");
	tap_is_u64((uint64_t)-arch_reg_read(&vcpu, 9999, buf, 8), EINVAL, "a read of no register");
	tap_is_u64((uint64_t)-arch_reg_write(&vcpu, 9999, buf, 8), EINVAL, "a write of no register");
}

static void test_pc(void)
{
	fresh();
	av.sregs->cr0 = 0;
	av.sregs->cs.base = 0xffff0000;
	av.regs->rip = 0xfff0;
	tap_is_u64(arch_pc(&vcpu), 0xfffffff0, "reset vector");
	av.sregs->cs.base = 0xfffff000;
	av.regs->rip = 0x2000;
	tap_is_u64(arch_pc(&vcpu), 0x1000, "linear addresses wrap at 4 GiB outside 64-bit code");
	av.sregs->efer = X86_EFER_LMA;
	av.sregs->cs.l = 1;
	av.regs->rip = 0xffffffff81000000;
	tap_is_u64(arch_pc(&vcpu), 0xffffffff81000000, "64-bit code ignores the base of CS");
}

static void test_fpu(void)
{
	static const uint8_t one[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f},
			     nan[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x7f};
	static const uint8_t denormal[10] = {1}, unnormal[10] = {0, 0, 0, 0, 0, 0, 0, 0x40, 0xff, 0x3f};
	struct x86_fxsave f = {0};

	tap_is_u64(x86_fctrl_get(&f, FTAG), 0xffff, "an empty stack");
	f.ftw = 0xf8;	 /* physical 3 to 7 are in use */
	f.fsw = 3 << 11; /* top: ST(0) is physical 3 */
	memcpy(f.st[0], one, 10);
	memcpy(f.st[2], nan, 10);
	memcpy(f.st[3], denormal, 10);
	memcpy(f.st[4], unnormal, 10);
	tap_is_u64(x86_fctrl_get(&f, FTAG), 0xa93f, "valid, zero, special, special, special from physical 3 on");
	tap_ok(!x86_fctrl_set(&f, FTAG, 0x3ffc) && f.ftw == 0x81, "a tag word written: in use is what is not empty");
	tap_ok(!x86_fctrl_set(&f, FCTRL, 0x27f) && f.fcw == 0x27f, "fctrl");
	tap_ok(x86_fctrl_set(&f, FCTRL, 0x10000) == -EINVAL, "fctrl has 16 bits");
	tap_ok(x86_fctrl_set(&f, FOP, 0x800) == -EINVAL, "fop has 11 bits");
	x86_fctrl_set(&f, FIOFF, 0xffffffff);
	x86_fctrl_set(&f, FISEG, 0x7fff);
	tap_is_u64(f.fip, 0x7fffffffffff, "fioff and fiseg are the two parts of the instruction pointer");
	tap_ok(x86_fctrl_get(&f, FIOFF) == 0xffffffff && x86_fctrl_get(&f, FISEG) == 0x7fff, "and read back");
	x86_fctrl_set(&f, FOOFF, 0x12345678);
	x86_fctrl_set(&f, FOP, 0x7ff);
	tap_ok(x86_fctrl_get(&f, FOOFF) == 0x12345678 && x86_fctrl_get(&f, FOSEG) == 0 &&
			x86_fctrl_get(&f, FOP) == 0x7ff,
		"fooff, foseg, fop");
}

static void put_desc(unsigned gpa, uint64_t desc)
{
	memcpy(ram + gpa, &desc, 8);
}

static void test_segments(void)
{
	struct kvm_sregs s;

	fresh();
	av.sregs->gdt.base = 0x1000;
	av.sregs->gdt.limit = 0x3f;
	av.sregs->ldt.unusable = 1;
	put_desc(0x1008, 0x00cf9b000000ffff); /* flat 32-bit code */
	put_desc(0x1010, 0x12409334567800ff); /* data at 0x12345678, 0xff */
	put_desc(0x1018, 0x00cf91000000ffff); /* read-only data */
	put_desc(0x1020, 0x00cf13000000ffff); /* not present */
	put_desc(0x1028, 0x00cf99000000ffff); /* execute-only code */
	put_desc(0x1030, 0x0000890000000067); /* TSS */
	put_desc(0x1038, 0x00ef9b000000ffff); /* L and D */
	s = *av.sregs;
	tap_is_u64((uint64_t)x86_segment_load(&vcpu, &s, &s.ds, 0x13), 0, "data");
	tap_ok(s.ds.base == 0x12345678 && s.ds.limit == 0xff && s.ds.selector == 0x13 && s.ds.type == 3 && s.ds.s &&
			s.ds.present && s.ds.db && !s.ds.g && !s.ds.unusable,
		"its descriptor is unpacked");
	tap_is_u64((uint64_t)x86_segment_load(&vcpu, &s, &s.cs, 0x8), 0, "code");
	tap_ok(s.cs.limit == 0xffffffff && s.cs.g && s.cs.db && s.cs.type == 0xb, "granular limit");
	tap_is_u64((uint64_t)x86_segment_load(&vcpu, &s, &s.es, 0), 0, "null in ES");
	tap_ok(s.es.unusable && !s.es.present, "is unusable");
	tap_is_u64((uint64_t)x86_segment_load(&vcpu, &s, &s.fs, 0x18), 0, "read-only data in FS");
	tap_is_u64((uint64_t)x86_segment_load(&vcpu, &s, &s.fs, 0x8), 0, "readable code in FS");
	tap_ok(x86_segment_load(&vcpu, &s, &s.cs, 0) < 0, "null in CS is refused");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ss, 0) < 0, "null in SS is refused outside long mode");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ss, 0x18) < 0, "read-only data in SS");
	tap_ok(x86_segment_load(&vcpu, &s, &s.cs, 0x10) < 0, "data in CS");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ds, 0x28) < 0, "execute-only code in DS");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ds, 0x20) < 0, "not present");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ds, 0x30) < 0, "a system segment");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ds, 0x40) < 0, "past the limit");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ds, 0x14) < 0, "LDT without an LDT");
	tap_ok(x86_segment_load(&vcpu, &s, &s.cs, 0x38) == 0, "L with D is 32-bit code outside long mode");
	s.ldt = (struct kvm_segment){.base = 0x1010, .limit = 7};
	tap_ok(x86_segment_load(&vcpu, &s, &s.ds, 0x4) == 0 && s.ds.base == 0x12345678, "through the LDT");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ds, 0xc) < 0, "past the LDT's limit");
	s.gdt.base = RAM_SIZE - 0x10;
	tap_ok(x86_segment_load(&vcpu, &s, &s.ds, 0x10) < 0, "the table is not in RAM");
	s.cr0 = 0;
	tap_ok(x86_segment_load(&vcpu, &s, &s.ds, 0x1234) == 0 && s.ds.base == 0x12340,
		"real mode: sixteen times the selector");

	long_mode();
	s = *av.sregs;
	tap_ok(x86_segment_load(&vcpu, &s, &s.cs, 0x38) < 0, "L with D is reserved in long mode");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ss, 0) == 0 && s.ss.unusable && s.ss.dpl == 0,
		"null in SS is fine in long mode");
	tap_ok(x86_segment_load(&vcpu, &s, &s.ss, 3) < 0, "but not at CPL 3");
}

static void test_decode(void)
{
	static const struct {
		const char *name;
		uint8_t b[8];
		uint8_t n;
		enum x86_code code;
		enum x86_insn insn;
		uint8_t len, operand, vector;
	} cases[] = {
		{"pushfq", {0x9c}, 1, X86_CODE_64, X86_INSN_PUSHF, 1, 8, 0},
		{"pushfw", {0x66, 0x9c}, 2, X86_CODE_64, X86_INSN_PUSHF, 2, 2, 0},
		{"rex.w pushf", {0x48, 0x9c}, 2, X86_CODE_64, X86_INSN_PUSHF, 2, 8, 0},
		{"66 rex.w pushf", {0x66, 0x48, 0x9c}, 3, X86_CODE_64, X86_INSN_PUSHF, 3, 8, 0},
		{"pushfl", {0x9c}, 1, X86_CODE_32, X86_INSN_PUSHF, 1, 4, 0},
		{"pushfw in 16 bits", {0x9c}, 1, X86_CODE_16, X86_INSN_PUSHF, 1, 2, 0},
		{"pushfl in 16 bits", {0x66, 0x9c}, 2, X86_CODE_16, X86_INSN_PUSHF, 2, 4, 0},
		{"dec eax; pushf in 32 bits", {0x48, 0x9c}, 2, X86_CODE_32, X86_INSN_OTHER, 0, 0, 0},
		{"popfq", {0x9d}, 1, X86_CODE_64, X86_INSN_POPF, 1, 8, 0},
		{"iretq", {0x48, 0xcf}, 2, X86_CODE_64, X86_INSN_IRET, 2, 8, 0},
		{"iretd", {0xcf}, 1, X86_CODE_64, X86_INSN_IRET, 1, 4, 0},
		{"iretd in 32 bits", {0xcf}, 1, X86_CODE_32, X86_INSN_IRET, 1, 4, 0},
		{"int3", {0xcc, 0xcc}, 2, X86_CODE_64, X86_INSN_INT, 1, 8, 3},
		{"int 0x80", {0xcd, 0x80}, 2, X86_CODE_64, X86_INSN_INT, 2, 8, 0x80},
		{"int1", {0xf1}, 1, X86_CODE_64, X86_INSN_INT, 1, 8, 1},
		{"half an int", {0xcd}, 1, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
		{"syscall", {0x0f, 0x05}, 2, X86_CODE_64, X86_INSN_SYSCALL, 2, 8, 0},
		{"sysretq", {0x48, 0x0f, 0x07}, 3, X86_CODE_64, X86_INSN_SYSRET, 3, 8, 0},
		{"hlt", {0xf4}, 1, X86_CODE_64, X86_INSN_HLT, 1, 8, 0},
		{"mov %eax, %ss", {0x8e, 0xd0}, 2, X86_CODE_64, X86_INSN_TO_SS, 2, 8, 0},
		{"mov %eax, %ds", {0x8e, 0xd8}, 2, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
		{"mov (%rax), %ss", {0x8e, 0x10}, 2, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
		{"half a mov to a segment", {0x8e}, 1, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
		{"pop %ss", {0x17}, 1, X86_CODE_32, X86_INSN_TO_SS, 1, 4, 0},
		{"pop %ss does not exist in 64 bits", {0x17}, 1, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
		{"nop", {0x90}, 1, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
		{"mov $0x9c, %al", {0xb0, 0x9c}, 2, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
		{"nothing but prefixes", {0x66, 0x66, 0x66}, 3, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
		{"nothing", {0}, 0, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
		{"half a syscall", {0x0f}, 1, X86_CODE_64, X86_INSN_OTHER, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct x86_decoded d = x86_decode(cases[i].b, cases[i].n, cases[i].code);

		tap_ok(d.insn == cases[i].insn && d.len == cases[i].len && d.vector == cases[i].vector &&
				d.operand == cases[i].operand,
			"decode %s", cases[i].name);
	}
}

static uint16_t half(unsigned gpa)
{
	uint16_t v;

	memcpy(&v, ram + gpa, 2);
	return v;
}

static void put_code(unsigned gpa, const char *bytes, size_t n)
{
	memcpy(ram + gpa, bytes, n);
}

static void prepare(const char *bytes, size_t n, uint64_t rsp, bool tf)
{
	struct x86_debug_regs regs = {0};

	put_code(0x1000, bytes, n);
	av.regs->rip = 0x1000;
	av.regs->rsp = rsp;
	av.guest_tf = tf;
	x86_step_prepare(&vcpu, 0x1000, &regs);
}

static void test_step_flags(void)
{
	fresh();
	long_mode();
	/* PUSHF with our TF in the copy, at a page's end so that the image straddles nothing it should not */
	for (int tf = 0; tf < 2; tf++) {
		prepare("\x9c", 1, 0x2000, tf);
		av.regs->rsp = 0x1ff8;
		put_code(0x1ff8, "\x46\x03\0\0\0\0\0\0", 8);
		x86_step_repair(&vcpu, 0x1001);
		tap_is_u64(half(0x1ff8), tf ? 0x346 : 0x246, "PUSHF: the copy shows the guest's own TF (%d)", tf);
		tap_is_u64(av.guest_tf, (uint64_t)tf, "which it keeps");
	}
	prepare("\x8e\xd0\x9c", 3, 0x2000, false);
	av.regs->rsp = 0x1ff8;
	av.regs->rip = 0x1003;
	put_code(0x1ff8, "\x46\x03", 2);
	x86_step_repair(&vcpu, 0x1003);
	tap_is_u64(half(0x1ff8), 0x246, "MOV to SS and PUSHF in one step: the same");
	prepare("\x8e\xd0\x9d", 3, 0x2000, false);
	put_code(0x2000, "\x46\x03", 2);
	av.regs->rip = 0x1002;
	x86_step_repair(&vcpu, 0x1002);
	tap_ok(!av.guest_tf, "MOV to SS alone, before a POPF that sets TF: not yet");
	prepare("\x9c", 1, 0x2000, false);
	put_code(0x2000, "\x46\x03", 2);
	x86_step_repair(&vcpu, 0x1000);
	tap_is_u64(half(0x2000), 0x346, "PUSHF that faulted changes nothing");
	put_code(0x3000, "\x02\x01", 2);
	prepare("\x9d", 1, 0x3000, false);
	x86_step_repair(&vcpu, 0x1001);
	tap_ok(av.guest_tf, "POPF sets the guest's TF");
	put_code(0x3000, "\x02\x00", 2);
	prepare("\x9d", 1, 0x3000, true);
	x86_step_repair(&vcpu, 0x1001);
	tap_ok(!av.guest_tf, "POPF clears it");
	memset(ram + 0x3000, 0, 40);
	put_code(0x3010, "\x02\x01", 2);
	prepare("\x48\xcf", 2, 0x3000, false);
	x86_step_repair(&vcpu, 0x5000);
	tap_ok(av.guest_tf, "IRETQ sets it");
	av.tf_leaked = true;
	prepare("\x48\xcf", 2, 0x3000, false);
	x86_step_repair(&vcpu, 0x5000);
	tap_ok(!av.guest_tf && !av.tf_leaked, "unless it was ours that lay in the frame");
	prepare("\x48\x0f\x07", 3, 0x3000, false);
	av.regs->r11 = TF;
	prepare("\x48\x0f\x07", 3, 0x3000, false);
	x86_step_repair(&vcpu, 0x5000);
	tap_ok(av.guest_tf, "SYSRET takes it from R11");
}

static void test_step_into(void)
{
	struct x86_debug_regs regs = {0};
	uint64_t gate[2] = {0x0000ee0000104444ull, 0}; /* present, DPL 3, 64-bit interrupt gate, offset 0x4444 */
	struct vm_stop stop;
	uint64_t back = 0x7777;
	unsigned dpl = 9;

	fresh();
	long_mode();
	av.sregs->idt.base = 0x6000;
	av.sregs->idt.limit = 0xfff;
	memcpy(ram + 0x6000 + 0x80 * 16, gate, 16);
	put_code(0x1000, "\xcd\x80", 2);
	av.regs->rip = 0x1000;
	av.regs->rsp = 0x3000;
	x86_step_prepare(&vcpu, 0x1000, &regs);
	tap_ok(regs.n == 1 && regs.dr[0] == 0x4444 && av.step.target_dr == 0, "INT n: a register waits at the handler");
	tap_ok(x86_vector_entry(&vcpu, 0x80, &dpl) == 0x4444 && dpl == 3, "whose gate has DPL 3");
	av.regs->rsp = 0x3000 - 40;
	memset(ram + 0x3000 - 40, 0, 40);
	put_code(0x3000 - 24, "\x02\x01", 2);
	x86_step_repair(&vcpu, 0x4444);
	tap_is_u64(half(0x3000 - 24), 2, "our TF is taken out of its frame");
	regs = (struct x86_debug_regs){.n = X86_DR_COUNT};
	x86_step_prepare(&vcpu, 0x1000, &regs);
	tap_ok(av.step.target_dr < 0 && regs.n == X86_DR_COUNT, "no register free: the step goes on past the handler");
	put_code(0x1000, "\xcd\x81", 2);
	regs.n = 0;
	x86_step_prepare(&vcpu, 0x1000, &regs);
	tap_ok(!av.step.target && !regs.n, "a gate that is not present");
	av.sregs->idt.limit = 0x7ff;
	tap_is_u64(x86_vector_entry(&vcpu, 0x80, &dpl), 0, "a gate past the limit");

	put_code(0x1000, "\xf4", 1);
	av.regs->rip = 0x1000;
	regs.n = 0;
	x86_step_prepare(&vcpu, 0x1000, &regs);
	tap_ok(arch_step_alone(&vcpu, &stop) && stop.kind == VM_STOP_STEPPED && stop.pc == 0x1001 && av.regs_dirty,
		"HLT is stepped without KVM");
	tap_ok(!arch_step_alone(&vcpu, &stop), "once");
	av.regs->rip = 0x1000;
	av.sregs->ss.dpl = 3;
	x86_step_prepare(&vcpu, 0x1000, &regs);
	tap_ok(!arch_step_alone(&vcpu, &stop), "HLT at CPL 3 is left to fault");

	fresh();
	long_mode();
	put_code(0x1000, "\x48\xcf", 2);
	memcpy(ram + 0x3000, &back, 8);
	av.regs->rip = 0x1000;
	av.regs->rsp = 0x3000;
	regs.n = 0;
	x86_step_prepare(&vcpu, 0x1000, &regs);
	tap_ok(regs.n == 1 && regs.dr[0] == 0x7777 && !av.step.by_target,
		"IRETQ: a register waits where it returns to");
	x86_given(&vcpu, 13, true);
	tap_ok(av.given.active && av.given.error_code, "an exception given");
	av.regs->rsp += 8;
	regs.n = 0;
	x86_step_prepare(&vcpu, 0x1000, &regs);
	tap_ok(!av.given.active, "is forgotten once the guest has moved");

	fresh();
	gate[0] = 0x12348e0000105678ull;
	av.sregs->idt.base = 0x6000;
	av.sregs->idt.limit = 0x7ff;
	memcpy(ram + 0x6000 + 3 * 8, gate, 8);
	tap_ok(x86_vector_entry(&vcpu, 3, &dpl) == 0x12345678 && dpl == 0, "32-bit gate");
	av.sregs->cr0 = 0;
	av.sregs->idt.base = 0;
	av.sregs->idt.limit = 0x3ff;
	put_code(12, "\x10\x00\x00\xf0", 4);
	tap_is_u64(x86_vector_entry(&vcpu, 3, &dpl), 0xf0010, "real-mode vector");
}

static void test_text(void)
{
	char buf[400];

	fresh();
	av.mp_state = KVM_MP_STATE_UNINITIALIZED;
	arch_vcpu_state_text(&vcpu, buf, sizeof(buf));
	tap_is_str(buf, "waiting for INIT", "a CPU not started");
	av.mp_state = KVM_MP_STATE_HALTED;
	long_mode();
	av.sregs->ss.dpl = 3;
	arch_vcpu_state_text(&vcpu, buf, sizeof(buf));
	tap_is_str(buf, "halted, 64-bit, CPL 3", "a halted one");
	av.regs->rip = 0x1000;
	put_code(0x1000, "\xf0\x48\x0f\xc7\x0f\xc3", 6);
	run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	arch_vcpu_describe(&vcpu, buf, sizeof(buf));
	tap_ok(strstr(buf, "0x1000") && strstr(buf, "f0 48 0f c7 0f c3") && strstr(buf, "suberror 1") &&
			strstr(buf, "-cx16"),
		"an instruction that is not emulated: %s", buf);
	for (size_t n = 0; n < sizeof(buf); n++) {
		char small[400];

		memset(small, 'x', sizeof(small));
		arch_vcpu_describe(&vcpu, small, n);
		if (n < sizeof(small) && small[n] != 'x') {
			tap_ok(false, "a buffer of %zu bytes is respected", n);
			return;
		}
	}
	tap_ok(true, "every buffer size is respected");
}

int main(void)
{
	test_table();
	test_access();
	test_pc();
	test_fpu();
	test_segments();
	test_decode();
	test_step_flags();
	test_step_into();
	test_text();
	own_desc_free(&avm.own);
	return tap_done();
}
