/* The page-table walker, over tables built by hand in a small array. */
#include "arch/x86_64/mmu.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/desc.h"
#include "tests/unit/tap.h"

#define RAM_SIZE 0x20000
#define NX	 (1ull << 63)

static uint8_t ram[RAM_SIZE];
static unsigned reads;

static int read_phys(void *ctx, uint64_t gpa, unsigned size, uint64_t *value)
{
	(void)ctx;
	reads++;
	if (gpa % size || gpa > RAM_SIZE - size)
		return -EFAULT;
	*value = 0;
	memcpy(value, ram + gpa, size);
	return 0;
}

static void put64(uint64_t gpa, uint64_t v)
{
	memcpy(ram + gpa, &v, 8);
}

static void put32(uint64_t gpa, uint32_t v)
{
	memcpy(ram + gpa, &v, 4);
}

static struct x86_mmu_state long_state(bool la57)
{
	return (struct x86_mmu_state){
		.cr0 = X86_CR0_PE | X86_CR0_PG,
		.cr3 = 0x1000,
		.cr4 = X86_CR4_PAE | (la57 ? X86_CR4_LA57 : 0),
		.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE,
		.phys_bits = 40,
	};
}

static struct mapping out;

static int walk(const struct x86_mmu_state *s, uint64_t va)
{
	memset(&out, 0xa5, sizeof(out));
	return x86_mmu_walk(s, read_phys, NULL, va, &out);
}

static void maps(
	const struct x86_mmu_state *s, uint64_t va, uint64_t gpa, uint64_t len, const char *rights, const char *name)
{
	char got[4] = "---";
	int ret = walk(s, va);

	tap_is_u64((uint64_t)(int64_t)ret, 0, "%s: found", name);
	if (ret)
		return;
	tap_is_u64(out.gpa, gpa, "%s: address", name);
	tap_is_u64(out.len, len, "%s: length", name);
	got[0] = out.writable ? 'w' : '-';
	got[1] = out.user ? 'u' : '-';
	got[2] = out.executable ? 'x' : '-';
	tap_is_str(got, rights, "%s: rights", name);
}

static void fails(const struct x86_mmu_state *s, uint64_t va, int error, const char *name)
{
	tap_is_u64((uint64_t)-walk(s, va), (uint64_t)error, "%s", name);
}

static void test_none(void)
{
	struct x86_mmu_state s = {.cr0 = X86_CR0_PE, .cr3 = ~0ull, .phys_bits = 40};

	tap_ok(x86_mmu_paging(&s) == X86_PAGING_NONE, "paging off");
	maps(&s, 0xfffff, 0xfffff, 0xfff00001, "wux", "paging off: identity");
	maps(&s, 0xffffffff, 0xffffffff, 1, "wux", "paging off: the last byte");
	fails(&s, 0x100000000, EFAULT, "paging off: there is nothing above 4 GiB");
	s.efer = X86_EFER_LME;
	maps(&s, 0x1234, 0x1234, 0xffffedcc, "wux", "LME without paging is still none");
}

