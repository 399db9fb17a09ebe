// Across the wire against an upstream that is as awkward as they come: it splits texts in another way than it writes
// them, reads the name of a special token as that token, cuts characters into bytes, and begins prompts with a token of
// its own. Whatever it says alone must come out, byte for byte.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include "../fake_kind.h"
#include "../fake_step.h"
#include "base/text.h"
#include "cost/kinds.h"
#include "cost/speculate/trip.h"
#include "tests.h"

enum { ROWS = 97, V = 14, END = 13, DRAFT_V = 9, LENGTH = 400 };

// Texts are split into the longest tokens; what is written is not: "a" "b" may follow each other.
static const char *const far_pieces[] = {"a",   "b",    "ab",       "c", " ",    " a",   "\n",
                                         "abc", "</s>", "\xC3\xA9", "é", "\xC3", "\xA9", "<end>"};
static const char *const near_pieces[] = {"a", "b", "bc", "c", " ", "ab", "\n", "é", "<end>"};

struct upstream {
	struct tdm_model model;
	const float *table;
	bool by_text;                // what comes next depends on the text alone, not on its tokens
	int calls, echoes, fails_at; // fails_at: the echo that fails, from 1 on
	int status;
	bool no_end;
};

struct reading {
	int32_t tokens[LENGTH];
	int n;
};

static void split(const char *text, size_t len, struct reading *out) {
	out->n = 0;
	for (size_t at = 0, best; at < len; at += best) {
		best = 0;
		for (int32_t i = 0; i < V; i++) {
			size_t n = strlen(far_pieces[i]);
			if (n <= best || n > len - at || memcmp(far_pieces[i], text + at, n) != 0)
				continue;
			best = n;
			out->tokens[out->n] = i;
		}
		assert_true(best > 0 && out->n < LENGTH - 70);
		out->n++;
	}
}

static const float *row_after(const struct upstream *u, const struct reading *r, int n) {
	uint64_t hash = 1469598103934665603u;
	for (int i = 0; i < n; i++)
		for (const char *at = far_pieces[r->tokens[i]]; *at; at++)
			hash = (hash ^ (uint64_t)(uint8_t)*at ^ (u->by_text || at[1] ? 0 : 512)) * 1099511628211u;
	return u->table + (size_t)((hash >> 9) % ROWS) * V;
}

static int32_t best_of(const float *row, int32_t but) {
	int32_t best = -1;
	for (int32_t i = 0; i < V; i++)
		if (i != but && (best < 0 || row[i] > row[best]))
			best = i;
	return best;
}

static struct tdm_alternative shown(struct tdm_arena *arena, int32_t token, float logprob) {
	const char *text = far_pieces[token];
	size_t n = strlen(text);
	if (token == END)
		n = 0;
	else if (!tdm_utf8_valid(text, n))
		n = strlen(text = tdm_arena_printf(arena, "bytes:\\x%02x", (unsigned char)*text));
	return (struct tdm_alternative){text, n, logprob};
}

static struct tdm_scored scored(struct tdm_arena *arena, const float *row, int32_t token) {
	int32_t first = best_of(row, -1), second = best_of(row, first);
	struct tdm_alternative *list = tdm_arena_array(arena, 3, sizeof *list), own = shown(arena, token, row[token]);
	list[0] = shown(arena, first, row[first]);
	list[1] = shown(arena, second, row[second]);
	list[2] = own;
	return (struct tdm_scored){.text = own.text,
	                           .len = own.len,
	                           .logprob = row[token],
	                           .alternatives = list,
	                           .n_alternatives = token == first || token == second ? 2 : 3};
}

static void echo_prompt(struct upstream *u, struct tdm_run *run, const struct reading *r, struct tdm_echo *echo) {
	struct tdm_scored *all = tdm_arena_array(run->arena, (size_t)r->n + 2, sizeof *all);
	all[0] = (struct tdm_scored){.text = "<begin>", .len = 7, .logprob = NAN};
	for (int i = 0; i < r->n; i++)
		all[1 + i] = scored(run->arena, row_after(u, r, i), r->tokens[i]);
	const float *row = row_after(u, r, r->n);
	all[1 + r->n] = scored(run->arena, row, best_of(row, -1));
	*echo = (struct tdm_echo){.tokens = all, .n = 1 + r->n, .n_after = 1, .is_end = best_of(row, -1) == END};
}

