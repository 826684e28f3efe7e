/*
 * Guest RAM. The ranges are fixed before the first vCPU starts, so every
 * thread may read the table without a lock. Addresses and lengths come from
 * guests and files: every function checks them, overflow included.
 *
 * A running guest changes its memory while we look. memory_read() copies, so that what is checked is what is used. A
 * pointer into it, by memory_at() or memory_span(), is only for files that say why theirs is safe; tests/house/rooms.py
 * has their names.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem_range {
	uint64_t gpa;
	uint64_t size;
	uint8_t *host; /* NULL in a layout that has no memory yet */
};

#define MEM_RANGES_MAX 4

struct guest_memory {
	struct mem_range range[MEM_RANGES_MAX];
	int n;
	uint64_t size; /* sum of the ranges */
};

/*
 * Maps anonymous memory for the ranges (gpa/size of which the caller set) and registers them as memslots 0..n-1 of
 * vm_fd. 0 or -errno with one line logged; on failure nothing is left mapped.
 */
int memory_init(struct guest_memory *mem, int vm_fd);
void memory_free(struct guest_memory *mem);

/* Is [gpa, gpa + len) RAM in one range? len may be 0. */
bool memory_has(const struct guest_memory *mem, uint64_t gpa, uint64_t len);
/* How many bytes from gpa on are RAM, max at most. */
uint64_t memory_reach(const struct guest_memory *mem, uint64_t gpa, uint64_t max);
/* Host pointer to gpa if [gpa, gpa+len) is RAM in one range, else NULL. len may be 0. */
void *memory_at(const struct guest_memory *mem, uint64_t gpa, uint64_t len);
/* Host pointer to gpa and how many bytes follow it in its range; NULL if gpa is not RAM. */
void *memory_span(const struct guest_memory *mem, uint64_t gpa, uint64_t *len);
/* 0 or -EFAULT (nothing copied). Ranges may touch, and an access may cross from one into the next. */
int memory_read(const struct guest_memory *mem, uint64_t gpa, void *buf, size_t len);
int memory_write(struct guest_memory *mem, uint64_t gpa, const void *buf, size_t len);
/*
 * Main thread, loading. Zero [gpa, gpa + len), which has to lie in one range, or -EFAULT. Whole pages are given back
 * to the host, so the ranges have to be private anonymous memory, as memory_init() makes them.
 */
int memory_zero(struct guest_memory *mem, uint64_t gpa, uint64_t len);
/* Main thread, loading: much of this is about to be written; a hint, of no effect on short or wrong ranges. */
void memory_advise_huge(struct guest_memory *mem, uint64_t gpa, uint64_t len);

#endif
