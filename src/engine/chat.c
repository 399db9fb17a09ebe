// Chat formats: one row per family, with the literal text around each role's content. A row is data; to add a family,
// add a row and, when its template cannot be told apart by fixed texts, a `fits`.
//
// The rule it protects: a conversation's contents are plain text. Only the marks of a row become special tokens, by id,
// and only where the vocabulary has them as special tokens; elsewhere the mark is plain text, as the family's own
// tokenizer would have it. Sources of the rows: the chat_template published with each family's models (ChatML: Qwen2
// and SmolLM2; Llama 2 chat; Llama 3 Instruct; Zephyr and TinyLlama chat; Gemma it; Mistral Instruct v0.2 and v0.3).
#include "engine/chat.h"
#include "base/option.h"
#include "engine/vocab_parts.h"
#include <limits.h>
#include <string.h>

// In a row's texts: a special token's text between two MARK characters, the end-of-text token, and a space that is
// left out where the tokenizer itself begins with one.
#define MARK '\x01'
#define S(text) "\x01" text "\x01"
#define END "\x02"
#define GAP "\x03"

struct tdm_chat_format {
	const char *name;
	const char *needs[3];                     // all of them occur in the family's templates
	const char *lacks[3];                     // none of them does
	bool (*fits)(const char *text, size_t n); // NULL = the texts decide
	const char *before[3], *after[3];         // by enum tdm_author
	const char *reply;                        // what opens an answer
	const char *fold_before, *fold_after;     // not NULL: system text goes into the next user turn, between these
	bool trims;                               // contents lose the white space at both ends; folded system text does not
	bool trims_whole;                         // a user's text after folded system text loses it only at the end
	bool begins_each;                         // the begin token opens every user turn, not only the first
};

static bool user_turn_ends_text(const char *text, size_t n);

static const struct tdm_chat_format formats[] = {
    {.name = "chatml",
     .needs = {"<|im_start|>", "<|im_end|>"},
     .lacks = {"<|im_sep|>"},
     .before = {S("<|im_start|>") "system\n", S("<|im_start|>") "user\n", S("<|im_start|>") "assistant\n"},
     .after = {S("<|im_end|>") "\n", S("<|im_end|>") "\n", S("<|im_end|>") "\n"},
     .reply = S("<|im_start|>") "assistant\n"},
    {.name = "llama3",
     .needs = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     .before = {S("<|start_header_id|>") "system" S("<|end_header_id|>") "\n\n",
                S("<|start_header_id|>") "user" S("<|end_header_id|>") "\n\n",
                S("<|start_header_id|>") "assistant" S("<|end_header_id|>") "\n\n"},
     .after = {S("<|eot_id|>"), S("<|eot_id|>"), S("<|eot_id|>")},
     .reply = S("<|start_header_id|>") "assistant" S("<|end_header_id|>") "\n\n",
     .trims = true},
    {.name = "gemma",
     .needs = {"<start_of_turn>", "<end_of_turn>"},
     .before = {"", S("<start_of_turn>") "user\n", S("<start_of_turn>") "model\n"},
     .after = {"", S("<end_of_turn>") "\n", S("<end_of_turn>") "\n"},
     .reply = S("<start_of_turn>") "model\n",
     .fold_before = "",
     .fold_after = "\n\n",
     .trims = true},
    {.name = "llama2",
     .needs = {"[INST]", "<<SYS>>"},
     .before = {"", "[INST] ", " "},
     .after = {"", " [/INST]", " " END},
     .reply = "",
     .fold_before = "<<SYS>>\n",
     .fold_after = "\n<</SYS>>\n\n",
     .trims = true,
     .trims_whole = true,
     .begins_each = true},
    {.name = "mistral-v3",
     .needs = {"[INST]", "[AVAILABLE_TOOLS]"},
     .lacks = {"<<SYS>>", "[SYSTEM_PROMPT]"},
     .before = {"", S("[INST]") GAP, GAP},
     .after = {"", S("[/INST]"), END},
     .reply = "",
     .fold_before = "",
     .fold_after = "\n\n"},
    {.name = "mistral",
     .needs = {"[INST]", "[/INST]"},
     .lacks = {"<<SYS>>", "[SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]"},
     .before = {"", "[INST] ", GAP},
     .after = {"", " [/INST]", END},
     .reply = "",
     .fold_before = "",
     .fold_after = "\n\n"},
    {.name = "zephyr",
     .needs = {"<|user|>", "<|assistant|>", "eos_token"},
     .lacks = {"<|end|>"},
     .fits = user_turn_ends_text,
     .before = {S("<|system|>") "\n", S("<|user|>") "\n", S("<|assistant|>") "\n"},
     .after = {END "\n", END "\n", END "\n"},
     .reply = S("<|assistant|>") "\n"},
};
#define N_FORMATS (sizeof formats / sizeof *formats)
static const char *const names[N_FORMATS] = {"chatml", "llama3", "gemma", "llama2", "mistral-v3", "mistral", "zephyr"};

