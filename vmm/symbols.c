#include "vmm/symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/log.h"

static bool holds(const struct image_file *f, uint64_t off, uint64_t len)
{
	return off <= f->size && len <= f->size - off;
}

static int bad(const struct image_file *f, const char *what)
{
	log_error("%s: %s", f->path, what);
	return -ENOEXEC;
}

/* Section header n; its table has been checked to lie in the file. */
static Elf64_Shdr section(const struct image_file *f, const Elf64_Ehdr *eh, uint64_t n)
{
	Elf64_Shdr sh;

	memcpy(&sh, f->data + eh->e_shoff + n * sizeof(sh), sizeof(sh));
	return sh;
}

/* How many sections; 0: none, or not inside of the file. */
static uint64_t section_count(const struct image_file *f, const Elf64_Ehdr *eh)
{
	uint64_t n = eh->e_shnum;

	if (!eh->e_shoff || eh->e_shentsize != sizeof(Elf64_Shdr) || !holds(f, eh->e_shoff, sizeof(Elf64_Shdr)))
		return 0;
	if (!n) /* more than fit there: the first header says it */
		n = section(f, eh, 0).sh_size;
	return n <= (f->size - eh->e_shoff) / sizeof(Elf64_Shdr) ? n : 0;
}

static int use_table(struct symbols *s, const Elf64_Shdr *tab, const Elf64_Shdr *str)
{
	const struct image_file *f = &s->file;

	if (tab->sh_entsize != sizeof(Elf64_Sym) || !holds(f, tab->sh_offset, tab->sh_size))
		return bad(f, "truncated or damaged: its symbol table is not inside of the file");
	if (str->sh_type != SHT_STRTAB || !str->sh_size || !holds(f, str->sh_offset, str->sh_size) ||
		f->data[str->sh_offset + str->sh_size - 1])
		return bad(f, "truncated or damaged: the names of its symbols are not inside of the file");
	s->table = tab->sh_offset;
	s->count = tab->sh_size / sizeof(Elf64_Sym);
	s->names = str->sh_offset;
	s->names_len = str->sh_size;
	return 0;
}

int symbols_parse(struct symbols *s, const struct image_file *f, uint16_t machine)
{
	Elf64_Ehdr eh;
	uint64_t n;
	int err;

	memset(s, 0, sizeof(*s));
	s->file = *f;
	s->file.mapped = false;
	err = elf_parse(&s->elf, &s->file, machine);
	if (err)
		return err;
	memcpy(&eh, f->data, sizeof(eh));
	n = section_count(f, &eh);
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Shdr tab = section(f, &eh, i);

		if (tab.sh_type == SHT_SYMTAB && tab.sh_link < n) {
			Elf64_Shdr str = section(f, &eh, tab.sh_link);

			return use_table(s, &tab, &str);
		}
	}
	return bad(f, "has no symbols: the unstripped file is needed (of a kernel, the vmlinux of its build)");
}

bool symbols_present(const struct image_file *f)
{
	Elf64_Ehdr eh;
	uint64_t n;

	if (!elf_is_elf64(f) || f->size < sizeof(eh))
		return false;
	memcpy(&eh, f->data, sizeof(eh));
	n = section_count(f, &eh);
	for (uint64_t i = 0; i < n; i++)
		if (section(f, &eh, i).sh_type == SHT_SYMTAB)
			return true;
	return false;
}

int symbols_open(struct symbols *s, const char *path, uint16_t machine)
{
	struct image_file f;
	int err = image_file_open(&f, path);

	memset(s, 0, sizeof(*s));
	if (err)
		return err;
	err = symbols_parse(s, &f, machine);
	s->file.mapped = f.mapped;
	if (err)
		symbols_close(s);
	return err;
}

void symbols_close(struct symbols *s)
{
	image_file_close(&s->file);
	memset(s, 0, sizeof(*s));
}

static bool named(const struct symbols *s, const Elf64_Sym *sym, const char *name, size_t len)
{
	uint64_t at = sym->st_name;

	return at < s->names_len && len < s->names_len - at &&
	       !memcmp(s->file.data + s->names + at, name, len + 1); /* the zero byte is part of it */
}

