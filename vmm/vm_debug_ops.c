/* The machine as vm_debug sees it: each operation is one step down, to vcpu.c, arch/ or memory.c. */
#include "vmm/kvm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/console.h"
#include "vmm/exit_status.h"
#include "vmm/log.h"
#include "vmm/vm_kaslr.h"
#include "vmm/vm_verdict.h"

/* Image headers know no pages, but the tables may map any page otherwise: translated again at least this often. */
#define LAYOUT_STEP 4096

static struct vcpu *vcpu_of(void *ctx, int cpu)
{
	struct vm *vm = ctx;

	return &vm->vcpus[cpu];
}

static void ops_kick(void *ctx, int cpu)
{
	kick_send(&vcpu_of(ctx, cpu)->kick);
}

static int ops_quiesce(void *ctx, int cpu, struct vm_stop *late)
{
	struct vcpu *vcpu = vcpu_of(ctx, cpu);
	int ret = vcpu_finish_io(vcpu, late);

	if (ret >= 0)
		ret = arch_regs_fetch(vcpu);
	vm_kaslr_look(vcpu);
	arch_time_stop(vcpu);
	if (ret < 0)
		vcpu_failed(vcpu, ret);
	return ret;
}

static int ops_arm(void *ctx, int cpu, const struct hw_slots *slots, enum vm_arm how)
{
	struct vcpu *vcpu = vcpu_of(ctx, cpu);
	int ret;

	if (vcpu->vm->memslots.broken)
		vm_exit(vcpu->vm, STATUS_HOST, "guest memory could not be registered again");
	ret = arch_debug_arm(vcpu, slots, how);
	if (ret < 0)
		vcpu_failed(vcpu, ret);
	return ret;
}

static void ops_resumed(void *ctx, int cpu)
{
	arch_time_resume(vcpu_of(ctx, cpu));
}

static int ops_reg_read(void *ctx, int cpu, unsigned regno, void *buf, size_t len)
{
	return arch_reg_read(vcpu_of(ctx, cpu), regno, buf, len);
}

static int ops_reg_write(void *ctx, int cpu, unsigned regno, const void *buf, size_t len)
{
	return arch_reg_write(vcpu_of(ctx, cpu), regno, buf, len);
}

static uint64_t ops_pc(void *ctx, int cpu)
{
	return arch_pc(vcpu_of(ctx, cpu));
}

static int ops_translate(void *ctx, int cpu, uint64_t va, struct mapping *out)
{
	return arch_translate(vcpu_of(ctx, cpu), va, out);
}

static int ops_translate_ready(void *ctx, int cpu)
{
	return arch_translate_ready(vcpu_of(ctx, cpu));
}

static uint64_t ops_space(void *ctx, int cpu, uint64_t va)
{
	return arch_space(vcpu_of(ctx, cpu), va);
}

static size_t ops_patch_site(void *ctx, int cpu, const uint8_t *bytes, size_t n)
{
	return arch_patch_site(vcpu_of(ctx, cpu), bytes, n);
}

static int ops_kernel_translate(void *ctx, int cpu, uint64_t va, struct mapping *out)
{
	return vm_kaslr_kernel_translate(vcpu_of(ctx, cpu), va, out);
}

static int ops_layout(void *ctx, uint64_t va, struct mapping *out)
{
	uint64_t step = LAYOUT_STEP - va % LAYOUT_STEP;
	struct vm *vm = ctx;

	if (vm->layout_moves || !image_layout_find(&vm->layout, va, &out->gpa, &out->len))
		return -ENOENT;
	if (out->len > step)
		out->len = step;
	out->writable = true;
	out->user = false;
	out->executable = true;
	return 0;
}

static void *ops_ram(void *ctx, uint64_t gpa, uint64_t *len)
{
	struct vm *vm = ctx;

	return memory_span(&vm->mem, gpa, len);
}

static void ops_code_written(void *ctx, void *host, size_t len)
{
	arch_code_written(ctx, host, len);
}

static int ops_protect(void *ctx, const uint64_t *pages, size_t n, bool lifted)
{
	struct vm *vm = ctx;
	bool was_broken = vm->memslots.broken;
	int ret = memslots_protect(&vm->memslots, &vm->mem, vm->vm_fd, pages, n, lifted);

	if (!was_broken && ret < 0 && ret != -ENOSPC && ret != -EOPNOTSUPP)
		log_error("cannot write-protect guest memory: %s", strerror(-ret));
	if (ret == 0)
		arch_protected(vm, n && !lifted);
	return ret;
}

static const char *ops_page_busy(void *ctx, int cpu, const uint64_t *pages, size_t n)
{
	return arch_page_busy(vcpu_of(ctx, cpu), pages, n, memslots_page());
}

static void ops_slide(void *ctx, struct vm_slide *out)
{
	vm_kaslr_get(ctx, out);
}

static int ops_slide_stop(void *ctx, bool on)
{
	return vm_kaslr_stop(ctx, on);
}

static int ops_slots_check(void *ctx, const struct hw_slots *slots)
{
	return arch_slots_check(ctx, slots);
}