static const char *find_text(const char *text, size_t n, const char *what) {
	return memmem(text, n, what, strlen(what));
}

// Zephyr closes a user turn with the end token; families with the same marks that do not are other families.
static bool user_turn_ends_text(const char *text, size_t n) {
	const char *user = find_text(text, n, "<|user|>");
	if (!user)
		return false;
	size_t left = n - (size_t)(user - text);
	const char *close = find_text(user, left, "}}");
	return close && find_text(user, (size_t)(close - user), "eos_token");
}

static bool matches(const struct tdm_chat_format *f, const char *text, size_t n) {
	for (int i = 0; i < 3; i++)
		if ((f->needs[i] && !find_text(text, n, f->needs[i])) || (f->lacks[i] && find_text(text, n, f->lacks[i])))
			return false;
	return !f->fits || f->fits(text, n);
}

static int no_format(const char *what, const char *near, struct tdm_error *err) {
	char known[128] = "";
	for (size_t i = 0, used = 0; i < N_FORMATS; i++) {
		size_t len = strlen(names[i]);
		if (used + len + 3 > sizeof known)
			break;
		memcpy(known + used, ", ", 2);
		memcpy(known + used + 2, names[i], len + 1);
		used += len + 2;
	}
	return tdm_fail(err, TDM_ECONFIG, "%s%s%s%s; set it by hand to one of %s", what, near ? " (nearest: " : "",
	                near ? near : "", near ? ")" : "", known + 2);
}

int tdm_chat_find(const char *name, const char *template_text, size_t n, const struct tdm_chat_format **out,
                  struct tdm_error *err) {
	bool recognise = !strcmp(name, "auto");
	if (recognise && !template_text)
		return no_format("the weight file has no chat template", NULL, err);
	for (size_t i = 0; i < N_FORMATS; i++)
		if (recognise ? matches(&formats[i], template_text, n) : !strcmp(name, formats[i].name)) {
			*out = &formats[i];
			return TDM_OK;
		}
	if (recognise)
		return no_format("the chat template of the weight file is of no known family", NULL, err);
	return no_format("there is no chat format of that name", tdm_nearest(name, names, N_FORMATS), err);
}

const char *const *tdm_chat_names(size_t *n) {
	*n = N_FORMATS;
	return names;
}

const char *tdm_chat_name(const struct tdm_chat_format *f) {
	return f->name;
}

// Plain text gathers until a special token ends it, because a tokenizer may merge across the border of mark and
// content.
struct writer {
	const struct tdm_vocab *v;
	struct tdm_bytes plain;
	int32_t *out;
	int cap;
	int64_t n;
	int status;
};

static void put_token(struct writer *w, int32_t token) {
	if (w->n < w->cap)
		w->out[w->n] = token;
	w->n++;
}

static void flush(struct writer *w) {
	if (w->status || !w->plain.len)
		return;
	int room = w->n < w->cap ? w->cap - (int)w->n : 0;
	int count = tdm_tokenize(w->v, w->plain.data, w->plain.len, room ? w->out + w->n : NULL, room);
	if (count < 0)
		w->status = count;
	else
		w->n += count;
	tdm_bytes_clear(&w->plain);
}

static void put_special(struct writer *w, int32_t token) {
	flush(w);
	if (token >= 0)
		put_token(w, token);
}

static void put_mark(struct writer *w, const char *text, size_t n) {
	char name[64] = "";
	memcpy(name, text, n < sizeof name - 1 ? n : sizeof name - 1);
	int32_t token = tdm_token_special(w->v, name);
	if (token >= 0)
		put_special(w, token);
	else
		tdm_bytes_add(&w->plain, text, n);
}

