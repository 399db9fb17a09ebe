// Kind: a method of the field as one row. A kind declares the roles it needs, what the model in each role must be able
// to do, and its options; the builder checks all of that before create() runs, so that a bad tree is refused with one
// sentence. The list of kinds is cli/kinds.c; it is passed down as a parameter, nothing below cli knows it.
#pragma once
#include "base/option.h"
#include "ledger/shared.h"
#include "models/model.h"

enum tdm_family { TDM_SOURCE, TDM_POLICY, TDM_STRATEGY };
enum tdm_goal { TDM_GOAL_NONE, TDM_GOAL_QUALITY, TDM_GOAL_COST, TDM_GOAL_PRIVACY, TDM_GOAL_TRUST };

struct tdm_role {
	const char *name;
	unsigned needs; // enum tdm_cap, all of them
	int min, max;   // 1, 1 = exactly one model; max > 1 = a list
	const char *help;
};

struct tdm_build {           // what create() sees
	struct tdm_arena *arena; // lives as long as the tree
	struct tdm_error *error;
	const char *name, *where; // where: "tandem.yaml line 4: model small", the prefix of every sentence
	const char *folder;       // of the settings file; relative paths start here
	const struct tdm_kind *kind;
	struct tdm_model **parts; // in role order
	const char **part_roles;
	size_t n_parts;
	const void *(*embedded)(const char *name, size_t *n); // data inside the program; NULL when it has none
	struct tdm_shared *state;                             // what requests and replicas share; lives as long as the tree
	const char *tree_hash;                                // of the settings, "sha256:..."; NULL = none
	const struct tdm_value *settings;                     // the mapping of this model; NULL = none
};
struct tdm_model *tdm_build_role(const struct tdm_build *b, const char *role); // the first model in that role, or NULL
size_t tdm_build_roles(const struct tdm_build *b, const char *role, struct tdm_model **out, size_t cap); // the count
// Allocates an implementation of `bytes` in the arena and fills its head (name, kind, parts, ops, can, leaves).
void *tdm_build_model(const struct tdm_build *b, size_t bytes, const struct tdm_model_ops *ops, unsigned can);

struct tdm_kind {
	const char *name, *summary;
	enum tdm_family family;
	enum tdm_goal goal;
	const char *leaf, *source; // place in the survey's taxonomy ("B3a"); paper
	const struct tdm_role *roles;
	size_t n_roles;
	const struct tdm_option *options;
	size_t n_options, options_bytes;
	int (*create)(const struct tdm_build *b, const void *options, struct tdm_model **out);
};
#define TDM_COUNT(array) (sizeof(array) / sizeof(array)[0])
