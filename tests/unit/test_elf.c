/* Kernel images: what is taken, what is refused and with which words, and where the bytes end up. */
#include "vmm/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/capture.h"
#include "tests/unit/elf_image.h"
#include "tests/unit/tap.h"
#include "vmm/memory.h"

#define RAM_SIZE   (4u << 20)
#define PHNUM	   3
#define DATA_MEMSZ 0x41010u /* ends within a page, and is worth discarding whole pages for */

/* A well-formed image, to be spoiled by each test: code, data with bss, one note. */
struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[PHNUM];
	struct {
		Elf64_Nhdr nh;
		char name[4];
		uint32_t desc;
	} note[2];
	uint8_t code[64];
	uint8_t data[32];
};

static struct capture cap;

static void image_init(struct image *im)
{
	memset(im, 0, sizeof(*im));
	im->eh = elf_image_header(PHNUM);
	im->eh.e_entry = 0xffffffff80100010;
	im->ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = offsetof(struct image, code),
		.p_vaddr = 0xffffffff80100000,
		.p_paddr = 0x100000,
		.p_filesz = 64,
		.p_memsz = 64};
	im->ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W,
		.p_offset = offsetof(struct image, data),
		.p_vaddr = 0xffffffff80101000,
		.p_paddr = 0x101000,
		.p_filesz = 32,
		.p_memsz = DATA_MEMSZ};
	im->ph[2] = (Elf64_Phdr){.p_type = PT_NOTE,
		.p_offset = offsetof(struct image, note),
		.p_filesz = sizeof(im->note),
		.p_align = 4};
	im->note[0].nh = (Elf64_Nhdr){.n_namesz = 4, .n_descsz = 4, .n_type = 6};
	memcpy(im->note[0].name, "Xen", 4);
	im->note[0].desc = 0x11111111;
	im->note[1].nh = (Elf64_Nhdr){.n_namesz = 4, .n_descsz = 4, .n_type = 18};
	memcpy(im->note[1].name, "Xen", 4);
	im->note[1].desc = 0x1000000;
	memset(im->code, 0x90, sizeof(im->code));
	memset(im->data, 0xda, sizeof(im->data));
}

static struct image_file file_of(const struct image *im, size_t size)
{
	return elf_image_file("k.elf", im, size);
}

static int parse_size(const struct image *im, size_t size, const char **said)
{
	struct image_file f = file_of(im, size);
	struct elf_image elf;
	int ret;

	capture_start(&cap, STDERR_FILENO);
	ret = elf_parse(&elf, &f, EM_X86_64);
	*said = capture_end(&cap);
	elf_image_free(&f);
	return ret;
}

static bool is_one_line(const char *s)
{
	const char *nl = strchr(s, '\n');

	return nl && !nl[1];
}

/* Refused, in one line that names the file and holds these words. */
static void refused(const struct image *im, size_t size, const char *words, const char *name)
{
	const char *said;
	int ret = parse_size(im, size, &said);

	if (!tap_ok(ret == -ENOEXEC && is_one_line(said) && !strncmp(said, "minivmm: k.elf: ", 16) &&
			    strstr(said, words),
		    "refused: %s", name))
		tap_diag("returned %d, said: %s", ret, said);
}

static void test_good(void)
{
	struct image_layout layout;
	struct elf_image elf;
	struct image_file f;
	struct image im;
	size_t len = 0;
	uint64_t gpa, room;
	const uint8_t *desc;

	image_init(&im);
	f = file_of(&im, sizeof(im));
	tap_is_u64((uint64_t)elf_parse(&elf, &f, EM_X86_64), 0, "a good image is taken");
	tap_is_u64((uint64_t)elf.nsegments, 2, "two segments to load");
	tap_is_u64(elf_entry_pa(&elf), 0x100010, "entry point's physical address");
	desc = elf_note(&elf, "Xen", 18, &len);
	tap_ok(desc && len == 4 && !memcmp(desc, "\0\0\0\1", 4), "the second note is found");
	tap_ok(!elf_note(&elf, "Xen", 7, &len), "a note type that is not there");
	tap_ok(!elf_note(&elf, "Xe", 18, &len), "a note name that is only a prefix");
	elf_layout(&elf, &layout);
	tap_ok(image_layout_find(&layout, 0xffffffff80101010, &gpa, &room) && gpa == 0x101010 &&
			room == DATA_MEMSZ - 0x10,
		"layout finds a virtual address");
	tap_ok(!image_layout_find(&layout, 0xffffffff80100040, &gpa, &room), "layout: one past a segment");
	tap_ok(!image_layout_find(&layout, 0xffffffff800fffff, &gpa, &room), "layout: one before a segment");
	elf.entry = 0xffffffff80101000 + DATA_MEMSZ;
	tap_is_u64(elf_entry_pa(&elf), elf.entry, "an entry just past a segment stays as it is");
	elf.entry = 0x1234;
	tap_is_u64(elf_entry_pa(&elf), 0x1234, "an entry in no segment stays as it is");
	tap_ok(elf_is_elf64(&f) && !elf_is_elf32(&f), "it is an ELF64 file");
	elf_image_free(&f);
}

