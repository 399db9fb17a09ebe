// The named pre-split patterns. A row holds one or more steps: a step cuts each piece into its matches and what lies
// between them, and the next step works inside those. The patterns are the ones published with the models; white space
// is written as the Unicode property, because \s of PCRE2 also takes U+180E, which no tokenizer does.
#include "engine/presplit.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

#define MAX_STEPS 6
#define SPACE "\\p{White_Space}"
#define GPT2 \
	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|" SPACE "+(?!\\P{White_Space})|" SPACE "+"
#define SHORT_FORMS "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
#define MARKS_AND_LINES \
	" ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*|" SPACE "*[\\r\\n]+|" SPACE "+(?!\\P{White_Space})|" SPACE "+"
#define LLAMA3 SHORT_FORMS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" MARKS_AND_LINES
#define QWEN2 SHORT_FORMS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" MARKS_AND_LINES

struct pattern {
	const char *name;
	const char *steps[MAX_STEPS];
	bool whole, begins;
};

static const struct pattern patterns[] = {
    {"default", {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, false, false},
    {"gpt-2", {GPT2}, false, false},
    {"phi-2", {GPT2}, false, false},
    {"mpt", {GPT2}, false, false},
    {"olmo", {GPT2}, false, false},
    {"smollm", {"\\p{N}", GPT2}, false, false},
    {"starcoder", {"\\p{N}", GPT2}, false, false},
    {"refact", {"\\p{N}", GPT2}, false, false},
    {"command-r", {"\\p{N}", GPT2}, false, false},
    {"codeshell", {"\\p{N}", GPT2}, false, false},
    {"llama-bpe", {LLAMA3}, true, true},
    {"llama3", {LLAMA3}, true, true},
    {"llama-v3", {LLAMA3}, true, true},
    {"dbrx", {LLAMA3}, false, false},
    {"smaug-bpe", {LLAMA3}, false, false},
    {"qwen2", {QWEN2}, false, false},
    {"stablelm2", {QWEN2}, false, false},
    {"deepseek-r1-qwen", {QWEN2}, false, false},
};
#define N_PATTERNS (sizeof patterns / sizeof *patterns)

struct tdm_presplit {
	const struct pattern *pattern;
	struct tdm_regex *steps[MAX_STEPS];
	int n_steps;
};

static const struct pattern *find_pattern(const char *name, size_t n) {
	for (size_t i = 0; i < N_PATTERNS; i++)
		if (strlen(patterns[i].name) == n && !memcmp(patterns[i].name, name, n))
			return &patterns[i];
	return NULL;
}

static int unknown_pattern(const char *name, size_t n, struct tdm_error *err) {
	char known[320] = "";
	size_t used = 0;
	for (size_t i = 0; i < N_PATTERNS && used + strlen(patterns[i].name) + 3 < sizeof known; i++) {
		size_t len = strlen(patterns[i].name);
		memcpy(known + used, i ? ", " : "", i ? 2 : 0);
		used += i ? 2 : 0;
		memcpy(known + used, patterns[i].name, len);
		used += len;
	}
	return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.pre names the unknown pre-split \"%.*s\"; known are %.*s",
	                n < 64 ? (int)n : 64, name, (int)used, known);
}

int tdm_presplit_new(const char *name, size_t n, struct tdm_presplit **out, struct tdm_error *err) {
	const struct pattern *pattern = find_pattern(name, n);
	if (!pattern)
		return unknown_pattern(name, n, err);
	struct tdm_presplit *p = calloc(1, sizeof *p);
	if (!p)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for the pre-split \"%s\"", pattern->name);
	p->pattern = pattern;
	for (; p->n_steps < MAX_STEPS && pattern->steps[p->n_steps]; p->n_steps++) {
		int status = tdm_regex_new(pattern->steps[p->n_steps], &p->steps[p->n_steps], err);
		if (status) {
			tdm_presplit_free(p);
			return status;
		}
	}
	*out = p;
	return TDM_OK;
}

void tdm_presplit_free(struct tdm_presplit *p) {
	for (int i = 0; p && i < p->n_steps; i++)
		tdm_regex_free(p->steps[i]);
	free(p);
}

bool tdm_presplit_whole(const struct tdm_presplit *p) {
	return p->pattern->whole;
}

bool tdm_presplit_begins(const struct tdm_presplit *p) {
	return p->pattern->begins;
}

static int split(const struct tdm_presplit *p, int step, const char *text, size_t n, tdm_presplit_fn *put, void *arg) {
	if (step == p->n_steps)
		return put(arg, text, n);
	size_t done = 0, start, end;
	int status = TDM_OK;
	while (!status && done < n && tdm_regex_find(p->steps[step], text, n, done, &start, &end) && end > start) {
		if (start > done)
			status = split(p, step + 1, text + done, start - done, put, arg);
		if (!status)
			status = split(p, step + 1, text + start, end - start, put, arg);
		done = end;
	}
	return status || done >= n ? status : split(p, step + 1, text + done, n - done, put, arg);
}

// Length of the run at text[0..n) of characters that are all UTF-8, or of bytes that all are not.
static size_t run_length(const char *text, size_t n, bool *valid) {
	size_t at = 0;
	while (at < n) {
		uint32_t c;
		size_t len = tdm_utf8_next(text + at, n - at, &c);
		bool good = len > 1 || c != 0xFFFD;
		if (at && good != *valid)
			break;
		*valid = good;
		at += len;
	}
	return at;
}

int tdm_presplit_run(const struct tdm_presplit *p, const char *text, size_t n, tdm_presplit_fn *put, void *arg) {
	int status = TDM_OK;
	while (n && !status) {
		bool valid = true;
		size_t run = run_length(text, n, &valid);
		status = valid ? split(p, 0, text, run, put, arg) : put(arg, text, run);
		text += run;
		n -= run;
	}
	return status;
}

static bool stands_for_itself(unsigned c) {
	return (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255);
}

size_t tdm_byte_char(unsigned char byte, char out[4]) {
	if (stands_for_itself(byte))
		return tdm_utf8_put(out, byte);
	uint32_t c = 256;
	for (unsigned b = 0; b < byte; b++)
		c += !stands_for_itself(b);
	return tdm_utf8_put(out, c);
}

int tdm_char_byte(unsigned c) {
	if (c < 256)
		return stands_for_itself(c) ? (int)c : -1;
	unsigned left = c - 256;
	for (int b = 0; b < 256; b++)
		if (!stands_for_itself((unsigned)b) && !left--)
			return b;
	return -1;
}
