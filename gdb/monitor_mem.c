/* Memory as `monitor` shows it: what is mapped, what is where, and what it holds. */
#include "gdb/monitor.h"

#include <errno.h>
#include <string.h>

#define DUMP_BYTES_MAX 4096
/* A guest may map what it likes as often as it likes: where a list ends, and from where the next one goes on. */
#define LOOKUPS_MAX (8u << 20)
#define LINES_MAX   20000

/* ---- contents ---- */

static void skip_spaces(struct gdb_cursor *c)
{
	while (gdb_cursor_eat(c, ' '))
		;
}

/* "/[COUNT][x][SIZE]", SIZE one of b h w g; false: something else. */
static bool parse_format(struct gdb_cursor *c, uint64_t *count, unsigned *size)
{
	static const char letters[] = "bhwg";

	if (!gdb_cursor_eat(c, '/'))
		return true;
	gdb_cursor_dec(c, count);
	while (!gdb_cursor_done(c) && *c->p != ' ') {
		const char *letter = memchr(letters, *c->p, sizeof(letters) - 1);

		if (letter)
			*size = 1u << (letter - letters);
		else if (*c->p != 'x')
			return false;
		c->p++;
	}
	return true;
}

static void dump(uint64_t addr, const uint8_t *data, size_t n, unsigned size, struct gdb_buf *out)
{
	for (size_t at = 0; at + size <= n; at += size) {
		uint64_t v = 0;

		if (at % 16 == 0)
			gdb_buf_printf(out, "%s%016llx:", at ? "\n" : "", (unsigned long long)addr + at);
		for (unsigned i = size; i-- > 0;)
			v = v << 8 | data[at + i];
		gdb_buf_printf(out, " 0x%0*llx", (int)size * 2, (unsigned long long)v);
	}
	gdb_buf_putc(out, '\n');
}

MONITOR_HANDLER(gdb_mon_xp)
{
	struct gdb_cursor c = gdb_mon_cursor(args);
	uint64_t count = 1, addr;
	unsigned size = 4;
	ssize_t n;

	if (!s->target.phys) {
		gdb_buf_puts(out, "this machine does not show its physical memory\n");
		return;
	}
	if (!parse_format(&c, &count, &size) || (skip_spaces(&c), !gdb_mon_number(&c, &addr)) || !gdb_cursor_done(&c)) {
		gdb_buf_puts(out, "usage: xp [/COUNTxSIZE] ADDRESS, SIZE one of b h w g, as in: xp /4xg 0x1000\n");
		return;
	}
	if (!count || count > DUMP_BYTES_MAX / size) {
		gdb_buf_printf(out, "xp: 1 to %u units, please\n", DUMP_BYTES_MAX / size);
		return;
	}
	n = s->target.phys->read(s->target.t, addr, s->mem, (size_t)count * size);
	if (n < (ssize_t)size)
		gdb_buf_printf(out, "0x%llx is not RAM\n", (unsigned long long)addr);
	else
		dump(addr, s->mem, (size_t)n, size, out);
}

MONITOR_HANDLER(gdb_mon_gva2gpa)
{
	struct gdb_cursor c = gdb_mon_cursor(args);
	struct mapping m = {0};
	uint64_t va;

	if (!s->target.phys) {
		gdb_buf_puts(out, "this machine does not show its page tables\n");
		return;
	}
	if (!gdb_mon_number(&c, &va) || !gdb_cursor_done(&c)) {
		gdb_buf_puts(out, "usage: gva2gpa ADDRESS, as in: gva2gpa 0xffffffff81000000\n");
		return;
	}
	if (s->target.phys->translate(s->target.t, s->g_cpu, va, &m) < 0)
		gdb_buf_puts(out, "Unmapped\n");
	else
		gdb_buf_printf(out, "gpa: 0x%llx (%s%s%s, 0x%llx bytes to the end of the page)\n",
			(unsigned long long)m.gpa, m.user ? "user, " : "", m.writable ? "writable" : "read-only",
			m.executable ? ", executable" : "", (unsigned long long)m.len);
}

MONITOR_HANDLER(gdb_mon_gpa2hva)
{
	struct gdb_cursor c = gdb_mon_cursor(args);
	uint64_t gpa;
	void *host;

	if (!s->target.phys || !s->target.phys->host) {
		gdb_buf_puts(out, "this machine does not show where its memory is\n");
		return;
	}
	if (!gdb_mon_number(&c, &gpa) || !gdb_cursor_done(&c)) {
		gdb_buf_puts(out, "usage: gpa2hva ADDRESS, as in: gpa2hva 0x100000\n");
		return;
	}
	host = s->target.phys->host(s->target.t, gpa);
	if (host)
		gdb_buf_printf(out, "Host virtual address for 0x%llx (ram) is %p\n", (unsigned long long)gpa, host);
	else
		gdb_buf_printf(out, "No memory is mapped at address 0x%llx\n", (unsigned long long)gpa);
}

/* ---- what is mapped ---- */

