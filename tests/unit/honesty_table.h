/* Packets and what has to come back, for test_honesty.c. A new command of the stub gets a row in the first table. */
#ifndef TESTS_UNIT_HONESTY_TABLE_H
#define TESTS_UNIT_HONESTY_TABLE_H

/*
 * What a reply is:
 *	-	empty			D	data
 *	E	an error		R	none: it runs
 *	O	OK			K	none: the session is over
 *	B	OK, and it is over
 */
struct command {
	/* Well formed. Numbers stand in <>; a '~' is where bytes begin that may be any. */
	const char *packet;
	/* The reply to its first 0, 1, 2... bytes, the whole packet last. */
	const char *prefixes;
	char junk; /* the reply when something follows that does not belong to it */
};

static const struct command commands[] = {
	{"?", "-D", '-'},
	{"!", "-O", '-'},
	{"g", "-D", '-'},
	{"G~", "-E", 'E'},
	{"p<1>", "-ED", 'E'},
	{"P<0>=1122334455667788", "-EEEEEEEEEEEEEEEEEEO", 'E'},
	{"m<10000>,<10>", "-EEEEEEEDD", 'E'},
	{"x<10000>,<10>", "-EEEEEEEDD", 'E'},
	{"M<10000>,<2>:abcd", "-EEEEEEEEEEEEO", 'E'},
	{"X<10000>,<2>:~ab", "-EEEEEEEEEEO", 'E'},
	{"Hg<2>", "-EEO", 'E'},
	{"Hc<2>", "-EEO", 'E'},
	{"T<3>", "-EO", 'E'},
	{"vCont?", "-----ED", '-'},
	{"vCont;c:<1>;s:<2>", "-----EERERERER", 'E'},
	{"vCont;r<10>,<20>:<1>", "-----EEEEEERRER", 'E'},
	{"c<10000>", "-RRRRRR", 'E'},
	{"s<10000>", "-RRRRRR", 'E'},
	{"C05;<10000>", "-EERERRRRR", 'E'},
	{"S05;<10000>", "-EERERRRRR", 'E'},
	{"Z<0>,<10000>,<1>", "-EEEEEEEEEO", 'E'},
	{"Z<1>,<10000>,<1>", "-EEEEEEEEEO", 'E'},
	{"Z<2>,<10000>,<8>", "-EEEEEEEEEO", 'E'},
	{"z<0>,<10100>,<1>", "-EEEEEEEEEO", 'E'}, /* one is there */
	{"D", "-B", 'E'},
	{"D;<1>", "-BEB", 'E'},
	{"k", "-K", '-'},
	{"vKill;<1>", "-----EEB", 'E'},
	{"qSupported:swbreak+", "----------DDDDDDDDDD", 'D'},
	{"QStartNoAckMode", "---------------O", '-'},
	{"vCtrlC", "------O", '-'},
	{"qOffsets", "---------", '-'}, /* nothing has moved */
	{"qC", "--D", '-'},
	{"qfThreadInfo", "------------D", '-'},
	{"qsThreadInfo", "------------D", '-'},
	{"qThreadExtraInfo,<2>", "----------------EED", 'E'},
	{"qAttached:<1>", "---------DDD", 'E'},
	{"qSymbol::", "-------EEO", 'E'},
	{"qXfer:features:read:target.xml:<0>,<10>", "-------------------EEEEEEEEEEEEEEEDD", 'E'},
	{"qXfer:threads:read::<0>,<10>", "------------------EEEEEDD", 'E'},
	{"qXfer:memory-map:read::<0>,<10>", "---------------------EEEEEDD", 'E'},
	{"qSearch:memory:<10000>;<10>;~ab", "--------------EEEEEEEEEEEDD", 'D'},
	{"qCRC:<10000>,<10>", "--D-EEEEEEEEDD", 'E'},
	{"qRcmd,76657273696f6e", "-----DDEDEDEDEDEDEDED", 'E'},
	{"qqemu.PhyMemMode", "----------------D", '-'},
	{"Qqemu.PhyMemMode:1", "----------------EEO", 'E'},
	{"qqemu.sstepbits", "-----------D---D", '-'},
	{"Qqemu.sstepbits", "---------------D", '-'},
	{"qqemu.sstep", "-----------D", '-'},
	{"Qqemu.sstep=<7>", "------------EO", 'E'},
	{"qHostInfo", "---------D", '-'},
	{"qProcessInfo", "------------D", '-'},
	{"qRegisterInfo<1>", "-------------ED", 'E'},
	{"QEnableErrorStrings", "-------------------O", '-'},
	{"QListThreadsInStopReply", "-----------------------O", '-'},
	{"QThreadSuffixSupported", "----------------------O", '-'},
};

