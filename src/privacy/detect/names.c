// Names: see names.h. The rules that belong to the tagger: words that are nobody's (months, products) are let go,
// numbers are never names, and a word in another script than the conversation's own is hidden.
#include "privacy/detect/names.h"
#include "base/text.h"
#include "privacy/detect/cues.h"
#include "privacy/detect/language.h"
#include "privacy/detect/street.h"
#include <string.h>
#include <strings.h>

#define SCORE .60f        // of the tagger: more than a form alone, less than a check digit
#define STREET_SCORE .70f // of a rigid grammar
#define FEWEST_LETTERS 3
#define CODE_BIAS (-120.f) // whoever wants to hide more than at this bias also hides words of programs
#define SENTENCE 80        // terms of one that are looked at, on either side
#define SHORTEST_BYTES 4   // of a name in another script that is looked for elsewhere: more than these

static const struct tdm_entity *row_of(const char *id) {
	for (size_t i = 0; i < tdm_n_entities; i++)
		if (strcmp(tdm_entities[i].id, id) == 0)
			return &tdm_entities[i];
	return NULL;
}

struct search {
	struct tdm_names *names;
	const char *text;
	tdm_names_fn *found;
	void *arg;
};

void tdm_names_count(struct tdm_names *names, const char *text, size_t n) {
	uint32_t c;
	for (size_t i = 0; i < n;) {
		unsigned char byte = (unsigned char)text[i];
		if (byte < 0x80) {
			names->scripts[0] += (byte | 32u) - 'a' < 26u;
			i++;
			continue;
		}
		i += tdm_utf8_next(text + i, n - i, &c);
		if (tdm_char_kind(c) == TDM_CHAR_OTHER)
			names->scripts[tdm_script_of(c) % TDM_N_SCRIPTS]++;
	}
}

static bool on(const struct tdm_term *t, enum tdm_list list) {
	return t->lists >> list & 1;
}

bool tdm_names_part(const struct tdm_term *t) {
	return t->letters >= FEWEST_LETTERS && t->digits == 0 && !on(t, TDM_LIST_WORD) && !on(t, TDM_LIST_ALLOW);
}

// Only words that are nobody's, or no word at all.
static bool is_nobody(const struct tdm_term *first, const struct tdm_term *last) {
	for (const struct tdm_term *t = first; t <= last; t++)
		if (t->letters > 1 && !on(t, TDM_LIST_ALLOW))
			return false;
	return true;
}

static bool is_common(const struct tdm_term *first, const struct tdm_term *last) {
	unsigned letters = 0;
	bool all = true;
	for (const struct tdm_term *t = first; t <= last; t++) {
		letters += t->letters;
		all = all && (t->letters == 0 || on(t, TDM_LIST_WORD) || on(t, TDM_LIST_ALLOW));
	}
	return all || letters < FEWEST_LETTERS;
}

static size_t without_owner(const char *text, const struct tdm_term *t) { // "Smith's" ends before the mark
	size_t n = t->end - t->start;
	if (n > 3 && (text[t->end - 1] | 32) == 's' && text[t->end - 2] == '\'')
		return t->end - 2;
	if (n > 5 && (text[t->end - 1] | 32) == 's' && memcmp(text + t->end - 4, "\xe2\x80\x99", 3) == 0)
		return t->end - 4;
	return t->end;
}

static int tell(struct search *s, const struct tdm_entity *entity, const struct tdm_term *first,
                const struct tdm_term *last, float score) {
	struct tdm_name name = {entity, first->start, without_owner(s->text, last), score, is_common(first, last),
	                        first,  last};
	return entity && entity->level <= s->names->level ? s->found(s->arg, &name) : TDM_OK;
}

// Letters of ASCII small; n bytes.
static void lower(char *to, const char *word, size_t n) {
	for (size_t i = 0; i < n; i++)
		to[i] = (char)((unsigned char)word[i] < 0x80 ? word[i] | 32 : word[i]);
}

bool tdm_names_title(const char *word, size_t n) {
	static const char titles[] =
	    " mr mrs ms miss mx dr prof professor sir madam herr herrn frau monsieur madame mme mlle m señor "
	    "señora sr sra srta signor signora signorina sig dott dottoressa rev ";
	char small[16];
	if (n > sizeof small)
		return false;
	lower(small, word, n);
	return tdm_among(titles, small, n);
}

