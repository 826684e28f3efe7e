/*
 * Makes calls of the program fail that it is preloaded into (LD_PRELOAD), as its test says: tests/lib/faults.py is the
 * other side. FAULTS names a file that both have mapped. Each call that is known here has a slot in it by its name,
 * KVM's ioctls by that of their request, and is counted there; the test says from which call on, how often and how it
 * fails.
 *
 * A KVM_RUN that is to fail is entered nevertheless, with immediate_exit: KVM finishes the last access to a device
 * before it fails in any way.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As struct.pack in faults.py has it. */
struct slot {
	char name[40];
	atomic_uint calls; /* so far */
	uint32_t from;	   /* the first that fails; 0: none does */
	uint32_t times;	   /* how many do */
	int32_t error;	   /* errno; 0: it succeeds with `value`, without being made */
	int32_t value;
	atomic_uint failed; /* so far */
};

#define SLOTS 128
struct table {
	atomic_flag busy;
	uint8_t pad[63];
	struct slot slot[SLOTS];
};

static struct table *table;

#define RUNS 128 /* vCPUs at a time */
static struct run {
	int fd;
	struct kvm_run *run;
	int probe; /* the host probe's */
} runs[RUNS];

__attribute__((constructor)) static void faults_init(void)
{
	const char *path = getenv("FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		return;
	p = (void *)syscall(SYS_mmap, NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
	close(fd);
	if (p != MAP_FAILED)
		table = p;
}

static struct slot *slot_of(const char *name)
{
	struct slot *s = table->slot;

	while (atomic_flag_test_and_set(&table->busy))
		;
	while (s->name[0] && strcmp(s->name, name) != 0 && s < &table->slot[SLOTS - 1])
		s++;
	if (!s->name[0])
		snprintf(s->name, sizeof(s->name), "%s", name);
	atomic_flag_clear(&table->busy);
	return s;
}

/* Counts the call. NULL: it is to be made. */
static struct slot *fails(const char *name)
{
	struct slot *s;
	unsigned n;

	if (!table)
		return NULL;
	s = slot_of(name);
	n = atomic_fetch_add(&s->calls, 1) + 1;
	if (!s->from || n < s->from || n - s->from >= s->times)
		return NULL;
	return s;
}

static int fail(struct slot *s)
{
	atomic_fetch_add(&s->failed, 1);
	if (!s->error)
		return s->value;
	errno = s->error;
	return -1;
}

/* ---- KVM ---- */

#define NAME(request)                                                                                                  \
	{                                                                                                              \
		request, #request                                                                                      \
	}
static const struct {
	unsigned long request;
	const char *name;
} requests[] = {
	NAME(KVM_GET_API_VERSION),
	NAME(KVM_CREATE_VM),
	NAME(KVM_GET_VCPU_MMAP_SIZE),
	NAME(KVM_CREATE_VCPU),
	NAME(KVM_SET_USER_MEMORY_REGION),
	NAME(KVM_ENABLE_CAP),
	NAME(KVM_RUN),
	NAME(KVM_SET_GUEST_DEBUG),
	NAME(KVM_GET_MP_STATE),
	NAME(KVM_SET_MP_STATE),
	NAME(KVM_SET_SIGNAL_MASK),
	NAME(KVM_IRQ_LINE),
	NAME(KVM_GET_VCPU_EVENTS),
	NAME(KVM_SET_VCPU_EVENTS),
#ifdef __x86_64__
	NAME(KVM_GET_SUPPORTED_CPUID),
	NAME(KVM_SET_CPUID2),
	NAME(KVM_GET_CPUID2),
	NAME(KVM_GET_REGS),
	NAME(KVM_SET_REGS),
	NAME(KVM_GET_SREGS),
	NAME(KVM_SET_SREGS),
	NAME(KVM_GET_LAPIC),
	NAME(KVM_SET_LAPIC),
	NAME(KVM_GET_MSRS),
	NAME(KVM_SET_MSRS),
	NAME(KVM_GET_DEBUGREGS),
	NAME(KVM_SET_DEBUGREGS),
	NAME(KVM_GET_XSAVE),
	NAME(KVM_GET_XSAVE2),
	NAME(KVM_SET_XSAVE),
	NAME(KVM_GET_IRQCHIP),
	NAME(KVM_NMI),
	NAME(KVM_CREATE_IRQCHIP),
	NAME(KVM_CREATE_PIT2),
	NAME(KVM_SET_GSI_ROUTING),
	NAME(KVM_SET_IDENTITY_MAP_ADDR),
	NAME(KVM_SET_TSS_ADDR),
	NAME(KVM_REINJECT_CONTROL),
	NAME(KVM_KVMCLOCK_CTRL),
	NAME(KVM_SIGNAL_MSI),
	NAME(KVM_X86_SET_MSR_FILTER),
#else
	NAME(KVM_GET_ONE_REG),
	NAME(KVM_SET_ONE_REG),
	NAME(KVM_ARM_VCPU_INIT),
	NAME(KVM_ARM_PREFERRED_TARGET),
	NAME(KVM_ARM_VCPU_FINALIZE),
	NAME(KVM_CREATE_DEVICE),
	NAME(KVM_SET_DEVICE_ATTR),
	NAME(KVM_GET_DEVICE_ATTR),
#endif
};

/* A question has the capability's number with it. */
static const char *request_name(unsigned long request, unsigned long arg, char *buf, size_t len)
{
	if (request == KVM_CHECK_EXTENSION) {
		snprintf(buf, len, "KVM_CHECK_EXTENSION %lu", arg);
		return buf;
	}
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (requests[i].request == (uint32_t)request)
			return requests[i].name;
	}
	snprintf(buf, len, "KVM_%#lx", request);
	return buf;
}

static struct run *run_of(int fd)
{
	for (int i = 0; i < RUNS; i++) {
		if (runs[i].run && runs[i].fd == fd)
			return &runs[i];
	}
	return NULL;
}

/* What was left of an access first. True: that has led to an exit, so the failure has to wait for the next call. */
static int finish_access(int fd, struct slot *s, struct kvm_run *run)
{
	uint8_t before = run->immediate_exit;
	long ret;

	run->immediate_exit = 1;
	ret = syscall(SYS_ioctl, fd, KVM_RUN, 0L);
	run->immediate_exit = before;
	if (ret < 0)
		return 0;
	s->from++;
	return 1;
}

int ioctl(int fd, unsigned long request, ...)
{
	struct run *run = run_of(fd);
	struct slot *s = NULL;
	const char *name;
	char buf[40];
	unsigned long arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	if (_IOC_TYPE(request) == KVMIO) {
		if (run && request == KVM_SET_SIGNAL_MASK)
			run->probe = 1;
		name = run && run->probe && request == KVM_RUN ? "KVM_RUN of the probe"
							       : request_name(request, arg, buf, sizeof(buf));
		s = fails(name);
	}
	if (s && request == KVM_RUN && run && finish_access(fd, s, run->run))
		return 0;
	return s ? fail(s) : (int)syscall(SYS_ioctl, fd, request, arg);
}

/* ---- and others ---- */

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	struct slot *s = fails("mmap");
	void *p;

	if (s) {
		fail(s);
		return MAP_FAILED;
	}
	p = (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
	for (int i = 0; p != MAP_FAILED && fd >= 0 && i < RUNS; i++) {
		if (!runs[i].run || runs[i].fd == fd) {
			runs[i] = (struct run){fd, p, 0};
			break;
		}
	}
	return p;
}

int eventfd(unsigned count, int flags)
{
	struct slot *s = fails("eventfd");

	return s ? fail(s) : (int)syscall(SYS_eventfd2, count, flags);
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct slot *s = fails("accept4");

	return s ? fail(s) : (int)syscall(SYS_accept4, fd, addr, len, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	struct slot *s = fails("pthread_create");

	if (s) {
		fail(s);
		return s->error;
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attr, start, arg);
}
