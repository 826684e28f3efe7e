/* target.xml: an ISA's registers in the words of GDB's manual, "Target Descriptions". Pure; any thread. */
#ifndef GDB_TDESC_H
#define GDB_TDESC_H

#include "arch/desc.h"
#include "gdb/buf.h"

/* Absent features are left out; numbers are explicit, so the others keep theirs. */
void gdb_tdesc_build(const struct arch_desc *arch, struct gdb_buf *out);
/* Text inside of an element or attribute: the five special characters as entities, control characters as '?'. */
void gdb_xml_text(struct gdb_buf *out, const char *text);

#endif
