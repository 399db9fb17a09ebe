// The tables of docs/certificates.md: how many items a promise needs, how often each bound shows a true one, how often
// each way of choosing a threshold breaks its promise on a known law, and, given recorded outcomes, on real ones.
// usage: guarantee [needed] [power] [cascade] [real <OUTCOMES] [redraw <LABELS]   each a table; OUTCOMES: lines
// "subject small large" (0 or 1); LABELS: lines "score small large", of a cascade's first tier
#include "../unit/assure/law.h"
#include "assure/bounds.h"
#include "assure/control.h"
#include "assure/plan.h"
#include "base/random.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 20000, N_SUBJECTS = 128 };
#define DELTA 0.05

static double losses[N_MAX];

// --- how many items

static void table_needed(void) {
	static const double epsilons[] = {.1, .05, .02, .01, .005, .001, .0001}, deltas[] = {.1, .05, .01, .001};
	static const double shares[] = {.1, .25, .5, .75};
	static const struct {
		enum tdm_bound bound;
		double delta;
	} parts[] = {{TDM_BOUND_BINOMIAL, .05}, {TDM_BOUND_HB, .05}, {TDM_BOUND_BINOMIAL, .01}};
	printf("items without a loss that show epsilon, at delta = .1, .05, .01, .001\n");
	for (int e = 0; e < 7; e++) {
		printf("%6g %%", 100 * epsilons[e]);
		for (int d = 0; d < 4; d++)
			printf(" %7lld", (long long)tdm_binomial_needed(epsilons[e], deltas[d]));
		printf("\n");
	}
	printf("\nitems for power .9 (first / for good), true risk .1, .25, .5, .75 of epsilon\n");
	for (int p = 0; p < 3; p++)
		for (int e = 0; e < 5; e++) {
			printf("%6g %% %-8s %g ", 100 * epsilons[e], tdm_bound_names[parts[p].bound], parts[p].delta);
			for (int s = 0; s < 4; s++) {
				struct tdm_plan plan = {0, 0};
				tdm_plan_items(parts[p].bound, epsilons[e], parts[p].delta, shares[s], .9, &plan, NULL);
				printf(" %6lld /%6lld", (long long)plan.first, (long long)plan.safe);
			}
			printf("\n");
		}
}

// --- power on graded losses: 0, or evenly one of .25 .25 .5 .6

static double power(enum tdm_bound bound, double epsilon, double risk, size_t n, int n_runs) {
	static const double grades[] = {.25, .25, .5, .6};
	struct tdm_rng rng;
	int shown = 0;
	tdm_rng_init(&rng, 1);
	for (int r = 0; r < n_runs; r++) {
		double p = 1;
		for (size_t i = 0; i < n; i++)
			losses[i] = tdm_rng_double(&rng) < risk / .4 ? grades[tdm_rng_below(&rng, 4)] : 0;
		tdm_pvalue(bound, losses, n, epsilon, DELTA, &p, NULL);
		shown += p <= DELTA;
	}
	return (double)shown / n_runs;
}

static void table_power(void) {
	static const struct {
		double epsilon, risk;
		size_t n;
	} rows[] = {{.05, .025, 200}, {.05, .025, 500}, {.05, .0375, 1000}, {.05, .0375, 2000},
	            {.02, .01, 500},  {.02, .01, 1000}, {.05, .05, 500},    {.05, .05, 2000}};
	printf(
	    "power on graded losses, delta .05, 8000 runs: hb, betting (last two: how often a risk of epsilon passes)\n");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		printf("%4g %% %5g %% %6zu   %.3f   %.3f\n", 100 * rows[i].epsilon, 100 * rows[i].risk, rows[i].n,
		       power(TDM_BOUND_HB, rows[i].epsilon, rows[i].risk, rows[i].n, 8000),
		       power(TDM_BOUND_BETTING, rows[i].epsilon, rows[i].risk, rows[i].n, 8000));
}

// --- a cascade whose scores are Beta(2, 1.3) and whose loss has the probability .55 (1 - s)^1.6 + .01

