/* What a failed run shows, over a made-up machine: how it is laid out, shared among CPUs, cut off and folded. */
#include "vmm/evidence.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "arch/text.h"
#include "arch/unwind.h"
#include "tests/unit/tap.h"
#include "vmm/backtrace.h"
#include "vmm/debug.h"
#include "vmm/symtab.h"
#include "vmm/symtab_build.h"

#define CPUS_MAX 64
#define CODE	 0xffffffff81000000ull
#define RAM_SIZE 0x1000

/* ---- the machine ---- */

enum { R_PC, R_SP, R_FLAGS, R_SYSTEM, R_VECTOR, R_BAD, NREGS };

static const struct reg_feature features[] = {{.name = "fake", .types = ""}};
static const struct reg_desc regs[] = {
	[R_PC] = {"pc", "code_ptr", NULL, 8, 0, false},
	[R_SP] = {"sp", "data_ptr", NULL, 8, 0, false},
	[R_FLAGS] = {"flags", "int32", NULL, 4, 0, false},
	[R_SYSTEM] = {"system", "int64", NULL, 8, 0, true},
	[R_VECTOR] = {"vector", "int64", NULL, 32, 0, true},
	[R_BAD] = {"bad", "int64", NULL, 8, 0, true},
};
static const uint8_t int3[] = {0xcc};
static const char *const shown[] = {"pc", "sp", "flags", "", "none", "bad", "vector", "", "system", NULL};
static const char *const not_started[] = {"powered off", NULL};

static struct unwind frames;
static uint8_t ram[RAM_SIZE];
static int ncpus;
static bool off[CPUS_MAX];
static bool unmapped;
static uint64_t names_found;

static void walk(const struct unwind_guest *g, struct unwind *out)
{
	uint64_t pc = 0;

	*out = frames;
	names_found =
		g->reg(g->ctx, "vector", &pc) || g->reg(g->ctx, "none", &pc) || !g->reg(g->ctx, "pc", &pc) ? 0 : pc;
}

static const struct unwind_isa isa = {
	.regs = shown, .not_started = not_started, .code_bytes = 8, .code_unit = 4, .walk = walk};
static struct arch_desc arch = {
	.name = "fake",
	.features = features,
	.nfeatures = 1,
	.regs = regs,
	.nregs = NREGS,
	.nregs_g = 3,
	.pc = R_PC,
	.sp = R_SP,
	.brk = int3,
	.brk_len = 1,
	.max_reg_size = 32,
};

static void op_kick(void *ctx, int cpu)
{
	(void)ctx;
	(void)cpu;
}

static int op_quiesce(void *ctx, int cpu, struct vm_stop *late)
{
	(void)ctx;
	(void)cpu;
	(void)late;
	return 0;
}

static int op_arm(void *ctx, int cpu, const struct hw_slots *slots, enum vm_arm how)
{
	(void)ctx;
	(void)cpu;
	(void)slots;
	(void)how;
	return 0;
}

static int op_reg_read(void *ctx, int cpu, unsigned regno, void *buf, size_t len)
{
	uint64_t value = regno == R_PC ? CODE + 0x10 : 0x1000 * (uint64_t)cpu + regno;

	(void)ctx;
	if (regno == R_BAD)
		return -ENOENT;
	memset(buf, 0, len);
	memcpy(buf, &value, len < sizeof(value) ? len : sizeof(value));
	return 0;
}

static uint64_t op_pc(void *ctx, int cpu)
{
	(void)ctx;
	(void)cpu;
	return CODE + 0x10;
}

static int op_translate(void *ctx, int cpu, uint64_t va, struct mapping *out)
{
	(void)ctx;
	(void)cpu;
	*out = (struct mapping){.gpa = va - CODE, .len = RAM_SIZE - (va - CODE), .executable = true};
	return va - CODE < RAM_SIZE && !unmapped ? 0 : -EFAULT;
}

static void *op_ram(void *ctx, uint64_t gpa, uint64_t *len)
{
	(void)ctx;
	*len = gpa < RAM_SIZE ? RAM_SIZE - gpa : 0;
	return gpa < RAM_SIZE ? ram + gpa : NULL;
}

static void op_state_text(void *ctx, int cpu, char *buf, size_t len)
{
	(void)ctx;
	snprintf(buf, len, "%s", off[cpu] ? "powered off" : "running, level 1");
}

