// retrieve: passages of the operator's own documents stand before the model when it answers (BM25 and nearness, in one
// SQLite file), where a small model says that they are needed (SlimPLM 2402.12052), found by the question or by what a
// small model makes of it (Collab-RAG 2504.04915, GOLFer 2506.04762).
//
// The rules it protects: passages are quoted, and nothing in them is an instruction; they go where the question goes,
// so no model of this kind may be elsewhere without a mask, which then masks them like the question; with `noise` the
// index is asked with a vector that is moved at random and with no word (RemoteRAG 2412.12775), and what it gives is
// ranked here by the real one. Who looks up may fail: then the question is asked as it is, or without the step that
// failed.
#include "base/file.h"
#include "ledger/passages.h"
#include "models/gate.h"
#include "privacy/mask/chance.h"
#include "privacy/delegate/delegate.h"
#include "privacy/perturb/epsilon.h"
#include "privacy/kinds.h"
#include <stdio.h>
#include <stdlib.h>

enum { WHEN_ALWAYS, WHEN_PROXY, WHEN_NEVER };
enum { BY_PLAIN, BY_CLAIMS, BY_SUBQUESTIONS, BY_EXPANSION };
#define MOST_QUERIES 8
#define RANK_OFFSET 60 // of the reciprocal ranks that lists are joined by
#define PROXY_TOKENS 256

struct options {
	int when, query;
	int64_t k, candidates, weight;
	double noise, limit;
	const char *store;
};

struct retrieve {
	struct tdm_model model;
	struct options o;
	struct tdm_model *inner, *proxy, *judge, *embedder; // inner alone is always there
	struct tdm_passages *store;
	struct tdm_shared *state;
};

struct lookup { // one request
	const struct retrieve *c;
	struct tdm_run *run;
	const struct tdm_request *request;
	struct tdm_words question;
	struct tdm_words queries[MOST_QUERIES];
	size_t n_queries;
	struct tdm_hit *hits; // joined, best first
	size_t n_hits, n_candidates;
	double judged; // NaN: nobody was asked
	struct tdm_epsilon epsilon;
	const char *why; // not NULL: without passages
};

static int no_memory(const struct lookup *l) {
	return tdm_fail(&l->run->error, TDM_ENOMEM, "%s: no memory to look something up", l->c->model.name);
}

// --- the small ones

static int ask(const struct lookup *l, struct tdm_model *m, const struct tdm_request *base, const char *text, size_t n,
               const char *purpose, struct tdm_words *out) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = text, .len = n};
	struct tdm_request asked = *base;
	struct tdm_collect said;
	struct tdm_result result;
	if (text) {
		asked.messages = &message;
		asked.n_messages = 1;
	}
	asked.purpose = purpose;
	asked.form = NULL;
	asked.tools = (struct tdm_toolbox){0};
	asked.logprobs = false;
	asked.top_logprobs = 0;
	asked.n_stop = 0;
	asked.max_tokens = PROXY_TOKENS;
	tdm_collect_init(&said, (size_t)1 << 20, NULL, NULL);
	int status = tdm_generate(m, l->run, &asked, &said.sink, &result);
	const char *copy = tdm_arena_copy(l->run->arena, said.text.data ? said.text.data : "", said.text.len);
	*out = copy ? tdm_trimmed(copy, said.text.len) : (struct tdm_words){NULL, 0};
	tdm_collect_release(&said);
	return status || copy ? status : no_memory(l);
}

static int ask_prompt(const struct lookup *l, struct tdm_model *m, const char *name, const struct tdm_fill *fills,
                      size_t n, const char *purpose, struct tdm_words *out) {
	size_t len;
	const char *text = tdm_delegate_prompt(l->run->arena, name, fills, n, &len);
	return text ? ask(l, m, l->request, text, len, purpose, out) : no_memory(l);
}

static int is_known(const struct lookup *l, const char *prompt, struct tdm_words what, bool *known) {
	struct tdm_fill fills[] = {{"task", l->question}, {"answer", what}};
	struct tdm_words said;
	int status = ask_prompt(l, l->c->judge, prompt, fills, TDM_COUNT(fills), "judge", &said);
	*known = status == TDM_OK && said.len >= 3 && !strncasecmp(said.text, "yes", 3);
	return status;
}

// --- queries

