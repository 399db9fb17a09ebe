// Checks: cheap ones first. A schema's grammar wants members in the order of `properties` and no white space but what
// it allows, so an answer is written anew in that order before it is compared.
#include "cost/cascade/checks.h"
#include "cost/cascade/program.h"
#include "engine/recogniser.h"
#include "models/answer.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define LIMIT_BYTES ((size_t)4 << 20)
#define MOST_DEPTH 64

// --- schema

static const struct tdm_value *sub(const struct tdm_value *schema, const char *key) {
	const struct tdm_value *v = schema ? tdm_get(schema, key) : NULL;
	return v && v->type == TDM_MAP ? v : NULL;
}

static void write_ordered(struct tdm_bytes *out, const struct tdm_value *v, const struct tdm_value *schema);

static void write_member(struct tdm_bytes *out, bool *first, const char *key, const struct tdm_value *v,
                         const struct tdm_value *schema) {
	tdm_bytes_puts(out, *first ? "" : ",");
	*first = false;
	tdm_bytes_json(out, key, strlen(key));
	tdm_bytes_putc(out, ':');
	write_ordered(out, v, schema);
}

// Members that the schema names come first, in its order. A null member is one too, so tdm_get will not do.
static void write_map(struct tdm_bytes *out, const struct tdm_value *v, const struct tdm_value *schema) {
	const struct tdm_value *known = sub(schema, "properties");
	bool first = true;
	tdm_bytes_putc(out, '{');
	for (size_t k = 0; known && k < known->n; k++)
		for (size_t i = 0; i < v->n; i++)
			if (!strcmp(v->keys[i], known->keys[k]))
				write_member(out, &first, v->keys[i], &v->items[i], &known->items[k]);
	for (size_t i = 0; i < v->n; i++) {
		bool named = false;
		for (size_t k = 0; known && k < known->n; k++)
			named |= !strcmp(v->keys[i], known->keys[k]);
		if (!named)
			write_member(out, &first, v->keys[i], &v->items[i], NULL);
	}
	tdm_bytes_putc(out, '}');
}

static void write_ordered(struct tdm_bytes *out, const struct tdm_value *v, const struct tdm_value *schema) {
	if (v->type == TDM_MAP) {
		write_map(out, v, schema);
		return;
	}
	if (v->type != TDM_LIST) {
		tdm_value_write(out, v);
		return;
	}
	tdm_bytes_putc(out, '[');
	for (size_t i = 0; i < v->n; i++) {
		tdm_bytes_puts(out, i ? "," : "");
		write_ordered(out, &v->items[i], sub(schema, "items"));
	}
	tdm_bytes_putc(out, ']');
}

static bool recognises(const struct tdm_grammar *g, const char *text, size_t n) {
	struct tdm_recogniser r;
	if (tdm_recogniser_init(&r, g, MOST_DEPTH) != TDM_OK)
		return false;
	int32_t state = tdm_recogniser_start(&r);
	for (size_t i = 0; i < n && state > 0 && r.status == TDM_OK; i++) {
		if (i % MOST_DEPTH == 0)
			tdm_recogniser_begin_token(&r);
		state = tdm_recogniser_step(&r, state, (uint8_t)text[i]);
	}
	bool accepts = r.status == TDM_OK && state > 0 && tdm_recogniser_accepts(&r, state);
	tdm_recogniser_release(&r);
	return accepts;
}

static bool passes_schema(const struct tdm_checks *c, const char *answer, size_t n) {
	struct tdm_arena arena;
	struct tdm_bytes one, ordered;
	struct tdm_value *v;
	struct tdm_error why = {0};
	tdm_arena_init(&arena, 16 * LIMIT_BYTES);
	tdm_bytes_init(&one, LIMIT_BYTES);
	tdm_bytes_init(&ordered, LIMIT_BYTES);
	bool good = tdm_answer_json(&one, answer, n) && tdm_json_parse(&arena, one.data, one.len, &v, &why) == TDM_OK;
	if (good) {
		write_ordered(&ordered, v, c->o.schema);
		good = !ordered.failed && recognises(c->schema, ordered.data, ordered.len);
	}
	tdm_bytes_release(&ordered);
	tdm_bytes_release(&one);
	tdm_arena_release(&arena);
	return good;
}

