/* What x86's walker says about addresses that are not mapped: how far that goes on. */
#include "arch/x86_64/mmu.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/mapped_list.h"

#define RAM_SIZE 0x20000

static uint8_t ram[RAM_SIZE];

static int read_phys(void *ctx, uint64_t gpa, unsigned size, uint64_t *value)
{
	(void)ctx;
	*value = 0;
	if (gpa > RAM_SIZE - size)
		return -EFAULT;
	memcpy(value, ram + gpa, size);
	return 0;
}

static void put64(uint64_t gpa, uint64_t v)
{
	memcpy(ram + gpa, &v, 8);
}

static int walk_at(void *ctx, uint64_t va, struct mapping *m)
{
	return x86_mmu_walk(ctx, read_phys, NULL, va, m);
}

static struct x86_mmu_state state(uint64_t cr4, uint64_t efer)
{
	return (struct x86_mmu_state){
		.cr0 = X86_CR0_PE | X86_CR0_PG, .cr3 = 0x1000, .cr4 = cr4, .efer = efer, .phys_bits = 40};
}

#define LIST(s, most, name, ...)                                                                                       \
	do {                                                                                                           \
		static const struct mapped wanted[] = {__VA_ARGS__};                                                   \
		tap_ok(mapped_list(walk_at, &(s)), "%s: the list ends", name);                                         \
		mapped_is(wanted, sizeof(wanted) / sizeof(wanted[0]), most, name);                                     \
	} while (0)

static void test_off_and_32(void)
{
	struct x86_mmu_state s = {.cr0 = X86_CR0_PE, .phys_bits = 40};

	LIST(s, 2, "no paging", {0, 0, 1ull << 32});
	s = state(X86_CR4_PSE, 0);
	memset(ram, 0, sizeof(ram));
	put64(0x1000 + 4 * 0x300, 0x2007);
	put64(0x1000 + 4 * 0x3fe, 0x00c00083);
	put64(0x1000 + 4 * 0x302, 0x7f000007); /* a table outside RAM */
	put64(0x2000 + 4 * 5, 0x9000 | 7);
	LIST(s, 1024 + 2 * 1024 + 1, "32-bit", {0xc0005000, 0x9000, 0x1000}, {0xff800000, 0xc00000, 1 << 22});
}

static void test_pae(void)
{
	struct x86_mmu_state s = state(X86_CR4_PAE, 0);

	memset(ram, 0, sizeof(ram));
	put64(0x1000 + 8 * 3, 0x2001);
	put64(0x2000 + 8 * 511, 0x3007);
	put64(0x2000 + 8 * 3, 0xe00085);
	put64(0x3000 + 8 * 511, 0x9007);
	LIST(s, 3 + 511 + 512 + 1, "PAE", {0xc0600000, 0xe00000, 1 << 21}, {0xfffff000, 0x9000, 0x1000});
}

static void test_long(void)
{
	struct x86_mmu_state s = state(X86_CR4_PAE, X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE);

	memset(ram, 0, sizeof(ram));
	LIST(s, 513, "4 levels, nothing");
	put64(0x1000, 0x2007);
	put64(0x1000 + 8 * 256, 0x2007);
	put64(0x1000 + 8 * 511, 0x3007);
	put64(0x2000 + 8 * 1, 0x40000087);
	put64(0x3000 + 8 * 511, 0x4007);
	put64(0x4000 + 8 * 511, 0x5007);
	put64(0x5000 + 8 * 511, 0x7007);
	LIST(s, 509 + 1 + 2 * 512 + 3 * 512, "4 levels, both halves", {1ull << 30, 1ull << 30, 1ull << 30},
		{0xffff800040000000, 1ull << 30, 1ull << 30}, {0xfffffffffffff000, 0x7000, 0x1000});
	s.cr3 = 0x7fff000;
	LIST(s, 513, "4 levels, no tables in RAM");
	s = state(X86_CR4_PAE | X86_CR4_LA57, X86_EFER_LME | X86_EFER_LMA);
	memset(ram, 0, sizeof(ram));
	put64(0x1000 + 8 * 256, 0x2007);
	put64(0x2000, 0x3007);
	put64(0x3000 + 8 * 2, 0x80000087);
	LIST(s, 511 + 1 + 511 + 512, "5 levels", {0xff00000080000000, 1ull << 31, 1ull << 30});
}

/* Random tables: nothing is mapped anywhere in what is said to be a hole. */
static void test_garbage(void)
{
	uint64_t empty = 0, wrong = 0, holes = 0;
	struct x86_mmu_state s = {0};
	struct mapping m, inside;

	srand(2);
	for (int i = 0; i < 40000; i++) {
		uint64_t va = ((uint64_t)rand() << 33 ^ (uint64_t)rand() << 12) >> rand() % 40;

		for (int j = 0; i % 50 == 0 && j < RAM_SIZE; j += 8)
			put64((uint64_t)j, rand() % 3 ? 0 : ((uint64_t)rand() % 32 << 12) | (rand() & 0x87));
		s.cr0 = X86_CR0_PG;
		s.cr3 = (uint64_t)rand() % 32 << 12;
		s.cr4 = (uint64_t)rand() & (X86_CR4_PAE | X86_CR4_PSE | X86_CR4_LA57);
		s.efer = rand() % 4 ? X86_EFER_LMA | X86_EFER_NXE : 0;
		s.phys_bits = 40;
		va |= rand() % 2 ? 0 : ~0ull << (rand() % 2 ? 47 : 56);
		if (walk_at(&s, va, &m) == 0)
			continue;
		holes++;
		empty += !m.len;
		for (int k = 0; m.len && k < 8; k++) {
			uint64_t off = k == 0 ? m.len - 1 : ((uint64_t)rand() << 32 ^ (uint64_t)rand()) % m.len;

			wrong += walk_at(&s, va + off, &inside) == 0;
		}
	}
	tap_ok(holes > 1000, "%u holes", (unsigned)holes);
	tap_is_u64(empty, 0, "each has a length");
	tap_is_u64(wrong, 0, "nothing is mapped in any of them");
}

int main(void)
{
	test_off_and_32();
	test_pae();
	test_long();
	test_garbage();
	return tap_done();
}
