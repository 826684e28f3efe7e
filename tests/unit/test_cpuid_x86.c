/* The guest's CPUID: hiding features, topology. Tables are made up, as Intel and AMD hosts give them. */
#include "arch/x86_64/cpuid.h"

#include <stdlib.h>

#include "tests/unit/tap.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static struct kvm_cpuid2 *table;

static void add(uint32_t function, uint32_t index, bool indexed, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	table->entries[table->nent++] = (struct kvm_cpuid_entry2){.function = function,
		.index = index,
		.flags = indexed ? INDEXED : 0,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx};
}

static void host(bool intel)
{
	table->nent = 0;
	if (intel)
		add(0, 0, false, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69);
	else
		add(0, 0, false, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
	add(1, 0, false, 0xa20f10, 0x07400800, 0x7ffaf3ff, 0xbfebfbff);
	if (intel) {
		add(4, 0, true, 0x1c004121, 0x01c0003f, 0x3f, 0);   /* L1D, shared by 2 */
		add(4, 1, true, 0x1c03c163, 0x03c0003f, 0x3fff, 6); /* L3, shared by 16 */
		add(4, 2, true, 0, 0, 0, 0);
	}
	add(6, 0, false, 4, 0, 0, 0);
	add(7, 0, true, 1, 0xffffffff, 0xffffffff, 0xffffffff);
	add(7, 1, true, 0xffffffff, 0, 0, 0);
	add(0xb, 0, true, 1, 2, 0x100, 0x42);
	add(0xb, 1, true, 7, 64, 0x201, 0x42);
	add(0xd, 0, true, 0x602e7, 576, 0x2b00, 0);
	add(0xd, 1, true, 0xf, 0, 0x1800, 0);
	add(0xd, 2, true, 256, 576, 0, 0);
	add(0xd, 5, true, 64, 1088, 0, 0);
	add(0xd, 6, true, 512, 1152, 0, 0);
	add(0xd, 7, true, 1024, 1664, 0, 0);
	add(0xd, 9, true, 8, 2688, 0, 0);
	add(0xd, 17, true, 64, 2752, 2, 0);
	add(0xd, 18, true, 8192, 2816, 6, 0);
	if (intel)
		add(0x1f, 0, true, 1, 2, 0x100, 0x42);
	add(0x40000000, 0, false, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
	add(0x40000001, 0, false, 0x01007efb, 0, 0, 0);
	add(0x80000001, 0, false, 0xa20f10, 0, 0x75c237ff, 0x2fd3fbff);
	add(0x80000008, 0, false, 0x3030, 0xffffffff, 0x707f, 0);
	if (!intel) {
		add(0x8000001d, 0, true, 0x4121, 0x01c0003f, 0x3f, 0);
		add(0x8000001d, 3, true, 0x3c163, 0x03c0003f, 0x3fff, 6);
		add(0x8000001e, 0, false, 0x42, 0x121, 0x201, 0);
		add(0x80000026, 0, true, 1, 2, 0x100, 0x42);
	}
}

static uint32_t reg(uint32_t function, uint32_t index, enum x86_cpuid_reg r)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(table, function, index);

	if (!e)
		return 0xdeadbeef;
	return r == X86_EAX ? e->eax : r == X86_EBX ? e->ebx : r == X86_ECX ? e->ecx : e->edx;
}

static bool bit(uint32_t function, enum x86_cpuid_reg r, unsigned n)
{
	return reg(function, 0, r) >> n & 1;
}

static char err[256];

static int hide(const char *list)
{
	err[0] = '\0';
	return x86_cpuid_hide(table, list, err, sizeof(err));
}

static void test_hide(void)
{
	host(true);
	tap_is_u64((uint64_t)hide("-cx16"), 0, "-cx16 is taken");
	tap_ok(!bit(1, X86_ECX, 13), "cx16 is gone");
	tap_is_u64(reg(1, 0, X86_ECX), 0x7ffaf3ff & ~(1u << 13), "and nothing else of its register");
	tap_is_u64(reg(0xd, 0, X86_EAX), 0x602e7 & ~0u, "xstate is untouched");
	tap_is_u64((uint64_t)hide(""), 0, "an empty list is nothing");
	tap_is_u64((uint64_t)hide("-rdrand,-smap,"), 0, "a trailing comma is forgiven");
	tap_ok(!bit(1, X86_ECX, 30) && !bit(7, X86_EBX, 20), "both of a list");
	host(false);
	hide("-mmx");
	tap_ok(!bit(1, X86_EDX, 23) && !bit(0x80000001, X86_EDX, 23), "AMD's copy of a bit goes too");
	hide("-kvmclock");
	tap_is_u64(reg(0x40000001, 0, X86_EAX) & 0x01000009, 0, "all three bits of kvmclock");
}

static void test_dependents(void)
{
	host(true);
	hide("-xsave");
	tap_ok(!bit(1, X86_ECX, 26), "xsave");
	tap_ok(!bit(1, X86_ECX, 28), "takes avx");
	tap_ok(!bit(1, X86_ECX, 12) && !bit(1, X86_ECX, 29), "fma and f16c");
	tap_ok(!bit(7, X86_EBX, 5) && !bit(7, X86_EBX, 16) && !bit(7, X86_EBX, 31), "avx2 and avx512");
	tap_ok(!bit(7, X86_ECX, 3), "pku");
	tap_ok(!bit(7, X86_EDX, 24) && !bit(7, X86_EDX, 22), "amx");
	tap_is_u64(reg(0xd, 1, X86_EAX), 0, "xsaveopt, xsavec, xsaves");
	tap_is_u64(reg(0xd, 0, X86_EAX) | reg(0xd, 0, X86_EBX) | reg(0xd, 0, X86_ECX), 0, "leaf 0xd is empty");
	tap_is_u64(reg(0xd, 2, X86_EAX) | reg(0xd, 18, X86_EAX), 0, "and its components");
	tap_ok(bit(1, X86_EDX, 26) && bit(1, X86_ECX, 20), "SSE stays");

	host(true);
	hide("-avx512f");
	tap_is_u64(reg(0xd, 0, X86_EAX), 0x60207, "-avx512f takes its three components of xstate");
	tap_is_u64(reg(0xd, 0, X86_ECX), 2816 + 8192, "the area's size follows the last component");
	tap_ok(bit(7, X86_EBX, 5), "avx2 stays");
	host(true);
	hide("-amx_tile,-pku,-avx512f");
	tap_is_u64(reg(0xd, 0, X86_EAX), 7, "x87, SSE and AVX remain");
	tap_is_u64(reg(0xd, 0, X86_ECX), 832, "in 832 bytes");
	host(true);
	hide("-pni");
	tap_ok(!bit(1, X86_ECX, 0) && !bit(0x80000001, X86_ECX, 6), "pni is sse3: sse4a goes too");
	host(true);
	hide("-sse");
	tap_ok(!bit(1, X86_EDX, 25) && !bit(1, X86_EDX, 26) && !bit(1, X86_ECX, 19) && !bit(1, X86_ECX, 25),
		"-sse takes sse2, sse4_1, aes");
}

static void refused(const char *list, const char *part)
{
	host(true);
	tap_ok(hide(list) < 0 && strstr(err, part), "%s: \"%s\"", list, err);
}

static void test_bad_names(void)
{
	refused("-cx61", "near it: cx8, cx16");
	refused("-xsav", "xsave");
	refused("-AVX2", "AVX2");
	refused("-avx512", "avx512f");
	refused("-nonsense", "/proc/cpuinfo");
	refused("cx16", "-NAME");
	refused("+cx16", "-NAME");
	refused("-", "-NAME");
	refused(",", "-NAME");
	refused("-cx16,,-avx", "-NAME");
	refused("-cx16,avx", "'avx'");
	refused("-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"a",
		"-NAME");
	refused("-%s%n%s%n", "%s%n");
}

/* Every need is the name of a row, and following needs comes to an end. */
static void test_names(void)
{
	unsigned missing = 0, deep = 0, dup = 0;

	for (size_t i = 0; i < x86_nfeatures; i++) {
		const char *need = x86_features[i].needs;
		unsigned steps = 0;

		while (need && steps++ < 20) {
			size_t j = 0;

			while (j < x86_nfeatures && strcmp(x86_features[j].name, need))
				j++;
			if (j == x86_nfeatures) {
				tap_diag("%s needs %s", x86_features[i].name, need);
				missing++;
				break;
			}
			need = x86_features[j].needs;
		}
		deep += steps >= 20;
		for (size_t j = 0; j < i; j++)
			dup += !memcmp(&x86_features[i].function, &x86_features[j].function, 8) &&
			       x86_features[i].reg == x86_features[j].reg &&
			       x86_features[i].bit == x86_features[j].bit &&
			       !strcmp(x86_features[i].name, x86_features[j].name);
	}
	tap_is_u64(missing, 0, "every need is a known name");
	tap_is_u64(deep, 0, "no circle of needs");
	tap_is_u64(dup, 0, "no row twice");
}

static void test_intel(void)
{
	host(true);
	x86_cpuid_prepare(table, 3, true);
	tap_ok(bit(1, X86_ECX, 31) && bit(1, X86_ECX, 24), "hypervisor and TSC deadline bits");
	tap_is_u64(reg(1, 0, X86_EBX) >> 16 & 0xff, 4, "three CPUs: room for four ids");
	tap_ok(bit(1, X86_EDX, 28), "HTT");
	tap_is_u64(reg(4, 0, X86_EAX) >> 26, 3, "leaf 4: four core ids");
	tap_is_u64(reg(4, 0, X86_EAX) >> 14 & 0xfff, 0, "L1 is a core's own");
	tap_is_u64(reg(4, 1, X86_EAX) >> 14 & 0xfff, 3, "L3 is everybody's");
	tap_is_u64(reg(4, 0, X86_EAX) & 0x3fff, 0x0121, "the cache itself is as it was");
	tap_is_u64(reg(4, 2, X86_EAX), 0, "the end of leaf 4 stays empty");
	for (uint32_t leaf = 0xb; leaf; leaf = leaf == 0xb ? 0x1f : 0) {
		tap_is_u64(reg(leaf, 0, X86_EAX), 0, "leaf 0x%x: no thread bits", leaf);
		tap_is_u64(reg(leaf, 0, X86_EBX), 1, "leaf 0x%x: one thread a core", leaf);
		tap_is_u64(reg(leaf, 0, X86_ECX), 0x100, "leaf 0x%x: SMT level", leaf);
		tap_is_u64(reg(leaf, 1, X86_EAX), 2, "leaf 0x%x: two core bits", leaf);
		tap_is_u64(reg(leaf, 1, X86_EBX), 3, "leaf 0x%x: three CPUs", leaf);
		tap_is_u64(reg(leaf, 1, X86_ECX), 0x201, "leaf 0x%x: core level", leaf);
		tap_is_u64(reg(leaf, 2, X86_EBX), 0, "leaf 0x%x: ends", leaf);
	}
	x86_cpuid_set_apic_id(table, 2);
	tap_is_u64(reg(1, 0, X86_EBX) >> 24, 2, "APIC id in leaf 1");
	tap_ok(reg(0xb, 0, X86_EDX) == 2 && reg(0xb, 1, X86_EDX) == 2 && reg(0xb, 2, X86_EDX) == 2,
		"and in each level of 0xb");
	tap_is_u64(reg(0x1f, 1, X86_EDX), 2, "and of 0x1f");
	x86_cpuid_set_apic_id(table, 1);
	tap_is_u64(reg(1, 0, X86_EBX) >> 24, 1, "the next vCPU's replaces it");
	tap_is_u64(reg(0x80000008, 0, X86_ECX), 0x707f, "AMD's leaf is left alone");
	host(true);
	x86_cpuid_prepare(table, 1, false);
	tap_ok(!bit(1, X86_EDX, 28), "one CPU: no HTT");
	tap_is_u64(reg(1, 0, X86_EBX) >> 16 & 0xff, 1, "one CPU: one id");
	tap_is_u64(reg(0xb, 1, X86_EAX), 0, "one CPU: no core bits");
	tap_is_u64(bit(1, X86_ECX, 24), 0x7ffaf3ff >> 24 & 1, "TSC deadline as the host says");
}

static void test_amd(void)
{
	host(false);
	x86_cpuid_prepare(table, 64, true);
	tap_is_u64(reg(1, 0, X86_EBX) >> 16 & 0xff, 64, "64 CPUs in leaf 1");
	tap_is_u64(reg(0x80000008, 0, X86_ECX) & 0xff, 63, "NC");
	tap_is_u64(reg(0x80000008, 0, X86_ECX) >> 12 & 0xf, 6, "ApicIdSize");
	tap_is_u64(reg(0x80000008, 0, X86_EAX), 0x3030, "address sizes are as they were");
	tap_ok(bit(0x80000001, X86_ECX, 1), "CmpLegacy");
	tap_is_u64(reg(0x8000001d, 0, X86_EAX) >> 14 & 0xfff, 0, "L1 is a core's own");
	tap_is_u64(reg(0x8000001d, 3, X86_EAX) >> 14 & 0xfff, 63, "L3 is everybody's");
	tap_ok(!x86_cpuid_find(table, 0x80000026, 0), "the host's extended topology is gone");
	tap_ok(!x86_cpuid_find(table, 0x1f, 0), "no leaf 0x1f where the host has none");
	x86_cpuid_set_apic_id(table, 63);
	tap_is_u64(reg(0x8000001e, 0, X86_EAX), 63, "extended APIC id");
	tap_is_u64(reg(0x8000001e, 0, X86_EBX), 63, "core id, one thread a core");
	tap_is_u64(reg(0x8000001e, 0, X86_ECX), 0, "one node");
	tap_is_u64(x86_cpuid_phys_bits(table), 48, "MAXPHYADDR");
	host(false);
	x86_cpuid_prepare(table, 1, true);
	tap_ok(!bit(0x80000001, X86_ECX, 1) && (reg(0x80000008, 0, X86_ECX) & 0xf0ff) == 0, "one CPU");
	table->nent = 0;
	x86_cpuid_prepare(table, 2, true);
	x86_cpuid_set_apic_id(table, 1);
	tap_is_u64(table->nent, 0, "an empty table stays empty");
	tap_is_u64(x86_cpuid_phys_bits(table), 36, "MAXPHYADDR where the leaf is missing");
}

int main(void)
{
	table = calloc(1, sizeof(*table) + X86_CPUID_MAX * sizeof(table->entries[0]));
	if (!table)
		return 1;
	test_hide();
	test_dependents();
	test_bad_names();
	test_names();
	test_intel();
	test_amd();
	free(table);
	return tap_done();
}