static void put_row_text(struct writer *w, const char *text) {
	for (; *text; text++) {
		if (*text == MARK) {
			const char *close = strchr(text + 1, MARK);
			put_mark(w, text + 1, (size_t)(close - text - 1));
			text = close;
		} else if (*text == *END) {
			put_special(w, tdm_token_eos(w->v));
		} else if (*text == *GAP) {
			if (w->plain.len || !w->v->space_prefix)
				tdm_bytes_putc(&w->plain, ' ');
		} else {
			tdm_bytes_putc(&w->plain, *text);
		}
	}
}

static bool is_space(char c) {
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void put_content(struct writer *w, const char *text, size_t len, bool trim_start, bool trim_end) {
	while (trim_start && len && is_space(*text)) {
		text++;
		len--;
	}
	while (trim_end && len && is_space(text[len - 1]))
		len--;
	tdm_bytes_add(&w->plain, text, len);
}

// A user turn with the system text that waits for it.
static void put_user_turn(struct writer *w, const struct tdm_chat_format *f, const struct tdm_message *system,
                          const struct tdm_message *user) {
	put_row_text(w, f->before[TDM_FROM_USER]);
	if (system) {
		tdm_bytes_puts(&w->plain, f->fold_before);
		tdm_bytes_add(&w->plain, system->text, system->len);
		if (user)
			tdm_bytes_puts(&w->plain, f->fold_after);
	}
	if (user)
		put_content(w, user->text, user->len, f->trims && !(system && f->trims_whole), f->trims);
	put_row_text(w, f->after[TDM_FROM_USER]);
}

static bool is_user(const struct tdm_message *turn) {
	return turn->from == TDM_FROM_USER || turn->from == TDM_FROM_TOOL;
}

static void put_turn(struct writer *w, const struct tdm_chat_format *f, const struct tdm_message *turn, bool open) {
	put_row_text(w, f->before[turn->from]);
	put_content(w, turn->text, turn->len, f->trims, f->trims && !open);
	if (!open)
		put_row_text(w, f->after[turn->from]);
}

// One turn, with the system text that waits for a user turn; returns what waits after it.
static const struct tdm_message *put_next(struct writer *w, const struct tdm_chat_format *f,
                                          const struct tdm_message *turn, const struct tdm_message *waiting,
                                          bool open) {
	if (is_user(turn)) {
		put_user_turn(w, f, waiting, turn);
		return NULL;
	}
	if (waiting) // no user turn follows: the system text stands alone
		put_user_turn(w, f, waiting, NULL);
	if (f->fold_before && turn->from == TDM_FROM_SYSTEM)
		return turn;
	put_turn(w, f, turn, open && turn->from == TDM_FROM_ASSISTANT);
	return NULL;
}

static void put_turns(struct writer *w, const struct tdm_chat_format *f, const struct tdm_message *turns, size_t n,
                      bool open) {
	const struct tdm_message *waiting = NULL;
	for (size_t i = 0; i < n; i++) {
		bool first_user = i == 0 || (i == 1 && waiting);
		if (f->begins_each && is_user(&turns[i]) && !first_user)
			put_special(w, tdm_token_bos(w->v));
		waiting = put_next(w, f, &turns[i], waiting, open && i + 1 == n);
	}
	if (waiting)
		put_user_turn(w, f, waiting, NULL);
}

int tdm_chat_tokens(const struct tdm_chat_format *f, const struct tdm_vocab *v, const struct tdm_message *turns,
                    size_t n_turns, bool reply, bool open, int32_t *out, int cap, struct tdm_error *err) {
	struct writer w = {.v = v, .out = out, .cap = cap > 0 ? cap : 0};
	tdm_bytes_init(&w.plain, (size_t)1 << 30);
	put_special(&w, tdm_token_bos(v));
	put_turns(&w, f, turns, n_turns, open && !reply);
	if (reply)
		put_row_text(&w, f->reply);
	if (w.plain.failed && !w.status)
		w.status = TDM_ENOMEM;
	flush(&w);
	tdm_bytes_release(&w.plain);
	if (w.status || w.n > INT_MAX)
		return tdm_fail(err, w.status ? w.status : TDM_ETOOLARGE, "the conversation cannot be turned into tokens: %s",
		                w.status == TDM_ENOMEM ? "out of memory" : "it is too long");
	return (int)w.n;
}