static void test_percpu_layout(void)
{
	struct image_layout layout;
	struct elf_image elf;
	struct image_file f;
	struct image im;
	uint64_t gpa, room;

	image_init(&im);
	im.ph[1].p_vaddr = 0;
	f = file_of(&im, sizeof(im));
	tap_is_u64((uint64_t)elf_parse(&elf, &f, EM_X86_64), 0, "a segment linked at 0 is taken");
	elf_layout(&elf, &layout);
	tap_ok(!image_layout_find(&layout, 8, &gpa, &room), "and a null pointer still leads nowhere");
	elf_image_free(&f);
}

static void test_bad_ident(void)
{
	struct image im;

	image_init(&im);
	refused(&im, 3, "not an ELF file", "three bytes");
	refused(&im, 20, "truncated", "less than an ELF header");
	im.eh.e_ident[0] = 'E';
	refused(&im, sizeof(im), "not an ELF file", "wrong magic");
	image_init(&im);
	im.eh.e_ident[EI_CLASS] = ELFCLASS32;
	refused(&im, sizeof(im), "32-bit", "ELF32");
	im.eh.e_ident[EI_CLASS] = 9;
	refused(&im, sizeof(im), "ELF class 9", "unknown class");
	image_init(&im);
	im.eh.e_ident[EI_DATA] = ELFDATA2MSB;
	refused(&im, sizeof(im), "little-endian", "big-endian");
	image_init(&im);
	im.eh.e_ident[EI_VERSION] = 7;
	refused(&im, sizeof(im), "ELF version 7", "unknown version");
}

static void test_bad_header(void)
{
	struct image im;

	image_init(&im);
	im.eh.e_machine = EM_AARCH64;
	refused(&im, sizeof(im), "is an aarch64 image, this build runs x86_64", "another ISA");
	im.eh.e_machine = 4711;
	refused(&im, sizeof(im), "ELF machine 4711", "an ISA without a name");
	image_init(&im);
	im.eh.e_type = ET_REL;
	refused(&im, sizeof(im), "object file", "an object file");
	im.eh.e_type = ET_CORE;
	refused(&im, sizeof(im), "no program", "a core dump");
	image_init(&im);
	im.eh.e_phnum = 0;
	refused(&im, sizeof(im), "no program headers", "no program headers");
	im.eh.e_phnum = 0xffff;
	refused(&im, sizeof(im), "65534", "escaped header count");
	im.eh.e_phnum = 0xfffe;
	refused(&im, sizeof(im), "outside of the file", "huge header count");
	image_init(&im);
	im.eh.e_phentsize = 32;
	refused(&im, sizeof(im), "32 bytes, 56 expected", "odd header size");
	image_init(&im);
	im.eh.e_phoff = UINT64_MAX - 8;
	refused(&im, sizeof(im), "outside of the file", "header offset that wraps");
	image_init(&im);
	refused(&im, offsetof(struct image, ph[2]) + 8, "truncated", "cut within the program headers");
}

static void test_bad_segments(void)
{
	struct image im;

	image_init(&im);
	refused(&im, sizeof(im) - 1, "truncated: segment 1", "cut within a segment");
	im.ph[0].p_offset = UINT64_MAX - 3;
	refused(&im, sizeof(im), "segment 0", "segment offset that wraps");
	image_init(&im);
	im.ph[0].p_filesz = 65;
	refused(&im, sizeof(im), "more than 64 in memory", "filesz > memsz");
	image_init(&im);
	im.ph[1].p_paddr = UINT64_MAX - 0x1000;
	refused(&im, sizeof(im), "beyond the last address", "physical address that wraps");
	image_init(&im);
	im.ph[1].p_vaddr = UINT64_MAX - 0x1000;
	refused(&im, sizeof(im), "beyond the last address", "virtual address that wraps");
	image_init(&im);
	im.ph[1].p_memsz = UINT64_MAX;
	refused(&im, sizeof(im), "beyond the last address", "memsz of 2^64 - 1");
	image_init(&im);
	im.ph[1].p_paddr = 0x10003f;
	refused(&im, sizeof(im), "overlaps", "overlap by one byte, above");
	im.ph[1].p_paddr = 0x100040 - DATA_MEMSZ;
	refused(&im, sizeof(im), "overlaps", "overlap from below");
	image_init(&im);
	im.ph[0].p_type = im.ph[1].p_type = PT_NULL;
	refused(&im, sizeof(im), "nothing to load", "no segment");
	image_init(&im);
	im.ph[0].p_filesz = im.ph[0].p_memsz = im.ph[1].p_filesz = im.ph[1].p_memsz = 0;
	refused(&im, sizeof(im), "nothing to load", "only empty segments");
	image_init(&im);
	im.ph[2].p_filesz = UINT64_MAX;
	refused(&im, sizeof(im), "notes", "notes outside of the file");
}

