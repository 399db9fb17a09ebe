// The local source on a tiny random model: determinism, limits, scores, embeddings and sessions.
#include "tests.h"
#include "toy.h"
#include "../../tools/family_model.h"
#include "base/clock.h"
#include "engine/gguf.h"
#include "models/local/local.h"
#include "models/sources.h"
#include <stdio.h>
#include <unistd.h>

static struct tdm_tree *tree;
static struct tdm_model *toy, *warm;

static int setup(void **state) {
	toy_write(TOY_PATH, 7);
	tree = tree_of(
	    "models:\n  toy: {kind: local, path: ../build/models-toy.gguf, max_tokens: 40, price: {in: 1, out: 2}}\n"
	    "  warm: {kind: local, path: ../build/models-toy.gguf, max_tokens: 40, temperature: 1, top_k: 50}\n");
	toy = tdm_tree_model(tree, "toy");
	warm = tdm_tree_model(tree, "warm");
	return 0;
}

static int teardown(void **state) {
	tdm_tree_close(tree);
	unlink(TOY_PATH);
	return 0;
}

static void test_greedy(void **state) {
	struct bench b;
	char first[2000];
	bench_open(&b, "What is the time?");
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_true(b.collect.text.len > 0 && b.collect.text.len < sizeof first);
	memcpy(first, b.collect.text.data, b.collect.text.len + 1);
	assert_true(b.result.completion_tokens == 40 || b.result.finish == TDM_FINISH_STOP);
	assert_true(b.result.prompt_tokens > 10 && !b.result.estimated);
	assert_true(b.result.mean_logprob < 0 && b.result.mean_logprob > -10);
	b.run.seed = 99;
	b.request.draw = 3;
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_string_equal(b.collect.text.data, first);
	const struct tdm_call *call = b.run.record->calls;
	assert_string_equal(call->model, "toy");
	assert_string_equal(call->purpose, "answer");
	assert_true(call->cost > 0 && call->next && call->us > 0);
	bench_close(&b);
	assert_int_equal(tdm_local_info(toy)->context, TOY_CONTEXT);
}

static void test_seeds(void **state) {
	struct bench b;
	char first[2000];
	bench_open(&b, "hello");
	assert_int_equal(bench_ask(&b, warm), TDM_OK);
	snprintf(first, sizeof first, "%s", b.collect.text.data);
	assert_int_equal(bench_ask(&b, warm), TDM_OK);
	assert_string_equal(b.collect.text.data, first);
	b.request.draw = 1;
	assert_int_equal(bench_ask(&b, warm), TDM_OK);
	assert_string_not_equal(b.collect.text.data, first);
	b.request.draw = 0;
	b.run.seed++;
	assert_int_equal(bench_ask(&b, warm), TDM_OK);
	assert_string_not_equal(b.collect.text.data, first);
	b.request.temperature = 0;
	assert_int_equal(bench_ask(&b, warm), TDM_OK);
	snprintf(first, sizeof first, "%s", b.collect.text.data);
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_string_equal(b.collect.text.data, first);
	bench_close(&b);
}

struct leaver {
	struct tdm_sink sink;
	atomic_bool left;
	int n;
};

static int leave_at_third(struct tdm_sink *sink, const struct tdm_event *event) {
	struct leaver *l = (struct leaver *)sink;
	if (++l->n == 3)
		atomic_store(&l->left, true);
	return TDM_OK;
}

static void test_cancel(void **state) {
	struct bench b;
	struct leaver l = {.sink = {leave_at_third, NULL}};
	bench_open(&b, "a long story");
	b.run.cancelled = &l.left;
	assert_int_equal(tdm_generate(toy, &b.run, &b.request, &l.sink, &b.result), TDM_EGONE);
	assert_int_equal(l.n, 3); // not one piece more
	assert_string_equal(b.run.record->calls->status, "cancelled");
	assert_true(b.run.record->calls->completion_tokens >= 3);
	bench_close(&b);
	bench_open(&b, "too late");
	b.run.deadline_us = tdm_now_us() - 1;
	assert_int_equal(bench_ask(&b, toy), TDM_EDEADLINE);
	bench_close(&b);
}

