// `tandem quantize`: a weight file with its tensors in another format.
#include "cli/command.h"
#include "engine/requantize.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

struct options {
	const char *type;
	int64_t threads;
};

static const struct tdm_option options[] = {
    {"type", TDM_OPT_STRING, offsetof(struct options, type), "q4_k_m", 0, 0, NULL,
     "f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k_s, q4_k_m, q5_k_s, q5_k_m or q6_k"},
    {"threads", TDM_OPT_INT, offsetof(struct options, threads), "1", 1, 256, NULL, "threads that convert"},
};

static int find_mix(const char *name, const struct tdm_mix **out, struct tdm_error *err) {
	const char *names[32];
	*out = tdm_mix_named(name);
	if (*out)
		return TDM_OK;
	for (uint32_t i = 0; i < tdm_n_mixes && i < 32; i++)
		names[i] = tdm_mixes[i].name;
	const char *near = tdm_nearest(name, names, tdm_n_mixes);
	return tdm_fail(err, TDM_EVALUE, "tandem quantize: --type \"%s\" is unknown%s%s; --help lists the types", name,
	                near ? "; near: " : "", near ? near : "");
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_requantize r = {.threads = (int)o->threads};
	struct tdm_progress progress;
	if (call->n_operands != 2)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem quantize: expected two operands, IN.gguf and OUT.gguf, not %zu", call->n_operands);
	int status = find_mix(o->type, &r.mix, call->error);
	if (status)
		return status;
	r.from = call->operands[0];
	r.to = call->operands[1];
	r.progress = &progress;
	tdm_progress_start(&progress, "quantising", "MB", 0);
	status = tdm_requantize_run(&r, call->error);
	tdm_progress_end(&progress);
	if (status)
		return status;
	printf("%s: %" PRIu64 " tensors, %.1f MB -> %.1f MB (%.2f bits per weight)\n", r.to, r.n_tensors,
	       (double)r.bytes_before / 1e6, (double)r.bytes_after / 1e6,
	       r.n_elements ? (double)r.bytes_after * 8 / (double)r.n_elements : 0);
	if (r.n_wider)
		printf("%u of them in another format than %s asks for, whose blocks do not divide their rows\n", r.n_wider,
		       r.mix->name);
	return TDM_OK;
}

const struct tdm_command tdm_command_quantize = {
    .name = "quantize",
    .summary = "a weight file with its tensors in another format",
    .operands = "IN.gguf OUT.gguf",
    .group = "make",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .options_bytes = sizeof(struct options),
    .run = run,
};
