/*
 * What the benchmark steps through: straight code in a loop, entered by PVH, so that other machines boot the same
 * file. 32-bit protected mode, paging off, as PVH hands it over.
 */
	.section .note.pvh, "a"
	.balign 4
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start32

	.text
	.code32
	.globl start32, straight, straight_end
start32:
	cli
straight:
	.rept 20000
	nop
	.endr
straight_end:
	incl rounds
	jmp straight

	.bss
	.balign 4096
rounds:	.long 0
/* Memory to be read in bulk. */
	.balign 4096
	.globl bulk
bulk:	.skip 16 << 20
