// One answer becomes a string of bytes that holds everything about it; two answers are the same where these are.
#include "eval/same.h"
#include "base/bytes.h"
#include "ledger/record.h"
#include <string.h>

#define ANSWER_LIMIT_BYTES ((size_t)4 << 20)
#define ARENA_LIMIT_BYTES ((size_t)64 << 20)
enum { SCHEMA_TOKENS = 96, TOP = 3 };

static const char schema[] = "{\"type\":\"object\",\"properties\":{\"answer\":{\"type\":\"string\",\"maxLength\":24},"
                             "\"sure\":{\"type\":\"boolean\"},\"n\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":"
                             "999}},\"required\":[\"answer\",\"sure\",\"n\"]}";
static const struct tdm_form form = {.kind = TDM_GRAMMAR_SCHEMA, .text = schema, .len = sizeof schema - 1};
static const char *const stops[] = {"er", ", ", "7", " is the"};

struct told { // everything about an answer
	struct tdm_sink sink;
	struct tdm_bytes bytes;
	bool are_numbers;
};

static void tell_scored(struct tdm_bytes *out, const char *text, size_t len, float logprob) {
	tdm_bytes_add(out, &len, sizeof len);
	tdm_bytes_add(out, text, len);
	tdm_bytes_add(out, &logprob, sizeof logprob);
}

static void tell_alternatives(struct tdm_bytes *out, const struct tdm_alternative *list, int n) {
	for (int i = 0; i < n; i++)
		tell_scored(out, list[i].text, list[i].len, list[i].logprob);
}

// Where log-probabilities are not asked for, how the text was cut into pieces is nobody's business.
static int tell(struct tdm_sink *sink, const struct tdm_event *event) {
	struct told *told = (struct told *)sink;
	if (!told->are_numbers) {
		tdm_bytes_add(&told->bytes, event->text, event->len);
		return TDM_OK;
	}
	tell_scored(&told->bytes, event->text, event->len, event->logprob);
	tdm_bytes_add(&told->bytes, &event->token, sizeof event->token);
	tell_alternatives(&told->bytes, event->alternatives, event->n_alternatives);
	for (int i = 0; i < event->n_parts; i++) {
		const struct tdm_scored *part = &event->parts[i];
		tell_scored(&told->bytes, part->text, part->len, part->logprob);
		tell_alternatives(&told->bytes, part->alternatives, part->n_alternatives);
	}
	return TDM_OK;
}

static void tell_end(struct tdm_bytes *out, const struct tdm_result *r) {
	tdm_bytes_printf(out, "|%d %lld %lld %s ", (int)r->finish, (long long)r->prompt_tokens,
	                 (long long)r->completion_tokens, r->stop ? r->stop : "");
	tdm_bytes_add(out, &r->mean_logprob, sizeof r->mean_logprob);
	if (r->end)
		tell_scored(out, r->end->text, r->end->len, r->end->logprob);
}

static void wish(struct tdm_request *request, enum tdm_same_wish which) {
	bool all = which == TDM_SAME_ALL;
	if (all || which == TDM_SAME_SCHEMA) {
		request->form = &form;
		request->max_tokens = SCHEMA_TOKENS;
	}
	if (all || which == TDM_SAME_STOP) {
		request->stop = stops;
		request->n_stop = sizeof stops / sizeof *stops;
	}
	if (all || which == TDM_SAME_LOGPROBS) {
		request->logprobs = true;
		request->top_logprobs = TOP;
	}
	if (all || which == TDM_SAME_PENALTY)
		request->repeat_penalty = 1.2f;
}

struct asked {
	int64_t tokens, drafted, accepted;
};

static void count_calls(const struct tdm_record *record, struct asked *out) {
	for (const struct tdm_call *c = record->calls; c; c = c->next) {
		out->drafted += c->drafted;
		out->accepted += c->accepted;
	}
}

static int ask(const struct tdm_same_options *o, struct tdm_model *model, struct told *told, struct asked *asked,
               struct tdm_error *err) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_result result = {0};
	struct tdm_message message = {.from = TDM_FROM_USER, .text = o->prompt, .len = strlen(o->prompt)};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	request.temperature = o->temperature;
	wish(&request, o->wish);
	tdm_bytes_clear(&told->bytes);
	told->are_numbers = request.logprobs;
	tdm_arena_init(&arena, ARENA_LIMIT_BYTES);
	int status = tdm_run_init(&run, &arena, o->seed);
	if (!status)
		status = tdm_generate(model, &run, &request, &told->sink, &result);
	if (status) {
		tdm_fail(err, status, "%s: %s", model->name, run.error.text);
	} else {
		tell_end(&told->bytes, &result);
		asked->tokens = result.completion_tokens;
		count_calls(run.record, asked);
	}
	if (!status && told->bytes.failed)
		status = tdm_fail(err, TDM_ETOOLARGE, "%s: an answer of over %zu bytes", model->name, ANSWER_LIMIT_BYTES);
	tdm_arena_release(&arena);
	return status;
}

static int compare(const struct tdm_same_options *o, const struct told *want, struct told *got, struct tdm_same_case *c,
                   struct tdm_error *err) {
	struct asked asked = {0};
	int status = ask(o, c->model, got, &asked, err);
	if (status)
		return status;
	c->n++;
	c->tokens += asked.tokens;
	c->drafted += asked.drafted;
	c->accepted += asked.accepted;
	if (got->bytes.len == want->bytes.len && !memcmp(got->bytes.data, want->bytes.data, want->bytes.len))
		return TDM_OK;
	if (!c->n_different++)
		c->first = c->n - 1;
	return TDM_OK;
}

int tdm_same_test(const struct tdm_same_options *o, struct tdm_same_case *cases, size_t n, struct tdm_error *err) {
	struct told want = {.sink.put = tell}, got = {.sink.put = tell};
	struct asked asked = {0};
	tdm_bytes_init(&want.bytes, ANSWER_LIMIT_BYTES);
	tdm_bytes_init(&got.bytes, ANSWER_LIMIT_BYTES);
	int status = ask(o, o->target, &want, &asked, err);
	for (size_t i = 0; i < n && !status; i++)
		status = compare(o, &want, &got, &cases[i], err);
	tdm_bytes_release(&want.bytes);
	tdm_bytes_release(&got.bytes);
	return status;
}
