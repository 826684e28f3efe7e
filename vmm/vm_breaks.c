#include "vmm/vm_breaks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/exit_status.h"
#include "vmm/kvm.h"
#include "vmm/log.h"
#include "vmm/symtab.h"
#include "vmm/verdict.h"
#include "vmm/vm_kaslr.h"
#include "vmm/vm_symtab.h"
#include "vmm/vm_verdict.h"
#include "vmm/where.h"

#define LOG_REGS_MAX 16
#define LOG_LINE_MAX 1024

struct place {
	struct vm_breaks *all;
	size_t goal; /* index in options.goal */
	struct where where;
	uint64_t addr; /* as linked */
	bool inserted;
	unsigned reg[LOG_REGS_MAX]; /* ACTION_LOG */
	size_t nregs;
};

struct vm_breaks {
	struct vm *vm;
	struct verdict *verdict;
	struct symtab *symbols; /* NULL: not known (yet) */
	bool late;		/* they are found in guest memory, on the boot CPU's thread */
	struct place place[GOALS_MAX];
	size_t n;
};

/* ---- a hit, on the vCPU's own thread ---- */

/* One register as text: the lowest 8 bytes are a number, a longer one is bytes. */
static int show_reg(struct vcpu *vcpu, unsigned regno, char *buf, size_t len)
{
	const struct arch_desc *arch = arch_vm_desc(vcpu->vm);
	const struct reg_desc *reg = &arch->regs[regno];
	uint8_t bytes[REG_SIZE_MAX] = {0};
	int at = snprintf(buf, len, " %s=", reg->name);

	if (arch_reg_read(vcpu, regno, bytes, reg->size))
		return at + snprintf(buf + at, len - (size_t)at, "?");
	at += snprintf(buf + at, len - (size_t)at, "0x");
	for (size_t i = reg->size; i-- > 0 && (size_t)at + 3 < len;)
		at += snprintf(buf + at, len - (size_t)at, "%02x", bytes[i]);
	return at;
}

static void log_hit(const struct place *p, struct vcpu *vcpu)
{
	const struct goal_option *g = &vcpu->vm->opts->goal[p->goal];
	uint64_t us = vm_debug_ran_us(vcpu->vm->debug);
	char line[LOG_LINE_MAX];
	int at = snprintf(line, sizeof(line), "%" PRIu64 ".%06" PRIu64 " CPU %d: %.*s", us / 1000000, us % 1000000,
		vcpu->id, (int)g->where_len, g->text);

	if (p->nregs)
		arch_regs_fetch(vcpu);
	for (size_t i = 0; i < p->nregs && at < (int)sizeof(line); i++)
		at += show_reg(vcpu, p->reg[i], line + at, sizeof(line) - (size_t)at);
	log_error("%s", line);
}

/* A condition: never true, nobody is to stop for it. */
static bool on_hit(void *ctx, int cpu, const struct vm_stop *stop)
{
	const struct place *p = ctx;
	const struct vm_breaks *b = p->all;
	const struct options *opts = b->vm->opts;

	for (size_t i = 0; i < b->n; i++) {
		/* Others at the same address share the breakpoint. */
		if (b->place[i].addr != p->addr || !b->place[i].inserted)
			continue;
		if (opts->goal[b->place[i].goal].action == ACTION_LOG)
			log_hit(&b->place[i], &b->vm->vcpus[cpu]);
		verdict_hit(b->verdict, b->place[i].goal, cpu);
	}
	(void)stop;
	return false;
}

/* ---- finding places ---- */

/* The boot CPU's thread: the kernel seems to have unpacked itself. Its names are put to use by the main thread. */
static bool on_unpacked(void *ctx, int cpu)
{
	struct vm_breaks *b = ctx;
	bool last = atomic_load(&b->vm->unpacked.tries) == 0;

	(void)cpu;
	if (vm_symtab_from_ram(b->vm, &b->symbols) && !last)
		return false;
	vm_verdict_symbols_found(b->vm);
	return true;
}

