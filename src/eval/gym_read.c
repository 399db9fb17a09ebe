// Gym families over passages: read (copy a value), unanswerable (say "not stated"), message (write two sentences that
// carry values).
//
// read and unanswerable use the same wordings; only the passage says which is which.
#include "eval/gym_passage.h"
#include <string.h>

static const char *const nouns[TDM_GYM_N_DETAILS] = {
    [TDM_GYM_EMAIL] = "e-mail address",
    [TDM_GYM_PHONE] = "phone number",
    [TDM_GYM_CARD] = "card number",
    [TDM_GYM_IBAN] = "account number",
    [TDM_GYM_SSN] = "social security number",
    [TDM_GYM_IP] = "IP address",
    [TDM_GYM_CITY] = "city",
    [TDM_GYM_JOB] = "job",
    [TDM_GYM_ORDER] = "order number",
};

// A pair of person and detail that is stated (or not); -1 when there is none.
struct cell {
	int person, detail;
};

static struct cell draw_cell(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, bool stated, int n_details) {
	struct cell found = {-1, -1};
	int seen = 0;
	for (int i = 0; i < p->n_people; i++)
		for (int k = 0; k < n_details; k++)
			if (!p->people[i].details[k] == !stated && tdm_gym_range(draw, 0, seen++) == 0)
				found = (struct cell){i, k};
	return found;
}

// A detail that somebody in the passage has and `person` has not; -1 when there is none.
static int others_detail(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, int person) {
	int found = -1, seen = 0;
	for (int i = 0; i < p->n_people; i++)
		for (int k = 0; k < TDM_GYM_N_DETAILS; k++)
			if (i != person && p->people[i].details[k] && (person < 0 || !p->people[person].details[k]) &&
			    tdm_gym_range(draw, 0, seen++) == 0)
				found = k;
	return found;
}

static const char *question(struct tdm_gym_draw *draw, const char *who, int detail) {
	static const char *const forms[] = {"What is the {D} of {N}?", "What is {N}'s {D}?", "Give the {D} of {N}.",
	                                    "Which {D} belongs to {N}?"};
	if (detail == TDM_GYM_CITY)
		return tdm_gym_fill(draw, tdm_gym_chance(draw, 0.5) ? "Where does {N} live?" : "In which city does {N} live?",
		                    "N", who);
	if (detail == TDM_GYM_JOB)
		return tdm_gym_fill(draw, tdm_gym_chance(draw, 0.5) ? "What is the job of {N}?" : "What does {N} do for work?",
		                    "N", who);
	return tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "DN", nouns[detail], who);
}

// At level 3 a person may be meant by city or job: "the nurse", "the person from Lyon".
static const char *person_text(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p,
                               const struct tdm_gym_person *who, int detail) {
	if (p->level < 3 || tdm_gym_chance(draw, 0.7))
		return who->name;
	if (who->details[TDM_GYM_JOB] && detail != TDM_GYM_JOB)
		return tdm_gym_text(draw, "the %s", who->details[TDM_GYM_JOB]);
	if (who->details[TDM_GYM_CITY] && detail != TDM_GYM_CITY)
		return tdm_gym_text(draw, "the person from %s", who->details[TDM_GYM_CITY]);
	return who->name;
}

static bool is_protected(int detail) {
	return detail >= 0 && detail < TDM_GYM_N_VALUES && detail != TDM_GYM_IP;
}

static void set_protected(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, struct tdm_gym_item *out) {
	size_t most = TDM_GYM_PEOPLE * TDM_GYM_N_VALUES;
	const char **values = tdm_arena_array(draw->arena, most, sizeof *values);
	const char **types = tdm_arena_array(draw->arena, most, sizeof *types);
	if (!values || !types) {
		draw->failed = true;
		return;
	}
	size_t n = 0;
	for (int i = 0; i < p->n_people && !p->masked; i++)
		for (int k = 0; k < TDM_GYM_N_VALUES; k++)
			if (p->people[i].details[k] && is_protected(k)) {
				values[n] = p->people[i].details[k];
				types[n++] = tdm_gym_value_label((enum tdm_gym_value)k);
			}
	out->protected_values = values;
	out->protected_types = types;
	out->n_protected = n;
}

static void set_answer(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, struct tdm_gym_item *out,
                       const char *prompt, const char *answer, enum tdm_gym_rule rule) {
	out->prompt = prompt;
	out->answer = answer;
	out->rule = rule;
	out->key = p->key;
	set_protected(draw, p, out);
}

void tdm_gym_ask_read(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, struct tdm_gym_item *out) {
	bool about_private = tdm_gym_chance(draw, 0.75);
	struct cell cell = draw_cell(draw, p, true, about_private ? TDM_GYM_N_VALUES : TDM_GYM_N_DETAILS);
	const struct tdm_gym_person *who = &p->people[cell.person];
	const char *prompt = question(draw, person_text(draw, p, who, cell.detail), cell.detail);
	bool folded = cell.detail == TDM_GYM_CITY || cell.detail == TDM_GYM_JOB;
	set_answer(draw, p, out, prompt, who->details[cell.detail], folded ? TDM_GYM_FOLDED : TDM_GYM_EXACT);
	out->needs_protected = !p->masked && is_protected(cell.detail);
	tdm_gym_require(draw, out, 1, who->details[cell.detail]);
}

