#include "arch/own_desc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"

int own_desc_init(struct own_desc *own, const struct arch_desc *from)
{
	own->features = calloc(from->nfeatures, sizeof(*own->features));
	own->regs = calloc(from->nregs, sizeof(*own->regs));
	if (!own->features || !own->regs) {
		log_error("out of memory");
		own_desc_free(own);
		return -ENOMEM;
	}
	memcpy(own->features, from->features, from->nfeatures * sizeof(*own->features));
	memcpy(own->regs, from->regs, from->nregs * sizeof(*own->regs));
	own->desc = *from;
	own->desc.features = own->features;
	own->desc.regs = own->regs;
	return 0;
}

void own_desc_free(struct own_desc *own)
{
	free(own->features);
	free(own->regs);
	memset(own, 0, sizeof(*own));
}