static int find_regs(struct place *p, const struct goal_option *g)
{
	for (const char *at = g->regs; at && *at;) {
		size_t n = strcspn(at, ",");
		unsigned regno;

		if (!arch_desc_find(&arch_desc, at, n, &regno)) {
			log_error("--break %s: %s has no register %.*s", g->text, arch_desc.name, (int)n, at);
			return STATUS_USAGE;
		}
		if (p->nregs == LOG_REGS_MAX) {
			log_error("--break %s: %d registers can be logged, not more", g->text, LOG_REGS_MAX);
			return STATUS_USAGE;
		}
		p->reg[p->nregs++] = regno;
		at += n + (at[n] == ',');
	}
	return 0;
}

static bool has_symbol(const struct place *p)
{
	return p->where.symbol[0];
}

static int resolve(struct place *p, const struct goal_option *g)
{
	char why[WHERE_WHY_MAX];

	if (!where_resolve(&p->where, p->all->symbols, &p->addr, why, sizeof(why)))
		return 0;
	log_error("--break %s: %s", g->text, why);
	return STATUS_USAGE;
}

/* The names, if the files have any. Those of a kernel that unpacks itself are found when it has: late. */
static int open_symbols(struct vm_breaks *b, const struct goal_option *g)
{
	int err = b->symbols || b->late ? 0 : vm_symtab_open(b->vm, &b->symbols);

	if (!err)
		return 0;
	if (err == -ENODATA)
		err = vm_unpacked_watch(b->vm, on_unpacked, b);
	if (err == -ENODATA)
		log_error("--break %s: %s has no symbols that can be read%s; --symbols FILE has to name its vmlinux",
			g->text, b->vm->opts->kernel, b->vm->opts->kaslr ? " before it has chosen its address" : "");
	else if (err == -ENOTSUP)
		log_error("--break %s: this host's KVM does not show when %s has unpacked itself; "
			  "--symbols FILE has to name its vmlinux",
			g->text, b->vm->opts->kernel);
	b->late = !err;
	return err ? STATUS_USAGE : 0;
}

static int find_place(struct place *p, const struct goal_option *g)
{
	struct vm_breaks *b = p->all;
	char why[WHERE_WHY_MAX];
	int status = find_regs(p, g);

	if (status)
		return status;
	if (cli_goal_where(g, &p->where, why, sizeof(why))) {
		log_error("--break %s: %s", g->text, why);
		return STATUS_USAGE;
	}
	status = has_symbol(p) ? open_symbols(b, g) : 0;
	return status || (has_symbol(p) && b->late) ? status : resolve(p, g);
}

int vm_breaks_load(struct vm_breaks **out, struct vm *vm, struct verdict *v)
{
	struct vm_breaks *b = calloc(1, sizeof(*b));
	int status = 0;

	*out = b;
	if (!b) {
		log_error("out of memory");
		return STATUS_HOST;
	}
	b->vm = vm;
	b->verdict = v;
	for (size_t i = 0; i < vm->opts->ngoals && !status; i++) {
		struct place *p = &b->place[b->n];

		if (vm->opts->goal[i].kind != GOAL_BREAK)
			continue;
		p->all = b;
		p->goal = i;
		b->n++;
		status = find_place(p, &vm->opts->goal[i]);
	}
	return status;
}

void vm_breaks_free(struct vm_breaks *b)
{
	if (!b)
		return;
	symtab_free(b->symbols);
	free(b);
}

const struct symtab *vm_breaks_symbols(struct vm_breaks *b)
{
	struct vm_slide slide;

	if (b->symbols || (vm_symtab_open(b->vm, &b->symbols) && vm_symtab_from_ram(b->vm, &b->symbols)))
		return b->symbols;
	vm_kaslr_get(b->vm, &slide);
	if (slide.state == VM_SLIDE_FOUND)
		symtab_slide(b->symbols, slide.slide);
	return b->symbols;
}

