// `tandem index`: pieces of text files in one file, to be looked up by kind retrieve. Nothing leaves this machine,
// unless the embedder that is named does, which is said.
#include "base/file.h"
#include "base/text.h"
#include "cli/app.h"
#include "cli/command.h"
#include "ledger/passages.h"
#include "privacy/mask/home.h"
#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FILE_LIMIT_BYTES ((size_t)256 << 20)

struct options {
	const char *config, *out, *embedder;
	int64_t bytes;
};

static const struct tdm_option options[] = {
    {"out", TDM_OPT_STRING, offsetof(struct options, out), "index.db", 0, 0, NULL, "file that is written"},
    {"config", TDM_OPT_STRING, offsetof(struct options, config), NULL, 0, 0, NULL,
     "settings file that has the embedder"},
    {"embedder", TDM_OPT_STRING, offsetof(struct options, embedder), NULL, 0, 0, NULL,
     "model of it that makes a vector of every passage; default: none, they are found by their words"},
    {"bytes", TDM_OPT_INT, offsetof(struct options, bytes), "800", 64, 1 << 16, NULL, "of a passage, at most"},
};

struct making {
	struct tdm_passages *index;
	struct tdm_model *embedder;
	size_t most, n;
	struct tdm_error *err;
};

static int add(struct making *m, const char *source, const char *text, size_t n) {
	struct tdm_arena arena;
	struct tdm_run run;
	const float *vector = NULL;
	int width = 0, status = TDM_OK;
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	for (; n && isspace((unsigned char)*text); n--)
		text++;
	if (!n)
		return TDM_OK;
	tdm_arena_init(&arena, (size_t)256 << 20);
	if (m->embedder) {
		status = tdm_run_init(&run, &arena, 1);
		if (status == TDM_OK)
			status = tdm_embed(m->embedder, &run, text, n, &vector, &width);
		if (status != TDM_OK)
			tdm_fail(m->err, status, "tandem index: %s: %s", source, run.error.text);
	}
	if (status == TDM_OK)
		status = tdm_passages_put(m->index, source, text, n, vector, width, m->err);
	m->n++;
	tdm_arena_release(&arena);
	return status;
}

// The end of the next passage: paragraphs as far as they fit, else sentences, else words.
static size_t next_end(const char *text, size_t n, size_t most) {
	static const char *const ends[] = {"\n\n", "\n", ". ", " "};
	if (n <= most)
		return n;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		for (size_t at = most; at > most / 4; at--)
			if (!memcmp(text + at - 1, ends[i], strlen(ends[i])))
				return at - 1 + strlen(ends[i]);
	return most - tdm_utf8_partial(text, most) ? most - tdm_utf8_partial(text, most) : most;
}

static int add_file(struct making *m, const char *path) {
	struct tdm_bytes file;
	int status = tdm_file_read(path, FILE_LIMIT_BYTES, &file, m->err);
	if (status == TDM_OK && !tdm_utf8_valid(file.data ? file.data : "", file.len))
		status = tdm_fail(m->err, TDM_EVALUE, "tandem index: %s: expected text in UTF-8", path);
	for (size_t at = 0; status == TDM_OK && at < file.len;) {
		size_t n = next_end(file.data + at, file.len - at, m->most);
		status = add(m, path, file.data + at, n);
		at += n;
	}
	tdm_bytes_release(&file);
	return status;
}

static int make(const struct tdm_command_call *call, struct tdm_model *embedder) {
	const struct options *o = call->options;
	struct making m = {.embedder = embedder, .most = (size_t)o->bytes, .err = call->error};
	int status = tdm_passages_create(o->out, o->embedder, &m.index, call->error);
	if (status != TDM_OK)
		return status;
	for (size_t i = 0; i < call->n_operands && status == TDM_OK; i++)
		status = add_file(&m, call->operands[i]);
	if (status != TDM_OK) {
		tdm_passages_close(m.index);
		return status;
	}
	status = tdm_passages_finish(m.index, call->error);
	if (status == TDM_OK)
		printf("%s: %zu passages of %zu files%s%s\n", o->out, m.n, call->n_operands, embedder ? ", vectors by " : "",
		       embedder ? embedder->name : "");
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_model *embedder;
	struct tdm_app app;
	if (!call->n_operands)
		return tdm_fail(call->error, TDM_EVALUE, "tandem index: expected text files");
	if (!o->embedder)
		return make(call, NULL);
	int status = tdm_app_open(call->arena, o->config, &app, call->error);
	if (status)
		return status;
	status = tdm_app_model(&app, o->embedder, &embedder, call->error);
	if (status == TDM_OK && !(embedder->can & TDM_CAN_EMBED))
		status =
		    tdm_fail(call->error, TDM_ECAPABILITY, "tandem index: model %s makes no vectors of texts", o->embedder);
	if (status == TDM_OK && tdm_leaves_unmasked(embedder))
		status = tdm_fail(call->error, TDM_EPRIVACY, "tandem index: model %s would send every passage off this machine",
		                  o->embedder);
	if (status == TDM_OK)
		status = make(call, embedder);
	tdm_app_close(&app);
	return status;
}

const struct tdm_command tdm_command_index = {
    .name = "index",
    .summary = "passages of text files, for kind retrieve",
    .operands = "FILE...",
    .group = "make",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
