/*
 * A machine made of arrays, for tests of the protocol: an invented ISA, some CPUs, one piece of memory. Everything
 * that the session asks of it is recorded.
 */
#ifndef TESTS_UNIT_FAKE_TARGET_H
#define TESTS_UNIT_FAKE_TARGET_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gdb/target.h"

#define FAKE_CPUS     3
#define FAKE_MEM_BASE 0x10000u
#ifndef FAKE_MEM_SIZE
#define FAKE_MEM_SIZE (256u * 1024)
#endif
#define FAKE_PHYS_OFF 0x8000u /* the virtual address base is at this physical one */
#define FAKE_BREAKS   4

enum { FAKE_R0, FAKE_R1, FAKE_PC, FAKE_SP, FAKE_FLAGS, FAKE_VEC, FAKE_CTL, FAKE_MISSING, FAKE_ABSENT, FAKE_NREGS };

#define FAKE_REG(n, t, g, s, f, d)                                                                                     \
	{                                                                                                              \
		.name = n, .type = t, .group = g, .size = s, .feature = f, .deferred = d                               \
	}
static const struct reg_desc fake_regs[FAKE_NREGS] = {
	FAKE_REG("r0", "int64", "general", 8, 0, false),
	FAKE_REG("r1", "int64", "general", 8, 0, false),
	FAKE_REG("pc", "code_ptr", "general", 8, 0, false),
	FAKE_REG("sp", "data_ptr", "general", 8, 0, false),
	FAKE_REG("flags", "fake_flags", NULL, 4, 0, false),
	FAKE_REG("vec0", "uint128", "vector", 16, 1, false),
	FAKE_REG("ctl", "int64", "system", 8, 1, true),
	FAKE_REG("missing", "int64", "system", 8, 1, true),
	FAKE_REG("absent", "int64", NULL, 8, 2, true),
};
static const struct reg_feature fake_features[] = {
	{.name = "org.minivmm.fake.core",
		.types = "<flags id=\"fake_flags\" size=\"4\"><field name=\"Z\" start=\"0\" end=\"0\"/></flags>"},
	{.name = "org.minivmm.fake.more", .types = ""},
	{.name = "org.minivmm.fake.optional", .types = "", .absent = true},
};
static const unsigned fake_expedite[] = {FAKE_PC, FAKE_SP, FAKE_MISSING};
static const uint8_t fake_brk[] = {0xcc};

static const struct arch_desc fake_arch = {
	.name = "fake",
	.gdb_arch = "fake:64",
	.features = fake_features,
	.nfeatures = 3,
	.regs = fake_regs,
	.nregs = FAKE_NREGS,
	.nregs_g = FAKE_CTL,
	.pc = FAKE_PC,
	.sp = FAKE_SP,
	.expedite = fake_expedite,
	.nexpedite = 3,
	.brk = fake_brk,
	.brk_len = 1,
	.max_reg_size = 16,
};

struct fake_break {
	bool used;
	enum gdb_break_type type;
	uint64_t addr;
	uint32_t kind;
};

struct fake {
	int ncpus;
	uint8_t reg[FAKE_CPUS][FAKE_NREGS][REG_SIZE_MAX];
	uint8_t mem[FAKE_MEM_SIZE];
	struct fake_break brk[FAKE_BREAKS];
	struct gdb_action action[FAKE_CPUS];
	int resumes, interrupts, detaches, kills;
	int resume_result;
	int last_mem_cpu;
	const char *fault;
	int restarts, restart_result, keeps, attaches;
	const char *program;
	struct gdb_slide slide;
	int slide_stop_result;
};

static int fake_ncpus(void *t)
{
	return ((struct fake *)t)->ncpus;
}

static void fake_cpu_name(void *t, int cpu, char *buf, size_t len)
{
	(void)t;
	snprintf(buf, len, "CPU %d", cpu);
}

static void fake_cpu_extra(void *t, int cpu, char *buf, size_t len)
{
	(void)t;
	snprintf(buf, len, "%s", cpu ? "halted <&>" : "stopped");
}

