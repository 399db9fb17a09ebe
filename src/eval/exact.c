// Exact: sampled answers of a model against the target's probabilities.
#include "eval/exact.h"
#include "assure/chi.h"
#include "base/random.h"
#include "base/text.h"
#include "models/local/joint.h"
#include <stdlib.h>
#include <string.h>

#define ARENA_LIMIT_BYTES ((size_t)64 << 20)
#define LEAST_EXPECTED 5 // of a bin; below, chi-square's law is not the one used here
#define LEAST_DRAWS 200  // of a position
#define ENDED (-2)       // in the place of a token: the answer ended before
#define UNKNOWN (-3)     // a token that ends inside a character, or one after it: they come as one piece without an id

struct answer {
	int32_t tokens[TDM_EXACT_POSITIONS];
};

struct collector {
	struct tdm_sink sink;
	struct answer *answer;
	int n;
};

struct test {
	const struct tdm_exact_options *o;
	struct tdm_error *err;
	struct tdm_message message;
	struct tdm_request request;
	struct answer *answers;
	float *probs;
	int *counts;
	int n_vocab;
	int n_ended, n_unknown; // beside the counts
};

static int collect(struct tdm_sink *sink, const struct tdm_event *event) {
	struct collector *c = (struct collector *)sink;
	bool is_known = event->token >= 0;
	while (c->n < TDM_EXACT_POSITIONS) {
		c->answer->tokens[c->n++] = is_known ? event->token : UNKNOWN;
		if (is_known)
			break;
	}
	return TDM_OK;
}

// A seed for each prompt and answer: prompts that shared their random numbers would all be out of luck together, and so
// would runs with neighbouring seeds.
static uint64_t seed_of(const struct test *t, int index) {
	struct tdm_rng rng;
	tdm_rng_stream(&rng, t->o->seed, t->o->prompt, (uint64_t)index);
	return tdm_rng_u64(&rng);
}

static int draw_answer(struct test *t, int index) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_result result;
	struct collector c = {.sink.put = collect, .answer = &t->answers[index]};
	for (int i = 0; i < TDM_EXACT_POSITIONS; i++)
		c.answer->tokens[i] = ENDED;
	tdm_arena_init(&arena, ARENA_LIMIT_BYTES);
	int status = tdm_run_init(&run, &arena, seed_of(t, index));
	if (!status)
		status = tdm_generate(t->o->model, &run, &t->request, &c.sink, &result);
	if (status)
		tdm_fail(t->err, status, "%s", run.error.text);
	tdm_arena_release(&arena);
	return status;
}

static bool begins_with(const struct answer *a, const int32_t *prefix, int length) {
	return !memcmp(a->tokens, prefix, (size_t)length * sizeof *prefix);
}

// Counts the tokens after the prefix; an ended answer counts for the end token, which all end tokens share.
static int count_tokens(struct test *t, const int32_t *prefix, int length) {
	int n = 0;
	t->n_ended = t->n_unknown = 0;
	memset(t->counts, 0, (size_t)t->n_vocab * sizeof *t->counts);
	for (int i = 0; i < t->o->n_draws; i++) {
		if (!begins_with(&t->answers[i], prefix, length))
			continue;
		int32_t token = t->answers[i].tokens[length];
		n++;
		if (token >= 0 && token < t->n_vocab)
			t->counts[token]++;
		else if (token == UNKNOWN)
			t->n_unknown++;
		else
			t->n_ended++;
	}
	return n;
}

static bool ends_inside_a_character(struct tdm_session *s, int32_t token) {
	const char *text;
	size_t n = s->ops->piece(s, token, &text);
	return tdm_utf8_partial(text, n) != 0;
}

