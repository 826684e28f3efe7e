/* One vCPU: its thread and its exits. How others get it out of KVM_RUN is kick.c's. */
#include "vmm/kvm.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/kvm_call.h"
#include "vmm/exit_status.h"
#include "vmm/log.h"
#include "vmm/run_page.h"
#include "vmm/sandbox.h"
#include "vmm/vm_kaslr.h"

static __thread struct vcpu *vcpu_self;

/* ---- KVM_RUN ---- */

static int vcpu_enter(struct vcpu *vcpu)
{
	vcpu->io_pending = false;
	return kvm_run(vcpu->fd);
}

static void access_bus(const struct bus *bus, uint64_t addr, unsigned size, uint8_t *data, bool write)
{
	/* A device access that was split at a page's end may have any length; the bus takes powers of two. */
	unsigned step = size & (size - 1) ? 1 : size;

	for (unsigned i = 0; i < size; i += step) {
		if (write)
			bus_write(bus, addr + i, step, data + i);
		else
			bus_read(bus, addr + i, step, data + i);
	}
}

void vcpu_accessed(struct vcpu *vcpu, const struct vm_access *a)
{
	vm_debug_event(vcpu->vm->debug, vcpu->id, a);
	vcpu->catching = false;
	vcpu->io_pending = true;
}

static bool vcpu_access_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vm_access a = {
		.kind = VM_CATCH_MMIO,
		.addr = run->mmio.phys_addr,
		.size = run->mmio.len,
		.count = 1,
		.write = run->mmio.is_write,
	};

	if (!run_mmio_valid(run))
		return false;
	if (a.write && vcpu_ram_write(vcpu)) {
		vcpu->io_pending = true;
		return true;
	}
	vcpu->catching = vm_debug_catches(vcpu->vm->debug, &a);
	access_bus(&vcpu->vm->mmio, a.addr, a.size, run->mmio.data, a.write);
	memcpy(&a.value, run->mmio.data, sizeof(a.value));
	vcpu_accessed(vcpu, &a);
	return true;
}

static bool vcpu_access_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = run_io_data(run, vcpu->run_size);
	struct vm_access a = {
		.kind = VM_CATCH_IO,
		.addr = run->io.port,
		.size = run->io.size,
		.count = run->io.count,
		.write = run->io.direction == KVM_EXIT_IO_OUT,
	};

	if (!data)
		return false;
	vcpu->catching = vm_debug_catches(vcpu->vm->debug, &a);
	for (uint32_t i = 0; i < run->io.count; i++)
		access_bus(&vcpu->vm->pio, run->io.port, run->io.size, data + i * run->io.size, a.write);
	memcpy(&a.value, data, a.size);
	vcpu_accessed(vcpu, &a);
	return true;
}

/* False: what KVM says of it makes no sense. */
static bool vcpu_access(struct vcpu *vcpu)
{
	return vcpu->run->exit_reason == KVM_EXIT_MMIO ? vcpu_access_mmio(vcpu) : vcpu_access_io(vcpu);
}

static int finish_io(struct vcpu *vcpu, struct vm_stop *late)
{
	int ret;

	late->kind = VM_STOP_NONE;
	while (vcpu->io_pending) {
		vcpu->run->immediate_exit = 1;
		ret = vcpu_enter(vcpu);
		/* May swallow a kick; every caller goes on to a checkpoint, which looks again. */
		vcpu->run->immediate_exit = 0;
		if (ret == -EINTR || ret == -EAGAIN)
			return 0;
		if (ret)
			return ret;
		switch (vcpu->run->exit_reason) {
		case KVM_EXIT_IO:
		case KVM_EXIT_MMIO:
			if (!vcpu_access(vcpu))
				return -EPROTO;
			break;
		case KVM_EXIT_DEBUG:
			return arch_debug_cause(vcpu, late);
		case KVM_EXIT_INTR:
			return 0;
		default:
			vcpu->exit_held = true;
			return 0;
		}
	}
	return 0;
}

