// Compact: see compact.h. The index over the table is made once and only read afterwards.
#include "privacy/detect/compact.h"
#include "privacy/detect/checks.h"
#include "privacy/detect/date.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FORMS 512
#define MAX_GROUPS 8        // without a word of context
#define MAX_NAMED_GROUPS 26 // beside one: digit by digit
#define MAX_OF_LENGTH 64
#define LEAST 5        // characters of a number
#define MOST_SHORT 2   // groups like "a1": no number has more of them
#define LONGEST_WORD 5 // a group of letters alone that is longer is a word, not a part of a number
#define MAX_WEIGHTS 24

struct sum {
	int8_t weight[MAX_WEIGHTS];
	uint8_t n, check, modulus;
	const char *map;
};

struct form { // one shape of a row; masks count from the end
	const struct tdm_entity *entity;
	uint64_t digits, letters, literals;
	char literal[TDM_COMPACT_BYTES]; // from the end
	uint8_t n, prefix, least_digits;
	uint8_t n_sums;
	struct sum sums[2];
};

static struct form forms[MAX_FORMS];
static uint16_t n_forms;
// The forms of a length: [1] those of digits alone, and of these by what is needed before they count.
enum need { ALONE, APART, WORD, N_NEEDS }; // nothing, separators or letters, a word of context
struct key {
	uint32_t digits, letters;
	uint16_t form, row;
};
static struct bucket {
	struct key keys[MAX_OF_LENGTH];
	uint16_t n;
	uint64_t rows[TDM_ENTITY_SETS];
} buckets[TDM_COMPACT_BYTES + 1][2][N_NEEDS];
static bool too_many;
static pthread_once_t once = PTHREAD_ONCE_INIT;

enum { DIGIT = 1, LETTER = 2, SEPARATOR = 4, SMALL = 'a' - 'A' };
static const uint8_t sorts[256] = {
    ['0' ... '9'] = DIGIT,  ['a' ... 'z'] = LETTER | SMALL,
    ['A' ... 'Z'] = LETTER, [' '] = SEPARATOR,
    ['-'] = SEPARATOR,      ['.'] = SEPARATOR,
    ['/'] = SEPARATOR,      ['('] = SEPARATOR,
    [')'] = SEPARATOR,      ['+'] = SEPARATOR,
};

static unsigned sort(char c) {
	return sorts[(unsigned char)c];
}
static bool digit(char c) {
	return sort(c) == DIGIT;
}
static bool letter(char c) {
	return sort(c) & LETTER;
}
static bool separator(char c) {
	return sort(c) == SEPARATOR;
}

static int value_of(char c) {
	return digit(c) ? c - '0' : c - 'A' + 10;
}

// "10 9 8|0-987654321": see entities.h. Returns where the next sum begins.
static const char *read_sum(const char *p, struct sum *out) {
	bool placed = false;
	*out = (struct sum){0};
	while (*p && *p != '|') {
		if (*p == '*') {
			out->check = out->n;
			out->weight[out->n++] = 0;
			placed = true;
			p++;
		} else if (*p == ' ')
			p++;
		else {
			char *end;
			out->weight[out->n++] = (int8_t)strtol(p, &end, 10);
			p = end;
		}
	}
	if (!placed)
		out->check = out->n;
	out->map = p + 1;
	out->modulus = (uint8_t)strcspn(p + 1, ";");
	p += 1 + out->modulus;
	return *p ? p + 1 : p;
}

static enum need need_of(const struct tdm_entity *row) {
	return row->flags & TDM_ENTITY_CONTEXT ? WORD : row->bare ? ALONE : APART;
}

