/* Guest memory for the stub. Nothing is planted while the world is stopped, so there is nothing to hide here. */
#include "vmm/debug.h"

#include <errno.h>
#include <string.h>

#include "vmm/debug_priv.h"

int debug_resolve(struct vm_debug *d, int cpu, uint64_t va, bool use_layout, struct mapping *out)
{
	uint64_t len;
	int ret = d->m.translate(d->m.ctx, cpu, va, out);

	/* Tables that lead to RAM win; device memory and holes are as good as unmapped for a debugger. */
	if (ret == 0 && d->m.ram(d->m.ctx, out->gpa, &len))
		return 0;
	if (d->m.kernel_translate && d->m.kernel_translate(d->m.ctx, cpu, va, out) == 0 &&
		d->m.ram(d->m.ctx, out->gpa, &len))
		return 0;
	if (use_layout && d->m.layout && d->m.layout(d->m.ctx, va, out) == 0 && d->m.ram(d->m.ctx, out->gpa, &len))
		return 0;
	return -EFAULT;
}

/* Copy within one mapping: as much as is RAM. Returns bytes done. */
static size_t copy_span(struct vm_debug *d, uint64_t gpa, void *out, const void *in, size_t n)
{
	uint64_t len = 0;
	uint8_t *host = d->m.ram(d->m.ctx, gpa, &len);

	if (!host)
		return 0;
	if (n > len)
		n = len;
	if (in) {
		memcpy(host, in, n);
		if (d->m.code_written)
			d->m.code_written(d->m.ctx, host, n);
	} else {
		// NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): one of in and out is given
		memcpy(out, host, n);
	}
	return n;
}

static ssize_t virt_access(struct vm_debug *d, int cpu, uint64_t va, uint8_t *out, const uint8_t *in, size_t len)
{
	size_t done = 0, n, want;
	struct mapping map;

	if (!debug_stopped(d))
		return -EBUSY;
	while (done < len) {
		if (debug_resolve(d, cpu, va + done, true, &map))
			break;
		want = len - done < map.len ? len - done : map.len;
		n = copy_span(d, map.gpa, out ? out + done : NULL, in ? in + done : NULL, want);
		done += n;
		if (n == 0 || va + done == 0) /* a hole in RAM, or the end of the address space */
			break;
	}
	return done || !len ? (ssize_t)done : -EFAULT;
}

ssize_t vm_debug_mem_read(struct vm_debug *d, int cpu, uint64_t va, void *buf, size_t len)
{
	return virt_access(d, cpu, va, buf, NULL, len);
}

ssize_t vm_debug_mem_write(struct vm_debug *d, int cpu, uint64_t va, const void *buf, size_t len)
{
	return virt_access(d, cpu, va, NULL, buf, len);
}

static ssize_t phys_access(struct vm_debug *d, uint64_t gpa, uint8_t *out, const uint8_t *in, size_t len)
{
	size_t done = 0, n;

	if (!debug_stopped(d))
		return -EBUSY;
	while (done < len) {
		n = copy_span(d, gpa + done, out ? out + done : NULL, in ? in + done : NULL, len - done);
		if (n == 0)
			break;
		done += n;
	}
	return done || !len ? (ssize_t)done : -EFAULT;
}

ssize_t vm_debug_phys_read(struct vm_debug *d, uint64_t gpa, void *buf, size_t len)
{
	return phys_access(d, gpa, buf, NULL, len);
}

ssize_t vm_debug_phys_write(struct vm_debug *d, uint64_t gpa, const void *buf, size_t len)
{
	return phys_access(d, gpa, NULL, buf, len);
}

int vm_debug_translate(struct vm_debug *d, int cpu, uint64_t va, struct mapping *out)
{
	if (!debug_stopped(d))
		return -EBUSY;
	return d->m.translate(d->m.ctx, cpu, va, out);
}
