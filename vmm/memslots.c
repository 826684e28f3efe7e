#include "vmm/memslots.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <unistd.h>

#include "arch/kvm_call.h"
#include "vmm/memory.h"

/* What KVM's documentation says to assume where it does not answer. */
#define SLOTS_ASSUMED 32

struct memslot {
	struct mem_piece piece;
	uint8_t *host;
	unsigned id;
	bool kept; /* between an old and a new table: in both */
};

uint64_t memslots_page(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- splitting ---- */

struct split {
	struct mem_piece *out;
	size_t n, max;
};

static void split_add(struct split *s, uint64_t gpa, uint64_t end, bool readonly)
{
	if (gpa == end)
		return;
	if (s->n < s->max)
		s->out[s->n] = (struct mem_piece){.gpa = gpa, .size = end - gpa, .readonly = readonly};
	s->n++;
}

size_t memslots_split(const struct guest_memory *mem, const uint64_t *pages, size_t n, uint64_t page,
	struct mem_piece *out, size_t max)
{
	struct split s = {.out = out, .max = max};

	for (int i = 0; i < mem->n; i++) {
		uint64_t at = mem->range[i].gpa, end = at + mem->range[i].size;
		size_t p = 0;

		while (p < n && pages[p] < at)
			p++;
		while (p < n && pages[p] < end) {
			uint64_t first = pages[p], behind = first;

			for (; p < n && pages[p] == behind && behind < end; p++)
				behind += page;
			split_add(&s, at, first, false);
			split_add(&s, first, behind, true);
			at = behind;
		}
		split_add(&s, at, end, false);
	}
	return s.n;
}

/* ---- registering ---- */

static int set_slot(int vm_fd, const struct memslot *slot, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot->id,
		.flags = slot->piece.readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = slot->piece.gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)slot->host,
	};

	return kvm_ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

static struct memslot plain_slot(const struct guest_memory *mem, int i)
{
	const struct mem_range *r = &mem->range[i];

	return (struct memslot){.piece = {.gpa = r->gpa, .size = r->size}, .host = r->host, .id = (unsigned)i};
}

/* The first use: the table of what memory_init() registered. */
static int table_init(struct memslots *s, const struct guest_memory *mem)
{
	if (s->slot)
		return 0;
	s->slot = calloc((size_t)mem->n, sizeof(*s->slot));
	if (!s->slot)
		return -ENOMEM;
	for (int i = 0; i < mem->n; i++)
		s->slot[i] = plain_slot(mem, i);
	s->n = (size_t)mem->n;
	return 0;
}

static int check_caps(int vm_fd, size_t need, size_t ranges)
{
	int max;

	if (need == ranges)
		return 0;
	if (kvm_ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0)
		return -EOPNOTSUPP;
	max = kvm_ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	return need <= (size_t)(max > 0 ? max : SLOTS_ASSUMED) ? 0 : -ENOSPC;
}

/* The new table, without numbers. */
static int table_make(
	const struct guest_memory *mem, int vm_fd, const uint64_t *pages, size_t n, bool lifted, struct memslots *out)
{
	size_t need = memslots_split(mem, pages, n, memslots_page(), NULL, 0);
	int ret = check_caps(vm_fd, need, (size_t)mem->n);
	struct mem_piece *piece;
	uint64_t room;

	if (ret < 0)
		return ret;
	/* There is no machine without RAM: need > 0. */
	// NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI)
	piece = calloc(need, sizeof(*piece));
	out->slot = calloc(need, sizeof(*out->slot));
	if (!piece || !out->slot) {
		free(piece);
		free(out->slot);
		return -ENOMEM;
	}
	out->n = memslots_split(mem, pages, n, memslots_page(), piece, need);
	for (size_t i = 0; i < out->n; i++) {
		out->slot[i].piece = piece[i];
		out->slot[i].piece.readonly = piece[i].readonly && !lifted;
		out->slot[i].host = memory_span(mem, piece[i].gpa, &room);
	}
	free(piece);
	return 0;
}

static bool same_slot(const struct memslot *a, const struct memslot *b)
{
	return a->piece.gpa == b->piece.gpa && a->piece.size == b->piece.size && a->piece.readonly == b->piece.readonly;
}

/* Both are sorted. What is in both keeps its number, the others of the new get free ones. */
static int table_number(struct memslots *old, struct memslots *new)
{
	size_t room = new->n, id = 0;
	bool *used;

	for (size_t i = 0; i < old->n; i++) {
		if (old->slot[i].id >= room)
			room = old->slot[i].id + 1;
	}
	room += new->n;
	/* Nor here. */
	// NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI)
	used = calloc(room, sizeof(*used));
	if (!used)
		return -ENOMEM;
	for (size_t i = 0, j = 0; i < old->n && j < new->n;) {
		struct memslot *a = &old->slot[i], *b = &new->slot[j];

		if (same_slot(a, b)) {
			a->kept = b->kept = true;
			b->id = a->id;
			used[b->id] = true;
		}
		i += a->piece.gpa <= b->piece.gpa;
		j += b->piece.gpa <= a->piece.gpa;
	}
	for (size_t j = 0; j < new->n; j++) {
		if (new->slot[j].kept)
			continue;
		while (used[id])
			id++;
		new->slot[j].id = (unsigned)id++;
	}
	free(used);
	return 0;
}

/* After a failure in the middle: nothing protected, as at the beginning. */
static int start_over(struct memslots *old, struct memslots *new, const struct guest_memory *mem, int vm_fd)
{
	for (size_t i = 0; i < old->n; i++)
		(void)set_slot(vm_fd, &old->slot[i], 0);
	for (size_t i = 0; i < new->n; i++)
		(void)set_slot(vm_fd, &new->slot[i], 0);
	for (int i = 0; i < mem->n; i++) {
		struct memslot slot = plain_slot(mem, i);

		if (set_slot(vm_fd, &slot, slot.piece.size) < 0)
			return -EIO;
	}
	memslots_free(old);
	return 0;
}

static int table_change(struct memslots *old, struct memslots *new, int vm_fd)
{
	int ret = 0;

	for (size_t i = 0; i < old->n && ret == 0; i++) {
		if (!old->slot[i].kept)
			ret = set_slot(vm_fd, &old->slot[i], 0);
	}
	for (size_t i = 0; i < new->n &&ret == 0; i++) {
		if (!new->slot[i].kept)
			ret = set_slot(vm_fd, &new->slot[i], new->slot[i].piece.size);
		new->slot[i].kept = false;
	}
	return ret;
}

int memslots_protect(
	struct memslots *s, const struct guest_memory *mem, int vm_fd, const uint64_t *pages, size_t n, bool lifted)
{
	struct memslots new = {0};
	int ret;

	if (s->broken)
		return -EIO;
	if (!s->slot && n == 0)
		return 0;
	ret = table_init(s, mem);
	if (ret == 0)
		ret = table_make(mem, vm_fd, pages, n, lifted, &new);
	if (ret < 0)
		return ret;
	ret = table_number(s, &new);
	if (ret < 0) {
		memslots_free(&new);
		return ret;
	}
	ret = table_change(s, &new, vm_fd);
	if (ret < 0) {
		s->broken = start_over(s, &new, mem, vm_fd) < 0;
		memslots_free(&new);
		return s->broken ? -EIO : ret;
	}
	free(s->slot);
	*s = new;
	return 0;
}

void memslots_free(struct memslots *s)
{
	free(s->slot);
	*s = (struct memslots){0};
}
