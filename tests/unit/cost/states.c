// States: the small model writes with what the large one made of the question, over real sessions of tiny models.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../toys.h"
#include "assure/labels.h"
#include "base/file.h"
#include "base/random.h"
#include "cost/kinds.h"
#include "models/local/projection.h"
#include "tests.h"

enum { WIDTH = 32, HIDDEN = 8 };

static const char yaml[] =
    "models:\n"
    "  large: {kind: local, path: toy-one.gguf, max_tokens: 60, price: {in: 10, out: 20}}\n"
    "  short: {kind: local, path: toy-one.gguf, context: 24}\n"
    "  small: {kind: local, path: toy-two.gguf, max_tokens: 60, price: {in: 1, out: 2}}\n"
    "  zero: {kind: shepherd, small: small, large: large, part: states, projection: zero.gguf}\n"
    "  some: {kind: shepherd, small: small, large: large, part: states, projection: some.gguf}\n"
    "  first: {kind: shepherd, small: small, large: large, part: states, projection: first.gguf}\n"
    "  out: {kind: shepherd, small: small, large: short, part: states, projection: some.gguf}\n";
static const struct tdm_kind *const kinds[] = {&tdm_kind_local, &tdm_kind_shepherd, NULL};

static void hash(const char *folder, const char *name, char out[72]) {
	char path[80];
	struct tdm_mapping file;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_int_equal(tdm_map_open(path, &file, NULL), TDM_OK);
	tdm_labels_hash(file.data, file.n, out);
	tdm_map_close(&file);
}

// A projection for toys two (small) and one (large). size: of the numbers of its outer matrix.
static void write_projection(const char *folder, const char *name, int layers, double size) {
	static float inner[WIDTH * HIDDEN], outer[HIDDEN * WIDTH];
	struct tdm_projection p = {layers, WIDTH, HIDDEN, WIDTH, inner, outer, "", ""};
	struct tdm_rng rng;
	char path[80];
	tdm_rng_init(&rng, 4);
	for (int i = 0; i < WIDTH * HIDDEN; i++) {
		inner[i] = (float)tdm_rng_normal(&rng);
		outer[i] = (float)(size * tdm_rng_normal(&rng));
	}
	hash(folder, "toy-two.gguf", p.small);
	hash(folder, "toy-one.gguf", p.large);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_int_equal(tdm_projection_write(&p, path, NULL), TDM_OK);
}

static const char *const files[] = {"zero.gguf", "some.gguf", "first.gguf", "wide.gguf", "bad.gguf"};

static void write_files(const char *folder) {
	char path[80];
	mkdir(folder, 0700);
	snprintf(path, sizeof path, "%s/toy-one.gguf", folder); // as toys_open does again
	toy_write(path, 7);
	snprintf(path, sizeof path, "%s/toy-two.gguf", folder);
	toy_write(path, 8);
	write_projection(folder, "zero.gguf", 0, 0);
	write_projection(folder, "some.gguf", 0, 0.3);
	write_projection(folder, "first.gguf", 1, 0.3);
}

static void open_all(struct toys *t) {
	char folder[40];
	snprintf(folder, sizeof folder, "build/toys-%d", (int)getpid());
	write_files(folder);
	assert_int_equal(toys_open(t, yaml, kinds), TDM_OK);
}

static void remove_files(const char *folder) {
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[80];
		snprintf(path, sizeof path, "%s/%s", folder, files[i]);
		remove(path);
	}
}

static void close_all(struct toys *t) {
	remove_files(t->folder);
	toys_close(t);
}

static void a_projection_of_zeros_is_the_small_model_alone(void **state) {
	static const char *const prompts[] = {"hello", "What is 12 + 7?", "x", "Name a colour of the sky."};
	struct toys t;
	int n_other = 0;
	open_all(&t);
	for (int i = 0; i < 16; i++) {
		struct tdm_request request;
		char want[4000];
		tdm_request_init(&request);
		request.temperature = i % 2 ? 1 : 0;
		request.repeat_penalty = i % 3 ? 1.3f : 0;
		request.max_tokens = i < 8 ? 0 : 20;
		snprintf(want, sizeof want, "%s", toys_ask(&t, "small", prompts[i % 4], &request, (uint64_t)i));
		struct tdm_result alone = t.result;
		assert_string_equal(toys_ask(&t, "zero", prompts[i % 4], &request, (uint64_t)i), want);
		assert_int_equal(t.result.finish, alone.finish);
		assert_int_equal(t.result.completion_tokens, alone.completion_tokens);
		assert_true(t.result.mean_logprob == alone.mean_logprob);
		n_other += strcmp(toys_ask(&t, "some", prompts[i % 4], &request, (uint64_t)i), want) != 0;
		assert_int_equal(t.run.error.status, TDM_OK);
	}
	assert_true(n_other > 8);
	close_all(&t);
}

