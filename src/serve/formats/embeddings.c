// POST /v1/embeddings: vectors of texts. The rule it protects: what was asked for is what comes, numbers or base64;
// clients that get the other one fail, some of them silently.
#include "serve/formats/plain.h"
#include "serve/formats/vectors.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST_INPUTS 2048

struct asked {
	bool base64;
	int64_t dimensions; // 0 = all
};

static int read_encoding(struct tdm_plain *p, struct asked *a) {
	const struct tdm_value *v = tdm_get(p->body, "encoding_format");
	if (!v)
		return TDM_OK;
	a->base64 = v->type == TDM_STRING && !strcmp(v->text, "base64");
	if (a->base64 || (v->type == TDM_STRING && !strcmp(v->text, "float")))
		return TDM_OK;
	return tdm_reader_wrong(&p->reader, "encoding_format", "float or base64", v);
}

static int read_inputs(struct tdm_plain *p) {
	const struct tdm_value *input = tdm_get(p->body, "input");
	if (!input)
		return tdm_fail_param(&p->run.error, TDM_EMISSING, "input", "input: expected a text, or a list of texts");
	int status = tdm_prompts_read(&p->reader, input, "input", MOST_INPUTS, &p->texts);
	for (int i = 0; i < p->texts.n && !status; i++) {
		const struct tdm_prompt *text = &p->texts.items[i];
		if (text->tokens ? !text->n_tokens : !text->message.len)
			status = tdm_fail_param(&p->run.error, TDM_EVALUE, "input", "input[%d]: is empty", i);
	}
	return status;
}

static int read(struct tdm_plain *p) {
	static const struct tdm_field dimensions = {"dimensions", TDM_FIELD_INTEGER, 1, 1 << 20};
	struct asked *a = p->own = tdm_arena_alloc(p->c->arena, sizeof *a);
	if (!a)
		return tdm_reader_memory(&p->reader);
	int status = read_inputs(p);
	if (!status)
		status = read_encoding(p, a);
	if (!status)
		status = tdm_reader_field(&p->reader, p->body, &dimensions);
	a->dimensions = (int64_t)tdm_get_number(p->body, "dimensions", 0);
	return status;
}

static void put_base64(struct tdm_bytes *out, const float *x, int n) {
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t bytes = (size_t)n * 4;
	tdm_bytes_putc(out, '"');
	for (size_t at = 0; at < bytes; at += 3) {
		uint32_t group = 0;
		char text[4];
		for (size_t i = 0; i < 3; i++) {
			uint32_t bits = 0;
			if (at + i < bytes)
				memcpy(&bits, &x[(at + i) / 4], 4);
			group = group << 8 | (bits >> 8 * ((at + i) % 4) & 0xFF); // little-endian on any machine
		}
		for (size_t i = 0; i < 4; i++)
			text[i] = at + i <= bytes ? digits[group >> (18 - 6 * i) & 63] : '=';
		tdm_bytes_add(out, text, 4);
	}
	tdm_bytes_putc(out, '"');
}

static void put_numbers(struct tdm_bytes *out, const float *x, int n) {
	for (int i = 0; i < n; i++) {
		char text[24];
		int len = snprintf(text, sizeof text, "%c%.9g", i ? ',' : '[', (double)x[i]);
		tdm_bytes_add(out, text, (size_t)len);
	}
	tdm_bytes_putc(out, ']');
}

static int work(struct tdm_plain *p) {
	const struct asked *a = p->own;
	const float **x;
	int width = 0, status = tdm_prompts_fit(p->c->arena, p->model, "input", &p->texts, &p->run.error);
	if (!status)
		status = tdm_vectors(p->model, &p->run, &p->texts, a->dimensions, &x, &width);
	tdm_bytes_puts(&p->answer, "{\"object\":\"list\",\"data\":[");
	for (int i = 0; i < p->texts.n && !status; i++) {
		tdm_bytes_printf(&p->answer, "%s{\"object\":\"embedding\",\"index\":%d,\"embedding\":", i ? "," : "", i);
		(a->base64 ? put_base64 : put_numbers)(&p->answer, x[i], width);
		tdm_bytes_putc(&p->answer, '}');
	}
	p->run.record->served = p->model->name;
	tdm_bytes_puts(&p->answer, "],\"model\":");
	tdm_bytes_json(&p->answer, p->model->name, strlen(p->model->name));
	p->has_usage = true;
	return status;
}

void tdm_handle_embeddings(struct tdm_call_context *c) {
	static const struct tdm_plain_kind kind = {"embeddings", read, work};
	tdm_plain_handle(c, &kind);
}
