#include "guests/tests/arm64/info.h"

#include <stdbool.h>

#include "guests/arm64/io.h"
#include "guests/arm64/trap.h"
#include "guests/platform.h"

void info_text(const char *text)
{
	for (; *text; text++)
		platform_putc(*text);
}

static void hex(uint64_t v)
{
	int shift = 60;

	info_text("0x");
	while (shift > 0 && !(v >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		platform_putc("0123456789abcdef"[v >> shift & 15]);
}

void info_hex(const char *name, uint64_t v)
{
	info_text(name);
	platform_putc('=');
	hex(v);
	platform_putc('\n');
}

/* ---- registers ---- */

void info_state(const struct boot_state *s)
{
	info_hex("el", s->el >> 2 & 3);
	info_hex("spsel", s->spsel & 1);
	info_hex("daif", s->daif);
	info_hex("sctlr.m", s->sctlr & 1);
	info_hex("sctlr.c", s->sctlr >> 2 & 1);
	info_hex("sctlr.i", s->sctlr >> 12 & 1);
	info_hex("x0", s->x[0]);
	info_hex("x1", s->x[1]);
	info_hex("x2", s->x[2]);
	info_hex("x3", s->x[3]);
	info_hex("mpidr", GET_SYS(mpidr_el1));
	info_hex("midr", GET_SYS(midr_el1));
	info_hex("gic.sysregs", GET_SYS(id_aa64pfr0_el1) >> 24 & 0xf);
	info_hex("cntfrq", GET_SYS(cntfrq_el0));
}

/* ---- the device tree: Devicetree Specification 0.4, chapter 5 ---- */

#define FDT_MAGIC      0xd00dfeed
#define FDT_BEGIN_NODE 1
#define FDT_END_NODE   2
#define FDT_PROP       3
#define FDT_NOP	       4

static uint32_t be32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

uint64_t fdt_cells(const void *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 32 | be32((const uint8_t *)p + 4 * i);
	return v;
}

const void *device_tree(uint64_t x0)
{
	if (x0 && be32((const void *)x0) == FDT_MAGIC)
		return (const void *)x0;
	return be32((const void *)BOARD_RAM) == FDT_MAGIC ? (const void *)BOARD_RAM : NULL;
}

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Is this the node's name, its unit address aside? */
static bool named(const char *node, const char *name)
{
	while (*name && *node == *name) {
		node++;
		name++;
	}
	return !*name && (!*node || *node == '@');
}

struct cursor {
	const uint8_t *at;
	const char *strings;
	const char *node; /* that of the last FDT_BEGIN_NODE */
	const char *name; /* of the property */
	const void *value;
	uint32_t len;
};

static struct cursor begin(const void *tree)
{
	const uint8_t *t = tree;

	return (struct cursor){.at = t + be32(t + 8), .strings = (const char *)t + be32(t + 12)};
}

/* The next token; 0 at the end. */
static uint32_t next(struct cursor *c)
{
	uint32_t token = be32(c->at);

	c->at += 4;
	switch (token) {
	case FDT_BEGIN_NODE:
		c->node = (const char *)c->at;
		c->at += (length(c->node) + 4) & ~3ul;
		return token;
	case FDT_PROP:
		c->len = be32(c->at);
		c->name = c->strings + be32(c->at + 4);
		c->value = c->at + 8;
		c->at += 8 + ((c->len + 3) & ~3u);
		return token;
	case FDT_END_NODE:
	case FDT_NOP:
		return token;
	default:
		return 0;
	}
}

const void *fdt_property(const void *tree, const char *node, const char *name, uint32_t *len)
{
	struct cursor c = begin(tree);
	bool inside = false; /* its own properties come before its children */
	uint32_t token;

	while ((token = next(&c))) {
		if (token == FDT_BEGIN_NODE) {
			inside = named(c.node, node);
		} else if (token == FDT_PROP && inside && same(c.name, name)) {
			*len = c.len;
			return c.value;
		}
	}
	return NULL;
}

unsigned fdt_count(const void *tree, const char *node)
{
	struct cursor c = begin(tree);
	unsigned n = 0;
	uint32_t token;

	while ((token = next(&c)))
		n += token == FDT_BEGIN_NODE && named(c.node, node);
	return n;
}

#define SUM_MAX 0x10000 /* of each end of a large initrd: MMU off or under an emulator, this takes time */

static void initrd(const void *tree)
{
	uint32_t n1, n2;
	const void *first = fdt_property(tree, "chosen", "linux,initrd-start", &n1);
	const void *last = fdt_property(tree, "chosen", "linux,initrd-end", &n2);
	const uint8_t *p;
	uint64_t size;
	uint32_t total = 0;

	info_hex("modules", first && last);
	if (!first || !last)
		return;
	p = (const uint8_t *)fdt_cells(first, n1 / 4);
	size = fdt_cells(last, n2 / 4) - (uint64_t)p;
	for (uint64_t i = 0; i < size; i++) {
		if (size > 2 * SUM_MAX && i == SUM_MAX)
			i = size - SUM_MAX;
		total += p[i];
	}
	info_hex("module.addr", (uint64_t)p);
	info_hex("module.size", size);
	info_hex("module.sum", total);
	info_hex("module.misaligned", (uint64_t)p & 4095);
	info_text("module.text=");
	for (uint64_t i = 0; i < size && i < 40 && p[i] >= ' ' && p[i] < 127; i++)
		platform_putc((char)p[i]);
	info_text("\n");
}

static void strings(const void *tree, const char *node, const char *name)
{
	uint32_t len;
	const char *value = fdt_property(tree, node, name, &len);

	if (!value)
		return;
	info_text(*node ? node : "root");
	info_text(".");
	info_text(name);
	info_text("=\"");
	info_text(value);
	info_text("\"\n");
}

void info_tree(uint64_t x0)
{
	const void *tree = device_tree(x0);
	const uint8_t *memory;
	const char *args;
	uint32_t len;

	if (!tree) {
		info_text("tree none\n");
		return;
	}
	info_text("tree ok\n");
	info_hex("tree.addr", (uint64_t)tree);
	info_hex("tree.size", be32((const uint8_t *)tree + 4));
	info_hex("cpus", fdt_count(tree, "cpu"));
	memory = fdt_property(tree, "memory", "reg", &len);
	if (memory) {
		info_hex("memory.addr", fdt_cells(memory, 2));
		info_hex("memory.size", fdt_cells(memory + 8, 2));
	}
	args = fdt_property(tree, "chosen", "bootargs", &len);
	info_text("cmdline=\"");
	info_text(args ? args : "");
	info_text("\"\n");
	strings(tree, "", "compatible");
	strings(tree, "psci", "method");
	strings(tree, "intc", "compatible");
	info_hex("seeded", fdt_property(tree, "chosen", "rng-seed", &len) != NULL);
	initrd(tree);
}
