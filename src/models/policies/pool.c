// pool: several upstreams that serve the same model, used as one.
//
// Which member is asked: the one with the fewest requests under way (least), the one that began to answer soonest of
// late (latency), or by weights. A conversation stays with its member (sticky), so that the upstream's cache of its
// prompt stays warm: members are ranked by a hash of conversation and name, and the ranking moves nobody when another
// member comes or goes. A member that fails before it has said anything is followed by the next one in the order; with
// hedge_ms the next one is asked beside one that is merely slow.
//
// What is counted is guarded by `lock`.
#include "base/clock.h"
#include "base/crypto.h"
#include "base/random.h"
#include "models/gate.h"
#include "models/policies/hedge.h"
#include "models/sources.h"
#include "models/errand.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_MEMBERS = 16 };
enum by { LEAST, LATENCY, WEIGHTS };
#define SMOOTHING 0.2 // of a member's time to the first piece

struct options {
	int by;
	bool sticky;
	const struct tdm_value *weights; // a list of numbers
	int64_t hedge_ms;
	struct tdm_hold hold;
};

struct member {
	struct tdm_model *model;
	double weight;
	int busy;        // requests under way
	double first_us; // smoothed time to the first piece; 0 = not known yet
};

struct pool {
	struct tdm_runner runner;
	struct options o;
	struct member members[MOST_MEMBERS];
	size_t n;
	pthread_mutex_t lock;
};

struct ranked {
	double cost; // the smallest is asked first
	size_t i;
};

static int by_cost(const void *a, const void *b) {
	const struct ranked *x = a, *y = b;
	return x->cost < y->cost ? -1 : x->cost > y->cost ? 1 : x->i < y->i ? -1 : 1;
}

// Uniform on (0, 1], of a conversation and a member.
static double uniform_of(const uint8_t conversation[TDM_SHA256_BYTES], const char *name) {
	uint8_t hash[TDM_SHA256_BYTES];
	uint64_t bits;
	tdm_hmac_sha256(conversation, TDM_SHA256_BYTES, name, strlen(name), hash);
	memcpy(&bits, hash, sizeof bits);
	return (double)((bits >> 11) + 1) / 9007199254740992.0;
}

// The session's name, or the first two messages: what later requests of the same conversation begin with too.
static void hash_conversation(const struct tdm_run *run, const struct tdm_request *r, uint8_t out[TDM_SHA256_BYTES]) {
	struct tdm_bytes text;
	const char *tenant = run->tenant ? run->tenant : "", *session = run->objective.session;
	tdm_bytes_init(&text, 1 << 20);
	tdm_bytes_add(&text, tenant, strlen(tenant) + 1);
	if (session)
		tdm_bytes_add(&text, session, strlen(session));
	for (size_t i = 0; !session && i < r->n_messages && i < 2; i++)
		tdm_bytes_add(&text, r->messages[i].text, r->messages[i].len);
	tdm_sha256(text.data, text.len, out); // text that did not fit is left out
	tdm_bytes_release(&text);
}

// Under the lock.
static double cost_of(const struct pool *p, size_t i, double uniform) {
	const struct member *m = &p->members[i];
	switch ((enum by)p->o.by) {
	case LEAST:
		return m->busy / m->weight;
	case LATENCY:
		return m->first_us * (1 + m->busy); // nobody knows a new one: it comes first
	default:
		return -log(uniform) / m->weight; // the smallest of these is member i with probability weight / sum
	}
}

// The order in which members are asked.
static void rank(struct pool *p, struct tdm_run *run, const struct tdm_request *request, struct ranked *out) {
	uint8_t conversation[TDM_SHA256_BYTES];
	struct tdm_rng rng;
	hash_conversation(run, request, conversation);
	tdm_rng_stream(&rng, run->seed, "pool", request->draw);
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n; i++) {
		double own = uniform_of(conversation, p->members[i].model->name), any = 1 - tdm_rng_double(&rng);
		out[i] = (struct ranked){p->o.sticky ? -log(own) / p->members[i].weight : cost_of(p, i, any), i};
	}
	pthread_mutex_unlock(&p->lock);
	qsort(out, p->n, sizeof *out, by_cost);
}

struct timed { // notes when the first piece came
	struct tdm_sink sink;
	int64_t first_us;
};

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct timed *t = (struct timed *)sink;
	if (!t->first_us)
		t->first_us = tdm_now_us();
	return sink->next->put(sink->next, event);
}

static void count(struct pool *p, struct member *m, int change, double first_us) {
	pthread_mutex_lock(&p->lock);
	m->busy += change;
	if (first_us > 0)
		m->first_us = m->first_us > 0 ? m->first_us + SMOOTHING * (first_us - m->first_us) : first_us;
	pthread_mutex_unlock(&p->lock);
}

static int ask(struct pool *p, struct member *m, struct tdm_run *run, const struct tdm_errand *asked, bool *shown) {
	struct timed timed = {.sink = {put, asked->sink}};
	struct tdm_errand e = *asked;
	int64_t start_us = tdm_now_us();
	e.sink = &timed.sink;
	count(p, m, 1, 0);
	int status = tdm_errand_try(&e, m->model, run, shown);
	if (!status && e.needs != TDM_CAN_TEXT) // vectors come all at once
		timed.first_us = tdm_now_us();
	count(p, m, -1, timed.first_us ? (double)(timed.first_us - start_us + 1) : 0);
	return status;
}

