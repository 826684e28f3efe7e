/* What a core says of an x86_64 CPU. Offsets: Linux's struct elf_prstatus, FXSAVE and XSAVE images, QEMU's note. */
#include "arch/arch.h"
#include "arch/own_desc.h"
#include "tests/unit/core_reader.h"

#define PRSTATUS_PID 32
#define PRSTATUS_REG 112
#define PRSTATUS_LEN 336

static void test_prstatus(const struct core_notes *n, const struct core_cpu *c)
{
	static const struct {
		const char *name;
		int at;
	} regs[] = {{"r15", 0}, {"r12", 3}, {"rbp", 4}, {"rbx", 5}, {"r8", 9}, {"rax", 10}, {"rcx", 11}, {"rdx", 12},
		{"rsi", 13}, {"rdi", 14}, {"rip", 16}, {"cs", 17}, {"eflags", 18}, {"rsp", 19}, {"ss", 20},
		{"fs_base", 21}, {"gs_base", 22}, {"ds", 23}, {"es", 24}, {"fs", 25}, {"gs", 26}};
	size_t len = 0;
	const uint8_t *p = core_note(n, "CORE", NT_PRSTATUS, c->id, &len);
	bool same = true;

	if (!tap_ok(p && len == PRSTATUS_LEN, "CPU %d: registers", c->id))
		return;
	tap_is_u64(core_u32(p + PRSTATUS_PID), (uint64_t)c->id + 1, "its number, which is no process's");
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		same &= core_holds(c, p + PRSTATUS_REG + 8 * regs[i].at, 8, regs[i].name);
	tap_ok(same, "each in its place");
	tap_is_u64(core_u32(p + PRSTATUS_LEN - 8), 1, "there are floating-point registers");
}

static void test_fpu(const struct core_notes *n, const struct core_cpu *c)
{
	size_t len = 0, xlen = 0;
	const uint8_t *p = core_note(n, "CORE", NT_FPREGSET, c->id, &len);
	const uint8_t *x = core_note(n, "LINUX", NT_X86_XSTATE, c->id, &xlen);

	if (!tap_ok(p && len == 512 && x && xlen == 2696, "CPU %d: FXSAVE and XSAVE images", c->id))
		return;
	tap_ok(core_holds(c, p + 24, 4, "mxcsr"), "MXCSR");
	tap_ok(core_holds(c, p + 32, 10, "st0") && core_holds(c, p + 32 + 7 * 16, 10, "st7"), "x87");
	tap_ok(core_holds(c, p + 160, 16, "xmm0") && core_holds(c, p + 160 + 15 * 16, 16, "xmm15"), "SSE");
	tap_ok(!memcmp(x, p, 464) && core_u32(x + 464) == 0x2e7 && core_u32(x + 512) == 0x2e7, "components");
	tap_ok(core_holds(c, x + 576, 16, "ymm0h") && core_holds(c, x + 816, 16, "ymm15h"), "AVX");
	tap_ok(core_holds(c, x + 1088, 8, "k0") && core_holds(c, x + 1152 + 15 * 32, 32, "zmm15h") &&
			core_holds(c, x + 1664, 16, "xmm16") && core_holds(c, x + 1664 + 16, 16, "ymm16h") &&
			core_holds(c, x + 1664 + 15 * 64 + 32, 32, "zmm31h"),
		"AVX-512");
	tap_ok(core_holds(c, x + 2688, 4, "pkru"), "PKRU");
}

static void test_qemu(const struct core_notes *n, const struct core_cpu *c)
{
	size_t len = 0;
	const uint8_t *p = core_note(n, "QEMU", 0, c->id, &len);

	if (!tap_ok(p && len == 440 && core_u32(p) == 1 && core_u32(p + 4) == 440, "CPU %d: QEMU's note", c->id))
		return;
	tap_ok(core_holds(c, p + 8, 8, "rax") && core_holds(c, p + 16, 8, "rbx") &&
			core_holds(c, p + 8 + 6 * 8, 8, "rsp") && core_holds(c, p + 8 + 16 * 8, 8, "rip") &&
			core_holds(c, p + 8 + 17 * 8, 8, "eflags"),
		"general registers");
	tap_ok(core_holds(c, p + 152, 4, "cs") && core_holds(c, p + 152 + 4 * 24 + 16, 8, "gs_base") &&
			core_holds(c, p + 152 + 7 * 24, 4, "tr") &&
			core_holds(c, p + 152 + 9 * 24 + 16, 8, "idtr_base"),
		"segments");
	tap_ok(core_holds(c, p + 392, 8, "cr0") && core_holds(c, p + 392 + 24, 8, "cr3") &&
			core_holds(c, p + 432, 8, "k_gs_base"),
		"control registers");
}

