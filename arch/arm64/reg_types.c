#include "arch/arm64/reg_table.h"

/*
 * Bit layouts: Arm ARM (DDI 0487), C5.2 (PSTATE as in SPSR_EL1, FPCR, FPSR) and each register's page. What gdb needs of
 * the vector type: a member for each element size, named by it, whose members tell how an element is read; gdb manual,
 * G.5.1.
 *
 * gdb gives flags of 8 bytes no number that is shorter (`set $SCTLR_EL1 = 1` wants a cast to long): registers with few
 * fields, which are set rather than looked at, are plain numbers.
 */

#define BITS(name, low, high)	"<field name=\"" name "\" start=\"" #low "\" end=\"" #high "\"/>"
#define BIT(name, n)		BITS(name, n, n)
#define FLAGS(id, size, fields) "<flags id=\"" id "\" size=\"" #size "\">" fields "</flags>"

#define VECTOR(id, type, count) "<vector id=\"" id "\" type=\"" type "\" count=\"" #count "\"/>"
#define MEMBER(name, type)	"<field name=\"" name "\" type=\"" type "\"/>"
#define UNION(id, members)	"<union id=\"" id "\">" members "</union>"

/* clang-format off */
#define PSTATE_BITS \
	BIT("SP", 0) BITS("EL", 2, 3) BIT("nRW", 4) BIT("F", 6) BIT("I", 7) BIT("A", 8) BIT("D", 9) \
	BITS("BTYPE", 10, 11) BIT("SSBS", 12) BIT("IL", 20) BIT("SS", 21) BIT("PAN", 22) BIT("UAO", 23) \
	BIT("DIT", 24) BIT("TCO", 25) BIT("V", 28) BIT("C", 29) BIT("Z", 30) BIT("N", 31)

static const char core_types[] = FLAGS("cpsr_flags", 4, PSTATE_BITS);

#define FP_STATUS \
	FLAGS("fpsr_flags", 4, \
		BIT("IOC", 0) BIT("DZC", 1) BIT("OFC", 2) BIT("UFC", 3) BIT("IXC", 4) BIT("IDC", 7) BIT("QC", 27) \
		BIT("V", 28) BIT("C", 29) BIT("Z", 30) BIT("N", 31)) \
	FLAGS("fpcr_flags", 4, \
		BIT("FIZ", 0) BIT("AH", 1) BIT("NEP", 2) BIT("IOE", 8) BIT("DZE", 9) BIT("OFE", 10) BIT("UFE", 11) \
		BIT("IXE", 12) BIT("IDE", 15) BITS("Len", 16, 18) BIT("FZ16", 19) BITS("Stride", 20, 21) \
		BITS("RMode", 22, 23) BIT("FZ", 24) BIT("DN", 25) BIT("AHP", 26))

static const char fpu_types[] =
	VECTOR("v2d", "ieee_double", 2) VECTOR("v2u", "uint64", 2) VECTOR("v2i", "int64", 2)
	VECTOR("v4f", "ieee_single", 4) VECTOR("v4u", "uint32", 4) VECTOR("v4i", "int32", 4)
	VECTOR("v8f", "ieee_half", 8) VECTOR("v8u", "uint16", 8) VECTOR("v8i", "int16", 8)
	VECTOR("v16u", "uint8", 16) VECTOR("v16i", "int8", 16)
	VECTOR("v1u", "uint128", 1) VECTOR("v1i", "int128", 1)
	UNION("vnd", MEMBER("f", "v2d") MEMBER("u", "v2u") MEMBER("s", "v2i"))
	UNION("vns", MEMBER("f", "v4f") MEMBER("u", "v4u") MEMBER("s", "v4i"))
	UNION("vnh", MEMBER("f", "v8f") MEMBER("u", "v8u") MEMBER("s", "v8i"))
	UNION("vnb", MEMBER("u", "v16u") MEMBER("s", "v16i"))
	UNION("vnq", MEMBER("u", "v1u") MEMBER("s", "v1i"))
	UNION("aarch64v", MEMBER("d", "vnd") MEMBER("s", "vns") MEMBER("h", "vnh") MEMBER("b", "vnb")
		MEMBER("q", "vnq"))
	FP_STATUS;

