/* Symbols by name and bytes by address; and with them the search for a kernel that has moved itself. */
#include "vmm/symbols.h"

#include <elf.h>
#include <errno.h>

#include "tests/unit/capture.h"
#include "tests/unit/elf_image.h"
#include "tests/unit/tap.h"
#include "vmm/kaslr.h"
#include "vmm/symtab.h"

#define TEXT	0xffffffff81000000ull
#define DATA	0xffffffff82000000ull
#define DATA_SZ 0x300000u
#define BANNER	"Linux version 6.1.0-test (a@b) #1 SMP\n"
#define SYMBOLS 9

/* A kernel's vmlinux in small: text, data with the banner, the per-CPU template at 0, a symbol table. */
struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	uint8_t text[64], data[128], percpu[16];
	Elf64_Sym sym[SYMBOLS];
	char names[128];
	Elf64_Shdr sh[4];
};

static struct capture cap;

static uint32_t add_name(struct image *im, const char *name)
{
	size_t at = 1;

	while (im->names[at])
		at += strlen(im->names + at) + 1;
	memcpy(im->names + at, name, strlen(name) + 1);
	return (uint32_t)at;
}

static void add_symbol(struct image *im, int i, const char *name, unsigned bind, unsigned type, uint64_t value)
{
	im->sym[i] = (Elf64_Sym){.st_name = add_name(im, name),
		.st_info = (unsigned char)ELF64_ST_INFO(bind, type),
		.st_shndx = 1,
		.st_value = value,
		.st_size = 8};
}

static void image_init(struct image *im)
{
	memset(im, 0, sizeof(*im));
	im->eh = elf_image_header(3);
	im->eh.e_shoff = offsetof(struct image, sh);
	im->eh.e_shentsize = sizeof(Elf64_Shdr);
	im->eh.e_shnum = 4;
	im->ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_offset = offsetof(struct image, text),
		.p_vaddr = TEXT,
		.p_paddr = 0x1000000,
		.p_filesz = 64,
		.p_memsz = 64};
	im->ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_offset = offsetof(struct image, data),
		.p_vaddr = DATA,
		.p_paddr = 0x2000000,
		.p_filesz = 128,
		.p_memsz = DATA_SZ};
	im->ph[2] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_offset = offsetof(struct image, percpu),
		.p_vaddr = 0,
		.p_paddr = 0x3000000,
		.p_filesz = 16,
		.p_memsz = 16};
	memset(im->text, 0x90, sizeof(im->text));
	memcpy(im->data + 16, BANNER, sizeof(BANNER));
	im->sh[1] = (Elf64_Shdr){.sh_type = SHT_PROGBITS};
	im->sh[2] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
		.sh_offset = offsetof(struct image, sym),
		.sh_size = sizeof(im->sym),
		.sh_entsize = sizeof(Elf64_Sym),
		.sh_link = 3};
	im->sh[3] = (Elf64_Shdr){
		.sh_type = SHT_STRTAB, .sh_offset = offsetof(struct image, names), .sh_size = sizeof(im->names)};
	add_symbol(im, 1, "linux_banner", STB_GLOBAL, STT_OBJECT, DATA + 16);
	add_symbol(im, 2, "start", STB_LOCAL, STT_FUNC, TEXT + 32);
	add_symbol(im, 3, "start", STB_LOCAL, STT_FUNC, TEXT + 16);
	add_symbol(im, 4, "start_kernel", STB_GLOBAL, STT_FUNC, TEXT + 48);
	add_symbol(im, 5, "both", STB_LOCAL, STT_FUNC, TEXT);
	add_symbol(im, 6, "both", STB_GLOBAL, STT_FUNC, TEXT + 8);
	add_symbol(im, 7, "elsewhere", STB_GLOBAL, STT_FUNC, 0);
	im->sym[7].st_shndx = SHN_UNDEF;
	add_symbol(im, 8, "main.c", STB_LOCAL, STT_FILE, 0);
}

static struct image_file file_of(const struct image *im, size_t size)
{
	return elf_image_file("vmlinux", im, size);
}

static uint64_t find(const struct symbols *s, const char *name)
{
	struct symbol sym;

	return symbols_find(s, name, &sym) == 0 ? sym.addr : 1;
}

