// Risk: see risk.h.
#include "privacy/mask/risk.h"

#define STRICTER_BIAS (-80.f) // of the tagger, beside the detector's own
#define STRICTER_LACK .25f    // of the score that the others are found by
#define ODDS .07              // that something stays though nothing is doubtful; each doubtful span adds as much

static bool is_hidden(const struct tdm_finds *finds, size_t *at, const struct tdm_find *span) {
	while (*at < finds->n && finds->items[*at].end <= span->start)
		++*at;
	return *at < finds->n && finds->items[*at].start <= span->start && finds->items[*at].end >= span->end;
}

// Spans that the stricter look would hide besides, or more of.
static size_t count_doubtful(const struct tdm_finds *hidden, const struct tdm_finds *strict) {
	size_t at = 0, n = 0;
	for (size_t i = 0; i < strict->n; i++)
		n += !is_hidden(hidden, &at, &strict->items[i]);
	return n;
}

int tdm_risk_estimate(const struct tdm_detector *detector, struct tdm_arena *arena, const struct tdm_text *texts,
                      size_t n, int level, const struct tdm_finds *finds, double *out, struct tdm_error *err) {
	struct tdm_detector strict = *detector;
	struct tdm_dictionary protect = {0};
	struct tdm_finds *more = tdm_arena_array(arena, n + 1, sizeof *more);
	size_t doubtful = 0;
	if (!more)
		return tdm_fail(err, TDM_ENOMEM, "mask: no memory left in this request; nothing was sent");
	for (size_t i = 0; i < n; i++)
		more[i] = (struct tdm_finds){0};
	strict.bias += STRICTER_BIAS;
	strict.lack = STRICTER_LACK;
	int status = tdm_detect(&strict, arena, texts, n, level, more, &protect, err);
	for (size_t i = 0; i < n && status == TDM_OK; i++)
		doubtful += count_doubtful(&finds[i], &more[i]);
	double odds = ODDS * (double)(1 + doubtful);
	*out = odds / (1 + odds);
	return status;
}
