/* The machine around the vCPUs: struct vm_debug_machine, its memory and its life. */
#include "tests/fake/fake_machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/fake_cpu.h"
#include "tests/fake/fake_life.h"

static const struct reg_feature features[] = {
	{.name = "org.minivmm.fake", .types = ""},
	{.name = "org.minivmm.fake.optional", .types = "", .absent = true},
};
static const struct reg_desc regs[] = {
	[FAKE_PC] = {"pc", "code_ptr", NULL, 8, 0, false},
	[FAKE_SP] = {"sp", "data_ptr", NULL, 8, 0, false},
	[FAKE_COUNT] = {"count", "int64", NULL, 8, 0, false},
	[FAKE_DEFERRED] = {"deferred", "int64", "system", 8, 0, true},
	[FAKE_ABSENT] = {"absent", "int64", "system", 8, 1, true},
};
static const unsigned expedite[] = {FAKE_PC, FAKE_SP};
static const uint8_t brk[] = {OP_BREAK};

const struct arch_desc fake_arch = {
	.name = "fake",
	.gdb_arch = "fake",
	.features = features,
	.nfeatures = 2,
	.regs = regs,
	.nregs = FAKE_NREGS,
	.nregs_g = 3,
	.pc = FAKE_PC,
	.sp = FAKE_SP,
	.expedite = expedite,
	.nexpedite = 2,
	.brk = brk,
	.brk_len = 1,
	.max_reg_size = 8,
};

/* ---- struct vm_debug_machine ---- */

static void op_kick(void *ctx, int cpu)
{
	struct fake_machine *m = ctx;

	atomic_fetch_add(&m->kicks, 1);
	kick_send(&m->cpu[cpu].kick);
}

static int op_quiesce(void *ctx, int cpu, struct vm_stop *late)
{
	struct fake_machine *m = ctx;

	(void)late;
	fake_delay(&m->cpu[cpu]);
	/* As finishing an access does, which may swallow a kick. */
	__atomic_store_n(&m->cpu[cpu].immediate_exit, 0, __ATOMIC_RELAXED);
	return 0;
}

static int op_arm(void *ctx, int cpu, const struct hw_slots *slots, enum vm_arm how)
{
	struct fake_machine *m = ctx;
	struct fake_cpu *c = &m->cpu[cpu];
	bool refused = how == VM_ARM_LET_IN && c->closed;

	if (slots && slots->n > m->hw_slots) {
		c->overfull++;
		if (!vm_debug_fault(m->debug, cpu, VM_FAULT_KVM, c->pc, "no such debug registers"))
			vm_debug_exit(m->debug, FAKE_FAILED);
		return -ENOSPC; /* and what was armed before still is */
	}
	c->slots = slots;
	c->how = refused ? VM_ARM_STEP : how;
	c->arms++;
	if (c->how == VM_ARM_LET_IN) {
		c->let_ins++;
		c->home = c->pc;
		if (c->timer)
			atomic_store(&c->irqs, 1);
	}
	fake_delay(c);
	return refused;
}

static void op_resumed(void *ctx, int cpu)
{
	struct fake_machine *m = ctx;

	(void)cpu;
	atomic_fetch_add(&m->resumed, 1);
}

static uint64_t *reg_of(struct fake_cpu *c, unsigned regno)
{
	switch (regno) {
	case FAKE_PC:
		return &c->pc;
	case FAKE_SP:
		return &c->ret;
	case FAKE_COUNT:
		return &c->count;
	default:
		return &c->deferred;
	}
}

static int op_reg_read(void *ctx, int cpu, unsigned regno, void *buf, size_t len)
{
	struct fake_cpu *c = &((struct fake_machine *)ctx)->cpu[cpu];

	if (fake_arch.regs[regno].deferred && !pthread_equal(pthread_self(), c->thread))
		return -EIO; /* the contract is broken: tests see it */
	memcpy(buf, reg_of(c, regno), len);
	return 0;
}

static int op_reg_write(void *ctx, int cpu, unsigned regno, const void *buf, size_t len)
{
	struct fake_cpu *c = &((struct fake_machine *)ctx)->cpu[cpu];

	if (fake_arch.regs[regno].deferred && !pthread_equal(pthread_self(), c->thread))
		return -EIO;
	memcpy(reg_of(c, regno), buf, len);
	return 0;
}

