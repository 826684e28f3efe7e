/*
 * Entry of a bare-metal arm64 guest: EL1, MMU off, X0 = device tree (README.md, "What a guest finds"); what was found is
 * kept in boot_state. The MMU goes on before anything else, so that atomics and unaligned accesses work. Then the way
 * up of the other CPUs, from PSCI CPU_ON, and the exception vectors.
 */
#define STACK_SIZE 4096

/* Arm ARM D19.2: attribute 0 is Device-nGnRE, 1 is Normal, write-back */
#define MAIR 0xff04
/* 39-bit addresses below, walks cacheable and inner shareable, nothing above */
#define TCR_T0SZ 25
#define TCR_CACHEABLE 0x3500
#define TCR_EPD1 (1 << 23)
#define TCR_IPS_SHIFT 32
#define IPS_48 5
#define SCTLR_M_C_I 0x1005

/* struct trap, struct boot_state: trap.h */
#define TRAP_SIZE 272
#define TRAP_SP_EL0 248
#define TRAP_ELR 256
#define BOOT_EL 32
#define BOOT_DAIF 48
#define BOOT_SP 64

/* DWARF's number of the pc: where an interrupted program goes on, apart from its x30 */
#define DW_PC 32

	.cfi_sections .debug_frame
	.section .text.start, "ax"
	.globl _start
	.type _start, %function
_start:
	.cfi_startproc
	.cfi_undefined x30		/* a backtrace ends here */
	adrp	x9, boot_state
	add	x9, x9, :lo12:boot_state
	stp	x0, x1, [x9]
	stp	x2, x3, [x9, #16]
	mrs	x10, currentel
	mrs	x11, spsel
	stp	x10, x11, [x9, #BOOT_EL]
	mrs	x10, daif
	mrs	x11, sctlr_el1
	stp	x10, x11, [x9, #BOOT_DAIF]
	mov	x10, sp
	str	x10, [x9, #BOOT_SP]
	msr	spsel, #1
	adrp	x9, stacks + STACK_SIZE
	add	x9, x9, :lo12:stacks + STACK_SIZE
	mov	sp, x9
	mov	x29, xzr
	mov	x30, xzr
	bl	platform_tables
	mov	x0, xzr
	bl	cpu_init
	bl	platform_init
	bl	main
	bl	platform_power_off
	.cfi_endproc

/* PSCI CPU_ON leads here, MMU off. X0: this CPU's number, its stack lies behind the boot CPU's. */
	.globl secondary_start
	.type secondary_start, %function
secondary_start:
	.cfi_startproc
	.cfi_undefined x30
	msr	spsel, #1
	adrp	x9, stacks + STACK_SIZE
	add	x9, x9, :lo12:stacks + STACK_SIZE
	mov	x10, #STACK_SIZE
	madd	x9, x0, x10, x9
	mov	sp, x9
	mov	x29, xzr
	bl	cpu_init
	bl	platform_secondary
1:	wfi
	b	1b
	.cfi_endproc

/* X0: the CPU's number, kept. MMU and caches on. Uses no memory. */
	.type cpu_init, %function
cpu_init:
	.cfi_startproc
	msr	tpidr_el1, x0
	adrp	x9, vectors
	add	x9, x9, :lo12:vectors
	msr	vbar_el1, x9
	mov	x9, #MAIR
	msr	mair_el1, x9
	mrs	x9, id_aa64mmfr0_el1
	and	x9, x9, #0xf			/* PARange */
	mov	x10, #IPS_48
	cmp	x9, x10
	csel	x9, x9, x10, ls
	lsl	x9, x9, #TCR_IPS_SHIFT
	mov	x10, #TCR_T0SZ + TCR_CACHEABLE
	orr	x9, x9, x10
	orr	x9, x9, #TCR_EPD1
	msr	tcr_el1, x9
	adrp	x9, table1
	msr	ttbr0_el1, x9
	dsb	sy
	isb
	tlbi	vmalle1
	dsb	sy
	mrs	x9, sctlr_el1
	mov	x10, #SCTLR_M_C_I
	orr	x9, x9, x10
	msr	sctlr_el1, x9
	isb
	ret
	.cfi_endproc

/*
 * Exceptions. Each vector makes room for a struct trap and goes on elsewhere, its number in X1. The call frame
 * information leads a debugger from the handler to what was interrupted; at the first instructions the pc is still in
 * ELR_EL1, which has no number there.
 */
	.macro vector number, to
	.balign 128
	.cfi_startproc
	.cfi_signal_frame
	.cfi_return_column DW_PC
	.cfi_undefined DW_PC
	sub	sp, sp, #TRAP_SIZE
	.cfi_def_cfa_offset TRAP_SIZE
	stp	x0, x1, [sp]
	mov	x1, #\number
	b	\to
	.cfi_endproc
	.endm

	.text
	.balign 2048
	.globl vectors
vectors:
	vector	0, exception_entry
	vector	1, exception_entry
	vector	2, exception_entry
	vector	3, exception_entry
	vector	4, exception_entry
	vector	5, timer_entry
	vector	6, exception_entry
	vector	7, exception_entry
	vector	8, user_exception_entry
	vector	9, user_timer_entry
	vector	10, user_exception_entry
	vector	11, user_exception_entry
	vector	12, exception_entry
	vector	13, exception_entry
	vector	14, exception_entry
	vector	15, exception_entry

/* The stack pointer of EL0 is apart. */
	.macro entry name, handler, user=0
	.globl \name
	.type \name, %function
\name:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_return_column DW_PC
	.cfi_def_cfa sp, TRAP_SIZE
	.cfi_undefined DW_PC
	.cfi_rel_offset x0, 0
	.cfi_rel_offset x1, 8
	.irp	n, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28
	save	\n, %(\n + 1)
	.endr
	mrs	x2, sp_el0
	stp	x30, x2, [sp, #30 * 8]
	.cfi_rel_offset x30, 30 * 8
	.if	\user
	.cfi_rel_offset sp, TRAP_SP_EL0
	.endif
	mrs	x2, elr_el1
	mrs	x3, spsr_el1
	stp	x2, x3, [sp, #TRAP_ELR]
	.cfi_rel_offset DW_PC, TRAP_ELR
	mov	x0, sp
	bl	\handler
	ldp	x2, x3, [sp, #TRAP_ELR]
	msr	elr_el1, x2
	msr	spsr_el1, x3
	ldp	x30, x2, [sp, #30 * 8]
	msr	sp_el0, x2
	.irp	n, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28
	restore	\n, %(\n + 1)
	.endr
	ldp	x0, x1, [sp]
	add	sp, sp, #TRAP_SIZE
	eret
	.cfi_endproc
	.endm
	.altmacro
	.macro save a, b
	stp	x\a, x\b, [sp, #\a * 8]
	.cfi_rel_offset x\a, \a * 8
	.cfi_rel_offset x\b, \b * 8
	.endm
	.macro restore a, b
	ldp	x\a, x\b, [sp, #\a * 8]
	.endm
	entry	exception_entry, exception
	entry	timer_entry, timer_interrupt
	entry	user_exception_entry, exception, 1
	entry	user_timer_entry, timer_interrupt, 1

	.data
	.globl boot_state
	.balign 8
boot_state:
	.skip	9 * 8

	.bss
	.balign 16
stacks:
	.skip	STACK_SIZE * 64
	.section .note.GNU-stack, "", %progbits
