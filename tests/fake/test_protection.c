/* vm_debug over fake vCPUs: write watchpoints without slots. Run under TSan. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/fake_client.h"
#include "tests/unit/tap.h"

/* No slot is free: the page of FAKE_DATA is protected, and writes come as KVM decodes them, or not. */
static void test_watch_by_protection(bool before, bool undecoded)
{
	struct fake_machine *m = client_attach(before ? fake_new_watch_before(4, true, true) : fake_new(4, true, true));
	struct vm_debug_event ev;
	uint64_t hits[4] = {0};
	struct vm_break out;
	const char *how = "";
	unsigned bad = 0;

	m->hw_slots = 0;
	m->undecoded = undecoded;
	tap_ok(client_insert(m, 0, VM_BREAK_WATCH_WRITE, FAKE_DATA) == 0, "insert a watchpoint without slots");
	tap_ok(vm_debug_break_get(m->debug, 0, &out, &how) == 0 && !strcmp(how, "write-protected"), "listed as %s",
		how);
	client_insert(m, 0, VM_BREAK_SW, CLIENT_SHARED_BP);
	for (int round = 0; round < 600 && !bad; round++) {
		bad += client_resume_all(m, VM_CONT) != 0;
		bad += !client_next(m, &ev, 10000) || ev.kind != VM_EVENT_STOPPED;
		if (ev.stop.kind == VM_STOP_WATCH) {
			bad += ev.stop.addr != FAKE_DATA || ev.stop.made != undecoded;
			hits[ev.cpu]++;
		}
	}
	tap_is_u64(bad, 0, "600 stops of 4 vCPUs");
	for (int round = 0; round < 8; round++) {
		client_resume_all(m, VM_STEP);
		if (client_next(m, &ev, 10000) && ev.stop.kind == VM_STOP_WATCH)
			hits[ev.cpu]++;
	}
	for (int i = 0; i < 4; i++) {
		uint64_t ran = m->cpu[i].ran[FAKE_CODE(i) + 8];
		bool each = before && !undecoded ? hits[i] - ran <= 1 : ran - hits[i] <= 1;

		tap_ok(hits[i] && each, "cpu %d: every write was reported, once (%ju of %ju)", i, (uintmax_t)hits[i],
			(uintmax_t)ran);
	}
	tap_ok(!m->lifts == !undecoded, "lifted if need be, only");
	vm_debug_detach(m->debug);
	usleep(20000);
	tap_is_u64(atomic_load(&m->nprotected), 0, "nothing is protected once the client has gone");
	fake_end(m);
}

static const char *refused(struct fake_machine *m, enum vm_break_type type, uint64_t addr, uint32_t len)
{
	struct vm_break b = {.type = type, .addr = addr, .len = len};
	const char *why = NULL;
	int ret = vm_debug_break_insert(m->debug, 0, &b, &why);

	return ret == 0 ? "served" : why ? why : "no reason";
}

static void test_protection_refused(void)
{
	struct fake_machine *m = client_attached(2, false);
	struct vm_debug_event ev;
	const char *why;

	m->no_data_slots = true;
	for (enum vm_break_type type = VM_BREAK_WATCH_READ; type <= VM_BREAK_WATCH_ACCESS; type++) {
		why = refused(m, type, FAKE_DATA, 1);
		tap_ok(strstr(why, "only writes"), "a read: %s", why);
	}
	why = refused(m, VM_BREAK_WATCH_WRITE, FAKE_RAM + 8, 1);
	tap_ok(strstr(why, "mapped"), "not mapped: %s", why);
	why = refused(m, VM_BREAK_WATCH_WRITE, FAKE_RAM - 8, 16);
	tap_ok(strstr(why, "mapped"), "partly mapped: %s", why);
	tap_is_str(refused(m, VM_BREAK_WATCH_WRITE, FAKE_DATA, 0), "this host's KVM does not trap data accesses",
		"no bytes");
	m->busy = "it is in use";
	tap_is_str(refused(m, VM_BREAK_WATCH_WRITE, FAKE_DATA, 1), "it is in use", "a page that cannot be protected");
	tap_is_u64(atomic_load(&m->protects), 0, "nothing was protected for these");
	m->busy = NULL;
	tap_is_str(refused(m, VM_BREAK_WATCH_WRITE, FAKE_DATA - 4096 + 1, 4096), "served", "across two pages");
	tap_is_u64(atomic_load(&m->nprotected), 2, "pages");
	client_resume_all(m, VM_CONT);
	tap_ok(client_stopped_by(m, VM_STOP_WATCH, &ev) && ev.stop.addr == FAKE_DATA, "hit at its last byte");
	tap_ok(vm_debug_break_remove(m->debug, VM_BREAK_WATCH_WRITE, FAKE_DATA - 4096 + 1, 4096) == 0, "remove");
	client_resume_one(m, 0, VM_STEP);
	client_stopped_by(m, VM_STOP_STEPPED, &ev);
	tap_is_u64(atomic_load(&m->nprotected), 2, "a step does not take the protection away");
	client_resume_all(m, VM_CONT);
	if (client_next(m, &ev, 100)) { /* the other vCPU had hit it as well */
		tap_ok(ev.stop.kind == VM_STOP_WATCH, "what has happened is told");
		client_resume_all(m, VM_CONT);
	}
	tap_ok(!client_next(m, &ev, 100), "it is not hit any more");
	tap_is_u64(atomic_load(&m->nprotected), 0, "pages");
	fake_end(m);
}

int main(void)
{
	test_watch_by_protection(false, false);
	test_watch_by_protection(true, false);
	test_watch_by_protection(false, true);
	test_watch_by_protection(true, true);
	test_protection_refused();
	return tap_done();
}
