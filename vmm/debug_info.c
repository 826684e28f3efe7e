/* What the client's monitor commands ask about the machine, and the two things that they do to it. */
#include "vmm/debug.h"

#include <errno.h>

#include "vmm/debug_priv.h"

#define HOLE_MIN 4096 /* where a machine does not say how long a hole is */

int vm_debug_next_mapping(struct vm_debug *d, int cpu, uint64_t *va, unsigned *budget, struct mapping *out)
{
	if (!debug_stopped(d))
		return -EBUSY;
	while (*budget) {
		uint64_t next;

		--*budget;
		*out = (struct mapping){0};
		if (d->m.translate(d->m.ctx, cpu, *va, out) == 0)
			return 0;
		next = *va + (out->len ? out->len : HOLE_MIN - *va % HOLE_MIN);
		if (next <= *va)
			return -ENOENT;
		*va = next;
	}
	return -E2BIG;
}

void *vm_debug_host_address(struct vm_debug *d, uint64_t gpa)
{
	uint64_t len;

	/* The machine fills len; what it returns has nothing to do with it. */
	// cppcheck-suppress returnDanglingLifetime
	return d->m.ram(d->m.ctx, gpa, &len);
}

bool vm_debug_region(struct vm_debug *d, size_t i, struct region *out)
{
	return d->m.region && d->m.region(d->m.ctx, i, out);
}

/* ---- on a vCPU's own thread ---- */

struct info_call {
	struct vm_debug *d;
	int cpu;
	const char *name;
	char *buf;
	size_t len;
};

static int chip_call(void *arg)
{
	struct info_call *c = arg;

	return c->d->m.chip_text(c->d->m.ctx, c->cpu, c->name, c->buf, c->len);
}

int vm_debug_chip_text(struct vm_debug *d, int cpu, const char *name, char *buf, size_t len)
{
	struct info_call c = {.d = d, .cpu = cpu, .name = name, .buf = buf, .len = len};

	return d->m.chip_text ? vm_debug_call(d, cpu, chip_call, &c) : -ENOENT;
}

const char *vm_debug_chips(const struct vm_debug *d)
{
	return d->m.chips ? d->m.chips : "";
}

static int nmi_call(void *arg)
{
	struct info_call *c = arg;

	return c->d->m.nmi(c->d->m.ctx, c->cpu);
}

int vm_debug_nmi(struct vm_debug *d, int cpu)
{
	struct info_call c = {.d = d, .cpu = cpu};

	return d->m.nmi ? vm_debug_call(d, cpu, nmi_call, &c) : -ENOTSUP;
}

int vm_debug_poweroff(struct vm_debug *d)
{
	if (!d->m.poweroff)
		return -ENOTSUP;
	d->m.poweroff(d->m.ctx);
	return 0;
}
