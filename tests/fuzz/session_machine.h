/*
 * The machine under a fuzzed session: the unit tests' fake one, with all groups of operations. It notes what it was
 * told to do, so that the oracle can say whether a packet did what its reply claims.
 */
#ifndef TESTS_FUZZ_SESSION_MACHINE_H
#define TESTS_FUZZ_SESSION_MACHINE_H

#include <stdlib.h>

#define FAKE_MEM_SIZE                                                                                                  \
	(12u * 1024) /* what is asked for costs time: a dozen replies fill the session's output, not two */
#include "tests/unit/fake_target.h"

#define MACHINE_CATCHES 2

/* What changes the session's state when it succeeds; it fails without a trace. */
enum machine_deed { DEED_NONE, DEED_RESUME, DEED_RESTART, DEED_ATTACH, DEED_DETACH, DEED_KILL, DEED_POWEROFF };

struct machine {
	struct fake fake;
	enum machine_deed deed[8]; /* since the oracle looked last: more than one packet may have waited */
	size_t ndeeds;
	bool unwatched;	    /* no oracle looks */
	bool written;	    /* registers, memory or breakpoints since `before` */
	struct fake before; /* as it was before the first of those */
	struct gdb_catch catches[MACHINE_CATCHES];
};

static inline void machine_note(struct machine *m, enum machine_deed deed)
{
	if (m->ndeeds == sizeof(m->deed) / sizeof(m->deed[0]))
		abort(); /* each of them ends what was done before, so that few fit between two looks */
	if (!m->unwatched)
		m->deed[m->ndeeds++] = deed;
}

static inline void machine_touch(struct machine *m)
{
	if (!m->written)
		m->before = m->fake;
	m->written = true;
}

/* ---- base ---- */

static int machine_resume(void *t, const struct gdb_action *a, size_t n)
{
	int ret = fake_resume(t, a, n);

	if (ret && ret != -ESHUTDOWN)
		return ret;
	machine_note(t, DEED_RESUME);
	return ret;
}

static void machine_detach(void *t)
{
	machine_note(t, DEED_DETACH);
	fake_detach(t);
}

static void machine_kill(void *t)
{
	machine_note(t, DEED_KILL);
	fake_kill(t);
}

/* A value of the flags cannot be: what a G has written before it is taken back. */
static int machine_reg_write(void *t, int cpu, unsigned reg, const void *buf, size_t len)
{
	const uint8_t *value = buf;

	machine_touch(t);
	if (reg == FAKE_FLAGS && value[0] == 0xff)
		return -EINVAL;
	return fake_reg_write(t, cpu, reg, buf, len);
}

static ssize_t machine_mem_write(void *t, int cpu, uint64_t addr, const void *buf, size_t len)
{
	machine_touch(t);
	return fake_mem_write(t, cpu, addr, buf, len);
}

static int machine_insert(void *t, int cpu, enum gdb_break_type type, uint64_t addr, uint32_t kind, const char **why)
{
	machine_touch(t);
	return fake_break_insert(t, cpu, type, addr, kind, why);
}

static int machine_remove(void *t, enum gdb_break_type type, uint64_t addr, uint32_t kind)
{
	machine_touch(t);
	return fake_break_remove(t, type, addr, kind);
}

/* ---- physical memory ---- */

static ssize_t machine_phys_write(void *t, uint64_t gpa, const void *buf, size_t len)
{
	machine_touch(t);
	return fake_phys_write(t, gpa, buf, len);
}

/* With a hole in the middle. */
static int machine_next(void *t, int cpu, uint64_t *va, unsigned *budget, struct mapping *out)
{
	const uint64_t hole = FAKE_MEM_BASE + FAKE_MEM_SIZE / 2;

	if (!*budget)
		return -E2BIG;
	--*budget;
	if (*va < FAKE_MEM_BASE)
		*va = FAKE_MEM_BASE;
	if (*va - hole < FAKE_MEM_SIZE / 4)
		*va = hole + FAKE_MEM_SIZE / 4;
	return fake_translate(t, cpu, *va, out) ? -ENOENT : 0;
}

/* The same in every machine. */
static void *machine_host(void *t, uint64_t gpa)
{
	size_t len = 1;

	return fake_at(t, gpa - FAKE_PHYS_OFF + FAKE_MEM_BASE, &len) ? (void *)(uintptr_t)(gpa << 12) : NULL;
}

/* ---- life, events, chips ---- */

static int machine_restart(void *t)
{
	int ret = fake_restart(t);

	if (!ret || ret == -ESHUTDOWN)
		machine_note(t, DEED_RESTART);
	return ret;
}

