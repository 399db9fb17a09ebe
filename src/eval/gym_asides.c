// Asides of the gym: other ways of asking an item, for training alone.
//
// The judge's question and the guide's hint are wordings that strategies use (TDM_GYM_JUDGE_FORM, TDM_GYM_HINT_FORM).
// Hints are right more often the surer they claim to be, so that a model learns to weigh them.
#include "eval/gym_values.h"
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

// --- copying

// Anything that an answer may have to copy: a value, a typed token, words, digits.
static const char *something(struct tdm_gym_draw *draw) {
	static const char *const names[] = {"Anna", "Leo", "Nina", "Hugo", "Clara", "Ivan", "Emma", "Oscar"};
	static const char *const families[] = {"Weber", "Rossi", "Silva", "Brown", "Keller", "Tanaka", "Novak", "Patel"};
	static const char *const labels[] = {"PERSON", "EMAIL", "PHONE", "CARD", "IBAN", "SSN", "IP"};
	char payload[TDM_GYM_PAYLOAD + 1];
	const char *first = TDM_GYM_PICK(draw, names), *last = TDM_GYM_PICK(draw, families);
	switch (tdm_gym_range(draw, 0, 9)) {
	case 0:
		return tdm_gym_email(draw, first, last);
	case 1:
		return tdm_gym_phone(draw);
	case 2:
		return tdm_gym_card(draw);
	case 3:
		return tdm_gym_iban(draw);
	case 4:
		return tdm_gym_ssn(draw);
	case 5:
		return tdm_gym_ip(draw);
	case 6:
		return tdm_gym_text(draw, "%s %s", first, last);
	case 7:
		return tdm_gym_text(draw, "%d %d %d %d", tdm_gym_range(draw, 0, 99), tdm_gym_range(draw, 0, 99),
		                    tdm_gym_range(draw, 0, 99), tdm_gym_range(draw, 0, 99));
	default:
		tdm_gym_payload(draw, payload);
		return tdm_gym_token(draw, TDM_GYM_PICK(draw, labels), payload);
	}
}

// One thing, or several in a row: a long answer that stands in the prompt teaches copying at every one of its tokens.
static void draw_repeat(struct tdm_gym_draw *draw, int n, struct tdm_gym_item *out) {
	static const char *const forms[] = {"Repeat: %s", "Copy this: %s", "Write this again: %s"};
	const char *joint = tdm_gym_chance(draw, 0.5) ? ", " : "; ";
	out->answer = something(draw);
	for (int i = 1; i < n; i++)
		out->answer = tdm_gym_text(draw, "%s%s%s", out->answer, joint, something(draw));
	out->prompt = tdm_gym_text(draw, TDM_GYM_PICK(draw, forms), out->answer);
}

// A small table and the key of one row: finding the right one among several is what reading a passage takes.
static void draw_table(struct tdm_gym_draw *draw, int n, struct tdm_gym_item *out) {
	int keys[4], asked = tdm_gym_range(draw, 0, n - 1);
	tdm_gym_choose(draw, keys, n, 26);
	out->prompt = "";
	for (int i = 0; i < n; i++) {
		const char *value = something(draw);
		out->prompt = tdm_gym_text(draw, "%s%c: %s. ", out->prompt, 'A' + keys[i], value);
		if (i == asked)
			out->answer = value;
	}
	out->prompt = tdm_gym_text(draw, "%s%c?", out->prompt, 'A' + keys[asked]);
}

void tdm_gym_draw_copy(struct tdm_gym_draw *draw, struct tdm_gym_item *out) {
	int n = tdm_gym_range(draw, 1, 4);
	*out = (struct tdm_gym_item){.family = "copy", .level = n};
	if (n == 1 || tdm_gym_chance(draw, 0.6))
		draw_repeat(draw, n, out);
	else
		draw_table(draw, n, out);
}