// What it writes by itself, in whole characters.
static int write_answer(struct upstream *u, const struct tdm_request *rq, struct reading *r, struct tdm_sink *sink,
                        struct tdm_result *result) {
	struct tdm_bytes text;
	int status = TDM_OK, n = 0;
	tdm_bytes_init(&text, 1 << 16);
	result->finish = TDM_FINISH_LENGTH;
	for (; n < rq->max_tokens && !status; n++) {
		int32_t token = best_of(row_after(u, r, r->n), -1);
		if (token == END) {
			result->finish = TDM_FINISH_STOP;
			break;
		}
		r->tokens[r->n++] = token;
		tdm_bytes_puts(&text, far_pieces[token]);
		size_t whole = text.len - tdm_utf8_partial(text.data, text.len);
		for (size_t i = 0; i < rq->n_stop && !status; i++) {
			const char *found = strstr(text.data, rq->stop[i]);
			status = found ? TDM_SINK_ENOUGH : TDM_OK;
			whole = found ? (size_t)(found - text.data) : whole;
		}
		if (rq->n_stop && !status) // held back
			continue;
		tdm_put_text(sink, u->model.name, text.data, whole);
		tdm_bytes_drop(&text, whole);
	}
	if (rq->n_stop && !status)
		tdm_put_text(sink, u->model.name, text.data ? text.data : "", text.len);
	result->finish = status ? TDM_FINISH_STOP : result->finish;
	result->completion_tokens = n;
	tdm_bytes_release(&text);
	return TDM_OK;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct upstream *u = (struct upstream *)m;
	struct reading r;
	u->calls++;
	split(rq->messages[0].text, rq->messages[0].len, &r);
	if (!rq->raw || !rq->raw->only_echo)
		return write_answer(u, rq, &r, sink, result);
	if (++u->echoes == u->fails_at)
		return tdm_fail(&run->error, u->status, "the upstream fails");
	echo_prompt(u, run, &r, rq->raw->echo);
	return TDM_OK;
}

struct wired {
	struct upstream up;
	struct fake draft;
	struct tdm_model alone_kind;
	struct asked a;
	struct tdm_request request;
};

static void wired_open(struct wired *w, struct tdm_rng *rng, const char *options) {
	static float far_table[ROWS * V], near_table[ROWS * DRAFT_V];
	static const char *const roles[] = {"target", "draft"};
	static const struct tdm_model_ops ops = {.generate = generate};
	memset(w, 0, sizeof *w);
	for (int i = 0; i < ROWS * V; i++)
		far_table[i] = (float)tdm_rng_normal(rng) + (i % V == END ? 0.3f : i % V >= 8 ? -1 : 1);
	for (int i = 0; i < ROWS * DRAFT_V; i++)
		near_table[i] = (float)tdm_rng_normal(rng) - (i % DRAFT_V == DRAFT_V - 1 ? 2 : 0);
	w->up = (struct upstream){.table = far_table, .status = TDM_EUPSTREAM};
	w->up.model = (struct tdm_model){.ops = &ops, .name = "far", .can = TDM_CAN_TEXT | TDM_CAN_ECHO};
	fake_init(&w->draft, "near", near_table, ROWS, DRAFT_V);
	w->draft.pieces = near_pieces;
	w->draft.by_history = true;
	w->draft.end = DRAFT_V - 1;
	w->draft.context = 300;
	tdm_request_init(&w->request);
	w->request.temperature = 0;
	w->request.max_tokens = 40;
	assert_int_equal(asked_make(&w->a, &tdm_kind_speculate, options, 2,
	                            (struct tdm_model *[]){&w->up.model, &w->draft.model}, roles),
	                 TDM_OK);
}

static void wired_close(struct wired *w) {
	assert_int_equal(w->draft.open_sessions, 0);
	w->a.model->ops->destroy(w->a.model);
	asked_done(&w->a);
}

static const struct tdm_message question = {.from = TDM_FROM_USER, .text = "b a c ab\n", .len = 9};

static const char *ask(struct wired *w) {
	w->request.messages = &question;
	w->request.n_messages = 1;
	return asked_answer(&w->a, 1, &w->request);
}