static void test_good(void)
{
	struct symbols s;
	struct symbol sym = {0};
	struct image_file f;
	struct image im;
	uint64_t low, high;
	uint8_t bytes[200];

	image_init(&im);
	f = elf_image_file("vmlinux", &im, sizeof(im));
	tap_is_u64((uint64_t)symbols_parse(&s, &f, EM_X86_64), 0, "a file with symbols is taken");
	tap_ok(symbols_find(&s, "start_kernel", &sym) == 0 && sym.addr == TEXT + 48 && sym.size == 8, "a symbol");
	tap_is_u64(find(&s, "start"), TEXT + 16, "of several local ones the lowest");
	tap_is_u64(find(&s, "both"), TEXT + 8, "a global one before a local one");
	tap_is_u64(find(&s, "elsewhere"), 1, "one that is not defined there");
	tap_is_u64(find(&s, "main.c"), 1, "a file's name is none");
	tap_is_u64(find(&s, "start_"), 1, "a name's begin is none");
	tap_is_u64(find(&s, ""), 1, "nor is none at all");
	tap_is_u64(symbols_bytes(&s, DATA + 16, bytes, 5), 5, "bytes");
	tap_ok(!memcmp(bytes, "Linux", 5), "and which");
	tap_is_u64(symbols_bytes(&s, DATA + 120, bytes, 200), 8, "up to the end of what is in the file");
	tap_is_u64(symbols_bytes(&s, DATA + 128, bytes, 1), 0, "and not behind it");
	tap_is_u64(symbols_bytes(&s, TEXT - 1, bytes, 1), 0, "or before it");
	symbols_span(&s, &low, &high);
	tap_ok(low == TEXT && high == DATA + DATA_SZ, "where it is linked, the template at 0 aside");
	elf_image_free(&f);
}

static char type_of(const struct symbols *s, const char *name)
{
	struct symbol_line line;

	for (uint64_t i = 0; i < s->count; i++)
		if (symbols_nth(s, i, &line) && !strcmp(line.name, name) && line.len == strlen(name))
			return line.type;
	return 0;
}

static void test_types(void)
{
	struct symtab *t = NULL;
	struct symtab_entry e[3];
	struct image_file f;
	struct symbols s;
	struct image im;

	image_init(&im);
	im.sh[1] = (Elf64_Shdr){.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR, .sh_addr = TEXT};
	im.ph[0].p_flags = PF_R | PF_X;
	im.ph[1].p_flags = PF_R | PF_W;
	im.sym[1].st_shndx = SHN_ABS; /* as files have it to which symbols have been added */
	im.sym[8] = im.sym[7];
	im.sym[8].st_shndx = SHN_ABS;
	im.sym[8].st_value = 4; /* in the per-CPU template */
	im.sym[5].st_info = ELF64_ST_INFO(STB_WEAK, STT_FUNC);
	f = elf_image_file("vmlinux", &im, sizeof(im));
	tap_ok(symbols_present(&f) && symbols_parse(&s, &f, EM_X86_64) == 0, "a file with types");
	tap_ok(type_of(&s, "start_kernel") == 'T' && type_of(&s, "start") == 't' && type_of(&s, "both") == 'W',
		"global, local and weak code");
	tap_ok(type_of(&s, "linux_banner") == 'D', "without a section: by its segment");
	tap_ok(type_of(&s, "elsewhere") == 'A', "in the per-CPU template: no place in memory");
	tap_ok(symtab_from_elf(&t, &s) == 0 && symtab_count(t) == 7, "all of them");
	tap_ok(symtab_find(t, "both", e, 3) == 2 && e[0].addr == TEXT && e[0].size == 8 && e[1].addr == TEXT + 8,
		"one that occurs twice");
	tap_is_str(symtab_source(t), "vmlinux", "where they come from");
	elf_image_free(&f);
	tap_ok(symtab_at(t, TEXT + 50, e) && !strcmp(e[0].name, "start_kernel"), "the file may be gone");
	symtab_free(t);
	im.sh[2].sh_type = SHT_PROGBITS;
	f = elf_image_file("vmlinux", &im, sizeof(im));
	tap_ok(!symbols_present(&f), "a file without");
	elf_image_free(&f);
	im.sh[1].sh_flags = 0;
	im.sh[2].sh_type = SHT_SYMTAB;
	im.eh.e_shnum = 4;
	im.sym[4].st_shndx = 200;
	f = elf_image_file("vmlinux", &im, sizeof(im));
	tap_ok(symbols_parse(&s, &f, EM_X86_64) == 0 && !type_of(&s, "start_kernel") && !type_of(&s, "start"),
		"in no section, or one that is not in memory");
	elf_image_free(&f);
}

