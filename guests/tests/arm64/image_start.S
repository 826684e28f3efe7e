/*
 * Entry of the position-independent boot tests: with -DIMAGE behind the header of Linux's Image (Linux
 * Documentation/arm64/booting.rst, 4), without it as a raw binary. The MMU stays off.
 */
	.section .text.start, "ax"
	.globl image_start
image_start:
#ifdef IMAGE
	b	1f
	.long	0
	.quad	TEXT_OFFSET
	.quad	IMAGE_SIZE
	.quad	FLAGS
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
1:
#endif
	mrs	x10, currentel
	mrs	x11, spsel
	mrs	x12, daif
	mrs	x13, sctlr_el1
	mov	x14, sp
	msr	spsel, #1
	adrp	x9, bss_start
	add	x9, x9, :lo12:bss_start
	adrp	x15, image_end
	add	x15, x15, :lo12:image_end
2:	str	xzr, [x9], #8
	cmp	x9, x15
	b.lo	2b
	mov	sp, x15
	adrp	x9, boot_state
	add	x9, x9, :lo12:boot_state
	stp	x0, x1, [x9]
	stp	x2, x3, [x9, #16]
	stp	x10, x11, [x9, #32]
	stp	x12, x13, [x9, #48]
	str	x14, [x9, #64]
	mov	x29, xzr
	mov	x30, xzr
	adr	x0, image_start
	bl	image_main
1:	wfi
	b	1b
	.section .note.GNU-stack, "", %progbits
