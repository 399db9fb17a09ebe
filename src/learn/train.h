// Train: from conversations (and perhaps a teacher) to a weight file; the loop behind `tandem train` and `tandem
// distil`.
#pragma once
#include "base/option.h"
#include "learn/net.h"
#include <signal.h>

struct tdm_train_options {
	const char *data, *valid, *tokenizer, *from, *chat, *teacher, *out, *checkpoint, *curve, *name;
	int64_t width, layers, heads, kv_heads, ff, context;
	int64_t steps, stop_at, batch_tokens, micro_tokens, warmup, seed, threads, every, valid_limit, lora_rank;
	double lr, min_lr, decay, clip, beta2, prompt_weight, length_power, alpha, temperature, rope_base, lora_alpha;
	int type;      // index into "q8_0|f16|f32"
	int precision; // index into "float|bfloat16"
};

// The rows of the options; the last ones (teacher, alpha, temperature) are of distillation only.
enum { TDM_TRAIN_OPTIONS = 36, TDM_DISTIL_OPTIONS = TDM_TRAIN_OPTIONS + 3 };
extern const struct tdm_option tdm_train_table[TDM_DISTIL_OPTIONS];

// Trains until `steps`, or until *stop is set (may be NULL) or step stop_at is done: then the state is in the
// checkpoint file and the status is TDM_OK. An existing checkpoint file is resumed from. Progress and figures go to the
// log. Error: TDM_EVALUE for options that do not fit together, and whatever reading and writing the files gives.
int tdm_train(const struct tdm_train_options *options, const volatile sig_atomic_t *stop, struct tdm_error *err);