// Losses of the kept ones at each threshold of the grid.
static void calibrate(struct tdm_rng *rng, size_t n, size_t bad[N_GRID]) {
	memset(bad, 0, N_GRID * sizeof *bad);
	for (size_t i = 0; i < n; i++) {
		double s = tdm_rng_double(rng);
		while (tdm_rng_double(rng) * density(1 / 1.3) >= density(s))
			s = tdm_rng_double(rng);
		if (tdm_rng_double(rng) < loss_at(s))
			bad[(int)ceil((1 - s) * 100)]++;
	}
	for (int j = 1; j < N_GRID; j++)
		bad[j] += bad[j - 1];
}

enum way { NAIVE, EXPECTED, BONFERRONI, HOEFFDING, HB, BINOMIAL, N_WAYS };

// The place in the grid, 0 = nothing is kept.
static size_t choose(enum way way, const size_t bad[N_GRID], size_t n, double epsilon) {
	double p[N_GRID];
	bool rejected[N_GRID];
	size_t at = 0;
	for (size_t j = 0; j < N_GRID; j++) {
		double mean = (double)bad[j] / (double)n, room = fmax(0, epsilon - mean);
		if (way == NAIVE ? mean <= epsilon : ((double)bad[j] + 1) / ((double)n + 1) <= epsilon)
			at = j;
		p[j] = way == HOEFFDING ? exp(-2 * (double)n * room * room)
		       : way == HB      ? tdm_hb((double)bad[j], n, epsilon)
		                        : tdm_binomial_cdf((int64_t)bad[j], (int64_t)n, epsilon);
	}
	if (way == NAIVE || way == EXPECTED)
		return at;
	at = tdm_procedure_reject(way == BONFERRONI ? TDM_BONFERRONI : TDM_FIXED_SEQUENCE, p, N_GRID, DELTA, 1, rejected);
	return at ? at - 1 : 0;
}

static void table_cascade(void) {
	static const struct {
		size_t n;
		double epsilon;
	} rows[] = {{200, .05}, {1000, .05}, {5000, .05}, {500, .02}, {2000, .02}, {1000, .01}, {5000, .01}};
	const int n_runs = 10000;
	double risk[N_GRID], share[N_GRID];
	true_values(20000, risk, share);
	printf("share kept (runs whose true risk is above epsilon, %%), 10000 runs, delta .05\n"
	       "     n epsilon         naive      expected    bonferroni  fs hoeffding         fs hb   fs binomial\n");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		double kept[N_WAYS] = {0}, broken[N_WAYS] = {0};
		struct tdm_rng rng;
		tdm_rng_init(&rng, i + 1);
		for (int r = 0; r < n_runs; r++) {
			size_t bad[N_GRID];
			calibrate(&rng, rows[i].n, bad);
			for (int w = 0; w < N_WAYS; w++) {
				size_t at = choose((enum way)w, bad, rows[i].n, rows[i].epsilon);
				kept[w] += share[at] / n_runs;
				broken[w] += 100.0 * (risk[at] > rows[i].epsilon) / n_runs;
			}
		}
		printf("%6zu %5g %%", rows[i].n, 100 * rows[i].epsilon);
		for (int w = 0; w < N_WAYS; w++)
			printf("  %5.3f (%4.1f)", kept[w], broken[w]);
		printf("\n");
	}
}

// --- recorded outcomes: keep the k safest subjects

struct item {
	int subject;
	bool bad; // the small model is wrong, the large one right
};
static struct item items[N_MAX];
static char names[N_SUBJECTS][64];
static int n_subjects;
static size_t n_items;

static bool read_items(void) {
	char name[64];
	int small, large;
	while (n_items < N_MAX && scanf("%63s %d %d", name, &small, &large) == 3) {
		int s = 0;
		while (s < n_subjects && strcmp(names[s], name) != 0)
			s++;
		if (s == N_SUBJECTS)
			return false;
		if (s == n_subjects)
			memcpy(names[n_subjects++], name, sizeof name);
		items[n_items++] = (struct item){s, !small && large};
	}
	return n_items > 8000;
}

static double smoothed[N_SUBJECTS];
static int by_loss(const void *a, const void *b) {
	double x = smoothed[*(const int *)a], y = smoothed[*(const int *)b];
	return (x > y) - (x < y);
}

