// Outcomes: see outcomes.h. Three steps: every file is read as a table; its columns get their roles, and items and
// models their numbers; then the cells are filled.
#include "eval/outcomes.h"
#include "base/option.h"
#include "eval/table.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_LIMIT_BYTES ((size_t)8 << 30)
#define MOST_MODELS 1024
#define MOST_COLUMNS ((size_t)4 * TDM_TABLE_COLUMNS) // beside the outcomes

// Roles of a model come first, then those of an item.
enum role {
	CORRECT,
	ANSWER,
	OUTPUT,
	COST,
	N_MODEL_ROLES,
	ITEM = N_MODEL_ROLES,
	MODEL,
	PROMPT,
	GROUP,
	GOLD,
	FEATURES,
	OTHER
};
static const char *const roles[] = {"correct", "answer", "output", "cost", "item",
                                    "model",   "prompt", "group",  "gold", "features"};

struct column {
	enum role role;
	size_t model; // SIZE_MAX: of the row
	const char *name;
	size_t *other; // OTHER: per model (or one) the number of the kept column + 1
};

struct file {
	struct tdm_table table;
	struct column *columns;
	size_t *items, *models; // per row; models NULL: one row per item
};

struct names { // numbers of names, open addressing
	const char **list;
	size_t n, cap; // cap of the list: a power of two, at most half full
	size_t *slots; // number + 1; 0 = free
};

struct builder {
	struct tdm_outcomes *o;
	const struct tdm_outcomes_options *options;
	struct names items, models;
	struct tdm_error *err;
};

// --- names

static uint64_t hash(const char *text) {
	uint64_t h = 0xcbf29ce484222325;
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3;
	return h ^ h >> 29;
}

static size_t *slot_of(const struct names *n, const char *name) {
	size_t i = hash(name) & (n->cap - 1);
	while (n->slots[i] && strcmp(n->list[n->slots[i] - 1], name) != 0)
		i = (i + 1) & (n->cap - 1);
	return &n->slots[i];
}

static bool grow(struct tdm_arena *arena, struct names *n) {
	struct names bigger = {.n = n->n, .cap = n->cap ? 2 * n->cap : 64};
	bigger.list = tdm_arena_array(arena, bigger.cap, sizeof *bigger.list);
	bigger.slots = tdm_arena_array(arena, bigger.cap, sizeof *bigger.slots);
	if (!bigger.list || !bigger.slots)
		return false;
	for (size_t i = 0; i < n->n; i++) {
		bigger.list[i] = n->list[i];
		*slot_of(&bigger, n->list[i]) = i + 1;
	}
	*n = bigger;
	return true;
}

static int no_memory(struct builder *b) {
	return tdm_fail(b->err, TDM_ENOMEM, "out of memory for the table of outcomes");
}

static int number_of(struct builder *b, struct names *n, const char *name, size_t *number) {
	if (2 * n->n >= n->cap && !grow(&b->o->arena, n))
		return no_memory(b);
	size_t *slot = slot_of(n, name);
	if (!*slot) {
		n->list[n->n++] = name;
		*slot = n->n;
	}
	*number = *slot - 1;
	return TDM_OK;
}

// --- roles

static enum role role_of(const char *name, size_t n) {
	for (enum role r = 0; r < OTHER; r++)
		if (strlen(roles[r]) == n && !strncmp(name, roles[r], n))
			return r;
	return OTHER;
}

// The name under which a column is read: what `names` gives it, or its own.
static const char *renamed(const struct tdm_outcomes_options *o, const char *column) {
	for (size_t i = 0; i < o->n_names; i++) {
		const char *equals = strchr(o->names[i], '=');
		if (equals && !strcmp(equals + 1, column))
			return o->names[i];
	}
	return column;
}

static int check_options(struct builder *b) {
	const struct tdm_outcomes_options *o = b->options;
	for (size_t i = 0; i < o->n_names; i++)
		if (!strchr(o->names[i], '=') || o->names[i][0] == '=')
			return tdm_fail(b->err, TDM_EVALUE, "columns: \"%s\": expected ROLE=COLUMN", o->names[i]);
	if (o->others && role_of(o->others, strlen(o->others)) >= N_MODEL_ROLES)
		return tdm_fail(b->err, TDM_EVALUE, "others: \"%s\": expected correct, answer, output or cost", o->others);
	return TDM_OK;
}

