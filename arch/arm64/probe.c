/*
 * The host probe's questions for arm64. The VM that answers them is in tiny_vm.c.
 */
#include "arch/probe.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/arm64/tiny_vm.h"
#include "arch/kvm_call.h"

/* Exception classes: Arm ARM D24.2.39 */
#define EC_BREAK_LOWER 0x30
#define EC_STEP_LOWER  0x32
#define EC_WATCH_LOWER 0x34
#define EC_BRK	       0x3c

#define ESR_BRK	 ((uint64_t)EC_BRK << 26 | 1 << 25) /* with IL, and the immediate 0 */
#define PSTATE_I 0x80ULL
#define NOP	 0xd503201f
#define BRK	 0xd4200000
#define INSN	 4

#define STALLS_MAX 16 /* step exits without progress in a row */

static enum host_swbreak ask_swbreak(struct tiny_vm *t, enum tiny_mode mode)
{
	const uint64_t at = tiny_address(TINY_BREAK);
	struct tiny_end e;

	if (tiny_restart(t, mode, at) || tiny_arm(t, KVM_GUESTDBG_USE_SW_BP))
		return HOST_SWBREAK_NONE;
	e = tiny_run(t);
	if (e.kind != TINY_END_DEBUG || e.ec != EC_BRK || e.pc != at)
		return HOST_SWBREAK_NONE;

	/* It is of use only if the guest can go on once the code is put back. */
	tiny_poke(t, at, NOP);
	e = tiny_run(t);
	tiny_poke(t, at, BRK);
	return e.kind == TINY_END_DONE ? HOST_SWBREAK_TRAPS : HOST_SWBREAK_NONE;
}

/* Has the guest come to the handler of a BRK at `at`? */
static bool took_break(struct tiny_vm *t, struct tiny_end e, uint64_t at)
{
	uint64_t esr, elr;

	return e.kind == TINY_END_VECTOR && e.vector == TINY_VECTOR_SYNC && !tiny_get(t, TINY_ESR_EL1, &esr) &&
	       !tiny_get(t, TINY_ELR_EL1, &elr) && esr == ESR_BRK && elr == at;
}

static bool ask_own_break(struct tiny_vm *t)
{
	const uint64_t at = tiny_address(TINY_BREAK);

	return tiny_restart(t, TINY_KERNEL, at) == 0 && took_break(t, tiny_run(t), at);
}

/* KVM does not inject it, but the entry to EL1 is nothing but registers. */
static enum host_inject ask_inject(struct tiny_vm *t)
{
	const uint64_t at = tiny_address(TINY_BREAK);
	struct tiny_end e;
	uint64_t pstate;

	if (tiny_restart(t, TINY_KERNEL, at) || tiny_arm(t, KVM_GUESTDBG_USE_SW_BP))
		return HOST_INJECT_NONE;
	e = tiny_run(t);
	if (e.kind != TINY_END_DEBUG || e.pc != at || tiny_get(t, TINY_PSTATE, &pstate))
		return HOST_INJECT_NONE;
	if (tiny_set(t, TINY_ELR_EL1, at) || tiny_set(t, TINY_SPSR_EL1, pstate) || tiny_set(t, TINY_ESR_EL1, ESR_BRK) ||
		tiny_set(t, TINY_PC, tiny_vector(TINY_VECTOR_SYNC)))
		return HOST_INJECT_NONE;
	return took_break(t, tiny_run(t), at) ? HOST_INJECT_AT : HOST_INJECT_NONE;
}

/* One step's end. */
static bool step(struct tiny_vm *t, uint64_t from, unsigned *stalls)
{
	for (int i = 0; i < STALLS_MAX; i++) {
		struct tiny_end e = tiny_run(t);

		if (e.kind != TINY_END_DEBUG || e.ec != EC_STEP_LOWER)
			return false;
		if (e.pc != from)
			return e.pc == from + INSN;
		++*stalls;
	}
	return false;
}

static bool start_step(struct tiny_vm *t, enum tiny_mode mode, uint64_t at)
{
	return tiny_restart(t, mode, at) == 0 && tiny_arm(t, KVM_GUESTDBG_SINGLESTEP) == 0;
}

