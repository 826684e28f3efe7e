/* Job files: what becomes of each line, and every way in which one can be wrong. */
#include "vmm/job.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/capture.h"
#include "tests/unit/tap.h"
#include "vmm/cli.h"
#include "vmm/job_keys.h"

static struct job job;
static struct job_error err;

static int parse_len(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1); /* just as large, so that ASan sees a read behind it */
	int ret;

	memcpy(copy, text, len);
	job_free(&job);
	ret = job_parse(&job, "dir/", copy, len, &err);
	free(copy);
	return ret;
}

static int parse(const char *text)
{
	return parse_len(text, strlen(text));
}

/* The words of a case but the first and the closing "--", with | between them. */
static const char *words(size_t index)
{
	static char line[4096];
	const struct job_case *c = &job.cases[index];
	size_t at = 0;

	line[0] = '\0';
	if (index >= job.ncases || strcmp(c->argv[0], "minivmm") || strcmp(c->argv[c->argc - 1], "--") ||
		c->argv[c->argc])
		return "(not a command line)";
	for (int i = 1; i < c->argc - 1; i++)
		at += (size_t)snprintf(line + at, sizeof(line) - at, "%s%s", i > 1 ? "|" : "", c->argv[i]);
	return line;
}

static void becomes(const char *text, const char *want, const char *name)
{
	if (!tap_ok(!parse(text), "%s: taken", name)) {
		tap_diag("line %u: %s", err.line, err.text);
		return;
	}
	tap_is_str(words(0), want, "%s: its words", name);
}

static void refused(const char *text, unsigned line, const char *reason)
{
	int ret = parse(text);

	if (!tap_ok(ret == -EINVAL && err.line == line && strstr(err.text, reason) && !strchr(err.text, '\n') &&
			    !job.cases && !job.blocks,
		    "refused in line %u: %s", line, reason))
		tap_diag("returned %d, line %u: %s", ret, err.line, err.text);
}

static void test_lines(void)
{
	becomes("[a]\nmem=1M\n", "--serial=null|--mem=1M", "no blanks");
	becomes("[a]\n \t mem \t = \t 1M \t \n", "--serial=null|--mem=1M", "many blanks");
	becomes("[a]\nmem = 1M", "--serial=null|--mem=1M", "no newline at the end");
	becomes("\xef\xbb\xbf[a]\r\nmem = 1M\r\n\r\n", "--serial=null|--mem=1M", "byte order mark, CR LF");
	becomes("# x\n; y\n\n   # z = [\n[a]\n#mem = 2M\n;\nmem = 1M\n", "--serial=null|--mem=1M", "comments");
	becomes("[a]\nexpect = a # b ; c = [d] \"e\" 'f' \\d\n", "--serial=null|--expect=a # b ; c = [d] \"e\" 'f' \\d",
		"nothing in a value is special");
	becomes("[a]\nbreak = f=pass\n", "--serial=null|--break=f=pass", "a value with =");
	becomes("[a]\ncmdline =\n", "--serial=null|--cmdline=", "an empty command line");
	becomes("[a]\nkaslr = yes\nverbose = no\nordered = yes\n", "--serial=null|--kaslr|--ordered", "yes and no");
	becomes("[a]\nserial = stdio\n", "--serial=stdio", "a serial line of its own");
	becomes("[a]\n", "--serial=null", "a case without keys");
	becomes("[ \xc3\xbc ber ]  \n", "--serial=null", "a name with a blank in it, and UTF-8");
	tap_is_str(job.cases[0].name, "\xc3\xbc ber", "the name without the blanks around it");
}

static void test_continued(void)
{
	becomes("[a]\ncmdline = b \\\n\t c \\\r\n d\nmem = 1M\n", "--serial=null|--cmdline=b c d|--mem=1M", "joined");
	tap_is_u64(job.cases[0].lines[2], 2, "its line is the first one");
	tap_is_u64(job.cases[0].lines[3], 5, "the next one's line counts them all");
	becomes("[a]\nexpect = b\\\n# c\n", "--serial=null|--expect=b# c", "no comment in the middle");
	becomes("[a]\nexpect = b\\\\\nmem = 1M\n", "--serial=null|--expect=b\\\\|--mem=1M",
		"two backslashes do not join");
	becomes("[a]\nexpect = b\\\\\\\nc\n", "--serial=null|--expect=b\\\\c", "three do");
	becomes("[a]\nexpect = b\\ \t\nc\n", "--serial=null|--expect=bc", "blanks behind the backslash");
	becomes("# b \\\n[a]\n", "--serial=null", "a comment does not go on");
	becomes("[a]\nexpect = b\\\n[c]\n", "--serial=null|--expect=b[c]", "no section in the middle");
	refused("[a]\nexpect = b\\", 2, "none to go on with");
	refused("[a]\nexpect = b\\\n", 2, "none to go on with");
	refused("[a]\n\\\nb = c\n", 2, "goes on with nothing");
}

