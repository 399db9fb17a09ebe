// cache: what is in the key, what is kept and for whom, that a hit is the answer to the byte, limits, near questions
// and what is promised of them.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../fake_kind.h"
#include "base/clock.h"
#include "cost/cache/cache_answer.h"
#include "cost/cache/cache_bound.h"
#include "cost/cache/cache_key.h"
#include "cost/cache/cache_store.h"
#include "cost/kinds.h"
#include "tests.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// --- a model that says its question back in pieces of three bytes, and one that embeds by a table

struct talker {
	struct tdm_model model;
	enum tdm_finish finish;
	int status, stop_after; // stop_after: never, or the events before TDM_SINK_ENOUGH
	int calls, wait_us;
};

static int talk(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                struct tdm_result *result) {
	struct talker *t = (struct talker *)m;
	const struct tdm_message *last = &request->messages[request->n_messages - 1];
	struct tdm_alternative other = {"?", 1, -2};
	int64_t until = tdm_now_us() + t->wait_us;
	__atomic_add_fetch(&t->calls, 1, __ATOMIC_RELAXED);
	while (t->wait_us && tdm_now_us() < until)
		;
	tdm_record_call(run->record, &(struct tdm_call){.model = m->name, .purpose = "answer", .cost = 0.5});
	for (size_t i = 0; i < last->len; i += 3) {
		struct tdm_event e = {.text = last->text + i, .len = last->len - i < 3 ? last->len - i : 3};
		e.author = m->name;
		e.token = (int32_t)i;
		e.logprob = -0.25f * (float)i;
		e.alternatives = &other;
		e.n_alternatives = 1;
		int status = sink->put(sink, &e);
		if (status)
			return status < 0 ? status : TDM_OK;
	}
	struct tdm_event call = {.piece = TDM_PIECE_CALL, .text = "look", .len = 4, .call_id = "call_1", .author = m->name};
	struct tdm_event arguments = {.piece = TDM_PIECE_ARGUMENTS, .text = "{}", .len = 2, .author = m->name};
	if (request->tools.n && (sink->put(sink, &call) || sink->put(sink, &arguments)))
		return TDM_EIO;
	*result = (struct tdm_result){.finish = t->finish, .prompt_tokens = 7, .completion_tokens = 3, .served = m->name};
	result->mean_logprob = -0.5;
	return t->status ? tdm_fail(&run->error, t->status, "as told") : TDM_OK;
}

static int embed(struct tdm_model *m, struct tdm_run *run, const char *text, size_t n, const float **out, int *width) {
	float *v = tdm_arena_array(run->arena, 2, sizeof *v);
	double angle = n && text[0] >= '0' && text[0] <= '9' ? strtod(text, NULL) : 90; // the text is its angle in degrees
	v[0] = cosf((float)(angle * M_PI / 180));
	v[1] = sinf((float)(angle * M_PI / 180));
	*out = v;
	*width = 2;
	return TDM_OK;
}

struct cached {
	struct asked a;
	struct talker inner;
	struct tdm_model embedder;
};

static int make(struct cached *c, const char *options) {
	static const struct tdm_model_ops talks = {.generate = talk}, embeds = {.embed = embed};
	static const char *const names[] = {"inner", "embedder"};
	c->inner = (struct talker){.model = {.ops = &talks, .name = "inner", .can = TDM_CAN_TEXT | TDM_CAN_TOOLS}};
	c->embedder = (struct tdm_model){.ops = &embeds, .name = "embedder", .can = TDM_CAN_EMBED};
	struct tdm_model *const parts[] = {&c->inner.model, &c->embedder};
	return asked_make(&c->a, &tdm_kind_cache, options, 2, parts, names);
}

static void done(struct cached *c) {
	c->a.model->ops->destroy(c->a.model);
	asked_done(&c->a);
}

