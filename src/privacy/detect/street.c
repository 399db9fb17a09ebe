// Street: see street.h. Every rule reads a few terms from an anchor (a number, a word for a street, a postcode) and
// says where its part of an address ends; what follows is read part by part. A new word: street_words.h.
#include "privacy/detect/street.h"
#include "privacy/detect/street_words.h"
#include <pthread.h>
#include <string.h>

#define MOST_WORDS 5 // of the name of a street
#define MOST_PARTS 8 // behind it
#define CONTEXT_TERMS 9

struct entry {
	uint64_t lower;
	uint32_t classes;
};
#define N_ENTRIES 4096
static struct entry table[N_ENTRIES]; // filled once, under `once`
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct entry *entry_of(uint64_t lower) {
	size_t at = tdm_term_mix(lower) % N_ENTRIES;
	while (table[at].classes && table[at].lower != lower)
		at = (at + 1) % N_ENTRIES;
	return &table[at];
}

static void fill(void) {
	for (size_t i = 0; i < sizeof tdm_street_words / sizeof *tdm_street_words; i++)
		for (const char *word = tdm_street_words[i].words; *word;) {
			size_t n = strcspn(word, " ");
			uint64_t lower = tdm_term_hash(word, n);
			struct entry *e = entry_of(lower);
			e->lower = lower;
			e->classes |= tdm_street_words[i].class;
			word += n + (word[n] == ' ');
		}
}

struct street {
	const char *text;
	const struct tdm_term *terms;
	size_t n;
};

static unsigned class_at(const struct street *s, size_t i) {
	return i < s->n && s->terms[i].letters ? entry_of(s->terms[i].lower)->classes : 0;
}

static bool is(const struct street *s, size_t i, unsigned classes) {
	return class_at(s, i) & classes;
}

static bool sign(const struct street *s, size_t i, char c) {
	return i < s->n && s->text[s->terms[i].start] == c && s->terms[i].end == s->terms[i].start + 1;
}

static bool word(const struct street *s, size_t i) {
	return i < s->n && s->terms[i].letters > 0;
}

static bool capital(const struct street *s, size_t i) {
	return i < s->n && s->terms[i].caps != TDM_CAPS_NONE;
}

static size_t after_dot(const struct street *s, size_t i) { // "St." is one word and a sign
	return sign(s, i, '.') && i > 0 && s->terms[i].start == s->terms[i - 1].end ? i + 1 : i;
}

// Digits with at most one letter: "12", "12b", "221B", "12-14".
static bool house_number(const struct street *s, size_t i) {
	if (i >= s->n)
		return false;
	const struct tdm_term *t = &s->terms[i];
	char first = s->text[t->start];
	return t->digits > 0 && t->digits <= 8 && t->letters <= 1 && first >= '0' && first <= '9' &&
	       !memchr(s->text + t->start, '.', t->end - t->start);
}

static bool plain_number(const struct street *s, size_t i, int least, int most) {
	return i < s->n && s->terms[i].letters == 0 && s->terms[i].digits >= least && s->terms[i].digits <= most &&
	       s->terms[i].end - s->terms[i].start == s->terms[i].digits;
}

static bool ordinal(const struct street *s, size_t i) { // "5th"
	return i < s->n && s->terms[i].digits > 0 && s->terms[i].digits < 4 && s->terms[i].letters == 2;
}

// A word that ends in one for a street: "Hauptstraße".
static bool street_ending(const struct street *s, size_t i) {
	uint32_t letters[TDM_TERM_LETTERS];
	if (!word(s, i) || s->terms[i].letters < 5 || s->terms[i].letters > 30)
		return false;
	int n = tdm_term_lower(s->text, &s->terms[i], letters);
	for (size_t k = 0; k < sizeof tdm_street_endings / sizeof *tdm_street_endings; k++) {
		const uint32_t *end = tdm_street_endings[k];
		int length = 0;
		while (end[length])
			length++;
		if (n > length + 1 && memcmp(letters + n - length, end, (size_t)length * sizeof *end) == 0)
			return true;
	}
	return false;
}