// A title before a person belongs to the name: "Mr.", "Frau".
static const struct tdm_term *with_title(const struct search *s, const struct tdm_term *first) {
	const struct tdm_term *t = first - 1, *begin = s->names->terms.items;
	if (t > begin && t->letters == 0 && s->text[t->start] == '.' && t[-1].end == t->start)
		t--;
	bool titled =
	    t >= begin && t->letters > 0 && !first->line && tdm_names_title(s->text + t->start, t->end - t->start);
	return titled ? t : first;
}

// A number right before a name of no listed place: "4821 Lindqvist" is where somebody lives.
static bool is_house(const struct search *s, const struct tdm_term *first) {
	const struct tdm_term *t = first - 1;
	if (first <= s->names->terms.items || first->line || on(first, TDM_LIST_CITY) || on(first, TDM_LIST_COUNTRY))
		return false;
	bool year = t->digits == 4 && t->letters == 0 && (s->text[t->start] == '1' || s->text[t->start] == '2');
	return t->digits > 1 && t->digits < 6 && t->letters < 2 && t->end - t->start == t->digits + (uint32_t)t->letters &&
	       !year;
}

static bool is_keyword(const char *text, const struct tdm_term *t) {
	static const char words[] = " def elif return lambda import const func function struct enum False True None null ";
	return tdm_among(words, text + t->start, t->end - t->start);
}

// "largest =", "depth +="
static bool is_set(const char *behind) {
	while (*behind == ' ')
		behind++;
	return *behind == '=' || (*behind && strchr("+-*!", *behind) && behind[1] == '=');
}

// Bytes of a word behind its last point; 0: it has none.
static size_t behind_point(const char *text, const struct tdm_term *t) {
	size_t n = 0, length = t->end - t->start;
	while (n < length && text[t->end - n - 1] != '.')
		n++;
	return n < length ? n : 0;
}

// "settings.yaml", "decoder.c": documents (report.pdf) are called after people, sources are not.
static bool is_source(const char *text, const struct tdm_term *t) {
	static const char ends[] =
	    " c cc cpp css gguf go h hpp ini java js json jsonl lock mjs py rb rs sh sql toml ts tsx "
	    "xml yaml yml ";
	size_t n = behind_point(text, t);
	return tdm_among(ends, text + t->end - n, n);
}

// "u.email", "self.session": what stands behind the point is no name. "john.smith" is one.
static bool is_member(const struct search *s, const struct tdm_term *t) {
	const unsigned common = 1u << TDM_LIST_WORD | 1u << TDM_LIST_ALLOW;
	size_t n = t->caps == TDM_CAPS_NONE ? behind_point(s->text, t) : 0;
	unsigned lists = tdm_gazetteer_find(&s->names->tagger->lists, tdm_term_hash(s->text + t->end - n, n));
	return n > 2 && lists && !(lists & ~common);
}

// `.menu`, `id="main-menu"`; user="sarah" is somebody.
static bool is_selector(const char *text, const struct tdm_term *t) {
	char before = t->start ? text[t->start - 1] : 0;
	bool dashed = memchr(text + t->start, '-', t->end - t->start);
	bool value = before == '"' && t->start > 1 && text[t->start - 2] == '=';
	return t->caps == TDM_CAPS_NONE && (before == '.' || (value && dashed));
}

// What stands beside it makes it one: `"model":` in JSON, `model: {` in YAML, `$HOME`, words in backticks. Names may be
// keys as well, but have a capital.
static bool is_marked(const char *text, const struct tdm_term *t) {
	const char *behind = text + t->end;
	char before = t->start ? text[t->start - 1] : 0;
	if (before == '$' || t->caps == TDM_CAPS_FIRST)
		return before == '$';
	if (*behind == ':' && behind[1] == ' ')
		return behind[2] == '{' || behind[2] == '[';
	return (*behind == '"' && behind[1] == ':') || (before == '`' && *behind == '`');
}

// A word of a program: "max_depth", "elem2", "len(", "text.split", "largest =".
static bool is_code(const char *text, const struct tdm_term *t) {
	const char *behind = text + t->end;
	bool part = *behind == '.' && (behind[1] | 32) >= 'a' && (behind[1] | 32) <= 'z';
	bool numbered = t->letters && t->digits && text[t->start] >= 'a' && text[t->start] <= 'z';
	bool joined = numbered || memchr(text + t->start, '_', t->end - t->start);
	return joined || part || *behind == '(' || *behind == '[' || is_set(behind);
}

