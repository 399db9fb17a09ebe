// Run: the models answer the items of a test. See run.h.
//
// Threads: an item belongs to the thread that took it from `next`, with its row of outcomes and uses; `lock` guards the
// arena, the progress, the first failure of each model and the error that ends the run.
#include "eval/run.h"
#include "base/clock.h"
#include "base/pool.h"
#include "base/random.h"
#include "eval/sight.h"
#include "models/collect.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MOST_SOURCES 64
#define RUN_LIMIT_BYTES ((size_t)4 << 30)
#define ITEM_LIMIT_BYTES ((size_t)256 << 20)
#define ANSWER_LIMIT_BYTES ((size_t)1 << 20)
#define REFUSE_FAMILY "refuse"

struct work {
	struct tdm_eval *e;
	struct tdm_gym_item refusal; // what a refusal looks like
	atomic_size_t next;
	atomic_bool failed;
	pthread_mutex_t lock;
	size_t n_done;
	struct tdm_error *err;
};

// One item and the answers to it.
struct round {
	struct work *work;
	size_t index;
	struct tdm_arena arena;
	struct tdm_gym_item item;
	struct tdm_collect *answers; // one per model
	uint64_t seed;
};

// --- items

static int find_family(const char *name, size_t *out, struct tdm_error *err) {
	size_t n;
	const struct tdm_gym_family *all = tdm_gym_families(&n);
	for (*out = 0; *out < n; ++*out)
		if (!strcmp(all[*out].name, name))
			return TDM_OK;
	const char *names[64];
	for (size_t i = 0; i < n && i < 64; i++)
		names[i] = all[i].name;
	const char *near = tdm_nearest(name, names, n < 64 ? n : 64);
	return tdm_fail(err, TDM_EVALUE, "eval: unknown family \"%s\"%s%s%s", name, near ? ", the nearest is \"" : "",
	                near ? near : "", near ? "\"" : "");
}

int tdm_eval_item(const struct tdm_eval_options *o, size_t i, struct tdm_arena *arena, struct tdm_gym_item *out,
                  struct tdm_error *err) {
	size_t n_all, family;
	tdm_gym_families(&n_all);
	uint64_t index = i;
	if (o->n_families) {
		int status = find_family(o->families[i % o->n_families], &family, err);
		if (status)
			return status;
		index = i / o->n_families * n_all + family;
	}
	return tdm_gym_item(arena, o->seed, index, TDM_GYM_TEST, NULL, out, err);
}

static size_t family_index(const struct tdm_eval *e, const char *name) {
	size_t i = 0;
	while (i < e->n_families && strcmp(e->families[i], name) != 0)
		i++;
	return i;
}

static int draw_item(struct round *r, struct tdm_error *err) {
	struct tdm_eval *e = r->work->e;
	struct tdm_rng rng;
	int status = tdm_eval_item(&e->options, r->index, &r->arena, &r->item, err);
	if (status)
		return status;
	tdm_rng_stream(&rng, e->options.seed, "eval.run", r->index);
	r->seed = tdm_rng_u64(&rng);
	e->items[r->index] = (struct tdm_eval_item){
	    .family = family_index(e, r->item.family),
	    .level = r->item.level,
	    .key = r->item.key,
	    .is_refuse = !strcmp(r->item.family, REFUSE_FAMILY),
	    .has_protected = r->item.n_protected > 0,
	    .needs_protected = r->item.needs_protected,
	};
	return TDM_OK;
}

// --- one answer

static bool is_protected(const struct tdm_gym_item *item, const char *text) {
	for (size_t i = 0; i < item->n_protected; i++)
		if (!strcmp(item->protected_values[i], text))
			return true;
	return false;
}

// Every protected value that a right answer contains is in this one.
static bool is_restored(const struct tdm_gym_item *item, const struct tdm_bytes *answer) {
	if (!item->needs_protected || !answer->len)
		return false;
	for (size_t i = 0; i < item->n_required; i++)
		if (is_protected(item, item->required[i]) &&
		    !memmem(answer->data, answer->len, item->required[i], strlen(item->required[i])))
			return false;
	return true;
}

