/* The host probe's part that is the same on every ISA: KVM's own word, and the words for the answers. */
#include "arch/probe.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/kvm_call.h"
#include "vmm/log.h"

void host_probe_caps(int kvm_fd, struct host_probe *p)
{
	p->api = kvm_ioctl(kvm_fd, KVM_GET_API_VERSION, 0);
	p->guest_debug = (uint32_t)kvm_check(kvm_fd, KVM_CAP_SET_GUEST_DEBUG2);
	p->sync_regs = (uint32_t)kvm_check(kvm_fd, KVM_CAP_SYNC_REGS);
	p->immediate_exit = kvm_check(kvm_fd, KVM_CAP_IMMEDIATE_EXIT) != 0;
	p->max_vcpus = (unsigned)kvm_check(kvm_fd, KVM_CAP_MAX_VCPUS);
	p->readonly_mem = kvm_check(kvm_fd, KVM_CAP_READONLY_MEM) > 0;
	p->max_memslots = (unsigned)kvm_check(kvm_fd, KVM_CAP_NR_MEMSLOTS);
}

static struct host_probe facts;
static atomic_bool facts_known;
static pthread_mutex_t facts_lock = PTHREAD_MUTEX_INITIALIZER;

const struct host_probe *host_facts_known(void)
{
	return atomic_load_explicit(&facts_known, memory_order_acquire) ? &facts : NULL;
}

/* Half of the answers, because the host was out of memory for a moment, would be taken for all that it can do. */
static int ask(int kvm_fd, struct host_probe *p)
{
	int ret;

	(void)kvm_trouble();
	ret = host_probe_run(kvm_fd, p);
	if (!ret)
		ret = kvm_trouble();
	if (ret < 0) {
		memset(p, 0, sizeof(*p));
		host_probe_caps(kvm_fd, p);
	}
	return ret;
}

const struct host_probe *host_facts(int kvm_fd)
{
	char why[KVM_EXPLAIN_MAX];
	int ret;

	pthread_mutex_lock(&facts_lock);
	if (!host_facts_known()) {
		ret = ask(kvm_fd, &facts);
		if (ret < 0)
			log_warn("cannot probe this host's KVM (%s): breakpoints take hardware slots",
				kvm_explain(ret, why, sizeof(why)));
		atomic_store_explicit(&facts_known, true, memory_order_release);
	}
	pthread_mutex_unlock(&facts_lock);
	return &facts;
}

bool host_probe_watches(const struct host_probe *p, enum hw_kind kind)
{
	return kind == HW_WRITE ? p->watch_write_slots : p->watch_access_slots;
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
	fprintf(f, "readonly_mem=%s\n", yesno[p->readonly_mem]);
}

int arch_probe_host(int kvm_fd)
{
	struct host_probe probe;
	int ret = ask(kvm_fd, &probe);
	char why[KVM_EXPLAIN_MAX];

	if (ret < 0) {
		log_error("cannot probe this host's KVM: %s", kvm_explain(ret, why, sizeof(why)));
		return ret;
	}
	host_probe_print(&probe, stdout);
	return 0;
}
