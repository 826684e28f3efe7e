#include "vmm/vm_verdict.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/core.h"
#include "vmm/evidence.h"
#include "vmm/exit_status.h"
#include "vmm/kvm.h"
#include "vmm/log.h"
#include "vmm/verdict.h"
#include "vmm/vm_breaks.h"

#define PARK_MS 5000 /* how long a vCPU may need to come out of the guest */

/* Main thread's, but for what says otherwise. */
struct vm_verdict {
	struct verdict *verdict; /* has a lock of its own */
	struct vm_breaks *breaks;
	struct core *core; /* --dump, or NULL */
	bool held;	   /* before the first instruction */
	bool begun;
	/* More breakpoints can be put in: held for that. Set by vCPU threads. */
	atomic_bool symbols_due, slide_due;
	atomic_bool backed; /* the verdict is backed by all that was to be had. Read by all threads */
	size_t text_len;
	char text[RESULT_TEXT_MAX];
};

/* ---- what happens, on any thread ---- */

static uint64_t now_us(void *ctx)
{
	struct vm *vm = ctx;

	return vm->debug ? vm_debug_ran_us(vm->debug) : 0;
}

static void news(void *ctx, bool final)
{
	struct vm *vm = ctx;
	struct verdict *v = vm->verdict->verdict;

	if (final && verdict_failed(v))
		vm_debug_hold(vm->debug);
	else if (final)
		vm_end_now(vm, verdict_status(v, STATUS_HOST));
	vm_wake(vm);
}

void vm_verdict_ended(struct vm *vm, int status, const char *why)
{
	struct vm_verdict *r = vm->verdict;

	verdict_ended(r->verdict, status, why);
	/* Kept for a debugger that has now ended it; or it was never about this. */
	if (atomic_load(&r->backed) || !verdict_failed(r->verdict))
		vm_end_now(vm, verdict_status(r->verdict, status));
}

int vm_verdict_quit(struct vm *vm, int status)
{
	verdict_ended(vm->verdict->verdict, status, NULL);
	return verdict_status(vm->verdict->verdict, status);
}

void vm_verdict_output(struct vm *vm, uint8_t byte)
{
	verdict_output(vm->verdict->verdict, byte);
}

void vm_verdict_client_left(struct vm *vm)
{
	struct vm_verdict *r = vm->verdict;

	if (r && atomic_load(&r->backed))
		vm_end_now(vm, verdict_status(r->verdict, STATUS_HOST));
}

static void more_breaks(struct vm *vm, atomic_bool *due)
{
	atomic_store(due, true);
	vm_debug_hold(vm->debug);
	vm_wake(vm);
}

void vm_verdict_slide_found(struct vm *vm)
{
	if (vm->verdict)
		more_breaks(vm, &vm->verdict->slide_due);
}

void vm_verdict_symbols_found(struct vm *vm)
{
	more_breaks(vm, &vm->verdict->symbols_due);
}

/* ---- life, main thread ---- */

int vm_verdict_load(struct vm *vm)
{
	struct verdict_hooks hooks = {.now_us = now_us, .news = news, .ctx = vm};

	if (!vm->opts->verdict)
		return 0;
	if (!vm->verdict) {
		vm->verdict = calloc(1, sizeof(*vm->verdict));
		if (!vm->verdict) {
			log_error("out of memory");
			return STATUS_HOST;
		}
		if (verdict_new(&vm->verdict->verdict, vm->opts, &hooks))
			return STATUS_HOST;
		if (vm->opts->dump && core_open(&vm->verdict->core, vm->opts->dump))
			return STATUS_HOST;
	}
	vm_breaks_free(vm->verdict->breaks);
	return vm_breaks_load(&vm->verdict->breaks, vm, vm->verdict->verdict);
}

void vm_verdict_close(struct vm *vm)
{
	struct vm_verdict *r = vm->verdict;

	vm->verdict = NULL;
	if (!r)
		return;
	core_close(r->core);
	vm_breaks_free(r->breaks);
	verdict_free(r->verdict);
	free(r);
}

