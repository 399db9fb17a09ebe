// What this engine says: logits through sequences, as the program asks for them; layers by looking into a pass.
#include "compare.h"
#include "engine/decoder_parts.h"
#include "engine/encoder.h"
#include <stdlib.h>
#include <string.h>

bool tdm_said_init(struct tdm_said *s, const struct tdm_shape *shape, int n) {
	*s = (struct tdm_said){n, shape->n_vocab, shape->width, shape->n_layers, shape->n_classes, NULL, NULL, NULL};
	s->logits = calloc((size_t)n * (size_t)s->n_vocab, sizeof *s->logits);
	s->layers = calloc((size_t)n * (size_t)s->width * (size_t)s->n_layers, sizeof *s->layers);
	s->text = calloc((size_t)(s->width + s->n_classes), sizeof *s->text);
	if (s->logits && s->layers && s->text)
		return true;
	tdm_said_release(s);
	return false;
}

void tdm_said_release(struct tdm_said *s) {
	free(s->logits);
	free(s->layers);
	free(s->text);
	s->logits = s->layers = s->text = NULL;
}

static int read_logits(struct tdm_engine *e, const int32_t *tokens, struct tdm_said *s, struct tdm_error *err) {
	struct tdm_seq *seq = NULL;
	uint8_t *wanted = malloc((size_t)s->n);
	int status = wanted ? tdm_seq_open(e, &seq, err) : tdm_fail(err, TDM_ENOMEM, "no memory");
	if (!status) {
		memset(wanted, 1, (size_t)s->n);
		status = tdm_seq_eval(seq, tokens, s->n, wanted, NULL, err);
	}
	for (int i = 0; i < s->n && !status; i++)
		memcpy(s->logits + (size_t)i * (size_t)s->n_vocab, tdm_seq_logits(seq, i), (size_t)s->n_vocab * sizeof(float));
	if (seq)
		tdm_seq_close(seq);
	free(wanted);
	return status;
}

// --- layers

struct watch {
	const struct tdm_decoder *d;
	struct tdm_said *s;
	int layer, first, n; // that runs; rows of the pass
};

static void keep(const struct watch *w, const float *x, int layer) {
	for (int i = 0; i < w->n && layer >= 0; i++)
		memcpy(tdm_said_layer(w->s, layer, w->first + i), x + (size_t)i * w->d->width,
		       (size_t)w->s->width * sizeof(float));
}

static bool look(void *arg) {
	struct watch *w = arg;
	keep(w, w->d->text ? w->d->text : w->d->x, w->layer++ - 1);
	return false;
}

static int read_decoder(struct tdm_engine *e, const int32_t *tokens, struct tdm_said *s) {
	int n_pages = tdm_pad(s->n, TDM_PAGE_TOKENS) / TDM_PAGE_TOKENS, status = TDM_OK;
	struct tdm_pages pages = {0};
	if (!tdm_pages_room(&pages, &e->cache, n_pages) || !tdm_pages_extend(&pages, &e->cache, n_pages))
		status = TDM_ENOMEM;
	for (int first = 0; first < s->n && !status; first += TDM_MAX_ROWS) {
		struct tdm_row rows[TDM_MAX_ROWS];
		struct watch w = {e->decoder, s, 0, first, s->n - first < TDM_MAX_ROWS ? s->n - first : TDM_MAX_ROWS};
		for (int i = 0; i < w.n; i++)
			rows[i] = (struct tdm_row){.token = tokens[first + i], .position = first + i, .pages = &pages};
		tdm_decoder_run(e->decoder, rows, w.n, look, &w);
		keep(&w, e->decoder->x, s->n_layers - 1);
	}
	tdm_pages_release(&pages, &e->cache);
	return status;
}

static int read_encoder(struct tdm_engine *e, const int32_t *tokens, struct tdm_said *s, struct tdm_error *err) {
	struct watch w = {e->decoder, s, 0, 0, s->n};
	if (tdm_encoder_run(e->decoder, &e->cache, tokens, s->n, false, look, &w, s->text) != TDM_OK)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory to look into it", e->name);
	int status = tdm_engine_encode(e, tokens, s->n, NULL, s->text, err);
	if (!status && s->n_classes)
		status = tdm_engine_classify(e, tokens, s->n, NULL, s->text + s->width, err);
	return status;
}

int tdm_ours_read(struct tdm_engine *e, const int32_t *tokens, struct tdm_said *s, struct tdm_error *err) {
	if (e->info.is_encoder)
		return read_encoder(e, tokens, s, err);
	if (read_decoder(e, tokens, s) != TDM_OK)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory to look into it", e->name);
	return read_logits(e, tokens, s, err);
}