// Asks one thing as a tenant, near questions being good from `similarity` on; what the receipt says of the cache.
static const char *ask(struct cached *c, const char *tenant, const char *text, double similarity,
                       struct tdm_collect *out) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = text, .len = strlen(text)};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	assert_int_equal(tdm_run_init(&c->a.run, &c->a.arena, 1), TDM_OK);
	c->a.run.tenant = tenant;
	c->a.run.objective.similarity = similarity;
	tdm_collect_init(out, 1 << 16, NULL, &c->a.arena);
	c->a.status = tdm_generate(c->a.model, &c->a.run, &request, &out->sink, &c->a.result);
	return c->a.run.record->cache;
}

static const char *say(struct cached *c, const char *tenant, const char *text, double similarity) {
	struct tdm_collect words;
	const char *what = ask(c, tenant, text, similarity, &words);
	tdm_collect_release(&words);
	return what;
}

// --- the key

static void key_of(struct tdm_run *run, const struct tdm_request *r, uint8_t out[32]) {
	struct tdm_cache_key key;
	assert_int_equal(tdm_cache_key(run, r, "tree", &key), TDM_OK);
	memcpy(out, key.exact, 32);
}

struct changed {
	struct tdm_run run;
	struct tdm_request request;
	struct tdm_message messages[3];
	struct tdm_tool tool;
	struct tdm_tool_call call;
	struct tdm_form form;
};

static void standard(struct changed *c, struct tdm_arena *arena) {
	memset(c, 0, sizeof *c);
	tdm_run_init(&c->run, arena, 1);
	tdm_request_init(&c->request);
	c->call = (struct tdm_tool_call){"call_1", "look", "{\"a\":1,\"b\":[1.5,2]}", 19};
	c->messages[0] = (struct tdm_message){.from = TDM_FROM_USER, .text = "one", .len = 3};
	c->messages[1] = (struct tdm_message){.from = TDM_FROM_ASSISTANT, .text = "", .calls = &c->call, .n_calls = 1};
	c->messages[2] = (struct tdm_message){.from = TDM_FROM_TOOL, .text = "42", .len = 2, .call_id = "call_1"};
	c->tool = (struct tdm_tool){.name = "look", .parameters = "{\"type\":\"object\",\"x\":1}", .len = 23};
	c->form = (struct tdm_form){.kind = TDM_GRAMMAR_SCHEMA, .text = "{\"b\":1,\"a\":2}", .len = 13};
	c->request.messages = c->messages;
	c->request.n_messages = 3;
	c->request.tools = (struct tdm_toolbox){.items = &c->tool, .n = 1};
	c->request.form = &c->form;
}

static void change(struct changed *c, int i) {
	static const char *const stops[] = {"x"};
	struct tdm_request *r = &c->request;
	switch (i) {
	case 0:
		c->run.tenant = "other";
		break;
	case 1:
		r->temperature = 0.5f;
		break;
	case 2:
		r->max_tokens = 9;
		break;
	case 3:
		r->top_p = 0.5f;
		break;
	case 4:
		r->draw = 1;
		break;
	case 5:
		r->wants_seed = true;
		break;
	case 6:
		r->stop = stops, r->n_stop = 1;
		break;
	case 7:
		c->run.objective.privacy = 1;
		break;
	case 8:
		c->run.objective.max_cost = 1;
		break;
	default:
		return;
	}
}

static void change_words(struct changed *c, int i) {
	struct tdm_request *r = &c->request;
	switch (i) {
	case 9:
		c->messages[0].text = "two";
		break;
	case 10:
		c->messages[0].from = TDM_FROM_SYSTEM;
		break;
	case 11:
		c->messages[2].text = "43";
		break;
	case 12:
		c->messages[2].call_id = "call_2";
		break;
	case 13:
		c->call.arguments = "{\"a\":1,\"b\":[1.5,3]}";
		break;
	case 14:
		c->call.name = "read";
		break;
	case 15:
		c->tool.parameters = "{\"type\":\"object\",\"x\":2}";
		break;
	case 16:
		c->tool.description = "looks";
		break;
	case 17:
		r->tools.choice = TDM_TOOLS_REQUIRED;
		break;
	case 18:
		r->tools.n = 0;
		break;
	case 19:
		c->form.text = "{\"b\":1,\"a\":3}";
		break;
	case 20:
		r->form = NULL;
		break;
	case 21:
		r->logprobs = true;
		break;
	case 22:
		r->top_k = 4;
		break;
	case 23:
		r->n_messages = 2;
		break;
	default:
		return;
	}
}

