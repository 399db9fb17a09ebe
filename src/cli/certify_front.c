// `tandem certify-front`: from a table of what every arm of a choose answered to the front of its policies, and to
// signed certificates for those that are shown to keep their promise.
//
// The rule it protects: three parts of the items that have nothing to do with each other, by a hash of their text: on
// the first the predictor is fitted, on the second policies are compared and put in their order, on the third they are
// tested in this order and nothing else is done. An item whose text occurs again is left out.
#include "assure/labels.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "choose/front_file.h"
#include "cli/command.h"
#include "cli/signing.h"
#include "eval/outcomes.h"
#include "learn/router_fit.h"
#include "models/answer.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM_BYTES ((size_t)2 << 30)
#define ROUTER_LIMIT_BYTES ((size_t)128 << 20)
#define DAY_US ((int64_t)86400 * 1000000)

struct options {
	const char *config, *model, *delta, *key, *out;
	struct tdm_strings epsilon, names;
	int estimator, loss;
	double fit, tune, margin, l2, leak, harm;
	int64_t neighbours, seed, days, issued;
};
enum { REGRET, WRONG, DIFFERS };
static const char *const loss_names[] = {"regret", "wrong", "differs"};
static const char *const loss_words[] = {
    [REGRET] = "by how much the last arm's answer would have been better",
    [WRONG] = "what the answer lacks to be right",
    [DIFFERS] = "the share of answers that are not the last arm's",
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file of the model"},
    {"model", TDM_OPT_STRING, AT(model), NULL, 0, 0, NULL, "the model of kind choose whose arms the table knows"},
    {"names", TDM_OPT_LIST, AT(names), NULL, 0, 0, NULL, "ROLE=COLUMN, such as prompt=question or correct:big=gpt_ok"},
    {"estimator", TDM_OPT_CHOICE, AT(estimator), "linear", 0, 0, TDM_FRONT_ESTIMATORS,
     "what predicts quality and cost of an arm: its means, the nearest items, or a linear predictor"},
    {"loss", TDM_OPT_CHOICE, AT(loss), "regret", 0, 0, "regret|wrong|differs",
     "regret: worse than the last arm; wrong: not right; differs: not the last arm's answer"},
    {"epsilon", TDM_OPT_LIST, AT(epsilon), "0.05", 0, 0, NULL, "errors to promise, such as 0.02,0.05,0.1"},
    {"delta", TDM_OPT_STRING, AT(delta), "0.05", 0, 0, NULL, "how often the promises of one error may be wrong"},
    {"margin", TDM_OPT_NUMBER, AT(margin), "0.5", 0, 100, NULL,
     "the mean cost is promised too, at so much more than on the items of tuning; 0 = it is not"},
    {"leak", TDM_OPT_NUMBER, AT(leak), "0", 0, 0.999999, NULL,
     "how many requests may leak is promised too, of the columns leak:MODEL; 0 = it is not"},
    {"harm", TDM_OPT_NUMBER, AT(harm), "0", 0, 0.999999, NULL, "the same of the columns harm:MODEL"},
    {"fit", TDM_OPT_NUMBER, AT(fit), "0.34", 0, 0.9, NULL, "share of the items for the predictor"},
    {"tune", TDM_OPT_NUMBER, AT(tune), "0.33", 0.01, 0.9, NULL, "share of the items for the front"},
    {"l2", TDM_OPT_NUMBER, AT(l2), "2", 0, 1e9, NULL, "linear: penalty on the weights, against the sum of losses"},
    {"neighbours", TDM_OPT_INT, AT(neighbours), "40", 1, 256, NULL, "knn: items that are asked"},
    {"seed", TDM_OPT_INT, AT(seed), "1", 0, 9e15, NULL, "of the parts"},
    {"days", TDM_OPT_INT, AT(days), "30", 1, 36500, NULL, "how long the certificates are in force"},
    {"issued", TDM_OPT_INT, AT(issued), "0", 0, 9e11, NULL, "seconds since 1970 to write as their time; 0 = now"},
    {"key", TDM_OPT_STRING, AT(key), NULL, 0, 0, NULL, "file of the signing key; made when it is not there"},
    {"out", TDM_OPT_STRING, AT(out), NULL, 0, 0, NULL, "file for the front; its certificates are FILE.1, FILE.2 ..."},
};

