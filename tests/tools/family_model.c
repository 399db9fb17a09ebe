// Recipes of tiny models. Matrices have the variance of their inputs, so that activations stay near one through all
// layers; windows, caps and scalings are small enough to matter within the few hundred tokens of a test.
#include "family_model.h"
#include "base/random.h"
#include "engine/gguf.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 512 };
enum has {
	BIASES = 1,
	HEAD_NORMS = 2,
	POST_NORMS = 4,
	FUSED = 8, // q, k, v in one matrix, gate and up in one
	TIED = 16,
	SCALED_EMBEDDING = 32,
	FACTORS = 64, // of the rotation
	LONG_SHORT = 128,
	FUSED_QKV = 256,
	ENCODER = 512,
	PLAIN = 1024, // no gate
	WORDS = 2048, // WordPiece
	DENSE = 4096, // before the classes
};

struct recipe {
	const char *name, *architecture;
	unsigned has;                                           // enum has
	int n_layers, n_heads, n_kv_heads, head_dim, n_rotated; // n_rotated 0: no key
	int window, pattern;                                    // 0: no key
	double attention_cap, logit_cap;                        // 0: no key
	double base, factor;                                    // factor 0: no scaling
	const char *scaling;
	int trained_context;
	double magnitude;
	int pooling;      // of encoders
	int n_classes;    // of encoders with a head for them
	double steepness; // of what goes into GELU: it is then mostly that or 0, which no table can miss; 0: one
};

static const struct recipe recipes[] = {
    {.name = "llama", .architecture = "llama", .n_layers = 3, .n_heads = 4, .n_kv_heads = 2, .head_dim = 16},
    // as llama.cpp's files of it are: Llama's, with another base
    {.name = "mistral",
     .architecture = "llama",
     .n_layers = 3,
     .n_heads = 8,
     .n_kv_heads = 2,
     .head_dim = 32,
     .n_rotated = 32,
     .base = 1000000},
    {.name = "llama-linear",
     .architecture = "llama",
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 16,
     .scaling = "linear",
     .factor = 4},
    {.name = "llama-yarn",
     .architecture = "llama",
     .n_layers = 2,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 32,
     .scaling = "yarn",
     .factor = 4,
     .trained_context = 128},
    {.name = "llama-3",
     .architecture = "llama",
     .has = FACTORS | TIED,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 1,
     .head_dim = 32,
     .n_rotated = 32,
     .base = 500000},
    // llama.cpp reads no window from Llama's files: for our own tests
    {.name = "llama-window",
     .architecture = "llama",
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 16,
     .window = 30},
    {.name = "llama-biases",
     .architecture = "llama",
     .has = BIASES,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 16},
    {.name = "qwen2",
     .architecture = "qwen2",
     .has = BIASES,
     .n_layers = 3,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 16,
     .base = 1000000},
    {.name = "qwen2-tied",
     .architecture = "qwen2",
     .has = BIASES | TIED,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 1,
     .head_dim = 16},
    {.name = "qwen2-yarn",
     .architecture = "qwen2",
     .has = BIASES,
     .n_layers = 2,
     .n_heads = 2,
     .n_kv_heads = 2,
     .head_dim = 32,
     .scaling = "yarn",
     .factor = 8,
     .trained_context = 64},
    {.name = "qwen3",
     .architecture = "qwen3",
     .has = HEAD_NORMS | TIED,
     .n_layers = 3,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 32,
     .base = 1000000},
    {.name = "smollm3", .architecture = "smollm3", .n_layers = 5, .n_heads = 4, .n_kv_heads = 2, .head_dim = 16},
    {.name = "gemma",
     .architecture = "gemma",
     .has = TIED | SCALED_EMBEDDING,
     .n_layers = 3,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 48},
    {.name = "gemma2",
     .architecture = "gemma2",
     .has = TIED | SCALED_EMBEDDING | POST_NORMS,
     .n_layers = 4,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 32,
     .window = 24,
     .attention_cap = 3,
     .logit_cap = 4},
    {.name = "gemma3",
     .architecture = "gemma3",
     .has = TIED | SCALED_EMBEDDING | POST_NORMS | HEAD_NORMS,
     .n_layers = 7,
     .n_heads = 4,
     .n_kv_heads = 1,
     .head_dim = 32,
     .window = 20,
     .base = 1000000,
     .scaling = "linear",
     .factor = 8},
    {.name = "gemma3-whole",
     .architecture = "gemma3",
     .has = TIED | SCALED_EMBEDDING | POST_NORMS | HEAD_NORMS,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 1,
     .head_dim = 16,
     .base = 1000000},
    {.name = "phi3",
     .architecture = "phi3",
     .has = FUSED,
     .n_layers = 3,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 16,
     .n_rotated = 12},
    {.name = "phi3-long",
     .architecture = "phi3",
     .has = FUSED | TIED | LONG_SHORT,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 16,
     .trained_context = 128,
     .magnitude = 1.2},
    {.name = "phi3-short",
     .architecture = "phi3",
     .has = FUSED | LONG_SHORT,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 16,
     .trained_context = 512,
     .magnitude = 1.2},
    {.name = "gemma-steep",
     .architecture = "gemma",
     .has = TIED | SCALED_EMBEDDING,
     .n_layers = 2,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 48,
     .steepness = 3000},
    {.name = "gemma2-steep",
     .architecture = "gemma2",
     .has = TIED | SCALED_EMBEDDING | POST_NORMS,
     .n_layers = 4,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 32,
     .window = 24,
     .attention_cap = 3,
     .logit_cap = 4,
     .steepness = 3000},
    {.name = "gemma3-steep",
     .architecture = "gemma3",
     .has = TIED | SCALED_EMBEDDING | POST_NORMS | HEAD_NORMS,
     .n_layers = 7,
     .n_heads = 4,
     .n_kv_heads = 1,
     .head_dim = 32,
     .window = 20,
     .base = 1000000,
     .scaling = "linear",
     .factor = 8,
     .steepness = 3000},
    {.name = "bert",
     .architecture = "bert",
     .has = ENCODER | PLAIN | BIASES,
     .n_layers = 3,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 16,
     .pooling = 1},
    {.name = "bert-first",
     .architecture = "bert",
     .has = ENCODER | PLAIN | BIASES,
     .n_layers = 2,
     .n_heads = 2,
     .n_kv_heads = 2,
     .head_dim = 32,
     .pooling = 2,
     .steepness = 3000},
    {.name = "nomic-bert",
     .architecture = "nomic-bert",
     .has = ENCODER | FUSED_QKV,
     .n_layers = 3,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 16,
     .base = 1000,
     .pooling = 1},
    {.name = "bert-words",
     .architecture = "bert",
     .has = ENCODER | PLAIN | BIASES | WORDS,
     .n_layers = 1,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 16,
     .pooling = 2},
    {.name = "bert-last",
     .architecture = "bert",
     .has = ENCODER | PLAIN | BIASES,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 16,
     .pooling = 3},
    {.name = "bert-classes",
     .architecture = "bert",
     .has = ENCODER | PLAIN | BIASES | DENSE,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 16,
     .pooling = 1,
     .n_classes = 3},
    {.name = "bert-rank",
     .architecture = "bert",
     .has = ENCODER | PLAIN | BIASES | WORDS,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 16,
     .pooling = 4,
     .n_classes = 1},
    // last: slow
    {.name = "gemma2-27b",
     .architecture = "gemma2",
     .has = TIED | SCALED_EMBEDDING | POST_NORMS,
     .n_layers = 46,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 16,
     .window = 40,
     .attention_cap = 50,
     .logit_cap = 30},
};
enum { N_RECIPES = sizeof recipes / sizeof *recipes };

