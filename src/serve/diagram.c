// Diagram: GET /v1/tree, the models that a client may name and everything they are made of, parts by role. Pages draw
// it. Names, kinds and prices only: where a model lies and what opens it stays in the settings.
#include "serve/server_parts.h"
#include <string.h>

#define MOST_MODELS 512

struct list {
	const struct tdm_model *items[MOST_MODELS];
	size_t n;
};

static void add(struct list *l, const struct tdm_model *m) {
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i] == m)
			return;
	if (l->n < MOST_MODELS)
		l->items[l->n++] = m;
}

// The list grows while it is walked, until every part of every item is on it.
static void collect(const struct tdm_call_context *c, struct list *l) {
	struct tdm_model *const *all;
	size_t n = tdm_tree_models(c->setup->tree, &all);
	for (size_t i = 0; i < n; i++)
		if ((!all[i]->hidden || all[i] == c->setup->standard) && tdm_who_may_ask(&c->who, all[i]->name))
			add(l, all[i]);
	for (size_t i = 0; i < l->n; i++)
		for (size_t p = 0; p < l->items[i]->n_parts; p++)
			add(l, l->items[i]->parts[p]);
}

static void put_text(struct tdm_bytes *out, const char *name, const char *text) {
	tdm_bytes_printf(out, "\"%s\":", name);
	tdm_bytes_json(out, text, strlen(text));
}

static void put_parts(struct tdm_bytes *out, const struct tdm_model *m) {
	tdm_bytes_puts(out, ",\"parts\":[");
	for (size_t i = 0; i < m->n_parts; i++) {
		tdm_bytes_puts(out, i ? ",{" : "{");
		put_text(out, "role", m->part_roles[i]);
		tdm_bytes_putc(out, ',');
		put_text(out, "id", m->parts[i]->name);
		tdm_bytes_putc(out, '}');
	}
	tdm_bytes_putc(out, ']');
}

static void put_model(struct tdm_bytes *out, const struct tdm_model *m) {
	static const char *const families[] = {"source", "policy", "strategy"};
	static const char *const goals[] = {"none", "quality", "cost", "privacy", "trust"};
	tdm_bytes_putc(out, '{');
	put_text(out, "id", m->name);
	tdm_bytes_printf(out, ",\"kind\":\"%s\",\"family\":\"%s\",\"goal\":\"%s\",\"leaves\":%s,\"price\":{\"in\":",
	                 m->kind->name, families[m->kind->family], goals[m->kind->goal], m->leaves ? "true" : "false");
	tdm_bytes_number(out, m->price.in);
	tdm_bytes_puts(out, ",\"out\":");
	tdm_bytes_number(out, m->price.out);
	tdm_bytes_puts(out, "},");
	put_text(out, "summary", m->kind->summary ? m->kind->summary : "");
	put_parts(out, m);
	tdm_bytes_putc(out, '}');
}

void tdm_handle_tree(struct tdm_call_context *c) {
	struct list list = {.n = 0};
	struct tdm_bytes body;
	tdm_bytes_init(&body, 4 << 20);
	collect(c, &list);
	tdm_bytes_puts(&body, "{\"object\":\"tree\",");
	put_text(&body, "default", c->setup->standard->name);
	tdm_bytes_puts(&body, ",\"models\":[");
	for (size_t i = 0; i < list.n; i++) {
		tdm_bytes_puts(&body, i ? "," : "");
		put_model(&body, list.items[i]);
	}
	tdm_bytes_puts(&body, "]}");
	tdm_reply_json(c, &body);
	tdm_bytes_release(&body);
}