static void add_form(struct form *form) {
	too_many = too_many || n_forms == MAX_FORMS;
	if (too_many || form->n > TDM_COMPACT_BYTES)
		return;
	for (const char *p = form->entity->sum; p && *p && form->n_sums < 2;)
		p = read_sum(p, &form->sums[form->n_sums++]);
	for (int only_digits = 0; only_digits < 2; only_digits++) {
		bool all = form->digits == (UINT64_C(1) << form->n) - 1;
		if (only_digits ? form->letters != 0 : all)
			continue;
		struct bucket *b = &buckets[form->n][only_digits][need_of(form->entity)];
		size_t row = (size_t)(form->entity - tdm_entities);
		too_many = too_many || b->n == MAX_OF_LENGTH;
		b->rows[row / 64] |= UINT64_C(1) << row % 64;
		if (!too_many)
			b->keys[b->n++] = (struct key){(uint32_t)form->digits, (uint32_t)form->letters, n_forms, (uint16_t)row};
	}
	forms[n_forms++] = *form;
}

// "?5-22"
static void add_any(const struct tdm_entity *entity, const char *p) {
	char *end;
	long low = strtol(p + 1, &end, 10), high = strtol(end + 1, NULL, 10);
	for (long n = low; n <= high; n++)
		add_form(&(struct form){.entity = entity, .n = (uint8_t)n, .least_digits = 4});
}

// The shape with its repeats written out. Returns its length; prefix: how many small letters are in front.
static int spell(const char *p, char out[TDM_COMPACT_BYTES], uint8_t *prefix) {
	int n = 0;
	bool leading = true;
	while (*p && *p != ' ') {
		char c = *p++, *end;
		long times = 1;
		if (*p == '*') {
			times = strtol(p + 1, &end, 10);
			p = end;
		}
		leading = leading && c >= 'a' && c <= 'z';
		*prefix += leading;
		for (; times > 0 && n < TDM_COMPACT_BYTES; times--)
			out[n++] = c;
	}
	return n;
}

static void add_shape(const struct tdm_entity *entity, const char *p) {
	struct form form = {.entity = entity};
	char spelled[TDM_COMPACT_BYTES];
	int n = spell(p, spelled, &form.prefix);
	for (int i = 0; i < n; i++) {
		char c = spelled[n - 1 - i];
		uint64_t bit = UINT64_C(1) << i;
		bool small = c >= 'a' && c <= 'z';
		form.digits |= c == '#' || digit(c) ? bit : 0;
		form.letters |= c == 'A' || small ? bit : 0;
		form.literals |= digit(c) || small ? bit : 0;
		form.literal[i] = small ? (char)(c - 32) : c;
	}
	form.n = (uint8_t)n;
	add_form(&form);
}

static void prepare(void) {
	for (size_t i = 0; i < tdm_n_entities; i++) {
		const char *p = tdm_entities[i].shape;
		while (p && *p) {
			if (*p == '?')
				add_any(&tdm_entities[i], p);
			else
				add_shape(&tdm_entities[i], p);
			p += strcspn(p, " ");
			p += *p == ' ';
		}
	}
}

bool tdm_compact_prepare(void) {
	return pthread_once(&once, prepare) == 0 && !too_many;
}

// Letters apart from the number by a space are a word unless they are capitals: "is 5552671".
static bool only_a_word(const char *text, size_t start, size_t end, bool last, bool any_small) {
	bool apart = last ? start > 0 && text[start - 1] == ' ' : text[end] == ' ';
	return end - start > LONGEST_WORD || (any_small && apart);
}

// Where the group begins that ends at text[end); end when it cannot belong to a number. last: it is the last one of it.
static size_t group_begin(const char *text, size_t end, bool last) {
	size_t least = end > TDM_COMPACT_BYTES ? end - TDM_COMPACT_BYTES : 0, i = end;
	unsigned s, seen = 0;
	for (; i > least && (s = sort(text[i - 1])) & (DIGIT | LETTER); i--)
		seen |= s;
	bool whole = i == 0 || !(sort(text[i - 1]) & (DIGIT | LETTER));
	return whole && (seen & DIGIT || !only_a_word(text, i, end, last, seen & SMALL)) ? i : end;
}

// Where the separators before a group begin, three at most.
static size_t gap_begin(const char *text, size_t end) {
	size_t i = end;
	while (i > 0 && end - i < 3 && separator(text[i - 1]))
		i--;
	return i;
}

static void forget(struct tdm_compact *k) {
	k->digits = k->starts = k->shorts = 0;
	k->used = TDM_COMPACT_BYTES;
}

