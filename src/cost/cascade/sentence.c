// Sentence: where one ends is seen at the next piece: it begins with white space, or this one ends with a line.
#include "cost/cascade/sentence.h"
#include "models/gate.h"
#include <ctype.h>

static bool is_over(const struct tdm_bytes *text) {
	static const char *const ends[] = {".", "!", "?", ":", "\xe3\x80\x82", "\xe2\x80\xa6"};
	for (size_t i = 0; i < TDM_COUNT(ends); i++) {
		size_t n = strlen(ends[i]);
		if (text->len >= n && !memcmp(text->data + text->len - n, ends[i], n))
			return true;
	}
	return false;
}

static void renew(struct tdm_sentences *s) {
	tdm_collect_init(&s->pending, TDM_ANSWER_LIMIT_BYTES, NULL, s->arena);
	s->certainty = (struct tdm_certainty){0};
}

static int let_out(struct tdm_sentences *s) {
	int status = tdm_collect_put(&s->pending, s->sink.next);
	tdm_bytes_add(s->shown, s->pending.text.data, s->pending.text.len);
	if (status == TDM_OK && s->shown->failed)
		status = TDM_ETOOLARGE;
	s->n++;
	s->n_pieces += s->pending.n;
	s->is_enough |= status == TDM_SINK_ENOUGH;
	tdm_collect_release(&s->pending);
	renew(s);
	return status;
}

static bool has_words(const struct tdm_bytes *text) {
	for (size_t i = 0; i < text->len; i++)
		if (!isspace((unsigned char)text->data[i]))
			return true;
	return false;
}

static int decide(struct tdm_sentences *s) {
	double score = tdm_cascade_calibrated(s->c, s->tier->gate->of(&s->certainty));
	if (!tdm_gate_accepts(score, s->tier->threshold)) {
		s->rejected = true;
		s->score = score;
		return TDM_SINK_ENOUGH;
	}
	if (!s->n || score < s->score)
		s->score = score;
	return let_out(s);
}

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct tdm_sentences *s = (struct tdm_sentences *)sink;
	int status = TDM_OK;
	if (s->rejected || s->is_enough)
		return TDM_SINK_ENOUGH;
	if (is_over(&s->pending.text) && isspace((unsigned char)event->text[0]))
		status = decide(s);
	if (status != TDM_OK)
		return status;
	tdm_certainty_add(&s->certainty, event);
	if ((status = s->pending.sink.put(&s->pending.sink, event)))
		return status;
	bool is_line = event->piece == TDM_PIECE_TEXT && event->text[event->len - 1] == '\n';
	return is_line && has_words(&s->pending.text) ? decide(s) : TDM_OK;
}

void tdm_sentences_init(struct tdm_sentences *s, const struct tdm_cascade *c, const struct tdm_tier *tier,
                        struct tdm_arena *arena, struct tdm_bytes *shown, struct tdm_sink *next) {
	*s = (struct tdm_sentences){.sink = {put, next}, .c = c, .tier = tier, .arena = arena, .shown = shown};
	s->score = (double)NAN;
	renew(s);
}

void tdm_sentences_release(struct tdm_sentences *s) {
	tdm_collect_release(&s->pending);
}

int tdm_sentences_end(struct tdm_sentences *s, bool stands) {
	if (s->rejected || s->is_enough || !s->pending.n)
		return TDM_OK;
	return stands ? let_out(s) : decide(s);
}
