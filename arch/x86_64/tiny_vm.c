#include "arch/x86_64/tiny_vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/kvm_call.h"

/* Guest-physical map; paging is identity, 0 is the real-mode vector table. */
#define GPA_GDT	     0x1000
#define GPA_IDT	     0x2000
#define GPA_PML4     0x3000
#define GPA_PDPT     0x4000
#define GPA_PD	     0x5000
#define GPA_TSS	     0x6000
#define GPA_HANDLERS 0x7000
#define GPA_CODE     0x8000
#define GPA_DATA     0xa000 /* also in the stores and loads below */
#define GPA_STACK    0xd000 /* top, and above it the word that TINY_FLAGS pops */
#define GPA_STACK0   0xf000 /* top; where an exception from user mode lands */
#define RAM_SIZE     0x10000

#define NVECTORS (TINY_IRQ + 1)

/* GDT slots, as selectors. */
#define SEL_CODE  0x08
#define SEL_DATA  0x10
#define SEL_UDATA 0x18
#define SEL_UCODE 0x20
#define SEL_TSS	  0x28

#define DR7_FIXED    0x400u /* reads as one */
#define RFLAGS_FIXED 0x2u
#define RFLAGS_IF    0x200u

/* Position independent; `out; jmp` so that entering again after the exit ends in the same exit. */
__asm__("	.pushsection .rodata\n"
	"	.globl tiny_code, tiny_code_nops, tiny_code_brk, tiny_code_flags, tiny_code_stores, tiny_code_loads, "
	"tiny_code_end\n"
	"	.hidden tiny_code, tiny_code_nops, tiny_code_brk, tiny_code_flags, tiny_code_stores, tiny_code_loads, "
	"tiny_code_end\n"
	"tiny_code:\n"
	"tiny_code_nops:\n"
	"	nop\n"
	"	nop\n"
	"	nop\n"
	"	nop\n"
	"1:	outb %al, $0xf0\n" /* TINY_PORT_DONE; in user mode #GP, which exits as well */
	"	jmp 1b\n"
	"tiny_code_brk:\n"
	"	int3\n"
	"1:	outb %al, $0xf0\n"
	"	jmp 1b\n"
	"tiny_code_flags:\n"
	"	popf\n" /* its word is in place: GPA_STACK */
	"	nop\n"
	"	nop\n"
	"1:	outb %al, $0xf0\n"
	"	jmp 1b\n"
	"tiny_code_stores:\n"
	"	movl %eax, 0xa000\n" /* GPA_DATA, one word for each slot */
	"	movl %eax, 0xa008\n"
	"	movl %eax, 0xa010\n"
	"	movl %eax, 0xa018\n"
	"	nop\n"
	"1:	outb %al, $0xf0\n"
	"	jmp 1b\n"
	"tiny_code_loads:\n"
	"	movl 0xa000, %ecx\n"
	"	movl 0xa008, %ecx\n"
	"	movl 0xa010, %ecx\n"
	"	movl 0xa018, %ecx\n"
	"	nop\n"
	"1:	outb %al, $0xf0\n"
	"	jmp 1b\n"
	"tiny_code_end:\n"
	"	.popsection\n");

#define HIDDEN __attribute__((visibility("hidden")))
extern const uint8_t tiny_code[] HIDDEN, tiny_code_nops[] HIDDEN, tiny_code_brk[] HIDDEN;
extern const uint8_t tiny_code_flags[] HIDDEN, tiny_code_stores[] HIDDEN, tiny_code_loads[] HIDDEN,
	tiny_code_end[] HIDDEN;

static size_t code_offset(const uint8_t *label)
{
	return (uintptr_t)label - (uintptr_t)tiny_code;
}

/* The assembler text above cannot use these. */
_Static_assert(GPA_DATA == 0xa000 && TINY_PORT_DONE == 0xf0, "guest code has these numbers in it");

static void put64(struct tiny_vm *t, unsigned gpa, uint64_t value)
{
	memcpy(t->m.ram + gpa, &value, sizeof(value));
}

uint64_t tiny_word(const struct tiny_vm *t, uint64_t addr)
{
	uint64_t value = 0;

	if (addr <= RAM_SIZE - sizeof(value))
		memcpy(&value, t->m.ram + addr, sizeof(value));
	return value;
}

uint8_t tiny_poke(struct tiny_vm *t, uint64_t addr, uint8_t byte)
{
	uint8_t old = t->m.ram[addr];

	t->m.ram[addr] = byte;
	return old;
}

