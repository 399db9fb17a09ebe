// Outcomes: what models answered to items, recorded: whether each was right, what it cost, and whatever was known
// before. `tandem replay` and the fitting of routers read it; no model is called.
//
// A table (table.h) has one row per item, with columns correct:MODEL, answer:MODEL, output:MODEL, cost:MODEL; or one
// row per item and model, with columns item, model, correct, answer, output, cost. Of the item: item (absent: the
// number of its row), prompt, group, gold (the right answer), features (numbers with blanks between). Any other column
// X is kept under its name; in the second form it belongs to a model and is called X:MODEL. Several tables are joined
// by item.
//
// The rule it protects: strict. A value outside its range, a cell given twice, or one item with two prompts is an error
// that names file and line; what is absent stays absent (NAN, NULL) and is never taken for 0.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include <stdbool.h>

struct tdm_outcome {
	double correct;     // 0..1; NAN = unknown
	double cost;        // >= 0; NAN = unknown
	const char *answer; // NULL = none
	const char *output; // the whole reply, from which an answer can be taken; NULL = none
	bool is_there;      // the table has something of this model here, be it an empty reply
};

struct tdm_outcome_item {
	const char *id;
	const char *prompt, *group, *gold; // NULL = not given
	const double *features;            // tdm_outcomes.n_features of them; NULL = not given
};

struct tdm_outcome_column {
	const char *name;
	double *values;     // one per item; NAN = absent or not a number
	const char **texts; // one per item; NULL = absent
	bool keeps; // a score as routes and cascades have them: the small model's answer is kept from a threshold on
};

struct tdm_outcomes {
	struct tdm_arena arena;
	const char **models;
	size_t n_models;
	struct tdm_outcome_item *items; // in the order of the first file
	size_t n_items, n_features;
	struct tdm_outcome *cells; // [item][model]
	struct tdm_outcome_column *columns;
	size_t n_columns;
	void *files; // what the texts live in
	size_t n_files;
};

struct tdm_outcomes_options {
	// "ROLE=COLUMN": that column is read as ROLE (item, model, prompt, group, gold, features, answer, output, correct,
	// cost, correct:MODEL, ...).
	const char *const *names;
	size_t n_names;
	// "correct", "answer", "output" or "cost": every column without a role is a model's value of it. NULL = other
	// columns are kept under their names.
	const char *others;
};

// On failure *out needs no release. Errors: TDM_EIO, TDM_EFORMAT, TDM_EVALUE (options), TDM_ENOMEM.
int tdm_outcomes_read(const char *const *paths, size_t n_paths, const struct tdm_outcomes_options *options,
                      struct tdm_outcomes *out, struct tdm_error *err);
void tdm_outcomes_release(struct tdm_outcomes *o);
// The number of a model. Error: TDM_EVALUE, the sentence names the nearest one.
int tdm_outcomes_model(const struct tdm_outcomes *o, const char *name, size_t *model, struct tdm_error *err);
// The column called `name`, or name:MODEL where `model` (a number, SIZE_MAX = none) has one. NULL = none.
const struct tdm_outcome_column *tdm_outcomes_column(const struct tdm_outcomes *o, const char *name, size_t model);

// Adds a score that keeps (NAN: nothing could), one value per item, borrowed. Errors: TDM_EVALUE (there is one of that
// name), TDM_ENOMEM.
int tdm_outcomes_keep(struct tdm_outcomes *o, const char *name, double *values, struct tdm_error *err);

static inline struct tdm_outcome *tdm_outcome_at(const struct tdm_outcomes *o, size_t item, size_t model) {
	return &o->cells[item * o->n_models + model];
}