struct cpu {
	struct vm_debug *d;
	int id;
	pthread_t thread;
};

static void *run(void *arg)
{
	struct cpu *c = arg;

	while (vm_debug_checkpoint(c->d, c->id))
		;
	vm_debug_gone(c->d, c->id);
	return NULL;
}

static struct cpu cpus[CPUS_MAX];
static struct symtab *symbols;

/* Of a machine with n CPUs that has stopped. len: of the buffer. */
static size_t evidence(int n, int first, size_t len, char *buf)
{
	struct vm_debug_machine m = {
		.arch = &arch,
		.ncpus = n,
		.kick = op_kick,
		.quiesce = op_quiesce,
		.arm = op_arm,
		.reg_read = op_reg_read,
		.pc = op_pc,
		.translate = op_translate,
		.ram = op_ram,
		.state_text = op_state_text,
	};
	struct vm_debug *d = vm_debug_new(&m, true);
	uint64_t pc;
	size_t got;

	ncpus = n;
	for (int i = 0; i < n; i++) {
		cpus[i] = (struct cpu){.d = d, .id = i};
		pthread_create(&cpus[i].thread, NULL, run, &cpus[i]);
	}
	while (vm_debug_pc(d, 0, &pc) == -EBUSY)
		usleep(1000);
	got = evidence_text(d, symbols, first, buf, len);
	vm_debug_quit(d, 0);
	for (int i = 0; i < n; i++)
		pthread_join(cpus[i].thread, NULL);
	vm_debug_free(d);
	return got;
}

/* ---- the tests ---- */

static char text[65536 + 1];

static void add_frame(uint64_t pc, bool call, bool guess, bool user)
{
	frames.frame[frames.n++] = (struct unwind_frame){.pc = pc, .call = call, .guess = guess, .user = user};
}

static void few_frames(void)
{
	frames.n = 0;
	frames.way = UNWIND_ORC;
	add_frame(CODE + 0x10, false, false, false);
	add_frame(CODE + 0x200, true, false, false); /* of second: the call is its last instruction */
	add_frame(CODE + 0x200, false, false, false);
	add_frame(CODE + 0x280, true, true, false);
	add_frame(0x1234, true, false, false);
	add_frame(0x401000, false, false, true);
}

static void test_layout(void)
{
	size_t got;

	few_frames();
	memset(ram, 0, sizeof(ram));
	memcpy(ram + 0x10, "\x01\x02\x03\x04\xff\xee\xdd\xcc", 8);
	off[1] = true;
	got = evidence(2, 0, sizeof(text), text);
	tap_is_u64(got, strlen(text), "the length");
	tap_is_str(text,
		"CPU 0: running, level 1, pc 0xffffffff81000010 first+0x10/0x100\n"
		"  pc     ffffffff81000010  sp     0000000000000001  flags 2\n"
		"  system 0000000000000003\n"
		"  code   04030201 ccddeeff\n"
		"  backtrace (ORC; ? from a stack scan, may have returned)\n"
		"#0  0xffffffff81000010 first+0x10/0x100\n"
		"#1  0xffffffff81000200 second+0x100/0x100\n"
		"#2  0xffffffff81000200 third+0x0/0x100 (interrupted)\n"
		"#3  0xffffffff81000280 ? third+0x80/0x100\n"
		"#4  0x0000000000001234\n"
		"#5  0x0000000000401000 (user mode)\n"
		"CPU 1: powered off\n",
		"the text");
	tap_is_u64(names_found, CODE + 0x10, "an unwinder finds registers by name, if they are numbers");
	off[1] = false;
	unmapped = true;
	evidence(1, 0, sizeof(text), text);
	tap_ok(strstr(text, "  code   not mapped\n"), "code that is not mapped");
	unmapped = false;
	arch.unwind = NULL;
	evidence(1, 7, sizeof(text), text);
	tap_is_str(text,
		"CPU 0: running, level 1, pc 0xffffffff81000010 first+0x10/0x100\n"
		"  pc     ffffffff81000010\n  sp     0000000000000001\n  flags 2\n"
		"  code   01 02 03 04 ff ee dd cc 00 00 00 00 00 00 00 00\n",
		"an ISA without an unwinder, and a first CPU that there is not");
	arch.unwind = &isa;
}

static unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

