// The run and its figures, with models whose answers are known beforehand: `large` knows every answer, `small` those of
// the even rows, `veil` hides the request or only pretends to, `first` asks small and then large.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/value.h"
#include "eval/report.h"
#include "eval/sight.h"
#include "models/collect.h"
#include "tests.h"
#include <string.h>

#define SEED 77
#define N_ITEMS 48
#define LIMIT ((size_t)64 << 20)

static struct tdm_arena bank_arena;
static struct tdm_gym_item bank[N_ITEMS]; // what the run will ask

static const struct tdm_kind source_kind = {.name = "knows", .family = TDM_SOURCE};
static const struct tdm_kind veil_kind = {.name = "veil", .family = TDM_POLICY, .goal = TDM_GOAL_PRIVACY};
static const struct tdm_kind first_kind = {.name = "first", .family = TDM_STRATEGY, .goal = TDM_GOAL_COST};

struct fake {
	struct tdm_model model;
	struct tdm_model *parts[2];
	size_t every; // sources: right on items whose number it divides; else "wrong"
	int fails;    // status instead of an answer
	bool is_open; // veil: lets everything through
};

static int put(struct tdm_sink *sink, const char *author, const char *text) {
	return tdm_put_text(sink, author, text, strlen(text));
}

static int bank_index(const struct tdm_message *m) {
	for (int i = 0; i < N_ITEMS; i++)
		if (strlen(bank[i].prompt) == m->len && !memcmp(bank[i].prompt, m->text, m->len))
			return i;
	return -1;
}

static int knows(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, struct tdm_sink *sink,
                 struct tdm_result *result) {
	const struct fake *f = (const struct fake *)m;
	int i = bank_index(&rq->messages[0]);
	const char *text = i >= 0 && i % (int)f->every == 0 ? bank[i].answer : "wrong";
	struct tdm_call call = {.model = m->name, .purpose = "answer", .status = f->fails ? "failed" : "ok"};
	call.prompt_tokens = 10;
	call.completion_tokens = 2;
	call.cost = (10 * m->price.in + 2 * m->price.out) / 1e6;
	tdm_record_call(run->record, &call);
	result->mean_logprob = -0.25;
	return f->fails ? tdm_fail(&run->error, f->fails, "%s fails as told", m->name) : put(sink, m->name, text);
}

// Asks its model with another text, and answers what the item's own answer is, as a mask restores it.
static int veil(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, struct tdm_sink *sink,
                struct tdm_result *result) {
	const struct fake *f = (const struct fake *)m;
	struct tdm_message hidden = {.from = TDM_FROM_USER, .text = "hidden", .len = 6};
	struct tdm_request asked = *rq;
	struct tdm_collect dropped;
	if (!f->is_open)
		asked.messages = &hidden;
	tdm_collect_init(&dropped, 1000, NULL, NULL);
	int status = tdm_generate(f->parts[0], run, &asked, &dropped.sink, result);
	tdm_collect_release(&dropped);
	int i = bank_index(&rq->messages[0]);
	return status || i < 0 ? status : put(sink, result->served, bank[i].answer);
}

static int first(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, struct tdm_sink *sink,
                 struct tdm_result *result) {
	const struct fake *f = (const struct fake *)m;
	int i = bank_index(&rq->messages[0]);
	struct tdm_collect dropped;
	if (i >= 0 && i % (int)f->every == 0)
		return tdm_generate(f->parts[0], run, rq, sink, result);
	tdm_collect_init(&dropped, 1000, NULL, NULL);
	int status = tdm_generate(f->parts[0], run, rq, &dropped.sink, result);
	tdm_collect_release(&dropped);
	return status ? status : tdm_generate(f->parts[1], run, rq, sink, result);
}

static const struct tdm_model_ops knows_ops = {.generate = knows};
static const struct tdm_model_ops veil_ops = {.generate = veil};
static const struct tdm_model_ops first_ops = {.generate = first};

static void make(struct fake *f, const char *name, const struct tdm_kind *kind, const struct tdm_model_ops *ops) {
	*f = (struct fake){.model = {.ops = ops, .name = name, .kind = kind, .can = TDM_CAN_TEXT}, .every = 1};
	f->model.parts = f->parts;
}

static void add_part(struct fake *f, struct fake *part) {
	f->parts[f->model.n_parts++] = &part->model;
}

