#include "gdb/tdesc.h"

#include <string.h>

void gdb_xml_text(struct gdb_buf *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			gdb_buf_puts(out, "&lt;");
			break;
		case '>':
			gdb_buf_puts(out, "&gt;");
			break;
		case '&':
			gdb_buf_puts(out, "&amp;");
			break;
		case '"':
			gdb_buf_puts(out, "&quot;");
			break;
		case '\'':
			gdb_buf_puts(out, "&apos;");
			break;
		default:
			gdb_buf_putc(out, (unsigned char)*text < 0x20 ? '?' : *text);
		}
	}
}

static void put_attr(struct gdb_buf *out, const char *name, const char *value)
{
	gdb_buf_printf(out, " %s=\"", name);
	gdb_xml_text(out, value);
	gdb_buf_putc(out, '"');
}

static void put_reg_desc(const struct reg_desc *reg, size_t regnum, struct gdb_buf *out)
{
	gdb_buf_puts(out, "<reg");
	put_attr(out, "name", reg->name);
	gdb_buf_printf(out, " bitsize=\"%u\" regnum=\"%zu\"", reg->size * 8u, regnum);
	if (reg->type)
		put_attr(out, "type", reg->type);
	if (reg->group)
		put_attr(out, "group", reg->group);
	/* gdb puts registers back after `call`: not those that are slow, and change what the machine is. */
	if (reg->deferred || (reg->group && !strcmp(reg->group, "system")))
		gdb_buf_puts(out, " save-restore=\"no\"");
	gdb_buf_puts(out, "/>\n");
}

void gdb_tdesc_build(const struct arch_desc *arch, struct gdb_buf *out)
{
	gdb_buf_puts(out, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
			  "<target version=\"1.0\">\n<architecture>");
	gdb_xml_text(out, arch->gdb_arch);
	gdb_buf_puts(out, "</architecture>\n");
	for (size_t f = 0; f < arch->nfeatures; f++) {
		if (arch->features[f].absent)
			continue;
		gdb_buf_puts(out, "<feature");
		put_attr(out, "name", arch->features[f].name);
		gdb_buf_puts(out, ">\n");
		/* The types are XML already. */
		if (arch->features[f].types && arch->features[f].types[0])
			gdb_buf_printf(out, "%s\n", arch->features[f].types);
		for (size_t i = 0; i < arch->nregs; i++) {
			if (arch->regs[i].feature == f)
				put_reg_desc(&arch->regs[i], i, out);
		}
		gdb_buf_puts(out, "</feature>\n");
	}
	gdb_buf_puts(out, "</target>\n");
}
