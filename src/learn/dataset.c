// Dataset: reading and tokenizing in parallel parts of the file, joined in the file's order (see dataset.h).
#include "learn/dataset.h"
#include "base/file.h"
#include "base/random.h"
#include "base/value.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TURNS = 64, MAX_FAMILIES = 4096, LINE_LIMIT_BYTES = 16 << 20 };

struct reader { // one part of the file, read by one thread
	const char *path, *text;
	size_t n, first_line; // bytes; lines before it
	const struct tdm_vocab *vocab;
	const struct tdm_chat_format *chat;
	int context;
	struct tdm_dataset out;
	size_t tokens_cap, answer_cap, docs_cap, families_cap;
	int32_t *prefix, *whole; // room for one conversation each
	int room;
	int status;
	struct tdm_error error;
};

static int grow(void *array, size_t *cap, size_t need, size_t item_bytes) {
	if (need <= *cap)
		return TDM_OK;
	size_t more = need + need / 2 + 1024;
	void *old, *p;
	memcpy(&old, array, sizeof(old));
	p = realloc(old, more * item_bytes);
	if (!p)
		return TDM_ENOMEM;
	memcpy(array, &p, sizeof(p));
	*cap = more;
	return TDM_OK;
}

static int family_of(struct tdm_dataset *d, size_t *cap, const char *name) {
	for (int i = 0; i < d->n_families; i++)
		if (!strcmp(d->families[i], name))
			return i;
	if (d->n_families >= MAX_FAMILIES || grow(&d->families, cap, (size_t)d->n_families + 1, sizeof(char *)))
		return -1;
	d->families[d->n_families] = strdup(name);
	return d->families[d->n_families] ? d->n_families++ : -1;
}

// --- one conversation

static int read_turns(const struct tdm_value *list, struct tdm_message *turns, size_t *n) {
	static const char *const roles[] = {"system", "user", "assistant"};
	*n = 0;
	if (!list || list->type != TDM_LIST || list->n > MAX_TURNS)
		return TDM_EFORMAT;
	for (size_t i = 0; i < list->n; i++) {
		const char *role = tdm_get_string(&list->items[i], "role");
		const struct tdm_value *content = tdm_get(&list->items[i], "content");
		size_t r = 0;
		while (role && r < 3 && strcmp(role, roles[r]))
			r++;
		if (!role || r == 3 || !content || content->type != TDM_STRING)
			return TDM_EFORMAT;
		turns[(*n)++] = (struct tdm_message){.from = (enum tdm_author)r, .text = content->text, .len = content->len};
	}
	return *n ? TDM_OK : TDM_EFORMAT;
}

static int conversation_tokens(struct reader *r, const struct tdm_message *turns, size_t n, bool reply, int32_t **out) {
	for (;;) {
		int count = tdm_chat_tokens(r->chat, r->vocab, turns, n, reply, false, *out, r->room, &r->error);
		if (count <= r->room)
			return count;
		int room = count + 1024;
		int32_t *prefix = realloc(r->prefix, (size_t)room * sizeof(int32_t));
		r->prefix = prefix ? prefix : r->prefix;
		int32_t *whole = realloc(r->whole, (size_t)room * sizeof(int32_t));
		r->whole = whole ? whole : r->whole;
		if (!prefix || !whole)
			return TDM_ENOMEM;
		r->room = room;
	}
}

// Marks the answer of turn k, whose tokens follow what the model sees when it is asked. Returns the length of the
// conversation up to the end of this answer.
static int mark_answer(struct reader *r, const struct tdm_message *turns, size_t k, uint8_t *answer, int n_cap) {
	int from = conversation_tokens(r, turns, k, true, &r->prefix);
	int to = from < 0 ? from : conversation_tokens(r, turns, k + 1, false, &r->whole);
	if (to < 0)
		return to;
	if (from >= to || memcmp(r->prefix, r->whole, (size_t)from * sizeof(int32_t)))
		return TDM_EFORMAT;
	while (to > from && !tdm_token_is_end(r->vocab, r->whole[to - 1]))
		to--;
	if (to == from || to > n_cap)
		return to == from ? TDM_EFORMAT : to;
	memset(answer + from, 1, (size_t)(to - from));
	return to;
}

