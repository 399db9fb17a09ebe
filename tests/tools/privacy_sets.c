// Privacy sets: what detection hides and leaves of labelled texts that are no part of the project. For bench-privacy;
// prints figures only, never a text.
//   privacy_sets spans WEIGHTS BIAS lower|same  JSON on standard input: [{"full_text", "spans": [{"entity_type",
//                                               "start_position", "end_position"}]}], positions in code points
//   privacy_sets units WEIGHTS SVG              CSV on standard input with columns user_query and pii_units: the
//   frontier
//                                               over the bias, as a table and as a plot in the file SVG
//   privacy_sets time WEIGHTS                   words a second of the tagger on standard input, and what everything
//                                               costs for its first 4,000 tokens
#include "base/text.h"
#include "base/value.h"
#include "eval/plot.h"
#include "privacy/detect/detect.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIMIT ((size_t)64 << 20)
#define MAX_TYPES 32

static struct tdm_error error;

static void stop(const char *why) {
	fprintf(stderr, "privacy_sets: %s%s\n", why, error.text);
	exit(1);
}

static void check(int status) {
	if (status != TDM_OK)
		stop("");
}

static struct tdm_bytes read_all(void) {
	struct tdm_bytes all;
	char part[1 << 16];
	tdm_bytes_init(&all, LIMIT);
	for (size_t n; (n = fread(part, 1, sizeof part, stdin)) > 0;)
		tdm_bytes_add(&all, part, n);
	if (all.failed || !all.data)
		stop("no input, or too much of it");
	return all;
}

static void lower(char *text, size_t n) { // where the small letter has as many bytes
	char put[4];
	uint32_t c;
	for (size_t i = 0, k; i < n; i += k) {
		k = tdm_utf8_next(text + i, n - i, &c);
		uint32_t small = tdm_char_lower(c);
		if (small != c && tdm_utf8_put(put, small) == k)
			memcpy(text + i, put, k);
	}
}

// Marks the bytes that detection hides.
static void hide(const struct tdm_detector *detector, const char *text, size_t n, char *hidden) {
	struct tdm_arena arena;
	struct tdm_finds finds = {0};
	struct tdm_dictionary protect = {0};
	struct tdm_text item = {.text = text, .n = n};
	tdm_arena_init(&arena, (size_t)1 << 30);
	check(tdm_detect(detector, &arena, &item, 1, 3, &finds, &protect, &error));
	memset(hidden, 0, n);
	for (size_t i = 0; i < finds.n; i++)
		memset(hidden + finds.items[i].start, 1, finds.items[i].end - finds.items[i].start);
	tdm_arena_release(&arena);
}

static bool in_word(unsigned char c) {
	return c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static bool any(const char *marks, size_t start, size_t end) {
	return memchr(marks + start, 1, end - start) != NULL;
}

// Words that are private, hidden, both, and all.
struct words {
	double gold, hidden, both, all;
};

static void count_words(const char *text, size_t n, const char *gold, const char *hidden, struct words *out) {
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i; end < n && in_word((unsigned char)text[end]); end++)
			;
		if (end == i) {
			end++;
			continue;
		}
		bool g = any(gold, i, end), h = any(hidden, i, end);
		out->gold += g;
		out->hidden += h;
		out->both += g && h;
		out->all++;
	}
}

static double over(const struct words *w) {
	return 100 * (w->hidden - w->both) / (w->all - w->gold);
}

// --- spans

struct type {
	char name[40];
	size_t n, whole;
};

static struct type *type_of(struct type *types, const char *name) {
	struct type *t = types;
	while (t < types + MAX_TYPES - 1 && *t->name && strcmp(t->name, name) != 0)
		t++;
	snprintf(t->name, sizeof t->name, "%s", name);
	return t;
}

static size_t byte_of(const char *text, size_t n, int64_t position) {
	size_t i = 0;
	uint32_t c;
	while (position-- > 0 && i < n)
		i += tdm_utf8_next(text + i, n - i, &c);
	return i;
}

static bool covered(const char *text, const char *hidden, size_t start, size_t end) {
	for (size_t i = start; i < end; i++)
		if (in_word((unsigned char)text[i]) && !hidden[i])
			return false;
	return true;
}