struct maker {
	const struct recipe *recipe;
	struct tdm_gguf_writer *w;
	struct tdm_rng rng;
	uint32_t type;
	int context, width, ff, times; // times: heads that stand for one of the recipe
};

// --- tensors

static void tensor(struct maker *m, const char *name, uint32_t type, int rows, int cols, double mean, double spread) {
	size_t n = (size_t)cols * (size_t)(rows ? rows : 1);
	float *x = malloc(n * sizeof *x);
	for (size_t i = 0; x && i < n; i++)
		x[i] = (float)(mean + spread * tdm_rng_normal(&m->rng));
	if (x)
		tdm_gguf_put_tensor(m->w, name, type, (uint64_t[]){(uint64_t)cols, (uint64_t)rows}, rows ? 2 : 1, x);
	free(x);
}

static const char *in_layer(char out[64], int layer, const char *part, const char *kind) {
	snprintf(out, 64, "blk.%d.%s.%s", layer, part, kind);
	return out;
}

static void norm(struct maker *m, int layer, const char *part, int n) {
	char name[64];
	tensor(m, in_layer(name, layer, part, "weight"), TDM_F32, 0, n, 1, 0.1);
}

static void matrix(struct maker *m, int layer, const char *part, int rows, int cols, double gain) {
	char name[64];
	tensor(m, in_layer(name, layer, part, "weight"), m->type, rows, cols, 0, gain / sqrt(cols));
	// q, k and v of Qwen, every matrix of Llama and BERT
	if (m->recipe->has & BIASES &&
	    (strcmp(m->recipe->architecture, "qwen2") != 0 || (part[0] == 'a' && strlen(part) == 6)))
		tensor(m, in_layer(name, layer, part, "bias"), TDM_F32, 0, rows, 0, 0.3);
}

