// Remote, scoring: how likely an upstream of completions thinks texts are. It is asked to echo a prompt with the
// log-probabilities of its tokens; what belongs to a text is told from its context by the tokens' offsets, which count
// characters. A token that begins in the context and ends in the text counts as the text's.
#include "base/clock.h"
#include "base/text.h"
#include "models/remote/remote.h"
#include "models/sources.h"
#include <string.h>

#define BODY_LIMIT_BYTES ((size_t)64 << 20)
#define VALUE_LIMIT_BYTES ((size_t)256 << 20)

static size_t n_characters(const char *text, size_t n) {
	size_t count = 0;
	uint32_t c;
	for (size_t at = 0; at < n; count++)
		at += tdm_utf8_next(text + at, n - at, &c);
	return count;
}

static void write_body(struct tdm_bytes *b, const struct tdm_remote *r, const struct tdm_bytes *context,
                       const char *const *texts, size_t n, int top) {
	struct tdm_bytes prompt;
	tdm_bytes_init(&prompt, b->limit);
	tdm_write_string(b, "{\"model\":", r->asking.model);
	for (size_t i = 0; i < n; i++) {
		tdm_bytes_clear(&prompt);
		tdm_bytes_add(&prompt, context->data ? context->data : "", context->len);
		tdm_bytes_puts(&prompt, texts[i]);
		tdm_bytes_puts(b, i ? "," : ",\"prompt\":[");
		tdm_bytes_json(b, prompt.data ? prompt.data : "", prompt.len);
	}
	tdm_bytes_printf(b, "],\"max_tokens\":1,\"echo\":true,\"logprobs\":%d,\"temperature\":0}", top);
	b->failed |= prompt.failed;
	tdm_bytes_release(&prompt);
}

static int bad(const struct tdm_remote *r, struct tdm_run *run) {
	return tdm_fail(&run->error, TDM_EBADBODY, "model %s: the upstream does not echo a prompt with its logprobs",
	                r->model.name);
}

// The echo of all prompts, parsed into the arena; counts go into the result.
static int ask(struct tdm_remote *r, struct tdm_run *run, const struct tdm_request *rq, const struct tdm_bytes *body,
               struct tdm_arena *arena, struct tdm_value **out, struct tdm_result *result) {
	struct tdm_bytes whole;
	tdm_bytes_init(&whole, BODY_LIMIT_BYTES);
	struct tdm_remote_ask a = {r, run, rq, r->url, body, NULL, result, &whole};
	int status = body->failed ? tdm_fail(&run->error, TDM_ETOOLARGE, "model %s: the prompt is too long", r->model.name)
	                          : tdm_remote_send(&a);
	if (!status && (!whole.len || tdm_json_parse(arena, whole.data, whole.len, out, NULL)))
		status = bad(r, run);
	const struct tdm_value *usage = status ? NULL : tdm_get(*out, "usage");
	result->prompt_tokens = (int64_t)tdm_get_number(usage, "prompt_tokens", 0);
	result->completion_tokens = (int64_t)tdm_get_number(usage, "completion_tokens", 0);
	result->estimated = !usage;
	if (!status && tdm_get(*out, "error"))
		status = tdm_fail(&run->error, TDM_EUPSTREAM, "model %s: the upstream answered with an error", r->model.name);
	tdm_bytes_release(&whole);
	return status;
}

static const struct tdm_value *choice_of(const struct tdm_value *answer, size_t i) {
	const struct tdm_value *choices = tdm_get(answer, "choices");
	for (size_t k = 0; choices && choices->type == TDM_LIST && k < choices->n; k++)
		if (tdm_get_number(&choices->items[k], "index", -1) == (double)i)
			return &choices->items[k];
	return NULL;
}

struct part { // of an echoed prompt, in characters
	size_t from, to;
};

// Is the token between two offsets of the part?
static bool belongs(const struct tdm_value *offsets, size_t i, const struct part *p) {
	double from = offsets->items[i].number, next = i + 1 < offsets->n ? offsets->items[i + 1].number : (double)p->to;
	return from < (double)p->to && next > (double)p->from;
}

static int add_up(const struct tdm_value *logprobs, const struct part *p, double *sum, int *n) {
	const struct tdm_value *offsets = tdm_get(logprobs, "text_offset"), *values = tdm_get(logprobs, "token_logprobs");
	if (!offsets || offsets->type != TDM_LIST || !values || values->type != TDM_LIST || offsets->n != values->n)
		return TDM_EBADBODY;
	*sum = 0;
	*n = 0;
	for (size_t i = 0; i < offsets->n; i++) {
		if (!belongs(offsets, i, p))
			continue;
		*sum += values->items[i].type == TDM_NUMBER ? values->items[i].number : 0; // nothing is before the first one
		(*n)++;
	}
	return *n || p->from == p->to ? TDM_OK : TDM_EBADBODY;
}