static int fake_reg_read(void *t, int cpu, unsigned reg, void *buf, size_t len)
{
	if (reg == FAKE_MISSING)
		return -ENOENT;
	memcpy(buf, ((struct fake *)t)->reg[cpu][reg], len);
	return 0;
}

static int fake_reg_write(void *t, int cpu, unsigned reg, const void *buf, size_t len)
{
	const uint8_t *value = buf;

	if (reg == FAKE_MISSING)
		return -ENOENT;
	if (reg == FAKE_CTL && value[0] == 0xff)
		return -EINVAL;
	memcpy(((struct fake *)t)->reg[cpu][reg], buf, len);
	return 0;
}

static void *fake_at(struct fake *f, uint64_t addr, size_t *len)
{
	if (addr < FAKE_MEM_BASE || addr >= FAKE_MEM_BASE + FAKE_MEM_SIZE)
		return NULL;
	if (*len > FAKE_MEM_BASE + FAKE_MEM_SIZE - addr)
		*len = FAKE_MEM_BASE + FAKE_MEM_SIZE - addr;
	return f->mem + (addr - FAKE_MEM_BASE);
}

static ssize_t fake_mem_read(void *t, int cpu, uint64_t addr, void *buf, size_t len)
{
	void *from = fake_at(t, addr, &len);

	((struct fake *)t)->last_mem_cpu = cpu;
	if (!from)
		return -EFAULT;
	memcpy(buf, from, len);
	return (ssize_t)len;
}

static ssize_t fake_mem_write(void *t, int cpu, uint64_t addr, const void *buf, size_t len)
{
	void *to = fake_at(t, addr, &len);

	((struct fake *)t)->last_mem_cpu = cpu;
	if (!to)
		return -EFAULT;
	memcpy(to, buf, len);
	return (ssize_t)len;
}

static int fake_resume(void *t, const struct gdb_action *a, size_t n)
{
	struct fake *f = t;

	if (f->resume_result)
		return f->resume_result;
	memcpy(f->action, a, n * sizeof(*a));
	f->resumes++;
	return 0;
}

static void fake_interrupt(void *t)
{
	((struct fake *)t)->interrupts++;
}

static void fake_detach(void *t)
{
	((struct fake *)t)->detaches++;
}

static void fake_kill(void *t)
{
	((struct fake *)t)->kills++;
}

static int fake_break_insert(void *t, int cpu, enum gdb_break_type type, uint64_t addr, uint32_t kind, const char **why)
{
	struct fake *f = t;
	size_t len = 1;

	(void)cpu;
	if (!fake_at(f, addr, &len)) {
		*why = "nothing is mapped there";
		return -EFAULT;
	}
	for (int i = 0; i < FAKE_BREAKS; i++) {
		if (!f->brk[i].used) {
			f->brk[i] = (struct fake_break){true, type, addr, kind};
			return 0;
		}
	}
	*why = "no slot is left";
	return -ENOSPC;
}

static int fake_break_remove(void *t, enum gdb_break_type type, uint64_t addr, uint32_t kind)
{
	struct fake *f = t;

	for (int i = 0; i < FAKE_BREAKS; i++) {
		struct fake_break *b = &f->brk[i];

		if (b->used && b->type == type && b->addr == addr && b->kind == kind) {
			b->used = false;
			return 0;
		}
	}
	return -ENOENT;
}

static ssize_t fake_phys_read(void *t, uint64_t gpa, void *buf, size_t len)
{
	return fake_mem_read(t, -1, gpa - FAKE_PHYS_OFF + FAKE_MEM_BASE, buf, len);
}

static ssize_t fake_phys_write(void *t, uint64_t gpa, const void *buf, size_t len)
{
	return fake_mem_write(t, -1, gpa - FAKE_PHYS_OFF + FAKE_MEM_BASE, buf, len);
}

static int fake_translate(void *t, int cpu, uint64_t va, struct mapping *out)
{
	size_t len = 0x1000 - (va & 0xfff);

	(void)cpu;
	if (!fake_at(t, va, &len))
		return -EFAULT;
	*out = (struct mapping){.gpa = va - FAKE_MEM_BASE + FAKE_PHYS_OFF, .len = len, .writable = true};
	return 0;
}

