// Fit tagger: see fit_tagger.h.
#include "learn/fit_tagger.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FORGET_LIST .25 // how often the lists do not know a name while it learns
#define FORGET_WORD .05 // nor a common word

struct weights {
	float *now, *past; // past: each change times the step it was made at
	float bias[TDM_N_TAGS], bias_past[TDM_N_TAGS];
	float next[TDM_N_TAGS][TDM_N_TAGS], next_past[TDM_N_TAGS][TDM_N_TAGS];
};

struct fit {
	const struct tdm_fit_tagger *o;
	struct tdm_error *error;
	struct tdm_rng rng;
	struct weights w;
	float step;
	struct tdm_terms terms;
	uint8_t *gold; // of the terms
	size_t cap_gold;
	struct tdm_facts facts[TDM_TAGGER_WINDOW];
	uint64_t features[TDM_TAGGER_WINDOW][TDM_TAGGER_FEATURES];
	int n_features[TDM_TAGGER_WINDOW];
	float scores[TDM_TAGGER_WINDOW][TDM_N_TAGS];
	uint8_t tags[TDM_TAGGER_WINDOW];
	uint64_t words, wrong;
};

static void add(float *now, float *past, float step, float by) {
	*now += by;
	*past += by * step;
}

static void change(struct fit *f, size_t i, int tag, float by) {
	for (int k = 0; k < f->n_features[i]; k++) {
		size_t slot = tdm_tagger_slot(f->o->log2_slots, f->features[i][k]) + (size_t)tag;
		add(&f->w.now[slot], &f->w.past[slot], f->step, by);
	}
	add(&f->w.bias[tag], &f->w.bias_past[tag], f->step, by);
}

static void score(struct fit *f, size_t i) {
	float sums[TDM_N_TAGS];
	memcpy(sums, f->w.bias, sizeof sums);
	for (int k = 0; k < f->n_features[i]; k++) {
		const float *w = f->w.now + tdm_tagger_slot(f->o->log2_slots, f->features[i][k]);
		for (int t = 0; t < TDM_N_TAGS; t++)
			sums[t] += w[t];
	}
	memcpy(f->scores[i], sums, sizeof sums);
}

static void learn_sentence(struct fit *f, const char *text, const struct tdm_term *terms, const uint8_t *gold,
                           size_t n) {
	for (size_t i = 0; i < n; i++)
		tdm_facts_read(text, &terms[i], &f->facts[i]);
	for (size_t i = 0; i < n; i++) {
		f->n_features[i] = tdm_features_of(f->facts, n, i, f->features[i]);
		score(f, i);
	}
	tdm_tagger_path((const float(*)[TDM_N_TAGS])f->scores, n, (const float(*)[TDM_N_TAGS])f->w.next, f->tags);
	f->step++;
	f->words += n;
	for (size_t i = 0; i < n; i++) {
		if (f->tags[i] != gold[i]) {
			change(f, i, gold[i], 1);
			change(f, i, f->tags[i], -1);
			f->wrong++;
		}
		if (i && (f->tags[i] != gold[i] || f->tags[i - 1] != gold[i - 1])) {
			int a = gold[i - 1], b = gold[i], c = f->tags[i - 1], d = f->tags[i];
			add(&f->w.next[a][b], &f->w.next_past[a][b], f->step, 1);
			add(&f->w.next[c][d], &f->w.next_past[c][d], f->step, -1);
		}
	}
}

// The tags of the terms, from the spans. A term that a span touches belongs to it.
static void label(const struct tdm_labelled *text, const struct tdm_terms *terms, uint8_t *gold) {
	size_t span = 0;
	for (size_t i = 0; i < terms->n; i++) {
		const struct tdm_term *t = &terms->items[i];
		gold[i] = TDM_TAG_O;
		while (span < text->n && text->spans[span].end <= t->start)
			span++;
		if (span == text->n || text->spans[span].start >= t->end)
			continue;
		bool begins = i == 0 || terms->items[i - 1].end <= text->spans[span].start || tdm_terms_break(terms, i);
		bool ends =
		    i + 1 == terms->n || terms->items[i + 1].start >= text->spans[span].end || tdm_terms_break(terms, i + 1);
		int position = begins ? ends ? TDM_TAG_U : TDM_TAG_B : ends ? TDM_TAG_L : TDM_TAG_I;
		gold[i] = (uint8_t)tdm_tag_of(position, (int)text->spans[span].kind);
	}
}

