#include "choose/front_file.h"
#include "assure/labels.h"
#include "base/value.h"
#include <math.h>
#include <string.h>

#define ROUTER_LIMIT_BYTES ((size_t)128 << 20)

// --- written

static void put_text(struct tdm_bytes *out, const char *before, const char *text) {
	tdm_bytes_puts(out, before);
	tdm_bytes_json(out, text, strlen(text));
}

static void put_number(struct tdm_bytes *out, const char *before, double value) {
	tdm_bytes_puts(out, before);
	tdm_bytes_number(out, value);
}

static void put_arm(struct tdm_bytes *out, const struct tdm_front_arm *a) {
	put_text(out, "\n{\"name\":", a->name);
	put_number(out, ",\"quality\":", a->quality);
	put_number(out, ",\"cost\":", a->cost);
	put_number(out, ",\"ms\":", a->ms);
	put_number(out, ",\"slow_ms\":", a->slow_ms);
	tdm_bytes_putc(out, '}');
}

static void put_policy(struct tdm_bytes *out, const struct tdm_front_policy *p) {
	tdm_bytes_named(out, "\n{\"arm\":", p->arm);
	put_number(out, ",\"price\":", p->price);
	put_number(out, ",\"wait\":", p->wait);
	put_number(out, ",\"error\":", p->error);
	put_number(out, ",\"cost\":", p->cost);
	put_number(out, ",\"ms\":", p->ms);
	tdm_bytes_putc(out, '}');
}

void tdm_front_write(const struct tdm_front *f, struct tdm_bytes *out) {
	put_text(out, "{\"front\":1,\"loss\":", f->loss);
	put_text(out, ",\"estimator\":", tdm_front_estimators[f->estimator]);
	put_text(out, ",\"predictor\":", f->predictor_hash ? f->predictor_hash : "");
	for (int a = 0; a < f->n_arms; a++) {
		tdm_bytes_puts(out, a ? "," : ",\n\"arms\":[");
		put_arm(out, &f->arms[a]);
	}
	for (int i = 0; i < f->n_policies; i++) {
		tdm_bytes_puts(out, i ? "," : "],\n\"policies\":[");
		put_policy(out, &f->policies[i]);
	}
	tdm_bytes_puts(out, "]}\n");
}

// --- read

static bool read_arm(const struct tdm_value *v, struct tdm_front_arm *a) {
	a->name = tdm_get_string(v, "name");
	a->quality = tdm_get_number(v, "quality", NAN);
	a->cost = tdm_get_number(v, "cost", NAN);
	a->ms = tdm_get_number(v, "ms", NAN);
	a->slow_ms = tdm_get_number(v, "slow_ms", NAN);
	return a->name && a->quality >= 0 && a->quality <= 1 && a->cost >= 0 && !(a->ms < 0);
}

static bool read_policy(const struct tdm_value *v, int n_arms, bool predicts, struct tdm_front_policy *p) {
	double arm = tdm_get_number(v, "arm", NAN);
	p->price = tdm_get_number(v, "price", NAN);
	p->wait = tdm_get_number(v, "wait", NAN);
	p->error = tdm_get_number(v, "error", NAN);
	p->cost = tdm_get_number(v, "cost", NAN);
	p->ms = tdm_get_number(v, "ms", NAN);
	if (!(arm >= -1 && arm < n_arms) || arm != floor(arm) || (arm < 0 && !predicts))
		return false;
	p->arm = (int)arm;
	return p->price >= 0 && p->wait >= 0 && p->error >= 0 && p->cost >= 0;
}

static int place_of(const char *name) {
	int i = 2;
	while (i >= 0 && (!name || strcmp(name, tdm_front_estimators[i]) != 0))
		i--;
	return i;
}

static size_t length_of(const struct tdm_value *list, size_t most) {
	return list && list->type == TDM_LIST && list->n <= most ? list->n : 0;
}

