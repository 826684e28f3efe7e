#include "arch/kvm_call.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>

struct failure {
	const char *name;
	int error;
};

static _Thread_local struct failure last, trouble;

/* The host's, and perhaps only now. Any other error may be an answer, too: this KVM cannot do that. */
static bool is_trouble(int error)
{
	return error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOSPC || error == EIO;
}

static void remember(const char *name)
{
	last = (struct failure){name, errno};
	if (!trouble.error && is_trouble(errno))
		trouble = last;
}

int kvm_call(int fd, unsigned long request, const char *name, unsigned long arg)
{
	int ret;

	do
		ret = ioctl(fd, request, arg);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		remember(name);
	return ret;
}

int kvm_run(int vcpu_fd)
{
	if (ioctl(vcpu_fd, KVM_RUN, 0) == 0)
		return 0;
	if (errno != EINTR && errno != EAGAIN)
		remember("KVM_RUN");
	return -errno;
}

const char *kvm_explain(int err, char *buf, size_t len)
{
	bool named = last.error && last.error == -err;

	snprintf(buf, len, "%s%s%s", named ? last.name : "", named ? ": " : "", strerror(-err));
	return buf;
}

int kvm_trouble(void)
{
	int err = -trouble.error;

	if (err)
		last = trouble;
	trouble.error = 0;
	return err;
}
