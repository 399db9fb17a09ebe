// Table: see table.h. CSV and TSV are cut in place, so that a file costs its size and one pointer per cell.
#include "eval/table.h"
#include "base/decimal.h"
#include "base/file.h"
#include "base/text.h"
#include "base/value.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT_BYTES ((size_t)2 << 30)
#define LINE_LIMIT_BYTES ((size_t)256 << 20) // of memory for one line of JSON

struct reader {
	struct tdm_table *t;
	char *at;
	size_t line;
	char separator; // ',' or '\t'
	const char **cells;
	size_t n;      // cells of the row so far
	size_t column; // where the last name was found
	struct tdm_error *err;
};

static int no_memory(const struct tdm_table *t, struct tdm_error *err) {
	return tdm_fail(err, TDM_ENOMEM, "%s: out of memory", t->path);
}

bool tdm_table_number(const char *text, double *out) {
	if (!text || !*text || strspn(text, "0123456789+-.eE") != strlen(text))
		return false;
	char *end;
	double value = strtod(text, &end);
	if (*end || !isfinite(value))
		return false;
	*out = value;
	return true;
}

// --- rows and columns

static bool grow(struct tdm_table *t) {
	size_t cap = t->cap_rows ? 2 * t->cap_rows : 1024;
	struct tdm_table_row *rows = tdm_arena_array(t->arena, cap, sizeof *rows);
	if (!rows)
		return false;
	if (t->n_rows)
		memcpy(rows, t->rows, t->n_rows * sizeof *rows);
	t->rows = rows;
	t->cap_rows = cap;
	return true;
}

static int add_row(struct reader *r, size_t line) {
	struct tdm_table *t = r->t;
	const char **cells = tdm_arena_array(t->arena, r->n + 1, sizeof *cells);
	if (!cells || (t->n_rows == t->cap_rows && !grow(t)))
		return no_memory(t, r->err);
	memcpy(cells, r->cells, r->n * sizeof *cells);
	t->rows[t->n_rows++] = (struct tdm_table_row){line, r->n, cells};
	return TDM_OK;
}

static int add_column(struct reader *r, const char *name) {
	struct tdm_table *t = r->t;
	if (!name || !*name)
		return tdm_fail(r->err, TDM_EFORMAT, "%s: column %zu has no name", t->path, t->n_columns + 1);
	if (t->n_columns == TDM_TABLE_COLUMNS)
		return tdm_fail(r->err, TDM_EFORMAT, "%s line %zu: more than %d columns", t->path, r->line, TDM_TABLE_COLUMNS);
	if (t->n_columns == t->cap_columns) {
		size_t cap = t->cap_columns ? 4 * t->cap_columns : 64;
		const char **names = tdm_arena_array(t->arena, cap, sizeof *names);
		if (!names)
			return no_memory(t, r->err);
		if (t->n_columns)
			memcpy(names, t->names, t->n_columns * sizeof *names);
		t->names = names;
		t->cap_columns = cap;
	}
	t->names[t->n_columns++] = name;
	return TDM_OK;
}

// --- CSV and TSV

static int quoted(struct reader *r, char **cell) {
	size_t first = r->line;
	char *to = ++r->at;
	*cell = to;
	for (;; r->at++) {
		if (!*r->at)
			return tdm_fail(r->err, TDM_EFORMAT, "%s line %zu: a quotation begins here and never ends", r->t->path,
			                first);
		if (*r->at == '"' && *++r->at != '"')
			break;
		r->line += *r->at == '\n';
		*to++ = *r->at;
	}
	bool ends = *r->at == r->separator || !*r->at || *r->at == '\n' || (*r->at == '\r' && r->at[1] == '\n');
	if (!ends)
		return tdm_fail(r->err, TDM_EFORMAT, "%s line %zu: text after the end of a quotation", r->t->path, r->line);
	r->at += *r->at == '\r';
	*to = 0; // before the delimiter: at least the closing mark lies between
	return TDM_OK;
}

static int plain(struct reader *r, char **cell) {
	const char stops[] = {r->separator, '\n', r->separator == ',' ? '"' : '\n', 0};
	*cell = r->at;
	r->at += strcspn(r->at, stops);
	if (*r->at == '"')
		return tdm_fail(r->err, TDM_EFORMAT, "%s line %zu: a quotation mark inside a field that is not quoted",
		                r->t->path, r->line);
	if (*r->at != r->separator && r->at > *cell && r->at[-1] == '\r')
		r->at[-1] = 0;
	return TDM_OK;
}

