// Gym families of measures: dates and times, and conversion of units.
//
// Small closed tables (weekdays, months, dozens) are split by the pair of instance and phrasing, because a table of a
// hundred rows can only be known, not derived; everything else is split by the instance alone.
// No question crosses the end of February, so that no answer depends on the year.
#include "eval/gym_draw.h"

static const char *const days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

static void set_answer(struct tdm_gym_item *out, const char *prompt, const char *answer, uint64_t key) {
	out->prompt = prompt;
	out->answer = answer;
	out->rule = TDM_GYM_FOLDED;
	out->key = key;
}

static const char *plural(struct tdm_gym_draw *draw, int n, const char *unit) {
	return tdm_gym_text(draw, "%d %s%s", n, unit, n == 1 ? "" : "s");
}

// --- dates

static void ask_cycle(struct tdm_gym_draw *draw, const char *const *names, int n_names, const char *unit, int most,
                      struct tdm_gym_item *out) {
	static const char *const forms[] = {"Which {U} is {N} {D} {X}?", "What {U} comes {N} {D} {X}?",
	                                    "Name the {U} {N} {D} {X}."};
	int form = tdm_gym_range(draw, 0, 2), from = tdm_gym_range(draw, 0, n_names - 1), n = tdm_gym_range(draw, 1, most);
	bool after = tdm_gym_chance(draw, 0.5);
	int to = (from + (after ? n : n_names * most - n)) % n_names;
	const char *prompt = tdm_gym_fill(draw, forms[form], "UNDX", unit[0] == 'd' ? "weekday" : unit,
	                                  plural(draw, n, unit), after ? "after" : "before", names[from]);
	set_answer(out, prompt, names[to], tdm_gym_hash(prompt));
}

static const char *clock_text(struct tdm_gym_draw *draw, int minutes) {
	minutes = (minutes + 1440) % 1440;
	return tdm_gym_text(draw, "%02d:%02d", minutes / 60, minutes % 60);
}

static void ask_time(struct tdm_gym_draw *draw, int most, bool back, struct tdm_gym_item *out) {
	static const char *const forms[] = {"What time is it {N} {D} {T}?", "{T} {S} {N} = ?",
	                                    "Give the time {N} {D} {T}."};
	int from = 5 * tdm_gym_range(draw, 0, 287), n = 5 * tdm_gym_range(draw, 1, most / 5);
	const char *text = plural(draw, n, "minute");
	if (n > 60)
		text = n % 60 ? tdm_gym_text(draw, "%d h %d min", n / 60, n % 60) : tdm_gym_text(draw, "%d h", n / 60);
	const char *start = clock_text(draw, from);
	const char *prompt =
	    tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "NDTS", text, back ? "before" : "after", start, back ? "-" : "+");
	set_answer(out, prompt, clock_text(draw, back ? from - n : from + n),
	           tdm_gym_hash(tdm_gym_text(draw, "time %d %d %d", from, n, back)));
}

static void ask_duration(struct tdm_gym_draw *draw, int most, struct tdm_gym_item *out) {
	static const char *const forms[] = {"How many minutes are there from {A} to {B}?",
	                                    "A meeting lasts from {A} to {B}. How many minutes is that?",
	                                    "How many minutes pass between {A} and {B}?"};
	int n = 5 * tdm_gym_range(draw, 1, most / 5), from = 5 * tdm_gym_range(draw, 0, (1435 - n) / 5);
	const char *prompt =
	    tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "AB", clock_text(draw, from), clock_text(draw, from + n));
	set_answer(out, prompt, tdm_gym_text(draw, "%d", n), tdm_gym_hash(tdm_gym_text(draw, "lasts %d %d", from, n)));
}

static const char *date_text(struct tdm_gym_draw *draw, int day_of_year) // 0 = 1 January; no 29 February
{
	int month = 0;
	while (day_of_year >= month_days[month])
		day_of_year -= month_days[month++];
	return tdm_gym_text(draw, "%d %s", day_of_year + 1, months[month]);
}

static void ask_date(struct tdm_gym_draw *draw, struct tdm_gym_item *out) {
	static const char *const forms[] = {"What date is {N} {D} {T}?", "Which date comes {N} {D} {T}?",
	                                    "Give the date {N} {D} {T}."};
	int n, from;
	bool after = tdm_gym_chance(draw, 0.7);
	do { // within January and February, or within March to December
		n = tdm_gym_range(draw, 2, 30);
		from = tdm_gym_range(draw, 0, 364);
	} while (after ? from + n > 364 || (from < 59 && from + n >= 59) : from - n < 0 || (from >= 59 && from - n < 59));
	const char *prompt = tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "NDT", plural(draw, n, "day"),
	                                  after ? "after" : "before", date_text(draw, from));
	set_answer(out, prompt, date_text(draw, after ? from + n : from - n),
	           tdm_gym_hash(tdm_gym_text(draw, "date %d %d %d", from, n, after)));
}