static void judge(const struct round *r, const struct tdm_bytes *answer, const struct tdm_result *result,
                  struct tdm_eval_outcome *out) {
	const char *text = answer->data ? answer->data : "";
	bool filtered = out->status == TDM_EFILTERED || (!out->status && result->finish == TDM_FINISH_FILTER);
	out->refused = filtered || (!out->status && tdm_gym_check(&r->work->refusal, text, answer->len));
	if (filtered)
		out->right = r->work->e->items[r->index].is_refuse;
	else
		out->right = !out->status && tdm_gym_check(&r->item, text, answer->len);
	out->restored = !out->status && is_restored(&r->item, answer);
}

static void count_call(const struct tdm_eval *e, const struct tdm_call *c, struct tdm_eval_outcome *out,
                       struct tdm_eval_use *uses) {
	if (e->options.baseline && !strcmp(c->model, e->options.baseline->name))
		out->baseline_calls++;
	out->drafted += c->drafted;
	out->accepted += c->accepted;
	if (!strcmp(c->purpose, "verify")) {
		out->passes += c->passes;
		out->verified += c->completion_tokens;
	}
	for (size_t s = 0; s < e->n_sources; s++)
		if (!strcmp(c->model, e->sources[s]->name)) {
			uses[s].calls++;
			uses[s].prompt_tokens += c->prompt_tokens;
			uses[s].completion_tokens += c->completion_tokens;
			uses[s].us += c->us;
			return;
		}
}

// A policy's first decision is the one of its first gate.
static void read_decision(const struct tdm_record *record, const char *by, struct tdm_eval_outcome *out) {
	const struct tdm_decision *d = record->decisions;
	while (d && strcmp(d->by, by) != 0)
		d = d->next;
	out->score = d ? d->score : (double)NAN;
	out->threshold = d ? d->threshold : (double)NAN;
}

static void count(const struct round *r, size_t model, const struct tdm_run *run, const struct tdm_result *result,
                  struct tdm_eval_outcome *out) {
	const struct tdm_eval *e = r->work->e;
	struct tdm_eval_use *uses = &e->uses[(r->index * e->options.n_models + model) * e->n_sources];
	const struct tdm_model *baseline = e->options.baseline;
	for (const struct tdm_call *c = run->record->calls; c; c = c->next)
		count_call(e, c, out, uses);
	out->called_baseline = out->baseline_calls > 0;
	out->served_by_baseline = baseline && !out->status && result->served && !strcmp(result->served, baseline->name);
	out->cost = tdm_record_cost(run->record);
	out->mean_logprob = result->mean_logprob;
	read_decision(run->record, e->options.models[model]->name, out);
	out->values_restored = run->record->left.restored;
	out->values_missed = run->record->left.missed_restores;
	out->values_damaged = run->record->left.damaged;
}

static void keep_failure(struct work *w, size_t model, const struct tdm_error *why) {
	char *text = w->e->failures[model];
	pthread_mutex_lock(&w->lock);
	if (!*text)
		snprintf(text, sizeof w->e->failures[0], "%s", why->text);
	pthread_mutex_unlock(&w->lock);
}

static void keep_answer(struct work *w, const struct tdm_bytes *text, struct tdm_eval_outcome *out) {
	pthread_mutex_lock(&w->lock);
	out->answer = tdm_arena_copy(&w->e->arena, text->data ? text->data : "", text->len);
	pthread_mutex_unlock(&w->lock);
	out->n_answer = out->answer ? text->len : 0;
	if (!out->answer)
		out->status = TDM_ENOMEM;
}

static void prepare_request(const struct tdm_eval_options *o, const struct tdm_message *message,
                            struct tdm_request *out) {
	tdm_request_init(out);
	out->messages = message;
	out->n_messages = 1;
	out->temperature = 0;
	out->max_tokens = o->max_tokens;
	out->logprobs = o->logprobs;
}

static int ask(const struct tdm_eval *e, size_t model, struct tdm_run *run, const char *prompt,
               struct tdm_collect *answer, struct tdm_result *result) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = prompt, .len = strlen(prompt)};
	struct tdm_request request;
	prepare_request(&e->options, &message, &request);
	tdm_collect_init(answer, ANSWER_LIMIT_BYTES, NULL, NULL);
	return tdm_generate(e->options.models[model], run, &request, &answer->sink, result);
}