static int add_document(struct reader *r, const struct tdm_message *turns, size_t n_turns, int family) {
	struct tdm_dataset *d = &r->out;
	size_t room = d->n_tokens + (size_t)r->context + 1;
	if (grow(&d->tokens, &r->tokens_cap, room, sizeof(int32_t)) || grow(&d->answer, &r->answer_cap, room, 1) ||
	    grow(&d->docs, &r->docs_cap, d->n_docs + 1, sizeof(struct tdm_document)))
		return TDM_ENOMEM;
	uint8_t *answer = d->answer + d->n_tokens;
	memset(answer, 0, (size_t)r->context + 1);
	int n = 0;
	for (size_t k = 0; k < n_turns && n >= 0 && n <= r->context + 1; k++)
		if (turns[k].from == TDM_FROM_ASSISTANT)
			n = mark_answer(r, turns, k, answer, r->context + 1);
	if (n <= 0)
		return n ? n : TDM_EFORMAT;
	if (n > r->context + 1) {
		d->n_too_long++;
		return TDM_OK;
	}
	memcpy(d->tokens + d->n_tokens, r->whole, (size_t)n * sizeof(int32_t));
	int n_answer = 0;
	for (int i = 0; i < n; i++)
		n_answer += answer[i];
	d->docs[d->n_docs++] = (struct tdm_document){.start = d->n_tokens, .n = n, .n_answer = n_answer, .family = family};
	d->n_tokens += (size_t)n;
	return TDM_OK;
}

static int read_line(struct reader *r, struct tdm_arena *arena, const char *line, size_t n, size_t number) {
	struct tdm_value *value;
	struct tdm_message turns[MAX_TURNS];
	size_t n_turns;
	if (tdm_json_parse(arena, line, n, &value, &r->error)) {
		struct tdm_error why = r->error;
		tdm_error_clear(&r->error);
		return tdm_fail(&r->error, TDM_EFORMAT, "%s line %zu: %s", r->path, number, why.text);
	}
	if (read_turns(tdm_get(value, "messages"), turns, &n_turns))
		return tdm_fail(&r->error, TDM_EFORMAT,
		                "%s line %zu: expected 1 to %d messages with role system, user or assistant and a text content",
		                r->path, number, MAX_TURNS);
	const char *name = tdm_get_string(value, "family");
	int family = family_of(&r->out, &r->families_cap, name ? name : "all");
	if (family < 0)
		return tdm_fail(&r->error, TDM_ENOMEM, "%s line %zu: more than %d families", r->path, number, MAX_FAMILIES);
	int status = add_document(r, turns, n_turns, family);
	if (status == TDM_ENOMEM)
		return tdm_fail(&r->error, TDM_ENOMEM, "no memory for the tokens of %s", r->path);
	if (status)
		return tdm_fail(&r->error, status, "%s line %zu: no answer that ends with an end token", r->path, number);
	return TDM_OK;
}

static void read_part(void *arg, int part, int n_parts) {
	struct reader *r = (struct reader *)arg + part;
	struct tdm_arena arena;
	tdm_arena_init(&arena, LINE_LIMIT_BYTES);
	size_t at = 0;
	for (size_t number = r->first_line + 1; at < r->n && !r->status; number++) {
		const char *line = r->text + at, *end = memchr(line, '\n', r->n - at);
		size_t n = end ? (size_t)(end - line) : r->n - at;
		at += n + 1;
		if (n)
			r->status = read_line(r, &arena, line, n, number);
		tdm_arena_release(&arena);
	}
}

// --- parts