static void ask_step(struct tiny_vm *t, struct host_probe *p)
{
	const uint64_t nops = tiny_address(TINY_NOPS), flags = tiny_address(TINY_FLAGS);

	p->single_step = start_step(t, TINY_KERNEL, nops) && step(t, nops, &p->step_stalls);
	p->single_step_user = start_step(t, TINY_USER, nops) && step(t, nops, &p->step_stalls);
	p->step_persists = start_step(t, TINY_KERNEL, flags) && step(t, flags, &p->step_stalls) &&
			   step(t, flags + INSN, &p->step_stalls) && step(t, flags + 2 * INSN, &p->step_stalls);
}

/* An interrupt is pending: the step with PSTATE.I set must not take it, the run after it with I clear must. */
static bool ask_block_irq(struct tiny_vm *t, unsigned *stalls)
{
	const uint64_t at = tiny_address(TINY_NOPS);
	struct tiny_end e = {.kind = TINY_END_OTHER};
	uint64_t pstate;

	if (!start_step(t, TINY_KERNEL, at) || tiny_set_irq(t, 1))
		return false;
	if (step(t, at, stalls) && !tiny_get(t, TINY_PSTATE, &pstate) &&
		!tiny_set(t, TINY_PSTATE, pstate & ~PSTATE_I) && !tiny_arm(t, 0))
		e = tiny_run(t);
	tiny_set_irq(t, 0);
	return e.kind == TINY_END_VECTOR && e.vector == TINY_VECTOR_IRQ;
}

/* How many of the host's debug registers to try; more would make KVM_SET_GUEST_DEBUG's state nonsense. */
static unsigned slots_of(int kvm_fd, unsigned long number)
{
	int n = kvm_check(kvm_fd, number);

	return n > TINY_SLOTS ? TINY_SLOTS : (unsigned)n;
}

/* Slots on consecutive NOPs. One that has hit is lifted before going on, or it would hit for ever. */
static unsigned ask_hw_break(struct tiny_vm *t, enum tiny_mode mode, unsigned slots)
{
	uint64_t addr[TINY_SLOTS];
	unsigned hits = 0;

	for (unsigned i = 0; i < TINY_SLOTS; i++)
		addr[i] = tiny_address(TINY_NOPS) + i * INSN;
	if (tiny_restart(t, mode, addr[0]))
		return 0;
	for (; hits < slots; hits++) {
		unsigned armed = ((1u << slots) - 1) & ~0u << hits;
		struct tiny_end e;

		if (tiny_arm_breaks(t, armed, addr))
			break;
		e = tiny_run(t);
		if (e.kind != TINY_END_DEBUG || e.ec != EC_BREAK_LOWER || e.pc != addr[hits])
			break;
	}
	return hits;
}

/* A word for each slot. Watchpoints report before the access, so they are lifted in the same way. */
static unsigned ask_watch(struct tiny_vm *t, enum tiny_program program, unsigned slots)
{
	const uint64_t at = tiny_address(program);
	unsigned hits = 0;

	if (tiny_restart(t, TINY_KERNEL, at))
		return 0;
	for (; hits < slots; hits++) {
		unsigned armed = ((1u << slots) - 1) & ~0u << hits;
		struct tiny_end e;

		if (tiny_arm_watches(t, armed, program == TINY_LOADS))
			break;
		e = tiny_run(t);
		if (e.kind != TINY_END_DEBUG || e.ec != EC_WATCH_LOWER || e.pc != at + hits * INSN ||
			e.far != tiny_data(hits))
			break;
	}
	return hits;
}

int host_probe_run(int kvm_fd, struct host_probe *out)
{
	unsigned breaks = slots_of(kvm_fd, KVM_CAP_GUEST_DEBUG_HW_BPS);
	unsigned watches = slots_of(kvm_fd, KVM_CAP_GUEST_DEBUG_HW_WPS);
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
	out->hw_break_slots = ask_hw_break(&t, TINY_KERNEL, breaks);
	out->hw_break_reset = ask_hw_break(&t, TINY_RESET, breaks) != 0;
	out->hw_break_user = ask_hw_break(&t, TINY_USER, breaks) != 0;
	out->watch_write_slots = ask_watch(&t, TINY_STORES, watches);
	out->watch_access_slots = ask_watch(&t, TINY_LOADS, watches);
	out->block_irq = ask_block_irq(&t, &out->step_stalls);
	if (t.m.timed_out)
		err = -ETIMEDOUT;
	tiny_destroy(&t);
	return err;
}
