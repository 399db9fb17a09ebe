// Reads JSON texts from standard input, each behind its length (4 bytes, the lowest first), and writes a line for each:
// the text as Tandem writes what it read, or a minus and the sentence of the refusal (for the test json.test.mjs).
// With `--time FILE...` it says how long one reading and one writing of each file take: the least of seven rounds.
#include "base/clock.h"
#include "base/file.h"
#include "base/value.h"
#include <stdio.h>
#include <string.h>

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

// Nanoseconds of reading (writing: of writing what was read) n times.
static double round_ns(const struct tdm_bytes *text, const struct tdm_value *read, int n) {
	int64_t start = tdm_now_us();
	for (int i = 0; i < n; i++) {
		struct tdm_arena arena;
		struct tdm_value *value;
		struct tdm_bytes out;
		tdm_arena_init(&arena, 64 << 20);
		tdm_bytes_init(&out, 64 << 20);
		if (read)
			tdm_value_write(&out, read);
		else
			tdm_json_parse(&arena, text->data, text->len, &value, NULL);
		tdm_bytes_release(&out);
		tdm_arena_release(&arena);
	}
	return (double)(tdm_now_us() - start) * 1000 / n;
}

static double least_ns(const struct tdm_bytes *text, const struct tdm_value *read) {
	int n = (int)(30000000 / (text->len + 1000)) + 1;
	double least = round_ns(text, read, n);
	for (int i = 1; i < 7; i++) {
		double ns = round_ns(text, read, n);
		least = ns < least ? ns : least;
	}
	return least;
}

static int time_file(const char *path) {
	struct tdm_error err = {0};
	struct tdm_bytes text = {0};
	struct tdm_arena arena;
	struct tdm_value *value = NULL;
	tdm_arena_init(&arena, 64 << 20);
	int status = tdm_file_read(path, 1 << 24, &text, &err);
	if (status == TDM_OK)
		status = tdm_json_parse(&arena, text.data, text.len, &value, &err);
	if (status == TDM_OK)
		printf("%s: %zu bytes, read in %.0f ns, written in %.0f ns\n", path, text.len, least_ns(&text, NULL),
		       least_ns(&text, value));
	else
		fprintf(stderr, "%s: %s\n", path, err.text);
	tdm_bytes_release(&text);
	tdm_arena_release(&arena);
	return status;
}

int main(int argc, char **argv) {
	if (argc > 2 && !strcmp(argv[1], "--time")) {
		int failed = 0;
		for (int i = 2; i < argc; i++)
			failed |= time_file(argv[i]) != TDM_OK;
		return failed;
	}
	static char text[1 << 22];
	unsigned char length[4];
	int status = 0;
	while (!status && fread(length, 1, 4, stdin) == 4) {
		size_t n = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 | (size_t)length[3] << 24;
		status = n > sizeof text || fread(text, 1, n, stdin) != n || write_line(text, n);
	}
	return status;
}
