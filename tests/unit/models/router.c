// Routers against scores worked out here: what each scorer says, what is chosen, what a file of it reads back as.
#include "tests.h"
#include "models/predict/router.h"
#include <math.h>

enum { WIDTH = 3 };

static float quality[2 * (WIDTH + 1)] = {1, 0, 0, 0, 0, 2, 0, -1}, cost[2 * (WIDTH + 1)] = {0, 0, 0, 1, 0, 0, 4, 5};
static signed char vectors[4 * WIDTH] = {100, 0, 0, 90, 10, 0, 0, 100, 0, 0, 0, 100};
static float lengths[4], outcomes[8] = {1, 0, 1, 1, 0, 1, 0, 0}, prices[8] = {1, 10, 2, 20, 3, 30, 4, 40};
static float projection[2 * WIDTH] = {1, 0, 0, 0, 1, 0}, tables[4] = {1, 0, 0, 1}, join[2] = {2, 3};

static struct tdm_router make(enum tdm_router_scorer scorer) {
	struct tdm_router r = {.scorer = scorer,
	                       .reads = TDM_ROUTER_READS_VECTOR,
	                       .n_models = 2,
	                       .width = WIDTH,
	                       .models = {"a", "b"},
	                       .mean_cost = {1, 9}};
	for (int i = 0; i < 4; i++)
		lengths[i] = (float)sqrt((double)(vectors[3 * i] * vectors[3 * i] + vectors[3 * i + 1] * vectors[3 * i + 1] +
		                                  vectors[3 * i + 2] * vectors[3 * i + 2]));
	for (int q = 0; q < TDM_N_QUANTILES; q++) {
		r.by_score[q] = q / 101.0;
		r.spend[q] = q / 100.0;
		r.by_familiar[q] = q / 100.0;
	}
	tdm_router_learn_words(&r, "some words", 10);
	if (scorer <= TDM_ROUTER_GAP) {
		r.quality = quality;
		r.cost = cost;
	} else if (scorer == TDM_ROUTER_MF) {
		r.rank = 2;
		r.projection = projection;
		r.tables = tables;
		r.join = join;
	} else {
		r.n_items = 4;
		r.neighbours = scorer == TDM_ROUTER_KNN ? 2 : 1;
		r.vectors = vectors;
		r.lengths = lengths;
		r.outcomes = outcomes;
		r.prices = prices;
	}
	return r;
}

static struct tdm_router_look judge(const struct tdm_router *r, float x, float y, float z) {
	struct tdm_router_look look = {.good = {0}};
	struct tdm_arena arena;
	struct tdm_router_sight sight = {"some other words", 16, (float[]){x, y, z}};
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(tdm_router_judge(r, &sight, &arena, &look), TDM_OK);
	tdm_arena_release(&arena);
	return look;
}

static void near(double x, double wanted) {
	assert_true(fabs(x - wanted) < 1e-6);
}

static double logistic(double z) {
	return 1 / (1 + exp(-z));
}

static void predictors(void **state) {
	struct tdm_router r = make(TDM_ROUTER_QUALITY);
	struct tdm_router_look look = judge(&r, 2, 1, 0.5f);
	near(look.quality[0], logistic(2));
	near(look.quality[1], logistic(1));
	near(look.good[0], (1 + logistic(2) - logistic(1)) / 2);
	near(look.good[1], 0.5);
	near(look.cost[0], 1);
	near(look.cost[1], 7);
	r.is_linear = true;
	near(judge(&r, 0.25f, 0, 0).quality[0], 0.25);
	near(judge(&r, 2, 1, 0.5f).quality[0], 1);
	r.is_linear = false;
	r.scorer = TDM_ROUTER_GAP;
	near(judge(&r, 2, 1, 0).good[0], logistic(2));
	near(judge(&r, 2, 1, 0).good[1], 0.5);
}

