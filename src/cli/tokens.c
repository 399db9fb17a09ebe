// tandem tokens: a model's vocabulary and weights as numbers, so that any other engine can be compared with this one.
// Reads one JSON value per line and prints one per line.
//
//   "text"                    the ids of its tokens, as a list
//   [1, 2, 3], --embed        the vector that an encoder gives these tokens, as a list
//   [1, 2, 3], --logprobs     ln p of each token after the first, given those before it, as a list
//   [1, 2, 3], --continue N   {"tokens": [...], "gaps": [...], "top": [[id, probability], ...]}: the greedy
//   continuation
//                             of these tokens, how far the largest logit was ahead of the second at each step, and the
//                             K most likely next tokens after the prompt (--top K)
#include "cli/command.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	const char *model, *strings, *kernels;
	int64_t n_continue, top;
	int cache_type;
	bool embed, logprobs;
};

static const struct tdm_option rows[] = {
    {"model", TDM_OPT_STRING, offsetof(struct options, model), NULL, 0, 0, NULL, "weight file"},
    {"strings", TDM_OPT_STRING, offsetof(struct options, strings), "-", 0, 0, NULL,
     "file of JSON strings, or of lists of ids with --continue, one per line; - = standard input"},
    {"continue", TDM_OPT_INT, offsetof(struct options, n_continue), "0", 0, 1 << 20, NULL,
     "longest greedy continuation of lists of ids"},
    {"top", TDM_OPT_INT, offsetof(struct options, top), "10", 0, 1000, NULL,
     "with --continue: most likely next tokens that are shown"},
    {"embed", TDM_OPT_BOOL, offsetof(struct options, embed), "no", 0, 0, NULL,
     "the vector of each list of ids; for encoders"},
    {"logprobs", TDM_OPT_BOOL, offsetof(struct options, logprobs), "no", 0, 0, NULL,
     "of each list of ids: ln p of every token after the first"},
    {"cache-type", TDM_OPT_CHOICE, offsetof(struct options, cache_type), "auto", 0, 0, TDM_CACHE_CHOICES,
     "keys and values; auto = as precise as the weights"},
    {"kernels", TDM_OPT_STRING, offsetof(struct options, kernels), NULL, 0, 0, NULL,
     "portable, avx2 or avx512; absent: the best of this machine"},
};

#define N_CHUNK 64 // tokens of one pass: bounds the memory of their logits
#define LINE_ARENA_BYTES ((size_t)256 << 20)

struct reader {
	const struct options *options;
	struct tdm_engine *engine; // with --continue, --embed or --logprobs
	struct tdm_gguf *file;     // without
	struct tdm_vocab *own;
	const struct tdm_vocab *vocab;
	struct tdm_arena arena; // of one line
};

