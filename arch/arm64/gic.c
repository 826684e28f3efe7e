/* The in-kernel interrupt controller. Sources: Linux Documentation/virt/kvm/devices/arm-vgic-v3.rst, arm-vgic.rst. */
#include "arch/arm64/arch_arm64.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "arch/arm64/layout.h"
#include "arch/kvm_call.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

#define GIC_SPI_BASE  32		   /* INTID of shared peripheral interrupt 0 */
#define GIC_NR_IRQS   (GIC_SPI_BASE + 256) /* as many as the board has on which guests expect to be */
#define GICV2_MAX_CPU 8

_Static_assert(CPUS_MAX <= LAYOUT_REDIST_CPUS, "more CPUs need a second region of redistributors");

static int set_attr(struct vm *vm, uint32_t group, uint64_t attr, void *value)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uint64_t)(uintptr_t)value};

	return kvm_ioctl(vm->arch->gic_fd, KVM_SET_DEVICE_ATTR, &a) < 0 ? -errno : 0;
}

static int set_address(struct vm *vm, uint64_t type, uint64_t gpa)
{
	return set_attr(vm, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &gpa);
}

static int create(struct vm *vm, uint32_t type, unsigned version)
{
	struct kvm_create_device dev = {.type = type};

	if (kvm_ioctl(vm->vm_fd, KVM_CREATE_DEVICE, &dev) < 0)
		return -errno;
	vm->arch->gic_fd = (int)dev.fd;
	vm->arch->gic_version = version;
	return 0;
}

static int place(struct vm *vm)
{
	uint32_t irqs = GIC_NR_IRQS;
	int ret;

	if (vm->arch->gic_version == 3) {
		ret = set_address(vm, KVM_VGIC_V3_ADDR_TYPE_DIST, LAYOUT_GIC_DIST);
		if (ret == 0)
			ret = set_address(vm, KVM_VGIC_V3_ADDR_TYPE_REDIST, LAYOUT_GIC_REDIST);
	} else {
		ret = set_address(vm, KVM_VGIC_V2_ADDR_TYPE_DIST, LAYOUT_GIC_DIST);
		if (ret == 0)
			ret = set_address(vm, KVM_VGIC_V2_ADDR_TYPE_CPU, LAYOUT_GIC_CPU);
	}
	return ret < 0 ? ret : set_attr(vm, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs);
}

int gic_create(struct vm *vm)
{
	int ret = create(vm, KVM_DEV_TYPE_ARM_VGIC_V3, 3);

	if (ret == -ENODEV)
		ret = create(vm, KVM_DEV_TYPE_ARM_VGIC_V2, 2);
	if (ret < 0) {
		log_error("/dev/kvm: cannot make an interrupt controller, GICv3 or GICv2: %s", strerror(-ret));
		return ret;
	}
	if (vm->arch->gic_version == 2 && vm->ncpus > GICV2_MAX_CPU) {
		log_error("--cpus %d: this host has a GICv2, which serves %d at most", vm->ncpus, GICV2_MAX_CPU);
		return -EINVAL;
	}
	ret = place(vm);
	if (ret < 0)
		log_error("cannot set up the interrupt controller: %s", strerror(-ret));
	return ret;
}

int gic_init(struct vm *vm)
{
	int ret = set_attr(vm, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);

	if (ret < 0)
		log_error("cannot start the interrupt controller: %s", strerror(-ret));
	return ret;
}

void gic_free(struct vm *vm)
{
	if (vm->arch->gic_fd >= 0)
		close(vm->arch->gic_fd);
	vm->arch->gic_fd = -1;
}

unsigned gic_spi(unsigned n)
{
	return (unsigned)KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (GIC_SPI_BASE + n);
}