/* Every register is its own number: the x87's control registers hold 16 bits at most. */
static int read_number(void *ctx, int cpu, unsigned regno, void *buf, size_t len)
{
	(void)ctx;
	(void)cpu;
	memset(buf, 0, len);
	memcpy(buf, &regno, len < 2 ? len : 2);
	return 0;
}

static uint16_t number_of(const char *name)
{
	for (unsigned r = 0; r < arch_desc.nregs; r++)
		if (!strcmp(arch_desc.regs[r].name, name))
			return (uint16_t)r;
	return 0;
}

static void test_control(void)
{
	static const struct {
		const char *name;
		int at;
	} control[] = {
		{"fctrl", 0}, {"fstat", 2}, {"fop", 6}, {"fioff", 8}, {"fiseg", 12}, {"fooff", 16}, {"foseg", 20}};
	struct core_notes n = {0};
	bool same = true;
	const uint8_t *p;
	uint16_t value;
	size_t len;

	arch_core_cpu(&n, &(struct core_cpu){.desc = &arch_desc, .read = read_number});
	p = core_note(&n, "CORE", NT_FPREGSET, 0, &len);
	for (size_t i = 0; p && i < sizeof(control) / sizeof(control[0]); i++) {
		memcpy(&value, p + control[i].at, sizeof(value));
		same &= value == number_of(control[i].name) && value;
	}
	tap_ok(p && same, "x87 control registers");
	core_notes_free(&n);
}

/* A CPU whose thread has gone: only what was fetched before. */
static void test_gone(void)
{
	unsigned refused_from = (unsigned)arch_desc.nregs_g;
	struct core_cpu c = {.desc = &arch_desc, .read = core_read, .ctx = &refused_from};
	struct core_notes n = {0};
	const uint8_t *p;
	size_t len;

	arch_core_cpu(&n, &c);
	p = core_note(&n, "CORE", NT_PRSTATUS, 0, &len);
	tap_ok(p && core_holds(&c, p + PRSTATUS_REG + 8 * 16, 8, "rip") && !core_u32(p + PRSTATUS_LEN - 8) &&
			!core_note(&n, "CORE", NT_FPREGSET, 0, &len) && !core_note(&n, "LINUX", NT_X86_XSTATE, 0, &len),
		"without floating-point registers nothing is said of them");
	core_notes_free(&n);
}

/* What this VM has not got is not told. */
static void test_fewer(void)
{
	struct own_desc own = {0};
	struct core_notes n = {0};
	size_t len = 0;

	if (!tap_ok(!own_desc_init(&own, &arch_desc), "a description of its own"))
		return;
	for (size_t i = 0; i < own.desc.nfeatures; i++)
		if (strstr(own.features[i].name, "avx512") || strstr(own.features[i].name, "pkeys"))
			own.features[i].absent = true;
	arch_core_cpu(&n, &(struct core_cpu){.desc = &own.desc, .read = core_read});
	tap_ok(core_note(&n, "LINUX", NT_X86_XSTATE, 0, &len) && len == 832, "AVX alone: %zu bytes", len);
	core_notes_free(&n);
	own_desc_free(&own);
}

int main(void)
{
	struct core_cpu c = {.desc = &arch_desc, .read = core_read};
	struct core_notes n = {0};

	for (c.id = 0; c.id < 3; c.id++)
		arch_core_cpu(&n, &c);
	for (c.id = 0; c.id < 3; c.id++)
		arch_core_machine(&n, &c);
	for (c.id = 0; c.id < 3; c.id++) {
		test_prstatus(&n, &c);
		test_fpu(&n, &c);
		test_qemu(&n, &c);
	}
	tap_ok(!n.failed, "all of them");
	core_notes_free(&n);
	test_control();
	test_gone();
	test_fewer();
	return tap_done();
}
