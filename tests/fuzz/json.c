// Fuzz target: bytes as a JSON text. What is read, is written and read again gives the same; a text that fits no memory
// is refused as that; and the same text cut short is read without a look behind its end.
//
// links: base
#include "base/value.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_same(const struct tdm_value *a, const struct tdm_value *b) {
	if (a->type != b->type || a->n != b->n || a->len != b->len || a->truth != b->truth || a->number != b->number ||
	    a->is_integer != b->is_integer || a->integer != b->integer)
		return false;
	if (a->type == TDM_STRING)
		return memcmp(a->text, b->text, a->len + 1) == 0;
	for (size_t i = 0; i < a->n; i++)
		if ((a->type == TDM_MAP && strcmp(a->keys[i], b->keys[i]) != 0) || !is_same(&a->items[i], &b->items[i]))
			return false;
	return true;
}

static void check_keys(const struct tdm_value *value) {
	for (size_t i = 0; i < value->n; i++) {
		check_keys(&value->items[i]);
		for (size_t k = 0; value->type == TDM_MAP && value->n < 100 && k < i; k++)
			if (strcmp(value->keys[i], value->keys[k]) == 0)
				abort();
	}
}

static void check_again(struct tdm_arena *arena, const struct tdm_value *value) {
	struct tdm_bytes text, again;
	struct tdm_value *second = NULL;
	tdm_bytes_init(&text, 16 << 20);
	tdm_bytes_init(&again, 16 << 20);
	tdm_value_write(&text, value);
	if (text.failed || tdm_json_parse(arena, text.data, text.len, &second, NULL) || !is_same(value, second))
		abort();
	tdm_value_write(&again, second);
	if (again.len != text.len || memcmp(again.data, text.data, text.len) != 0)
		abort();
	tdm_bytes_release(&text);
	tdm_bytes_release(&again);
}

static int read_within(size_t limit, const char *text, size_t n) {
	struct tdm_arena arena;
	struct tdm_error err = {0};
	struct tdm_value *value = NULL;
	tdm_arena_init(&arena, limit);
	int status = tdm_json_parse(&arena, text, n, &value, &err);
	if ((status != TDM_OK && status != TDM_EJSON && status != TDM_ENOMEM) || (status == TDM_OK) != (value != NULL) ||
	    (status == TDM_EJSON && !strstr(err.text, " at line ")) || arena.used_bytes > limit)
		abort();
	if (status == TDM_OK && limit == SIZE_MAX) {
		check_keys(value);
		check_again(&arena, value);
	}
	tdm_arena_release(&arena);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	char *text = malloc(n ? n : 1); // of exactly this size: one byte more is found
	if (!text)
		return 0;
	if (n)
		memcpy(text, data, n);
	int status = read_within(SIZE_MAX, text, n);
	if (status == TDM_ENOMEM)
		abort();
	int small = read_within(n * 20, text, n);
	if (small != status && small != TDM_ENOMEM)
		abort();
	free(text);
	return 0;
}
