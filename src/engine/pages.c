#include "engine/pages.h"
#include <stdlib.h>

void tdm_pages_release(struct tdm_pages *p, struct tdm_cache *c) {
	tdm_pages_cut(p, c, 0);
	for (int g = 0; g < TDM_MOST_GROUPS; g++)
		free(p->of[g]);
	*p = (struct tdm_pages){0};
}

bool tdm_pages_room(struct tdm_pages *p, const struct tdm_cache *c, int cap) {
	for (int g = 0; g < c->n_groups && cap > p->cap; g++) {
		uint8_t **larger = realloc(p->of[g], (size_t)cap * sizeof *larger);
		if (!larger)
			return false;
		p->of[g] = larger;
	}
	p->cap = cap > p->cap ? cap : p->cap;
	return true;
}

static int first_of(const struct tdm_pages *p, const struct tdm_cache *c, int group) {
	return group < c->n_whole ? 0 : p->first;
}

bool tdm_pages_extend(struct tdm_pages *p, struct tdm_cache *c, int n) {
	for (; p->n < n; p->n++)
		for (int g = 0; g < c->n_groups; g++) {
			if ((p->of[g][p->n] = tdm_page_new(c)))
				continue;
			while (g-- > 0)
				tdm_page_drop(c, p->of[g][p->n]);
			return false;
		}
	return true;
}

void tdm_pages_cut(struct tdm_pages *p, struct tdm_cache *c, int n) {
	for (; p->n > n; p->n--)
		for (int g = 0; g < c->n_groups; g++)
			if (p->n > first_of(p, c, g))
				tdm_page_drop(c, p->of[g][p->n - 1]);
	p->first = p->first < n ? p->first : n;
}

void tdm_pages_leave(struct tdm_pages *p, struct tdm_cache *c, int first) {
	for (; p->first < first && p->first < p->n; p->first++)
		for (int g = c->n_whole; g < c->n_groups; g++) {
			tdm_page_drop(c, p->of[g][p->first]);
			p->of[g][p->first] = NULL;
		}
}

bool tdm_pages_own(struct tdm_pages *p, struct tdm_cache *c, int i) {
	for (int g = 0; g < c->n_groups; g++) {
		uint8_t *own = tdm_page_own(c, p->of[g][i]);
		if (!own)
			return false;
		p->of[g][i] = own;
	}
	return true;
}

void tdm_pages_share(struct tdm_pages *out, const struct tdm_cache *c, const struct tdm_pages *p) {
	out->n = p->n;
	out->first = p->first;
	for (int g = 0; g < c->n_groups; g++)
		for (int i = 0; i < p->n; i++) {
			out->of[g][i] = p->of[g][i];
			if (i >= first_of(p, c, g))
				tdm_page_share(out->of[g][i]);
		}
}
