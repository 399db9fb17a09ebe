// Reads JSON texts from standard input, each behind its length (4 bytes, the lowest first), and writes a line for each:
// the text as Tandem writes what it read, or a minus and the sentence of the refusal. For
// tests/integration/json.test.mjs.
#include "base/value.h"
#include <stdio.h>

static int write_line(const char *text, size_t n) {
	struct tdm_arena arena;
	struct tdm_error err = {0};
	struct tdm_value *value = NULL;
	struct tdm_bytes out;
	tdm_arena_init(&arena, 64 << 20);
	tdm_bytes_init(&out, 64 << 20);
	if (tdm_json_parse(&arena, text, n, &value, &err) == TDM_OK)
		tdm_value_write(&out, value);
	else
		tdm_bytes_printf(&out, "-%s", err.text);
	int status = out.failed || printf("%s\n", out.data) < 0;
	tdm_bytes_release(&out);
	tdm_arena_release(&arena);
	return status;
}

int main(void) {
	static char text[1 << 22];
	unsigned char length[4];
	int status = 0;
	while (!status && fread(length, 1, 4, stdin) == 4) {
		size_t n = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 | (size_t)length[3] << 24;
		status = n > sizeof text || fread(text, 1, n, stdin) != n || write_line(text, n);
	}
	return status;
}
