#include "arch/unwind.h"

#define STACK_ALIGN UNWIND_SCAN_MAX /* Linux: stacks of tasks are aligned to their size, THREAD_SIZE */

uint64_t unwind_reg(const struct unwind_guest *g, const char *name)
{
	uint64_t value = 0;

	return g->reg(g->ctx, name, &value) ? value : 0;
}

bool unwind_word(const struct unwind_guest *g, uint64_t va, unsigned size, uint64_t *value)
{
	uint8_t bytes[8];

	*value = 0;
	if (size > sizeof(bytes) || va + size < va || g->read(g->ctx, va, bytes, size) != size)
		return false;
	for (unsigned i = size; i-- > 0;)
		*value = *value << 8 | bytes[i];
	return true;
}

bool unwind_add(struct unwind *u, struct unwind_frame frame)
{
	if (u->n >= UNWIND_FRAMES_MAX)
		return false;
	u->frame[u->n++] = frame;
	return u->n < UNWIND_FRAMES_MAX;
}

/* ---- a stack looked through word by word ---- */

void unwind_scan_from(struct unwind_scan *s, uint64_t sp)
{
	uint64_t linux_banner;

	s->at = (sp + s->word - 1) / s->word * s->word;
	s->end = s->at + UNWIND_SCAN_MAX;
	if (s->g->symbol(s->g->ctx, "linux_banner", &linux_banner))
		s->end = (sp | (STACK_ALIGN - 1)) + 1;
	if (s->end < s->at) /* the end of all addresses */
		s->end = s->at;
}

bool unwind_scan_next(struct unwind_scan *s, uint64_t *pc)
{
	while (s->at < s->end) {
		if (!unwind_word(s->g, s->at, s->word, pc)) {
			s->end = s->at;
			return false;
		}
		s->at += s->word;
		if (s->clean)
			*pc = s->clean(s, *pc);
		if (*pc && s->g->text(s->g->ctx, *pc - 1) && s->behind_call(s->g, *pc))
			return true;
	}
	return false;
}

void unwind_scan_all(struct unwind_scan *s, struct unwind *u)
{
	uint64_t pc;

	while (unwind_scan_next(s, &pc)) {
		if (!unwind_add(u, (struct unwind_frame){.pc = pc, .call = true, .guess = true}))
			return;
	}
}
