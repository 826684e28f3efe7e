#include "arch/x86_64/insn.h"

static bool is_legacy_prefix(uint8_t b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65: /* segments */
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return false;
	}
}

static unsigned operand_size(enum x86_insn insn, enum x86_code code, bool osize, bool rex_w)
{
	if (code == X86_CODE_64) {
		if (rex_w)
			return 8;
		if (insn == X86_INSN_IRET) /* does not default to 64 bits as the stack operations do */
			return osize ? 2 : 4;
		return osize ? 2 : 8;
	}
	return (code == X86_CODE_16) != osize ? 2 : 4;
}

struct x86_decoded x86_decode(const uint8_t *bytes, size_t n, enum x86_code code)
{
	struct x86_decoded d = {.insn = X86_INSN_OTHER};
	bool osize = false, rex_w = false;
	size_t i = 0;

	if (n > X86_INSN_MAX)
		n = X86_INSN_MAX;
	for (; i < n && is_legacy_prefix(bytes[i]); i++) {
		if (bytes[i] == 0x66)
			osize = true;
	}
	if (code == X86_CODE_64 && i < n && (bytes[i] & 0xf0) == 0x40)
		rex_w = bytes[i++] & 8;
	if (i == n)
		return d;
	switch (bytes[i++]) {
	case 0x9c:
		d.insn = X86_INSN_PUSHF;
		break;
	case 0x9d:
		d.insn = X86_INSN_POPF;
		break;
	case 0xcf:
		d.insn = X86_INSN_IRET;
		break;
	case 0x17:
		if (code != X86_CODE_64)
			d.insn = X86_INSN_TO_SS;
		break;
	case 0x8e: /* ModRM: register form, REG = SS */
		if (i < n && (bytes[i++] & 0xf8) == 0xd0)
			d.insn = X86_INSN_TO_SS;
		break;
	case 0xf4:
		d.insn = X86_INSN_HLT;
		break;
	case 0xcc:
		d.insn = X86_INSN_INT;
		d.vector = 3;
		break;
	case 0xf1:
		d.insn = X86_INSN_INT;
		d.vector = 1;
		break;
	case 0xcd:
		if (i == n)
			return d;
		d.insn = X86_INSN_INT;
		d.vector = bytes[i++];
		break;
	case 0x0f:
		if (i < n && bytes[i] == 0x05)
			d.insn = X86_INSN_SYSCALL;
		else if (i < n && bytes[i] == 0x07)
			d.insn = X86_INSN_SYSRET;
		i++;
		break;
	default:
		break;
	}
	if (d.insn == X86_INSN_OTHER)
		return d;
	d.len = (unsigned)i;
	d.operand = operand_size(d.insn, code, osize, rex_w);
	return d;
}