uint64_t tiny_address(enum tiny_program program)
{
	static const uint8_t *const start[] = {
		tiny_code_nops, tiny_code_brk, tiny_code_flags, tiny_code_stores, tiny_code_loads};

	return GPA_CODE + code_offset(start[program]);
}

uint64_t tiny_data(unsigned word)
{
	return GPA_DATA + word * 8;
}

/* Descriptors: Intel SDM vol. 3, 3.4.5 and 6.14.1; page tables: 4.5. */
static void fill_ram(struct tiny_vm *t)
{
	put64(t, GPA_GDT + SEL_CODE, 0x00af9b000000ffff);
	put64(t, GPA_GDT + SEL_DATA, 0x00cf93000000ffff);
	put64(t, GPA_GDT + SEL_UDATA, 0x00cff3000000ffff);
	put64(t, GPA_GDT + SEL_UCODE, 0x00affb000000ffff);
	put64(t, GPA_GDT + SEL_TSS, 0x00008b0000000067 | (uint64_t)GPA_TSS << 16);
	put64(t, GPA_TSS + 4, GPA_STACK0);	   /* RSP0 */
	put64(t, GPA_TSS + 0x60, 0xffffULL << 48); /* I/O map base past the limit: OUT in user mode is #GP */
	put64(t, GPA_PML4, GPA_PDPT | 7);	   /* present, writable, user */
	put64(t, GPA_PDPT, GPA_PD | 7);
	put64(t, GPA_PD, 0x87); /* the same, one page of 2 MiB */

	put64(t, GPA_STACK, RFLAGS_FIXED);

	for (unsigned v = 0; v < NVECTORS; v++) {
		unsigned handler = GPA_HANDLERS + v * 4;
		/* 1: out %al, $port; jmp 1b */
		const uint8_t code[4] = {0xe6, (uint8_t)(TINY_PORT_VECTOR + v), 0xeb, 0xfc};
		const uint16_t real[2] = {(uint16_t)handler, 0};

		memcpy(t->m.ram + handler, code, sizeof(code));
		/* DPL 3, so that INT3 may. */
		put64(t, GPA_IDT + v * 16, handler | SEL_CODE << 16 | 0xee00ULL << 32);
		memcpy(t->m.ram + v * 4, real, sizeof(real));
	}
	memcpy(t->m.ram + GPA_CODE, tiny_code, code_offset(tiny_code_end));
}

static struct kvm_segment segment(unsigned selector, unsigned type, bool code)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = (uint16_t)selector,
		.type = (uint8_t)type,
		.present = 1,
		.dpl = selector & 3,
		.s = 1,
		.l = code,
		.db = !code,
		.g = 1,
	};
}

int tiny_restart(struct tiny_vm *t, enum tiny_mode mode, uint64_t pc, bool irqs_open)
{
	struct kvm_guest_debug off = {0};
	struct kvm_sregs s = t->reset_sregs;
	struct kvm_regs r = {.rip = pc, .rflags = RFLAGS_FIXED | (irqs_open ? RFLAGS_IF : 0), .rsp = GPA_STACK};

	if (mode == TINY_RESET) {
		s.cs.base = 0;
		s.cs.selector = 0;
	} else {
		unsigned rpl = mode == TINY_USER ? 3 : 0;

		s.cs = segment(rpl ? SEL_UCODE | rpl : SEL_CODE, 0xb, true);
		s.ss = segment(rpl ? SEL_UDATA | rpl : SEL_DATA, 0x3, false);
		s.ds = s.es = s.fs = s.gs = s.ss;
		s.tr = (struct kvm_segment){
			.base = GPA_TSS,
			.limit = 0x67,
			.selector = SEL_TSS,
			.type = 11,
			.present = 1,
		};
		s.gdt = (struct kvm_dtable){.base = GPA_GDT, .limit = SEL_TSS + 15};
		s.idt = (struct kvm_dtable){.base = GPA_IDT, .limit = NVECTORS * 16 - 1};
		s.cr0 = 0x80010033; /* PG WP NE ET MP PE */
		s.cr3 = GPA_PML4;
		s.cr4 = 0x20;	/* PAE */
		s.efer = 0x500; /* LMA LME */
	}
	if (kvm_ioctl(t->m.vcpu_fd, KVM_SET_GUEST_DEBUG, &off) < 0 || kvm_ioctl(t->m.vcpu_fd, KVM_SET_SREGS, &s) < 0 ||
		kvm_ioctl(t->m.vcpu_fd, KVM_SET_VCPU_EVENTS, &t->events) < 0 ||
		kvm_ioctl(t->m.vcpu_fd, KVM_SET_REGS, &r) < 0)
		return -errno;
	return 0;
}

