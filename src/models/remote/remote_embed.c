// Remote, vectors: what an upstream's embeddings endpoint makes of a text. It is asked for numbers; base64, which some
// send whatever they were asked for, is read too. What is no vector is a failure of the upstream, never a guess.
#include "base/clock.h"
#include "models/remote/remote.h"
#include "models/sources.h"
#include <string.h>

#define BODY_LIMIT_BYTES ((size_t)64 << 20)
#define MOST_NUMBERS (1 << 20)

static int bad(const struct tdm_remote *r, struct tdm_run *run) {
	return tdm_fail(&run->error, TDM_EBADBODY, "model %s: the upstream answered with no vector", r->model.name);
}

static int read_numbers(const struct tdm_value *list, struct tdm_arena *arena, float **out, int *n) {
	float *x = list->n && list->n <= MOST_NUMBERS ? tdm_arena_array(arena, list->n, sizeof *x) : NULL;
	for (size_t i = 0; x && i < list->n; i++) {
		if (list->items[i].type != TDM_NUMBER)
			return TDM_EBADBODY;
		x[i] = (float)list->items[i].number;
	}
	*out = x;
	*n = (int)list->n;
	return x ? TDM_OK : TDM_EBADBODY;
}

static int digit_of(char c) {
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

// Little-endian floats.
static int read_base64(const struct tdm_value *text, struct tdm_arena *arena, float **out, int *n) {
	uint8_t *bytes = tdm_arena_alloc(arena, text->len + 4);
	uint32_t bits = 0;
	size_t n_bytes = 0;
	int n_bits = 0;
	for (size_t i = 0; bytes && i < text->len && text->text[i] != '='; i++) {
		int digit = digit_of(text->text[i]);
		if (digit < 0)
			return TDM_EBADBODY;
		bits = bits << 6 | (uint32_t)digit;
		n_bits += 6;
		if (n_bits >= 8)
			bytes[n_bytes++] = (uint8_t)(bits >> (n_bits -= 8));
	}
	float *x = bytes && n_bytes && n_bytes % 4 == 0 ? tdm_arena_array(arena, n_bytes / 4, sizeof *x) : NULL;
	for (size_t i = 0; x && i < n_bytes; i += 4) {
		uint32_t word =
		    bytes[i] | (uint32_t)bytes[i + 1] << 8 | (uint32_t)bytes[i + 2] << 16 | (uint32_t)bytes[i + 3] << 24;
		memcpy(&x[i / 4], &word, 4);
	}
	*out = x;
	*n = (int)(n_bytes / 4);
	return x ? TDM_OK : TDM_EBADBODY;
}

// To length 1; false for what has none.
static bool scale(float *x, int n) {
	double sum = 0;
	for (int i = 0; i < n; i++)
		sum += (double)x[i] * (double)x[i];
	double length = sqrt(sum);
	for (int i = 0; i < n && isfinite(length) && length > 0; i++)
		x[i] = (float)((double)x[i] / length);
	return isfinite(length) && length > 0;
}

static int read_vector(const struct tdm_value *vector, struct tdm_arena *arena, const float **out, int *width) {
	float *x = NULL;
	int status = TDM_EBADBODY;
	if (vector && vector->type == TDM_LIST)
		status = read_numbers(vector, arena, &x, width);
	else if (vector && vector->type == TDM_STRING)
		status = read_base64(vector, arena, &x, width);
	*out = x;
	return status || !scale(x, *width) ? TDM_EBADBODY : TDM_OK;
}

// One vector for each of n texts, by their indices, all of one width. One that says no index has its place.
static int read_vectors(const struct tdm_value *data, size_t n, struct tdm_arena *arena, const float **out,
                        int *width) {
	if (!data || data->type != TDM_LIST || data->n != n)
		return TDM_EBADBODY;
	for (size_t i = 0; i < n; i++)
		out[i] = NULL;
	for (size_t i = 0; i < n; i++) {
		double at = tdm_get_number(&data->items[i], "index", (double)i);
		int this_width;
		if (!(at >= 0 && at < (double)n) || out[(size_t)at] ||
		    read_vector(tdm_get(&data->items[i], "embedding"), arena, &out[(size_t)at], &this_width))
			return TDM_EBADBODY;
		if (i && this_width != *width)
			return TDM_EBADBODY;
		*width = this_width;
	}
	return TDM_OK;
}

static int read_answer(const struct tdm_remote *r, struct tdm_run *run, const struct tdm_bytes *whole, size_t n,
                       const float **out, int *width, struct tdm_result *result) {
	struct tdm_arena arena;
	struct tdm_value *answer = NULL;
	tdm_arena_init(&arena, 16 * BODY_LIMIT_BYTES);
	int status = whole->len ? tdm_json_parse(&arena, whole->data, whole->len, &answer, NULL) : TDM_EBADBODY;
	if (!status)
		status = read_vectors(tdm_get(answer, "data"), n, run->arena, out, width);
	result->prompt_tokens = (int64_t)tdm_get_number(tdm_get(answer, "usage"), "prompt_tokens", -1);
	tdm_arena_release(&arena);
	return status ? bad(r, run) : TDM_OK;
}

// A text alone stands alone: every upstream takes that.
static void write_body(struct tdm_bytes *b, const struct tdm_remote *r, const struct tdm_request *request) {
	tdm_write_string(b, "{\"model\":", r->asking.model);
	tdm_bytes_puts(b, ",\"encoding_format\":\"float\",\"input\":");
	for (size_t i = 0; i < request->n_messages; i++) {
		if (request->n_messages > 1)
			tdm_bytes_putc(b, i ? ',' : '[');
		tdm_bytes_json(b, request->messages[i].text, request->messages[i].len);
	}
	tdm_bytes_puts(b, request->n_messages > 1 ? "]}" : "}");
}

// One request to the upstream; the texts are the messages.
static int ask(struct tdm_remote *r, struct tdm_run *run, const struct tdm_request *request, const float **out,
               int *width) {
	struct tdm_result result = {.prompt_tokens = -1};
	struct tdm_bytes body, whole;
	int64_t started_us = tdm_now_us();
	tdm_bytes_init(&body, BODY_LIMIT_BYTES);
	tdm_bytes_init(&whole, BODY_LIMIT_BYTES);
	write_body(&body, r, request);
	struct tdm_remote_ask asked = {r, run, request, r->embed_url, &body, NULL, &result, &whole};
	int status = body.failed ? tdm_fail(&run->error, TDM_ETOOLARGE, "model %s: the text is too long", r->model.name)
	                         : tdm_remote_send(&asked);
	if (!status)
		status = read_answer(r, run, &whole, request->n_messages, out, width, &result);
	result.estimated = result.prompt_tokens < 0;
	if (result.estimated)
		result.prompt_tokens = tdm_estimate_tokens(tdm_request_bytes(request));
	tdm_source_called(&r->model, run, request, "embed", started_us, status, &result);
	tdm_bytes_release(&body);
	tdm_bytes_release(&whole);
	return status;
}

int tdm_remote_embed(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n,
                     const float **out, int *width) {
	struct tdm_remote *r = (struct tdm_remote *)m;
	size_t most = (size_t)r->options.embed_batch;
	struct tdm_message *messages = tdm_arena_array(run->arena, n, sizeof *messages);
	struct tdm_request request;
	int status = messages ? TDM_OK : tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for texts", m->name);
	for (size_t i = 0; i < n && !status; i++)
		messages[i] = (struct tdm_message){.from = TDM_FROM_USER, .text = texts[i].text, .len = texts[i].len};
	tdm_request_init(&request);
	for (size_t at = 0; at < n && !status; at += most) {
		int first = *width;
		request.messages = messages + at;
		request.n_messages = n - at < most ? n - at : most;
		status = tdm_run_check(run);
		if (!status)
			status = ask(r, run, &request, out + at, width);
		if (!status && at && *width != first)
			status = bad(r, run);
	}
	return status;
}