// The word at k ends the name: one for a street, and the next one is not ("Park Avenue").
static bool ends_name(const struct street *s, size_t k, bool capitals) {
	bool perhaps = is(s, k, STREET_PERHAPS) && capitals && capital(s, k);
	return (is(s, k, STREET_TYPE) || perhaps) && !is(s, k + 1, STREET_TYPE);
}

static bool may_be_name(const struct street *s, size_t k) { // "The Green", but not "the green"
	bool never = is(s, k, STREET_NEVER) && s->terms[k].caps != TDM_CAPS_FIRST;
	return (word(s, k) || ordinal(s, k)) && !never;
}

// Words up to one for a street: "Oak Street", "Martin Luther King Jr. Blvd".
static size_t name_before_type(const struct street *s, size_t i) {
	bool capitals = true;
	int words = 0;
	for (size_t k = i; words <= MOST_WORDS && k < s->n && !(k > i && s->terms[k].line); k++) {
		if (words > 0 && ends_name(s, k, capitals))
			return after_dot(s, k + 1);
		if (k > i && after_dot(s, k) > k)
			continue;
		capitals = capitals && (capital(s, k) || ordinal(s, k));
		if (!may_be_name(s, k) || (!capitals && words >= 2))
			return 0;
		words++;
	}
	return 0;
}

static bool is_calle(const struct street *s, size_t i) { // "C/ Libertad"
	return sign(s, i + 1, '/') && s->terms[i].letters == 1 && (s->text[s->terms[i].start] | 32) == 'c';
}

static bool in_name(const struct street *s, size_t k, bool may_be_small) {
	return word(s, k) && (capital(s, k) || is(s, k, STREET_SMALL) || (may_be_small && !is(s, k, STREET_NEVER)));
}

// A word for a street, then its name: "rue de la Paix", "Calle Mayor".
static size_t name_after_type(const struct street *s, size_t i, bool number_before) {
	size_t k = i + 1 + is_calle(s, i), last = 0;
	int names = 0;
	if (!is(s, i, STREET_FIRST) && !is_calle(s, i))
		return 0;
	for (k = after_dot(s, k); k < s->n && k < i + 8 && names < 4 && !s->terms[k].line; k++) {
		bool small = is(s, k, STREET_SMALL);
		if (!in_name(s, k, number_before && names == 0))
			break;
		names += !small;
		last = small ? last : k + 1;
	}
	return last;
}

static size_t name_with_ending(const struct street *s, size_t i) {
	for (size_t k = i; k < i + 3 && k < s->n && word(s, k) && (k == i || !s->terms[k].line); k++) {
		if (is(s, k, STREET_NEVER))
			return 0;
		if (street_ending(s, k) || (k > i && is(s, k, STREET_LAST)))
			return after_dot(s, k + 1);
	}
	return 0;
}

// --- what stands beside a street; each returns the index behind it, or i

static size_t unit(const struct street *s, size_t i) {
	if (sign(s, i, '#') && i + 1 < s->n && s->terms[i + 1].digits + s->terms[i + 1].letters <= 6)
		return i + 2;
	if (is(s, i, STREET_UNIT)) {
		size_t k = after_dot(s, i + 1);
		k += sign(s, k, '#') || sign(s, k, ':');
		bool code = k < s->n && (s->terms[k].digits || (s->terms[k].letters == 1 && capital(s, k)));
		return code && s->terms[k].digits + s->terms[k].letters <= 6 ? k + 1 : i;
	}
	return (ordinal(s, i) || plain_number(s, i, 1, 2)) && is(s, i + 1, STREET_FLOOR) ? i + 2 : i;
}