static void test_context(void **state) {
	struct bench b;
	char text[400];
	memset(text, 'q', sizeof text - 1);
	text[sizeof text - 1] = 0;
	bench_open(&b, text);
	assert_int_equal(bench_ask(&b, toy), TDM_ECONTEXT);
	assert_non_null(strstr(b.run.error.text, "256"));
	assert_non_null(strstr(b.run.error.text, "model toy: the request has 4"));
	bench_close(&b);
	text[200] = 0;
	bench_open(&b, text);
	b.request.max_tokens = 1000;
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_true(b.result.prompt_tokens + b.result.completion_tokens <= TOY_CONTEXT + 1);
	assert_string_equal(b.run.record->warnings->code, "parameter_clipped");
	bench_close(&b);
	bench_open(&b, "short");
	b.request.max_tokens = 3;
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_int_equal(b.result.completion_tokens, 3);
	assert_int_equal(b.result.finish, TDM_FINISH_LENGTH);
	assert_null(b.run.record->warnings);
	bench_close(&b);
}

// The log-probabilities of a session's tokens, one by one.
static double walk(struct tdm_session *s, struct tdm_run *run, const int32_t *tokens, int n) {
	double sum = 0;
	for (int i = 0; i < n; i++) {
		sum += (double)tdm_log_softmax_at(s->ops->logits(s, 0), s->n_vocab, tokens[i]);
		assert_int_equal(s->ops->eval(s, run, &tokens[i], NULL, 1), TDM_OK);
	}
	return sum;
}

static void test_score(void **state) {
	struct bench b;
	char text[300];
	int32_t tokens[300];
	double lp[3], lp_again;
	int n_tokens[3];
	struct tdm_session *s;
	memset(text, 'y', 150);
	text[150] = 0;
	bench_open(&b, "Is it the end?");
	const char *texts[] = {"yes", text, ""};
	assert_int_equal(toy->ops->score(toy, &b.run, &b.request, texts, 3, lp, n_tokens), TDM_OK);
	assert_int_equal(n_tokens[0], 1);
	assert_int_equal(n_tokens[1], 150);
	assert_true(n_tokens[2] == 0 && lp[2] == 0);
	assert_int_equal(toy->ops->open(toy, &b.run, &s), TDM_OK);
	for (int i = 0; i < 2; i++) {
		int n = s->ops->tokenize(s, texts[i], strlen(texts[i]), tokens, 300);
		assert_int_equal(n, n_tokens[i]);
		assert_int_equal(s->ops->prompt(s, &b.run, &b.request, NULL), TDM_OK);
		assert_true(fabs(walk(s, &b.run, tokens, n) - lp[i]) < 1e-6);
	}
	assert_int_equal(toy->ops->score(toy, &b.run, &b.request, &texts[1], 1, &lp_again, NULL), TDM_OK);
	assert_true(lp_again == lp[1]); // what was scored before leaves no trace
	assert_string_equal(b.run.record->calls->purpose, "judge");
	s->ops->close(s);
	memset(text, 'y', 299);
	text[299] = 0;
	assert_int_equal(toy->ops->score(toy, &b.run, &b.request, &texts[1], 1, lp, NULL), TDM_ECONTEXT);
	bench_close(&b);
}

static void test_events(void **state) {
	struct bench b;
	bench_open(&b, "tell me");
	b.request.logprobs = true;
	b.request.top_logprobs = 5;
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	double sum = b.result.mean_logprob * (double)b.result.completion_tokens;
	assert_true(fabs(b.collect.logprobs.sum - sum) < 1e-3);
	assert_string_equal(b.collect.author, "toy");
	const char *answer = tdm_arena_copy(&b.arena, b.collect.text.data, b.collect.text.len);
	// Its own words go on where a prefill stops.
	struct tdm_message messages[2] = {b.message, {.from = TDM_FROM_ASSISTANT, .text = answer, .len = 3}};
	while (!((unsigned char)answer[messages[1].len] < 0x80 || (unsigned char)answer[messages[1].len] >= 0xC0))
		messages[1].len++;
	b.request.messages = messages;
	b.request.n_messages = 2;
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_true(b.collect.text.len > 0);
	bench_close(&b);
}