static int check_names(struct builder *b, const struct file *files) {
	for (size_t i = 0; i < b->options->n_names; i++) {
		const char *column = strchr(b->options->names[i], '=') + 1;
		bool is_there = false;
		for (size_t f = 0; f < b->o->n_files; f++)
			for (size_t c = 0; c < files[f].table.n_columns; c++)
				is_there |= !strcmp(files[f].table.names[c], column);
		if (!is_there)
			return tdm_fail(b->err, TDM_EVALUE, "columns: no table has a column \"%s\"", column);
	}
	return TDM_OK;
}

static int classify(struct builder *b, const char *own_name, struct column *out) {
	const char *name = renamed(b->options, own_name), *equals = name == own_name ? NULL : strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name), n_role = strcspn(name, ":=");
	n_role = n_role < n ? n_role : n;
	*out = (struct column){
	    .role = role_of(name, n_role), .model = SIZE_MAX, .name = tdm_arena_copy(&b->o->arena, name, n)};
	if (!out->name)
		return no_memory(b);
	const char *model = n_role + 1 < n ? out->name + n_role + 1 : NULL;
	if (n_role < n && (out->role >= N_MODEL_ROLES || !model))
		out->role = OTHER;
	if (out->role == OTHER && b->options->others) {
		out->role = role_of(b->options->others, strlen(b->options->others));
		model = out->name;
	}
	return out->role < N_MODEL_ROLES && model ? number_of(b, &b->models, model, &out->model) : TDM_OK;
}

static size_t find_role(const struct file *f, enum role role) {
	for (size_t c = 0; c < f->table.n_columns; c++)
		if (f->columns[c].role == role)
			return c;
	return SIZE_MAX;
}

static int check_roles(struct builder *b, const struct file *f) {
	bool by_model = find_role(f, MODEL) != SIZE_MAX;
	if (by_model && find_role(f, ITEM) == SIZE_MAX)
		return tdm_fail(b->err, TDM_EFORMAT, "%s: a table with a column \"model\" needs a column \"item\"",
		                f->table.path);
	for (size_t c = 0; c < f->table.n_columns; c++) {
		const struct column *have = &f->columns[c];
		const char *name = f->table.names[c];
		if (have->role < N_MODEL_ROLES && (have->model == SIZE_MAX) != by_model)
			return by_model
			           ? tdm_fail(b->err, TDM_EFORMAT, "%s: column \"%s\" names a model, and so does column \"model\"",
			                      f->table.path, name)
			           : tdm_fail(b->err, TDM_EFORMAT,
			                      "%s: column \"%s\" is of a model; expected %s:MODEL, or a column \"model\"",
			                      f->table.path, name, name);
		for (size_t k = 0; k < c && have->role != OTHER; k++)
			if (f->columns[k].role == have->role && f->columns[k].model == have->model)
				return tdm_fail(b->err, TDM_EFORMAT, "%s: columns \"%s\" and \"%s\" are both read as %s", f->table.path,
				                f->table.names[k], name, have->name);
	}
	return TDM_OK;
}

// --- items and models of the rows

static int number_row(struct builder *b, struct file *f, size_t row, size_t c_item, size_t c_model) {
	const struct tdm_table *t = &f->table;
	const char *id =
	    c_item == SIZE_MAX ? tdm_arena_printf(&b->o->arena, "%zu", row + 1) : tdm_table_cell(t, row, c_item);
	if (!id)
		return c_item == SIZE_MAX ? no_memory(b)
		                          : tdm_fail(b->err, TDM_EFORMAT, "%s line %zu: no item", t->path, t->rows[row].line);
	int status = number_of(b, &b->items, id, &f->items[row]);
	if (status || !f->models)
		return status;
	const char *model = tdm_table_cell(t, row, c_model);
	if (!model)
		return tdm_fail(b->err, TDM_EFORMAT, "%s line %zu: no model", t->path, t->rows[row].line);
	status = number_of(b, &b->models, model, &f->models[row]);
	if (!status && b->models.n > MOST_MODELS)
		return tdm_fail(b->err, TDM_EFORMAT, "%s line %zu: more than %d models", t->path, t->rows[row].line,
		                MOST_MODELS);
	return status;
}

