/* The guest's instructions, whatever they are: the first byte says what code it is. */
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum x86_code code = size ? data[0] % 3 : X86_CODE_64;
	struct x86_decoded d, more;
	size_t site, n;
	uint8_t *bytes;

	if (!size)
		return 0;
	n = size - 1 < X86_INSN_MAX ? size - 1 : X86_INSN_MAX;
	bytes = malloc(n + 1); /* no byte more than there are, for ASan */
	memcpy(bytes, data + 1, n);
	bytes = realloc(bytes, n ? n : 1);
	d = x86_decode(bytes, n, code);
	site = x86_patch_site(bytes, n, code);
	if (d.insn > X86_INSN_TO_SS || d.len > n || (d.insn == X86_INSN_OTHER) != !d.len)
		abort();
	if (d.insn == X86_INSN_PUSHF || d.insn == X86_INSN_POPF || d.insn == X86_INSN_IRET) {
		if (d.operand != 2 && d.operand != 4 && d.operand != 8)
			abort();
	}
	if (d.insn == X86_INSN_INT && d.vector > 255)
		abort();
	if (site > n || (site && code == X86_CODE_16))
		abort();
	/* What follows an instruction is no part of it. */
	more = x86_decode(bytes, d.len ? d.len : n, code);
	if (d.len && (more.insn != d.insn || more.len != d.len))
		abort();
	if (site && x86_patch_site(bytes, site, code) != site)
		abort();
	free(bytes);
	return 0;
}
