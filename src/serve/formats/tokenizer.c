// The tokenizer of a local model, for programs that count and cut prompts by themselves: GET /tokenizer_info, POST
// /tokenize and /detokenize.
#include "serve/formats/prompts.h"
#include "serve/server_parts.h"
#include "engine/engine.h"
#include "engine/vocab.h"
#include "models/local/local.h"
#include <string.h>

#define MOST_TOKENS (1 << 20)

// name: NULL = the one of the query, or the default.
static struct tdm_engine *find_engine(struct tdm_call_context *c, const char *name) {
	char asked[256];
	if (!name && tdm_exchange_query(c->x, "model", asked, sizeof asked))
		name = asked;
	const struct tdm_model *m = tdm_find_model(c, name, &c->error);
	const struct tdm_model *local = m ? tdm_first_local(m) : NULL;
	if (m && !local)
		tdm_fail_param(&c->error, TDM_ECAPABILITY, "model", "model %s has no tokenizer on this machine", m->name);
	return local ? tdm_local_engine(local) : NULL;
}

static void finish(struct tdm_call_context *c, struct tdm_bytes *out) {
	if (!c->error.status && out->failed)
		tdm_fail(&c->error, TDM_ENOMEM, "the answer does not fit its memory limit");
	if (c->error.status)
		tdm_reply_error(c, NULL);
	else
		tdm_reply_json(c, out);
	tdm_bytes_release(out);
}

static void put_special(struct tdm_bytes *out, const char *name, const struct tdm_vocab *vocab, int32_t token) {
	const char *text;
	size_t n = token >= 0 ? tdm_token_name(vocab, token, &text) : 0;
	tdm_bytes_puts(out, name);
	if (n)
		tdm_bytes_json(out, text, n);
	else
		tdm_bytes_puts(out, "null");
}

void tdm_handle_tokenizer_info(struct tdm_call_context *c) {
	const struct tdm_engine *e = find_engine(c, NULL);
	struct tdm_bytes out;
	tdm_bytes_init(&out, 1 << 24);
	if (e) {
		const struct tdm_vocab *vocab = tdm_engine_vocab(e);
		const char *template = tdm_engine_template(e);
		put_special(&out, "{\"eos_token\":", vocab, tdm_token_eos(vocab));
		put_special(&out, ",\"bos_token\":", vocab, tdm_token_bos(vocab));
		put_special(&out, ",\"pad_token\":", vocab, tdm_token_pad(vocab));
		tdm_bytes_puts(&out, ",\"chat_template\":");
		if (template)
			tdm_bytes_json(&out, template, strlen(template));
		else
			tdm_bytes_puts(&out, "null");
		tdm_bytes_putc(&out, '}');
	}
	finish(c, &out);
}

// The body and the engine that it names, in the query or in itself; NULL with c->error.
static struct tdm_engine *read_body(struct tdm_call_context *c, struct tdm_reader *r, struct tdm_value **body) {
	static const struct tdm_field model = {"model", TDM_FIELD_STRING, 0, 0};
	*r = (struct tdm_reader){c->arena, NULL, &c->error};
	if (tdm_read_body(c, body, &c->error))
		return NULL;
	if ((*body)->type != TDM_MAP)
		tdm_fail(&c->error, TDM_EVALUE, "the body: expected a JSON object, got %s", tdm_type_name((*body)->type));
	else if (!tdm_reader_field(r, *body, &model))
		return find_engine(c, tdm_get_string(*body, "model"));
	return NULL;
}

static void put_tokens(struct tdm_bytes *out, const int32_t *tokens, int n) {
	tdm_bytes_puts(out, "{\"tokens\":[");
	for (int i = 0; i < n; i++)
		tdm_bytes_printf(out, "%s%d", i ? "," : "", tokens[i]);
	tdm_bytes_printf(out, "],\"count\":%d", n);
}