// One record into r->cells; r->at is behind its line.
static int read_record(struct reader *r) {
	for (r->n = 0;;) {
		char *cell;
		int status = r->separator == ',' && *r->at == '"' ? quoted(r, &cell) : plain(r, &cell);
		if (status)
			return status;
		char stop = *r->at;
		*r->at = 0;
		if (r->n == TDM_TABLE_COLUMNS)
			return tdm_fail(r->err, TDM_EFORMAT, "%s line %zu: more than %d fields", r->t->path, r->line,
			                TDM_TABLE_COLUMNS);
		r->cells[r->n++] = *cell ? cell : NULL;
		r->at += stop != 0;
		r->line += stop == '\n';
		if (stop != r->separator)
			return TDM_OK;
	}
}

static int read_header(struct reader *r) {
	struct tdm_table *t = r->t;
	int status = read_record(r);
	for (size_t i = 0; !status && i < r->n; i++) {
		for (size_t k = 0; k < i; k++)
			if (r->cells[i] && !strcmp(r->cells[i], r->cells[k]))
				return tdm_fail(r->err, TDM_EFORMAT, "%s: two columns are called \"%s\"", t->path, r->cells[i]);
		status = add_column(r, r->cells[i]);
	}
	return status;
}

static int read_delimited(struct reader *r) {
	struct tdm_table *t = r->t;
	int status = read_header(r);
	while (!status && r->at[strspn(r->at, "\r\n")]) {
		size_t line = r->line;
		status = read_record(r);
		if (!status && r->n != t->n_columns)
			return tdm_fail(r->err, TDM_EFORMAT, "%s line %zu: %zu fields, but the header has %zu", t->path, line, r->n,
			                t->n_columns);
		if (!status)
			status = add_row(r, line);
	}
	return status;
}

// --- JSON lines

// The column of that name, made when it is new. Rows have their keys in one order, so the next is tried first.
static int find_column(struct reader *r, const char *before, const char *name, size_t *column) {
	struct tdm_table *t = r->t;
	size_t n_before = before ? strlen(before) : 0;
	for (size_t i = 0; i < t->n_columns; i++) {
		size_t c = (r->column + 1 + i) % t->n_columns;
		const char *have = t->names[c];
		if (before && (strncmp(have, before, n_before) != 0 || have[n_before] != ':'))
			continue;
		if (!strcmp(before ? have + n_before + 1 : have, name)) {
			*column = r->column = c;
			return TDM_OK;
		}
	}
	*column = r->column = t->n_columns;
	const char *copy =
	    before ? tdm_arena_printf(t->arena, "%s:%s", before, name) : tdm_arena_copy(t->arena, name, strlen(name));
	return copy ? add_column(r, copy) : no_memory(t, r->err);
}

static const char *list_text(struct reader *r, const struct tdm_value *v) {
	struct tdm_bytes text;
	tdm_bytes_init(&text, LINE_LIMIT_BYTES);
	bool is_good = true;
	for (size_t i = 0; i < v->n && is_good; i++) {
		if (i)
			tdm_bytes_putc(&text, ' ');
		is_good = v->items[i].type == TDM_NUMBER;
		tdm_bytes_number(&text, v->items[i].number);
	}
	const char *copy =
	    is_good && !text.failed ? tdm_arena_copy(r->t->arena, text.data ? text.data : "", text.len) : NULL;
	tdm_bytes_release(&text);
	return copy;
}

static int scalar(struct reader *r, const char *name, const struct tdm_value *v, const char **out) {
	struct tdm_arena *arena = r->t->arena;
	char number[TDM_DECIMAL_BYTES];
	if (v->type == TDM_STRING && memchr(v->text, 0, v->len))
		return tdm_fail(r->err, TDM_EFORMAT, "%s line %zu: \"%s\" holds a NUL character", r->t->path, r->line, name);
	switch (v->type) {
	case TDM_STRING:
		*out = v->len ? tdm_arena_copy(arena, v->text, v->len) : "";
		break;
	case TDM_NUMBER:
		*out = v->is_integer ? tdm_arena_printf(arena, "%lld", (long long)v->integer)
		                     : tdm_arena_copy(arena, number, tdm_decimal_write(number, v->number));
		break;
	case TDM_BOOL:
		*out = v->truth ? "1" : "0";
		break;
	case TDM_LIST:
		*out = list_text(r, v);
		break;
	default:
		*out = NULL;
	}
	if (!*out)
		return tdm_fail(r->err, TDM_EFORMAT,
		                "%s line %zu: \"%s\" is neither text, a number, true, false, nor a list of numbers", r->t->path,
		                r->line, name);
	return TDM_OK;
}

