/*
 * What a guest finds when it starts, as text on COM1; compiled for 32-bit and for 64-bit guests. Every address is
 * physical and has to be mapped to itself.
 */
#ifndef GUESTS_TESTS_X86_64_BOOTINFO_H
#define GUESTS_TESTS_X86_64_BOOTINFO_H

#include <stdint.h>

void info_char(char c);
void info_text(const char *text);
void info_hex(const char *name, uint64_t v);	   /* "name=0x12\n" */
void info_string(const char *name, uint64_t addr); /* name="..." */
void info_processor(void);			   /* mode, control registers, segments, flags */
void info_start_info(uint64_t addr);		   /* hvm_start_info */
void info_multiboot(uint64_t addr);
void info_map(uint64_t addr, unsigned n); /* Linux's e820 table */
void info_rsdp(uint64_t addr);		  /* and every table from there */
void info_rsdp_scan(void);		  /* as a BIOS guest looks for it */
void info_power_off(void) __attribute__((noreturn));

#endif