static struct tdm_result ask_alone(struct wired *w, char *out, size_t cap) {
	struct tdm_collect words;
	struct tdm_result result = {0};
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_request rq = w->request;
	rq.messages = &question;
	rq.n_messages = 1;
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(tdm_run_init(&run, &arena, 1), TDM_OK);
	tdm_collect_init(&words, 1 << 16, NULL, NULL);
	assert_int_equal(tdm_generate(&w->up.model, &run, &rq, &words.sink, &result), TDM_OK);
	snprintf(out, cap, "%s", words.text.data ? words.text.data : "");
	tdm_collect_release(&words);
	tdm_arena_release(&arena);
	w->up.calls = 0;
	return result;
}

static void demand_49_whatever_the_upstream_says_alone_comes_out(void **state) {
	static const char *const options[] = {"{align: string, adaptive: no, min_prob: 0}",
	                                      "{align: string, adaptive: no, min_prob: 0, gamma: 12}",
	                                      "{align: string, adaptive: no, min_prob: 0.3, gamma: 2}", "{align: string}"};
	static const char *const stops[] = {"b a", "\n\n", "cc"};
	struct tdm_rng rng;
	int verified = 0, plain = 0, fewer = 0;
	tdm_rng_init(&rng, 41);
	for (int round = 0; round < 600; round++) {
		struct wired w;
		char want[2000];
		wired_open(&w, &rng, options[round % 4]);
		w.up.by_text = round % 3 > 0;
		w.request.max_tokens = 1 + round % 50;
		w.request.stop = stops;
		w.request.n_stop = round % 5 == 4 ? 3 : 0;
		struct tdm_result alone = ask_alone(&w, want, sizeof want);
		assert_string_equal(ask(&w), want);
		assert_int_equal(w.a.status, TDM_OK);
		assert_int_equal(w.a.result.finish, alone.finish);
		if (!w.request.n_stop)
			assert_int_equal(w.a.result.completion_tokens, alone.completion_tokens);
		bool is_verified = !strcmp(w.a.run.record->decisions->choice, "greedy-exact");
		verified += is_verified;
		plain += !is_verified;
		fewer += is_verified && w.up.calls < alone.completion_tokens;
		wired_close(&w);
	}
	printf("%d verified, %d of them in fewer calls than tokens, %d plain\n", verified, fewer, plain);
	assert_true(verified > 150 && fewer > 10 && plain > 150);
}

static void F03_a_failing_call_is_plain_before_the_first_word_and_an_error_after_it(void **state) {
	static const int statuses[] = {TDM_EUPSTREAM, TDM_EBADBODY, TDM_ERATE, TDM_EUPTIME};
	struct tdm_rng rng;
	int cut = 0, saved = 0;
	tdm_rng_init(&rng, 42);
	for (int round = 0; round < 200; round++) {
		struct wired w;
		char want[2000];
		wired_open(&w, &rng, "{align: string, adaptive: no, min_prob: 0}");
		w.up.by_text = true;
		ask_alone(&w, want, sizeof want);
		w.up.fails_at = 1 + round % 4;
		w.up.status = statuses[round / 4 % 4];
		const char *got = ask(&w);
		if (w.a.status == TDM_OK) {
			assert_string_equal(got, want);
			saved += w.up.echoes >= w.up.fails_at;
		} else {
			assert_int_equal(w.a.status, w.up.status);
			assert_true(*got && !strncmp(got, want, strlen(got)));
			cut++;
		}
		wired_close(&w);
	}
	assert_true(cut > 20 && saved > 50);
}

// --- time

static void demand_49_trips_are_made_where_they_are_sooner(void **state) {
	struct tdm_trip t = {0};
	assert_false(tdm_trip_choose(&t)); // a plain answer comes first
	tdm_trip_plain(&t, 100000, 50);
	assert_true(tdm_trip_choose(&t)); // then trips are tried
	for (int i = 0; i < 10; i++)
		tdm_trip_made(&t, 4000, 5); // 0.8 ms a token against 2 ms
	int plain = 0;
	for (int i = 0; i < 200; i++) {
		bool is_trip = tdm_trip_choose(&t);
		plain += !is_trip;
		if (is_trip)
			tdm_trip_made(&t, 4000, 5);
		else
			tdm_trip_plain(&t, 100000, 50);
	}
	assert_true(plain >= 2 && plain <= 5); // to compare with
	assert_false(tdm_trip_loses(&t));
}

