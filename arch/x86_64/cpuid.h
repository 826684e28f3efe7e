/*
 * The CPUID that the guest sees: what KVM supports, less what the user hides, with a topology of `ncpus` cores of one
 * thread each in one package. Main thread. Pure functions on the table, except x86_cpuid_get() and x86_cpuid_seen().
 * Sources: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room that a table from x86_cpuid_get() has; functions that add entries rely on it. */
#define X86_CPUID_MAX 256

/* KVM_GET_SUPPORTED_CPUID into *out (the caller frees it). 0 or -errno, logged. */
int x86_cpuid_get(int kvm_fd, struct kvm_cpuid2 **out);

/*
 * What the guest really reads, after KVM_SET_CPUID2: a KVM that cannot intercept the instruction does not hide all.
 * Into *out (the caller frees it). 0 or -errno, not logged.
 */
int x86_cpuid_seen(int vcpu_fd, struct kvm_cpuid2 **out);

/* NULL if the table lacks it. index is compared only where the leaf has subleaves. */
struct kvm_cpuid_entry2 *x86_cpuid_find(struct kvm_cpuid2 *c, uint32_t function, uint32_t index);

/* Is this one of x86_features, and set in the table? */
bool x86_cpuid_has(struct kvm_cpuid2 *c, const char *name);

/*
 * Clear the features of a list like "-cx16,-xsave" (names as in /proc/cpuinfo) and those that need them. 0, or -EINVAL
 * with one line in err that names the bad item and near names.
 */
int x86_cpuid_hide(struct kvm_cpuid2 *c, const char *list, char *err, size_t errlen);

/* What is the same on every vCPU: hypervisor and TSC-deadline bits, topology. Once. */
void x86_cpuid_prepare(struct kvm_cpuid2 *c, unsigned ncpus, bool tsc_deadline);

/* Patch the APIC id in, before KVM_SET_CPUID2 of that vCPU; any number of times. */
void x86_cpuid_set_apic_id(struct kvm_cpuid2 *c, uint32_t apic_id);

/* MAXPHYADDR */
unsigned x86_cpuid_phys_bits(struct kvm_cpuid2 *c);

/*
 * cpuid_names.c: one bit of one register. Several rows may have one name (AMD repeats leaf 1's EDX in 80000001h).
 * needs: the feature without which this one makes no sense, or NULL.
 */
enum x86_cpuid_reg { X86_EAX, X86_EBX, X86_ECX, X86_EDX };
struct x86_feature {
	const char *name;
	uint32_t function, index;
	uint8_t reg, bit;
	const char *needs;
};
extern const struct x86_feature x86_features[];
extern const size_t x86_nfeatures;

#endif
