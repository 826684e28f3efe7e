/* What the lab needs in assembler: instructions with known addresses. */
	.text

#define UART 0x09000000
#define UART_FR 0x18

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
	ldp	w0, w1, [x2, #UART_FR]
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
	add	x5, x0, #208
W 208, 8, 1,	str	x1, [x5], #8
W 224, 16, 1,	stp	x1, x1, [x5, #8]!
W 248, 4, 1,	str	w1, [x5, #24]!
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
	.section .note.GNU-stack, "", %progbits