static void add_query(struct lookup *l, struct tdm_words text) {
	text = tdm_trimmed(text.text, text.len);
	if (text.len && l->n_queries < MOST_QUERIES)
		l->queries[l->n_queries++] = text;
}

// Sentences of the proxy's answer that the judge does not know.
static int add_claims(struct lookup *l, struct tdm_words answer) {
	int status = TDM_OK;
	for (size_t at = 0, end; at < answer.len && status == TDM_OK; at = end) {
		end = at;
		while (end < answer.len && !strchr(".!?\n", answer.text[end]))
			end++;
		struct tdm_words claim = tdm_trimmed(answer.text + at, end - at);
		end++;
		bool known = true;
		if (claim.len)
			status = is_known(l, "claim", claim, &known);
		if (!known)
			add_query(l, claim);
	}
	return status;
}

static int add_lines(struct lookup *l) {
	struct tdm_fill fills[] = {{"task", l->question}};
	struct tdm_words said;
	int status = ask_prompt(l, l->c->proxy, "subquestions", fills, 1, "plan", &said);
	for (size_t at = 0; status == TDM_OK && at < said.len;) {
		const char *end = memchr(said.text + at, '\n', said.len - at);
		size_t n = end ? (size_t)(end - said.text) - at : said.len - at;
		add_query(l, (struct tdm_words){said.text + at, n});
		at += n + 1;
	}
	return status;
}

// The question counts `weight` times against a passage that the proxy made up.
static int add_expansion(struct lookup *l) {
	struct tdm_fill fills[] = {{"task", l->question}};
	struct tdm_words said;
	struct tdm_bytes b;
	int status = ask_prompt(l, l->c->proxy, "passage", fills, 1, "draft", &said);
	tdm_bytes_init(&b, (size_t)1 << 22);
	for (int64_t i = 0; i < l->c->o.weight; i++)
		tdm_bytes_add(&b, l->question.text, l->question.len), tdm_bytes_putc(&b, '\n');
	tdm_bytes_add(&b, said.text, status == TDM_OK ? said.len : 0);
	const char *copy = b.failed ? NULL : tdm_arena_copy(l->run->arena, b.data ? b.data : "", b.len);
	if (status == TDM_OK && copy)
		add_query(l, (struct tdm_words){copy, b.len});
	tdm_bytes_release(&b);
	return status || copy ? status : no_memory(l);
}

// Is anything to be looked up? If the proxy's answer was known, nothing is.
static int look(struct lookup *l, struct tdm_words *heuristic) {
	const struct options *o = &l->c->o;
	bool known = false;
	int status = TDM_OK;
	if (o->when == WHEN_PROXY || o->query == BY_CLAIMS)
		status = ask(l, l->c->proxy, l->request, NULL, 0, "draft", heuristic);
	if (status != TDM_OK || o->when != WHEN_PROXY)
		return status;
	status = is_known(l, "knows", *heuristic, &known);
	l->judged = status == TDM_OK ? (double)known : (double)NAN;
	l->why = known ? "known" : NULL;
	return status;
}

static int make_queries(struct lookup *l, struct tdm_words heuristic) {
	switch (l->c->o.query) {
	case BY_CLAIMS:
		return add_claims(l, heuristic);
	case BY_SUBQUESTIONS:
		return add_lines(l);
	case BY_EXPANSION:
		return add_expansion(l);
	default:
		return TDM_OK;
	}
}

// A small one that is out is done without.
static int plan(struct lookup *l) {
	struct tdm_words heuristic = {NULL, 0};
	int status = look(l, &heuristic);
	if (status == TDM_OK && !l->why)
		status = make_queries(l, heuristic);
	if (status < 0 && !tdm_gate_may_replace(status))
		return status;
	tdm_error_clear(&l->run->error);
	if (!l->n_queries || l->c->o.query == BY_SUBQUESTIONS)
		add_query(l, l->question);
	return TDM_OK;
}

// --- the search

static int by_score(const void *a, const void *b) {
	const struct tdm_hit *x = a, *y = b;
	return x->score != y->score ? (x->score > y->score ? -1 : 1) : (x->id > y->id) - (x->id < y->id);
}

