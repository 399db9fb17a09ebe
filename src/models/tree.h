// Tree: the settings file made into models.
//
//   models: {NAME: {kind: KIND, ROLE: NAME or inline mapping, OPTION: VALUE, price: {in, out}, hidden: yes}, ...}
//   state: what requests and replicas share (ledger/shared_settings.c)
//   serve:, ledger:, log:   sections for others, found by tdm_tree_section
//
// A bad tree is refused with one sentence naming file, line, model and reason: unknown kind or option (with the nearest
// known one), a missing or unknown role, a role without the needed capability, a cycle.
#pragma once
#include "models/kind.h"

struct tdm_tree;

int tdm_tree_load(const char *name, const char *folder, const char *text, size_t n, const struct tdm_kind *const *kinds,
                  const void *(*embedded)(const char *, size_t *), struct tdm_tree **out, struct tdm_error *err);
// The same in two steps, for who does something between them. Reading makes no model: text and sections are checked.
int tdm_tree_read(const char *name, const char *folder, const char *text, size_t n, const struct tdm_kind *const *kinds,
                  const void *(*embedded)(const char *, size_t *), struct tdm_tree **out, struct tdm_error *err);
struct tdm_tree_watch { // is told of every named model before it is made: the n-th of `total`
	void (*making)(struct tdm_tree_watch *self, const char *model, size_t n, size_t total);
};
int tdm_tree_build(struct tdm_tree *t, struct tdm_tree_watch *watch, struct tdm_error *err); // watch may be NULL
void tdm_tree_close(struct tdm_tree *t);
struct tdm_model *tdm_tree_model(const struct tdm_tree *t, const char *name);         // NULL when unknown
size_t tdm_tree_models(const struct tdm_tree *t, struct tdm_model *const **out);      // named ones, in file order
const struct tdm_value *tdm_tree_section(const struct tdm_tree *t, const char *name); // "serve" ...; NULL when absent
struct tdm_shared *tdm_tree_shared(const struct tdm_tree *t);                         // of the section `state`
const char *tdm_tree_hash(const struct tdm_tree *t);         // "sha256:..." of the settings text
struct tdm_price tdm_tree_dearest(const struct tdm_tree *t); // what a token costs on the dearest source of the tree
