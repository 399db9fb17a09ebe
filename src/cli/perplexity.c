// `tandem perplexity`: how well a model predicts a text, in the figure that llama.cpp's tool of that name prints.
#include "base/file.h"
#include "base/progress.h"
#include "cli/command.h"
#include "engine/engine.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#define TEXT_LIMIT_BYTES ((size_t)1 << 30)

struct options {
	const char *kernels;
	int64_t context, chunks, threads;
	int cache_type;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"context", TDM_OPT_INT, AT(context), "512", 4, 1 << 20, NULL, "tokens of a chunk; those of its second half count"},
    {"chunks", TDM_OPT_INT, AT(chunks), "0", 0, 1 << 30, NULL, "first chunks of the text that are read; 0: all"},
    {"threads", TDM_OPT_INT, AT(threads), "1", 1, 256, NULL, "threads of the engine"},
    {"cache-type", TDM_OPT_CHOICE, AT(cache_type), "auto", 0, 0, TDM_CACHE_CHOICES,
     "keys and values; auto = as precise as the weights"},
    {"kernels", TDM_OPT_STRING, AT(kernels), NULL, 0, 0, NULL,
     "portable, avx2 or avx512; absent: the best of this machine"},
};

static int measure(struct tdm_perplexity *p, const struct options *o, struct tdm_error *err) {
	struct tdm_perplexity_figures f = tdm_perplexity_figures(p);
	int n = o->chunks && o->chunks < f.n_chunks ? (int)o->chunks : f.n_chunks, status = TDM_OK;
	struct tdm_progress progress;
	tdm_progress_start(&progress, "perplexity", "chunks", (uint64_t)n);
	while (f.n_done < n && status == TDM_OK) {
		char note[64];
		status = tdm_perplexity_next(p, err);
		f = tdm_perplexity_figures(p);
		snprintf(note, sizeof note, "%.4f so far", f.value);
		if (status == TDM_OK)
			tdm_progress_show(&progress, (uint64_t)f.n_done, note);
	}
	tdm_progress_end(&progress);
	if (status == TDM_OK)
		printf("perplexity %.4f +/- %.5f (%" PRIu64 " tokens counted, %d chunks of %d)\n", f.value, f.error,
		       f.n_counted, f.n_done, (int)o->context);
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	const struct tdm_engine_options engine = {
	    .threads = (int)o->threads, .kernels = o->kernels, .cache_type = (enum tdm_cache_type)o->cache_type};
	struct tdm_engine *e = NULL;
	struct tdm_perplexity *p = NULL;
	struct tdm_bytes text;
	if (call->n_operands != 2)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem perplexity: expected two operands, a weight file and a text, not %zu",
		                call->n_operands);
	int status = tdm_file_read(call->operands[1], TEXT_LIMIT_BYTES, &text, call->error);
	if (status)
		return status;
	status = tdm_engine_open(call->operands[0], &engine, &e, call->error);
	if (!status)
		status = tdm_perplexity_open(e, text.data, text.len, (int)o->context, &p, call->error);
	tdm_bytes_release(&text);
	if (!status)
		status = measure(p, o, call->error);
	tdm_perplexity_close(p);
	if (e)
		tdm_engine_close(e);
	return status;
}

const struct tdm_command tdm_command_perplexity = {
    .name = "perplexity",
    .summary = "how well a model predicts a text, as llama.cpp measures it",
    .operands = "MODEL.gguf TEXTFILE",
    .group = "measure",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .options_bytes = sizeof(struct options),
    .run = run,
};