/* ---- work, main thread ---- */

void vm_verdict_hold(struct vm *vm)
{
	if (!vm->verdict)
		return;
	vm->verdict->text_len = 0;
	atomic_store(&vm->verdict->backed, false);
	atomic_store(&vm->verdict->symbols_due, false);
	atomic_store(&vm->verdict->slide_due, false);
	vm->verdict->held = true;
	vm_debug_hold(vm->debug);
}

static bool wait_held(struct vm *vm)
{
	int status;

	if (vm_debug_hold_wait(vm->debug, PARK_MS))
		return true;
	if (!vm_debug_over(vm->debug, &status) && atomic_load(&vm->exit_status) < 0)
		log_warn("a vCPU does not stop, so nothing can be shown of the machine");
	return false;
}

/* Nothing has run yet. */
static void begin(struct vm *vm)
{
	struct vm_verdict *r = vm->verdict;
	int status;

	r->held = false;
	if (!wait_held(vm)) {
		vm_end_now(vm, STATUS_HOST);
		return;
	}
	status = vm_breaks_insert(r->breaks);
	if (status) {
		vm_end_now(vm, status);
		return;
	}
	verdict_begin(r->verdict);
	r->begun = true;
	vm_debug_unhold(vm->debug);
}

/* The machine is held for more breakpoints. */
static void add_breaks(struct vm *vm, int (*add)(struct vm_breaks *b))
{
	struct vm_verdict *r = vm->verdict;
	int status;

	if (!wait_held(vm)) {
		vm_end_now(vm, STATUS_HOST);
		return;
	}
	status = add(r->breaks);
	if (status) {
		r->begun = false; /* bad input, which shows only now */
		vm_end_now(vm, status);
	} else if (!verdict_final(r->verdict)) {
		vm_debug_unhold(vm->debug);
	}
}

/* The run has failed, and everybody parks: collect what there is to be seen, then end it or leave it to a debugger. */
static void back(struct vm *vm)
{
	struct vm_verdict *r = vm->verdict;
	char reason[RESULT_REASON_MAX];
	bool parked = wait_held(vm);

	if (parked) {
		r->text_len = evidence_text(
			vm->debug, vm_breaks_symbols(r->breaks), verdict_cpu(r->verdict), r->text, sizeof(r->text));
		if (r->core && !core_write(r->core, vm))
			log_error("dump: %s", vm->opts->dump);
	}
	atomic_store(&r->backed, true);
	if (!vm->opts->stop_on_fail || !parked) {
		vm_end_now(vm, verdict_status(r->verdict, STATUS_HOST));
		return;
	}
	verdict_reason(r->verdict, reason, sizeof(reason));
	log_error("the run has failed: %s; waiting for gdb on %s", reason, vm->opts->gdb);
	vm_debug_hand_over(vm->debug, verdict_cpu(r->verdict), reason);
}

int vm_verdict_work(struct vm *vm)
{
	struct vm_verdict *r = vm->verdict;

	if (!r)
		return -1;
	if (r->held)
		begin(vm);
	if (atomic_exchange(&r->symbols_due, false))
		add_breaks(vm, vm_breaks_found);
	if (atomic_exchange(&r->slide_due, false))
		add_breaks(vm, vm_breaks_slide);
	if (atomic_load(&r->backed))
		return -1;
	if (!verdict_final(r->verdict)) {
		int ms = verdict_tick(r->verdict);

		if (!verdict_final(r->verdict))
			return ms;
	}
	if (verdict_failed(r->verdict))
		back(vm);
	return -1;
}

void vm_verdict_result(struct vm *vm, struct result *out)
{
	struct vm_verdict *r = vm->verdict;

	if (!r || !r->begun)
		return;
	verdict_result(r->verdict, out);
	memcpy(out->text, r->text, r->text_len);
	out->text_len = r->text_len;
}
