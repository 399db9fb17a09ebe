// Owners: who a value in a passage belongs to, and whether that is who is asked about. A name is the last two of
// several words in a row that begin with a capital; what follows a name is about it until the next one.
#include "models/predict/relations.h"
#include "models/predict/relations_parts.h"
#include <stdint.h>
#include <string.h>

#define MOST_NAMES 64
#define MOST_OWNERS 16
#define MOST_WORDS 64
#define MOST_TOKENS 64
#define LONGEST_RUN 10 // tokens of a copied value
#define SHORTEST 3     // bytes of one; of a word that is looked for

typedef struct tdm_piece_of_text piece;

struct reading {
	const char *question;
	size_t n_question;
	piece passage, before, behind; // what is asked stands before and behind the passage
	piece names[MOST_NAMES];       // in the passage, in order
	size_t n_names;
	piece owners[MOST_OWNERS]; // each once
	int votes[MOST_OWNERS];    // words that are asked for and are about this one alone
	size_t n_owners;
	piece asked[MOST_WORDS]; // words that are asked for
	size_t n_asked;
};

static bool is_upper(char c) {
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c) {
	return c >= 'a' && c <= 'z';
}

static bool is_word(char c) {
	return is_upper(c) || is_lower(c) || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

static char folded(char c) {
	return is_upper(c) ? (char)(c + 32) : c;
}

static bool same(piece a, piece b) {
	return a.n == b.n && !memcmp(a.text, b.text, a.n);
}

static piece next_word(piece text, size_t *at) {
	while (*at < text.n && !is_word(text.text[*at]))
		++*at;
	size_t start = *at;
	while (*at < text.n && is_word(text.text[*at]))
		++*at;
	return (piece){text.text + start, *at - start};
}

static bool same_word(piece a, piece b) {
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (folded(a.text[i]) != folded(b.text[i]))
			return false;
	return true;
}

static bool has_word(piece text, piece word) {
	piece w;
	for (size_t at = 0; (w = next_word(text, &at)).n;)
		if (same_word(w, word))
			return true;
	return false;
}

// --- names

static bool is_capital(piece w) {
	if (w.n < 2 || !is_upper(w.text[0]))
		return false;
	for (size_t i = 1; i < w.n; i++)
		if (!is_lower(w.text[i]))
			return false;
	return true;
}

// The next name in text from *at on; n = 0: none.
static piece next_name(piece text, size_t *at) {
	piece first = {NULL, 0}, second = {NULL, 0}, w;
	for (size_t here = *at; (w = next_word(text, &here)).n; *at = here) {
		bool follows = second.n && w.text == second.text + second.n + 1 && w.text[-1] == ' ';
		if (is_capital(w) && (follows || !second.n)) {
			first = second;
			second = w;
		} else if (first.n) {
			break;
		} else {
			second = is_capital(w) ? w : (piece){NULL, 0};
		}
	}
	return first.n ? (piece){first.text, (size_t)(second.text + second.n - first.text)} : (piece){NULL, 0};
}

static bool has_name(piece text, piece name) {
	piece w;
	for (size_t at = 0; (w = next_name(text, &at)).n;)
		if (same(w, name))
			return true;
	return false;
}

static bool is_asked_name(const struct reading *r, piece name) {
	return has_name(r->before, name) || has_name(r->behind, name);
}

static int owner_of(const struct reading *r, piece name) {
	for (size_t i = 0; i < r->n_owners; i++)
		if (same(r->owners[i], name))
			return (int)i;
	return -1;
}

static void read_names(struct reading *r) {
	piece name;
	for (size_t at = 0; r->n_names < MOST_NAMES && (name = next_name(r->passage, &at)).n;) {
		r->names[r->n_names++] = name;
		if (owner_of(r, name) < 0 && r->n_owners < MOST_OWNERS)
			r->owners[r->n_owners++] = name;
	}
}

// From a name to the next one of the passage.
static piece about(const struct reading *r, size_t i) {
	const char *end = i + 1 < r->n_names ? r->names[i + 1].text : r->passage.text + r->passage.n;
	return (piece){r->names[i].text, (size_t)(end - r->names[i].text)};
}

static bool is_about(const struct reading *r, size_t owner, piece word) {
	for (size_t i = 0; i < r->n_names; i++)
		if (same(r->names[i], r->owners[owner]) && has_word(about(r, i), word))
			return true;
	return false;
}

// --- what is asked for

static bool says_little(piece w) {
	static const char *const little[] = {"the",     "what", "which", "two",    "sentences", "number",
	                                     "address", "give", "that",  "person", "question",  "text",
	                                     "message", "from", "write", "send",   "confirm",   "tell"};
	if (w.n < SHORTEST)
		return true;
	for (size_t i = 0; i < sizeof little / sizeof *little; i++)
		if (same_word(w, (piece){little[i], strlen(little[i])}))
			return true;
	return false;
}

static void read_asked(struct reading *r, piece text) {
	piece w;
	for (size_t at = 0; r->n_asked < MOST_WORDS && (w = next_word(text, &at)).n;)
		if (!says_little(w))
			r->asked[r->n_asked++] = w;
}

static void vote(struct reading *r) {
	for (size_t i = 0; i < r->n_asked; i++) {
		size_t n = 0, last = 0;
		for (size_t k = 0; k < r->n_owners; k++)
			if (is_about(r, k, r->asked[i])) {
				n++;
				last = k;
			}
		if (n == 1)
			r->votes[last]++;
	}
}

static size_t most_voted(const struct reading *r) {
	size_t best = 0;
	for (size_t i = 1; i < r->n_owners; i++)
		if (r->votes[i] > r->votes[best])
			best = i;
	return best;
}

static bool asks_mail(const struct reading *r) {
	return memmem(r->before.text, r->before.n, "mail", 4) || memmem(r->behind.text, r->behind.n, "mail", 4);
}

// A word that is asked for, and is not of the name, stands in the text.
static bool is_wanted(const struct reading *r, piece name, piece text) {
	for (size_t i = 0; i < r->n_asked; i++)
		if (has_word(text, r->asked[i]) && !has_word(name, r->asked[i]))
			return true;
	return false;
}

// --- the answer

static bool tells(piece token) { // a digit or an @ in it
	for (size_t i = 0; i < token.n; i++)
		if ((token.text[i] >= '0' && token.text[i] <= '9') || token.text[i] == '@')
			return true;
	return false;
}

static size_t read_tokens(piece text, piece *out) {
	size_t n = 0;
	for (size_t i = 0; i < text.n && n < MOST_TOKENS;) {
		size_t start = i;
		while (i < text.n && text.text[i] != ' ' && text.text[i] != '\n')
			i++;
		size_t end = i++;
		while (end > start && strchr(".,;!?", text.text[end - 1]))
			end--;
		if (end > start)
			out[n++] = (piece){text.text + start, end - start};
	}
	return n;
}

// The longest run of the answer's tokens with a digit or an @ that the passage contains, else the whole answer where it
// does; *at: where. Sets whether all such tokens occur.
static piece find_value(const struct reading *r, piece answer, const char **at, bool *whole) {
	piece tokens[MOST_TOKENS], best = {NULL, 0};
	size_t n = read_tokens(answer, tokens);
	*whole = true;
	for (size_t i = 0; i < n; i++) {
		bool any = tells(tokens[i]);
		*whole = *whole && (!any || memmem(r->passage.text, r->passage.n, tokens[i].text, tokens[i].n));
		for (size_t k = i; k < n && k < i + LONGEST_RUN; k++) {
			piece run = {tokens[i].text, (size_t)(tokens[k].text + tokens[k].n - tokens[i].text)};
			any = any || tells(tokens[k]);
			const char *found =
			    any || (i == 0 && k + 1 == n) ? memmem(r->passage.text, r->passage.n, run.text, run.n) : NULL;
			if (found && run.n > best.n && run.n >= SHORTEST) {
				best = run;
				*at = found;
			}
		}
	}
	return best;
}

static piece last_name(piece text) {
	piece name = {NULL, 0}, w;
	for (size_t at = 0; (w = next_name(text, &at)).n;)
		name = w;
	return name;
}

// The sentence of the passage up to `at`.
static piece sentence_before(const struct reading *r, const char *at) {
	const char *start = at;
	while (start > r->passage.text && !(start[-1] == '.' && start[0] == ' '))
		start--;
	return (piece){start, (size_t)(at - start)};
}

// said: the last name in the answer before the value.
static void relate_names(const struct reading *r, piece answer, piece said, double *out) {
	size_t from = 0;
	int meant = owner_of(r, said);
	if (said.n && is_asked_name(r, next_name(answer, &from)))
		out[TDM_REL_NAMES] = is_asked_name(r, said) || (meant >= 0 && r->votes[meant] > 0) ? 1 : -1;
	else if (said.n)
		out[TDM_REL_NAMES] = -1;
}

static void relate_value(const struct reading *r, piece answer, piece value, const char *at, double *out) {
	piece said = last_name((piece){answer.text, (size_t)(value.text - answer.text)}), owner = {NULL, 0};
	for (size_t i = 0; i < r->n_names && r->names[i].text <= at; i++)
		owner = r->names[i];
	int who = owner_of(r, owner), meant = owner_of(r, said);
	bool is_said = meant >= 0;
	meant = is_said ? meant : (int)most_voted(r);
	out[TDM_REL_OWNER] = who >= 0 && who == meant && (is_said || r->votes[who] > 0) ? 1 : -1;
	bool is_mail = memchr(value.text, '@', value.n) && asks_mail(r);
	out[TDM_REL_CONTEXT] = is_mail || is_wanted(r, owner, sentence_before(r, at)) ? 1 : -1;
	relate_names(r, answer, said, out);
}

// Names are asked for, and the passage has none of them.
static bool asks_strangers(const struct reading *r) {
	piece texts[] = {r->before, r->behind}, name;
	bool any = false;
	for (int i = 0; i < 2; i++)
		for (size_t at = 0; (name = next_name(texts[i], &at)).n; any = true)
			if (owner_of(r, name) >= 0)
				return false;
	return any;
}

static void relate_absence(const struct reading *r, double *out) {
	out[TDM_REL_ABSENT] = out[TDM_REL_EXPECTED] = 1;
	if (!r->n_owners || !r->votes[most_voted(r)] || asks_strangers(r))
		return;
	piece owner = r->owners[most_voted(r)];
	bool there = false;
	for (size_t i = 0; i < r->n_names; i++) {
		piece text = about(r, i);
		if (same(r->names[i], owner))
			there = there || is_wanted(r, owner, text) || (memchr(text.text, '@', text.n) && asks_mail(r));
	}
	out[TDM_REL_EXPECTED] = there ? -1 : 0.5;
}

void tdm_relate_owners(const char *question, size_t n_question, const char *answer, size_t n_answer, double *out) {
	struct reading r = {.question = question, .n_question = n_question, .passage = tdm_passage(question, n_question)};
	const char *at = NULL;
	bool whole;
	if (!r.passage.n)
		return;
	const char *end = r.passage.text + r.passage.n;
	r.before = (piece){question, (size_t)(r.passage.text - question)};
	r.behind = (piece){end, n_question - (size_t)(end - question)};
	read_names(&r);
	read_asked(&r, r.before);
	read_asked(&r, r.behind);
	vote(&r);
	piece value = find_value(&r, (piece){answer, n_answer}, &at, &whole);
	out[TDM_REL_WHOLE] = whole ? 1 : -1;
	if (value.n)
		relate_value(&r, (piece){answer, n_answer}, value, at, out);
	else
		relate_absence(&r, out);
}
