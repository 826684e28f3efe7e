#include "vmm/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "arch/kvm_call.h"
#include "vmm/log.h"

#define MIB	       ((uint64_t)1 << 20)
#define HUGE_PAGE_SIZE (2 * MIB)
/* From this much RAM on, a guest is taken for an operating system that gains from huge pages more than it wastes. */
#define MEM_HUGE_MINIMUM (512 * MIB)
/* Below this, clearing by hand is cheaper than a system call. */
#define MEM_DISCARD_MINIMUM (64 * 1024)

static int memory_check_host(const struct guest_memory *mem)
{
	struct sysinfo info;
	uint64_t total;

	if (sysinfo(&info))
		return 0;
	total = (uint64_t)info.totalram * info.mem_unit;
	if (mem->size <= total)
		return 0;
	log_error("--mem: %" PRIu64 " MiB is more than this host has (%" PRIu64 " MiB)", mem->size / MIB, total / MIB);
	return -ENOMEM;
}

/*
 * Host and guest addresses are congruent modulo a huge page, or KVM could not map one. Nothing is reserved: pages
 * come when the guest touches them. Guest RAM stays out of core dumps.
 */
static int range_map(struct mem_range *r)
{
	size_t size = r->size, room = size + HUGE_PAGE_SIZE, head;
	uint8_t *at;

	if (room < size)
		return -ENOMEM;
	at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	head = (size_t)(r->gpa - (uintptr_t)at) & (HUGE_PAGE_SIZE - 1);
	if (head)
		munmap(at, head);
	if (room - head - size)
		munmap(at + head + size, room - head - size);
	r->host = at + head;
	madvise(r->host, size, MADV_DONTDUMP);
	return 0;
}

static int range_register(const struct mem_range *r, unsigned slot, int vm_fd)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = r->gpa,
		.memory_size = r->size,
		.userspace_addr = (uintptr_t)r->host,
	};

	return kvm_ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

int memory_init(struct guest_memory *mem, int vm_fd)
{
	char why[KVM_EXPLAIN_MAX];
	int err;

	mem->size = 0;
	for (int i = 0; i < mem->n; i++) {
		mem->range[i].host = NULL;
		mem->size += mem->range[i].size;
	}
	err = memory_check_host(mem);
	if (err)
		return err;
	for (int i = 0; i < mem->n; i++) {
		struct mem_range *r = &mem->range[i];

		err = range_map(r);
		if (!err)
			err = range_register(r, (unsigned)i, vm_fd);
		if (err) {
			log_error("--mem: cannot give the guest %" PRIu64 " MiB at 0x%" PRIx64 ": %s", r->size / MIB,
				r->gpa, kvm_explain(err, why, sizeof(why)));
			memory_free(mem);
			return err;
		}
		if (mem->size >= MEM_HUGE_MINIMUM)
			madvise(r->host, r->size, MADV_HUGEPAGE);
	}
	return 0;
}

void memory_free(struct guest_memory *mem)
{
	for (int i = 0; i < mem->n; i++) {
		if (mem->range[i].host)
			munmap(mem->range[i].host, mem->range[i].size);
		mem->range[i].host = NULL;
	}
}

void *memory_span(const struct guest_memory *mem, uint64_t gpa, uint64_t *len)
{
	for (int i = 0; i < mem->n; i++) {
		const struct mem_range *r = &mem->range[i];

		if (gpa < r->gpa || gpa - r->gpa >= r->size || !r->host)
			continue;
		*len = r->size - (gpa - r->gpa);
		return r->host + (gpa - r->gpa);
	}
	return NULL;
}

void *memory_at(const struct guest_memory *mem, uint64_t gpa, uint64_t len)
{
	uint64_t room;
	void *host = memory_span(mem, gpa, &room);

	return host && len <= room ? host : NULL;
}

bool memory_has(const struct guest_memory *mem, uint64_t gpa, uint64_t len)
{
	return memory_at(mem, gpa, len);
}

uint64_t memory_reach(const struct guest_memory *mem, uint64_t gpa, uint64_t max)
{
	uint64_t n = 0, room;

	while (n < max && gpa + n >= gpa && memory_span(mem, gpa + n, &room))
		n += room < max - n ? room : max - n;
	return n;
}

/* Once, whatever the compiler knows of the buffer: a guest may be writing there. */
static void copy_once(void *to, const void *from, size_t n)
{
	/* memory_copy() has one of them from its caller, as the direction is. */
	// cppcheck-suppress ctunullpointer
	memcpy(to, from, n);
	__asm__ volatile("" : : : "memory");
}

static int memory_copy(const struct guest_memory *mem, uint64_t gpa, uint8_t *to, const uint8_t *from, size_t len)
{
	if (memory_reach(mem, gpa, len) != len)
		return -EFAULT;
	while (len) {
		uint64_t room = 0;
		uint8_t *host = memory_span(mem, gpa, &room);
		size_t n = len < room ? len : (size_t)room;

		if (to) {
			copy_once(to, host, n);
			to += n;
		} else {
			copy_once(host, from, n);
			from += n;
		}
		gpa += n;
		len -= n;
	}
	return 0;
}

int memory_read(const struct guest_memory *mem, uint64_t gpa, void *buf, size_t len)
{
	return memory_copy(mem, gpa, buf, NULL, len);
}

int memory_write(struct guest_memory *mem, uint64_t gpa, const void *buf, size_t len)
{
	return memory_copy(mem, gpa, NULL, buf, len);
}

int memory_zero(struct guest_memory *mem, uint64_t gpa, uint64_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uint8_t *host = memory_at(mem, gpa, len);
	uint8_t *first, *last;

	if (!host)
		return -EFAULT;
	first = (uint8_t *)(((uintptr_t)host + page - 1) & ~(page - 1));
	last = (uint8_t *)(((uintptr_t)host + len) & ~(page - 1));
	/* Whole pages are given back instead of written: they read as zero and cost nothing until the guest comes. */
	if (len < MEM_DISCARD_MINIMUM || madvise(first, (size_t)(last - first), MADV_DONTNEED)) {
		memset(host, 0, len);
		return 0;
	}
	memset(host, 0, (size_t)(first - host));
	memset(last, 0, (size_t)(host + len - last));
	return 0;
}

void memory_advise_huge(struct guest_memory *mem, uint64_t gpa, uint64_t len)
{
	uint8_t *host = memory_at(mem, gpa, len);
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	if (host && len >= 2 * HUGE_PAGE_SIZE)
		madvise((uint8_t *)((uintptr_t)host & ~(page - 1)), len, MADV_HUGEPAGE);
}
