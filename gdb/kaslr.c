/* A Linux kernel that has moved itself: how gdb learns it. */
#include "gdb/session_impl.h"

#include <errno.h>
#include <string.h>

/*
 * gdb asks when it connects, and moves the symbols of the file it has. In this form of the reply one number moves all
 * of a file's segments; the other form would move .text, .data and .bss, and leave .rodata and .init.* behind.
 */
bool gdb_cmd_offsets(struct gdb_session *s, struct gdb_cursor *args)
{
	struct gdb_slide slide;

	(void)args;
	if (s->target.slide && s->target.slide->get(s->target.t, &slide) == 0 && slide.state == GDB_SLIDE_FOUND &&
		slide.slide)
		gdb_buf_printf(&s->reply, "TextSeg=%llx", (unsigned long long)slide.first + slide.slide);
	return true;
}

static void put_found(const struct gdb_slide *slide, struct gdb_buf *out)
{
	unsigned long long by = slide->slide;

	if (!by) {
		gdb_buf_printf(out, "the kernel runs where %s links it: its symbols fit as they are\n", slide->file);
		return;
	}
	gdb_buf_printf(out, "the kernel runs 0x%llx above where %s links it; in gdb:\n", by, slide->file);
	if (slide->percpu_at_zero)
		gdb_buf_printf(out, "symbol-file\nadd-symbol-file %s -o 0x%llx -s .data..percpu 0\n", slide->file, by);
	else
		gdb_buf_printf(out, "symbol-file %s -o 0x%llx\n", slide->file, by);
}

static void put_slide(const struct gdb_slide *slide, struct gdb_buf *out)
{
	switch (slide->state) {
	case GDB_SLIDE_NO_SYMBOLS:
		gdb_buf_puts(out, "not known: start minivmm with --symbols and the kernel's unstripped vmlinux\n");
		break;
	case GDB_SLIDE_NOT_YET:
		gdb_buf_puts(out,
			"not known yet: the kernel is not at its place, or no CPU has it mapped now; it is looked "
			"for whenever the machine stops (monitor kaslr stop: stop as soon as it is found)\n");
		break;
	case GDB_SLIDE_OTHER:
		gdb_buf_printf(out, "another kernel runs than that of %s\nfile:  %.*s\nguest: %s\n", slide->file,
			(int)strcspn(slide->banner, "\n"), slide->banner, slide->other);
		break;
	case GDB_SLIDE_FOUND:
		put_found(slide, out);
		break;
	}
}

static void stop_when_found(struct gdb_session *s, struct gdb_buf *out)
{
	switch (s->target.slide->stop(s->target.t)) {
	case 0:
		gdb_buf_puts(out, "continue: the machine stops once the kernel is at its place\n");
		break;
	case -EALREADY:
		gdb_buf_puts(out, "the kernel is at its place already: monitor kaslr\n");
		break;
	case -ENOENT:
		gdb_buf_puts(out, "that needs --symbols and the kernel's unstripped vmlinux\n");
		break;
	case -ENOSPC:
		gdb_buf_puts(out, "no hardware breakpoint is left for that: delete one\n");
		break;
	default:
		gdb_buf_puts(out,
			"not here: neither this host's KVM nor these symbols show the kernel's move; interrupt it "
			"and see\n");
		break;
	}
}

void gdb_monitor_kaslr(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	struct gdb_slide slide = {.state = GDB_SLIDE_NO_SYMBOLS};

	if (*args && strcmp(args, "stop")) {
		gdb_buf_puts(out, "usage: kaslr [stop]\n");
	} else if (!s->target.slide) {
		gdb_buf_puts(out, "this machine does not know about kernels\n");
	} else if (*args) {
		stop_when_found(s, out);
	} else if (s->target.slide->get(s->target.t, &slide) < 0) {
		gdb_buf_puts(out, "the machine is not stopped\n");
	} else {
		put_slide(&slide, out);
	}
}
