/* What a core says of an arm64 CPU. Offsets: Linux's struct elf_prstatus and user_fpsimd_state. */
#include "arch/arch.h"
#include "tests/unit/core_reader.h"

#define PRSTATUS_PID 32
#define PRSTATUS_REG 112
#define PRSTATUS_LEN 392
#define FPREGS_LEN   528

#define X  31
#define V  32
#define R0 (X + 3)

static struct reg_feature features[2];
static struct reg_desc regs[R0 + 2 * V + 2];
static char names[R0 + 2 * V + 2][8];
static struct arch_desc desc = {.features = features, .nfeatures = 2, .regs = regs};

static void add_reg(const char *name, uint16_t size, uint8_t feature)
{
	struct reg_desc *r = &regs[desc.nregs];

	snprintf(names[desc.nregs], sizeof(names[0]), "%s", name);
	*r = (struct reg_desc){.name = names[desc.nregs], .size = size, .feature = feature};
	desc.nregs++;
}

static void make_desc(void)
{
	char name[16];

	for (unsigned i = 0; i < X; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		add_reg(name, 8, 0);
	}
	add_reg("sp", 8, 0);
	add_reg("pc", 8, 0);
	add_reg("cpsr", 4, 0);
	add_reg("fpsr", 4, 0);
	add_reg("fpcr", 4, 0);
	for (unsigned i = 0; i < 2 * V; i++) {
		snprintf(name, sizeof(name), "%s%u", i < V ? "v" : "z", i % V);
		add_reg(name, i < V ? 16 : 256, 1);
	}
}

static void test_cpu(const struct core_notes *n, const struct core_cpu *c)
{
	size_t len = 0, flen = 0;
	const uint8_t *p = core_note(n, "CORE", NT_PRSTATUS, c->id, &len);
	const uint8_t *f = core_note(n, "CORE", NT_FPREGSET, c->id, &flen);

	if (!tap_ok(p && len == PRSTATUS_LEN && f && flen == FPREGS_LEN, "CPU %d: both notes", c->id))
		return;
	tap_is_u64(core_u32(p + PRSTATUS_PID), (uint64_t)c->id + 1, "its number");
	tap_ok(core_holds(c, p + PRSTATUS_REG, 8, "x0") && core_holds(c, p + PRSTATUS_REG + 30 * 8, 8, "x30") &&
			core_holds(c, p + PRSTATUS_REG + 31 * 8, 8, "sp") &&
			core_holds(c, p + PRSTATUS_REG + 32 * 8, 8, "pc") &&
			core_holds(c, p + PRSTATUS_REG + 33 * 8, 8, "cpsr"),
		"general registers");
	tap_is_u64(core_u32(p + PRSTATUS_LEN - 8), 1, "there are floating-point registers");
	tap_ok(core_holds(c, f, 16, "v0") && core_holds(c, f + 31 * 16, 16, "v31") &&
			core_holds(c, f + 512, 4, "fpsr") && core_holds(c, f + 516, 4, "fpcr"),
		"they are in their places");
}

static void test_sve(void)
{
	struct core_cpu c = {.desc = &desc, .read = core_read};
	struct core_notes n = {0};
	const uint8_t *f;
	size_t len = 0;

	for (unsigned i = 0; i < V; i++) /* with SVE, there are no V registers */
		names[R0 + 2 + i][0] = '-';
	arch_core_cpu(&n, &c);
	f = core_note(&n, "CORE", NT_FPREGSET, 0, &len);
	tap_ok(f && core_holds(&c, f + 31 * 16, 16, "z31"), "SVE: the low ends of its vectors");
	core_notes_free(&n);
}

int main(void)
{
	unsigned refused_from = R0;
	struct core_cpu c = {.desc = &desc, .read = core_read};
	struct core_notes n = {0};
	size_t len;

	make_desc();
	for (c.id = 0; c.id < 2; c.id++)
		arch_core_cpu(&n, &c);
	for (c.id = 0; c.id < 2; c.id++)
		test_cpu(&n, &c);
	core_notes_free(&n);

	c = (struct core_cpu){.desc = &desc, .read = core_read, .ctx = &refused_from};
	arch_core_cpu(&n, &c);
	tap_ok(core_note(&n, "CORE", NT_PRSTATUS, 0, &len) && !core_note(&n, "CORE", NT_FPREGSET, 0, &len),
		"without floating-point registers nothing is said of them");
	core_notes_free(&n);
	test_sve();
	return tap_done();
}
