// Evidence: see evidence.h. The numbers are the rule: a passed check decides alone, a failed one weakens but never
// clears (a mistyped card is still somebody's card), a context word near by is worth 0.35.
#include "privacy/detect/evidence.h"
#include "privacy/detect/checks.h"
#include "privacy/detect/compact.h"
#include "privacy/detect/ordinary.h"
#include "privacy/detect/payment.h"
#include "base/view.h"
#include <pthread.h>
#include <string.h>

#define BEFORE_BYTES 60
#define AFTER_BYTES 40
#define MAX_OF_DIGITS 32

// Rows whose pattern is '#', a bit for each: those that share a pattern are tried by what stands before the last
// digits.
static struct {
	uint16_t rows[MAX_OF_DIGITS];
	size_t n_rows;
	uint32_t anywhere, before[256], twice, without_words; // the last: those that need no context
} of_digits;
static uint64_t numbers[TDM_ENTITY_SETS]; // the rows of compact.c

// The rows for which a word stands anywhere near an anchor: without one, what needs context is not even looked at.
// Anchors come in order, so the first word in reach only moves forward.
struct vicinity {
	const struct tdm_scan *scan;
	size_t first, last; // the words in reach
	size_t cell;        // the first that ends at or behind the anchor
	bool inside, any;   // the anchor is inside of that cell; there are words, or a cell
	size_t from, to;    // the words whose rows are known, see rows_near()
	size_t of_cell;     // and the cell
	uint64_t rows[TDM_ENTITY_SETS];
	uint32_t of_digits; // those of them that are tried where digits end
	bool numbers;       // some of them are numbers of letters and digits
};
#define STRIDE 8
#define VICINITY_BEFORE 192 // of an anchor: the longest span, and what lies before it
#define VICINITY_AFTER 160

