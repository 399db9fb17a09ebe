#include "cost/defer/dictate.h"
#include "base/text.h"
#include "models/align.h"
#include <stdlib.h>

enum { TEXT_LIMIT = 1 << 28 };

struct tdm_dictation {
	struct tdm_session *target;
	struct tdm_scribe *scribe;
	struct tdm_bytes text; // the end of the prompt, and the answer
	size_t n_before;
	int32_t end; // what ends an answer; -1 = nothing
};

struct tdm_dictation *tdm_dictation_new(struct tdm_session *target, int32_t end, struct tdm_model *writer,
                                        const struct tdm_request *request, double min_prob) {
	char before[TDM_ALIGN_BEHIND];
	struct tdm_dictation *d = calloc(1, sizeof *d);
	if (!d)
		return NULL;
	*d = (struct tdm_dictation){.target = target, .end = end, .n_before = tdm_align_before(target, before)};
	tdm_bytes_init(&d->text, TEXT_LIMIT);
	tdm_bytes_add(&d->text, before, d->n_before);
	d->scribe = tdm_scribe_new(writer, request, min_prob);
	if (d->scribe)
		return d;
	tdm_dictation_free(d, NULL, 0);
	return NULL;
}

bool tdm_dictation_hear(struct tdm_dictation *d, int32_t token) {
	const char *piece;
	size_t n = d->target->ops->piece(d->target, token, &piece);
	tdm_bytes_add(&d->text, piece, n);
	return !d->text.failed;
}

// A text that ends inside a word may end inside a token, so its last one is left out.
static int split(struct tdm_dictation *d, const struct tdm_written *w, int32_t *tokens, int cap) {
	size_t *ends = malloc((size_t)cap * sizeof *ends), before = d->text.len, kept = w->len;
	kept -= tdm_utf8_partial(w->text, w->len);
	bool is_whole = kept > 0 && (w->is_end || w->text[kept - 1] == ' ' || w->text[kept - 1] == '\n');
	int n = 0;
	tdm_bytes_add(&d->text, w->text, kept);
	if (ends && !d->text.failed)
		n = tdm_align_split(d->target, d->text.data, before, d->text.len, tokens, ends, cap);
	bool is_all = n > 0 && ends[n - 1] == d->text.len;
	free(ends);
	if (!d->text.failed) {
		d->text.len = before;
		d->text.data[before] = 0;
	}
	return is_all && !is_whole ? n - 1 : n;
}

void tdm_dictation_guess(struct tdm_dictation *d, struct tdm_run *run, int n, int64_t most_us, struct tdm_guess *out) {
	struct tdm_written w;
	*out = (struct tdm_guess){0};
	size_t len = d->text.len - d->n_before;
	if (n > TDM_GUESS_MOST)
		n = TDM_GUESS_MOST;
	if (n <= 0 || tdm_utf8_partial(d->text.data ? d->text.data : "", d->text.len) > 0)
		return;
	tdm_scribe_write(d->scribe, run, d->text.data ? d->text.data + d->n_before : "", len, n, most_us, &w);
	if (w.len > 0)
		out->n = split(d, &w, out->tokens, n);
	if (w.is_end && d->end >= 0 && out->n < n)
		out->tokens[out->n++] = d->end;
	for (int i = 0; i < out->n; i++)
		out->parents[i] = i - 1;
}

const char *tdm_dictation_silence(const struct tdm_dictation *d) {
	return tdm_scribe_silence(d->scribe);
}

void tdm_dictation_free(struct tdm_dictation *d, struct tdm_run *run, int status) {
	if (!d)
		return;
	tdm_scribe_free(d->scribe, run, status);
	tdm_bytes_release(&d->text);
	free(d);
}