// rank[s]: place of subject s among the safest, learned from the first n items.
static void order_subjects(size_t n, int rank[N_SUBJECTS]) {
	int order[N_SUBJECTS], bad[N_SUBJECTS] = {0}, count[N_SUBJECTS] = {0};
	for (size_t i = 0; i < n; i++) {
		bad[items[i].subject] += items[i].bad;
		count[items[i].subject]++;
	}
	for (int s = 0; s < n_subjects; s++) {
		smoothed[s] = (1.0 + bad[s]) / (8.0 + count[s]);
		order[s] = s;
	}
	qsort(order, (size_t)n_subjects, sizeof *order, by_loss);
	for (int i = 0; i < n_subjects; i++)
		rank[order[i]] = i;
}

// What keeping the k safest subjects does to items[from..to).
static void count_kept(size_t from, size_t to, const int rank[], int k, int64_t *kept, int64_t *bad) {
	*kept = *bad = 0;
	for (size_t i = from; i < to; i++) {
		bool keeps = rank[items[i].subject] < k;
		*kept += keeps;
		*bad += keeps && items[i].bad;
	}
}

static int certified(size_t from, size_t n, const int rank[], enum tdm_risk risk, double epsilon) {
	int64_t needed = tdm_binomial_needed(epsilon, DELTA);
	int best = 0;
	for (int k = 1; k <= n_subjects; k++) {
		int64_t kept, bad;
		count_kept(from, from + n, rank, k, &kept, &bad);
		if (risk == TDM_RISK_SELECTIVE && kept < needed)
			continue;
		if (tdm_binomial_cdf(bad, risk == TDM_RISK_JOINT ? (int64_t)n : kept, epsilon) > DELTA)
			return best;
		best = k;
	}
	return best;
}

static void row_real(enum tdm_risk risk, double epsilon, size_t n) {
	const int n_runs = 400;
	double share = 0, mean = 0, worst = 0;
	struct tdm_rng rng;
	tdm_rng_init(&rng, n);
	for (int r = 0; r < n_runs; r++) {
		int rank[N_SUBJECTS];
		int64_t kept, bad;
		for (size_t i = n_items - 1; i > 0; i--) {
			size_t j = tdm_rng_below(&rng, i + 1);
			struct item t = items[i];
			items[i] = items[j];
			items[j] = t;
		}
		order_subjects(4000, rank);
		int k = certified(4000, n, rank, risk, epsilon);
		count_kept(4000 + n, n_items, rank, k, &kept, &bad);
		double of = risk == TDM_RISK_JOINT ? (double)(n_items - 4000 - n) : fmax(1, (double)kept);
		share += (double)kept / (double)(n_items - 4000 - n) / n_runs;
		mean += (double)bad / of / n_runs;
		worst = fmax(worst, (double)bad / of);
	}
	printf("%-9s %3g %% %6zu   %5.1f %%   %.4f   %.3f\n", risk == TDM_RISK_JOINT ? "joint" : "selective", 100 * epsilon,
	       n, 100 * share, mean, worst);
}

static int table_real(void) {
	static const double epsilons[] = {.02, .05, .1};
	if (!read_items()) {
		fprintf(stderr, "guarantee: expected lines \"subject small large\", at least 8000 of at most 128 subjects\n");
		return 1;
	}
	printf(
	    "recorded outcomes, %zu items, %d subjects, 400 shuffles: risk, epsilon, n, kept, test risk, worst shuffle\n",
	    n_items, n_subjects);
	for (int e = 0; e < 3; e++)
		for (size_t n = 1000; n <= 3000; n += 2000)
			row_real(TDM_RISK_JOINT, epsilons[e], n);
	for (size_t n = 1000; n <= 3000; n += 2000)
		row_real(TDM_RISK_SELECTIVE, .1, n);
	return 0;
}

// --- a cascade's recorded outcomes as the whole world: calibration sets are drawn from it, so its risk is known

struct label {
	double score;
	bool small, large;
};
static struct label labels[N_MAX];
static size_t n_labels, n_steps;
static double steps[N_MAX]; // the scores that there are, from the largest

static int falling(const void *a, const void *b) {
	double x = ((const struct label *)a)->score, y = ((const struct label *)b)->score;
	return (x < y) - (x > y);
}

static bool read_labels(void) {
	double score;
	int small, large;
	while (n_labels < N_MAX && scanf("%lf %d %d", &score, &small, &large) == 3)
		labels[n_labels++] = (struct label){score, small, large};
	qsort(labels, n_labels, sizeof *labels, falling);
	for (size_t i = 0; i < n_labels; i++)
		if (i == 0 || labels[i].score < labels[i - 1].score)
			steps[n_steps++] = labels[i].score;
	return n_labels > 0;
}

