/* Core dumps: where addresses lead, what of the RAM is worth writing, the file, and what may be overwritten. */
#include "vmm/core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/desc.h"
#include "tests/unit/capture.h"
#include "tests/unit/tap.h"
#include "vmm/core_file.h"
#include "vmm/core_map.h"
#include "vmm/core_notes.h"
#include "vmm/core_ram.h"
#include "vmm/memory.h"

#define PAGE  4096ull
#define PAGES 256
#define LOW   (PAGES * PAGE) /* bytes of the first range, at 0 */
#define HIGH  0x100000000ull /* the second one */

static struct guest_memory mem;

static void memory_new(void)
{
	mem = (struct guest_memory){.n = 2, .range = {{.gpa = 0, .size = LOW}, {.gpa = HIGH, .size = LOW}}};
	for (int i = 0; i < mem.n; i++)
		mem.range[i].host =
			mmap(NULL, LOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void memory_end(void)
{
	for (int i = 0; i < mem.n; i++)
		munmap(mem.range[i].host, LOW);
}

/* ---- the map ---- */

struct fake {
	struct {
		uint64_t va, gpa, len;
	} map[8];
	int n;
	uint64_t page; /* mappings are told in pieces of that */
	uint64_t calls;
	bool shadow;	/* everything is mapped, to one page */
	bool scattered; /* every second page is */
};

static int fake_translate(void *ctx, uint64_t va, struct mapping *out)
{
	struct fake *f = ctx;

	f->calls++;
	out->len = PAGE - va % PAGE;
	out->writable = true;
	if (f->shadow) {
		out->gpa = 5 * PAGE + va % PAGE;
		return 0;
	}
	if (f->scattered) {
		out->gpa = va / PAGE * 3 % PAGES * PAGE + va % PAGE;
		return va / PAGE % 2 ? -EFAULT : 0;
	}
	out->len = 0 - va;
	for (int i = 0; i < f->n; i++) {
		uint64_t at = va - f->map[i].va;

		if (at >= f->map[i].len) {
			if (f->map[i].va > va && f->map[i].va - va < out->len)
				out->len = f->map[i].va - va;
			continue;
		}
		out->gpa = f->map[i].gpa + at;
		out->len = f->page - at % f->page;
		return 0;
	}
	return -EFAULT;
}

static void add(struct core_map *m, struct fake *f, uint64_t first, uint64_t last)
{
	uint64_t budget = 1u << 20;

	core_map_add(m, &mem, first, last, fake_translate, f, &budget);
}

static bool piece_is(const struct core_map *m, size_t i, uint64_t va, uint64_t gpa, uint64_t len)
{
	if (i < m->n && m->piece[i].va == va && m->piece[i].gpa == gpa && m->piece[i].len == len)
		return true;
	for (size_t j = 0; j < m->n && j < 8; j++)
		tap_diag("piece %zu: 0x%" PRIx64 " -> 0x%" PRIx64 ", 0x%" PRIx64, j, m->piece[j].va, m->piece[j].gpa,
			m->piece[j].len);
	return false;
}

static void test_map(void)
{
	const uint64_t top = ~0ull - 2 * PAGE + 1;
	struct fake f = {.page = PAGE, .n = 4};
	struct fake other = {.page = PAGE, .n = 1};
	struct core_map m = {0};

	f.map[0].va = 0x10000, f.map[0].gpa = 2 * PAGE, f.map[0].len = 4 * PAGE;
	f.map[1].va = 0x14000, f.map[1].gpa = 9 * PAGE, f.map[1].len = PAGE;   /* next to it, elsewhere */
	f.map[2].va = 0x15000, f.map[2].gpa = 0xfee00000, f.map[2].len = PAGE; /* a device */
	f.map[3].va = top, f.map[3].gpa = 0x10000, f.map[3].len = 2 * PAGE;
	add(&m, &f, 0, 0xfffff);
	tap_ok(m.n == 2 && piece_is(&m, 0, 0x10000, 2 * PAGE, 4 * PAGE) && piece_is(&m, 1, 0x14000, 9 * PAGE, PAGE),
		"neighbours are merged, what leads elsewhere is not, devices are left out");
	tap_ok(m.piece[0].flags == (PF_R | PF_W), "rights");
	add(&m, &f, top, ~0ull);
	tap_ok(m.n == 3 && piece_is(&m, 2, top, 0x10000, 2 * PAGE), "up to the very last address");

	other.map[0].va = 0xe000, other.map[0].gpa = 20 * PAGE, other.map[0].len = 16 * PAGE;
	add(&m, &other, 0, 0xfffff);
	tap_ok(m.n == 5 && piece_is(&m, 0, 0xe000, 20 * PAGE, 2 * PAGE) &&
			piece_is(&m, 1, 0x10000, 2 * PAGE, 4 * PAGE) && piece_is(&m, 2, 0x14000, 9 * PAGE, PAGE) &&
			piece_is(&m, 3, 0x15000, 27 * PAGE, 9 * PAGE),
		"another view fills what the first has left open");
	add(&m, &other, 0, 0xfffff);
	add(&m, &f, 0, ~0ull);
	tap_is_u64(m.n, 5, "what is there already changes nothing");
	tap_ok(!m.cut && !m.failed, "all of that fits");
	core_map_free(&m);
}

static void test_map_ram(void)
{
	struct fake f = {.page = 1ull << 33, .n = 1};
	struct core_map m = {0};

	f.map[0].len = 1ull << 33;
	add(&m, &f, 0, ~0ull >> 1);
	tap_ok(m.n == 2 && piece_is(&m, 0, 0, 0, LOW) && piece_is(&m, 1, HIGH, HIGH, LOW),
		"one mapping over both ranges of RAM and the hole between them");
	core_map_free(&m);
	add(&m, &f, 0x2000, 0x2fff);
	tap_ok(m.n == 1 && piece_is(&m, 0, 0x2000, 0x2000, PAGE), "no more of it than was asked for");
	core_map_free(&m);
}

static void test_map_bounds(void)
{
	struct fake shadow = {.shadow = true}, scattered = {.scattered = true};
	struct fake first = {.page = PAGE, .n = 1};
	struct core_map m = {0};
	uint64_t budget = 1000;

	core_map_add(&m, &mem, 0, (16ull << 40) - 1, fake_translate, &shadow, &(uint64_t){1u << 20});
	tap_ok(shadow.calls < 100000 && !m.cut, "16 TiB of one page: %" PRIu64 " look-ups", shadow.calls);
	core_map_free(&m);

	core_map_add(&m, &mem, 0, ~0ull, fake_translate, &scattered, &budget);
	tap_ok(m.cut && scattered.calls == 1000 && !budget && m.n == 500, "no more look-ups than allowed");
	core_map_free(&m);

	first.map[0].va = 1ull << 40, first.map[0].len = PAGE;
	add(&m, &first, 0, ~0ull);
	add(&m, &scattered, 0, (1ull << 40) - 1);
	tap_ok(m.cut && m.n <= CORE_PIECES_MAX && m.n > CORE_PIECES_MAX - 10, "%zu pieces of too many", m.n);
	tap_ok(piece_is(&m, m.n - 1, 1ull << 40, 0, PAGE), "what came first is still there");
	core_map_free(&m);
}

/* ---- the RAM ---- */

static void test_ram(void)
{
	const uint8_t *p, *end;
	struct core_ram r;

	memory_new();
	p = mem.range[0].host;
	end = p + LOW;
	memset(mem.range[0].host + 10 * PAGE, 1, 3 * PAGE);
	mem.range[0].host[LOW - 1] = 1;
	core_ram_open(&r);
	tap_ok(core_ram_next(&r, &p, end, LOW) == 3 * PAGE && p == mem.range[0].host + 10 * PAGE, "touched pages");
	p += 3 * PAGE;
	tap_ok(core_ram_next(&r, &p, end, LOW) == PAGE && p == end - PAGE, "the last page");
	p = end;
	tap_is_u64(core_ram_next(&r, &p, end, LOW), 0, "and no more");
	core_ram_close(&r);
	p = mem.range[0].host;
	tap_is_u64(core_ram_next(&r, &p, end, LOW), LOW, "all of them where the host does not say");
	tap_ok(core_ram_zero(p, PAGE) && !core_ram_zero(p + 10 * PAGE, PAGE) && !core_ram_zero(end - PAGE, PAGE),
		"zeros");
	memory_end();
}

static uint8_t *put_note(uint64_t at, const char *name, uint32_t type, uint32_t len, const char *text)
{
	const Elf64_Nhdr h = {.n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = len, .n_type = type};
	uint8_t *p = mem.range[1].host + at;

	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), name, strlen(name) + 1);
	memcpy(p + sizeof(h) + 12, text, strlen(text) + 1);
	return p + sizeof(h) + 12;
}