enum { FITTING, TUNING, CALIBRATION, PARTS };
struct part {
	size_t n;
	size_t *items; // of the table
	struct tdm_front_items of;
	struct tdm_front_view *views;
};

struct work {
	const struct tdm_command_call *call;
	const struct options *o;
	struct tdm_app app;
	struct tdm_model *model;
	struct tdm_outcomes table;
	struct tdm_arena room;
	size_t columns[TDM_FRONT_ARMS]; // of the table, per arm
	int n_arms;
	struct part parts[PARTS];
	size_t n_left_out, n_again;
	struct tdm_front front;
	struct tdm_router *predictor;
	struct tdm_front_claim claim;
	char hash[72];
};

static int no_memory(const struct work *w) {
	return tdm_fail(w->call->error, TDM_ENOMEM, "tandem certify-front: no memory for %zu items", w->table.n_items);
}

// --- the items

static int find_arms(struct work *w) {
	const struct tdm_model *m = w->model;
	if (!m->kind || strcmp(m->kind->name, "choose") != 0)
		return tdm_fail(w->call->error, TDM_EVALUE, "tandem certify-front: model %s is no choose", m->name);
	for (size_t i = 0; i < m->n_parts; i++) {
		if (strcmp(m->part_roles[i], "arms") != 0)
			continue;
		int status = tdm_outcomes_model(&w->table, m->parts[i]->name, &w->columns[w->n_arms], w->call->error);
		if (status)
			return status;
		w->front.arms[w->n_arms++].name = m->parts[i]->name;
	}
	return TDM_OK;
}

static const char *const risk_names[TDM_FRONT_RISKS] = {"leak", "harm"};

// Of an answer, 0 to 1; NaN: the table does not say.
static double risk_of(const struct work *w, enum tdm_front_risk risk, size_t item, int arm) {
	const struct tdm_outcome_column *c = tdm_outcomes_column(&w->table, risk_names[risk], w->columns[arm]);
	double value = c ? c->values[item] : (double)NAN;
	return value >= 0 && value <= 1 ? value : (double)NAN;
}

static bool is_whole(const struct work *w, size_t item) {
	if (!w->table.items[item].prompt)
		return false;
	for (int a = 0; a < w->n_arms; a++) {
		const struct tdm_outcome *o = tdm_outcome_at(&w->table, item, w->columns[a]);
		if (isnan(o->cost) || (w->o->loss == DIFFERS ? !o->is_there : isnan(o->correct)))
			return false;
		for (int k = 0; k < TDM_FRONT_RISKS; k++)
			if (w->front.most[k] > 0 && isnan(risk_of(w, (enum tdm_front_risk)k, item, a)))
				return false;
	}
	return true;
}

struct keyed {
	uint8_t digest[TDM_SHA256_BYTES]; // of the text, as it is read
	size_t item;
};

static int by_digest(const void *a, const void *b) {
	const struct keyed *x = a, *y = b;
	int order = memcmp(x->digest, y->digest, sizeof x->digest);
	return order ? order : (x->item > y->item) - (x->item < y->item);
}

static bool digest(const struct work *w, size_t item, uint8_t out[TDM_SHA256_BYTES]) {
	const char *text = w->table.items[item].prompt;
	struct tdm_bytes b;
	tdm_bytes_init(&b, (size_t)64 << 20);
	tdm_bytes_printf(&b, "%" PRId64 "\n", w->o->seed);
	bool ok = tdm_nfkc(&b, text, strlen(text), true) == TDM_OK && !b.failed;
	if (ok)
		tdm_sha256(b.data, b.len, out);
	tdm_bytes_release(&b);
	return ok;
}

static int part_of(const struct options *o, const struct keyed *k) {
	uint64_t bits;
	memcpy(&bits, k->digest, sizeof bits);
	double u = (double)(bits >> 11) * 0x1p-53, fit = o->estimator == TDM_FRONT_TABLE ? 0 : o->fit;
	return u < fit ? FITTING : u < fit + o->tune ? TUNING : CALIBRATION;
}