static void demand_31_the_key_covers_everything_that_shapes_an_answer(void **state) {
	enum { N = 24 };
	struct tdm_arena arena;
	struct changed c;
	uint8_t keys[N + 1][32], place[32];
	struct tdm_cache_key other;
	(void)state;
	tdm_arena_init(&arena, 1 << 24);
	for (int i = 0; i <= N; i++) {
		standard(&c, &arena);
		change(&c, i);
		change_words(&c, i);
		key_of(&c.run, &c.request, keys[i]);
		for (int k = 0; k < i; k++)
			assert_memory_not_equal(keys[i], keys[k], 32);
	}
	assert_int_equal(tdm_cache_key(&c.run, &c.request, "another tree", &other), TDM_OK);
	key_of(&c.run, &c.request, place);
	assert_memory_not_equal(other.exact, place, 32);
	assert_memory_equal(place, keys[N], 32); // the same twice
	tdm_arena_release(&arena);
}

static void demand_33_equal_requests_have_one_key_however_they_are_written(void **state) {
	struct tdm_arena arena;
	struct changed c;
	struct tdm_bytes b;
	uint8_t first[32], second[32];
	(void)state;
	tdm_arena_init(&arena, 1 << 24);
	standard(&c, &arena);
	key_of(&c.run, &c.request, first);
	c.call.arguments = "{ \"b\" : [15e-1, 2.0], \"a\": 1.0 }";
	c.call.len = strlen(c.call.arguments);
	c.form.text = "{\"a\": 2, \"b\": 1e0}";
	c.form.len = strlen(c.form.text);
	key_of(&c.run, &c.request, second);
	assert_memory_equal(first, second, 32);
	tdm_bytes_init(&b, 1 << 16);
	const char text[] = "{\"z\":[1.0,1e2,-0.5,true,null],\"a\":{\"c\":\"\\u00e9\",\"b\":12345678901234567}}";
	tdm_canonical_json(&arena, text, strlen(text), &b);
	assert_string_equal(b.data, "{\"a\":{\"b\":12345678901234567,\"c\":\"\xc3\xa9\"},\"z\":[1,100,-0.5,true,null]}");
	tdm_bytes_clear(&b);
	tdm_canonical_json(&arena, "no json", 7, &b);
	assert_string_equal(b.data, "\"no json\"");
	tdm_bytes_release(&b);
	tdm_arena_release(&arena);
}

// --- hits

static void same_events(const struct tdm_collect *a, const struct tdm_collect *b) {
	assert_int_equal(a->n, b->n);
	assert_string_equal(a->text.data, b->text.data);
	assert_true(a->logprobs.n == b->logprobs.n && a->logprobs.sum == b->logprobs.sum);
	assert_string_equal(a->author, b->author);
}

static void test_a_hit_is_the_answer(void **state) {
	struct cached c;
	struct tdm_collect first, second;
	(void)state;
	assert_int_equal(make(&c, "{}"), TDM_OK);
	assert_string_equal(ask(&c, "a", "hello over there", 0, &first), "miss");
	assert_true(tdm_record_cost(c.a.run.record) == 0.5);
	assert_string_equal(ask(&c, "a", "hello over there", 0, &second), "hit-exact");
	same_events(&first, &second);
	assert_null(c.a.run.record->calls);
	assert_true(tdm_record_cost(c.a.run.record) == 0);
	assert_int_equal(c.a.result.prompt_tokens, 7);
	assert_int_equal(c.a.result.completion_tokens, 3);
	assert_string_equal(c.a.result.served, "inner");
	assert_true(c.a.result.mean_logprob == -0.5);
	assert_string_equal(c.a.run.record->decisions->choice, "hit-exact");
	assert_int_equal(c.inner.calls, 1);
	tdm_collect_release(&first);
	tdm_collect_release(&second);
	done(&c);
}