// A prompt without a conversation's format: the echo's numbers are those of score(), for every split of the text, and
// those of the tokens that follow are what an answer says.
static void test_echo(void **state) {
	struct bench b;
	struct tdm_echo echo;
	static const char text[] = "Is it the end, \xC3\xA9?";
	int n_text = (int)strlen(text);
	bench_open(&b, text);
	struct tdm_raw raw = {.only_echo = true, .echo = &echo};
	b.request.raw = &raw;
	b.request.logprobs = true;
	b.request.top_logprobs = 2;
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_int_equal(b.collect.text.len, 0);
	assert_int_equal(b.result.completion_tokens, 0);
	assert_int_equal(b.result.finish, TDM_FINISH_LENGTH);
	assert_int_equal(b.result.prompt_tokens, echo.n);
	assert_true(isnan(echo.tokens[0].logprob) && echo.n > n_text / 4);
	size_t at = echo.tokens[0].len;
	int n_compared = 0;
	raw.echo = NULL;
	for (int i = 1; i < echo.n; i++) { // the rest of the text behind every beginning
		const char *rest = text + at;
		double sum = 0, score;
		int n_rest;
		for (int k = i; k < echo.n; k++)
			sum += (double)echo.tokens[k].logprob;
		b.message.len = at;
		assert_int_equal(toy->ops->score(toy, &b.run, &b.request, &rest, 1, &score, &n_rest), TDM_OK);
		assert_true(n_rest != echo.n - i || fabs(score - sum) < 1e-4);
		n_compared += n_rest == echo.n - i;
		assert_int_equal(echo.tokens[i].n_alternatives, 2);
		assert_true(echo.tokens[i].alternatives[0].logprob >= echo.tokens[i].logprob);
		at += echo.tokens[i].len;
	}
	assert_int_equal(at, n_text);
	assert_true(n_compared > 10); // others would be split otherwise
	raw.echo = &echo;
	b.message.len = (size_t)n_text;
	raw.only_echo = false;
	struct tdm_echo first = echo;
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_int_equal(echo.n, first.n);
	for (int i = 1; i < echo.n; i++)
		assert_true(echo.tokens[i].logprob == first.tokens[i].logprob);
	const char *with_echo = tdm_arena_copy(&b.arena, b.collect.text.data, b.collect.text.len);
	raw.echo = NULL;
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_int_equal(strlen(with_echo), b.collect.text.len);
	assert_memory_equal(with_echo, b.collect.text.data, b.collect.text.len); // how it was read changes no word
	bench_close(&b);
}

// Token ids of its own vocabulary are read as they are; those of another one as their text.
static void test_raw_tokens(void **state) {
	struct bench b;
	const int32_t tokens[] = {70, 71, 72}, wrong[] = {70, TOY_VOCAB};
	struct tdm_session *s;
	bench_open(&b, "ab");
	assert_int_equal(toy->ops->open(toy, &b.run, &s), TDM_OK);
	struct tdm_raw raw = {tokens, 3, s->vocab_id, false, NULL};
	b.request.raw = &raw;
	assert_int_equal(s->ops->prompt(s, &b.run, &b.request, NULL), TDM_OK);
	assert_int_equal(s->prompt_tokens, 3);
	raw = (struct tdm_raw){wrong, 2, s->vocab_id, false, NULL};
	assert_int_equal(s->ops->prompt(s, &b.run, &b.request, NULL), TDM_EVALUE);
	raw.vocab_id++;
	assert_int_equal(s->ops->prompt(s, &b.run, &b.request, NULL), TDM_OK);
	int64_t n = 0;
	assert_int_equal(toy->ops->count(toy, &b.run, &b.request, &n), TDM_OK);
	assert_int_equal(n, s->prompt_tokens);
	raw = (struct tdm_raw){NULL, 0, 0, false, NULL};
	b.message.len = 0;
	int status = s->ops->prompt(s, &b.run, &b.request, NULL); // from the start token, where there is one
	assert_true(status == TDM_OK ? s->prompt_tokens == 1 : status == TDM_EVALUE);
	s->ops->close(s);
	bench_close(&b);
}

static void test_session(void **state) {
	struct bench b;
	struct tdm_session *s, *fork;
	float row[TOY_VOCAB];
	const int32_t tokens[] = {65, 66, 67, 68};
	bench_open(&b, "session");
	assert_int_equal(toy->ops->open(toy, &b.run, &s), TDM_OK);
	assert_int_equal(s->ops->prompt(s, &b.run, &b.request, NULL), TDM_OK);
	int start = s->ops->length(s);
	assert_true(start == s->prompt_tokens && s->n_vocab == TOY_VOCAB && s->context == TOY_CONTEXT && s->width == 32);
	assert_int_equal(s->ops->eval(s, &b.run, tokens, NULL, 4), TDM_OK);
	memcpy(row, s->ops->logits(s, 3), sizeof row);
	assert_non_null(s->ops->hidden(s, 3));
	assert_int_equal(s->ops->fork(s, &b.run, &fork), TDM_OK);
	assert_int_equal(s->ops->rewind(s, start + 2), TDM_OK);
	assert_int_equal(s->ops->eval(s, &b.run, tokens + 2, NULL, 2), TDM_OK);
	assert_memory_equal(row, s->ops->logits(s, 1), sizeof row); // another way to the same place, bit for bit
	assert_int_equal(fork->ops->rewind(fork, start + 3), TDM_OK);
	assert_int_equal(fork->ops->eval(fork, &b.run, tokens + 3, NULL, 1), TDM_OK);
	assert_memory_equal(row, fork->ops->logits(fork, 0), sizeof row);
	assert_int_equal(s->ops->length(s), start + 4);
	assert_int_equal(s->ops->rewind(s, start + 5), TDM_EVALUE);
	int32_t many[TOY_CONTEXT] = {0};
	assert_int_equal(s->ops->eval(s, &b.run, many, NULL, TOY_CONTEXT), TDM_ECONTEXT);
	assert_int_equal(s->ops->length(s), start + 4);
	const char *piece;
	assert_int_equal(s->ops->piece(s, 257, &piece), 3);
	assert_memory_equal(piece, "the", 3);
	assert_true(s->ops->is_end(s, TOY_VOCAB - 1) && !s->ops->is_end(s, 65));
	fork->ops->close(fork);
	s->ops->close(s);
	bench_close(&b);
}

