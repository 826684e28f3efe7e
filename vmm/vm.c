#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/kvm_call.h"
#include "vmm/console.h"
#include "vmm/exit_status.h"
#include "vmm/log.h"
#include "vmm/signals.h"
#include "vmm/vm_kaslr.h"
#include "vmm/vm_verdict.h"

#define GIVE_BACK_MS 100 /* what a machine that has ended had is given back, unless the next one comes by then */

/* ---- ways to end, and other calls from below ---- */

void vm_wake(struct vm *vm)
{
	uint64_t one = 1;

	while (write(vm->end_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void vm_exit(struct vm *vm, int status, const char *why)
{
	if (vm->verdict)
		vm_verdict_ended(vm, status, why);
	else
		vm_end_now(vm, status);
}

void vm_end_now(struct vm *vm, int status)
{
	int none = -1;

	if (!atomic_compare_exchange_strong(&vm->exit_status, &none, status))
		return;
	vm_debug_exit(vm->debug, status);
	vm_wake(vm);
}

void vm_quit(struct vm *vm, int status)
{
	if (vm->verdict)
		status = vm_verdict_quit(vm, status);
	vm_debug_quit(vm->debug, status);
	vm_wake(vm);
}

void vm_restart(struct vm *vm)
{
	atomic_store(&vm->restart_wanted, true);
	vm_wake(vm);
}

static void vm_power_event(void *ctx, enum power_event event, unsigned value)
{
	struct vm *vm = ctx;

	if (vcpu_hold_power(vm, event, value))
		return;
	switch (event) {
	case POWER_OFF:
		log_info("the guest powered off");
		vm_exit(vm, STATUS_OK, "the guest powered off");
		break;
	case POWER_RESET:
		log_info("the guest rebooted");
		vm_exit(vm, STATUS_OK, "the guest rebooted");
		break;
	case POWER_PANIC:
		vcpu_panic(vm);
		break;
	case POWER_DEBUG_EXIT:
		/* Only eight bits of it reach the parent; it stays odd. */
		vm_exit(vm, (int)((value << 1 | 1) & 0xff), NULL);
		break;
	}
}

static void vm_console_quit(void *ctx)
{
	vm_quit(ctx, STATUS_ENDED);
}

static void vm_console_break(void *ctx)
{
	struct vm *vm = ctx;

	if (vm_debug_attached(vm->debug))
		vm_debug_pause(vm->debug);
	else
		log_error("no debugger is attached%s", vm->opts->gdb ? "" : " (--gdb)");
}

bool vm_serial_write(struct vm *vm, uint8_t byte)
{
	struct char_backend b = {0};

	if (vm->console) {
		b = console_backend(vm->console);
		if (!b.write(b.ctx, byte))
			return false;
	}
	if (vm->verdict)
		vm_verdict_output(vm, byte);
	return true;
}

void vm_serial_want_input(struct vm *vm)
{
	struct char_backend b;

	if (!vm->console)
		return;
	b = console_backend(vm->console);
	b.want_input(b.ctx);
}

void vm_irq(struct vm *vm, unsigned gsi, int level)
{
	struct kvm_irq_level irq = {.irq = gsi, .level = (uint32_t)level};

	if (kvm_ioctl(vm->vm_fd, KVM_IRQ_LINE, &irq))
		log_warn("interrupt line %u: %s", gsi, strerror(errno));
}

/* ---- creation ---- */

static int kvm_check_version(int fd)
{
	int version = kvm_ioctl(fd, KVM_GET_API_VERSION, 0), immediate_exit;

	if (version < 0 && errno == ENOTTY) {
		log_error(
			"/dev/kvm: it is something else than KVM's device (KVM_GET_API_VERSION: %s)", strerror(ENOTTY));
		return -ENOTTY;
	}
	if (version < 0)
		return kvm_failed("/dev/kvm: KVM_GET_API_VERSION");
	if (version != KVM_API_VERSION) {
		log_error("/dev/kvm: API version %d, %d is needed", version, KVM_API_VERSION);
		return -ENOTSUP;
	}
	immediate_exit = kvm_ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT);
	if (immediate_exit < 0)
		return kvm_failed("/dev/kvm: KVM_CHECK_EXTENSION");
	if (immediate_exit)
		return 0;
	log_error("/dev/kvm: this kernel's KVM is too old, Linux 4.11 or later is needed");
	return -ENOTSUP;
}

int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), err = errno;

	if (fd < 0) {
		if (err == EACCES || err == EPERM)
			log_error(
				"/dev/kvm: no permission; add yourself to its group (usermod -aG kvm NAME) or be root");
		else if (err == ENOENT || err == ENXIO || err == ENODEV)
			log_error(
				"/dev/kvm: not there; load the host's kvm module (modprobe), enable "
				"virtualisation in its firmware, or give the container the device (--device /dev/kvm)");
		else
			log_error("/dev/kvm: %s", strerror(err));
		return -err;
	}
	err = kvm_check_version(fd);
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int vm_check_cpus(struct vm *vm)
{
	int max = kvm_ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	if (max <= 0)
		max = kvm_ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
	if (max <= 0)
		max = 4; /* what KVM's documentation says to assume then */
	if (vm->ncpus <= max)
		return 0;
	log_error("--cpus %d: this host's KVM gives a guest %d at most", vm->ncpus, max);
	return -EINVAL;
}

static int vm_check_host(struct vm *vm)
{
	int n;

	vm->kvm_fd = kvm_open();
	if (vm->kvm_fd < 0)
		return STATUS_HOST;
	if (vm_check_cpus(vm))
		return STATUS_HOST;
	n = arch_ram_layout(vm->opts->mem_size, vm->mem.range, MEM_RANGES_MAX);
	if (n < 0)
		return STATUS_USAGE;
	vm->mem.n = n;
	return 0;
}

/* The bare VM and its RAM. Memory comes first: registering it is 30 times slower once there is an irqchip. */
static int vm_create_machine(struct vm *vm)
{
	unsigned long type;
	int err;

	if (arch_vm_type(vm->kvm_fd, vm->opts->mem_size, &type))
		return STATUS_USAGE;
	vm->vm_fd = kvm_ioctl(vm->kvm_fd, KVM_CREATE_VM, type);
	if (vm->vm_fd < 0) {
		log_error("/dev/kvm: cannot create a VM: KVM_CREATE_VM: %s", strerror(errno));
		return STATUS_HOST;
	}
	if (memory_init(&vm->mem, vm->vm_fd))
		return STATUS_HOST;
	err = arch_vm_init(vm);
	if (err == -EINVAL && vm->opts->cpu_features)
		return STATUS_USAGE;
	return err ? STATUS_HOST : 0;
}

static int vm_create_vcpus(struct vm *vm)
{
	vm->vcpus = calloc((size_t)vm->ncpus, sizeof(*vm->vcpus));
	if (!vm->vcpus) {
		log_error("out of memory");
		return STATUS_HOST;
	}
	for (int i = 0; i < vm->ncpus; i++)
		vm->vcpus[i].fd = -1;
	for (int i = 0; i < vm->ncpus; i++)
		if (vcpu_create(&vm->vcpus[i], vm, i))
			return STATUS_HOST;
	return arch_vm_ready(vm) ? STATUS_HOST : 0;
}

static int vm_create_debug(struct vm *vm)
{
	struct vm_debug_machine machine;

	/* A copy: the debugger's outlives the machine that it was made for. */
	if (own_desc_init(&vm->desc, arch_vm_desc(vm)))
		return STATUS_HOST;
	machine = vm_debug_machine(vm);
	vm->debug = vm_debug_new(&machine, vm->opts->gdb && !vm->opts->gdb_attach);
	if (vm->debug)
		return 0;
	log_error("out of memory");
	return STATUS_HOST;
}

static int vm_open_console(struct vm *vm)
{
	struct console_hooks hooks = {.quit = vm_console_quit, .debug_break = vm_console_break, .ctx = vm};

	return console_open(&vm->console, vm->opts->serial, &hooks) ? STATUS_HOST : 0;
}

/* The machine as the guest finds it, its image loaded, nothing running. What exists already stays: vm_take_apart(). */
static int vm_build(struct vm *vm)
{
	int status = vm_create_machine(vm);

	if (!status && !vm->console)
		status = vm_open_console(vm);
	if (!status && arch_board_init(vm))
		status = STATUS_HOST;
	if (!status && arch_load(vm))
		status = STATUS_IMAGE;
	if (!status && vm_kaslr_open(vm))
		status = STATUS_IMAGE;
	if (!status)
		status = vm_verdict_load(vm);
	if (!status)
		status = vm_create_vcpus(vm);
	return status;
}

/* Undoes vm_build(), also half of it, and twice; the console stays. */
static void vm_take_apart(struct vm *vm)
{
	/* The console's thread calls into devices, and they are freed with vm->arch. */
	if (vm->console)
		console_disconnect(vm->console);
	for (int i = 0; vm->vcpus && i < vm->ncpus; i++)
		vcpu_destroy(&vm->vcpus[i]);
	free(vm->vcpus);
	vm->vcpus = NULL;
	if (vm->arch)
		arch_vm_free(vm);
	vm->pio.n = vm->mmio.n = 0;
	vm->layout.n = 0;
	memslots_free(&vm->memslots);
	if (vm->vm_fd >= 0)
		remains_take(&vm->remains, vm->vm_fd, &vm->mem);
	vm->vm_fd = -1;
}

int vm_create(struct vm *vm, const struct options *opts)
{
	int status;

	memset(vm, 0, sizeof(*vm));
	vm->opts = opts;
	vm->ncpus = opts->ncpus;
	vm->kvm_fd = vm->vm_fd = vm->sig_fd = -1;
	vm->power = (struct power){.event = vm_power_event, .ctx = vm};
	atomic_init(&vm->exit_status, -1);
	vm->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->end_fd < 0) {
		log_error("cannot create an eventfd: %s", strerror(errno));
		return STATUS_HOST;
	}
	status = vm_check_host(vm);
	if (!status)
		status = vm_build(vm);
	if (!status)
		status = vm_create_debug(vm);
	return status;
}

