/*
 * Guest RAM as KVM's memory slots: one a range, until pages of it are write-protected, which splits them. A write to a
 * page in a read-only slot leaves the guest as KVM_EXIT_MMIO (or, where KVM cannot decode it, as another exit); reads
 * and execution go on at full speed. Source: Linux Documentation/virt/kvm/api.rst, 4.35.
 */
#ifndef VMM_MEMSLOTS_H
#define VMM_MEMSLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory;

struct mem_piece {
	uint64_t gpa;
	uint64_t size;
	bool readonly;
};

/*
 * Pure, any thread: the pieces, by address, into which these pages (of `page` bytes; sorted, none twice) split the
 * ranges of RAM; neighbours of one kind are one piece, pages outside RAM are left out. Fills out[] up to max; returns
 * how many there are.
 */
size_t memslots_split(const struct guest_memory *mem, const uint64_t *pages, size_t n, uint64_t page,
	struct mem_piece *out, size_t max);

struct memslots {
	struct memslot *slot; /* as registered now; NULL: one a range, as memory_init() left them */
	size_t n;
	bool broken; /* since an -EIO */
};

/* What the host's page, hence the unit of protection, is in bytes. Any thread. */
uint64_t memslots_page(void);

/*
 * Write-protect exactly these pages; n == 0: none, and one slot a range again. lifted: split as said, but let writes
 * through. Only what differs from now is registered again, which takes up to some milliseconds. One thread at a time,
 * while no vCPU is in KVM_RUN. 0; -EOPNOTSUPP: this host's KVM has no read-only slots; -ENOSPC: it has too few slots;
 * another -errno: nothing is protected then; -EIO: the guest's RAM is not whole any more, it cannot run on, and every
 * further call fails in the same way.
 */
int memslots_protect(
	struct memslots *s, const struct guest_memory *mem, int vm_fd, const uint64_t *pages, size_t n, bool lifted);
/* As before the first use: for the next machine. */
void memslots_free(struct memslots *s);

#endif
