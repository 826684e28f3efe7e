#include "arch/x86_64/cpuid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/kvm_call.h"
#include "vmm/log.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

#define LEAF_FEATURES	  0x1
#define LEAF_CACHES	  0x4 /* Intel */
#define LEAF_TOPOLOGY	  0xb
#define LEAF_XSTATE	  0xd
#define LEAF_TOPOLOGY_V2  0x1f /* Intel */
#define LEAF_KVM	  0x40000000
#define LEAF_EXT	  0x80000001
#define LEAF_SIZES	  0x80000008
#define LEAF_AMD_CACHES	  0x8000001d
#define LEAF_AMD_CORE	  0x8000001e
#define LEAF_AMD_TOPOLOGY 0x80000026

#define XSTATE_LEGACY 0x3ull /* x87 and SSE: always there with XSAVE */
#define XSTATE_MIN    576u   /* their area and the header */

int x86_cpuid_get(int kvm_fd, struct kvm_cpuid2 **out)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + X86_CPUID_MAX * sizeof(c->entries[0]));

	if (!c)
		return -ENOMEM;
	/* Topology leaves are added later: leave them room. */
	c->nent = X86_CPUID_MAX - 8;
	if (kvm_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, c) < 0) {
		int err = errno;

		log_error("KVM_GET_SUPPORTED_CPUID: %s", strerror(err));
		free(c);
		return -err;
	}
	*out = c;
	return 0;
}

int x86_cpuid_seen(int vcpu_fd, struct kvm_cpuid2 **out)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + X86_CPUID_MAX * sizeof(c->entries[0]));

	if (!c)
		return -ENOMEM;
	c->nent = X86_CPUID_MAX;
	if (kvm_ioctl(vcpu_fd, KVM_GET_CPUID2, c) < 0) {
		int err = errno;

		free(c);
		return -err;
	}
	*out = c;
	return 0;
}

struct kvm_cpuid_entry2 *x86_cpuid_find(struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == function && (!(e->flags & INDEXED) || e->index == index))
			return e;
	}
	return NULL;
}

static uint32_t *feature_reg(struct kvm_cpuid2 *c, const struct x86_feature *f)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, f->function, f->index);

	if (!e)
		return NULL;
	return f->reg == X86_EAX ? &e->eax : f->reg == X86_EBX ? &e->ebx : f->reg == X86_ECX ? &e->ecx : &e->edx;
}

bool x86_cpuid_has(struct kvm_cpuid2 *c, const char *name)
{
	for (size_t i = 0; i < x86_nfeatures; i++) {
		uint32_t *reg = feature_reg(c, &x86_features[i]);

		if (!strcmp(x86_features[i].name, name) && reg && (*reg & (1u << x86_features[i].bit)))
			return true;
	}
	return false;
}

/* ---- hiding ---- */

static void hide(struct kvm_cpuid2 *c, const char *name)
{
	/* Recursion ends: each name's needs stand in a forest, and its depth is small. */
	for (size_t i = 0; i < x86_nfeatures; i++) {
		const struct x86_feature *f = &x86_features[i];
		uint32_t *reg = feature_reg(c, f);

		if (!strcmp(f->name, name) && reg)
			*reg &= ~(1u << f->bit);
		if (f->needs && !strcmp(f->needs, name))
			hide(c, f->name);
	}
}

/* sse3 and pni, abm and lzcnt are one bit under two names: what needs one needs the other. */
static void hide_aliases(struct kvm_cpuid2 *c, const struct x86_feature *f)
{
	for (size_t i = 0; i < x86_nfeatures; i++) {
		const struct x86_feature *o = &x86_features[i];

		if (o->function == f->function && o->index == f->index && o->reg == f->reg && o->bit == f->bit)
			hide(c, o->name);
	}
}

