// Key of a cache: the canonical form is JSON whose keys are sorted and whose numbers are written in one way, so that
// what is equal is equal to the byte. A new field of a request that shapes answers: one line here.
#include "cost/cache/cache_key.h"
#include "base/value.h"
#include <stdlib.h>
#include <string.h>

#define KEY_LIMIT_BYTES ((size_t)256 << 20)

struct pair {
	const char *key;
	const struct tdm_value *value;
};

static int by_key(const void *a, const void *b) {
	return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static void put_value(struct tdm_arena *arena, const struct tdm_value *v, struct tdm_bytes *out);

static void put_map(struct tdm_arena *arena, const struct tdm_value *v, struct tdm_bytes *out) {
	struct pair *pairs = tdm_arena_array(arena, v->n + 1, sizeof *pairs);
	out->failed |= !pairs;
	for (size_t i = 0; pairs && i < v->n; i++)
		pairs[i] = (struct pair){v->keys[i], &v->items[i]};
	if (pairs)
		qsort(pairs, v->n, sizeof *pairs, by_key);
	tdm_bytes_putc(out, '{');
	for (size_t i = 0; pairs && i < v->n; i++) {
		if (i)
			tdm_bytes_putc(out, ',');
		tdm_bytes_json(out, pairs[i].key, strlen(pairs[i].key));
		tdm_bytes_putc(out, ':');
		put_value(arena, pairs[i].value, out);
	}
	tdm_bytes_putc(out, '}');
}

static void put_value(struct tdm_arena *arena, const struct tdm_value *v, struct tdm_bytes *out) {
	if (v->type == TDM_MAP) {
		put_map(arena, v, out);
	} else if (v->type == TDM_LIST) {
		tdm_bytes_putc(out, '[');
		for (size_t i = 0; i < v->n; i++) {
			if (i)
				tdm_bytes_putc(out, ',');
			put_value(arena, &v->items[i], out);
		}
		tdm_bytes_putc(out, ']');
	} else if (v->type == TDM_STRING) {
		tdm_bytes_json(out, v->text, v->len);
	} else if (v->type == TDM_NUMBER && v->is_integer) {
		tdm_bytes_integer(out, v->integer);
	} else if (v->type == TDM_NUMBER) {
		tdm_bytes_number(out, v->number);
	} else {
		tdm_bytes_puts(out, v->type == TDM_NULL ? "null" : v->truth ? "true" : "false");
	}
}

void tdm_canonical_json(struct tdm_arena *arena, const char *text, size_t n, struct tdm_bytes *out) {
	struct tdm_value *v;
	struct tdm_error err = {0};
	if (text && tdm_json_parse(arena, text, n, &v, &err) == TDM_OK)
		put_value(arena, v, out);
	else
		tdm_bytes_json(out, text ? text : "", n);
}

// --- the fields of a request; put_... begin with a comma and the field's name

static void put_name(struct tdm_bytes *out, const char *name) {
	tdm_bytes_puts(out, ",\"");
	tdm_bytes_puts(out, name);
	tdm_bytes_puts(out, "\":");
}

static void put_text(struct tdm_bytes *out, const char *name, const char *text) {
	put_name(out, name);
	if (text)
		tdm_bytes_json(out, text, strlen(text));
	else
		tdm_bytes_puts(out, "null");
}

static void put_number(struct tdm_bytes *out, const char *name, double number) {
	put_name(out, name);
	tdm_bytes_number(out, number);
}

static void put_message(struct tdm_arena *arena, const struct tdm_message *m, bool without_words,
                        struct tdm_bytes *out) {
	tdm_bytes_puts(out, "{\"from\":");
	tdm_bytes_integer(out, m->from);
	put_text(out, "answers", m->call_id);
	put_name(out, "calls");
	tdm_bytes_putc(out, '[');
	for (size_t i = 0; i < m->n_calls; i++) {
		tdm_bytes_puts(out, i ? ",{\"call\":0" : "{\"call\":0");
		put_name(out, "arguments");
		tdm_canonical_json(arena, m->calls[i].arguments, m->calls[i].len, out);
		put_text(out, "id", m->calls[i].id);
		put_text(out, "name", m->calls[i].name);
		tdm_bytes_putc(out, '}');
	}
	tdm_bytes_putc(out, ']');
	put_name(out, "text");
	if (without_words)
		tdm_bytes_puts(out, "null");
	else
		tdm_bytes_json(out, m->text ? m->text : "", m->len);
	tdm_bytes_putc(out, '}');
}

static void put_tools(struct tdm_arena *arena, const struct tdm_toolbox *t, struct tdm_bytes *out) {
	put_number(out, "tool_choice", t->choice);
	put_text(out, "tool_chosen", t->chosen);
	put_number(out, "tool_one", t->one_call);
	put_name(out, "tools");
	tdm_bytes_putc(out, '[');
	for (size_t i = 0; i < t->n; i++) {
		tdm_bytes_puts(out, i ? ",{\"tool\":0" : "{\"tool\":0");
		put_text(out, "description", t->items[i].description);
		put_text(out, "name", t->items[i].name);
		put_name(out, "parameters");
		tdm_canonical_json(arena, t->items[i].parameters, t->items[i].len, out);
		put_number(out, "strict", t->items[i].strict);
		tdm_bytes_putc(out, '}');
	}
	tdm_bytes_putc(out, ']');
}

static void put_form(struct tdm_arena *arena, const struct tdm_form *f, struct tdm_bytes *out) {
	put_name(out, "form");
	if (!f) {
		tdm_bytes_puts(out, "null");
		return;
	}
	tdm_bytes_puts(out, "{\"kind\":");
	tdm_bytes_integer(out, f->kind);
	put_text(out, "name", f->name);
	put_number(out, "strict", f->strict);
	put_name(out, "text");
	if (f->kind == TDM_GRAMMAR_SCHEMA)
		tdm_canonical_json(arena, f->text, f->len, out);
	else
		tdm_bytes_json(out, f->text && f->kind != TDM_GRAMMAR_JSON ? f->text : "",
		               f->kind != TDM_GRAMMAR_JSON ? f->len : 0);
	tdm_bytes_putc(out, '}');
}

static void put_sampling(const struct tdm_run *run, const struct tdm_request *r, struct tdm_bytes *out) {
	put_number(out, "draw", (double)r->draw);
	put_number(out, "logprobs", r->logprobs);
	put_number(out, "max_tokens", r->max_tokens);
	put_number(out, "min_p", (double)r->min_p);
	put_number(out, "repeat_penalty", (double)r->repeat_penalty);
	put_name(out, "seed");
	if (r->wants_seed)
		tdm_bytes_unsigned(out, run->seed);
	else
		tdm_bytes_puts(out, "null");
	put_name(out, "stop");
	tdm_bytes_putc(out, '[');
	for (size_t i = 0; i < r->n_stop; i++) {
		tdm_bytes_puts(out, i ? "," : "");
		tdm_bytes_json(out, r->stop[i], strlen(r->stop[i]));
	}
	tdm_bytes_putc(out, ']');
	put_number(out, "temperature", (double)r->temperature);
	put_number(out, "top_k", r->top_k);
	put_number(out, "top_logprobs", r->top_logprobs);
	put_number(out, "top_p", (double)r->top_p);
}

static void put_objective(const struct tdm_objective *o, struct tdm_bytes *out) {
	put_number(out, "max_cost", o->max_cost);
	put_number(out, "max_latency_ms", (double)o->max_latency_ms);
	put_number(out, "privacy", o->privacy);
	put_number(out, "quality", o->quality);
	put_number(out, "strict", o->strict);
	put_number(out, "trust", o->trust);
}

static void put_request(struct tdm_run *run, const struct tdm_request *r, const char *place, struct tdm_bytes *out) {
	tdm_bytes_puts(out, "{\"version\":2");
	put_text(out, "tenant", run->tenant);
	put_text(out, "place", place);
	put_objective(&run->objective, out);
	put_sampling(run, r, out);
	put_form(run->arena, r->form, out);
	put_tools(run->arena, &r->tools, out);
	put_name(out, "messages");
	tdm_bytes_putc(out, '[');
	for (size_t i = 0; i < r->n_messages; i++) {
		if (i)
			tdm_bytes_putc(out, ',');
		put_message(run->arena, &r->messages[i], i + 1 == r->n_messages, out);
	}
	tdm_bytes_puts(out, "]}");
}

int tdm_cache_key(struct tdm_run *run, const struct tdm_request *request, const char *place,
                  struct tdm_cache_key *out) {
	const struct tdm_message *last = &request->messages[request->n_messages - 1];
	struct tdm_bytes b;
	tdm_bytes_init(&b, KEY_LIMIT_BYTES);
	put_request(run, request, place, &b);
	bool failed = b.failed;
	tdm_sha256(b.data ? b.data : "", b.len, out->near);
	tdm_bytes_clear(&b);
	tdm_bytes_add(&b, out->near, sizeof out->near);
	tdm_bytes_add(&b, last->text ? last->text : "", last->len);
	failed |= b.failed;
	tdm_sha256(b.data ? b.data : "", b.len, out->exact);
	tdm_bytes_release(&b);
	out->words = last->from == TDM_FROM_USER ? last->text : NULL;
	out->n_words = last->len;
	return failed ? tdm_fail(&run->error, TDM_ENOMEM, "cache: the request does not fit its memory limit") : TDM_OK;
}