static bool letters_and_digits(const struct street *s, size_t i,
                               const char *shape) { // 'A' a capital or small, '9' digit
	const struct tdm_term *t = &s->terms[i];
	size_t n = strlen(shape);
	if (i >= s->n || t->end - t->start != n)
		return false;
	for (size_t k = 0; k < n; k++) {
		char c = s->text[t->start + k];
		bool digit = c >= '0' && c <= '9', letter = (c | 32) >= 'a' && (c | 32) <= 'z';
		if (shape[k] == '9' ? !digit : !letter)
			return false;
	}
	return true;
}

// British "SW1A 1AA", Canadian "K1A 0B1", Dutch "1012 AB".
static size_t letter_code(const struct street *s, size_t i) {
	static const char *const out[] = {"A9", "A99", "AA9", "AA99", "A9A", "AA9A"};
	if (i + 1 >= s->n)
		return i;
	if (letters_and_digits(s, i, "A9A") && letters_and_digits(s, i + 1, "9A9"))
		return i + 2;
	for (size_t k = 0; k < sizeof out / sizeof *out; k++)
		if (letters_and_digits(s, i, out[k]) && letters_and_digits(s, i + 1, "9AA"))
			return i + 2;
	if (plain_number(s, i, 4, 4) && letters_and_digits(s, i + 1, "AA") && s->terms[i + 1].caps == TDM_CAPS_ALL)
		return i + 2;
	if (plain_number(s, i, 3, 3) && plain_number(s, i + 1, 2, 2)) // "110 00"
		return i + 2;
	return letters_and_digits(s, i, "A9A9A9") ? i + 1 : i;
}

// "12345-6789", "12345-678", "1234-567", "12-345", "D-12345".
static bool code_with_dash(const struct street *s, const struct tdm_term *t) {
	static const uint8_t dashes[] = {0, 0, 0, 0, 0, 0, 2, 0, 4, 5, 5}; // by length: where it stands
	size_t n = t->end - t->start;
	if (n != t->letters + 1u + t->digits)
		return false;
	if (t->letters == 0)
		return n < sizeof dashes && dashes[n] && s->text[t->start + dashes[n]] == '-';
	bool country = t->letters <= 2 && (t->digits == 4 || t->digits == 5);
	return country && s->text[t->start + t->letters] == '-' && s->text[t->start] > '9';
}

static size_t digit_code(const struct street *s, size_t i) {
	if (plain_number(s, i, 5, 6) || (plain_number(s, i, 4, 4) && !sign(s, i + 1, ':')))
		return i + 1;
	return i < s->n && code_with_dash(s, &s->terms[i]) ? i + 1 : i;
}

static size_t postcode(const struct street *s, size_t i) {
	size_t end = letter_code(s, i);
	return end > i ? end : digit_code(s, i);
}
static bool line_ends(const struct street *s, size_t i) {
	return i >= s->n || s->terms[i].line;
}

static size_t countries(const struct street *s, size_t i) {
	size_t k = i;
	while (k < i + 3 && word(s, k) && s->terms[k].lists >> TDM_LIST_COUNTRY & 1 && (k == i || !s->terms[k].line) &&
	       s->terms[k].letters > 2)
		k++;
	return k;
}

// What can follow a region that is only two or three letters.
static bool region_goes_on(const struct street *s, size_t i) {
	return line_ends(s, i) || postcode(s, i) > i || countries(s, i) > i;
}

static bool year(const struct street *s, size_t i) {
	const char *at = s->text + s->terms[i].start;
	return plain_number(s, i, 4, 4) && ((at[0] == '1' && at[1] == '9') || (at[0] == '2' && at[1] == '0'));
}

static size_t region(const struct street *s, size_t i) { // "CA", "Ontario", "United Kingdom"
	if (i >= s->n)
		return i;
	const struct tdm_term *t = &s->terms[i];
	bool apart = i > 0 && (t->line || (t[-1].letters + t[-1].digits == 0 && memchr(",(", s->text[t[-1].start], 2)));
	bool state = is(s, i, STREET_STATE), code = t->digits == 0 && t->letters >= 2 && t->letters <= 3;
	if (state && t->caps == TDM_CAPS_ALL)
		return i + 1;
	if (apart && code && (state || t->caps == TDM_CAPS_ALL) && region_goes_on(s, i + 1 + sign(s, i + 1, ')')))
		return i + 1;
	return countries(s, i);
}

