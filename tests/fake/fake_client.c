#include "tests/fake/fake_client.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

bool client_next(struct fake_machine *m, struct vm_debug_event *ev, int timeout_ms)
{
	struct pollfd p = {.fd = vm_debug_fd(m->debug), .events = POLLIN};

	while (!vm_debug_next(m->debug, ev)) {
		if (poll(&p, 1, timeout_ms) != 1)
			return false;
		vm_debug_drain(m->debug);
	}
	return true;
}

/* The next event is a stop of this kind; everybody is outside the guest and no breakpoint byte is in memory. */
bool client_stopped_by(struct fake_machine *m, enum vm_stop_kind kind, struct vm_debug_event *ev)
{
	const uint8_t *planted;

	if (!client_next(m, ev, 10000)) {
		tap_diag("no event");
		return false;
	}
	for (int i = 0; i < m->ncpus; i++) {
		if (atomic_load(&m->cpu[i].inside)) {
			tap_diag("cpu %d still runs", i);
			return false;
		}
	}
	planted = memchr(m->ram, OP_BREAK, FAKE_RAM);
	if (planted) {
		tap_diag("a planted byte shows at 0x%tx", planted - m->ram);
		return false;
	}
	if (ev->kind != VM_EVENT_STOPPED || ev->stop.kind != kind) {
		tap_diag("event %d, stop %d on cpu %d, wanted stop %d", ev->kind, ev->stop.kind, ev->cpu, kind);
		return false;
	}
	return true;
}

int client_resume_all(struct fake_machine *m, enum vm_action_kind kind)
{
	struct vm_action a[FAKE_CPUS_MAX] = {0};

	for (int i = 0; i < m->ncpus; i++)
		a[i].kind = kind;
	return vm_debug_resume(m->debug, a, (size_t)m->ncpus);
}

int client_resume_one(struct fake_machine *m, int cpu, enum vm_action_kind kind)
{
	struct vm_action a[FAKE_CPUS_MAX] = {0};

	a[cpu].kind = kind;
	return vm_debug_resume(m->debug, a, (size_t)m->ncpus);
}

struct fake_machine *client_attach(struct fake_machine *m)
{
	struct vm_debug_event ev;

	fake_start(m);
	vm_debug_attach(m->debug);
	if (!client_stopped_by(m, VM_STOP_PAUSED, &ev))
		tap_ok(false, "attach gives one stop");
	return m;
}

struct fake_machine *client_attached(int ncpus, bool delays)
{
	return client_attach(fake_new(ncpus, true, delays));
}

void client_run(struct fake_machine *m)
{
	struct vm_action a[FAKE_CPUS_MAX] = {0};

	for (int i = 0; i < m->ncpus; i++)
		a[i].kind = VM_CONT;
	if (vm_debug_resume(m->debug, a, (size_t)m->ncpus))
		abort();
}

enum vm_stop_kind client_pause(struct fake_machine *m, struct vm_debug_event *ev)
{
	vm_debug_pause(m->debug);
	return client_next(m, ev, 10000) && ev->kind == VM_EVENT_STOPPED ? ev->stop.kind : VM_STOP_NONE;
}

int client_insert(struct fake_machine *m, int cpu, enum vm_break_type type, uint64_t addr)
{
	struct vm_break b = {.type = type, .addr = addr, .len = 1};

	return vm_debug_break_insert(m->debug, cpu, &b, NULL);
}

int client_remove(struct fake_machine *m, enum vm_break_type type, uint64_t addr)
{
	return vm_debug_break_remove(m->debug, type, addr, 1);
}

const char *client_how(struct fake_machine *m, enum vm_break_type type, uint64_t addr)
{
	struct vm_break b;
	const char *how;

	for (size_t i = 0; vm_debug_break_get(m->debug, i, &b, &how) == 0; i++) {
		if (b.type == type && b.addr == addr)
			return how;
	}
	return "";
}

bool client_never(void *ctx, int cpu, const struct vm_stop *stop)
{
	(void)cpu;
	(void)stop;
	atomic_fetch_add((atomic_uint *)ctx, 1);
	return false;
}
