// Reader: what every format reads the same way, and the one wording of what was wrong.
#include "serve/reader.h"

#define MAX_STOPS 16

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