// Joins a list to the hits by the sum of reciprocal ranks.
static void join(struct lookup *l, const struct tdm_hit *list, size_t n) {
	for (size_t i = 0; i < n; i++) {
		size_t at = 0;
		while (at < l->n_hits && l->hits[at].id != list[i].id)
			at++;
		if (at == l->n_hits)
			l->hits[l->n_hits++] = (struct tdm_hit){list[i].id, 0};
		l->hits[at].score += 1.0 / (RANK_OFFSET + (double)i + 1);
	}
}

static int unit_vector(const struct lookup *l, const float *from, float *to, int width) {
	double sum = 0;
	for (int i = 0; i < width; i++)
		sum += (double)from[i] * (double)from[i];
	for (int i = 0; i < width; i++)
		to[i] = sum > 0 ? (float)((double)from[i] / sqrt(sum)) : 0;
	return width == tdm_passages_width(l->c->store)
	           ? TDM_OK
	           : tdm_fail(&l->run->error, TDM_ECONFIG, "%s: %s makes vectors of %d numbers, those of the index have %d",
	                      l->c->model.name, l->c->embedder->name, width, tdm_passages_width(l->c->store));
}

// What the index gives for the moved vector, ranked by the real one.
static int by_noised(struct lookup *l, const float *unit, struct tdm_hit *list, size_t *n) {
	int width = tdm_passages_width(l->c->store);
	float *moved = tdm_arena_array(l->run->arena, (size_t)width, sizeof *moved);
	if (!moved)
		return no_memory(l);
	if (tdm_noised_vector(unit, width, l->c->o.noise, &tdm_system_chance, moved) != TDM_OK)
		return tdm_fail(&l->run->error, TDM_EGUARD, "%s: the system gave no chance; nothing was asked",
		                l->c->model.name);
	*n = tdm_passages_by_vector(l->c->store, moved, (size_t)l->c->o.candidates, list);
	l->n_candidates += *n;
	for (size_t i = 0; i < *n; i++)
		list[i].score = tdm_passages_cosine(l->c->store, list[i].id, unit);
	qsort(list, *n, sizeof *list, by_score);
	*n = *n < (size_t)l->c->o.k ? *n : (size_t)l->c->o.k;
	return TDM_OK;
}

static int by_vectors(struct lookup *l, struct tdm_hit *list) {
	const float *vectors[MOST_QUERIES];
	int width = 0, status = tdm_embed_all(l->c->embedder, l->run, l->queries, l->n_queries, vectors, &width);
	float *unit = tdm_arena_array(l->run->arena, (size_t)width + 1, sizeof *unit);
	if (status == TDM_OK && !unit)
		status = no_memory(l);
	for (size_t i = 0; i < l->n_queries && status == TDM_OK; i++) {
		size_t n = 0;
		status = unit_vector(l, vectors[i], unit, width);
		if (status == TDM_OK && l->c->o.noise > 0)
			status = by_noised(l, unit, list, &n);
		else if (status == TDM_OK)
			n = tdm_passages_by_vector(l->c->store, unit, (size_t)l->c->o.k, list);
		if (status == TDM_OK)
			join(l, list, n);
	}
	return status;
}

static int by_words(struct lookup *l, struct tdm_hit *list) {
	struct tdm_error err = {0};
	for (size_t i = 0; i < l->n_queries; i++) {
		size_t n;
		const struct tdm_words *q = &l->queries[i];
		int status = tdm_passages_by_words(l->c->store, q->text, q->len, (size_t)l->c->o.k, list, &n, &err);
		if (status != TDM_OK)
			return tdm_fail(&l->run->error, status, "%s: %s", l->c->model.name, err.text);
		join(l, list, n);
	}
	return TDM_OK;
}

static int spend(struct lookup *l) {
	const struct retrieve *c = l->c;
	double amount = c->o.noise * (double)l->n_queries;
	int status = tdm_epsilon_spend(c->state, l->run, l->request, c->model.name, amount, &l->epsilon);
	if (status == TDM_OK && l->epsilon.is_refused)
		l->why = "epsilon is spent";
	return status;
}

