/* target.xml: of an invented ISA, word by word, and of the real one, whether it holds together. */
#include <stdlib.h>

#include "arch/arch.h"
#include "arch/own_desc.h"
#include "gdb/tdesc.h"
#include "tests/unit/fake_target.h"
#include "tests/unit/tap.h"

static const char fake_xml[] =
	"<?xml version=\"1.0\"?>\n"
	"<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
	"<target version=\"1.0\">\n"
	"<architecture>fake:64</architecture>\n"
	"<feature name=\"org.minivmm.fake.core\">\n"
	"<flags id=\"fake_flags\" size=\"4\"><field name=\"Z\" start=\"0\" end=\"0\"/></flags>\n"
	"<reg name=\"r0\" bitsize=\"64\" regnum=\"0\" type=\"int64\" group=\"general\"/>\n"
	"<reg name=\"r1\" bitsize=\"64\" regnum=\"1\" type=\"int64\" group=\"general\"/>\n"
	"<reg name=\"pc\" bitsize=\"64\" regnum=\"2\" type=\"code_ptr\" group=\"general\"/>\n"
	"<reg name=\"sp\" bitsize=\"64\" regnum=\"3\" type=\"data_ptr\" group=\"general\"/>\n"
	"<reg name=\"flags\" bitsize=\"32\" regnum=\"4\" type=\"fake_flags\"/>\n"
	"</feature>\n"
	"<feature name=\"org.minivmm.fake.more\">\n"
	"<reg name=\"vec0\" bitsize=\"128\" regnum=\"5\" type=\"uint128\" group=\"vector\"/>\n"
	"<reg name=\"ctl\" bitsize=\"64\" regnum=\"6\" type=\"int64\" group=\"system\" save-restore=\"no\"/>\n"
	"<reg name=\"missing\" bitsize=\"64\" regnum=\"7\" type=\"int64\" group=\"system\" save-restore=\"no\"/>\n"
	"</feature>\n"
	"</target>\n";

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

static void test_real(void)
{
	struct gdb_buf b = {0};
	const char *xml;
	size_t digits = 0, missing = 0;
	char want[64];

	gdb_tdesc_build(&arch_desc, &b);
	gdb_buf_putc(&b, '\0');
	xml = (const char *)b.data;
	tap_is_u64(count(xml, "<reg "), arch_desc.nregs, "%s: every register is there once", arch_desc.name);
	tap_is_u64(count(xml, "<feature "), arch_desc.nfeatures, "every feature");
	tap_is_u64(count(xml, "<feature "), count(xml, "</feature>"), "each of them closed");
	for (size_t i = 0; i < arch_desc.nregs; i++) {
		snprintf(want, sizeof(want), "regnum=\"%zu\"", i);
		missing += count(xml, want) != 1;
		if (i < arch_desc.nregs_g)
			digits += 2u * arch_desc.regs[i].size;
	}
	tap_is_u64(missing, 0, "every number once");
	tap_ok(digits < 128 * 1024, "the registers of `g` fit a packet: %zu digits", digits);
	gdb_buf_free(&b);
}

/* A VM that lacks the last feature, and whose vectors are larger. */
static void test_own(void)
{
	struct own_desc own = {0};
	struct gdb_buf b = {0};
	const char *xml;
	unsigned regno;

	tap_is_u64((uint64_t)own_desc_init(&own, &fake_arch), 0, "a description of its own");
	own.features[1].absent = true;
	own.features[2].absent = false;
	own.regs[FAKE_ABSENT].size = REG_SIZE_MAX;
	gdb_tdesc_build(&own.desc, &b);
	gdb_buf_putc(&b, '\0');
	xml = (const char *)b.data;
	tap_ok(!strstr(xml, "fake.more") && !strstr(xml, "\"vec0\""),
		"an absent feature is left out, its registers too");
	tap_ok(strstr(xml, "<reg name=\"absent\" bitsize=\"2048\" regnum=\"8\""), "the others keep their numbers");
	tap_ok(arch_desc_has(&own.desc, FAKE_ABSENT) && !arch_desc_has(&own.desc, FAKE_VEC) &&
			!arch_desc_has(&own.desc, FAKE_NREGS) && !arch_desc_has(&own.desc, UINT64_MAX),
		"which numbers exist");
	tap_ok(arch_desc_has(&fake_arch, FAKE_VEC) && !arch_desc_has(&fake_arch, FAKE_ABSENT),
		"the ISA's is untouched");
	tap_ok(arch_desc_find(&own.desc, "Absent,pc", 6, &regno) && regno == FAKE_ABSENT &&
			!arch_desc_find(&own.desc, "vec0", 4, &regno) && !arch_desc_find(&own.desc, "vec", 3, &regno),
		"which names exist");
	gdb_buf_free(&b);
	own_desc_free(&own);
	own_desc_free(&own);
}

int main(void)
{
	struct gdb_buf b = {0};

	gdb_tdesc_build(&fake_arch, &b);
	gdb_buf_putc(&b, '\0');
	tap_is_str((const char *)b.data, fake_xml, "the whole document");
	gdb_buf_reset(&b);
	gdb_xml_text(&b, "<a & \"b\" 'c'>\n");
	gdb_buf_putc(&b, '\0');
	tap_is_str((const char *)b.data, "&lt;a &amp; &quot;b&quot; &apos;c&apos;&gt;?", "special characters");
	gdb_buf_free(&b);
	test_real();
	test_own();
	return tap_done();
}