static void the_receipt_says_who_read_and_who_wrote(void **state) {
	static const char *const models[] = {"some", "first"};
	struct toys t;
	struct tdm_request request;
	open_all(&t);
	tdm_request_init(&request);
	for (int m = 0; m < 2; m++) {
		toys_ask(&t, models[m], "hello", &request, 1);
		const struct tdm_call *read = t.run.record->calls, *wrote = read->next;
		const struct tdm_decision *d = t.run.record->decisions;
		assert_string_equal(read->model, "large");
		assert_string_equal(read->purpose, "states");
		assert_int_equal(read->completion_tokens, 0);
		assert_int_equal(read->prompt_tokens, t.result.prompt_tokens);
		assert_true(read->cost == (double)read->prompt_tokens * 10 / 1e6);
		assert_string_equal(wrote->model, "small");
		assert_string_equal(wrote->purpose, "answer");
		assert_int_equal(wrote->completion_tokens, t.result.completion_tokens);
		assert_int_equal(wrote->cached_tokens, 0);
		assert_null(wrote->next);
		assert_string_equal(d->choice, "states");
		assert_non_null(strstr(d->detail, "large read "));
		assert_non_null(strstr(d->detail, "large wrote 0 tokens (none wanted), share 0.000"));
		assert_string_equal(t.result.served, models[m]);
	}
	close_all(&t);
}

// Words that only one author can write are the small one's, with the states.
static void a_form_is_kept(void **state) {
	struct tdm_form form = {.kind = TDM_GRAMMAR_REGEX, .text = "[a-c]{4,9}", .len = 10};
	struct tdm_request request;
	struct toys t;
	open_all(&t);
	tdm_request_init(&request);
	request.form = &form;
	request.max_tokens = 20;
	const char *answer = toys_ask(&t, "some", "hello", &request, 1);
	assert_int_equal(t.run.error.status, TDM_OK);
	assert_true(strlen(answer) >= 4 && strlen(answer) <= 9 && strspn(answer, "abc") == strlen(answer));
	assert_string_equal(t.run.record->decisions->choice, "states");
	close_all(&t);
}

static void without_the_large_one_the_small_one_is_alone(void **state) {
	struct tdm_request request;
	struct toys t;
	char want[4000];
	open_all(&t);
	tdm_request_init(&request);
	request.temperature = 0;
	snprintf(want, sizeof want, "%s", toys_ask(&t, "small", "a question that is too long for it", &request, 1));
	assert_string_equal(toys_ask(&t, "out", "a question that is too long for it", &request, 1), want);
	const struct tdm_decision *d = t.run.record->decisions;
	assert_string_equal(d->choice, "small");
	assert_non_null(strstr(d->detail, "large failed"));
	assert_string_equal(t.run.record->warnings->code, "model_out");
	close_all(&t);
}

// Each is refused with one sentence before anything runs.
static void files_of_others_are_refused(void **state) {
	static const struct {
		const char *options, *sentence;
	} rows[] = {
	    {"small: two, large: one, part: states", "part: states and projection come together"},
	    {"small: two, large: one, projection: some.gguf", "part: states and projection come together"},
	    {"small: one, large: two, part: states, projection: some.gguf",
	     "some.gguf was made for another model than one: for the weights sha256:"},
	    {"small: two, large: two, part: states, projection: some.gguf",
	     "some.gguf was made for another model than two: for the weights sha256:"},
	    {"small: two, large: one, part: states, projection: toy-one.gguf",
	     "a projection is expected to have the hashes of two weight files"},
	    {"small: two, large: one, part: states, projection: bad.gguf", "bad.gguf"},
	    {"small: two, large: one, part: states, projection: none.gguf", "none.gguf"},
	    {"small: two, large: one, part: states, projection: wide.gguf", "reads layer 2 of model one, which has 2"},
	    {"small: two, large: other, part: states, projection: some.gguf",
	     "states need one vocabulary and one chat format, which models two and other do not share"},
	    {"small: two, large: herd, part: states, projection: some.gguf",
	     "a projection is for models of kind local, which herd is not"},
	};
	struct toys t;
	struct tdm_error err = {0};
	struct tdm_tree *tree = NULL;
	open_all(&t);
	write_projection(t.folder, "wide.gguf", 2, 1);
	char path[80], text[600];
	snprintf(path, sizeof path, "%s/bad.gguf", t.folder);
	assert_int_equal(tdm_file_write(path, "GGUF, but not really", 20, NULL), TDM_OK);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(text, sizeof text,
		         "models:\n  one: {kind: local, path: toy-one.gguf}\n  two: {kind: local, path: toy-two.gguf}\n"
		         "  other: {kind: local, path: toy-other.gguf}\n  herd: {kind: shepherd, small: one, large: two}\n  "
		         "made: {kind: shepherd, %s}\n",
		         rows[i].options);
		tdm_error_clear(&err);
		assert_true(tdm_tree_load("states.yaml", t.folder, text, strlen(text), kinds, NULL, &tree, &err) < 0);
		if (!strstr(err.text, rows[i].sentence))
			fail_msg("%s: %s", rows[i].options, err.text);
		assert_null(strchr(err.text, '\n'));
	}
	close_all(&t);
}

int tdm_test_states(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_projection_of_zeros_is_the_small_model_alone),
	    cmocka_unit_test(the_receipt_says_who_read_and_who_wrote),
	    cmocka_unit_test(a_form_is_kept),
	    cmocka_unit_test(without_the_large_one_the_small_one_is_alone),
	    cmocka_unit_test(files_of_others_are_refused),
	};
	return cmocka_run_group_tests_name("states", tests, NULL, NULL);
}
