// Objective: the `tandem` member of a request body and the x-tandem-* headers. Strict: a misspelt wish must not pass.
#include "base/option.h"
#include "serve/formats/chat_read.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const fields[] = {"quality", "max_cost", "max_latency_ms", "privacy",          "trust", "strict",
                                     "session", "receipt",  "trace",          "cache_similarity", "seen"};
static const char *const privacy_words[] = {"none", "secrets", "personal", "strict", "local"};
static const char *const receipt_words[] = {"full", "id", "none"};

void tdm_objective_init(struct tdm_objective *o) {
	memset(o, 0, sizeof *o);
	o->quality = o->max_cost = NAN;
}

static int wrong(struct tdm_error *err, const char *field, const char *expected) {
	char param[64];
	snprintf(param, sizeof param, "tandem.%s", field);
	return tdm_fail_param(err, TDM_EVALUE, param, "tandem.%s: expected %s", field, expected);
}

static int word_index(const char *text, const char *const *words, size_t n) {
	for (size_t i = 0; text && i < n; i++)
		if (!strcmp(text, words[i]))
			return (int)i;
	return -1;
}

static int set_number(const struct tdm_value *v, const char *field, double max, double *out, bool larger,
                      struct tdm_error *err) {
	if (v->type != TDM_NUMBER || v->number < 0 || v->number > max)
		return wrong(err, field, max <= 1 ? "a number from 0 to 1" : "a number of at least 0");
	if (isnan(*out) || (larger ? v->number > *out : v->number < *out))
		*out = v->number;
	return TDM_OK;
}

static int set_level(const struct tdm_value *v, const char *field, int max, int *out, struct tdm_error *err) {
	int level = v->type == TDM_NUMBER && v->is_integer ? (int)v->integer : -1;
	if (v->type == TDM_STRING && max == 4)
		level = word_index(v->text, privacy_words, 5);
	if (level < 0 || level > max)
		return wrong(err, field,
		             max == 4 ? "a level 0 to 4, or none, secrets, personal, strict, local" : "a level 0 to 3");
	if (level > *out)
		*out = level;
	return TDM_OK;
}

static int set_latency(const struct tdm_value *v, struct tdm_objective *o, struct tdm_error *err) {
	if (v->type != TDM_NUMBER || !v->is_integer || v->integer <= 0)
		return wrong(err, "max_latency_ms", "a whole number of milliseconds above 0");
	if (!o->max_latency_ms || v->integer < o->max_latency_ms)
		o->max_latency_ms = v->integer;
	return TDM_OK;
}

static int set_words(const struct tdm_value *v, const char *field, struct tdm_objective *o, struct tdm_error *err) {
	if (!strcmp(field, "strict") || !strcmp(field, "trace") || !strcmp(field, "seen")) {
		if (v->type != TDM_BOOL)
			return wrong(err, field, "true or false");
		*(*field == 't' ? &o->trace : field[1] == 't' ? &o->strict : &o->seen) |= v->truth;
	} else if (!strcmp(field, "session")) {
		if (v->type != TDM_STRING || v->len > 128)
			return wrong(err, field, "a string of at most 128 bytes");
		o->session = v->text;
	} else {
		int i = v->type == TDM_STRING ? word_index(v->text, receipt_words, 3) : -1;
		if (i < 0)
			return wrong(err, field, "full, id or none");
		o->receipt = i > o->receipt ? i : o->receipt;
	}
	return TDM_OK;
}

static int set_field(const char *field, const struct tdm_value *v, struct tdm_objective *o, struct tdm_error *err) {
	if (v->type == TDM_NULL)
		return TDM_OK;
	if (!strcmp(field, "quality"))
		return set_number(v, field, 1, &o->quality, true, err);
	if (!strcmp(field, "max_cost"))
		return set_number(v, field, INFINITY, &o->max_cost, false, err);
	if (!strcmp(field, "privacy"))
		return set_level(v, field, 4, &o->privacy, err);
	if (!strcmp(field, "trust"))
		return set_level(v, field, 3, &o->trust, err);
	if (!strcmp(field, "max_latency_ms"))
		return set_latency(v, o, err);
	if (!strcmp(field, "cache_similarity"))
		return set_number(v, field, 1, &o->similarity, true, err);
	if (word_index(field, fields, sizeof fields / sizeof fields[0]) >= 0)
		return set_words(v, field, o, err);
	const char *near = tdm_nearest(field, fields, sizeof fields / sizeof fields[0]);
	char param[128];
	snprintf(param, sizeof param, "tandem.%s", field);
	return tdm_fail_param(err, TDM_EVALUE, param, "tandem: there is no field \"%s\"%s%s%s", field,
	                      near ? " (nearest: \"" : "", near ? near : "", near ? "\")" : "");
}

int tdm_objective_read(const struct tdm_value *tandem, struct tdm_objective *o, struct tdm_error *err) {
	if (!tandem)
		return TDM_OK;
	if (tandem->type != TDM_MAP)
		return tdm_fail_param(err, TDM_EVALUE, "tandem", "tandem: expected an object");
	for (size_t i = 0; i < tandem->n; i++) {
		int status = set_field(tandem->keys[i], &tandem->items[i], o, err);
		if (status)
			return status;
	}
	return TDM_OK;
}

int tdm_objective_header(struct tdm_arena *arena, const char *name, const char *text, struct tdm_objective *o,
                         struct tdm_error *err) {
	struct tdm_value v = {.type = TDM_STRING, .text = tdm_arena_string(arena, text), .len = strlen(text)};
	char *end;
	double number = strtod(text, &end);
	char field[32];
	size_t n = 0;
	for (; name[n] && n < sizeof field - 1; n++)
		field[n] = name[n] == '-' ? '_' : name[n];
	field[n] = 0;
	if (end != text && !*end) {
		v = (struct tdm_value){
		    .type = TDM_NUMBER, .number = number, .is_integer = number == floor(number) && number < 1e15};
		v.integer = v.is_integer ? (int64_t)number : 0;
	} else if (!strcmp(text, "true") || !strcmp(text, "false")) {
		v = (struct tdm_value){.type = TDM_BOOL, .truth = *text == 't'};
	}
	return set_field(field, &v, o, err);
}