static void test_unique_questions_are_answered_as_without(void **state) {
	struct cached c;
	struct tdm_collect words;
	char text[32];
	(void)state;
	assert_int_equal(make(&c, "{}"), TDM_OK);
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof text, "question %d", i);
		assert_string_equal(ask(&c, "a", text, 0, &words), "miss");
		assert_string_equal(words.text.data, text);
		tdm_collect_release(&words);
	}
	assert_int_equal(c.inner.calls, 50);
	done(&c);
}

static int stop_at_second(struct tdm_sink *sink, const struct tdm_event *event) {
	(void)event;
	int *n = (int *)(void *)(sink + 1);
	return ++*n == 2 ? TDM_SINK_ENOUGH : TDM_OK;
}

static void test_what_was_cut_is_not_kept(void **state) {
	struct cached c;
	(void)state;
	assert_int_equal(make(&c, "{}"), TDM_OK);
	const enum tdm_finish cut[] = {TDM_FINISH_LENGTH, TDM_FINISH_FILTER};
	for (size_t i = 0; i < 2; i++) {
		c.inner.finish = cut[i];
		say(&c, "a", "cut", 0);
		assert_string_equal(say(&c, "a", "cut", 0), "miss");
	}
	c.inner.finish = TDM_FINISH_STOP;
	c.inner.status = TDM_ETRUNCATED;
	say(&c, "a", "failed", 0);
	c.inner.status = TDM_OK;
	assert_string_equal(say(&c, "a", "failed", 0), "miss");
	struct {
		struct tdm_sink sink;
		int n;
	} stopper = {{stop_at_second, NULL}, 0};
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "a long question", .len = 15};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	assert_int_equal(tdm_run_init(&c.a.run, &c.a.arena, 1), TDM_OK);
	assert_int_equal(tdm_generate(c.a.model, &c.a.run, &request, &stopper.sink, &c.a.result), TDM_OK);
	assert_string_equal(say(&c, NULL, "a long question", 0), "miss");
	assert_string_equal(say(&c, NULL, "a long question", 0), "hit-exact");
	done(&c);
}

static void test_requests_above_the_temperature_pass_by(void **state) {
	struct cached c;
	struct tdm_request request;
	(void)state;
	assert_int_equal(make(&c, "{temperature: 0.3}"), TDM_OK);
	tdm_request_init(&request);
	const char *const expected[] = {"bypass", "bypass", "miss", "hit-exact"};
	for (int i = 0; i < 4; i++) {
		request.temperature = i < 2 ? 0.5f : 0.25f;
		asked_answer(&c.a, 1, &request);
		assert_string_equal(c.a.run.record->cache, expected[i]);
	}
	done(&c);
}

// --- tenants and limits

static void demand_32_S64_no_tenant_sees_what_another_one_caused(void **state) {
	struct cached c;
	(void)state;
	assert_int_equal(make(&c, "{semantic: all, threshold: 0.9}"), TDM_OK);
	assert_string_equal(say(&c, "a", "10 of a", 0), "miss");
	assert_string_equal(say(&c, "b", "10 of a", 0), "miss");       // exact
	assert_string_equal(say(&c, "c", "11 of another", 0), "miss"); // near
	assert_string_equal(say(&c, NULL, "11 of another", 0), "miss");
	assert_string_equal(say(&c, "a", "11 of another", 0), "hit-semantic");
	assert_string_equal(say(&c, "a", "10 of a", 0), "hit-exact");
	done(&c);
}

