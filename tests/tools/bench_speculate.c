// bench_speculate TARGET.gguf DRAFT.gguf SHARE TOKENS ROUNDS THREADS: greedy answers of the target alone, and of
// speculate over it, in turn. The draft does all of its work, but what it says is replaced: by the target's own next
// token with the probability SHARE, by another one otherwise, so that models with random weights can be measured at any
// acceptance. Prints lines of "name, tokens a second, times plain, least and most of it, accepted of drafted, passes":
// medians of the rounds, each beside the plain answer of its own round. Passes are measured alone too: what they allow,
// with drafts of the best length and no loss at all, is the line "ceiling"; with drafts of four, "ceiling of fixed".
#include "base/clock.h"
#include "base/random.h"
#include "cost/kinds.h"
#include "models/collect.h"
#include "models/sources.h"
#include "models/tree.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TOKENS_MAX = 512,
	ROUNDS_MAX = 32,
	N_MODELS = 4,
	COSTS = 9,
	TRIES = 3,
	WARM = 6,
	WARM_TOKENS = 32,
	FIXED = 4,
	DEPTH = 64
};
static const char *const names[N_MODELS] = {"large", "timed", "fixed", "looked"};

static struct {
	int32_t want[TOKENS_MAX + 1]; // what the target says by itself
	int n_vocab, n, round;
	double share;
} truth;

struct forced { // a session over the draft's
	struct tdm_session session;
	struct tdm_session *inner;
	int n_rows, marked;
	float *row;
};

static int fail(const char *what, const struct tdm_error *err) {
	fprintf(stderr, "bench_speculate: %s: %s\n", what, err->text);
	return 1;
}

static int forced_prompt(struct tdm_session *s, struct tdm_run *run, const struct tdm_request *request,
                         const struct tdm_tail *tail) {
	struct forced *f = (struct forced *)s;
	int status = f->inner->ops->prompt(f->inner, run, request, NULL);
	s->prompt_tokens = f->inner->prompt_tokens;
	f->n_rows = 1;
	return status;
}

static int forced_eval(struct tdm_session *s, struct tdm_run *run, const int32_t *tokens, const int *parents, int n) {
	struct forced *f = (struct forced *)s;
	f->n_rows = n;
	return f->inner->ops->eval(f->inner, run, tokens, parents, n);
}

// Whether a place of the answer is drafted right is drawn once for all models of a round.
static const float *forced_logits(struct tdm_session *s, int row) {
	struct forced *f = (struct forced *)s;
	int at = f->inner->ops->length(f->inner) - f->n_rows + row + 1 - s->prompt_tokens;
	struct tdm_rng rng;
	tdm_rng_stream(&rng, (uint64_t)at, "bench.forced", (uint64_t)truth.round);
	bool right = at < truth.n && tdm_rng_double(&rng) < truth.share;
	f->row[f->marked] = 0;
	f->marked = at < truth.n ? (truth.want[at] + !right) % truth.n_vocab : 1;
	f->row[f->marked] = 60;
	return f->row;
}

static int forced_length(struct tdm_session *s) {
	struct forced *f = (struct forced *)s;
	return f->inner->ops->length(f->inner);
}

static int forced_rewind(struct tdm_session *s, int length) {
	struct forced *f = (struct forced *)s;
	return f->inner->ops->rewind(f->inner, length);
}

static size_t forced_piece(struct tdm_session *s, int32_t token, const char **text) {
	*text = "";
	return 0;
}

static bool forced_is_end(struct tdm_session *s, int32_t token) {
	return false;
}

static void forced_close(struct tdm_session *s) {
	struct forced *f = (struct forced *)s;
	f->inner->ops->close(f->inner);
	free(f->row);
	free(f);
}

static int forced_open(struct tdm_model *m, struct tdm_run *run, struct tdm_session **out) {
	static const struct tdm_session_ops ops = {
	    .prompt = forced_prompt,
	    .eval = forced_eval,
	    .logits = forced_logits,
	    .length = forced_length,
	    .rewind = forced_rewind,
	    .piece = forced_piece,
	    .is_end = forced_is_end,
	    .close = forced_close,
	};
	struct forced *f = calloc(1, sizeof *f);
	if (!f)
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory");
	int status = m->parts[0]->ops->open(m->parts[0], run, &f->inner);
	if (status) {
		free(f);
		return status;
	}
	f->session = *f->inner;
	f->session.ops = &ops;
	f->session.model = m;
	f->row = calloc((size_t)f->inner->n_vocab, sizeof *f->row);
	if (!f->row) {
		forced_close(&f->session);
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory");
	}
	*out = &f->session;
	return status;
}

static int forced_create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.open = forced_open};
	*out = tdm_build_model(b, sizeof **out, &ops, TDM_CAN_STEP | TDM_CAN_TEXT); // as a draft ought to
	return *out ? TDM_OK : tdm_fail(b->error, TDM_ENOMEM, "no memory");
}

