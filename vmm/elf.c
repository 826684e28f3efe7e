#include "vmm/elf.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/broker.h"
#include "vmm/log.h"
#include "vmm/memory.h"

extern const uint8_t demo_elf_start[], demo_elf_end[]; /* guests/demo_blob.S */

/* ---- files ---- */

static int image_file_map(struct image_file *f, int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	f->data = at;
	f->size = size;
	f->mapped = true;
	return 0;
}

/* Reads into a mapping that doubles, so that closing is the same as for a regular file. */
static int image_file_read(struct image_file *f, int fd)
{
	size_t cap = 1 << 20, len = 0;
	uint8_t *buf = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err = 0;

	if (buf == MAP_FAILED)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, buf + len, cap - len);
		void *grown;

		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len < cap)
			continue;
		grown = cap < IMAGE_PIPE_MAX ? mremap(buf, cap, 2 * cap, MREMAP_MAYMOVE) : MAP_FAILED;
		if (grown == MAP_FAILED) {
			err = cap < IMAGE_PIPE_MAX ? -ENOMEM : -EFBIG;
			break;
		}
		buf = grown;
		cap *= 2;
	}
	if (err || !len) {
		munmap(buf, cap);
		return err ? err : -ENODATA;
	}
	f->data = mremap(buf, cap, len, 0);
	f->size = len;
	f->mapped = true;
	return 0;
}

int image_file_open(struct image_file *f, const char *path)
{
	struct stat st;
	int fd, err = 0;

	memset(f, 0, sizeof(*f));
	f->path = path;
	fd = broker_open(path);
	if (fd < 0)
		err = fd;
	else if (fstat(fd, &st))
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		err = image_file_read(f, fd);
	else if (!st.st_size)
		err = -ENODATA;
	else
		err = image_file_map(f, fd, (size_t)st.st_size);
	if (fd >= 0)
		close(fd);
	if (err == -ENODATA)
		log_error("%s: file is empty", path);
	else if (err && err != -EINTR)
		log_error("%s: %s", path, strerror(-err));
	return err;
}

void image_file_builtin(struct image_file *f)
{
	f->path = "built-in guest";
	f->data = demo_elf_start;
	f->size = (uintptr_t)demo_elf_end - (uintptr_t)demo_elf_start; /* two symbols, not two ends of one array */
	f->mapped = false;
}

void image_file_close(struct image_file *f)
{
	if (f->mapped)
		munmap((void *)(uintptr_t)f->data, f->size);
	f->data = NULL;
	f->size = 0;
	f->mapped = false;
}

/* ---- headers ---- */

__attribute__((format(printf, 2, 3))) static int elf_bad(const struct image_file *f, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s: %s", f->path, text);
	return -ENOEXEC;
}

static bool elf_has_ident(const struct image_file *f, uint8_t class)
{
	return f->size >= EI_NIDENT && !memcmp(f->data, ELFMAG, SELFMAG) && f->data[EI_CLASS] == class &&
	       f->data[EI_DATA] == ELFDATA2LSB;
}

bool elf_is_elf64(const struct image_file *f)
{
	return elf_has_ident(f, ELFCLASS64);
}

bool elf_is_elf32(const struct image_file *f)
{
	return elf_has_ident(f, ELFCLASS32);
}

/* [off, off + len) lies inside the file. */
static bool file_holds(const struct image_file *f, uint64_t off, uint64_t len)
{
	return off <= f->size && len <= f->size - off;
}

const char *elf_machine_name(uint16_t machine)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} names[] = {
		{EM_X86_64, "x86_64"}, {EM_386, "i386"}, {EM_AARCH64, "aarch64"}, {EM_ARM, "32-bit arm"},
		{EM_RISCV, "riscv"}, {EM_PPC64, "ppc64"}, {EM_PPC, "ppc"}, {EM_S390, "s390"}, {EM_MIPS, "mips"},
		{EM_SPARCV9, "sparc64"}, {258, "loongarch"}, /* EM_LOONGARCH, absent from older elf.h */
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].machine == machine)
			return names[i].name;
	return NULL;
}

static int elf_check_machine(const struct image_file *f, uint16_t got, uint16_t want)
{
	const char *name = elf_machine_name(got), *ours = elf_machine_name(want);
	bool vowel = name && strchr("aeio", name[0]);

	if (got == want)
		return 0;
	if (!name)
		return elf_bad(f, "is an image for ELF machine %u, this build runs %s", got, ours ? ours : "another");
	return elf_bad(f, "is %s %s image, this build runs %s", vowel ? "an" : "a", name, ours ? ours : "another");
}

