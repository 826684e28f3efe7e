#include "arch/arm64/tiny_vm.h"

#include <errno.h>
#include <string.h>

#include "arch/kvm_call.h"

/*
 * Guest-physical map, a block of 2 MiB for each set of rights; where the MMU is on it is the identity. What EL0 may
 * write, EL1 may not execute, so code and data are apart.
 */
#define BLOCK	    0x200000
#define GPA_VECTORS 0x0000
#define GPA_TABLE   0x1000
#define GPA_CODE    0x2000
#define GPA_DATA    (1 * BLOCK)
#define GPA_EXIT    (2 * BLOCK) /* no RAM: a store here exits */
#define RAM_SIZE    (2 * BLOCK)

/* What is stored to, from GPA_EXIT */
#define EXIT_DONE   0
#define EXIT_VECTOR 4 /* the vector's number */

#define DATA_STRIDE 64 /* a watchpoint's address is reported no more exactly than that */
#define NVECTORS    16

/* Block descriptors: Arm ARM D8.3.1.2, D8.3.2 */
#define BLOCK_VALID   0x1ULL
#define BLOCK_NORMAL  (0ULL << 2) /* AttrIndx */
#define BLOCK_DEVICE  (1ULL << 2)
#define BLOCK_USER    (1ULL << 6) /* AP[1] */
#define BLOCK_RDONLY  (1ULL << 7) /* AP[2] */
#define BLOCK_INNER   (3ULL << 8) /* SH */
#define BLOCK_AF      (1ULL << 10)
#define BLOCK_NO_EXEC (3ULL << 53) /* PXN, UXN */

#define MAIR_VALUE 0x00ff /* 0: normal, write-back; 1: Device-nGnRnE */
/* T0SZ: 30 bits, so that the walk starts at level 2; write-back, inner shareable walks; no TTBR1; 4 KiB granule */
#define TCR_VALUE (34ULL | 1ULL << 8 | 1ULL << 10 | 3ULL << 12 | 1ULL << 23)
/* Arm ARM D24.2.118: the bits that are one, and M, C, I */
#define SCTLR_FIXED 0x30d00800ULL
#define SCTLR_MMU   0x1005ULL

#define PSTATE_DAIF 0x3c0ULL
#define PSTATE_EL1H 0x5ULL
#define PSTATE_EL0T 0x0ULL

#define SCTLR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 0)
#define CPACR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 2)
#define TTBR0_EL1 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define TCR_EL1	  ARM64_SYS_REG(3, 0, 2, 0, 2)
#define MAIR_EL1  ARM64_SYS_REG(3, 0, 10, 2, 0)
#define VBAR_EL1  ARM64_SYS_REG(3, 0, 12, 0, 0)
#define MDSCR_EL1 ARM64_SYS_REG(2, 0, 0, 2, 2)

/* DBGBCR, DBGWCR: Arm ARM D24.3 */
#define CTRL_ENABLE    0x1ULL
#define CTRL_EL1_EL0   (3ULL << 1)
#define CTRL_LOAD      (1ULL << 3)
#define CTRL_STORE     (1ULL << 4)
#define CTRL_BYTES_0_3 (0xfULL << 5)

/* Base registers of the guest code */
#define X_EXIT 20
#define X_DATA 21

/* Position independent; a store and a branch back to it, so that entering again after the exit ends in the same exit.
 */
#define TEXT(x)	 #x
#define QUOTE(x) TEXT(x)
#define DONE	 "1:	str	w9, [x" QUOTE(X_EXIT) "]\n	b	1b\n"

/* clang-format off */
__asm__("	.pushsection .rodata\n"
	"	.balign	4\n"
	"	.globl	tiny_code, tiny_code_nops, tiny_code_brk, tiny_code_flags, tiny_code_stores, tiny_code_loads, "
	"tiny_code_end\n"
	"	.hidden	tiny_code, tiny_code_nops, tiny_code_brk, tiny_code_flags, tiny_code_stores, tiny_code_loads, "
	"tiny_code_end\n"
	"tiny_code:\n"
	"tiny_code_nops:\n"
	"	.rept	" QUOTE(TINY_SLOTS) "\n"
	"	nop\n"
	"	.endr\n"
	DONE
	"tiny_code_brk:\n"
	"	brk	#0\n"
	DONE
	"tiny_code_flags:\n"
	"	msr	nzcv, x9\n"
	"	msr	daifclr, #8\n"
	"	nop\n"
	DONE
	"tiny_code_stores:\n"
	"	.set	word, 0\n"
	"	.rept	" QUOTE(TINY_SLOTS) "\n"
	"	str	w9, [x" QUOTE(X_DATA) ", #word * " QUOTE(DATA_STRIDE) "]\n"
	"	.set	word, word + 1\n"
	"	.endr\n"
	DONE
	"tiny_code_loads:\n"
	"	.set	word, 0\n"
	"	.rept	" QUOTE(TINY_SLOTS) "\n"
	"	ldr	w9, [x" QUOTE(X_DATA) ", #word * " QUOTE(DATA_STRIDE) "]\n"
	"	.set	word, word + 1\n"
	"	.endr\n"
	DONE
	"tiny_code_end:\n"
	"	.popsection\n");
