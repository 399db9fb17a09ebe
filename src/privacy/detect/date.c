// Dates: numbers and names of months in seven languages, and ages. What follows the calendar is a date; 31 February and
// the parts of a version are none.
#include "privacy/detect/date.h"
#include "privacy/detect/checks.h"
#include <string.h>
#include <strings.h>

static bool digit(char c) {
	return c >= '0' && c <= '9';
}
static bool letter(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

bool tdm_calendar(int year, int month, int day) {
	static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (month < 1 || month > 12 || day < 1 || day > days[month - 1])
		return false;
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return month != 2 || day < 29 || leap || year < 0;
}

struct field { // a number of a date
	int value, digits;
};

// The digits that end at text[*end); moves *end before them.
static struct field read_back(const char *text, size_t *end) {
	struct field f = {0, 0};
	int scale = 1;
	while (*end > 0 && digit(text[*end - 1]) && f.digits < 5) {
		f.value += (text[--*end] - '0') * scale;
		scale *= 10;
		f.digits++;
	}
	return f;
}

static struct field read_on(const char *text, size_t *at) {
	struct field f = {0, 0};
	while (digit(text[*at]) && f.digits < 5) {
		f.value = f.value * 10 + text[(*at)++] - '0';
		f.digits++;
	}
	return f;
}

static bool whole_year(struct field f) {
	return f.digits == 4 && f.value >= 1700 && f.value < 2200;
}

// What the year may be: of two digits nothing is known about leap days.
static int year_of(struct field f) {
	return f.digits == 4 ? f.value : f.value % 4 == 0 ? -1 : 1;
}

// Two digits of a year are enough between slashes, or with two digits everywhere between points.
static bool plausible(const struct field f[3], char separator) {
	if (whole_year(f[0]))
		return f[1].digits <= 2 && f[2].digits <= 2 && tdm_calendar(f[0].value, f[1].value, f[2].value);
	bool padded = f[0].digits == 2 && f[1].digits == 2;
	bool short_year = f[2].digits == 2 && (separator == '/' || (separator == '.' && padded));
	if (f[0].digits > 2 || f[1].digits > 2 || !(whole_year(f[2]) || short_year))
		return false;
	int year = year_of(f[2]);
	return tdm_calendar(year, f[1].value, f[0].value) || tdm_calendar(year, f[0].value, f[1].value);
}

// Three numbers with one kind of separator that end at text[*at); moves *at before them. 0: there are none.
static char three_fields(const char *t, size_t *at, struct field f[3]) {
	char separator = 0;
	for (int i = 2;; i--, --*at) {
		f[i] = read_back(t, at);
		if (f[i].digits == 0)
			return 0;
		if (i == 0)
			return separator;
		char s = *at > 0 ? t[*at - 1] : 0;
		if ((s != '-' && s != '.' && s != '/') || (separator && s != separator))
			return 0;
		separator = s;
	}
}

static size_t skip_on(const char *t, size_t at, const char *word) {
	size_t n = strlen(word);
	return strncmp(t + at, word, n) == 0 ? at + n : at;
}

static bool pair(const char *t) {
	return digit(t[0]) && digit(t[1]);
}

// Where "Z", "+02:00", " pm" behind a time ends.
static size_t zone_end(const char *t, size_t at) {
	size_t half = at + (t[at] == ' ');
	bool named = t[half] && strchr("aApP", t[half]) && (t[half + 1] | 32) == 'm' && !letter(t[half + 2]);
	if (named)
		return half + 2;
	if (t[at] == 'Z' && !letter(t[at + 1]))
		return at + 1;
	if ((t[at] != '+' && t[at] != '-') || !pair(t + at + 1))
		return at;
	size_t minutes = at + 3 + (t[at + 3] == ':');
	return pair(t + minutes) ? minutes + 2 : at;
}

// Where the time of the day behind a date ends: "T10:30:15Z", " at 5:45 pm", ", 17:45"; `at` when there is none.
static size_t time_end(const char *t, size_t at) {
	size_t i = at + (t[at] == ',');
	if (t[i] != 'T' && t[i] != ' ')
		return at;
	i = skip_on(t, i + 1, "at ");
	struct field hour = read_on(t, &i);
	if (hour.digits < 1 || hour.digits > 2 || hour.value > 24 || t[i] != ':' || !pair(t + i + 1))
		return at;
	i += 3;
	if (t[i] == ':' && pair(t + i + 1))
		i += 3;
	if (t[i] == '.' && digit(t[i + 1]))
		for (i++; digit(t[i]);)
			i++;
	return digit(t[i]) ? at : zone_end(t, i);
}

enum tdm_check tdm_check_numeric_date(struct tdm_candidate *c) {
	const char *t = c->text;
	struct field f[3];
	size_t at = c->anchor - 1; // the anchor holds the character behind
	c->end = at;
	char separator = three_fields(t, &at, f);
	if (!separator)
		return TDM_CHECK_NONE;
	bool before = at > 0 && (digit(t[at - 1]) || letter(t[at - 1]) || t[at - 1] == separator);
	bool behind = t[c->end] == separator && digit(t[c->end + 1]);
	c->start = at;
	c->end = time_end(t, c->end);
	return !before && !behind && plausible(f, separator) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// --- "12th of March, 2024"

static size_t skip_back(const char *t, size_t at, const char *word) {
	size_t n = strlen(word);
	return at >= n && strncmp(t + at - n, word, n) == 0 ? at - n : at;
}

static bool ordinal(const char *two) {
	static const char *const marks[] = {"st", "nd", "rd", "th", "er"};
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (strncmp(two, marks[i], 2) == 0)
			return true;
	return false;
}

// A day before the month: moves *start. "12 ", "12. ", "12th of ", "12 de ", "1er ".
static bool day_before(const char *t, size_t month, size_t *start) {
	size_t at = skip_back(t, skip_back(t, month, "of "), "de ");
	if (at == 0 || !strchr(" -", t[at - 1]))
		return false;
	at--;
	if (at > 0 && t[at - 1] == '.')
		at--;
	else if (at > 2 && ordinal(t + at - 2) && digit(t[at - 3]))
		at -= 2;
	struct field day = read_back(t, &at);
	if (day.digits < 1 || day.digits > 2 || day.value < 1 || day.value > 31 || (at > 0 && letter(t[at - 1])))
		return false;
	*start = at;
	return true;
}

// A year behind a day: " 2024", ", 2024", " de 2024", " 24". Returns where it ends, 0 when there is none.
static size_t year_behind(const char *t, size_t at, bool two_digits) {
	at = skip_on(t, skip_on(t, at, "."), ",");
	if (!t[at] || !strchr(" -'", t[at]))
		return 0;
	at = skip_on(t, at + 1, "de ");
	struct field year = read_on(t, &at);
	bool good = whole_year(year) || (two_digits && year.digits == 2 && t[at] != ':');
	return good && !letter(t[at]) ? at : 0;
}

// A day behind the month: " 12", ". 12th".
static size_t day_behind(const char *t, size_t at) {
	at = skip_on(t, at, ".");
	if (t[at] != ' ' && t[at] != '-')
		return 0;
	at++;
	struct field day = read_on(t, &at);
	if (day.digits < 1 || day.digits > 2 || day.value < 1 || day.value > 31 || t[at] == ':')
		return 0;
	at += ordinal(t + at) ? 2 : 0;
	return letter(t[at]) || digit(t[at]) ? 0 : at;
}

// A year, or a day and perhaps a year, behind the month: moves *end.
static bool rest_behind(const char *t, size_t *end, bool has_day) {
	size_t at = year_behind(t, *end, has_day);
	if (at == 0 && !has_day) {
		at = day_behind(t, *end);
		size_t year = at ? year_behind(t, at, false) : 0;
		at = year ? year : at;
	}
	*end = at ? at : *end;
	return at != 0;
}

// "in March": the name of a month alone, with its capital.
static bool month_alone(const char *t, size_t month) {
	static const char *const words[] = {"in ",   "since ", "until ", "by ",   "last ",
	                                    "next ", "early ", "late ",  "every "};
	bool there = false;
	for (size_t i = 0; i < sizeof words / sizeof *words && !there; i++) {
		size_t n = strlen(words[i]);
		there = month >= n && strncasecmp(t + month - n, words[i], n) == 0 && (month == n || !letter(t[month - n - 1]));
	}
	return there && t[month] >= 'A' && t[month] <= 'Z';
}

enum tdm_check tdm_check_named_date(struct tdm_candidate *c) {
	size_t month = c->anchor;
	while (month > 0 && letter(c->text[month - 1]))
		month--;
	c->start = month;
	c->end = c->anchor;
	bool before = day_before(c->text, month, &c->start), behind = rest_behind(c->text, &c->end, before);
	if (before || behind)
		c->end = time_end(c->text, c->end);
	return before || behind || (c->entity->level > 2 && month_alone(c->text, month)) ? TDM_CHECK_ABSTAIN
	                                                                                 : TDM_CHECK_NONE;
}

// "a 1998 film", but "a 1998 word essay": behind "a" and "the" a year stands before what it describes.
static bool describes(const char *t, size_t start, size_t end) {
	static const char *const units[] = {"word", "dollar", "euro", "meter", "metre", "mile", "km",  "calorie", "people",
	                                    "year", "day",    "hour", "page",  "kg",    "lb",   "mah", "kcal",    "pound"};
	size_t word = start - 1;
	while (word > 0 && letter(t[word - 1]))
		word--;
	size_t n = start - 1 - word;
	static const char *const before[] = {"a", "an", "the", "his", "her", "their", "its"};
	for (size_t i = 0; i < sizeof before / sizeof *before; i++)
		if (strlen(before[i]) == n && strncasecmp(t + word, before[i], n) == 0) {
			for (size_t k = 0; k < sizeof units / sizeof *units; k++)
				if (strncasecmp(t + end + 1, units[k], strlen(units[k])) == 0)
					return false;
			return t[end] == ' ' && letter(t[end + 1]);
		}
	return true;
}

// The match ends with the year; another one may follow: "2010-2015".
enum tdm_check tdm_check_year(struct tdm_candidate *c) {
	const char *t = c->text;
	size_t end = c->anchor;
	c->start = end - 4;
	if (t[end] == '-' && pair(t + end + 1) && pair(t + end + 3) && !digit(t[end + 5]))
		end += 5;
	c->end = end;
	bool goes_on = letter(t[end]) || (t[end] && strchr(".,-/:", t[end]) && digit(t[end + 1]));
	return goes_on || !describes(t, c->start, end) ? TDM_CHECK_NONE : TDM_CHECK_ABSTAIN;
}

enum tdm_check tdm_check_weekday(struct tdm_candidate *c) {
	c->start = c->end = c->anchor;
	while (c->start > 0 && letter(c->text[c->start - 1]))
		c->start--;
	return c->text[c->end] == '\'' ? TDM_CHECK_NONE : TDM_CHECK_ABSTAIN;
}

// --- ages

static bool part_of_number(const char *t, size_t start, size_t end) {
	if (digit(t[end]) || (t[end] && strchr(".,/:", t[end]) && digit(t[end + 1])))
		return true;
	return start > 1 && strchr(".,-/:", t[start - 1]) && digit(t[start - 2]);
}

// "I am 34, and": what stands behind the number is no unit of it.
static bool nothing_counted(const char *t, size_t end) {
	static const char *const words[] = {"and", "but", "now",       "today", "with", "who",
	                                    "so",  "or",  "currently", "from",  "in"};
	if (t[end] == '%' || letter(t[end]) || t[end] == '-')
		return false;
	if (t[end] != ' ')
		return true;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strncasecmp(t + end + 1, words[i], strlen(words[i])) == 0 && !letter(t[end + 1 + strlen(words[i])]))
			return true;
	return !letter(t[end + 1]);
}

// The number alone is the value. It stands in the match: in front of "years old" or behind "aged".
enum tdm_check tdm_check_age(struct tdm_candidate *c) {
	size_t at = c->anchor, least = at > 32 ? at - 32 : 0;
	while (at > least && !digit(c->text[at - 1]))
		at--;
	c->end = at;
	struct field age = read_back(c->text, &at);
	c->start = at;
	const char *unit = c->text + c->end + (c->text[c->end] == ' ' || c->text[c->end] == '-');
	bool named = c->end == c->anchor || strchr("yjaYJA", *unit ? *unit : ' '); // "5 of us are years older"
	bool number = named && age.digits && age.digits <= 3 && age.value >= 1 && age.value <= 122;
	return number && !part_of_number(c->text, c->start, c->end) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// ", 34, says" behind a word with a capital. end: of the number, which begins at start.
static bool behind_name(const char *t, size_t start, size_t end) {
	size_t at = start > 2 ? start - 2 : 0;
	while (at > 0 && letter(t[at - 1]))
		at--;
	return end - start == 2 && t[at] >= 'A' && t[at] <= 'Z' && t[end + 1] == ' ' && t[end + 2] >= 'a';
}

// "I am 34", "turned 50", "Ann Lee, 34, says": the match ends with the number, or with the comma behind it.
enum tdm_check tdm_check_bare_age(struct tdm_candidate *c) {
	const char *t = c->text;
	bool comma = t[c->anchor - 1] == ',';
	size_t at = c->anchor - comma;
	c->end = at;
	struct field age = read_back(t, &at);
	c->start = at;
	if (age.digits == 0 || age.value < 1 || age.value > 122 || part_of_number(t, c->start, c->end))
		return TDM_CHECK_NONE;
	bool right = comma ? behind_name(t, c->start, c->end) : nothing_counted(t, c->end);
	return right ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}
