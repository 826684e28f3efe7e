/*
 * What KVM says of an access in the page that it shares with us (struct kvm_run; Linux Documentation/virt/kvm/api.rst,
 * section 5): checked before it is used as a size or an offset. The guest has no way to that page, and while we are
 * out of KVM_RUN nobody writes it, so what was checked stays so. The vCPU's own thread.
 */
#ifndef VMM_RUN_PAGE_H
#define VMM_RUN_PAGE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_ACCESS_MAX 8 /* bytes */

/* KVM_EXIT_IO: the data of all `count` accesses; NULL: it is not all in the run_size bytes at run, or has no sense. */
uint8_t *run_io_data(struct kvm_run *run, size_t run_size);
/* KVM_EXIT_MMIO: the length is one that data has. */
bool run_mmio_valid(const struct kvm_run *run);

#endif