static const struct tdm_role roles[] = {{"inner", TDM_CAN_STEP, 1, 1, "whose work is done"}};
static const struct tdm_kind forced = {
    .name = "forced",
    .summary = "a draft of known acceptance",
    .family = TDM_POLICY,
    .roles = roles,
    .n_roles = 1,
    .create = forced_create,
};

// What the target says by itself, by the plainest loop.
static int learn(struct tdm_model *target, const struct tdm_request *request, int n, struct tdm_arena *arena) {
	struct tdm_run run;
	struct tdm_session *s = NULL;
	int status = tdm_run_init(&run, arena, 1);
	if (!status)
		status = target->ops->open(target, &run, &s);
	if (status)
		return fail("target", &run.error);
	truth.n_vocab = s->n_vocab;
	status = s->ops->prompt(s, &run, request, NULL);
	for (truth.n = 0; !status && truth.n < n; truth.n++) {
		int32_t token = tdm_argmax(s->ops->logits(s, 0), s->n_vocab);
		truth.want[truth.n] = token;
		status = s->ops->eval(s, &run, &token, NULL, 1);
	}
	s->ops->close(s);
	return status ? fail("target", &run.error) : 0;
}

// --- what passes take

static double draft_us[ROUNDS_MAX * TRIES * COSTS], pass_us[COSTS + 1][ROUNDS_MAX * TRIES]; // by their tokens

static double ms(double us) {
	return us / 1000;
}

static int by_size(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *x, int n) {
	qsort(x, (size_t)n, sizeof *x, by_size);
	return (x[n / 2] + x[(n - 1) / 2]) / 2;
}

static int open_at(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                   struct tdm_session **s) {
	int status = m->ops->open(m, run, s);
	if (!status)
		status = (*s)->ops->prompt(*s, run, request, NULL);
	return status ? status : (*s)->ops->eval(*s, run, truth.want, NULL, DEPTH);
}

static int time_pass(struct tdm_session *s, struct tdm_run *run, int n, double *us) {
	int64_t start_us = tdm_now_us();
	int length = s->ops->length(s), status = s->ops->eval(s, run, truth.want, NULL, n);
	*us = (double)(tdm_now_us() - start_us);
	return status ? status : s->ops->rewind(s, length);
}

// Each length of the target's pass after as many of the draft as it would verify.
static int time_passes(struct tdm_tree *tree, const struct tdm_request *request, int round) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_session *target = NULL, *draft = NULL;
	tdm_arena_init(&arena, (size_t)64 << 20);
	int status = tdm_run_init(&run, &arena, 1);
	if (!status)
		status = open_at(tdm_tree_model(tree, "large"), &run, request, &target);
	if (!status)
		status = open_at(tdm_tree_model(tree, "small"), &run, request, &draft);
	for (int i = 0; i < TRIES * COSTS && !status; i++) {
		double unused;
		int n = 1 + i % COSTS, at = round * TRIES + i / COSTS;
		for (int k = 0; k < n && !status; k++) // the last one counts
			status = time_pass(draft, &run, 1, k + 1 < n ? &unused : &draft_us[at * COSTS + n - 1]);
		if (!status)
			status = time_pass(target, &run, n, &pass_us[n][at]);
	}
	if (draft)
		draft->ops->close(draft);
	if (target)
		target->ops->close(target);
	if (status)
		fail("passes", &run.error);
	tdm_arena_release(&arena);
	return status;
}

static double times_of(double draft, const double *pass, int n) {
	double tokens = truth.share < 1 ? (1 - pow(truth.share, n + 1)) / (1 - truth.share) : n + 1;
	return tokens * pass[1] / (n * draft + pass[1 + n]);
}

static void print_ceilings(int rounds) {
	double draft = median(draft_us, rounds * TRIES * COSTS), pass[COSTS + 1], most = 1;
	fprintf(stderr, "a pass of the draft %.2f ms; of the target, by tokens:", ms(draft));
	for (int n = 1; n <= COSTS; n++) {
		pass[n] = median(pass_us[n], rounds * TRIES);
		fprintf(stderr, " %.2f", ms(pass[n]));
	}
	int at = 0;
	for (int n = 1; n < COSTS; n++)
		if (times_of(draft, pass, n) > most)
			most = times_of(draft, pass, at = n);
	fprintf(stderr, " ms; best drafts: %d\n", at);
	double fixed = times_of(draft, pass, FIXED), plain = 1e6 / pass[1];
	printf("ceiling\t%.2f\t%.2f\t-\t-\t-\n", plain * most, most);
	printf("ceiling of fixed\t%.2f\t%.2f\t-\t-\t-\n", plain * fixed, fixed);
}

// --- answers

struct figures {
	double rate[ROUNDS_MAX], times[ROUNDS_MAX];
	double us, target_us, draft_us; // of the last one
	long long accepted, drafted, passes;
};

