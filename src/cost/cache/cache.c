// cache: an answer that was given before is given again. Exact: the request is the same in everything that shapes an
// answer (cache_key.h). Semantic, for requests that ask for it: everything is the same but the words of the last
// question, and these are as near as the threshold says; never where tools are in play.
//
// The rules it protects: no tenant sees what another one caused; nothing that was cut, failed or filtered is kept; what
// stands behind a mask sees and keeps masked text alone; a cache that fails costs a miss, never an answer.
#include "base/log.h"
#include "cost/cache/cache_answer.h"
#include "cost/cache/cache_bound.h"
#include "cost/cache/cache_key.h"
#include "cost/cache/cache_store.h"
#include "cost/kinds.h"
#include "ledger/metric.h"
#include "ledger/shared.h"
#include "models/gate.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { SEMANTIC_NO, SEMANTIC_ASKED, SEMANTIC_ALL };
enum { IN_MEMORY, IN_STATE };

struct options {
	double threshold, epsilon, delta, temperature, tenant_share;
	int semantic, storage;
	int64_t ttl_s, max_bytes, max_entries;
	const char *pairs;
};

struct cache {
	struct tdm_model model; // first
	struct options o;
	struct tdm_model *inner, *embedder; // embedder may be NULL
	const char *place;                  // of its answers, in every key
	struct tdm_shared *state;
	struct tdm_cache_store *store; // in memory
	struct tdm_cache_pairs pairs;

	pthread_mutex_t lock; // guards the rest
	bool is_bound;        // the bound was found
	struct tdm_cache_bound bound;
};

struct lookup { // one request
	struct cache *cache;
	struct tdm_run *run;
	const struct tdm_request *request;
	struct tdm_cache_key key;
	struct tdm_cache_vector vector;
	double threshold, score; // of the semantic one; NAN: not asked
};

struct listener { // keeps the answer while it goes through
	struct tdm_sink sink;
	struct tdm_bytes answer;
	bool was_stopped;
};

// what: as in receipts; metrics have their words with _.
static void count(const struct cache *c, const char *what, int n) {
	const char *event = !strcmp(what, "hit-exact")      ? "hit_exact"
	                    : !strcmp(what, "hit-semantic") ? "hit_semantic"
	                                                    : what;
	tdm_metric_add(TDM_METRIC_CACHE, n, TDM_LABELS(c->model.name, event));
}

static void note(const struct lookup *l, const char *what, double score, double threshold, int made_room) {
	char detail[96] = "";
	const struct tdm_cache_bound *b = &l->cache->bound;
	l->run->record->cache = what;
	count(l->cache, what, 1);
	if (made_room > 0)
		snprintf(detail, sizeof detail, "evicted=%d", made_room);
	else if (l->cache->o.pairs && !isnan(threshold))
		snprintf(detail, sizeof detail, "epsilon=%g delta=%g upper=%.4g", l->cache->o.epsilon, l->cache->o.delta,
		         b->upper);
	tdm_gate_record(l->run, &l->cache->model, what, isnan(threshold) ? "exact" : "cosine", score, threshold,
	                *detail ? "%s" : NULL, detail);
}

// --- exact

static void name_of(const struct lookup *l, char out[96]) {
	char hex[2 * TDM_SHA256_BYTES + 1];
	tdm_hex(l->key.exact, sizeof l->key.exact, hex);
	snprintf(out, 96, "cache:%s", hex);
}

static bool find_exact(struct lookup *l, struct tdm_bytes *out) {
	char name[96];
	bool found = false;
	struct tdm_error err = {0};
	if (l->cache->store)
		return tdm_cache_store_get(l->cache->store, l->run->tenant, l->key.exact, out);
	name_of(l, name);
	if (tdm_shared_get(l->cache->state, name, out, &found, &err))
		tdm_log(TDM_WARN, "cache.away", l->run->record->id, " cache=%s reason=\"%s\"", l->cache->model.name, err.text);
	return found && !err.status;
}

static int keep(struct lookup *l, const struct tdm_bytes *answer) {
	const struct cache *c = l->cache;
	char name[96];
	if (c->store)
		return tdm_cache_store_put(c->store, l->run->tenant, l->key.exact, &l->vector, answer->data, answer->len);
	name_of(l, name);
	tdm_shared_set(c->state, name, answer->data, answer->len, c->o.ttl_s * 1000000, NULL);
	return 0;
}

// --- semantic

static bool has_tools(const struct tdm_request *r) {
	bool found = r->tools.n > 0;
	for (size_t i = 0; i < r->n_messages; i++)
		found |= r->messages[i].n_calls || r->messages[i].from == TDM_FROM_TOOL;
	return found;
}

