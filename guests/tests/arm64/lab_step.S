/* Instructions that are hard to step over. */
	.text

/*
 * step_insns(): step_table has the address of each instruction between its two ends, in the order in which they are
 * executed; those of an exclusive sequence, which a debugger runs through in one go, only with the first. step_retry
 * has pairs of addresses: a branch that may go back, since a store-exclusive may fail, and where to.
 */
	.macro T where
	.pushsection .rodata.step_table, "a"
	.quad	\where
	.popsection
	.endm
	.macro I insn:vararg
9:	\insn
	T	9b
	.endm
/* X0 into seen[], as `name` */
	.macro S name
	.pushsection .rodata.names, "a"
8:	.asciz	"\name"
	.popsection
	.pushsection .rodata.seen_names, "a"
	.quad	8b
	.popsection
I	str	x0, [x20], #8
	.endm
	.macro retry branch, to
	.pushsection .rodata.step_retry, "a"
	.quad	\branch, \to
	.popsection
	.endm
/* What the handler of an exception executes and sees; X21: the ELR that it has to see, X22: where it goes on. */
#define HANDLER_INSNS 11
	.macro handled vector, name
	.set	n, 0
	.rept	HANDLER_INSNS
	T	step_vectors + \vector + n
	.set	n, n + 4
	.endr
	.pushsection .rodata.names, "a"
8:	.asciz	"\name\().esr"
7:	.asciz	"\name\().spsr"
6:	.asciz	"\name\().elr"
	.popsection
	.pushsection .rodata.seen_names, "a"
	.quad	8b, 7b, 6b
	.popsection
	.endm

	.pushsection .rodata.step_table, "a"
	.balign	8
	.globl	step_table, step_table_end
step_table:
	.popsection
	.pushsection .rodata.step_retry, "a"
	.balign	8
	.globl	step_retry, step_retry_end
step_retry:
	.popsection
	.pushsection .rodata.seen_names, "a"
	.balign	8
	.globl	seen_names, seen_names_end
seen_names:
	.popsection

#define UART 0x09000000
#define RTC 0x09010000
#define GICD 0x08000000
#define PSCI_VERSION 0x84000000

	.globl step_insns