static void the_nearest(void **state) {
	struct tdm_router r = make(TDM_ROUTER_KNN);
	struct tdm_router_look look = judge(&r, 1, 0.01f, 0); // items 0 and 1
	near(look.quality[0], 1);
	near(look.quality[1], 0.5);
	near(look.cost[1], 15);
	r.neighbours = 4; // all of them: the means, wherever one stands
	look = judge(&r, -3, 2, 7);
	near(look.quality[0], 0.5);
	near(look.quality[1], 0.5);
	near(look.good[0], 0.5);
	near(look.cost[0], 2.5);
}

// Two models: the share of the weighted wins, a tie being one for each; the other way round it is the rest.
static void the_similar(void **state) {
	struct tdm_router r = make(TDM_ROUTER_SIMILARITY);
	double near_a = 100 / sqrt(100.0 * 100), near_b = 90 / sqrt(8200.0); // cosines of items 0 and 1; others 0
	double w0 = 10 * pow(10, near_a), w1 = 10 * pow(10, near_b), w2 = 10, w3 = 10;
	double wins = 2 * w0 + w1 + w3, all = 2 * (w0 + w1 + w2 + w3);
	double good = judge(&r, 1, 0, 0).good[0];
	assert_true(fabs(good - wins / all) < 1e-4);
	for (int i = 0; i < 4; i++) {
		float held = outcomes[2 * i];
		outcomes[2 * i] = outcomes[2 * i + 1];
		outcomes[2 * i + 1] = held;
	}
	assert_true(fabs(judge(&r, 1, 0, 0).good[0] + good - 1) < 1e-6);
	for (int i = 0; i < 4; i++) {
		float held = outcomes[2 * i];
		outcomes[2 * i] = outcomes[2 * i + 1];
		outcomes[2 * i + 1] = held;
	}
}

static void the_factors(void **state) {
	struct tdm_router r = make(TDM_ROUTER_MF);
	near(judge(&r, 1, 2, 3).good[0], logistic(2 * 1 - 3 * 2));
	near(judge(&r, 1, 2, 3).cost[1], 9);
}

static void the_choice(void **state) {
	struct tdm_router r = make(TDM_ROUTER_QUALITY);
	struct tdm_router_look look = {{0.3, 0.45, 0.5}, {1, 3, 10}, {0.4, 0.7, 0.8}, 0.5};
	bool undecided;
	static const struct {
		struct tdm_router_policy policy;
		int choice;
		bool undecided;
	} rows[] = {{{0.3, 0, 0}, 0, false},   {{0.31, 0, 0}, 1, false},    {{0.46, 0, 0}, 2, false}, // a tie accepts
	            {{0.3, 0, 0.51}, 2, true}, {{0.3, 0, 0.5}, 0, false}, // and so does this one
	            {{0.3, 1, 0}, 0, false},   {{0.3, 10, 0}, 1, false},    {{0.3, 100, 0}, 2, false},
	            {{-1, 1, 0.6}, 2, true},   {{INFINITY, 0, 0}, 2, false}};
	r.n_models = 3;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(tdm_router_choose(&r, &look, &rows[i].policy, &undecided), rows[i].choice);
		assert_int_equal(undecided, rows[i].undecided);
	}
}

static void words_that_are_known(void **state) {
	struct tdm_router r = make(TDM_ROUTER_MF);
	near(tdm_router_familiar(&r, "Some WORDS, 17 words", 20), 1);
	near(tdm_router_familiar(&r, "some strange things", 19), 1.0 / 3);
	near(tdm_router_familiar(&r, "17 + 4", 6), 0);
	near(tdm_router_familiar(&r, "", 0), 0);
	tdm_router_learn_words(&r, "1 + 2 = ?", 9);
	near(tdm_router_familiar(&r, "17 + 4", 6), 1);
	near(tdm_router_familiar(&r, "some strange 17", 15), 0.5);
}

