/* Breakpoints over fake vCPUs: which are planted, where, when, and that guest memory is the guest's. Run under TSan. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/fake/fake_client.h"
#include "tests/unit/tap.h"

#define PAGE_A	 0xa000u
#define PAGE_B	 0xb000u
#define SITE_A	 (PAGE_A + 2) /* an instruction of a routine that the test wrote there */
#define MODULE	 (FAKE_MODULE + 2)
#define USER	 (FAKE_USER + 2)
#define CALL_FAR 12 /* in each loop */

/* A routine of OP_WORK, and each loop calls it at `far`. */
static void write_routine(struct fake_machine *m, unsigned page)
{
	memset(&m->ram[page], OP_WORK, 8);
	m->ram[page + 7] = OP_RET;
}

static void call_far(struct fake_machine *m, uint64_t far)
{
	for (int i = 0; i < m->ncpus; i++) {
		m->ram[FAKE_CODE(i) + CALL_FAR] = OP_FAR;
		m->cpu[i].far = far;
	}
}

static struct fake_machine *machine(int ncpus, uint64_t far)
{
	struct fake_machine *m = fake_new(ncpus, true, ncpus > 1);

	write_routine(m, PAGE_A);
	write_routine(m, PAGE_B);
	call_far(m, far);
	m->exits = 50;
	return m;
}

static bool is_how(struct fake_machine *m, uint64_t addr, const char *want)
{
	const char *how = client_how(m, VM_BREAK_SW, addr);

	if (strcmp(how, want) != 0)
		tap_diag("0x%jx is %s", (uintmax_t)addr, how);
	return !strcmp(how, want);
}

static bool hits(struct fake_machine *m, uint64_t pc, struct vm_debug_event *ev)
{
	client_run(m);
	return client_next(m, ev, 10000) && ev->kind == VM_EVENT_STOPPED &&
	       (ev->stop.kind == VM_STOP_SWBREAK || ev->stop.kind == VM_STOP_HWBREAK) && ev->stop.pc == pc;
}

/* The address is mapped while the guest runs; nobody is told until it is executed. */
static void test_pending(void)
{
	struct fake_machine *m = client_attach(machine(3, MODULE - 2));
	struct vm_debug_event ev;
	uint64_t ran = 0;

	for (unsigned i = 0; i < m->hw_slots; i++)
		client_insert(m, 0, VM_BREAK_HW, 0x100 + i);
	tap_ok(client_insert(m, 0, VM_BREAK_SW, MODULE) == 0, "unmapped and no slot free: accepted");
	tap_ok(is_how(m, MODULE, "pending"), "and pending");
	client_run(m);
	tap_ok(!client_next(m, &ev, 30), "nothing happens as long as nothing is there");
	atomic_store(&m->module, PAGE_A);
	tap_ok(client_next(m, &ev, 10000) && ev.stop.kind == VM_STOP_SWBREAK && ev.stop.pc == MODULE,
		"mapped while the guest runs: planted, and hit");
	for (int i = 0; i < 3; i++)
		ran += m->cpu[i].ran[SITE_A];
	tap_diag("it had run %ju times before", (uintmax_t)ran);
	tap_ok(is_how(m, MODULE, "planted"), "listed as planted");
	tap_is_u64(m->ram[SITE_A], OP_WORK, "nothing shows");
	tap_ok(hits(m, MODULE, &ev), "hit again");
	atomic_store(&m->module, 0);
	client_remove(m, VM_BREAK_SW, MODULE);
	client_insert(m, 0, VM_BREAK_SW, MODULE);
	client_remove(m, VM_BREAK_HW, 0x101);
	tap_ok(is_how(m, MODULE, "hardware"), "a slot that becomes free is given to one that waits");
	client_insert(m, 0, VM_BREAK_HW, 0x101);
	tap_ok(is_how(m, MODULE, "pending"), "and taken back by one that needs it");
	fake_end(m);
}

static void test_slot_meanwhile(void)
{
	struct fake_machine *m = client_attach(machine(1, MODULE - 2));
	struct vm_debug_event ev;

	client_insert(m, 0, VM_BREAK_SW, MODULE);
	tap_ok(is_how(m, MODULE, "hardware"), "a free slot serves what is not mapped");
	client_run(m);
	atomic_store(&m->module, PAGE_A);
	tap_ok(client_next(m, &ev, 10000) && ev.stop.kind == VM_STOP_HWBREAK && ev.stop.pc == MODULE,
		"its first execution hits");
	tap_ok(hits(m, MODULE, &ev) && ev.stop.kind == VM_STOP_SWBREAK, "from the next stop on it is planted");
	tap_ok(is_how(m, MODULE, "planted"), "and listed so");
	fake_end(m);
}

