#include "arch/tiny_machine.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/kvm_call.h"

void tiny_machine_init(struct tiny_machine *m)
{
	*m = (struct tiny_machine){.vm_fd = -1, .vcpu_fd = -1, .ram = MAP_FAILED, .run = MAP_FAILED};
	guard_block(&m->guard);
}

int tiny_machine_vm(struct tiny_machine *m, int kvm_fd, unsigned long type, size_t ram_size)
{
	struct kvm_userspace_memory_region region = {.memory_size = ram_size};

	m->vm_fd = kvm_ioctl(kvm_fd, KVM_CREATE_VM, type);
	if (m->vm_fd < 0)
		return -errno;
	m->ram_size = ram_size;
	m->ram = mmap(NULL, ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->ram == MAP_FAILED)
		return -errno;
	region.userspace_addr = (uintptr_t)m->ram;
	return kvm_ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

int tiny_machine_vcpu(struct tiny_machine *m, int kvm_fd)
{
	int size = kvm_ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < 0)
		return -errno;
	if ((size_t)size < sizeof(*m->run))
		return -EPROTO;
	m->vcpu_fd = kvm_ioctl(m->vm_fd, KVM_CREATE_VCPU, 0);
	if (m->vcpu_fd < 0)
		return -errno;
	m->run_size = (size_t)size;
	m->run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu_fd, 0);
	if (m->run == MAP_FAILED)
		return -errno;
	return guard_start(&m->guard, m->vcpu_fd);
}

int tiny_machine_run(struct tiny_machine *m)
{
	int ret;

	while ((ret = kvm_run(m->vcpu_fd)) == -EINTR || ret == -EAGAIN) {
		if (guard_fired()) {
			m->timed_out = true;
			return -ETIMEDOUT;
		}
	}
	return ret;
}

void tiny_machine_destroy(struct tiny_machine *m)
{
	if (m->run != MAP_FAILED)
		munmap(m->run, m->run_size);
	if (m->vcpu_fd >= 0)
		close(m->vcpu_fd);
	if (m->vm_fd >= 0)
		close(m->vm_fd);
	if (m->ram != MAP_FAILED)
		munmap(m->ram, m->ram_size);
	guard_end(&m->guard);
}
