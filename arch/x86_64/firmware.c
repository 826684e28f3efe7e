/*
 * What a guest finds of firmware: the ACPI tables, the BIOS data area, and real-mode vectors that let calls of a BIOS
 * that is not there fail instead of running into zeroes.
 */
#include "arch/x86_64/boot.h"

#include <errno.h>

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/layout.h"
#include "devices/acpi_pm.h"
#include "vmm/log.h"

#define PAGE_SIZE 4096ULL

#define IVT_ENTRIES	 256
#define BIOS_SEGMENT	 0xf000
#define FIRST_CALL	 0x10 /* below are exceptions and the first interrupt controller */
#define IRQ_VECTOR_SLAVE 0x70
#define IRQS		 8

static void put_bda(struct boot *b)
{
	uint16_t com1 = PORT_COM1, ebda = LAYOUT_EBDA >> 4, low_kb = LAYOUT_EBDA / 1024;

	memory_write(b->mem, LAYOUT_BDA_COM1, &com1, sizeof(com1));
	memory_write(b->mem, LAYOUT_BDA_EBDA_SEG, &ebda, sizeof(ebda));
	memory_write(b->mem, LAYOUT_BDA_LOW_KB, &low_kb, sizeof(low_kb));
}

/* Exceptions and interrupts return, calls return with carry set and AH = 86h, a PC's "no such function". */
static void put_ivt(struct boot *b)
{
	static const uint8_t code[] = {
		0xcf,			/* iret */
		0x55,			/* push bp */
		0x89, 0xe5,		/* mov bp, sp */
		0x80, 0x4e, 0x06, 0x01, /* or byte [bp + 6], 1: CF in the caller's flags */
		0x5d,			/* pop bp */
		0xb4, 0x86,		/* mov ah, 86h */
		0xcf,			/* iret */
	};
	uint16_t ivt[IVT_ENTRIES][2];

	for (unsigned i = 0; i < IVT_ENTRIES; i++) {
		bool irq = i < FIRST_CALL || i - IRQ_VECTOR_SLAVE < IRQS;

		ivt[i][0] = LAYOUT_BIOS_STUB - (BIOS_SEGMENT << 4) + !irq;
		ivt[i][1] = BIOS_SEGMENT;
	}
	memory_write(b->mem, 0, ivt, sizeof(ivt));
	memory_write(b->mem, LAYOUT_BIOS_STUB, code, sizeof(code));
}

/*
 * A kernel that knows no better reboots by a jump to f000:fff0 in real mode. So does Linux: on a hardware-reduced
 * machine it tries EFI and then the BIOS, and not the FADT's reset register.
 */
static void put_reset_vector(struct boot *b)
{
	enum { PORT = ACPI_PM_PORT + ACPI_PM_RESET };
	static const uint8_t code[] = {
		0xba, PORT & 0xff, PORT >> 8, /* mov dx, PORT */
		0xb0, ACPI_PM_RESET_VALUE,    /* mov al, ... */
		0xee,			      /* out dx, al */
		0xfa, 0xf4, 0xeb, 0xfc,	      /* cli; hlt; jmp $-2 */
	};

	memory_write(b->mem, LAYOUT_RESET_VECTOR, code, sizeof(code));
}

static int put_acpi(struct boot *b)
{
	size_t room = LAYOUT_BIOS_STUB - LAYOUT_ACPI;
	uint8_t *at = memory_at(b->mem, LAYOUT_ACPI, room);
	long len = at ? acpi_build(at, room, LAYOUT_ACPI, b->ncpus) : -ENOSPC;

	if (len < 0) {
		log_error("the ACPI tables of %u CPUs do not fit into %zu bytes", b->ncpus, room);
		return len;
	}
	b->rsdp = LAYOUT_ACPI;
	b->acpi_end = (LAYOUT_ACPI + len + PAGE_SIZE - 1) & -PAGE_SIZE;
	return boot_take(b, LAYOUT_ACPI, b->acpi_end - LAYOUT_ACPI);
}

int boot_put_firmware(struct boot *b)
{
	put_ivt(b);
	put_bda(b);
	put_reset_vector(b);
	return put_acpi(b);
}
