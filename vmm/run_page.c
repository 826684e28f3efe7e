#include "vmm/run_page.h"

uint8_t *run_io_data(struct kvm_run *run, size_t run_size)
{
	uint64_t at = run->io.data_offset, len = (uint64_t)run->io.size * run->io.count;

	if (!len || run->io.size > RUN_ACCESS_MAX || at > run_size || len > run_size - at)
		return NULL;
	return (uint8_t *)run + at;
}

bool run_mmio_valid(const struct kvm_run *run)
{
	return run->mmio.len && run->mmio.len <= sizeof(run->mmio.data);
}
