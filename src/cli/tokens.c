// tandem tokens: text as a model's vocabulary cuts it. Reads JSON strings, one per line, and prints each one's token
// ids as a JSON list; so any other tokenizer can be compared with this one.
#include "cli/command.h"
#include "engine/vocab.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	const char *model, *strings;
};

static const struct tdm_option rows[] = {
    {"model", TDM_OPT_STRING, offsetof(struct options, model), NULL, 0, 0, NULL,
     "weight file whose vocabulary is used"},
    {"strings", TDM_OPT_STRING, offsetof(struct options, strings), "-", 0, 0, NULL,
     "file of JSON strings, one per line; - = standard input"},
};

#define LINE_ARENA_BYTES ((size_t)256 << 20)

static int print_tokens(const struct tdm_vocab *v, const struct tdm_value *text, struct tdm_arena *arena,
                        struct tdm_error *err) {
	if (text->type != TDM_STRING)
		return tdm_fail(err, TDM_EVALUE, "expected a JSON string, but this is %s", tdm_type_name(text->type));
	int n = tdm_tokenize(v, text->text, text->len, NULL, 0);
	int32_t *tokens = n < 0 ? NULL : tdm_arena_array(arena, (size_t)n + 1, sizeof *tokens);
	if (!tokens)
		return tdm_fail(err, n < 0 ? n : TDM_ENOMEM, "the text cannot be turned into tokens");
	tdm_tokenize(v, text->text, text->len, tokens, n);
	putchar('[');
	for (int i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", tokens[i]);
	puts("]");
	return TDM_OK;
}

static int print_lines(const struct tdm_vocab *v, FILE *file, const char *name, struct tdm_error *err) {
	struct tdm_arena arena;
	char *line = NULL;
	size_t cap = 0;
	int status = TDM_OK;
	tdm_arena_init(&arena, LINE_ARENA_BYTES);
	for (long number = 1; !status; number++) {
		ssize_t n = getline(&line, &cap, file);
		if (n < 0)
			break;
		struct tdm_error inner = {0};
		struct tdm_value *value;
		status = tdm_json_parse(&arena, line, (size_t)n, &value, &inner);
		if (!status)
			status = print_tokens(v, value, &arena, &inner);
		if (status)
			tdm_fail(err, status, "%s line %ld: %s", name, number, inner.text);
		tdm_arena_release(&arena);
	}
	if (!status && ferror(file))
		status = tdm_fail(err, TDM_EIO, "%s cannot be read to its end", name);
	free(line);
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	if (!o->model)
		return tdm_fail(call->error, TDM_EVALUE, "tandem tokens: --model expects a weight file");
	struct tdm_gguf *g = NULL;
	struct tdm_vocab *v = NULL;
	bool standard = !strcmp(o->strings, "-");
	FILE *file = standard ? stdin : fopen(o->strings, "r");
	int status = file ? tdm_gguf_open(o->model, &g, call->error)
	                  : tdm_fail(call->error, TDM_EIO, "%s: %s", o->strings, strerror(errno));
	if (!status)
		status = tdm_vocab_read(g, &v, call->error);
	if (!status)
		status = print_lines(v, file, standard ? "standard input" : o->strings, call->error);
	tdm_vocab_free(v);
	tdm_gguf_close(g);
	if (file && !standard)
		fclose(file);
	return status;
}

const struct tdm_command tdm_command_tokens = {"tokens",
                                               "token ids of text, by a model's vocabulary",
                                               NULL,
                                               "measure",
                                               rows,
                                               sizeof rows / sizeof *rows,
                                               sizeof(struct options),
                                               run};
