// Lists and numbers are here; who a copied value belongs to is in owners.c.
#include "models/predict/relations.h"
#include "models/predict/relations_parts.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

#define ANSWER_BYTES 256
#define QUESTION_BYTES 16384
#define MOST_ITEMS 1024
#define MOST_NUMBERS 8
#define DAY 1440 // minutes

const char *const tdm_relation_names[TDM_N_RELATIONS] = {
    "permuted", "sorted",  "reversed", "result", "ratio",    "counted", "time",     "owner",
    "whole",    "context", "names",    "absent", "expected", "ended",   "repeated",
};

struct tdm_piece_of_text tdm_passage(const char *question, size_t n) {
	struct tdm_piece_of_text longest = {question, 0};
	bool several = memchr(question, '\n', n) != NULL;
	for (size_t at = 0; several && at < n;) {
		const char *end = memchr(question + at, '\n', n - at);
		size_t len = end ? (size_t)(end - question) - at : n - at;
		if (len > longest.n)
			longest = (struct tdm_piece_of_text){question + at, len};
		at += len + 1;
	}
	return longest;
}

// --- items of a list

struct list {
	struct tdm_piece_of_text items[MOST_ITEMS];
	size_t n;
};

static bool parts_items(char c) {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || strchr(",;:?.!", c);
}

static void split(const char *text, size_t n, struct list *out) {
	out->n = 0;
	for (size_t i = 0; i < n && out->n < MOST_ITEMS;) {
		size_t start = i;
		while (i < n && text[i] && !parts_items(text[i]))
			i++;
		if (i > start)
			out->items[out->n++] = (struct tdm_piece_of_text){text + start, i - start};
		else
			i++;
	}
}

static bool same(struct tdm_piece_of_text a, struct tdm_piece_of_text b) {
	return a.n == b.n && !memcmp(a.text, b.text, a.n);
}

static uint64_t hash(struct tdm_piece_of_text a) {
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < a.n; i++)
		h = (h ^ (unsigned char)a.text[i]) * 1099511628211u;
	return (h ^ h >> 31) * 0x9E3779B97F4A7C15u;
}

// Equal sums of hashes: the same items in some order.
static bool is_permuted(const struct list *q, const struct list *a) {
	uint64_t want = 0, sum = 0;
	for (size_t i = 0; i < a->n; i++)
		want += hash(a->items[i]);
	for (size_t i = 0; i < q->n; i++) {
		sum += hash(q->items[i]);
		if (i >= a->n)
			sum -= hash(q->items[i - a->n]);
		if (i + 1 >= a->n && sum == want)
			return true;
	}
	return false;
}

static bool is_reversed(const struct list *q, const struct list *a) {
	for (size_t from = 0; from + a->n <= q->n; from++) {
		size_t i = 0;
		while (i < a->n && same(q->items[from + i], a->items[a->n - 1 - i]))
			i++;
		if (i == a->n)
			return true;
	}
	return false;
}

static bool is_number(struct tdm_piece_of_text a) {
	for (size_t i = 0; i < a.n; i++)
		if (a.text[i] < '0' || a.text[i] > '9')
			return false;
	return a.n > 0 && a.n < 16;
}

static double value(struct tdm_piece_of_text a) {
	double x = 0;
	for (size_t i = 0; i < a.n; i++)
		x = 10 * x + (a.text[i] - '0');
	return x;
}

static int order(struct tdm_piece_of_text a, struct tdm_piece_of_text b, bool numbers) {
	if (numbers)
		return (value(a) > value(b)) - (value(a) < value(b));
	int way = memcmp(a.text, b.text, a.n < b.n ? a.n : b.n);
	return way ? way : (a.n > b.n) - (a.n < b.n);
}

static bool is_sorted(const struct list *a) {
	bool numbers = true, up = true, down = true;
	for (size_t i = 0; i < a->n; i++)
		numbers = numbers && is_number(a->items[i]);
	for (size_t i = 1; i < a->n; i++) {
		int way = order(a->items[i - 1], a->items[i], numbers);
		up = up && way <= 0;
		down = down && way >= 0;
	}
	return up || down;
}