static void test_vmcoreinfo(void)
{
	static const char text[] = "OSRELEASE=6.1.0\nKERNELOFFSET=1c000000\n";
	const uint32_t n = sizeof(text) - 1;
	const uint8_t *found, *there;
	struct core_ram r;
	size_t len = 0;

	memory_new();
	core_ram_open(&r);
	put_note(0 * PAGE, "VMCOREINFO", 0, n + 5, text);	       /* what follows is no text */
	put_note(1 * PAGE, "VMCOREINFX", 0, n, text);		       /* another name */
	put_note(2 * PAGE, "VMCOREINFO", 1, n, text);		       /* another type */
	put_note(3 * PAGE, "VMCOREINFO", 0, 0xfffffff0, text);	       /* absurd */
	put_note(4 * PAGE + 64, "VMCOREINFO", 0, n, text);	       /* not on a page */
	put_note(5 * PAGE, "VMCOREINFO", 0, n - 9, "RELEASE=6.1.0\n"); /* not the kernel's first line */
	put_note(6 * PAGE, "VMCOREINFO", 0, 0, text);
	put_note(LOW - PAGE, "VMCOREINFO", 0, 2 * PAGE, text); /* beyond RAM */
	tap_ok(!core_ram_vmcoreinfo(&r, &mem, &len), "nothing that only looks like it");
	r.n = 0;
	there = put_note(7 * PAGE, "VMCOREINFO", 0, n, text);
	found = core_ram_vmcoreinfo(&r, &mem, &len);
	tap_ok(found == there && len == n, "the note, wherever it is");
	core_ram_close(&r);
	memory_end();
}

