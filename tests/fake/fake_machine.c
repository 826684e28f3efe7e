#include "tests/fake/fake_machine.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void delay(struct fake_cpu *c)
{
	struct timespec ts = {0, 0};

	if (!c->m->delays)
		return;
	switch (rand_r(&c->seed) % 16) {
	case 0:
		ts.tv_nsec = rand_r(&c->seed) % 40000;
		nanosleep(&ts, NULL);
		break;
	case 1:
	case 2:
		sched_yield();
		break;
	default:
		break;
	}
}

/* Where an address leads for this vCPU. */
static bool leads(const struct fake_cpu *c, uint64_t va, uint64_t *gpa)
{
	unsigned page;

	if (va - FAKE_USER < FAKE_PAGE || va - FAKE_MODULE < FAKE_PAGE) {
		page = atomic_load(va < FAKE_HIGH ? &c->m->user[c->space] : &c->m->module);
		*gpa = page + va % FAKE_PAGE;
		return page;
	}
	*gpa = va % FAKE_RAM;
	return va < FAKE_RAM || (va - FAKE_HIGH < FAKE_RAM && !c->m->unmapped);
}

/* Atomic, because a real CPU's accesses race with the debugger's as well and never tear a byte. */
static uint8_t fetch(struct fake_cpu *c, uint64_t va)
{
	uint64_t gpa;

	return leads(c, va, &gpa) ? __atomic_load_n(&c->m->ram[gpa], __ATOMIC_RELAXED) : 0;
}

static void store(struct fake_machine *m, uint64_t gpa, uint8_t byte)
{
	__atomic_store_n(&m->ram[gpa], byte, __ATOMIC_RELAXED);
}

/* As Linux patches code that others may be executing: a breakpoint, the tail, the first byte. */
static void poke(struct fake_cpu *c)
{
	unsigned version = c->poke / 3 % 2; /* 0: from the first to the second */
	uint8_t tail = version ? 1 : 2;

	switch (c->poke++ % 3) {
	case 0:
		store(c->m, c->m->site, OP_BREAK);
		break;
	case 1:
		store(c->m, c->m->site + 1, tail);
		store(c->m, c->m->site + 2, tail);
		break;
	default:
		store(c->m, c->m->site, version ? OP_SITE : OP_SITE2);
		break;
	}
}

/* The rest of a site is looked at, not just skipped. */
static void site(struct fake_cpu *c, uint64_t pc, uint8_t op)
{
	uint8_t want = op == OP_SITE ? 1 : 2;

	c->torn += fetch(c, pc + 1) != want || fetch(c, pc + 2) != want;
	c->pc = pc + FAKE_SITE_LEN;
}

static const struct hw_slot *slot_hit(const struct fake_cpu *c, enum hw_kind kind, uint64_t addr)
{
	for (unsigned i = 0; c->slots && i < c->slots->n; i++) {
		const struct hw_slot *s = &c->slots->slot[i];

		if (addr - s->addr < s->len && (s->kind == kind || (s->kind == HW_ACCESS && kind != HW_EXEC)))
			return s;
	}
	return NULL;
}

static bool let_in(const struct fake_cpu *c)
{
	return c->how == VM_ARM_LET_IN || c->how == VM_ARM_LET_IN_ON;
}

/* It may race with others, as in a guest; never an OP_BREAK. */
static void write_data(struct fake_cpu *c)
{
	uint8_t *data = &c->m->ram[FAKE_DATA];

	__atomic_store_n(data, (__atomic_load_n(data, __ATOMIC_RELAXED) + 1) & 0x7f, __ATOMIC_RELAXED);
}

/* OP_WRITE to a protected page. Returns whether the instruction is still to come; *watched: that is due afterwards. */
static bool write_traps(struct fake_cpu *c, struct vm_stop *stop, bool *watched)
{
	struct fake_machine *m = c->m;
	struct vm_stop hit;

	if (!atomic_load(&m->nprotected) || atomic_load(&m->lifted))
		return false;
	if (m->undecoded) {
		if (!vm_debug_lift(m->debug, c->id, 1))
			abort();
		return true;
	}
	if (!vm_debug_watched(m->debug, c->id, FAKE_DATA, 1, &hit))
		return false;
	hit.pc = stop->pc;
	*stop = hit;
	if (!m->watch_before)
		stop->kind = VM_STOP_NONE;
	*watched = true;
	return m->watch_before;
}