static void test_defaults(void)
{
	becomes("mem = 1M\nbreak = x\n[a]\nbreak = y\nbreak = z\ncpus = 2\n",
		"--serial=null|--mem=1M|--break=x|--break=y|--break=z|--cpus=2", "defaults come first, breaks add up");
	becomes("mem = 1M\ncpus = 3\n[a]\nmem = 2M\n", "--serial=null|--cpus=3|--mem=2M", "a case's own key");
	becomes("ordered = yes\nkaslr = no\n[a]\nordered = no\nkaslr = yes\n", "--serial=null|--kaslr",
		"own yes and no");
	becomes("serial = pty\n[a]\n", "--serial=pty", "a default serial line");
	becomes("mem = 1M\n[a]\ncpus = 2\n[*]\ntimeout = 1s\nreject = r\n[b]\nmem = 2M\n",
		"--serial=null|--mem=1M|--timeout=1s|--reject=r|--cpus=2", "[*] behind the case");
	tap_is_str(words(1), "--serial=null|--timeout=1s|--reject=r|--mem=2M", "[*] for the other one");
	tap_is_u64(job.ncases, 2, "[*] is no case");
	tap_is_str(job.cases[0].name, "a", "the first one's name");
	tap_is_str(job.cases[1].name, "b", "the second one's name");
	tap_is_u64(job.cases[1].line, 7, "the second one's line");
	tap_is_u64(job.cases[1].lines[1], 0, "no line for what is not in the file");
	tap_is_u64(job.cases[1].lines[2], 5, "the line of a default");
	tap_is_u64(job.cases[1].lines[4], 8, "the line of its own");
}

static void test_paths(void)
{
	becomes("[a]\nkernel = k\ninitrd = ../i\nsymbols = /s\n",
		"--serial=null|--kernel=dir/k|--initrd=dir/../i|--symbols=/s", "files");
	becomes("[a]\nserial = file:f\n", "--serial=file:dir/f", "serial = file:");
	becomes("[a]\nserial = unix:/u\n", "--serial=unix:/u", "serial = unix:, absolute");
	becomes("[a]\ngdb = g\n", "--serial=null|--gdb=dir/g", "gdb's path");
	becomes("[a]\ngdb = chardev:g\n", "--serial=null|--gdb=chardev:dir/g", "gdb's device");
	becomes("[a]\ngdb = tcp:1234\n", "--serial=null|--gdb=tcp:1234", "gdb's port");
	becomes("kernel = k\n[a]\n", "--serial=null|--kernel=dir/k", "a default");
	becomes("dump = d/%n-%n.core\n[x/y]\n[z]\n", "--serial=null|--dump=dir/d/x_y-x_y.core", "%n is the case");
	tap_is_str(words(1), "--serial=null|--dump=dir/d/z-z.core", "the name of the other case in it");
	becomes("serial = file:%n\n[x]\n[y]\n", "--serial=file:dir/x", "%n in a serial line");
	becomes("kernel = %n\nexpect = %n\n[x]\n", "--serial=null|--kernel=dir/%n|--expect=%n", "no %n elsewhere");
	becomes("serial = file:/dev/null\n[x]\n[y]\n", "--serial=file:/dev/null", "a device may be shared");
	refused("dump = d\n[a]\n[b]\n", 1, "[a] and [b] would both write dir/d; %n in the path is the case's name");
	refused("[a]\nserial = file:f\n[b]\ndump = f\n", 4, "would both write dir/f");
	refused("dump = %n\n[a/b]\n[a_b]\n", 1, "would both write");
}