static void append(struct tdm_compact *k, const char *text, size_t start, size_t end) {
	int n = (int)(end - start);
	uint64_t digits = 0, first = UINT64_C(1) << (n - 1);
	if (k->used + TDM_COMPACT_BYTES > sizeof k->room) {
		memcpy(k->room, k->room + k->used - TDM_COMPACT_BYTES, TDM_COMPACT_BYTES);
		k->used = TDM_COMPACT_BYTES;
	}
	char *to = k->room + k->used;
	for (size_t i = start; i < end; i++) {
		unsigned s = sort(text[i]);
		digits = digits << 1 | (s & DIGIT);
		*to++ = (char)(text[i] ^ (s & SMALL));
	}
	k->digits = k->digits << n | digits;
	k->starts = k->starts << n | first;
	k->shorts = k->shorts << n | (n < 3 && digits && digits + 1 != first << 1 ? first : 0);
	k->begins[k->n_begun++ % TDM_COMPACT_BYTES] = (uint32_t)start;
	k->used += (size_t)n;
}

// How many groups may be read: one where the run goes on behind it and nothing speaks for the whole, none when that one
// is a part of it.
static int most_groups(const char *behind, bool alone) {
	if (!alone)
		return MAX_NAMED_GROUPS;
	if (!separator(behind[0]) || !digit(behind[1]))
		return MAX_GROUPS;
	return *behind == ' ' || *behind == '(' || *behind == ')';
}

// Letters alone may end a number, but where it goes on they may be a word in it.
static bool ends_with_digit(const struct tdm_compact *k) {
	uint64_t first = k->starts & -k->starts;
	return k->digits & (2 * first - 1) && first;
}

struct fresh { // groups that are not known yet, the last one first
	struct {
		size_t start, end;
	} groups[MAX_NAMED_GROUPS];
	size_t chars; // in all of them
	bool goes_on; // they go on with the ones that are known
};

// The groups that end at text[end), `most` of them at most. Returns how many.
static int find_groups(const struct tdm_compact *k, const char *text, size_t end, int most, struct fresh *f) {
	size_t chars = 0;
	bool goes_on = false;
	int n = 0;
	while (n < most && !goes_on) {
		size_t start = group_begin(text, end, n == 0);
		if (start == end || chars + end - start > TDM_COMPACT_BYTES)
			break;
		chars += end - start;
		f->groups[n].start = start;
		f->groups[n++].end = end;
		end = gap_begin(text, start);
		if (end == start)
			break;
		goes_on = end == k->end && ends_with_digit(k);
	}
	f->chars = chars;
	f->goes_on = goes_on;
	return n;
}

// Of what was read: as many groups as may be, with room for all of them.
static void count_groups(struct tdm_compact *k, int most) {
	int n_short = 0;
	k->n = k->groups = 0;
	for (uint64_t left = k->starts & UINT32_MAX; left && k->groups < most; left &= left - 1) {
		int i = __builtin_ctzll(left);
		n_short += k->shorts >> i & 1;
		if (n_short > MOST_SHORT)
			return;
		k->n = i + 1;
		k->groups++;
	}
}

bool tdm_compact_read(struct tdm_candidate *c, bool alone) {
	struct tdm_compact *k = &c->compact;
	struct fresh f;
	size_t end = c->anchor - 1;
	int most = most_groups(c->text + end, alone);
	int n = find_groups(k, c->text, end, most > 1 ? MAX_NAMED_GROUPS : most, &f);
	if (n == 0 || (f.chars < LEAST && (most == 1 || (alone && !f.goes_on))))
		return false;
	if (!f.goes_on)
		forget(k);
	k->end = most > 1 || f.goes_on ? end : SIZE_MAX;
	for (int i = n; i-- > 0;)
		append(k, c->text, f.groups[i].start, f.groups[i].end);
	size_t first = f.groups[0].start;
	k->separator = most > 1 && first > 0 && separator(c->text[first - 1]) ? c->text[first - 1] : 0;
	k->text = k->room + k->used - TDM_COMPACT_BYTES;
	count_groups(k, most);
	return k->n >= LEAST;
}

