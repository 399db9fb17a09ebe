// The laws of noise against their formulas and their bounds, by enumeration and by draws; and the kind around them.
#include "tests.h"
#include "../fake_kind.h"
#include "assure/chi.h"
#include "privacy/kinds.h"
#include "privacy/perturb/lexicon.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define N_WORDS 50
#define N_DRAWS (TDM_SANITIZED ? 20000 : 1000000)

static struct tdm_arena arena;
static struct tdm_lexicon *table;

static void make_table(int64_t k) {
	char text[16384];
	struct tdm_error err = {0};
	struct tdm_rng rng;
	size_t at = 0;
	tdm_rng_init(&rng, 7);
	for (int i = 0; i < N_WORDS; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "w%c%c %.4f %.4f %.4f\n", 'a' + i / 26, 'a' + i % 26,
		                       tdm_rng_normal(&rng), tdm_rng_normal(&rng), tdm_rng_normal(&rng));
	tdm_arena_release(&arena);
	tdm_arena_init(&arena, 1 << 24);
	assert_int_equal(tdm_lexicon_read(&arena, "table", text, at, k, &table, &err), TDM_OK);
	assert_int_equal(table->n, N_WORDS);
	assert_int_equal(table->width, 3);
}

// P(y | x): of rantext the mean over every list that there may be.
static void law_of(enum tdm_noise noise, double epsilon, int64_t k, int32_t x, double p[N_WORDS]) {
	double weights[N_WORDS], scratch[N_WORDS];
	bool lists = noise == TDM_NOISE_RANTEXT && x >= 0;
	for (int i = 0; i < N_WORDS; i++)
		p[i] = 0;
	for (int32_t center = 0; center < (lists ? N_WORDS : 1); center++)
		for (int64_t near = 1; near <= (lists ? k : 1); near++) {
			double radius = lists ? tdm_lexicon_radius(table, center, near, scratch) : 0, sum = 0;
			tdm_lexicon_law(table, noise, epsilon, x, radius, weights);
			for (int i = 0; i < N_WORDS; i++)
				sum += weights[i];
			for (int i = 0; i < N_WORDS; i++)
				p[i] += weights[i] / sum / (lists ? N_WORDS * (double)k : 1);
		}
}

// ln of the largest ratio for a pair of words, and what the mechanism promises for it.
static double worst(const double p[N_WORDS], const double q[N_WORDS]) {
	double most = 0;
	for (int y = 0; y < N_WORDS; y++)
		if (p[y] > 0 || q[y] > 0)
			most = fmax(most, fabs(log(p[y] / q[y])));
	return most;
}

static void the_bound_holds_for_every_pair(void **state) {
	static double laws[N_WORDS][N_WORDS];
	static const double epsilons[] = {0.1, 1, 6, 20};
	make_table(8);
	for (int noise = TDM_NOISE_SANTEXT; noise <= TDM_NOISE_RANTEXT; noise++)
		for (size_t i = 0; i < 4; i++) {
			double tightest = 0;
			for (int32_t x = 0; x < N_WORDS; x++)
				law_of((enum tdm_noise)noise, epsilons[i], 8, x, laws[x]);
			for (int32_t x = 0; x < N_WORDS; x++)
				for (int32_t y = 0; y < x; y++) {
					double promised =
					    epsilons[i] * (noise == TDM_NOISE_SANTEXT ? tdm_lexicon_distance(table, x, y) : 1);
					if (noise == TDM_NOISE_CUSTEXT && table->set[x] != table->set[y])
						continue; // told apart: the promise is one within a set
					double ratio = worst(laws[x], laws[y]);
					assert_true(ratio <= promised * (1 + 1e-9));
					tightest = fmax(tightest, ratio / promised);
				}
			assert_true(tightest > 0.3); // no bound that holds because nothing happens
		}
}

static void a_wrong_epsilon_is_noticed(void **state) {
	double p[N_WORDS], q[N_WORDS];
	bool broken[3] = {0};
	make_table(8);
	for (int noise = TDM_NOISE_SANTEXT; noise <= TDM_NOISE_RANTEXT; noise++)
		for (int32_t x = 1; x < N_WORDS; x++) {
			if (noise == TDM_NOISE_CUSTEXT && table->set[x] != table->set[0])
				continue;
			double d = noise == TDM_NOISE_SANTEXT ? tdm_lexicon_distance(table, x, 0) : 1;
			law_of((enum tdm_noise)noise, 4 * 6, 8, 0, p);
			law_of((enum tdm_noise)noise, 4 * 6, 8, x, q);
			broken[noise] |= worst(p, q) > 6 * d;
		}
	assert_true(broken[0] && broken[1] && broken[2]);
}