// In the order of their digests, which knows nothing of outcomes.
static int split(struct work *w) {
	struct keyed *list = tdm_arena_array(&w->room, w->table.n_items, sizeof *list);
	size_t n = 0;
	if (!list)
		return no_memory(w);
	for (int p = 0; p < PARTS; p++)
		if (!(w->parts[p].items = tdm_arena_array(&w->room, w->table.n_items, sizeof(size_t))))
			return no_memory(w);
	for (size_t i = 0; i < w->table.n_items; i++) {
		if (is_whole(w, i) && !digest(w, i, list[n].digest))
			return no_memory(w);
		list[n].item = i;
		n += is_whole(w, i);
	}
	w->n_left_out = w->table.n_items - n;
	qsort(list, n, sizeof *list, by_digest);
	for (size_t i = 0; i < n; i++) {
		struct part *p = &w->parts[part_of(w->o, &list[i])];
		if (i && !memcmp(list[i].digest, list[i - 1].digest, sizeof list[i].digest))
			w->n_again++;
		else
			p->items[p->n++] = list[i].item;
	}
	if (!w->parts[TUNING].n || !w->parts[CALIBRATION].n)
		return tdm_fail(
		    w->call->error, TDM_EVALUE,
		    "tandem certify-front: %zu items with a prompt, and an outcome and a cost of every arm, are too "
		    "few",
		    n);
	return TDM_OK;
}

static double loss_of(const struct work *w, size_t item, int arm) {
	const struct tdm_outcome *o = tdm_outcome_at(&w->table, item, w->columns[arm]);
	const struct tdm_outcome *last = tdm_outcome_at(&w->table, item, w->columns[w->n_arms - 1]);
	if (w->o->loss == WRONG)
		return 1 - o->correct;
	if (w->o->loss == REGRET)
		return fmax(0, last->correct - o->correct);
	const char *x = o->answer ? o->answer : "", *y = last->answer ? last->answer : "";
	return arm + 1 != w->n_arms && !tdm_answer_same(x, strlen(x), y, strlen(y), TDM_ANSWER_TEXT);
}

static int fill_risks(struct work *w, struct part *p) {
	size_t arms = (size_t)w->n_arms;
	for (int k = 0; k < TDM_FRONT_RISKS; k++) {
		double *risks = tdm_arena_array(&w->room, p->n * arms + 1, sizeof *risks);
		if (!risks)
			return no_memory(w);
		for (size_t i = 0; i < p->n * arms && w->front.most[k] > 0; i++)
			risks[i] = risk_of(w, (enum tdm_front_risk)k, p->items[i / arms], (int)(i % arms));
		p->of.risks[k] = risks;
	}
	return TDM_OK;
}

static int fill(struct work *w, struct part *p) {
	size_t arms = (size_t)w->n_arms;
	double *loss = tdm_arena_array(&w->room, p->n * arms + 1, sizeof *loss), *cost, *ms;
	cost = tdm_arena_array(&w->room, p->n * arms + 1, sizeof *cost);
	ms = tdm_arena_array(&w->room, p->n * arms + 1, sizeof *ms);
	p->views = tdm_arena_array(&w->room, p->n + 1, sizeof *p->views);
	if (!loss || !cost || !ms || !p->views)
		return no_memory(w);
	bool timed = true;
	for (int a = 0; a < w->n_arms; a++) {
		const struct tdm_outcome_column *times = tdm_outcomes_column(&w->table, "ms", w->columns[a]);
		for (size_t i = 0; i < p->n; i++) {
			size_t at = i * arms + (size_t)a;
			loss[at] = loss_of(w, p->items[i], a);
			cost[at] = tdm_outcome_at(&w->table, p->items[i], w->columns[a])->cost;
			ms[at] = times ? times->values[p->items[i]] : (double)NAN;
			timed = timed && ms[at] >= 0;
		}
	}
	p->of = (struct tdm_front_items){.n = p->n, .loss = loss, .cost = cost, .ms = timed ? ms : NULL, .views = p->views};
	return fill_risks(w, p);
}

// --- the predictor and the arms

static int write_file(const struct work *w, const char *suffix, const struct tdm_bytes *text) {
	const char *path = tdm_arena_printf(w->call->arena, "%s%s", w->o->out, suffix);
	if (!path || text->failed)
		return tdm_fail(w->call->error, TDM_ENOMEM, "tandem certify-front: a file is too long");
	return tdm_file_write(path, text->data, text->len, w->call->error);
}