static bool sums_agree(const struct form *form, const char *s, int n) {
	for (int k = 0; k < form->n_sums; k++) {
		const struct sum *sum = &form->sums[k];
		int total = 0;
		if (sum->check >= n || sum->n > n)
			return false;
		for (int i = 0; i < sum->n; i++)
			total += sum->weight[i] * value_of(s[i]);
		total %= sum->modulus;
		if (sum->map[total < 0 ? total + sum->modulus : total] != s[sum->check])
			return false;
	}
	return true;
}

static bool literals_agree(const struct form *form, const char *last) {
	for (uint64_t left = form->literals; left; left &= left - 1) {
		int i = __builtin_ctzll(left);
		if (last[-i] != form->literal[i])
			return false;
	}
	return true;
}

// Days and months with the marks some countries add to them (+40 for no citizens, +20 for a century, +50 for women).
static bool date_possible(const char *date, const char *s) {
	const char *d = s + (date[3] - '0');
	int first = (d[0] - '0') * 10 + d[1] - '0', month = (d[2] - '0') * 10 + d[3] - '0',
	    last = (d[4] - '0') * 10 + d[5] - '0', day = date[0] == 'd' ? first : last;
	for (int i = 0; i < 6; i++)
		if (!digit(d[i]))
			return true; // letters in the place of digits: nothing is known
	day = day > 60 ? day - 60 : day > 40 ? day - 40 : day;
	month = month > 50 && month < 63 ? month - 50 : month > 70 && month < 83 ? month - 70 : month % 20;
	int year = date[2] == '-' ? 0 : date[0] == 'd' ? last : first; // of which century is not known
	return tdm_calendar(year % 4 ? 1 : -1, month, day);
}

static enum tdm_check judge(const struct form *form, const char *s) {
	const struct tdm_entity *row = form->entity;
	int n = form->n - form->prefix;
	s += form->prefix;
	if (row->date && !date_possible(row->date, s))
		return TDM_CHECK_NONE;
	enum tdm_check verdict = row->valid ? row->valid(s, n) : row->sum ? TDM_CHECK_PASS : TDM_CHECK_ABSTAIN;
	if (verdict == TDM_CHECK_PASS && !sums_agree(form, s, n))
		verdict = TDM_CHECK_FAIL;
	return verdict == TDM_CHECK_FAIL && row->flags & TDM_ENTITY_KEEP ? TDM_CHECK_ABSTAIN : verdict;
}

static bool joint(char c, bool blank) {
	return c == '-' || c == '.' || c == '/' || c == '+' || c == ':' || (blank && c == ' ');
}

// Whether the number goes on to the left or right: part of a version, of an identifier of a program, of a list.
static bool goes_on(const struct tdm_candidate *c, int n) {
	const char *t = c->text;
	bool blank = (c->compact.starts & ((UINT64_C(1) << n) - 1)) != UINT64_C(1) << (n - 1); // it has blanks of its own
	if (c->start > 0 && t[c->start - 1] == '_')
		return c->start > 1 && digit(t[c->start - 2]);
	if (c->start > 1 && joint(t[c->start - 1], blank) &&
	    (digit(t[c->start - 2]) || (t[c->start - 1] != ' ' && letter(t[c->start - 2]))))
		return true;
	return joint(t[c->end], blank) && (digit(t[c->end + 1]) || (t[c->end] == '-' && letter(t[c->end + 1])));
}

// Seconds or milliseconds since 1970, of the years 2001 to 2033.
static bool epoch(const char *s, int n, bool all_digits, bool one_group) {
	return all_digits && one_group && (n == 10 || n == 13) && *s == '1';
}

struct wish {
	int level;
	unsigned need;
	const uint64_t *context;
	tdm_compact_fn *found;
	void *arg;
};

static bool fits(const struct form *form, const struct wish *w, uint64_t digits, const char *last) {
	const struct tdm_entity *row = form->entity;
	if (row->level > w->level || (row->flags & w->need) != w->need)
		return false;
	if (form->least_digits && __builtin_popcountll(digits) < form->least_digits)
		return false;
	return !form->literals || literals_agree(form, last);
}

