// How fast each pair turns: the base, the scaling for long contexts (linear, YaRN, a tensor of factors), and turning.
//
// The rule it protects: rates and angles are computed in double, so that a far position is as precise as a near one.
// To add a scaling: a case in scaled_rate.
#include "engine/positions.h"
#include "engine/weights_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct scaling {
	bool is_yarn;
	double factor;    // positions are divided by it; 1: as trained
	double magnitude; // of the rotated vector
	// YaRN: pairs below `keep` turn as trained, pairs above `stretch` by the factor slower, those between by a mixture
	double keep, stretch;
	int trained_context; // before it was extended
};

// --- the metadata

static int read_type(struct tdm_reader *r, struct scaling *s) {
	char key[TDM_KEY_BYTES];
	const char *text = "linear";
	size_t n = 6;
	tdm_gguf_text(r->g, tdm_reader_key(r, "rope.scaling.type", key), &text, &n);
	// "longrope" is what the tensors of factors are; nothing is left to say
	bool is_known = (n == 6 && memcmp(text, "linear", 6) == 0) || (n == 8 && memcmp(text, "longrope", 8) == 0);
	bool is_none = n == 4 && memcmp(text, "none", 4) == 0;
	s->is_yarn = n == 4 && memcmp(text, "yarn", 4) == 0;
	if (!is_none && !s->is_yarn && !is_known)
		return TDM_MISFIT(r, "%s: %s is \"%.*s\"; supported are none, linear, yarn and longrope", r->file, key,
		                  (int)(n < 40 ? n : 40), text);
	s->factor = s->magnitude = 1;
	int status = tdm_reader_count(r, "rope.scaling.original_context_length", (uint64_t)r->w->shape.context,
	                              TDM_MAX_CONTEXT, &s->trained_context);
	if (status == TDM_OK)
		status = tdm_reader_number(r, "rope.scale_linear", 0, 1e6, &s->factor); // as old files name it
	if (status == TDM_OK)
		status = tdm_reader_number(r, "rope.scaling.factor", 0, 1e6, &s->factor);
	if (status == TDM_OK)
		status = tdm_reader_number(r, "rope.scaling.attn_factor", 1e-6, 1e6, &s->magnitude);
	if (is_none || s->factor == 0)
		s->factor = 1;
	return status;
}

// The pair that turns n times over the trained context.
static double pair_of_turns(int n_rotated, double context, double turns, double base) {
	return n_rotated * log(context / (turns * 2 * M_PI)) / (2 * log(base));
}

// Long contexts dilute attention; longer queries and keys make up for it.
static double longer(double factor, double strength) {
	return factor > 1 ? 1 + 0.1 * strength * log(factor) : 1;
}

static int read_yarn(struct tdm_reader *r, struct scaling *s, double base) {
	int n_rotated = r->w->shape.n_rotated, context = s->trained_context, status;
	double fast = 32, slow = 1, log_multiplier = 0;
	status = tdm_reader_number(r, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, &fast);
	if (status == TDM_OK)
		status = tdm_reader_number(r, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, &slow);
	if (status == TDM_OK)
		status = tdm_reader_number(r, "rope.scaling.yarn_log_multiplier", 0, 1e6, &log_multiplier);
	s->keep = fmax(0, floor(pair_of_turns(n_rotated, context, fast, base)));
	s->stretch = fmin(n_rotated - 1, ceil(pair_of_turns(n_rotated, context, slow, base)));
	s->magnitude *= longer(s->factor, 1) / longer(s->factor, log_multiplier);
	return status;
}

// NULL in *out where the file has no such tensor.
static int read_factors(struct tdm_reader *r, const char *name, const struct tdm_tensor **out) {
	const struct tdm_tensor *t = NULL;
	*out = NULL;
	if (!tdm_gguf_tensor(r->g, name))
		return TDM_OK;
	if (!(t = tdm_reader_tensor(r, name, 0, r->w->shape.n_rotated / 2)))
		return TDM_EFORMAT;
	for (uint64_t i = 0; i < t->dims[0]; i++) {
		float factor = 0;
		if (t->type == TDM_F32)
			memcpy(&factor, (const char *)t->data + i * sizeof factor, sizeof factor);
		if (!(factor > 0))
			return TDM_MISFIT(r, "%s: tensor %s must hold positive F32 numbers", r->file, name);
	}
	*out = t;
	return TDM_OK;
}

