/*
 * writes(where): stores of many kinds. write_table has of each: the address of the instruction, the address behind it,
 * the offset from `where`, bytes; in order. where: three pages. writes_wide(where): one that KVM does not decode.
 */
	.text
	.macro W offset, size, insn:vararg
8:	\insn
9:
	.pushsection .rodata.write_table, "a"
	.quad	8b, 9b, \offset, \size
	.popsection
	.endm

	.pushsection .rodata.write_table, "a"
	.balign	8
	.globl	write_table, write_table_end
write_table:
	.popsection
	.globl writes, writes_end
writes:
	push	%rbp
	mov	%rsp, %rbp
	push	%rbx
	mov	%rdi, %rdx
	mov	$0x0101010101010101, %rax
W 3, 1,		movb	%al, 3(%rdx)
W 4, 2,		movw	%ax, 4(%rdx)
W 8, 4,		movl	%eax, 8(%rdx)
W 16, 8,	movq	%rax, 16(%rdx)
W 29, 4,	movl	%eax, 29(%rdx)		/* across two doublewords */
W 4093, 8,	movq	%rax, 4093(%rdx)	/* across two pages */
W 40, 4,	addl	$1, 40(%rdx)
W 48, 8,	lock incq 48(%rdx)
	mov	%rax, %rcx
W 56, 8,	xchg	%rcx, 56(%rdx)
W 64, 8,	lock xadd %rcx, 64(%rdx)
	mov	72(%rdx), %rax
W 72, 8,	lock cmpxchg %rcx, 72(%rdx)
W 81, 1,	lock btsw $8, 80(%rdx)
W 96, 16,	movups	%xmm0, 96(%rdx)
	lea	136(%rdx), %rsp
W 128, 8,	push	%rax
	lea	-8(%rbp), %rsp
	mov	%rdx, %rsi
	lea	8192(%rdx), %rdi
	mov	$32, %ecx
W 8192, 32,	rep movsb
	lea	256(%rdx), %rdi
	mov	$64, %ecx
W 256, 64,	rep stosb
W 200, 1,	movb	$7, 200(%rdx)
	nop
writes_end:
	pop	%rbx
	pop	%rbp
	ret
	.pushsection .rodata.write_table, "a"
write_table_end:
	.popsection

	.globl writes_wide, wide_insn, wide_after
writes_wide:
	push	%rbx
	xor	%eax, %eax
	xor	%edx, %edx
	mov	$5, %ebx
	xor	%ecx, %ecx
wide_insn:
	lock cmpxchg16b (%rdi)
wide_after:
	pop	%rbx
	ret
	.section .note.GNU-stack, "", %progbits
