// bench_speculate TARGET.gguf DRAFT.gguf SHARE TOKENS ROUNDS THREADS: greedy answers of the target alone, and of
// speculate over it, in turn. The draft does all of its work, but what it says is replaced: by the target's own next
// token with the probability SHARE, by another one otherwise, so that models with random weights can be measured at any
// acceptance. Prints lines of "name, tokens a second, accepted of drafted, passes", medians of the rounds.
#include "base/clock.h"
#include "base/random.h"
#include "cost/kinds.h"
#include "models/collect.h"
#include "models/sources.h"
#include "models/tree.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS_MAX = 512, ROUNDS_MAX = 32, N_MODELS = 4 };
static const char *const names[N_MODELS] = {"large", "timed", "fixed", "looked"};

static struct {
	int32_t want[TOKENS_MAX + 1]; // what the target says by itself
	int n_vocab, n;
	uint64_t vocab_id;
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

// Whether a place of the answer is drafted right is drawn once for all.
static const float *forced_logits(struct tdm_session *s, int row) {
	struct forced *f = (struct forced *)s;
	int at = f->inner->ops->length(f->inner) - f->n_rows + row + 1 - s->prompt_tokens;
	struct tdm_rng rng;
	tdm_rng_stream(&rng, (uint64_t)at, "bench.forced", 0);
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
	float *row = calloc((size_t)truth.n_vocab, sizeof *row);
	if (!f || !row)
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory");
	*f = (struct forced){.row = row};
	int status = m->parts[0]->ops->open(m->parts[0], run, &f->inner);
	f->session = (struct tdm_session){.ops = &ops, .model = m, .n_vocab = truth.n_vocab, .vocab_id = truth.vocab_id};
	f->session.context = status ? 0 : f->inner->context;
	*out = &f->session;
	return status;
}

static int forced_create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.open = forced_open};
	*out = tdm_build_model(b, sizeof **out, &ops, TDM_CAN_STEP);
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
	truth.vocab_id = s->vocab_id;
	status = s->ops->prompt(s, &run, request, NULL);
	for (truth.n = 0; !status && truth.n < n; truth.n++) {
		int32_t token = tdm_argmax(s->ops->logits(s, 0), s->n_vocab);
		truth.want[truth.n] = token;
		status = s->ops->eval(s, &run, &token, NULL, 1);
	}
	s->ops->close(s);
	return status ? fail("target", &run.error) : 0;
}

struct figures {
	double rate[ROUNDS_MAX];
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
	out->rate[round] = (double)result.completion_tokens * 1e6 / (double)(tdm_now_us() - start_us);
	if (status)
		fail(m->name, &run.error);
	else if (run.record->calls) {
		out->accepted = run.record->calls->accepted;
		out->drafted = run.record->calls->drafted;
		out->passes = run.record->calls->passes;
	}
	if (!status && result.completion_tokens != request->max_tokens)
		fprintf(stderr, "bench_speculate: %s wrote %lld tokens\n", m->name, (long long)result.completion_tokens);
	tdm_collect_release(&collect);
	tdm_arena_release(&arena);
	return status ? 1 : 0;
}

static int by_size(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static int run_all(struct tdm_tree *tree, const struct tdm_request *request, int rounds) {
	static struct figures figures[N_MODELS];
	int status = 0;
	for (int round = 0; round <= rounds && !status; round++) // the first one warms up
		for (int m = 0; m < N_MODELS && !status; m++)
			status = measure(tdm_tree_model(tree, names[m]), request, &figures[m], round ? round - 1 : 0);
	for (int m = 0; m < N_MODELS && !status; m++) {
		struct figures *f = &figures[m];
		qsort(f->rate, (size_t)rounds, sizeof *f->rate, by_size);
		printf("%s\t%.2f\t%lld of %lld\t%lld\n", names[m], f->rate[rounds / 2], f->accepted, f->drafted, f->passes);
	}
	return status;
}

static struct tdm_tree *load(char **argv) {
	static const struct tdm_kind *const kinds[] = {&tdm_kind_local, &tdm_kind_speculate, &forced, NULL};
	struct tdm_tree *tree = NULL;
	struct tdm_error err = {0};
	char yaml[2048];
	snprintf(yaml, sizeof yaml,
	         "models:\n  large: {kind: local, path: \"%s\", threads: %s, chat: llama2}\n"
	         "  small: {kind: local, path: \"%s\", threads: %s, chat: llama2}\n"
	         "  forced: {kind: forced, inner: small}\n"
	         "  timed: {kind: speculate, target: large, draft: forced, min_prob: 0, ahead: no}\n"
	         "  fixed: {kind: speculate, target: large, draft: forced, min_prob: 0, adaptive: no, ahead: no}\n"
	         "  looked: {kind: speculate, target: large, from: lookup}\n",
	         argv[1], argv[6], argv[2], argv[6]);
	if (tdm_tree_load("bench", ".", yaml, strlen(yaml), kinds, NULL, &tree, &err))
		fail("models", &err);
	return tree;
}

int main(int argc, char **argv) {
	int tokens = argc == 7 ? (int)strtol(argv[4], NULL, 10) : 0, rounds = tokens ? (int)strtol(argv[5], NULL, 10) : 0;
	if (tokens < 1 || tokens > TOKENS_MAX || rounds < 1 || rounds > ROUNDS_MAX) {
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
