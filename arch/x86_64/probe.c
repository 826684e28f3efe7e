/*
 * The host probe's questions for x86_64. The VM that answers them is in tiny_vm.c.
 */
#include "arch/probe.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "arch/x86_64/tiny_vm.h"

/* Intel SDM vol. 3, 18.2: DR6.BS and B0-B3; the R/Wn and LENn fields of DR7. */
#define DR6_BS	      (1u << 14)
#define DR6_SLOTS     0xfu
#define DR7_RW_EXEC   0u
#define DR7_RW_WRITE  1u
#define DR7_RW_ACCESS 3u
#define DR7_LEN_1     0u
#define DR7_LEN_4     3u
#define ALL_SLOTS     ((1u << TINY_SLOTS) - 1)

#define DB_VECTOR 1
#define BP_VECTOR 3
#define INT3	  0xcc
#define NOP	  0x90

#define STALLS_MAX 16 /* step exits without progress in a row; some emulators make a few */

static enum host_swbreak ask_swbreak(struct tiny_vm *t, enum tiny_mode mode)
{
	const uint64_t at = tiny_address(TINY_BREAK);
	enum host_swbreak answer = HOST_SWBREAK_NONE;
	struct tiny_end e;

	if (tiny_restart(t, mode, at, false) || tiny_arm(t, KVM_GUESTDBG_USE_SW_BP, 0, NULL, 0, 0))
		return HOST_SWBREAK_NONE;
	e = tiny_run(t);
	if (e.kind == TINY_END_DEBUG && e.exception == BP_VECTOR && e.pc == at)
		answer = HOST_SWBREAK_TRAPS;
	else if (e.kind == TINY_END_EMUL_FAILED && e.pc == at)
		answer = HOST_SWBREAK_EMUL_FAILS;
	if (answer == HOST_SWBREAK_NONE || mode == TINY_USER)
		return answer;

	/* It is of use only if the guest can go on once the code is put back. */
	tiny_poke(t, at, NOP);
	e = tiny_run(t);
	tiny_poke(t, at, INT3);
	return e.kind == TINY_END_PORT && e.port == TINY_PORT_DONE ? answer : HOST_SWBREAK_NONE;
}

static bool ask_own_break(struct tiny_vm *t)
{
	struct tiny_end e;

	if (tiny_restart(t, TINY_KERNEL, tiny_address(TINY_BREAK), false))
		return false;
	e = tiny_run(t);
	return e.kind == TINY_END_PORT && e.port == TINY_PORT_VECTOR + BP_VECTOR;
}

