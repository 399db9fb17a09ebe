// POST /v1/rerank: documents in the order in which they answer a query.
//
// A model that ranks gives the probability that a document belongs to the query; any other that makes vectors, their
// cosine.
#include "serve/formats/plain.h"
#include "serve/formats/vectors.h"
#include <stdlib.h>
#include <string.h>

#define MOST_DOCUMENTS 2048

struct ranked {
	int index;
	double score;
};

struct asked {
	int64_t top_n; // 0 = all
	bool shows;    // the documents come back
	struct ranked *order;
};

// texts: the query, then the documents.
static int read_documents(struct tdm_plain *p) {
	const struct tdm_value *list = tdm_get(p->body, "documents");
	if (!list)
		return tdm_fail_param(&p->run.error, TDM_EMISSING, "documents", "documents: expected a list of texts");
	if (list->type != TDM_LIST)
		return tdm_reader_wrong(&p->reader, "documents", "a list of texts", list);
	if (!list->n || list->n > MOST_DOCUMENTS)
		return tdm_fail_param(&p->run.error, TDM_EVALUE, "documents", "documents: expected 1 to %d, got %zu",
		                      MOST_DOCUMENTS, list->n);
	p->texts.items = tdm_arena_array(p->c->arena, list->n + 1, sizeof *p->texts.items);
	if (!p->texts.items)
		return tdm_reader_memory(&p->reader);
	for (size_t i = 0; i < list->n; i++) {
		const struct tdm_value *v = &list->items[i], *text = v->type == TDM_MAP ? tdm_get(v, "text") : v;
		const char *param = tdm_arena_printf(p->c->arena, "documents[%zu]", i);
		if (!text || text->type != TDM_STRING || memchr(text->text, 0, text->len))
			return tdm_reader_wrong(&p->reader, param ? param : "documents", "a text, or an object with one", v);
		p->texts.items[i + 1].message =
		    (struct tdm_message){.from = TDM_FROM_USER, .text = text->text, .len = text->len};
	}
	p->texts.n = (int)list->n + 1;
	return TDM_OK;
}

static int read(struct tdm_plain *p) {
	static const struct tdm_field top_n = {"top_n", TDM_FIELD_INTEGER, 1, 1 << 20};
	const struct tdm_value *query = tdm_get(p->body, "query");
	struct asked *a = p->own = tdm_arena_alloc(p->c->arena, sizeof *a);
	if (!a)
		return tdm_reader_memory(&p->reader);
	if (!query)
		return tdm_fail_param(&p->run.error, TDM_EMISSING, "query", "query: expected a text");
	if (query->type != TDM_STRING || !query->len)
		return tdm_reader_wrong(&p->reader, "query", "a text that is not empty", query);
	int status = read_documents(p);
	if (!status)
		status = tdm_reader_field(&p->reader, p->body, &top_n);
	if (!status)
		status = tdm_reader_bool(&p->reader, p->body, "return_documents", "return_documents", &a->shows);
	if (status)
		return status;
	p->texts.items[0].message = (struct tdm_message){.from = TDM_FROM_USER, .text = query->text, .len = query->len};
	a->top_n = (int64_t)tdm_get_number(p->body, "top_n", 0);
	a->order = tdm_arena_array(p->c->arena, (size_t)p->texts.n, sizeof *a->order);
	return a->order ? TDM_OK : tdm_reader_memory(&p->reader);
}

static int rank_by_score(struct tdm_plain *p, struct ranked *order, size_t n) {
	struct tdm_request request;
	const char **texts = tdm_arena_array(p->c->arena, n, sizeof *texts);
	double *ln = tdm_arena_array(p->c->arena, n, sizeof *ln);
	if (!texts || !ln)
		return tdm_reader_memory(&p->reader);
	tdm_request_init(&request);
	request.messages = &p->texts.items[0].message;
	request.n_messages = 1;
	for (size_t i = 0; i < n; i++)
		texts[i] = p->texts.items[i + 1].message.text;
	int status = tdm_score(p->model, &p->run, &request, texts, n, ln, NULL);
	for (size_t i = 0; i < n && !status; i++)
		order[i] = (struct ranked){(int)i, exp(ln[i])};
	return status;
}

static int rank_by_vectors(struct tdm_plain *p, struct ranked *order, size_t n) {
	const float **x;
	int width = 0, status = tdm_vectors(p->model, &p->run, &p->texts, 0, &x, &width);
	for (size_t i = 0; i < n && !status; i++) {
		order[i] = (struct ranked){(int)i, 0};
		for (int k = 0; k < width; k++)
			order[i].score += (double)x[0][k] * (double)x[i + 1][k];
	}
	return status;
}

static int best_first(const void *a, const void *b) {
	const struct ranked *x = a, *y = b;
	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	return x->index - y->index;
}

static void write_results(struct tdm_plain *p, const struct asked *a, size_t n) {
	struct tdm_bytes *out = &p->answer;
	tdm_bytes_puts(out, "{\"object\":\"list\",\"model\":");
	tdm_bytes_json(out, p->model->name, strlen(p->model->name));
	tdm_bytes_puts(out, ",\"results\":[");
	for (size_t i = 0; i < n; i++) {
		const struct tdm_message *text = &p->texts.items[a->order[i].index + 1].message;
		tdm_bytes_printf(out, "%s{\"index\":%d,\"relevance_score\":", i ? "," : "", a->order[i].index);
		tdm_bytes_number(out, a->order[i].score);
		if (a->shows) {
			tdm_bytes_puts(out, ",\"document\":{\"text\":");
			tdm_bytes_json(out, text->text, text->len);
			tdm_bytes_putc(out, '}');
		}
		tdm_bytes_putc(out, '}');
	}
	tdm_bytes_putc(out, ']');
}

static int work(struct tdm_plain *p) {
	const struct asked *a = p->own;
	size_t n = (size_t)p->texts.n - 1;
	unsigned can = p->model->can;
	bool ranks = (can & TDM_CAN_SCORE) && !(can & TDM_CAN_TEXT && can & TDM_CAN_EMBED);
	if (!ranks && !(can & TDM_CAN_EMBED))
		return tdm_fail_param(&p->run.error, TDM_ECAPABILITY, "model", "model %s can neither rank nor make vectors",
		                      p->model->name);
	int status = (ranks ? rank_by_score : rank_by_vectors)(p, a->order, n);
	if (status)
		return status;
	qsort(a->order, n, sizeof *a->order, best_first);
	p->run.record->served = p->model->name;
	write_results(p, a, a->top_n && (size_t)a->top_n < n ? (size_t)a->top_n : n);
	p->has_usage = true;
	return TDM_OK;
}

void tdm_handle_rerank(struct tdm_call_context *c) {
	static const struct tdm_plain_kind kind = {"rerank", read, work};
	tdm_plain_handle(c, &kind);
}