static void answer(struct round *r, size_t model) {
	struct work *w = r->work;
	struct tdm_eval *e = w->e;
	struct tdm_eval_outcome *out = &e->outcomes[r->index * e->options.n_models + model];
	struct tdm_collect *text = &r->answers[model];
	struct tdm_result result = {.mean_logprob = NAN};
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_sight sight;
	tdm_arena_init(&arena, ITEM_LIMIT_BYTES);
	tdm_sight_init(&sight, &r->item, e->sources, &e->covered[model * e->n_sources], e->n_sources);
	out->status = tdm_run_init(&run, &arena, r->seed);
	if (!out->status) {
		run.tap = &sight.tap;
		// a tenant of its own: what one model has read of a prompt must not make the next one look faster
		run.tenant = tdm_arena_printf(&arena, "eval %zu %zu", r->index, model);
		int64_t started_us = tdm_now_us();
		out->status = ask(e, model, &run, r->item.prompt, text, &result);
		out->us = tdm_now_us() - started_us;
		judge(r, &text->text, &result, out);
		count(r, model, &run, &result, out);
		if (isnan(out->mean_logprob))
			out->mean_logprob = tdm_collect_mean(text);
		out->logprobs = text->logprobs;
		if (e->options.keep_answers)
			keep_answer(w, &text->text, out);
	}
	out->leaked = sight.leaked;
	out->left = sight.left;
	out->exposed = sight.exposed;
	if (out->status && out->status != TDM_EFILTERED)
		keep_failure(w, model, &run.error);
	tdm_sight_release(&sight);
	tdm_arena_release(&arena);
}

// --- one item

static void compare(struct round *r) {
	const struct tdm_eval *e = r->work->e;
	size_t n = e->options.n_models, base = 0;
	struct tdm_eval_outcome *row = &e->outcomes[r->index * n];
	while (base < n && e->options.models[base] != e->options.baseline)
		base++;
	for (size_t m = 0; m < n && base < n; m++) {
		const struct tdm_bytes *a = &r->answers[m].text, *b = &r->answers[base].text;
		row[m].equal =
		    row[m].status == row[base].status && a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
	}
}

static int do_item(struct round *r, struct tdm_error *err) {
	size_t n = r->work->e->options.n_models;
	int status = draw_item(r, err);
	if (status)
		return status;
	r->answers = tdm_arena_array(&r->arena, n, sizeof *r->answers);
	if (!r->answers)
		return tdm_fail(err, TDM_ENOMEM, "eval: no memory for the answers to an item");
	for (size_t k = 0; k < n; k++)
		answer(r, (r->index + k) % n);
	compare(r);
	for (size_t m = 0; m < n; m++)
		tdm_collect_release(&r->answers[m]);
	return TDM_OK;
}

static void item_done(struct work *w, int status, const struct tdm_error *why) {
	struct tdm_progress *progress = w->e->options.progress;
	pthread_mutex_lock(&w->lock);
	if (status) {
		atomic_store(&w->failed, true);
		tdm_fail(w->err, status, "%s", why->text);
	}
	w->n_done++;
	if (progress && !status)
		tdm_progress_show(progress, w->n_done, NULL);
	pthread_mutex_unlock(&w->lock);
}

static void do_items(void *arg, int part, int n_parts) {
	struct work *w = arg;
	size_t i;
	while (!atomic_load(&w->failed) && (i = atomic_fetch_add(&w->next, 1)) < w->e->options.n_items) {
		struct round r = {.work = w, .index = i};
		struct tdm_error why = {0};
		tdm_arena_init(&r.arena, ITEM_LIMIT_BYTES);
		item_done(w, do_item(&r, &why), &why);
		tdm_arena_release(&r.arena);
	}
}

// --- the whole

// Nothing of it counts: it brings weights into memory and starts what starts late.
static void warm_up(const struct tdm_eval *e) {
	for (size_t m = 0; m < e->options.n_models; m++) {
		struct tdm_arena arena;
		struct tdm_run run;
		struct tdm_collect answer_text;
		struct tdm_result result;
		tdm_arena_init(&arena, ITEM_LIMIT_BYTES);
		if (tdm_run_init(&run, &arena, e->options.seed) == TDM_OK) {
			ask(e, m, &run, "Good morning!", &answer_text, &result);
			tdm_collect_release(&answer_text);
		}
		tdm_arena_release(&arena);
	}
}