// As it will be read from the file, so that what is tested is what will run.
static int write_predictor(struct work *w, const struct tdm_router *r) {
	struct tdm_bytes text;
	char hash[72];
	tdm_bytes_init(&text, ROUTER_LIMIT_BYTES);
	tdm_router_write(r, &text);
	int status = write_file(w, ".router", &text);
	if (!status)
		status = tdm_router_read(&w->room, "predictor", text.data, text.len, &w->predictor, w->call->error);
	if (!status) {
		tdm_labels_hash(text.data, text.len, hash);
		w->front.predictor_hash = tdm_arena_string(&w->room, hash);
		w->front.predictor = w->predictor;
		status = w->front.predictor_hash ? TDM_OK : no_memory(w);
	}
	tdm_bytes_release(&text);
	return status;
}

static int fit_predictor(struct work *w) {
	const struct part *p = &w->parts[FITTING];
	const char *names[TDM_FRONT_ARMS];
	struct tdm_router_options how = {
	    .n_models = w->n_arms, .models = names, .l2 = w->o->l2, .square = true, .folds = 5};
	struct tdm_router_item *items = tdm_arena_array(&w->room, p->n + 1, sizeof *items);
	double *quality = tdm_arena_array(&w->room, (p->n + 1) * (size_t)w->n_arms, sizeof *quality);
	struct tdm_router *r = tdm_arena_alloc(&w->room, sizeof *r);
	if (w->o->estimator == TDM_FRONT_TABLE)
		return TDM_OK;
	if (!items || !quality || !r)
		return no_memory(w);
	how.scorer = w->o->estimator == TDM_FRONT_KNN ? TDM_ROUTER_KNN : TDM_ROUTER_QUALITY;
	how.neighbours = (int)w->o->neighbours;
	for (int a = 0; a < w->n_arms; a++)
		names[a] = w->front.arms[a].name;
	for (size_t i = 0; i < p->n; i++) {
		const char *text = w->table.items[p->items[i]].prompt;
		for (int a = 0; a < w->n_arms; a++)
			quality[i * (size_t)w->n_arms + (size_t)a] = 1 - p->of.loss[i * (size_t)w->n_arms + (size_t)a];
		items[i] =
		    (struct tdm_router_item){.text = text, .n = strlen(text), .quality = quality + i * (size_t)w->n_arms};
		items[i].cost = p->of.cost + i * (size_t)w->n_arms;
	}
	int status = tdm_router_fit(items, p->n, NULL, 0, &how, &w->room, r, w->call->error);
	return status ? status : write_predictor(w, r);
}