static void vector(struct maker *m, int layer, const char *part, double spread) {
	char name[64];
	tensor(m, in_layer(name, layer, part, "bias"), TDM_F32, 0, m->width, 0, spread);
}

static void put_norms(struct maker *m, int i) {
	const struct recipe *r = m->recipe;
	if (r->has & ENCODER) {
		norm(m, i, "attn_output_norm", m->width);
		vector(m, i, "attn_output_norm", 0.3);
		norm(m, i, "layer_output_norm", m->width);
		vector(m, i, "layer_output_norm", 0.3);
		return;
	}
	norm(m, i, "attn_norm", m->width);
	norm(m, i, "ffn_norm", m->width);
	if (r->has & HEAD_NORMS) {
		norm(m, i, "attn_q_norm", r->head_dim);
		norm(m, i, "attn_k_norm", r->head_dim);
	}
	if (r->has & POST_NORMS) {
		norm(m, i, "post_attention_norm", m->width);
		norm(m, i, "post_ffw_norm", m->width);
	}
}

static void put_layer(struct maker *m, int i) {
	const struct recipe *r = m->recipe;
	int q = m->times * r->n_heads * r->head_dim, kv = m->times * r->n_kv_heads * r->head_dim;
	double steepness = r->steepness > 0 ? r->steepness : 1;
	put_norms(m, i);
	if (r->has & (FUSED | FUSED_QKV)) {
		matrix(m, i, "attn_qkv", q + 2 * kv, m->width, 1.5);
	} else {
		matrix(m, i, "attn_q", q, m->width, 1.5);
		matrix(m, i, "attn_k", kv, m->width, 1.5);
		matrix(m, i, "attn_v", kv, m->width, 1.5);
	}
	if (!(r->has & (FUSED | PLAIN)))
		matrix(m, i, "ffn_gate", m->ff, m->width, steepness);
	matrix(m, i, "ffn_up", r->has & FUSED ? 2 * m->ff : m->ff, m->width, r->has & PLAIN ? steepness : 1);
	matrix(m, i, "attn_output", m->width, q, 1);
	matrix(m, i, "ffn_down", m->width, m->ff, 1 / steepness);
}

static void put_ends(struct maker *m) {
	tensor(m, "token_embd_norm.weight", TDM_F32, 0, m->width, 1, 0.1);
	tensor(m, "token_embd_norm.bias", TDM_F32, 0, m->width, 0, 0.3);
	tensor(m, "token_types.weight", TDM_F32, 2, m->width, 0, 0.5);
	if (m->recipe->has & PLAIN)
		tensor(m, "position_embd.weight", TDM_F32, m->context, m->width, 0, 0.5);
}

static void put_head(struct maker *m) {
	const struct recipe *r = m->recipe;
	if (r->has & DENSE) {
		tensor(m, "cls.weight", m->type, m->width, m->width, 0, 1 / sqrt(m->width));
		tensor(m, "cls.bias", TDM_F32, 0, m->width, 0, 0.3);
	}
	if (r->n_classes) {
		tensor(m, "cls.output.weight", m->type, r->n_classes, m->width, 0, 2 / sqrt(m->width));
		tensor(m, "cls.output.bias", TDM_F32, 0, r->n_classes, 0, 0.3);
	}
}

static void put_factors(struct maker *m, const char *name, float last) {
	float factors[512];
	int n = (m->recipe->n_rotated ? m->recipe->n_rotated : m->recipe->head_dim) / 2;
	for (int i = 0; i < n; i++)
		factors[i] = 1 + (last - 1) * (float)i / (float)n;
	tdm_gguf_put_tensor(m->w, name, TDM_F32, (uint64_t[]){(uint64_t)n}, 1, factors);
}

static void put_tensors(struct maker *m, int n_vocab) {
	const struct recipe *r = m->recipe;
	double logits = 2 / sqrt(m->width); // spread of a row of the output: logits of spread 2
	tensor(m, "token_embd.weight", m->type, n_vocab, m->width, 0, r->has & (TIED | SCALED_EMBEDDING) ? logits : 1);
	for (int i = 0; i < r->n_layers; i++)
		put_layer(m, i);
	if (r->has & ENCODER) {
		put_ends(m);
		put_head(m);
		return;
	}
	tensor(m, "output_norm.weight", TDM_F32, 0, m->width, 1, 0.1);
	if (!(r->has & TIED))
		tensor(m, "output.weight", m->type, n_vocab, m->width, 0, logits);
	if (r->has & FACTORS)
		put_factors(m, "rope_freqs.weight", 8);
	if (r->has & LONG_SHORT) {
		put_factors(m, "rope_factors_long.weight", 20);
		put_factors(m, "rope_factors_short.weight", 2);
	}
}