// Behind a mask the same value has another token in every conversation, so that no answer but that to the very same
// words can be restored.
static bool may_be_near(const struct lookup *l) {
	const struct cache *c = l->cache;
	bool is_asked = l->run->objective.similarity > 0 || c->o.semantic == SEMANTIC_ALL;
	return c->o.semantic != SEMANTIC_NO && is_asked && l->key.words && l->key.n_words && !has_tools(l->request) &&
	       !l->run->egress;
}

static int find_bound(struct cache *c, struct tdm_run *run) {
	int status = TDM_OK;
	pthread_mutex_lock(&c->lock);
	bool is_first = !c->is_bound;
	if (is_first)
		status = tdm_cache_bound_find(run, c->embedder, &c->pairs, c->o.epsilon, c->o.delta, &c->bound);
	c->is_bound = !status;
	bool is_kept = isfinite(c->bound.threshold);
	double margin = is_kept ? c->o.epsilon - c->bound.upper : 0;
	pthread_mutex_unlock(&c->lock);
	if (is_first && !status)
		tdm_metric_set(TDM_METRIC_MARGIN, margin, TDM_LABELS(c->model.name));
	if (is_first && (status || !is_kept))
		tdm_metric_add(TDM_METRIC_ALARMS, 1, TDM_LABELS(c->model.name));
	return status;
}

// The strictest of: the settings, what the pairs allow, what the request asks for.
static double threshold_of(const struct lookup *l) {
	const struct cache *c = l->cache;
	double t = c->o.threshold;
	if (c->o.pairs && c->bound.threshold > t)
		t = c->bound.threshold;
	return l->run->objective.similarity > t ? l->run->objective.similarity : t;
}

// Embedding is done on a run of its own: what fails there is a miss here.
static int embed_words(struct lookup *l) {
	struct tdm_run own = *l->run;
	own.error = (struct tdm_error){0};
	int status = l->cache->o.pairs ? find_bound(l->cache, &own) : TDM_OK;
	if (!status)
		status =
		    tdm_cache_embed(&own, l->cache->embedder, l->key.words, l->key.n_words, &l->vector.data, &l->vector.width);
	if (status) {
		l->vector.data = NULL;
		tdm_log(TDM_WARN, "cache.embed", l->run->record->id, " cache=%s reason=\"%s\"", l->cache->model.name,
		        own.error.text);
	}
	return status;
}

static bool find_near(struct lookup *l, struct tdm_bytes *out) {
	if (!may_be_near(l) || embed_words(l))
		return false;
	l->vector.near = l->key.near;
	l->threshold = threshold_of(l);
	return tdm_cache_store_near(l->cache->store, l->run->tenant, &l->vector, l->threshold, &l->score, out);
}

// --- a request

static int listen(struct tdm_sink *sink, const struct tdm_event *event) {
	struct listener *l = (struct listener *)sink;
	tdm_cache_write_event(&l->answer, event);
	int status = sink->next->put(sink->next, event);
	l->was_stopped |= status != TDM_OK;
	return status;
}

static int ask(struct lookup *l, struct tdm_sink *sink, struct tdm_result *result) {
	struct listener ear = {.sink = {listen, sink}};
	int made_room = 0;
	tdm_bytes_init(&ear.answer, (size_t)l->cache->o.max_bytes);
	l->run->record->cache = "miss"; // streams say so when they begin
	int status = tdm_generate(l->cache->inner, l->run, l->request, &ear.sink, result);
	bool is_whole =
	    !status && !ear.was_stopped && (result->finish == TDM_FINISH_STOP || result->finish == TDM_FINISH_CALLS);
	tdm_cache_write_result(&ear.answer, result);
	if (is_whole && !ear.answer.failed)
		made_room = keep(l, &ear.answer);
	if (is_whole && !ear.answer.failed && made_room >= 0)
		count(l->cache, "store", 1);
	if (made_room > 0)
		count(l->cache, "evict", made_room);
	tdm_bytes_release(&ear.answer);
	note(l, "miss", l->score, l->threshold, made_room);
	return status;
}

static bool may_cache(const struct cache *c, const struct tdm_request *r) {
	return !r->raw && (double)r->temperature <= c->o.temperature;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct cache *c = (struct cache *)m;
	struct lookup l = {.cache = c, .run = run, .request = request, .threshold = (double)NAN, .score = (double)NAN};
	struct tdm_bytes found;
	int status = TDM_OK;
	if (!may_cache(c, request)) {
		note(&l, "bypass", l.score, l.threshold, 0);
		return tdm_generate(c->inner, run, request, sink, result);
	}
	if (tdm_cache_key(run, request, c->place, &l.key))
		return run->error.status;
	tdm_bytes_init(&found, (size_t)c->o.max_bytes);
	bool is_exact = find_exact(&l, &found), is_hit = is_exact || find_near(&l, &found);
	if (is_hit)
		run->record->cache = is_exact ? "hit-exact" : "hit-semantic";
	is_hit = is_hit && tdm_cache_replay(run, request, found.data, found.len, sink, result, &status);
	tdm_bytes_release(&found);
	if (!is_hit)
		return ask(&l, sink, result);
	note(&l, run->record->cache, l.score, l.threshold, 0);
	return status < 0 ? tdm_fail(&run->error, status, "the answer could not be passed on") : TDM_OK;
}