// Lists do not know every name that will come.
static void forget(struct fit *f) {
	const uint8_t word = 1 << TDM_LIST_WORD;
	for (size_t i = 0; i < f->terms.n; i++) {
		struct tdm_term *t = &f->terms.items[i];
		if (t->lists & ~word && tdm_rng_double(&f->rng) < FORGET_LIST)
			t->lists &= word;
		if (t->lists & word && tdm_rng_double(&f->rng) < FORGET_WORD)
			t->lists &= (uint8_t)~word;
	}
}

static int cut(struct fit *f, const struct tdm_labelled *text) {
	uint8_t seen[TDM_MEMORY_BYTES] = {0};
	f->terms.n = 0;
	int status = tdm_terms_cut(text->text.data ? text->text.data : "", text->text.len, &f->terms, f->error);
	if (status == TDM_OK && f->terms.cap > f->cap_gold) {
		free(f->gold);
		f->cap_gold = f->terms.cap;
		f->gold = malloc(f->cap_gold);
		if (!f->gold)
			status = tdm_fail(f->error, TDM_ENOMEM, "fit-tagger: no memory for %zu words", f->cap_gold);
	}
	if (status != TDM_OK)
		return status;
	tdm_gazetteer_mark(&f->o->lists, text->text.data, f->terms.items, f->terms.n);
	tdm_memory_mark(f->terms.items, f->terms.n, seen);
	label(text, &f->terms, f->gold);
	return TDM_OK;
}

static size_t sentence_at(const struct tdm_terms *terms, size_t i) { // its length
	size_t n = 1;
	while (i + n < terms->n && n < TDM_TAGGER_WINDOW && !tdm_terms_break(terms, i + n))
		n++;
	return n;
}

static enum tdm_case draw_case(struct tdm_rng *rng) {
	double x = tdm_rng_double(rng);
	return x < .4 ? TDM_CASE_LOWER : x < .5 ? TDM_CASE_UPPER : x < .6 ? TDM_CASE_TITLE : TDM_CASE_SAME;
}

static int learn(struct fit *f, struct tdm_labelled *text) {
	tdm_labelled_case(text, draw_case(&f->rng));
	int status = cut(f, text);
	if (status != TDM_OK)
		return status;
	forget(f);
	for (size_t i = 0, n; i < f->terms.n; i += n) {
		n = sentence_at(&f->terms, i);
		learn_sentence(f, text->text.data, f->terms.items + i, f->gold + i, n);
	}
	return TDM_OK;
}

// One text of the epoch: number i of a drawn order.
static int learn_one(struct fit *f, size_t i, struct tdm_labelled *text) {
	int status = TDM_OK;
	if (i >= (size_t)f->o->texts) {
		const struct tdm_labelled *kept = &f->o->corpus->items[i - (size_t)f->o->texts];
		struct tdm_bytes bytes = text->text;
		*text = *kept;
		text->text = bytes;
		tdm_bytes_clear(&text->text);
		tdm_bytes_add(&text->text, kept->text.data, kept->text.len);
	} else {
		status = tdm_tagger_text_make(f->o->text, &f->rng, text, f->error);
	}
	return status == TDM_OK ? learn(f, text) : status;
}

static void shuffle(struct tdm_rng *rng, uint32_t *order, size_t n) {
	for (size_t i = n; i > 1; i--) {
		size_t k = (size_t)tdm_rng_below(rng, i);
		uint32_t other = order[k];
		order[k] = order[i - 1];
		order[i - 1] = other;
	}
}

static int learn_all(struct fit *f) {
	size_t n = (size_t)f->o->texts + (f->o->corpus ? f->o->corpus->n : 0);
	struct tdm_labelled text = {0};
	uint32_t *order = calloc(n + 1, sizeof *order);
	int status = order ? TDM_OK : tdm_fail(f->error, TDM_ENOMEM, "fit-tagger: no memory for %zu texts", n);
	tdm_bytes_init(&text.text, (size_t)1 << 16);
	for (size_t i = 0; i < n && order; i++)
		order[i] = (uint32_t)i;
	for (int64_t epoch = 0; epoch < f->o->epochs && status == TDM_OK; epoch++) {
		f->words = f->wrong = 0;
		shuffle(&f->rng, order, n);
		for (size_t i = 0; i < n && status == TDM_OK; i++)
			status = learn_one(f, order[i], &text);
		if (f->o->epoch_done)
			f->o->epoch_done(f->o->arg, epoch, f->words ? (double)f->wrong / (double)f->words : 0);
	}
	tdm_bytes_release(&text.text);
	free(order);
	return status;
}

static float averaged(float now, float past, float step) {
	return now - past / step;
}