static void demand_34_S65_limits_hold_and_one_tenant_pushes_out_only_its_own(void **state) {
	struct tdm_cache_limits limits = {.max_bytes = 40000, .max_entries = 40, .tenant_share = 0.25, .ttl_us = 60000000};
	struct tdm_cache_store *s = tdm_cache_store_new(&limits);
	struct tdm_cache_vector none = {0};
	struct tdm_cache_stats stats;
	struct tdm_bytes out;
	char data[600] = "answer";
	static const char large[20000];
	(void)state;
	tdm_bytes_init(&out, 1 << 20);
	for (uint8_t i = 0; i < 10; i++)
		assert_int_equal(tdm_cache_store_put(s, "quiet", (uint8_t[32]){i, 1}, &none, data, 20), 0);
	int evicted = 0;
	for (int i = 0; i < 1000; i++) {
		evicted += tdm_cache_store_put(s, "flood", (uint8_t[32]){(uint8_t)i, 2, (uint8_t)(i >> 8)}, &none, data, 400);
		tdm_cache_store_stats(s, &stats);
		assert_true(stats.bytes <= limits.max_bytes && stats.n_entries <= 20);
	}
	assert_int_equal(evicted, 990);
	assert_int_equal(stats.evicted, 990);
	for (uint8_t i = 0; i < 10; i++)
		assert_true(tdm_cache_store_get(s, "quiet", (uint8_t[32]){i, 1}, &out));
	assert_false(tdm_cache_store_get(s, "flood", (uint8_t[32]){1, 1}, &out)); // a key alone is not enough
	assert_int_equal(tdm_cache_store_put(s, "big", (uint8_t[32]){9}, &none, large, sizeof large), -1);
	for (int t = 0; t < 50; t++) { // all tenants together
		char name[16];
		snprintf(name, sizeof name, "t%d", t);
		tdm_cache_store_put(s, name, (uint8_t[32]){(uint8_t)t, 3}, &none, data, sizeof data);
		tdm_cache_store_stats(s, &stats);
		assert_true(stats.bytes <= limits.max_bytes && stats.n_entries <= limits.max_entries);
	}
	assert_false(tdm_cache_store_get(s, "t0", (uint8_t[32]){0, 3}, &out)); // unused longest
	assert_true(tdm_cache_store_get(s, "t49", (uint8_t[32]){49, 3}, &out));
	tdm_bytes_release(&out);
	tdm_cache_store_free(s);
}

static void test_answers_age(void **state) {
	struct tdm_cache_limits limits = {.max_bytes = 40000, .max_entries = 40, .tenant_share = 1, .ttl_us = 20000};
	struct tdm_cache_store *s = tdm_cache_store_new(&limits);
	struct tdm_cache_vector v = {(const float[]){1, 0}, 2, (const uint8_t[32]){5}};
	struct tdm_cache_stats stats;
	struct tdm_bytes out;
	double score;
	(void)state;
	tdm_bytes_init(&out, 1 << 20);
	int64_t before = tdm_now_us();
	assert_int_equal(tdm_cache_store_put(s, "a", (uint8_t[32]){1}, &v, "x", 1), 0);
	bool was_there = tdm_cache_store_near(s, "a", &v, 0.9, &score, &out);
	assert_true(was_there || tdm_now_us() - before > 20000);
	usleep(21000);
	assert_false(tdm_cache_store_near(s, "a", &v, 0.9, &score, &out));
	assert_true(isnan(score));
	assert_false(tdm_cache_store_get(s, "a", (uint8_t[32]){1}, &out));
	tdm_cache_store_stats(s, &stats);
	assert_int_equal(stats.n_entries, 0);
	assert_int_equal(stats.evicted, 0);
	tdm_bytes_release(&out);
	tdm_cache_store_free(s);
}

// --- near questions