/* clang-format on */

#define HIDDEN __attribute__((visibility("hidden")))
extern const uint8_t tiny_code[] HIDDEN, tiny_code_nops[] HIDDEN, tiny_code_brk[] HIDDEN;
extern const uint8_t tiny_code_flags[] HIDDEN, tiny_code_stores[] HIDDEN, tiny_code_loads[] HIDDEN,
	tiny_code_end[] HIDDEN;

static size_t code_offset(const uint8_t *label)
{
	return (uintptr_t)label - (uintptr_t)tiny_code;
}

uint64_t tiny_address(enum tiny_program program)
{
	static const uint8_t *const start[] = {
		tiny_code_nops, tiny_code_brk, tiny_code_flags, tiny_code_stores, tiny_code_loads};

	return GPA_CODE + code_offset(start[program]);
}

uint64_t tiny_data(unsigned word)
{
	return GPA_DATA + word * DATA_STRIDE;
}

uint64_t tiny_vector(unsigned vector)
{
	return GPA_VECTORS + vector * 0x80;
}

/* ---- memory ---- */

static void put32(struct tiny_vm *t, uint64_t gpa, uint32_t value)
{
	memcpy(t->m.ram + gpa, &value, sizeof(value));
}

static void put64(struct tiny_vm *t, uint64_t gpa, uint64_t value)
{
	memcpy(t->m.ram + gpa, &value, sizeof(value));
}

/*
 * A guest whose MMU is off fetches around the caches. (What is there before the first run KVM itself makes coherent.)
 */
void tiny_poke(struct tiny_vm *t, uint64_t addr, uint32_t insn)
{
	char *at = (char *)t->m.ram + addr;

	put32(t, addr, insn);
	__asm__ volatile("dc cvac, %0\n\tdsb sy" : : "r"(at) : "memory");
	__builtin___clear_cache(at, at + sizeof(insn));
}

static void fill_ram(struct tiny_vm *t)
{
	const uint64_t block = BLOCK_VALID | BLOCK_INNER | BLOCK_AF | BLOCK_USER;

	put64(t, GPA_TABLE + 0, block | BLOCK_NORMAL | BLOCK_RDONLY);
	put64(t, GPA_TABLE + 8, block | BLOCK_NORMAL | BLOCK_NO_EXEC | GPA_DATA);
	put64(t, GPA_TABLE + 16, block | BLOCK_DEVICE | BLOCK_NO_EXEC | GPA_EXIT);
	for (unsigned v = 0; v < NVECTORS; v++) {
		const uint32_t code[] = {
			0x52800009 | v << 5,				  /* mov w9, #v */
			0xb9000009 | EXIT_VECTOR / 4 << 10 | X_EXIT << 5, /* 1: str w9, [exit, #EXIT_VECTOR] */
			0x17ffffff,					  /* b 1b */
		};

		memcpy(t->m.ram + tiny_vector(v), code, sizeof(code));
	}
	memcpy(t->m.ram + GPA_CODE, tiny_code, code_offset(tiny_code_end));
	__builtin___clear_cache((char *)t->m.ram, (char *)t->m.ram + GPA_CODE + code_offset(tiny_code_end));
}

/* ---- the vCPU ---- */

int tiny_get(struct tiny_vm *t, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

	return kvm_ioctl(t->m.vcpu_fd, KVM_GET_ONE_REG, &reg) < 0 ? -errno : 0;
}

