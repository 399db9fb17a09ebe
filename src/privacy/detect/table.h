// Table: the cells of tables in plain text (CSV, TSV, Markdown) whose column has a name that says what they hold.
#pragma once
#include "privacy/detect/scan.h"
#include "base/arena.h"

struct tdm_cells { // in order, never overlapping; arena
	struct tdm_cell *items;
	size_t n, cap;
};
// Only cells of columns whose name speaks for a row of tdm_entities. Error: TDM_ENOMEM, TDM_EGUARD.
int tdm_table_find(struct tdm_scanner *scanner, struct tdm_arena *arena, const char *text, size_t n,
                   struct tdm_cells *out, struct tdm_error *err);