static void test_only_who_asks_gets_near_answers_and_may_only_be_stricter(void **state) {
	struct cached c;
	(void)state;
	assert_int_equal(make(&c, "{semantic: asked, threshold: 0.99}"), TDM_OK); // 8 degrees
	assert_string_equal(say(&c, "a", "30", 0.5), "miss");
	assert_string_equal(say(&c, "a", "33", 0), "miss");           // has not asked; nor is it compared later
	assert_string_equal(say(&c, "a", "36", 0.5), "hit-semantic"); // 6 degrees from the first
	assert_string_equal(say(&c, "a", "36", 0.9999), "miss");      // stricter than the settings
	assert_string_equal(say(&c, "a", "50", 0.1), "miss");         // nobody gets below them
	assert_true(c.a.run.record->decisions->threshold == 0.99);
	done(&c);
	assert_int_equal(make(&c, "{}"), TDM_OK); // not switched on: the wish has no effect
	say(&c, "a", "30", 0.5);
	assert_string_equal(say(&c, "a", "31", 0.5), "miss");
	done(&c);
}

static void test_tools_and_masks_never_meet_near_answers(void **state) {
	struct cached c;
	struct tdm_egress guard = {0};
	struct tdm_tool tool = {.name = "look"};
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "30", .len = 2};
	struct tdm_request request;
	struct tdm_collect words;
	(void)state;
	assert_int_equal(make(&c, "{semantic: all}"), TDM_OK);
	say(&c, NULL, "31", 0);
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	for (int i = 0; i < 2; i++) {
		request.tools = i ? (struct tdm_toolbox){.items = &tool, .n = 1} : (struct tdm_toolbox){0};
		tdm_run_init(&c.a.run, &c.a.arena, 1);
		c.a.run.egress = i ? NULL : &guard;
		tdm_collect_init(&words, 1 << 16, NULL, NULL);
		assert_int_equal(tdm_generate(c.a.model, &c.a.run, &request, &words.sink, &c.a.result), TDM_OK);
		assert_string_equal(c.a.run.record->cache, "miss");
		tdm_collect_release(&words);
	}
	assert_string_equal(say(&c, NULL, "32", 0), "hit-semantic"); // without them
	done(&c);
}

static void write_pairs(const char *path, double wrong_above) { // wrong: pairs nearer than that are not the same
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 400; i++) {
		double angle = i * 0.1;
		fprintf(f, "{\"a\": \"0\", \"b\": \"%.1f\", \"same\": %s}\n", angle, angle < wrong_above ? "true" : "false");
	}
	fclose(f);
}

static void test_pairs_bound_the_share_of_wrong_hits(void **state) {
	char path[] = "/tmp/tandem-pairs-XXXXXX", options[160];
	struct cached c;
	(void)state;
	close(mkstemp(path));
	write_pairs(path, 20); // up to 20 degrees one answer serves both: cosine 0.94
	snprintf(options, sizeof options, "{semantic: all, threshold: 0.6, pairs: \"%s\", epsilon: 0.05}", path);
	assert_int_equal(make(&c, options), TDM_OK);
	say(&c, "a", "10", 0);
	double threshold = c.a.run.record->decisions->threshold;
	assert_true(threshold > 0.93 && threshold < 0.96); // not the 0.6 of the settings
	assert_non_null(strstr(c.a.run.record->decisions->detail, "epsilon=0.05"));
	assert_string_equal(say(&c, "a", "50", 0), "miss"); // cosine 0.77
	assert_string_equal(say(&c, "a", "12", 0), "hit-semantic");
	done(&c);
	write_pairs(path, 0); // none is the same: nothing can be promised, so nothing is a hit
	assert_int_equal(make(&c, options), TDM_OK);
	say(&c, "a", "10", 0);
	assert_true(isinf(c.a.run.record->decisions->threshold));
	assert_string_equal(say(&c, "a", "10.1", 0), "miss");
	done(&c);
	FILE *f = fopen(path, "w");
	fputs("{\"a\": \"x\"}\n", f);
	fclose(f);
	assert_int_equal(make(&c, options), TDM_ECONFIG);
	assert_non_null(strstr(c.a.error.text, "line 1: expected"));
	asked_done(&c.a);
	unlink(path);
}

