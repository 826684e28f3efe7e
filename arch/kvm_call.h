/* Two things that set-up does at every turn: complain about an ioctl, and ask for a capability. */
#ifndef ARCH_KVM_CALL_H
#define ARCH_KVM_CALL_H

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/log.h"

/* Log what has just failed, by errno; returns -errno. */
static inline int kvm_failed(const char *what)
{
	int err = errno;

	log_error("%s: %s", what, strerror(err));
	return -err;
}

/* KVM_CHECK_EXTENSION, of /dev/kvm or a VM; 0 also where that fails. */
static inline int kvm_check(int fd, unsigned long cap)
{
	int value = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return value > 0 ? value : 0;
}

#endif