// Llama 3.1 and later stretch the slow rotations by factors that come as a tensor; Phi 3 has two of them, for sequences
// within the context of its first training and for longer ones.
static int choose_factors(struct tdm_reader *r, int trained_context, const struct tdm_tensor **out) {
	const struct tdm_tensor *all, *within, *beyond;
	int context = r->context ? r->context : r->w->shape.context;
	int status = read_factors(r, "rope_freqs.weight", &all);
	if (status == TDM_OK)
		status = read_factors(r, "rope_factors_short.weight", &within);
	if (status == TDM_OK)
		status = read_factors(r, "rope_factors_long.weight", &beyond);
	if (status == TDM_OK)
		*out = all ? all : context > trained_context ? beyond : within;
	return status;
}

static double scaled_rate(const struct scaling *s, double rate, int pair) {
	double slowed = rate / s->factor;
	if (!s->is_yarn)
		return slowed;
	double at = (pair - s->keep) / fmax(0.001, s->stretch - s->keep), share = fmin(1, fmax(0, at));
	return slowed * share + rate * (1 - share);
}

static int set_rotation(struct tdm_reader *r, int which, double base, const struct scaling *s,
                        const struct tdm_tensor *factors) {
	int n_rotated = r->w->shape.n_rotated;
	struct tdm_rotation *rotation = &r->w->rotations[which];
	rotation->rates = calloc((size_t)n_rotated / 2 + 1, sizeof *rotation->rates);
	if (!rotation->rates)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: no memory for rotations", r->file);
	rotation->magnitude = s->magnitude;
	for (int i = 0; i < n_rotated / 2; i++) {
		float factor = 1;
		if (factors)
			memcpy(&factor, (const char *)factors->data + (size_t)i * sizeof factor, sizeof factor);
		rotation->rates[i] = scaled_rate(s, pow(base, -2.0 * i / n_rotated) / (double)factor, i);
	}
	return TDM_OK;
}

int tdm_positions_read(struct tdm_reader *r) {
	const struct tdm_shape *s = &r->w->shape;
	const struct tdm_tensor *factors = NULL;
	struct scaling scaling = {0};
	double base = 10000, local_base = s->family->local_base;
	if (s->family->unrotated == 1)
		return TDM_OK;
	int status = tdm_reader_number(r, "rope.freq_base", 1, 1e12, &base);
	if (status == TDM_OK)
		status = read_type(r, &scaling);
	if (status == TDM_OK && scaling.is_yarn)
		status = read_yarn(r, &scaling, base);
	if (status == TDM_OK)
		status = choose_factors(r, scaling.trained_context, &factors);
	if (status == TDM_OK)
		status = set_rotation(r, TDM_GLOBAL, base, &scaling, factors);
	if (status != TDM_OK || local_base == 0 || !s->window)
		return status;
	struct scaling local = {.factor = 1, .magnitude = 1};
	status = tdm_reader_number(r, "rope.freq_base_swa", 1, 1e12, &local_base);
	return status == TDM_OK ? set_rotation(r, TDM_LOCAL, local_base, &local, NULL) : status;
}

// --- turning

void tdm_rotation_at(const struct tdm_rotation *rotation, int n_pairs, int position, float *out) {
	for (int i = 0; i < n_pairs; i++) {
		double angle = position * rotation->rates[i];
		out[2 * i] = (float)(cos(angle) * rotation->magnitude);
		out[2 * i + 1] = (float)(sin(angle) * rotation->magnitude);
	}
}

void tdm_rotate(const struct tdm_shape *s, const float *turns, float *x, int n_heads) {
	bool halves = s->family->traits & TDM_HALVES;
	int n_pairs = s->n_rotated / 2, step = halves ? 1 : 2, apart = halves ? n_pairs : 1;
	for (int head = 0; head < n_heads; head++, x += s->head_dim)
		for (int i = 0; i < n_pairs; i++) {
			float *a = x + i * step, *b = a + apart, old = *a, cosine = turns[2 * i], sine = turns[2 * i + 1];
			*a = old * cosine - *b * sine;
			*b = old * sine + *b * cosine;
		}
}