static int elf_check_ident(const struct image_file *f)
{
	if (f->size < SELFMAG || memcmp(f->data, ELFMAG, SELFMAG))
		return elf_bad(f, "not an ELF file");
	if (f->size < sizeof(Elf64_Ehdr))
		return elf_bad(f, "truncated: %zu bytes are less than an ELF header", f->size);
	if (f->data[EI_CLASS] == ELFCLASS32)
		return elf_bad(f, "is a 32-bit ELF file, a 64-bit one is needed here");
	if (f->data[EI_CLASS] != ELFCLASS64)
		return elf_bad(f, "ELF class %u is neither 32-bit nor 64-bit", f->data[EI_CLASS]);
	if (f->data[EI_DATA] != ELFDATA2LSB)
		return elf_bad(f, "is not little-endian");
	if (f->data[EI_VERSION] != EV_CURRENT)
		return elf_bad(f, "ELF version %u is unknown", f->data[EI_VERSION]);
	return 0;
}

static int elf_check_header(const struct image_file *f, const Elf64_Ehdr *eh, uint16_t machine)
{
	int err = elf_check_machine(f, eh->e_machine, machine);

	if (err)
		return err;
	if (eh->e_type == ET_REL)
		return elf_bad(f, "is an object file, not a linked program");
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return elf_bad(f, "is no program (ELF type %u)", eh->e_type);
	if (!eh->e_phnum)
		return elf_bad(f, "has no program headers");
	if (eh->e_phnum == PN_XNUM)
		return elf_bad(f, "claims more than 65534 program headers");
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return elf_bad(f, "program headers of %u bytes, %zu expected", eh->e_phentsize, sizeof(Elf64_Phdr));
	if (!file_holds(f, eh->e_phoff, (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr)))
		return elf_bad(f, "truncated: %u program headers at 0x%" PRIx64 " are outside of the file (%zu bytes)",
			eh->e_phnum, (uint64_t)eh->e_phoff, f->size);
	return 0;
}

static bool spans_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b ? b - a < alen : a - b < blen;
}

static int elf_add_segment(struct elf_image *elf, const Elf64_Phdr *ph, int index)
{
	const struct image_file *f = elf->file;
	struct elf_segment *seg;

	if (ph->p_filesz > ph->p_memsz)
		return elf_bad(f, "segment %d: %" PRIu64 " bytes in the file are more than %" PRIu64 " in memory",
			index, (uint64_t)ph->p_filesz, (uint64_t)ph->p_memsz);
	if (!ph->p_memsz)
		return 0;
	/* Linkers give a segment without bytes any offset. */
	if (ph->p_filesz && !file_holds(f, ph->p_offset, ph->p_filesz))
		return elf_bad(f,
			"truncated: segment %d (0x%" PRIx64 " bytes at offset 0x%" PRIx64
			") is outside of the file (%zu bytes)",
			index, (uint64_t)ph->p_filesz, (uint64_t)ph->p_offset, f->size);
	if (ph->p_paddr + ph->p_memsz < ph->p_paddr || ph->p_vaddr + (ph->p_memsz - 1) < ph->p_vaddr)
		return elf_bad(f,
			"segment %d: 0x%" PRIx64 " bytes at physical 0x%" PRIx64 ", virtual 0x%" PRIx64
			" go beyond the last address",
			index, (uint64_t)ph->p_memsz, (uint64_t)ph->p_paddr, (uint64_t)ph->p_vaddr);
	if (elf->nsegments == ELF_SEGMENTS_MAX)
		return elf_bad(f, "more than %d loadable segments", ELF_SEGMENTS_MAX);
	for (int i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *other = &elf->segment[i];

		if (spans_overlap(ph->p_paddr, ph->p_memsz, other->pa, other->memsz))
			return elf_bad(f, "segment %d at physical 0x%" PRIx64 " overlaps the one at 0x%" PRIx64, index,
				(uint64_t)ph->p_paddr, other->pa);
	}
	seg = &elf->segment[elf->nsegments++];
	*seg = (struct elf_segment){
		.offset = ph->p_offset,
		.va = ph->p_vaddr,
		.pa = ph->p_paddr,
		.filesz = ph->p_filesz,
		.memsz = ph->p_memsz,
		.flags = ph->p_flags,
	};
	return 0;
}

static int elf_add_notes(struct elf_image *elf, const Elf64_Phdr *ph, int index)
{
	int i = elf->nnotes;

	if (!file_holds(elf->file, ph->p_offset, ph->p_filesz))
		return elf_bad(elf->file, "truncated: notes (segment %d) are outside of the file", index);
	if (i == (int)(sizeof(elf->notes_off) / sizeof(elf->notes_off[0])))
		return 0;
	elf->notes_off[i] = ph->p_offset;
	elf->notes_len[i] = ph->p_filesz;
	elf->notes_align[i] = ph->p_align == 8 ? 8 : 4;
	elf->nnotes++;
	return 0;
}

int elf_add_header(struct elf_image *elf, const Elf64_Phdr *ph, int index)
{
	if (ph->p_type == PT_LOAD)
		return elf_add_segment(elf, ph, index);
	if (ph->p_type == PT_NOTE)
		return elf_add_notes(elf, ph, index);
	if (ph->p_type == PT_INTERP)
		elf->interp = true;
	return 0;
}