// --- making one

static int check(const struct tdm_build *b, const struct cache *c) {
	if (c->o.semantic && !c->embedder)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: semantic needs a model in the role embedder", b->where);
	if (c->o.semantic && c->o.storage == IN_STATE)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: semantic needs storage: memory", b->where);
	if (c->o.storage == IN_STATE && !b->state)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: storage: state needs a section state", b->where);
	return TDM_OK;
}

static int read_pairs(const struct tdm_build *b, struct cache *c) {
	if (!c->o.pairs)
		return TDM_OK;
	const char *path =
	    *c->o.pairs == '/' || !b->folder ? c->o.pairs : tdm_arena_printf(b->arena, "%s/%s", b->folder, c->o.pairs);
	return path ? tdm_cache_pairs_read(b->arena, path, b->where, &c->pairs, b->error) : TDM_ENOMEM;
}

static void destroy(struct tdm_model *m) {
	struct cache *c = (struct cache *)m;
	if (c->store)
		tdm_cache_store_free(c->store);
	pthread_mutex_destroy(&c->lock);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate, .destroy = destroy};
	struct tdm_model *inner = tdm_build_role(b, "inner");
	unsigned passed = TDM_CAN_LOGPROBS | TDM_CAN_TOOLS;
	struct cache *c = tdm_build_model(b, sizeof *c, &ops, TDM_CAN_TEXT | (inner->can & passed));
	if (!c)
		return TDM_ENOMEM;
	c->o = *(const struct options *)options;
	c->inner = inner;
	c->embedder = tdm_build_role(b, "embedder");
	c->state = b->state;
	c->place = tdm_arena_printf(b->arena, "%s %s", b->tree_hash ? b->tree_hash : "", b->name);
	int status = c->place ? check(b, c) : TDM_ENOMEM;
	if (!status)
		status = read_pairs(b, c);
	if (status)
		return status;
	struct tdm_cache_limits limits = {c->o.max_bytes, c->o.max_entries, c->o.tenant_share, c->o.ttl_s * 1000000};
	if (c->o.storage == IN_MEMORY && !(c->store = tdm_cache_store_new(&limits)))
		return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	pthread_mutex_init(&c->lock, NULL);
	*out = &c->model;
	return TDM_OK;
}

static const struct tdm_role roles[] = {
    {"inner", TDM_CAN_TEXT, 1, 1, "the model whose answers are kept"},
    {"embedder", TDM_CAN_EMBED, 0, 1, "says how near two questions are"},
};

#define AT(name) offsetof(struct options, name)
static const struct tdm_option table[] = {
    {"ttl", TDM_OPT_INT, AT(ttl_s), "3600", 1, 31536000, NULL, "seconds for which an answer is kept"},
    {"max_bytes", TDM_OPT_INT, AT(max_bytes), "67108864", 65536, (double)((int64_t)1 << 40), NULL,
     "of all answers; the one unused longest makes room"},
    {"max_entries", TDM_OPT_INT, AT(max_entries), "10000", 1, 1 << 24, NULL, "answers, in memory"},
    {"tenant_share", TDM_OPT_NUMBER, AT(tenant_share), "0.25", 0.001, 1, NULL,
     "of both, for one tenant; a tenant that wants more pushes out its own"},
    {"storage", TDM_OPT_CHOICE, AT(storage), "memory", 0, 0, "memory|state",
     "memory: this process; state: what the section state names, also for replicas"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "2", -1, 2, NULL,
     "requests above it are never cached; -1: all that set one"},
    {"semantic", TDM_OPT_CHOICE, AT(semantic), "no", 0, 0, "no|asked|all",
     "near questions share an answer; asked: for requests with tandem.cache_similarity"},
    {"threshold", TDM_OPT_NUMBER, AT(threshold), "0.95", 0.5, 1, NULL,
     "cosine of near questions; requests only raise it"},
    {"pairs", TDM_OPT_STRING, AT(pairs), NULL, 0, 0, NULL,
     "file of labelled pairs, from which a bound on wrong hits comes"},
    {"epsilon", TDM_OPT_NUMBER, AT(epsilon), "0.05", 0.0001, 0.5, NULL,
     "with pairs: wrong hits among the semantic ones"},
    {"delta", TDM_OPT_NUMBER, AT(delta), "0.05", 0.0001, 0.5, NULL, "with pairs: probability that the bound fails"},
};

const struct tdm_kind tdm_kind_cache = {
    .name = "cache",
    .summary = "gives an answer again that was given before",
    .family = TDM_POLICY,
    .goal = TDM_GOAL_COST,
    .leaf = "B3a",
    .source = "FrugalGPT (2305.05176)",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