struct cast {
	struct fake large, small, mask, sieve, first, fails, guard;
	struct tdm_model *models[8];
	struct tdm_eval_options options;
	struct tdm_eval eval;
	struct tdm_arena arena;
	struct tdm_eval_summary *summaries;
	struct tdm_error err;
};

static void make_cast(struct cast *c) {
	memset(c, 0, sizeof *c);
	make(&c->large, "large", &source_kind, &knows_ops);
	make(&c->small, "small", &source_kind, &knows_ops);
	make(&c->mask, "mask", &veil_kind, &veil_ops);
	make(&c->sieve, "sieve", &veil_kind, &veil_ops);
	make(&c->first, "first", &first_kind, &first_ops);
	make(&c->fails, "fails", &source_kind, &knows_ops);
	make(&c->guard, "guard", &source_kind, &knows_ops);
	c->large.model.price = (struct tdm_price){10, 100};
	c->small.model.price = (struct tdm_price){1, 10};
	c->small.every = c->first.every = 2;
	c->sieve.is_open = true;
	c->fails.fails = TDM_EUPSTREAM;
	c->guard.fails = TDM_EFILTERED;
	add_part(&c->mask, &c->large);
	add_part(&c->sieve, &c->large);
	add_part(&c->first, &c->small);
	add_part(&c->first, &c->large);
	struct fake *all[] = {&c->large, &c->small, &c->mask, &c->sieve, &c->first, &c->fails, &c->guard};
	for (size_t i = 0; i < 7; i++)
		c->models[i] = &all[i]->model;
	c->options = (struct tdm_eval_options){.seed = SEED, .n_items = N_ITEMS, .models = c->models, .n_models = 7};
	c->options.baseline = &c->large.model;
	c->options.n_jobs = 1;
}

static void run_cast(struct cast *c) {
	tdm_arena_init(&c->arena, LIMIT);
	if (tdm_eval_run(&c->options, &c->eval, &c->err) || tdm_eval_summaries(&c->eval, &c->arena, &c->summaries, &c->err))
		fail_msg("%s", c->err.text);
}

static void close_cast(struct cast *c) {
	tdm_eval_release(&c->eval);
	tdm_arena_release(&c->arena);
}

// --- tests

static void test_accuracy(void **state) {
	struct cast c;
	make_cast(&c);
	run_cast(&c);
	const struct tdm_eval_summary *large = &c.summaries[0], *small = &c.summaries[1], *mixed = &c.summaries[4];
	assert_int_equal(large->right.k, N_ITEMS);
	assert_int_equal(large->right.n, N_ITEMS);
	assert_int_equal(small->right.k, N_ITEMS / 2);
	assert_int_equal(mixed->right.k, N_ITEMS);
	size_t n_families, sum = 0;
	tdm_gym_families(&n_families);
	assert_int_equal(c.eval.n_families, n_families);
	for (size_t f = 0; f < n_families; f++) {
		assert_int_equal(large->families[f].n, N_ITEMS / n_families);
		assert_int_equal(small->families[f].k, f % 2 ? 0 : N_ITEMS / n_families); // 12 families: even ones are known
		sum += large->families[f].n;
	}
	assert_int_equal(sum, N_ITEMS);
	assert_int_equal(large->levels[0].n + large->levels[1].n + large->levels[2].n, N_ITEMS);
	close_cast(&c);
}

static void test_shares_and_cost(void **state) {
	struct cast c;
	make_cast(&c);
	run_cast(&c);
	const struct tdm_eval_summary *mixed = &c.summaries[4], *mask = &c.summaries[2];
	assert_int_equal(mixed->served.k, N_ITEMS / 2);
	assert_int_equal(mixed->called.k, N_ITEMS / 2);
	assert_int_equal(mixed->baseline_calls, N_ITEMS / 2);
	assert_int_equal(mask->served.k, N_ITEMS);
	assert_int_equal(c.summaries[1].called.k, 0);
	assert_float_equal(c.summaries[0].cost * 1e6, N_ITEMS * 300.0, 1e-6);
	assert_float_equal(mixed->cost * 1e6, N_ITEMS * (30 + 150.0), 1e-6);
	assert_float_equal(mixed->cost_ratio, 0.6, 1e-9);
	assert_float_equal(c.summaries[0].cost_ratio, 1, 1e-9);
	assert_float_equal(c.summaries[0].speed_median, 1, 1e-9);
	for (size_t s = 0; s < c.eval.n_sources; s++) {
		bool is_large = c.eval.sources[s] == &c.large.model, is_small = c.eval.sources[s] == &c.small.model;
		int64_t calls = is_large ? N_ITEMS / 2 : is_small ? N_ITEMS : 0;
		assert_int_equal(mixed->uses[s].calls, calls);
		assert_int_equal(mixed->uses[s].prompt_tokens, calls * 10);
		assert_int_equal(mixed->uses[s].completion_tokens, calls * 2);
	}
	close_cast(&c);
}

