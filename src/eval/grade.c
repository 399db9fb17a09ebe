// Grade: see grade.h. The grader zeroeval follows the rules by which ZeroEval (github.com/WildEval/ZeroEval) publishes
// its accuracies on GSM8K: the field "answer" of the first JSON object, or what looks like one, then the first number.
#include "eval/grade.h"
#include "base/text.h"
#include "base/value.h"
#include "models/answer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_LIMIT_BYTES ((size_t)64 << 20)
#define ZEROEVAL 4
#define BOXED_WITHIN 30 // characters from the end in which some models' \boxed{} counts

static const char *const patterns[] = {
    "(?s)\"answer\"\\s*:\\s*\"([^\"]*)\"", // a quoted value
    "\"answer\"\\s*:\\s*([^,\\s]*)",       // one without quotes
    "answer\\s*:\\s*([^,\\s]*)",           // nor around the key
};
#define N_PATTERNS (sizeof patterns / sizeof *patterns)

struct grader {
	int kind;
	struct tdm_arena *scratch;
	struct tdm_bytes text, normal;
	struct tdm_regex *patterns[N_PATTERNS], *key[N_PATTERNS], *number;
};

static void release(struct grader *g) {
	for (size_t i = 0; i < N_PATTERNS; i++)
		tdm_regex_free(g->patterns[i]), tdm_regex_free(g->key[i]);
	tdm_regex_free(g->number);
	tdm_bytes_release(&g->text);
	tdm_bytes_release(&g->normal);
}

static int prepare(struct grader *g, int kind, struct tdm_arena *scratch, struct tdm_error *err) {
	static const char *const keys[] = {"\"answer\"\\s*:\\s*\"", "\"answer\"\\s*:\\s*", "answer\\s*:\\s*"};
	*g = (struct grader){.kind = kind, .scratch = scratch};
	tdm_bytes_init(&g->text, ANSWER_LIMIT_BYTES);
	tdm_bytes_init(&g->normal, ANSWER_LIMIT_BYTES);
	int status = tdm_regex_new("-?[0-9]+(\\.[0-9]+)?", &g->number, err);
	for (size_t i = 0; i < N_PATTERNS && !status; i++) {
		status = tdm_regex_new(patterns[i], &g->patterns[i], err);
		if (!status)
			status = tdm_regex_new(keys[i], &g->key[i], err);
	}
	if (status)
		release(g);
	return status;
}

// --- zeroeval: the answer

// The first {...} whose braces match, without regard to strings.
static bool find_object(const char *reply, size_t *start, size_t *end) {
	size_t depth = 0, first = 0;
	for (size_t i = 0; reply[i]; i++) {
		if (reply[i] == '{' && depth++ == 0)
			first = i;
		else if (reply[i] == '}' && depth && --depth == 0) {
			*start = first;
			*end = i + 1;
			return true;
		}
	}
	return false;
}

static bool take_field(struct grader *g, const char *reply) {
	size_t start, end;
	struct tdm_value *object;
	if (!find_object(reply, &start, &end))
		return false;
	tdm_bytes_clear(&g->text);
	for (size_t i = start; i < end; i++)
		if (reply[i] != '\n')
			tdm_bytes_putc(&g->text, reply[i]);
	tdm_arena_clear(g->scratch);
	if (g->text.failed || tdm_json_parse(g->scratch, g->text.data, g->text.len, &object, NULL))
		return false;
	const struct tdm_value *answer = tdm_get(object, "answer");
	tdm_bytes_clear(&g->text);
	if (answer && answer->type == TDM_STRING)
		tdm_bytes_add(&g->text, answer->text, answer->len);
	else if (answer)
		tdm_value_write(&g->text, answer);
	return answer != NULL;
}

static bool take_pattern(struct grader *g, const char *reply) {
	size_t n = strlen(reply), start, end, key_start, key_end;
	for (size_t i = 0; i < N_PATTERNS; i++) {
		if (!tdm_regex_find(g->patterns[i], reply, n, 0, &start, &end) ||
		    !tdm_regex_find(g->key[i], reply, n, start, &key_start, &key_end))
			continue;
		tdm_bytes_clear(&g->text);
		tdm_bytes_add(&g->text, reply + key_end, end - key_end - (i == 0));
		return true;
	}
	return false;
}