static int parse(const struct image *im, size_t size, const char **said)
{
	struct image_file f = file_of(im, size);
	struct symbols s;
	int ret;

	capture_start(&cap, STDERR_FILENO);
	ret = symbols_parse(&s, &f, EM_X86_64);
	*said = capture_end(&cap);
	elf_image_free(&f);
	return ret;
}

static void refused(const struct image *im, size_t size, const char *words, const char *name)
{
	const char *said;
	int ret = parse(im, size, &said);

	if (!tap_ok(ret == -ENOEXEC && strstr(said, words) && !strncmp(said, "minivmm: vmlinux: ", 18), "refused: %s",
		    name))
		tap_diag("returned %d, said: %s", ret, said);
}

static void test_bad(void)
{
	struct image im;
	const char *said;

	image_init(&im);
	refused(&im, offsetof(struct image, sh), "no symbols", "sections that are cut off");
	im.eh.e_shoff = 0;
	refused(&im, sizeof(im), "no symbols", "no sections");
	image_init(&im);
	im.eh.e_shoff = ~0ull - 8;
	refused(&im, sizeof(im), "no symbols", "sections beyond the end of everything");
	image_init(&im);
	im.eh.e_shentsize = 8;
	refused(&im, sizeof(im), "no symbols", "sections of an odd size");
	image_init(&im);
	im.sh[2].sh_type = SHT_PROGBITS;
	refused(&im, sizeof(im), "no symbols", "a stripped file");
	image_init(&im);
	im.sh[2].sh_size = ~0ull;
	refused(&im, sizeof(im), "symbol table is not inside", "a table longer than the file");
	image_init(&im);
	im.sh[2].sh_entsize = 16;
	refused(&im, sizeof(im), "symbol table is not inside", "a table of something else");
	image_init(&im);
	im.sh[2].sh_link = 9;
	refused(&im, sizeof(im), "no symbols", "names in no section");
	image_init(&im);
	im.sh[3].sh_offset = sizeof(im);
	refused(&im, sizeof(im), "names of its symbols", "names behind the file");
	image_init(&im);
	memset(im.names, 'x', sizeof(im.names));
	refused(&im, sizeof(im), "names of its symbols", "names without an end");
	image_init(&im);
	im.sym[1].st_name = sizeof(im.names) - 2;
	im.sym[2].st_name = 0xfffffff0;
	tap_ok(parse(&im, sizeof(im), &said) == 0, "symbols with wild names are just not found");
	im.eh.e_shnum = 0;
	im.sh[0].sh_size = 4;
	tap_ok(parse(&im, sizeof(im), &said) == 0, "a count of sections in the first one");
	im.sh[0].sh_size = 1ull << 60;
	refused(&im, sizeof(im), "no symbols", "and an absurd one");
}

/* ---- the search ---- */

/* Guest memory: the image's data from `at` on, mapped from there for DATA_SZ; what is read is counted. */
struct guest {
	struct image im;
	uint64_t at;
	unsigned reads;
};

static bool guest_read(void *ctx, uint64_t va, void *buf, size_t len)
{
	struct guest *g = ctx;
	uint64_t off = va - g->at;

	g->reads++;
	if (va < g->at || off >= DATA_SZ || len > DATA_SZ - off)
		return false;
	memset(buf, 0, len);
	for (size_t i = 0; i < len && off + i < sizeof(g->im.data); i++)
		((uint8_t *)buf)[i] = g->im.data[off + i];
	return true;
}

static bool search(struct guest *g, const struct kaslr *k, uint64_t addr, uint64_t len, uint64_t *slide)
{
	struct kaslr_hint hint = {.addr = addr, .len = len};

	*slide = 1;
	g->reads = 0;
	return kaslr_search(k, &hint, 1, guest_read, g, slide);
}

#define RANGE 0xffffffff80000000ull, 1ull << 30