static void thresholds_by_price(void **state) {
	struct tdm_router r = make(TDM_ROUTER_MF);
	near(tdm_router_threshold_by_spend(&r, 0.4), 40 / 101.0);
	near(tdm_router_threshold_by_spend(&r, 0.405), 40 / 101.0); // never more than what was wished
	r.spend[0] = 0.2;
	assert_true(tdm_router_threshold_by_spend(&r, 0) == -(double)INFINITY);
}

static void text_as_numbers(void **state) {
	struct tdm_router r = {.scorer = TDM_ROUTER_QUALITY};
	static float x[TDM_ROUTER_TEXT], y[TDM_ROUTER_TEXT];
	struct tdm_router_sight sight = {"What is 12 + 7?", 15, NULL};
	tdm_router_features(&r, &sight, x);
	near((double)x[TDM_ROUTER_GRAMS], (log1p(15) - 6) / 2);
	near((double)x[TDM_ROUTER_GRAMS + 2], 0.6);
	r.scorer = TDM_ROUTER_KNN;
	tdm_router_features(&r, &sight, y);
	double long_one = 0, folded = 0;
	for (int i = 0; i < TDM_ROUTER_GRAMS; i++)
		long_one += (double)x[i] * (double)x[i];
	for (int i = 0; i < TDM_ROUTER_FOLDED; i++)
		folded += (double)y[i] * (double)y[i];
	near(long_one, 1);
	assert_true(folded > 0.5 && folded < 2);
	for (int i = TDM_ROUTER_GRAMS + 3; i < TDM_ROUTER_TEXT; i++)
		assert_true(x[i] == 0); // one line: it has no head
}

// Two texts have the same number for their first lines when these are the same; a long first line is none.
static void first_lines_are_heads(void **state) {
	static const struct {
		const char *text;
		int same_as; // an earlier row; -1: no head
	} rows[] = {
	    {"law\nWho may sue?", 0},
	    {"law\nWhat is a tort?", 0},
	    {"physics\nWho may sue?", 2},
	    {"law", -1},
	    {"\nlaw", -1},
	    {"a first line of more than eighty bytes is no name of a subject but the text itself already\nlaw", -1}};
	struct tdm_router r = {.scorer = TDM_ROUTER_QUALITY};
	static float x[TDM_ROUTER_TEXT];
	int heads[sizeof rows / sizeof *rows];
	for (int k = 0; k < (int)(sizeof rows / sizeof *rows); k++) {
		struct tdm_router_sight sight = {rows[k].text, strlen(rows[k].text), NULL};
		heads[k] = -1;
		tdm_router_features(&r, &sight, x);
		for (int i = TDM_ROUTER_GRAMS + 3; i < TDM_ROUTER_TEXT; i++)
			if (x[i] != 0)
				heads[k] = i;
		assert_true(rows[k].same_as < 0 ? heads[k] < 0 : heads[k] == heads[rows[k].same_as] && heads[k] > 0);
	}
	assert_int_not_equal(heads[0], heads[2]);
}

static void files_read_back(void **state) {
	for (int s = 0; s < TDM_ROUTER_SCORERS; s++) {
		struct tdm_router r = make((enum tdm_router_scorer)s), *back = NULL;
		struct tdm_arena arena;
		struct tdm_bytes text;
		struct tdm_error err = {0};
		r.is_linear = s == TDM_ROUTER_QUALITY;
		r.reads = (enum tdm_router_reads)(1 + s % 3);
		tdm_arena_init(&arena, 1 << 22);
		tdm_bytes_init(&text, 1 << 20);
		tdm_router_write(&r, &text);
		assert_int_equal(tdm_router_read(&arena, "r.json", text.data, text.len, &back, &err), TDM_OK);
		struct tdm_router_look a = judge(&r, 1, 2, 3), b = judge(back, 1, 2, 3);
		for (int m = 0; m < 2; m++)
			assert_true(a.good[m] == b.good[m] && a.cost[m] == b.cost[m] && a.quality[m] == b.quality[m]);
		assert_true(a.familiar == b.familiar && back->width == WIDTH && back->n_models == 2 && back->reads == r.reads);
		assert_memory_equal(back->by_score, r.by_score, sizeof r.by_score);
		assert_memory_equal(back->spend, r.spend, sizeof r.spend);
		assert_string_equal(back->models[1], "b");
		assert_int_equal(tdm_router_read(&arena, "r.json", text.data, text.len / 2, &back, &err), TDM_EFORMAT);
		tdm_bytes_release(&text);
		tdm_arena_release(&arena);
	}
}

