// Kind: what every create() needs: its parts by role, and a model with a filled head.
#include "models/kind.h"
#include <string.h>

struct tdm_model *tdm_build_role(const struct tdm_build *b, const char *role) {
	struct tdm_model *found = NULL;
	return tdm_build_roles(b, role, &found, 1) ? found : NULL;
}

size_t tdm_build_roles(const struct tdm_build *b, const char *role, struct tdm_model **out, size_t cap) {
	size_t n = 0;
	for (size_t i = 0; i < b->n_parts; i++)
		if (!strcmp(b->part_roles[i], role)) {
			if (n < cap)
				out[n] = b->parts[i];
			n++;
		}
	return n;
}

void *tdm_build_model(const struct tdm_build *b, size_t bytes, const struct tdm_model_ops *ops, unsigned can) {
	struct tdm_model *m = tdm_arena_alloc(b->arena, bytes < sizeof *m ? sizeof *m : bytes);
	if (!m) {
		tdm_fail(b->error, TDM_ENOMEM, "%s: the tree needs more memory than it may use", b->where);
		return NULL;
	}
	m->ops = ops;
	m->name = b->name;
	m->kind = b->kind;
	m->settings = b->settings;
	m->can = can;
	m->parts = b->parts;
	m->part_roles = b->part_roles;
	m->n_parts = b->n_parts;
	for (size_t i = 0; i < b->n_parts; i++)
		m->leaves |= b->parts[i]->leaves;
	return m;
}
