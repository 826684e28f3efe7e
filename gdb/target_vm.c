#include "gdb/target_vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb/session.h"
#include "gdb/target_vm_monitor.h"

struct target_vm {
	struct vm_debug *debug;
	struct vm_action *actions; /* one for each CPU: scratch of resume */
	bool attached;
	bool ended; /* EXITED was seen, or the machine was killed: no more to detach from */
	bool over;  /* and the process ends with it */
	int status; /* of its end */
};

struct vm_debug *target_vm_debug(void *t)
{
	return ((struct target_vm *)t)->debug;
}

/* ---- base ops ---- */

static int op_ncpus(void *t)
{
	return vm_debug_ncpus(((struct target_vm *)t)->debug);
}

static void op_cpu_name(void *t, int cpu, char *buf, size_t len)
{
	(void)t;
	snprintf(buf, len, "CPU %d", cpu);
}

static void op_cpu_extra(void *t, int cpu, char *buf, size_t len)
{
	vm_debug_state_text(((struct target_vm *)t)->debug, cpu, buf, len);
}

static int op_reg_read(void *t, int cpu, unsigned reg, void *buf, size_t len)
{
	return vm_debug_reg_read(((struct target_vm *)t)->debug, cpu, reg, buf, len);
}

static int op_reg_write(void *t, int cpu, unsigned reg, const void *buf, size_t len)
{
	return vm_debug_reg_write(((struct target_vm *)t)->debug, cpu, reg, buf, len);
}

static ssize_t op_mem_read(void *t, int cpu, uint64_t addr, void *buf, size_t len)
{
	return vm_debug_mem_read(((struct target_vm *)t)->debug, cpu, addr, buf, len);
}

static ssize_t op_mem_write(void *t, int cpu, uint64_t addr, const void *buf, size_t len)
{
	return vm_debug_mem_write(((struct target_vm *)t)->debug, cpu, addr, buf, len);
}

static int op_resume(void *t, const struct gdb_action *a, size_t n)
{
	static const enum vm_action_kind kinds[] = {
		[GDB_STAY] = VM_STAY,
		[GDB_CONT] = VM_CONT,
		[GDB_STEP] = VM_STEP,
		[GDB_STEP_RANGE] = VM_STEP_RANGE,
	};
	struct target_vm *tv = t;

	for (size_t i = 0; i < n; i++)
		tv->actions[i] = (struct vm_action){.kind = kinds[a[i].kind], .lo = a[i].lo, .hi = a[i].hi};
	return vm_debug_resume(tv->debug, tv->actions, n);
}

static void op_interrupt(void *t)
{
	vm_debug_pause(((struct target_vm *)t)->debug);
}

static void op_detach(void *t)
{
	struct target_vm *tv = t;

	if (tv->attached && !tv->over)
		vm_debug_detach(tv->debug);
	tv->attached = false;
}

static void op_kill(void *t)
{
	struct target_vm *tv = t;

	tv->ended = true;
	vm_debug_kill(tv->debug);
}

/* ---- lives ---- */

static int op_restart(void *t)
{
	struct target_vm *tv = t;
	int ret;

	/* A client that had detached has the new machine. */
	if (!tv->attached)
		vm_debug_attach(tv->debug);
	tv->attached = true;
	ret = vm_debug_restart(tv->debug);
	if (ret == 0)
		tv->ended = false;
	return ret;
}

static void op_keep(void *t)
{
	vm_debug_keep(((struct target_vm *)t)->debug, true);
}

static void op_attach(void *t)
{
	struct target_vm *tv = t;

	tv->attached = true;
	vm_debug_attach(tv->debug);
}

static const char *op_program(void *t)
{
	return vm_debug_program(((struct target_vm *)t)->debug);
}

static const struct gdb_life_ops life_ops = {
	.restart = op_restart,
	.keep = op_keep,
	.attach = op_attach,
	.program = op_program,
	.poweroff = target_vm_poweroff,
	.nmi = target_vm_nmi,
};

static const struct gdb_base_ops base_ops = {
	.ncpus = op_ncpus,
	.cpu_name = op_cpu_name,
	.cpu_extra = op_cpu_extra,
	.reg_read = op_reg_read,
	.reg_write = op_reg_write,
	.mem_read = op_mem_read,
	.mem_write = op_mem_write,
	.resume = op_resume,
	.interrupt = op_interrupt,
	.detach = op_detach,
	.kill = op_kill,
};

/* ---- breakpoints ---- */