int elf_parse(struct elf_image *elf, const struct image_file *f, uint16_t machine)
{
	Elf64_Ehdr eh;
	int err;

	memset(elf, 0, sizeof(*elf));
	elf->file = f;
	err = elf_check_ident(f);
	if (err)
		return err;
	memcpy(&eh, f->data, sizeof(eh));
	err = elf_check_header(f, &eh, machine);
	if (err)
		return err;
	elf->machine = eh.e_machine;
	elf->entry = eh.e_entry;
	for (int i = 0; i < eh.e_phnum && !err; i++) {
		Elf64_Phdr ph;

		memcpy(&ph, f->data + eh.e_phoff + (uint64_t)i * sizeof(ph), sizeof(ph));
		err = elf_add_header(elf, &ph, i);
	}
	if (!err && !elf->nsegments)
		err = elf_bad(f, "nothing to load: no PT_LOAD segment that takes memory");
	return err;
}

/* ---- what is in it ---- */

int elf_load(const struct elf_image *elf, struct guest_memory *mem)
{
	for (int i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *seg = &elf->segment[i];

		if (!memory_has(mem, seg->pa, seg->memsz))
			return elf_bad(elf->file,
				"needs memory at 0x%" PRIx64 "-0x%" PRIx64 ", where %" PRIu64
				" MiB of guest RAM do not reach (--mem)",
				seg->pa, seg->pa + seg->memsz - 1, mem->size >> 20);
	}
	for (int i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *seg = &elf->segment[i];

		memory_advise_huge(mem, seg->pa, seg->filesz);
		if (seg->filesz)
			memory_write(mem, seg->pa, elf->file->data + seg->offset, seg->filesz);
		memory_zero(mem, seg->pa + seg->filesz, seg->memsz - seg->filesz);
	}
	return 0;
}

/* One note header at `at`, all of it before `end`; returns where the next one starts, or NULL. */
static const uint8_t *note_next(const uint8_t *at, const uint8_t *end, uint64_t align, Elf64_Nhdr *nh,
	const uint8_t **name, const uint8_t **desc)
{
	uint64_t room = (uint64_t)(end - at), name_len, desc_off, desc_end;

	if (room < sizeof(*nh))
		return NULL;
	memcpy(nh, at, sizeof(*nh));
	name_len = nh->n_namesz;
	desc_off = (sizeof(*nh) + name_len + align - 1) & ~(align - 1);
	desc_end = desc_off + nh->n_descsz;
	if (sizeof(*nh) + name_len > room || desc_end > room)
		return NULL;
	*name = at + sizeof(*nh);
	*desc = at + desc_off;
	desc_end = (desc_end + align - 1) & ~(align - 1);
	return desc_end < room ? at + desc_end : end;
}

const uint8_t *elf_note(const struct elf_image *elf, const char *name, uint32_t type, size_t *len)
{
	size_t want = strlen(name) + 1;

	for (int i = 0; i < elf->nnotes; i++) {
		const uint8_t *at = elf->file->data + elf->notes_off[i];
		const uint8_t *end = at + elf->notes_len[i];

		while (at) {
			const uint8_t *note_name = NULL, *desc = NULL;
			Elf64_Nhdr nh;

			at = note_next(at, end, elf->notes_align[i], &nh, &note_name, &desc);
			if (!at || nh.n_type != type || nh.n_namesz != want || memcmp(note_name, name, want))
				continue;
			*len = nh.n_descsz;
			return desc;
		}
	}
	return NULL;
}

uint64_t elf_entry_pa(const struct elf_image *elf)
{
	for (int i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *seg = &elf->segment[i];

		if (elf->entry >= seg->va && elf->entry - seg->va < seg->memsz)
			return seg->pa + (elf->entry - seg->va);
	}
	return elf->entry;
}

void elf_layout(const struct elf_image *elf, struct image_layout *out)
{
	out->n = 0;
	for (int i = 0; i < elf->nsegments && out->n < IMAGE_LAYOUT_MAX; i++) {
		const struct elf_segment *seg = &elf->segment[i];

		if (!seg->va && seg->pa)
			continue;
		out->seg[out->n].va = seg->va;
		out->seg[out->n].pa = seg->pa;
		out->seg[out->n].len = seg->memsz;
		out->seg[out->n].writable = seg->flags & PF_W;
		out->seg[out->n].executable = seg->flags & PF_X;
		out->n++;
	}
}

bool image_layout_find(const struct image_layout *l, uint64_t va, uint64_t *gpa, uint64_t *len)
{
	for (int i = 0; i < l->n; i++) {
		uint64_t off = va - l->seg[i].va;

		if (va < l->seg[i].va || off >= l->seg[i].len)
			continue;
		*gpa = l->seg[i].pa + off;
		*len = l->seg[i].len - off;
		return true;
	}
	return false;
}