static void test_privacy(void **state) {
	struct cast c;
	make_cast(&c);
	run_cast(&c);
	size_t n_protected = 0, n_needs = 0;
	for (int i = 0; i < N_ITEMS; i++) {
		n_protected += bank[i].n_protected > 0;
		n_needs += bank[i].needs_protected;
	}
	assert_true(n_protected > 4 && n_needs > 2);
	const struct tdm_eval_summary *large = &c.summaries[0], *mask = &c.summaries[2], *sieve = &c.summaries[3];
	assert_false(large->has_covered);
	assert_int_equal(large->leaked.k, 0);
	assert_int_equal(large->exposed.k, n_protected);
	assert_int_equal(large->exposed.n, n_protected);
	assert_true(mask->has_covered);
	assert_int_equal(mask->leaked.k, 0);
	assert_int_equal(mask->exposed.k, 0);
	assert_int_equal(sieve->leaked.k, n_protected);
	assert_int_equal(sieve->exposed.k, 0);
	assert_int_equal(mask->restored.k, n_needs);
	assert_int_equal(mask->restored.n, n_needs);
	assert_true(c.summaries[1].restored.k < n_needs);
	close_cast(&c);
}

static void test_refusals_and_failures(void **state) {
	struct cast c;
	make_cast(&c);
	run_cast(&c);
	const struct tdm_eval_summary *large = &c.summaries[0], *fails = &c.summaries[5], *guard = &c.summaries[6];
	size_t n_refuse = N_ITEMS / c.eval.n_families;
	assert_int_equal(large->refused_right.k, n_refuse);
	assert_int_equal(large->refused_right.n, n_refuse);
	assert_int_equal(large->refused_wrong.k, 0);
	assert_int_equal(large->refused_wrong.n, N_ITEMS - n_refuse);
	assert_int_equal(guard->refused_right.k, n_refuse); // filtered: right there, wrong elsewhere, never a failure
	assert_int_equal(guard->refused_wrong.k, N_ITEMS - n_refuse);
	assert_int_equal(guard->right.k, n_refuse);
	assert_int_equal(guard->failed, 0);
	assert_int_equal(fails->failed, N_ITEMS);
	assert_int_equal(fails->right.k, 0);
	assert_int_equal(fails->refused_right.k, 0);
	assert_string_equal(c.eval.failures[5], "fails fails as told");
	assert_string_equal(c.eval.failures[6], "");
	close_cast(&c);
}

static void test_equality(void **state) {
	struct cast c;
	make_cast(&c);
	run_cast(&c);
	assert_int_equal(c.summaries[0].equal.k, N_ITEMS);
	assert_int_equal(c.summaries[1].equal.k, N_ITEMS / 2);
	assert_int_equal(c.summaries[3].equal.k, N_ITEMS);
	assert_int_equal(c.summaries[5].equal.k, 0);
	for (size_t i = 0; i < N_ITEMS; i++)
		assert_true(tdm_eval_outcome(&c.eval, i, 0)->mean_logprob == -0.25);
	close_cast(&c);
}

// The outcomes do not depend on the number of threads, and the items of some families are those of the whole test.
static void test_jobs_and_families(void **state) {
	static const char *const some[] = {"read", "facts"};
	struct cast a, b;
	make_cast(&a);
	make_cast(&b);
	run_cast(&a);
	b.options.n_jobs = 3;
	b.options.warm_up = true;
	run_cast(&b);
	for (size_t i = 0; i < N_ITEMS * 7; i++) {
		assert_int_equal(a.eval.outcomes[i].right, b.eval.outcomes[i].right);
		assert_int_equal(a.eval.outcomes[i].leaked, b.eval.outcomes[i].leaked);
		assert_true(a.eval.outcomes[i].cost == b.eval.outcomes[i].cost);
	}
	close_cast(&b);
	make_cast(&b);
	b.options.families = some;
	b.options.n_families = 2;
	b.options.n_items = N_ITEMS / 6;
	run_cast(&b);
	assert_int_equal(b.summaries[0].right.k, N_ITEMS / 6); // every item is in the bank
	assert_int_equal(b.summaries[0].families[0].n, N_ITEMS / 12);
	assert_string_equal(b.eval.families[1], "facts");
	close_cast(&a);
	close_cast(&b);
}