static uint64_t op_pc(void *ctx, int cpu)
{
	return ((struct fake_machine *)ctx)->cpu[cpu].pc;
}

static int op_translate(void *ctx, int cpu, uint64_t va, struct mapping *out)
{
	uint64_t gpa;

	if (!fake_leads(&((struct fake_machine *)ctx)->cpu[cpu], va, &gpa))
		return -EFAULT;
	*out = (struct mapping){.gpa = gpa, .len = 0x1000 - (va & 0xfff), .user = va - FAKE_USER < FAKE_PAGE};
	return 0;
}

static uint64_t op_space(void *ctx, int cpu, uint64_t va)
{
	return va - FAKE_USER < FAKE_PAGE ? ((struct fake_machine *)ctx)->cpu[cpu].space : VM_SPACE_SHARED;
}

static size_t op_patch_site(void *ctx, int cpu, const uint8_t *bytes, size_t n)
{
	(void)ctx;
	(void)cpu;
	return n >= FAKE_SITE_LEN && (bytes[0] == OP_SITE || bytes[0] == OP_SITE2) ? FAKE_SITE_LEN : 0;
}

static int op_layout(void *ctx, uint64_t va, struct mapping *out)
{
	(void)ctx;
	if (va - FAKE_LAYOUT >= FAKE_RAM)
		return -ENOENT;
	*out = (struct mapping){.gpa = va - FAKE_LAYOUT, .len = FAKE_RAM - (va - FAKE_LAYOUT)};
	return 0;
}

static void *op_ram(void *ctx, uint64_t gpa, uint64_t *len)
{
	struct fake_machine *m = ctx;

	if (gpa >= FAKE_RAM)
		return NULL;
	*len = FAKE_RAM - gpa;
	return &m->ram[gpa];
}

static int op_slots_check(void *ctx, const struct hw_slots *slots)
{
	struct fake_machine *m = ctx;

	for (unsigned i = 0; i < slots->n; i++) {
		if (m->no_data_slots && slots->slot[i].kind != HW_EXEC)
			return -EOPNOTSUPP;
	}
	return slots->n <= m->hw_slots ? 0 : -ENOSPC;
}

static enum vm_swbreak op_swbreak(void *ctx, int cpu)
{
	(void)cpu;
	return ((struct fake_machine *)ctx)->hw_only ? VM_SWBREAK_HW : VM_SWBREAK_PLANT;
}

static int op_protect(void *ctx, const uint64_t *pages, size_t n, bool lifted)
{
	struct fake_machine *m = ctx;

	for (int i = 0; i < m->ncpus; i++) {
		if (atomic_load(&m->cpu[i].inside))
			abort();
	}
	for (size_t i = 0; i < n; i++) {
		if (pages[i] % FAKE_PAGE || (i && pages[i] <= pages[i - 1]))
			abort();
	}
	atomic_fetch_add(lifted ? &m->lifts : &m->protects, 1);
	atomic_store(&m->nprotected, n);
	atomic_store(&m->lifted, lifted);
	return 0;
}

static const char *op_page_busy(void *ctx, int cpu, const uint64_t *pages, size_t n)
{
	struct fake_machine *m = ctx;

	(void)pages;
	(void)n;
	return pthread_equal(pthread_self(), m->cpu[cpu].thread) ? m->busy : "not the own thread";
}

static void op_state_text(void *ctx, int cpu, char *buf, size_t len)
{
	(void)ctx;
	snprintf(buf, len, "fake %d", cpu);
}

static int op_catch_check(void *ctx, const struct vm_catch *c, char *why, size_t len)
{
	(void)ctx;
	if (c->addr != FAKE_RAM)
		return 0;
	snprintf(why, len, "not here");
	return -EINVAL;
}

static int op_catch_msrs(void *ctx, const uint32_t *msrs, size_t n)
{
	(void)msrs;
	((struct fake_machine *)ctx)->nmsrs = (unsigned)n;
	return n > 2 ? -ENOSPC : 0;
}

static void op_flush(void *ctx)
{
	((struct fake_machine *)ctx)->flushes++;
}

