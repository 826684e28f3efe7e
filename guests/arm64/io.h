/* Device and register access of arm64 guests, the addresses of the board (README.md, "What a guest finds"). */
#ifndef GUESTS_ARM64_IO_H
#define GUESTS_ARM64_IO_H

#include <stdint.h>

#define BOARD_GIC_DIST	 0x08000000ul
#define BOARD_GIC_CPU	 0x08010000ul
#define BOARD_GIC_REDIST 0x080a0000ul
#define BOARD_UART	 0x09000000ul
#define BOARD_PVPANIC	 0x09e00000ul
#define BOARD_EXIT	 0x09f00000ul
#define BOARD_NOBODY	 0x0c000000ul /* no device there */
#define BOARD_RAM	 0x40000000ul

/* PL011 (Arm DDI 0183), 3.2 */
#define UART_DR	   0x00
#define UART_FR	   0x18
#define UART_LCR_H 0x2c
#define UART_CR	   0x30
#define FR_RXFE	   (1u << 4)
#define FR_TXFF	   (1u << 5)
#define LCR_H_FEN  (1u << 4)
#define LCR_H_8BIT (3u << 5)
#define CR_ENABLE  (1u << 0)
#define CR_TXE	   (1u << 8)
#define CR_RXE	   (1u << 9)

/* PSCI (Arm DEN 0022), 5.1; called by HVC */
#define PSCI_CPU_ON	  0xc4000003u
#define PSCI_SYSTEM_OFF	  0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u

static inline uint32_t read32(uint64_t addr)
{
	uint32_t v;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(addr) : "memory");
	return v;
}

static inline void write32(uint64_t addr, uint32_t v)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(v), "r"(addr) : "memory");
}

static inline uint64_t read64(uint64_t addr)
{
	uint64_t v;

	__asm__ volatile("ldr %0, [%1]" : "=r"(v) : "r"(addr) : "memory");
	return v;
}

static inline void write8(uint64_t addr, uint8_t v)
{
	__asm__ volatile("strb %w0, [%1]" : : "r"(v), "r"(addr) : "memory");
}

#define GET_SYS(reg)                                                                                                   \
	({                                                                                                             \
		uint64_t v_;                                                                                           \
		__asm__ volatile("mrs %0, " #reg : "=r"(v_));                                                          \
		v_;                                                                                                    \
	})
#define SET_SYS(reg, value) __asm__ volatile("msr " #reg ", %x0" : : "rZ"((uint64_t)(value)) : "memory")
#define ISB()		    __asm__ volatile("isb" : : : "memory")

static inline int64_t psci(uint32_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return (int64_t)x0;
}

#endif