static bool take_boxed(struct grader *g, const char *reply, const char *model) {
	size_t n = strlen(reply), from = n > BOXED_WITHIN ? n - BOXED_WITHIN : 0;
	if (!strstr(model, "Llama-3.1") || !strstr(reply + from, "boxed"))
		return false;
	const char *open = strstr(reply, "\\boxed{");
	if (!open)
		return false;
	open += strlen("\\boxed{");
	size_t len = strspn(open, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_");
	if (!len || open[len] != '}')
		return false;
	tdm_bytes_clear(&g->text);
	tdm_bytes_add(&g->text, open, len);
	return true;
}

// --- zeroeval: the number

// Arithmetic in an answer, such as "(3 + 5) / 2": numbers, + - * / and parentheses.
struct sum {
	const char *at;
	int depth;
	bool failed;
};
#define DEEPEST 32

static double terms(struct sum *s);

static char next_sign(struct sum *s) {
	s->at += strspn(s->at, " ");
	return *s->at;
}

static double factor(struct sum *s) {
	char sign = next_sign(s);
	double value = 0;
	if (sign == '-' || sign == '(') {
		s->at++;
		s->failed |= ++s->depth > DEEPEST;
		value = s->failed ? 0 : sign == '-' ? -factor(s) : terms(s);
		s->depth--;
		if (sign == '(')
			s->failed |= next_sign(s) != ')' || !*s->at++;
		return value;
	}
	size_t n = strspn(s->at, "0123456789.");
	char *end;
	s->failed |= !n;
	if (n)
		value = strtod(s->at, &end);
	s->failed |= n && end != s->at + n;
	s->at += n;
	return value;
}

static double product(struct sum *s) {
	double value = factor(s);
	for (char sign = next_sign(s); !s->failed && (sign == '*' || sign == '/'); sign = next_sign(s)) {
		s->at++;
		double by = factor(s);
		s->failed |= sign == '/' && by == 0;
		value = sign == '*' ? value * by : value / (by == 0 ? 1 : by);
	}
	return value;
}

static double terms(struct sum *s) {
	double value = product(s);
	for (char sign = next_sign(s); !s->failed && (sign == '+' || sign == '-'); sign = next_sign(s)) {
		s->at++;
		value += sign == '+' ? product(s) : -product(s);
	}
	return value;
}

static bool quotient(const char *text, double *out) {
	struct sum s = {.at = text};
	if (!strchr(text, '/'))
		return false;
	*out = terms(&s);
	return !s.failed && !next_sign(&s);
}

static const char *first_number(struct grader *g, const char *text, struct tdm_arena *arena) {
	char form[64];
	size_t start, end;
	double value;
	tdm_bytes_clear(&g->normal);
	for (const char *c = text + strspn(text, " \t\r\n$"); *c; c++)
		if (*c != '$' && *c != ',')
			tdm_bytes_putc(&g->normal, *c);
	while (g->normal.len && strchr(" \t\r\n", g->normal.data[g->normal.len - 1]))
		g->normal.data[--g->normal.len] = 0;
	if (g->normal.failed || !g->normal.len)
		return NULL;
	if (!quotient(g->normal.data, &value)) {
		if (!tdm_regex_find(g->number, g->normal.data, g->normal.len, 0, &start, &end))
			return NULL;
		g->normal.data[end] = 0;
		value = strtod(g->normal.data + start, NULL);
	}
	snprintf(form, sizeof form, "%.17g", value == 0 ? 0 : value);
	return tdm_arena_string(arena, form);
}

// --- every grader

static const char *normal(struct grader *g, const char *text, struct tdm_arena *arena) {
	if (g->kind == ZEROEVAL)
		return first_number(g, text, arena);
	tdm_bytes_clear(&g->normal);
	if (!tdm_answer_normal(&g->normal, text, strlen(text), (enum tdm_answer_type)g->kind) || g->normal.failed)
		return NULL;
	return tdm_arena_copy(arena, g->normal.data, g->normal.len);
}

static const char *read_reply(struct grader *g, const char *reply, const char *model, struct tdm_arena *arena) {
	if (g->kind == ZEROEVAL)
		return take_field(g, reply) || take_pattern(g, reply) || take_boxed(g, reply, model)
		           ? normal(g, g->text.data ? g->text.data : "", arena)
		           : NULL;
	tdm_bytes_clear(&g->normal);
	if (!tdm_answer_read(&g->normal, reply, strlen(reply), (enum tdm_answer_type)g->kind) || g->normal.failed)
		return NULL;
	return tdm_arena_copy(arena, g->normal.data, g->normal.len);
}

int tdm_grade_answers(const struct tdm_outcomes *o, int grader, struct tdm_arena *arena, const char ***out,
                      struct tdm_error *err) {
	struct tdm_arena scratch;
	struct grader g;
	const char **forms = tdm_arena_array(arena, o->n_items * o->n_models + 1, sizeof *forms);
	if (!forms)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for the answers");
	tdm_arena_init(&scratch, ANSWER_LIMIT_BYTES);
	int status = prepare(&g, grader, &scratch, err);
	for (size_t i = 0; i < o->n_items * o->n_models && !status; i++) {
		const struct tdm_outcome *cell = &o->cells[i];
		forms[i] = cell->answer   ? normal(&g, cell->answer, arena)
		           : cell->output ? read_reply(&g, cell->output, o->models[i % o->n_models], arena)
		                          : NULL;
	}
	if (!status)
		release(&g);
	tdm_arena_release(&scratch);
	*out = forms;
	return status;
}

int tdm_grade_gold(const struct tdm_outcomes *o, int grader, struct tdm_arena *arena, const char ***out,
                   struct tdm_error *err) {
	struct grader g;
	const char **forms = tdm_arena_array(arena, o->n_items + 1, sizeof *forms);
	if (!forms)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for the right answers");
	int status = prepare(&g, grader, NULL, err);
	if (status)
		return status;
	for (size_t i = 0; i < o->n_items && !status; i++) {
		forms[i] = o->items[i].gold ? normal(&g, o->items[i].gold, arena) : NULL;
		if (!forms[i])
			status = tdm_fail(err, TDM_EVALUE, "item \"%s\": no right answer that can be read (column gold)",
			                  o->items[i].id);
	}
	release(&g);
	*out = forms;
	return status;
}
