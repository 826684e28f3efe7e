/* The built-in guest, as vmm/elf.h hands it out. */
	.section .rodata
	.globl demo_elf_start, demo_elf_end
	.balign 16
demo_elf_start:
	.incbin DEMO_ELF
demo_elf_end:
	.section .note.GNU-stack, "", %progbits