// --- the others

static bool passes_number(const struct tdm_checks *c, const char *answer, size_t n) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, 256);
	bool good = tdm_answer_read(&b, answer, n, TDM_ANSWER_NUMBER);
	double value = good ? strtod(b.data, NULL) : 0;
	tdm_bytes_release(&b);
	return good && value >= c->low && value <= c->high;
}

static bool passes_pattern(const struct tdm_checks *c, const char *answer, size_t n) {
	size_t start, end;
	return n && tdm_regex_find(c->pattern, answer, n, 0, &start, &end);
}

int tdm_checks_run(const struct tdm_checks *c, struct tdm_run *run, const char *answer, size_t n, const char **failed) {
	bool accepted = true;
	*failed = NULL;
	if (c->o.pattern && !passes_pattern(c, answer, n))
		*failed = "pattern";
	else if (c->o.number && !passes_number(c, answer, n))
		*failed = "number";
	else if (c->schema && !passes_schema(c, answer, n))
		*failed = "schema";
	if (*failed || !c->command)
		return TDM_OK;
	struct tdm_program p = {.words = c->command, .limit_ms = c->o.command_ms, .limit_bytes = c->o.command_bytes};
	int status = tdm_program_run(&p, run, answer, n, &accepted);
	*failed = accepted ? NULL : "command";
	return status;
}

// --- the settings

static int make_schema(const struct tdm_build *b, struct tdm_checks *c) {
	struct tdm_bytes text;
	struct tdm_error why = {0};
	if (c->o.schema->type != TDM_MAP)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: schema: expected a JSON schema", b->where);
	tdm_bytes_init(&text, LIMIT_BYTES);
	tdm_value_write(&text, c->o.schema);
	int status = tdm_grammar_new(TDM_GRAMMAR_SCHEMA, text.data, text.len, NULL, &c->schema, &why);
	tdm_bytes_release(&text);
	return status ? tdm_fail(b->error, TDM_ECONFIG, "%s: schema: %s", b->where, why.text) : TDM_OK;
}

static int make_number(const struct tdm_build *b, struct tdm_checks *c) {
	const struct tdm_value *v = c->o.number;
	if (v->type != TDM_LIST || v->n != 2 || v->items[0].type != TDM_NUMBER || v->items[1].type != TDM_NUMBER)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: number: expected [least, most]", b->where);
	c->low = v->items[0].number;
	c->high = v->items[1].number;
	return TDM_OK;
}

static int make_command(const struct tdm_build *b, struct tdm_checks *c) {
	size_t n = c->o.command.n;
	c->command = tdm_arena_array(b->arena, n + 1, sizeof *c->command);
	if (!c->command)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for the command", b->where);
	for (size_t i = 0; i < n; i++)
		c->command[i] = c->o.command.items[i];
	if (c->command[0][0] != '/' || access(c->command[0], X_OK))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: command: expected the whole path of a program, found \"%s\"",
		                b->where, c->command[0]);
	return TDM_OK;
}

int tdm_checks_make(const struct tdm_build *b, const struct tdm_check_options *o, struct tdm_checks *out) {
	struct tdm_error why = {0};
	int status = TDM_OK;
	*out = (struct tdm_checks){.o = *o, .any = o->schema || o->number || o->pattern || o->command.n};
	if (o->schema)
		status = make_schema(b, out);
	if (!status && o->number)
		status = make_number(b, out);
	if (!status && o->pattern && tdm_regex_new(o->pattern, &out->pattern, &why))
		status = tdm_fail(b->error, TDM_ECONFIG, "%s: pattern: %s", b->where, why.text);
	if (!status && o->command.n)
		status = make_command(b, out);
	if (status)
		tdm_checks_release(out);
	return status;
}

void tdm_checks_release(struct tdm_checks *c) {
	tdm_grammar_free(c->schema);
	tdm_regex_free(c->pattern);
	c->schema = NULL;
	c->pattern = NULL;
}
