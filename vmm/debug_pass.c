/*
 * A breakpoint of the debug hardware whose condition is false costs its vCPU a step, and the others nothing: slots are
 * each vCPU's own, so this one lifts those at its pc for one instruction, and the world goes on. Instructions in memory
 * are everybody's; past those the vCPU steps alone (debug.c).
 *
 * All of this is the vCPU's own while it runs. A stop that comes in between finds it known at its pc, or past it.
 */
#include "vmm/debug_priv.h"

static void end(struct vm_debug *d, struct cpu_debug *c)
{
	c->passing = c->stepping = c->known = c->told = false;
	c->slots = &d->breaks.slots;
	c->rearm = true;
}

bool pass_begin(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	struct cpu_debug *c = &d->cpu[cpu];
	const struct hw_slots *all = &d->breaks.slots;
	struct hw_slots *s = &c->pass_slots;

	/* A step or a range goes on by its own rules, and the one that steps alone has no slots at its pc. */
	if (stop->kind != VM_STOP_HWBREAK || c->stepping || c->lift || c->action.kind != VM_CONT || d->solo >= 0 ||
		c->slots != all || breaks_planted_at(d, cpu, stop->pc))
		return false;
	s->n = 0;
	for (unsigned i = 0; i < all->n; i++) {
		if (all->slot[i].kind != HW_EXEC || all->slot[i].addr != stop->pc)
			s->slot[s->n++] = all->slot[i];
	}
	s->swbreak = all->swbreak;
	c->slots = s;
	c->passing = c->stepping = c->rearm = c->known = true;
	c->pass_pc = stop->pc;
	return true;
}

void pass_stopped(struct vm_debug *d, int cpu, const struct vm_stop *stop)
{
	struct cpu_debug *c = &d->cpu[cpu];
	bool made = stop->kind == VM_STOP_WATCH && (stop->made || !d->m.arch->watch_before);

	if (c->passing && (stop->kind == VM_STOP_STEPPED || made || stop->pc != c->pass_pc))
		end(d, c);
}

void pass_parks(struct vm_debug *d, int cpu, uint64_t pc)
{
	if (d->cpu[cpu].passing && pc != d->cpu[cpu].pass_pc)
		end(d, &d->cpu[cpu]);
}