static const struct {
	enum vm_break_type type;
	const char *name;
} break_types[] = {
	[GDB_BREAK_SW] = {VM_BREAK_SW, "breakpoint"},
	[GDB_BREAK_HW] = {VM_BREAK_HW, "hardware breakpoint"},
	[GDB_WATCH_WRITE] = {VM_BREAK_WATCH_WRITE, "write watchpoint"},
	[GDB_WATCH_READ] = {VM_BREAK_WATCH_READ, "read watchpoint"},
	[GDB_WATCH_ACCESS] = {VM_BREAK_WATCH_ACCESS, "access watchpoint"},
};

static int op_break_insert(void *t, int cpu, enum gdb_break_type type, uint64_t addr, uint32_t kind, const char **why)
{
	struct vm_break b = {.type = break_types[type].type, .addr = addr, .len = kind};

	return vm_debug_break_insert(((struct target_vm *)t)->debug, cpu, &b, why);
}

static int op_break_remove(void *t, enum gdb_break_type type, uint64_t addr, uint32_t kind)
{
	return vm_debug_break_remove(((struct target_vm *)t)->debug, break_types[type].type, addr, kind);
}

static const struct gdb_break_ops break_ops = {
	.insert = op_break_insert,
	.remove = op_break_remove,
};

/* ---- physical memory, information ---- */

static ssize_t op_phys_read(void *t, uint64_t gpa, void *buf, size_t len)
{
	return vm_debug_phys_read(((struct target_vm *)t)->debug, gpa, buf, len);
}

static ssize_t op_phys_write(void *t, uint64_t gpa, const void *buf, size_t len)
{
	return vm_debug_phys_write(((struct target_vm *)t)->debug, gpa, buf, len);
}

static int op_translate(void *t, int cpu, uint64_t va, struct mapping *out)
{
	return vm_debug_translate(((struct target_vm *)t)->debug, cpu, va, out);
}

static const struct gdb_phys_ops phys_ops = {
	.read = op_phys_read,
	.write = op_phys_write,
	.translate = op_translate,
	.next = target_vm_next,
	.host = target_vm_host,
};

static bool op_breakpoint(void *t, size_t i, char *buf, size_t len)
{
	const char *how = "", *name = "breakpoint";
	struct vm_break b;

	if (vm_debug_break_get(((struct target_vm *)t)->debug, i, &b, &how) < 0)
		return false;
	for (size_t k = 0; k < sizeof(break_types) / sizeof(break_types[0]); k++) {
		if (break_types[k].type == b.type)
			name = break_types[k].name;
	}
	snprintf(buf, len, "%s at 0x%llx, %u byte%s, %s", name, (unsigned long long)b.addr, b.len,
		b.len == 1 ? "" : "s", how);
	return true;
}

static void op_fault(void *t, char *buf, size_t len)
{
	vm_debug_fault_text(((struct target_vm *)t)->debug, buf, len);
}

static const struct gdb_info_ops info_ops = {
	.breakpoint = op_breakpoint,
	.fault = op_fault,
	.region = target_vm_region,
	.chip = target_vm_chip,
	.chips = target_vm_chips,
};

/* ---- a kernel that moves itself ---- */

static int op_slide_get(void *t, struct gdb_slide *out)
{
	static const enum gdb_slide_state states[] = {
		[VM_SLIDE_NO_SYMBOLS] = GDB_SLIDE_NO_SYMBOLS,
		[VM_SLIDE_NOT_YET] = GDB_SLIDE_NOT_YET,
		[VM_SLIDE_OTHER] = GDB_SLIDE_OTHER,
		[VM_SLIDE_FOUND] = GDB_SLIDE_FOUND,
	};
	struct vm_slide v;
	int ret = vm_debug_slide(((struct target_vm *)t)->debug, &v);

	if (ret < 0)
		return ret;
	*out = (struct gdb_slide){
		.state = states[v.state],
		.slide = v.slide,
		.first = v.first,
		.percpu_at_zero = v.percpu_at_zero,
		.file = v.file,
		.banner = v.banner,
	};
	snprintf(out->other, sizeof(out->other), "%s", v.other);
	return 0;
}

static int op_slide_stop(void *t)
{
	return vm_debug_slide_stop(((struct target_vm *)t)->debug);
}

static const struct gdb_slide_ops slide_ops = {
	.get = op_slide_get,
	.stop = op_slide_stop,
};

/* ---- the service ---- */

/*
 * Users tell faults apart by the signal that gdb shows: the guest gave up, its CPU shut down, it wants a restart, or
 * KVM cannot go on with this instruction.
 */
static const int fault_signals[] = {
	[VM_FAULT_KVM] = GDB_SIGNAL_ILL,
	[VM_FAULT_PANIC] = GDB_SIGNAL_ABRT,
	[VM_FAULT_TRIPLE] = GDB_SIGNAL_SEGV,
	[VM_FAULT_VERDICT] = GDB_SIGNAL_ABRT,
};

