/*
 * Write watchpoints that the debug hardware cannot hold: their pages are write-protected, and each write to these that
 * leaves the guest is looked at. What is watched is physical: the addresses are resolved when the watchpoint comes and
 * at every release. A write that KVM cannot hand out is executed by its vCPU alone, with the protection lifted, and the
 * watched bytes are compared.
 */
#include "vmm/debug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/debug_priv.h"

/* ---- what is watched, and in which pages ---- */

struct piece_list {
	struct watch_piece *piece;
	size_t n, cap;
};

static int add_piece(struct piece_list *l, const struct watch_piece *p)
{
	struct watch_piece *last = l->n ? &l->piece[l->n - 1] : NULL;
	size_t cap = l->cap ? l->cap * 2 : 16;
	struct watch_piece *more;

	if (last && last->va + last->len == p->va && last->gpa + last->len == p->gpa && !p->slot && !last->slot) {
		last->len += p->len;
		return 0;
	}
	if (l->n == l->cap) {
		more = realloc(l->piece, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->piece = more;
		l->cap = cap;
	}
	l->piece[l->n++] = *p;
	return 0;
}

/* Where it led at the last release: a page that the guest unmaps stays watched. */
static bool old_place(const struct watch_set *w, uint64_t va, struct mapping *map)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct watch_piece *p = &w->piece[i];

		if (va - p->va >= p->len)
			continue;
		*map = (struct mapping){.gpa = p->gpa + (va - p->va), .len = p->len - (va - p->va)};
		return true;
	}
	return false;
}

