/*
 * A kernel in the shape of a bzImage (Linux Documentation/x86/boot.rst): a setup header, 64-bit code that is loaded
 * where the header wants it, and, as with Linux, the kernel proper packed into that. The code copies it to its place
 * (16 MiB), maps the kernel half and goes there.
 */
#define PLACE 0x1000000

	.section .setup, "ax"
setup:
	.org	0x1f1
	.byte	1			/* setup_sects */
	.word	0
	.long	syssize			/* in paragraphs */
	.word	0, 0, 0, 0xaa55
	.byte	0xeb, header_end - 1f	/* jump */
1:	.ascii	"HdrS"
	.word	0x20c			/* version */
	.long	0
	.word	0, 0
	.byte	0, 1			/* type_of_loader, loadflags: LOADED_HIGH */
	.word	0
	.long	0x100000, 0, 0, 0	/* code32_start, ramdisk, bootsect_kludge */
	.word	0
	.byte	0, 0
	.long	0, 0x7fffffff		/* cmd_line_ptr, initrd_addr_max */
	.long	0x200000		/* kernel_alignment */
	.byte	1, 21			/* relocatable */
	.word	1			/* xloadflags: XLF_KERNEL_64 */
	.long	2047			/* cmdline_size */
	.long	0
	.quad	0
	.long	0, 0
	.quad	0
	.quad	0x200000		/* pref_address */
	.long	0x20000			/* init_size */
	.long	0
header_end:
	.org	0x400

	.section .packed.text, "ax"
	.code32
packed:
	hlt				/* the 32-bit entry */
	.org	0x200
	.code64
	.globl bz_entry
bz_entry:
	cld
	mov	%rsi, %r15
	lea	tables(%rip), %rbx
	mov	%rbx, %rdi
	xor	%eax, %eax
	mov	$3 * 512, %ecx
	rep stosq
	mov	%cr3, %rsi		/* what is mapped stays mapped */
	mov	%rbx, %rdi
	mov	$512, %ecx
	rep movsq
	lea	0x1003(%rbx), %rax
	mov	%rax, 511 * 8(%rbx)
	lea	0x2003(%rbx), %rax
	mov	%rax, 0x1000 + 510 * 8(%rbx)
	lea	0x2000(%rbx), %rdi
	mov	$0x83, %eax
	mov	$512, %ecx
1:	mov	%rax, (%rdi)
	add	$8, %rdi
	add	$0x200000, %rax
	loop	1b
	lea	payload(%rip), %rsi
	mov	$PLACE, %edi
	movabs	$payload_size, %rcx
	rep movsb
	mov	%rbx, %cr3
	movabs	$bz_high, %rax
	mov	%r15, %rdi		/* boot_params */
	jmp	*%rax

	.section .packed.data, "aw"
	.balign 4096
tables:	.skip	3 * 4096
payload:

	.section .text.start, "ax"
	.globl bz_high
bz_high:
	mov	$stack_end, %rsp
	xor	%ebp, %ebp
	call	bz_main
1:	cli
	hlt
	jmp	1b

	.data
	.balign 16
	.skip	8192
stack_end:
	.section .note.GNU-stack, "", @progbits
