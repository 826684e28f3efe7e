#include "arch/x86_64/reg_table.h"

/*
 * Bit layouts: Intel SDM volume 1, 3.4.3 and 10.2.3; volume 3A, 2.5 and 10.4.4; volume 3B, 17.2; AMD APM volume 2,
 * 3.1.7.
 */

#define BIT(name, n)		"<field name=\"" name "\" start=\"" #n "\" end=\"" #n "\"/>"
#define BITS(name, from, to)	"<field name=\"" name "\" start=\"" #from "\" end=\"" #to "\" type=\"uint32\"/>"
#define FLAGS(id, size, fields) "<flags id=\"" id "\" size=\"" #size "\">" fields "</flags>"

/* clang-format off */
static const char core_types[] = FLAGS("i386_eflags", 4,
	BIT("CF", 0) BIT("", 1) BIT("PF", 2) BIT("AF", 4) BIT("ZF", 6) BIT("SF", 7) BIT("TF", 8) BIT("IF", 9)
		BIT("DF", 10) BIT("OF", 11) BIT("NT", 14) BIT("RF", 16) BIT("VM", 17) BIT("AC", 18) BIT("VIF", 19)
			BIT("VIP", 20) BIT("ID", 21));

#define VECTOR(id, type, count) "<vector id=\"" id "\" type=\"" type "\" count=\"" #count "\"/>"
#define MEMBER(name, type)	"<field name=\"" name "\" type=\"" type "\"/>"

#define VEC128_TYPES VECTOR("v4f", "ieee_single", 4) VECTOR("v2d", "ieee_double", 2) VECTOR("v16i8", "int8", 16) \
	VECTOR("v8i16", "int16", 8) VECTOR("v4i32", "int32", 4) VECTOR("v2i64", "int64", 2) \
	"<union id=\"vec128\">" MEMBER("v4_float", "v4f") MEMBER("v2_double", "v2d") MEMBER("v16_int8", "v16i8") \
	MEMBER("v8_int16", "v8i16") MEMBER("v4_int32", "v4i32") MEMBER("v2_int64", "v2i64") \
	MEMBER("uint128", "uint128") "</union>"

static const char sse_types[] = VEC128_TYPES FLAGS("i386_mxcsr", 4,
	BIT("IE", 0) BIT("DE", 1) BIT("ZE", 2) BIT("OE", 3) BIT("UE", 4) BIT("PE", 5) BIT("DAZ", 6) BIT("IM", 7)
		BIT("DM", 8) BIT("ZM", 9) BIT("OM", 10) BIT("UM", 11) BIT("PM", 12) BIT("FZ", 15));

static const char avx512_types[] = VEC128_TYPES VECTOR("v2ui128", "uint128", 2); /* a feature's types are its own */

static const char system_types[] = FLAGS("i386_cr0", 8,
	BIT("PE", 0) BIT("MP", 1) BIT("EM", 2) BIT("TS", 3) BIT("ET", 4) BIT("NE", 5) BIT("WP", 16) BIT("AM", 18)
		BIT("NW", 29) BIT("CD", 30) BIT("PG", 31)) FLAGS("i386_cr4", 8,
	BIT("VME", 0) BIT("PVI", 1) BIT("TSD", 2) BIT("DE", 3) BIT("PSE", 4) BIT("PAE", 5) BIT("MCE", 6) BIT("PGE", 7)
		BIT("PCE", 8) BIT("OSFXSR", 9) BIT("OSXMMEXCPT", 10) BIT("UMIP", 11) BIT("LA57", 12) BIT("VMXE", 13)
			BIT("SMXE", 14) BIT("FSGSBASE", 16) BIT("PCIDE", 17) BIT("OSXSAVE", 18) BIT("KL", 19)
				BIT("SMEP", 20) BIT("SMAP", 21) BIT("PKE", 22) BIT("CET", 23) BIT("PKS", 24)
					BIT("UINTR", 25) BIT("LAM_SUP", 28) BIT("FRED", 32)) FLAGS("i386_efer", 8,
	BIT("SCE", 0) BIT("LME", 8) BIT("LMA", 10) BIT("NXE", 11) BIT("SVME", 12) BIT("LMSLE", 13) BIT("FFXSR", 14) BIT(
		"TCE", 15) BIT("AIBRSE", 21)) FLAGS("i386_apic_base", 8, BIT("BSP", 8) BIT("EXTD", 10) BIT("EN", 11)) FLAGS("i386_dr6", 8,
	BIT("B0", 0) BIT("B1", 1) BIT("B2", 2) BIT("B3", 3) BIT("nBLD", 11) BIT("BD", 13) BIT("BS", 14) BIT("BT", 15)
		BIT("nRTM", 16)) FLAGS("i386_dr7", 8,
	BIT("L0", 0) BIT("G0", 1) BIT("L1", 2) BIT("G1", 3) BIT("L2", 4) BIT("G2", 5) BIT("L3", 6) BIT("G3", 7)
		BIT("LE", 8) BIT("GE", 9) BIT("RTM", 11) BIT("GD", 13) BITS("RW0", 16, 17) BITS("LEN0", 18, 19)
			BITS("RW1", 20, 21) BITS("LEN1", 22, 23) BITS("RW2", 24, 25) BITS("LEN2", 26, 27)
				BITS("RW3", 28, 29) BITS("LEN3", 30, 31));
/* clang-format on */

const struct reg_feature x86_reg_features[FEATURES] = {
	[FEATURE_CORE] = {.name = "org.gnu.gdb.i386.core", .types = core_types},
	[FEATURE_SSE] = {.name = "org.gnu.gdb.i386.sse", .types = sse_types},
	[FEATURE_SEGMENTS] = {.name = "org.gnu.gdb.i386.segments", .types = ""},
	[FEATURE_SYSTEM] = {.name = "org.minivmm.x86.system", .types = system_types},
	[FEATURE_AVX] = {.name = "org.gnu.gdb.i386.avx", .types = ""},
	[FEATURE_AVX512] = {.name = "org.gnu.gdb.i386.avx512", .types = avx512_types},
	[FEATURE_PKEYS] = {.name = "org.gnu.gdb.i386.pkeys", .types = ""},
};