static void test_embed(void **state) {
	struct bench b;
	const float *x, *y;
	int width;
	double xx = 0, xy = 0;
	char text[200];
	memset(text, 'e', sizeof text);
	bench_open(&b, "q");
	assert_int_equal(toy->ops->embed(toy, &b.run, "the sea", 7, &x, &width), TDM_OK);
	assert_int_equal(toy->ops->embed(toy, &b.run, text, sizeof text, &y, &width), TDM_OK);
	assert_int_equal(width, 32);
	for (int i = 0; i < width; i++) {
		xx += (double)x[i] * (double)x[i];
		xy += (double)x[i] * (double)y[i];
	}
	assert_true(fabs(xx - 1) < 1e-5 && fabs(xy) < 0.999);
	assert_string_equal(b.run.record->calls->purpose, "embed");
	bench_close(&b);
}

// An encoder as a model: embeddings that tell texts apart, and no answers.
static void test_encoder(void **state) {
	struct bench b;
	struct tdm_error err = {0};
	const float *x, *y;
	int width;
	double xx = 0, xy = 0;
	assert_int_equal(tdm_family_model_write("bert", &(struct tdm_family_model_options){.type = TDM_F32, .seed = 3},
	                                        "build/models-bert.gguf", &err),
	                 TDM_OK);
	struct tdm_tree *encoders = tree_of("models: {b: {kind: local, path: ../build/models-bert.gguf}}\n");
	struct tdm_model *m = tdm_tree_model(encoders, "b");
	assert_int_equal(m->can, TDM_CAN_EMBED);
	bench_open(&b, "q");
	assert_int_equal(m->ops->embed(m, &b.run, "the sea", 7, &x, &width), TDM_OK);
	assert_int_equal(m->ops->embed(m, &b.run, "a stone", 7, &y, &width), TDM_OK);
	assert_int_equal(width, 64);
	for (int i = 0; i < width; i++) {
		xx += (double)x[i] * (double)x[i];
		xy += (double)x[i] * (double)y[i];
	}
	assert_true(fabs(xx - 1) < 1e-5 && fabs(xy) < 0.999);
	assert_true(bench_ask(&b, m) < 0);
	bench_close(&b);
	tdm_tree_close(encoders);
	unlink("build/models-bert.gguf");
}

static struct tdm_tree *encoder_tree(const char *recipe, struct tdm_model **out) {
	const struct tdm_family_model_options o = {.type = TDM_F32, .seed = 3};
	struct tdm_error err = {0};
	assert_int_equal(tdm_family_model_write(recipe, &o, "build/models-classes.gguf", &err), TDM_OK);
	struct tdm_tree *encoders = tree_of("models: {c: {kind: local, path: ../build/models-classes.gguf}}\n");
	*out = tdm_tree_model(encoders, "c");
	unlink("build/models-classes.gguf");
	return encoders;
}

// A classifier scores the names of its classes, which are all there is, and no others.
static void test_classes(void **state) {
	static const char *const names[] = {"good", "neutral", "poor"};
	struct bench b;
	struct tdm_model *m;
	double lp[3] = {0}, other[3] = {0};
	struct tdm_tree *encoders = encoder_tree("bert-classes", &m);
	assert_int_equal(m->can, TDM_CAN_EMBED | TDM_CAN_SCORE);
	bench_open(&b, "the sea");
	assert_int_equal(m->ops->score(m, &b.run, &b.request, names, 3, lp, NULL), TDM_OK);
	assert_true(fabs(exp(lp[0]) + exp(lp[1]) + exp(lp[2]) - 1) < 1e-6);
	assert_int_equal(m->ops->score(m, &b.run, &b.request, names + 2, 1, other, NULL), TDM_OK);
	assert_true(other[0] == lp[2]);
	assert_int_equal(m->ops->score(m, &b.run, &b.request, (const char *const[]){"Good"}, 1, other, NULL), TDM_EVALUE);
	assert_non_null(strstr(b.run.error.text, "its classes are good, neutral, poor"));
	assert_string_equal(b.run.record->calls->purpose, "judge");
	bench_close(&b);
	bench_open(&b, "a stone");
	assert_int_equal(m->ops->score(m, &b.run, &b.request, names, 3, other, NULL), TDM_OK);
	assert_true(fabs(other[0] - lp[0]) > 1e-6);
	bench_close(&b);
	tdm_tree_close(encoders);
}