int vcpu_finish_io(struct vcpu *vcpu, struct vm_stop *late)
{
	int ret = finish_io(vcpu, late);

	if (!vcpu_ram_report(vcpu))
		return ret;
	late->kind = VM_STOP_NONE;
	return ret < 0 ? ret : 1;
}

/* ---- faults ---- */

/*
 * The vCPU cannot go on. With a debugger attached it stops here; resumed, it ends the VM or, where the
 * debugger may have repaired what was wrong (VM_FAULT_KVM), simply runs again: true. Without one the VM ends.
 */
static bool vcpu_fault(struct vcpu *vcpu, enum vm_fault fault, const char *what)
{
	static const int statuses[] = {
		[VM_FAULT_KVM] = STATUS_KVM_EXIT,
		[VM_FAULT_PANIC] = STATUS_PANIC,
		[VM_FAULT_TRIPLE] = STATUS_TRIPLE_FAULT,
	};
	struct vm *vm = vcpu->vm;
	uint64_t pc;
	int n;

	arch_regs_fetch(vcpu);
	pc = arch_pc(vcpu);
	n = snprintf(vcpu->fault, sizeof(vcpu->fault), "vCPU %d: %s\n", vcpu->id, what);
	/* The exit that a panic came with is an ordinary access and explains nothing. */
	if (fault == VM_FAULT_PANIC)
		snprintf(vcpu->fault + n, sizeof(vcpu->fault) - (size_t)n, "pc 0x%" PRIx64, pc);
	else
		arch_vcpu_describe(vcpu, vcpu->fault + n, sizeof(vcpu->fault) - (size_t)n);
	if (vm_debug_fault(vm->debug, vcpu->id, fault, pc, vcpu->fault)) {
		vcpu->fault_ends = fault != VM_FAULT_KVM;
		vcpu->fault_status = statuses[fault];
		return true;
	}
	/* A VM that is ending anyway has nothing to say, e.g. about a reset done by a triple fault. */
	if (atomic_load(&vm->exit_status) < 0)
		log_error("%s", vcpu->fault);
	vm_exit(vm, statuses[fault], vcpu->fault);
	return false;
}

static void vcpu_unrecoverable(struct vcpu *vcpu, const char *why)
{
	vcpu_fault(vcpu, VM_FAULT_KVM, why);
}

void vcpu_failed(struct vcpu *vcpu, int err)
{
	char why[KVM_EXPLAIN_MAX];

	/* One who is told of this may leave, or run another machine, before the stop's turn has come. */
	if (vcpu_fault(vcpu, VM_FAULT_KVM, kvm_explain(err, why, sizeof(why))))
		log_warn("vCPU %d: %s", vcpu->id, why);
}

void vcpu_panic(struct vm *vm)
{
	if (vcpu_self) {
		vcpu_self->panicked = true;
	} else {
		log_error("the guest reported a panic");
		vm_exit(vm, STATUS_PANIC, "the guest reported a panic");
	}
}

static const struct vm_access reset_event = {.kind = VM_CATCH_RESET};

bool vcpu_hold_power(struct vm *vm, enum power_event event, unsigned value)
{
	struct held_power *p = vcpu_self ? &vcpu_self->power : NULL;

	if (!p || p->due || event == POWER_PANIC)
		return false;
	if (!vcpu_self->catching && !(event == POWER_RESET && vm_debug_catches(vm->debug, &reset_event)))
		return false;
	*p = (struct held_power){.held = true, .event = event, .value = value};
	return true;
}

/*
 * What the guest has asked for by an access, once all other stops are told: behind the checkpoint. True if there was
 * something, which leads to a stop or to the end.
 */
static bool vcpu_asked_for(struct vcpu *vcpu)
{
	const struct power *power = &vcpu->vm->power;
	struct held_power *p = &vcpu->power;
	struct vm_stop late;

	if (!vcpu->panicked && !p->held)
		return false;
	vcpu_finish_io(vcpu, &late);
	if (vcpu->panicked) {
		vcpu->panicked = false;
		vcpu_fault(vcpu, VM_FAULT_PANIC, "the guest reported a panic");
		return true;
	}
	if (p->event == POWER_RESET && !p->told) {
		p->told = true;
		if (vm_debug_event(vcpu->vm->debug, vcpu->id, &reset_event))
			return true;
	}
	p->due = true;
	power->event(power->ctx, p->event, p->value);
	*p = (struct held_power){.held = false};
	return true;
}