static bool has_code(const struct search *s, const struct tdm_term *first, const struct tdm_term *last) {
	for (const struct tdm_term *t = first; t <= last; t++)
		if (is_code(s->text, t) || is_keyword(s->text, t) || is_source(s->text, t) || is_marked(s->text, t) ||
		    is_selector(s->text, t) || is_member(s, t))
			return true;
	return false;
}

// Where the sentence begins that holds this term, or SENTENCE terms before it.
static const struct tdm_term *sentence_of(const struct search *s, const struct tdm_term *term) {
	const struct tdm_terms *terms = &s->names->terms;
	size_t at = (size_t)(term - terms->items), begin = at;
	while (begin > 0 && at - begin < SENTENCE && !tdm_terms_break(terms, begin))
		begin--;
	return terms->items + begin;
}

static enum tdm_language language_of(const struct search *s, const struct tdm_term *first) {
	const struct tdm_terms *terms = &s->names->terms;
	const struct tdm_term *begin = sentence_of(s, first);
	size_t at = (size_t)(first - terms->items), end = at + 1;
	while (end < terms->n && end - at < SENTENCE && !tdm_terms_break(terms, end))
		end++;
	return tdm_language_of(begin, (size_t)(terms->items + end - begin));
}

static bool is_capital(const struct tdm_term *t) {
	return t->caps != TDM_CAPS_NONE && !tdm_language_word(t);
}

static bool is_listed_name(const struct tdm_term *t) {
	unsigned lists = 1u << TDM_LIST_FIRST | 1u << TDM_LIST_SURNAME | 1u << TDM_LIST_CITY | 1u << TDM_LIST_COUNTRY |
	                 1u << TDM_LIST_FIRM | 1u << TDM_LIST_GROUP;
	return is_capital(t) && (t->lists & lists) && !on(t, TDM_LIST_WORD);
}

// What the tagger says of a language that it has not learned counts as far as capitals bear it out; in German, where
// every noun has one, as far as lists do. False: nothing is left.
static bool keep_likely(const struct search *s, const struct tdm_term **first, const struct tdm_term **last) {
	enum tdm_language language = language_of(s, *first);
	const struct tdm_term *from = *first, *to = *last;
	bool listed = false;
	if (language == TDM_LANGUAGE_ENGLISH)
		return true;
	while (from < to && !is_capital(from))
		from++;
	while (to > from && !is_capital(to))
		to--;
	for (const struct tdm_term *t = from; t <= to; t++)
		listed = listed || is_listed_name(t);
	*first = from;
	*last = to;
	bool begins = from == to && from->first; // its capital may be that of the sentence
	bool titled = with_title(s, from) != from || (from < to && with_title(s, from + 1) != from + 1);
	return is_capital(from) && (listed || titled || (language == TDM_LANGUAGE_OTHER && !begins));
}

// The name of a kind of number: "IBAN", "GSTIN".
static bool is_kind(const char *text, const struct tdm_term *t) {
	size_t n = t->end - t->start;
	for (size_t i = 0; i < tdm_n_entities; i++)
		for (const char *word = tdm_entities[i].words; word && *word;) {
			size_t length = strcspn(word, " ");
			if (length == n && strncasecmp(word, text + t->start, n) == 0)
				return true;
			word += length + (word[length] != 0);
		}
	return false;
}

// "small", "the price", "IBAN": common words in small letters that no list has as a name, and names of numbers.
static bool is_plain(const char *text, const struct tdm_term *first, const struct tdm_term *last) {
	for (const struct tdm_term *t = first; t <= last; t++) {
		bool common = t->caps == TDM_CAPS_NONE && t->lists == 1u << TDM_LIST_WORD;
		bool kind = t->caps == TDM_CAPS_ALL || (t->caps == TDM_CAPS_NONE && t->lists == 0);
		if (t->letters && !common && !(kind && is_kind(text, t)))
			return false;
	}
	return true;
}

// "Write Clara Keller": who asks for something says what with a capital, and the word is no part of the name.
static const struct tdm_term *without_verb(const struct search *s, const struct tdm_term *first,
                                           const struct tdm_term *last) {
	static const char verbs[] =
	    " Write Ask Tell Send Give Call Text Email E-mail Mail Message Contact Phone Ring Thank Help "
	    "Remind Inform Invite Meet Notify Greet Show Answer Confirm Pay Introduce Dear Hello Hi Hey "
	    "From To For With By And But Is Was Are Did Does Has Can Should ";
	if (first == last || !is_capital(first + 1))
		return first;
	return tdm_among(verbs, s->text + first->start, first->end - first->start) ? first + 1 : first;
}