static void op_kill(void *ctx)
{
	struct fake_machine *m = ctx;

	atomic_fetch_add(&m->killed, 1);
	fake_exit(m, 14);
}

static void op_hangup(void *ctx)
{
	struct fake_machine *m = ctx;

	vm_debug_quit(m->debug, m->life ? fake_life_end_status(m) : 14);
	fake_life_ring(m, false);
}

static void op_restart(void *ctx)
{
	fake_life_ring(ctx, true);
}

static void write_code(struct fake_machine *m, int cpu)
{
	uint8_t *code = &m->ram[FAKE_CODE(cpu)];

	memset(code, OP_WORK, FAKE_LOOP_LEN);
	code[4] = OP_CALL;
	code[8] = OP_WRITE;
	code[FAKE_LOOP_LEN - 1] = OP_JUMP;
}

void fake_reset(struct fake_machine *m)
{
	memset(m->ram, 0, sizeof(m->ram));
	memset(&m->ram[FAKE_SHARED], OP_WORK, 8);
	m->ram[FAKE_SHARED + 7] = OP_RET;
	memset(&m->ram[FAKE_HANDLER], OP_WORK, 8);
	m->ram[FAKE_HANDLER + 3] = OP_CALL;
	m->ram[FAKE_HANDLER + 7] = OP_IRET;
	for (int i = 0; i < m->ncpus; i++) {
		struct fake_cpu *c = &m->cpu[i];

		*c = (struct fake_cpu){.m = m, .id = i, .pc = FAKE_CODE(i), .seed = (unsigned)i + 1};
		c->kick.immediate_exit = &c->immediate_exit;
		write_code(m, i);
	}
}

static struct fake_machine *new_machine(const struct arch_desc *arch, int ncpus, bool start_stopped, bool delays)
{
	struct fake_machine *m = calloc(1, sizeof(*m));
	struct vm_debug_machine ops = {
		.arch = arch,
		.ctx = m,
		.ncpus = ncpus,
		.kick = op_kick,
		.quiesce = op_quiesce,
		.arm = op_arm,
		.resumed = op_resumed,
		.reg_read = op_reg_read,
		.reg_write = op_reg_write,
		.pc = op_pc,
		.translate = op_translate,
		.space = op_space,
		.patch_site = op_patch_site,
		.layout = op_layout,
		.ram = op_ram,
		.slots_check = op_slots_check,
		.swbreak = op_swbreak,
		.page_size = FAKE_PAGE,
		.protect = op_protect,
		.page_busy = op_page_busy,
		.state_text = op_state_text,
		.catch_check = op_catch_check,
		.catch_msrs = op_catch_msrs,
		.flush = op_flush,
		.kill = op_kill,
		.hangup = op_hangup,
		.restart = op_restart,
		.program = "fake.elf",
	};

	if (!m || kick_init())
		abort();
	m->ncpus = ncpus;
	m->delays = delays;
	m->watch_before = arch->watch_before;
	m->hw_slots = 4;
	fake_reset(m);
	m->debug = vm_debug_new(&ops, start_stopped);
	if (!m->debug)
		abort();
	return m;
}

struct fake_machine *fake_new(int ncpus, bool start_stopped, bool delays)
{
	return new_machine(&fake_arch, ncpus, start_stopped, delays);
}

struct fake_machine *fake_new_watch_before(int ncpus, bool start_stopped, bool delays)
{
	static struct arch_desc arch;

	arch = fake_arch;
	arch.watch_before = true;
	return new_machine(&arch, ncpus, start_stopped, delays);
}

void fake_start(struct fake_machine *m)
{
	for (int i = 0; i < m->ncpus; i++) {
		if (pthread_create(&m->cpu[i].thread, NULL, fake_cpu_thread, &m->cpu[i]))
			abort();
	}
}

void fake_join(struct fake_machine *m)
{
	for (int i = 0; i < m->ncpus; i++)
		pthread_join(m->cpu[i].thread, NULL);
}

void fake_stop(struct fake_machine *m)
{
	vm_debug_exit(m->debug, 0);
	fake_join(m);
}

void fake_free(struct fake_machine *m)
{
	vm_debug_free(m->debug);
	free(m);
}

void fake_end(struct fake_machine *m)
{
	fake_stop(m);
	fake_free(m);
}
