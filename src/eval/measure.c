// Measures: see measure.h.
#include "eval/measure.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LAST (TDM_CURVE_POINTS - 1)
#define EPSILON 1e-12 // of quality: what sums of doubles may lose

struct row {
	double score;
	uint32_t place;
};

static int compare_rows(const void *a, const void *b) {
	const struct row *x = a, *y = b;
	if (x->score != y->score)
		return x->score < y->score ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

int tdm_ranking_make(const double *score, const double *weak, const double *strong, size_t n, struct tdm_arena *arena,
                     struct tdm_ranking *out, struct tdm_error *err) {
	if (!n || n > UINT32_MAX)
		return tdm_fail(err, TDM_EVALUE, "a ranking needs items");
	struct row *rows = tdm_arena_array(arena, n, sizeof *rows);
	double *sorted = tdm_arena_array(arena, 3 * n, sizeof *sorted);
	uint32_t *place = tdm_arena_array(arena, n, sizeof *place);
	if (!rows || !sorted || !place)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for a ranking");
	for (size_t i = 0; i < n; i++) {
		if (!isfinite(score[i]))
			return tdm_fail(err, TDM_EVALUE, "item %zu has no score", i + 1);
		rows[i] = (struct row){score[i], (uint32_t)i};
	}
	qsort(rows, n, sizeof *rows, compare_rows);
	for (size_t i = 0; i < n; i++) {
		place[i] = rows[i].place;
		sorted[i] = rows[i].score;
		sorted[n + i] = weak[place[i]];
		sorted[2 * n + i] = strong[place[i]];
	}
	*out = (struct tdm_ranking){n, sorted, sorted + n, sorted + 2 * n, place};
	return TDM_OK;
}

static uint64_t count(const struct tdm_ranking *r, const uint32_t *counts, size_t i) {
	return counts ? counts[r->place[i]] : 1;
}

static uint64_t total(const struct tdm_ranking *r, const uint32_t *counts) {
	uint64_t n = 0;
	for (size_t i = 0; i < r->n; i++)
		n += count(r, counts, i);
	return n;
}

// --- routing

// The thresholds in one walk: values number k and k + 1 of the counted scores, k = floor((n - 1) j / 10).
static void find_thresholds(const struct tdm_ranking *r, const uint32_t *counts, uint64_t n, double *out) {
	double low = r->score[0];
	uint64_t seen = 0;
	bool has_low = false;
	size_t j = 0;
	for (size_t i = 0; i < r->n && j < LAST; i++) {
		seen += count(r, counts, i);
		while (j < LAST) {
			uint64_t k = (n - 1) * j / LAST, rest = (n - 1) * j % LAST;
			if (!has_low && seen <= k)
				break;
			if (!has_low)
				low = r->score[i];
			has_low = true;
			if (rest && seen <= k + 1)
				break;
			out[j++] = rest ? low + (r->score[i] - low) * ((double)rest / LAST) : low;
			has_low = false;
		}
	}
}

void tdm_routing_curve(const struct tdm_ranking *r, const uint32_t *counts, struct tdm_routing *out) {
	uint64_t n = total(r, counts), below = 0;
	double thresholds[LAST] = {0}, weak = 0, strong = 0, gained = 0; // gained: weak less strong of the items below
	find_thresholds(r, counts, n, thresholds);
	for (size_t i = 0; i < r->n; i++) {
		weak += (double)count(r, counts, i) * r->weak[i];
		strong += (double)count(r, counts, i) * r->strong[i];
	}
	out->weak = weak / (double)n;
	out->strong = strong / (double)n;
	size_t i = 0;
	for (size_t j = 0; j < LAST; j++) {
		for (; i < r->n && r->score[i] < thresholds[j]; i++) {
			below += count(r, counts, i);
			gained += (double)count(r, counts, i) * (r->weak[i] - r->strong[i]);
		}
		out->share[LAST - j] = (double)(n - below) / (double)n;
		out->quality[LAST - j] = (strong + gained) / (double)n;
	}
	out->share[0] = 0;
	out->quality[0] = out->weak;
}

double tdm_pgr(const struct tdm_routing *c, double quality) {
	return c->strong > c->weak ? (quality - c->weak) / (c->strong - c->weak) : (double)NAN;
}

double tdm_apgr(const struct tdm_routing *c) {
	double area = 0, width = c->share[LAST] - c->share[0];
	for (size_t j = 1; j <= LAST; j++)
		area += (c->share[j] - c->share[j - 1]) * (c->quality[j] + c->quality[j - 1]) / 2;
	if (!(c->strong > c->weak) || !(width > 0))
		return (double)NAN;
	return (area - c->weak * width) / ((c->strong - c->weak) * width);
}

double tdm_cpt(const struct tdm_routing *c, double pgr) {
	double wanted = c->weak + pgr * (c->strong - c->weak);
	if (!(c->strong > c->weak))
		return (double)NAN;
	if (c->quality[0] >= wanted - EPSILON)
		return c->share[0];
	for (size_t j = 1; j <= LAST; j++) {
		double rise = c->quality[j] - c->quality[j - 1];
		if (c->quality[j] >= wanted - EPSILON)
			return c->share[j - 1] + (c->share[j] - c->share[j - 1]) * fmin((wanted - c->quality[j - 1]) / rise, 1);
	}
	return (double)NAN;
}

double tdm_ibc(double quality, double cost, double weak_quality, double weak_cost) {
	return cost != weak_cost ? (quality - weak_quality) / (cost - weak_cost) : (double)NAN;
}

double tdm_ibc_lift(double ibc, double base) {
	return base != 0 ? (ibc - base) / base * 100 : (double)NAN;
}

// --- scores

struct classes {                      // of the items of one score
	double positive, negative, right; // right: sum of qualities
};

static size_t next_block(const struct tdm_ranking *r, const uint32_t *counts, size_t i, struct classes *out) {
	double score = r->score[i];
	*out = (struct classes){0};
	for (; i < r->n && r->score[i] == score; i++) {
		double n = (double)count(r, counts, i);
		*(r->weak[i] < 0.5 ? &out->positive : &out->negative) += n;
		out->right += n * r->weak[i];
	}
	return i;
}

double tdm_auroc(const struct tdm_ranking *r, const uint32_t *counts) {
	double wins = 0, positive = 0, negative = 0;
	struct classes c;
	for (size_t i = 0; i < r->n; negative += c.negative, positive += c.positive) {
		i = next_block(r, counts, i, &c);
		wins += c.positive * (negative + c.negative / 2);
	}
	return positive > 0 && negative > 0 ? wins / (positive * negative) : (double)NAN;
}

double tdm_auprc(const struct tdm_ranking *r, const uint32_t *counts, double *base_rate) {
	double positive = 0, n = 0, below = 0, positive_below = 0, area = 0;
	struct classes c;
	for (size_t i = 0; i < r->n; n += c.positive + c.negative, positive += c.positive)
		i = next_block(r, counts, i, &c);
	if (base_rate)
		*base_rate = positive / n;
	// A block of equal scores takes recall from (positive - below it - its own) to (positive - below it).
	for (size_t i = 0; i < r->n; below += c.positive + c.negative, positive_below += c.positive) {
		i = next_block(r, counts, i, &c);
		if (c.positive > 0)
			area += c.positive / positive * (positive - positive_below) / (n - below);
	}
	return positive > 0 ? area : (double)NAN;
}

// sum over k = 1..m of (errors + k rate) / (kept + k): a block of m items in which errors come at an even rate
static double block_risks(double errors, double kept, double rate, uint64_t m) {
	double sum = 0;
	for (uint64_t k = 1; k <= m; k++)
		sum += (errors + (double)k * rate) / (kept + (double)k);
	return sum;
}

void tdm_risk_coverage(const struct tdm_ranking *r, const uint32_t *counts, struct tdm_risk_coverage *out) {
	double errors = 0, kept = 0, sum = 0;
	struct classes c;
	for (size_t i = 0; i < r->n;) {
		i = next_block(r, counts, i, &c);
		double m = c.positive + c.negative, wrong = m - c.right;
		if (m > 0)
			sum += block_risks(errors, kept, wrong / m, (uint64_t)m);
		errors += wrong;
		kept += m;
	}
	// The best order: all right answers first. Errors are whole for answers that are right or wrong.
	double best = kept > 0 ? block_risks(0, kept - errors, 1, (uint64_t)(errors + 0.5)) / kept : 0;
	out->aurc = kept > 0 ? sum / kept : (double)NAN;
	out->excess = out->aurc - best;
}