// A unit of measure: "centimetres", "kilograms".
static bool is_unit(const char *text, const struct tdm_term *t) {
	static const char ends[] = " metre metres meter meters litre litres liter liters gram grams byte bytes watt watts ";
	size_t n = t->end - t->start;
	for (size_t cut = 2; cut + 4 <= n && cut <= 5; cut++) // behind milli, centi, kilo, mega, nano ...
		if (tdm_among(ends, text + t->start + cut, n - cut))
			return true;
	return false;
}

// A sentence that begins with a capital has its names with capitals too: small words in it that are words, or units,
// are nobody's name, whoever else is called so: "silver bell", "How many centimetres". With a title they may be.
static bool is_small(const struct search *s, const struct tdm_term *first, const struct tdm_term *last) {
	for (const struct tdm_term *t = first; t <= last; t++)
		if (t->letters && (t->caps != TDM_CAPS_NONE || !(on(t, TDM_LIST_WORD) || is_unit(s->text, t))))
			return false;
	const struct tdm_term *begin = sentence_of(s, first);
	while (begin < first && begin->letters == 0)
		begin++;
	return begin < first && begin->caps != TDM_CAPS_NONE && with_title(s, first) == first;
}

// Whether anything of what the tagger found is left, at biases that hide little.
static bool is_likely(const struct search *s, enum tdm_tag_kind kind, const struct tdm_term **first,
                      const struct tdm_term **last) {
	if (s->names->bias <= CODE_BIAS)
		return true;
	if (kind == TDM_TAG_PER && is_small(s, *first, *last))
		return false;
	return !is_plain(s->text, *first, *last) && !has_code(s, *first, *last) && keep_likely(s, first, last);
}

// A language or a people alone, "to German", is no person, though some are called that.
static bool is_people(const struct search *s, const struct tdm_term *first, const struct tdm_term *last) {
	static const char languages[] = " afrikaans albanian amharic arabic armenian basque bengali bosnian bulgarian "
	                                "burmese cantonese catalan chinese croatian "
	                                "czech danish dutch english esperanto estonian farsi finnish french galician "
	                                "georgian german greek gujarati hausa hebrew "
	                                "hindi hungarian icelandic igbo indonesian irish italian japanese kannada khmer "
	                                "korean kurdish latin latvian lithuanian "
	                                "malay malayalam maltese mandarin marathi mongolian nepali norwegian pashto "
	                                "persian polish portuguese punjabi romanian "
	                                "russian sanskrit serbian slovak slovenian somali spanish swahili swedish tagalog "
	                                "tamil telugu thai tibetan turkish "
	                                "ukrainian urdu vietnamese welsh yiddish yoruba zulu ";
	char small[16];
	size_t n = first->end - first->start;
	if (first != last || n > sizeof small)
		return false;
	lower(small, s->text + first->start, n);
	return on(first, TDM_LIST_GROUP) || tdm_among(languages, small, n);
}

static int on_name(void *arg, enum tdm_tag_kind kind, const struct tdm_term *first, const struct tdm_term *last) {
	static const char *const ids[TDM_N_TAG_KINDS] = {"PERSON", "PLACE", "ORG", "GROUP"};
	while (first < last && first->letters == 0)
		first++;
	while (first < last && last->letters == 0)
		last--;
	const struct search *s = arg;
	if (!is_likely(s, kind, &first, &last))
		return TDM_OK;
	if (kind == TDM_TAG_PER && is_people(s, first, last))
		kind = TDM_TAG_MISC;
	if (kind == TDM_TAG_PER)
		first = with_title(arg, without_verb(s, first, last));
	if ((kind == TDM_TAG_LOC || kind == TDM_TAG_PER) && is_house(arg, first) && !is_nobody(first, last))
		return tell(arg, row_of("ADDRESS"), first - 1, last, SCORE);
	return is_nobody(first, last) ? TDM_OK : tell(arg, row_of(ids[kind]), first, last, SCORE);
}

