/*
 * Entry of a bare-metal x86-64 guest: long mode, memory mapped to itself (README.md, "What a guest finds"). RDI, the
 * start info, is kept in start_info. Then the way up of the other CPUs, from real mode.
 */
#define STACK_SIZE 4096
#define AP_PAGE 0x90000		/* where a start-up IPI with vector 0x90 begins; boot data fill low memory from below */

	.cfi_sections .debug_frame
	.section .text.start, "ax"
	.code64
	.globl _start
	.type _start, @function
_start:
	.cfi_startproc
	.cfi_undefined rip		/* a backtrace ends here */
	cld
	mov	%rdi, start_info(%rip)
	mov	%cr3, %rax
	mov	%eax, ap_cr3(%rip)
	lea	stacks + STACK_SIZE(%rip), %rsp
	xor	%ebp, %ebp
	call	platform_init
	call	main
	call	platform_power_off
	.cfi_endproc

/* Copied to AP_PAGE. Real mode, CS = AP_PAGE >> 4, so offsets count from ap_start. */
	.globl ap_start, ap_end, ap_cr3
	.code16
ap_start:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	ap_gdt_pointer - ap_start
	mov	%cr4, %eax
	or	$0x20, %eax			/* CR4.PAE */
	mov	%eax, %cr4
	mov	ap_cr3 - ap_start, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx		/* EFER */
	rdmsr
	or	$0x100, %eax			/* EFER.LME */
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax		/* CR0.PG, CR0.PE */
	mov	%eax, %cr0
	ljmpl	$0x10, $AP_PAGE + (1f - ap_start)
	.code64
1:	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$ap_main, %rax
	jmp	*%rax
	.balign 8
/* The boot CPU's selectors, since both use one IDT. */
ap_gdt:	.quad	0, 0, 0x00af9a000000ffff, 0x00cf92000000ffff
ap_gdt_pointer:
	.word	. - ap_gdt - 1
	.long	AP_PAGE + (ap_gdt - ap_start)
ap_cr3:	.long	0
ap_end:

/* In the program proper. RAX: this CPU's number, its stack lies behind the boot CPU's. */
	.balign 16
	.globl ap_main
	.type ap_main, @function
ap_main:
	.cfi_startproc
	.cfi_undefined rip
	mov	$1, %eax
	lock xadd %eax, ap_next(%rip)
	mov	%eax, %edi
	inc	%eax
	imul	$STACK_SIZE, %rax, %rax
	lea	stacks(%rip), %rsp
	add	%rax, %rsp
	xor	%ebp, %ebp
	call	platform_ap
1:	cli
	hlt
	jmp	1b
	.cfi_endproc

/* Interrupt entries. The call frame information leads a debugger from the handler to what it interrupted. */
	.macro save reg
	push	%\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \reg, 0
	.endm
	.macro restore reg
	pop	%\reg
	.cfi_adjust_cfa_offset -8
	.cfi_restore \reg
	.endm

	.globl timer_entry
	.type timer_entry, @function
timer_entry:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa rsp, 40		/* RIP, CS, RFLAGS, RSP, SS */
	.cfi_offset rip, -40
	.cfi_offset rsp, -16
	.irp	reg, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
	save	\reg
	.endr
	cld
	call	timer_interrupt
	.irp	reg, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
	restore	\reg
	.endr
	.globl spurious_entry
spurious_entry:
	iretq
	.cfi_endproc

	.data
	.globl start_info
	.balign 8
start_info:
	.quad	0
ap_next:
	.long	1

	.bss
	.balign 16
stacks:
	.skip	STACK_SIZE * 64
	.section .note.GNU-stack, "", @progbits
