#include "guests/tests/x86_64/bootinfo.h"

#include "guests/x86_64/io.h"

#define COM1		   0x3f8
#define EFER		   0xc0000080
#define ACPI_SLEEP_CONTROL 0x600
#define ACPI_SLEEP_S5	   (5 << 2 | 1 << 5)
#define HVM_MAGIC	   0x336ec578

void info_char(char c)
{
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, (uint8_t)c);
}

void info_text(const char *text)
{
	for (; *text; text++)
		info_char(*text);
}

static void hex(uint64_t v)
{
	int shift = 60;

	info_text("0x");
	while (shift > 0 && !(v >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		info_char("0123456789abcdef"[v >> shift & 15]);
}

void info_hex(const char *name, uint64_t v)
{
	info_text(name);
	info_char('=');
	hex(v);
	info_char('\n');
}

static const void *at(uint64_t addr)
{
	return (const void *)(uintptr_t)addr;
}

void info_string(const char *name, uint64_t addr)
{
	info_text(name);
	info_text("=\"");
	if (addr)
		info_text(at(addr));
	info_text("\"\n");
}

/* ---- the processor ---- */

#define GET(reg)                                                                                                       \
	({                                                                                                             \
		uintptr_t v;                                                                                           \
		__asm__ volatile("mov %%" reg ", %0" : "=r"(v));                                                       \
		v;                                                                                                     \
	})

static uintptr_t flags(void)
{
	uintptr_t v;

	__asm__ volatile("pushf\n\tpop %0" : "=r"(v));
	return v;
}

static uint16_t task(void)
{
	uint16_t v;

	__asm__ volatile("str %0" : "=r"(v));
	return v;
}

struct pointer {
	uint16_t limit;
	uintptr_t base;
} __attribute__((packed));

static void tables(void)
{
	struct pointer gdt, idt;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	info_hex("gdt.limit", gdt.limit);
	info_hex("idt.base", idt.base);
	info_hex("idt.limit", idt.limit);
}

void info_processor(void)
{
	uint64_t efer = rdmsr(EFER);
	uintptr_t cr0 = GET("cr0");

	info_text("mode=");
	info_text(efer & 1 << 10 ? "long" : cr0 & 1 ? "protected" : "real");
	info_text(cr0 >> 31 & 1 ? ",paging\n" : "\n");
	info_hex("bits", sizeof(uintptr_t) * 8);
	info_hex("cr0", cr0);
	info_hex("cr4", GET("cr4"));
	info_hex("efer", efer);
	info_hex("rflags", flags());
	info_hex("cs", GET("cs") & 0xffff);
	info_hex("ds", GET("ds") & 0xffff);
	info_hex("es", GET("es") & 0xffff);
	info_hex("ss", GET("ss") & 0xffff);
	info_hex("tr", task());
	tables();
}

/* ---- ACPI 6.4, chapter 5 ---- */

struct table {
	char signature[4];
	uint32_t length;
	uint8_t rest[28];
} __attribute__((packed));

static int sum(uint64_t addr, uint32_t n)
{
	const uint8_t *p = at(addr);
	uint8_t total = 0;

	while (n--)
		total = (uint8_t)(total + *p++);
	return total;
}

static uint64_t read64(uint64_t addr)
{
	const uint32_t *p = at(addr);

	return (uint64_t)p[1] << 32 | p[0];
}

static void madt(uint64_t addr, uint32_t length)
{
	const uint8_t *p = at(addr);
	unsigned cpus = 0, ioapics = 0;

	for (uint32_t i = 44; i + 1 < length && p[i + 1]; i += p[i + 1]) {
		cpus += p[i] == 0 && p[i + 4] & 1;
		ioapics += p[i] == 1;
	}
	info_hex("madt.cpus", cpus);
	info_hex("madt.ioapics", ioapics);
}

static void table(uint64_t addr, int depth)
{
	const struct table *t = at(addr);

	info_text("acpi ");
	for (int i = 0; i < 4; i++)
		info_char(t->signature[i]);
	info_text(sum(addr, t->length) ? " BAD CHECKSUM\n" : " ok\n");
	if (t->signature[0] == 'A' && t->signature[1] == 'P')
		madt(addr, t->length);
	else if (t->signature[0] == 'F' && t->signature[1] == 'A' && depth)
		table(read64(addr + 140), 0); /* X_DSDT */
	else if (t->signature[0] == 'X' && depth)
		for (uint32_t i = 36; i + 8 <= t->length; i += 8)
			table(read64(addr + i), 1);
}

static int is_rsdp(uint64_t addr)
{
	static const char signature[] = "RSD PTR ";
	const char *p = at(addr);

	for (int i = 0; i < 8; i++)
		if (p[i] != signature[i])
			return 0;
	return 1;
}

void info_rsdp(uint64_t addr)
{
	if (!addr || !is_rsdp(addr)) {
		info_text("acpi RSDP missing\n");
		return;
	}
	info_text("acpi RSDP ");
	info_text(sum(addr, 20) || sum(addr, 36) ? "BAD CHECKSUM\n" : "ok\n");
	table(read64(addr + 24), 1);
}

void info_rsdp_scan(void)
{
	for (uint64_t addr = 0xe0000; addr < 0x100000; addr += 16) {
		if (!is_rsdp(addr))
			continue;
		info_hex("rsdp.scan", addr);
		info_rsdp(addr);
		return;
	}
	info_text("rsdp.scan=none\n");
}

/* ---- Xen's public/arch-x86/hvm/start_info.h ---- */

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct module {
	uint64_t addr, size, cmdline, reserved;
};

struct memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

static void map_line(uint64_t addr, uint64_t size, uint32_t type)
{
	info_text("map ");
	hex(addr);
	info_char(' ');
	hex(size);
	info_char(' ');
	hex(type);
	info_char('\n');
}

#define SUM_MAX 0x10000 /* of each end of a large module: interpreted guests are slow */

struct e820_entry {
	uint64_t addr, size;
	uint32_t type;
} __attribute__((packed));

void info_map(uint64_t addr, unsigned n)
{
	const struct e820_entry *e = at(addr);

	for (unsigned i = 0; i < n; i++)
		map_line(e[i].addr, e[i].size, e[i].type);
}

/* Its size, the sum of its bytes, and its first line if it is text. */
static void module_lines(uint64_t addr, uint64_t size, uint64_t cmdline)
{
	const uint8_t *p = at(addr);
	uint32_t total = 0;

	for (uint64_t i = 0; i < size; i++) {
		if (size > 2 * SUM_MAX && i == SUM_MAX)
			i = size - SUM_MAX;
		total += p[i];
	}
	info_hex("module.size", size);
	info_hex("module.sum", total);
	info_hex("module.misaligned", addr & 4095);
	info_string("module.string", cmdline);
	info_text("module.text=");
	for (uint64_t i = 0; i < size && i < 40 && p[i] >= ' ' && p[i] < 127; i++)
		info_char((char)p[i]);
	info_char('\n');
}

void info_start_info(uint64_t addr)
{
	const struct start_info *s = at(addr);
	const struct module *m = at(s->modlist);
	const struct memmap *e = at(s->memmap);

	info_text(s->magic == HVM_MAGIC ? "start_info ok\n" : "start_info BAD MAGIC\n");
	info_hex("start_info.version", s->version);
	info_string("cmdline", s->cmdline);
	for (uint32_t i = 0; i < s->memmap_entries; i++)
		map_line(e[i].addr, e[i].size, e[i].type);
	info_hex("modules", s->nr_modules);
	for (uint32_t i = 0; i < s->nr_modules; i++)
		module_lines(m[i].addr, m[i].size, m[i].cmdline);
	info_rsdp(s->rsdp);
}

/* ---- Multiboot 0.6.96, 3.3 ---- */

struct multiboot {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
		mmap_addr, drives[2], config, loader;
};

struct multiboot_module {
	uint32_t start, end, string, reserved;
};

struct multiboot_mmap {
	uint32_t size;
	uint64_t addr, len;
	uint32_t type;
} __attribute__((packed));

void info_multiboot(uint64_t addr)
{
	const struct multiboot *b = at(addr);
	const struct multiboot_module *m = at(b->mods_addr);

	info_hex("multiboot.flags", b->flags);
	info_hex("mem_lower", b->mem_lower);
	info_hex("mem_upper", b->mem_upper);
	info_string("cmdline", b->cmdline);
	info_string("loader", b->loader);
	for (uint32_t done = 0; done < b->mmap_length;) {
		const struct multiboot_mmap *e = at(b->mmap_addr + done);

		map_line(e->addr, e->len, e->type);
		done += e->size + 4;
	}
	info_hex("modules", b->flags & 8 ? b->mods_count : 0);
	for (uint32_t i = 0; b->flags & 8 && i < b->mods_count; i++)
		module_lines(m[i].start, m[i].end - m[i].start, m[i].string);
	info_rsdp_scan();
}

void info_power_off(void)
{
	for (;;)
		outb(ACPI_SLEEP_CONTROL, ACPI_SLEEP_S5);
}