static size_t listed_city(const struct street *s, size_t i) {
	size_t k = i;
	while (k < i + 3 && word(s, k) && s->terms[k].lists >> TDM_LIST_CITY & 1 && s->terms[k].letters > 2 &&
	       (k == i || !s->terms[k].line))
		k++;
	return k;
}

static size_t separators(const struct street *s, size_t i) {
	for (int n = 0; n < 3 && i < s->n && s->terms[i].letters + s->terms[i].digits == 0; n++, i++)
		if (!memchr(",;-/|()", s->text[s->terms[i].start], 7))
			break;
	return i;
}

static bool own_line(const struct street *s, size_t i, size_t end) {
	return end > i && s->terms[i].line && (end >= s->n || s->terms[end].line || sign(s, end, ','));
}

// What follows a town at k: a code, a region, or a region with a code.
static bool town_goes_on(const struct street *s, size_t i, size_t k, bool capitals) {
	size_t next = separators(s, k), area = region(s, next);
	if (postcode(s, next) > next)
		return true;
	size_t behind = separators(s, area);
	return area > next && (capitals || own_line(s, i, k) || postcode(s, behind) > behind);
}

// Up to four words that are a town because of what follows: a region, a code, or the end of the line.
static size_t other_city(const struct street *s, size_t i, bool apart) {
	size_t k = i;
	bool capitals = true;
	while (k < i + 4 && may_be_name(s, k) && !ordinal(s, k) && (k == i || !s->terms[k].line)) {
		capitals = capitals && capital(s, k);
		k = after_dot(s, k + 1);
	}
	if (!capitals && k > i + 2)
		return i;
	if (k > i && town_goes_on(s, i, k, capitals))
		return k;
	return apart && capitals && own_line(s, i, k) ? k : i;
}

static bool short_code(const struct street *s, size_t i, bool apart) { // "101 Reykjavik"
	return listed_city(s, i + 1) > i + 1 || (apart && (line_ends(s, i + 1) || (s->terms[i].line && capital(s, i + 1))));
}

// A word of another language for a flat, and its number, where the line or the clause ends: "top 5", "dør 12".
static size_t unit_abroad(const struct street *s, size_t i) {
	bool name = word(s, i) && s->terms[i].letters <= 6 && s->terms[i].digits == 0 && s->terms[i].caps != TDM_CAPS_ALL &&
	            !is(s, i, STREET_NEVER | STREET_AND | STREET_MONTH);
	size_t k = after_dot(s, i + 1);
	bool number =
	    name && !(k < s->n && s->terms[k].line) && house_number(s, k) && s->terms[k].digits <= 4 && !year(s, k);
	return number && (line_ends(s, k + 1) || !word(s, k + 1) || capital(s, k + 1)) ? k + 1 : i;
}

// A code of three to five digits, or "696 81", "53-320", "1319 ck", where a clause ends.
static size_t code_at_end(const struct street *s, size_t i) {
	size_t end = postcode(s, i);
	if (end == i && plain_number(s, i, 3, 5))
		end = i + 1;
	if (end == i + 1 && plain_number(s, end, 2, 3) && !s->terms[end].line)
		end++;
	else if (end == i + 1 && word(s, end) && s->terms[end].letters == 2 && s->terms[end].digits == 0)
		end++;
	return end > i && (line_ends(s, end) || !word(s, end)) ? end : i;
}

static size_t words_before_comma(const struct street *s, size_t i, size_t most) { // the comma; i: there is none
	size_t k = i;
	while (k < i + most && word(s, k) && s->terms[k].digits == 0 && (k == i || !s->terms[k].line) &&
	       !is(s, k, STREET_NEVER))
		k = after_dot(s, k + 1);
	return k > i && sign(s, k, ',') ? k : i;
}