// Each part spoilt in turn: refused with its name, never read as something else.
static void broken_files_are_refused(void **state) {
	static const struct {
		enum tdm_router_scorer scorer;
		const char *part, *instead, *named;
	} rows[] = {{TDM_ROUTER_KNN, "\"router\":1", "\"router\":2", "router 1"},
	            {TDM_ROUTER_KNN, "\"scorer\":\"knn\"", "\"scorer\":\"xnn\"", "a scorer quality"},
	            {TDM_ROUTER_KNN, "\"width\":3", "\"width\":4", "hexadecimal"},
	            {TDM_ROUTER_KNN, "\"width\":3", "\"width\":0", "reads"},
	            {TDM_ROUTER_KNN, "\"reads\":\"vector\"", "\"reads\":\"text\"", "reads"},
	            {TDM_ROUTER_KNN, "\"reads\":\"vector\"", "\"reads\":\"tea leaves\"", "reads"},
	            {TDM_ROUTER_KNN, "\"neighbours\":2", "\"neighbours\":0", "neighbours"},
	            {TDM_ROUTER_MF, "\"rank\":2", "\"rank\":3", "fit the rank"},
	            {TDM_ROUTER_MF, "\"mean_cost\":[1,9]", "\"mean_cost\":[1,[]]", "mean_cost"},
	            {TDM_ROUTER_GAP, "\"models\":[\"a\",\"b\"]", "\"models\":[\"a\",    ]", ""},
	            {TDM_ROUTER_GAP, "\"width\":3", "\"width\":5", "quality"},
	            {TDM_ROUTER_GAP, "\"scores\":[0,", "\"scores\":[9,", "ascending"},
	            {TDM_ROUTER_GAP, "\"words\":\"", "\"words\":\"x", ""}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tdm_router r = make(rows[i].scorer), *back = NULL;
		struct tdm_arena arena;
		struct tdm_bytes text, spoilt;
		struct tdm_error err = {0};
		tdm_arena_init(&arena, 1 << 22);
		tdm_bytes_init(&text, 1 << 20);
		tdm_bytes_init(&spoilt, 1 << 20);
		tdm_router_write(&r, &text);
		char *at = strstr(text.data, rows[i].part);
		assert_non_null(at);
		tdm_bytes_add(&spoilt, text.data, (size_t)(at - text.data));
		tdm_bytes_puts(&spoilt, rows[i].instead);
		tdm_bytes_puts(&spoilt, at + strlen(rows[i].part));
		assert_int_equal(tdm_router_read(&arena, "r.json", spoilt.data, spoilt.len, &back, &err), TDM_EFORMAT);
		assert_non_null(strstr(err.text, rows[i].named));
		tdm_bytes_release(&text);
		tdm_bytes_release(&spoilt);
		tdm_arena_release(&arena);
	}
}

int tdm_test_router(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(predictors),
	    cmocka_unit_test(the_nearest),
	    cmocka_unit_test(the_similar),
	    cmocka_unit_test(the_factors),
	    cmocka_unit_test(the_choice),
	    cmocka_unit_test(words_that_are_known),
	    cmocka_unit_test(thresholds_by_price),
	    cmocka_unit_test(text_as_numbers),
	    cmocka_unit_test(first_lines_are_heads),
	    cmocka_unit_test(files_read_back),
	    cmocka_unit_test(broken_files_are_refused),
	};
	return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
