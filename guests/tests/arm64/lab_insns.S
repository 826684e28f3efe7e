/* What the lab needs in assembler: instructions with known addresses. */
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

/* own_exceptions(): each of the guest's own, once */
	.globl own_exceptions, brk_at, svc_at, svc_after, udf_at
own_exceptions:
brk_at:	brk	#0x123
svc_at:	svc	#0x45
svc_after:
udf_at:	.inst	0
	ret

/* halts(): for a debugger to step through; nothing need wake the first WFI, a timer may the second */
	.globl halts, halt_dark, halt_dark_after, halt_light, halt_light_after
halts:
	msr	daifset, #2
halt_dark:
	wfi
halt_dark_after:
	nop
	msr	daifclr, #2
halt_light:
	wfi
halt_light_after:
	nop
	msr	daifset, #2
	ret

	.globl halt_loop, halt_insn, halt_after, halt_counted
halt_loop:
	adrp	x0, turns
	msr	daifclr, #2
halt_insn:
	wfi
halt_after:
	nop
	nop
	ldr	x1, [x0, :lo12:turns]
	add	x1, x1, #1
	str	x1, [x0, :lo12:turns]
halt_counted:
	b	halt_loop

	.globl pair_insn, pair_at
pair_insn:
	mov	x2, #UART
pair_at:
	ldp	w0, w1, [x2, #0x18]
	ret

	.globl no_vectors, lost_insn
no_vectors:
	mov	x0, #0x0c000000			/* nothing there */
	msr	vbar_el1, x0
	isb
lost_insn:
	.inst	0

/* selfdebug: what its own breakpoint and watchpoint are set on */
	.globl self_target, self_target_next, self_store, self_store_at, self_store_next
self_target:
	nop
self_target_next:
	ret
self_store:
	ldr	x1, [x0]
	add	x1, x1, #1
self_store_at:
	str	x1, [x0]
self_store_next:
	ret

/* user_enter(fn, arg, stack): at EL0, D masked; the exit call leads to user_left */
	.globl user_enter, user_left
user_enter:
	stp	x29, x30, [sp, #-96]!
	mov	x29, sp
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	msr	sp_el0, x2
	mov	x3, #0x200
	msr	spsr_el1, x3
	msr	elr_el1, x0
	mov	x0, x1
	mov	x29, xzr
	mov	x30, xzr
	eret
user_left:
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret

	.globl lock_take, lock_load, lock_stored, lock_taken, lock_wait, lock_release
lock_take:
	mov	w2, #1
lock_load:
	ldaxr	w1, [x0]
	cbnz	w1, lock_wait
	stxr	w1, w2, [x0]
lock_stored:
	cbnz	w1, lock_load
lock_taken:
	ret
lock_wait:
	wfe
	b	lock_load
lock_release:
	stlr	wzr, [x0]
	ret

	.altmacro
	.macro fill a, b
	ldp	q\a, q\b, [x0], #32
	.endm
	.macro spill a, b
	stp	q\a, q\b, [x0], #32
	.endm
	.globl simd_fill, simd_store
simd_fill:
	adrp	x0, ramp
	add	x0, x0, :lo12:ramp
	.irp	n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
	fill	\n, %(\n + 1)
	.endr
	ret
simd_store:
	.irp	n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
	spill	\n, %(\n + 1)
	.endr
	ret

/* stores(where): store_table has address, offset, bytes, 1 if it writes; of each access, in order */
	.macro W offset, size, writes, insn:vararg
9:	\insn
	.pushsection .rodata.store_table, "a"
	.quad	9b, \offset, \size, \writes
	.popsection
	.endm

	.pushsection .rodata.store_table, "a"
	.balign	8
	.globl	store_table, store_table_end
store_table:
	.popsection
	.globl stores, stores_end		/* behind all of them */
stores:
	mov	x1, #0x0101010101010101
	add	x2, x0, #128
W 3, 1, 1,	strb	w1, [x0, #3]
W 4, 2, 1,	strh	w1, [x0, #4]
W 7, 1, 1,	strb	w1, [x0, #7]
W 8, 4, 1,	str	w1, [x0, #8]
W 16, 8, 1,	str	x1, [x0, #16]
W 32, 16, 1,	stp	x1, x1, [x0, #32]
W 56, 16, 1,	stp	x1, x1, [x0, #56]
W 77, 4, 1,	stur	w1, [x0, #77]		/* across two doublewords */
W 93, 8, 1,	stur	x1, [x0, #93]
W 128, 64, 1,	dc	zva, x2			/* blocks are 64 bytes in all processors we meet */
W 200, 1, 1,	strb	w1, [x0, #200]
W 5, 1, 0,	ldrb	w3, [x0, #5]
W 6, 2, 0,	ldrh	w3, [x0, #6]
W 12, 4, 0,	ldr	w3, [x0, #12]
W 16, 8, 0,	ldr	x3, [x0, #16]
W 40, 16, 0,	ldp	x3, x4, [x0, #40]
W 77, 4, 0,	ldur	w3, [x0, #77]
W 200, 1, 0,	ldrb	w3, [x0, #200]
	nop
stores_end:
	ret
	.pushsection .rodata.store_table, "a"
store_table_end:
	.popsection

	.section .rodata
	.balign	16
ramp:
	.set	n, 0
	.rept	512
	.byte	n & 255
	.set	n, n + 1
	.endr

	.data
	.globl seen
	.balign	16
scratch:
	.skip	16
seen:
	.skip	8 * 64
	.section .note.GNU-stack, "", %progbits