static size_t count_lines(const char *text, size_t n) {
	size_t lines = 0;
	for (const char *p = text, *end = text + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

static void cut(struct reader *readers, int n_parts, const struct reader *like, const char *text, size_t n) {
	size_t from = 0, lines = 0;
	for (int i = 0; i < n_parts; i++) {
		size_t to = i == n_parts - 1 ? n : n / (size_t)n_parts * (size_t)(i + 1);
		to = to < from ? from : to;
		while (to < n && to > from && text[to - 1] != '\n')
			to++;
		readers[i] = *like;
		readers[i].text = text + from;
		readers[i].n = to - from;
		readers[i].first_line = lines;
		lines += count_lines(text + from, to - from);
		from = to;
	}
}

static int join_part(struct tdm_dataset *out, size_t *families_cap, const struct tdm_dataset *part) {
	for (size_t i = 0; i < part->n_docs; i++) {
		struct tdm_document doc = part->docs[i];
		doc.start += out->n_tokens;
		doc.family = family_of(out, families_cap, part->families[doc.family]);
		if (doc.family < 0)
			return TDM_ENOMEM;
		out->docs[out->n_docs++] = doc;
	}
	memcpy(out->tokens + out->n_tokens, part->tokens, part->n_tokens * sizeof(int32_t));
	memcpy(out->answer + out->n_tokens, part->answer, part->n_tokens);
	out->n_tokens += part->n_tokens;
	out->n_too_long += part->n_too_long;
	return TDM_OK;
}

static int join(struct tdm_dataset *out, struct reader *readers, int n_parts, const char *path, struct tdm_error *err) {
	size_t n_tokens = 0, n_docs = 0, families_cap = 0;
	for (int i = 0; i < n_parts; i++) {
		if (readers[i].status)
			return tdm_fail(err, readers[i].status, "%s", readers[i].error.text);
		n_tokens += readers[i].out.n_tokens;
		n_docs += readers[i].out.n_docs;
	}
	if (!n_docs)
		return tdm_fail(err, TDM_EFORMAT, "%s: no conversation that fits the context", path);
	out->tokens = malloc(n_tokens * sizeof(int32_t));
	out->answer = malloc(n_tokens);
	out->docs = malloc(n_docs * sizeof(struct tdm_document));
	int status = out->tokens && out->answer && out->docs ? TDM_OK : TDM_ENOMEM;
	for (int i = 0; i < n_parts && !status; i++)
		if (readers[i].out.n_docs || readers[i].out.n_too_long)
			status = readers[i].out.n_docs ? join_part(out, &families_cap, &readers[i].out)
			                               : (out->n_too_long += readers[i].out.n_too_long, TDM_OK);
	return status ? tdm_fail(err, status, "no memory for the tokens of %s", path) : TDM_OK;
}

int tdm_dataset_load(struct tdm_dataset *out, const char *path, const struct tdm_vocab *vocab,
                     const struct tdm_chat_format *chat, int context, struct tdm_pool *pool, struct tdm_error *err) {
	*out = (struct tdm_dataset){0};
	struct tdm_mapping file;
	int n_parts = tdm_pool_size(pool), status = tdm_map_open(path, &file, err);
	if (status)
		return status;
	struct reader *readers = calloc((size_t)n_parts, sizeof(*readers));
	if (readers) {
		struct reader like = {.path = path, .vocab = vocab, .chat = chat, .context = context};
		cut(readers, n_parts, &like, file.data, file.n);
		tdm_pool_run(pool, read_part, readers, n_parts);
		status = join(out, readers, n_parts, path, err);
	} else {
		status = tdm_fail(err, TDM_ENOMEM, "no memory to read %s", path);
	}
	for (int i = 0; readers && i < n_parts; i++) {
		tdm_dataset_release(&readers[i].out);
		free(readers[i].prefix);
		free(readers[i].whole);
	}
	free(readers);
	tdm_map_close(&file);
	if (status)
		tdm_dataset_release(out);
	return status;
}

void tdm_dataset_release(struct tdm_dataset *d) {
	for (int i = 0; i < d->n_families; i++)
		free(d->families[i]);
	free(d->families);
	free(d->tokens);
	free(d->answer);
	free(d->docs);
	*d = (struct tdm_dataset){0};
}

static float answer_weight(const struct tdm_document *doc, struct tdm_weighting by) {
	return doc->n_answer ? powf((float)doc->n_answer, -by.length_power) : 1;
}

bool tdm_dataset_add(const struct tdm_dataset *d, size_t i, struct tdm_weighting by, struct tdm_batch *batch,
                     float *scratch) {
	const struct tdm_document *doc = &d->docs[i];
	float weight = answer_weight(doc, by);
	for (int k = 0; k < doc->n; k++)
		scratch[k] = d->answer[doc->start + (size_t)k] ? weight : weight * by.prompt;
	return tdm_batch_add(batch, d->tokens + doc->start, scratch, doc->n);
}

double tdm_dataset_weight(const struct tdm_dataset *d, size_t i, struct tdm_weighting by) {
	const struct tdm_document *doc = &d->docs[i];
	return (double)answer_weight(doc, by) * (doc->n_answer + (double)by.prompt * (doc->n - 1 - doc->n_answer));
}

// --- order

static void shuffle(struct tdm_order *o) {
	struct tdm_rng rng;
	tdm_rng_stream(&rng, o->seed, "epoch", o->epoch);
	for (size_t i = 0; i < o->n; i++)
		o->items[i] = (uint32_t)i;
	for (size_t i = o->n; i > 1; i--) {
		size_t k = (size_t)tdm_rng_below(&rng, i);
		uint32_t t = o->items[i - 1];
		o->items[i - 1] = o->items[k];
		o->items[k] = t;
	}
}

int tdm_order_init(struct tdm_order *o, size_t n, uint64_t seed, uint64_t epoch, uint64_t at, struct tdm_error *err) {
	*o = (struct tdm_order){.seed = seed, .epoch = epoch, .at = at, .n = n};
	if (!n || at >= n || n > UINT32_MAX)
		return tdm_fail(err, TDM_EVALUE, "place %llu of %zu documents is outside the data", (unsigned long long)at, n);
	o->items = malloc(n * sizeof(uint32_t));
	if (!o->items)
		return tdm_fail(err, TDM_ENOMEM, "no memory for the order of %zu documents", n);
	shuffle(o);
	return TDM_OK;
}

void tdm_order_release(struct tdm_order *o) {
	free(o->items);
	*o = (struct tdm_order){0};
}

size_t tdm_order_peek(const struct tdm_order *o) {
	return o->items[o->at];
}

void tdm_order_advance(struct tdm_order *o) {
	if (++o->at < o->n)
		return;
	o->at = 0;
	o->epoch++;
	shuffle(o);
}