static void test_not_loaded(void)
{
	struct fake_machine *m = client_attach(machine(1, MODULE - 2));
	struct vm_debug_event ev;

	memset(&m->ram[PAGE_A], 0, FAKE_PAGE);
	atomic_store(&m->module, PAGE_A);
	client_insert(m, 0, VM_BREAK_SW, MODULE);
	tap_ok(is_how(m, MODULE, "hardware"), "mapped, but nothing is loaded there");
	client_run(m);
	client_pause(m, &ev);
	tap_is_u64(m->ram[SITE_A], 0, "nothing was planted into it");
	write_routine(m, PAGE_A);
	tap_ok(hits(m, MODULE, &ev) && is_how(m, MODULE, "planted"), "loaded: planted");
	fake_end(m);
}

/* Code that the guest may patch has a slot, if nobody needs it. */
static void test_sites_and_slots(void)
{
	struct fake_machine *m = client_attach(machine(1, MODULE - 2));
	uint64_t site = FAKE_HIGH + 0x5000;

	for (unsigned i = 0; i < 6; i++) {
		memcpy(&m->ram[0x5000 + i * 4], (const uint8_t[]){OP_SITE, 1, 1}, FAKE_SITE_LEN);
		client_insert(m, 0, VM_BREAK_SW, site + i * 4);
	}
	tap_ok(is_how(m, site, "hardware") && is_how(m, site + 12, "hardware"), "as many sites as there are slots");
	tap_ok(is_how(m, site + 16, "planted") && is_how(m, site + 20, "planted"), "the others are planted");
	client_insert(m, 0, VM_BREAK_SW, MODULE);
	tap_ok(is_how(m, MODULE, "hardware"), "what is not mapped comes before them");
	for (unsigned i = 0; i < 4; i++)
		tap_ok(client_insert(m, 0, VM_BREAK_HW, 0x100 + i) == 0, "hardware breakpoint %u", i);
	tap_ok(client_insert(m, 0, VM_BREAK_HW, 0x104) == -ENOSPC, "the fifth is refused");
	tap_ok(is_how(m, site, "planted") && is_how(m, MODULE, "pending"), "who can do without has given its slot up");
	for (unsigned i = 0; i < 4; i++)
		client_remove(m, VM_BREAK_HW, 0x100 + i);
	tap_ok(is_how(m, MODULE, "hardware") && is_how(m, site, "hardware") && is_how(m, site + 12, "planted"),
		"and gets it back");
	fake_end(m);
}

/* Who had a slot is stepped over when others that cannot do without have come: there are never more than fit. */
static void test_slots_and_step_over(void)
{
	uint64_t site = FAKE_HIGH + 0x5000;
	struct fake_machine *m = client_attach(machine(2, site));
	struct vm_debug_event ev;
	unsigned bad = 0;

	memset(&m->ram[0x5000], OP_WORK, 0x10);
	for (unsigned i = 0; i < 4; i++)
		memcpy(&m->ram[0x5000 + i * 4], (const uint8_t[]){OP_SITE, 1, 1}, FAKE_SITE_LEN);
	m->ram[0x5010] = OP_RET;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 4; i++)
			client_insert(m, 0, VM_BREAK_SW, site + i * 4);
		client_run(m);
		bad += !client_next(m, &ev, 10000) || (ev.stop.pc & ~0xfull) != site;
		for (unsigned i = 0; i < 4; i++)
			bad += client_insert(m, 0, VM_BREAK_HW, 0x100 + i) != 0;
		if (round % 2)
			bad += strcmp(client_how(m, VM_BREAK_HW, 0x100), "hardware") != 0;
		client_run(m);
		bad += !client_next(m, &ev, 10000) || (ev.stop.pc & ~0xfull) != site;
		for (unsigned i = 0; i < 4; i++)
			client_remove(m, VM_BREAK_HW, 0x100 + i);
	}
	tap_is_u64(bad + m->cpu[0].overfull + m->cpu[1].overfull, 0,
		"a breakpoint that has just lost its slot is stepped over");
	fake_end(m);
}