static void test_bad_settings(void **state) {
	struct cached c;
	(void)state;
	const char *const bad[] = {"{semantic: all, storage: state}", "{storage: state}", "{semantic: sometimes}"};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(make(&c, bad[i]), TDM_ECONFIG);
		asked_done(&c.a);
	}
}

// --- kept bytes

static void test_broken_bytes_are_a_miss(void **state) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_bytes b;
	struct tdm_request request;
	struct tdm_result result = {.finish = TDM_FINISH_STOP, .served = "inner"};
	struct tdm_alternative other = {"no", 2, -1};
	struct tdm_event e = {.text = "yes", .len = 3, .author = "inner", .alternatives = &other, .n_alternatives = 1};
	int status, n_good = 0;
	(void)state;
	tdm_arena_init(&arena, (size_t)64 << 20);
	tdm_run_init(&run, &arena, 1);
	tdm_request_init(&request);
	tdm_bytes_init(&b, 1 << 16);
	tdm_cache_write_event(&b, &e);
	tdm_cache_write_event(&b, &e);
	tdm_cache_write_result(&b, &result);
	for (size_t n = 0; n <= b.len; n++) { // cut at every byte
		struct tdm_collect words;
		tdm_collect_init(&words, 1 << 16, NULL, NULL);
		bool is_whole = tdm_cache_replay(&run, &request, b.data, n, &words.sink, &result, &status);
		assert_true(is_whole == (n == b.len));
		assert_int_equal(words.n, is_whole ? 2 : 0);
		tdm_collect_release(&words);
	}
	for (size_t i = 0; i < b.len; i++) { // one byte changed: whatever it means now, nothing is read beyond the end
		struct tdm_collect words;
		tdm_collect_init(&words, 1 << 16, NULL, NULL);
		b.data[i] ^= 0x55;
		n_good += tdm_cache_replay(&run, &request, b.data, b.len, &words.sink, &result, &status);
		b.data[i] ^= 0x55;
		tdm_collect_release(&words);
	}
	assert_true(n_good < (int)b.len);
	tdm_bytes_release(&b);
	tdm_arena_release(&arena);
}

// --- threads

static void *ask_many(void *context) {
	struct cached *shared = context, own = {0};
	long n_wrong = 0;
	tdm_arena_init(&own.a.arena, (size_t)64 << 20);
	own.a.model = shared->a.model;
	for (int i = 0; i < 300; i++) {
		char text[16];
		struct tdm_collect words;
		snprintf(text, sizeof text, "%d", i % 7);
		ask(&own, i % 2 ? "a" : "b", text, 0, &words);
		n_wrong += own.a.status || strcmp(words.text.data, text) != 0;
		tdm_collect_release(&words);
	}
	tdm_arena_release(&own.a.arena);
	return (void *)n_wrong;
}

static void test_many_threads(void **state) {
	struct cached c;
	pthread_t threads[4];
	(void)state;
	assert_int_equal(make(&c, "{max_entries: 8, tenant_share: 0.6}"), TDM_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_many, &c), 0);
	for (int i = 0; i < 4; i++) {
		void *n_wrong;
		pthread_join(threads[i], &n_wrong);
		assert_null(n_wrong);
	}
	assert_true(c.inner.calls < 1200);
	done(&c);
}

// --- time tells nothing