// The first word that may end inside the window before the span: of those in reach of the anchor, unless the span
// begins far before it.
static size_t first_near(const struct vicinity *v, const struct tdm_candidate *c) {
	const struct tdm_scan *scan = v->scan;
	if (c->start + VICINITY_BEFORE - BEFORE_BYTES >= c->anchor)
		return v->first;
	size_t low = 0, high = scan->n_words, first = c->start > BEFORE_BYTES ? c->start - BEFORE_BYTES : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (scan->words[middle].end < first)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool in_reach(const struct tdm_word *word, const struct tdm_candidate *c) {
	bool before = word->end <= c->start && word->start + BEFORE_BYTES >= c->start;
	return before || (word->start >= c->end && word->end <= c->end + AFTER_BYTES);
}

static inline void add_rows(uint64_t *restrict rows, const uint64_t *restrict more) {
	for (int i = 0; i < TDM_ENTITY_SETS; i++)
		rows[i] |= more[i];
}

// The rows for which the name of the cell speaks that holds all of the span; NULL = none.
static const uint64_t *named(const struct vicinity *v, const struct tdm_candidate *c) {
	const struct tdm_cell *cell = v->inside ? &v->scan->cells[v->cell] : NULL;
	return cell && cell->start <= c->start && c->end <= cell->end ? cell->rows : NULL;
}

// The rows for which a word stands within reach of the span.
static void context_of(const struct vicinity *v, const struct tdm_candidate *c, uint64_t rows[TDM_ENTITY_SETS]) {
	const struct tdm_scan *scan = v->scan;
	const uint64_t *by_name = named(v, c);
	if (by_name)
		memcpy(rows, by_name, TDM_ENTITY_SETS * sizeof *rows);
	else
		memset(rows, 0, TDM_ENTITY_SETS * sizeof *rows);
	for (size_t i = first_near(v, c); i < scan->n_words && scan->words[i].end <= c->end + AFTER_BYTES; i++)
		if (in_reach(&scan->words[i], c))
			add_rows(rows, scan->words[i].rows);
}

static bool lists(const uint64_t rows[TDM_ENTITY_SETS], const struct tdm_entity *row) {
	size_t i = (size_t)(row - tdm_entities);
	return rows[i / 64] >> i % 64 & 1;
}

static bool has_context(const struct vicinity *v, const struct tdm_candidate *c) {
	const struct tdm_scan *scan = v->scan;
	const uint64_t *by_name = named(v, c);
	if (by_name && lists(by_name, c->entity))
		return true;
	for (size_t i = first_near(v, c); i < scan->n_words && scan->words[i].end <= c->end + AFTER_BYTES; i++)
		if (lists(scan->words[i].rows, c->entity) && in_reach(&scan->words[i], c))
			return true;
	return false;
}

// The name of the field or column says more than a word somewhere near.
static float worth_of_words(const struct vicinity *v, const struct tdm_candidate *c) {
	const uint64_t *by_name = named(v, c);
	return by_name && lists(by_name, c->entity) ? .50f : .35f;
}

static unsigned why_of(enum tdm_check verdict) {
	return verdict == TDM_CHECK_PASS ? TDM_WHY_CHECK : verdict == TDM_CHECK_FAIL ? TDM_WHY_WRONG : TDM_WHY_FORM;
}

static float score_of(const struct vicinity *v, struct tdm_candidate *c, enum tdm_check verdict, bool hard) {
	const struct tdm_entity *row = c->entity;
	float score = row->base;
	c->why = why_of(verdict);
	if (verdict == TDM_CHECK_PASS)
		score = .99f;
	else if (verdict == TDM_CHECK_FAIL)
		score = score < .20f ? score : .20f;
	bool needed = row->flags & TDM_ENTITY_CONTEXT;
	if (!needed && score >= row->threshold) // context could only raise it
		return score;
	if (!hard && has_context(v, c)) {
		c->why |= TDM_WHY_WORD;
		score += worth_of_words(v, c);
		return score < .40f ? .40f : score > 1.f ? 1.f : score;
	}
	return needed && score > .30f ? .30f : score;
}

static bool wanted(const struct tdm_scan *scan, const struct tdm_entity *row, int level, bool hard) {
	return row->level <= level && !(scan->off && lists(scan->off, row)) && (!hard || (row->flags & TDM_ENTITY_HARD));
}

static enum tdm_check check(struct tdm_candidate *c) {
	return c->entity->check ? c->entity->check(c) : tdm_check_prefix(c);
}

static void vicinity_move(struct vicinity *v, size_t anchor) {
	const struct tdm_scan *scan = v->scan;
	size_t first = v->first, last = v->last, cell = v->cell;
	while (first < scan->n_words && scan->words[first].end + VICINITY_BEFORE < anchor)
		first++;
	while (last < scan->n_words && scan->words[last].start < anchor + VICINITY_AFTER)
		last++;
	while (cell < scan->n_cells && scan->cells[cell].end + 1 < anchor)
		cell++;
	v->first = first;
	v->last = last;
	v->cell = cell;
	v->inside = cell < scan->n_cells && scan->cells[cell].start < anchor;
	v->any = v->inside || first < last;
}

// Those of the words in reach and of a few around them, so that they stay the same for some anchors: whether a word is
// near enough is asked again for what is found.
static const uint64_t *rows_near(struct vicinity *v) {
	size_t from = v->first / STRIDE * STRIDE, to = (v->last / STRIDE + 1) * STRIDE;
	size_t cell = v->inside ? v->cell + 1 : 0;
	if (from == v->from && to == v->to && cell == v->of_cell)
		return v->rows;
	v->from = from;
	v->to = to;
	v->of_cell = cell;
	uint64_t all[TDM_ENTITY_SETS] = {0};
	if (v->inside)
		add_rows(all, v->scan->cells[v->cell].rows);
	for (size_t i = from; i < to && i < v->scan->n_words; i++)
		add_rows(all, v->scan->words[i].rows);
	memcpy(v->rows, all, sizeof all);
	uint64_t any = 0;
	for (int i = 0; i < TDM_ENTITY_SETS; i++)
		any |= all[i] & numbers[i];
	v->numbers = any;
	v->of_digits = 0;
	for (size_t i = 0; i < of_digits.n_rows; i++)
		v->of_digits |= (uint32_t)lists(all, &tdm_entities[of_digits.rows[i]]) << i;
	return v->rows;
}

static uint32_t digits_near(struct vicinity *v) {
	rows_near(v);
	return v->of_digits;
}

// For numbers of letters and digits; NULL: no word speaks for any of them.
static const uint64_t *numbers_near(struct vicinity *v) {
	const uint64_t *rows = rows_near(v);
	return v->numbers ? rows : NULL;
}

// What speaks best for one number of letters and digits.
struct choice {
	const struct vicinity *near;
	bool words; // some may speak for it
	uint64_t context[TDM_ENTITY_SETS];
	size_t start, end;               // of the span whose context this is; start == end: none yet
	const struct tdm_entity *entity; // of the best, and where it stands
	size_t from, to;
	unsigned why;
	float score;
};

// A run of digits alone says little; with separators it is as good as its row says.
static float base_of(const struct tdm_candidate *c) {
	const struct tdm_compact *k = &c->compact;
	bool plain = tdm_only_digits(c) && k->separator != '-' && k->separator != '/' && k->separator != '+';
	return plain && c->entity->base > .25f ? .25f : c->entity->base;
}

// Of digits one check digit of ten agrees by chance: they are hidden all the same, but what a word speaks for, or what
// knows their groups, gives the name.
static float passed(const struct tdm_candidate *c, bool context) {
	if (context || !tdm_only_digits(c))
		return .99f;
	return c->compact.groups > 1 ? .45f : .59f;
}

static bool in_context(struct choice *best, const struct tdm_candidate *c) {
	if (!best->words)
		return false;
	if (best->start != c->start || best->end != c->end) {
		context_of(best->near, c, best->context);
		best->start = c->start;
		best->end = c->end;
	}
	return lists(best->context, c->entity);
}

// context: what a word is worth that speaks for it, 0 when none does.
static float score_number(const struct tdm_candidate *c, enum tdm_check verdict, float context, bool needed) {
	float score = base_of(c);
	if (verdict == TDM_CHECK_PASS)
		score = passed(c, context > 0);
	else if (verdict == TDM_CHECK_FAIL)
		score = score < .20f ? score : .20f;
	float most = verdict == TDM_CHECK_PASS ? 1.f : .90f; // only a right check digit makes certain
	if (context > 0)
		return score + context > most ? most : score + context < .40f ? .40f : score + context;
	return needed && score > .30f ? .30f : score;
}

static bool needs_word(const struct tdm_candidate *c, bool embedded) {
	bool one_group = c->compact.groups == 1 && !c->entity->bare;
	return embedded || c->entity->flags & TDM_ENTITY_CONTEXT || (one_group && tdm_only_digits(c)) || tdm_is_ordinary(c);
}

static bool is_better(const struct choice *best, const struct tdm_candidate *c, float score) {
	return score > best->score && score >= c->entity->threshold - best->near->scan->lack;
}

// How a number is written is asked last: most fail before.
static void on_compact(void *arg, struct tdm_candidate *c, enum tdm_check verdict, bool embedded) {
	struct choice *best = arg;
	bool context = in_context(best, c), off = best->near->scan->off && lists(best->near->scan->off, c->entity);
	float score = score_number(c, verdict, context ? worth_of_words(best->near, c) : 0, false);
	if (off || !is_better(best, c, score))
		return;
	if (!context && score > .30f && needs_word(c, embedded))
		score = score_number(c, verdict, 0, true);
	if (!is_better(best, c, score))
		return;
	best->score = score;
	best->from = c->start;
	best->to = c->end;
	best->why = why_of(verdict) | (context ? TDM_WHY_WORD : 0);
	best->entity = verdict == TDM_CHECK_FAIL ? tdm_entity_number : c->entity;
}

struct look { // one text
	struct vicinity near;
	struct tdm_candidate c;
	uint32_t claimed[64 * TDM_ENTITY_SETS]; // per row: the end of its last span; an anchor inside it brings nothing new
	uint32_t of_digits;                     // a bit for each row where digits end that is wanted
	int level;
	bool hard;
	tdm_evidence_fn *found;
	void *arg;
};

struct beside {
	const struct tdm_candidate *card;
	tdm_evidence_fn *found;
	void *arg;
};

static int on_beside(void *arg, enum tdm_beside what, size_t start, size_t end) {
	const struct beside *b = arg;
	struct tdm_candidate c = {.text = b->card->text, .n = b->card->n, .start = start, .end = end, .why = TDM_WHY_WORD};
	c.entity = tdm_entity_beside + what;
	return b->found(b->arg, &c, .50f);
}

// A right card number speaks for the few digits around it.
static int tell(const struct look *k, const struct tdm_candidate *c, float score, enum tdm_check verdict) {
	int status = k->found(k->arg, c, score);
	if (status != TDM_OK || k->hard || verdict != TDM_CHECK_PASS || c->entity->check != tdm_check_card)
		return status;
	return tdm_beside_card(c, on_beside, &(struct beside){c, k->found, k->arg});
}

static int weigh(struct look *k, size_t row, enum tdm_check verdict) {
	struct tdm_candidate *c = &k->c;
	k->claimed[row] = (uint32_t)c->end;
	float score = score_of(&k->near, c, verdict, k->hard);
	return score >= c->entity->threshold - k->near.scan->lack ? tell(k, c, score, verdict) : TDM_OK;
}

// One row that is wanted, and may count, at the anchor in k->c.
static inline int try_row(struct look *k, size_t row) {
	struct tdm_candidate *c = &k->c;
	c->entity = &tdm_entities[row];
	if (c->anchor <= k->claimed[row])
		return TDM_OK;
	enum tdm_check verdict = check(c);
	return verdict == TDM_CHECK_NONE ? TDM_OK : weigh(k, row, verdict);
}

// Whether the row is wanted, and a word stands near where it needs one.
static bool may_count(struct look *k, const struct tdm_entity *row) {
	if (!wanted(k->near.scan, row, k->level, k->hard))
		return false;
	return !(row->flags & TDM_ENTITY_CONTEXT) || (k->near.any && lists(rows_near(&k->near), row));
}

// A row and those behind it that share its anchor.
static int try_rows(struct look *k, size_t row) {
	int status;
	do
		status = may_count(k, &tdm_entities[row]) ? try_row(k, row) : TDM_OK;
	while (status == TDM_OK && ++row < tdm_n_entities && !tdm_entities[row].pattern);
	return status;
}

static int try_anchors(struct look *k) {
	const struct tdm_scan *scan = k->near.scan;
	int status = TDM_OK;
	for (size_t i = 0; i < scan->n_anchors && status == TDM_OK; i++) {
		k->c.anchor = scan->anchors[i].end;
		if (!k->hard)
			vicinity_move(&k->near, k->c.anchor);
		status = try_rows(k, scan->anchors[i].entity);
	}
	return status;
}

// --- numbers: wherever digits end

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_rows_of_digits(void) {
	const char *pattern = "";
	for (size_t i = 0; i < tdm_n_entities; i++) {
		const struct tdm_entity *row = &tdm_entities[i];
		uint32_t bit = UINT32_C(1) << of_digits.n_rows;
		pattern = row->pattern ? row->pattern : pattern;
		if (row->shape)
			numbers[i / 64] |= UINT64_C(1) << i % 64;
		if (*pattern != '#' || of_digits.n_rows == MAX_OF_DIGITS)
			continue;
		of_digits.rows[of_digits.n_rows++] = (uint16_t)i;
		of_digits.anywhere |= pattern[1] ? 0 : bit;
		of_digits.without_words |= row->flags & TDM_ENTITY_CONTEXT ? 0 : bit;
		of_digits.twice |= pattern[1] == '2' ? bit : 0;
		for (const char *p = pattern + 1; *p; p++)
			of_digits.before[(unsigned char)*p] |= bit;
	}
}

static bool digit(char c) {
	return c >= '0' && c <= '9';
}
static bool letter(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int try_compact(struct look *k, size_t end) {
	struct choice best;
	bool alone = k->hard || !k->near.any;
	k->c.anchor = end + 1;
	if (!tdm_compact_read(&k->c, alone))
		return TDM_OK;
	const uint64_t *context = alone ? NULL : numbers_near(&k->near);
	best.near = &k->near;
	best.words = context;
	best.start = best.end = 0;
	best.score = 0;
	tdm_compact_match(&k->c, k->level, k->hard ? TDM_ENTITY_HARD : 0, context, on_compact, &best);
	if (best.score <= 0)
		return TDM_OK;
	k->c.entity = best.entity;
	k->c.start = best.from;
	k->c.end = best.to;
	k->c.why = best.why;
	return k->found(k->arg, &k->c, best.score);
}

// Letters at text[at], at most this many; where they end when no letter or digit follows, else 0.
static size_t letters_end(const char *text, size_t at, size_t most) {
	size_t i = at;
	while (i - at <= most && letter(text[i]))
		i++;
	return i > at && i - at <= most && !letter(text[i]) && !digit(text[i]) ? i : 0;
}

// A number of letters and digits ends with the digits, or with a few letters behind them, perhaps apart.
static int try_codes(struct look *k, size_t end) {
	const char *text = k->c.text;
	int status = TDM_OK;
	size_t joined = letters_end(text, end, 4), apart = end;
	if (letter(text[end]))
		return joined ? try_compact(k, joined) : TDM_OK;
	status = try_compact(k, end);
	if (text[end] && text[end + 1] && !letter(text[end + 1]) && !letter(text[end + 2])) // most often: no letters behind
		return status;
	while (apart - end < 2 && tdm_separator(text[apart]))
		apart++;
	apart = apart > end ? letters_end(text, apart, 3) : 0;
	return status == TDM_OK && apart ? try_compact(k, apart) : status;
}

// "+290 2345": few digits, but with the sign of a country.
static bool short_abroad(const struct look *k) {
	const struct tdm_number *d = &k->c.number;
	return d->n >= 5 && d->at[d->n - 1] > 0 && k->c.text[d->at[d->n - 1] - 1] == '+';
}

static int try_digits(struct look *k, size_t start, size_t end) {
	int status = TDM_OK;
	tdm_number_append(&k->c.number, k->c.text, start, end);
	uint32_t rows = start > 0 ? of_digits.before[(unsigned char)k->c.text[start - 1]] : 0;
	if (k->c.number.n >= 7 || short_abroad(k))
		rows |= of_digits.anywhere;
	if (!tdm_number_repeats(&k->c.number))
		rows &= ~of_digits.twice;
	k->c.anchor = end + 1;
	rows &= k->of_digits & (of_digits.without_words | (k->near.any ? digits_near(&k->near) : 0));
	for (; rows && status == TDM_OK; rows &= rows - 1)
		status = try_row(k, of_digits.rows[__builtin_ctz(rows)]);
	return status == TDM_OK ? try_codes(k, end) : status;
}

static int try_numbers(struct look *k) {
	const char *text = k->c.text;
	int status = TDM_OK;
	k->near.first = k->near.last = k->near.cell = 0;
	for (size_t i = 0; i < of_digits.n_rows; i++)
		if (wanted(k->near.scan, &tdm_entities[of_digits.rows[i]], k->level, k->hard))
			k->of_digits |= UINT32_C(1) << i;
	size_t end = 0;
	while (status == TDM_OK && (end = tdm_next_digit(text, end, k->c.n)) < k->c.n) {
		size_t start = end;
		while (digit(text[end]))
			end++;
		if (!k->hard)
			vicinity_move(&k->near, end + 1);
		status = try_digits(k, start, end++);
	}
	return status;
}

int tdm_evidence(const struct tdm_scan *scan, const char *text, size_t n, int level, bool hard, tdm_evidence_fn *found,
                 void *arg) {
	struct look k = {
	    .near = {.scan = scan}, .c = {.text = text, .n = n}, .level = level, .hard = hard, .found = found, .arg = arg};
	pthread_once(&once, find_rows_of_digits);
	int status = try_anchors(&k);
	return status == TDM_OK ? try_numbers(&k) : status;
}
