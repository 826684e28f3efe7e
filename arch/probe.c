/* The host probe's part that is the same on every ISA: KVM's own word, and the words for the answers. */
#include "arch/probe.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/kvm_call.h"
#include "vmm/log.h"

void host_probe_caps(int kvm_fd, struct host_probe *p)
{
	p->api = ioctl(kvm_fd, KVM_GET_API_VERSION, 0);
	p->guest_debug = (uint32_t)kvm_check(kvm_fd, KVM_CAP_SET_GUEST_DEBUG2);
	p->sync_regs = (uint32_t)kvm_check(kvm_fd, KVM_CAP_SYNC_REGS);
	p->immediate_exit = kvm_check(kvm_fd, KVM_CAP_IMMEDIATE_EXIT) != 0;
	p->max_vcpus = (unsigned)kvm_check(kvm_fd, KVM_CAP_MAX_VCPUS);
	p->max_memslots = (unsigned)kvm_check(kvm_fd, KVM_CAP_NR_MEMSLOTS);
}

void host_probe_print(const struct host_probe *p, FILE *f)
{
	static const char *const swbreak[] = {"none", "traps", "emulation-fails"};
	static const char *const inject[] = {"none", "at", "after"};
	static const char *const yesno[] = {"no", "yes"};

	fprintf(f, "api=%d\n", p->api);
	fprintf(f, "guest_debug=0x%x\n", p->guest_debug);
	fprintf(f, "sync_regs=0x%x\n", p->sync_regs);
	fprintf(f, "immediate_exit=%s\n", yesno[p->immediate_exit]);
	fprintf(f, "max_vcpus=%u\n", p->max_vcpus);
	fprintf(f, "max_memslots=%u\n", p->max_memslots);
	fprintf(f, "swbreak=%s\n", swbreak[p->swbreak]);
	fprintf(f, "swbreak_reset=%s\n", swbreak[p->swbreak_reset]);
	fprintf(f, "swbreak_user=%s\n", swbreak[p->swbreak_user]);
	fprintf(f, "own_break=%s\n", yesno[p->own_break]);
	fprintf(f, "inject_break=%s\n", inject[p->inject_break]);
	fprintf(f, "single_step=%s\n", yesno[p->single_step]);
	fprintf(f, "single_step_user=%s\n", yesno[p->single_step_user]);
	fprintf(f, "step_persists=%s\n", yesno[p->step_persists]);
	fprintf(f, "step_stalls=%u\n", p->step_stalls);
	fprintf(f, "block_irq=%s\n", yesno[p->block_irq]);
	fprintf(f, "hw_break_slots=%u\n", p->hw_break_slots);
	fprintf(f, "hw_break_reset=%s\n", yesno[p->hw_break_reset]);
	fprintf(f, "hw_break_user=%s\n", yesno[p->hw_break_user]);
	fprintf(f, "watch_write_slots=%u\n", p->watch_write_slots);
	fprintf(f, "watch_access_slots=%u\n", p->watch_access_slots);
}

int host_probe_once(int kvm_fd, struct host_probe *out)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct host_probe facts;
	static bool known;
	int ret = 0;

	pthread_mutex_lock(&lock);
	if (!known) {
		ret = host_probe_run(kvm_fd, &facts);
		known = ret == 0;
	}
	*out = facts;
	pthread_mutex_unlock(&lock);
	return ret;
}

int arch_probe_host(int kvm_fd)
{
	struct host_probe probe;
	int ret = host_probe_run(kvm_fd, &probe);

	if (ret < 0) {
		log_error("cannot probe this host's KVM: %s", strerror(-ret));
		return ret;
	}
	host_probe_print(&probe, stdout);
	return 0;
}
