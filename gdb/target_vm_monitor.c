/* Groups of ops behind the monitor's commands: each is one step down, to vmm/debug.h. */
#include "gdb/target_vm_monitor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int target_vm_next(void *t, int cpu, uint64_t *va, unsigned *budget, struct mapping *out)
{
	return vm_debug_next_mapping(target_vm_debug(t), cpu, va, budget, out);
}

void *target_vm_host(void *t, uint64_t gpa)
{
	return vm_debug_host_address(target_vm_debug(t), gpa);
}

bool target_vm_region(void *t, size_t i, struct region *out)
{
	return vm_debug_region(target_vm_debug(t), i, out);
}

int target_vm_chip(void *t, int cpu, const char *name, char *buf, size_t len)
{
	return vm_debug_chip_text(target_vm_debug(t), cpu, name, buf, len);
}

const char *target_vm_chips(void *t)
{
	return vm_debug_chips(target_vm_debug(t));
}

/* ---- life ---- */

int target_vm_poweroff(void *t)
{
	return vm_debug_poweroff(target_vm_debug(t));
}

int target_vm_nmi(void *t, int cpu)
{
	return vm_debug_nmi(target_vm_debug(t), cpu);
}

/* ---- catches ---- */

static const enum vm_catch_kind kinds[] = {
	[GDB_CATCH_PANIC] = VM_CATCH_PANIC,
	[GDB_CATCH_TRIPLE_FAULT] = VM_CATCH_TRIPLE_FAULT,
	[GDB_CATCH_RESET] = VM_CATCH_RESET,
	[GDB_CATCH_MMIO] = VM_CATCH_MMIO,
	[GDB_CATCH_IO] = VM_CATCH_IO,
	[GDB_CATCH_MSR] = VM_CATCH_MSR,
};

static int op_catch_add(void *t, const struct gdb_catch *c, char *why, size_t len)
{
	struct vm_catch vc = {.kind = kinds[c->kind], .addr = c->addr, .len = c->len};

	return vm_debug_catch_add(target_vm_debug(t), &vc, why, len);
}

static int op_catch_remove(void *t, unsigned id)
{
	return vm_debug_catch_remove(target_vm_debug(t), id);
}

static bool op_catch_get(void *t, size_t i, struct gdb_catch *out)
{
	struct vm_catch c;

	if (!vm_debug_catch_get(target_vm_debug(t), i, &c))
		return false;
	*out = (struct gdb_catch){.addr = c.addr, .len = c.len, .id = c.id};
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (kinds[k] == c.kind)
			out->kind = (enum gdb_catch_kind)k;
	}
	return true;
}

const struct gdb_catch_ops target_vm_catch_ops = {
	.add = op_catch_add,
	.remove = op_catch_remove,
	.get = op_catch_get,
};

/* ---- the stop ---- */

void target_vm_event_stop(int cpu, const struct vm_access *a, struct gdb_stop *stop)
{
	uint64_t value = a->size >= sizeof(a->value) ? a->value : a->value & ((1ull << a->size * 8) - 1);
	const char *where = a->kind == VM_CATCH_IO ? "port " : a->kind == VM_CATCH_MSR ? "MSR " : "address ";
	const char *what = a->kind == VM_CATCH_IO ? "io" : a->kind == VM_CATCH_MSR ? "msr" : "mmio";
	char times[32] = "";

	stop->signo = GDB_SIGNAL_USR1;
	if (a->kind == VM_CATCH_RESET) {
		stop->signo = GDB_SIGNAL_PWR;
		snprintf(stop->text, sizeof(stop->text),
			"caught reset: CPU %d resets the machine, which happens when it is resumed", cpu);
		return;
	}
	if (a->count > 1)
		snprintf(times, sizeof(times), ", the first of %u", a->count);
	snprintf(stop->text, sizeof(stop->text), "caught %s: CPU %d %s 0x%0*llx (%u byte%s%s) %s %s0x%llx%s", what, cpu,
		a->write ? "wrote" : "read", (int)a->size * 2, (unsigned long long)value, a->size,
		a->size == 1 ? "" : "s", times, a->write ? "to" : "from", where, (unsigned long long)a->addr,
		a->refused ? ": refused, the guest gets #GP" : "");
}