static bool fake_region(void *t, size_t i, struct region *out)
{
	static const struct region regions[] = {
		{REGION_RAM, false, FAKE_PHYS_OFF, FAKE_MEM_SIZE, "ram"},
		{REGION_DEVICE, false, 0x90000, 0x1000, "device"},
		{REGION_RAM, false, 0x100000, 0x2000, "ram"},
	};

	(void)t;
	if (i < sizeof(regions) / sizeof(regions[0]))
		*out = regions[i];
	return i < sizeof(regions) / sizeof(regions[0]);
}

static bool fake_breakpoint(void *t, size_t i, char *buf, size_t len)
{
	struct fake *f = t;

	if (i >= FAKE_BREAKS || !f->brk[i].used)
		return false;
	snprintf(buf, len, "breakpoint %zu at 0x%llx", i, (unsigned long long)f->brk[i].addr);
	return true;
}

static void fake_fault(void *t, char *buf, size_t len)
{
	const struct fake *f = t;

	snprintf(buf, len, "%s", f->fault ? f->fault : "");
}

static int fake_restart(void *t)
{
	struct fake *f = t;

	if (f->restart_result)
		return f->restart_result;
	f->restarts++;
	return 0;
}

static void fake_keep(void *t)
{
	((struct fake *)t)->keeps++;
}

static void fake_attach(void *t)
{
	((struct fake *)t)->attaches++;
}

static const char *fake_program(void *t)
{
	return ((struct fake *)t)->program;
}

static int fake_slide_get(void *t, struct gdb_slide *out)
{
	*out = ((struct fake *)t)->slide;
	return 0;
}

static int fake_slide_stop(void *t)
{
	return ((struct fake *)t)->slide_stop_result;
}

static const struct gdb_base_ops fake_base_ops = {
	.ncpus = fake_ncpus,
	.cpu_name = fake_cpu_name,
	.cpu_extra = fake_cpu_extra,
	.reg_read = fake_reg_read,
	.reg_write = fake_reg_write,
	.mem_read = fake_mem_read,
	.mem_write = fake_mem_write,
	.resume = fake_resume,
	.interrupt = fake_interrupt,
	.detach = fake_detach,
	.kill = fake_kill,
};
static const struct gdb_break_ops fake_break_ops = {.insert = fake_break_insert, .remove = fake_break_remove};
static const struct gdb_phys_ops fake_phys_ops = {
	.read = fake_phys_read, .write = fake_phys_write, .translate = fake_translate};
static const struct gdb_slide_ops fake_slide_ops = {.get = fake_slide_get, .stop = fake_slide_stop};
static const struct gdb_info_ops fake_info_ops = {
	.breakpoint = fake_breakpoint, .fault = fake_fault, .region = fake_region};

static const struct gdb_life_ops fake_life_ops = {
	.restart = fake_restart, .keep = fake_keep, .attach = fake_attach, .program = fake_program};

/* Registers get recognisable values: 0x11 * (cpu + 1) in each byte of r0, and so on. */
static inline struct gdb_target fake_target(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->ncpus = FAKE_CPUS;
	for (int cpu = 0; cpu < FAKE_CPUS; cpu++) {
		for (int reg = 0; reg < FAKE_NREGS; reg++)
			memset(f->reg[cpu][reg], 0x10 * (cpu + 1) + reg, fake_regs[reg].size);
	}
	for (size_t i = 0; i < FAKE_MEM_SIZE; i++)
		f->mem[i] = (uint8_t)(i * 7 + (i >> 8));
	return (struct gdb_target){
		.t = f,
		.arch = &fake_arch,
		.base = &fake_base_ops,
		.breaks = &fake_break_ops,
		.phys = &fake_phys_ops,
		.info = &fake_info_ops,
		.life = &fake_life_ops,
		.slide = &fake_slide_ops,
	};
}

#endif
