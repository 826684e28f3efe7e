/* What the lab needs in assembler: instructions with known addresses. */
	.text

/*
 * step_insns(): step_table has the address of each instruction between its two ends, in the order in which they are
 * executed. A repeated string instruction may take several steps, and MOV to SS none of its own.
 */
	.macro I insn:vararg
9:	\insn
	.pushsection .rodata.step_table, "a"
	.quad	9b
	.popsection
	.endm

	.pushsection .rodata.step_table, "a"
	.balign 8
	.globl step_table, step_table_end, step_table_rep, step_table_ss, step_table_ss_end
step_table:
	.popsection

	.globl step_insns
step_insns:
	push	%rbp
	mov	%rsp, %rbp
	push	%rbx
	push	%r12
	cli
	/* ports and MMIO */
I	nop
I	mov	$0x3ff, %edx			/* COM1's scratch register */
I	mov	$0x5a, %al
I	out	%al, %dx
I	xor	%eax, %eax
I	in	%dx, %al
I	mov	%al, seen_in(%rip)
I	mov	$0x3f8, %edx
I	mov	$'1', %al
I	out	%al, %dx
I	mov	$0xd0000000, %ebx		/* nobody's */
I	mov	%eax, (%rbx)
I	mov	(%rbx), %eax
I	mov	%eax, seen_mmio(%rip)
I	incl	(%rbx)
I	mov	%eax, 4094(%rbx)		/* across a page's end */
I	mov	$0xfee00000, %ebx		/* the local APIC */
I	mov	0x20(%rbx), %eax
I	movl	$0, 0x80(%rbx)
	/* strings */
I	lea	step_source(%rip), %rsi
I	lea	seen_strings(%rip), %rdi
I	mov	$8, %ecx
step_rep_1:
I	rep movsb
I	lea	step_source(%rip), %rsi
I	mov	$4, %ecx
I	mov	$0x3f8, %edx
step_rep_2:
I	rep outsb
I	mov	$2, %ecx
I	mov	$0x3ff, %edx
I	lea	step_scratch(%rip), %rdi
step_rep_3:
I	rep insb
	/* flags */
I	pushfq
I	pop	%rax
I	mov	%rax, seen_flags(%rip)
I	sti
I	nop
I	nop
I	pushfq
I	pop	%rax
I	mov	%rax, seen_flags+8(%rip)
I	cli
I	push	%rax
I	popfq
I	nop
I	cli
I	nop
I	mov	%ss, %eax
step_ss:
I	mov	%eax, %ss
I	nop
I	nop
step_ss_2:
I	mov	%eax, %ss
I	pushfq
I	pop	%rax
I	or	%rax, seen_flags(%rip)
	/* SYSCALL, whose handler goes on behind it; RFLAGS comes in R11 */
I	mov	$0xc0000080, %ecx		/* EFER */
I	rdmsr
I	or	$1, %eax			/* SCE */
I	wrmsr
I	mov	$0xc0000082, %ecx		/* LSTAR */
I	lea	4f(%rip), %eax
I	xor	%edx, %edx
I	wrmsr
I	mov	$0xc0000081, %ecx		/* STAR */
I	xor	%eax, %eax
I	mov	$0x10, %edx
I	wrmsr
I	mov	$0xc0000084, %ecx		/* FMASK */
I	mov	$0x700, %eax			/* TF, IF, DF */
I	xor	%edx, %edx
I	wrmsr
I	syscall
7:	jmp	5f
4:
I	or	%r11, seen_flags(%rip)
I	jmp	*%rcx
	.pushsection .rodata.step_table, "a"
	.quad	7b
	.popsection
5:
I	nop
	/* IRETQ, to the next instruction, with IF set */
I	mov	%rsp, %rdx
I	mov	%ss, %eax
I	push	%rax
I	push	%rdx
I	push	$0x202
I	mov	%cs, %eax
I	push	%rax
I	lea	1f(%rip), %rax
I	push	%rax
	.globl step_iretq
step_iretq:
I	iretq
1:
I	nop
I	cli
	/* others that a machine emulates */
I	xor	%eax, %eax
I	cpuid
I	rdtsc
I	mov	$0xc0000080, %ecx
I	rdmsr
I	wrmsr
I	mov	%cr3, %rax
I	mov	%rax, %cr3
I	call	2f
	.pushsection .rodata.step_table, "a"
	.quad	2f
	.popsection
I	jmp	3f
	ud2
2:	ret
3:
I	nop
	.globl step_end
step_end:
I	nop
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret

	.pushsection .rodata.step_table, "a"
step_table_end:
step_table_rep:
	.quad	step_rep_1, step_rep_2, step_rep_3, 0
step_table_ss:
	.quad	step_ss, step_ss_2
step_table_ss_end:
	.popsection

/* own_exceptions(): each of the guest's own, once */
	.globl own_exceptions, int3_after, int80_after, ud2_at
own_exceptions:
	int3
int3_after:
	int	$0x80
int80_after:
ud2_at:	ud2
	ret

	.macro entry name, counter, where, skip
	.globl \name
\name:
	cmpq	$\where, (%rsp)
	jne	1f
	testq	$0x100, 16(%rsp)		/* TF */
	jnz	1f
	incq	\counter(%rip)
	addq	$\skip, (%rsp)
	iretq
1:	incq	strays(%rip)
	addq	$\skip, (%rsp)
	iretq
	.endm
	entry	int3_entry, int3_seen, int3_after, 0
	entry	int80_entry, int80_seen, int80_after, 0
	entry	ud2_entry, ud2_seen, ud2_at, 2

	/* Code that is patched while others execute it: a NOP, or a call of poke_called. */
	.globl poke_site, poke_called, poke_entry
	.balign 8
poke_site:
	.byte	0x0f, 0x1f, 0x44, 0, 0
	ret
poke_called:
	lock incq poke_calls(%rip)
	ret
poke_entry: /* #BP: as if the NOP had been executed */
	push	%rax
	lea	poke_site + 1(%rip), %rax
	cmp	%rax, 8(%rsp)
	jne	1f
	addq	$4, 8(%rsp)
	lock incq poke_traps(%rip)
	pop	%rax
	iretq
1:	lock incq strays(%rip)
	pop	%rax
	iretq

	/* halts(): for a debugger to step through; nothing need wake the first HLT, a timer may the second */
	.globl halts, halt_dark, halt_dark_after, halt_light, halt_light_after
halts:
	cli
halt_dark:
	hlt
halt_dark_after:
	nop
	sti
halt_light:
	hlt
halt_light_after:
	nop
	cli
	ret

	.globl halt_loop, halt_insn, halt_after, halt_counted
halt_loop:
	sti
halt_insn:
	hlt
halt_after:
	nop
	nop
	incq	turns(%rip)
halt_counted:
	jmp	halt_loop

	.globl triple_fault, triple_insn
triple_fault:
	lidt	no_idt(%rip)
triple_insn:
	ud2

	.globl sse_insn
sse_insn:
	paddd	%xmm1, %xmm0
	ret

	.section .rodata
step_source:
	.ascii	"abcdefgh"
no_idt:	.word	0
	.quad	0

	.data
	.globl seen_flags, seen_in, seen_strings, seen_mmio
	.balign 8
seen_flags:
	.quad	0, 0
seen_strings:
	.skip	16
seen_mmio:
	.long	0
seen_in:
	.byte	0
step_scratch:
	.skip	4
	.section .note.GNU-stack, "", @progbits