static void machine_attach(void *t)
{
	machine_note(t, DEED_ATTACH);
	fake_attach(t);
}

static int machine_poweroff(void *t)
{
	machine_note(t, DEED_POWEROFF);
	return 0;
}

static int machine_nmi(void *t, int cpu)
{
	(void)t;
	return cpu ? -EAGAIN : 0;
}

static int machine_catch(void *t, const struct gdb_catch *c, char *why, size_t len)
{
	struct machine *m = t;

	for (unsigned i = 0; i < MACHINE_CATCHES; i++) {
		if (!m->catches[i].id) {
			m->catches[i] = *c;
			m->catches[i].id = i + 1;
			return (int)i + 1;
		}
	}
	snprintf(why, len, "no more than %d", MACHINE_CATCHES);
	return -ENOSPC;
}

static int machine_catch_remove(void *t, unsigned id)
{
	struct machine *m = t;

	if (id > MACHINE_CATCHES || (id && !m->catches[id - 1].id))
		return -ENOENT;
	for (unsigned i = 0; i < MACHINE_CATCHES; i++) {
		if (!id || id == i + 1)
			m->catches[i].id = 0;
	}
	return 0;
}

static bool machine_catch_get(void *t, size_t i, struct gdb_catch *out)
{
	struct machine *m = t;

	for (size_t k = 0; k < MACHINE_CATCHES; k++) {
		*out = m->catches[k];
		if (out->id && !i--)
			return true;
	}
	return false;
}

static int machine_chip(void *t, int cpu, const char *name, char *buf, size_t len)
{
	(void)t;
	(void)cpu;
	snprintf(buf, len, "%s: as it should be\n", name);
	return strcmp(name, "pic") ? 0 : -ENOENT;
}

static const char *machine_chips(void *t)
{
	(void)t;
	return "lapic, ioapic";
}

/* ---- all together ---- */

static const struct gdb_base_ops machine_base = {
	.ncpus = fake_ncpus,
	.cpu_name = fake_cpu_name,
	.cpu_extra = fake_cpu_extra,
	.reg_read = fake_reg_read,
	.reg_write = machine_reg_write,
	.mem_read = fake_mem_read,
	.mem_write = machine_mem_write,
	.resume = machine_resume,
	.interrupt = fake_interrupt,
	.detach = machine_detach,
	.kill = machine_kill,
};
static const struct gdb_break_ops machine_breaks = {.insert = machine_insert, .remove = machine_remove};
static const struct gdb_phys_ops machine_phys = {.read = fake_phys_read,
	.write = machine_phys_write,
	.translate = fake_translate,
	.next = machine_next,
	.host = machine_host};
static const struct gdb_info_ops machine_info = {.breakpoint = fake_breakpoint,
	.fault = fake_fault,
	.region = fake_region,
	.chip = machine_chip,
	.chips = machine_chips};
static const struct gdb_life_ops machine_life = {.restart = machine_restart,
	.keep = fake_keep,
	.attach = machine_attach,
	.program = fake_program,
	.poweroff = machine_poweroff,
	.nmi = machine_nmi};
static const struct gdb_catch_ops machine_catching = {
	.add = machine_catch, .remove = machine_catch_remove, .get = machine_catch_get};

static inline struct gdb_target machine_target(struct machine *m)
{
	return (struct gdb_target){
		.t = m,
		.arch = &fake_arch,
		.base = &machine_base,
		.breaks = &machine_breaks,
		.phys = &machine_phys,
		.info = &machine_info,
		.life = &machine_life,
		.catches = &machine_catching,
		.slide = &fake_slide_ops,
	};
}

/* As new. */
static inline struct gdb_target machine_reset(struct machine *m)
{
	static struct fake pristine;

	if (!pristine.ncpus)
		fake_target(&pristine);
	m->fake = pristine;
	m->ndeeds = 0;
	m->written = false;
	memset(m->catches, 0, sizeof(m->catches));
	return machine_target(m);
}

/* Not even by a packet that was refused; what the machine remembers of questions is no change of it. */
static inline bool machine_changed(struct machine *m)
{
	if (!m->written)
		return false;
	m->before.last_mem_cpu = m->fake.last_mem_cpu;
	return memcmp(m->before.reg, m->fake.reg, sizeof(m->fake.reg)) ||
	       memcmp(m->before.mem, m->fake.mem, sizeof(m->fake.mem)) ||
	       memcmp(m->before.brk, m->fake.brk, sizeof(m->fake.brk));
}

#endif
