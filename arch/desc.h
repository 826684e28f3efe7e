/*
 * What an ISA looks like to a debugger: pure data, no KVM.
 *
 * Every room may include this header. One `struct arch_desc` exists per
 * binary (arch_desc, defined by arch/$(ARCH)/regs.c) and names all that the
 * ISA can have; tests make their own.
 *
 * A VM may have less: each has a description of its own (arch_vm_desc()), a
 * copy in which the features that this VM lacks are marked absent and sizes
 * that depend on the host are filled in (arch/own_desc.h). It is complete
 * before the debugger starts and constant from then on. Numbers never change:
 * a register has the same index in both.
 */
#ifndef ARCH_DESC_H
#define ARCH_DESC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One register. Its number on the wire is its index in arch_desc.regs, so the
 * table's order is the order of the `g` packet and of regnum="" in target.xml.
 */
struct reg_desc {
	const char *name;    /* as gdb prints it: "rip" */
	const char *type;    /* gdb type: "int64", "code_ptr", a type of the feature's XML */
	const char *group;   /* "general", "float", "vector", "system", or NULL for gdb's default */
	uint16_t size;	     /* bytes, <= REG_SIZE_MAX */
	uint8_t feature;     /* index in arch_desc.features */
	bool deferred;	     /* costs an ioctl: not in `g`, read and written on the vCPU's own thread */
	bool write_deferred; /* read anywhere, but written on the vCPU's own thread: the hardware may refuse the value
			      */
};

/* A <feature> of target.xml; registers follow in the table's order. */
struct reg_feature {
	const char *name;  /* "org.gnu.gdb.i386.core" */
	const char *types; /* XML of the <vector>/<flags>/<union> types used, or "" */
	bool absent;	   /* this VM lacks it: its registers are not shown, and do not exist on the wire */
};

struct unwind_isa;

struct arch_desc {
	const char *name;     /* "x86_64": the ISA, as in build/<name>/ */
	const char *gdb_arch; /* <architecture>: "i386:x86-64" */
	uint16_t elf_machine; /* e_machine of its ELF files */
	const struct reg_feature *features;
	size_t nfeatures;
	const struct reg_desc *regs;
	size_t nregs;
	size_t nregs_g; /* regs[0..nregs_g) form the `g` packet; none of them is deferred or absent */
	unsigned pc;	/* indexes in regs */
	unsigned sp;
	const unsigned *expedite; /* indexes sent with each stop reply */
	size_t nexpedite;
	const uint8_t *brk; /* the software breakpoint instruction */
	uint8_t brk_len;
	bool watch_before;   /* a watchpoint reports before the access is made: it traps again unless lifted */
	bool no_read_watch;  /* the hardware has no watchpoints for reads alone */
	size_t max_reg_size; /* of any register, bytes */
	const struct unwind_isa *unwind; /* arch/unwind.h; NULL: nobody knows who called whom */
};

#define REG_SIZE_MAX 256 /* no register of any ISA here is larger (SVE's vectors are the largest) */

/* Is there such a register in this VM? Any number may be asked for. */
static inline bool arch_desc_has(const struct arch_desc *arch, uint64_t regno)
{
	return regno < arch->nregs && !arch->features[arch->regs[regno].feature].absent;
}

/* The register of that name, of len letters in either case, if this VM has it. */
bool arch_desc_find(const struct arch_desc *arch, const char *name, size_t len, unsigned *regno);

/* Hardware breakpoint and watchpoint kinds, in any ISA. */
enum hw_kind {
	HW_EXEC,
	HW_WRITE,
	HW_READ,
	HW_ACCESS,
};

struct hw_slot {
	uint64_t addr; /* guest virtual (linear) address */
	uint32_t len;  /* bytes; for HW_EXEC the instruction length or 1 */
	enum hw_kind kind;
};

#define HW_SLOTS_MAX 32

/* What one vCPU's debug hardware has to watch: rebuilt whole for every arm. */
struct hw_slots {
	struct hw_slot slot[HW_SLOTS_MAX];
	unsigned n;
	bool swbreak; /* breakpoint instructions are planted: intercept them */
};

/* Where a guest virtual address leads. */
struct mapping {
	uint64_t gpa; /* of the address itself, not of its page */
	uint64_t len; /* bytes from the address to the end of its page */
	bool writable;
	bool user;
	bool executable;
};

/* A range of an address space, and what answers there. */
enum region_kind {
	REGION_RAM,
	REGION_DEVICE, /* of this program */
	REGION_KERNEL, /* KVM serves it by itself: no access is ever seen here */
};

struct region {
	enum region_kind kind;
	bool ports; /* of the space of I/O ports, not of memory */
	uint64_t base, len;
	const char *name;
};

#endif