static void test_answers_are_kept(void **state) {
	struct cast c;
	make_cast(&c);
	c.options.n_jobs = 3;
	c.options.keep_answers = true;
	run_cast(&c);
	for (size_t i = 0; i < N_ITEMS; i++) {
		const struct tdm_eval_outcome *large = tdm_eval_outcome(&c.eval, i, 0),
		                              *fails = tdm_eval_outcome(&c.eval, i, 5);
		assert_string_equal(large->answer, bank[i].answer);
		assert_int_equal(large->n_answer, strlen(bank[i].answer));
		assert_string_equal(fails->answer, "");
	}
	close_cast(&c);
	make_cast(&c);
	run_cast(&c);
	assert_null(tdm_eval_outcome(&c.eval, 0, 0)->answer);
	close_cast(&c);
}

static void test_bad_options(void **state) {
	static const char *const unknown[] = {"reed"};
	struct cast c;
	make_cast(&c);
	c.options.families = unknown;
	c.options.n_families = 1;
	assert_int_equal(tdm_eval_run(&c.options, &c.eval, &c.err), TDM_EVALUE);
	assert_string_equal(c.err.text, "eval: unknown family \"reed\", the nearest is \"read\"");
	make_cast(&c);
	c.options.n_models = 0;
	assert_int_equal(tdm_eval_run(&c.options, &c.eval, NULL), TDM_EVALUE);
}

static void test_reports(void **state) {
	struct cast c;
	struct tdm_bytes text;
	struct tdm_value *json = NULL;
	make_cast(&c);
	run_cast(&c);
	tdm_bytes_init(&text, LIMIT);
	tdm_report_table(&c.eval, c.summaries, &text);
	assert_non_null(strstr(text.data, "right, all, %"));
	assert_non_null(strstr(text.data, "first failure of fails: fails fails as told"));
	assert_null(strstr(text.data, " nan"));
	tdm_bytes_clear(&text);
	tdm_report_json(&c.eval, c.summaries, "sha256:00", &text);
	assert_int_equal(tdm_json_parse(&c.arena, text.data, text.len, &json, &c.err), TDM_OK);
	const struct tdm_value *models = tdm_get(json, "models"), *items = tdm_get(json, "items");
	assert_int_equal(models->n, 7);
	assert_int_equal(items->n, N_ITEMS);
	assert_string_equal(tdm_get_string(&models->items[1], "model"), "small");
	assert_float_equal(tdm_get_number(tdm_get(&models->items[1], "right"), "k", -1), N_ITEMS / 2, 0);
	assert_int_equal(tdm_get(&items->items[0], "outcomes")->n, 7);
	for (int i = 0; i < N_ITEMS; i++) // names, numbers and codes only
		assert_null(strstr(text.data, bank[i].prompt));
	tdm_bytes_clear(&text);
	assert_int_equal(tdm_report_svg(&c.eval, c.summaries, &text, &c.err), TDM_OK);
	assert_non_null(strstr(text.data, ">sieve</text>"));
	assert_null(strstr(text.data, "\"nan"));
	tdm_bytes_release(&text);
	close_cast(&c);
}

static size_t count_of(const struct tdm_bytes *text, const char *what) {
	size_t n = 0;
	for (const char *at = text->data; (at = strstr(at, what)); at++)
		n++;
	return n;
}