static void print_ids(const int32_t *ids, int n) {
	putchar('[');
	for (int i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", ids[i]);
	putchar(']');
}

static int print_tokens(struct reader *r, const struct tdm_value *text, struct tdm_error *err) {
	int n = tdm_tokenize(r->vocab, text->text, text->len, NULL, 0);
	int32_t *tokens = n < 0 ? NULL : tdm_arena_array(&r->arena, (size_t)n + 1, sizeof *tokens);
	if (!tokens)
		return tdm_fail(err, n < 0 ? n : TDM_ENOMEM, "the text cannot be turned into tokens");
	tdm_tokenize(r->vocab, text->text, text->len, tokens, n);
	print_ids(tokens, n);
	putchar('\n');
	return TDM_OK;
}

// --- continuations

static int read_ids(struct reader *r, const struct tdm_value *list, int32_t **out, struct tdm_error *err) {
	int32_t *ids = tdm_arena_array(&r->arena, list->n + 1, sizeof *ids);
	if (!ids)
		return tdm_fail(err, TDM_ENOMEM, "no memory for %zu tokens", list->n);
	for (size_t i = 0; i < list->n; i++) {
		const struct tdm_value *v = &list->items[i];
		if (v->type != TDM_NUMBER || !v->is_integer || v->integer < 0 || v->integer >= tdm_vocab_size(r->vocab))
			return tdm_fail(err, TDM_EVALUE, "entry %zu is no token of this vocabulary", i + 1);
		ids[i] = (int32_t)v->integer;
	}
	*out = ids;
	return list->n ? TDM_OK : tdm_fail(err, TDM_EVALUE, "expected at least one token");
}

static double gap_to_second(const float *logits, int n, int32_t first) {
	float second = -INFINITY;
	for (int i = 0; i < n; i++)
		if (i != first && logits[i] > second)
			second = logits[i];
	return (double)logits[first] - (double)second;
}

static void print_top(struct reader *r, const float *logits, int n_vocab) {
	int n = (int)r->options->top < n_vocab ? (int)r->options->top : n_vocab;
	float *left = tdm_arena_array(&r->arena, (size_t)n_vocab, sizeof *left);
	if (left)
		memcpy(left, logits, (size_t)n_vocab * sizeof *left);
	printf("{\"top\":[");
	for (int i = 0; left && i < n; i++) {
		int32_t best = tdm_argmax(left, n_vocab);
		printf("%s[%d,%.9g]", i ? "," : "", best, exp((double)tdm_log_softmax_at(logits, n_vocab, best)));
		left[best] = -INFINITY;
	}
	putchar(']');
}

static int print_greedy(struct reader *r, struct tdm_seq *s, struct tdm_error *err) {
	int n_vocab = tdm_vocab_size(r->vocab), n = 0, status = TDM_OK;
	int32_t *tokens = tdm_arena_array(&r->arena, (size_t)r->options->n_continue, sizeof *tokens);
	double *gaps = tdm_arena_array(&r->arena, (size_t)r->options->n_continue, sizeof *gaps);
	if (!tokens || !gaps)
		return tdm_fail(err, TDM_ENOMEM, "no memory for the continuation");
	print_top(r, tdm_seq_logits(s, 0), n_vocab);
	while (n < r->options->n_continue && !status) {
		const float *logits = tdm_seq_logits(s, 0);
		tokens[n] = tdm_argmax(logits, n_vocab);
		gaps[n] = gap_to_second(logits, n_vocab, tokens[n]);
		n++;
		if (tdm_token_is_end(r->vocab, tokens[n - 1]))
			break;
		status = tdm_seq_eval(s, &tokens[n - 1], 1, NULL, NULL, err);
	}
	printf(",\"tokens\":");
	print_ids(tokens, n);
	printf(",\"gaps\":[");
	for (int i = 0; i < n; i++)
		printf("%s%.6g", i ? "," : "", gaps[i]);
	puts("]}");
	return status;
}

static int print_continuation(struct reader *r, const struct tdm_value *list, struct tdm_error *err) {
	struct tdm_seq *s = NULL;
	int32_t *ids = NULL;
	int status = read_ids(r, list, &ids, err);
	if (!status)
		status = tdm_seq_open(r->engine, &s, err);
	if (!status)
		status = tdm_seq_eval(s, ids, (int)list->n, NULL, NULL, err);
	if (!status)
		status = print_greedy(r, s, err);
	if (s)
		tdm_seq_close(s);
	return status;
}

static int print_vector(struct reader *r, const struct tdm_value *list, struct tdm_error *err) {
	int width = tdm_engine_info(r->engine)->width;
	float *out = tdm_arena_array(&r->arena, (size_t)width, sizeof *out);
	int32_t *ids = NULL;
	int status = out ? read_ids(r, list, &ids, err) : tdm_fail(err, TDM_ENOMEM, "no memory for %d numbers", width);
	if (!status)
		status = tdm_engine_encode(r->engine, ids, (int)list->n, NULL, out, err);
	for (int i = 0; i < width && !status; i++)
		printf("%s%.9g", i ? "," : "[", (double)out[i]);
	if (!status)
		puts("]");
	return status;
}

static int print_logprobs(struct reader *r, const struct tdm_value *list, struct tdm_error *err) {
	struct tdm_seq *s = NULL;
	int32_t *ids = NULL;
	int n = (int)list->n, n_vocab = tdm_vocab_size(r->vocab);
	uint8_t *wanted = tdm_arena_array(&r->arena, list->n + 1, 1);
	int status = wanted ? read_ids(r, list, &ids, err) : tdm_fail(err, TDM_ENOMEM, "no memory for %d tokens", n);
	if (!status)
		status = tdm_seq_open(r->engine, &s, err);
	for (int at = 0; at + 1 < n && !status; at += N_CHUNK) {
		int length = n - 1 - at < N_CHUNK ? n - 1 - at : N_CHUNK;
		memset(wanted, 1, (size_t)length);
		status = tdm_seq_eval(s, ids + at, length, wanted, NULL, err);
		for (int i = 0; i < length && !status; i++)
			printf("%s%.9g", at + i ? "," : "[",
			       (double)tdm_log_softmax_at(tdm_seq_logits(s, i), n_vocab, ids[at + i + 1]));
	}
	if (!status)
		puts(n > 1 ? "]" : "[]");
	if (s)
		tdm_seq_close(s);
	return status;
}

// --- lines

static int print_line(struct reader *r, const char *line, size_t n, struct tdm_error *err) {
	struct tdm_value *value;
	int status = tdm_json_parse(&r->arena, line, n, &value, err);
	if (status)
		return status;
	if (value->type == TDM_STRING)
		return print_tokens(r, value, err);
	if (value->type == TDM_LIST && r->options->embed)
		return print_vector(r, value, err);
	if (value->type == TDM_LIST && r->options->logprobs)
		return print_logprobs(r, value, err);
	if (value->type == TDM_LIST && r->engine)
		return print_continuation(r, value, err);
	return tdm_fail(err, TDM_EVALUE, "expected a JSON string%s, but this is %s",
	                r->engine ? " or a list of ids" : " (or a list of ids with --continue)",
	                tdm_type_name(value->type));
}

static int print_lines(struct reader *r, FILE *file, const char *name, struct tdm_error *err) {
	char *line = NULL;
	size_t cap = 0;
	int status = TDM_OK;
	tdm_arena_init(&r->arena, LINE_ARENA_BYTES);
	for (long number = 1; !status; number++) {
		ssize_t n = getline(&line, &cap, file);
		if (n < 0)
			break;
		struct tdm_error inner = {0};
		status = print_line(r, line, (size_t)n, &inner);
		if (status)
			tdm_fail(err, status, "%s line %ld: %s", name, number, inner.text);
		tdm_arena_release(&r->arena);
	}
	if (!status && ferror(file))
		status = tdm_fail(err, TDM_EIO, "%s cannot be read to its end", name);
	free(line);
	return status;
}

// Only the vocabulary when no continuation is wanted: a weight file may hold nothing else.
static int open_model(struct reader *r, struct tdm_error *err) {
	const struct options *o = r->options;
	int status;
	if (o->n_continue || o->embed || o->logprobs) {
		const struct tdm_engine_options engine = {.kernels = o->kernels,
		                                          .cache_type = (enum tdm_cache_type)o->cache_type};
		status = tdm_engine_open(o->model, &engine, &r->engine, err);
		r->vocab = status ? NULL : tdm_engine_vocab(r->engine);
		return status;
	}
	status = tdm_gguf_open(o->model, &r->file, err);
	if (!status)
		status = tdm_vocab_read(r->file, &r->own, err);
	r->vocab = r->own;
	return status;
}

static void close_model(struct reader *r) {
	if (r->engine)
		tdm_engine_close(r->engine);
	tdm_vocab_free(r->own);
	tdm_gguf_close(r->file);
}

static int run(const struct tdm_command_call *call) {
	struct reader r = {.options = call->options};
	const char *strings = r.options->strings;
	bool standard = !strcmp(strings, "-");
	if (!r.options->model)
		return tdm_fail(call->error, TDM_EVALUE, "tandem tokens: --model expects a weight file");
	FILE *file = standard ? stdin : fopen(strings, "r");
	int status =
	    file ? open_model(&r, call->error) : tdm_fail(call->error, TDM_EIO, "%s: %s", strings, strerror(errno));
	if (!status)
		status = print_lines(&r, file, standard ? "standard input" : strings, call->error);
	close_model(&r);
	if (file && !standard)
		fclose(file);
	return status;
}

const struct tdm_command tdm_command_tokens = {"tokens",
                                               "token ids of text and greedy continuations, by a weight file",
                                               NULL,
                                               "measure",
                                               rows,
                                               sizeof rows / sizeof *rows,
                                               sizeof(struct options),
                                               run};