static int number_rows(struct builder *b, struct file *f) {
	struct tdm_arena *arena = &b->o->arena;
	size_t c_item = find_role(f, ITEM), c_model = find_role(f, MODEL);
	f->items = tdm_arena_array(arena, f->table.n_rows, sizeof *f->items);
	f->models = c_model == SIZE_MAX ? NULL : tdm_arena_array(arena, f->table.n_rows, sizeof *f->models);
	if (!f->items || (c_model != SIZE_MAX && !f->models))
		return no_memory(b);
	int status = TDM_OK;
	for (size_t row = 0; row < f->table.n_rows && !status; row++)
		status = number_row(b, f, row, c_item, c_model);
	return status;
}

static int open_file(struct builder *b, const char *path, struct file *f) {
	int status = tdm_table_read(path, &b->o->arena, &f->table, b->err);
	if (status)
		return status;
	f->columns = tdm_arena_array(&b->o->arena, f->table.n_columns, sizeof *f->columns);
	if (!f->columns)
		return no_memory(b);
	for (size_t c = 0; c < f->table.n_columns && !status; c++)
		status = classify(b, f->table.names[c], &f->columns[c]);
	if (!status)
		status = check_roles(b, f);
	return status ? status : number_rows(b, f);
}

// --- cells

struct place { // of a cell, for errors
	const struct file *file;
	size_t row, column;
};

static int bad(struct builder *b, const struct place *p, const char *what) {
	const struct tdm_table *t = &p->file->table;
	const char *text = tdm_table_cell(t, p->row, p->column);
	return tdm_fail(b->err, TDM_EFORMAT, "%s line %zu: column \"%s\" holds \"%.40s\": %s", t->path,
	                t->rows[p->row].line, t->names[p->column], text ? text : "", what);
}

static int set_text(struct builder *b, const struct place *p, const char **out) {
	const char *text = tdm_table_cell(&p->file->table, p->row, p->column);
	if (*out && strcmp(*out, text) != 0)
		return bad(b, p, "the item has another one in an earlier row");
	*out = text;
	return TDM_OK;
}

static bool read_truth(const char *text, double *out) {
	static const char *const words[] = {"false", "true", "False", "True"};
	for (int i = 0; i < 4; i++)
		if (!strcmp(text, words[i])) {
			*out = i % 2;
			return true;
		}
	return tdm_table_number(text, out) && *out >= 0 && *out <= 1;
}

static int set_cell(struct builder *b, const struct place *p, enum role role, struct tdm_outcome *cell) {
	const char *text = tdm_table_cell(&p->file->table, p->row, p->column);
	bool is_number = role == CORRECT || role == COST;
	double *number = role == CORRECT ? &cell->correct : &cell->cost, value;
	const char **words = role == ANSWER ? &cell->answer : &cell->output;
	cell->is_there = true;
	if (is_number ? !isnan(*number) : *words != NULL)
		return bad(b, p, "the item has this of the model in an earlier row");
	if (!is_number) {
		*words = text;
		return TDM_OK;
	}
	if (role == CORRECT ? !read_truth(text, &value) : !tdm_table_number(text, &value) || value < 0)
		return bad(b, p,
		           role == CORRECT ? "expected a number from 0 to 1, true or false" : "expected a number, 0 or more");
	*number = value;
	return TDM_OK;
}

static int set_features(struct builder *b, const struct place *p, struct tdm_outcome_item *item) {
	const char *text = tdm_table_cell(&p->file->table, p->row, p->column);
	size_t cap = 1, n = 0;
	for (const char *c = text; *c; c++)
		cap += *c == ' ';
	double *features = tdm_arena_array(&b->o->arena, cap, sizeof *features);
	if (!features)
		return no_memory(b);
	for (const char *c = text; *c;) {
		char *end;
		features[n] = strtod(c, &end);
		if (end == c || (*end && *end != ' ') || !isfinite(features[n++]))
			return bad(b, p, "expected numbers with blanks between them");
		c = end + strspn(end, " ");
	}
	if (b->o->n_features && n != b->o->n_features)
		return bad(b, p, "more or fewer features than the items before");
	b->o->n_features = n;
	item->features = features;
	return TDM_OK;
}