static int by_size(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

// The p-value of the Kolmogorov-Smirnov test that two samples of n come from one law (asymptotic).
static double same_law(double *a, double *b, int n) {
	double most = 0;
	qsort(a, (size_t)n, sizeof *a, by_size);
	qsort(b, (size_t)n, sizeof *b, by_size);
	for (int i = 0, k = 0; i < n && k < n;) {
		double x = a[i] < b[k] ? a[i] : b[k];
		while (i < n && a[i] <= x)
			i++;
		while (k < n && b[k] <= x)
			k++;
		most = fmax(most, abs(i - k) / (double)n);
	}
	double root = sqrt(n / 2.0), t = (root + 0.12 + 0.11 / root) * most, p = 0;
	for (int j = 1; j <= 100; j++)
		p += (j % 2 ? 2 : -2) * exp(-2.0 * j * j * t * t);
	return t < 0.2 ? 1 : fmin(1, fmax(0, p));
}

enum { PROBES = 2000 };

// Times of B's probes for what A has asked, and for what nobody has; in random turn, so that drift hits both.
static double probe(struct cached *c, const char *tenant) {
	struct cached own = {.a.model = c->a.model}; // with an arena of its own, for one request at a time
	static double known[PROBES], unknown[PROBES];
	struct tdm_rng rng;
	char text[48], other[48];
	int n[2] = {0, 0};
	tdm_rng_init(&rng, 5);
	tdm_arena_init(&own.a.arena, 1 << 20);
	while (n[0] < PROBES || n[1] < PROBES) {
		int is_known = n[1] == PROBES || (n[0] < PROBES && tdm_rng_below(&rng, 2)) ? 0 : 1;
		snprintf(text, sizeof text, "%s of number %06d", is_known ? "never" : "asked", n[is_known]);
		snprintf(other, sizeof other, "other of number %06d", n[is_known]);
		if (!is_known)
			say(&own, "a", text, 0);
		else // the same work before
			say(&own, "a", other, 0);
		int64_t began = tdm_now_us();
		say(&own, tenant, text, 0);
		*(is_known ? &unknown[n[1]] : &known[n[0]]) = (double)(tdm_now_us() - began);
		n[is_known]++;
		tdm_arena_release(&own.a.arena);
	}
	return same_law(known, unknown, PROBES);
}

static void S63_time_does_not_tell_what_another_tenant_asked(void **state) {
	struct cached c;
	double p = 0;
	(void)state;
	if (TDM_SANITIZED)
		skip();
	for (int attempt = 0; attempt < 3 && p <= 0.01; attempt++) { // an honest law fails once in a hundred
		assert_int_equal(make(&c, "{}"), TDM_OK);
		c.inner.wait_us = 20;
		p = probe(&c, "b");
		done(&c);
	}
	assert_true(p > 0.01);
	assert_int_equal(make(&c, "{}"), TDM_OK);
	c.inner.wait_us = 20;
	assert_true(probe(&c, "a") < 1e-6); // the test sees what it looks for, where tenants share a key
	done(&c);
}

int tdm_test_cache(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(demand_31_the_key_covers_everything_that_shapes_an_answer),
	    cmocka_unit_test(demand_33_equal_requests_have_one_key_however_they_are_written),
	    cmocka_unit_test(test_a_hit_is_the_answer),
	    cmocka_unit_test(test_unique_questions_are_answered_as_without),
	    cmocka_unit_test(test_what_was_cut_is_not_kept),
	    cmocka_unit_test(test_requests_above_the_temperature_pass_by),
	    cmocka_unit_test(demand_32_S64_no_tenant_sees_what_another_one_caused),
	    cmocka_unit_test(demand_34_S65_limits_hold_and_one_tenant_pushes_out_only_its_own),
	    cmocka_unit_test(test_answers_age),
	    cmocka_unit_test(test_only_who_asks_gets_near_answers_and_may_only_be_stricter),
	    cmocka_unit_test(test_tools_and_masks_never_meet_near_answers),
	    cmocka_unit_test(test_pairs_bound_the_share_of_wrong_hits),
	    cmocka_unit_test(test_bad_settings),
	    cmocka_unit_test(test_broken_bytes_are_a_miss),
	    cmocka_unit_test(test_many_threads),
	    cmocka_unit_test(S63_time_does_not_tell_what_another_tenant_asked),
	};
	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
