/*
 * The guest's RAM as a core wants it: which of its pages were ever touched, what of them is not zero, and Linux's
 * VMCOREINFO among them. Main thread, the guest stands still. No KVM.
 */
#ifndef VMM_CORE_RAM_H
#define VMM_CORE_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory;

/* Which pages the host has given: the rest reads as zero, and would only come into being by being read. */
struct core_ram {
	int fd; /* of the host's page map; -1: all have to be taken for touched */
	uint64_t page;
	uintptr_t at; /* of the first page that bits[] has */
	size_t n;
	uint64_t bits[2048];
};

void core_ram_open(struct core_ram *r);
void core_ram_close(struct core_ram *r);

/*
 * The next bytes at or after *host, before end, that are in touched pages: *host is where they begin, the result how
 * many they are, about max at most; 0: there are none. *host is on a page.
 */
size_t core_ram_next(struct core_ram *r, const uint8_t **host, const uint8_t *end, size_t max);

/* Is all of it zero? n is a multiple of 64, p aligned likewise. */
bool core_ram_zero(const uint8_t *p, size_t n);

/*
 * The text of the note VMCOREINFO that a Linux kernel keeps in its memory for crash dumps, as it wrote it: a pointer
 * into mem and its length; NULL: none found.
 */
const uint8_t *core_ram_vmcoreinfo(struct core_ram *r, const struct guest_memory *mem, size_t *len);

#endif