static void test_edges_taken(void)
{
	const char *said;
	struct image im;

	image_init(&im);
	im.ph[1].p_paddr = 0x100040;
	tap_is_u64((uint64_t)parse_size(&im, sizeof(im), &said), 0, "segments that touch are taken");
	im.ph[1].p_paddr = 0x100000 - DATA_MEMSZ;
	tap_is_u64((uint64_t)parse_size(&im, sizeof(im), &said), 0, "and from below");
	image_init(&im);
	im.ph[1].p_vaddr = UINT64_MAX - DATA_MEMSZ + 1;
	tap_is_u64((uint64_t)parse_size(&im, sizeof(im), &said), 0, "a segment that ends at the last address is taken");
	image_init(&im);
	im.eh.e_type = ET_DYN;
	tap_is_u64((uint64_t)parse_size(&im, sizeof(im), &said), 0, "ET_DYN is taken");
}

/* Lengths in notes are hostile; ASan watches. */
static void test_bad_notes(void)
{
	static const uint32_t lengths[] = {0, 1, 3, 4, 5, 12, 20, 21, 0x7fffffff, 0xfffffff0, 0xffffffff};
	size_t n = sizeof(lengths) / sizeof(lengths[0]), len, found = 0, outside = 0;

	for (size_t i = 0; i < n * n * 2; i++) {
		struct elf_image elf;
		struct image_file f;
		struct image im;

		image_init(&im);
		im.ph[2].p_align = i & 1 ? 8 : 4;
		im.note[0].nh.n_namesz = lengths[i / 2 % n];
		im.note[0].nh.n_descsz = lengths[i / 2 / n];
		/* The notes come last, so that a read beyond them leaves the heap block. */
		im.ph[0].p_filesz = im.ph[1].p_filesz = 0;
		f = file_of(&im, offsetof(struct image, code));
		for (uint32_t type = 6; !elf_parse(&elf, &f, EM_X86_64) && type <= 18; type += 12) {
			const uint8_t *desc = elf_note(&elf, "Xen", type, &len);

			found += desc && type == 18;
			outside += desc && len > (size_t)(f.data + f.size - desc);
		}
		elf_image_free(&f);
	}
	tap_is_u64(outside, 0, "no note reaches beyond the file");
	tap_ok(found > 0 && found < n * n * 2, "absurd note lengths are survived (%zu led to the next note)", found);
}

static struct guest_memory ram_new(void)
{
	struct guest_memory mem = {.n = 1, .size = RAM_SIZE};

	mem.range[0].size = RAM_SIZE;
	mem.range[0].host = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(mem.range[0].host, 0xee, RAM_SIZE);
	return mem;
}

