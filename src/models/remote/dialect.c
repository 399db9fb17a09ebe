// Dialect: what the writers of requests share.
#include "models/remote/dialect.h"
#include "base/decimal.h"
#include <string.h>

#define OBJECT_ARENA_BYTES ((size_t)64 << 20)

void tdm_write_string(struct tdm_bytes *b, const char *before, const char *text) {
	tdm_bytes_puts(b, before);
	tdm_bytes_json(b, text, strlen(text));
}

void tdm_write_number(struct tdm_bytes *b, const char *name, double value) {
	tdm_bytes_join(b, ",\"", name, "\":");
	tdm_bytes_number(b, value);
}

// 0.7 and not 0.69999998807907104.
void tdm_write_float(struct tdm_bytes *b, const char *name, float value) {
	tdm_write_number(b, name, tdm_decimal_round((double)value, 7));
}

void tdm_write_stop(struct tdm_bytes *b, const char *name, const struct tdm_request *rq) {
	for (size_t i = 0; i < rq->n_stop; i++) {
		if (i)
			tdm_bytes_putc(b, ',');
		else
			tdm_bytes_join(b, ",\"", name, "\":[");
		tdm_bytes_json(b, rq->stop[i], strlen(rq->stop[i]));
	}
	if (rq->n_stop)
		tdm_bytes_putc(b, ']');
}

int64_t tdm_most_tokens(const struct tdm_asking *a, const struct tdm_request *rq) {
	return rq->max_tokens > 0 ? rq->max_tokens : a->max_tokens;
}

double tdm_temperature(const struct tdm_asking *a, const struct tdm_request *rq) {
	return rq->temperature >= 0 ? (double)rq->temperature : a->temperature;
}

void tdm_write_sampling(struct tdm_bytes *b, const struct tdm_asking *a, const struct tdm_request *rq) {
	if (rq->temperature >= 0)
		tdm_write_float(b, "temperature", rq->temperature);
	else if (a->temperature >= 0)
		tdm_write_number(b, "temperature", a->temperature);
	if (rq->top_p >= 0)
		tdm_write_float(b, "top_p", rq->top_p);
}

// What is no part of the interface that everybody has goes to those who are said to know it.
void tdm_write_forwarded(struct tdm_bytes *b, const struct tdm_asking *a, const struct tdm_request *rq) {
	if (rq->top_k >= 0 && (a->forward & TDM_KNOWS_TOP_K))
		tdm_bytes_named(b, ",\"top_k\":", rq->top_k);
	if (rq->min_p >= 0 && (a->forward & TDM_KNOWS_MIN_P))
		tdm_write_float(b, "min_p", rq->min_p);
	if (rq->repeat_penalty > 0 && (a->forward & TDM_KNOWS_REPEAT_PENALTY))
		tdm_write_float(b, "repeat_penalty", rq->repeat_penalty);
}

// Draws of one request are told apart; the first has the seed as the client said it.
int64_t tdm_seed_of(const struct tdm_run *run, const struct tdm_request *rq) {
	return rq->draw ? (int64_t)((run->seed + rq->draw * 0x9E3779B97F4A7C15u) & INT64_MAX) : (int64_t)run->seed;
}

void tdm_write_object(struct tdm_bytes *b, const char *text, size_t n) {
	struct tdm_arena arena;
	struct tdm_value *value = NULL;
	tdm_arena_init(&arena, OBJECT_ARENA_BYTES);
	if (n && tdm_json_parse(&arena, text, n, &value, NULL) == TDM_OK && value->type == TDM_MAP) {
		tdm_value_write(b, value);
	} else {
		tdm_bytes_puts(b, n ? "{\"text\":" : "{");
		if (n)
			tdm_bytes_json(b, text, n);
		tdm_bytes_putc(b, '}');
	}
	tdm_arena_release(&arena);
}

int tdm_cannot(struct tdm_run *run, const char *param, const char *what) {
	return tdm_fail_param(&run->error, TDM_ECAPABILITY, param, "%s: %s", param, what);
}

void tdm_write_choice(struct tdm_bytes *b, const struct tdm_toolbox *tools, const char *before, const char *after) {
	static const char *const choices[] = {"auto", "none", "required"};
	if (tools->choice == TDM_TOOLS_ONE) {
		tdm_write_string(b, before, tools->chosen);
		tdm_bytes_puts(b, after);
	} else if (tools->choice != TDM_TOOLS_AUTO) {
		tdm_bytes_join(b, ",\"tool_choice\":\"", choices[tools->choice], "\"");
	}
	if (tools->one_call)
		tdm_bytes_puts(b, ",\"parallel_tool_calls\":false");
}

// --- reading

void tdm_read_usage(struct tdm_upstream *u, const struct tdm_value *event) {
	const struct tdm_value *usage = tdm_get(event, "usage");
	tdm_upstream_model(u, tdm_get_string(event, "model"));
	tdm_upstream_thought_tokens(u, tdm_get_number(tdm_get(usage, "completion_tokens_details"), "reasoning_tokens", -1));
	if (usage)
		tdm_upstream_usage(u, tdm_get_number(usage, "prompt_tokens", -1),
		                   tdm_get_number(usage, "completion_tokens", -1),
		                   tdm_get_number(tdm_get(usage, "prompt_tokens_details"), "cached_tokens", -1));
}
