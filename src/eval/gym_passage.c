// Passages of the gym: one to three people with names, e-mail addresses, phone, card and account numbers, cities, jobs
// and orders, in the clear or with typed tokens in the place of the private values.
//
// Every person has only some of the details, so that whether a question can be answered depends on the passage and not
// on the form of the question. A new detail: a value type, its sentences here, its questions in gym_read.c.
#include "eval/gym_passage.h"
#include <stddef.h>

static const char *const women[] = {"Anna",  "Clara", "Emma",  "Grace", "Ida",   "Laura", "Maria", "Nina",
                                    "Paula", "Rosa",  "Vera",  "Sofia", "Helen", "Julia", "Karin", "Lena",
                                    "Mira",  "Olga",  "Petra", "Ruth",  "Sara",  "Tina",  "Alice", "Eva"};
static const char *const men[] = {"Ben",  "David", "Felix", "Henry", "Jonas", "Karl",  "Oscar", "Simon",
                                  "Tom",  "Adam",  "Bruno", "Carlo", "Erik",  "Frank", "Hugo",  "Ivan",
                                  "Jack", "Leo",   "Marco", "Noah",  "Paul",  "Ralf",  "Sven",  "Victor"};
static const char *const last_names[] = {
    "Keller",  "Ortiz",  "Novak",  "Berg",  "Rossi",  "Silva", "Weber",  "Moreau", "Lopez", "Jensen", "Kowal",
    "Fischer", "Garcia", "Hansen", "Popa",  "Kaya",   "Lind",  "Martin", "Nagy",   "Olsen", "Patel",  "Reed",
    "Santos",  "Tanaka", "Ueda",   "Vogel", "Walker", "Young", "Zimmer", "Brown",  "Clark", "Dubois"};
static const char *const cities[] = {"Lyon",   "Bonn",   "Porto", "Oslo",   "Graz",    "Turin",  "Leeds",
                                     "Ghent",  "Basel",  "Malmo", "Krakow", "Seville", "Boston", "Denver",
                                     "Austin", "Dallas", "Osaka", "Bergen", "Dresden", "Nice"};
static const char *const jobs[] = {"nurse",  "teacher", "baker",   "driver", "lawyer", "painter", "farmer", "doctor",
                                   "waiter", "pilot",   "plumber", "writer", "judge",  "dentist", "singer", "tailor"};

// {N} name, {H} His or Her, {S} He or She, {h} his or her, {o} him or her, {V} value
static const char *const sentences[TDM_GYM_N_DETAILS][4] = {
    [TDM_GYM_EMAIL] = {"{H} e-mail address is {V}.", "The e-mail address of {N} is {V}.", "Write to {o} at {V}.",
                       "{N} uses the e-mail address {V}."},
    [TDM_GYM_PHONE] = {"{H} phone number is {V}.", "The phone number of {N} is {V}.", "Call {o} at {V}.",
                       "{N} can be reached by phone at {V}."},
    [TDM_GYM_CARD] = {"{H} card number is {V}.", "{S} pays with card {V}.", "{N} paid with the card {V}.",
                      "The card of {N} is {V}."},
    [TDM_GYM_IBAN] = {"{H} account number is {V}.", "{S} has the account {V}.", "The account of {N} is {V}.",
                      "{N} uses the account {V}."},
    [TDM_GYM_SSN] = {"{H} social security number is {V}.", "{S} has the social security number {V}.",
                     "The SSN of {N} is {V}.", "{N} gave the SSN {V}."},
    [TDM_GYM_IP] = {"{H} IP address is {V}.", "{S} logged in from {V}.", "The IP address of {N} is {V}.",
                    "{N} connected from {V}."},
    [TDM_GYM_CITY] = {"{S} lives in {V}.", "{N} lives in {V}.", "{H} home is in {V}.", "{N} is from {V}."},
    [TDM_GYM_JOB] = {"{S} is a {V}.", "{N} works as a {V}.", "{S} works as a {V}.", "{N} is a {V}."},
    [TDM_GYM_ORDER] = {"{H} order number is {V}.", "{S} asks about order {V}.", "The order of {N} is number {V}.",
                       "{N} placed order {V}."},
};

static void draw_name(struct tdm_gym_draw *draw, bool masked, struct tdm_gym_person *who) {
	who->female = tdm_gym_chance(draw, 0.5);
	who->first = who->female ? TDM_GYM_PICK(draw, women) : TDM_GYM_PICK(draw, men);
	who->last = TDM_GYM_PICK(draw, last_names);
	char payload[TDM_GYM_PAYLOAD + 1];
	tdm_gym_payload(draw, payload);
	who->name = masked ? tdm_gym_token(draw, "PERSON", payload) : tdm_gym_text(draw, "%s %s", who->first, who->last);
}

static const char *draw_value(struct tdm_gym_draw *draw, const struct tdm_gym_person *who, enum tdm_gym_value type) {
	switch (type) {
	case TDM_GYM_EMAIL:
		return tdm_gym_email(draw, who->first, who->last);
	case TDM_GYM_PHONE:
		return tdm_gym_phone(draw);
	case TDM_GYM_CARD:
		return tdm_gym_card(draw);
	case TDM_GYM_IBAN:
		return tdm_gym_iban(draw);
	case TDM_GYM_SSN:
		return tdm_gym_ssn(draw);
	case TDM_GYM_IP:
		return tdm_gym_ip(draw);
	case TDM_GYM_CITY:
		return TDM_GYM_PICK(draw, cities);
	case TDM_GYM_JOB:
		return TDM_GYM_PICK(draw, jobs);
	default:
		return tdm_gym_text(draw, "%d", tdm_gym_range(draw, 1000, 99999));
	}
}