/* Stop at an INT3, give it to the guest with pc advanced by `skip`: is the return address on its stack right? */
static bool inject_works(struct tiny_vm *t, unsigned skip)
{
	const uint64_t at = tiny_address(TINY_BREAK);
	struct kvm_vcpu_events ev;
	struct kvm_regs r;
	struct tiny_end e;

	if (tiny_restart(t, TINY_KERNEL, at, false) || tiny_arm(t, KVM_GUESTDBG_USE_SW_BP, 0, NULL, 0, 0))
		return false;
	e = tiny_run(t);
	if ((e.kind != TINY_END_DEBUG && e.kind != TINY_END_EMUL_FAILED) || e.pc != at)
		return false;
	if (kvm_ioctl(t->m.vcpu_fd, KVM_GET_REGS, &r) < 0 || kvm_ioctl(t->m.vcpu_fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
		return false;
	r.rip += skip;
	ev.exception.injected = 1;
	ev.exception.pending = 0;
	ev.exception.nr = BP_VECTOR;
	ev.exception.has_error_code = 0;
	if (kvm_ioctl(t->m.vcpu_fd, KVM_SET_REGS, &r) < 0 || kvm_ioctl(t->m.vcpu_fd, KVM_SET_VCPU_EVENTS, &ev) < 0)
		return false;
	e = tiny_run(t);
	if (e.kind != TINY_END_PORT || e.port != TINY_PORT_VECTOR + BP_VECTOR ||
		kvm_ioctl(t->m.vcpu_fd, KVM_GET_REGS, &r) < 0)
		return false;
	return tiny_word(t, r.rsp) == at + 1;
}

static enum host_inject ask_inject(struct tiny_vm *t)
{
	if (inject_works(t, 0))
		return HOST_INJECT_AT;
	return inject_works(t, 1) ? HOST_INJECT_AFTER : HOST_INJECT_NONE;
}

/* One step's end. A step exit that has not moved is no end yet: some emulated hardware makes these. */
static bool step(struct tiny_vm *t, uint64_t from, unsigned *stalls)
{
	for (int i = 0; i < STALLS_MAX; i++) {
		struct tiny_end e = tiny_run(t);

		if (e.kind != TINY_END_DEBUG || e.exception != DB_VECTOR || !(e.dr6 & DR6_BS))
			return false;
		if (e.pc != from)
			return e.pc == from + 1;
		++*stalls;
	}
	return false;
}

static bool start_step(struct tiny_vm *t, enum tiny_mode mode, uint64_t at)
{
	return tiny_restart(t, mode, at, false) == 0 && tiny_arm(t, KVM_GUESTDBG_SINGLESTEP, 0, NULL, 0, 0) == 0;
}

static void ask_step(struct tiny_vm *t, struct host_probe *p)
{
	const uint64_t nops = tiny_address(TINY_NOPS), flags = tiny_address(TINY_FLAGS);

	p->single_step = start_step(t, TINY_KERNEL, nops) && step(t, nops, &p->step_stalls);
	p->single_step_user = start_step(t, TINY_USER, nops) && step(t, nops, &p->step_stalls);
	/* Where TF is the guest's real flag, POPF clears it. */
	p->step_persists = start_step(t, TINY_KERNEL, flags) && step(t, flags, &p->step_stalls) &&
			   step(t, flags + 1, &p->step_stalls) && step(t, flags + 2, &p->step_stalls);
}

/* An interrupt is pending and open: the step must not take it, the run after it must. */
static bool ask_block_irq(struct tiny_vm *t, unsigned *stalls)
{
	const uint64_t at = tiny_address(TINY_NOPS);
	struct tiny_end e;

	if (tiny_restart(t, TINY_KERNEL, at, true) ||
		tiny_arm(t, KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ, 0, NULL, 0, 0) || tiny_raise_irq(t))
		return false;
	if (!step(t, at, stalls) || tiny_arm(t, 0, 0, NULL, 0, 0))
		return false;
	e = tiny_run(t);
	return e.kind == TINY_END_PORT && e.port == TINY_PORT_VECTOR + TINY_IRQ;
}

/* Slots on consecutive NOPs. One that has hit is lifted before going on, or it would hit for ever. */
static unsigned ask_hw_break(struct tiny_vm *t, enum tiny_mode mode)
{
	uint64_t addr[TINY_SLOTS];
	unsigned hits = 0;

	for (unsigned i = 0; i < TINY_SLOTS; i++)
		addr[i] = tiny_address(TINY_NOPS) + i;
	if (tiny_restart(t, mode, addr[0], false))
		return 0;
	for (; hits < TINY_SLOTS; hits++) {
		unsigned armed = ALL_SLOTS & ALL_SLOTS << hits;
		struct tiny_end e;

		if (tiny_arm(t, KVM_GUESTDBG_USE_HW_BP, armed, addr, DR7_RW_EXEC, DR7_LEN_1))
			break;
		e = tiny_run(t);
		if (e.kind != TINY_END_DEBUG || e.exception != DB_VECTOR || !(e.dr6 & 1u << hits) || e.pc != addr[hits])
			break;
	}
	return hits;
}

/* A word for each slot. Data breakpoints report after the access, so the run just goes on. */
static unsigned ask_watch(struct tiny_vm *t, enum tiny_program program, unsigned rw)
{
	uint64_t addr[TINY_SLOTS];
	unsigned hits = 0;

	for (unsigned i = 0; i < TINY_SLOTS; i++)
		addr[i] = tiny_data(i);
	if (tiny_restart(t, TINY_KERNEL, tiny_address(program), false) ||
		tiny_arm(t, KVM_GUESTDBG_USE_HW_BP, ALL_SLOTS, addr, rw, DR7_LEN_4))
		return 0;
	for (int i = 0; i < TINY_SLOTS; i++) {
		struct tiny_end e = tiny_run(t);

		if (e.kind != TINY_END_DEBUG || e.exception != DB_VECTOR)
			break;
		hits |= (unsigned)e.dr6 & DR6_SLOTS;
	}
	return (unsigned)__builtin_popcount(hits);
}

int host_probe_run(int kvm_fd, struct host_probe *out)
{
	struct tiny_vm t;
	int err;

	memset(out, 0, sizeof(*out));
	host_probe_caps(kvm_fd, out);
	err = tiny_create(&t, kvm_fd);
	if (err)
		return err;
	out->swbreak = ask_swbreak(&t, TINY_KERNEL);
	out->swbreak_reset = ask_swbreak(&t, TINY_RESET);
	out->swbreak_user = ask_swbreak(&t, TINY_USER);
	out->own_break = ask_own_break(&t);
	out->inject_break = ask_inject(&t);
	ask_step(&t, out);
	out->hw_break_slots = ask_hw_break(&t, TINY_KERNEL);
	out->hw_break_reset = ask_hw_break(&t, TINY_RESET) != 0;
	out->hw_break_user = ask_hw_break(&t, TINY_USER) != 0;
	out->watch_write_slots = ask_watch(&t, TINY_STORES, DR7_RW_WRITE);
	out->watch_access_slots = ask_watch(&t, TINY_LOADS, DR7_RW_ACCESS);
	out->block_irq = ask_block_irq(&t, &out->step_stalls);
	if (t.m.timed_out)
		err = -ETIMEDOUT;
	tiny_destroy(&t);
	return err;
}