static int finish(struct fit *f, struct tdm_tagger *out) {
	size_t n = (size_t)1 << f->o->log2_slots;
	float most = 1e-6f;
	int8_t *weights = malloc(n);
	if (!weights)
		return tdm_fail(f->error, TDM_ENOMEM, "fit-tagger: no memory for %zu weights", n);
	for (size_t i = 0; i < n; i++)
		most = fmaxf(most, fabsf(averaged(f->w.now[i], f->w.past[i], f->step)));
	for (size_t i = 0; i < n; i++)
		weights[i] = (int8_t)lrintf(averaged(f->w.now[i], f->w.past[i], f->step) * 127 / most);
	for (int t = 0; t < TDM_N_TAGS; t++) {
		out->bias[t] = averaged(f->w.bias[t], f->w.bias_past[t], f->step);
		for (int u = 0; u < TDM_N_TAGS; u++)
			out->next[t][u] = averaged(f->w.next[t][u], f->w.next_past[t][u], f->step);
	}
	out->scale = most / 127;
	out->log2_slots = f->o->log2_slots;
	out->lists = f->o->lists;
	out->weights = out->owned = weights;
	return TDM_OK;
}

int tdm_fit_tagger(const struct tdm_fit_tagger *o, struct tdm_tagger *out, struct tdm_error *err) {
	*out = (struct tdm_tagger){0};
	if (o->epochs < 1 || o->texts < 1 || o->log2_slots < 10 || o->log2_slots > 24)
		return tdm_fail(err, TDM_EVALUE, "fit-tagger: expected an epoch, a text and 10 to 24 bits of slots at least");
	struct fit *f = calloc(1, sizeof *f);
	size_t n = (size_t)1 << o->log2_slots;
	int status = TDM_ENOMEM;
	if (f) {
		f->o = o;
		f->error = err;
		f->step = 1;
		tdm_rng_stream(&f->rng, o->seed, "tagger", 0);
		f->w.now = calloc(n, sizeof *f->w.now);
		f->w.past = calloc(n, sizeof *f->w.past);
	}
	if (f && f->w.now && f->w.past)
		status = learn_all(f);
	if (status == TDM_OK)
		status = finish(f, out);
	if (f) {
		free(f->w.now);
		free(f->w.past);
		free(f->gold);
		tdm_terms_release(&f->terms);
	}
	free(f);
	return status == TDM_OK ? TDM_OK : tdm_fail(err, status, "fit-tagger: no memory for %zu weights", n);
}

// --- measuring

struct marks {
	const struct tdm_term *items;
	bool *tagged;
};

static int on_name(void *arg, enum tdm_tag_kind kind, const struct tdm_term *first, const struct tdm_term *last) {
	struct marks *m = arg;
	for (const struct tdm_term *t = first; t <= last; t++)
		m->tagged[t - m->items] = true;
	return TDM_OK;
}

static int measure_text(const struct tdm_tagger *tagger, struct fit *f, const struct tdm_labelled *text, float bias,
                        struct tdm_tagger_measure *out) {
	uint8_t seen[TDM_MEMORY_BYTES] = {0};
	int status = cut(f, text);
	bool *tagged = calloc(f->terms.n + 1, sizeof *tagged);
	struct marks marks = {f->terms.items, tagged};
	if (status == TDM_OK && !tagged)
		status = tdm_fail(f->error, TDM_ENOMEM, "fit-tagger: no memory for %zu words", f->terms.n);
	if (status == TDM_OK)
		status = tdm_tagger_find(tagger, text->text.data, &f->terms, bias, seen, on_name, &marks);
	for (size_t i = 0; i < f->terms.n && status == TDM_OK; i++) {
		if (f->terms.items[i].letters == 0)
			continue;
		*(f->gold[i] ? &out->names : &out->others) += 1;
		*(f->gold[i] ? &out->found : &out->taken) += tagged[i];
	}
	free(tagged);
	return status;
}

int tdm_tagger_measure(const struct tdm_tagger *tagger, const struct tdm_tagger_corpus *corpus, float bias,
                       enum tdm_case how, struct tdm_tagger_measure *out, struct tdm_error *err) {
	const struct tdm_fit_tagger o = {.lists = tagger->lists};
	struct fit *f = calloc(1, sizeof *f);
	struct tdm_tagger_corpus copy = {0};
	int status = f ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "fit-tagger: no memory to measure");
	for (size_t i = 0; i < corpus->n && status == TDM_OK; i++) {
		f->o = &o;
		f->error = err;
		status = tdm_tagger_corpus_add(&copy, &corpus->items[i], err);
		if (status == TDM_OK) {
			tdm_labelled_case(&copy.items[i], how);
			status = measure_text(tagger, f, &copy.items[i], bias, out);
		}
	}
	if (f) {
		free(f->gold);
		tdm_terms_release(&f->terms);
	}
	free(f);
	tdm_tagger_corpus_release(&copy);
	return status;
}