static void test_search(const struct kaslr *k)
{
	struct guest g;
	uint64_t slide;
	char text[64];
	struct kaslr_hint everywhere = {RANGE};

	image_init(&g.im);
	g.at = DATA;
	tap_ok(search(&g, k, RANGE, &slide) && slide == 0, "a kernel that did not move");
	g.at = DATA + 0x1a200000;
	tap_ok(search(&g, k, RANGE, &slide) && slide == 0x1a200000, "one that did");
	g.at = DATA - 0x1000000;
	tap_ok(search(&g, k, RANGE, &slide) && slide == -0x1000000ull,
		"one that went to the very begin, below its link");
	g.at = 0xffffffffc0000000ull - 0x400000 - (DATA_SZ - 0x300000) + 0x0;
	tap_ok(search(&g, k, RANGE, &slide) && slide == g.at - DATA, "one close to the end");
	tap_ok(g.reads <= 512, "with no more than a look at each place");
	g.at = DATA + 0x1000;
	tap_ok(!search(&g, k, RANGE, &slide), "no kernel moves by less than 2 MiB");
	g.at = 0xffffd4ed46000000ull;
	tap_ok(search(&g, k, g.at + 0x1234, 0, &slide) && slide == g.at - DATA, "by an address in it");
	tap_ok(g.reads < 16, "in few looks");
	tap_ok(search(&g, k, g.at + DATA_SZ - 1, 0, &slide), "its last byte");
	tap_ok(search(&g, k, g.at - (DATA - TEXT), 0, &slide), "its first one");
	tap_ok(!search(&g, k, g.at - (DATA - TEXT) - 1, 0, &slide), "not by one before");
	tap_ok(!search(&g, k, g.at + DATA_SZ, 0, &slide), "nor behind it");
	tap_ok(!search(&g, k, 0, 4096, &slide), "a range that cannot hold it");
	g.im.data[16 + strlen(BANNER)] = 'x';
	tap_ok(!search(&g, k, g.at + 0x1234, 0, &slide), "a banner that goes on is another");
	g.im.data[16 + strlen(BANNER)] = 0;
	g.im.data[30] = '7';
	tap_ok(!search(&g, k, g.at + 0x1234, 0, &slide), "so is one that differs");
	g.at = DATA + 0x800000;
	tap_ok(kaslr_other_banner(k, &everywhere, 1, guest_read, &g, text, sizeof(text)) &&
			!strncmp(text, "Linux version 7.1.0-test", 24) && !strchr(text, '\n'),
		"and is shown");
	tap_ok(kaslr_other_banner(k, &everywhere, 1, guest_read, &g, text, 9) && !strcmp(text, "Linux ve"),
		"cut to fit");
	g.im.data[16] = 'l';
	tap_ok(!kaslr_other_banner(k, &everywhere, 1, guest_read, &g, text, sizeof(text)), "no Linux, no banner");
}

static int prepare(const struct image *im, struct kaslr *k, const char **said)
{
	struct image_file f = file_of(im, sizeof(*im));
	struct symbols s;
	int ret = -EINVAL;

	capture_start(&cap, STDERR_FILENO);
	if (symbols_parse(&s, &f, EM_X86_64) == 0)
		ret = kaslr_prepare(k, &s);
	*said = capture_end(&cap);
	elf_image_free(&f);
	return ret;
}

static void test_kaslr(void)
{
	struct image im;
	struct kaslr k;
	const char *said;

	image_init(&im);
	tap_ok(prepare(&im, &k, &said) == 0 && k.first == TEXT && k.banner == DATA + 16 && !strcmp(k.text, BANNER) &&
			k.percpu_at_zero,
		"what a kernel's file tells");
	test_search(&k);
	im.data[16] = 'l';
	tap_ok(prepare(&im, &k, &said) == -ENOEXEC && strstr(said, "is not in it"), "a banner that is none");
	image_init(&im);
	im.ph[1].p_filesz = 8;
	tap_ok(prepare(&im, &k, &said) == -ENOEXEC && strstr(said, "is not in it"), "one that is not in the file");
	image_init(&im);
	im.sym[1].st_shndx = SHN_UNDEF;
	tap_ok(prepare(&im, &k, &said) == -ENOEXEC && strstr(said, "not the vmlinux"), "a file of something else");
	image_init(&im);
	im.ph[0].p_vaddr -= 1ull << 31;
	tap_ok(prepare(&im, &k, &said) == -ENOEXEC && strstr(said, "not the vmlinux"), "a file larger than any kernel");
}

int main(void)
{
	test_good();
	test_types();
	test_bad();
	test_kaslr();
	return tap_done();
}