static void judge_item(const struct tdm_detector *detector, const struct tdm_value *item, bool small, struct words *w,
                       struct type *types) {
	const struct tdm_value *full = tdm_get(item, "full_text"), *spans = tdm_get(item, "spans");
	char *text = malloc(full->len + 1), *hidden = calloc(full->len + 1, 1), *gold = calloc(full->len + 1, 1);
	if (!text || !hidden || !gold)
		stop("no memory");
	memcpy(text, full->text, full->len + 1);
	if (small)
		lower(text, full->len);
	hide(detector, text, full->len, hidden);
	for (size_t i = 0; spans && i < spans->n; i++) {
		size_t start = byte_of(text, full->len, tdm_get(&spans->items[i], "start_position")->integer);
		size_t end = byte_of(text, full->len, tdm_get(&spans->items[i], "end_position")->integer);
		struct type *t = type_of(types, tdm_get_string(&spans->items[i], "entity_type"));
		memset(gold + start, 1, end - start);
		t->n++;
		t->whole += covered(text, hidden, start, end);
	}
	count_words(text, full->len, gold, hidden, w);
	free(text);
	free(hidden);
	free(gold);
}

static void judge_spans(const struct tdm_detector *detector, bool small) {
	struct tdm_bytes input = read_all();
	struct tdm_arena arena;
	struct tdm_value *all;
	struct words w = {0};
	struct type types[MAX_TYPES] = {0};
	tdm_arena_init(&arena, (size_t)1 << 30);
	check(tdm_json_parse(&arena, input.data, input.len, &all, &error));
	for (size_t i = 0; i < all->n; i++)
		judge_item(detector, &all->items[i], small, &w, types);
	double p = w.both / w.hidden, r = w.both / w.gold;
	printf("%s, bias %g: %zu texts, words: precision %.3f, recall %.3f, F2 %.3f, over-mask %.1f %%\n",
	       small ? "lower case" : "as written", (double)detector->bias, all->n, p, r, 5 * p * r / (4 * p + r),
	       over(&w));
	printf("| type | spans | fully covered |\n| --- | --: | --: |\n");
	for (struct type *t = types; *t->name; t++)
		printf("| %s | %zu | %.1f %% |\n", t->name, t->n, 100. * (double)t->whole / (double)t->n);
	tdm_arena_release(&arena);
	tdm_bytes_release(&input);
}

// --- units

struct row {
	char *query, *units; // small letters in units; query as written
	size_t n_query, n_units;
};
struct rows {
	struct row *items;
	size_t n, cap;
};

// Reads one field of CSV at *at; returns whether the record goes on.
static bool read_field(const struct tdm_bytes *in, size_t *at, struct tdm_bytes *out) {
	bool quoted = *at < in->len && in->data[*at] == '"';
	tdm_bytes_clear(out);
	for (*at += quoted; *at < in->len; ++*at) {
		char c = in->data[*at];
		if (quoted && c == '"' && *at + 1 < in->len && in->data[*at + 1] == '"')
			++*at;
		else if (quoted && c == '"') {
			quoted = false;
			continue;
		} else if (!quoted && (c == ',' || c == '\n'))
			break;
		else if (!quoted && c == '\r')
			continue;
		tdm_bytes_putc(out, c);
	}
	bool more = *at < in->len && in->data[*at] == ',';
	++*at;
	return more;
}

static char *copy(const struct tdm_bytes *b) {
	char *out = malloc(b->len + 1);
	if (!out)
		stop("no memory");
	memcpy(out, b->data ? b->data : "", b->len);
	out[b->len] = 0;
	return out;
}

static struct rows read_rows(const struct tdm_bytes *in) {
	struct rows rows = {0};
	struct tdm_bytes field;
	int query = -1, units = -1, column;
	bool head = true, more;
	tdm_bytes_init(&field, LIMIT);
	for (size_t at = 0; at < in->len; head = false) {
		struct row row = {0};
		column = 0;
		do {
			more = read_field(in, &at, &field);
			const char *text = field.data ? field.data : "";
			if (head && strcmp(text, "user_query") == 0)
				query = column;
			if (head && strcmp(text, "pii_units") == 0)
				units = column;
			if (!head && column == query)
				row.query = copy(&field), row.n_query = field.len;
			if (!head && column == units)
				row.units = copy(&field), row.n_units = field.len;
			column++;
		} while (more);
		if (!row.query || !row.units)
			continue;
		if (rows.n == rows.cap) {
			rows.cap = rows.cap ? rows.cap * 2 : 256;
			rows.items = realloc(rows.items, rows.cap * sizeof *rows.items);
			if (!rows.items)
				stop("no memory");
		}
		rows.items[rows.n++] = row;
	}
	tdm_bytes_release(&field);
	return rows;
}

