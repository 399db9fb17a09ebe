// Texts as an encoder was trained to read them: [begin] text [end], and for a pair [begin] text [end] text [end]. The
// rule it protects: what is not one of the classes has no score; nothing is guessed from similar names.
#include "models/local/encoded.h"
#include <math.h>
#include <string.h>

struct text {
	const char *text;
	size_t len;
};

static int add_text(const struct tdm_encoded *e, const struct text *t, int32_t *tokens, int *n, int cap) {
	int count = tdm_tokenize(tdm_engine_vocab(e->engine), t->text, t->len, tokens + *n, cap > *n ? cap - *n : 0);
	if (count < 0)
		return tdm_fail(&e->run->error, count, "model %s: the text cannot be split into tokens", e->name);
	*n += count;
	return TDM_OK;
}

// The tokens of the texts between the marks of beginning and end, as far as the vocabulary has them.
static int tokens_of(const struct tdm_encoded *e, const struct text *texts, int n_texts, int32_t **out, int *n) {
	const struct tdm_vocab *vocab = tdm_engine_vocab(e->engine);
	int32_t bos = tdm_token_bos(vocab), eos = tdm_token_eos(vocab);
	int context = tdm_engine_info(e->engine)->context, status = TDM_OK;
	int32_t *tokens = tdm_arena_array(e->run->arena, (size_t)context + 2, sizeof *tokens);
	if (!tokens)
		return tdm_fail(&e->run->error, TDM_ENOMEM, "model %s: no memory for %d tokens", e->name, context);
	*n = 0;
	if (bos >= 0)
		tokens[(*n)++] = bos;
	for (int i = 0; i < n_texts && !status; i++) {
		status = add_text(e, &texts[i], tokens, n, context);
		if (*n <= context && bos >= 0 && eos >= 0)
			tokens[(*n)++] = eos; // there is room for one token more
	}
	if (!status && *n > context)
		status = tdm_fail(&e->run->error, TDM_ECONTEXT, "model %s: a text of %d tokens; its limit is %d", e->name, *n,
		                  context);
	e->result->prompt_tokens += *n;
	*out = tokens;
	return status;
}

static int classify(const struct tdm_encoded *e, const struct text *texts, int n_texts, float *logits) {
	int32_t *tokens = NULL;
	int n = 0, status = tokens_of(e, texts, n_texts, &tokens, &n);
	return status ? status : tdm_engine_classify(e->engine, tokens, n, e->run->cancelled, logits, &e->run->error);
}

static int class_of(const struct tdm_encoded *e, const char *text) {
	const struct tdm_classes *classes = tdm_engine_classes(e->engine);
	const char *list = "";
	for (int i = 0; i < classes->n; i++)
		if (!strcmp(classes->labels[i], text))
			return i;
	for (int i = 0; i < classes->n && list; i++)
		list = tdm_arena_printf(e->run->arena, "%s%s%.40s", list, i ? ", " : "", classes->labels[i]);
	return tdm_fail(&e->run->error, TDM_EVALUE, "model %s: it knows no class of the asked name; its classes are %.300s",
	                e->name, list ? list : "too many to name");
}

static int score_labels(const struct tdm_encoded *e, const struct text *message, const char *const *texts, size_t n,
                        double *logprobs) {
	float logits[TDM_MOST_CLASSES];
	int n_classes = tdm_engine_classes(e->engine)->n, status = classify(e, message, 1, logits);
	for (size_t i = 0; i < n && !status; i++) {
		int class = class_of(e, texts[i]);
		if (class < 0)
			return class;
		logprobs[i] = (double)tdm_log_softmax_at(logits, n_classes, class);
	}
	return status;
}

static int score_pairs(const struct tdm_encoded *e, const struct text *message, const char *const *texts, size_t n,
                       double *logprobs) {
	float logit;
	int status = TDM_OK;
	for (size_t i = 0; i < n && !status; i++) {
		const struct text pair[] = {*message, {texts[i], strlen(texts[i])}};
		status = classify(e, pair, 2, &logit);
		if (!status) // ln s(x), without overflow on either side
			logprobs[i] = -fmax(-(double)logit, 0) - log1p(exp(-fabs((double)logit)));
	}
	return status;
}

int tdm_encoded_score(const struct tdm_encoded *e, const struct tdm_request *request, const char *const *texts,
                      size_t n, double *logprobs, int *n_tokens) {
	const struct tdm_message *last = request->n_messages ? &request->messages[request->n_messages - 1] : NULL;
	const struct text message = {last ? last->text : "", last ? last->len : 0};
	const struct tdm_vocab *vocab = tdm_engine_vocab(e->engine);
	for (size_t i = 0; i < n && n_tokens; i++)
		n_tokens[i] = tdm_tokenize(vocab, texts[i], strlen(texts[i]), NULL, 0);
	bool is_named = tdm_engine_classes(e->engine)->labels && tdm_engine_classes(e->engine)->n > 1;
	return (is_named ? score_labels : score_pairs)(e, &message, texts, n, logprobs);
}
