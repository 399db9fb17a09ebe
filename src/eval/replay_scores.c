// Replay's scores: see replay_scores.h. To add one that the program computes: a function and its row in `made`.
#include "base/random.h"
#include "eval/replay_scores.h"
#include <math.h>
#include <string.h>

typedef int made_fn(const struct tdm_replay_items *items, uint64_t run, double *out, struct tdm_error *err);

static const struct tdm_outcome_item *item_at(const struct tdm_replay_items *items, size_t i) {
	return &items->table->items[items->numbers[i]];
}

static int no_field(const struct tdm_replay_items *items, size_t i, const char *score, const char *field,
                    struct tdm_error *err) {
	return tdm_fail(err, TDM_EVALUE, "score %s: item \"%s\" has no %s", score, item_at(items, i)->id, field);
}

static int length(const struct tdm_replay_items *items, uint64_t run, double *out, struct tdm_error *err) {
	for (size_t i = 0; i < items->n; i++) {
		const char *prompt = item_at(items, i)->prompt;
		if (!prompt)
			return no_field(items, i, "length", "prompt", err);
		out[i] = (double)strlen(prompt);
	}
	return TDM_OK;
}

static int digits(const struct tdm_replay_items *items, uint64_t run, double *out, struct tdm_error *err) {
	for (size_t i = 0; i < items->n; i++) {
		const char *prompt = item_at(items, i)->prompt;
		if (!prompt)
			return no_field(items, i, "digits", "prompt", err);
		for (out[i] = 0; *prompt; prompt++)
			out[i] += *prompt >= '0' && *prompt <= '9';
	}
	return TDM_OK;
}

// What the large model gains in the item's group, told by the items whose numbers are odd where this one's is even.
static int prior(const struct tdm_replay_items *items, uint64_t run, double *out, struct tdm_error *err) {
	struct sums {
		const char *group;
		double gain[2], n[2];
	} *groups = tdm_arena_array(items->arena, items->n + 1, sizeof *groups), all = {0};
	size_t n_groups = 0, *of = tdm_arena_array(items->arena, items->n, sizeof *of);
	if (!groups || !of)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for the prior");
	for (size_t i = 0; i < items->n; i++) {
		const char *group = item_at(items, i)->group;
		size_t g = i ? of[i - 1] : 0; // items of a group often follow each other
		if (!group)
			return no_field(items, i, "prior", "group", err);
		if (g >= n_groups || strcmp(groups[g].group, group) != 0)
			for (g = 0; g < n_groups && strcmp(groups[g].group, group) != 0;)
				g++;
		if (g == n_groups)
			groups[n_groups++].group = group;
		of[i] = g;
		groups[g].gain[i % 2] += items->strong[i] - items->weak[i];
		groups[g].n[i % 2]++;
		all.gain[i % 2] += items->strong[i] - items->weak[i];
		all.n[i % 2]++;
	}
	for (size_t i = 0; i < items->n; i++) {
		int other = i % 2 == 0;
		const struct sums *s = groups[of[i]].n[other] > 0 ? &groups[of[i]] : &all;
		out[i] = s->n[other] > 0 ? s->gain[other] / s->n[other] : 0;
	}
	return TDM_OK;
}

// By what the large model gains, most first; equal gains by number. Of right and wrong: first what only the large model
// has right, then ties, then what only the small one has.
static int oracle(const struct tdm_replay_items *items, uint64_t run, double *out, struct tdm_error *err) {
	struct tdm_ranking r;
	for (size_t i = 0; i < items->n; i++)
		out[i] = items->weak[i] - items->strong[i];
	int status = tdm_ranking_make(out, items->weak, items->strong, items->n, items->arena, &r, err);
	for (size_t k = 0; k < items->n && !status; k++)
		out[r.place[k]] = -(double)k;
	return status;
}

static int random_values(const struct tdm_replay_items *items, uint64_t run, double *out, struct tdm_error *err) {
	struct tdm_rng rng;
	tdm_rng_stream(&rng, items->options->seed, "random routing", run);
	for (size_t i = 0; i < items->n; i++)
		out[i] = tdm_rng_double(&rng);
	return TDM_OK;
}

static const struct {
	const char *name;
	made_fn *make;
} made[] = {
    {"length", length}, {"digits", digits}, {"prior", prior}, {"oracle", oracle}, {"random", random_values},
};

// What nothing could keep goes to the large model before all others.
static const double *turned(const struct tdm_replay_items *items, const struct tdm_outcome_column *c, double *out) {
	double *keep = tdm_arena_array(items->arena, items->n, sizeof *keep), most = 0;
	for (size_t i = 0; keep && i < items->n; i++) {
		keep[i] = c->values[items->numbers[i]];
		most = fmax(most, -keep[i]);
	}
	for (size_t i = 0; keep && i < items->n; i++)
		out[i] = isnan(keep[i]) ? most + 1 : -keep[i];
	return keep;
}

static int column_values(const struct tdm_replay_items *items, const char *name, double *out, const double **keep,
                         struct tdm_error *err) {
	double sign = name[0] == '-' ? -1 : 1;
	const char *bare = name + (name[0] == '-');
	const struct tdm_outcome_column *c = tdm_outcomes_column(items->table, bare, items->options->small[0]);
	if (!c)
		return tdm_fail(err, TDM_EVALUE,
		                "score %s: no column of that name; others are length, digits, prior, oracle and random", bare);
	if (c->keeps && sign > 0) {
		const double *kept = turned(items, c, out);
		if (keep)
			*keep = kept;
		return kept ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "out of memory for scores");
	}
	for (size_t i = 0; i < items->n; i++) {
		if (isnan(c->values[items->numbers[i]]))
			return no_field(items, i, bare, "number in that column", err);
		out[i] = sign * c->values[items->numbers[i]];
	}
	return TDM_OK;
}

int tdm_replay_score_values(const struct tdm_replay_items *items, const char *name, uint64_t run, const double **out,
                            const double **keep, struct tdm_error *err) {
	double *values = tdm_arena_array(items->arena, items->n, sizeof *values);
	if (!values)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for scores");
	*out = values;
	if (keep)
		*keep = NULL;
	for (size_t i = 0; i < sizeof made / sizeof *made; i++)
		if (!strcmp(name, made[i].name))
			return made[i].make(items, run, values, err);
	return column_values(items, name, values, keep, err);
}