// Of scripts without blanks a name is a part of a term. One character is too little to be looked for elsewhere.
static int on_cue(void *arg, const struct tdm_term *first, const struct tdm_term *last, size_t start, size_t end) {
	struct search *s = arg;
	struct tdm_name name = {row_of("PERSON"), start, end, SCORE, end - start <= SHORTEST_BYTES, first, last};
	return name.entity->level <= s->names->level ? s->found(s->arg, &name) : TDM_OK;
}

static int on_street(void *arg, const struct tdm_term *first, const struct tdm_term *last) {
	return tell(arg, row_of("ADDRESS"), first, last, STREET_SCORE);
}

static int main_script(const struct tdm_names *names) {
	int most = 0;
	for (int i = 1; i < TDM_N_SCRIPTS; i++)
		most = names->scripts[i] > names->scripts[most] ? i : most;
	return most;
}

// Words of another script; a single letter of Greek is a sign of mathematics.
static int find_foreign(struct search *s) {
	const struct tdm_terms *terms = &s->names->terms;
	int own = main_script(s->names), status = TDM_OK;
	for (size_t i = 0; i < terms->n && status == TDM_OK; i++) {
		size_t first = i, letters = terms->items[i].letters;
		if (letters == 0 || terms->items[i].script == own || terms->items[i].script == 0)
			continue;
		while (i + 1 < terms->n && terms->items[i + 1].letters && !terms->items[i + 1].line &&
		       terms->items[i + 1].script == terms->items[first].script)
			letters += terms->items[++i].letters;
		if (letters > 1)
			status = tell(s, row_of("PERSON"), &terms->items[first], &terms->items[i], SCORE);
	}
	return status;
}

// Which name the column says that its cells hold.
static const struct tdm_entity *named(const uint64_t *rows) {
	static const char *const ids[] = {"PERSON", "ADDRESS", "ORG", "PLACE", "GROUP", "AGE"};
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		const struct tdm_entity *row = row_of(ids[i]);
		size_t k = (size_t)(row - tdm_entities);
		if (rows[k / 64] >> k % 64 & 1)
			return row;
	}
	return NULL;
}

// "n/a", "-" and bare numbers are nobody; a postcode and an age are numbers.
static bool is_value(const struct tdm_entity *row, const struct tdm_term *first, const struct tdm_term *last) {
	bool letters = false, digits = false;
	for (const struct tdm_term *t = first; t <= last; t++) {
		letters = letters || t->letters > 1;
		digits = digits || t->digits > (row->level > 2 ? 0 : 3);
	}
	bool number = strcmp(row->id, "AGE") == 0 || (strcmp(row->id, "ADDRESS") == 0 && !letters);
	return (number ? digits && !letters : letters) && !(first == last && on(first, TDM_LIST_ALLOW));
}

static int find_cells(struct search *s, const struct tdm_cells *cells) {
	const struct tdm_terms *terms = &s->names->terms;
	int status = TDM_OK;
	for (size_t i = 0, t = 0; i < cells->n && status == TDM_OK; i++) {
		const struct tdm_entity *row = named(cells->items[i].rows);
		while (t < terms->n && terms->items[t].start < cells->items[i].start)
			t++;
		size_t first = t;
		while (t < terms->n && terms->items[t].end <= cells->items[i].end)
			t++;
		if (row && t > first && is_value(row, &terms->items[first], &terms->items[t - 1]))
			status = tell(s, row, &terms->items[first], &terms->items[t - 1], STREET_SCORE);
	}
	return status;
}

int tdm_names_cut(struct tdm_names *names, const char *text, size_t n, struct tdm_error *err) {
	names->terms.n = 0;
	return tdm_terms_cut(text, n, &names->terms, err);
}

int tdm_names_find(struct tdm_names *names, const char *text, const struct tdm_cells *cells, tdm_names_fn *found,
                   void *arg) {
	struct search s = {names, text, found, arg};
	int status = tdm_tagger_find(names->tagger, text, &names->terms, names->bias, names->seen, on_name, &s);
	if (status == TDM_OK)
		status = tdm_street_find(text, &names->terms, on_street, &s);
	if (status == TDM_OK)
		status = find_foreign(&s);
	if (status == TDM_OK)
		status = tdm_cues_find(text, &names->terms, on_cue, &s);
	return status == TDM_OK ? find_cells(&s, cells) : status;
}

void tdm_names_release(struct tdm_names *names) {
	tdm_terms_release(&names->terms);
}