static int search(struct lookup *l) {
	const struct options *o = &l->c->o;
	size_t most = (size_t)o->candidates; // k at least
	struct tdm_hit *list = tdm_arena_array(l->run->arena, most, sizeof *list);
	l->hits = tdm_arena_array(l->run->arena, 2 * MOST_QUERIES * most, sizeof *l->hits);
	if (!list || !l->hits)
		return no_memory(l);
	int status = o->noise > 0 ? spend(l) : by_words(l, list);
	if (status == TDM_OK && !l->why && l->c->embedder)
		status = by_vectors(l, list);
	if (status != TDM_OK || l->why)
		return status;
	if (l->n_hits)
		qsort(l->hits, l->n_hits, sizeof *l->hits, by_score);
	l->n_hits = l->n_hits < (size_t)o->k ? l->n_hits : (size_t)o->k;
	l->why = l->n_hits ? NULL : "nothing found";
	return TDM_OK;
}

// --- the question with its passages

static int quote(const struct lookup *l, struct tdm_bytes *out) {
	struct tdm_error err = {0};
	for (size_t i = 0; i < l->n_hits; i++) {
		struct tdm_passage p;
		int status = tdm_passages_get(l->c->store, l->run->arena, l->hits[i].id, &p, &err);
		if (status != TDM_OK)
			return tdm_fail(&l->run->error, status, "%s: %s", l->c->model.name, err.text);
		tdm_bytes_printf(out, "%s[%zu] ", i ? "\n" : "", i + 1);
		tdm_bytes_json(out, p.text, p.n);
	}
	return out->failed ? no_memory(l) : TDM_OK;
}

// The request with the passages behind its last question.
static int add_passages(struct lookup *l, size_t task, struct tdm_request *asked) {
	struct tdm_message *list = tdm_arena_array(l->run->arena, asked->n_messages, sizeof *list);
	struct tdm_bytes b;
	size_t n = 0;
	tdm_bytes_init(&b, (size_t)16 << 20);
	int status = list ? quote(l, &b) : no_memory(l);
	struct tdm_fill fills[] = {{"question", l->question}, {"passages", {b.data ? b.data : "", b.len}}};
	const char *text = status == TDM_OK ? tdm_delegate_prompt(l->run->arena, "passages", fills, 2, &n) : NULL;
	tdm_bytes_release(&b);
	if (!text)
		return status ? status : no_memory(l);
	memcpy(list, asked->messages, asked->n_messages * sizeof *list);
	list[task].text = text;
	list[task].len = n;
	asked->messages = list;
	return TDM_OK;
}

static void record(const struct lookup *l) {
	const struct options *o = &l->c->o;
	char noise[120] = "";
	if (o->noise > 0)
		snprintf(noise, sizeof noise, "; candidates %zu, epsilon_request %g, epsilon_conversation %g, metric distance",
		         l->n_candidates, l->epsilon.is_refused ? 0 : o->noise * (double)l->n_queries, l->epsilon.spent);
	tdm_gate_record(l->run, &l->c->model, l->why ? "without" : "retrieved", "known", l->judged, (double)NAN,
	                "%s%squeries %zu, passages %zu%s", l->why ? l->why : "", l->why ? ": " : "", l->n_queries,
	                l->why ? 0 : l->n_hits, noise);
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct retrieve *c = (const struct retrieve *)m;
	struct lookup l = {.c = c, .run = run, .request = request, .judged = NAN, .epsilon = {.limit = c->o.limit}};
	struct tdm_request asked = *request;
	size_t task = request->n_messages;
	int status = TDM_OK;
	while (task && request->messages[task - 1].from != TDM_FROM_USER)
		task--;
	if (c->o.when == WHEN_NEVER || request->raw || !task)
		l.why = "never";
	else {
		l.question = (struct tdm_words){request->messages[task - 1].text, request->messages[task - 1].len};
		status = plan(&l);
	}
	if (status == TDM_OK && !l.why)
		status = search(&l);
	if (status == TDM_OK && !l.why)
		status = add_passages(&l, task - 1, &asked);
	if (status != TDM_OK)
		return status;
	record(&l);
	return tdm_generate(c->inner, run, &asked, sink, result);
}

// --- the settings

static void destroy(struct tdm_model *m) {
	tdm_passages_close(((struct retrieve *)m)->store);
}

