#include "assure/labels.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/random.h"
#include "base/text.h"
#include "base/value.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_LIMIT_BYTES ((size_t)16 << 20)

enum column { SCORE, LOSS, SMALL, LARGE, NEXT, GROUP, ITEM, N_COLUMNS };
static const char *const names[N_COLUMNS] = {"score", "loss", "small", "large", "next", "group", "item"};

struct row {
	double score, loss, passed;     // signed where they come from the models' answers
	uint8_t item[TDM_SHA256_BYTES]; // of its folded text, or of its line's number
	size_t line;
	uint32_t group;
};

#define MOST_GROUPS 1024

struct group {
	const char *name;
	size_t n;
};

struct reading {
	const char *name;
	int place[N_COLUMNS]; // -1 = absent
	struct row *rows;
	struct group *groups; // names are in the text
	size_t n, line, n_groups;
	bool losses_only; // no score, no item
	struct tdm_error *err;
};

void tdm_labels_hash(const void *data, size_t n, char out[72]) {
	uint8_t digest[TDM_SHA256_BYTES];
	tdm_sha256(data, n, digest);
	memcpy(out, "sha256:", 7);
	tdm_hex(digest, sizeof digest, out + 7);
}

bool tdm_labels_number(const char *text, size_t n, double *out) {
	struct tdm_arena arena;
	struct tdm_value *v = NULL;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, 1 << 12);
	bool ok = n && tdm_json_parse(&arena, text, n, &v, &err) == TDM_OK && v->type == TDM_NUMBER;
	if (ok)
		*out = v->number;
	tdm_arena_release(&arena);
	return ok && isfinite(*out);
}

// The field of that column of a line: false when the line is shorter.
static bool field(const char *line, size_t n, int place, const char **out, size_t *len) {
	const char *end = line + n;
	for (; place > 0; place--) {
		line = memchr(line, '\t', (size_t)(end - line));
		if (!line)
			return false;
		line++;
	}
	const char *stop = memchr(line, '\t', (size_t)(end - line));
	*out = line;
	*len = (size_t)((stop ? stop : end) - line);
	return true;
}

static int read_header(struct reading *r, const char *line, size_t n) {
	const char *text;
	size_t len;
	for (int c = 0; c < N_COLUMNS; c++)
		r->place[c] = -1;
	for (int i = 0; field(line, n, i, &text, &len); i++)
		for (int c = 0; c < N_COLUMNS; c++)
			if (strlen(names[c]) == len && !memcmp(names[c], text, len))
				r->place[c] = i;
	if ((r->place[SCORE] < 0 && !r->losses_only) ||
	    (r->place[LOSS] < 0 && (r->place[SMALL] < 0 || r->place[LARGE] < 0)))
		return tdm_fail(r->err, TDM_EVALUE,
		                "%s line 1: expected tab-separated names of columns, among them %sloss or small and large",
		                r->name, r->losses_only ? "" : "score, and ");
	return TDM_OK;
}

static int number(struct reading *r, const char *line, size_t n, enum column c, double *out) {
	const char *text = "";
	size_t len = 0;
	if (!field(line, n, r->place[c], &text, &len) || !tdm_labels_number(text, len, out))
		return tdm_fail(r->err, TDM_EVALUE, "%s line %zu: %s is \"%.*s\", expected a number", r->name, r->line,
		                names[c], (int)(len < 40 ? len : 40), text);
	if (c != SCORE && !(*out >= 0 && *out <= 1))
		return tdm_fail(r->err, TDM_EVALUE, "%s line %zu: %s is %g, expected 0 to 1", r->name, r->line, names[c], *out);
	return TDM_OK;
}