/* The pieces of one watchpoint. -EFAULT: not all of it is mapped RAM. */
static int resolve(struct vm_debug *d, const struct break_entry *e, bool keep_old, struct piece_list *l)
{
	uint64_t at = 0, ram = 0;
	struct mapping map;
	int ret = 0;

	while (at < e->spec.len && ret == 0) {
		struct watch_piece p = {.va = e->spec.addr + at, .len = e->spec.len - at, .access = HW_WRITE};

		if (debug_resolve(d, e->watch_cpu, p.va, true, &map) && !(keep_old && old_place(&d->watch, p.va, &map)))
			return -EFAULT;
		p.gpa = map.gpa;
		if (!d->m.ram(d->m.ctx, p.gpa, &ram))
			return -EFAULT;
		if (p.len > map.len)
			p.len = map.len;
		if (p.len > ram)
			p.len = ram;
		p.slot = e->service == SERVED_SLOT;
		if (e->spec.type == VM_BREAK_WATCH_ACCESS)
			p.access = HW_ACCESS;
		at += p.len;
		ret = add_piece(l, &p);
	}
	return ret;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static size_t unique(uint64_t *page, size_t n)
{
	size_t kept = 0;

	qsort(page, n, sizeof(*page), by_number);
	for (size_t i = 0; i < n; i++) {
		if (!kept || page[kept - 1] != page[i])
			page[kept++] = page[i];
	}
	return kept;
}

static bool has_page(const uint64_t *page, size_t n, uint64_t p)
{
	return n && bsearch(&p, page, n, sizeof(p), by_number);
}

/* The pages of these pieces and `more` besides, sorted. */
static int pages_of(
	struct vm_debug *d, const struct piece_list *l, const uint64_t *more, size_t nmore, uint64_t **out, size_t *n)
{
	uint64_t size = d->m.page_size;
	size_t room = nmore;

	for (size_t i = 0; i < l->n; i++)
		room += l->piece[i].slot ? 0 : l->piece[i].len / size + 2;
	*n = 0;
	*out = malloc((room + 1) * sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++) {
		uint64_t first = l->piece[i].gpa / size, last = (l->piece[i].gpa + l->piece[i].len - 1) / size;

		for (uint64_t p = first; p <= last && !l->piece[i].slot; p++)
			(*out)[(*n)++] = p * size;
	}
	for (size_t i = 0; i < nmore; i++)
		(*out)[(*n)++] = more[i];
	*n = unique(*out, *n);
	return 0;
}

/* Protects these pages, which become the set's own whatever comes of it. */
static int protect(struct vm_debug *d, uint64_t *page, size_t n)
{
	struct watch_set *w = &d->watch;
	bool same = n == w->npages && (n == 0 || !memcmp(page, w->page, n * sizeof(*page)));
	int ret = same ? 0 : d->m.protect(d->m.ctx, page, n, false);

	if (ret == 0) {
		free(w->page);
		w->page = page;
		w->npages = n;
		return 0;
	}
	free(page);
	if (ret != -ENOSPC && ret != -EOPNOTSUPP) { /* who knows how far it came */
		w->npages = 0;
		(void)d->m.protect(d->m.ctx, NULL, 0, false);
	}
	return ret;
}

/* ---- choosing ---- */

struct busy_call {
	struct vm_debug *d;
	int cpu;
	const uint64_t *page;
	size_t n;
	const char *why;
};

static int busy_call(void *arg)
{
	struct busy_call *b = arg;

	b->why = b->d->m.page_busy(b->d->m.ctx, b->cpu, b->page, b->n);
	return 0;
}

/* Pages that are protected already have been asked about. */
static const char *find_busy(struct vm_debug *d, const uint64_t *page, size_t n)
{
	struct busy_call b = {.d = d, .page = page, .n = n};
	bool asked = true;

	for (size_t i = 0; i < n; i++)
		asked = asked && has_page(d->watch.page, d->watch.npages, page[i]);
	if (asked || !d->m.page_busy)
		return NULL;
	for (b.cpu = 0; b.cpu < d->m.ncpus && !b.why; b.cpu++)
		(void)vm_debug_call(d, b.cpu, busy_call, &b); /* one that has gone uses nothing */
	return b.why;
}

static int refuse_kind(int ret, const char **why)
{
	if (ret == -ENOSPC)
		*why = "all hardware breakpoint slots are in use, and a read cannot be caught by protecting its page";
	else if (ret == -EOPNOTSUPP)
		*why = "this host's KVM does not trap data accesses, and only writes can be caught by protecting pages";
	return ret;
}

static const char *refusal(int ret)
{
	switch (ret) {
	case -EFAULT:
		return "no slot can watch this, and protecting its pages needs all of them mapped to RAM";
	case -EOPNOTSUPP:
		return "no slot can watch this, and this host's KVM has no read-only memory slots";
	case -ENOSPC:
		return "no slot can watch this, and protecting its pages takes more memory slots than KVM has";
	default:
		return "no slot can watch this, and its pages cannot be write-protected";
	}
}

int watch_choose(struct vm_debug *d, struct break_entry *e, int ret, const char **why)
{
	struct watch_set *w = &d->watch;
	struct piece_list l = {0};
	uint64_t *page = NULL;
	const char *busy;
	size_t n = 0;

	if (e->spec.type != VM_BREAK_WATCH_WRITE)
		return refuse_kind(ret, why);
	if (!d->m.protect || !e->spec.len || e->spec.addr + (e->spec.len - 1) < e->spec.addr)
		return ret;
	e->service = SERVED_WRITE_TRAP;
	ret = resolve(d, e, false, &l);
	if (ret == 0)
		ret = pages_of(d, &l, NULL, 0, &page, &n);
	busy = ret == 0 ? find_busy(d, page, n) : NULL;
	free(page);
	if (busy) {
		*why = busy;
		ret = -EBUSY;
	} else if (ret == 0) {
		ret = pages_of(d, &l, w->page, w->npages, &page, &n);
		if (ret == 0)
			ret = protect(d, page, n);
	}
	free(l.piece);
	if (ret < 0 && !busy)
		*why = refusal(ret);
	return ret;
}

/* ---- release ---- */

void watch_apply(struct vm_debug *d, bool only_steps)
{
	struct watch_set *w = &d->watch;
	struct piece_list l = {0};
	uint64_t *page;
	size_t n;
	int ret = 0;

	watch_lift(d, false);
	for (size_t i = 0; i < d->breaks.n && ret == 0; i++) {
		const struct break_entry *e = &d->breaks.entry[i];

		if (e->service == SERVED_WRITE_TRAP)
			ret = resolve(d, e, true, &l);
		if (ret == -EFAULT)
			ret = 0;
	}
	/* What is not mapped cannot be written; once it is, the next release finds it. */
	for (size_t i = 0; i < d->breaks.n && ret == 0 && l.n; i++) {
		const struct break_entry *e = &d->breaks.entry[i];

		if (e->service == SERVED_SLOT &&
			(e->spec.type == VM_BREAK_WATCH_WRITE || e->spec.type == VM_BREAK_WATCH_ACCESS))
			(void)resolve(d, e, true, &l);
	}
	if (ret < 0) { /* no memory: what was watched goes on being watched */
		free(l.piece);
		return;
	}
	free(w->piece);
	w->piece = l.piece;
	w->n = l.n;
	if (!w->n && !w->npages)
		return;
	if (pages_of(d, &l, only_steps ? w->page : NULL, only_steps ? w->npages : 0, &page, &n) == 0)
		(void)protect(d, page, n);
}

void watch_lift(struct vm_debug *d, bool lifted)
{
	struct watch_set *w = &d->watch;
	uint64_t len = 0, at = 0, room;

	if (w->lifted != lifted)
		(void)d->m.protect(d->m.ctx, w->page, w->npages, lifted);
	w->lifted = lifted;
	free(w->before);
	w->before = NULL;
	if (!lifted)
		return;
	for (size_t i = 0; i < w->n; i++)
		len += w->piece[i].slot ? 0 : w->piece[i].len;
	w->before = malloc(len + 1);
	for (size_t i = 0; w->before && i < w->n && !w->piece[i].slot; at += w->piece[i++].len)
		memcpy(w->before + at, d->m.ram(d->m.ctx, w->piece[i].gpa, &room), w->piece[i].len);
}

void watch_free(struct vm_debug *d)
{
	free(d->watch.piece);
	free(d->watch.page);
	free(d->watch.before);
	memset(&d->watch, 0, sizeof(d->watch));
}

/* ---- hits ---- */

bool watch_changed(struct vm_debug *d, uint64_t *va)
{
	struct watch_set *w = &d->watch;
	uint8_t *before = w->before;
	bool changed = false;
	uint64_t room;

	for (size_t i = 0; before && i < w->n && !w->piece[i].slot; before += w->piece[i++].len) {
		const uint8_t *now = d->m.ram(d->m.ctx, w->piece[i].gpa, &room);

		for (uint64_t k = 0; k < w->piece[i].len; k++) {
			if (now[k] != before[k] && !changed) {
				changed = true;
				*va = w->piece[i].va + k;
			}
			before[k] = now[k];
		}
	}
	return changed;
}

bool vm_debug_watched(struct vm_debug *d, int cpu, uint64_t gpa, uint64_t len, struct vm_stop *stop)
{
	/* Known already: the one that steps on makes the access. */
	if (d->solo == cpu && d->cpu[cpu].at_watch)
		return false;
	for (size_t i = 0; i < d->watch.n; i++) {
		const struct watch_piece *p = &d->watch.piece[i];

		if (gpa < p->gpa + p->len && p->gpa < gpa + len) {
			*stop = (struct vm_stop){.kind = VM_STOP_WATCH,
				.access = p->access,
				.addr = p->va + (gpa > p->gpa ? gpa - p->gpa : 0)};
			return true;
		}
	}
	return false;
}

bool vm_debug_lift(struct vm_debug *d, int cpu, unsigned steps)
{
	bool taken;

	pthread_mutex_lock(&d->lock);
	taken = d->watch.npages && !d->watch.lifted;
	if (taken) {
		d->cpu[cpu].known = true;
		d->cpu[cpu].lift = steps;
		debug_begin_stop_locked(d, cpu);
	}
	pthread_mutex_unlock(&d->lock);
	return taken;
}