static double yes(bool is) {
	return is ? 1 : -1;
}

static void relate_lists(const struct list *q, const struct list *a, double *out) {
	if (a->n < 2)
		return;
	out[TDM_REL_PERMUTED] = yes(is_permuted(q, a));
	out[TDM_REL_SORTED] = yes(is_sorted(a));
	out[TDM_REL_REVERSED] = yes(is_reversed(q, a));
}

// Where what is to be counted in begins: behind a colon or "in"; NULL: nowhere.
static const char *find_list(const char *question, size_t n) {
	const char *mark = memchr(question, ':', n), *in = memmem(question, n, " in ", 4);
	return !mark || (in && in < mark) ? in : mark;
}

static double count_behind(const struct list *q, size_t from, const char *mark) {
	double times = 0;
	for (size_t k = from + 1; k < q->n; k++)
		times += q->items[k].text > mark && same(q->items[from], q->items[k]);
	return times;
}

// How often an item that stands before the list occurs in it: is it the answer?
static void relate_counts(const struct list *q, const char *question, size_t n, const struct list *a, double *out) {
	const char *mark = find_list(question, n);
	if (a->n != 1 || !is_number(a->items[0]) || q->n < 4)
		return;
	double want = value(a->items[0]);
	bool any = false, hit = false;
	for (size_t i = 0; mark && i < q->n && q->items[i].text < mark; i++) {
		double times = count_behind(q, i, mark);
		any = any || times > 0;
		hit = hit || (times > 0 && times == want);
	}
	out[TDM_REL_COUNTED] = yes(hit || (!any && want == 0));
}

// --- numbers

struct numbers {
	double x[MOST_NUMBERS];
	size_t n; // all that there are; the first ones are in x
};

static void read_numbers(const char *text, size_t n, struct numbers *out) {
	out->n = 0;
	for (size_t i = 0; i < n; i++) {
		double x = 0, scale = 1;
		if (text[i] < '0' || text[i] > '9')
			continue;
		for (; i < n && text[i] >= '0' && text[i] <= '9'; i++)
			x = 10 * x + (text[i] - '0');
		if (i + 1 < n && text[i] == '.' && text[i + 1] >= '0' && text[i + 1] <= '9')
			for (i++; i < n && text[i] >= '0' && text[i] <= '9'; i++)
				x += (scale /= 10) * (text[i] - '0');
		if (out->n < MOST_NUMBERS)
			out->x[out->n] = x;
		out->n++;
	}
}

static bool near(double a, double b) {
	return fabs(a - b) <= 1e-9 * fmax(1, fabs(b));
}

static bool is_result(double x, double y, double z) {
	return near(z, x + y) || near(z, fabs(x - y)) || near(z, x * y) || (y > 0 && near(z, x / y)) ||
	       (x > 0 && near(z, y / x));
}

// From a larger unit to the next smaller ones.
static const double factors[] = {7, 10, 12, 24, 30, 36, 52, 60, 100, 365, 1000, 3600, 10000, 1000000};

static bool is_factor(double a, double b) {
	double low = fmin(a, b), high = fmax(a, b);
	for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
		if (low > 0 && near(high, low * factors[i]))
			return true;
	return false;
}

// x of a unit and y of a smaller one are z of the smaller one.
static bool is_split(double x, double y, double z) {
	for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
		if (y < factors[i] && near(x * factors[i] + y, z))
			return true;
	return false;
}

static void relate_numbers(const struct numbers *q, const struct numbers *a, size_t n_items, double *out) {
	if (q->n == 2 && a->n == 1 && n_items == 1)
		out[TDM_REL_RESULT] = yes(is_result(q->x[0], q->x[1], a->x[0]) || is_split(q->x[0], q->x[1], a->x[0]));
	if (q->n == 1 && a->n == 1 && n_items == 1)
		out[TDM_REL_RATIO] = yes(is_factor(q->x[0], a->x[0]));
	if (q->n == 1 && a->n == 2)
		out[TDM_REL_RATIO] = yes(is_split(a->x[0], a->x[1], q->x[0]));
}

