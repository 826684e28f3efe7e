#include "vmm/vm_kaslr.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/kaslr.h"
#include "vmm/kvm.h"
#include "vmm/log.h"
#include "vmm/symbols.h"
#include "vmm/vm_verdict.h"

#define HINTS_MAX   4
#define KERNEL_HALF (1ULL << 63)

struct vm_kaslr {
	struct kaslr kernel; /* as linked; constant */
	pthread_mutex_t lock;
	atomic_bool found; /* set last: slide is valid then */
	atomic_bool stop_wanted;
	uint64_t gate; /* where the kernel jumps to its place, guest-physical; 0: not known */
	bool watched;  /* by arch_kaslr_watch() */
	uint64_t slide;
	uint64_t banner_gpa; /* of linux_banner, found with it */
	/* Of the vCPU that looked last and had any, for a second look by somebody else. */
	struct kaslr_hint hint[HINTS_MAX];
	size_t nhints;
	int hint_cpu;
};

/* ---- memory ---- */

static bool read_kernel(void *ctx, uint64_t va, void *buf, size_t len)
{
	struct vcpu *vcpu = ctx;
	uint8_t *to = buf;

	while (len) {
		struct mapping m;
		size_t n = len;

		if (arch_kernel_translate(vcpu, va, &m) < 0)
			return false;
		if (n > m.len)
			n = (size_t)m.len;
		if (memory_read(&vcpu->vm->mem, m.gpa, to, n))
			return false;
		to += n;
		va += n;
		len -= n;
	}
	return true;
}

/* ---- life ---- */

static int read_symbols(struct vm *vm, struct vm_kaslr *k)
{
	struct symbols s;
	int err = symbols_open(&s, vm->opts->symbols, arch_desc.elf_machine);

	if (err)
		return err;
	err = kaslr_prepare(&k->kernel, &s);
	if (!err) {
		uint64_t gate = arch_kaslr_symbols(vm, &s), room;

		if (!gate || !image_layout_find(&vm->layout, gate, &k->gate, &room))
			k->gate = 0;
	}
	symbols_close(&s);
	return err;
}

/* A kernel is about to boot, and chooses anew. */
static void forget(struct vm *vm)
{
	struct vm_kaslr *k = vm->kaslr;

	pthread_mutex_lock(&k->lock);
	atomic_store(&k->found, false);
	k->nhints = 0;
	k->watched = arch_kaslr_watch(vm, true) == 0;
	pthread_mutex_unlock(&k->lock);
}

int vm_kaslr_open(struct vm *vm)
{
	struct vm_kaslr *k;
	int err;

	if (!vm->opts->symbols)
		return 0;
	if (vm->kaslr) {
		forget(vm);
		return 0;
	}
	k = calloc(1, sizeof(*k));
	if (!k) {
		log_error("out of memory");
		return -ENOMEM;
	}
	err = read_symbols(vm, k);
	if (err) {
		free(k);
		return err;
	}
	pthread_mutex_init(&k->lock, NULL);
	vm->kaslr = k;
	forget(vm);
	return 0;
}

void vm_kaslr_close(struct vm *vm)
{
	if (!vm->kaslr)
		return;
	pthread_mutex_destroy(&vm->kaslr->lock);
	free(vm->kaslr);
	vm->kaslr = NULL;
}

/* ---- looking ---- */

static void found(struct vcpu *vcpu, uint64_t slide)
{
	struct vm *vm = vcpu->vm;
	struct vm_kaslr *k = vm->kaslr;
	struct mapping banner = {0};
	bool first;

	arch_kernel_translate(vcpu, k->kernel.banner + slide, &banner);
	pthread_mutex_lock(&k->lock);
	first = !atomic_load(&k->found);
	k->slide = slide;
	k->banner_gpa = banner.gpa;
	atomic_store(&k->found, true);
	if (k->watched)
		arch_kaslr_watch(vm, false);
	k->watched = false;
	pthread_mutex_unlock(&k->lock);
	if (!first)
		return;
	log_info("the kernel runs 0x%" PRIx64 " above where %s links it", slide, vm->opts->symbols);
	vm_verdict_slide_found(vm);
	if (atomic_exchange(&k->stop_wanted, false))
		vm_debug_pause(vm->debug);
}