static int put(struct reader *r, const char *before, const char *name, const struct tdm_value *v) {
	size_t column;
	const char *text;
	if (v->type == TDM_NULL)
		return TDM_OK;
	int status = find_column(r, before, name, &column);
	if (!status)
		status = scalar(r, name, v, &text);
	if (status)
		return status;
	while (r->n <= column)
		r->cells[r->n++] = NULL;
	r->cells[column] = *text ? text : NULL;
	return TDM_OK;
}

static int read_object(struct reader *r, const struct tdm_value *object) {
	int status = TDM_OK;
	if (object->type != TDM_MAP)
		return tdm_fail(r->err, TDM_EFORMAT, "%s line %zu: expected an object, {...}", r->t->path, r->line);
	r->n = 0;
	r->column = r->t->n_columns ? r->t->n_columns - 1 : 0;
	for (size_t i = 0; i < object->n && !status; i++) {
		const struct tdm_value *v = &object->items[i];
		if (v->type != TDM_MAP)
			status = put(r, NULL, object->keys[i], v);
		else
			for (size_t k = 0; k < v->n && !status; k++)
				status = put(r, object->keys[i], v->keys[k], &v->items[k]);
	}
	return status ? status : add_row(r, r->line);
}

static int read_lines(struct reader *r) {
	struct tdm_arena scratch;
	struct tdm_error inner = {0};
	int status = TDM_OK;
	tdm_arena_init(&scratch, LINE_LIMIT_BYTES);
	for (; *r->at && !status; r->line++) {
		size_t n = strcspn(r->at, "\n");
		struct tdm_value *object;
		tdm_arena_clear(&scratch);
		if (strspn(r->at, " \t\r") < n) {
			if (tdm_json_parse(&scratch, r->at, n, &object, &inner))
				status = tdm_fail(r->err, TDM_EFORMAT, "%s line %zu: %s", r->t->path, r->line, inner.text);
			else
				status = read_object(r, object);
		}
		r->at += n + (r->at[n] == '\n');
	}
	tdm_arena_release(&scratch);
	return status;
}

// --- files

static int check_text(const struct tdm_table *t, struct tdm_error *err) {
	const char *data = t->file.data, *end = data + t->file.len;
	bool nul = memchr(data, 0, t->file.len) != NULL;
	if (!nul && tdm_utf8_valid(data, t->file.len))
		return TDM_OK;
	size_t line = 1;
	for (const char *at = data; at < end; line++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((stop ? stop : end) - at);
		if (!tdm_utf8_valid(at, n) || memchr(at, 0, n))
			break;
		at += n + 1;
	}
	return tdm_fail(err, TDM_EFORMAT, "%s line %zu: not UTF-8 text", t->path, line);
}

int tdm_table_read(const char *path, struct tdm_arena *arena, struct tdm_table *out, struct tdm_error *err) {
	*out = (struct tdm_table){.path = path, .arena = arena};
	int status = tdm_file_read(path, FILE_LIMIT_BYTES, &out->file, err);
	if (status)
		return status;
	if (!out->file.len)
		return tdm_fail(err, TDM_EFORMAT, "%s: empty, expected a header or JSON lines", path);
	struct reader r = {.t = out, .at = out->file.data, .line = 1, .err = err};
	r.cells = tdm_arena_array(arena, TDM_TABLE_COLUMNS, sizeof *r.cells);
	if (!r.cells)
		return no_memory(out, err);
	status = check_text(out, err);
	if (status)
		return status;
	if (out->file.len >= 3 && !memcmp(r.at, "\xef\xbb\xbf", 3))
		r.at += 3;
	if (r.at[strspn(r.at, " \t\r\n")] == '{')
		status = read_lines(&r);
	else {
		r.separator = memchr(r.at, '\t', strcspn(r.at, "\n")) ? '\t' : ',';
		status = read_delimited(&r);
	}
	if (!status && !out->n_rows)
		status = tdm_fail(err, TDM_EFORMAT, "%s: no row below the header", path);
	return status;
}

void tdm_table_release(struct tdm_table *t) {
	tdm_bytes_release(&t->file);
}
