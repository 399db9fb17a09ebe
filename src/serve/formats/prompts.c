// The rule it protects: token ids never pass by what looks at text: every id is one of the vocabulary, guards see the
// text it stands for, and a mask, which could not hide a value in ids, refuses them.
#include "serve/formats/prompts.h"
#include "base/text.h"
#include "engine/vocab.h"
#include "models/kind.h"
#include "models/local/local.h"
#include <string.h>

static const char expected[] = "a string, a list of strings, a list of token ids, or a list of such lists";

static int read_text(struct tdm_reader *r, const struct tdm_value *v, const char *param, struct tdm_prompt *out) {
	if (v->type != TDM_STRING)
		return tdm_reader_wrong(r, param, "a string", v);
	out->message = (struct tdm_message){.from = TDM_FROM_USER, .text = v->text, .len = v->len};
	return TDM_OK;
}

static int read_tokens(struct tdm_reader *r, const struct tdm_value *list, const char *param, struct tdm_prompt *out) {
	int32_t *tokens = tdm_arena_array(r->arena, list->n + 1, sizeof *tokens);
	if (!tokens)
		return tdm_reader_memory(r);
	for (size_t i = 0; i < list->n; i++) {
		const struct tdm_value *v = &list->items[i];
		if (v->type != TDM_NUMBER || !v->is_integer)
			return tdm_reader_wrong(r, param, "token ids", v);
		if (v->integer < 0 || v->integer > INT32_MAX)
			return tdm_fail_param(r->err, TDM_EVALUE, param, "%s: token id %lld is none of a vocabulary", param,
			                      (long long)v->integer);
		tokens[i] = (int32_t)v->integer;
	}
	out->message = (struct tdm_message){.from = TDM_FROM_USER, .text = ""};
	out->tokens = tokens;
	out->n_tokens = (int)list->n;
	return TDM_OK;
}

static int read_list(struct tdm_reader *r, const struct tdm_value *list, const char *param, struct tdm_prompts *out) {
	int status = TDM_OK;
	for (size_t i = 0; i < list->n && !status; i++) {
		const char *at = tdm_arena_printf(r->arena, "%s[%zu]", param, i);
		const struct tdm_value *v = &list->items[i];
		if (!at)
			return tdm_reader_memory(r);
		status = v->type == TDM_LIST ? read_tokens(r, v, at, &out->items[i]) : read_text(r, v, at, &out->items[i]);
		if (!status && v->type != list->items[0].type)
			status = tdm_reader_wrong(r, at, "items of one type", v);
	}
	return status;
}

int tdm_prompts_read(struct tdm_reader *r, const struct tdm_value *value, const char *param, int most,
                     struct tdm_prompts *out) {
	static const struct tdm_value empty = {.type = TDM_STRING, .text = ""};
	const struct tdm_value *v = value ? value : &empty;
	bool is_list = v->type == TDM_LIST, is_tokens = is_list && v->n && v->items[0].type == TDM_NUMBER;
	if (v->type != TDM_STRING && !is_list)
		return tdm_reader_wrong(r, param, expected, v);
	if (is_list && !v->n)
		return tdm_fail_param(r->err, TDM_EVALUE, param, "%s: expected %s, got an empty list", param, expected);
	size_t n = is_list && !is_tokens ? v->n : 1;
	if (n > (size_t)most)
		return tdm_fail_param(r->err, TDM_EVALUE, param, "%s: expected at most %d, got %zu", param, most, n);
	out->n = (int)n;
	out->items = tdm_arena_array(r->arena, n, sizeof *out->items);
	if (!out->items)
		return tdm_reader_memory(r);
	if (is_tokens)
		return read_tokens(r, v, param, out->items);
	return is_list ? read_list(r, v, param, out) : read_text(r, v, param, out->items);
}

// --- token ids and a model

const struct tdm_model *tdm_first_local(const struct tdm_model *m) {
	const struct tdm_model *found = tdm_local_engine(m) ? m : NULL;
	for (size_t i = 0; i < m->n_parts && !found; i++)
		found = tdm_first_local(m->parts[i]);
	return found;
}

static bool has_mask(const struct tdm_model *m) {
	bool found = m->kind && !strcmp(m->kind->name, "mask");
	for (size_t i = 0; i < m->n_parts && !found; i++)
		found = has_mask(m->parts[i]);
	return found;
}

// The text that the ids stand for; bytes that are no characters as U+FFFD.
static int tell_text(struct tdm_arena *arena, const struct tdm_vocab *vocab, struct tdm_prompt *p) {
	struct tdm_bytes bytes;
	uint32_t c;
	size_t n = 0;
	tdm_bytes_init(&bytes, arena->limit_bytes);
	int status = tdm_detokenize(vocab, p->tokens, p->n_tokens, &bytes);
	char *text = status ? NULL : tdm_arena_alloc(arena, 3 * bytes.len + 1);
	for (size_t at = 0; text && at < bytes.len;) {
		at += tdm_utf8_next(bytes.data + at, bytes.len - at, &c);
		n += tdm_utf8_put(text + n, c);
	}
	tdm_bytes_release(&bytes);
	if (!text)
		return TDM_ENOMEM;
	text[n] = 0;
	p->message.text = text;
	p->message.len = n;
	return TDM_OK;
}

static int fit_tokens(struct tdm_arena *arena, const struct tdm_vocab *vocab, const char *param, struct tdm_prompt *p,
                      struct tdm_error *err) {
	for (int i = 0; i < p->n_tokens; i++)
		if (p->tokens[i] >= tdm_vocab_size(vocab))
			return tdm_fail_param(err, TDM_EVALUE, param, "%s: token id %d is none of the vocabulary's 0 to %d", param,
			                      p->tokens[i], tdm_vocab_size(vocab) - 1);
	p->vocab_id = tdm_vocab_id(vocab);
	int status = tell_text(arena, vocab, p);
	return status ? tdm_fail(err, status, "the request does not fit its memory limit") : TDM_OK;
}

int tdm_prompts_fit(struct tdm_arena *arena, const struct tdm_model *model, const char *param, struct tdm_prompts *p,
                    struct tdm_error *err) {
	const struct tdm_model *local = NULL;
	int status = TDM_OK;
	for (int i = 0; i < p->n && !status; i++) {
		if (!p->items[i].tokens)
			continue;
		if (has_mask(model))
			return tdm_fail_param(err, TDM_EVALUE, param, "%s: token ids cannot be masked; expected text", param);
		local = local ? local : tdm_first_local(model);
		if (!local || model->leaves)
			return tdm_fail_param(err, TDM_ECAPABILITY, param,
			                      "%s: token ids need a model of this machine; expected text", param);
		status = fit_tokens(arena, tdm_engine_vocab(tdm_local_engine(local)), param, &p->items[i], err);
	}
	return status;
}
