// The fit of a projection: a small model that never learned what a name stands for says it as soon as it reads the
// states of a large one that knows; a stopped run goes on as the same run; what does not fit together is refused.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/bytes.h"
#include "base/file.h"
#include "engine/engine.h"
#include "engine/gguf.h"
#include "learn/bpe_train.h"
#include "learn/fit_states.h"
#include "learn/train.h"
#include "models/local/projection.h"
#include "files.h"
#include "tests.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_NAMES = 12 };
static const char words[] = "Who is it? It is red. It is blue. It is green. Ann Bob Cid Dan Eve Fay Gus Hal Ida Jon";

// Questions with a name, and the colour that it stands for; shift: other colours for the same names, so that who learns
// from several shifts learns what an answer looks like, and not which one it is.
static void write_data(const char *path, int n_shifts) {
	static const char *const colours[] = {"red", "blue", "green", "white", "pink"};
	struct tdm_bytes b;
	tdm_bytes_init(&b, 1 << 20);
	for (int shift = 0; shift < n_shifts; shift++)
		for (int i = 0; i < N_NAMES; i++)
			tdm_bytes_printf(&b,
			                 "{\"messages\":[{\"role\":\"user\",\"content\":\"Who is %c%c?\"},"
			                 "{\"role\":\"assistant\",\"content\":\"%s\"}]}\n",
			                 'A' + i, 'z' - i, colours[(i * 7 + i / 3 + shift) % 5]);
	assert_false(b.failed);
	assert_int_equal(tdm_file_write(path, b.data, b.len, NULL), 0);
	tdm_bytes_release(&b);
}

static void train(const char *out, const char *vocab, const char *data, int width, int steps) {
	struct tdm_train_options o;
	struct tdm_arena arena;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(
	    tdm_options_read(&arena, "test", NULL, tdm_train_table, TDM_TRAIN_OPTIONS, NULL, &o, sizeof o, &err), 0);
	tdm_arena_release(&arena);
	o.data = data;
	o.tokenizer = vocab;
	o.chat = "auto";
	o.name = "toy";
	o.out = out;
	o.width = width;
	o.layers = 2;
	o.heads = 4;
	o.kv_heads = 2;
	o.ff = 2 * width;
	o.context = 64;
	o.steps = steps;
	o.warmup = 20;
	o.lr = 0.01;
	o.batch_tokens = 300;
	o.micro_tokens = 300;
	o.type = 2; // f32
	if (tdm_train(&o, NULL, &err))
		fail_msg("%s", err.text);
}

static int set_up(void **state) {
	snprintf(folder, sizeof folder, "/tmp/tandem-states-XXXXXX");
	assert_non_null(mkdtemp(folder));
	write_vocab(at("vocab.gguf"), 290, 6, words);
	write_vocab(at("other.gguf"), 280, 6, words);
	write_data(at("known.jsonl"), 1);
	write_data(at("any.jsonl"), 5);
	train(at("large.gguf"), at("vocab.gguf"), at("known.jsonl"), 48, 200);
	train(at("small.gguf"), at("vocab.gguf"), at("any.jsonl"), 32, 200);
	return 0;
}