/* The state components that XSAVE may manage follow the features that remain. */
static void trim_xstate(struct kvm_cpuid2 *c)
{
	static const struct {
		const char *feature;
		uint64_t components;
	} owner[] = {
		{"avx", 1u << 2},
		{"mpx", 3u << 3},
		{"avx512f", 7u << 5},
		{"pku", 1u << 9},
		{"amx_tile", 3u << 17},
	};
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, LEAF_XSTATE, 0);
	uint64_t mask = ~0ull;
	uint32_t size = XSTATE_MIN;

	for (size_t i = 0; i < sizeof(owner) / sizeof(owner[0]); i++) {
		if (!x86_cpuid_has(c, owner[i].feature))
			mask &= ~owner[i].components;
	}
	if (!x86_cpuid_has(c, "xsave"))
		mask = 0;
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *s = &c->entries[i];

		if (s->function != LEAF_XSTATE || (s->index < 2 && mask) || s->index > 62)
			continue;
		if (!mask || !(mask & (1ull << s->index)))
			s->eax = s->ebx = s->ecx = s->edx = 0;
		else if (!(s->ecx & 1) && s->ebx + s->eax > size) /* ecx[0]: a supervisor component */
			size = s->ebx + s->eax;
	}
	if (e && mask) {
		e->eax &= (uint32_t)mask;
		e->edx &= (uint32_t)(mask >> 32);
		e->ecx = size;
	}
}

/* Levenshtein distance of short names. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[32], la = (unsigned)strlen(a), lb = (unsigned)strlen(b);

	if (la >= 32 || lb >= 32)
		return 99;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diag = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned best = diag + (a[i - 1] != b[j - 1]);

			diag = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

static const struct x86_feature *feature_named(const char *name)
{
	for (size_t i = 0; i < x86_nfeatures; i++) {
		if (!strcmp(x86_features[i].name, name))
			return &x86_features[i];
	}
	return NULL;
}

static void explain_unknown(const char *name, char *err, size_t errlen)
{
	size_t at = (size_t)snprintf(err, errlen, "--cpu-features: unknown feature '%.31s'", name);
	unsigned shown = 0;

	for (size_t i = 0; i < x86_nfeatures && shown < 6 && at < errlen; i++) {
		const char *n = x86_features[i].name;
		unsigned far = strlen(name) > 3 ? 2 : 1;
		bool near = distance(name, n) <= far || (strlen(name) >= 3 && strstr(n, name)) ||
			    (strlen(n) >= 3 && strstr(name, n));

		if (!near || feature_named(n) != &x86_features[i])
			continue;
		at += (size_t)snprintf(err + at, errlen - at, "%s %s", shown++ ? "," : "; near it:", n);
	}
	if (!shown && at < errlen)
		snprintf(err + at, errlen - at, "; names are those of /proc/cpuinfo, like -cx16,-xsave,-avx2");
}

int x86_cpuid_hide(struct kvm_cpuid2 *c, const char *list, char *err, size_t errlen)
{
	const char *at = list;

	while (*at) {
		size_t len = strcspn(at, ",");
		const struct x86_feature *f;
		char name[64];

		if (len < 2 || *at != '-' || len > sizeof(name)) {
			snprintf(err, errlen,
				"--cpu-features: '%.*s': features can only be hidden, write -NAME[,-NAME...]",
				len > 40 ? 40 : (int)len, at);
			return -EINVAL;
		}
		snprintf(name, sizeof(name), "%.*s", (int)len - 1, at + 1);
		f = feature_named(name);
		if (!f) {
			explain_unknown(name, err, errlen);
			return -EINVAL;
		}
		hide(c, name);
		hide_aliases(c, f);
		at += len;
		if (*at == ',' && at[1])
			at++;
		else if (*at == ',')
			break;
	}
	trim_xstate(c);
	return 0;
}

/* ---- topology ---- */

static bool vendor_is_intel(struct kvm_cpuid2 *c)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, 0, 0);

	return e && e->ebx == 0x756e6547 && e->edx == 0x49656e69 && e->ecx == 0x6c65746e; /* GenuineIntel */
}

static unsigned log2_ceil(unsigned n)
{
	unsigned shift = 0;

	while ((1u << shift) < n)
		shift++;
	return shift;
}

static bool drop_leaf(struct kvm_cpuid2 *c, uint32_t function)
{
	uint32_t kept = 0;
	bool found = false;

	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function == function)
			found = true;
		else
			c->entries[kept++] = c->entries[i];
	}
	c->nent = kept;
	return found;
}