void tdm_gym_draw_dates(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	int kind = tdm_gym_range(draw, 0, 2);
	if (level == 1 && kind == 0)
		ask_cycle(draw, months, 12, "month", 4, out);
	else if (level == 1 && kind == 1)
		ask_time(draw, 30, false, out);
	else if (level < 3 && kind < 2)
		ask_cycle(draw, days, 7, "day", level == 1 ? 6 : 20, out);
	else if (level == 1)
		ask_cycle(draw, days, 7, "day", 6, out);
	else if (level == 2)
		tdm_gym_chance(draw, 0.5) ? ask_time(draw, 55, tdm_gym_chance(draw, 0.3), out) : ask_duration(draw, 60, out);
	else if (kind == 0)
		ask_time(draw, 180, tdm_gym_chance(draw, 0.4), out);
	else if (kind == 1)
		ask_duration(draw, 240, out);
	else
		ask_date(draw, out);
}

// --- units

struct unit {
	const char *large, *small; // plural, for "How many SMALL are N LARGE?"
	const char *large_sign, *small_sign;
	int factor;
	int most;   // largest N
	bool table; // few rows: split by phrasing too
};

static const struct unit decimal[] = {
    {"kilometres", "metres", "km", "m", 1000, 99, false},      {"metres", "centimetres", "m", "cm", 100, 99, false},
    {"kilograms", "grams", "kg", "g", 1000, 99, false},        {"litres", "millilitres", "l", "ml", 1000, 99, false},
    {"centimetres", "millimetres", "cm", "mm", 10, 99, false}, {"tonnes", "kilograms", "t", "kg", 1000, 99, false},
};
static const struct unit other[] = {
    {"hours", "minutes", "h", "min", 60, 24, true}, {"minutes", "seconds", "min", "s", 60, 20, true},
    {"feet", "inches", "ft", "in", 12, 20, true},   {"days", "hours", NULL, NULL, 24, 14, true},
    {"weeks", "days", NULL, NULL, 7, 30, true},     {"dozen", "pieces", NULL, NULL, 12, 20, true},
};

static void ask_unit(struct tdm_gym_draw *draw, const struct unit *u, struct tdm_gym_item *out) {
	static const char *const forms[] = {"How many {S} are {N} {L}?", "Convert {N} {L} to {S}.", "{N} {L} in {S}?"};
	int n = tdm_gym_range(draw, 2, u->most);
	const char *prompt =
	    tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "SNL", u->small, tdm_gym_text(draw, "%d", n), u->large);
	const char *instance = u->table ? prompt : tdm_gym_text(draw, "unit %s %d", u->large, n);
	set_answer(out, prompt, tdm_gym_text(draw, "%d", n * u->factor), tdm_gym_hash(instance));
}

static void ask_unit_back(struct tdm_gym_draw *draw, const struct unit *u, struct tdm_gym_item *out) {
	static const char *const forms[] = {"How many {L} are {N} {S}?", "Convert {N} {S} to {L}.", "{N} {S} in {L}?"};
	int n = tdm_gym_range(draw, 2, u->most);
	const char *number = tdm_gym_text(draw, "%d", n * u->factor);
	const char *prompt = tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "SNL", u->small, number, u->large);
	const char *instance = u->table ? prompt : tdm_gym_text(draw, "back %s %d", u->large, n);
	set_answer(out, prompt, tdm_gym_text(draw, "%d", n), tdm_gym_hash(instance));
}

static void ask_mixed(struct tdm_gym_draw *draw, const struct unit *u, struct tdm_gym_item *out) {
	static const char *const to_small[] = {"Convert {A} {L} {B} {M} to {M}.", "How many {S} are {A} {L} {B} {M}?"};
	static const char *const to_both[] = {"Convert {T} {M} to {L} and {M}.", "Write {T} {M} in {L} and {M}."};
	int a = tdm_gym_range(draw, 1, u->factor >= 100 ? 20 : 9), b = tdm_gym_range(draw, 1, u->factor - 1);
	bool both = tdm_gym_chance(draw, 0.4);
	const char *na = tdm_gym_text(draw, "%d", a), *nb = tdm_gym_text(draw, "%d", b);
	const char *total = tdm_gym_text(draw, "%d", a * u->factor + b);
	const char *form = both ? TDM_GYM_PICK(draw, to_both) : TDM_GYM_PICK(draw, to_small);
	const char *prompt = tdm_gym_fill(draw, form, "ABLMST", na, nb, u->large_sign, u->small_sign, u->small, total);
	const char *answer = both ? tdm_gym_text(draw, "%d %s %d %s", a, u->large_sign, b, u->small_sign) : total;
	set_answer(out, prompt, answer, tdm_gym_hash(tdm_gym_text(draw, "mixed %s %d %d", u->large, a, b)));
}

void tdm_gym_draw_units(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	bool of_ten = level == 1 || (level == 3 && tdm_gym_chance(draw, 0.5));
	const struct unit *u = of_ten ? &TDM_GYM_PICK(draw, decimal) : &TDM_GYM_PICK(draw, other);
	while (level == 3 && !u->large_sign) // mixed amounts need the signs of both units
		u = &TDM_GYM_PICK(draw, other);
	if (level == 1)
		tdm_gym_chance(draw, 0.8) ? ask_unit(draw, u, out) : ask_unit_back(draw, u, out);
	else if (level == 2)
		tdm_gym_chance(draw, 0.6) ? ask_unit(draw, u, out) : ask_unit_back(draw, u, out);
	else
		ask_mixed(draw, u, out);
}
