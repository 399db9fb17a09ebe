// Reader: what every format reads the same way, and the one wording of what was wrong.
#include "serve/reader.h"

#define MAX_STOPS 16
#define MAX_STOP_BYTES 4096

int tdm_reader_wrong(struct tdm_reader *r, const char *param, const char *expected, const struct tdm_value *got) {
	return tdm_fail_param(r->err, TDM_EVALUE, param, "%s: expected %s, got %s", param, expected,
	                      got ? tdm_type_name(got->type) : "nothing");
}

int tdm_reader_memory(struct tdm_reader *r) {
	return tdm_fail(r->err, TDM_ENOMEM, "the request does not fit its memory limit");
}

int tdm_reader_bool(struct tdm_reader *r, const struct tdm_value *map, const char *key, const char *param, bool *out) {
	const struct tdm_value *v = tdm_get(map, key);
	if (!v)
		return TDM_OK;
	if (v->type != TDM_BOOL)
		return tdm_reader_wrong(r, param, "true or false", v);
	*out = v->truth;
	return TDM_OK;
}

static const char *types_text(unsigned types) {
	static const char *const words[] = {"true or false", "an integer", "a number", "a string", "a list", "an object"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (types & 1u << i)
			return words[i];
	return "another type";
}

int tdm_reader_field(struct tdm_reader *r, const struct tdm_value *body, const struct tdm_field *f) {
	static const unsigned types[] = {
	    0, TDM_FIELD_BOOL, TDM_FIELD_NUMBER, TDM_FIELD_STRING, TDM_FIELD_LIST, TDM_FIELD_MAP}; // of enum tdm_type
	const struct tdm_value *v = tdm_get(body, f->name);
	if (!v)
		return TDM_OK;
	unsigned type = types[v->type];
	if (v->type == TDM_NUMBER && v->is_integer)
		type |= TDM_FIELD_INTEGER;
	if (!(type & f->types))
		return tdm_reader_wrong(r, f->name, types_text(f->types), v);
	if (v->type == TDM_NUMBER && !(v->number >= f->min && v->number <= f->max))
		return tdm_fail_param(r->err, TDM_EVALUE, f->name, "%s: expected %g to %g, got %g", f->name, f->min, f->max,
		                      v->number);
	return TDM_OK;
}

int tdm_reader_fields(struct tdm_reader *r, const struct tdm_value *body, const struct tdm_field *fields, size_t n) {
	int status = TDM_OK;
	for (size_t i = 0; i < n && !status; i++)
		status = tdm_reader_field(r, body, &fields[i]);
	return status;
}

const char *tdm_reader_json(struct tdm_reader *r, const struct tdm_value *value, size_t *len) {
	struct tdm_bytes text;
	tdm_bytes_init(&text, r->arena->limit_bytes);
	tdm_value_write(&text, value);
	const char *copy = text.failed ? NULL : tdm_arena_copy(r->arena, text.data, text.len);
	*len = text.len;
	tdm_bytes_release(&text);
	return copy;
}

int tdm_reader_stop(struct tdm_reader *r, const struct tdm_value *stop, const char *param, struct tdm_request *out) {
	if (!stop)
		return TDM_OK;
	const struct tdm_value *items = stop->type == TDM_LIST ? stop->items : stop;
	size_t n = stop->type == TDM_LIST ? stop->n : 1;
	if (n > MAX_STOPS)
		return tdm_fail_param(r->err, TDM_EVALUE, param, "%s: expected at most %d strings, got %zu", param, MAX_STOPS,
		                      n);
	const char **stops = tdm_arena_array(r->arena, n + 1, sizeof *stops);
	if (!stops)
		return tdm_reader_memory(r);
	for (size_t i = 0; i < n; i++) {
		if (items[i].type != TDM_STRING || !items[i].len)
			return tdm_reader_wrong(r, param, "a string, or a list of strings, none empty", &items[i]);
		if (items[i].len > MAX_STOP_BYTES)
			return tdm_fail_param(r->err, TDM_EVALUE, param, "%s: expected strings of at most %d bytes", param,
			                      MAX_STOP_BYTES);
		stops[i] = items[i].text;
	}
	out->stop = stops;
	out->n_stop = n;
	return TDM_OK;
}

int tdm_body_number(struct tdm_reader *r, const struct tdm_value *body, const char *name, double max, float *out) {
	const struct tdm_value *v = tdm_get(body, name);
	if (!v)
		return TDM_OK;
	if (v->type != TDM_NUMBER)
		return tdm_reader_wrong(r, name, "a number", v);
	if (v->number < 0 || v->number > max)
		return tdm_fail_param(r->err, TDM_EVALUE, name, "%s: expected 0 to %g, got %g", name, max, v->number);
	*out = (float)v->number;
	return TDM_OK;
}

int tdm_body_count(struct tdm_reader *r, const struct tdm_value *body, const char *name, int least, int *out) {
	const struct tdm_value *v = tdm_get(body, name);
	if (!v)
		return TDM_OK;
	if (v->type != TDM_NUMBER || !v->is_integer)
		return tdm_reader_wrong(r, name, "an integer", v);
	if (v->integer < least || v->integer > 1 << 30)
		return tdm_fail_param(r->err, TDM_EVALUE, name, "%s: expected at least %d", name, least);
	*out = (int)v->integer;
	return TDM_OK;
}
