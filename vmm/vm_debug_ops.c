/* The machine as vm_debug sees it: each operation is one step down, to vcpu.c, arch/ or memory.c. */
#include "vmm/kvm.h"

#include <errno.h>

#include "arch/arch.h"
#include "vmm/exit_status.h"
#include "vmm/vm_kaslr.h"

/* Image headers know no pages, but the tables may map any page otherwise: translated again at least this often. */
#define LAYOUT_STEP 4096

static struct vcpu *vcpu_of(void *ctx, int cpu)
{
	struct vm *vm = ctx;

	return &vm->vcpus[cpu];
}

static void ops_kick(void *ctx, int cpu)
{
	vcpu_kick(vcpu_of(ctx, cpu));
}

static int ops_quiesce(void *ctx, int cpu, struct vm_stop *late)
{
	struct vcpu *vcpu = vcpu_of(ctx, cpu);
	int finish = vcpu_finish_io(vcpu, late);
	int fetch = arch_regs_fetch(vcpu);

	vm_kaslr_look(vcpu);
	arch_time_stop(vcpu);
	return finish < 0 ? finish : fetch;
}

static int ops_arm(void *ctx, int cpu, const struct hw_slots *slots, bool step)
{
	struct vcpu *vcpu = vcpu_of(ctx, cpu);

	vcpu->stepping = step;
	return arch_debug_arm(vcpu, slots, step);
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

static void ops_kill(void *ctx)
{
	vm_exit(ctx, STATUS_KILLED);
}

static void ops_hangup(void *ctx)
{
	vm_exit(ctx, STATUS_ENDED);
}

struct vm_debug_machine vm_debug_machine(struct vm *vm)
{
	return (struct vm_debug_machine){
		.arch = &arch_desc,
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
		.kernel_translate = ops_kernel_translate,
		.layout = ops_layout,
		.ram = ops_ram,
		.code_written = ops_code_written,
		.slide = ops_slide,
		.slide_stop = ops_slide_stop,
		.slots_check = ops_slots_check,
		.swbreak = ops_swbreak,
		.state_text = ops_state_text,
		.kill = ops_kill,
		.hangup = ops_hangup,
	};
}