struct tiny_end tiny_run(struct tiny_vm *t)
{
	struct tiny_end e = {.kind = TINY_END_OTHER};
	const struct kvm_run *k = t->m.run;
	struct kvm_regs r;

	if (tiny_machine_run(&t->m))
		return e;
	if (k->exit_reason == KVM_EXIT_DEBUG) {
		e.kind = TINY_END_DEBUG;
		e.pc = k->debug.arch.pc;
		e.exception = k->debug.arch.exception;
		e.dr6 = k->debug.arch.dr6;
	} else if (k->exit_reason == KVM_EXIT_IO) {
		e.kind = TINY_END_PORT;
		e.port = k->io.port;
	} else if (k->exit_reason == KVM_EXIT_INTERNAL_ERROR && k->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
		   kvm_ioctl(t->m.vcpu_fd, KVM_GET_REGS, &r) == 0) {
		e.kind = TINY_END_EMUL_FAILED;
		e.pc = r.rip;
	}
	return e;
}

int tiny_arm(
	struct tiny_vm *t, uint32_t control, unsigned slots, const uint64_t addr[TINY_SLOTS], unsigned rw, unsigned len)
{
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE | control};

	d.arch.debugreg[7] = DR7_FIXED;
	for (unsigned i = 0; i < TINY_SLOTS; i++) {
		if (!(slots & 1u << i))
			continue;
		d.arch.debugreg[i] = addr[i];
		d.arch.debugreg[7] |= 1u << (i * 2) | rw << (16 + i * 4) | len << (18 + i * 4);
	}
	return kvm_ioctl(t->m.vcpu_fd, KVM_SET_GUEST_DEBUG, &d) < 0 ? -errno : 0;
}

int tiny_raise_irq(struct tiny_vm *t)
{
	const struct kvm_msi msi = {.address_lo = 0xfee00000, .data = TINY_IRQ}; /* fixed, to APIC id 0 */

	if (!t->has_irqs)
		return -ENODEV;
	return kvm_ioctl(t->m.vm_fd, KVM_SIGNAL_MSI, &msi) < 0 ? -errno : 0;
}

static int tiny_vcpu(struct tiny_vm *t, int kvm_fd)
{
	enum { ENTRIES = 256 };
	struct kvm_cpuid2 *cpuid;
	struct kvm_lapic_state lapic;
	uint32_t svr;
	int err = tiny_machine_vcpu(&t->m, kvm_fd);

	if (err)
		return err;
	cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = ENTRIES;
	/* Some KVMs enter long mode without; the test will show. */
	if (kvm_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) == 0)
		kvm_ioctl(t->m.vcpu_fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);

	if (t->has_irqs && kvm_ioctl(t->m.vcpu_fd, KVM_GET_LAPIC, &lapic) == 0) {
		svr = 0x1ff; /* spurious vector 255, software enable; offset 0xf0 */
		memcpy(lapic.regs + 0xf0, &svr, sizeof(svr));
		kvm_ioctl(t->m.vcpu_fd, KVM_SET_LAPIC, &lapic);
	}
	if (kvm_ioctl(t->m.vcpu_fd, KVM_GET_SREGS, &t->reset_sregs) < 0 ||
		kvm_ioctl(t->m.vcpu_fd, KVM_GET_VCPU_EVENTS, &t->events) < 0)
		return -errno;
	return 0;
}

static int tiny_build(struct tiny_vm *t, int kvm_fd)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
	uint64_t identity_map = 0xfffbc000;
	int err = tiny_machine_vm(&t->m, kvm_fd, 0, RAM_SIZE);

	if (err)
		return err;
	fill_ram(t);
	/* VMX wants these two before the vCPU; others need not know them. */
	kvm_ioctl(t->m.vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	kvm_ioctl(t->m.vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL);
	/* A local APIC is all that a message-signalled interrupt needs, and a split irqchip is quick to take down. */
	t->has_irqs = kvm_ioctl(t->m.vm_fd, KVM_ENABLE_CAP, &split) == 0;
	return tiny_vcpu(t, kvm_fd);
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