static enum vm_swbreak ops_swbreak(void *ctx, int cpu)
{
	return arch_swbreak(vcpu_of(ctx, cpu));
}

static void ops_state_text(void *ctx, int cpu, char *buf, size_t len)
{
	arch_vcpu_state_text(vcpu_of(ctx, cpu), buf, len);
}

/* ---- for monitor commands ---- */

static bool bus_region(const struct bus *bus, size_t i, bool ports, struct region *out)
{
	if (i >= (size_t)bus->n)
		return false;
	*out = (struct region){.kind = REGION_DEVICE,
		.ports = ports,
		.base = bus->range[i].base,
		.len = bus->range[i].len,
		.name = bus->range[i].name};
	return true;
}

static bool ops_region(void *ctx, size_t i, struct region *out)
{
	struct vm *vm = ctx;

	if (i < (size_t)vm->mem.n) {
		*out = (struct region){
			.kind = REGION_RAM, .base = vm->mem.range[i].gpa, .len = vm->mem.range[i].size, .name = "ram"};
		return true;
	}
	i -= (size_t)vm->mem.n;
	if (bus_region(&vm->mmio, i, false, out))
		return true;
	i -= (size_t)vm->mmio.n;
	if (bus_region(&vm->pio, i, true, out))
		return true;
	return arch_kernel_region(vm, i - (size_t)vm->pio.n, out);
}

static int ops_chip_text(void *ctx, int cpu, const char *name, char *buf, size_t len)
{
	return arch_chip_text(vcpu_of(ctx, cpu), name, buf, len);
}

static int ops_nmi(void *ctx, int cpu)
{
	return arch_nmi(vcpu_of(ctx, cpu));
}

static void ops_poweroff(void *ctx)
{
	vm_exit(ctx, STATUS_OK, "powered off from gdb");
}

/* What lies there already and never shows its accesses here. */
static int ops_catch_check(void *ctx, const struct vm_catch *c, char *why, size_t len)
{
	bool address = c->kind == VM_CATCH_MMIO || c->kind == VM_CATCH_IO;
	uint64_t last = c->addr + (c->len - 1);
	struct region r;

	for (size_t i = 0; address && ops_region(ctx, i, &r); i++) {
		if (r.ports != (c->kind == VM_CATCH_IO) || r.base > last || r.base + (r.len - 1) < c->addr)
			continue;
		if (r.kind == REGION_RAM) {
			snprintf(why, len, "that is RAM: use watch");
			return -EINVAL;
		}
		if (r.kind == REGION_KERNEL) {
			snprintf(why, len, "0x%llx is of the %s, which KVM serves by itself",
				(unsigned long long)(r.base > c->addr ? r.base : c->addr), r.name);
			return -EINVAL;
		}
	}
	return arch_catch_check(ctx, c, why, len);
}

static int ops_catch_msrs(void *ctx, const uint32_t *msrs, size_t n)
{
	return arch_catch_msrs(ctx, msrs, n);
}

static void ops_detached(void *ctx)
{
	vm_verdict_client_left(ctx);
}

static void ops_flush(void *ctx)
{
	console_flush(((struct vm *)ctx)->console);
}

static void ops_kill(void *ctx)
{
	vm_exit(ctx, STATUS_KILLED, NULL);
}

static void ops_hangup(void *ctx)
{
	struct vm *vm = ctx;
	int ended = atomic_load(&vm->exit_status);

	vm_quit(vm, ended < 0 ? STATUS_ENDED : ended);
}

static void ops_restart(void *ctx)
{
	vm_restart(ctx);
}

struct vm_debug_machine vm_debug_machine(struct vm *vm)
{
	return (struct vm_debug_machine){
		.arch = &vm->desc.desc,
		.ctx = vm,
		.ncpus = vm->ncpus,
		.kick = ops_kick,
		.quiesce = ops_quiesce,
		.arm = ops_arm,
		.resumed = ops_resumed,
		.reg_read = ops_reg_read,
		.reg_write = ops_reg_write,
		.pc = ops_pc,
		.translate = ops_translate,
		.translate_ready = ops_translate_ready,
		.space = ops_space,
		.patch_site = ops_patch_site,
		.kernel_translate = ops_kernel_translate,
		.layout = ops_layout,
		.ram = ops_ram,
		.code_written = ops_code_written,
		.page_size = memslots_page(),
		.protect = ops_protect,
		.page_busy = ops_page_busy,
		.slide = ops_slide,
		.slide_stop = ops_slide_stop,
		.slots_check = ops_slots_check,
		.swbreak = ops_swbreak,
		.state_text = ops_state_text,
		.region = ops_region,
		.chips = arch_chips,
		.chip_text = ops_chip_text,
		.nmi = ops_nmi,
		.poweroff = ops_poweroff,
		.catch_check = ops_catch_check,
		.catch_msrs = ops_catch_msrs,
		.detached = ops_detached,
		.flush = ops_flush,
		.kill = ops_kill,
		.hangup = ops_hangup,
		.restart = ops_restart,
		.program = vm->opts->kernel,
	};
}