// The first two of the order, the second when the first is slow. *n: how many were asked.
static int ask_two(struct pool *p, const struct ranked *order, struct tdm_run *run, const struct tdm_errand *asked,
                   bool *shown, size_t *n) {
	struct member *first = &p->members[order[0].i], *second = &p->members[order[1].i];
	struct tdm_hedge h = {.first = first->model, .second = second->model, .after_ms = p->o.hedge_ms};
	struct timed t = {.sink = {put, asked->sink}};
	int64_t start_us = tdm_now_us();
	count(p, first, 1, 0);
	int status = tdm_hedge(&h, run, asked->request, &t.sink, asked->result);
	double waited_us = (double)((t.first_us ? t.first_us : tdm_now_us()) - start_us + 1); // of the first: at least
	count(p, first, -1, t.first_us ? waited_us : 0);
	if (h.asked)
		tdm_gate_record(run, &p->runner.model, second->model->name, "hedge", (double)NAN, (double)NAN, "%s",
		                h.second_answered ? "answered" : "given up");
	*shown = h.shown;
	*n = h.asked ? 2 : 1;
	return status;
}

static int answer(struct tdm_runner *runner, struct tdm_run *run, const struct tdm_errand *asked) {
	struct pool *p = (struct pool *)runner;
	struct ranked order[MOST_MEMBERS];
	struct tdm_errand e = *asked;
	bool shown, hedges = p->o.hedge_ms && e.needs == TDM_CAN_TEXT;
	e.hold = &p->o.hold;
	rank(p, run, e.request, order);
	for (size_t k = 0, n = 1;; k += n, n = 1) {
		struct member *m = &p->members[order[k].i];
		tdm_gate_record(run, &p->runner.model, m->model->name, p->o.sticky ? "sticky" : "load", order[k].cost,
		                (double)NAN, NULL);
		int status = hedges && k == 0 ? ask_two(p, order, run, &e, &shown, &n) : ask(p, m, run, &e, &shown);
		if (!status || shown || k + n >= p->n || !tdm_is_transient(status) || tdm_run_check(run) ||
		    !tdm_attempt_again(run, p->members[order[k + n].i].model))
			return status;
	}
}

static void destroy(struct tdm_model *m) {
	pthread_mutex_destroy(&((struct pool *)m)->lock);
}

static int read_weights(const struct tdm_build *b, struct pool *p) {
	const struct tdm_value *w = p->o.weights;
	if (w && (w->type != TDM_LIST || w->n != p->n))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: weights: expected a list of %zu numbers, one for each member",
		                b->where, p->n);
	for (size_t i = 0; i < p->n; i++) {
		p->members[i].weight = w ? w->items[i].number : 1;
		if (w && (w->items[i].type != TDM_NUMBER || !(w->items[i].number > 0)))
			return tdm_fail(b->error, TDM_ECONFIG, "%s: weights: expected numbers above 0", b->where);
	}
	return TDM_OK;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {TDM_RUNNER_OPS, .destroy = destroy};
	struct tdm_model *members[MOST_MEMBERS];
	unsigned can = TDM_ERRANDS | TDM_CAN_LOGPROBS | TDM_CAN_TOOLS;
	struct pool *p = tdm_build_model(b, sizeof *p, &ops, can);
	if (!p)
		return TDM_ENOMEM;
	p->runner.way = answer;
	p->o = *(const struct options *)options;
	p->n = tdm_build_roles(b, "members", members, MOST_MEMBERS);
	for (size_t i = 0; i < p->n; i++) {
		p->members[i].model = members[i];
		p->runner.model.can &= members[i]->can;
	}
	int status = tdm_errand_check(b, &p->runner.model);
	if (status == TDM_OK)
		status = read_weights(b, p);
	if (status != TDM_OK)
		return status;
	if (pthread_mutex_init(&p->lock, NULL) != 0)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no lock", b->where);
	*out = &p->runner.model;
	return TDM_OK;
}

static const struct tdm_role roles[] = {
    {"members", 0, 2, MOST_MEMBERS, "upstreams of the same model"},
};

#define AT(name) offsetof(struct options, name)
static const struct tdm_option table[] = {
    {"by", TDM_OPT_CHOICE, AT(by), "least", 0, 0, "least|latency|weights",
     "which member: fewest requests under way, soonest first words, or at random by weight"},
    {"sticky", TDM_OPT_BOOL, AT(sticky), "no", 0, 0, NULL,
     "a conversation stays with its member, as long as that answers"},
    {"weights", TDM_OPT_VALUE, AT(weights), NULL, 0, 0, NULL, "of the members, in their order; absent: all the same"},
    {"hedge_ms", TDM_OPT_INT, AT(hedge_ms), "0", 0, 600000, NULL,
     "ask the next member too when the first has said nothing for so long, ms; the sooner one answers; 0 = never"},
    TDM_HOLD_OPTIONS(struct options, hold),
};

const struct tdm_kind tdm_kind_pool = {
    .name = "pool",
    .summary = "several upstreams of one model, by load, with sticky conversations",
    .family = TDM_POLICY,
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
