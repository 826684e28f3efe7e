#include "tests/fake/fake_client.h"

#include <poll.h>
#include <stdlib.h>

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

struct fake_machine *client_start(struct fake_machine *m)
{
	struct vm_debug_event ev;

	fake_start(m);
	vm_debug_attach(m->debug);
	if (!client_next(m, &ev, 10000))
		abort();
	return m;
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