static int tokenize(struct tdm_call_context *c, struct tdm_reader *r, const struct tdm_engine *e,
                    const struct tdm_value *body, struct tdm_bytes *out) {
	const struct tdm_vocab *vocab = tdm_engine_vocab(e);
	const struct tdm_value *prompt = tdm_get(body, "prompt");
	bool special = true;
	int status = tdm_reader_bool(r, body, "add_special_tokens", "add_special_tokens", &special);
	if (status)
		return status;
	if (!prompt)
		return tdm_fail_param(&c->error, TDM_EMISSING, "prompt", "prompt: expected a text");
	if (prompt->type != TDM_STRING)
		return tdm_reader_wrong(r, "prompt", "a string", prompt);
	int32_t bos = special ? tdm_token_bos(vocab) : -1;
	int n = tdm_tokenize(vocab, prompt->text, prompt->len, NULL, 0);
	int32_t *tokens = n < 0 ? NULL : tdm_arena_array(c->arena, (size_t)n + 2, sizeof *tokens);
	if (n < 0)
		return tdm_fail(&c->error, n, "the text cannot be split into tokens");
	if (!tokens)
		return tdm_reader_memory(r);
	tokens[0] = bos;
	n = tdm_tokenize(vocab, prompt->text, prompt->len, tokens + (bos >= 0), n) + (bos >= 0);
	put_tokens(out, tokens, n);
	tdm_bytes_printf(out, ",\"max_model_len\":%d}", tdm_engine_info(e)->context);
	return TDM_OK;
}

static int detokenize(struct tdm_call_context *c, struct tdm_reader *r, const struct tdm_engine *e,
                      const struct tdm_value *body, struct tdm_bytes *out) {
	const struct tdm_vocab *vocab = tdm_engine_vocab(e);
	const struct tdm_value *list = tdm_get(body, "tokens");
	struct tdm_bytes text;
	if (!list)
		return tdm_fail_param(&c->error, TDM_EMISSING, "tokens", "tokens: expected a list of token ids");
	if (list->type != TDM_LIST || list->n > MOST_TOKENS)
		return tdm_reader_wrong(r, "tokens", "a list of token ids", list);
	tdm_bytes_init(&text, (size_t)512 << 20);
	int status = TDM_OK;
	for (size_t i = 0; i < list->n && !status; i++) {
		const struct tdm_value *v = &list->items[i];
		int32_t token = 0;
		if (v->type != TDM_NUMBER || !v->is_integer)
			status = tdm_reader_wrong(r, "tokens", "token ids", v);
		else if (v->integer < 0 || v->integer >= tdm_vocab_size(vocab))
			status = tdm_fail_param(&c->error, TDM_EVALUE, "tokens", "tokens: %lld is none of the vocabulary's 0 to %d",
			                        (long long)v->integer, tdm_vocab_size(vocab) - 1);
		else
			token = (int32_t)v->integer;
		if (!status)
			status = tdm_detokenize(vocab, &token, 1, &text);
	}
	tdm_bytes_puts(out, "{\"prompt\":");
	tdm_bytes_json(out, text.data ? text.data : "", text.len);
	tdm_bytes_putc(out, '}');
	tdm_bytes_release(&text);
	return status;
}

typedef int way(struct tdm_call_context *c, struct tdm_reader *r, const struct tdm_engine *e,
                const struct tdm_value *body, struct tdm_bytes *out);

static void answer(struct tdm_call_context *c, way *make) {
	struct tdm_reader r;
	struct tdm_value *body;
	struct tdm_bytes out;
	tdm_bytes_init(&out, (size_t)512 << 20);
	const struct tdm_engine *e = read_body(c, &r, &body);
	if (e)
		make(c, &r, e, body, &out);
	finish(c, &out);
}

void tdm_handle_tokenize(struct tdm_call_context *c) {
	answer(c, tokenize);
}

void tdm_handle_detokenize(struct tdm_call_context *c) {
	answer(c, detokenize);
}