// ", zielona góra, 65-119": a town of any letter case between the street and its code.
static size_t town_before_code(const struct street *s, size_t i) {
	size_t comma = words_before_comma(s, i, 6), end = comma > i ? code_at_end(s, comma + 1) : 0;
	return end > comma + 1 ? end : i;
}

// "12 rue victor" goes on with "hugo, la petite ville, 78700".
static size_t name_before_town(const struct street *s, size_t i) {
	size_t comma = words_before_comma(s, i, 3), end = comma > i ? town_before_code(s, comma + 1) : 0;
	return end > comma + 1 ? end : i;
}

static size_t part(const struct street *s, size_t i, bool apart) {
	size_t end = unit(s, i);
	if (end == i)
		end = postcode(s, i);
	if (end == i && plain_number(s, i, 3, 3) && short_code(s, i, apart))
		end = i + 1;
	if (end == i)
		end = region(s, i);
	if (end == i)
		end = listed_city(s, i);
	if (end == i)
		end = other_city(s, i, apart);
	if (end == i)
		end = apart ? town_before_code(s, i) : name_before_town(s, i);
	return end > i ? end : unit_abroad(s, i);
}

// What follows the street at i belongs to the address, part by part. Returns the end; *parts counts them.
static size_t rest(const struct street *s, size_t i, int *parts) {
	size_t end = i;
	*parts = 0;
	while (*parts < MOST_PARTS && end < s->n) {
		size_t from = separators(s, end);
		if (from >= s->n)
			break;
		size_t next = part(s, from, from > end || s->terms[from].line);
		if (next == from)
			break;
		end = next;
		++*parts;
	}
	return end;
}

// "6750 Koskikatu 25", "8 Via Roma, 133", "Highway 12".
static size_t second_number(const struct street *s, size_t end) {
	size_t k = end + sign(s, end, ',');
	bool there = k < s->n && !s->terms[k].line && house_number(s, k) && s->terms[k].digits <= (k > end ? 3 : 4);
	return there && !ordinal(s, k) ? k + 1 : end;
}

// The end of a name that begins at k, behind a number.
static size_t name_after_number(const struct street *s, size_t k) {
	size_t end = name_after_type(s, k, true);
	if (!end)
		end = name_before_type(s, k);
	if (end && is(s, end, STREET_DIRECTION) && s->terms[end].caps == TDM_CAPS_ALL)
		end++;
	if (!end)
		end = name_with_ending(s, k);
	return end ? second_number(s, end) : 0;
}

// Whether the part at i is a town or a country of the lists, or a code.
static bool known_part(const struct street *s, size_t i) {
	return listed_city(s, i) > i || countries(s, i) > i || postcode(s, i) > i ||
	       (is(s, i, STREET_STATE) && s->terms[i].caps == TDM_CAPS_ALL);
}

// What stands behind a name and a number, or a number and a name, when no word of it is one for a street: a flat, or
// places that are known. `least` of them are enough.
static size_t decided_by_rest(const struct street *s, size_t end, int least) {
	int parts, known = 0;
	size_t from = separators(s, end), next = unit(s, from);
	if (next > from)
		return rest(s, next, &parts);
	next = rest(s, end, &parts);
	for (size_t k = end; k < next; k++)
		known += known_part(s, k);
	return parts >= least && known > 0 && (from > end || s->terms[from].line) ? next : 0;
}

// Words of the name of a street nobody knows, from k on; the index behind them.
static size_t unknown_name(const struct street *s, size_t k) {
	size_t end = k;
	for (size_t n = 0; n < 5 && end < s->n && !(end > k && s->terms[end].line); n++) {
		bool small = end > k && is(s, end, STREET_SMALL);
		if (!small && (!may_be_name(s, end) || is(s, end, STREET_MONTH) || capital(s, end) != capital(s, k)))
			break;
		end = after_dot(s, end + 1);
	}
	return end;
}