step_insns:
	stp	x29, x30, [sp, #-64]!
	mov	x29, sp
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	msr	daifset, #2
	adrp	x19, scratch
	add	x19, x19, :lo12:scratch
	adrp	x20, seen
	add	x20, x20, :lo12:seen
	/* devices, some of them KVM's own */
I	nop
I	mov	x23, #UART
I	mov	w0, #'1'
I	strb	w0, [x23]
I	ldr	w0, [x23, #0xfe0]		/* identification */
S	uart
I	ldrsb	x0, [x23, #0xfe0]
S	uart.again
I	ldr	wzr, [x23, #0x18]
I	mov	w0, #'2'
I	str	w0, [x23]
I	mov	x1, #RTC
I	ldrh	w0, [x1, #0xfe0]
S	rtc
I	mov	x1, #GICD
I	ldr	w0, [x1, #8]
I	str	w0, [x19]
	/* the interrupt masks */
I	mrs	x0, daif
S	daif.1
I	msr	daifclr, #2
I	nop
I	nop
I	mrs	x0, daif
S	daif.2
I	msr	daifset, #2
I	mrs	x0, daif
S	daif.3
I	mov	x1, #0x340
I	msr	daif, x1
I	nop
I	mrs	x0, daif
S	daif.4
I	msr	daifset, #3
I	msr	daifclr, #1
I	mrs	x0, daif
S	daif.5
I	msr	daifclr, #15
I	mrs	x0, daif
S	daif.6
I	msr	daif, xzr
I	mrs	x1, daif
I	mrs	xzr, daif
I	mov	x0, x1
S	daif.7
I	msr	daifset, #15
I	msr	daifclr, #8
I	mrs	x0, daif
S	daif.8
I	msr	daifset, #8
	/* ERET to the next instruction, interrupts open from there */
I	mov	x0, #0x345
I	msr	spsr_el1, x0
I	adr	x0, 1f
I	msr	elr_el1, x0
	.globl step_eret
step_eret:
I	eret
	nop
1:
I	nop
I	mrs	x0, daif
S	eret.daif
I	msr	daifset, #2
	/* exceptions with vectors of its own */
I	adr	x0, step_vectors
I	msr	vbar_el1, x0
I	isb
I	adr	x21, 1f
I	adr	x22, 2f
I	cmp	x0, x0
1:
I	brk	#0x77
	handled	0x200, brk
2:
I	adr	x21, 1f
I	adr	x22, 1f
I	svc	#0x12
	handled	0x200, svc
1:
I	adr	x21, 1f
I	adr	x22, 2f
1:
I	.inst	0
	handled	0x200, udf
2:
	/* to EL0, interrupts open there, and back */
I	mov	x0, #0x340
I	msr	spsr_el1, x0
I	adr	x0, 1f
I	msr	elr_el1, x0
I	adr	x21, 2f
I	adr	x22, 2f
	.globl step_eret_el0
step_eret_el0:
I	eret
1:
I	nop
I	add	x1, x1, #1
I	svc	#0x34
	handled	0x400, el0
2:
I	adrp	x0, vectors
I	add	x0, x0, :lo12:vectors
I	msr	vbar_el1, x0
I	isb
	/* exclusives: a loop; pairs in one; given up; left by a branch */
I	str	xzr, [x19]
1:
	.globl step_exclusive
step_exclusive:
I	ldxr	x0, [x19]
	add	x0, x0, #5
	stxr	w1, x0, [x19]
2:
I	cbnz	w1, 1b
	retry	2b, 1b
1:
I	ldaxp	x2, x3, [x19]
	add	x2, x2, #1
	stlxp	w1, x2, x3, [x19]
2:
I	cbnz	w1, 1b
	retry	2b, 1b
I	ldxr	x0, [x19]
S	exclusive
I	ldxr	x0, [x19]
I	clrex
I	ldaxr	x0, [x19]
	cmp	x0, #1000
	b.lo	1f
	stlxr	w1, x2, [x19]
	cbnz	w1, 1f
1:
I	nop
	/* sleep: an event, and an interrupt that is pending but masked */
I	sev
I	wfe
I	sevl
I	wfe
I	yield
I	mrs	x4, cntv_ctl_el0
I	msr	cntv_tval_el0, xzr
I	mov	x0, #1
I	msr	cntv_ctl_el0, x0
I	isb
I	wfi
I	nop
I	msr	cntv_ctl_el0, x4
I	isb
	/* branches, some of them to themselves if they were taken */
I	mov	x24, #0
I	cbnz	x24, .
I	tbnz	x24, #3, .
I	cmp	x24, #0
I	b.ne	.
I	bl	2f
T	2f
I	adr	x0, 3f
I	br	x0
2:	ret
3:
	/* others that a hypervisor may have its hands in */
I	mov	w0, #PSCI_VERSION
I	hvc	#0
I	lsr	w0, w0, #16
S	psci
I	mov	x0, #0x1230
I	msr	sp_el0, x0
I	msr	spsel, #0
I	mov	x0, sp
I	msr	spsel, #1
S	sp_el0
I	mrs	x0, mdscr_el1
S	mdscr
I	msr	mdscr_el1, xzr
I	msr	oslar_el1, xzr
I	mrs	x0, dbgbcr0_el1
S	dbgbcr0
I	mrs	x0, id_aa64isar0_el1
I	mrs	x0, mpidr_el1
I	mrs	x0, ctr_el0
I	mrs	x0, cntvct_el0
I	mrs	x0, ttbr0_el1
I	msr	ttbr0_el1, x0
I	mrs	x0, sctlr_el1
I	msr	sctlr_el1, x0
I	isb
I	tlbi	vmalle1
I	dsb	sy
I	ic	iallu
I	dc	civac, x19
I	dmb	sy
I	isb
I	at	s1e1r, x19
I	isb
I	mrs	x0, par_el1
I	and	x0, x0, #1
S	par.failed
I	mov	w0, #'3'
I	strb	w0, [x23]
I	nop
	.globl step_end
step_end:
I	nop
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x29, x30, [sp], #64
	ret

	.pushsection .rodata.step_table, "a"
step_table_end:
	.popsection
	.pushsection .rodata.step_retry, "a"
step_retry_end:
	.popsection
	.pushsection .rodata.seen_names, "a"
seen_names_end:
	.popsection

	.macro step_handler
	mrs	x0, esr_el1
	str	x0, [x20], #8
	mrs	x0, spsr_el1
	str	x0, [x20], #8
	mrs	x0, elr_el1
	sub	x0, x0, x21
	str	x0, [x20], #8
	msr	elr_el1, x22
	mov	x0, #0x3c5
	msr	spsr_el1, x0
	eret
	.endm
	.macro platforms offset
	.org	step_vectors + \offset
	b	vectors + \offset
	.endm

	.balign	2048
	.globl step_vectors
step_vectors:
	.irp	offset, 0, 0x80, 0x100, 0x180
	platforms \offset
	.endr
	.org	step_vectors + 0x200
	step_handler
	.irp	offset, 0x280, 0x300, 0x380
	platforms \offset
	.endr
	.org	step_vectors + 0x400
	step_handler
	.irp	offset, 0x480, 0x500, 0x580, 0x600, 0x680, 0x700, 0x780
	platforms \offset
	.endr

	.data
	.globl seen
	.balign	16
scratch:
	.skip	16
seen:
	.skip	8 * 64
	.section .note.GNU-stack, "", %progbits