/* ---- the file ---- */

static int write_file(const struct core_map *map, int fd, uint64_t *written)
{
	struct core_notes notes = {0};
	struct core_ram r;
	const struct core_content c = {.machine = EM_X86_64, .mem = &mem, .map = map, .notes = &notes, .ram = &r};
	int err;

	core_ram_open(&r);
	core_note_add(&notes, "CORE", NT_PRSTATUS, "registers", 9);
	core_note_add(&notes, "VMCOREINFO", 0, "text", 4);
	err = core_file_write(fd, &c, written);
	core_notes_free(&notes);
	core_ram_close(&r);
	return err;
}

static bool same_bytes(int fd, const Elf64_Phdr *ph, uint64_t gpa)
{
	uint8_t *got = malloc(ph->p_filesz), *want = malloc(ph->p_filesz);
	bool same = pread(fd, got, ph->p_filesz, (off_t)ph->p_offset) == (ssize_t)ph->p_filesz &&
		    memory_read(&mem, gpa, want, ph->p_filesz) == 0 && !memcmp(got, want, ph->p_filesz);

	free(got);
	free(want);
	return same;
}

static void check_headers(int fd, const struct core_map *map)
{
	Elf64_Phdr ph[8] = {0};
	uint8_t notes[60];
	Elf64_Ehdr e = {0};
	bool same = true;

	tap_ok(pread(fd, &e, sizeof(e), 0) == sizeof(e) && e.e_type == ET_CORE && e.e_machine == EM_X86_64 &&
			e.e_phnum == 3 + map->n && core_file_is((const uint8_t *)&e, sizeof(e)),
		"an ELF core");
	tap_ok(pread(fd, ph, e.e_phnum * sizeof(*ph), (off_t)e.e_phoff) == (ssize_t)(e.e_phnum * sizeof(*ph)) &&
			ph[0].p_type == PT_NOTE && ph[0].p_filesz == sizeof(notes) && ph[0].p_offset < ph[1].p_offset,
		"the notes come first");
	tap_ok(pread(fd, notes, sizeof(notes), (off_t)ph[0].p_offset) == sizeof(notes) &&
			!memcmp(notes + 12, "CORE\0\0\0\0registers\0\0\0", 20) &&
			!memcmp(notes + 44, "VMCOREINFO\0\0text", 16),
		"their names and contents are padded");
	for (int i = 0; i < 2; i++)
		same &= ph[1 + i].p_paddr == mem.range[i].gpa &&
			ph[1 + i].p_vaddr == CORE_PHYSICAL + mem.range[i].gpa && ph[1 + i].p_filesz == LOW &&
			same_bytes(fd, &ph[1 + i], mem.range[i].gpa);
	tap_ok(same, "all RAM by its physical address");
	for (size_t i = 0; i < map->n; i++) {
		const Elf64_Phdr *p = &ph[3 + i];

		same &= p->p_vaddr == map->piece[i].va && p->p_memsz == map->piece[i].len &&
			p->p_offset % PAGE == p->p_vaddr % PAGE && same_bytes(fd, p, map->piece[i].gpa);
	}
	tap_ok(same, "and by its virtual ones");
}