int tdm_remote_score(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, const char *const *texts,
                     size_t n, double *logprobs, int *n_tokens) {
	struct tdm_remote *r = (struct tdm_remote *)m;
	int64_t started_us = tdm_now_us();
	struct tdm_result result = {0};
	struct tdm_bytes context, body;
	struct tdm_arena arena;
	struct tdm_value *answer = NULL;
	tdm_run_saw(run, m, rq);
	tdm_arena_init(&arena, VALUE_LIMIT_BYTES);
	tdm_bytes_init(&context, BODY_LIMIT_BYTES);
	tdm_bytes_init(&body, BODY_LIMIT_BYTES);
	tdm_write_transcript(&context, rq);
	write_body(&body, r, &context, texts, n, 0);
	int status = ask(r, run, rq, &body, &arena, &answer, &result);
	size_t from = n_characters(context.data ? context.data : "", context.len);
	for (size_t i = 0; i < n && !status; i++) {
		int count = 0;
		struct part p = {from, from + n_characters(texts[i], strlen(texts[i]))};
		status = add_up(tdm_get(choice_of(answer, i), "logprobs"), &p, &logprobs[i], &count) ? bad(r, run) : TDM_OK;
		if (n_tokens)
			n_tokens[i] = count;
	}
	tdm_source_called(m, run, rq, "judge", started_us, status, &result);
	tdm_bytes_release(&context);
	tdm_bytes_release(&body);
	tdm_arena_release(&arena);
	return status;
}

// --- echo

static int keep_alternatives(struct tdm_arena *arena, const struct tdm_value *top, struct tdm_scored *out) {
	struct tdm_alternative *list = top && top->n ? tdm_arena_array(arena, top->n, sizeof *list) : NULL;
	out->alternatives = list;
	for (size_t i = 0; list && i < top->n; i++) {
		const struct tdm_value *token = tdm_get(&top->items[i], "token");
		list[i] = (struct tdm_alternative){tdm_arena_copy(arena, token->text, token->len), token->len,
		                                   (float)tdm_get_number(&top->items[i], "logprob", (double)NAN)};
		if (!list[i].text)
			return TDM_ENOMEM;
		out->n_alternatives = (int)i + 1;
	}
	return TDM_OK;
}

static int keep_tokens(struct tdm_run *run, const struct tdm_value *entries, const struct tdm_value *offsets, size_t to,
                       struct tdm_echo *out) {
	struct tdm_scored *tokens = tdm_arena_array(run->arena, entries->n + 1, sizeof *tokens);
	if (!tokens || !offsets || offsets->type != TDM_LIST || offsets->n != entries->n)
		return tokens ? TDM_EBADBODY : TDM_ENOMEM;
	*out = (struct tdm_echo){.tokens = tokens};
	for (size_t i = 0; i < entries->n; i++) {
		const struct tdm_value *token = tdm_get(&entries->items[i], "token");
		if (!token || token->type != TDM_STRING)
			return TDM_EBADBODY;
		struct tdm_scored *t = &tokens[i];
		bool is_after = out->n_after > 0 || offsets->items[i].number >= (double)to;
		out->n += !is_after;
		out->n_after += is_after;
		*t = (struct tdm_scored){.text = tdm_arena_copy(run->arena, token->text, token->len), .len = token->len};
		t->logprob = (float)tdm_get_number(&entries->items[i], "logprob", (double)NAN);
		if (!t->text || keep_alternatives(run->arena, tdm_get(&entries->items[i], "top_logprobs"), t))
			return TDM_ENOMEM;
	}
	return out->n ? TDM_OK : TDM_EBADBODY;
}

int tdm_remote_echo(struct tdm_remote *r, struct tdm_run *run, const struct tdm_request *rq,
                    struct tdm_result *result) {
	static const char *const nothing[] = {""};
	int64_t started_us = tdm_now_us();
	struct tdm_bytes context, body;
	struct tdm_arena arena;
	struct tdm_value *answer = NULL;
	tdm_arena_init(&arena, VALUE_LIMIT_BYTES);
	tdm_bytes_init(&context, BODY_LIMIT_BYTES);
	tdm_bytes_init(&body, BODY_LIMIT_BYTES);
	tdm_write_transcript(&context, rq);
	write_body(&body, r, &context, nothing, 1, rq->top_logprobs);
	int status = ask(r, run, rq, &body, &arena, &answer, result);
	if (!status) {
		const struct tdm_value *choice = choice_of(answer, 0), *logprobs = tdm_get(choice, "logprobs");
		const char *finish = tdm_get_string(choice, "finish_reason");
		struct tdm_value entries = tdm_completions_entries(&arena, logprobs);
		status = keep_tokens(run, &entries, tdm_get(logprobs, "text_offset"),
		                     n_characters(context.data ? context.data : "", context.len), rq->raw->echo);
		rq->raw->echo->is_end = finish && (!strcmp(finish, "stop") || !strcmp(finish, "eos"));
		status = status == TDM_EBADBODY ? bad(r, run) : status;
	}
	tdm_source_called(&r->model, run, rq, "answer", started_us, status, result);
	tdm_bytes_release(&context);
	tdm_bytes_release(&body);
	tdm_arena_release(&arena);
	return status;
}