static void test_arm_fails(void)
{
	struct fake_machine *m = client_attach(machine(2, MODULE - 2));
	struct vm_debug_event ev;
	char text[120];

	client_insert(m, 0, VM_BREAK_HW, 0x100);
	m->hw_slots = 0;
	client_run(m);
	tap_ok(client_next(m, &ev, 10000) && ev.stop.kind == VM_STOP_FAULT,
		"debug registers that KVM refuses: a fault");
	vm_debug_fault_text(m->debug, text, sizeof(text));
	tap_ok(strstr(text, "debug registers"), "which says so: %s", text);
	m->hw_slots = 4;
	client_run(m);
	while (client_next(m, &ev, 50)) /* the other one's */
		client_run(m);
	tap_is_u64((uint64_t)client_pause(m, &ev), VM_STOP_PAUSED, "and goes on when they fit");
	fake_end(m);
}

/* Runs until that byte is so. The hit of another vCPU may still be due, and be told before. */
static bool becomes(struct fake_machine *m, const uint8_t *byte, uint8_t value)
{
	struct vm_debug_event ev;

	client_run(m);
	for (int i = 0; i < 10000 && __atomic_load_n(byte, __ATOMIC_RELAXED) != value; i++) {
		if (client_next(m, &ev, 1))
			client_run(m);
	}
	return __atomic_load_n(byte, __ATOMIC_RELAXED) == value;
}

static void test_remapped(void)
{
	struct fake_machine *m = client_attach(machine(2, MODULE - 2));
	struct vm_debug_event ev;

	atomic_store(&m->module, PAGE_A);
	client_insert(m, 0, VM_BREAK_SW, MODULE);
	tap_ok(hits(m, MODULE, &ev), "hit where it was planted");
	atomic_store(&m->module, PAGE_B);
	tap_ok(hits(m, MODULE, &ev) && m->cpu[ev.cpu].pc == MODULE, "its address leads elsewhere: hit there");
	tap_is_u64(m->ram[SITE_A], OP_WORK, "the old page is clean");
	/* The page is given to somebody else, who has the very instruction, but other code around it. */
	atomic_store(&m->module, 0);
	memset(&m->ram[PAGE_B], OP_WORK + 1, 8);
	m->ram[PAGE_B + 2] = OP_WORK;
	for (unsigned i = 0; i < m->hw_slots; i++)
		client_insert(m, 0, VM_BREAK_HW, 0x100 + i);
	client_run(m);
	usleep(3000);
	tap_is_u64(__atomic_load_n(&m->ram[PAGE_B + 2], __ATOMIC_RELAXED), OP_WORK,
		"a page that is somebody else's by now is left alone");
	client_pause(m, &ev);
	tap_ok(is_how(m, MODULE, "pending"), "the breakpoint is pending");
	atomic_store(&m->module, PAGE_A);
	tap_ok(hits(m, MODULE, &ev), "until its address leads to code again");
	/* Unmapped, the same code is still there. */
	atomic_store(&m->module, 0);
	tap_ok(becomes(m, &m->ram[SITE_A], OP_BREAK), "unmapped, but the same: planted");
	client_pause(m, &ev);
	fake_end(m);
}

static void test_overwritten(void)
{
	struct fake_machine *m = client_attach(machine(1, FAKE_HIGH + PAGE_A));
	uint64_t addr = FAKE_HIGH + SITE_A;
	struct vm_debug_event ev;

	m->ram[FAKE_CODE(0) + CALL_FAR] = OP_WORK; /* not executed */
	client_insert(m, 0, VM_BREAK_SW, addr);
	client_run(m);
	usleep(2000);
	__atomic_store_n(&m->ram[SITE_A], OP_WORK + 1, __ATOMIC_RELAXED); /* the guest's write */
	client_pause(m, &ev);
	tap_is_u64(m->ram[SITE_A], OP_WORK + 1, "what the guest wrote over it stays");
	m->ram[FAKE_CODE(0) + CALL_FAR] = OP_FAR;
	tap_ok(hits(m, addr, &ev), "and it is planted again at the stop");
	tap_is_u64(m->ram[SITE_A], OP_WORK + 1, "over the new code");
	vm_debug_detach(m->debug);
	usleep(2000);
	tap_is_u64(__atomic_load_n(&m->ram[SITE_A], __ATOMIC_RELAXED), OP_WORK + 1, "which is there after a detach");
	fake_end(m);
}