static void test_refused_lines(void)
{
	refused("", 0, "there is no case in it");
	refused("kernel = x\n[*]\n", 0, "a line [NAME] begins one");
	refused("[a]\n[b]\n[a]\n", 3, "[a]: a case of this name is in line 1");
	refused("[*]\n[a]\n[*]\n", 3, "[*] is there already, in line 1");
	refused("[a\n", 1, "the ] is missing");
	refused("[a] # b\n", 1, "nothing may follow the ]");
	refused("[ ]\n", 1, "needs a name");
	refused("[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
		1, "at most 127 bytes");
	refused("[a]\n\nkernl = x\n", 3, "unknown key kernl, did you mean kernel?");
	refused("[a]\nKernel = x\n", 2, "did you mean kernel?");
	refused("[a]\n--kernel = x\n", 2, "did you mean kernel?");
	refused("[a]\ndeadline_between_hits = 1s\n", 2, "did you mean deadline-between-hits?");
	refused("[a]\nstdin = x\n", 2, "unknown key stdin; the keys are the long options");
	refused("[a]\nmem\n", 2, "mem: the = is missing: KEY = VALUE");
	refused("[a]\nordered\n", 2, "ordered: the = is missing: ordered = yes");
	refused("[a]\nwhat is this\n", 2, "what is this: the = is missing");
	refused("[a]\n= x\n", 2, "the key is missing");
	refused("[a]\nmem =\n", 2, "mem: the value is missing: mem = VALUE");
	refused("[a]\nordered = maybe\n", 2, "ordered = maybe: yes or no is needed");
	refused("[a]\nordered =\n", 2, "yes or no is needed");
	refused("[a]\nserial = file:\n", 2, "a path is missing");
	refused("[a]\ngdb = chardev:\n", 2, "a path is missing");
	refused("[a]\ngdb = stdio\n", 2, "a case has no standard input");
	refused("[a]\nmem = 1M\nmem = 1M\n", 3, "mem is there already, in line 2");
	refused("mem = 1M\n[*]\nmem = 2M\n[a]\n", 3, "mem is there already, in line 1");
	refused("[a]\njob = x\n", 2, "job is no key of a case: a job cannot be part of another");
	refused("[a]\nj = 2\n", 2, "j is no key of a case: it is for all cases, give it on the command line");
	refused("report = x\n[a]\n", 1, "report is no key of a case");
	refused("[a]\nhelp = yes\n", 2, "help is no key");
	refused("[a]\nversion = yes\n", 2, "version is no key");
	refused("[a]\nprobe-host = yes\n", 2, "probe-host is no key");
	refused("[a]\nmem = 1M\x1b[0m\n", 2, "the control character 0x1b");
	refused("[a]\nmem = 1M\r \n", 2, "the control character 0x0d");
}

static char *filled(size_t len, const char *before, char with)
{
	char *text = malloc(len + 1);

	memset(text, with, len);
	memcpy(text, before, strlen(before));
	text[len] = '\0';
	return text;
}

static void test_limits(void)
{
	char *text = filled(JOB_LINE_MAX + 4, "[a]\nexpect =", 'x'), *at;

	tap_ok(!parse(text), "a line as long as can be");
	free(text);
	text = filled(JOB_LINE_MAX + 5, "[a]\nexpect =", 'x');
	refused(text, 2, "the line is too long, 8192 bytes");
	free(text);
	text = filled(JOB_LINE_MAX + 7, "[a]\nexpect =", 'x');
	text[20] = '\\';
	text[21] = '\n';
	refused(text, 3, "the line is too long");
	free(text);
	text = filled(JOB_FILE_MAX, "[a]\n", '\n');
	tap_ok(!parse(text), "a file as large as can be");
	free(text);
	text = filled(JOB_FILE_MAX + 1, "[a]\n", '\n');
	refused(text, 0, "too large, 1048576 bytes");
	for (int n = JOB_CASES_MAX; n <= JOB_CASES_MAX + 1; n++) {
		at = text;
		for (int i = 0; i < n; i++)
			at += sprintf(at, "[%d]\n", i);
		if (n == JOB_CASES_MAX)
			tap_ok(!parse(text) && job.ncases == JOB_CASES_MAX, "as many cases as can be");
		else
			refused(text, JOB_CASES_MAX + 1, "more than 1000 cases");
	}
	at = text + sprintf(text, "[a]\n");
	for (int i = 0; i <= JOB_KEYS_MAX; i++)
		at += sprintf(at, "break = b\n");
	refused(text, JOB_KEYS_MAX + 2, "more than 256 keys");
	at = text + sprintf(text, "[a long name]\ndump = ");
	for (int i = 0; i < 1000; i++)
		at += sprintf(at, "%%n");
	refused(text, 2, "dump: the path is too long");
	free(text);
	tap_ok(parse_len("[a]\nmem = 1\0M\n", 14) == -EINVAL && err.line == 2 && strstr(err.text, "NUL"), "a NUL byte");
	tap_ok(parse_len("\xff\xfe[\0a\0]\0", 8) == -EINVAL && err.line == 1 && strstr(err.text, "UTF-8"), "UTF-16");
}

