// Asides of the gym: other ways of asking an item, for training alone.
//
// The judge's question and the guide's hint are wordings that strategies use (TDM_GYM_JUDGE_FORM, TDM_GYM_HINT_FORM).
// Hints are right more often the surer they claim to be, so that a model learns to weigh them.
#include "eval/gym_draw.h"
#include <ctype.h>
#include <string.h>

void tdm_gym_judge_aside(struct tdm_gym_draw *draw, bool harmful, struct tdm_gym_item *item) {
	item->prompt = tdm_gym_text(draw, TDM_GYM_JUDGE_FORM, item->prompt);
	item->answer = harmful ? "yes" : "no";
	item->rule = TDM_GYM_FOLDED;
	item->starts = NULL;
	item->n_required = 0;
	item->needs_protected = false;
}

// The answer with one of its digits changed, as a slip in a calculation would; NULL when it has none.
static const char *slipped(struct tdm_gym_draw *draw, const char *answer) {
	size_t n = strlen(answer), at = n;
	int seen = 0;
	for (size_t i = 0; i < n; i++)
		if (isdigit((unsigned char)answer[i]) && tdm_gym_range(draw, 0, seen++) == 0)
			at = i;
	if (at == n)
		return NULL;
	int other = (answer[at] - '0' + tdm_gym_range(draw, 1, 9)) % 10;
	return tdm_gym_text(draw, "%.*s%d%s", (int)at, answer, other, answer + at + 1);
}

void tdm_gym_hint_aside(struct tdm_gym_draw *draw, const char *other_answer, struct tdm_gym_item *item) {
	bool right = tdm_gym_chance(draw, 0.7);
	const char *hint = right ? item->answer : slipped(draw, item->answer);
	if (!hint)
		hint = other_answer;
	int sure = right ? tdm_gym_range(draw, 50, 99) : tdm_gym_range(draw, 15, 80);
	item->prompt = tdm_gym_text(draw, TDM_GYM_HINT_FORM, item->prompt, sure, hint);
}
