/*
 * Writes to write-protected RAM (see memslots.h) that KVM has decoded: each is made here, in the guest's stead, unless
 * it hits a watchpoint that is reported before the access.
 */
#include "vmm/kvm.h"

#include <string.h>

#include "arch/arch.h"

/* As the processor would: other CPUs see all of an aligned access or nothing. */
static void store(void *to, const uint8_t *from, size_t len)
{
	bool aligned = (uintptr_t)to % len == 0;
	uint64_t v = 0;

	memcpy(&v, from, len < sizeof(v) ? len : sizeof(v));
	if (aligned && len == 8)
		__atomic_store_n((uint64_t *)to, v, __ATOMIC_RELEASE);
	else if (aligned && len == 4)
		__atomic_store_n((uint32_t *)to, (uint32_t)v, __ATOMIC_RELEASE);
	else if (aligned && len == 2)
		__atomic_store_n((uint16_t *)to, (uint16_t)v, __ATOMIC_RELEASE);
	else
		memcpy(to, from, len);
}

/* It is not made now: pc goes back once KVM has let go of it. */
static bool withhold(struct vcpu *vcpu, enum ram_news news)
{
	if (arch_write_pc(vcpu, &vcpu->ram.pc) < 0)
		return false;
	vcpu->ram.withheld = true;
	vcpu->ram.news = news;
	return true;
}

bool vcpu_ram_write(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint64_t gpa = run->mmio.phys_addr, len = run->mmio.len, room;
	struct vm_stop stop;
	uint8_t *host = memory_span(&vcpu->vm->mem, gpa, &room);

	if (!host || !len)
		return false;
	if (!arch_write_whole(vcpu) && withhold(vcpu, RAM_LIFT))
		return true;
	if (vm_debug_watched(vcpu->vm->debug, vcpu->id, gpa, len, &stop)) {
		if (vcpu->ram.news == RAM_NONE)
			vcpu->ram.stop = stop;
		if (arch_desc.watch_before && withhold(vcpu, RAM_HIT))
			return true;
		vcpu->ram.news = RAM_HIT;
	}
	len = len < room ? len : room;
	store(host, run->mmio.data, (size_t)len);
	arch_code_written(vcpu->vm, host, (size_t)len); /* for a guest whose caches are off, or that executes it */
	return true;
}

/* Does a write to these addresses hit a watchpoint? */
static bool hits(struct vcpu *vcpu, const struct arch_write *w, struct vm_stop *stop)
{
	uint64_t at = 0;
	struct mapping m;

	while (at < w->len) {
		if (arch_translate(vcpu, w->va + at, &m) < 0)
			return false; /* it faults first */
		if (m.len > w->len - at)
			m.len = w->len - at;
		if (vm_debug_watched(vcpu->vm->debug, vcpu->id, m.gpa, m.len, stop))
			return true;
		at += m.len;
	}
	return false;
}

bool vcpu_ram_blocked(struct vcpu *vcpu)
{
	struct arch_write w;
	struct vm_stop stop;

	if (arch_regs_fetch(vcpu) < 0)
		return false;
	arch_write_at(vcpu, &w);
	if (!arch_desc.watch_before || !hits(vcpu, &w, &stop))
		return vm_debug_lift(vcpu->vm->debug, vcpu->id, w.steps);
	stop.pc = arch_pc(vcpu);
	(void)vm_debug_trap(vcpu->vm->debug, vcpu->id, &stop);
	return true;
}

bool vcpu_ram_report(struct vcpu *vcpu)
{
	struct vcpu_ram ram = vcpu->ram;
	int ret = 0;

	vcpu->ram = (struct vcpu_ram){.news = RAM_NONE};
	if (ram.news == RAM_NONE)
		return false;
	if (ram.withheld)
		ret = arch_write_undo(vcpu, ram.pc);
	if (ret == 0)
		ret = arch_regs_fetch(vcpu);
	if (ret < 0) {
		vcpu_failed(vcpu, ret);
	} else if (ram.news == RAM_LIFT) {
		(void)vcpu_ram_blocked(vcpu);
	} else {
		ram.stop.pc = arch_pc(vcpu);
		(void)vm_debug_trap(vcpu->vm->debug, vcpu->id, &ram.stop);
	}
	return ram.withheld;
}
