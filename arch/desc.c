#include "arch/desc.h"

#include <string.h>
#include <strings.h>

bool arch_desc_find(const struct arch_desc *arch, const char *name, size_t len, unsigned *regno)
{
	for (unsigned i = 0; i < arch->nregs; i++) {
		const char *have = arch->regs[i].name;

		if (strlen(have) == len && !strncasecmp(have, name, len) && arch_desc_has(arch, i)) {
			*regno = i;
			return true;
		}
	}
	return false;
}
