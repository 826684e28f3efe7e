/* A kernel that moves itself: what the stub may ask about that. The machine below knows. */
#include "vmm/debug.h"

#include <errno.h>

#include "vmm/debug_priv.h"

int vm_debug_slide(struct vm_debug *d, struct vm_slide *out)
{
	*out = (struct vm_slide){.state = VM_SLIDE_NO_SYMBOLS};
	if (!debug_stopped(d))
		return -EBUSY;
	if (d->m.slide)
		d->m.slide(d->m.ctx, out);
	return 0;
}

int vm_debug_slide_stop(struct vm_debug *d)
{
	return d->m.slide_stop ? d->m.slide_stop(d->m.ctx, true) : -ENOENT;
}