// --- times of day

static bool is_digit(const char *text, size_t n, size_t i) {
	return i < n && text[i] >= '0' && text[i] <= '9';
}

// Minutes since midnight of the times "h:mm", and of the durations "3 h", "20 min", together.
static size_t read_times(const char *text, size_t n, double *out, double *duration) {
	size_t found = 0;
	double before = 0; // the number that was read last
	*duration = 0;
	for (size_t i = 0; i < n; i++) {
		if (!is_digit(text, n, i))
			continue;
		for (before = 0; is_digit(text, n, i); i++)
			before = 10 * before + (text[i] - '0');
		if (i < n && text[i] == ':' && is_digit(text, n, i + 1) && is_digit(text, n, i + 2)) {
			if (found < 2)
				out[found] = 60 * before + 10 * (text[i + 1] - '0') + (text[i + 2] - '0');
			found++;
			i += 2;
			continue;
		}
		size_t unit = i < n && text[i] == ' ' ? i + 1 : i;
		if (unit < n && text[unit] == 'h')
			*duration += 60 * before;
		else if (unit + 3 <= n && !memcmp(text + unit, "min", 3))
			*duration += before;
	}
	return found;
}

static bool has(const char *text, size_t n, const char *word) {
	return memmem(text, n, word, strlen(word)) != NULL;
}

static void relate_times(const char *q, size_t n_q, const char *a, size_t n_a, const struct numbers *number,
                         double *out) {
	double of_q[2], of_a[2], duration, unused;
	size_t in_q = read_times(q, n_q, of_q, &duration), in_a = read_times(a, n_a, of_a, &unused);
	if (in_q == 1 && in_a == 1) {
		double later = fmod(of_a[0] - of_q[0] + 2 * DAY, DAY), want = fmod(duration, DAY);
		bool is_later = near(later, want), is_earlier = near(later, fmod(DAY - want, DAY));
		bool after = has(q, n_q, "after") || has(q, n_q, "later"),
		     before = has(q, n_q, "before") || has(q, n_q, "earlier");
		out[TDM_REL_TIME] = yes((is_later && !before) || (is_earlier && !after));
	}
	if (in_q == 2 && !in_a && number->n == 1)
		out[TDM_REL_TIME] = yes(near(number->x[0], fabs(of_q[1] - of_q[0])));
}

// --- how it ends

static void relate_form(const struct list *a, const char *answer, size_t n, double *out) {
	bool twice = n > 1 && memmem(answer, n, "..", 2);
	for (size_t i = 1; i < a->n; i++)
		twice = twice || same(a->items[i - 1], a->items[i]);
	out[TDM_REL_REPEATED] = twice;
	out[TDM_REL_ENDED] = yes(n > 0 && strchr(".!?", answer[n - 1]) && answer[n - 1]);
}

void tdm_relations(const char *question, size_t n_question, const char *answer, size_t n_answer,
                   double out[TDM_N_RELATIONS]) {
	struct list q, a;
	struct numbers in_q, in_a;
	n_question = n_question < QUESTION_BYTES ? n_question : QUESTION_BYTES;
	n_answer = n_answer < ANSWER_BYTES ? n_answer : ANSWER_BYTES;
	for (int i = 0; i < TDM_N_RELATIONS; i++)
		out[i] = 0;
	split(question, n_question, &q);
	split(answer, n_answer, &a);
	read_numbers(question, n_question, &in_q);
	read_numbers(answer, n_answer, &in_a);
	relate_lists(&q, &a, out);
	relate_counts(&q, question, n_question, &a, out);
	relate_numbers(&in_q, &in_a, a.n, out);
	relate_times(question, n_question, answer, n_answer, &in_a, out);
	relate_form(&a, answer, n_answer, out);
	tdm_relate_owners(question, n_question, answer, n_answer, out);
}