static void translate_stop(const struct vm_debug_event *ev, struct gdb_stop *stop)
{
	*stop = (struct gdb_stop){.kind = GDB_STOP_SIGNAL, .cpu = ev->cpu, .signo = 5};
	switch (ev->stop.kind) {
	case VM_STOP_PAUSED:
		stop->signo = 2;
		break;
	case VM_STOP_SWBREAK:
		stop->kind = GDB_STOP_SWBREAK;
		break;
	case VM_STOP_HWBREAK:
		stop->kind = GDB_STOP_HWBREAK;
		break;
	case VM_STOP_WATCH:
		stop->kind = GDB_STOP_WATCH;
		stop->access = ev->stop.access;
		stop->addr = ev->stop.addr;
		break;
	case VM_STOP_FAULT:
		stop->signo = fault_signals[ev->stop.fault];
		break;
	case VM_STOP_EVENT:
		target_vm_event_stop(ev->cpu, &ev->stop.event, stop);
		break;
	case VM_STOP_NONE:
	case VM_STOP_STEPPED:
		break;
	}
}

static struct gdb_stop machine_end(const struct target_vm *tv)
{
	return (struct gdb_stop){.kind = GDB_STOP_EXITED, .status = tv->status, .stays = !tv->over};
}

static void service_pump(void *ctx, struct gdb_session *s, struct gdb_buf *out)
{
	struct target_vm *tv = ctx;
	struct vm_debug_event ev;
	struct gdb_stop stop;

	vm_debug_drain(tv->debug);
	while (vm_debug_next(tv->debug, &ev)) {
		if (ev.kind == VM_EVENT_EXITED) {
			tv->ended = true;
			tv->over = tv->over || ev.over;
			tv->status = ev.status;
			stop = machine_end(tv);
		} else {
			translate_stop(&ev, &stop);
		}
		if (s)
			gdb_session_stopped(s, &stop, out);
	}
}

static struct gdb_session *service_open(void *ctx)
{
	struct target_vm *tv = ctx;
	struct gdb_target target = {
		.t = tv,
		.arch = vm_debug_arch(tv->debug),
		.base = &base_ops,
		.breaks = &break_ops,
		.phys = &phys_ops,
		.info = &info_ops,
		.life = &life_ops,
		.catches = &target_vm_catch_ops,
		.slide = &slide_ops,
	};
	struct gdb_buf nothing = {0};
	struct gdb_session *s;
	struct gdb_stop end;

	/* What the last client did not live to hear is not for this one. */
	service_pump(tv, NULL, NULL);
	if (tv->over)
		return NULL;
	s = gdb_session_new(&target);
	if (!s)
		return NULL;
	tv->attached = true;
	vm_debug_attach(tv->debug);
	if (tv->ended) {
		/* The client before it, on the same line, has left no machine. */
		end = machine_end(tv);
		gdb_session_stopped(s, &end, &nothing);
		gdb_buf_free(&nothing);
	}
	return s;
}

static void service_close(void *ctx, struct gdb_session *s)
{
	struct target_vm *tv = ctx;

	op_detach(tv);
	/*
	 * The client has gone; if there is no machine either, that is the end. But on a line that never hangs up the
	 * next client is there already, and may start one.
	 */
	if (gdb_session_replaced(s))
		service_pump(tv, NULL, NULL);
	if (!gdb_session_replaced(s) || !tv->ended)
		vm_debug_keep(tv->debug, false);
	gdb_session_free(s);
}

static bool service_wait_hot(void *ctx, unsigned us)
{
	return vm_debug_wait_hot(((struct target_vm *)ctx)->debug, us);
}

static void service_eof(void *ctx)
{
	struct target_vm *tv = ctx;

	if (!tv->over)
		vm_debug_hangup(tv->debug);
	tv->over = tv->ended = true;
}

struct target_vm *target_vm_new(struct vm_debug *debug)
{
	struct target_vm *tv = calloc(1, sizeof(*tv));

	if (!tv)
		return NULL;
	tv->debug = debug;
	tv->actions = calloc((size_t)vm_debug_ncpus(debug), sizeof(*tv->actions));
	if (!tv->actions) {
		free(tv);
		return NULL;
	}
	return tv;
}

void target_vm_free(struct target_vm *tv)
{
	if (!tv)
		return;
	free(tv->actions);
	free(tv);
}

struct gdb_service target_vm_service(struct target_vm *tv)
{
	return (struct gdb_service){
		.ctx = tv,
		.event_fd = vm_debug_fd(tv->debug),
		.open = service_open,
		.close = service_close,
		.pump = service_pump,
		.wait_hot = service_wait_hot,
		.eof = service_eof,
	};
}