/* Two programs with the same address, then two that share the page. */
static void test_spaces(bool hw)
{
	struct fake_machine *m = machine(2, USER - 2);
	struct vm_debug_event ev;
	unsigned bad = 0;
	bool stopped;

	m->hw_only = hw;
	m->cpu[0].space = 1;
	m->cpu[1].space = 2;
	atomic_store(&m->user[1], PAGE_A);
	atomic_store(&m->user[2], PAGE_B);
	client_attach(m);
	tap_ok(client_insert(m, 0, VM_BREAK_SW, USER) == 0, "a breakpoint in one program (%s)",
		hw ? "slot" : "planted");
	for (int i = 0; i < 50; i++)
		bad += !hits(m, USER, &ev) || ev.cpu != 0;
	tap_is_u64(bad, 0, "is hit by that one only");
	tap_ok(m->cpu[1].ran[PAGE_B + 2] > 10 && !m->cpu[1].foreign, "the other executes its own code at that address");
	atomic_store(&m->user[2], PAGE_A);
	for (int i = 0; i < 200 && ev.cpu == 0; i++)
		bad += !hits(m, USER, &ev);
	tap_ok(!bad && ev.cpu == 1, "the same page in another program hits as well");
	/* The program ends; its page and its address are another's. */
	m->cpu[0].space = 3;
	atomic_store(&m->user[3], PAGE_B);
	atomic_store(&m->user[2], PAGE_B);
	memset(&m->ram[PAGE_A], OP_WORK + 1, 8);
	client_run(m);
	stopped = client_next(m, &ev, 50);
	if (stopped)
		tap_diag("CPU %d stops, kind %d, at 0x%jx", ev.cpu, (int)ev.stop.kind, (uintmax_t)ev.stop.pc);
	tap_ok(!stopped, "a program that has ended takes its breakpoint with it");
	client_pause(m, &ev);
	tap_ok(is_how(m, USER, hw ? "hardware" : "pending"), "which waits for its return");
	fake_end(m);
}