void vm_kaslr_look(struct vcpu *vcpu)
{
	struct vm_kaslr *k = vcpu->vm->kaslr;
	struct kaslr_hint hint[HINTS_MAX];
	uint64_t slide;
	size_t n;

	if (!k || atomic_load_explicit(&k->found, memory_order_relaxed))
		return;
	n = arch_kaslr_hints(vcpu, hint, HINTS_MAX);
	if (!n)
		return;
	if (kaslr_search(&k->kernel, hint, n, read_kernel, vcpu, &slide)) {
		found(vcpu, slide);
		return;
	}
	pthread_mutex_lock(&k->lock);
	memcpy(k->hint, hint, n * sizeof(*hint));
	k->nhints = n;
	k->hint_cpu = vcpu->id;
	pthread_mutex_unlock(&k->lock);
}

/* ---- asked ---- */

int vm_kaslr_kernel_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out)
{
	struct vm_kaslr *k = vcpu->vm->kaslr;
	struct mapping banner;

	if (!k || !atomic_load(&k->found) || !(va & KERNEL_HALF))
		return -EFAULT;
	/* What only looks like the tables of a kernel leads elsewhere. */
	if (arch_kernel_translate(vcpu, k->kernel.banner + k->slide, &banner) < 0 || banner.gpa != k->banner_gpa)
		return -EFAULT;
	return arch_kernel_translate(vcpu, va, out);
}

/* A condition: the vCPU is about to jump to the kernel's place. Whether it is found there or not, it is no hit. */
static bool at_gate(void *ctx, int cpu, const struct vm_stop *stop)
{
	struct vm *vm = ctx;

	(void)stop;
	vm_kaslr_look(&vm->vcpus[cpu]);
	return false;
}

/* The client's, or the machine's own. */
static struct vm_break gate_break(struct vm *vm, bool machines)
{
	return (struct vm_break){
		.type = VM_BREAK_HW,
		.addr = vm->kaslr->gate,
		.len = arch_desc.brk_len,
		.cond = at_gate,
		.cond_ctx = vm,
		.machines = machines,
	};
}

static void remove_gate(struct vm *vm)
{
	struct vm_break b = gate_break(vm, false);

	if (!b.addr)
		return;
	vm_debug_break_remove(vm->debug, b.type, b.addr, b.len);
	vm_debug_machines_break_remove(vm->debug, b.type, b.addr, b.len);
}

/* Something is to tell of the kernel as soon as it has moved. */
static int watch_gate(struct vm *vm, bool machines)
{
	struct vm_break gate = gate_break(vm, machines);

	if (vm->kaslr->watched)
		return 0;
	if (!gate.addr)
		return -ENOTSUP;
	return vm_debug_break_insert(vm->debug, 0, &gate, NULL) < 0 ? -ENOSPC : 0;
}

int vm_kaslr_early(struct vm *vm)
{
	return vm->kaslr ? watch_gate(vm, true) : -ENOENT;
}

int vm_kaslr_stop(struct vm *vm, bool on)
{
	struct vm_kaslr *k = vm->kaslr;
	int err;

	if (!k)
		return -ENOENT;
	if (!on) {
		atomic_store(&k->stop_wanted, false);
		return 0;
	}
	if (atomic_load(&k->found))
		return -EALREADY;
	err = watch_gate(vm, false);
	if (err)
		return err;
	atomic_store(&k->stop_wanted, true);
	return 0;
}

void vm_kaslr_get(struct vm *vm, struct vm_slide *out)
{
	struct vm_kaslr *k = vm->kaslr;

	*out = (struct vm_slide){.state = VM_SLIDE_NO_SYMBOLS};
	if (!k)
		return;
	out->file = vm->opts->symbols;
	out->banner = k->kernel.text;
	out->first = k->kernel.first;
	out->percpu_at_zero = k->kernel.percpu_at_zero;
	if (atomic_load(&k->found))
		remove_gate(vm);
	pthread_mutex_lock(&k->lock);
	if (atomic_load(&k->found)) {
		out->state = VM_SLIDE_FOUND;
		out->slide = k->slide;
	} else if (kaslr_other_banner(&k->kernel, k->hint, k->nhints, read_kernel, &vm->vcpus[k->hint_cpu], out->other,
			   sizeof(out->other))) {
		out->state = VM_SLIDE_OTHER;
	} else {
		out->state = VM_SLIDE_NOT_YET;
	}
	pthread_mutex_unlock(&k->lock);
}
