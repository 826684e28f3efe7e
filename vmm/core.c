#include "vmm/core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/broker.h"
#include "vmm/core_file.h"
#include "vmm/core_map.h"
#include "vmm/core_notes.h"
#include "vmm/core_ram.h"
#include "vmm/kvm.h"
#include "vmm/log.h"
#include "vmm/vm_kaslr.h"

#define FILE_MODE 0600 /* as the kernel's own cores: it has all that the guest knew */
#define MIB	  ((uint64_t)1 << 20)

struct core {
	char *path;
	int fd;
	int made;   /* the file, as vmm/broker.h calls it */
	bool whole; /* it has a whole dump */
	struct core_ram ram;
};

/* ---- the file ---- */

static const char *reason(int err)
{
	switch (err) {
	case -EISDIR:
		return "is a directory";
	case -EWOULDBLOCK:
		return "another minivmm is using it";
	case -EEXIST:
		return "is there already and is no core dump; remove it or choose another name";
	case -EINVAL:
		return "is not a regular file";
	default:
		return strerror(-err);
	}
}

/* What is there must be of no value to anybody. */
static int check_old(int fd, struct stat *st)
{
	uint8_t head[EI_NIDENT + 2];
	ssize_t n;

	if (fstat(fd, st) < 0)
		return -errno;
	if (S_ISDIR(st->st_mode))
		return -EISDIR;
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return -EWOULDBLOCK;
	n = pread(fd, head, sizeof(head), 0);
	if (n < 0)
		return -errno;
	if (n && !core_file_is(head, (size_t)n))
		return -EEXIST;
	return ftruncate(fd, 0) < 0 ? -errno : 0;
}

int core_open(struct core **out, const char *path)
{
	struct core *c = calloc(1, sizeof(*c));
	struct stat st;
	int err = 0;

	*out = NULL;
	if (c)
		c->path = strdup(path);
	if (!c || !c->path) {
		free(c);
		log_error("out of memory");
		return -ENOMEM;
	}
	/* Non-blocking: a pipe or a device is refused, not waited for. */
	c->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, FILE_MODE);
	err = c->fd < 0 ? -errno : check_old(c->fd, &st);
	if (!err) {
		c->made = broker_made(path, &st, false);
		core_ram_open(&c->ram);
		*out = c;
		return 0;
	}
	log_error("--dump %s: %s", path, reason(err));
	if (c->fd >= 0)
		close(c->fd);
	free(c->path);
	free(c);
	return err;
}

void core_close(struct core *c)
{
	if (!c)
		return;
	if (!c->whole)
		broker_remove(c->made);
	core_ram_close(&c->ram);
	close(c->fd);
	free(c->path);
	free(c);
}

/* ---- where virtual addresses lead ---- */

#define KERNEL_HALF (1ull << 63)
#define TEXT_AT	    0xffffffff80000000ull /* the last 2 GiB, where code for x86_64 is linked: before all else */
#define AROUND	    (1ull << 20)
/*
 * Look-ups in page tables; each costs some dozen nanoseconds. A guest that has all its RAM mapped twice in small pages
 * stays below so many; one that maps more is cut off after a second or so.
 */
#define LOOKUPS_MIN  (8ull << 20)
#define SMALL_PAGE   4096
#define LOOKUPS_EACH 2 /* for each small page of RAM */

struct walk {
	struct vm *vm;
	struct vcpu *vcpu;
	struct core_map *map;
	uint64_t budget;
};

/* By the kernel's own tables, where a program runs whose tables leave it out. */
static int walk_translate(void *ctx, uint64_t va, struct mapping *out)
{
	struct walk *w = ctx;
	int ret = -EFAULT;

	if (va & KERNEL_HALF)
		ret = vm_kaslr_kernel_translate(w->vcpu, va, out);
	return ret == 0 || out->len ? ret : arch_translate(w->vcpu, va, out);
}

static void walk_range(struct walk *w, int cpu, uint64_t first, uint64_t last)
{
	w->vcpu = &w->vm->vcpus[cpu];
	core_map_add(w->map, &w->vm->mem, first, last, walk_translate, w, &w->budget);
}

static void walk_around(struct walk *w, int cpu, uint64_t va)
{
	uint64_t first = va & ~(AROUND - 1);

	walk_range(w, cpu, first, first + (AROUND - 1));
}

static bool paged(const struct vm *vm, int cpu)
{
	return arch_space(&vm->vcpus[cpu], 0) != VM_SPACE_PHYSICAL;
}

static bool in_kernel(const struct vm *vm, int cpu)
{
	return paged(vm, cpu) && (arch_pc(&vm->vcpus[cpu]) & KERNEL_HALF);
}

/* The one whose tables are the most likely to have all of the kernel. */
static int leading_cpu(const struct vm *vm)
{
	int first_paged = 0;

	for (int cpu = vm->ncpus - 1; cpu >= 0; cpu--)
		if (paged(vm, cpu))
			first_paged = cpu;
	for (int cpu = 0; cpu < vm->ncpus; cpu++)
		if (in_kernel(vm, cpu))
			return cpu;
	return first_paged;
}

/* Does one before it, in the kernel as it is or not, have the same tables? */
static bool same_as_before(const struct vm *vm, int cpu)
{
	for (int i = 0; i < cpu; i++)
		if (in_kernel(vm, i) == in_kernel(vm, cpu) &&
			arch_space(&vm->vcpus[i], 0) == arch_space(&vm->vcpus[cpu], 0))
			return true;
	return false;
}