static int check(const struct tdm_build *b, const struct retrieve *c) {
	for (size_t i = 0; i < b->n_parts; i++)
		if (tdm_leaves_unmasked(b->parts[i]))
			return tdm_fail(b->error, TDM_ECONFIG, "%s: role %s: %s sends text off this machine without a mask",
			                b->where, b->part_roles[i], b->parts[i]->name);
	if (!c->proxy && (c->o.when == WHEN_PROXY || c->o.query != BY_PLAIN))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: when: proxy, and queries other than plain, need a model in role proxy", b->where);
	if (c->o.noise > 0 && !c->embedder)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: noise needs a model in role embedder", b->where);
	if (c->o.candidates < c->o.k)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: candidates: expected at least k", b->where);
	return c->o.store ? TDM_OK
	                  : tdm_fail(b->error, TDM_ECONFIG, "%s: store: expected a file that tandem index made", b->where);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate, .destroy = destroy};
	struct tdm_model *inner = tdm_build_role(b, "inner");
	struct retrieve *c = tdm_build_model(b, sizeof *c, &ops,
	                                     inner->can & (TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_TOOLS | TDM_CAN_FORM));
	struct tdm_error why = {0};
	if (!c)
		return TDM_ENOMEM;
	c->o = *(const struct options *)options;
	c->inner = inner;
	c->proxy = tdm_build_role(b, "proxy");
	c->judge = tdm_build_role(b, "judge");
	c->judge = c->judge ? c->judge : c->proxy;
	c->embedder = tdm_build_role(b, "embedder");
	c->state = b->state;
	int status = check(b, c);
	if (status != TDM_OK)
		return status;
	const char *path =
	    c->o.store[0] == '/' || !b->folder ? c->o.store : tdm_arena_printf(b->arena, "%s/%s", b->folder, c->o.store);
	status = path ? tdm_passages_open(path, &c->store, &why) : TDM_ENOMEM;
	if (status == TDM_OK && c->embedder && !tdm_passages_width(c->store))
		status = tdm_fail(&why, TDM_ECONFIG, "%s: the index has no vectors; tandem index --embedder makes them", path);
	if (status != TDM_OK) {
		tdm_passages_close(c->store);
		return tdm_fail(b->error, TDM_ECONFIG, "%s: store: %s", b->where, why.text);
	}
	*out = &c->model;
	return TDM_OK;
}

static const struct tdm_role roles[] = {
    {"inner", TDM_CAN_TEXT, 1, 1, "answers, with the passages; behind a mask, if it is elsewhere"},
    {"proxy", TDM_CAN_TEXT, 0, 1, "a small model: answers first, and makes queries"},
    {"judge", TDM_CAN_TEXT, 0, 1, "says whether that answer was known; the proxy, if there is none"},
    {"embedder", TDM_CAN_EMBED, 0, 1, "makes vectors of queries, as it made those of the index"},
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option table[] = {
    {"store", TDM_OPT_STRING, AT(store), NULL, 0, 0, NULL, "the file of passages that tandem index made"},
    {"when", TDM_OPT_CHOICE, AT(when), "proxy", 0, 0, "always|proxy|never",
     "when passages are looked up; proxy: when the judge doubts that the proxy's own answer was known"},
    {"query", TDM_OPT_CHOICE, AT(query), "plain", 0, 0, "plain|claims|subquestions|expand",
     "by the question; by sentences of the proxy's answer that are doubted; by questions that come first; by a passage "
     "made up"},
    {"k", TDM_OPT_INT, AT(k), "4", 1, 64, NULL, "most passages"},
    {"weight", TDM_OPT_INT, AT(weight), "5", 1, 20, NULL,
     "how often the question counts against the passage made up (expand)"},
    {"noise", TDM_OPT_NUMBER, AT(noise), "0", 0, 1e9, NULL,
     "epsilon of a query's vector for vectors at distance 1, which then alone is asked with; 0 = no noise, and words "
     "too"},
    {"candidates", TDM_OPT_INT, AT(candidates), "64", 1, 4096, NULL,
     "passages that are fetched with noise, and ranked here"},
    {"limit", TDM_OPT_NUMBER, AT(limit), "0", 0, 1e9, NULL, "most epsilon of a conversation; 0 = it is only counted"},
};

const struct tdm_kind tdm_kind_retrieve = {
    .name = "retrieve",
    .summary = "passages of your own documents stand before the model when they are needed",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_PRIVACY,
    .leaf = "C1b",
    .source = "SlimPLM (2402.12052), RemoteRAG (2412.12775)",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