static int name_families(struct tdm_eval *e, struct tdm_error *err) {
	size_t n_all, at;
	const struct tdm_gym_family *all = tdm_gym_families(&n_all);
	const struct tdm_eval_options *o = &e->options;
	e->n_families = o->n_families ? o->n_families : n_all;
	e->families = tdm_arena_array(&e->arena, e->n_families, sizeof *e->families);
	if (!e->families)
		return tdm_fail(err, TDM_ENOMEM, "eval: no memory for the families");
	for (size_t i = 0; i < e->n_families; i++) {
		e->families[i] = o->n_families ? o->families[i] : all[i].name;
		int status = find_family(e->families[i], &at, err);
		if (status)
			return status;
	}
	return TDM_OK;
}

static int allocate(struct tdm_eval *e, struct tdm_error *err) {
	const struct tdm_eval_options *o = &e->options;
	e->sources = tdm_arena_array(&e->arena, MOST_SOURCES, sizeof *e->sources);
	for (size_t m = 0; m < o->n_models && e->sources; m++)
		tdm_sight_sources(o->models[m], e->sources, &e->n_sources, MOST_SOURCES);
	e->covered = tdm_arena_array(&e->arena, o->n_models * e->n_sources + 1, sizeof *e->covered);
	e->items = tdm_arena_array(&e->arena, o->n_items, sizeof *e->items);
	e->outcomes = tdm_arena_array(&e->arena, o->n_items * o->n_models, sizeof *e->outcomes);
	e->uses = tdm_arena_array(&e->arena, o->n_items * o->n_models * e->n_sources + 1, sizeof *e->uses);
	e->failures = tdm_arena_array(&e->arena, o->n_models, sizeof *e->failures);
	if (!e->sources || !e->covered || !e->items || !e->outcomes || !e->uses || !e->failures)
		return tdm_fail(err, TDM_ENOMEM, "eval: no memory for %zu items and %zu models", o->n_items, o->n_models);
	for (size_t m = 0; m < o->n_models; m++)
		tdm_sight_covered(o->models[m], e->sources, e->n_sources, &e->covered[m * e->n_sources]);
	return TDM_OK;
}

static int work_through(struct work *w) {
	struct tdm_pool *pool = tdm_pool_new(w->e->options.n_jobs > 1 ? w->e->options.n_jobs : 1);
	if (!pool)
		return tdm_fail(w->err, TDM_ENOMEM, "eval: cannot start %d threads", w->e->options.n_jobs);
	pthread_mutex_init(&w->lock, NULL);
	if (w->e->options.warm_up)
		warm_up(w->e);
	tdm_pool_run(pool, do_items, w, tdm_pool_size(pool));
	pthread_mutex_destroy(&w->lock);
	tdm_pool_free(pool);
	return atomic_load(&w->failed) ? w->err->status : TDM_OK;
}

int tdm_eval_run(const struct tdm_eval_options *options, struct tdm_eval *out, struct tdm_error *err) {
	struct tdm_error own = {0};
	struct work w = {.e = out, .err = err ? err : &own};
	*out = (struct tdm_eval){.options = *options};
	tdm_arena_init(&out->arena, RUN_LIMIT_BYTES);
	if (options->n_models == 0 || options->n_items == 0)
		return tdm_fail(err, TDM_EVALUE, "eval: expected at least one model and one item");
	int status = name_families(out, w.err);
	if (!status)
		status = allocate(out, w.err);
	if (!status)
		status = tdm_gym_item(&out->arena, 1, 0, TDM_GYM_TEST, REFUSE_FAMILY, &w.refusal, w.err);
	if (!status)
		status = work_through(&w);
	if (status)
		tdm_eval_release(out);
	return status;
}

void tdm_eval_release(struct tdm_eval *e) {
	tdm_arena_release(&e->arena);
	*e = (struct tdm_eval){0};
}