// The number + 1 of the kept column of that name, made when no earlier file has one; 0 = out of memory.
static size_t keep_column(struct tdm_outcomes *o, const char *name) {
	struct tdm_outcome_column made = {.name = name};
	for (size_t i = 0; i < o->n_columns; i++)
		if (!strcmp(o->columns[i].name, name))
			return i + 1;
	made.values = tdm_arena_array(&o->arena, o->n_items, sizeof *made.values);
	made.texts = tdm_arena_array(&o->arena, o->n_items, sizeof *made.texts);
	if (!made.values || !made.texts)
		return 0;
	for (size_t i = 0; i < o->n_items; i++)
		made.values[i] = (double)NAN;
	o->columns[o->n_columns] = made;
	return ++o->n_columns;
}

// The kept column for an OTHER cell, made at its first value.
static int find_other(struct builder *b, const struct file *f, struct column *c, size_t model,
                      struct tdm_outcome_column **out) {
	struct tdm_outcomes *o = b->o;
	if (!c->other && !(c->other = tdm_arena_array(&o->arena, f->models ? o->n_models : 1, sizeof *c->other)))
		return no_memory(b);
	size_t *number = &c->other[f->models ? model : 0];
	if (!*number && o->n_columns == MOST_COLUMNS)
		return tdm_fail(b->err, TDM_EFORMAT, "%s: more than %zu columns beside the outcomes", f->table.path,
		                MOST_COLUMNS);
	if (!*number) {
		const char *name = f->models ? tdm_arena_printf(&o->arena, "%s:%s", c->name, o->models[model]) : c->name;
		*number = name ? keep_column(o, name) : 0;
	}
	if (!*number)
		return no_memory(b);
	*out = &o->columns[*number - 1];
	return TDM_OK;
}

static int set_other(struct builder *b, const struct place *p, struct column *c, size_t item, size_t model) {
	struct tdm_outcome_column *to = NULL;
	int status = find_other(b, p->file, c, model, &to);
	if (status)
		return status;
	const char *text = tdm_table_cell(&p->file->table, p->row, p->column);
	if (to->texts[item])
		return bad(b, p, "the item has this in an earlier row");
	to->texts[item] = text;
	tdm_table_number(text, &to->values[item]);
	return TDM_OK;
}

static int set(struct builder *b, const struct place *p) {
	struct file *f = (struct file *)p->file;
	struct column *c = &f->columns[p->column];
	size_t item = f->items[p->row], model = f->models ? f->models[p->row] : c->model;
	struct tdm_outcome_item *of = &b->o->items[item];
	switch (c->role) {
	case ITEM:
		return TDM_OK;
	case MODEL:
		tdm_outcome_at(b->o, item, model)->is_there = true;
		return TDM_OK;
	case PROMPT:
		return set_text(b, p, &of->prompt);
	case GROUP:
		return set_text(b, p, &of->group);
	case GOLD:
		return set_text(b, p, &of->gold);
	case FEATURES:
		return set_features(b, p, of);
	case OTHER:
		return set_other(b, p, c, item, model);
	default:
		return set_cell(b, p, c->role, tdm_outcome_at(b->o, item, model));
	}
}

static int allocate(struct builder *b) {
	struct tdm_outcomes *o = b->o;
	o->models = b->models.list;
	o->n_models = b->models.n;
	o->n_items = b->items.n;
	o->items = tdm_arena_array(&o->arena, o->n_items, sizeof *o->items);
	o->cells = tdm_arena_array(&o->arena, o->n_items * o->n_models, sizeof *o->cells);
	o->columns = tdm_arena_array(&o->arena, MOST_COLUMNS, sizeof *o->columns);
	if (!o->n_models)
		return tdm_fail(b->err, TDM_EFORMAT,
		                "%s: no outcome of any model; expected columns correct:MODEL, or item, model and correct",
		                ((struct file *)o->files)[0].table.path);
	if (!o->items || !o->cells || !o->columns)
		return no_memory(b);
	for (size_t i = 0; i < o->n_items; i++)
		o->items[i].id = b->items.list[i];
	for (size_t i = 0; i < o->n_items * o->n_models; i++)
		o->cells[i].correct = o->cells[i].cost = (double)NAN;
	return TDM_OK;
}