static void test_32(void)
{
	struct x86_mmu_state s = {.cr0 = X86_CR0_PG, .cr3 = 0x1018, .cr4 = X86_CR4_PSE, .phys_bits = 36};

	memset(ram, 0, sizeof(ram));
	put32(0x1000 + 4 * 0x300, 0x2000 | 7);			/* va 0xc0000000 */
	put32(0x2000 + 4 * 5, 0xabcde000 | 5);			/* page 5: read-only, user */
	put32(0x2000 + 4 * 6, 0xabcdf000 | 3);			/* page 6: writable, supervisor */
	put32(0x1000 + 4 * 0x301, 0x00c00000 | 0x83);		/* a 4 MiB page */
	put32(0x1000 + 4 * 0x302, 0x00c00000 | 0x1e000 | 0x87); /* with PSE-36 bits 13..16: 0xf00000000 */
	put32(0x1000 + 4 * 0x303, 0x00e00083);			/* bit 21 */
	put32(0x1000 + 4 * 0x304, 0x00c20083);			/* bit 17: past 36 bits */
	put32(0x1000 + 4 * 0x305, 0x00400000 | 7);		/* a table outside RAM */
	put32(0x1000 + 4 * 0x306, 0x3001);			/* supervisor, read-only directory entry */
	put32(0x3000, 0x4007);
	tap_ok(x86_mmu_paging(&s) == X86_PAGING_32, "two levels");
	maps(&s, 0xc0005123, 0xabcde123, 0xedd, "-ux", "4 KiB page");
	maps(&s, 0xc0006fff, 0xabcdffff, 1, "w-x", "last byte of a page");
	maps(&s, 0xc0412345, 0x00c12345, 0x3edcbb, "w-x", "4 MiB page");
	maps(&s, 0xc0800000, 0xf00c00000, 0x400000, "wux", "4 MiB page above 4 GiB (PSE-36)");
	maps(&s, 0xc1800010, 0x4010, 0xff0, "--x", "the directory restricts the page");
	fails(&s, 0xc0c00000, EFAULT, "reserved bit 21 of a 4 MiB page");
	fails(&s, 0xc1000000, EFAULT, "4 MiB page past the physical addresses");
	fails(&s, 0xc1400000, EIO, "table outside RAM");
	fails(&s, 0xc0007000, EFAULT, "page not present");
	fails(&s, 0xc2000000, EFAULT, "directory entry not present");
	fails(&s, 0x1c0005123, EFAULT, "address of more than 32 bits");
	s.phys_bits = 40;
	maps(&s, 0xc1000000, 0x1000c00000, 0x400000, "w-x", "PSE-36 uses 40 bits where there are 40");
	s.cr4 = 0;
	fails(&s, 0xc0412345, EIO, "without PSE the size bit is ignored");
}

static void test_pae(void)
{
	struct x86_mmu_state s = {
		.cr0 = X86_CR0_PG, .cr3 = 0x1020, .cr4 = X86_CR4_PAE, .efer = X86_EFER_NXE, .phys_bits = 36};

	memset(ram, 0, sizeof(ram));
	put64(0x1020 + 8 * 3, 0x2001); /* va 0xc0000000; the table is only 32-byte aligned */
	put64(0x2000, 0x3007);
	put64(0x3000 + 8 * 7, NX | 0xfabcde000 | 3);
	put64(0x2008, 0xe00000 | 0x85); /* 2 MiB */
	put64(0x2010, 0xe02000 | 0x85); /* bit 13 */
	put64(0x2018, (1ull << 36) | 0xe00000 | 0x85);
	put64(0x2020, (1ull << 52) | 0xe00000 | 0x85); /* above 51, reserved in PAE */
	put64(0x1020 + 8 * 2, 0x2003);		       /* W is reserved in a PDPTE */
	tap_ok(x86_mmu_paging(&s) == X86_PAGING_PAE, "PAE");
	maps(&s, 0xc0007010, 0xfabcde010, 0xff0, "w--", "PAE 4 KiB page, NX");
	maps(&s, 0xc0212345, 0xe12345, 0x1edcbb, "-ux", "PAE 2 MiB page");
	fails(&s, 0xc0400000, EFAULT, "PAE 2 MiB page: reserved bit 13");
	fails(&s, 0xc0600000, EFAULT, "PAE: bit past MAXPHYADDR");
	fails(&s, 0xc0800000, EFAULT, "PAE: bit 52");
	fails(&s, 0x80000000, EFAULT, "PAE: reserved bit of a PDPTE");
	fails(&s, 0x40000000, EFAULT, "PAE: PDPTE not present");
	fails(&s, 0x1c0007010, EFAULT, "PAE: more than 32 bits");
	s.efer = 0;
	fails(&s, 0xc0007010, EFAULT, "PAE: NX is reserved without NXE");
}

/* One branch: every level at index 1, `last` written at `level`. */
static uint64_t branch(bool la57, unsigned level, uint64_t last, uint64_t upper_flags)
{
	unsigned top = la57 ? 5 : 4;
	uint64_t table = 0x1000, va = 0;

	memset(ram, 0, sizeof(ram));
	for (unsigned l = top; l >= level; l--, table += 0x1000) {
		put64(table + 8, l == level ? last : (table + 0x1000) | upper_flags);
		va |= 1ull << (12 + 9 * (l - 1));
	}
	return va;
}

