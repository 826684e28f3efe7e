/*
 * A kernel linked in the upper half of addresses, as Linux is, and loaded at a place that it finds out by itself: the
 * 2 MiB it lies in are mapped where it is linked, devices from HIGH. Nothing is mapped until this code has done it, and
 * nothing below afterwards.
 */
#define MAIR 0xff04			/* attribute 0: Device-nGnRE, 1: Normal, write-back */
/* 39-bit addresses in both halves, 4 KiB granule, cacheable walks */
#define TCR_LOW (25 | 0x3500)
#define TCR_HIGH ((25 << 16) | 0x35000000)
#define TCR_TG1 (2 << 30)
#define TCR_EPD0 (1 << 7)
#define TCR_IPS_40 (2 << 32)
#define DEVICE 0x60000000000401		/* block, AF, not executable */
#define NORMAL 0x705			/* block, attribute 1, inner shareable, AF */

	.section .text.start, "ax"
	.globl high_start
high_start:
	adr	x19, high_start
	adrp	x0, low_table
	adrp	x1, high_table
	adrp	x2, block_table
	mov	x3, #0x40000000			/* to itself, for the way there */
	mov	x4, #NORMAL
	orr	x3, x3, x4
	str	x3, [x0, #8]
	ldr	x3, =DEVICE
	str	x3, [x1]			/* HIGH: devices */
	orr	x3, x2, #3
	str	x3, [x1, #16]			/* HIGH + 2 GiB: a table of blocks, the image in the first */
	orr	x3, x19, x4
	str	x3, [x2]
	dsb	sy
	dc	ivac, x0
	dc	ivac, x1
	dc	ivac, x2
	dsb	sy
	mov	x3, #MAIR
	msr	mair_el1, x3
	msr	ttbr0_el1, x0
	msr	ttbr1_el1, x1
	ldr	x3, =TCR_LOW + TCR_HIGH + TCR_TG1 + TCR_IPS_40
	msr	tcr_el1, x3
	isb
	tlbi	vmalle1
	dsb	sy
	mrs	x4, sctlr_el1
	mov	x5, #0x1005			/* MMU and caches */
	orr	x4, x4, x5
	msr	sctlr_el1, x4
	isb
	ldr	x5, =high_mapped
	br	x5
	.globl high_mapped
high_mapped:
	orr	x3, x3, #TCR_EPD0
	msr	tcr_el1, x3
	isb
	tlbi	vmalle1
	dsb	sy
	isb
	ldr	x0, =stack_end
	mov	sp, x0
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, x19
	bl	high_main
1:	wfi
	b	1b
	.ltorg

#ifdef BANNER
	.section .rodata
	.asciz	"Linux version 0.0 (what makes a vmlinux of this)"
#endif

	.bss
	.balign	4096
low_table:
	.skip	4096
high_table:
	.skip	4096
block_table:
	.skip	4096
	.skip	8192
stack_end:
	.section .note.GNU-stack, "", %progbits