static void demand_49_trips_that_lose_are_seldom_tried_and_come_back(void **state) {
	struct tdm_trip t = {0};
	double all = 0, lost = 0;
	int tried = 0;
	tdm_trip_plain(&t, 100000, 50);
	for (int i = 0; i < 1000; i++) {
		if (tdm_trip_choose(&t)) {
			tried++;
			for (int k = 0; k < TDM_TRIP_LOSSES; k++) {
				tdm_trip_made(&t, 50000, 2);
				lost += 50000;
			}
		}
		tdm_trip_plain(&t, 100000, 50);
		all += 100000;
	}
	assert_true(tried >= 2 && lost < 0.01 * all + 100000); // the first time is not paid from the purse
	int rounds = 0;                                        // the line has become short
	while (tdm_trip_loses(&t) && ++rounds < 2000) {
		if (tdm_trip_choose(&t))
			for (int k = 0; k < TDM_TRIP_LOSSES; k++)
				tdm_trip_made(&t, 1000, 4);
		tdm_trip_plain(&t, 100000, 50);
	}
	assert_true(rounds < 2000);
}

static void an_upstream_that_does_not_echo_is_left_alone(void **state) {
	struct tdm_rng rng;
	struct wired w;
	char want[2000];
	tdm_rng_init(&rng, 43);
	wired_open(&w, &rng, "{align: string, adaptive: no}");
	ask_alone(&w, want, sizeof want);
	w.up.fails_at = 1;
	w.up.status = TDM_EBADBODY;
	for (int i = 0; i < 3; i++) {
		assert_string_equal(ask(&w), want);
		assert_int_equal(w.up.echoes, 1);
		assert_string_equal(w.a.run.record->decisions->choice, "plain");
	}
	assert_non_null(strstr(w.a.run.record->decisions->detail, "has not echoed a prompt"));
	wired_close(&w);
}

static void the_price_of_prompts_is_in_the_decision(void **state) {
	static const struct {
		const char *options;
		double in, out;
		bool is_plain;
	} cases[] = {{"{align: string, adaptive: no}", 0, 0, false},
	             {"{align: string, adaptive: no}", 2, 8, true},
	             {"{align: string, adaptive: no}", 0, 8, false}, // what is accepted is no output
	             {"{align: string, adaptive: no, dearer: 50}", 2, 8, false}};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 44);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct wired w;
		wired_open(&w, &rng, cases[i].options);
		w.up.model.price = (struct tdm_price){cases[i].in, cases[i].out};
		ask(&w);
		bool is_plain = w.up.echoes == 0;
		assert_int_equal(is_plain, cases[i].is_plain);
		wired_close(&w);
	}
}

static void a_target_elsewhere_needs_an_echo_and_a_text(void **state) {
	static const char *const roles[] = {"target", "draft"};
	static const struct tdm_kind kind = {.name = "remote"};
	struct tdm_model far = {.name = "far", .can = TDM_CAN_TEXT, .kind = &kind};
	struct fake draft;
	struct asked a;
	fake_init(&draft, "near", NULL, 1, 1);
	struct tdm_model *parts[] = {&far, &draft.model};
	assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{align: string}", 2, parts, roles), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "far (kind remote) does neither"));
	asked_done(&a);
	far.can |= TDM_CAN_ECHO;
	assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{}", 2, parts, roles), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "expected a draft, and align: string"));
	asked_done(&a);
	assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{align: string, accept: cascade}", 2, parts, roles),
	                 TDM_ECONFIG);
	asked_done(&a);
	static const struct tdm_kind guard = {.name = "guard", .family = TDM_POLICY};
	far.kind = &guard; // it would see no word of what is verified inside of it
	assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{align: string}", 2, parts, roles), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "far (kind guard) would not see"));
	asked_done(&a);
}

int tdm_test_wire(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(demand_49_whatever_the_upstream_says_alone_comes_out),
	    cmocka_unit_test(F03_a_failing_call_is_plain_before_the_first_word_and_an_error_after_it),
	    cmocka_unit_test(demand_49_trips_are_made_where_they_are_sooner),
	    cmocka_unit_test(demand_49_trips_that_lose_are_seldom_tried_and_come_back),
	    cmocka_unit_test(an_upstream_that_does_not_echo_is_left_alone),
	    cmocka_unit_test(the_price_of_prompts_is_in_the_decision),
	    cmocka_unit_test(a_target_elsewhere_needs_an_echo_and_a_text),
	};
	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