static void test_file(void)
{
	struct core_piece pieces[] = {{0x400000, HIGH + 3 * PAGE, 2 * PAGE, PF_R}, {~0ull << 31, 0, LOW, PF_R | PF_X}};
	const struct core_map map = {.piece = pieces, .n = 2};
	FILE *f = tmpfile();
	int fd = fileno(f);
	uint64_t written = 0;
	struct stat st;

	memory_new();
	memset(mem.range[0].host, 0, LOW); /* touched, and still nothing */
	for (int i = 0; i < 40; i++)
		mem.range[0].host[i * (LOW / 41)] = (uint8_t)(i + 1);
	memset(mem.range[1].host + 3 * PAGE, 7, PAGE + 100);
	mem.range[1].host[LOW - 1] = 9;
	tap_ok(!write_file(&map, fd, &written), "it is written");
	tap_ok(written >= 43 * PAGE && written < 100 * PAGE, "%" PRIu64 " bytes of memory of %llu", written, 2 * LOW);
	check_headers(fd, &map);
	if (fstat(fd, &st))
		st = (struct stat){0};
	tap_ok(st.st_size > (off_t)(2 * LOW) && st.st_blocks * 512 < (off_t)LOW, "%lld bytes take %lld",
		(long long)st.st_size, (long long)st.st_blocks * 512);
	fclose(f);
	memory_end();
}

/* A disk that is full, as far as can be had without one: the first page is the last thing to be written. */
static void test_no_room(void)
{
	const struct core_map map = {0};
	struct rlimit old;
	uint64_t written = 0, zero = 0;
	FILE *f = tmpfile();
	uint8_t head[64];
	int err;

	memory_new();
	memset(mem.range[1].host, 7, LOW);
	getrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){LOW, old.rlim_max});
	err = write_file(&map, fileno(f), &written);
	setrlimit(RLIMIT_FSIZE, &old);
	tap_ok(err == -EFBIG, "a file that may not become so long: %d", err);
	tap_ok(pread(fileno(f), head, sizeof(head), 0) <= 0 || !memcmp(head, &zero, sizeof(zero)),
		"what is there then is no core");
	fclose(f);
	memory_end();
}

/* ---- what may be overwritten ---- */

static char folder[] = "/tmp/core-test-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void put_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	tap_ok(fd >= 0 && write(fd, data, len) == (ssize_t)len, "%s: made", path);
	close(fd);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void refused(const char *path, int want, const char *reason)
{
	struct capture cap;
	struct core *c;
	const char *text;
	int err;

	capture_start(&cap, STDERR_FILENO);
	err = core_open(&c, path);
	text = capture_end(&cap);
	tap_ok(err == want && !c && strstr(text, path) && strstr(text, reason) && strchr(text, '\n') &&
			!strchr(text, '\n')[1],
		"%s: %s", path, text);
}

static void test_open(void)
{
	Elf64_Ehdr e = {.e_ident = ELFMAG, .e_type = ET_CORE}, program = {.e_ident = ELFMAG, .e_type = ET_EXEC};
	struct core *c, *again;
	const char *path;
	struct capture cap;
	struct stat st;

	tap_ok(mkdtemp(folder) != NULL, "a folder");
	refused(folder, -EISDIR, "is a directory");
	refused(path_of("none/core"), -ENOENT, "No such file");
	refused("/dev/null", -EINVAL, "not a regular file");
	path = path_of("precious");
	put_file(path, &program, sizeof(program));
	refused(path, -EEXIST, "no core dump");
	tap_ok(!stat(path, &st) && st.st_size == sizeof(program), "and it is left as it was");
	unlink(path);

	path = path_of("core");
	put_file(path, &e, sizeof(e));
	tap_ok(!core_open(&c, path) && !stat(path, &st) && !st.st_size, "an old dump is gone at once");
	capture_start(&cap, STDERR_FILENO);
	tap_ok(core_open(&again, path) == -EWOULDBLOCK, "a second user");
	tap_ok(strstr(capture_end(&cap), "another minivmm") != NULL, "hears why not");
	core_close(c);
	tap_ok(!exists(path), "no dump was made, no file is left");

	tap_ok(!core_open(&c, path) && exists(path), "a new file");
	unlink(path);
	put_file(path, "x", 1);
	core_close(c);
	tap_ok(exists(path), "one that has come in its place is not ours to remove");
	unlink(path);
	rmdir(folder);
	core_close(NULL);
}

int main(void)
{
	memory_new();
	test_map();
	test_map_ram();
	test_map_bounds();
	memory_end();
	test_ram();
	test_vmcoreinfo();
	test_file();
	test_no_room();
	test_open();
	return tap_done();
}