static bool any_named(const struct bucket *bucket, const uint64_t *context) {
	uint64_t both = 0;
	for (int i = 0; i < TDM_ENTITY_SETS; i++)
		both |= bucket->rows[i] & context[i];
	return both;
}

static void match_forms(struct tdm_candidate *c, int n, const struct wish *w, const struct bucket *bucket, bool named,
                        bool embedded) {
	const struct tdm_compact *k = &c->compact;
	const char *s = k->text + TDM_COMPACT_BYTES - n, *last = k->text + TDM_COMPACT_BYTES - 1;
	uint64_t digits = k->digits & ((UINT64_C(1) << n) - 1);
	for (int i = 0; i < bucket->n; i++) {
		const struct key *key = &bucket->keys[i];
		const struct form *form = &forms[key->form];
		if ((digits & key->digits) != key->digits || digits & key->letters)
			continue;
		if ((named && !(w->context[key->row / 64] >> key->row % 64 & 1)) || !fits(form, w, digits, last))
			continue;
		enum tdm_check verdict = judge(form, s);
		c->entity = form->entity;
		if (verdict != TDM_CHECK_NONE)
			w->found(w->arg, c, verdict, embedded);
	}
}

// named: only rows for which a word stands near.
static inline void match_bucket(struct tdm_candidate *c, int n, const struct wish *w, const struct bucket *bucket,
                                bool named, bool embedded) {
	if (named ? any_named(bucket, w->context) : bucket->n > 0)
		match_forms(c, n, w, bucket, named, embedded);
}

// Without a word of context nothing is tried whose score could not reach the threshold.
static void match_start(struct tdm_candidate *c, int n, int groups, const struct wish *w) {
	const struct tdm_compact *k = &c->compact;
	uint64_t all = (UINT64_C(1) << n) - 1;
	bool only_digits = (~k->digits & all) == 0, one_group = (k->starts & all) == UINT64_C(1) << (n - 1);
	c->compact.taken = n;
	c->start = tdm_compact_begin(k, groups);
	c->end = c->anchor - 1;
	bool embedded = goes_on(c, n) || epoch(k->text + TDM_COMPACT_BYTES - n, n, only_digits, one_group);
	if (embedded && !w->context)
		return;
	bool plain = only_digits && one_group;
	match_bucket(c, n, w, &buckets[n][only_digits][ALONE], embedded, embedded);
	if (w->context || !plain)
		match_bucket(c, n, w, &buckets[n][only_digits][APART], embedded || plain, embedded);
	if (w->context)
		match_bucket(c, n, w, &buckets[n][only_digits][WORD], true, embedded);
}

enum tdm_check tdm_compact_judge(const struct tdm_entity *row, const char *s, int n) {
	tdm_compact_prepare();
	for (int i = 0; i < n_forms; i++)
		if (forms[i].entity == row && forms[i].n == n)
			return judge(&forms[i], s);
	return TDM_CHECK_NONE;
}

void tdm_compact_match(struct tdm_candidate *c, int level, unsigned need, const uint64_t *context,
                       tdm_compact_fn *found, void *arg) {
	const struct wish w = {level, need, context, found, arg};
	const struct tdm_compact *k = &c->compact;
	int groups = k->groups;
	for (uint64_t left = k->starts & ((UINT64_C(1) << k->n) - 1); left >> (LEAST - 1); groups--) {
		int n = 64 - __builtin_clzll(left);
		left ^= UINT64_C(1) << (n - 1);
		match_start(c, n, groups, &w);
	}
}

int tdm_mod97(const char *s, int n) {
	int r = 0;
	for (int i = 0; i < n; i++)
		r = digit(s[i]) ? (10 * r + s[i] - '0') % 97 : (100 * r + value_of(s[i])) % 97;
	return r;
}

bool tdm_luhn_text(const char *s, int n) {
	int sum = 0, k = 0;
	for (int i = n - 1; i >= 0; i--) {
		int v = value_of(s[i]);
		do {
			sum += k++ % 2 ? tdm_luhn_twice[v % 10] : v % 10;
			v /= 10;
		} while (v);
	}
	return sum % 10 == 0;
}
