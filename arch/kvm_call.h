/* KVM's ioctls, and what set-up does at every turn: complain about one, and ask for a capability. */
#ifndef ARCH_KVM_CALL_H
#define ARCH_KVM_CALL_H

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>

#include "vmm/log.h"

/*
 * As ioctl(): -1 and errno. A signal that cuts one short is nobody's news, it is made again. Not for KVM_RUN, out of
 * which signals are to bring it: kvm_run() gives 0 or -errno.
 */
#define kvm_ioctl(fd, request, arg) kvm_call(fd, request, #request, (unsigned long)(arg))
int kvm_call(int fd, unsigned long request, const char *name, unsigned long arg);
int kvm_run(int vcpu_fd);

/* What err (-errno) is; with the ioctl's name if that is what this thread's last failed with. Returns buf. */
const char *kvm_explain(int err, char *buf, size_t len);
#define KVM_EXPLAIN_MAX 96

/*
 * The first error of this thread since the last time this was asked that says nothing of what KVM can do, because the
 * host was out of memory or the like: 0 or -errno. Then kvm_explain() knows it.
 */
int kvm_trouble(void);

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
	int value = kvm_ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return value > 0 ? value : 0;
}

#endif
