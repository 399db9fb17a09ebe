// Table: rows with named columns from a text file: CSV (RFC 4180), TSV (no quoting) or JSON lines, told apart by
// content: '{' begins JSON lines, a tab in the first line means TSV.
//
// The rule it protects: nothing is guessed. A row with more or fewer fields than the header, a broken quotation, two
// columns of one name or text that is not UTF-8 is an error that names file and line. In JSON lines {"cost": {"a": 1}}
// is the column "cost:a", true and false are 1 and 0, a list of numbers is their text with blanks between.
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include <stdbool.h>

#define TDM_TABLE_COLUMNS 4096 // at most

struct tdm_table_row {
	size_t line;        // of the file, where the row begins
	size_t n;           // cells; columns from here on are absent
	const char **cells; // NULL = empty or absent
};

struct tdm_table {
	const char *path;
	struct tdm_arena *arena;
	struct tdm_bytes file; // cells of CSV and TSV point into it
	const char **names;
	size_t n_columns, cap_columns;
	struct tdm_table_row *rows;
	size_t n_rows, cap_rows;
};

// Release also after failure; cells live until then. Errors: TDM_EIO, TDM_EFORMAT, TDM_ENOMEM.
int tdm_table_read(const char *path, struct tdm_arena *arena, struct tdm_table *out, struct tdm_error *err);
void tdm_table_release(struct tdm_table *t);
static inline const char *tdm_table_cell(const struct tdm_table *t, size_t row, size_t column) {
	return column < t->rows[row].n ? t->rows[row].cells[column] : NULL;
}
// text is a decimal number (no hexadecimal, no infinity, no blanks).
bool tdm_table_number(const char *text, double *out);
