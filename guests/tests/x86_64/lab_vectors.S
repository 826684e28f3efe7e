/*
 * Vector and key registers for a debugger: each function loads some from its argument, has a place to stop at (NAME_at),
 * and hands back what they hold then. Only where CPUID and XCR0 allow it.
 */
	.text

	/* (rdi: 32 bytes, rsi: 3 * 32 bytes): YMM0 and YMM15 loaded; they and YMM3 stored */
	.globl vectors_avx, vectors_avx_at
vectors_avx:
	vmovdqu	(%rdi), %ymm0
	vmovdqu	(%rdi), %ymm15
vectors_avx_at:
	nop
	vmovdqu	%ymm0, (%rsi)
	vmovdqu	%ymm15, 32(%rsi)
	vmovdqu	%ymm3, 64(%rsi)
	ret

	/* (rdi: 64 bytes, rsi: 2 * 64 bytes, edx): ZMM0, ZMM31 and K1 (edx) loaded; ZMMs stored, K1 returned */
	.globl vectors_avx512, vectors_avx512_at
vectors_avx512:
	vmovdqu64 (%rdi), %zmm0
	vmovdqu64 (%rdi), %zmm31
	kmovw	%edx, %k1
vectors_avx512_at:
	nop
	vmovdqu64 %zmm0, (%rsi)
	vmovdqu64 %zmm31, 64(%rsi)
	kmovw	%k1, %eax
	ret

	/* (edi): PKRU loaded; returned */
	.globl vectors_pkru, vectors_pkru_at
vectors_pkru:
	mov	%edi, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	wrpkru
vectors_pkru_at:
	nop
	xor	%ecx, %ecx
	rdpkru
	ret