static bool all_bytes(const uint8_t *p, uint8_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

static void test_load(void)
{
	struct guest_memory mem = ram_new();
	const uint8_t *ram = mem.range[0].host;
	struct elf_image elf;
	struct image_file f;
	struct image im;
	const char *said;
	int ret;

	image_init(&im);
	f = file_of(&im, sizeof(im));
	elf_parse(&elf, &f, EM_X86_64);
	tap_is_u64((uint64_t)elf_load(&elf, &mem), 0, "loads");
	tap_ok(all_bytes(ram + 0x100000, 0x90, 64), "code is in place");
	tap_ok(all_bytes(ram + 0x100040, 0xee, 0x1000 - 64), "nothing written between segments");
	tap_ok(all_bytes(ram + 0x101000, 0xda, 32), "data is in place");
	tap_ok(all_bytes(ram + 0x101020, 0, DATA_MEMSZ - 32), "the rest of the segment is zero");
	tap_ok(all_bytes(ram + 0x101000 + DATA_MEMSZ, 0xee, RAM_SIZE - 0x101000 - DATA_MEMSZ),
		"nothing written beyond the segment");

	memset(mem.range[0].host, 0xee, RAM_SIZE);
	elf.segment[1].pa = RAM_SIZE - DATA_MEMSZ + 1;
	capture_start(&cap, STDERR_FILENO);
	ret = elf_load(&elf, &mem);
	said = capture_end(&cap);
	tap_ok(ret == -ENOEXEC && is_one_line(said) && strstr(said, "k.elf") && strstr(said, "--mem"),
		"one byte too much for the RAM is refused in words");
	tap_ok(all_bytes(ram, 0xee, RAM_SIZE), "and then nothing was written");
	elf.segment[1].pa = RAM_SIZE - DATA_MEMSZ;
	tap_is_u64((uint64_t)elf_load(&elf, &mem), 0, "the last byte of RAM can be used");
	munmap(mem.range[0].host, RAM_SIZE);
	elf_image_free(&f);
}

static void test_memory(void)
{
	struct guest_memory mem = {.n = 2, .size = 3 * 4096};
	uint8_t *host = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t in[100], out[100];
	uint64_t len;

	mem.range[0] = (struct mem_range){.gpa = 0x1000, .size = 0x1000, .host = host + 0x3000};
	mem.range[1] = (struct mem_range){.gpa = 0x2000, .size = 0x2000, .host = host};
	memset(in, 0x5a, sizeof(in));
	tap_ok(!memory_write(&mem, 0x1fc0, in, 100) && !memory_read(&mem, 0x1fc0, out, 100) && !memcmp(in, out, 100),
		"an access across two ranges that touch");
	tap_ok(host[0x3fff] == 0x5a && host[35] == 0x5a && !host[36], "and it went to the right places");
	tap_ok(memory_write(&mem, 0x3fff, in, 2) == -EFAULT && !host[0x1fff], "one byte too far: nothing is copied");
	tap_ok(memory_read(&mem, UINT64_MAX - 1, out, 4) == -EFAULT, "an access that wraps");
	tap_ok(!memory_at(&mem, 0x1fc0, 100), "memory_at does not join ranges");
	tap_ok(memory_at(&mem, 0x2000, 0x2000) == host && !memory_at(&mem, 0x2000, 0x2001),
		"memory_at to the last byte");
	tap_ok(!memory_at(&mem, 0x2001, UINT64_MAX), "memory_at with a length that wraps");
	tap_ok(memory_span(&mem, 0x3ffe, &len) == host + 0x1ffe && len == 2, "memory_span says what follows");
	tap_ok(!memory_span(&mem, 0xfff, &len) && !memory_span(&mem, 0x4000, &len), "memory_span outside of RAM");
	munmap(host, 4 * 4096);
}

static int open_path(const char *path, const char **said)
{
	struct image_file f;
	int ret;

	capture_start(&cap, STDERR_FILENO);
	ret = image_file_open(&f, path);
	*said = capture_end(&cap);
	image_file_close(&f);
	return ret;
}

static void test_files(void)
{
	char dir[] = "/tmp/test_elf.XXXXXX", path[64];
	const char *said;
	int ret, fd;

	if (!mkdtemp(dir))
		return;
	snprintf(path, sizeof(path), "%s/image", dir);
	ret = open_path(path, &said);
	tap_ok(ret == -ENOENT && is_one_line(said) && strstr(said, path), "a missing file is named");
	ret = open_path(dir, &said);
	tap_ok(ret == -EISDIR && is_one_line(said) && strstr(said, dir), "a directory is refused");
	fd = open(path, O_CREAT | O_RDWR, 0600);
	ret = open_path(path, &said);
	tap_ok(ret == -ENODATA && is_one_line(said) && strstr(said, "empty"), "an empty file is refused");
	tap_ok(write(fd, "abc", 3) == 3 && open_path(path, &said) == 0 && !*said, "a file of three bytes is opened");
	close(fd);
	unlink(path);
	rmdir(dir);
}

/* A pipe has no size and cannot be mapped: 3 MiB and a bit, so that the buffer has to grow. */
static void test_pipe(void)
{
	size_t size = (3u << 20) + 5;
	struct image_file f;
	int fds[2];
	char path[32];
	pid_t child;

	if (pipe(fds))
		return;
	child = fork();
	if (!child) {
		for (size_t i = 0; i < size; i++) {
			static uint8_t buf[4096];

			buf[i % 4096] = (uint8_t)(i % 251);
			if ((i % 4096 == 4095 || i == size - 1) && write(fds[1], buf, i % 4096 + 1) < 0)
				_exit(1);
		}
		_exit(0);
	}
	close(fds[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
	if (tap_ok(!image_file_open(&f, path) && f.size == size, "an image can come through a pipe")) {
		size_t i = 0;

		while (i < size && f.data[i] == i % 251)
			i++;
		tap_is_u64(i, size, "and arrives whole");
	}
	image_file_close(&f);
	close(fds[0]);
	waitpid(child, NULL, 0);
}

int main(void)
{
	test_good();
	test_percpu_layout();
	test_bad_ident();
	test_bad_header();
	test_bad_segments();
	test_edges_taken();
	test_bad_notes();
	test_load();
	test_memory();
	test_files();
	test_pipe();
	return tap_done();
}
