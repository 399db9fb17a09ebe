// llama-server's own completion: a prompt that is continued. A conversation is made a prompt by the server itself,
// which has the model's template (prompt_path), so that nothing here has to guess it.
#include "models/remote/dialect.h"
#include <string.h>

static void write_prompt(struct tdm_bytes *b, const struct tdm_asking *a, const struct tdm_request *rq) {
	bool is_raw = rq->raw && rq->n_messages;
	tdm_write_string(b, "{\"model\":", a->model);
	tdm_bytes_puts(b, ",\"prompt\":");
	tdm_bytes_json(b,
	               is_raw      ? rq->messages[0].text
	               : a->prompt ? a->prompt
	                           : "",
	               is_raw ? rq->messages[0].len : a->n_prompt);
}

static void write_form(struct tdm_bytes *b, const struct tdm_form *form) {
	tdm_bytes_puts(b, ",\"json_schema\":");
	if (form->kind == TDM_GRAMMAR_JSON)
		tdm_bytes_puts(b, "{\"type\":\"object\"}");
	else
		tdm_bytes_add(b, form->text, form->len);
}

static int write_request(struct tdm_bytes *b, const struct tdm_asking *a, struct tdm_run *run,
                         const struct tdm_request *rq) {
	int64_t most = tdm_most_tokens(a, rq);
	if (rq->raw && rq->raw->tokens && !(rq->n_messages && rq->messages[0].len))
		return tdm_cannot(run, "prompt", "the upstream may have another vocabulary; expected text");
	write_prompt(b, a, rq);
	if (most > 0)
		tdm_bytes_named(b, ",\"n_predict\":", most);
	tdm_write_sampling(b, a, rq);
	if (rq->top_k >= 0)
		tdm_bytes_named(b, ",\"top_k\":", rq->top_k);
	if (rq->min_p >= 0)
		tdm_write_float(b, "min_p", rq->min_p);
	if (rq->repeat_penalty > 0)
		tdm_write_float(b, "repeat_penalty", rq->repeat_penalty);
	tdm_write_stop(b, "stop", rq);
	if (rq->wants_seed)
		tdm_bytes_named(b, ",\"seed\":", tdm_seed_of(run, rq) & UINT32_MAX);
	if (rq->logprobs)
		tdm_bytes_named(b, ",\"n_probs\":", rq->top_logprobs > 0 ? rq->top_logprobs : 1);
	if (rq->form)
		write_form(b, rq->form);
	tdm_bytes_puts(b, ",\"cache_prompt\":true,\"stream\":true}");
	return TDM_OK;
}

static const char *reason_of(const struct tdm_value *event) {
	const char *type = tdm_get_string(event, "stop_type");
	return type ? type : tdm_get_bool(event, "stopped_limit", false) ? "limit" : "eos";
}

static int read_event(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	static const struct tdm_reason reasons[] = {
	    {"eos", TDM_FINISH_STOP}, {"word", TDM_FINISH_STOP}, {"limit", TDM_FINISH_LENGTH}, {NULL, 0}};
	const struct tdm_value *content = tdm_get(event, "content");
	u->n_dropped += u->finished;
	if (u->finished)
		return TDM_OK;
	int status = TDM_OK;
	if (content && content->type == TDM_STRING && content->len)
		status = tdm_upstream_tokens(u, arena, content, tdm_get(event, "completion_probabilities"));
	if (status || !tdm_get_bool(event, "stop", false))
		return status;
	tdm_upstream_model(u, tdm_get_string(event, "model"));
	tdm_upstream_usage(u, tdm_get_number(event, "tokens_evaluated", -1), tdm_get_number(event, "tokens_predicted", -1),
	                   tdm_get_number(tdm_get(event, "timings"), "cache_n", -1));
	tdm_upstream_stopped_by(u, tdm_get_string(event, "stopping_word"));
	status = tdm_upstream_finish(u, reasons, reason_of(event));
	u->done = true;
	return status;
}

const struct tdm_dialect tdm_dialect_llama = {
    .name = "llama",
    .path = "/completion",
    .is_root = true,
    .key_header = "Authorization",
    .key_prefix = "Bearer ",
    .prompt_path = "/apply-template",
    .takes_raw = true,
    .can = TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_FORM,
    .knows = TDM_KNOWS_STOP | TDM_KNOWS_SEED | TDM_KNOWS_LOGPROBS | TDM_KNOWS_TOP_K | TDM_KNOWS_MIN_P |
             TDM_KNOWS_REPEAT_PENALTY,
    .write = write_request,
    .read = read_event,
};