/* ---- exits ---- */

static void vcpu_trap(struct vcpu *vcpu, const struct vm_stop *stop)
{
	if (vm_debug_trap(vcpu->vm->debug, vcpu->id, stop) == VM_TRAP_FOREIGN && arch_inject_break(vcpu))
		vcpu_unrecoverable(vcpu, "the guest's own breakpoint instruction could not be given back to it");
}

static void vcpu_debug_exit(struct vcpu *vcpu)
{
	struct vm_stop stop = {.kind = VM_STOP_NONE};
	int ret = arch_debug_cause(vcpu, &stop);

	if (ret < 0)
		vcpu_unrecoverable(vcpu, "a debug exit that makes no sense");
	else if (ret == 0 && stop.kind != VM_STOP_NONE)
		vcpu_trap(vcpu, &stop);
}

static void vcpu_swbreak(struct vcpu *vcpu)
{
	struct vm_stop stop = {.kind = VM_STOP_SWBREAK};
	int ret = arch_regs_fetch(vcpu);

	if (ret < 0) {
		vcpu_failed(vcpu, ret);
		return;
	}
	stop.pc = arch_pc(vcpu);
	vcpu_trap(vcpu, &stop);
}

/*
 * An access while stepping: some KVMs report the end of the step when the access is finished, others leave only the
 * finished access, and would step the next instruction as well.
 */
static void vcpu_io_stepped(struct vcpu *vcpu)
{
	struct vm_stop stop;
	int ret = vcpu_finish_io(vcpu, &stop);

	if (ret < 0) {
		vcpu_unrecoverable(vcpu, "an access to a device could not be finished");
		return;
	}
	if (ret == 1 || vcpu->exit_held)
		return;
	if (stop.kind == VM_STOP_NONE && !vcpu->stepping)
		return;
	if (stop.kind != VM_STOP_NONE || arch_step_finished(vcpu, &stop) == 0)
		vcpu_trap(vcpu, &stop);
}

static void vcpu_io_exit(struct vcpu *vcpu)
{
	if (!vcpu_access(vcpu)) {
		vcpu_unrecoverable(vcpu, "an access to a device that makes no sense");
		return;
	}
	vm_kaslr_look(vcpu);
	if ((vcpu->stepping || vcpu->ram.news != RAM_NONE) && !vcpu->panicked && !vcpu->power.held)
		vcpu_io_stepped(vcpu);
}

static void vcpu_system_event(struct vcpu *vcpu)
{
	uint32_t type = vcpu->run->system_event.type;
	const struct power *power = &vcpu->vm->power;

	if (type == KVM_SYSTEM_EVENT_SHUTDOWN || type == KVM_SYSTEM_EVENT_RESET)
		power->event(power->ctx, type == KVM_SYSTEM_EVENT_RESET ? POWER_RESET : POWER_OFF, 0);
	else if (type == KVM_SYSTEM_EVENT_CRASH)
		vcpu_fault(vcpu, VM_FAULT_PANIC, "the guest reported a panic");
	else
		vcpu_unrecoverable(vcpu, "a system event that is not known here");
}

static void vcpu_other_exit(struct vcpu *vcpu)
{
	switch (arch_vcpu_exit(vcpu)) {
	case ARCH_EXIT_HANDLED:
		break;
	case ARCH_EXIT_SWBREAK:
		vcpu_swbreak(vcpu);
		break;
	case ARCH_EXIT_WRITE:
		if (!vcpu_ram_blocked(vcpu))
			vcpu_unrecoverable(vcpu, "KVM cannot go on");
		break;
	case ARCH_EXIT_UNKNOWN:
		vcpu_unrecoverable(vcpu, "KVM cannot go on");
		break;
	}
}

