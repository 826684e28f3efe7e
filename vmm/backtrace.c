#include "vmm/backtrace.h"

#include <string.h>

#include "arch/text.h"
#include "vmm/debug.h"
#include "vmm/symtab.h"

#define NEAR_PC	    (16ull << 20) /* without symbols: what is called code lies this near to the pc */
#define CYCLE_MAX   8		  /* functions that call each other in turn */
#define CYCLE_TIMES 3		  /* so many rounds are worth folding */
#define SYMBOL_MAX  160

/* ---- the guest, as an unwinder sees it ---- */

struct walker {
	struct vm_debug *d;
	const struct symtab *t;
	int cpu;
	uint64_t pc;
};

static size_t read_memory(void *ctx, uint64_t va, void *buf, size_t len)
{
	const struct walker *w = ctx;
	ssize_t n = vm_debug_mem_read(w->d, w->cpu, va, buf, len);

	return n < 0 ? 0 : (size_t)n;
}

static bool read_register(void *ctx, const char *name, uint64_t *value)
{
	const struct walker *w = ctx;
	const struct arch_desc *arch = vm_debug_arch(w->d);
	uint8_t bytes[8];
	unsigned regno, size;

	if (!arch_desc_find(arch, name, strlen(name), &regno))
		return false;
	size = arch->regs[regno].size;
	if (size > sizeof(bytes) || vm_debug_reg_read(w->d, w->cpu, regno, bytes, size) < 0)
		return false;
	*value = 0;
	for (unsigned b = size; b-- > 0;)
		*value = *value << 8 | bytes[b];
	return true;
}

static bool find_symbol(void *ctx, const char *name, uint64_t *addr)
{
	const struct walker *w = ctx;
	struct symtab_entry e;

	if (!w->t || !symtab_find(w->t, name, &e, 1))
		return false;
	*addr = e.addr;
	return true;
}

static bool symbol_at(const struct symtab *t, uint64_t addr, struct symtab_entry *e)
{
	return t && symtab_at(t, addr, e);
}

static bool find_function(void *ctx, uint64_t addr, struct unwind_function *out)
{
	const struct walker *w = ctx;
	struct symtab_entry e;

	if (!symbol_at(w->t, addr, &e) || !symtab_is_code(e.type))
		return false;
	*out = (struct unwind_function){.start = e.addr, .size = e.size, .name = e.name};
	return true;
}

/*
 * Where no symbol tells, page tables do: what may be executed and not written, as kernels have their modules; without
 * any symbols also what may be executed and is near.
 */
static bool is_text(void *ctx, uint64_t addr)
{
	const struct walker *w = ctx;
	struct symtab_entry e;
	struct mapping map;

	if (symbol_at(w->t, addr, &e))
		return symtab_is_code(e.type);
	if (vm_debug_translate(w->d, w->cpu, addr, &map) < 0 || !map.executable)
		return false;
	if (!map.writable)
		return !map.user;
	return !w->t && addr - w->pc + NEAR_PC < 2 * NEAR_PC;
}

bool backtrace_walk(struct vm_debug *d, const struct symtab *t, int cpu, struct unwind *out)
{
	struct walker w = {.d = d, .t = t, .cpu = cpu};
	const struct unwind_guest g = {
		.read = read_memory,
		.reg = read_register,
		.symbol = find_symbol,
		.function = find_function,
		.text = is_text,
		.ctx = &w,
	};

	if (!vm_debug_arch(d)->unwind || vm_debug_pc(d, cpu, &w.pc) < 0)
		return false;
	vm_debug_arch(d)->unwind->walk(&g, out);
	return true;
}

/* ---- its text ---- */

void backtrace_symbol(const struct symtab *t, uint64_t addr, bool call, char *buf, size_t len)
{
	struct text out = {.buf = buf, .len = len};
	struct symtab_entry e;

	if (len)
		buf[0] = '\0';
	if (!symbol_at(t, addr - call, &e))
		return;
	text_put(&out, "%.128s+0x%llx", e.name, (unsigned long long)(addr - e.addr));
	if (e.size)
		text_put(&out, "/0x%llx", (unsigned long long)e.size);
}

static bool any_guess(const struct unwind *u)
{
	for (size_t i = 0; i < u->n; i++) {
		if (u->frame[i].guess)
			return true;
	}
	return false;
}

const char *backtrace_way(const struct unwind *u)
{
	switch (u->way) {
	case UNWIND_NONE:
		return "none in this mode";
	case UNWIND_USER:
		return "a program is running";
	case UNWIND_FRAME_POINTERS:
		return any_guess(u) ? "frame pointers; ? from a stack scan, may have returned" : "frame pointers";
	case UNWIND_ORC:
		return any_guess(u) ? "ORC; ? from a stack scan, may have returned" : "ORC";
	case UNWIND_SCAN:
		return "stack scan: may name calls that have returned";
	}
	return "";
}

/* How often do the `period` frames from i on come, one round after the other? */
static size_t rounds(const struct unwind *u, size_t i, size_t period)
{
	size_t same = i + period;

	while (same < u->n && u->frame[same].pc == u->frame[same - period].pc &&
		u->frame[same].guess == u->frame[same - period].guess)
		same++;
	return (same - i) / period;
}

static void put_frame(struct text *out, const struct unwind *u, size_t i, const struct symtab *t)
{
	const struct unwind_frame *f = &u->frame[i];
	char symbol[SYMBOL_MAX] = "";

	if (!f->user)
		backtrace_symbol(t, f->pc, f->call, symbol, sizeof(symbol));
	text_put(out, "#%-2zu 0x%016llx%s%s%s", i, (unsigned long long)f->pc, f->guess ? " ?" : "",
		symbol[0] ? " " : "", symbol);
	text_put(out, "%s\n", f->user ? " (user mode)" : i && !f->call ? " (interrupted)" : "");
}

void backtrace_put(struct text *out, const struct unwind *u, const struct symtab *t, unsigned lines)
{
	size_t i = 0, n, period;

	while (i < u->n && lines > 1) {
		for (period = 1, n = 1; period <= CYCLE_MAX; period++) {
			n = rounds(u, i, period);
			if (n >= CYCLE_TIMES)
				break;
		}
		if (n < CYCLE_TIMES || period + 1 >= lines) {
			put_frame(out, u, i++, t);
			lines--;
			continue;
		}
		for (size_t k = 0; k < period; k++)
			put_frame(out, u, i + k, t);
		if (period == 1)
			text_put(out, "    ... the same %zu more times\n", n - 1);
		else
			text_put(out, "    ... these %zu %zu more times\n", period, n - 1);
		i += period * n;
		lines -= (unsigned)period + 1;
	}
	if (i < u->n)
		text_put(out, "    ... %zu more%s\n", u->n - i, u->n == UNWIND_FRAMES_MAX ? " or even more" : "");
}
