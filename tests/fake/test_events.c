/* Events that are caught, on fake vCPU threads: each is reported once, in order, with what it was. */
#include "tests/fake/fake_client.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tap.h"

#define CPUS 4

static struct fake_machine *attached(bool delays)
{
	struct fake_machine *m = fake_new(CPUS, true, delays);
	struct vm_debug_event ev;

	m->events = true;
	fake_start(m);
	vm_debug_attach(m->debug);
	tap_ok(client_next(m, &ev, 10000) && ev.stop.kind == VM_STOP_PAUSED, "attached");
	return m;
}

static int add(struct fake_machine *m, enum vm_catch_kind kind, uint64_t addr, uint64_t len)
{
	struct vm_catch c = {.kind = kind, .addr = addr, .len = len};
	char why[100];

	return vm_debug_catch_add(m->debug, &c, why, sizeof(why));
}

static void resume(struct fake_machine *m, enum vm_action_kind kind, int only)
{
	struct vm_action a[CPUS] = {{0}};

	for (int i = 0; i < CPUS; i++)
		a[i].kind = only < 0 || only == i ? kind : VM_STAY;
	if (vm_debug_resume(m->debug, a, CPUS))
		tap_ok(false, "resume");
}

/* What each CPU has reported: reading and writing n, then n + 1... False: something was lost, or came twice. */
static bool in_order(uint64_t *accesses, const struct vm_debug_event *ev)
{
	const struct vm_access *a = &ev->stop.event;
	uint64_t n = accesses[ev->cpu]++;

	if (a->kind == VM_CATCH_MMIO && a->addr == FAKE_DATA && a->write == n % 2 && a->value == n / 2)
		return true;
	tap_diag("cpu %d: access %u is a %s of %u", ev->cpu, (unsigned)n, a->write ? "write" : "read",
		(unsigned)a->value);
	return false;
}

/* Steps, other stops and pauses in between; each event counts. */
static void test_none_lost(bool delays)
{
	struct vm_break b = {.type = VM_BREAK_SW, .addr = FAKE_SHARED + 2, .len = 1};
	struct fake_machine *m = attached(delays);
	uint64_t accesses[CPUS] = {0}, others = 0;
	struct vm_debug_event ev;
	bool good = true;

	tap_ok(add(m, VM_CATCH_MMIO, FAKE_DATA + 3, 4) > 0, "a catch of a part of what is accessed");
	vm_debug_break_insert(m->debug, 0, &b, NULL);
	for (int round = 0; round < 1500 && good; round++) {
		resume(m, round % 3 ? VM_CONT : VM_STEP, round % 7 ? -1 : round % CPUS);
		if (round % 5 == 0)
			vm_debug_pause(m->debug);
		good = client_next(m, &ev, 10000) && ev.kind == VM_EVENT_STOPPED;
		if (good && ev.stop.kind == VM_STOP_EVENT)
			good = in_order(accesses, &ev);
		else
			others++;
	}
	tap_ok(good, "events of all vCPUs, in order, none lost, none twice");
	for (int i = 0; i < CPUS; i++)
		tap_ok(accesses[i] > 20, "cpu %d had %u of them", i, (unsigned)accesses[i]);
	tap_ok(others > 100, "and there were %u other stops", (unsigned)others);
	fake_end(m);
}

static void test_gone_with_client(void)
{
	struct fake_machine *m = attached(true);
	struct vm_debug_event ev;
	struct vm_catch c;

	add(m, VM_CATCH_MMIO, FAKE_DATA, 1);
	tap_ok(add(m, VM_CATCH_MSR, 5, 1) > 0 && m->nmsrs == 1, "an MSR");
	resume(m, VM_CONT, -1);
	tap_ok(client_next(m, &ev, 10000) && ev.stop.kind == VM_STOP_EVENT, "an event");
	vm_debug_detach(m->debug);
	usleep(10000);
	vm_debug_attach(m->debug);
	tap_ok(client_next(m, &ev, 10000) && ev.stop.kind == VM_STOP_PAUSED,
		"the next client is told of its pause alone");
	tap_ok(!vm_debug_catch_get(m->debug, 0, &c) && m->nmsrs == 0, "and there are no catches");
	resume(m, VM_CONT, -1);
	tap_ok(!client_next(m, &ev, 50), "nothing is caught");
	fake_end(m);
}

static void test_table(void)
{
	struct fake_machine *m = attached(false);
	struct vm_catch c;
	char why[100];
	int id;

	id = add(m, VM_CATCH_RESET, 0, 1);
	tap_ok(id > 0 && add(m, VM_CATCH_RESET, 0, 1) == id, "the same again is the same");
	c = (struct vm_catch){.kind = VM_CATCH_IO, .addr = FAKE_RAM, .len = 1};
	tap_ok(vm_debug_catch_add(m->debug, &c, why, sizeof(why)) == -EINVAL && !strcmp(why, "not here"), "refused");
	tap_ok(add(m, VM_CATCH_MMIO, UINT64_MAX, 2) == -EINVAL, "a range that wraps");
	tap_ok(add(m, VM_CATCH_MMIO, UINT64_MAX, 1) == id + 1, "the last address");
	tap_ok(add(m, VM_CATCH_MSR, 1, 1) > 0 && add(m, VM_CATCH_MSR, 2, 1) > 0, "two MSRs");
	tap_ok(add(m, VM_CATCH_MSR, 3, 1) == -ENOSPC, "KVM refuses a third");
	tap_ok(!vm_debug_catch_get(m->debug, 4, &c), "which is not in the list");
	tap_ok(vm_debug_catch_remove(m->debug, 99) == -ENOENT, "there is no such catch");
	tap_ok(vm_debug_catch_remove(m->debug, (unsigned)id) == 0, "one is removed");
	tap_ok(vm_debug_catch_get(m->debug, 0, &c) && c.kind == VM_CATCH_MMIO, "the next one is the first");
	for (uint64_t i = 0; i < 100; i++)
		id = add(m, VM_CATCH_IO, i, 1);
	tap_ok(id == -ENOSPC, "the table ends");
	tap_ok(vm_debug_catch_remove(m->debug, 0) == 0 && !vm_debug_catch_get(m->debug, 0, &c) && !m->nmsrs,
		"all gone");
	resume(m, VM_CONT, -1);
	tap_ok(add(m, VM_CATCH_RESET, 0, 1) == -EBUSY, "not while it runs");
	tap_ok(vm_debug_catch_remove(m->debug, 0) == -EBUSY, "neither");
	fake_end(m);
}

int main(void)
{
	test_table();
	test_none_lost(false);
	test_none_lost(true);
	test_gone_with_client();
	return tap_done();
}
