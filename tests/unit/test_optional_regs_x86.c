/*
 * Registers that not every VM has, and those that hold not every value: over made-up CPUID tables and XSAVE images of
 * processors that the host need not have.
 */
#include "arch/arch.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/x86_64/arch_x86.h"
#include "arch/x86_64/cpuid.h"
#include "tests/unit/tap.h"
#include "vmm/kvm.h"

#define CPUID_ENTRIES 16
#define XSAVE_SIZE    2696u

static union {
	struct kvm_cpuid2 c;
	uint8_t room[sizeof(struct kvm_cpuid2) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
} table;
static struct arch_vm avm;
static struct kvm_run run;
static struct arch_vcpu av;
static struct vm vm = {.arch = &avm};
static struct vcpu vcpu = {.vm = &vm, .run = &run, .arch = &av, .fd = -1};

static void add(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	struct kvm_cpuid_entry2 e = {.function = function,
		.index = index,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx};

	memcpy(table.room + sizeof(table.c) + table.c.nent++ * sizeof(e), &e, sizeof(e));
}

#define HAS_XSAVE   (1u << 26) /* leaf 1, ECX */
#define HAS_AVX	    (1u << 28)
#define HAS_RTM	    (1u << 11) /* leaf 7, EBX */
#define HAS_AVX512F (1u << 16)
#define HAS_PKU	    (1u << 3) /* leaf 7, ECX */
#define HAS_BUSLOCK (1u << 24)

/* A processor with the standard layout that Intel's have. */
static void make_cpuid(uint32_t leaf1, uint32_t leaf7b, uint32_t leaf7c, uint32_t components)
{
	memset(&table, 0, sizeof(table));
	add(1, 0, 0, 0, leaf1, 0);
	add(7, 0, 0, leaf7b, leaf7c, 0);
	add(0xd, 0, components, XSAVE_SIZE, XSAVE_SIZE, 0);
	add(0xd, 2, 256, 576, 0, 0);
	add(0xd, 5, 64, 1088, 0, 0);
	add(0xd, 6, 512, 1152, 0, 0);
	add(0xd, 7, 1024, 1664, 0, 0);
	add(0xd, 8, 128, 0, 1, 0); /* a supervisor component is not in the image */
	add(0xd, 9, 8, 2688, 0, 0);
}

#define FULL_CPUID HAS_XSAVE | HAS_AVX, HAS_AVX512F | HAS_RTM, HAS_PKU | HAS_BUSLOCK, 0x3e7

static void choose(size_t image_size)
{
	own_desc_free(&avm.own);
	avm.cpuid = &table.c;
	avm.xsave_size = image_size;
	if (x86_regs_choose(&vm))
		abort();
}

static void fresh(void)
{
	memset(&av, 0, sizeof(av));
	av.regs = &run.s.regs.regs;
	av.sregs = &run.s.regs.sregs;
	make_cpuid(FULL_CPUID);
	choose(sizeof(union x86_fpu));
}

static int find(const char *name)
{
	for (size_t i = 0; i < arch_desc.nregs; i++) {
		if (!strcmp(arch_desc.regs[i].name, name))
			return (int)i;
	}
	abort();
}

static int set(const char *name, uint64_t v)
{
	int reg = find(name);

	return arch_reg_write(&vcpu, (unsigned)reg, &v, arch_desc.regs[reg].size);
}

static unsigned present(void)
{
	const struct reg_feature *f = avm.own.desc.features;
	unsigned bits = 0;

	for (size_t i = 0; i < avm.own.desc.nfeatures; i++) {
		bits |= strstr(f[i].name, "i386.avx512") && !f[i].absent ? 2u : 0;
		bits |= !strcmp(f[i].name, "org.gnu.gdb.i386.avx") && !f[i].absent ? 1u : 0;
		bits |= strstr(f[i].name, "i386.pkeys") && !f[i].absent ? 4u : 0;
	}
	return bits;
}

static void test_presence(void)
{
	uint8_t buf[32] = {0};
	char err[100];

	fresh();
	tap_is_u64(present(), 7, "a processor with everything");
	make_cpuid(0, HAS_AVX512F, HAS_PKU, 0x3e7);
	choose(sizeof(union x86_fpu));
	tap_is_u64(present(), 0, "without XSAVE nothing");
	make_cpuid(HAS_XSAVE | HAS_AVX, 0, 0, 0x3e7);
	choose(sizeof(union x86_fpu));
	tap_is_u64(present(), 1, "AVX alone");
	make_cpuid(HAS_XSAVE | HAS_AVX, HAS_AVX512F, HAS_PKU, 0x67);
	choose(sizeof(union x86_fpu));
	tap_is_u64(present(), 1, "a component is missing in leaf 0DH");
	make_cpuid(FULL_CPUID);
	choose(2688);
	tap_is_u64(present(), 3, "one that is behind the image's end");
	choose(800);
	tap_is_u64(present(), 0, "one that is half in it");
	make_cpuid(FULL_CPUID);
	tap_ok(!x86_cpuid_hide(&table.c, "-avx512f", err, sizeof(err)), "hiding AVX-512");
	choose(sizeof(union x86_fpu));
	tap_is_u64(present(), 5, "what the user hides is not there");
	tap_is_u64((uint64_t)-arch_reg_read(&vcpu, (unsigned)find("k0"), buf, 8), ENOENT, "nor can it be read");
	tap_is_u64((uint64_t)-arch_reg_write(&vcpu, (unsigned)find("zmm1h"), buf, 32), ENOENT, "or written");
	tap_ok(!arch_desc_has(arch_vm_desc(&vm), (uint64_t)find("k0")) &&
			arch_desc_has(&arch_desc, (uint64_t)find("k0")),
		"which its own description says, and not the ISA's");
}

/* Every byte of every component in one register, at the place where the processor keeps it. */
static void test_xsave_places(void)
{
	static const struct {
		const char *name;
		unsigned at, size;
	} places[] = {{"ymm0h", 576, 16}, {"ymm15h", 816, 16}, {"k0", 1088, 8}, {"k7", 1144, 8}, {"zmm0h", 1152, 32},
		{"zmm15h", 1632, 32}, {"xmm16", 1664, 16}, {"ymm16h", 1680, 16}, {"zmm16h", 1696, 32},
		{"xmm31", 2624, 16}, {"ymm31h", 2640, 16}, {"zmm31h", 2656, 32}, {"pkru", 2688, 4}, {"xmm0", 160, 16},
		{"xmm15", 400, 16}};
	unsigned covered = 0, wrong = 0;
	uint8_t buf[32], *image = av.fpu.image;

	fresh();
	for (size_t i = 0; i < sizeof(av.fpu); i++)
		image[i] = (uint8_t)(i * 7 ^ i >> 8);
	av.fpu_valid = true;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		tap_ok(!arch_reg_read(&vcpu, (unsigned)find(places[i].name), buf, places[i].size) &&
				!memcmp(buf, image + places[i].at, places[i].size),
			"%s is at %u", places[i].name, places[i].at);
	for (size_t i = 0; i < arch_desc.nregs; i++) {
		const struct reg_desc *r = &arch_desc.regs[i];

		if (strstr(arch_desc.features[r->feature].name, "i386.avx") ||
			strstr(arch_desc.features[r->feature].name, "i386.pkeys")) {
			covered += r->size;
			wrong += arch_reg_read(&vcpu, (unsigned)i, buf, r->size) != 0;
		}
	}
	tap_is_u64(covered, 256 + 64 + 512 + 1024 + 4, "all of each component is in some register");
	tap_is_u64(wrong, 0, "and can be read");
}

static void test_xsave_state(void)
{
	static const uint8_t zeros[1024];
	uint8_t *image = av.fpu.image;
	struct x86_xsave_layout l;
	uint64_t bv = 0;

	fresh();
	l = avm.xsave;
	memset(image, 0x5a, sizeof(av.fpu));
	memcpy(image + X86_XSAVE_BV, &bv, sizeof(bv));
	x86_xsave_complete(image, &l);
	tap_ok(av.fpu.fx.fcw == 0x37f && !av.fpu.fx.fsw && !av.fpu.fx.ftw && !av.fpu.fx.fip && !av.fpu.fx.fdp,
		"an x87 that is not in use is as FNINIT leaves it");
	tap_is_u64(av.fpu.fx.mxcsr, 0x5a5a5a5a, "MXCSR is always stored");
	tap_ok(!memcmp(image + 32, zeros, 384) && image[416] == 0x5a, "no ST and no XMM");
	tap_ok(!memcmp(image + 576, zeros, 256) && image[832] == 0x5a, "no YMM, and nothing beside it");
	tap_ok(!memcmp(image + 1088, zeros, 64) && !memcmp(image + 1152, zeros, 512) &&
			!memcmp(image + 1664, zeros, 1024),
		"no AVX-512");
	tap_ok(image[2688] == 0x5a && image[2696] == 0x5a, "PKRU is what KVM said");
	memset(image, 0x5a, sizeof(av.fpu));
	bv = 0x2e7;
	memcpy(image + X86_XSAVE_BV, &bv, sizeof(bv));
	x86_xsave_complete(image, &l);
	tap_ok(image[0] == 0x5a && image[160] == 0x5a && image[576] == 0x5a && image[1088] == 0x5a &&
			image[2687] == 0x5a,
		"what is in use stays");
	bv = 1;
	memcpy(image + X86_XSAVE_BV, &bv, sizeof(bv));
	x86_xsave_mark(image, XCOMP_PKRU);
	x86_xsave_mark(image, XCOMP_AVX);
	tap_is_u64(av.fpu.fx.xstate_bv, 0x205, "what is written is marked as in use");
}

static void test_checks(void)
{
	fresh();
	tap_ok(x86_dr_valid(&table.c, 0, ~0ull) && !x86_dr_valid(&table.c, 4, 0),
		"DR0 holds anything; there is no DR4");
	tap_ok(x86_dr_valid(&table.c, 7, 0x400) && x86_dr_valid(&table.c, 7, 0xffff2fff), "DR7");
	tap_ok(!x86_dr_valid(&table.c, 7, 0) && !x86_dr_valid(&table.c, 7, 0x1400) &&
			!x86_dr_valid(&table.c, 7, 0x4400) && !x86_dr_valid(&table.c, 7, 0x100000400),
		"its reserved bits");
	tap_ok(x86_dr_valid(&table.c, 6, 0xffff0ff0) && x86_dr_valid(&table.c, 6, 0xfffee7ff), "DR6");
	tap_ok(!x86_dr_valid(&table.c, 6, 0) && !x86_dr_valid(&table.c, 6, 0xffff1ff0) &&
			!x86_dr_valid(&table.c, 6, 0x1ffff0ff0),
		"its reserved bits");
	make_cpuid(0, 0, 0, 0);
	tap_ok(!x86_dr_valid(&table.c, 7, 0xc00) && !x86_dr_valid(&table.c, 6, 0xfffe0ff0) &&
			!x86_dr_valid(&table.c, 6, 0xffff07f0),
		"bits of what the processor lacks");
	tap_ok(x86_msr_took(0x277, 5, 5) && !x86_msr_took(0x277, 5, 4), "an MSR is what was written");
	tap_ok(x86_msr_took(0x10, 1000, 1000) && x86_msr_took(0x10, 1000, 3000000000) &&
			!x86_msr_took(0x10, 1000, 999) && !x86_msr_took(0x10, 1000, 1ull << 40),
		"the TSC is a little later");
	tap_ok(set("lstar", 0x8000000000000000) == -EINVAL && set("k_gs_base", 0x800000000000) == -EINVAL,
		"an MSR that holds an address is canonical");
	tap_ok(set("dr7", 0) == -EINVAL, "a debug register is checked");
	tap_ok(set("efer", 0x400) == -EINVAL, "LMA is the processor's own");
}

int main(void)
{
	test_presence();
	test_xsave_places();
	test_xsave_state();
	test_checks();
	own_desc_free(&avm.own);
	return tap_done();
}
