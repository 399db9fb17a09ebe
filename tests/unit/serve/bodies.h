// Bodies of requests for the tests of their readers: read_with() reads one as the server would, check_refusals() a
// table of those that are refused.
#pragma once
#include "tests.h"
#include "serve/formats/chat_read.h"
#include <string.h>

typedef int (*body_reader)(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
                           struct tdm_chat_request *out, struct tdm_error *err);

struct refusal {
	const char *body;
	int status;
	const char *param;
};

static struct tdm_arena arena; // what was read last
static struct tdm_record record;

static int read_with(body_reader reader, const char *text, struct tdm_chat_request *out, struct tdm_error *err) {
	struct tdm_value *value;
	*err = (struct tdm_error){0};
	tdm_arena_release(&arena);
	tdm_arena_init(&arena, 1 << 22);
	tdm_record_init(&record, &arena);
	assert_int_equal(tdm_json_parse(&arena, text, strlen(text), &value, err), TDM_OK);
	return reader(&arena, value, &record, out, err);
}

static void check_refusals(body_reader reader, const struct refusal *cases, size_t n) {
	for (size_t i = 0; i < n; i++) {
		struct tdm_chat_request q;
		struct tdm_error err;
		assert_int_equal(read_with(reader, cases[i].body, &q, &err), cases[i].status);
		assert_string_equal(err.param, cases[i].param);
		assert_true(strlen(err.text) > 10);
	}
}