static bool unusual(const struct street *s, size_t i) { // a word that is no common one
	return !(s->terms[i].lists >> TDM_LIST_WORD & 1);
}

// A word of no list but those of persons: it may well be a street.
static bool nobodys(const struct street *s, size_t i) {
	return !(s->terms[i].lists & ~(1u << TDM_LIST_FIRST | 1u << TDM_LIST_SURNAME)) && s->terms[i].letters > 3 &&
	       s->terms[i].digits == 0 && s->terms[i].caps == TDM_CAPS_FIRST;
}

static size_t after_fraction(const struct street *s, size_t i) { // "12/3", "12 - 14"
	bool sign_between = sign(s, i, '/') || sign(s, i, '-');
	return sign_between && house_number(s, i + 1) && !s->terms[i].line ? i + 2 : i;
}

// Whether a word that speaks of addresses stands a little before i; or "at", before a name that nobody uses otherwise.
static bool in_context(const struct street *s, size_t i, bool rare) {
	for (size_t k = i; k-- > 0 && i - k < CONTEXT_TERMS;)
		if (is(s, k, STREET_CONTEXT))
			return true;
	return rare && is(s, i - 1, STREET_AT);
}

// The end of an address whose name begins at `name`, ends at `end`, and of which no word is one for a street. It begins
// at i.
static size_t judge_name(const struct street *s, size_t i, size_t name, size_t end, int least) {
	int parts;
	size_t next = decided_by_rest(s, end, least);
	if (next)
		return next;
	bool rare = unusual(s, name), words = capital(s, name) || rare;
	if (!words || i == 0 || (least > 1 && !in_context(s, i, false)))
		return 0;
	return in_context(s, i, rare) ? rest(s, end, &parts) : 0;
}

// "12 Broadway, Apt 3", "1600 Amphitheatre, Mountain View, CA 94043", "I live at 7 Lindqvist".
static size_t name_alone(const struct street *s, size_t number, size_t k) {
	size_t end = unknown_name(s, k);
	if (end == k || (!capital(s, k) && end > k + 2))
		return 0;
	end = second_number(s, end);
	size_t next = judge_name(s, number, k, end, year(s, number) || !capital(s, k) ? 2 : 1);
	bool alone = s->terms[number].digits > 1 && capital(s, k) && nobodys(s, k) && !year(s, number);
	int parts;
	return next || !alone ? next : rest(s, end, &parts);
}

// "Husova 5, Praha": the number behind the name.
static size_t name_and_number(const struct street *s, size_t i) {
	if (!capital(s, i) || (i > 0 && capital(s, i - 1) && !s->terms[i].line))
		return 0;
	size_t end = unknown_name(s, i);
	end += sign(s, end, ',');
	bool number = end > i && house_number(s, end) && s->terms[end].digits <= 4 && !s->terms[end].line && !year(s, end);
	return number ? judge_name(s, i, i, after_fraction(s, end + 1), unusual(s, i) ? 1 : 2) : 0;
}

static size_t from_one_number(const struct street *s, size_t i) {
	int parts;
	bool clock = sign(s, i + 1, ':') || (i > 0 && sign(s, i - 1, ':') && s->terms[i - 1].end == s->terms[i].start);
	if (!house_number(s, i) || sign(s, i + 1, '.') || clock)
		return 0;
	size_t k = after_fraction(s, i + 1);
	k += sign(s, k, ',');
	if (k >= s->n || s->terms[k].line)
		return 0;
	size_t end = name_after_number(s, k);
	return end ? rest(s, end, &parts) : name_alone(s, i, k);
}

// Also the number of a flat before the one of the house: "2 14 Church Lane".
static size_t from_number(const struct street *s, size_t i) {
	bool two = house_number(s, i) && house_number(s, i + 1) && !s->terms[i + 1].line;
	size_t end = from_one_number(s, i);
	return end || !two ? end : from_one_number(s, i + 1);
}