int tiny_set(struct tiny_vm *t, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	return kvm_ioctl(t->m.vcpu_fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

int tiny_restart(struct tiny_vm *t, enum tiny_mode mode, uint64_t pc)
{
	const struct {
		uint64_t id, value;
	} regs[] = {
		{SCTLR_EL1, SCTLR_FIXED | (mode == TINY_RESET ? 0 : SCTLR_MMU)},
		{TTBR0_EL1, GPA_TABLE},
		{TCR_EL1, TCR_VALUE},
		{MAIR_EL1, MAIR_VALUE},
		{VBAR_EL1, GPA_VECTORS},
		{CPACR_EL1, 0},
		{MDSCR_EL1, 0},
		{TINY_CORE(regs.regs[9]), 0},
		{TINY_CORE(regs.regs[X_EXIT]), GPA_EXIT},
		{TINY_CORE(regs.regs[X_DATA]), GPA_DATA},
		{TINY_PSTATE, PSTATE_DAIF | (mode == TINY_USER ? PSTATE_EL0T : PSTATE_EL1H)},
		{TINY_PC, pc},
	};
	struct kvm_guest_debug off = {0};

	if (kvm_ioctl(t->m.vcpu_fd, KVM_SET_GUEST_DEBUG, &off) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		int err = tiny_set(t, regs[i].id, regs[i].value);

		if (err)
			return err;
	}
	return 0;
}

/* The store that has exited ends only with the next KVM_RUN, which then would move a pc set meanwhile. */
static void finish_store(struct tiny_vm *t)
{
	t->m.run->immediate_exit = 1;
	kvm_run(t->m.vcpu_fd);
	t->m.run->immediate_exit = 0;
}

struct tiny_end tiny_run(struct tiny_vm *t)
{
	struct tiny_end e = {.kind = TINY_END_OTHER};
	struct kvm_run *k = t->m.run;
	uint32_t value;

	if (tiny_machine_run(&t->m))
		return e;
	if (k->exit_reason == KVM_EXIT_DEBUG && !tiny_get(t, TINY_PC, &e.pc)) {
		e.kind = TINY_END_DEBUG;
		e.ec = k->debug.arch.hsr >> 26;
		e.far = k->debug.arch.far;
	} else if (k->exit_reason == KVM_EXIT_MMIO && k->mmio.is_write && k->mmio.len == sizeof(value)) {
		memcpy(&value, k->mmio.data, sizeof(value));
		e.vector = value;
		if (k->mmio.phys_addr == GPA_EXIT + EXIT_DONE)
			e.kind = TINY_END_DONE;
		else if (k->mmio.phys_addr == GPA_EXIT + EXIT_VECTOR)
			e.kind = TINY_END_VECTOR;
		finish_store(t);
	}
	return e;
}

static int arm(struct tiny_vm *t, struct kvm_guest_debug *d)
{
	d->control |= KVM_GUESTDBG_ENABLE;
	return kvm_ioctl(t->m.vcpu_fd, KVM_SET_GUEST_DEBUG, d) < 0 ? -errno : 0;
}

int tiny_arm(struct tiny_vm *t, uint32_t control)
{
	struct kvm_guest_debug d = {.control = control};

	return arm(t, &d);
}

int tiny_arm_breaks(struct tiny_vm *t, unsigned slots, const uint64_t addr[TINY_SLOTS])
{
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_USE_HW};

	for (unsigned i = 0; i < TINY_SLOTS; i++) {
		if (!(slots & 1u << i))
			continue;
		d.arch.dbg_bvr[i] = addr[i];
		d.arch.dbg_bcr[i] = CTRL_ENABLE | CTRL_EL1_EL0 | CTRL_BYTES_0_3;
	}
	return arm(t, &d);
}

int tiny_arm_watches(struct tiny_vm *t, unsigned slots, bool loads)
{
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_USE_HW};

	for (unsigned i = 0; i < TINY_SLOTS; i++) {
		if (!(slots & 1u << i))
			continue;
		d.arch.dbg_wvr[i] = tiny_data(i);
		d.arch.dbg_wcr[i] = CTRL_ENABLE | CTRL_EL1_EL0 | CTRL_BYTES_0_3 | CTRL_STORE | (loads ? CTRL_LOAD : 0);
	}
	return arm(t, &d);
}

int tiny_set_irq(struct tiny_vm *t, int level)
{
	struct kvm_irq_level line = {
		.irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT | KVM_ARM_IRQ_CPU_IRQ << KVM_ARM_IRQ_NUM_SHIFT,
		.level = (uint32_t)level,
	};

	return kvm_ioctl(t->m.vm_fd, KVM_IRQ_LINE, &line) < 0 ? -errno : 0;
}

/* ---- life ---- */

static int tiny_build(struct tiny_vm *t, int kvm_fd)
{
	int bits = kvm_check(kvm_fd, KVM_CAP_ARM_VM_IPA_SIZE);
	struct kvm_vcpu_init init;
	/* 0 is 40 bits, which not every host has. */
	int err = tiny_machine_vm(&t->m, kvm_fd, bits > 0 && bits < 40 ? (unsigned long)bits : 0UL, RAM_SIZE);

	if (err)
		return err;
	fill_ram(t);
	if (kvm_ioctl(t->m.vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0)
		return -errno;
	err = tiny_machine_vcpu(&t->m, kvm_fd);
	if (err)
		return err;
	return kvm_ioctl(t->m.vcpu_fd, KVM_ARM_VCPU_INIT, &init) < 0 ? -errno : 0;
}

void tiny_destroy(struct tiny_vm *t)
{
	tiny_machine_destroy(&t->m);
}

int tiny_create(struct tiny_vm *t, int kvm_fd)
{
	int err;

	tiny_machine_init(&t->m);
	err = tiny_build(t, kvm_fd);
	if (err)
		tiny_destroy(t);
	return err;
}
