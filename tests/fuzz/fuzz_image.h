/* What the fuzzers of files to load share: a log, and some RAM. */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include <stdint.h>
#include <sys/mman.h>

#include "tests/fuzz/fuzz_log.h"
#include "vmm/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RAM in one piece at gpa, unless there is some already. */
static void make_ram(struct guest_memory *mem, uint64_t gpa, size_t size)
{
	if (mem->n)
		return;
	mem->n = 1;
	mem->size = mem->range[0].size = size;
	mem->range[0].gpa = gpa;
	mem->range[0].host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem->range[0].host == MAP_FAILED)
		abort();
}

#endif