static int tear_down(void **state) {
	static const char *const names[] = {"vocab.gguf", "other.gguf", "known.jsonl", "any.jsonl", "large.gguf",
	                                    "small.gguf", "a.gguf",     "b.gguf",      "a.state",   "b.state",
	                                    "new.gguf",   "third.gguf", "learned.gguf"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(at(names[i]));
	return rmdir(folder);
}

static struct tdm_fit_states_options options(void) {
	struct tdm_fit_states_options o;
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(
	    tdm_options_read(&arena, "test", NULL, tdm_fit_states_table, TDM_FIT_STATES_OPTIONS, NULL, &o, sizeof o, NULL),
	    0);
	tdm_arena_release(&arena);
	o.small = at("small.gguf");
	o.large = at("large.gguf");
	o.data = at("known.jsonl");
	o.valid = at("known.jsonl");
	o.out = at("a.gguf");
	o.context = 64;
	o.hidden = 24;
	o.batch_tokens = 200;
	o.steps = 400;
	o.every = 1000;
	o.warmup = 20;
	o.lr = 0.03;
	return o;
}

static void fit(const struct tdm_fit_states_options *o) {
	struct tdm_error err = {0};
	if (tdm_fit_states(o, NULL, &err))
		fail_msg("%s", err.text);
}

// --- what the engine says with what the file holds

static void read_matrix(const struct tdm_gguf *g, const char *name, float **out, int *n_rows, int *n_columns) {
	const struct tdm_tensor *t = tdm_gguf_tensor(g, name);
	assert_non_null(t);
	*n_rows = (int)t->dims[1];
	*n_columns = (int)t->dims[0];
	*out = malloc((size_t)*n_rows * (size_t)*n_columns * sizeof **out);
	tdm_dequantize(t->type, t->data, t->dims[0] * t->dims[1], *out);
}

// The vectors of a prompt, of the large model's states through the file.
static float *vectors_of(const char *path, const char *large, const int32_t *tokens, int n) {
	struct tdm_projection p = {0};
	struct tdm_projector projector;
	struct tdm_gguf *g;
	struct tdm_engine *e;
	struct tdm_seq *s;
	assert_int_equal(tdm_gguf_open(path, &g, NULL), 0);
	read_matrix(g, "inner", &p.inner, &p.n_in, &p.n_hidden);
	read_matrix(g, "outer", &p.outer, &p.n_hidden, &p.n_out);
	tdm_gguf_close(g);
	assert_int_equal(tdm_engine_open(large, NULL, &e, NULL), 0);
	assert_int_equal(tdm_seq_open(e, &s, NULL), 0);
	float *states = malloc((size_t)(n * p.n_in) * sizeof *states), *out = malloc((size_t)(n * p.n_out) * sizeof *out);
	assert_int_equal(tdm_seq_states(s, tokens, n, states, NULL, NULL), 0);
	assert_int_equal(tdm_projector_init(&projector, &p, NULL), TDM_OK);
	assert_int_equal(tdm_projector_apply(&projector, states, n, out, NULL), TDM_OK);
	tdm_projector_release(&projector);
	tdm_seq_close(s);
	tdm_engine_close(e);
	free(states);
	free(p.inner);
	free(p.outer);
	return out;
}

// Of the answers to all names, how many the model's greedy ones are. projection: NULL: alone.
static int right(const char *model, const char *projection, const char *large) {
	struct tdm_engine *e;
	struct tdm_bytes data;
	int n_right = 0;
	assert_int_equal(tdm_engine_open(model, NULL, &e, NULL), 0);
	assert_int_equal(tdm_file_read(at("known.jsonl"), 1 << 20, &data, NULL), 0);
	for (char *line = data.data; *line; line = strchr(line, '\n') + 1) {
		char asked[16], want[16], said[64] = "";
		int32_t tokens[64];
		assert_int_equal(sscanf(strstr(line, "Who"), "%15[^\"]", asked), 1);
		assert_int_equal(sscanf(strstr(line, "assistant"), "assistant\",\"content\":\"%15[^\"]", want), 1);
		struct tdm_message message = {.from = TDM_FROM_USER, .text = asked, .len = strlen(asked)};
		int n = tdm_engine_render(e, &message, 1, tokens, 64, NULL);
		float *vectors = projection ? vectors_of(projection, large, tokens, n) : NULL;
		struct tdm_seq *s;
		assert_int_equal(tdm_seq_open(e, &s, NULL), 0);
		tdm_seq_add(s, vectors, n);
		assert_int_equal(tdm_seq_eval(s, tokens, n, NULL, NULL, NULL), 0);
		for (int i = 0; i < 12; i++) {
			const char *piece;
			int32_t token = tdm_argmax(tdm_seq_logits(s, 0), tdm_engine_info(e)->n_vocab);
			if (tdm_token_is_end(tdm_engine_vocab(e), token))
				break;
			size_t len = tdm_token_piece(tdm_engine_vocab(e), token, &piece);
			snprintf(said + strlen(said), sizeof said - strlen(said), "%.*s", (int)len, piece);
			assert_int_equal(tdm_seq_eval(s, &token, 1, NULL, NULL, NULL), 0);
		}
		n_right += !strcmp(said, want);
		tdm_seq_close(s);
		free(vectors);
	}
	tdm_bytes_release(&data);
	tdm_engine_close(e);
	return n_right;
}

static void the_small_model_says_what_the_large_one_knows(void **state) {
	struct tdm_fit_states_options o = options();
	assert_int_equal(right(at("large.gguf"), NULL, NULL), N_NAMES);
	assert_true(right(at("small.gguf"), NULL, NULL) <= N_NAMES / 2);
	fit(&o);
	assert_int_equal(right(at("small.gguf"), at("a.gguf"), at("large.gguf")), N_NAMES);
	o.out = at("b.gguf");
	o.lr = 0; // nothing is learned: the small model alone
	o.steps = 3;
	fit(&o);
	assert_int_equal(right(at("small.gguf"), at("b.gguf"), at("large.gguf")), right(at("small.gguf"), NULL, NULL));
}

// Where the small model learns too, the file belongs to what it became.
static void the_small_model_learns_too(void **state) {
	struct tdm_fit_states_options o = options();
	o.small_out = at("new.gguf");
	o.small_lr = 0.003;
	o.layers = 1;
	fit(&o);
	struct tdm_gguf *g;
	const char *alone, *learned;
	size_t n;
	struct tdm_bytes before, after;
	assert_int_equal(tdm_file_read(at("small.gguf"), 1 << 24, &before, NULL), 0);
	assert_int_equal(tdm_file_read(at("new.gguf"), 1 << 24, &after, NULL), 0);
	assert_true(before.len != after.len || memcmp(before.data, after.data, before.len) != 0);
	tdm_bytes_release(&before);
	tdm_bytes_release(&after);
	o.small_out = NULL;
	o.out = at("b.gguf");
	o.steps = 2;
	fit(&o);
	assert_int_equal(tdm_gguf_open(at("a.gguf"), &g, NULL), 0);
	assert_true(tdm_gguf_text(g, "projection.small", &learned, &n) && n == 71);
	uint64_t layers = 0;
	assert_true(tdm_gguf_u64(g, "projection.layers", &layers) && layers == 1);
	struct tdm_gguf *other;
	assert_int_equal(tdm_gguf_open(at("b.gguf"), &other, NULL), 0);
	assert_true(tdm_gguf_text(other, "projection.small", &alone, &n) && memcmp(alone, learned, n) != 0);
	tdm_gguf_close(g);
	tdm_gguf_close(other);
}

static void a_stopped_run_goes_on_as_the_same_run(void **state) {
	struct tdm_fit_states_options o = options();
	static const volatile sig_atomic_t stop = 1;
	o.valid = NULL;
	o.steps = 12;
	o.every = 5;
	o.checkpoint = at("a.state");
	fit(&o);
	o.out = at("b.gguf");
	o.checkpoint = at("b.state");
	assert_int_equal(tdm_fit_states(&o, &stop, NULL), TDM_OK); // before the first step
	o.every = 7;                                               // as if stopped behind step 7
	o.steps = 12;
	fit(&o);
	same_files(at("a.gguf"), at("b.gguf"));
	same_files(at("a.state"), at("b.state"));
	o.hidden = 16;
	struct tdm_error err = {0};
	assert_int_equal(tdm_fit_states(&o, NULL, &err), TDM_EFORMAT);
	assert_non_null(strstr(err.text, "another shape"));
	o.hidden = 24;
	o.seed = 2;
	tdm_error_clear(&err);
	assert_int_equal(tdm_fit_states(&o, NULL, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "checkpoint of another run"));
}

static void what_does_not_fit_is_refused(void **state) {
	struct tdm_fit_states_options o = options();
	struct tdm_error err = {0};
	o.data = NULL;
	assert_int_equal(tdm_fit_states(&o, NULL, &err), TDM_EMISSING);
	o.data = at("known.jsonl");
	o.context = 100;
	tdm_error_clear(&err);
	assert_int_equal(tdm_fit_states(&o, NULL, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "its context is 64, shorter than --context 100"));
	o.context = 64;
	o.layers = 2;
	tdm_error_clear(&err);
	assert_int_equal(tdm_fit_states(&o, NULL, &err), TDM_EVALUE);
	o.layers = 0;
	train(at("third.gguf"), at("other.gguf"), at("known.jsonl"), 32, 2);
	o.large = at("third.gguf");
	tdm_error_clear(&err);
	assert_int_equal(tdm_fit_states(&o, NULL, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "its vocabulary is not that of"));
}

int tdm_test_fit_states(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_small_model_says_what_the_large_one_knows),
	    cmocka_unit_test(the_small_model_learns_too),
	    cmocka_unit_test(a_stopped_run_goes_on_as_the_same_run),
	    cmocka_unit_test(what_does_not_fit_is_refused),
	};
	return cmocka_run_group_tests_name("fit_states", tests, set_up, tear_down);
}
