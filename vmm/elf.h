/*
 * ELF64 files: checked parsing, segments, notes. No KVM; foreign bytes.
 */
#ifndef VMM_ELF_H
#define VMM_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory;

/*
 * A file's bytes, read-only. A regular file is mapped: only the pages that are looked at are read, so a kernel with
 * half a gigabyte of debug information costs nothing. The price: a file that is cut short while it is being loaded
 * ends the process with SIGBUS; it is closed as soon as it has been loaded. Pipes and devices are read whole.
 */
struct image_file {
	const char *path; /* for messages; "built-in guest" for the embedded one */
	const uint8_t *data;
	size_t size;
	bool mapped; /* data is to be unmapped */
};

#define IMAGE_PIPE_MAX (1ULL << 30) /* read at most this much of what has no size of its own */

/*
 * Main thread. 0 or -errno with one line logged (missing, a directory, empty, unreadable); -EINTR, not logged, when a
 * signal came while a pipe was being waited for. path is kept, not copied.
 */
int image_file_open(struct image_file *f, const char *path);
/* The guest that is part of this program. */
void image_file_builtin(struct image_file *f);
void image_file_close(struct image_file *f);

/* Where an image's headers put virtual addresses: used while the guest's own tables do not map them. */
#define IMAGE_LAYOUT_MAX 16
struct image_layout {
	struct {
		uint64_t va, pa, len;
		bool writable, executable;
	} seg[IMAGE_LAYOUT_MAX];
	int n;
};
/* gpa of va and bytes that follow in the same segment; false: no segment has it. Any thread. */
bool image_layout_find(const struct image_layout *l, uint64_t va, uint64_t *gpa, uint64_t *len);

struct elf_segment {
	uint64_t offset, va, pa, filesz, memsz;
	uint32_t flags; /* PF_R | PF_W | PF_X */
};

#define ELF_SEGMENTS_MAX 64

struct elf_image {
	const struct image_file *file;
	uint16_t machine; /* EM_X86_64, EM_AARCH64, ... */
	uint64_t entry;
	bool interp;   /* it names an interpreter: a program of a running system */
	int nsegments; /* PT_LOAD with memsz > 0, in file order */
	struct elf_segment segment[ELF_SEGMENTS_MAX];
	uint64_t notes_off[8], notes_len[8]; /* PT_NOTE, inside the file; more than 8 are ignored */
	uint8_t notes_align[8];		     /* 4 or 8 */
	int nnotes;
};

/* "x86_64", "aarch64", ...; NULL for a machine that has no name here. */
const char *elf_machine_name(uint16_t machine);

/* Is it an ELF64 little-endian file at all? (magic and class only) */
bool elf_is_elf64(const struct image_file *f);
bool elf_is_elf32(const struct image_file *f);

/*
 * Parse and check the headers: counts, offsets inside the file, filesz <= memsz, no address overflow, no two
 * segments that overlap in physical memory, at least one loadable segment. machine: the EM_ wanted.
 * 0 or -ENOEXEC with one line logged that names the file and the fault.
 */
int elf_parse(struct elf_image *elf, const struct image_file *f, uint16_t machine);

/*
 * One program header, checked likewise; for parsers of other headers than ELF64's, which start with a zeroed *elf with
 * its file set. index: for messages. Headers of no interest are skipped.
 */
int elf_add_header(struct elf_image *elf, const Elf64_Phdr *ph, int index);

/*
 * Copy the segments to their physical addresses, zero the rest of each. -ENOEXEC, logged, where RAM does not hold them
 * (then nothing was written).
 */
int elf_load(const struct elf_image *elf, struct guest_memory *mem);

/* Desc of the first note with that name and type; NULL if none. */
const uint8_t *elf_note(const struct elf_image *elf, const char *name, uint32_t type, size_t *len);

/* pa of the entry point, or entry itself if no segment's VA range has it. */
uint64_t elf_entry_pa(const struct elf_image *elf);

/*
 * Segments linked at address 0 but placed elsewhere (Linux's per-CPU template) are left out: nothing ever runs there,
 * and a null pointer shall not be readable. More than IMAGE_LAYOUT_MAX are cut off.
 */
void elf_layout(const struct elf_image *elf, struct image_layout *out);

#endif