void vm_destroy(struct vm *vm)
{
	console_close(vm->console);
	vm->console = NULL;
	vm_debug_free(vm->debug);
	vm->debug = NULL;
	own_desc_free(&vm->desc);
	vm_kaslr_close(vm);
	vm_verdict_close(vm);
	vm_take_apart(vm);
	remains_wait(&vm->remains);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	if (vm->end_fd >= 0)
		close(vm->end_fd);
}

/* ---- running ---- */

/* Until somebody may have news: the machine's end, the process's end, a wish for a new machine. False: time is up. */
static bool vm_sleep(struct vm *vm, int timeout_ms)
{
	struct pollfd fds[] = {{.fd = vm->end_fd, .events = POLLIN}, {.fd = vm->sig_fd, .events = POLLIN}};
	struct signalfd_siginfo info;
	uint64_t rings;
	int n = poll(fds, 2, timeout_ms);

	if (n < 0) {
		if (errno == EINTR)
			return true;
		log_error("poll: %s", strerror(errno));
		vm_quit(vm, STATUS_HOST);
		return true;
	}
	if (fds[0].revents && read(vm->end_fd, &rings, sizeof(rings)) < 0 && errno != EAGAIN)
		vm_quit(vm, STATUS_HOST);
	if (fds[1].revents && read(vm->sig_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		log_info("ended by signal %u", info.ssi_signo);
		vm_quit(vm, STATUS_ENDED);
	}
	return n > 0;
}

static void vm_start(struct vm *vm)
{
	vm_verdict_hold(vm); /* until its breakpoints are in place */
	for (int i = 0; i < vm->ncpus; i++) {
		if (vcpu_start(&vm->vcpus[i])) {
			vm_exit(vm, STATUS_HOST, "a vCPU's thread could not be started");
			break;
		}
	}
	arch_vm_started(vm);
}

static void vm_join(struct vm *vm)
{
	for (int i = 0; vm->vcpus && i < vm->ncpus; i++) {
		struct vcpu *vcpu = &vm->vcpus[i];

		if (!vcpu->started)
			continue;
		kick_send(&vcpu->kick);
		pthread_join(vcpu->thread, NULL);
		vcpu->started = false;
	}
}

static bool vm_restart_asked(struct vm *vm)
{
	return atomic_load(&vm->restart_wanted);
}

/* A new machine, from the files again: they may have been built anew meanwhile. */
static void vm_renew(struct vm *vm)
{
	sigset_t ending;
	int status;

	atomic_store(&vm->restart_wanted, false);
	vm_take_apart(vm);
	atomic_store(&vm->exit_status, -1);
	/* As at the start: the image may be a pipe that nobody writes. */
	signals_ending(&ending);
	signals_catch(&ending);
	status = vm_build(vm);
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
	if (status) {
		vm_take_apart(vm);
		atomic_store(&vm->exit_status, status);
		vm_debug_stillborn(vm->debug, status);
	} else {
		vm_debug_reborn(vm->debug);
		vm_start(vm);
	}
	remains_give_back(&vm->remains);
	if (signals_caught())
		vm_quit(vm, STATUS_ENDED);
}

/* There is no machine, and nobody has asked for one yet. gdb's `run` kills the old one just before. */
static void vm_end(struct vm *vm)
{
	int status, wait_ms = GIVE_BACK_MS;

	vm_take_apart(vm);
	while (!vm_debug_over(vm->debug, &status) && !vm_restart_asked(vm)) {
		if (vm_sleep(vm, wait_ms))
			continue;
		remains_give_back(&vm->remains);
		wait_ms = -1;
	}
}

int vm_run(struct vm *vm)
{
	int status;

	vm_start(vm);
	for (;;) {
		while (!vm_debug_over(vm->debug, &status) && atomic_load(&vm->exit_status) < 0 && !vm_restart_asked(vm))
			vm_sleep(vm, vm_verdict_work(vm));
		vm_join(vm);
		if (!vm_debug_over(vm->debug, &status) && !vm_restart_asked(vm))
			vm_end(vm);
		if (vm_debug_over(vm->debug, &status))
			return status;
		vm_renew(vm);
	}
}