/* Mappings that follow each other with the same rights. */
struct run {
	uint64_t va, gpa, len; /* len 0: all 64 bits of addresses, or nothing if !used */
	bool used, writable, user, executable;
};

static bool run_extend(struct run *r, uint64_t va, const struct mapping *m, bool physical)
{
	if (!r->used || r->va + r->len != va || r->writable != m->writable || r->user != m->user ||
		r->executable != m->executable || (physical && r->gpa + r->len != m->gpa))
		return false;
	r->len += m->len;
	return true;
}

/*
 * START-END SIZE RIGHTS as other machine monitors have it, whose readers look at the first three letters of the rights;
 * ours has x behind them. With physical: VA: PA SIZE RIGHTS.
 */
static void run_put(const struct run *r, bool physical, struct gdb_buf *out)
{
	uint64_t end = r->va + r->len;

	if (!r->used)
		return;
	if (physical)
		gdb_buf_printf(out, "%016llx: %016llx %016llx ", (unsigned long long)r->va, (unsigned long long)r->gpa,
			(unsigned long long)r->len);
	else /* the end of all addresses has one digit more */
		gdb_buf_printf(out, "%016llx-%s%016llx %016llx ", (unsigned long long)r->va, end ? "" : "1",
			(unsigned long long)end, (unsigned long long)r->len);
	gdb_buf_printf(out, "%cr%c%c\n", r->user ? 'u' : '-', r->writable ? 'w' : '-', r->executable ? 'x' : '-');
}

static void put_mappings(struct gdb_session *s, uint64_t va, bool physical, const char *name, struct gdb_buf *out)
{
	unsigned lookups = LOOKUPS_MAX, lines = 0;
	struct run r = {0};
	struct mapping m;
	int ret;

	while ((ret = s->target.phys->next(s->target.t, s->g_cpu, &va, &lookups, &m)) == 0) {
		if (!run_extend(&r, va, &m, physical)) {
			if (++lines > LINES_MAX) {
				ret = -E2BIG;
				break;
			}
			run_put(&r, physical, out);
			r = (struct run){va, m.gpa, m.len, true, m.writable, m.user, m.executable};
		}
		va += m.len;
		if (!va) {
			ret = -ENOENT;
			break;
		}
	}
	run_put(&r, physical, out);
	if (ret == -E2BIG)
		gdb_buf_printf(out, "there is more: %s 0x%llx goes on\n", name, (unsigned long long)va);
	else if (!r.used)
		gdb_buf_puts(out, "nothing is mapped\n");
}

static void mon_mappings(struct gdb_session *s, const char *args, bool physical, struct gdb_buf *out)
{
	const char *name = physical ? "info tlb" : "info mem";
	struct gdb_cursor c = gdb_mon_cursor(args);
	uint64_t va = 0;

	if (!s->target.phys || !s->target.phys->next)
		gdb_buf_puts(out, "this machine does not show its page tables\n");
	else if (args[0] && (!gdb_mon_number(&c, &va) || !gdb_cursor_done(&c)))
		gdb_buf_printf(out, "usage: %s [FROM], as in: %s 0xffff800000000000\n", name, name);
	else
		put_mappings(s, va, physical, name, out);
}

MONITOR_HANDLER(gdb_mon_mem)
{
	mon_mappings(s, args, false, out);
}

MONITOR_HANDLER(gdb_mon_tlb)
{
	mon_mappings(s, args, true, out);
}

/* ---- what is where ---- */

#define REGIONS_MAX 128

static void put_space(const struct region *r, size_t n, bool ports, struct gdb_buf *out)
{
	static const char *const kinds[] = {
		[REGION_RAM] = "ram", [REGION_DEVICE] = "i/o", [REGION_KERNEL] = "i/o, by KVM itself"};
	const struct region *last = NULL;
	int digits = ports ? 4 : 16;

	/* In the order of their addresses: the least that comes after the last one. */
	for (size_t k = 0; k < n; k++) {
		const struct region *next = NULL;
		unsigned long long end;

		for (size_t i = 0; i < n; i++) {
			if (r[i].ports == ports && (!last || r[i].base > last->base) &&
				(!next || r[i].base < next->base))
				next = &r[i];
		}
		if (!next)
			break;
		end = next->base + (next->len - 1);
		if (!last)
			gdb_buf_printf(out, "address-space: %s\n", ports ? "I/O" : "memory");
		gdb_buf_printf(out, "  %0*llx-%0*llx (%s): %s\n", digits, (unsigned long long)next->base, digits, end,
			kinds[next->kind], next->name);
		last = next;
	}
}

MONITOR_HANDLER(gdb_mon_mtree)
{
	const struct gdb_info_ops *info = s->target.info;
	struct region r[REGIONS_MAX] = {{0}};
	size_t n = 0;

	(void)args;
	while (info && n < REGIONS_MAX && info->region(s->target.t, n, &r[n]))
		n++;
	put_space(r, n, false, out);
	put_space(r, n, true, out);
	if (!n)
		gdb_buf_puts(out, "this machine does not show what it is made of\n");
}