struct leak {
	double rows, left_out, mean, rows_leaking, units, words_left;
	struct words words;
};

// The first place of unit in text.
static const char *place(const char *text, size_t n, const char *unit, size_t n_unit) {
	return n_unit ? memmem(text, n, unit, n_unit) : NULL;
}

static bool any_word_left(const char *sent, size_t n, const char *unit, size_t n_unit) {
	for (size_t i = 0, end; i < n_unit; i = end + 1) {
		for (end = i; end < n_unit && unit[end] != ' '; end++)
			;
		if (end - i > 1 && place(sent, n, unit + i, end - i))
			return true;
	}
	return false;
}

// Every occurrence of the unit in the query is private.
static void mark_gold(const char *query, size_t n, const char *unit, size_t n_unit, char *gold) {
	for (const char *at = query; (at = place(at, n - (size_t)(at - query), unit, n_unit)); at += n_unit)
		memset(gold + (at - query), 1, n_unit);
}

static void judge_row(const struct tdm_detector *detector, const struct row *row, struct leak *out) {
	size_t n = row->n_query, units = 0, left = 0, words = 0;
	char *hidden = calloc(n + 1, 1), *gold = calloc(n + 1, 1), *query = malloc(n + 1), *sent = malloc(n + 1);
	if (!hidden || !gold || !query || !sent)
		stop("no memory");
	hide(detector, row->query, n, hidden);
	memcpy(query, row->query, n + 1);
	lower(query, n);
	for (size_t i = 0; i < n; i++)
		sent[i] = hidden[i] ? 1 : query[i];
	for (size_t i = 0, end; i < row->n_units; i = end + 2) {
		const char *bar = strstr(row->units + i, "||");
		end = bar ? (size_t)(bar - row->units) : row->n_units;
		size_t start = i, stop_at = end;
		while (start < stop_at && row->units[start] == ' ')
			start++;
		while (stop_at > start && row->units[stop_at - 1] == ' ')
			stop_at--;
		const char *unit = row->units + start;
		size_t n_unit = stop_at - start;
		if (!place(query, n, unit, n_unit))
			continue;
		units++;
		left += place(sent, n, unit, n_unit) != NULL;
		words += any_word_left(sent, n, unit, n_unit);
		mark_gold(query, n, unit, n_unit, gold);
	}
	out->left_out += units == 0;
	if (units) {
		out->rows++;
		out->mean += (double)left / (double)units;
		out->rows_leaking += left > 0;
		out->words_left += (double)words;
		out->units += (double)units;
		count_words(query, n, gold, hidden, &out->words);
	}
	free(hidden);
	free(gold);
	free(query);
	free(sent);
}

#define N_POINTS 14
static const double biases[N_POINTS] = {20, 0, -20, -40, -60, -80, -100, -130, -160, -200, -240, -280, -340, -450};

static void write_plot(const char *path, const double *x, const double *y) {
	static const char *const series[] = {"mask, level 3, rules and tagger"};
	const struct tdm_plot_lines lines = {.title = "PUPA, 664 queries: what leaves against what is hidden for nothing",
	                                     .x_label = "over-mask: other words hidden, %",
	                                     .y_label = "mean leak of the private units, %",
	                                     .series = series,
	                                     .n_series = 1,
	                                     .n = N_POINTS,
	                                     .x = x,
	                                     .y = y,
	                                     .right = 40,
	                                     .bottom = 0,
	                                     .top = 40};
	struct tdm_bytes svg;
	tdm_bytes_init(&svg, LIMIT);
	tdm_plot_start(&svg, 720, 420);
	tdm_plot_lines(&svg, &(struct tdm_plot_frame){0, 0, 720, 420}, &lines);
	tdm_plot_end(&svg);
	FILE *f = fopen(path, "w");
	if (!f || fwrite(svg.data, 1, svg.len, f) != svg.len || fclose(f))
		stop("cannot write the plot");
	tdm_bytes_release(&svg);
}

