// tandem tokenizer: a vocabulary from examples. Reads conversations, one JSON object per line with "messages", and
// writes a weight file that holds only the vocabulary.
#include "base/clock.h"
#include "cli/command.h"
#include "learn/bpe_train.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct tdm_strings data;
	const char *out, *pre;
	int64_t size, bytes, max_piece_bytes, min_frequency;
	double min_code_share;
};

static const struct tdm_option rows[] = {
    {"data", TDM_OPT_LIST, offsetof(struct options, data), NULL, 0, 0, NULL,
     "files of conversations, one {\"messages\": [...]} per line"},
    {"out", TDM_OPT_STRING, offsetof(struct options, out), "vocab.gguf", 0, 0, NULL, "the file to write"},
    {"size", TDM_OPT_INT, offsetof(struct options, size), "2000", 259, 1 << 20, NULL, "tokens in all"},
    {"bytes", TDM_OPT_INT, offsetof(struct options, bytes), "0", 0, 1e15, NULL,
     "read this many bytes of text per file; 0 = all"},
    {"max-piece-bytes", TDM_OPT_INT, offsetof(struct options, max_piece_bytes), "16", 1, 256, NULL,
     "no token longer than this many bytes"},
    {"min-frequency", TDM_OPT_INT, offsetof(struct options, min_frequency), "2", 1, 1e15, NULL,
     "no merge of a pair seen less often"},
    {"min-code-share", TDM_OPT_NUMBER, offsetof(struct options, min_code_share), "0.0002", 0, 1, NULL,
     "capitals alone (random codes) teach merges only from this share of all pieces on"},
    {"pre", TDM_OPT_STRING, offsetof(struct options, pre), "smollm", 0, 0, NULL,
     "pre-split; smollm keeps digits single"},
};

#define LINE_ARENA_BYTES ((size_t)256 << 20)

static int add_line(struct tdm_bpe_trainer *t, struct tdm_arena *arena, const char *line, size_t n, uint64_t *used,
                    struct tdm_error *err) {
	struct tdm_value *value;
	int status = tdm_json_parse(arena, line, n, &value, err);
	const struct tdm_value *messages = status ? NULL : tdm_get(value, "messages");
	if (!status && (!messages || messages->type != TDM_LIST))
		status = tdm_fail(err, TDM_EVALUE, "expected an object with a list \"messages\"");
	for (size_t i = 0; !status && i < messages->n; i++) {
		const struct tdm_value *content = tdm_get(&messages->items[i], "content");
		if (!content || content->type != TDM_STRING)
			return tdm_fail(err, TDM_EVALUE, "messages[%zu].content is not a string", i);
		*used += content->len;
		status = tdm_bpe_trainer_add(t, content->text, content->len, err);
	}
	return status;
}

static int add_file(struct tdm_bpe_trainer *t, const char *path, uint64_t limit, struct tdm_error *err) {
	FILE *file = fopen(path, "r");
	if (!file)
		return tdm_fail(err, TDM_EIO, "%s: %s", path, strerror(errno));
	struct tdm_arena arena;
	char *line = NULL;
	size_t cap = 0;
	uint64_t used = 0;
	int status = TDM_OK;
	tdm_arena_init(&arena, LINE_ARENA_BYTES);
	for (long number = 1; !status && (!limit || used < limit); number++) {
		ssize_t n = getline(&line, &cap, file);
		if (n < 0)
			break;
		struct tdm_error inner = {0};
		status = n > 1 ? add_line(t, &arena, line, (size_t)n, &used, &inner) : TDM_OK;
		if (status)
			tdm_fail(err, status, "%s line %ld: %s", path, number, inner.text);
		tdm_arena_release(&arena);
	}
	if (!status && ferror(file))
		status = tdm_fail(err, TDM_EIO, "%s cannot be read to its end", path);
	free(line);
	fclose(file);
	return status;
}

static int write_file(const struct tdm_bpe_trainer *t, const char *path, struct tdm_error *err) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	if (!w)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for %s", path);
	tdm_gguf_put_text(w, "general.architecture", "llama");
	int status = tdm_bpe_trainer_put(t, w, err);
	if (!status)
		status = tdm_gguf_write(w, path, err);
	tdm_gguf_writer_free(w);
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	if (!o->data.n)
		return tdm_fail(call->error, TDM_EVALUE, "tandem tokenizer: --data expects a file of conversations");
	struct tdm_bpe_options train = {(int)o->size, (int)o->max_piece_bytes, o->min_frequency, o->min_code_share, o->pre};
	struct tdm_bpe_trainer *t = NULL;
	int64_t started_us = tdm_now_us();
	int status = tdm_bpe_trainer_new(&train, &t, call->error);
	for (size_t i = 0; i < o->data.n && !status; i++)
		status = add_file(t, o->data.items[i], (uint64_t)o->bytes, call->error);
	int64_t read_us = tdm_now_us();
	if (!status)
		status = tdm_bpe_trainer_run(t, call->error);
	if (!status)
		status = write_file(t, o->out, call->error);
	if (!status) {
		struct tdm_bpe_figures f;
		tdm_bpe_trainer_figures(t, &f);
		printf("%s: %d tokens, %d merges, the last seen %lld times\n", o->out, f.size, f.n_merges,
		       (long long)f.last_frequency);
		printf("text: %.1f MB, %llu distinct pieces, %.2f bytes per token; read %.1f s, merged %.1f s\n",
		       (double)f.bytes / 1e6, (unsigned long long)f.distinct, f.tokens ? (double)f.bytes / (double)f.tokens : 0,
		       (double)(read_us - started_us) / 1e6, (double)(tdm_now_us() - read_us) / 1e6);
	}
	tdm_bpe_trainer_free(t);
	return status;
}

const struct tdm_command tdm_command_tokenizer = {"tokenizer",
                                                  "train a vocabulary from conversations",
                                                  NULL,
                                                  "make",
                                                  rows,
                                                  sizeof rows / sizeof *rows,
                                                  sizeof(struct options),
                                                  run};