// The name of what is missing or wrong; NULL when nothing is.
static const char *fill_lists(const struct tdm_value *v, struct tdm_front *f) {
	const struct tdm_value *arms = tdm_get(v, "arms"), *policies = tdm_get(v, "policies");
	f->n_arms = (int)length_of(arms, TDM_FRONT_ARMS);
	f->n_policies = (int)length_of(policies, TDM_FRONT_POLICIES);
	if (!f->n_arms)
		return "arms, 1 to 16";
	if (!f->n_policies)
		return "policies, 1 to 32";
	for (int i = 0; i < f->n_arms; i++)
		if (!read_arm(&arms->items[i], &f->arms[i]))
			return "name, quality and cost of every arm";
	for (int i = 0; i < f->n_policies; i++)
		if (!read_policy(&policies->items[i], f->n_arms, f->estimator != TDM_FRONT_TABLE, &f->policies[i]))
			return "arm, price, wait, error and cost of every policy";
	return NULL;
}

static const char *fill(const struct tdm_value *v, struct tdm_front *f) {
	int estimator = place_of(tdm_get_string(v, "estimator"));
	f->loss = tdm_get_string(v, "loss");
	f->predictor_hash = tdm_get_string(v, "predictor");
	if (tdm_get_number(v, "front", 0) != 1 || !f->loss || !f->predictor_hash || estimator < 0)
		return "front 1, loss, estimator and predictor";
	f->estimator = (enum tdm_front_estimator)estimator;
	return fill_lists(v, f);
}

int tdm_front_read(struct tdm_arena *arena, const char *name, const char *text, size_t n, struct tdm_front *out,
                   struct tdm_error *err) {
	struct tdm_value *v = NULL;
	struct tdm_error why = {0};
	memset(out, 0, sizeof *out);
	if (tdm_json_parse(arena, text, n, &v, &why))
		return tdm_fail(err, TDM_EFORMAT, "%s: %s", name, why.text);
	const char *wrong = fill(v, out);
	return wrong ? tdm_fail(err, TDM_EFORMAT, "%s: a front is expected to have %s", name, wrong) : TDM_OK;
}

static int open_predictor(const struct tdm_build *b, const char *name, struct tdm_front *f) {
	const char *file = tdm_arena_printf(b->arena, "%s.router", name);
	struct tdm_router *router = NULL;
	struct tdm_error why = {0};
	struct tdm_bytes text;
	char hash[72];
	int status = file ? tdm_linear_file(b, file, ROUTER_LIMIT_BYTES, &text, &why) : TDM_ENOMEM;
	if (!status) {
		tdm_labels_hash(text.data ? text.data : "", text.len, hash);
		status = strcmp(hash, f->predictor_hash) ? tdm_fail(&why, TDM_EFORMAT, "%s is not the one of %s", file, name)
		                                         : tdm_router_read(b->arena, file, text.data, text.len, &router, &why);
		tdm_bytes_release(&text);
	}
	if (!status && (router->n_models != f->n_arms || router->reads != TDM_ROUTER_READS_TEXT ||
	                !tdm_router_predicts(router->scorer)))
		status = tdm_fail(&why, TDM_EFORMAT, "%s does not predict the arms of %s", file, name);
	f->predictor = router;
	return status ? tdm_fail(b->error, TDM_ECONFIG, "%s: %s", b->where, why.text) : TDM_OK;
}

int tdm_front_open(const struct tdm_build *b, const char *name, struct tdm_front **out, char hash[72]) {
	struct tdm_front *f = tdm_arena_alloc(b->arena, sizeof *f);
	struct tdm_error why = {0};
	struct tdm_bytes text;
	int status = f ? tdm_linear_file(b, name, TDM_FRONT_LIMIT_BYTES, &text, &why)
	               : tdm_fail(&why, TDM_ENOMEM, "no memory for the front %s", name);
	if (!status) {
		tdm_labels_hash(text.data ? text.data : "", text.len, hash);
		status = tdm_front_read(b->arena, name, text.data ? text.data : "", text.len, f, &why);
		tdm_bytes_release(&text);
	}
	if (status)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s", b->where, why.text);
	*out = f;
	return f->estimator == TDM_FRONT_TABLE ? TDM_OK : open_predictor(b, name, f);
}
