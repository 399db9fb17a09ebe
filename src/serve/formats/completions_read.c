// Completions, reading. What it shares with chat completions is read by the same functions.
#include "serve/formats/completions.h"
#include "serve/reader.h"
#include <string.h>

#define STANDARD_MAX_TOKENS 16

// How many tokens: 0 with echo is a score of the prompt, and nothing is written.
static int read_length(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	const struct tdm_value *limit = tdm_get(body, "max_tokens");
	int status = tdm_reader_bool(r, body, "echo", "echo", &out->echoes);
	if (!limit)
		out->request.max_tokens = STANDARD_MAX_TOKENS;
	else
		out->only_echoes = out->echoes && limit->type == TDM_NUMBER && limit->integer == 0;
	return status;
}

static int read_logprobs(struct tdm_reader *r, const struct tdm_value *body, struct tdm_request *out) {
	static const struct tdm_field logprobs = {"logprobs", TDM_FIELD_INTEGER, 0, 20};
	const struct tdm_value *v = tdm_get(body, "logprobs");
	int status = tdm_reader_field(r, body, &logprobs);
	out->logprobs = v != NULL;
	out->top_logprobs = v && !status ? (int)v->integer : 0;
	return status;
}

// What no model of the program does is refused where ignoring it would give another answer than was asked for.
static int refuse_unsupported(struct tdm_reader *r, const struct tdm_value *body, const struct tdm_chat_request *out) {
	static const struct tdm_field fields[] = {{"suffix", TDM_FIELD_STRING, 0, 0},
	                                          {"best_of", TDM_FIELD_INTEGER, 1, 20}};
	int status = tdm_reader_fields(r, body, fields, sizeof fields / sizeof fields[0]);
	if (status)
		return status;
	const struct tdm_value *suffix = tdm_get(body, "suffix"), *best_of = tdm_get(body, "best_of");
	if (suffix && suffix->len)
		return tdm_fail_param(r->err, TDM_ECAPABILITY, "suffix", "suffix: no model of this tree fills in the middle");
	if (best_of && best_of->integer != out->n_each)
		return tdm_fail_param(r->err, best_of->integer < out->n_each ? TDM_EVALUE : TDM_ECAPABILITY, "best_of",
		                      "best_of: expected n, which is %d: answers are not compared here", out->n_each);
	return TDM_OK;
}

static int read_prompts(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	out->n_each = out->n;
	int status = tdm_prompts_read(r, tdm_get(body, "prompt"), "prompt", TDM_MOST_ANSWERS / out->n_each, &out->prompts);
	if (status)
		return status;
	out->n = out->prompts.n * out->n_each;
	out->request.messages = &out->prompts.items[0].message;
	out->request.n_messages = 1;
	return TDM_OK;
}

int tdm_completions_read(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
                         struct tdm_chat_request *out, struct tdm_error *err) {
	struct tdm_reader r = {arena, record, err};
	int status = tdm_read_common(&r, body, out);
	if (!status)
		status = read_length(&r, body, out);
	if (!status)
		status = read_logprobs(&r, body, &out->request);
	if (!status)
		status = read_prompts(&r, body, out);
	return status ? status : refuse_unsupported(&r, body, out);
}

int tdm_completions_fit(struct tdm_arena *arena, const struct tdm_model *model, struct tdm_record *record,
                        struct tdm_chat_request *out, struct tdm_error *err) {
	bool can_echo = model->can & TDM_CAN_ECHO;
	int status = tdm_prompts_fit(arena, model, "prompt", &out->prompts, err);
	if (status)
		return status;
	if (out->only_echoes && !can_echo)
		return tdm_fail_param(err, TDM_ECAPABILITY, "max_tokens",
		                      "max_tokens: model %s cannot score a prompt; expected at least 1", model->name);
	if (out->echoes && out->request.logprobs && !can_echo) {
		tdm_record_warn(record, "parameter_ignored", "logprobs",
		                "this model cannot give log-probabilities of a prompt");
		out->request.logprobs = false;
	}
	return TDM_OK;
}
