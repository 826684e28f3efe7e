/*
 * The ACPI tables: RSDP (rev. 2), RSDT and XSDT, FADT (rev. 6, hardware-reduced), MADT, DSDT. ACPI Specification 6.4,
 * chapter 5. Pure: bytes into a buffer, any thread.
 *
 * Hardware-reduced: there is no PM1 block, no SCI and no ACPI timer. \_S5 goes through the sleep control register, a
 * reboot through the reset register (layout.h has their ports, devices/acpi_pm.h the device). The DSDT declares what
 * cannot be probed for: COM1 with its interrupt, the CMOS clock, the keyboard controller, pvpanic.
 */
#ifndef X86_ACPI_H
#define X86_ACPI_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes the tables to buf, which the guest sees at gpa (a multiple of 16), the RSDP at its start. APIC ids are
 * 0..ncpus-1. Returns the number of bytes written, or -ENOSPC (buf is then garbage).
 */
long acpi_build(uint8_t *buf, size_t size, uint64_t gpa, unsigned ncpus);

#endif