/* ---- putting in ---- */

/* Nothing that a verdict hangs on is at this address. */
static bool often(const struct place *p)
{
	const struct vm_breaks *b = p->all;

	for (size_t i = 0; i < b->n; i++) {
		const struct goal_option *g = &b->vm->opts->goal[b->place[i].goal];

		if (b->place[i].addr == p->addr && g->action != ACTION_COUNT && g->action != ACTION_LOG)
			return false;
	}
	return true;
}

static int insert(struct place *p)
{
	struct vm *vm = p->all->vm;
	struct vm_break b = {
		.type = VM_BREAK_SW,
		.addr = p->addr,
		.cond = on_hit,
		.cond_ctx = p,
		.machines = true,
		.often = often(p),
	};
	const char *why = NULL;
	int err;

	p->inserted = true;
	err = vm_debug_break_insert(vm->debug, 0, &b, &why);
	if (err < 0)
		log_error("--break %s: %s", vm->opts->goal[p->goal].text, why ? why : strerror(-err));
	return err < 0 ? err : 0;
}

/* Can it be put in as soon as it is resolved? */
static bool stays(const struct place *p)
{
	return !has_symbol(p) || !p->all->vm->opts->kaslr;
}

/* A kernel that moves itself: its breakpoints can be put in once it is found, which is to be early. */
static int wait_for_slide(const struct vm_breaks *b)
{
	const struct options *opts = b->vm->opts;
	int err = 0;

	for (size_t i = 0; i < b->n && !err; i++) {
		if (stays(&b->place[i]))
			continue;
		err = vm_kaslr_early(b->vm);
		if (err)
			log_error("--break %s: with --kaslr, %s", opts->goal[b->place[i].goal].text,
				err == -ENOSPC ? "finding the kernel takes a hardware breakpoint, and none is left"
					       : "this host does not show in time where the kernel has moved");
		break;
	}
	return err;
}

int vm_breaks_insert(struct vm_breaks *b)
{
	int err = 0;

	vm_debug_machines_breaks_clear(b->vm->debug); /* of a machine before this one */
	for (size_t i = 0; i < b->n && !err; i++) {
		if (stays(&b->place[i]) && !(b->late && has_symbol(&b->place[i])))
			err = insert(&b->place[i]) ? STATUS_HOST : 0;
	}
	return err || !wait_for_slide(b) ? err : STATUS_HOST;
}

int vm_breaks_found(struct vm_breaks *b)
{
	struct arch_unpacked at;
	int status = 0;

	if (!b->symbols) {
		log_error("%s: it has unpacked itself, and no table of symbols (CONFIG_KALLSYMS) is in it; "
			  "--symbols FILE has to name its vmlinux",
			b->vm->opts->kernel);
		return STATUS_USAGE;
	}
	/* Its tables do not map it yet; this tells where its addresses lead. */
	if (arch_kernel_unpacked(b->vm, &at)) {
		b->vm->layout.n = 1;
		b->vm->layout.seg[0].va = at.va;
		b->vm->layout.seg[0].pa = at.gpa;
		b->vm->layout.seg[0].len = at.len;
	}
	for (size_t i = 0; i < b->n && !status; i++) {
		struct place *p = &b->place[i];

		if (!has_symbol(p))
			continue;
		status = resolve(p, &b->vm->opts->goal[p->goal]);
		if (!status && insert(p))
			status = STATUS_HOST;
	}
	return status;
}

int vm_breaks_slide(struct vm_breaks *b)
{
	struct vm_slide slide;
	int err = 0;

	vm_kaslr_get(b->vm, &slide);
	if (b->symbols)
		symtab_slide(b->symbols, slide.slide);
	for (size_t i = 0; i < b->n && !err; i++) {
		if (stays(&b->place[i]))
			continue;
		b->place[i].addr += slide.slide;
		err = insert(&b->place[i]) ? STATUS_HOST : 0;
	}
	return err;
}