static void add_leaf(struct kvm_cpuid2 *c, uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx)
{
	if (c->nent == X86_CPUID_MAX)
		return;
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){
		.function = function, .index = index, .flags = INDEXED, .eax = eax, .ebx = ebx, .ecx = ecx};
}

/* Leaves 0xb and 0x1f: levels SMT (one thread) and core, then the end; EDX is each vCPU's x2APIC id. */
static void set_topology_levels(struct kvm_cpuid2 *c, uint32_t function, unsigned ncpus)
{
	enum { LEVEL_NONE = 0, LEVEL_SMT = 1, LEVEL_CORE = 2 };

	if (!drop_leaf(c, function))
		return;
	add_leaf(c, function, 0, 0, 1, LEVEL_SMT << 8 | 0);
	add_leaf(c, function, 1, log2_ceil(ncpus), ncpus, LEVEL_CORE << 8 | 1);
	add_leaf(c, function, 2, 0, 0, LEVEL_NONE << 8 | 2);
}

/* EAX[25:14]: how many APIC ids share the cache. The last level (3) is the package's, the others are a core's own. */
static void set_cache_sharing(struct kvm_cpuid2 *c, uint32_t function, unsigned ids)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];
		unsigned level = e->eax >> 5 & 7;

		if (e->function != function || !(e->eax & 0x1f))
			continue;
		e->eax &= ~(0xfffu << 14);
		if (level >= 3)
			e->eax |= (ids - 1) << 14;
		if (function == LEAF_CACHES) /* EAX[31:26]: core ids of the package */
			e->eax = (e->eax & ~(0x3fu << 26)) | (ids > 64 ? 63 : ids - 1) << 26;
	}
}

void x86_cpuid_prepare(struct kvm_cpuid2 *c, unsigned ncpus, bool tsc_deadline)
{
	unsigned shift = log2_ceil(ncpus), ids = 1u << shift;
	bool intel = vendor_is_intel(c);
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, LEAF_FEATURES, 0);

	if (e) {
		e->ecx |= 1u << 31; /* a hypervisor is there */
		if (tsc_deadline)   /* KVM leaves this one to us: it depends on the in-kernel APIC */
			e->ecx |= 1u << 24;
		e->ebx = (e->ebx & 0xff00ffff) | (intel ? ids : ncpus) << 16;
		e->edx = (e->edx & ~(1u << 28)) | (ncpus > 1 ? 1u << 28 : 0);
	}
	set_cache_sharing(c, LEAF_CACHES, ids);
	set_topology_levels(c, LEAF_TOPOLOGY, ncpus);
	set_topology_levels(c, LEAF_TOPOLOGY_V2, ncpus);
	if (intel)
		return;
	set_cache_sharing(c, LEAF_AMD_CACHES, ids);
	drop_leaf(c, LEAF_AMD_TOPOLOGY); /* would tell of the host's dies; the others suffice */
	e = x86_cpuid_find(c, LEAF_EXT, 0);
	if (e)
		e->ecx = (e->ecx & ~2u) | (ncpus > 1 ? 2u : 0); /* CmpLegacy: HTT means cores, not threads */
	e = x86_cpuid_find(c, LEAF_SIZES, 0);
	if (e)
		e->ecx = (e->ecx & ~0xf0ffu) | shift << 12 | (ncpus - 1);
}

void x86_cpuid_set_apic_id(struct kvm_cpuid2 *c, uint32_t apic_id)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		switch (e->function) {
		case LEAF_FEATURES:
			e->ebx = (e->ebx & 0x00ffffff) | apic_id << 24;
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2:
			e->edx = apic_id;
			break;
		case LEAF_AMD_CORE:
			e->eax = apic_id;
			e->ebx = apic_id & 0xff; /* core id; one thread a core */
			e->ecx = 0;		 /* node 0 of one */
			break;
		}
	}
}

unsigned x86_cpuid_phys_bits(struct kvm_cpuid2 *c)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, LEAF_SIZES, 0);

	return e && (e->eax & 0xff) ? e->eax & 0xff : 36;
}
