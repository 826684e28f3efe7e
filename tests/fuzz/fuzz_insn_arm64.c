/* The guest's instructions, whatever they are: the first is decoded, all of them are the code that follows it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/insn.h"
#include "arch/arm64/store.h"

#define PC    0xffff800008010000ull
#define READS (4 * ARM64_EXCLUSIVE_MAX * ARM64_EXCLUSIVE_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *code;
static size_t code_len;
static unsigned reads;

static int read_insn(void *ctx, uint64_t addr, uint32_t *insn)
{
	(void)ctx;
	if (addr % sizeof(*insn) || ++reads > READS)
		abort();
	if (addr < PC || addr - PC >= code_len)
		return -EFAULT;
	memcpy(insn, code + (addr - PC), sizeof(*insn));
	return 0;
}

static void check_store(uint32_t insn)
{
	struct arm64_store s;

	if (!arm64_store_decode(insn, &s))
		return;
	if (s.size > 64 || s.base > 31 || (s.indexed && (s.index > 31 || s.shift > 4)))
		abort();
	arm64_store_address(&s, PC, ~0ull);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t leave[ARM64_EXCLUSIVE_MAX];
	struct arm64_decoded d;
	uint32_t insn;
	int n;

	code = data;
	code_len = size / sizeof(insn) * sizeof(insn);
	reads = 0;
	if (read_insn(NULL, PC, &insn))
		return 0;
	d = arm64_decode(insn, PC);
	if (d.insn > ARM64_BRANCH_OTHER || d.rt > 31 || (d.insn == ARM64_BRK && d.imm > 0xffff))
		abort();
	if (d.insn == ARM64_BRANCH && d.target % sizeof(insn))
		abort();
	check_store(insn);
	arm64_is_patch_site(insn);
	for (int max = 1; max <= ARM64_EXCLUSIVE_MAX; max *= 4) {
		n = arm64_exclusive_leave(read_insn, NULL, PC, leave, max);
		if (n < 0 || n > max)
			abort();
		/* Where it is left is no place of it, and each is told once. */
		for (int i = 0; i < n; i++) {
			if (leave[i] % sizeof(insn) || leave[i] == PC)
				abort();
			for (int k = 0; k < i; k++)
				if (leave[k] == leave[i])
					abort();
		}
	}
	return 0;
}