// --- metadata

static const char *key(const struct maker *m, const char *part) {
	static char name[96];
	snprintf(name, sizeof name, "%s.%s", m->recipe->architecture, part);
	return name;
}

static void count(struct maker *m, const char *part, int value) {
	if (value)
		tdm_gguf_put_u32(m->w, key(m, part), (uint32_t)value);
}

static void number(struct maker *m, const char *part, double value) {
	if (value != 0)
		tdm_gguf_put_f32(m->w, key(m, part), (float)value);
}

static void put_keys(struct maker *m) {
	static const char *const labels[] = {"good", "neutral", "poor"};
	const struct recipe *r = m->recipe;
	tdm_gguf_put_text(m->w, "general.architecture", r->architecture);
	tdm_gguf_put_text(m->w, "general.name", "random"); // llama.cpp takes some names for a hint
	count(m, "context_length", m->context);
	count(m, "embedding_length", m->width);
	count(m, "block_count", r->n_layers);
	count(m, "feed_forward_length", m->ff);
	count(m, "attention.head_count", m->times * r->n_heads);
	count(m, "attention.head_count_kv", m->times * r->n_kv_heads);
	if (r->head_dim * r->n_heads * m->times != m->width) {
		count(m, "attention.key_length", r->head_dim);
		count(m, "attention.value_length", r->head_dim);
	}
	count(m, "rope.dimension_count", r->n_rotated);
	number(m, r->has & ENCODER ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5);
	count(m, "pooling_type", r->pooling);
	number(m, "rope.freq_base", r->base);
	if (r->has & ENCODER)
		tdm_gguf_put_bool(m->w, key(m, "attention.causal"), false);
	if (r->n_classes > 1)
		tdm_gguf_put_strings(m->w, key(m, "classifier.output_labels"), labels, (const size_t[]){4, 7, 4},
		                     (size_t)r->n_classes);
	if (r->scaling)
		tdm_gguf_put_text(m->w, key(m, "rope.scaling.type"), r->scaling);
	number(m, "rope.scaling.factor", r->factor);
	count(m, "rope.scaling.original_context_length", r->trained_context);
	number(m, "rope.scaling.attn_factor", r->magnitude);
	count(m, "attention.sliding_window", r->window);
	count(m, "attention.sliding_window_pattern", r->pattern);
	number(m, "attn_logit_softcapping", r->attention_cap);
	number(m, "final_logit_softcapping", r->logit_cap);
}

// --- vocabulary: 256 bytes, some pairs of letters, three control tokens; byte-level BPE as GPT-2 writes it

enum { N_BYTES = 256, N_PAIRS = 61, N_CONTROL = 3, N_VOCAB = N_BYTES + N_PAIRS + N_CONTROL, PIECE = 32 };

// The visible character that stands for a byte, in UTF-8; returns its length.
static size_t stands_for(int byte, char *out) {
	int n_hidden = 0, code = byte;
	for (int b = 0; b <= byte; b++) {
		int visible = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
		if (b == byte && !visible)
			code = 256 + n_hidden;
		n_hidden += !visible;
	}
	if (code < 128) {
		out[0] = (char)code;
		return 1;
	}
	out[0] = (char)(0xC0 | code >> 6);
	out[1] = (char)(0x80 | (code & 63));
	return 2;
}