/* One instruction. Returns whether *stop was filled. */
static bool execute(struct fake_cpu *c, struct vm_stop *stop)
{
	uint64_t pc = c->pc;
	bool watched;
	uint8_t op = fetch(c, pc);
	uint64_t gpa = 0;

	*stop = (struct vm_stop){.kind = VM_STOP_NONE, .pc = pc};
	if (!c->in_handler && c->how != VM_ARM_STEP && !c->closed && atomic_load(&c->irqs) > 0) {
		atomic_fetch_sub(&c->irqs, 1);
		c->in_handler = true;
		c->irq_pc = pc;
		c->irq_ret = c->ret;
		c->pc = FAKE_HANDLER;
		return false;
	}
	if (let_in(c) && pc == c->home && !c->in_handler) {
		stop->kind = VM_STOP_STEPPED;
		return true;
	}
	if (slot_hit(c, HW_EXEC, pc)) {
		stop->kind = VM_STOP_HWBREAK;
		return true;
	}
	if (op == OP_BREAK || op == OP_BREAK_FOREIGN) {
		stop->kind = VM_STOP_SWBREAK;
		stop->foreign = op == OP_BREAK_FOREIGN;
		return true;
	}
	if (op == OP_WAIT && c->how != VM_ARM_STEP) {
		while (!atomic_load(&c->kicked))
			sched_yield();
		return false;
	}
	stop->access = HW_WRITE;
	stop->addr = FAKE_DATA;
	watched = op == OP_WRITE && slot_hit(c, HW_WRITE, FAKE_DATA);
	if (watched && c->m->watch_before) {
		stop->kind = VM_STOP_WATCH;
		return true;
	}
	if (op == OP_WRITE && write_traps(c, stop, &watched)) {
		if (stop->kind == VM_STOP_NONE)
			atomic_store(&c->kicked, true); /* back to the checkpoint */
		return stop->kind != VM_STOP_NONE;
	}
	if (op == OP_WRITE && atomic_load(&c->m->nprotected))
		write_data(c);
	leads(c, pc, &gpa);
	c->ran[gpa % FAKE_RAM]++;
	c->count++;
	c->wrote = op == OP_WRITE;
	c->pc = pc + 1;
	if (op == OP_CALL) {
		c->ret = c->pc;
		c->pc = FAKE_SHARED;
	} else if (op == OP_RET) {
		c->pc = c->ret;
	} else if (op == OP_IRET) {
		c->pc = c->irq_pc;
		c->ret = c->irq_ret;
		c->in_handler = false;
	} else if (op == OP_JUMP || (op == OP_UNTIL && c->ran[FAKE_HANDLER + 7] < c->enough)) {
		c->pc = FAKE_CODE(c->id);
	} else if (op == OP_FAR && fetch(c, c->far)) {
		c->ret = c->pc;
		c->pc = c->far;
	} else if (op == OP_SITE || op == OP_SITE2) {
		site(c, pc, op);
	} else if (op == OP_POKE) {
		poke(c);
	} else if (op == 0) { /* its page is gone */
		c->pc = FAKE_CODE(c->id);
	}
	if (c->how == VM_ARM_STEP)
		stop->kind = VM_STOP_STEPPED;
	if (watched)
		stop->kind = VM_STOP_WATCH;
	stop->pc = c->pc;
	return stop->kind != VM_STOP_NONE;
}

/* Both accesses of one instruction. */
static bool events(struct fake_cpu *c)
{
	struct vm_access a = {.kind = VM_CATCH_MMIO, .addr = FAKE_DATA, .size = 4, .count = 1, .value = c->writes++};
	bool caught = vm_debug_event(c->m->debug, c->id, &a);

	delay(c);
	a.write = true;
	return vm_debug_event(c->m->debug, c->id, &a) || caught;
}

static void run_guest(struct fake_cpu *c)
{
	struct vm_stop stop;
	bool stopped = false, caught = false;
	unsigned left = c->m->exits;

	atomic_store(&c->inside, 1);
	while (!stopped && !caught && !atomic_load(&c->kicked) && (!c->m->exits || left--)) {
		stopped = execute(c, &stop);
		if (c->m->events && c->wrote)
			caught = events(c);
		c->wrote = false;
		delay(c);
	}
	atomic_store(&c->inside, 0);
	atomic_store(&c->kicked, false);
	if (!stopped)
		return;
	delay(c);
	if (vm_debug_trap(c->m->debug, c->id, &stop) == VM_TRAP_FOREIGN) {
		c->foreign++;
		c->pc += c->m->site && c->pc == c->m->site ? FAKE_SITE_LEN : 1;
	}
}

static void *cpu_thread(void *arg)
{
	struct fake_cpu *c = arg;

	while (vm_debug_checkpoint(c->m->debug, c->id)) {
		delay(c);
		run_guest(c);
	}
	vm_debug_gone(c->m->debug, c->id);
	return NULL;
}

/* ---- struct vm_debug_machine ---- */

static void op_kick(void *ctx, int cpu)
{
	struct fake_machine *m = ctx;

	atomic_store(&m->cpu[cpu].kicked, true);
}

static int op_quiesce(void *ctx, int cpu, struct vm_stop *late)
{
	struct fake_machine *m = ctx;

	(void)late;
	delay(&m->cpu[cpu]);
	return 0;
}

static int op_arm(void *ctx, int cpu, const struct hw_slots *slots, enum vm_arm how)
{
	struct fake_cpu *c = &((struct fake_machine *)ctx)->cpu[cpu];
	bool refused = how == VM_ARM_LET_IN && c->closed;

	if (slots && slots->n > ((struct fake_machine *)ctx)->hw_slots) {
		c->overfull++;
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
	delay(c);
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

	if (!leads(&((struct fake_machine *)ctx)->cpu[cpu], va, &gpa))
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
		.kill = op_kill,
		.hangup = op_hangup,
		.restart = op_restart,
		.program = "fake.elf",
	};

	if (!m)
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
		if (pthread_create(&m->cpu[i].thread, NULL, cpu_thread, &m->cpu[i]))
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
