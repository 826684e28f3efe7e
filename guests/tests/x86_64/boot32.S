/*
 * Entry of the 32-bit boot tests: PVH and Multiboot alike, the magic numbers tell. With -DKLUDGE the Multiboot header
 * has its own addresses; with -DPVH there is a PVH note.
 */
#define MAGIC 0x1badb002
#ifdef KLUDGE
#define FLAGS 0x10003
#else
#define FLAGS 0x3
#endif

	.section .text.start, "ax"
	.code32
	.globl start32
start32:
	jmp	1f
	.balign 4
header:
	.long	MAGIC, FLAGS, -(MAGIC + FLAGS)
#ifdef KLUDGE
	.long	header, image_start, image_end, bss_end, kludge_start
	.globl kludge_start
kludge_start:
#endif
1:	mov	$stack_end, %esp
	push	%edi
	push	%esi
	push	%ebx
	push	%eax
	call	main32
1:	cli
	hlt
	jmp	1b

#ifdef PVH
	.section .note.pvh, "a", @note
	.balign 4
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start32
#endif

	.bss
	.balign 16
	.skip	8192
stack_end:
	.section .note.GNU-stack, "", @progbits
