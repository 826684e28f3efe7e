#include "vmm/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"

#define PROGRAM_MAX 1024 /* instructions: thrice of what the longest list needs */

/* Every call that the compiler's headers know; made by the Makefile. */
static const struct {
	int number;
	const char *name;
} calls[] = {
#include "syscall_names.h"
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

const char *seccomp_call_name(int number)
{
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].number == number)
			return calls[i].name;
	return NULL;
}

static int call_number(const char *name, size_t len)
{
	for (size_t i = 0; i < CALLS; i++)
		if (strlen(calls[i].name) == len && !memcmp(calls[i].name, name, len))
			return calls[i].number;
	return -1;
}

static uint32_t newest_call(void)
{
	int newest = 0;

	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].number > newest)
			newest = calls[i].number;
	return (uint32_t)newest;
}

/* AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64: both are made so. */
static uint32_t audit_arch(void)
{
	return arch_desc.elf_machine | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE;
}

struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short len;
	bool full;
};

static void emit(struct program *p, struct sock_filter insn)
{
	if (p->len < PROGRAM_MAX)
		p->code[p->len++] = insn;
	else
		p->full = true;
}

static void load(struct program *p, size_t offset)
{
	emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void give(struct program *p, uint32_t what)
{
	emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what));
}

/* Unless the accumulator is value, skip so many. */
static void if_equal(struct program *p, uint32_t value, uint8_t skip)
{
	emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip));
}

/* The accumulator holds the call's number before and behind it. Of an argument the lower half is looked at. */
static void emit_call(struct program *p, const struct seccomp_rule *r, uint32_t number)
{
	uint32_t verdict = r->error ? SECCOMP_RET_ERRNO | (uint32_t)r->error : SECCOMP_RET_ALLOW;

	if (!r->mask) {
		if_equal(p, number, 1);
		give(p, verdict);
		return;
	}
	if_equal(p, number, 5);
	load(p, offsetof(struct seccomp_data, args) + r->arg * sizeof(uint64_t)); /* both ISAs are little-endian */
	emit(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, r->mask));
	if_equal(p, r->value, 1);
	give(p, verdict);
	load(p, offsetof(struct seccomp_data, nr));
}

static void emit_rule(struct program *p, const struct seccomp_rule *r)
{
	for (const char *name = r->calls; *name;) {
		size_t len = strcspn(name, " ");
		int number = call_number(name, len);

		if (number >= 0)
			emit_call(p, r, (uint32_t)number);
		name += len;
		name += strspn(name, " ");
	}
}

int seccomp_enter(const struct seccomp_rule *rules, size_t n)
{
	struct program p = {.len = 0};
	struct sock_fprog prog = {.filter = p.code};

	load(&p, offsetof(struct seccomp_data, arch));
	emit(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, audit_arch(), 1, 0));
	give(&p, SECCOMP_RET_KILL_PROCESS); /* 32-bit calls */
	load(&p, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < n; i++)
		emit_rule(&p, &rules[i]);
	/* x86_64's x32 calls are among these, too: they begin at 1 << 30. */
	emit(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest_call(), 0, 1));
	give(&p, SECCOMP_RET_ERRNO | ENOSYS);
	give(&p, SECCOMP_RET_TRAP);
	if (p.full)
		return -E2BIG;
	prog.len = p.len;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? -errno : 0;
}
