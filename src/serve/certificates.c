// Certificates: GET /v1/certificates/ID, the one that a receipt names, and GET /v1/certificates, all that models run
// under. The ledger keeps each that a model ran under, so that old receipts can be read after it was replaced.
//
// The rule it protects: what was signed is shown byte for byte, from the first field to the signature, so that anybody
// can check it with the key; whether it is in force is behind that, because it changes and is not signed.
#include "models/certified.h"
#include "serve/server_parts.h"
#include <string.h>

#define BODY_LIMIT_BYTES ((size_t)16 << 20)

struct search {
	const char *id; // NULL: all
	struct tdm_bytes *out;
	struct tdm_ledger *ledger;              // not NULL: they are kept there instead of being shown
	const struct tdm_certified *shown[256]; // models of one name and their parts may share one
	size_t n;
};

static bool is_new(struct search *s, const struct tdm_certified *c) {
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(tdm_certified_of(s->shown[i])->id, tdm_certified_of(c)->id))
			return false;
	if (s->n == TDM_COUNT(s->shown))
		return false;
	s->shown[s->n++] = c;
	return true;
}

static void put_one(struct tdm_bytes *out, const struct tdm_certificate *of, const char *state) {
	tdm_certificate_write(out, of);
	tdm_bytes_join(out, ",\"signature\":\"", of->signature, "\"");
	tdm_bytes_join(out, ",\"state\":\"", state, "\"}");
}

static void put(struct search *s, const struct tdm_certified *c) {
	const struct tdm_certificate *of = tdm_certified_of(c);
	if ((s->id && strcmp(of->id, s->id) != 0) || !is_new(s, c))
		return;
	if (s->ledger) {
		struct tdm_bytes text;
		tdm_bytes_init(&text, BODY_LIMIT_BYTES);
		put_one(&text, of, "replaced"); // what it is when it must be read from there
		tdm_ledger_keep(s->ledger, of->id, &text, NULL);
		tdm_bytes_release(&text);
		return;
	}
	if (!s->id && s->n > 1)
		tdm_bytes_putc(s->out, ',');
	put_one(s->out, of, tdm_certified_state(c));
}

static void look(struct search *s, const struct tdm_model *m) {
	for (const struct tdm_certified *c = m->certified; c; c = tdm_certified_next(c))
		put(s, c);
	for (size_t i = 0; i < m->n_parts; i++)
		look(s, m->parts[i]);
}

static void look_all(struct search *s, const struct tdm_setup *setup) {
	struct tdm_model *const *models;
	size_t n = tdm_tree_models(setup->tree, &models);
	for (size_t i = 0; i < n; i++)
		look(s, models[i]);
}

void tdm_keep_certificates(struct tdm_ledger *ledger, const struct tdm_setup *setup) {
	look_all(&(struct search){.ledger = ledger}, setup);
}

// Appended to out. A receipt's id is none of a certificate.
static int find_kept(struct tdm_call_context *c, const char *id, struct tdm_bytes *out) {
	struct tdm_error why = {0};
	int status = strncmp(id, "crt_", 4) ? TDM_ERECEIPT : tdm_ledger_receipt(c->server->ledger, id, NULL, out, &why);
	if (status == TDM_ERECEIPT)
		tdm_fail(&c->error, TDM_ECERTIFICATE, "there is no certificate \"%s\" that a model runs or ran under", id);
	else if (status)
		c->error = why;
	return status;
}

void tdm_handle_certificates(struct tdm_call_context *c, const char *id) {
	struct tdm_bytes body;
	struct search s = {.id = id, .out = &body};
	tdm_bytes_init(&body, BODY_LIMIT_BYTES);
	tdm_bytes_puts(&body, id ? "" : "{\"object\":\"list\",\"data\":[");
	look_all(&s, c->setup);
	tdm_bytes_puts(&body, id ? "" : "]}");
	if (id && !s.n && find_kept(c, id, &body)) {
		tdm_reply_error(c, NULL);
	} else {
		tdm_exchange_set(c->x, "cache-control", "no-store");
		tdm_reply_json(c, &body);
	}
	tdm_bytes_release(&body);
}
