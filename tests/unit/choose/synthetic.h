// Synthetic arms, for tests and for the bench of promises: three of them, the dearer the better; requests have a
// difficulty, and a predictor sees it through noise. A policy's true error is known from many requests of its own.
#pragma once
#include "base/random.h"
#include "choose/front.h"
#include <stdlib.h>
#include <string.h>

enum { SYNTHETIC_ARMS = 3, SYNTHETIC_TRUTH = 20000 };

struct synthetic_items {
	struct tdm_front_items *of;
	double *loss, *cost, *ms;
	struct tdm_front_view *views;
};

struct synthetic {
	struct tdm_arena arena;
	struct tdm_front front;
	struct tdm_front_items tuning, calibration, truth;
	struct synthetic_items parts[3];
};

static inline void synthetic_room(struct synthetic *s, int part, struct tdm_front_items *of, size_t n) {
	struct synthetic_items *p = &s->parts[part];
	p->of = of;
	p->loss = calloc(n * SYNTHETIC_ARMS, sizeof(double));
	p->cost = calloc(n * SYNTHETIC_ARMS, sizeof(double));
	p->ms = calloc(n * SYNTHETIC_ARMS, sizeof(double));
	p->views = calloc(n, sizeof *p->views);
	*of = (struct tdm_front_items){.n = n, .loss = p->loss, .cost = p->cost, .ms = p->ms, .views = p->views};
}

static inline void synthetic_init(struct synthetic *s, size_t n_tuning, size_t n_calibration) {
	static const char *const names[SYNTHETIC_ARMS] = {"little", "middle", "best"};
	memset(s, 0, sizeof *s);
	tdm_arena_init(&s->arena, (size_t)256 << 20);
	s->front.n_arms = SYNTHETIC_ARMS;
	s->front.estimator = TDM_FRONT_LINEAR;
	for (int a = 0; a < SYNTHETIC_ARMS; a++)
		s->front.arms[a] = (struct tdm_front_arm){names[a], 0.5 + 0.2 * a, 1 + a * a * 2, 10 + 10 * a, 20 + 20 * a};
	synthetic_room(s, 0, &s->tuning, n_tuning);
	synthetic_room(s, 1, &s->calibration, n_calibration);
	synthetic_room(s, 2, &s->truth, SYNTHETIC_TRUTH);
}

static inline void synthetic_release(struct synthetic *s) {
	for (int p = 0; p < 3; p++) {
		free(s->parts[p].loss);
		free(s->parts[p].cost);
		free(s->parts[p].ms);
		free(s->parts[p].views);
	}
	tdm_arena_release(&s->arena);
}

static inline void synthetic_fill(struct synthetic *s, int part, struct tdm_rng *rng) {
	struct synthetic_items *p = &s->parts[part];
	for (size_t i = 0; i < p->of->n; i++) {
		double hard = tdm_rng_double(rng), seen = hard + 0.25 * tdm_rng_normal(rng);
		for (int a = 0; a < SYNTHETIC_ARMS; a++) {
			size_t at = i * SYNTHETIC_ARMS + (size_t)a;
			double wrong = a + 1 == SYNTHETIC_ARMS ? 0 : hard * hard * (a ? 0.4 : 0.8);
			p->loss[at] = tdm_rng_double(rng) < wrong;
			p->cost[at] = s->front.arms[a].cost * (0.5 + tdm_rng_double(rng));
			p->ms[at] = s->front.arms[a].ms * (0.5 + tdm_rng_double(rng));
			p->views[i].quality[a] = 1 - (a + 1 == SYNTHETIC_ARMS ? 0 : seen * seen * (a ? 0.4 : 0.8));
			p->views[i].cost[a] = s->front.arms[a].cost;
			p->views[i].ms[a] = s->front.arms[a].ms;
		}
	}
}

static inline void synthetic_draw(struct synthetic *s, uint64_t seed) {
	struct tdm_rng rng;
	tdm_rng_stream(&rng, seed, "synthetic", 0);
	synthetic_fill(s, 0, &rng);
	synthetic_fill(s, 1, &rng);
}

static inline double synthetic_error(const struct synthetic *s, const struct tdm_front_policy *p) {
	int order[TDM_FRONT_ARMS];
	double sum = 0;
	for (size_t i = 0; i < s->truth.n; i++) {
		tdm_front_rank(&s->front, p, &s->truth.views[i], order);
		sum += s->truth.loss[i * SYNTHETIC_ARMS + (size_t)order[0]];
	}
	return sum / (double)s->truth.n;
}

struct synthetic_count {
	int accepted, broken, broken_naive; // runs with more than the best arm alone; with a promise that is not kept
	double cost, naive_cost;            // means of the cheapest accepted policy, on tuning; of the naive choice
};

// The riskiest accepted policy of each run is held against the truth. naive: the cheapest policy whose error on the
// items of tuning is at most epsilon. The front is found once for ten draws of the calibration.
static inline void synthetic_validity(int runs, size_t n, double epsilon, double delta, struct synthetic_count *out) {
	struct synthetic s;
	struct tdm_front_verdict v[TDM_FRONT_POLICIES];
	struct tdm_front_claim claim = {.levels = {epsilon}, .n_levels = 1, .delta = delta, .is_free = true};
	struct tdm_rng rng;
	double truth[TDM_FRONT_POLICIES] = {0};
	synthetic_init(&s, n, n);
	tdm_rng_stream(&rng, 99, "truth", 0);
	synthetic_fill(&s, 2, &rng);
	for (int r = 0; r < runs; r++) {
		struct tdm_arena room;
		tdm_arena_init(&room, (size_t)64 << 20);
		int last = -1, naive = -1;
		tdm_rng_stream(&rng, 1, "run", (uint64_t)r);
		if (r % 10 == 0) {
			synthetic_fill(&s, 0, &rng);
			tdm_front_make(&s.front, &s.tuning, &room, NULL);
			for (int i = 0; i < s.front.n_policies; i++)
				truth[i] = synthetic_error(&s, &s.front.policies[i]);
		}
		synthetic_fill(&s, 1, &rng);
		tdm_front_certify(&s.front, &s.calibration, &claim, 20, &room, v, NULL);
		bool broken = false;
		for (int i = 0; i < s.front.n_policies; i++) {
			last = v[i].level >= 0 ? i : last;
			broken |= v[i].level >= 0 && truth[i] > epsilon;
			naive = v[i].error <= epsilon ? i : naive;
		}
		out->accepted += last > 0;
		out->broken += broken;
		out->broken_naive += naive >= 0 && truth[naive] > epsilon;
		out->cost += last >= 0 ? s.front.policies[last].cost / runs : 0;
		out->naive_cost += naive >= 0 ? s.front.policies[naive].cost / runs : 0;
		tdm_arena_release(&room);
	}
	synthetic_release(&s);
}