// "Apt. 12", "Suite 300": where somebody lives or works, also without the street.
static size_t from_unit(const struct street *s, size_t i) {
	int parts;
	size_t end = unit(s, i);
	if (end > i && is(s, end, STREET_BOX) && end + 1 < s->n && s->terms[end + 1].digits) // "Unit 1234 Box 56"
		return rest(s, end + 2, &parts);
	return end > i && is(s, i, STREET_UNIT_ALONE) ? rest(s, end, &parts) : 0;
}

// "Baker Street": the name alone says where, when every word of it has a capital.
static size_t from_street(const struct street *s, size_t i) {
	int parts;
	if (!capital(s, i) || is(s, i, STREET_NEVER) || (i > 0 && capital(s, i - 1) && !s->terms[i].line))
		return 0;
	size_t end = name_before_type(s, i);
	bool whole = end && is(s, end - 1, STREET_TYPE) && capital(s, end - 1) && s->terms[end - 1].letters >= 4;
	return whole ? rest(s, end, &parts) : 0;
}

// "ul. polna 42, zielona góra": in small letters the number and the town behind it must say so.
static size_t from_small_name(const struct street *s, size_t i) {
	size_t k = after_dot(s, i + 1), first = k;
	int parts;
	if (!is(s, i, STREET_FIRST) || capital(s, i))
		return 0;
	while (k < first + 4 && may_be_name(s, k) && !capital(s, k) && !s->terms[k].line)
		k++;
	if (k == first || !house_number(s, k) || s->terms[k].line || !sign(s, k + 1, ','))
		return 0;
	size_t end = rest(s, k + 1, &parts);
	return parts ? end : 0;
}

static size_t from_name(const struct street *s, size_t i) {
	int parts;
	size_t end = name_after_type(s, i, false);
	if (!end && (capital(s, i) || street_ending(s, i)))
		end = name_with_ending(s, i);
	if (!end) {
		end = from_small_name(s, i);
		return end ? end : name_and_number(s, i);
	}
	size_t k = end + sign(s, end, ',');
	k = is(s, k, STREET_NUMBER) ? after_dot(s, k + 1) : k;
	return house_number(s, k) && !s->terms[k].line ? rest(s, after_fraction(s, k + 1), &parts) : 0;
}

static size_t from_box(const struct street *s, size_t i) {
	int parts;
	size_t k = i;
	if (!is(s, i, STREET_BOX))
		return 0;
	while (k < i + 6 &&
	       (is(s, k, STREET_BOX) || sign(s, k, '.') || sign(s, k, '#') || sign(s, k, ':') || is(s, k, STREET_SMALL)))
		k++;
	if (k >= s->n || s->terms[k].digits == 0 || s->terms[k].digits > 7)
		return 0;
	bool single = k == i + 1 && !is(s, i, STREET_BOX_ALONE); // "box 12" is no address
	return single ? 0 : rest(s, k + 1 + plain_number(s, k + 1, 2, 4), &parts);
}

// "IL 62704", with the town before it; "75001 Paris".
static size_t from_region(const struct street *s, size_t i) {
	int parts;
	if (is(s, i, STREET_STATE) && s->terms[i].caps == TDM_CAPS_ALL && plain_number(s, i + 1, 5, 5))
		return rest(s, i + 2, &parts);
	if (is(s, i, STREET_STATE) && s->terms[i].caps == TDM_CAPS_ALL && digit_code(s, i + 1) > i + 1 &&
	    s->terms[i + 1].digits == 9)
		return rest(s, i + 2, &parts);
	bool code = plain_number(s, i, 5, 5) || (i < s->n && s->terms[i].letters && digit_code(s, i) > i);
	return code && listed_city(s, i + 1) > i + 1 && capital(s, i + 1) ? rest(s, i + 1, &parts) : 0;
}