// One class without a name ranks texts for a question; a file that is for ranks gives no vectors.
static void test_rank(void **state) {
	static const char *const texts[] = {"the sea", "sea the", "the sea"};
	struct bench b;
	struct tdm_model *m;
	double lp[3] = {0};
	int n_tokens[3];
	struct tdm_tree *encoders = encoder_tree("bert-rank", &m);
	assert_int_equal(m->can, TDM_CAN_SCORE);
	bench_open(&b, "a b");
	assert_int_equal(m->ops->score(m, &b.run, &b.request, texts, 3, lp, n_tokens), TDM_OK);
	assert_true(lp[0] == lp[2] && lp[0] != lp[1] && lp[0] < 0 && isfinite(lp[0]));
	assert_int_equal(n_tokens[0], 2);
	char text[4000];
	memset(text, 'a', 3999);
	for (int i = 1; i < 3999; i += 2)
		text[i] = ' ';
	text[3999] = 0;
	assert_int_equal(m->ops->score(m, &b.run, &b.request, (const char *const[]){text}, 1, lp, NULL), TDM_ECONTEXT);
	bench_close(&b);
	tdm_tree_close(encoders);
}

static int n_seen;
static void count_seen(struct tdm_tap *tap, const struct tdm_model *source, const char *bytes, size_t n) {
	n_seen++;
}

static void test_tap(void **state) {
	struct bench b;
	struct tdm_tap tap = {.saw = count_seen};
	const char *yes = "yes";
	double lp;
	bench_open(&b, "q");
	b.run.tap = &tap;
	n_seen = 0;
	assert_int_equal(bench_ask(&b, toy), TDM_OK);
	assert_int_equal(n_seen, 1); // once per call, however it is made
	assert_int_equal(toy->ops->score(toy, &b.run, &b.request, &yes, 1, &lp, NULL), TDM_OK);
	assert_int_equal(n_seen, 2);
	bench_close(&b);
}

static void test_bad(void **state) {
	static const char *const cases[][2] = {
	    {"models: {a: {kind: local}}", "expected path: a GGUF file"},
	    {"models: {a: {kind: local, path: absent.gguf}}", "t.yaml line 1: model a: tests/absent.gguf"},
	    {"models: {a: {kind: local, path: 'embedded:small'}}", "contains no weights named \"small\""},
	    {"models: {a: {kind: local, path: unit/models/toy.c}}", "toy.c"},
	    {"models: {a: {kind: local, path: ../build/models-toy.gguf, chat: chatm}}", "chatm"},
	    {"models: {a: {kind: local, path: ../build/models-toy.gguf, kernels: abacus}}", "abacus"},
	    {"models: {a: {kind: local, path: ../build/models-toy.gguf, adapter: absent.gguf}}",
	     "adapter: tests/absent.gguf"},
	    {"models: {a: {kind: local, path: ../build/models-toy.gguf, adapter: ../build/models-toy.gguf}}",
	     "no LoRA adapter"},
	    {"models: {a: {kind: local, path: ../build/models-toy.gguf, adapter_scale: 1000}}", "adapter_scale"},
	};
	for (size_t i = 0; i < TDM_COUNT(cases); i++) {
		char text[512];
		assert_true(tree_fails(cases[i][0], text) < 0);
		if (!strstr(text, cases[i][1]))
			fail_msg("\"%s\" does not say \"%s\"", text, cases[i][1]);
	}
}

int tdm_test_local(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_greedy),  cmocka_unit_test(test_seeds),   cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_context), cmocka_unit_test(test_score),   cmocka_unit_test(test_events),
	    cmocka_unit_test(test_session), cmocka_unit_test(test_embed),   cmocka_unit_test(test_tap),
	    cmocka_unit_test(test_bad),     cmocka_unit_test(test_encoder), cmocka_unit_test(test_classes),
	    cmocka_unit_test(test_rank),    cmocka_unit_test(test_echo),    cmocka_unit_test(test_raw_tokens),
	};
	return cmocka_run_group_tests_name("local", tests, setup, teardown);
}
