/* sve_fill(z, p, ffr), sve_store(z, p, ffr), sve_bytes(): the whole state from and to memory, at any vector length. */
	.text
	.arch armv8-a+sve

	.macro	all_z what
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	\what	z\n, [x0]
	add	x0, x0, x3
	.endr
	.endm

	.macro	all_p what
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	\what	p\n, [x1]
	add	x1, x1, x4
	.endr
	.endm

	.globl sve_fill, sve_store, sve_bytes
sve_fill:
	rdvl	x3, #1
	lsr	x4, x3, #3
	ldr	p0, [x2]
	wrffr	p0.b
	all_z	ldr
	all_p	ldr
	ret

sve_store:
	rdvl	x3, #1
	lsr	x4, x3, #3
	all_z	str
	all_p	str
	rdffr	p0.b
	str	p0, [x2]
	ret

sve_bytes:
	rdvl	x0, #1
	ret
