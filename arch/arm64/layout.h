/*
 * The guest-physical map: that of QEMU's `virt` board, which bare-metal arm64 programs and tutorials expect, as far as
 * there are devices for it here. RAM from 1 GiB upwards in one piece.
 *
 *   0x08000000  GIC distributor (64 KiB)
 *   0x08010000  GICv2 CPU interface (where the host has no GICv3)
 *   0x080a0000  GICv3 redistributors, 128 KiB for each CPU
 *   0x09000000  PL011, SPI 1
 *   0x09010000  PL031, SPI 2
 *   0x09e00000  pvpanic (ours)
 *   0x09f00000  exit device (ours)
 *   0x40000000  RAM: device tree, then the image
 */
#ifndef ARM64_LAYOUT_H
#define ARM64_LAYOUT_H

#define LAYOUT_GIC_DIST	   0x08000000ULL
#define LAYOUT_GIC_CPU	   0x08010000ULL
#define LAYOUT_GIC_REDIST  0x080a0000ULL
#define LAYOUT_REDIST_SIZE 0x00020000ULL /* of one CPU */
#define LAYOUT_REDIST_CPUS 123		 /* that fit before the next device */
#define LAYOUT_UART	   0x09000000ULL
#define LAYOUT_RTC	   0x09010000ULL
#define LAYOUT_PVPANIC	   0x09e00000ULL
#define LAYOUT_EXIT	   0x09f00000ULL
#define LAYOUT_RAM	   0x40000000ULL
#define LAYOUT_RAW_OFFSET  0x80000ULL /* of an image without any header, from the start of RAM */

/* Shared peripheral interrupts, as numbered in a device tree; their INTID is 32 more. */
#define SPI_UART 1
#define SPI_RTC	 2
/* Private ones, likewise (INTID is 16 more): Arm Base System Architecture, table of PPIs */
#define PPI_TIMER_SECURE 13
#define PPI_TIMER_PHYS	 14
#define PPI_TIMER_VIRT	 11
#define PPI_TIMER_HYP	 10

#endif
