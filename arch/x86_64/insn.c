#include "arch/x86_64/insn.h"

#include <string.h>

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

/* Bytes of a ModRM operand that is memory, ModRM included, with 32- or 64-bit addresses; 0: a register, or cut off. */
static size_t modrm_memory(const uint8_t *p, size_t n)
{
	unsigned mod, rm;
	size_t len = 1;

	if (!n || p[0] >> 6 == 3)
		return 0;
	mod = p[0] >> 6;
	rm = p[0] & 7;
	if (rm == 4) { /* SIB */
		if (n < 2)
			return 0;
		rm = p[1] & 7;
		len++;
	}
	if (mod == 1)
		len += 1;
	else if (mod == 2 || rm == 5)
		len += 4;
	return len <= n ? len : 0;
}

/* Intel SDM volume 2B, NOP: the recommended multi-byte forms are 66 90 and 0F 1F /0. */
size_t x86_patch_site(const uint8_t *bytes, size_t n, enum x86_code code)
{
	static const uint8_t return_zero[] = {0x66, 0x66, 0x48, 0x31, 0xc0};
	size_t i = 0, len;
	bool osize;

	if (code == X86_CODE_16)
		return 0;
	if (code == X86_CODE_64 && n >= sizeof(return_zero) && !memcmp(bytes, return_zero, sizeof(return_zero)))
		return sizeof(return_zero);
	while (i < n && i < X86_INSN_MAX && (bytes[i] == 0x66 || bytes[i] == 0x2e))
		i++;
	osize = i && memchr(bytes, 0x66, i);
	if (i >= n)
		return 0;
	switch (bytes[i]) {
	case 0xe8:
	case 0xe9:
		/* With an operand size prefix it is another instruction on one maker's processors. */
		return !osize && n - i >= 5 ? i + 5 : 0;
	case 0xeb:
		return !osize && n - i >= 2 ? i + 2 : 0;
	case 0x90:
		return osize ? i + 1 : 0;
	case 0x0f:
		if (n - i < 2)
			return 0;
		if ((bytes[i + 1] & 0xf0) == 0x80)
			return !osize && n - i >= 6 ? i + 6 : 0;
		if (bytes[i + 1] != 0x1f)
			return 0;
		len = modrm_memory(&bytes[i + 2], n - i - 2);
		return len ? i + 2 + len : 0;
	default:
		return 0;
	}
}