static void many_frames(void)
{
	frames.n = 0;
	frames.way = UNWIND_FRAME_POINTERS;
	for (unsigned i = 0; i < 200; i++)
		add_frame(CODE + 8 * (uint64_t)i, true, false, false);
}

static void test_sharing(void)
{
	size_t first;
	bool said = true;
	unsigned some = 0;

	many_frames();
	evidence(CPUS_MAX, 5, sizeof(text) - 1, text);
	tap_ok(!strncmp(text, "CPU 5: ", 7), "the CPU that matters comes first");
	tap_is_u64(count("CPU "), CPUS_MAX, "64 CPUs: each has its line");
	tap_ok(count("system ") > 10 && count("system ") <= CPUS_MAX, "registers of %u", count("system "));
	tap_is_u64(count("backtrace"), CPUS_MAX, "a backtrace of each");
	first = (size_t)(strstr(text + 1, "CPU ") - text);
	tap_ok(strstr(text, "... 137 more") && (size_t)(strstr(text, "... 137 more") - text) < first,
		"the first one's whole: 63 of 200 frames");
	evidence(CPUS_MAX, 5, 8192, text);
	tap_is_u64(count("CPU "), CPUS_MAX, "8 KiB: each has its line");
	tap_is_u64(count("system "), 1, "8 KiB: registers of the first");
	for (size_t len = 600; len < 1000 && said; len += 7) {
		evidence(16, 5, len, text);
		said = !strncmp(text, "CPU 5: ", 7) && (count("CPU ") == 16 || strstr(text, " of 16 CPUs)\n"));
		some += count("CPU ") < 16;
	}
	tap_ok(said && some, "what is left out is said");
}

/* Any length: it ends where it says, with a zero, and nothing behind the buffer is touched. */
static void test_bounds(void)
{
	char *buf;
	size_t n;
	bool fits = true;

	many_frames();
	for (size_t len = 0; len < 1200 && fits; len += len < 200 ? 1 : 37) {
		buf = malloc(len + !len); /* its end is watched by the sanitizer */
		n = evidence(2, 1, len, buf);
		fits = len ? n < len && !buf[n] && strlen(buf) == n : n == 0;
		free(buf);
	}
	tap_ok(fits, "buffers of any length");
}

static const char *folded(void)
{
	struct text out = {.buf = text, .len = sizeof(text)};

	text[0] = '\0';
	backtrace_put(&out, &frames, symbols, BACKTRACE_LINES_MAX);
	return text;
}

static void test_folding(void)
{
	frames.n = 0;
	add_frame(CODE, false, false, false);
	for (unsigned i = 0; i < 500; i++)
		add_frame(CODE + 0x110, true, false, false);
	add_frame(CODE + 0x220, true, false, false);
	tap_is_str(folded(),
		"#0  0xffffffff81000000 first+0x0/0x100\n"
		"#1  0xffffffff81000110 second+0x10/0x100\n"
		"    ... the same 499 more times\n"
		"#501 0xffffffff81000220 third+0x20/0x100\n",
		"a function that calls itself");
	frames.n = 0;
	for (unsigned i = 0; i < 300; i++)
		add_frame(CODE + 0x100 * (uint64_t)(i % 3) + 8, true, false, false);
	tap_is_str(folded(),
		"#0  0xffffffff81000008 first+0x8/0x100\n"
		"#1  0xffffffff81000108 second+0x8/0x100\n"
		"#2  0xffffffff81000208 third+0x8/0x100\n"
		"    ... these 3 99 more times\n",
		"three that call each other");
	frames.n = 0;
	for (unsigned i = 0; i < UNWIND_FRAMES_MAX; i++)
		add_frame(CODE + i, true, false, false);
	folded();
	tap_ok(strstr(text, "    ... 961 more or even more\n"), "more than can be kept");
	tap_is_u64(count("\n"), BACKTRACE_LINES_MAX, "no more lines than there may be");
}

int main(void)
{
	static const char *const names[] = {"first", "second", "third"};

	arch.unwind = &isa;
	symbols = symtab_new("test");
	for (unsigned i = 0; i < 3; i++)
		symtab_add(symbols, CODE + 0x100 * (uint64_t)i, 0x100, 'T', names[i], strlen(names[i]));
	symtab_finish(symbols);
	test_layout();
	test_sharing();
	test_bounds();
	test_folding();
	symtab_free(symbols);
	return tap_done();
}