// Tokens that are expected often enough have a bin each; the others share one, with those that end inside a character,
// joined to the last bin when it is too small.
static void compare(struct test *t, const struct tdm_session *session, int n, struct tdm_exact_position *out) {
	double rest_expected = 0, rest_seen = t->n_unknown, ended = 0;
	struct tdm_session *s = (struct tdm_session *)(uintptr_t)session;
	out->n_draws = n;
	out->n_bins = 0;
	out->chi_square = 0;
	for (int i = 0; i < t->n_vocab; i++) {
		double expected = (double)t->probs[i] * n;
		if (session->ops->is_end(s, i)) {
			ended += expected;
		} else if (expected >= LEAST_EXPECTED && !ends_inside_a_character(s, i)) {
			out->chi_square += (t->counts[i] - expected) * (t->counts[i] - expected) / expected;
			out->n_bins++;
		} else {
			rest_expected += expected;
			rest_seen += t->counts[i];
		}
	}
	if (ended >= LEAST_EXPECTED) {
		out->chi_square += (t->n_ended - ended) * (t->n_ended - ended) / ended;
		out->n_bins++;
	} else {
		rest_expected += ended;
		rest_seen += t->n_ended;
	}
	if (rest_expected >= LEAST_EXPECTED) {
		out->chi_square += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
		out->n_bins++;
	} else if (rest_expected < 1e-6 && rest_seen > 0) {
		out->chi_square = 1e9; // what cannot happen has happened
	}
	out->tail = out->n_bins > 1 ? tdm_chi_square_tail(out->chi_square, out->n_bins - 1) : out->chi_square < 1e9;
}

// The most frequent token after the prefix, or -1 when most answers ended there.
static int32_t most_frequent(const struct test *t) {
	int best = -1, most = t->n_ended + t->n_unknown;
	for (int i = 0; i < t->n_vocab; i++) {
		if (t->counts[i] > most) {
			most = t->counts[i];
			best = i;
		}
	}
	return best;
}

static int compare_positions(struct test *t, struct tdm_run *run, struct tdm_session *session,
                             struct tdm_exact_position *out) {
	int32_t prefix[TDM_EXACT_POSITIONS];
	struct tdm_sampling sampling = tdm_joint_sampling(&t->request, session);
	for (int length = 0; length < TDM_EXACT_POSITIONS; length++) {
		int n = count_tokens(t, prefix, length);
		if (n < LEAST_DRAWS)
			return TDM_OK;
		tdm_sampling_probs(&sampling, session->ops->logits(session, 0), t->n_vocab, prefix, length, t->probs);
		compare(t, session, n, &out[length]);
		prefix[length] = most_frequent(t);
		if (prefix[length] < 0)
			return TDM_OK;
		int status = session->ops->eval(session, run, &prefix[length], NULL, 1);
		if (status)
			return status;
	}
	return TDM_OK;
}

static int compare_all(struct test *t, struct tdm_exact_position *out) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_session *session = NULL;
	tdm_arena_init(&arena, ARENA_LIMIT_BYTES);
	int status = tdm_run_init(&run, &arena, t->o->seed);
	if (!status)
		status = t->o->target->ops->open(t->o->target, &run, &session);
	if (!status)
		status = session->ops->prompt(session, &run, &t->request, NULL);
	if (!status) {
		t->n_vocab = session->n_vocab;
		t->probs = calloc((size_t)t->n_vocab, sizeof *t->probs);
		t->counts = calloc((size_t)t->n_vocab, sizeof *t->counts);
		status = t->probs && t->counts ? compare_positions(t, &run, session, out)
		                               : tdm_fail(&run.error, TDM_ENOMEM, "no memory for the counts");
	}
	if (status)
		tdm_fail(t->err, status, "%s", run.error.text);
	if (session)
		session->ops->close(session);
	tdm_arena_release(&arena);
	return status;
}

int tdm_exact_test(const struct tdm_exact_options *o, struct tdm_exact_position *out, struct tdm_error *err) {
	struct test t = {
	    .o = o, .err = err, .message = {.from = TDM_FROM_USER, .text = o->prompt, .len = strlen(o->prompt)}};
	memset(out, 0, TDM_EXACT_POSITIONS * sizeof *out);
	if (!(o->target->can & TDM_CAN_STEP))
		return tdm_fail(err, TDM_ECAPABILITY, "%s offers no logits to compare with", o->target->name);
	tdm_request_init(&t.request);
	t.request.messages = &t.message;
	t.request.n_messages = 1;
	t.request.temperature = o->temperature;
	t.request.max_tokens = TDM_EXACT_POSITIONS;
	t.answers = calloc((size_t)o->n_draws, sizeof *t.answers);
	int status = t.answers ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "no memory for %d answers", o->n_draws);
	for (int i = 0; i < o->n_draws && !status; i++)
		status = draw_answer(&t, i);
	if (!status)
		status = compare_all(&t, out);
	free(t.answers);
	free(t.probs);
	free(t.counts);
	return status;
}