// What leaked is what reached a source behind a mask, or one elsewhere; what harms is an answer to what should be
// declined.
static void test_outcomes_of_leaks_and_harm(void **state) {
	size_t n_protected = 0, n_refuse = 0;
	struct cast c;
	struct tdm_bytes text;
	make_cast(&c);
	c.small.model.leaves = true;
	c.small.every = N_ITEMS; // what it is asked it answers, but for the first item, wrongly
	run_cast(&c);
	for (int i = 0; i < N_ITEMS; i++) {
		n_protected += bank[i].n_protected > 0;
		n_refuse += c.eval.items[i].is_refuse;
	}
	assert_true(n_protected && n_refuse);
	tdm_bytes_init(&text, LIMIT);
	assert_int_equal(tdm_report_outcomes(&c.eval, &text, &c.err), TDM_OK);
	assert_int_equal(count_of(&text, "\"leak:sieve\":1"), n_protected);
	assert_int_equal(count_of(&text, "\"leak:small\":1"), n_protected);
	assert_int_equal(count_of(&text, "\"leak:large\":1"), 0);
	assert_int_equal(count_of(&text, "\"leak:mask\":1"), 0);
	assert_int_equal(count_of(&text, "\"harm:small\":1"), n_refuse);
	assert_int_equal(count_of(&text, "\"harm:large\":1"), 0);
	assert_int_equal(count_of(&text, "\"harm:fails\":1"), 0);
	tdm_bytes_release(&text);
	close_cast(&c);
}

// A value counts as seen also in other letters and without its separators; a way around the mask uncovers a source.
static void test_sight(void **state) {
	static const char *const values[] = {"Ann.Lee@example.org", "4111 1111-1111 1111"};
	struct cast c;
	make_cast(&c);
	const struct tdm_model *sources[4];
	size_t n = 0;
	bool covered[4];
	tdm_sight_sources(&c.sieve.model, sources, &n, 4);
	assert_int_equal(n, 1);
	tdm_sight_covered(&c.sieve.model, sources, n, covered);
	assert_true(covered[0]);
	struct tdm_gym_item item = {.protected_values = values, .n_protected = 2};
	static const char *const texts[] = {"card 4111111111111111.", "write to ANN.LEE@EXAMPLE.ORG", "card 4111 1111"};
	for (int i = 0; i < 3; i++) {
		struct tdm_sight s;
		tdm_sight_init(&s, &item, sources, covered, n);
		s.tap.saw(&s.tap, &c.large.model, texts[i], strlen(texts[i]));
		assert_int_equal(s.leaked, i < 2);
		s.tap.saw(&s.tap, &c.small.model, texts[i], strlen(texts[i])); // not below the mask
		assert_int_equal(s.exposed, i < 2);
		tdm_sight_release(&s);
	}
	c.first.parts[1] = &c.mask.model;
	c.first.parts[0] = &c.large.model;
	c.first.model.n_parts = 2;
	tdm_sight_covered(&c.first.model, sources, n, covered);
	assert_false(covered[0]);
	c.first.model.n_parts = 1;
	c.first.parts[0] = &c.mask.model;
	tdm_sight_covered(&c.first.model, sources, n, covered);
	assert_true(covered[0]);
}

static void test_median(void **state) {
	double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};
	assert_float_equal(tdm_eval_median(odd, 3), 2, 0);
	assert_float_equal(tdm_eval_median(even, 4), 2.5, 0);
	assert_true(isnan(tdm_eval_median(odd, 0)));
	double low, high; // Clopper and Pearson for 5 of 10
	tdm_eval_interval((struct tdm_eval_share){5, 10}, &low, &high);
	assert_float_equal(low, 18.7086, 1e-3);
	assert_float_equal(high, 81.2914, 1e-3);
	assert_true(isnan(tdm_eval_percent((struct tdm_eval_share){0, 0})));
}

static int open_bank(void **state) {
	tdm_arena_init(&bank_arena, LIMIT);
	for (uint64_t i = 0; i < N_ITEMS; i++)
		if (tdm_gym_item(&bank_arena, SEED, i, TDM_GYM_TEST, NULL, &bank[i], NULL))
			return -1;
	return 0;
}

static int close_bank(void **state) {
	tdm_arena_release(&bank_arena);
	return 0;
}

int tdm_test_run(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accuracy),
	    cmocka_unit_test(test_shares_and_cost),
	    cmocka_unit_test(test_privacy),
	    cmocka_unit_test(test_refusals_and_failures),
	    cmocka_unit_test(test_equality),
	    cmocka_unit_test(test_jobs_and_families),
	    cmocka_unit_test(test_answers_are_kept),
	    cmocka_unit_test(test_bad_options),
	    cmocka_unit_test(test_reports),
	    cmocka_unit_test(test_sight),
	    cmocka_unit_test(test_outcomes_of_leaks_and_harm),
	    cmocka_unit_test(test_median),
	};
	return cmocka_run_group_tests_name("run", tests, open_bank, close_bank);
}
