/*
 * The guest-physical memory map and the ports, every address by name.
 *
 *   0x0000_0000 +--------------------------------------------------+
 *               | real-mode vectors: all lead to LAYOUT_BIOS_STUB  |  RAM
 *         0x400 | BIOS data area (COM1's port, EBDA, RAM size)     |
 *        0x1000 +--------------------------------------------------+ LAYOUT_LOW
 *               | boot data, first fit around the image: GDT,      |
 *               | start info / boot_params, command line, stack,   |  RAM
 *               | identity page tables                             |
 *       0x9fc00 +--------------------------------------------------+ LAYOUT_EBDA
 *               | extended BIOS data area (empty)                  |  reserved
 *       0xa0000 +--------------------------------------------------+ LAYOUT_HOLE
 *               | VGA and option ROM window: memory, not in e820   |  (hole)
 *       0xe0000 +--------------------------------------------------+ LAYOUT_ACPI
 *               | RSDP first (BIOS scans find it), then the tables |  ACPI, then reserved
 *       0xfff00 |   what BIOS calls end in: "no such function"     |
 *       0xffff0 |   the BIOS's reset vector: code that reboots     |
 *      0x100000 +--------------------------------------------------+ LAYOUT_HIGH
 *               | kernel at its own address; initrd as high as it  |
 *               | may go; large page tables and what did not fit   |  RAM
 *               | below 640 KiB                                    |
 *   0xc000_0000 +--------------------------------------------------+ LAYOUT_PCI_HOLE (or the end of RAM)
 *               | nothing                                          |
 *   0xfec0_0000 | I/O APIC (in the kernel)                         |
 *   0xfee0_0000 | local APICs (in the kernel)                      |
 *   0xfffb_c000 | KVM's identity map and TSS pages                 |  reserved
 *  0x1_0000_0000 +-------------------------------------------------+ LAYOUT_RAM_ABOVE_4G
 *               | the RAM that the hole displaced                  |  RAM
 *               +--------------------------------------------------+
 */
#ifndef X86_LAYOUT_H
#define X86_LAYOUT_H

#include <stdint.h>

#define LAYOUT_BDA_COM1	    0x400 /* u16: port of the first serial line */
#define LAYOUT_BDA_EBDA_SEG 0x40e /* u16: segment of the EBDA */
#define LAYOUT_BDA_LOW_KB   0x413 /* u16: KiB below the EBDA */
#define LAYOUT_LOW	    0x1000
#define LAYOUT_EBDA	    0x9fc00
#define LAYOUT_HOLE	    0xa0000
#define LAYOUT_ACPI	    0xe0000
#define LAYOUT_BIOS_STUB    0xfff00
#define LAYOUT_RESET_VECTOR 0xffff0 /* f000:fff0 */
#define LAYOUT_HIGH	    0x100000
#define LAYOUT_RAM_MIN	    0x200000		/* the smallest --mem */
#define LAYOUT_RAM_MAX	    ((uint64_t)1 << 40) /* the largest; every host's physical addresses reach that */
#define LAYOUT_PCI_HOLE	    ((uint64_t)0xc0000000)
#define LAYOUT_RAM_ABOVE_4G ((uint64_t)1 << 32)

#define LAYOUT_EXIT   0xfe9f0000ULL /* exit device, for those who cannot get at its port */
#define LAYOUT_IOAPIC 0xfec00000ULL
#define LAYOUT_LAPIC  0xfee00000ULL
/* KVM_SET_IDENTITY_MAP_ADDR (one page) and KVM_SET_TSS_ADDR (three pages) */
#define LAYOUT_KVM_IDMAP 0xfffbc000ULL
#define LAYOUT_KVM_TSS	 0xfffbd000ULL
#define LAYOUT_KVM_END	 0xfffc0000ULL

/* GDT at boot: every entry gets the same one but for CODE, which is 64-bit code in long mode. */
#define LAYOUT_SEL_CODE32  0x08
#define LAYOUT_SEL_CODE	   0x10 /* Linux's __BOOT_CS */
#define LAYOUT_SEL_DATA	   0x18 /* Linux's __BOOT_DS */
#define LAYOUT_SEL_TSS	   0x20 /* 16 bytes */
#define LAYOUT_GDT_ENTRIES 6

#define LAYOUT_BOOT_STACK 0x4000 /* bytes, for bare-metal ELF64 */

/*
 * Ports. Those without a name here have it in their device's header: i8042 0x60, 0x64, 0x92; CMOS 0x70; debug exit
 * 0xf4; pvpanic 0x505; ACPI sleep and reset 0x600; reset control 0xcf9. In the kernel: PIC 0x20 and 0xa0, PIT 0x40,
 * speaker gate 0x61. Nothing answers at COM2-4 and at PCI's configuration ports.
 */
#define PORT_COM1 0x3f8

/* Interrupts */
#define IRQ_KEYBOARD 1
#define IRQ_COM1     4
/*
 * As on PCs the timer's IRQ 0 reaches the I/O APIC at input 2, and the MADT says so; KVM's default routing has it at
 * input 0, so arch_vm_init() replaces it by KVM_SET_GSI_ROUTING: GSI 0 -> PIC 0 and IOAPIC 2; GSI 1, 3..15 -> PIC and
 * IOAPIC alike; GSI 16..23 -> IOAPIC; GSI 2 -> nothing.
 */
#define GSI_PIT 2

#endif
