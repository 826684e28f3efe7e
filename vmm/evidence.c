#include "vmm/evidence.h"

#include <errno.h>
#include <string.h>

#include "arch/text.h"
#include "arch/unwind.h"
#include "vmm/backtrace.h"
#include "vmm/debug.h"

#define ONE_MAX	     24576 /* bytes for one vCPU: registers, BACKTRACE_LINES_MAX long names */
#define ONE_TYPICAL  4096
#define LINE_TYPICAL 128 /* of the only line about a vCPU */
#define LEFT_OUT_MAX 64	 /* of the line that says what is left out */
#define BRIEF_LINES  8	 /* of a backtrace */
#define CODE_MAX     16
#define NAME_WIDTH   6

enum detail { DETAIL_LINE, DETAIL_BRIEF, DETAIL_FULL };

struct evidence {
	struct vm_debug *d;
	const struct symtab *t;
	struct unwind unwind;
	char one[ONE_MAX];
};

/* ---- one vCPU ---- */

static bool has_state(struct evidence *e, const char *state)
{
	const struct unwind_isa *isa = vm_debug_arch(e->d)->unwind;

	if (!strcmp(state, "gone"))
		return false;
	for (const char *const *s = isa ? isa->not_started : NULL; s && *s; s++) {
		if (!strcmp(*s, state))
			return false;
	}
	return true;
}

static bool put_register(struct evidence *e, struct text *out, int cpu, unsigned i, bool *begun)
{
	const struct arch_desc *arch = vm_debug_arch(e->d);
	const struct reg_desc *r = &arch->regs[i];
	unsigned long long value = 0;
	uint8_t bytes[8];
	int err;

	if (!arch_desc_has(arch, i) || r->size > sizeof(bytes))
		return false;
	err = vm_debug_reg_read(e->d, cpu, i, bytes, r->size);
	if (err == -ENOENT)
		return false;
	*begun = true;
	if (err < 0) {
		text_put(out, "  %-*s ?", NAME_WIDTH, r->name);
		return true;
	}
	for (unsigned b = r->size; b-- > 0;)
		value = value << 8 | bytes[b];
	if (r->size == sizeof(bytes))
		text_put(out, "  %-*s %016llx", NAME_WIDTH, r->name, value);
	else
		text_put(out, "  %s %llx", r->name, value);
	return true;
}

static void put_named(struct evidence *e, struct text *out, int cpu, const char *name, bool *begun)
{
	unsigned regno;

	if (arch_desc_find(vm_debug_arch(e->d), name, strlen(name), &regno))
		put_register(e, out, cpu, regno, begun);
}

static void put_registers(struct evidence *e, struct text *out, int cpu)
{
	const struct arch_desc *arch = vm_debug_arch(e->d);
	bool begun = false;

	if (!arch->unwind) {
		for (unsigned i = 0; i < arch->nregs_g; i++) {
			if (put_register(e, out, cpu, i, &begun))
				text_put(out, "\n");
		}
		return;
	}
	for (const char *const *name = arch->unwind->regs; *name; name++) {
		if (**name) {
			put_named(e, out, cpu, *name, &begun);
		} else if (begun) {
			text_put(out, "\n");
			begun = false;
		}
	}
	if (begun)
		text_put(out, "\n");
}

static void put_code(struct evidence *e, struct text *out, int cpu, uint64_t pc)
{
	const struct unwind_isa *isa = vm_debug_arch(e->d)->unwind;
	unsigned unit = isa ? isa->code_unit : 1;
	uint8_t bytes[CODE_MAX];
	size_t want = isa && isa->code_bytes < sizeof(bytes) ? isa->code_bytes : sizeof(bytes);
	ssize_t n = vm_debug_mem_read(e->d, cpu, pc, bytes, want);

	if (n < (ssize_t)unit) {
		text_put(out, "  code   not mapped\n");
		return;
	}
	text_put(out, "  code  ");
	for (ssize_t i = 0; i + (ssize_t)unit <= n; i += unit) {
		text_put(out, " ");
		for (unsigned b = unit; b-- > 0;)
			text_put(out, "%02x", bytes[i + b]);
	}
	text_put(out, "\n");
}

static void put_backtrace(struct evidence *e, struct text *out, int cpu, unsigned lines)
{
	if (!backtrace_walk(e->d, e->t, cpu, &e->unwind))
		return;
	text_put(out, "  backtrace (%s)\n", backtrace_way(&e->unwind));
	backtrace_put(out, &e->unwind, e->t, lines);
}

/* The text about one vCPU in e->one; how long it is. */
static size_t put_cpu(struct evidence *e, int cpu, enum detail detail)
{
	struct text out = {.buf = e->one, .len = sizeof(e->one)};
	char state[64] = "", symbol[160];
	uint64_t pc;

	vm_debug_state_text(e->d, cpu, state, sizeof(state));
	text_put(&out, "CPU %d: %s", cpu, state);
	if (!has_state(e, state) || vm_debug_pc(e->d, cpu, &pc) < 0) {
		text_put(&out, "\n");
	} else {
		backtrace_symbol(e->t, pc, false, symbol, sizeof(symbol));
		text_put(&out, ", pc 0x%llx%s%s\n", (unsigned long long)pc, symbol[0] ? " " : "", symbol);
		if (detail == DETAIL_FULL) {
			put_registers(e, &out, cpu);
			put_code(e, &out, cpu, pc);
		}
		if (detail != DETAIL_LINE)
			put_backtrace(e, &out, cpu, detail == DETAIL_FULL ? BACKTRACE_LINES_MAX : BRIEF_LINES);
	}
	if (out.at >= out.len) { /* cut off */
		out.at = out.len - 1;
		e->one[out.at - 1] = '\n';
	}
	return out.at;
}

/* ---- all of them ---- */

/* As much as there is space for. */
static bool put_within(struct evidence *e, struct text *out, int cpu, size_t space)
{
	for (int detail = DETAIL_FULL; detail >= DETAIL_LINE; detail--) {
		if (put_cpu(e, cpu, detail) < space) {
			text_put(out, "%s", e->one);
			return true;
		}
	}
	return false;
}

/* The first takes what it needs, if the others get a line each; what one of these does not use is for those behind. */
static size_t space_for(size_t rest, int cpus, bool first)
{
	size_t others = (size_t)(cpus - 1) * LINE_TYPICAL;

	rest = rest > LEFT_OUT_MAX ? rest - LEFT_OUT_MAX : 0;
	if (!first)
		return rest / (size_t)cpus;
	return rest > others + ONE_TYPICAL ? rest - others : rest;
}

size_t evidence_text(struct vm_debug *d, const struct symtab *t, int first_cpu, char *buf, size_t len)
{
	static struct evidence e; /* too large for a stack; nobody else is here, see the header */
	struct text out = {.buf = buf, .len = len};
	int ncpus = vm_debug_ncpus(d), cpu, left_out = 0;

	if (!len)
		return 0;
	buf[0] = '\0';
	e.d = d;
	e.t = t;
	if (first_cpu < 0 || first_cpu >= ncpus)
		first_cpu = 0;
	for (int i = 0; i < ncpus; i++) {
		cpu = i == 0 ? first_cpu : i <= first_cpu ? i - 1 : i;
		left_out += !put_within(&e, &out, cpu, space_for(len - out.at, ncpus - i, i == 0));
	}
	if (left_out)
		text_put(&out, "(no space for %d of %d CPUs)\n", left_out, ncpus);
	return out.at < len ? out.at : strlen(buf);
}