static void judge_units(struct tdm_detector *detector, const char *path) {
	struct tdm_bytes input = read_all();
	struct rows rows = read_rows(&input);
	double x[N_POINTS], y[N_POINTS];
	printf("| bias | mean leak | any word of a unit left | rows with a leak | over-mask | rows | left out |\n"
	       "| --: | --: | --: | --: | --: | --: | --: |\n");
	for (int b = 0; b < N_POINTS; b++) {
		struct leak l = {0};
		detector->bias = (float)biases[b];
		for (size_t i = 0; i < rows.n; i++)
			judge_row(detector, &rows.items[i], &l);
		y[b] = 100 * l.mean / l.rows;
		x[b] = over(&l.words);
		printf("| %g | %.1f %% | %.1f %% | %.1f %% | %.1f %% | %.0f | %.0f |\n", biases[b], y[b],
		       100 * l.words_left / l.units, 100 * l.rows_leaking / l.rows, x[b], l.rows, l.left_out);
	}
	if (*path)
		write_plot(path, x, y);
	for (size_t i = 0; i < rows.n; i++) {
		free(rows.items[i].query);
		free(rows.items[i].units);
	}
	free(rows.items);
	tdm_bytes_release(&input);
}

// --- time

static int ignore(void *arg, enum tdm_tag_kind kind, const struct tdm_term *first, const struct tdm_term *last) {
	++*(size_t *)arg;
	return TDM_OK;
}

#define TOKENS 4000
#define TOKEN_BYTES 4 // of English text

// The whole detection, views and propagation included, over the first 4,000 tokens of the text.
static void measure_all(const struct tdm_detector *detector, const char *text, size_t n) {
	char *copy = calloc(TOKENS * TOKEN_BYTES + 1, 1), *hidden = calloc(TOKENS * TOKEN_BYTES + 1, 1);
	double best = 1e9;
	if (!copy || !hidden)
		stop("no memory");
	n = n < TOKENS * TOKEN_BYTES ? n : TOKENS * TOKEN_BYTES;
	memcpy(copy, text, n);
	for (int i = 0; i < 20; i++) {
		struct timespec a, b;
		clock_gettime(CLOCK_MONOTONIC, &a);
		hide(detector, copy, n, hidden);
		clock_gettime(CLOCK_MONOTONIC, &b);
		double s = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
		best = s < best ? s : best;
	}
	printf("everything at level 3: %zu bytes (%d tokens) in %.2f ms\n", n, TOKENS, best * 1e3);
	free(copy);
	free(hidden);
}

static void measure_time(const struct tdm_detector *detector) {
	struct tdm_bytes input = read_all();
	struct tdm_terms terms = {0};
	size_t names = 0;
	double best = 1e9;
	for (int i = 0; i < 5; i++) {
		uint8_t seen[TDM_MEMORY_BYTES] = {0};
		struct timespec a, b;
		terms.n = 0;
		clock_gettime(CLOCK_MONOTONIC, &a);
		check(tdm_terms_cut(input.data, input.len, &terms, &error));
		check(tdm_tagger_find(&detector->tagger, input.data, &terms, 0, seen, ignore, &names));
		clock_gettime(CLOCK_MONOTONIC, &b);
		double s = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
		best = s < best ? s : best;
	}
	printf("tagger: %zu words in %.2f ms: %.2f million a second, cutting and lists included\n", terms.n, best * 1e3,
	       (double)terms.n / best / 1e6);
	measure_all(detector, input.data, input.len);
	tdm_terms_release(&terms);
	tdm_bytes_release(&input);
}

int main(int argc, char **argv) {
	static const char *parts[] = {"rules", "tagger"};
	struct tdm_detector detector;
	struct tdm_arena arena;
	if (argc < 3)
		stop("expected spans, units or time, and a file of weights");
	struct tdm_detector_lists lists = {.detect = {parts, 2}, .weights = argv[2]};
	tdm_arena_init(&arena, (size_t)16 << 20);
	check(tdm_detector_open(&detector, &arena, "privacy_sets", &lists, &error));
	if (strcmp(argv[1], "spans") == 0 && argc > 4) {
		detector.bias = strtof(argv[3], NULL);
		judge_spans(&detector, strcmp(argv[4], "lower") == 0);
	} else if (strcmp(argv[1], "units") == 0)
		judge_units(&detector, argc > 3 ? argv[3] : "");
	else
		measure_time(&detector);
	tdm_detector_close(&detector);
	tdm_arena_release(&arena);
	return 0;
}