// A street, perhaps with its number before or behind: words with capitals (small ones: two at most).
static size_t name_at_corner(const struct street *s, size_t i) {
	size_t k = i, small = 0;
	for (; k < i + 6 && k < s->n && !is(s, k, STREET_AND); k = after_dot(s, k + 1)) {
		bool between = is(s, k, STREET_SMALL) || house_number(s, k) || ordinal(s, k);
		small += !between && !capital(s, k);
		if (!between && (!may_be_name(s, k) || small > 2 || (small && capital(s, k))))
			break;
	}
	return k > i && sign(s, k - 1, '.') ? k - 1 : k; // of the sentence
}

// "corner of Oak and Pine": two names, of which no word need be one for a street.
static size_t from_corner(const struct street *s, size_t i) {
	int parts;
	size_t k = i + 1 + (is(s, i + 1, STREET_SMALL | STREET_AT) || (i + 1 < s->n && s->terms[i + 1].letters == 2));
	if (!is(s, i, STREET_CORNER))
		return 0;
	size_t first = name_at_corner(s, k);
	if (first == k || !(is(s, first, STREET_AND) || sign(s, first, '&') || sign(s, first, '/')))
		return 0;
	size_t second = name_at_corner(s, first + 1);
	return second > first + 1 ? rest(s, second, &parts) : 0;
}

// "pizza near 90210": five digits behind a word for a place that count nothing.
static size_t from_code_alone(const struct street *s, size_t i) {
	bool place = i > 0 && is(s, i - 1, STREET_NEAR) && !s->terms[i].line && plain_number(s, i, 5, 5);
	return place && (line_ends(s, i + 1) || !word(s, i + 1)) ? i + 1 : 0;
}

static size_t from_code_word(const struct street *s, size_t *first) { // "zip code: 12345"
	size_t k = *first + 1, i;
	if (!is(s, *first, STREET_CODE))
		return 0;
	for (i = k; k < i + 4 && (is(s, k, STREET_CODE | STREET_IS) || sign(s, k, ':') || sign(s, k, '=') ||
	                          sign(s, k, '"') || sign(s, k, '#'));)
		k++;
	size_t end = postcode(s, k);
	if (end > k)
		*first = k;
	return end > k ? end : 0;
}

// The words of a town before "IL 62704".
static size_t town_before(const struct street *s, size_t i) {
	size_t k = i;
	if (k > 0 && sign(s, k - 1, ','))
		k--;
	size_t words = k;
	while (words > 0 && k - words < 3 && capital(s, words - 1) && s->terms[words - 1].digits == 0 &&
	       !s->terms[words].first && !is(s, words - 1, STREET_NEVER))
		words--;
	return words < k ? words : i;
}

// The end of the address that begins at *first, which moves where a town stands before a code; 0: there is none.
static size_t from_word(const struct street *s, size_t *first) {
	size_t end = from_box(s, *first);
	if (!end)
		end = from_unit(s, *first);
	if (!end)
		end = from_name(s, *first);
	if (!end)
		end = from_code_word(s, first);
	if (!end && (end = from_corner(s, *first)) && *first > 0 && s->terms[*first - 1].letters == 3)
		--*first; // "the"
	return end ? end : from_street(s, *first);
}

int tdm_street_find(const char *text, const struct tdm_terms *terms, tdm_street_fn *found, void *arg) {
	const struct street s = {text, terms->items, terms->n};
	int status = TDM_OK;
	pthread_once(&once, fill);
	for (size_t i = 0; i < s.n && status == TDM_OK; i++) {
		size_t first = i, end = s.terms[i].digits ? from_number(&s, i) : 0;
		if (!end && s.terms[i].digits)
			end = from_code_alone(&s, i);
		if (!end && s.terms[i].letters)
			end = from_word(&s, &first);
		if (!end && (end = from_region(&s, i)) && is(&s, i, STREET_STATE))
			first = town_before(&s, i);
		if (!end)
			continue;
		status = found(arg, &s.terms[first], &s.terms[end - 1]);
		i = end - 1;
	}
	return status;
}