static bool same_kernel(const struct vm *vm, int lead, int cpu)
{
	uint64_t pc = arch_pc(&vm->vcpus[lead]);
	struct mapping a, b;

	return in_kernel(vm, lead) && arch_translate(&vm->vcpus[lead], pc, &a) == 0 &&
	       arch_translate(&vm->vcpus[cpu], pc, &b) == 0 && a.gpa == b.gpa;
}

/*
 * The CPUs' stacks and code first, then the kernel, then programs: if there should be too much, the rest is left out.
 * While one CPU has paging on, those that have not (they are not started yet) have no say: they would have physical
 * memory appear where the guest has nothing, at the null pointer above all.
 */
static void map_machine(struct vm *vm, struct core_map *map)
{
	struct walk w = {.vm = vm, .map = map, .budget = LOOKUPS_MIN + vm->mem.size / SMALL_PAGE * LOOKUPS_EACH};
	const struct arch_desc *desc = vm_debug_arch(vm->debug);
	int lead = leading_cpu(vm);
	bool paging = paged(vm, lead);

	for (int cpu = 0; cpu < vm->ncpus; cpu++) {
		uint64_t sp = 0;

		if (paged(vm, cpu) != paging)
			continue;
		walk_around(&w, cpu, arch_pc(&vm->vcpus[cpu]));
		if (desc->regs[desc->sp].size == sizeof(sp) &&
			vm_debug_reg_read(vm->debug, cpu, desc->sp, &sp, sizeof(sp)) == 0)
			walk_around(&w, cpu, sp);
	}
	walk_range(&w, lead, TEXT_AT, UINT64_MAX);
	walk_range(&w, lead, KERNEL_HALF, TEXT_AT - 1);
	/* One program can have an address: one that is running there, if there is any. */
	for (int kernel = 0; kernel < 2; kernel++)
		for (int cpu = 0; cpu < vm->ncpus; cpu++)
			if (paged(vm, cpu) == paging && in_kernel(vm, cpu) == kernel && !same_as_before(vm, cpu))
				walk_range(&w, cpu, 0, KERNEL_HALF - 1);
	for (int cpu = 0; cpu < vm->ncpus; cpu++)
		if (cpu != lead && paged(vm, cpu) == paging && !same_as_before(vm, cpu) && !same_kernel(vm, lead, cpu))
			walk_range(&w, cpu, KERNEL_HALF, UINT64_MAX);
}

/* ---- writing ---- */

struct reading {
	struct vm_debug *d;
	int err; /* not all there is could be had */
};

static int read_reg(void *ctx, int cpu, unsigned regno, void *buf, size_t len)
{
	struct reading *r = ctx;
	int err = vm_debug_reg_read(r->d, cpu, regno, buf, len);

	if (err < 0 && err != -ENOENT)
		r->err = err;
	return err;
}

static void make_notes(struct core *core, struct vm *vm, struct core_ram *ram, struct core_notes *notes)
{
	struct reading reading = {.d = vm->debug};
	struct core_cpu c = {.desc = vm_debug_arch(vm->debug), .read = read_reg, .ctx = &reading};
	const uint8_t *text;
	size_t len;

	for (c.id = 0; c.id < vm->ncpus; c.id++)
		arch_core_cpu(notes, &c);
	for (c.id = 0; c.id < vm->ncpus; c.id++)
		arch_core_machine(notes, &c);
	if (reading.err)
		log_warn("--dump %s: some registers are missing in it: %s", core->path, strerror(-reading.err));
	text = core_ram_vmcoreinfo(ram, &vm->mem, &len);
	if (text)
		core_note_add(notes, "VMCOREINFO", 0, text, len);
	log_info("the guest has %s VMCOREINFO", text ? "a" : "no");
}

static int write_content(struct core *c, struct vm *vm, uint64_t *written)
{
	struct core_map map = {0};
	struct core_notes notes = {0};
	const struct core_content content = {
		.machine = arch_desc.elf_machine,
		.mem = &vm->mem,
		.map = &map,
		.notes = &notes,
		.ram = &c->ram,
	};
	int err = -ENOMEM;

	c->ram.n = 0; /* what it knows is of before */
	map_machine(vm, &map);
	make_notes(c, vm, &c->ram, &notes);
	if (!map.failed && !notes.failed)
		err = core_file_write(c->fd, &content, written);
	if (!err && map.cut)
		log_warn("--dump %s: the guest maps more than a dump has room for; some of it is in there by its "
			 "physical address only",
			c->path);
	core_map_free(&map);
	core_notes_free(&notes);
	return err;
}

int core_write(struct core *c, struct vm *vm)
{
	uint64_t written = 0;
	int err;

	broker_keep(c->made, false);
	err = ftruncate(c->fd, 0) < 0 ? -errno : write_content(c, vm, &written);
	c->whole = !err;
	broker_keep(c->made, c->whole);
	if (!err) {
		log_info("%s: %" PRIu64 " MiB of memory, the rest is untouched", c->path, written / MIB);
		return 0;
	}
	log_error("--dump %s: %s (%" PRIu64 " MiB were written); the file is removed", c->path, strerror(-err),
		written / MIB);
	while (ftruncate(c->fd, 0) < 0 && errno == EINTR)
		;
	return err;
}