struct seeded {
	struct tdm_chance chance;
	struct tdm_rng rng;
};

static int seeded_next(struct tdm_chance *self, double *out) {
	*out = tdm_rng_double(&((struct seeded *)self)->rng);
	return TDM_OK;
}

static void draws_have_the_law(void **state) {
	make_table(8);
	for (int noise = TDM_NOISE_SANTEXT; noise <= TDM_NOISE_RANTEXT; noise++)
		for (int32_t x = -1; x < 2; x++) {
			struct seeded s = {.chance = {seeded_next}};
			double p[N_WORDS], scratch[2 * N_WORDS], statistic = 0, expected = 0;
			long seen[N_WORDS] = {0}, rest = 0;
			int cells = 0;
			int32_t y;
			tdm_rng_init(&s.rng, (uint64_t)(10 * noise + x + 5));
			for (long i = 0; i < N_DRAWS / (noise == TDM_NOISE_RANTEXT || x ? 10 : 1); i++, rest++) {
				assert_int_equal(tdm_lexicon_draw(table, (enum tdm_noise)noise, 6, 8, x, &s.chance, scratch, &y),
				                 TDM_OK);
				seen[y]++;
			}
			law_of((enum tdm_noise)noise, 6, 8, x, p);
			for (int i = 0; i < N_WORDS; i++) {
				expected = p[i] * (double)rest;
				assert_true(p[i] > 0 || seen[i] == 0);
				if (expected < 5)
					continue;
				statistic += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
				cells++;
			}
			assert_true(cells > 3);
			assert_true(tdm_chi_square_tail(statistic, cells - 1) > 1e-4);
		}
}

static void the_ends_of_epsilon(void **state) {
	double p[N_WORDS];
	make_table(8);
	for (int32_t x = 0; x < N_WORDS; x++) {
		law_of(TDM_NOISE_SANTEXT, 0, 8, x, p);
		for (int i = 0; i < N_WORDS; i++)
			assert_true(fabs(p[i] - 1.0 / N_WORDS) < 1e-12);
		for (int noise = TDM_NOISE_SANTEXT; noise <= TDM_NOISE_RANTEXT; noise++) {
			law_of((enum tdm_noise)noise, 1e6, 8, x, p);
			assert_true(p[x] > 1 - 1e-9);
		}
	}
	law_of(TDM_NOISE_CUSTEXT, 0, 8, 3, p);
	for (int i = 0; i < N_WORDS; i++)
		assert_true(fabs(p[i] - (table->set[i] == table->set[3] ? 1.0 / 8 : 0)) < 1e-12);
}

static void sets_are_shared(void **state) {
	make_table(8);
	assert_int_equal(table->n_sets, 7); // six of eight and one of two
	for (int32_t x = 0; x < N_WORDS; x++)
		assert_true(table->set[x] >= 0 && table->set[x] < 7);
	for (int32_t x = 0; x < N_WORDS; x++)
		for (int32_t y = 0; y < N_WORDS; y++)
			assert_true(tdm_lexicon_distance(table, x, y) <= table->diameter);
}

static int read_text(const char *text, struct tdm_error *err) {
	struct tdm_lexicon *l;
	memset(err, 0, sizeof *err);
	tdm_arena_release(&arena);
	tdm_arena_init(&arena, 1 << 24);
	return tdm_lexicon_read(&arena, "words.txt", text, strlen(text), 2, &l, err);
}

static void tables_are_checked(void **state) {
	struct tdm_error err;
	assert_int_equal(read_text("Sea 1 2\nsea 3 4\nland 5 6", &err), TDM_OK);
	assert_int_equal(read_text("sea 1 2\nland 5", &err), TDM_ECONFIG);
	assert_non_null(strstr(err.text, "words.txt line 2"));
	assert_int_equal(read_text("sea 1 2\nland x y\n", &err), TDM_ECONFIG);
	assert_int_equal(read_text("sea 1 nan\nland 1 2\n", &err), TDM_ECONFIG);
	assert_int_equal(read_text("sea 1 2\n", &err), TDM_ECONFIG);
	assert_int_equal(read_text("", &err), TDM_ECONFIG);
	assert_int_equal(read_text("GGUF and nothing", &err), TDM_EFORMAT);
}

// --- the kind

static struct says small, far;
static struct asked a;