static void test_long(bool la57)
{
	static const struct {
		unsigned level;
		uint64_t size;
		const char *name;
	} pages[] = {{1, 1ull << 12, "4 KiB"}, {2, 1ull << 21, "2 MiB"}, {3, 1ull << 30, "1 GiB"}};
	struct x86_mmu_state s = long_state(la57);
	char name[80];
	uint64_t va;

	tap_ok(x86_mmu_paging(&s) == (la57 ? X86_PAGING_5LEVEL : X86_PAGING_4LEVEL), "%d levels", la57 ? 5 : 4);
	for (size_t i = 0; i < 3; i++) {
		uint64_t ps = pages[i].level > 1 ? 0x80 : 0, base = 7ull << 30;

		snprintf(name, sizeof(name), "%d levels, %s", la57 ? 5 : 4, pages[i].name);
		va = branch(la57, pages[i].level, base | ps | 7, 7);
		maps(&s, va, base, pages[i].size, "wux", name);
		maps(&s, va + pages[i].size - 1, base + pages[i].size - 1, 1, "wux", name);
		maps(&s, va + 0xabc, base + 0xabc, pages[i].size - 0xabc, "wux", name);
		branch(la57, pages[i].level, base | ps | 7, 3);
		maps(&s, va, base, pages[i].size, "w-x", name);
		branch(la57, pages[i].level, base | ps | 7, 5);
		maps(&s, va, base, pages[i].size, "-ux", name);
		branch(la57, pages[i].level, base | ps | 7, 7 | NX);
		maps(&s, va, base, pages[i].size, "wu-", name);
		branch(la57, pages[i].level, base | ps | 1 | NX, 7);
		maps(&s, va, base, pages[i].size, "---", name);
		branch(la57, pages[i].level, base | ps | 6, 7);
		fails(&s, va, EFAULT, "not present in the last level");
		branch(la57, pages[i].level, base | ps | 7, 6);
		fails(&s, va, EFAULT, "not present in an upper level");
		branch(la57, pages[i].level, base | ps | 7 | 1ull << 40, 7);
		fails(&s, va, EFAULT, "past MAXPHYADDR");
		branch(la57, pages[i].level, base | ps | 7 | 0x7ffull << 52, 7);
		maps(&s, va, base, pages[i].size, "wux", "bits 52 to 62 are ignored");
		branch(la57, pages[i].level, base | ps | 7 | (ps ? 0x1f78 : 0xff8), 7);
		maps(&s, va, base, pages[i].size, "wux", "PAT, global, dirty and software bits do not matter");
		if (pages[i].level == 1)
			continue;
		branch(la57, pages[i].level, base | ps | 7 | 1ull << 13, 7);
		fails(&s, va, EFAULT, "misaligned large page");
		branch(la57, pages[i].level, base | ps | 7 | pages[i].size >> 1, 7);
		fails(&s, va, EFAULT, "large page off by half");
	}
	va = branch(la57, 1, 0x7000 | 7, 7);
	for (unsigned level = la57 ? 5 : 4, at = 0x1000; level >= 4; level--, at += 0x1000) {
		ram[at + 8] |= 0x80;
		fails(&s, va, EFAULT, level == 5 ? "the size bit is reserved in a PML5 entry" : "and in a PML4 entry");
		ram[at + 8] &= 0x7f;
	}
	maps(&s, va, 0x7000, 0x1000, "wux", "without it the walk arrives");
}

