/*
 * A kernel linked in the top 2 GiB and loaded at 2 MiB, as Linux is. Two entries: plain ELF64 (high_start: the loader
 * has mapped the segments), and PVH (low_start: 32-bit, paging off; nothing is mapped until this code has done it).
 */
#define HIGH 0xffffffff80000000

	.section .low.text, "ax"
	.code32
	.globl low_start
low_start:
	cld
	mov	%ebx, low_info
	/* PML4[0] and [511] -> one PDPT whose [0] and [510] -> identity of the first GiB, and [3] of the fourth */
	movl	$low_pdpt + 3, low_pml4
	movl	$low_pdpt + 3, low_pml4 + 511 * 8
	movl	$low_pd + 3, low_pdpt
	movl	$low_pd + 3, low_pdpt + 510 * 8
	mov	$low_pd, %edi
	mov	$0x83, %eax			/* present, writable, 2 MiB */
	mov	$512, %ecx
1:	mov	%eax, (%edi)
	movl	$0, 4(%edi)
	add	$8, %edi
	add	$0x200000, %eax
	loop	1b
	mov	$low_pml4, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$0x20, %eax			/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax			/* EFER.LME */
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	lgdt	low_gdt_pointer
	ljmp	$8, $1f
	.code64
1:	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	low_info(%rip), %edi
	movabs	$high_start, %rax
	jmp	*%rax

	.section .low.data, "aw"
	.balign 4096
low_pml4:
	.skip	4096
low_pdpt:
	.skip	4096
low_pd:	.skip	4096
low_gdt:
	.quad	0, 0x00af9a000000ffff, 0x00cf92000000ffff
low_gdt_pointer:
	.word	. - low_gdt - 1
	.long	low_gdt
low_info:
	.long	0

	.section .text.start, "ax"
	.globl high_start
high_start:
	mov	$stack_end, %rsp
	xor	%ebp, %ebp
	call	high_main
1:	cli
	hlt
	jmp	1b

	.section .note.pvh, "a", @note
	.balign 4
	.long	4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	low_start

	.bss
	.balign 16
	.skip	8192
stack_end:
	.section .note.GNU-stack, "", @progbits