static int measure(struct tdm_model *m, const struct tdm_request *request, struct figures *out, int round) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_collect collect;
	struct tdm_result result = {0};
	tdm_arena_init(&arena, (size_t)512 << 20);
	int status = tdm_run_init(&run, &arena, 1);
	tdm_collect_init(&collect, 1 << 20, NULL, NULL);
	int64_t start_us = tdm_now_us();
	if (!status)
		status = tdm_generate(m, &run, request, &collect.sink, &result);
	out->us = (double)(tdm_now_us() - start_us);
	out->rate[round] = (double)result.completion_tokens * 1e6 / out->us;
	if (status)
		fail(m->name, &run.error);
	else if (run.record->calls) {
		out->accepted = run.record->calls->accepted;
		out->drafted = run.record->calls->drafted;
		out->passes = run.record->calls->passes;
		out->target_us = (double)run.record->calls->us;
		out->draft_us = run.record->calls->next ? (double)run.record->calls->next->us : 0;
	}
	if (!status && result.completion_tokens != request->max_tokens)
		fprintf(stderr, "bench_speculate: %s wrote %lld tokens\n", m->name, (long long)result.completion_tokens);
	tdm_collect_release(&collect);
	tdm_arena_release(&arena);
	return status ? 1 : 0;
}

static int run_all(struct tdm_tree *tree, const struct tdm_request *request, int rounds) {
	static struct figures figures[N_MODELS];
	int status = 0;
	struct tdm_request shorter = *request;
	shorter.max_tokens = WARM_TOKENS;
	for (int i = 0; i < WARM && !status; i++) // with the draft and without it, to know what it is worth
		status = measure(tdm_tree_model(tree, "timed"), &shorter, &figures[1], 0);
	for (int at = 0; at < rounds && !status; at++) {
		truth.round = at;
		status = time_passes(tree, request, at);
		for (int m = 0; m < N_MODELS && !status; m++) {
			status = measure(tdm_tree_model(tree, names[m]), request, &figures[m], at);
			figures[m].times[at] = figures[m].rate[at] / figures[0].rate[at];
		}
	}
	for (int m = 0; m < N_MODELS && !status; m++) {
		struct figures *f = &figures[m];
		double times = median(f->times, rounds);
		printf("%s\t%.2f\t%.2f\t%.2f-%.2f\t%lld of %lld\t%lld\n", names[m], median(f->rate, rounds), times, f->times[0],
		       f->times[rounds - 1], f->accepted, f->drafted, f->passes);
		fprintf(stderr, "%s: %.0f ms, of them %.0f of the target, %.0f of the draft\n", names[m], ms(f->us),
		        ms(f->target_us), ms(f->draft_us));
	}
	if (!status)
		print_ceilings(rounds);
	return status;
}

static struct tdm_tree *load(char **argv) {
	static const struct tdm_kind *const kinds[] = {&tdm_kind_local, &tdm_kind_speculate, &forced, NULL};
	struct tdm_tree *tree = NULL;
	struct tdm_error err = {0};
	char yaml[2048];
	snprintf(
	    yaml, sizeof yaml,
	    "models:\n  large: {kind: local, path: \"%s\", threads: %s, chat: llama2}\n"
	    "  small: {kind: local, path: \"%s\", threads: %s, chat: llama2}\n"
	    "  forced: {kind: forced, inner: small}\n"
	    "  timed: {kind: speculate, target: large, draft: forced, min_prob: 0, ahead: no}\n"
	    "  fixed: {kind: speculate, target: large, draft: forced, min_prob: 0, opening: 4, adaptive: no, ahead: no}\n"
	    "  looked: {kind: speculate, target: large, from: lookup}\n",
	    argv[1], argv[6], argv[2], argv[6]);
	if (tdm_tree_load("bench", ".", yaml, strlen(yaml), kinds, NULL, &tree, &err))
		fail("models", &err);
	return tree;
}

int main(int argc, char **argv) {
	int tokens = argc == 7 ? (int)strtol(argv[4], NULL, 10) : 0, rounds = tokens ? (int)strtol(argv[5], NULL, 10) : 0;
	if (tokens < DEPTH || tokens > TOKENS_MAX || rounds < 1 || rounds > ROUNDS_MAX) {
		fputs("usage: bench_speculate TARGET.gguf DRAFT.gguf SHARE TOKENS ROUNDS THREADS\n", stderr);
		return 2;
	}
	truth.share = strtod(argv[3], NULL);
	struct tdm_arena arena;
	tdm_arena_init(&arena, (size_t)64 << 20);
	struct tdm_request request;
	struct tdm_raw raw = {0}; // the begin token alone: what is measured is the answer
	tdm_request_init(&request);
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "", .len = 0};
	request.messages = &message;
	request.n_messages = 1;
	request.raw = &raw;
	request.temperature = 0;
	request.max_tokens = tokens;
	struct tdm_tree *tree = load(argv);
	int status = !tree || learn(tdm_tree_model(tree, "large"), &request, tokens, &arena);
	if (!status)
		status = run_all(tree, &request, rounds);
	tdm_tree_close(tree);
	tdm_arena_release(&arena);
	return status;
}