/* The option table of the command line and this one are of the same opinion. */
static void test_keys(void)
{
	static struct capture out;
	static char program[] = "minivmm", help[] = "--help";
	char *argv[] = {program, help, NULL};
	struct options opts;
	bool seen[JOB_KEYS] = {false};
	size_t n = 0;

	capture_start(&out, STDOUT_FILENO);
	cli_parse(&opts, 2, argv);
	capture_end(&out);
	for (const char *at = out.text; (at = strstr(at, " --")); at++) {
		const struct job_key *key;
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)strspn(at + 3, "abcdefghijklmnopqrstuvwxyz-"), at + 3);
		key = job_key_find(name);
		if (tap_ok(key, "--%s of the help is known here", name))
			seen[job_key_index(key)] = true;
	}
	for (size_t i = 0; i < JOB_KEYS; i++)
		n += seen[i];
	tap_is_u64(n, JOB_KEYS - 1, "all keys are options, but for the short -j");
}

static const char *load(const char *path)
{
	static struct capture cap;

	capture_start(&cap, STDERR_FILENO);
	job_free(&job);
	if (!job_load(&job, path))
		job_check(&job, path, 1);
	return capture_end(&cap);
}

static const char *load_text(const char *text)
{
	FILE *f = fopen("job-test.ini", "w");

	fputs(text, f);
	fclose(f);
	return load("job-test.ini");
}

static void test_files(void)
{
	static struct capture cap;
	char folder[] = "/tmp/job-XXXXXX";

	if (!mkdtemp(folder) || chdir(folder)) {
		tap_skip("a folder in /tmp", "files");
		return;
	}
	tap_is_str(load("none"), "minivmm: --job none: cannot be read: No such file or directory\n", "no such file");
	tap_is_str(load("."), "minivmm: --job .: cannot be read: Is a directory\n", "a folder");
	tap_is_str(load_text("[a]\nmen = 3M\n"), "minivmm: job-test.ini:2: unknown key men, did you mean mem?\n",
		"file and line");
	tap_is_str(load_text("# no case\n"),
		"minivmm: job-test.ini: there is no case in it: a line [NAME] begins one\n", "the file as a whole");
	tap_is_str(load_text("[a]\nmem = 3M\n[b]\nmem = 4M\ncpus = many\n"),
		"minivmm: job-test.ini:5: --cpus many: a number from 1 to 64 is needed\n", "the line of a bad value");
	tap_is_str(load_text("cpus = many\n[b]\nmem = 4M\n"),
		"minivmm: job-test.ini:1: --cpus many: a number from 1 to 64 is needed\n", "a bad default's line");
	tap_is_str(load_text("[a]\n\n[b]\nmem = 4M\ninitrd = x\n"),
		"minivmm: job-test.ini:3: --initrd is of no use without --kernel\n",
		"what does not go together: the case's line");
	tap_is_str(load_text("[a]\nmem = 3M\n"), "", "all is well");
	tap_is_str(job.cases[0].name, "a", "it is loaded");
	tap_is_str(load("job-test.ini"), "", "the same again");
	parse("[a]\ngdb = g\n");
	tap_ok(!job_check(&job, "x", 1), "gdb with -j 1");
	capture_start(&cap, STDERR_FILENO);
	tap_ok(job_check(&job, "x", 2) == -EINVAL, "gdb with -j 2");
	capture_end(&cap);
	tap_ok(strstr(cap.text, "minivmm: x:1: gdb in a job needs -j 1"), "and why not");
	unlink("job-test.ini");
	if (chdir("/"))
		tap_diag("cannot leave %s", folder);
	rmdir(folder);
}

int main(void)
{
	test_lines();
	test_continued();
	test_defaults();
	test_paths();
	test_refused_lines();
	test_limits();
	test_keys();
	test_files();
	job_free(&job);
	return tap_done();
}