const char arm64_fp_status_types[] = FP_STATUS;

static const char system_types[] =
	FLAGS("spsr_flags", 8, PSTATE_BITS)
	FLAGS("sctlr_flags", 8,
		BIT("M", 0) BIT("A", 1) BIT("C", 2) BIT("SA", 3) BIT("SA0", 4) BIT("CP15BEN", 5) BIT("nAA", 6)
		BIT("ITD", 7) BIT("SED", 8) BIT("UMA", 9) BIT("EnRCTX", 10) BIT("EOS", 11) BIT("I", 12) BIT("EnDB", 13)
		BIT("DZE", 14) BIT("UCT", 15) BIT("nTWI", 16) BIT("nTWE", 18) BIT("WXN", 19) BIT("TSCXT", 20)
		BIT("IESB", 21) BIT("EIS", 22) BIT("SPAN", 23) BIT("E0E", 24) BIT("EE", 25) BIT("UCI", 26)
		BIT("EnDA", 27) BIT("nTLSMD", 28) BIT("LSMAOE", 29) BIT("EnIB", 30) BIT("EnIA", 31) BIT("BT0", 35)
		BIT("BT1", 36) BIT("ITFSB", 37) BITS("TCF0", 38, 39) BITS("TCF", 40, 41) BIT("ATA0", 42)
		BIT("ATA", 43) BIT("DSSBS", 44) BIT("EPAN", 57))
	FLAGS("tcr_flags", 8,
		BITS("T0SZ", 0, 5) BIT("EPD0", 7) BITS("IRGN0", 8, 9) BITS("ORGN0", 10, 11) BITS("SH0", 12, 13)
		BITS("TG0", 14, 15) BITS("T1SZ", 16, 21) BIT("A1", 22) BIT("EPD1", 23) BITS("IRGN1", 24, 25)
		BITS("ORGN1", 26, 27) BITS("SH1", 28, 29) BITS("TG1", 30, 31) BITS("IPS", 32, 34) BIT("AS", 36)
		BIT("TBI0", 37) BIT("TBI1", 38) BIT("HA", 39) BIT("HD", 40) BIT("HPD0", 41) BIT("HPD1", 42)
		BIT("TBID0", 51) BIT("TBID1", 52) BIT("NFD0", 53) BIT("NFD1", 54) BIT("E0PD0", 55) BIT("E0PD1", 56)
		BIT("TCMA0", 57) BIT("TCMA1", 58) BIT("DS", 59))
	FLAGS("esr_flags", 8, BITS("ISS", 0, 24) BIT("IL", 25) BITS("EC", 26, 31) BITS("ISS2", 32, 36))
	FLAGS("mpidr_flags", 8,
		BITS("Aff0", 0, 7) BITS("Aff1", 8, 15) BITS("Aff2", 16, 23) BIT("MT", 24) BIT("U", 30)
		BITS("Aff3", 32, 39))
	FLAGS("midr_flags", 8,
		BITS("Revision", 0, 3) BITS("PartNum", 4, 15) BITS("Architecture", 16, 19) BITS("Variant", 20, 23)
		BITS("Implementer", 24, 31));
/* clang-format on */

const struct reg_feature arm64_reg_features[FEATURES] = {
	[FEATURE_CORE] = {.name = "org.gnu.gdb.aarch64.core", .types = core_types},
	[FEATURE_FPU] = {.name = "org.gnu.gdb.aarch64.fpu", .types = fpu_types},
	[FEATURE_SYSTEM] = {.name = "org.minivmm.aarch64.system", .types = system_types},
	/* The types depend on the length of the vectors: sve.c */
	[FEATURE_SVE] = {.name = "org.gnu.gdb.aarch64.sve", .types = ""},
	[FEATURE_SVE_SYSTEM] = {.name = "org.minivmm.aarch64.sve-system", .types = ""},
};
