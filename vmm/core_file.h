/*
 * An ELF core's bytes: headers, notes, RAM. Main thread, the guest stands still. No KVM.
 *
 * The RAM is in the file once, as one piece for each range of it; what is zero is a hole. Program headers, in this
 * order, which tools for crash dumps rely on:
 *
 *   PT_NOTE   the notes; their bytes come before any memory's
 *   PT_LOAD   one for each range of RAM, by its physical address. Debuggers, which look for virtual ones, find it at
 *             CORE_PHYSICAL + that address: in no guest's address space, so that nothing is shown there that the guest
 *             itself would not find
 *   PT_LOAD   one for each piece of the virtual address space, ascending: the same bytes again
 */
#ifndef VMM_CORE_FILE_H
#define VMM_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory;
struct core_map;
struct core_notes;
struct core_ram;

/*
 * Bit 52: x86_64's tables of four levels and all of arm64's leave it out, and arm64's debuggers believe no higher ones
 * (tags).
 */
#define CORE_PHYSICAL (1ull << 52)

struct core_content {
	uint16_t machine; /* e_machine */
	const struct guest_memory *mem;
	const struct core_map *map;
	const struct core_notes *notes;
	struct core_ram *ram;
};

/*
 * Into an empty regular file. The first page, with what makes it an ELF file, comes last: a file that was left half
 * written is no core. *written: bytes of memory that went there. 0 or -errno, not logged.
 */
int core_file_write(int fd, const struct core_content *c, uint64_t *written);

/* Does it begin like one of ours, or any other core? At least EI_NIDENT + 2 bytes. */
bool core_file_is(const uint8_t *head, size_t len);

#endif
