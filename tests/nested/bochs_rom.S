/*
 * The whole firmware of the Bochs machine: from the reset vector to a Linux
 * kernel's 64-bit entry, without a BIOS, a boot loader or a decompressor.
 *
 * Sector 0 of the first disk says what to do; bochs.py writes it:
 *
 *	u32 count of segments
 *	u32 physical address of the page tables (CR3)
 *	u32 entry point
 *	u32 RSI at the entry: boot_params
 *	count times: u32 physical address, u32 first sector, u32 sectors
 *
 * Everything else (page tables, boot_params, command line, kernel, initramfs)
 * is data of those segments. The state at the entry is the one that "64-bit
 * Boot Protocol" in Linux's Documentation/arch/x86/boot.rst asks for.
 *
 * The disk is read by PIO, 28-bit LBA (ATA-4, 8.27 READ SECTOR(S)).
 */
	.set	TABLE, 0x8000
	.set	ATA_DATA, 0x1f0
	.set	ATA_COUNT, 0x1f2
	.set	ATA_LBA0, 0x1f3
	.set	ATA_LBA1, 0x1f4
	.set	ATA_LBA2, 0x1f5
	.set	ATA_DEVICE, 0x1f6
	.set	ATA_STATUS, 0x1f7
	.set	ATA_READ, 0x20
	.set	ATA_BSY_DRQ, 0x88
	.set	ATA_DRQ, 0x08
	.set	DEVICE_LBA_MASTER, 0xe0
	.set	ROM, 0xf0000
	.set	CS32, 0x08
	.set	CS64, 0x10
	.set	DS, 0x18
	.set	CR4_PAE, 0x20
	.set	CR0_PE, 1
	.set	CR0_PG, 0x80000000
	.set	MSR_EFER, 0xc0000080
	.set	EFER_LME, 0x100

	.section .text
	.globl	_start
_start:
	.code16
real:
	cli
	cld
	lgdtl	%cs:(gdt_pointer - _start)
	mov	%cr0, %eax
	or	$CR0_PE, %eax
	mov	%eax, %cr0
	ljmpl	$CS32, $(ROM + protected - _start)

	.code32
protected:
	mov	$DS, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$0x7000, %esp

	mov	$TABLE, %edi
	xor	%ebx, %ebx
	mov	$1, %ecx
	call	read_sectors

	mov	$(TABLE + 16), %ebp
1:	decl	TABLE
	js	2f
	mov	(%ebp), %edi
	mov	4(%ebp), %ebx
	mov	8(%ebp), %ecx
	call	read_sectors
	add	$12, %ebp
	jmp	1b

2:	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	TABLE + 4, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	ljmp	$CS64, $(ROM + long_mode - _start)

/* ecx sectors from LBA ebx to edi; ebp is kept */
read_sectors:
	mov	%ecx, %esi
3:	test	%esi, %esi
	jz	9f
	mov	$256, %ecx		/* the most one command reads */
	cmp	%ecx, %esi
	jae	4f
	mov	%esi, %ecx
4:	sub	%ecx, %esi
	mov	$ATA_COUNT, %dx
	mov	%cl, %al		/* 256 is written as 0 */
	out	%al, %dx
	mov	%ebx, %eax
	mov	$ATA_LBA0, %dx
	out	%al, %dx
	shr	$8, %eax
	mov	$ATA_LBA1, %dx
	out	%al, %dx
	shr	$8, %eax
	mov	$ATA_LBA2, %dx
	out	%al, %dx
	shr	$8, %eax
	or	$DEVICE_LBA_MASTER, %al
	mov	$ATA_DEVICE, %dx
	out	%al, %dx
	mov	$ATA_READ, %al
	mov	$ATA_STATUS, %dx
	out	%al, %dx
	add	%ecx, %ebx
5:	push	%ecx
	mov	$ATA_STATUS, %dx
6:	in	%dx, %al
	and	$ATA_BSY_DRQ, %al
	cmp	$ATA_DRQ, %al
	jne	6b
	mov	$ATA_DATA, %dx
	mov	$128, %ecx
	rep insl
	pop	%ecx
	loop	5b
	jmp	3b
9:	ret

	.code64
long_mode:
	mov	$DS, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	TABLE + 12, %esi
	mov	TABLE + 8, %eax
	jmp	*%rax

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* CS32 */
	.quad	0x00af9b000000ffff	/* CS64 */
	.quad	0x00cf93000000ffff	/* DS */
gdt_pointer:
	.word	. - gdt - 1
	.long	ROM + gdt - _start

	.org	0xfff0
	.code16
	ljmp	$0xf000, $(real - _start)
	.org	0x10000