static void test_text_poke(void)
{
	struct fake_machine *m = machine(4, MODULE);
	struct vm_debug_event ev;
	uint64_t foreign = 0, torn = 0, ran = 0;
	unsigned bad = 0, own = 0;

	/* All but the one that patches call it, by another address than it is patched. */
	m->site = SITE_A;
	memcpy(&m->ram[SITE_A], (const uint8_t[]){OP_SITE, 1, 1}, FAKE_SITE_LEN);
	m->ram[FAKE_CODE(0) + CALL_FAR] = OP_POKE;
	for (int i = 1; i < 4; i++)
		m->cpu[i].far = PAGE_A;
	m->hw_slots = 0;
	client_attach(m);
	client_insert(m, 0, VM_BREAK_SW, FAKE_HIGH + SITE_A);
	for (int i = 0; i < 1500 && !bad; i++) {
		client_run(m);
		if (i % 3 == 0)
			usleep((useconds_t)(rand() % 300));
		bad += client_pause(m, &ev) == VM_STOP_NONE;
		bad += ev.stop.kind == VM_STOP_SWBREAK && ev.stop.pc != SITE_A;
		own += m->ram[SITE_A] == OP_BREAK;
		/* Ours is never seen: what is there between the guest's first write and its last is the guest's. */
		bad += m->ram[SITE_A] == OP_BREAK && m->cpu[0].poke % 3 == 0;
		while (vm_debug_next(m->debug, &ev))
			;
	}
	client_remove(m, VM_BREAK_SW, FAKE_HIGH + SITE_A);
	for (int i = 0; i < 4; i++) {
		foreign += m->cpu[i].foreign;
		torn += m->cpu[i].torn;
		ran += m->cpu[i].ran[SITE_A];
	}
	tap_is_u64(bad, 0, "1500 stops while code under a breakpoint is patched by breakpoint, tail, first byte");
	tap_ok(m->cpu[0].poke > 100 && own > 0, "it was: %u writes, %u stops in between", m->cpu[0].poke, own);
	tap_is_u64(torn, 0, "nobody has executed one half of each");
	tap_diag("%ju executions, %ju of the guest's own breakpoint", (uintmax_t)ran, (uintmax_t)foreign);
	fake_end(m);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void test_hundreds(void)
{
	enum { MANY = 1000, ROUNDS = 50 };
	struct fake_machine *m = machine(2, MODULE);
	static uint8_t before[FAKE_RAM];
	struct vm_debug_event ev;
	uint64_t begin, us[2];
	unsigned bad = 0;

	memset(&m->ram[0x5000], OP_WORK, 0x5000);
	memcpy(before, m->ram, FAKE_RAM);
	m->delays = false;
	client_attach(m);
	for (int many = 0; many < 2; many++) {
		begin = now_us();
		for (int i = 0; i < ROUNDS; i++) {
			client_run(m);
			bad += client_pause(m, &ev) != VM_STOP_PAUSED;
		}
		us[many] = (now_us() - begin) / ROUNDS;
		for (unsigned i = 0; many == 0 && i < MANY; i++)
			bad += client_insert(m, 0, VM_BREAK_SW, FAKE_HIGH + 0x5000 + i * 37 % 0x5000) != 0;
	}
	tap_diag("a round of resume and stop: %ju us, with %d breakpoints %ju us", (uintmax_t)us[0], MANY,
		(uintmax_t)us[1]);
	tap_is_u64(bad, 0, "%d breakpoints at once", MANY);
	tap_ok(!memcmp(before, m->ram, FAKE_RAM), "none of them shows");
	client_insert(m, 0, VM_BREAK_SW, FAKE_SHARED + 3);
	tap_ok(hits(m, FAKE_SHARED + 3, &ev), "one more is hit");
	vm_debug_detach(m->debug);
	usleep(1000);
	vm_debug_attach(m->debug);
	client_next(m, &ev, 10000);
	tap_ok(!memcmp(before, m->ram, FAKE_RAM), "after a detach memory is as it was");
	fake_end(m);
}

/* Where the stress puts them: on code that runs, on code that does not, on sites, on what comes and goes. */
static uint64_t anywhere(unsigned r)
{
	static const uint64_t base[] = {FAKE_SHARED, FAKE_HIGH + FAKE_SHARED, FAKE_LAYOUT + FAKE_SHARED, FAKE_CODE(1),
		FAKE_HIGH + FAKE_CODE(2), FAKE_MODULE, FAKE_USER, FAKE_HIGH + PAGE_B};

	return base[r % 8] + r / 8 % 7;
}

/* On a busy machine the pause often comes before a hit: it goes on until there were enough, within reason. */
static void test_stress(void)
{
	enum { ROUNDS = 2500, HITS = 500, REASON_US = 120 * 1000000 };
	struct fake_machine *m = machine(5, FAKE_MODULE);
	static uint8_t before[FAKE_RAM];
	struct vm_debug_event ev;
	unsigned bad = 0, stops = 0;
	uint64_t foreign = 0, begin = now_us();

	memcpy(&m->ram[FAKE_SHARED + 1], (const uint8_t[]){OP_SITE, 1, 1}, FAKE_SITE_LEN);
	for (int i = 0; i < 5; i++)
		m->cpu[i].space = (unsigned)i % FAKE_SPACES;
	m->cpu[3].far = FAKE_USER;
	m->cpu[4].far = FAKE_USER;
	memcpy(before, m->ram, FAKE_RAM);
	srand(7);
	client_attach(m);
	for (int round = 0; !bad && (round < ROUNDS || (stops <= HITS && now_us() - begin < REASON_US)); round++) {
		for (int i = rand() % 6; i > 0; i--) {
			enum vm_break_type type = rand() % 4 ? VM_BREAK_SW : VM_BREAK_HW;
			uint64_t addr = anywhere((unsigned)rand());

			if (rand() % 2)
				client_insert(m, rand() % 5, type, addr);
			else
				client_remove(m, type, addr);
		}
		if (rand() % 3 ==
			0) /* nobody can be in the middle of a trap there: unlike a real guest, this one tells nobody */
			atomic_store(&m->module, 0);
		client_run(m);
		atomic_store(&m->module, PAGE_A);
		atomic_store(&m->user[rand() % FAKE_SPACES], rand() % 2 ? PAGE_A : PAGE_B);
		if (rand() % 4 == 0)
			usleep((useconds_t)(rand() % 100));
		bad += client_pause(m, &ev) == VM_STOP_NONE;
		stops += ev.stop.kind != VM_STOP_PAUSED;
		bad += memcmp(before, m->ram, FAKE_RAM) != 0;
		while (vm_debug_next(m->debug, &ev))
			;
		if (round % 100 == 99) { /* a client that goes, now or while the guest runs */
			if (rand() % 2)
				client_run(m);
			vm_debug_detach(m->debug);
			usleep(300);
			vm_debug_attach(m->debug);
			bad += !client_next(m, &ev, 10000);
			bad += memcmp(before, m->ram, FAKE_RAM) != 0;
		}
	}
	for (int i = 0; i < 5; i++)
		foreign += m->cpu[i].foreign;
	tap_is_u64(bad, 0, "rounds of breakpoints set and removed while 5 vCPUs hit others; memory always original");
	tap_ok(stops > HITS, "%u hits", stops);
	tap_is_u64(foreign, 0, "none was taken for the guest's own, and no more slots used than there are");
	fake_end(m);
}

int main(void)
{
	test_pending();
	test_slot_meanwhile();
	test_not_loaded();
	test_sites_and_slots();
	test_slots_and_step_over();
	test_arm_fails();
	test_remapped();
	test_overwritten();
	test_spaces(false);
	test_spaces(true);
	test_text_poke();
	test_hundreds();
	test_stress();
	return tap_done();
}