static int ascending(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static int measure_arms(struct work *w) {
	const struct part *p = &w->parts[TUNING];
	double *times = tdm_arena_array(&w->room, p->n, sizeof *times);
	if (!times)
		return no_memory(w);
	for (int a = 0; a < w->n_arms; a++) {
		struct tdm_front_arm *arm = &w->front.arms[a];
		double quality = 0, cost = 0, ms = 0;
		for (size_t i = 0; i < p->n; i++) {
			size_t at = i * (size_t)w->n_arms + (size_t)a;
			quality += 1 - p->of.loss[at];
			cost += p->of.cost[at];
			times[i] = p->of.ms ? p->of.ms[at] : (double)NAN;
			ms += times[i];
		}
		if (p->of.ms)
			qsort(times, p->n, sizeof *times, ascending);
		arm->quality = quality / (double)p->n;
		arm->cost = cost / (double)p->n;
		arm->ms = ms / (double)p->n;
		arm->slow_ms = times[(size_t)(0.9 * (double)(p->n - 1))];
	}
	return TDM_OK;
}

// What the policies see of each item.
static int see(struct work *w, const struct part *p) {
	for (size_t i = 0; i < p->n; i++) {
		const char *text = w->table.items[p->items[i]].prompt;
		struct tdm_router_sight sight = {.text = text, .n = strlen(text)};
		struct tdm_router_look look = {.good = {0}};
		struct tdm_arena scratch;
		tdm_arena_init(&scratch, (size_t)64 << 20);
		int status = w->predictor ? tdm_router_judge(w->predictor, &sight, &scratch, &look) : TDM_OK;
		tdm_arena_release(&scratch);
		if (status)
			return no_memory(w);
		tdm_front_see(&w->front, w->predictor ? &look : NULL, &p->views[i]);
	}
	return TDM_OK;
}

// --- the certificates

static int write_front(struct work *w) {
	struct tdm_bytes text;
	tdm_bytes_init(&text, TDM_FRONT_LIMIT_BYTES);
	tdm_front_write(&w->front, &text);
	tdm_labels_hash(text.data ? text.data : "", text.len, w->hash);
	int status = write_file(w, "", &text);
	tdm_bytes_release(&text);
	return status;
}

static const char *decimal(struct tdm_arena *arena, double value, int digits) {
	char out[TDM_DECIMAL_BYTES];
	return tdm_arena_copy(arena, out, tdm_decimal_write(out, digits ? tdm_decimal_round(value, digits) : value));
}

// Of the items of calibration: their names in order, and what is known of them.
static void hash_items(const struct work *w, char order[72], char data[72]) {
	const struct part *p = &w->parts[CALIBRATION];
	struct tdm_bytes names, numbers;
	tdm_bytes_init(&names, ROOM_BYTES);
	tdm_bytes_init(&numbers, ROOM_BYTES);
	for (size_t i = 0; i < p->n; i++) {
		uint8_t text[TDM_SHA256_BYTES] = {0};
		digest(w, p->items[i], text);
		tdm_bytes_add(&names, text, sizeof text);
		for (int a = 0; a < w->n_arms; a++) {
			size_t at = i * (size_t)w->n_arms + (size_t)a;
			tdm_bytes_number(&numbers, p->of.loss[at]);
			tdm_bytes_putc(&numbers, ' ');
			tdm_bytes_number(&numbers, p->of.cost[at]);
			for (int k = 0; k < TDM_FRONT_RISKS; k++)
				if (w->front.most[k] > 0)
					tdm_bytes_number(&numbers, p->of.risks[k][at]);
			tdm_bytes_putc(&numbers, '\n');
		}
	}
	tdm_labels_hash(names.data, names.len, order);
	tdm_labels_hash(numbers.data, numbers.len, data);
	tdm_bytes_release(&names);
	tdm_bytes_release(&numbers);
}

static const char *claim_text(const struct work *w, const struct tdm_front_verdict *v, double most) {
	struct tdm_arena *arena = w->call->arena;
	const char *cost = isnan(v->most_cost)
	                       ? ""
	                       : tdm_arena_printf(arena, ", and the mean cost, a cost above %s counted as that, at most %s",
	                                          decimal(arena, most, 6), decimal(arena, v->most_cost, 0));
	const char *risks = "";
	static const char *const does[] = {"leaks", "harms"};
	for (int k = 0; k < TDM_FRONT_RISKS && risks; k++)
		if (w->front.most[k] > 0)
			risks = tdm_arena_printf(arena, "%s, and what %s (column %s) is at most %s of them", risks, does[k],
			                         risk_names[k], decimal(arena, w->front.most[k], 6));
	return tdm_arena_printf(arena, "over all requests, the mean loss (%s) is at most %s%s%s, with confidence 1 - %s",
	                        loss_words[w->o->loss], w->o->epsilon.items[v->level], cost, risks ? risks : "",
	                        w->o->delta);
}

static void describe(const struct work *w, int i, const struct tdm_front_verdict *v, double most,
                     struct tdm_certificate *c) {
	struct tdm_arena *arena = w->call->arena;
	const struct part *p = &w->parts[CALIBRATION];
	int64_t issued_us = w->o->issued ? w->o->issued * 1000000 : tdm_wall_us();
	char order[72], data[72], from[TDM_TIME_BYTES], to[TDM_TIME_BYTES];
	hash_items(w, order, data);
	tdm_certificate_time(issued_us, from);
	tdm_certificate_time(issued_us + w->o->days * DAY_US, to);
	c->version = 1;
	c->claim = claim_text(w, v, most);
	c->risk = "joint";
	c->loss = loss_names[w->o->loss];
	c->loss_source = "table";
	c->epsilon = w->o->epsilon.items[v->level];
	c->delta = w->o->delta;
	c->procedure = "fixed_sequence";
	c->starts = 1;
	c->bound = tdm_bound_names[v->bound];
	c->n = (int64_t)p->n;
	c->k = (int64_t)v->n_bad;
	c->duplicates = (int64_t)w->n_again;
	c->p_value = decimal(arena, v->p_value, 6);
	c->upper = decimal(arena, v->upper, 6);
	c->lambda = tdm_front_text(arena, &w->front, &w->front.policies[i]);
	c->share_local = decimal(arena, (double)v->n_others / (double)p->n, 6);
	c->groups = "marginal";
	c->auditable_share = "1.0";
	c->grid_from = c->grid_to = "";
	c->grid_steps = w->front.n_policies;
	c->grid_hash = w->hash;
	c->order_hash = tdm_arena_string(arena, order);
	c->data_hash = tdm_arena_string(arena, data);
	c->split_seed = w->o->seed;
	c->dedup = "normalised_text";
	c->reliability = "[]";
	c->assumption = "future requests are exchangeable with the calibration items";
	c->issued = tdm_arena_string(arena, from);
	c->expires = tdm_arena_string(arena, to);
}

static int write_certificate(const struct work *w, int i, const uint8_t key[TDM_ED25519_KEY_BYTES],
                             struct tdm_certificate *c) {
	struct tdm_bytes text;
	char suffix[16];
	tdm_bytes_init(&text, TDM_CERTIFICATE_LIMIT_BYTES);
	snprintf(suffix, sizeof suffix, ".%d", i + 1);
	int status = tdm_certificate_seal(w->call->arena, c, key, &text, w->call->error);
	if (!status)
		status = write_file(w, suffix, &text);
	tdm_bytes_release(&text);
	return status;
}

static void show_policy(const struct work *w, int i, const struct tdm_front_verdict *v) {
	const struct tdm_front_policy *p = &w->front.policies[i];
	printf("%3d  %-32s %8.4f %11.4g", i + 1, tdm_front_text(w->call->arena, &w->front, p), p->error, p->cost);
	if (isnan(p->ms))
		printf(" %9s", "-");
	else
		printf(" %9.3g", p->ms);
	printf(" %8.4f %11.4g", v->error, v->cost);
	for (int k = 0; k < TDM_FRONT_RISKS; k++)
		if (w->front.most[k] > 0)
			printf("  %s %.4f", risk_names[k], v->risks[k]);
	if (v->level < 0)
		printf("  -\n");
	else
		printf("  %s (p %.3g, error at most %.4f)\n", w->o->epsilon.items[v->level], v->p_value, v->upper);
}

static int sign_all(const struct work *w, const struct tdm_front_verdict *verdicts, double most) {
	struct tdm_identity of;
	uint8_t key[TDM_ED25519_KEY_BYTES];
	int n = 0, status = tdm_signing_identity(w->call->arena, &w->app, w->model, &of, w->call->error);
	if (!status)
		status = tdm_signing_key("certify-front", w->o->key, key, w->call->error);
	for (; n < w->front.n_policies && verdicts[n].level >= 0 && !status; n++) {
		struct tdm_certificate c = {.subject = w->model->name, .models = of.models, .prompts = of.prompts};
		c.gate = of.gate;
		c.config = of.config;
		c.code = of.code;
		describe(w, n, &verdicts[n], most, &c);
		status = c.claim && c.lambda && c.p_value && c.data_hash && c.expires ? write_certificate(w, n, key, &c)
		                                                                      : no_memory(w);
	}
	tdm_wipe(key, sizeof key);
	if (!status)
		printf("%d of %d policies are promised for\n", n, w->front.n_policies);
	return status;
}

// No cost of the items of tuning was above it: those of calibration are counted as that at most.
static double most_cost(const struct work *w) {
	const struct tdm_front_items *of = &w->parts[TUNING].of;
	double most = 0;
	for (size_t i = 0; i < of->n * (size_t)w->n_arms; i++)
		most = fmax(most, of->cost[i]);
	return tdm_decimal_round(most, 6);
}

static int promise(struct work *w) {
	struct tdm_front_verdict *verdicts = tdm_arena_array(&w->room, TDM_FRONT_POLICIES, sizeof *verdicts);
	double most = most_cost(w);
	if (!verdicts)
		return no_memory(w);
	int status =
	    tdm_front_certify(&w->front, &w->parts[CALIBRATION].of, &w->claim, most, &w->room, verdicts, w->call->error);
	if (status)
		return status;
	printf("%zu items for the predictor, %zu to tune, %zu to certify; %zu left out, %zu occur again\n",
	       w->parts[FITTING].n, w->parts[TUNING].n, w->parts[CALIBRATION].n, w->n_left_out, w->n_again);
	printf("\n     %-32s %8s %11s %9s %8s %11s\n", "policy, the safest first", "error", "cost", "ms", "error",
	       "cost, certified for");
	for (int i = 0; i < w->front.n_policies; i++)
		show_policy(w, i, &verdicts[i]);
	return sign_all(w, verdicts, most);
}

// --- the whole

static int read_number(const struct work *w, const char *name, const char *text, double *out) {
	if (tdm_labels_number(text, strlen(text), out) && *out > 0 && *out < 1)
		return TDM_OK;
	return tdm_fail(w->call->error, TDM_EVALUE, "tandem certify-front: --%s %.40s: expected numbers between 0 and 1",
	                name, text);
}

static int read_claim(struct work *w) {
	const struct options *o = w->o;
	if (!o->model || !o->out || w->call->n_operands == 0)
		return tdm_fail(w->call->error, TDM_EVALUE,
		                "tandem certify-front: expected --model, --out and a table of outcomes; see docs/choose.md");
	if (o->epsilon.n > TDM_FRONT_LEVELS)
		return tdm_fail(w->call->error, TDM_EVALUE, "tandem certify-front: at most %d errors", TDM_FRONT_LEVELS);
	w->claim = (struct tdm_front_claim){.margin = o->margin, .is_free = o->loss != WRONG};
	w->front.most[TDM_FRONT_LEAK] = o->leak;
	w->front.most[TDM_FRONT_HARM] = o->harm;
	w->claim.n_levels = (int)o->epsilon.n;
	int status = read_number(w, "delta", o->delta, &w->claim.delta);
	for (size_t i = 0; i < o->epsilon.n && !status; i++)
		status = read_number(w, "epsilon", o->epsilon.items[i], &w->claim.levels[i]);
	const char *first = tdm_arena_printf(w->call->arena, "%s.1", o->out);
	if (!status && (!first || access(o->out, F_OK) == 0 || access(first, F_OK) == 0))
		status =
		    tdm_fail(w->call->error, TDM_EVALUE,
		             "tandem certify-front: %s or its certificates are there already: expected a new name", o->out);
	return status;
}

static int prepare(struct work *w) {
	int status = find_arms(w);
	w->front.n_arms = w->n_arms;
	w->front.estimator = (enum tdm_front_estimator)w->o->estimator;
	w->front.loss = loss_names[w->o->loss];
	if (!status)
		status = split(w);
	for (int p = 0; p < PARTS && !status; p++)
		status = fill(w, &w->parts[p]);
	if (!status)
		status = fit_predictor(w);
	if (!status)
		status = measure_arms(w);
	for (int p = TUNING; p < PARTS && !status; p++)
		status = see(w, &w->parts[p]);
	return status;
}

static int certify(struct work *w) {
	int status = tdm_app_model(&w->app, w->o->model, &w->model, w->call->error);
	if (!status)
		status = prepare(w);
	if (!status)
		status = tdm_front_make(&w->front, &w->parts[TUNING].of, &w->room, w->call->error);
	if (!status)
		status = write_front(w);
	return status ? status : promise(w);
}

static int run(const struct tdm_command_call *call) {
	struct work *w = tdm_arena_alloc(call->arena, sizeof *w);
	if (!w)
		return tdm_fail(call->error, TDM_ENOMEM, "tandem certify-front: out of memory");
	w->call = call;
	w->o = call->options;
	struct tdm_outcomes_options how = {w->o->names.items, w->o->names.n, NULL};
	int status = read_claim(w);
	if (!status)
		status = tdm_outcomes_read(call->operands, call->n_operands, &how, &w->table, call->error);
	if (status)
		return status;
	tdm_arena_init(&w->room, ROOM_BYTES);
	status = tdm_app_open(call->arena, w->o->config, &w->app, call->error);
	if (!status) {
		status = certify(w);
		tdm_app_close(&w->app);
	}
	tdm_arena_release(&w->room);
	tdm_outcomes_release(&w->table);
	return status;
}

const struct tdm_command tdm_command_certify_front = {
    .name = "certify-front",
    .summary = "policies of a choose from a table of outcomes, with signed promises",
    .operands = "TABLE...",
    .group = "measure",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