static int name_item(struct reading *r, const char *line, size_t n, struct row *row) {
	const char *text;
	size_t len;
	struct tdm_bytes folded;
	if (r->place[ITEM] < 0 || !field(line, n, r->place[ITEM], &text, &len)) {
		tdm_sha256(&r->line, sizeof r->line, row->item);
		return TDM_OK;
	}
	tdm_bytes_init(&folded, ITEM_LIMIT_BYTES);
	int status = tdm_nfkc(&folded, text, len, true);
	tdm_sha256(folded.data ? folded.data : "", folded.len, row->item);
	tdm_bytes_release(&folded);
	return status ? tdm_fail(r->err, status, "%s line %zu: the item is too long", r->name, r->line) : TDM_OK;
}

static int find_group(struct reading *r, const char *line, size_t n, struct row *row) {
	const char *text = "";
	size_t len = 0, i = 0;
	if (r->place[GROUP] < 0)
		return TDM_OK;
	field(line, n, r->place[GROUP], &text, &len);
	while (i < r->n_groups && (r->groups[i].n != len || memcmp(r->groups[i].name, text, len) != 0))
		i++;
	if (i == MOST_GROUPS)
		return tdm_fail(r->err, TDM_EVALUE, "%s line %zu: more than %d groups", r->name, r->line, MOST_GROUPS);
	if (i == r->n_groups)
		r->groups[r->n_groups++] = (struct group){text, len};
	row->group = (uint32_t)i;
	return TDM_OK;
}

static int read_row(struct reading *r, const char *line, size_t n) {
	struct row *row = &r->rows[r->n];
	double small = 0, large = 0, next = 0;
	row->line = r->line;
	int status = r->losses_only ? TDM_OK : number(r, line, n, SCORE, &row->score);
	if (!status && r->place[LOSS] >= 0)
		status = number(r, line, n, LOSS, &row->loss);
	else if (!status && !(status = number(r, line, n, SMALL, &small)) &&
	         !(status = number(r, line, n, LARGE, &large))) {
		next = large;
		if (r->place[NEXT] >= 0)
			status = number(r, line, n, NEXT, &next);
		row->loss = large - small;
		row->passed = large - next;
	}
	if (!status && !r->losses_only)
		status = name_item(r, line, n, row);
	if (!status && !r->losses_only)
		status = find_group(r, line, n, row);
	r->n += status == TDM_OK;
	return status;
}

static int by_item(const void *a, const void *b) {
	const struct row *x = a, *y = b;
	int order = memcmp(x->item, y->item, sizeof x->item);
	return order ? order : (x->line > y->line) - (x->line < y->line);
}

// Sorted by what no label decides, the first of each item kept, then shuffled: neither the file's order nor a label is
// in the order that results.
static void arrange(struct reading *r, uint64_t seed, struct tdm_labels *out) {
	struct tdm_rng rng;
	size_t n = 0;
	qsort(r->rows, r->n, sizeof *r->rows, by_item);
	for (size_t i = 0; i < r->n; i++)
		if (n == 0 || memcmp(r->rows[n - 1].item, r->rows[i].item, sizeof r->rows[i].item) != 0)
			r->rows[n++] = r->rows[i];
	out->n_duplicates = r->n - n;
	r->n = n;
	tdm_rng_stream(&rng, seed, "certify", 0);
	for (size_t i = n; i > 1; i--) {
		size_t j = tdm_rng_below(&rng, i);
		struct row t = r->rows[i - 1];
		r->rows[i - 1] = r->rows[j];
		r->rows[j] = t;
	}
}

