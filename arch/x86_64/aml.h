/*
 * A little AML assembler (ACPI Specification 6.4, chapter 20): what a static DSDT needs and no more. Writes into the
 * caller's buffer; running out of it, or nesting too deep, only sets `failed`, so one check at the end is enough.
 */
#ifndef X86_AML_H
#define X86_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_DEPTH_MAX 8

struct aml {
	uint8_t *buf;
	size_t size, len;
	size_t open[AML_DEPTH_MAX]; /* where each open package's length goes */
	unsigned depth;
	bool failed;
};

void aml_init(struct aml *a, uint8_t *buf, size_t size);
/* Everything written and every package closed? Then *len is the size. */
bool aml_done(const struct aml *a, size_t *len);

/* name: 4 characters, or "\\" and 4 characters. What is opened has to be closed by aml_close(). */
void aml_open_scope(struct aml *a, const char *name);
void aml_open_device(struct aml *a, const char *name);
void aml_open_name_package(struct aml *a, const char *name, uint8_t elements); /* Name(name, Package(elements) { */
void aml_close(struct aml *a);

void aml_integer(struct aml *a, uint32_t value); /* an element of an open package */
void aml_name_integer(struct aml *a, const char *name, uint32_t value);
void aml_name_string(struct aml *a, const char *name, const char *text);
void aml_name_eisaid(struct aml *a, const char *name, const char *id); /* id: "PNP0501" */

/* One port range or interrupt of a _CRS. */
struct aml_io {
	uint16_t base;
	uint8_t len;
};
#define AML_NO_IRQ 0xff
/* Name(_CRS, ResourceTemplate { IO(Decode16, ...) * n, IRQNoFlags { irq } }) */
void aml_crs(struct aml *a, const struct aml_io *io, unsigned n, uint8_t irq);

#endif