static void give_detail(struct tdm_gym_draw *draw, bool masked, struct tdm_gym_person *who, enum tdm_gym_value type) {
	if (masked && type < TDM_GYM_N_VALUES) {
		char payload[TDM_GYM_PAYLOAD + 1];
		tdm_gym_payload(draw, payload);
		who->details[type] = tdm_gym_token(draw, tdm_gym_value_label(type), payload);
	} else {
		who->details[type] = draw_value(draw, who, type);
	}
}

// Two people of one passage share no name, city or job, so that each of them says who is meant.
static bool distinct(const struct tdm_gym_person *people, int n, const struct tdm_gym_person *who) {
	for (int i = 0; i < n; i++)
		if (people[i].first == who->first || people[i].last == who->last ||
		    (who->details[TDM_GYM_CITY] && people[i].details[TDM_GYM_CITY] == who->details[TDM_GYM_CITY]) ||
		    (who->details[TDM_GYM_JOB] && people[i].details[TDM_GYM_JOB] == who->details[TDM_GYM_JOB]))
			return false;
	return true;
}

static enum tdm_gym_value private_type(struct tdm_gym_draw *draw) {
	static const enum tdm_gym_value types[] = {TDM_GYM_EMAIL, TDM_GYM_EMAIL, TDM_GYM_PHONE, TDM_GYM_PHONE,
	                                           TDM_GYM_PHONE, TDM_GYM_CARD,  TDM_GYM_CARD,  TDM_GYM_IBAN,
	                                           TDM_GYM_SSN,   TDM_GYM_IP};
	return TDM_GYM_PICK(draw, types);
}

// The first detail is a city or a job and introduces the person; then n_private private ones, sometimes an order.
static void draw_person(struct tdm_gym_draw *draw, bool names_masked, bool masked, int n_private,
                        struct tdm_gym_person *who) {
	*who = (struct tdm_gym_person){0};
	draw_name(draw, names_masked, who);
	give_detail(draw, masked, who, tdm_gym_chance(draw, 0.5) ? TDM_GYM_CITY : TDM_GYM_JOB);
	for (int given = 0; given < n_private;) {
		enum tdm_gym_value type = private_type(draw);
		if (!who->details[type]) {
			give_detail(draw, masked, who, type);
			given++;
		}
	}
	if (n_private < 2 && tdm_gym_chance(draw, 0.4))
		give_detail(draw, masked, who, TDM_GYM_ORDER);
}

static const char *say(struct tdm_gym_draw *draw, const struct tdm_gym_person *who, enum tdm_gym_value type,
                       bool by_name) {
	// Forms 1 and 3 name the person except where the table says otherwise; draw until the form fits.
	const char *form, *p;
	bool named;
	do {
		form = sentences[type][tdm_gym_range(draw, 0, 3)];
		for (p = form, named = false; *p; p++)
			named |= p[0] == '{' && p[1] == 'N';
	} while (by_name && !named);
	return tdm_gym_fill(draw, form, "NHShoV", who->name, who->female ? "Her" : "His", who->female ? "She" : "He",
	                    who->female ? "her" : "his", who->female ? "her" : "him", who->details[type]);
}

static const char *describe(struct tdm_gym_draw *draw, const struct tdm_gym_person *who) {
	enum tdm_gym_value intro = who->details[TDM_GYM_CITY] ? TDM_GYM_CITY : TDM_GYM_JOB;
	const char *text = say(draw, who, intro, true);
	int order[TDM_GYM_N_DETAILS];
	tdm_gym_choose(draw, order, TDM_GYM_N_DETAILS, TDM_GYM_N_DETAILS);
	for (int i = 0; i < TDM_GYM_N_DETAILS; i++) {
		enum tdm_gym_value type = (enum tdm_gym_value)order[i];
		if (type != intro && who->details[type])
			text = tdm_gym_text(draw, "%s %s", text, say(draw, who, type, tdm_gym_chance(draw, 0.2)));
	}
	return text;
}

void tdm_gym_draw_passage(struct tdm_gym_draw *draw, int level, struct tdm_gym_passage *out) {
	*out = (struct tdm_gym_passage){.n_people = level, .level = level};
	out->masked = tdm_gym_chance(draw, draw->masked);
	bool names_masked = out->masked && tdm_gym_chance(draw, 0.8); // some masks leave names in the clear
	out->text = "";
	for (int i = 0; i < level; i++) {
		int n_private = level == 1 ? tdm_gym_range(draw, 2, 3) : level == 2 ? tdm_gym_range(draw, 1, 2) : 1;
		do
			draw_person(draw, names_masked, out->masked, n_private, &out->people[i]);
		while (!distinct(out->people, i, &out->people[i]));
		out->text = tdm_gym_text(draw, "%s%s%s", out->text, i ? " " : "", describe(draw, &out->people[i]));
	}
	do
		draw_name(draw, names_masked, &out->absent);
	while (!distinct(out->people, level, &out->absent));
	out->key = tdm_gym_hash(out->text);
}