static int fill(struct tdm_arena *arena, const struct reading *r, struct tdm_labels *out) {
	double *lists[5];
	uint8_t *order = tdm_arena_array(arena, r->n, TDM_SHA256_BYTES);
	uint32_t *group = tdm_arena_array(arena, r->n, sizeof *group);
	bool ok = order && group;
	for (int i = 0; i < 5; i++)
		ok = (lists[i] = tdm_arena_array(arena, r->n, sizeof **lists)) && ok;
	if (!ok)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: out of memory for %zu items", r->name, r->n);
	out->least = INFINITY;
	out->most = -INFINITY;
	for (size_t i = 0; i < r->n; i++) {
		const struct row *row = &r->rows[i];
		lists[0][i] = row->score;
		lists[1][i] = fmax(0, row->loss);
		lists[2][i] = fmax(0, row->passed);
		lists[3][i] = row->loss;
		lists[4][i] = row->passed;
		group[i] = row->group;
		memcpy(order + i * TDM_SHA256_BYTES, row->item, TDM_SHA256_BYTES);
		for (int k = 1; k < 3; k++)
			out->is_graded = out->is_graded || (lists[k][i] != 0 && lists[k][i] != 1);
		out->least = fmin(out->least, row->score);
		out->most = fmax(out->most, row->score);
	}
	out->has_models = r->place[LOSS] < 0;
	out->has_next = out->has_models && r->place[NEXT] >= 0;
	out->items = (struct tdm_losses){.loss = lists[1], .gate = lists[0], .n = r->n};
	out->net = (struct tdm_losses){.loss = lists[3], .gate = lists[0], .n = out->has_models ? r->n : 0};
	out->items.passed = out->has_next ? lists[2] : NULL;
	out->net.passed = out->has_next ? lists[4] : NULL;
	out->group = r->place[GROUP] < 0 ? NULL : group;
	out->n_groups = r->n_groups;
	tdm_labels_hash(order, r->n * TDM_SHA256_BYTES, out->order_hash);
	return TDM_OK;
}

static int read_lines(struct reading *r, const char *text, size_t n) {
	int status = TDM_OK;
	for (const char *at = text, *end = text + n; at < end && !status;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((stop ? stop : end) - at);
		size_t bare = len && at[len - 1] == '\r' ? len - 1 : len;
		r->line++;
		if (r->line == 1)
			status = read_header(r, at, bare);
		else if (bare)
			status = read_row(r, at, bare);
		at += len + (stop != NULL);
	}
	if (!status && r->n == 0)
		status = tdm_fail(r->err, TDM_EVALUE, "%s: expected a header and at least one item", r->name);
	return status;
}

static int open_rows(struct reading *r, const char *text, size_t n) {
	size_t n_lines = 1;
	for (size_t i = 0; i < n; i++)
		n_lines += text[i] == '\n';
	r->rows = calloc(n_lines, sizeof *r->rows);
	r->groups = calloc(MOST_GROUPS, sizeof *r->groups);
	return r->rows && r->groups ? read_lines(r, text, n)
	                            : tdm_fail(r->err, TDM_ENOMEM, "%s: out of memory for %zu lines", r->name, n_lines);
}

int tdm_labels_read(struct tdm_arena *arena, const char *name, const char *text, size_t n, uint64_t seed,
                    struct tdm_labels *out, struct tdm_error *err) {
	struct reading r = {.name = name, .err = err};
	*out = (struct tdm_labels){.n_duplicates = 0};
	int status = open_rows(&r, text, n);
	if (!status) {
		arrange(&r, seed, out);
		status = fill(arena, &r, out);
	}
	tdm_labels_hash(text, n, out->data_hash);
	free(r.groups);
	free(r.rows);
	return status;
}

int tdm_labels_losses(struct tdm_arena *arena, const char *name, const char *text, size_t n, const double **loss,
                      size_t *n_losses, struct tdm_error *err) {
	struct reading r = {.name = name, .losses_only = true, .err = err};
	int status = open_rows(&r, text, n);
	double *all = status ? NULL : tdm_arena_array(arena, r.n, sizeof *all);
	for (size_t i = 0; all && i < r.n; i++)
		all[i] = fmax(0, r.rows[i].loss);
	if (!status && !all)
		status = tdm_fail(err, TDM_ENOMEM, "%s: out of memory for %zu losses", name, r.n);
	*loss = all;
	*n_losses = r.n;
	free(r.groups);
	free(r.rows);
	return status;
}
