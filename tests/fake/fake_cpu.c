/* The vCPUs that execute: each a thread, one-byte instructions, and all that can happen between two of them. */
#include "tests/fake/fake_cpu.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void fake_delay(struct fake_cpu *c)
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

bool fake_leads(const struct fake_cpu *c, uint64_t va, uint64_t *gpa)
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

	return fake_leads(c, va, &gpa) ? __atomic_load_n(&c->m->ram[gpa], __ATOMIC_RELAXED) : 0;
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

static bool kicked(struct fake_cpu *c)
{
	return __atomic_load_n(&c->immediate_exit, __ATOMIC_RELAXED);
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

/* Where the instruction at pc, which has been executed, leads. */
static void go_on(struct fake_cpu *c, uint64_t pc, uint8_t op)
{
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
		while (!kicked(c))
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
			c->blocked = true;
		return stop->kind != VM_STOP_NONE;
	}
	if (op == OP_WRITE && atomic_load(&c->m->nprotected))
		write_data(c);
	fake_leads(c, pc, &gpa);
	c->ran[gpa % FAKE_RAM]++;
	c->count++;
	c->wrote = op == OP_WRITE;
	go_on(c, pc, op);
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

	fake_delay(c);
	a.write = true;
	return vm_debug_event(c->m->debug, c->id, &a) || caught;
}

static void at(struct fake_cpu *c, enum fake_place place)
{
	fake_delay(c);
	if (c->m->at)
		c->m->at(c, place);
}

/* Like KVM_RUN, and what follows an exit. Returns whether a kick has ended it, and nothing else. */
static bool run_guest(struct fake_cpu *c)
{
	struct vm_stop stop;
	bool stopped = false, caught = false;
	unsigned left = c->m->exits;

	atomic_store(&c->inside, 1);
	atomic_fetch_add(&c->entries, 1);
	c->blocked = false;
	while (!stopped && !caught && !c->blocked && !kicked(c) && (!c->m->exits || left--)) {
		if (c->pc == FAKE_CODE(c->id) && atomic_load(&c->offline)) {
			usleep(100); /* a kick ends it */
			continue;
		}
		stopped = execute(c, &stop);
		if (c->m->events && c->wrote)
			caught = events(c);
		c->wrote = false;
		fake_delay(c);
	}
	atomic_store(&c->inside, 0);
	if (!stopped)
		return !caught && !c->blocked && kicked(c);
	at(c, FAKE_TRAPS);
	if (vm_debug_trap(c->m->debug, c->id, &stop) == VM_TRAP_FOREIGN) {
		c->foreign++;
		c->pc += c->m->site && c->pc == c->m->site ? FAKE_SITE_LEN : 1;
	}
	return false;
}

static bool may_enter(void *ctx)
{
	struct fake_cpu *c = ctx;

	if (!vm_debug_checkpoint(c->m->debug, c->id))
		return false;
	at(c, FAKE_MAY_ENTER);
	return true;
}

static bool enter(void *ctx)
{
	struct fake_cpu *c = ctx;
	bool was_kicked = run_guest(c);

	at(c, FAKE_LEFT);
	return was_kicked;
}

void *fake_cpu_thread(void *arg)
{
	struct fake_cpu *c = arg;

	kick_loop(&c->kick, may_enter, enter, c);
	vm_debug_gone(c->m->debug, c->id);
	atomic_store(&c->left, true);
	return NULL;
}