void tdm_gym_ask_unanswerable(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, struct tdm_gym_item *out) {
	struct cell cell = draw_cell(draw, p, false, TDM_GYM_N_DETAILS);
	const struct tdm_gym_person *who = &p->people[cell.person];
	int detail = others_detail(draw, p, cell.person);
	if (detail < 0 || tdm_gym_chance(draw, 0.4))
		detail = cell.detail;
	const char *name = person_text(draw, p, who, detail);
	if (tdm_gym_chance(draw, 0.25)) { // nobody of that name
		name = p->absent.name;
		detail = others_detail(draw, p, -1);
	}
	set_answer(draw, p, out, question(draw, name, detail), "not stated", TDM_GYM_FOLDED);
}

// --- message

static int second_detail(struct tdm_gym_draw *draw, const struct tdm_gym_person *who, int first) {
	int found = -1, seen = 0;
	for (int k = 0; k < TDM_GYM_N_DETAILS; k++)
		if (k != first && k != TDM_GYM_CITY && k != TDM_GYM_JOB && who->details[k] &&
		    tdm_gym_range(draw, 0, seen++) == 0)
			found = k;
	return found;
}

// To a person, about the same person.
static void message_own(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, const struct tdm_gym_person *who,
                        int detail, struct tdm_gym_item *out) {
	static const char *const forms[] = {"Write a two-sentence message to {N} that confirms the {D}.",
	                                    "Write {N} a message of two sentences that repeats the {D}.",
	                                    "Confirm the {D} to {N} in two sentences."};
	int other = p->level == 2 || p->level == 1 ? second_detail(draw, who, detail) : -1;
	bool both = other >= 0 && p->level == 2;
	const char *what = both ? tdm_gym_text(draw, "%s and the %s", nouns[detail], nouns[other]) : nouns[detail];
	const char *answer = both ? tdm_gym_fill(draw, "Dear {N}, your {D} is {V}. Your {E} is {W}.", "NDVEW", who->name,
	                                         nouns[detail], who->details[detail], nouns[other], who->details[other])
	                          : tdm_gym_fill(draw, "Dear {N}, your {D} is {V}. Please tell us if this is wrong.", "NDV",
	                                         who->name, nouns[detail], who->details[detail]);
	set_answer(draw, p, out, tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "ND", who->name, what), answer,
	           TDM_GYM_PROSE);
	out->needs_protected = !p->masked && (is_protected(detail) || (both && is_protected(other)));
	tdm_gym_require(draw, out, both ? 3 : 2, who->name, who->details[detail], both ? who->details[other] : "");
}

// To one person, about another.
static void message_other(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, const struct tdm_gym_person *to,
                          const struct tdm_gym_person *who, int detail, struct tdm_gym_item *out) {
	static const char *const forms[] = {"Write a two-sentence message to {T} with the {D} of {N}.",
	                                    "Tell {T} the {D} of {N} in a message of two sentences.",
	                                    "Send {T} two sentences that give the {D} of {N}."};
	const char *answer = tdm_gym_fill(draw, "Dear {T}, the {D} of {N} is {V}. Please keep it safe.", "TDNV", to->name,
	                                  nouns[detail], who->name, who->details[detail]);
	const char *prompt = tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "TDN", to->name, nouns[detail], who->name);
	set_answer(draw, p, out, prompt, answer, TDM_GYM_PROSE);
	out->needs_protected = !p->masked && is_protected(detail);
	tdm_gym_require(draw, out, 3, to->name, who->name, who->details[detail]);
}

void tdm_gym_ask_message(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, struct tdm_gym_item *out) {
	struct cell cell = draw_cell(draw, p, true, TDM_GYM_N_VALUES);
	const struct tdm_gym_person *who = &p->people[cell.person];
	int to = tdm_gym_range(draw, 0, p->n_people - 1);
	if (p->level == 3)
		while (to == cell.person)
			to = tdm_gym_range(draw, 0, p->n_people - 1);
	if (to == cell.person)
		message_own(draw, p, who, cell.detail, out);
	else
		message_other(draw, p, &p->people[to], who, cell.detail, out);
	out->n_sentences = 2;
	out->required_exact = true;
}

// --- single items

void tdm_gym_join(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, struct tdm_gym_item *item) {
	static const char *const forms[] = {"{P}\n{Q}", "{P}\n{Q}", "Text: {P}\nQuestion: {Q}", "{Q}\n{P}"};
	item->prompt = tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "PQ", p->text, item->prompt);
}

static void ask_single(struct tdm_gym_draw *draw, int level, tdm_gym_ask_fn *ask, struct tdm_gym_item *out) {
	struct tdm_gym_passage p;
	tdm_gym_draw_passage(draw, level, &p);
	ask(draw, &p, out);
	tdm_gym_join(draw, &p, out);
}

void tdm_gym_draw_read(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	ask_single(draw, level, tdm_gym_ask_read, out);
}

void tdm_gym_draw_message(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	ask_single(draw, level, tdm_gym_ask_message, out);
}

void tdm_gym_draw_unanswerable(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	ask_single(draw, level, tdm_gym_ask_unanswerable, out);
}