static void vcpu_handle_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
	case KVM_EXIT_MMIO:
		vcpu_io_exit(vcpu);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_DEBUG:
		vcpu_debug_exit(vcpu);
		break;
	case KVM_EXIT_SHUTDOWN:
		vcpu_fault(vcpu, VM_FAULT_TRIPLE, "the guest shut this CPU down");
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_system_event(vcpu);
		break;
	default:
		vcpu_other_exit(vcpu);
		break;
	}
}

/* ---- the thread ---- */

/* Returns whether a kick may have been all there was. */
static bool vcpu_run_once(struct vcpu *vcpu)
{
	struct vm_stop stop;
	int ret = 0;

	if (vcpu->stepping && !vcpu->exit_held && arch_step_alone(vcpu, &stop)) {
		if (stop.kind != VM_STOP_NONE)
			vcpu_trap(vcpu, &stop);
		return false;
	}
	if (vcpu->exit_held)
		vcpu->exit_held = false;
	else
		ret = vcpu_enter(vcpu);
	/* EAGAIN: a vCPU that waits to be started was woken, there is no exit to look at. It has slept, not spun. */
	if (ret == -EINTR || ret == -EAGAIN)
		return true;
	if (ret) {
		vcpu_failed(vcpu, ret);
	} else {
		vcpu_handle_exit(vcpu);
	}
	return false;
}

static bool vcpu_may_enter(void *ctx)
{
	struct vcpu *vcpu = ctx;

	return vm_debug_checkpoint(vcpu->vm->debug, vcpu->id);
}

static bool vcpu_go(void *ctx)
{
	struct vcpu *vcpu = ctx;

	if (vcpu->fault_ends) {
		log_error("%s", vcpu->fault);
		vm_exit(vcpu->vm, vcpu->fault_status, vcpu->fault);
		vcpu->fault_ends = false;
		return false;
	}
	return !vcpu_asked_for(vcpu) && vcpu_run_once(vcpu);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *vcpu = arg;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%d", vcpu->id);
	pthread_setname_np(pthread_self(), name);
	vcpu_self = vcpu;
	sandbox_thread(SANDBOX_VCPU);
	if (arch_vcpu_reset(vcpu))
		vm_exit(vcpu->vm, STATUS_HOST, "a vCPU could not be set up");
	else
		kick_loop(&vcpu->kick, vcpu_may_enter, vcpu_go, vcpu);
	vm_debug_gone(vcpu->vm->debug, vcpu->id);
	vcpu_self = NULL;
	return NULL;
}

int vcpu_create(struct vcpu *vcpu, struct vm *vm, int id)
{
	int size = kvm_ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	char why[KVM_EXPLAIN_MAX];
	void *run;
	int err;

	vcpu->vm = vm;
	vcpu->id = id;
	if (size >= 0)
		vcpu->fd = kvm_ioctl(vm->vm_fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0) {
		err = -errno;
		log_error("cannot create vCPU %d: %s", id, kvm_explain(err, why, sizeof(why)));
		return err;
	}
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED) {
		err = -errno;
		log_error("cannot map vCPU %d: %s", id, strerror(-err));
		return err;
	}
	vcpu->run = run;
	vcpu->kick.immediate_exit = &vcpu->run->immediate_exit;
	vcpu->run_size = (size_t)size;
	return arch_vcpu_init(vcpu);
}

int vcpu_start(struct vcpu *vcpu)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
	sigset_t block, old;
	int err;

	/* The thread is born deaf to what is the main thread's to hear; kick_loop() opens it up for kicks. */
	sigfillset(&block);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&block, faults[i]);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	err = pthread_create(&vcpu->thread, NULL, vcpu_main, vcpu);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		log_error("cannot create the thread of vCPU %d: %s", vcpu->id, strerror(err));
	else
		vcpu->started = true;
	return -err;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->arch)
		arch_vcpu_free(vcpu);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_size);
	vcpu->run = NULL;
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu->fd = -1;
}
