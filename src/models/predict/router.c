#include "models/predict/router.h"
#include <math.h>
#include <string.h>

#define HASH_START 14695981039346656037u
#define HASH_FACTOR 1099511628211u // FNV-1a, 64 bits
enum { MOST_NEIGHBOURS = 256, TIERS_STEPS = 100, LONGEST_HEAD = 79, N_WORD_BITS = TDM_ROUTER_WORDS * 8, NO_WORDS = 0 };

const char *const tdm_router_names[TDM_ROUTER_SCORERS] = {"quality", "gap", "knn", "similarity", "mf"};
const char *const tdm_router_reads_names[TDM_ROUTER_READS] = {"text", "vector", "hidden", "logits"};

int tdm_router_inputs(const struct tdm_router *r) {
	if (r->width > 0)
		return r->width;
	return r->scorer <= TDM_ROUTER_GAP ? TDM_ROUTER_TEXT : TDM_ROUTER_FOLDED;
}

bool tdm_router_predicts(enum tdm_router_scorer scorer) {
	return scorer == TDM_ROUTER_QUALITY || scorer == TDM_ROUTER_KNN;
}

// --- what it sees of a request

static uint32_t mixed(uint32_t x) { // a sign and a place that have nothing to do with each other
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

static void fold_text(const struct tdm_router_sight *s, float *out) {
	float grams[TDM_N_GRAMS] = {0};
	tdm_feature_grams(s->text, s->n, grams, TDM_N_GRAMS);
	memset(out, 0, TDM_ROUTER_FOLDED * sizeof *out);
	for (uint32_t k = 0; k < TDM_N_GRAMS; k++)
		out[mixed(k) % TDM_ROUTER_FOLDED] += mixed(k) >> 31 ? -grams[k] : grams[k];
}

// A short first line often says what a text is about (a subject, a form's name): it has a number of its own, which the
// length of the rest does not thin out. -1: the text has none.
static int head_of(const struct tdm_router_sight *s) {
	const char *end = memchr(s->text, '\n', s->n);
	uint64_t hash = HASH_START;
	if (!end || end == s->text || end - s->text > LONGEST_HEAD)
		return -1;
	for (const char *c = s->text; c < end; c++)
		hash = (hash ^ (unsigned char)*c) * HASH_FACTOR;
	return (int)(hash >> 20 & (TDM_ROUTER_HEADS - 1));
}

static double share_of_digits(const struct tdm_router_sight *s) {
	double n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += s->text[i] >= '0' && s->text[i] <= '9';
	return s->n ? n / (double)s->n : 0;
}

void tdm_router_features(const struct tdm_router *r, const struct tdm_router_sight *s, float *out) {
	if (r->width > 0) {
		memcpy(out, s->vector, (size_t)r->width * sizeof *out);
		return;
	}
	if (r->scorer > TDM_ROUTER_GAP) {
		fold_text(s, out);
		return;
	}
	// The length with a scale of its own, about -1..1: it tells much, and the penalty should not forbid it.
	float length = (float)((log1p((double)s->n) - 6) / 2);
	int head = head_of(s);
	memset(out, 0, TDM_ROUTER_TEXT * sizeof *out);
	tdm_feature_grams(s->text, s->n, out, TDM_ROUTER_GRAMS);
	out[TDM_ROUTER_GRAMS] = length;
	out[TDM_ROUTER_GRAMS + 1] = length * length;
	out[TDM_ROUTER_GRAMS + 2] = (float)(3 * share_of_digits(s));
	if (head >= 0)
		out[TDM_ROUTER_GRAMS + 3 + head] = 1;
}

static bool is_word(unsigned char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

// The place of the next word's bit; false at the end. Numbers are no words: every sum has new ones.
static bool next_word(const char *text, size_t n, size_t *at, uint32_t *bit) {
	uint64_t hash = HASH_START;
	while (*at < n && !is_word((unsigned char)text[*at]))
		++*at;
	if (*at == n)
		return false;
	for (; *at < n && is_word((unsigned char)text[*at]); ++*at) {
		unsigned char c = (unsigned char)text[*at];
		hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * HASH_FACTOR;
	}
	*bit = (uint32_t)((hash ^ hash >> 31) % N_WORD_BITS);
	return true;
}

// To have no words at all is as a word: sums are unfamiliar only where the fit had none.
static bool next_sign(const char *text, size_t n, size_t *at, size_t *count, uint32_t *bit) {
	*bit = NO_WORDS;
	return next_word(text, n, at, bit) ? ++*count > 0 : !(*count)++;
}

void tdm_router_learn_words(struct tdm_router *r, const char *text, size_t n) {
	uint32_t bit;
	for (size_t at = 0, count = 0; next_sign(text, n, &at, &count, &bit);)
		r->words[bit / 8] |= (unsigned char)(1u << bit % 8);
}

double tdm_router_familiar(const struct tdm_router *r, const char *text, size_t n) {
	uint32_t bit;
	double known = 0, all = 0;
	for (size_t at = 0, count = 0; next_sign(text, n, &at, &count, &bit); all++)
		known += r->words[bit / 8] >> bit % 8 & 1;
	return known / all;
}

float tdm_router_shrink(const float *x, int n, signed char *out) {
	float most = 0;
	double sum = 0;
	for (int i = 0; i < n; i++)
		most = fmaxf(most, fabsf(x[i]));
	for (int i = 0; i < n; i++) {
		out[i] = (signed char)(most > 0 ? lrintf(x[i] / most * 127) : 0);
		sum += (double)out[i] * (double)out[i];
	}
	return (float)sqrt(sum);
}

// --- the scorers

static double logistic(double z) {
	return 1 / (1 + exp(-z));
}

static double row_times(const float *row, const float *x, int n) {
	double sum = row[n];
	for (int i = 0; i < n; i++)
		if (x[i] != 0) // most numbers of a text are
			sum += (double)row[i] * (double)x[i];
	return sum;
}

static void judge_rows(const struct tdm_router *r, const float *x, struct tdm_router_look *out) {
	int n = tdm_router_inputs(r), last = r->n_models - 1;
	for (int m = 0; m < r->n_models; m++) {
		double z = row_times(r->quality + (size_t)m * (size_t)(n + 1), x, n);
		out->quality[m] = r->is_linear ? fmin(1, fmax(0, z)) : logistic(z);
		if (r->cost)
			out->cost[m] = fmax(0, row_times(r->cost + (size_t)m * (size_t)(n + 1), x, n));
	}
	if (r->scorer == TDM_ROUTER_GAP) {
		memcpy(out->good, out->quality, sizeof out->good);
		out->good[last] = out->quality[last] = 0.5;
	}
}

static double cosine(const struct tdm_router *r, size_t item, const signed char *x, float length) {
	int n = tdm_router_inputs(r), sum = 0;
	const signed char *y = r->vectors + item * (size_t)n;
	for (int i = 0; i < n; i++)
		sum += x[i] * y[i];
	double scale = (double)length * (double)r->lengths[item];
	return scale > 0 ? sum / scale : 0;
}

struct near {
	double cosine;
	size_t item;
};

static void judge_nearest(const struct tdm_router *r, const double *cosines, struct tdm_router_look *out) {
	struct near nearest[MOST_NEIGHBOURS];
	int n = 0, most = r->neighbours;
	for (size_t i = 0; i < r->n_items; i++) {
		if (n == most && cosines[i] <= nearest[n - 1].cosine)
			continue;
		int at = n < most ? n++ : n - 1;
		for (; at > 0 && nearest[at - 1].cosine < cosines[i]; at--)
			nearest[at] = nearest[at - 1];
		nearest[at] = (struct near){cosines[i], i};
	}
	for (int m = 0; m < r->n_models; m++) {
		double quality = 0, cost = 0;
		for (int k = 0; k < n; k++) {
			size_t at = nearest[k].item * (size_t)r->n_models + (size_t)m;
			quality += (double)r->outcomes[at];
			cost += (double)r->prices[at];
		}
		out->quality[m] = quality / n;
		out->cost[m] = cost / n;
	}
}

// wins[a][b]: how often, by weight, a was better than b. Strengths by minorisation (Hunter 2004), ln of them in s.
static void rank_models(int n, double wins[][TDM_ROUTER_MODELS], double *s) {
	double strength[TDM_ROUTER_MODELS];
	for (int a = 0; a < n; a++)
		strength[a] = 1;
	for (int step = 0; step < TIERS_STEPS; step++)
		for (int a = 0; a < n; a++) {
			double won = 0, met = 0;
			for (int b = 0; b < n; b++) {
				won += b == a ? 0 : wins[a][b];
				met += b == a ? 0 : (wins[a][b] + wins[b][a]) / (strength[a] + strength[b]);
			}
			strength[a] = met > 0 ? fmax(won / met, 1e-9) : 1;
		}
	for (int a = 0; a < n; a++)
		s[a] = log(strength[a]);
}

static void judge_similar(const struct tdm_router *r, const double *cosines, double *s) {
	double wins[TDM_ROUTER_MODELS][TDM_ROUTER_MODELS] = {{0}}, most = 1e-9;
	for (size_t i = 0; i < r->n_items; i++)
		most = fmax(most, cosines[i]);
	for (size_t i = 0; i < r->n_items; i++) {
		const float *q = r->outcomes + i * (size_t)r->n_models;
		double weight = pow(10, 1 + cosines[i] / most);
		for (int a = 0; a < r->n_models; a++)
			for (int b = 0; b < r->n_models; b++)
				wins[a][b] += weight * (q[a] > q[b] ? 2 : q[a] == q[b] ? 1 : 0);
	}
	rank_models(r->n_models, wins, s);
}

static int judge_stored(const struct tdm_router *r, const float *x, struct tdm_arena *arena,
                        struct tdm_router_look *out, double *s) {
	signed char *small = tdm_arena_alloc(arena, (size_t)tdm_router_inputs(r));
	double *cosines = tdm_arena_array(arena, r->n_items, sizeof *cosines);
	if (!small || !cosines)
		return TDM_ENOMEM;
	float length = tdm_router_shrink(x, tdm_router_inputs(r), small);
	for (size_t i = 0; i < r->n_items; i++)
		cosines[i] = cosine(r, i, small, length);
	if (r->scorer == TDM_ROUTER_KNN)
		judge_nearest(r, cosines, out);
	else
		judge_similar(r, cosines, s);
	return TDM_OK;
}

static void judge_factors(const struct tdm_router *r, const float *x, double *s) {
	int n = tdm_router_inputs(r);
	memset(s, 0, TDM_ROUTER_MODELS * sizeof *s);
	for (int k = 0; k < r->rank; k++) {
		double projected = 0;
		for (int i = 0; i < n; i++)
			projected += (double)r->projection[k * n + i] * (double)x[i];
		for (int m = 0; m < r->n_models; m++)
			s[m] += (double)r->join[k] * (double)r->tables[m * r->rank + k] * projected;
	}
}

int tdm_router_judge(const struct tdm_router *r, const struct tdm_router_sight *sight, struct tdm_arena *arena,
                     struct tdm_router_look *out) {
	double s[TDM_ROUTER_MODELS];
	int status = TDM_OK, last = r->n_models - 1;
	float *x = tdm_arena_array(arena, (size_t)tdm_router_inputs(r), sizeof *x);
	if (!x)
		return TDM_ENOMEM;
	tdm_router_features(r, sight, x);
	memcpy(out->cost, r->mean_cost, sizeof out->cost);
	out->familiar = tdm_router_familiar(r, sight->text, sight->n);
	if (r->scorer <= TDM_ROUTER_GAP)
		judge_rows(r, x, out);
	else if (r->scorer == TDM_ROUTER_MF)
		judge_factors(r, x, s);
	else
		status = judge_stored(r, x, arena, out, s);
	if (status || r->scorer == TDM_ROUTER_GAP)
		return status;
	for (int m = 0; m < r->n_models; m++) {
		if (tdm_router_predicts(r->scorer))
			out->good[m] = (1 + out->quality[m] - out->quality[last]) / 2;
		else
			out->good[m] = out->quality[m] = logistic(s[m] - s[last]);
	}
	return TDM_OK;
}

// --- the decision

int tdm_router_choose(const struct tdm_router *r, const struct tdm_router_look *look,
                      const struct tdm_router_policy *policy, bool *undecided) {
	int last = r->n_models - 1, best = 0;
	double pay = policy->willingness_to_pay;
	*undecided = look->familiar < policy->least_familiar;
	if (*undecided)
		return last;
	if (pay > 0) {
		for (int m = 1; m < r->n_models; m++)
			if (pay * look->quality[m] - look->cost[m] > pay * look->quality[best] - look->cost[best])
				best = m;
		return best;
	}
	while (best < last && !(look->good[best] >= policy->threshold))
		best++;
	return best;
}

double tdm_router_threshold_by_spend(const struct tdm_router *r, double share) {
	for (int q = TDM_N_QUANTILES; q-- > 0;)
		if (r->spend[q] <= share)
			return r->by_score[q];
	return -INFINITY;
}