// Of n items, drawn with return or all of them once: how many each step keeps, how many of these with a loss, and how
// many the kept ones are right more often than the large model.
static void tally(struct tdm_rng *rng, size_t n, int64_t *kept, int64_t *bad, int64_t *gain) {
	size_t step = 0;
	for (size_t s = 0; s < n_steps; s++)
		kept[s] = bad[s] = gain[s] = 0;
	for (size_t i = 0; i < n; i++) {
		const struct label *l = &labels[rng ? tdm_rng_below(rng, n_labels) : i];
		for (step = 0; steps[step] > l->score;)
			step++;
		kept[step]++;
		bad[step] += !l->small && l->large;
		gain[step] += l->small - l->large;
	}
	for (size_t s = 1; s < n_steps; s++) {
		kept[s] += kept[s - 1];
		bad[s] += bad[s - 1];
		gain[s] += gain[s - 1];
	}
}

// The number of steps that are kept.
static size_t choose_step(bool certify, const int64_t *bad, size_t n, double epsilon) {
	size_t at = 0;
	for (size_t s = 0; s < n_steps; s++) {
		bool fits =
		    certify ? tdm_binomial_cdf(bad[s], (int64_t)n, epsilon) <= DELTA : (double)bad[s] <= epsilon * (double)n;
		if (fits)
			at = s + 1;
		else if (certify)
			break;
	}
	return at;
}

static void row_redraw(double epsilon, size_t n, const int64_t *kept, const int64_t *bad, const int64_t *gain) {
	enum { RUNS = 1000 };
	static int64_t k[N_MAX], b[N_MAX], g[N_MAX];
	struct tdm_rng rng;
	tdm_rng_init(&rng, n);
	double share[2] = {0}, net[2] = {0}, broken[2] = {0}, all = (double)n_labels;
	for (int r = 0; r < RUNS; r++) {
		tally(&rng, n, k, b, g);
		for (int certify = 0; certify < 2; certify++) {
			size_t at = choose_step(certify, b, n, epsilon);
			share[certify] += 100 - (at ? 100 * (double)kept[at - 1] / all : 0);
			net[certify] += at ? 100 * (double)gain[at - 1] / all : 0;
			broken[certify] += at && (double)bad[at - 1] > epsilon * all;
		}
	}
	printf("%4g %% %6zu ", 100 * epsilon, n);
	for (int certify = 0; certify < 2; certify++)
		printf("   %5.1f %% %+6.2f %6.1f %%", share[certify] / RUNS, net[certify] / RUNS, 100 * broken[certify] / RUNS);
	printf("\n");
}

static int table_redraw(void) {
	static int64_t kept[N_MAX], bad[N_MAX], gain[N_MAX];
	static const double epsilons[] = {.01, .02};
	if (!read_labels()) {
		fprintf(stderr, "guarantee: expected lines \"score small large\"\n");
		return 1;
	}
	tally(NULL, n_labels, kept, bad, gain);
	printf("threshold  to the large model  risk       gained against it, points (of the %zu items)\n", n_labels);
	for (size_t s = 0; s < n_steps; s++)
		printf("%9.3f  %17.1f %%  %.3f %%  %+16.2f\n", steps[s], 100 - 100 * (double)kept[s] / (double)n_labels,
		       100 * (double)bad[s] / (double)n_labels, 100 * (double)gain[s] / (double)n_labels);
	printf("epsilon, items; tuned, then certified: to the large model, gained, broken in 1000 redraws\n");
	for (int e = 0; e < 2; e++) {
		row_redraw(epsilons[e], n_labels, kept, bad, gain);
		row_redraw(epsilons[e], 2 * n_labels, kept, bad, gain);
		row_redraw(epsilons[e], 5000, kept, bad, gain);
	}
	return 0;
}

int main(int argc, char **argv) {
	int status = argc < 2;
	for (int i = 1; i < argc && !status; i++) {
		if (!strcmp(argv[i], "needed"))
			table_needed();
		else if (!strcmp(argv[i], "power"))
			table_power();
		else if (!strcmp(argv[i], "cascade"))
			table_cascade();
		else if (!strcmp(argv[i], "real"))
			status = table_real();
		else
			status = strcmp(argv[i], "redraw") ? 2 : table_redraw();
		printf("\n");
	}
	return status;
}