static void test_canonical(void)
{
	static const struct {
		uint64_t va;
		bool ok4, ok5;
	} cases[] = {
		{0x00007fffffffffff, true, true},
		{0x0000800000000000, false, true},
		{0xffff7fffffffffff, false, true},
		{0xffff800000000000, true, true},
		{0x00ffffffffffffff, false, true},
		{0x0100000000000000, false, false},
		{0xfeffffffffffffff, false, false},
		{0xff00000000000000, false, true},
		{0xffffffffffffffff, true, true},
		{0x8000000000000000, false, false},
	};
	struct x86_mmu_state s4 = long_state(false), s5 = long_state(true);

	memset(ram, 0, sizeof(ram));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reads = 0;
		walk(&s4, cases[i].va);
		tap_is_u64(reads, cases[i].ok4, "4 levels: 0x%" PRIx64 " %s walked", cases[i].va,
			cases[i].ok4 ? "is" : "is not");
		reads = 0;
		walk(&s5, cases[i].va);
		tap_is_u64(reads, cases[i].ok5, "5 levels: 0x%" PRIx64 " %s walked", cases[i].va,
			cases[i].ok5 ? "is" : "is not");
	}
}

static void test_edges(void)
{
	struct x86_mmu_state s = long_state(false);
	uint64_t va = branch(false, 1, 0x7000 | 7, 7);

	s.cr3 = 0x1000 | 0xfff;
	maps(&s, va, 0x7000, 0x1000, "wux", "CR3's low bits (PCID) are no address");
	s.cr3 = 0x1000 | 1ull << 63;
	maps(&s, va, 0x7000, 0x1000, "wux", "CR3's high bits are no address");
	s.cr3 = 0x7fff000;
	fails(&s, va, EIO, "the root table is outside RAM");
	s.cr3 = 0x1000;
	s.phys_bits = 0;
	walk(&s, va);
	s.phys_bits = 4000;
	maps(&s, va, 0x7000, 0x1000, "wux", "an absurd MAXPHYADDR does no harm");
	va = branch(false, 3, 0xffffff000 | 7, 7);
	s = long_state(false);
	fails(&s, va, EIO, "a lower table is outside RAM");
	/* the same virtual page through two roots */
	branch(false, 1, 0x9000 | 7, 7);
	put64(0x6000 + 8, 0x2000 | 5);
	va = branch(false, 1, 0x9000 | 7, 7);
	put64(0x6000 + 8, 0x2000 | 5);
	s.cr3 = 0x6000;
	maps(&s, va, 0x9000, 0x1000, "-ux", "CR3 chooses the tables");
	/* a table that maps itself */
	memset(ram, 0, sizeof(ram));
	put64(0x1000 + 8 * 511, 0x1000 | 7);
	s.cr3 = 0x1000;
	maps(&s, 0xffffffffffffffff, 0x1fff, 1, "wux", "the last byte of the address space");
	maps(&s, 0xfffffffffffff000, 0x1000, 0x1000, "wux", "recursive tables");
	s.efer &= ~X86_EFER_NXE;
	put64(0x1000 + 8 * 511, 0x1000 | 7 | NX);
	fails(&s, 0xfffffffffffff000, EFAULT, "NX is reserved without NXE");
}

/* Whatever the tables hold, a walk ends and stays inside them. */
static void test_garbage(void)
{
	struct x86_mmu_state s = {0};
	uint64_t bad = 0;

	srand(1);
	for (int i = 0; i < 20000; i++) {
		if (i % 100 == 0) {
			for (size_t j = 0; j < RAM_SIZE; j++)
				ram[j] = (uint8_t)rand();
			for (size_t j = 0; j < RAM_SIZE; j += 8) { /* entries that lead somewhere */
				uint64_t e;

				memcpy(&e, ram + j, 8);
				put64(j, (e & 0x800000000001f0ff) | 1);
			}
		}
		s.cr0 = rand() % 8 ? X86_CR0_PG : 0;
		s.cr3 = (uint64_t)rand() % RAM_SIZE;
		s.cr4 = (uint64_t)rand();
		s.efer = (uint64_t)rand();
		s.phys_bits = (unsigned)rand() % 70;
		reads = 0;
		if (walk(&s, (uint64_t)rand() << 20 ^ (uint64_t)rand()) == 0 && out.len == 0)
			bad++;
		if (reads > 5)
			bad++;
	}
	tap_is_u64(bad, 0, "20000 walks of garbage end within five reads");
}

int main(void)
{
	test_none();
	test_32();
	test_pae();
	test_long(false);
	test_long(true);
	test_canonical();
	test_edges();
	test_garbage();
	return tap_done();
}