/* What no rule makes out of those: one packet, one reply. */
struct exchange {
	const char *ask;
	char class;
};

static const struct exchange others[] = {
	/* threads that are not there; the forms with a process are not ours: qSupported has no multiprocess */
	{"Hg4", 'E'},
	{"Hg7fffffff", 'E'},
	{"Hg80000000", 'E'},
	{"Hg-1", 'O'},
	{"Hg0", 'O'},
	{"Hgp1.1", 'E'},
	{"Hgp1.-1", 'E'},
	{"Hx1", 'E'},
	{"T0", 'E'},
	{"T-1", 'E'},
	{"T4", 'E'},
	{"Tp1.1", 'E'},
	{"qThreadExtraInfo,0", 'E'},
	{"qThreadExtraInfo,-1", 'E'},
	{"qThreadExtraInfo,4", 'E'},
	{"vCont;c:4", 'E'},
	{"vCont;c:-1", 'R'},
	{"vCont;c:p1.1", 'E'},
	{"vCont;c:p1.-1", 'E'},
	{"vCont;s:1;c:4", 'E'},
	{"vCont;s:1;q", 'E'},
	{"vCont;t", 'E'},
	{"vCont;", 'E'},
	{"vCont;c;", 'E'},
	{"D;0", 'E'},
	{"vKill;0", 'E'},
	/* lengths */
	{"m10000,ffffffffffffffff", 'D'},
	{"x10000,ffffffffffffffff", 'D'},
	{"mffffffffffffffff,2", 'E'},
	{"M10000,ffffffffffffffff:00", 'E'},
	{"M10000,8000000000000001:0000", 'E'},
	{"X10000,ffffffffffffffff:a", 'E'},
	{"M10000,1:0", 'E'},
	{"M10000,1:0g", 'E'},
	{"M10000,2:000g", 'E'},
	/* half of it is there */
	{"M4fffe,4:01020304", 'E'},
	{"X4fffe,4:abcd", 'E'},
	{"Mfffe,4:01020304", 'E'},
	{"Mffffffffffffffff,2:0102", 'E'},
	{"M4fffe,2:0102", 'O'},
	/* registers */
	{"p7", 'D'},
	{"p8", 'E'},
	{"qRegisterInfo7", 'D'},
	{"qRegisterInfo8", 'E'},
	{"P8=00", 'E'},
	{"P7=0000000000000000", 'E'},
	{"P6=ff00000000000000", 'E'},
	{"P0=11", 'E'},
	{"P0=11223344556677889", 'E'},
	{"P0=112233445566778899", 'E'},
	{"P0=112233445566778g", 'E'},
	/* breakpoints */
	{"Z5,10000,1", '-'},
	{"z5,10000,1", '-'},
	{"Z0,10000,100000000", 'E'},
	{"Z0,0,1", 'E'},
	{"Z0,10000,1;X1,22", 'E'},
	{"z0,10000,1", 'E'},
	{"z1,10100,1", 'E'},
	{"z0,10100,2", 'E'},
	/* modes */
	{"Qqemu.PhyMemMode:2", 'E'},
	{"Qqemu.sstep=3", 'E'},
	{"Qqemu.sstep=0x7", 'O'},
	{"qSymbol:1:61", 'E'},
	{"QNonStop:0", 'O'},
	{"QNonStop:1", 'E'},
	/* only in extended mode; R has no reply there, and is unknown elsewhere */
	{"vAttach;1", 'E'},
	{"vRun;", 'E'},
	{"R00", '-'},
	/* others' */
	{"", '-'},
	{"!bang", '-'},
	{"qTStatus", '-'},
	{"QTBuffer:size:1", '-'},
	{"QTinit", '-'},
	{"qTfV", '-'},
	{"qL1200000000000000000", '-'},
	{"vMustReplyEmpty", '-'},
	{"QAgent:1", '-'},
	{"qXfer:auxv:read::0,100", '-'},
	{"qXfer:exec-file:read::0,100", '-'},
	{"vFile:setfs:0", '-'},
	{"jThreadsInfo", '-'},
	{"qMemoryRegionInfo:0", '-'},
	{"qGetWorkingDir", '-'},
	{"qShlibInfoAddr", '-'},
	{"qVAttachOrWaitSupported", '-'},
	{"_M1000,rwx", '-'},
	{"b", '-'},
	{"bs", '-'},
	{"t", '-'},
	{"i", '-'},
};

#endif