int symbols_find(const struct symbols *s, const char *name, struct symbol *out)
{
	size_t len = strlen(name);
	bool found = false, global = false;

	for (uint64_t i = 0; i < s->count; i++) {
		Elf64_Sym sym;
		unsigned type;
		bool weightier;

		memcpy(&sym, s->file.data + s->table + i * sizeof(sym), sizeof(sym));
		type = ELF64_ST_TYPE(sym.st_info);
		if (sym.st_shndx == SHN_UNDEF || type == STT_SECTION || type == STT_FILE || !named(s, &sym, name, len))
			continue;
		weightier = ELF64_ST_BIND(sym.st_info) != STB_LOCAL;
		if (found && (weightier < global || (weightier == global && sym.st_value >= out->addr)))
			continue;
		*out = (struct symbol){.addr = sym.st_value, .size = sym.st_size};
		found = true;
		global = weightier;
	}
	return found ? 0 : -ENOENT;
}

/* By the segment that it is in: of symbols whose section is not told. 'A': in none, or in the per-CPU template. */
static char segment_type(const struct symbols *s, uint64_t addr)
{
	for (int i = 0; i < s->elf.nsegments; i++) {
		const struct elf_segment *seg = &s->elf.segment[i];

		if (addr < seg->va || addr - seg->va >= seg->memsz || (!seg->va && seg->pa))
			continue;
		return seg->flags & PF_X ? 'T' : seg->flags & PF_W ? 'D' : 'R';
	}
	return 'A';
}

/* 0: not in memory. */
static char section_type(const struct symbols *s, const Elf64_Ehdr *eh, const Elf64_Sym *sym)
{
	Elf64_Shdr sh;

	if (sym->st_shndx >= SHN_LORESERVE)
		return segment_type(s, sym->st_value);
	if (sym->st_shndx >= section_count(&s->file, eh))
		return 0;
	sh = section(&s->file, eh, sym->st_shndx);
	if (!(sh.sh_flags & SHF_ALLOC))
		return 0;
	if (!sh.sh_addr && segment_type(s, sym->st_value) == 'A')
		return 'A';
	if (sh.sh_flags & SHF_EXECINSTR)
		return 'T';
	if (!(sh.sh_flags & SHF_WRITE))
		return 'R';
	return sh.sh_type == SHT_NOBITS ? 'B' : 'D';
}

bool symbols_nth(const struct symbols *s, uint64_t i, struct symbol_line *out)
{
	const char *names = (const char *)s->file.data + s->names;
	unsigned kind, bind;
	Elf64_Ehdr eh;
	Elf64_Sym sym;
	char type;

	if (i >= s->count)
		return false;
	memcpy(&eh, s->file.data, sizeof(eh));
	memcpy(&sym, s->file.data + s->table + i * sizeof(sym), sizeof(sym));
	kind = ELF64_ST_TYPE(sym.st_info);
	bind = ELF64_ST_BIND(sym.st_info);
	if (sym.st_shndx == SHN_UNDEF || kind == STT_SECTION || kind == STT_FILE || sym.st_name >= s->names_len)
		return false;
	type = section_type(s, &eh, &sym);
	if (!type)
		return false;
	if (bind == STB_WEAK && type != 'A')
		type = kind == STT_OBJECT ? 'V' : 'W';
	else if (bind == STB_LOCAL && type != 'A')
		type = (char)(type - 'A' + 'a');
	/* The names end in a zero byte, all of them: checked when the table was taken. */
	*out = (struct symbol_line){
		.addr = sym.st_value, .size = sym.st_size, .type = type, .name = names + sym.st_name};
	out->len = strlen(out->name);
	return true;
}

size_t symbols_bytes(const struct symbols *s, uint64_t va, void *buf, size_t len)
{
	for (int i = 0; i < s->elf.nsegments; i++) {
		const struct elf_segment *seg = &s->elf.segment[i];
		uint64_t off = va - seg->va;

		if (va < seg->va || off >= seg->filesz)
			continue;
		if (len > seg->filesz - off)
			len = (size_t)(seg->filesz - off);
		memcpy(buf, s->file.data + seg->offset + off, len);
		return len;
	}
	return 0;
}

void symbols_span(const struct symbols *s, uint64_t *low, uint64_t *high)
{
	struct image_layout l;

	elf_layout(&s->elf, &l);
	*low = *high = 0;
	for (int i = 0; i < l.n; i++) {
		uint64_t end = l.seg[i].va + l.seg[i].len;

		if (!i || l.seg[i].va < *low)
			*low = l.seg[i].va;
		if (!i || end > *high)
			*high = end;
	}
}
