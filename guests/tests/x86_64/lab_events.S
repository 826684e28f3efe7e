/* lab_isa.c's scenes `events` and `nmi`: accesses that a debugger catches, one of each kind */

#define PORT	 0x80			/* nobody's */
#define NOBODY	 0xd0000000		/* no device, no memory */
#define MSR_KEPT 0xc0000102		/* KERNEL_GS_BASE, which hardware serves unless it is filtered */
#define MSR_NONE 0x3fff0000		/* no processor has it */

	.text
	.globl events, event_out, event_msr_write
events:
	push	%rbx
	mov	$0x5a, %al
event_out:
	out	%al, $PORT
	in	$PORT, %al
	mov	%al, event_in(%rip)
	mov	$NOBODY, %ebx
	movl	$0x12345678, (%rbx)
	movzwl	4(%rbx), %eax
	incb	8(%rbx)				/* two accesses */
	mov	%eax, event_mmio(%rip)
	mov	$PORT, %edx
	lea	event_text(%rip), %rsi
	mov	$4, %ecx
	cld
	rep outsb
	mov	$MSR_KEPT, %ecx
	mov	$0xabcd1234, %eax
	mov	$0xffff8000, %edx
event_msr_write:
	wrmsr
	xor	%eax, %eax
	xor	%edx, %edx
	rdmsr
	mov	%eax, event_msr(%rip)
	mov	%edx, event_msr+4(%rip)
	mov	$MSR_NONE, %ecx
	rdmsr
	pop	%rbx
	ret

	.globl gp_entry, nmi_entry
gp_entry:					/* skips the RDMSR */
	incq	gps_seen(%rip)
	add	$8, %rsp
	addq	$2, (%rsp)
	iretq
nmi_entry:
	incq	nmis_seen(%rip)
	iretq

	.data
	.globl event_in, event_mmio, event_msr, gps_seen, nmis_seen
	.balign	8
event_msr:	.quad	0
gps_seen:	.quad	0
nmis_seen:	.quad	0
event_mmio:	.long	0
event_in:	.byte	0
event_text:	.ascii	"abcd"
	.section .note.GNU-stack, "", @progbits