static void make(const char *options) {
	static const char *const roles[] = {"inner", "small"};
	says_init(&small, "near", "the end");
	says_init(&far, "far", "Dear [EMAIL_1], the sea.");
	FILE *f = fopen("build/perturb-words.txt", "w");
	assert_non_null(f);
	fputs("the 0 0\nsea 1 0\nis 0 1\ndeep 5 5\nwrite 9 9\nto 8 1\n", f);
	fclose(f);
	assert_int_equal(
	    asked_make(&a, &tdm_kind_perturb, options, 2, (struct tdm_model *[]){&far.model, &small.model}, roles), TDM_OK);
}

static void unmake(void) {
	a.model->ops->destroy(a.model);
	asked_done(&a);
}

static const char *ask(const char *text) {
	struct tdm_message m = {.from = TDM_FROM_USER, .text = text, .len = strlen(text)};
	struct tdm_request r;
	tdm_request_init(&r);
	r.messages = &m;
	r.n_messages = 1;
	return asked_answer(&a, 1, &r);
}

static void values_are_hidden_before_words_are_drawn(void **state) {
	make("{vectors: build/perturb-words.txt, epsilon: 1000}");
	assert_string_equal(ask("Write to bob@example.org: the SEA is deep."), "the end");
	assert_string_equal(far.last_user, "write to [EMAIL_1]: the sea is deep.");
	assert_non_null(strstr(small.last_user, "Write to bob@example.org: the SEA is deep.\n\nSomebody who saw this"));
	assert_non_null(strstr(small.last_user, "\"Dear bob@example.org, the sea.\""));
	const struct tdm_decision *d = a.run.record->decisions;
	assert_string_equal(d->choice, "santext");
	assert_float_equal(d->score, 1, 0); // every word came out as it was: the simplest attack finds them all
	assert_string_equal(d->detail, "epsilon_per_token 1000, tokens 6, epsilon_request 6000, epsilon_conversation 6000, "
	                               "metric distance, document_level no; 0 unknown, 1 hidden");
	unmake();
}

static void unknown_words_say_nothing(void **state) {
	make("{vectors: build/perturb-words.txt, mechanism: rantext, epsilon: 0.5, extract: no}");
	bool differ = false;
	char first[512] = "";
	for (int i = 0; i < 20; i++) {
		assert_string_equal(ask("Zanzibar Timbuktu 1234."), "Dear [EMAIL_1], the sea."); // no such slot
		assert_null(strstr(far.last_user, "anzibar"));
		assert_null(strstr(far.last_user, "1234"));
		differ |= i > 0 && strcmp(first, far.last_user) != 0; // the seed is the same: chance is the system's
		snprintf(first, sizeof first, "%s", far.last_user);
	}
	assert_true(differ);
	assert_int_equal(small.calls, 0);
	assert_non_null(strstr(a.run.record->decisions->detail, "epsilon_request 1.5"));
	assert_non_null(strstr(a.run.record->decisions->detail, "metric pure, document_level yes; 3 unknown"));
	unmake();
}

static void a_limit_ends_it(void **state) {
	make("{vectors: build/perturb-words.txt, epsilon: 2, limit: 7, then: block}");
	ask("The sea is");
	assert_int_equal(a.status, TDM_OK);
	ask("The sea is deep");
	assert_int_equal(a.status, TDM_EPRIVACY);
	assert_int_equal(far.calls, 1);
	unmake();
	make("{vectors: build/perturb-words.txt, epsilon: 2, limit: 7}");
	assert_string_equal(ask("The sea is deep"), "the end");
	assert_int_equal(far.calls, 0);
	assert_string_equal(a.run.record->decisions->choice, "local");
	assert_string_equal(small.last_user, "The sea is deep");
	unmake();
}

static void one_that_is_out_is_no_loss(void **state) {
	make("{vectors: build/perturb-words.txt}");
	far.status = TDM_EUPSTREAM;
	assert_string_equal(ask("The sea"), "the end");
	assert_string_equal(a.run.record->warnings->code, "model_out");
	far.status = TDM_EFILTERED;
	ask("The sea");
	assert_int_equal(a.status, TDM_EFILTERED);
	unmake();
}

int tdm_test_perturb(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_bound_holds_for_every_pair),
	    cmocka_unit_test(a_wrong_epsilon_is_noticed),
	    cmocka_unit_test(draws_have_the_law),
	    cmocka_unit_test(the_ends_of_epsilon),
	    cmocka_unit_test(sets_are_shared),
	    cmocka_unit_test(tables_are_checked),
	    cmocka_unit_test(values_are_hidden_before_words_are_drawn),
	    cmocka_unit_test(unknown_words_say_nothing),
	    cmocka_unit_test(a_limit_ends_it),
	    cmocka_unit_test(one_that_is_out_is_no_loss),
	};
	if (!shared_scanner()) // kept, so that no test compiles one of its own
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tdm_arena_release(&arena);
	return failed;
}