static int fill(struct builder *b, const struct file *f) {
	for (size_t row = 0; row < f->table.n_rows; row++)
		for (size_t c = 0; c < f->table.rows[row].n; c++) {
			struct place p = {f, row, c};
			int status = f->table.rows[row].cells[c] ? set(b, &p) : TDM_OK;
			if (status)
				return status;
		}
	return TDM_OK;
}

// --- from outside

static int build(struct builder *b, const char *const *paths) {
	struct file *files = b->o->files;
	int status = check_options(b);
	for (size_t i = 0; i < b->o->n_files && !status; i++)
		status = open_file(b, paths[i], &files[i]);
	if (!status)
		status = check_names(b, files);
	if (!status)
		status = allocate(b);
	for (size_t i = 0; i < b->o->n_files && !status; i++)
		status = fill(b, &files[i]);
	return status;
}

int tdm_outcomes_read(const char *const *paths, size_t n_paths, const struct tdm_outcomes_options *options,
                      struct tdm_outcomes *out, struct tdm_error *err) {
	static const struct tdm_outcomes_options none = {0};
	*out = (struct tdm_outcomes){.n_files = n_paths};
	tdm_arena_init(&out->arena, ARENA_LIMIT_BYTES);
	struct builder b = {.o = out, .options = options ? options : &none, .err = err};
	out->files = tdm_arena_array(&out->arena, n_paths + 1, sizeof(struct file));
	int status = out->files ? build(&b, paths) : no_memory(&b);
	if (status)
		tdm_outcomes_release(out);
	return status;
}

void tdm_outcomes_release(struct tdm_outcomes *o) {
	struct file *files = o->files;
	for (size_t i = 0; files && i < o->n_files; i++)
		tdm_table_release(&files[i].table);
	tdm_arena_release(&o->arena);
	*o = (struct tdm_outcomes){0};
}

int tdm_outcomes_model(const struct tdm_outcomes *o, const char *name, size_t *model, struct tdm_error *err) {
	for (size_t i = 0; i < o->n_models; i++)
		if (!strcmp(o->models[i], name)) {
			*model = i;
			return TDM_OK;
		}
	const char *near = tdm_nearest(name, o->models, o->n_models);
	return tdm_fail(err, TDM_EVALUE, "the table has no model \"%s\"%s%s%s", name, near ? " (nearest: " : "",
	                near ? near : "", near ? ")" : "");
}

const struct tdm_outcome_column *tdm_outcomes_column(const struct tdm_outcomes *o, const char *name, size_t model) {
	size_t n = strlen(name);
	for (size_t i = 0; i < o->n_columns; i++)
		if (!strcmp(o->columns[i].name, name))
			return &o->columns[i];
	for (size_t i = 0; i < o->n_columns && model < o->n_models; i++) {
		const char *have = o->columns[i].name;
		if (!strncmp(have, name, n) && have[n] == ':' && !strcmp(have + n + 1, o->models[model]))
			return &o->columns[i];
	}
	return NULL;
}

int tdm_outcomes_keep(struct tdm_outcomes *o, const char *name, double *values, struct tdm_error *err) {
	if (tdm_outcomes_column(o, name, SIZE_MAX) || o->n_columns == MOST_COLUMNS)
		return tdm_fail(err, TDM_EVALUE, "the table has a column \"%s\" of its own, or too many columns", name);
	struct tdm_outcome_column made = {.name = name, .values = values, .keeps = true};
	made.texts = tdm_arena_array(&o->arena, o->n_items + 1, sizeof *made.texts);
	if (!made.texts)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for the table of outcomes");
	o->columns[o->n_columns++] = made;
	return TDM_OK;
}