// WordPiece: the marks of beginning and end, bytes of ASCII as beginnings and continuations, some longer pieces.
static void put_words(struct tdm_gguf_writer *w) {
	static const char *const longer[] = {"\u2581the",  "\u2581sea", "ing",          "tion",     "\u2581un", "known",
	                                     "\u2581word", "024",       "\u2581\u65e5", "\u2581na", "ive"};
	enum { N_LONGER = sizeof longer / sizeof *longer, FIRST = 4, ASCII = 94 };
	static char text[N_VOCAB][PIECE];
	const char *pieces[N_VOCAB];
	size_t lens[N_VOCAB];
	int32_t types[N_VOCAB];
	static const char *const marks[FIRST] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
	for (int i = 0; i < N_VOCAB; i++) {
		int at = i - FIRST;
		if (at < 0)
			snprintf(text[i], PIECE, "%s", marks[i]);
		else if (at < 2 * ASCII)
			snprintf(text[i], PIECE, "%s%c", at % 2 ? "" : "\u2581", 33 + at / 2);
		else if (at < 2 * ASCII + N_LONGER)
			snprintf(text[i], PIECE, "%s", longer[at - 2 * ASCII]);
		else
			snprintf(text[i], PIECE, "[unused%d]", i);
		pieces[i] = text[i];
		lens[i] = strlen(text[i]);
		types[i] = at < 0 ? 3 : 1;
	}
	tdm_gguf_put_text(w, "tokenizer.ggml.model", "bert");
	tdm_gguf_put_u32(w, "tokenizer.ggml.token_type_count", 2);
	tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", pieces, lens, N_VOCAB);
	tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, N_VOCAB);
	tdm_gguf_put_u32(w, "tokenizer.ggml.padding_token_id", 0);
	tdm_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 1);
	tdm_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 2);
	tdm_gguf_put_u32(w, "tokenizer.ggml.seperator_token_id", 3);
}

static void put_vocab(struct tdm_gguf_writer *w) {
	static const char *const control[N_CONTROL] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
	static char text[N_VOCAB][PIECE], merges[N_PAIRS][PIECE];
	const char *pieces[N_VOCAB], *pairs[N_PAIRS];
	size_t lens[N_VOCAB], pair_lens[N_PAIRS];
	int32_t types[N_VOCAB];
	for (int i = 0; i < N_VOCAB; i++) {
		pieces[i] = text[i];
		types[i] = i < N_BYTES + N_PAIRS ? 1 : 3;
		if (i < N_BYTES) {
			lens[i] = stands_for(i, text[i]);
		} else if (i < N_BYTES + N_PAIRS) {
			int pair = i - N_BYTES, left = 'a' + pair % 26, right = 'a' + (pair * 7 + pair / 26) % 26;
			lens[i] = (size_t)snprintf(text[i], PIECE, "%c%c", left, right);
			pair_lens[pair] = (size_t)snprintf(merges[pair], PIECE, "%c %c", left, right);
			pairs[pair] = merges[pair];
		} else {
			pieces[i] = control[i - N_BYTES - N_PAIRS];
			lens[i] = strlen(pieces[i]);
		}
	}
	tdm_gguf_put_text(w, "tokenizer.ggml.model", "gpt2");
	tdm_gguf_put_u32(w, "tokenizer.ggml.token_type_count", 2);
	tdm_gguf_put_text(w, "tokenizer.ggml.pre", "smollm");
	tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", pieces, lens, N_VOCAB);
	tdm_gguf_put_strings(w, "tokenizer.ggml.merges", pairs, pair_lens, N_PAIRS);
	tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, N_VOCAB);
	tdm_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", N_VOCAB - 3);
	tdm_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", N_VOCAB - 1);
	tdm_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
}

// ---

const char *tdm_family_model_at(size_t i) {
	return i < N_RECIPES ? recipes[i].name : NULL;
}

static const struct recipe *find(const char *name) {
	for (size_t i = 0; i < N_RECIPES; i++)
		if (strcmp(recipes[i].name, name) == 0)
			return &recipes[i];
	return NULL;
}

bool tdm_family_model_is_encoder(const char *recipe) {
	const struct recipe *r = find(recipe);
	return r && r->has & ENCODER;
}

// A wide model's rows are whole blocks of every format: as many heads as make their elements a multiple of 256.
static void set_size(struct maker *m, bool is_wide) {
	int heads = m->recipe->n_heads * m->recipe->head_dim;
	m->width = is_wide ? 256 : 64;
	m->ff = is_wide ? 512 : 96;
	m->times = 1;
	while (is_wide && m->times * heads % 256)
		m->times++;
}

int tdm_family_model_write(const char *recipe, const struct tdm_family_model_options *o, const char *path,
                           struct tdm_error *err) {
	struct maker m = {.type = o->type, .recipe = find(recipe), .context = o->context ? o->context : CONTEXT};
	if (!m.recipe)
		return tdm_fail(err, TDM_EVALUE, "there is no recipe \"%s\"", recipe);
	m.w = tdm_gguf_writer_new();
	if (!m.w)
		return tdm_fail(err, TDM_ENOMEM, "no memory for %s", path);
	tdm_rng_init(&m.rng, o->seed);
	set_size(&m, o->is_wide);
	put_keys(&m);
	(m.recipe->has & WORDS ? put_words : put_vocab)(m.w);
	put_tensors(&m, N_VOCAB);
	int status = tdm_gguf_write(m.w, path, err);
	tdm_gguf_writer_free(m.w);
	return status;
}
