// Public: the forms of `delegate` that ask the large model once: the bare instruction (sketch), a question that the
// small model wrote (rewrite), words of the subject (keywords), other questions of the same sort (examples), the
// paragraphs that are needed (relevant).
//
// The rule it protects: a question that the small model wrote is looked at; one that holds values of the request, or
// copies private words, is written again once, with the offending words named; then its values become slots, and one
// that still copies is not sent.
#include "privacy/delegate/delegate.h"
#include "base/text.h"
#include <ctype.h>
#include <string.h>

#define MOST_BLOCKS 256
#define MOST_KEYWORD_WORDS 4

static int no_memory(const struct tdm_delegation *e) {
	return tdm_fail(&e->run->error, TDM_ENOMEM, "%s: no memory for a question", e->c->model.name);
}

// The parts as one text, with empty lines between them.
static int join_parts(const struct tdm_delegation *e, struct tdm_words *out) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, (size_t)64 << 20);
	for (size_t i = 0; i < e->home.n_parts; i++) {
		tdm_bytes_puts(&b, i ? "\n\n" : "");
		tdm_bytes_add(&b, e->home.parts[i].text, e->home.parts[i].n);
	}
	out->text = b.failed ? NULL : tdm_arena_copy(e->run->arena, b.data ? b.data : "", b.len);
	out->len = b.len;
	tdm_bytes_release(&b);
	return out->text ? TDM_OK : no_memory(e);
}

// --- questions that the small one writes

// spans: NULL, or words that it used and may not use.
static int write_question(struct tdm_delegation *e, const struct tdm_words *spans, struct tdm_words *out) {
	const struct tdm_delegate_options *o = &e->c->o;
	struct tdm_arena *arena = e->run->arena;
	char *count =
	    tdm_arena_printf(arena, "%lld", (long long)(o->form == TDM_FORM_KEYWORDS ? o->keywords : o->examples));
	struct tdm_fill fills[] = {
	    {"task", e->home.task}, {"parts", {NULL, 0}}, {"count", {count, count ? strlen(count) : 0}}};
	struct tdm_home_ask ask = {.purpose = "rewrite", .draw = spans ? 2 : 1, .temperature = -1};
	struct tdm_result result;
	int status = join_parts(e, &fills[1].words);
	if (status != TDM_OK || !count)
		return no_memory(e);
	ask.text = o->instruction
	               ? tdm_delegate_fill(arena, o->instruction, fills, TDM_COUNT(fills), &ask.len)
	               : tdm_delegate_prompt(arena, tdm_delegate_forms[o->form], fills, TDM_COUNT(fills), &ask.len);
	if (ask.text && spans) {
		struct tdm_fill again[] = {{"asked", {ask.text, ask.len}}, {"spans", *spans}};
		ask.text = tdm_delegate_prompt(arena, "again", again, TDM_COUNT(again), &ask.len);
	}
	if (!ask.text)
		return no_memory(e);
	status = tdm_delegate_small(e, e->run, &ask, out, &result);
	e->small_in += result.prompt_tokens;
	e->small_out += result.completion_tokens;
	return status;
}

// The next item of a list of lines or, with commas, of anything between commas; without its number or dash.
static struct tdm_words next_item(const struct tdm_words *list, bool commas, size_t *at) {
	while (*at < list->len) {
		size_t end = *at;
		while (end < list->len && list->text[end] != '\n' && !(commas && list->text[end] == ','))
			end++;
		struct tdm_words item = tdm_trimmed(list->text + *at, end - *at);
		*at = end + 1;
		size_t skip = 0;
		while (skip < item.len && isdigit((unsigned char)item.text[skip]))
			skip++;
		skip = skip && skip < item.len && strchr(".)", item.text[skip]) ? skip + 1 : 0;
		if (item.len && strchr("-*", *item.text))
			skip = 1;
		item = tdm_trimmed(item.text + skip, item.len - skip);
		if (item.len)
			return item;
	}
	return (struct tdm_words){NULL, 0};
}

static struct tdm_words first_words(struct tdm_words text, int most) {
	size_t at = 0;
	for (; at < text.len && most; at++)
		if (at + 1 == text.len || isspace((unsigned char)text.text[at + 1]))
			most -= !isspace((unsigned char)text.text[at]);
	return tdm_trimmed(text.text, at);
}

// What the small one wrote as a list of at most so many items: keywords in a line, examples under numbers.
static int list_question(struct tdm_delegation *e, struct tdm_words *text) {
	bool is_words = e->c->o.form == TDM_FORM_KEYWORDS;
	int64_t most = is_words ? e->c->o.keywords : e->c->o.examples, n = 0;
	struct tdm_bytes b;
	size_t at = 0;
	tdm_bytes_init(&b, (size_t)1 << 20);
	for (struct tdm_words item; n < most && (item = next_item(text, is_words, &at)).len; n++) {
		if (is_words)
			item = first_words(item, MOST_KEYWORD_WORDS);
		if (is_words)
			tdm_bytes_puts(&b, n ? ", " : "");
		else
			tdm_bytes_printf(&b, "%s%lld. ", n ? "\n" : "", (long long)n + 1);
		tdm_bytes_add(&b, item.text, item.len);
	}
	text->text = b.failed ? NULL : tdm_arena_copy(e->run->arena, b.data ? b.data : "", b.len);
	text->len = b.len;
	tdm_bytes_release(&b);
	return text->text ? TDM_OK : no_memory(e);
}

// --- the paragraphs that are needed

static const char *const yes_no[] = {"yes", "no"};

// 0..1, by the small one.
static int relevance(struct tdm_delegation *e, struct tdm_words block, size_t number, double *out) {
	struct tdm_fill fills[] = {{"task", e->home.task}, {"block", block}};
	struct tdm_home_ask ask = {.purpose = "judge", .draw = 8 + (int64_t)number, .temperature = 0};
	struct tdm_result result;
	struct tdm_words said;
	ask.text = tdm_delegate_prompt(e->run->arena, "relevant", fills, TDM_COUNT(fills), &ask.len);
	if (!ask.text)
		return no_memory(e);
	if (e->c->small->can & TDM_CAN_SCORE) {
		struct tdm_message m = {.from = TDM_FROM_USER, .text = ask.text, .len = ask.len};
		struct tdm_request asked;
		double logprobs[2];
		int n_tokens[2];
		tdm_request_init(&asked);
		asked.messages = &m;
		asked.n_messages = 1;
		asked.purpose = ask.purpose;
		int status = tdm_score(e->c->small, e->run, &asked, yes_no, 2, logprobs, n_tokens);
		*out = 1 / (1 + exp(logprobs[1] - logprobs[0]));
		return status;
	}
	int status = tdm_delegate_small(e, e->run, &ask, &said, &result);
	e->small_in += result.prompt_tokens;
	e->small_out += result.completion_tokens;
	*out = status == TDM_OK && said.len >= 3 && !strncasecmp(said.text, "yes", 3) ? 1 : 0;
	return status;
}

static struct tdm_words next_block(const struct tdm_home_part *part, size_t *at) {
	while (*at < part->n) {
		const char *gap = memmem(part->text + *at, part->n - *at, "\n\n", 2);
		size_t end = gap ? (size_t)(gap - part->text) : part->n;
		struct tdm_words block = tdm_trimmed(part->text + *at, end - *at);
		*at = end + 2;
		if (block.len)
			return block;
	}
	return (struct tdm_words){NULL, 0};
}

// Paragraphs of unmarked parts, in their order, before the task. Marked ones never leave.
static int gather(struct tdm_delegation *e, struct tdm_words *out) {
	struct tdm_bytes b;
	size_t number = 0;
	int status = tdm_home_split(&e->home);
	tdm_bytes_init(&b, (size_t)64 << 20);
	for (size_t i = 0; i < e->home.n_parts && status == TDM_OK; i++) {
		const struct tdm_home_part *part = &e->home.parts[i];
		struct tdm_words block;
		for (size_t at = 0; !part->marked && status == TDM_OK && (block = next_block(part, &at)).len;) {
			double score = 0;
			if (number++ < MOST_BLOCKS)
				status = relevance(e, block, number, &score);
			if (status != TDM_OK || score < e->c->o.relevance)
				continue;
			tdm_bytes_add(&b, block.text, block.len);
			tdm_bytes_puts(&b, "\n\n");
			e->answers++;
		}
	}
	e->jobs = (int64_t)number;
	tdm_bytes_add(&b, e->home.task.text, e->home.task.len);
	out->text = b.failed ? NULL : tdm_arena_copy(e->run->arena, b.data ? b.data : "", b.len);
	out->len = b.len;
	tdm_bytes_release(&b);
	return status == TDM_OK && !out->text ? no_memory(e) : status;
}

// --- one question

static bool is_written(int form) {
	return form == TDM_FORM_REWRITE || form == TDM_FORM_KEYWORDS || form == TDM_FORM_EXAMPLES;
}

static int make_question(struct tdm_delegation *e, const struct tdm_words *spans, struct tdm_words *out) {
	int form = e->c->o.form, status = TDM_OK;
	*out = e->home.task;
	if (form == TDM_FORM_RELEVANT)
		return gather(e, out);
	if (is_written(form))
		status = write_question(e, spans, out);
	if (status == TDM_OK && (form == TDM_FORM_KEYWORDS || form == TDM_FORM_EXAMPLES))
		status = list_question(e, out);
	return status;
}

// The values of the request that the question had, to be named to who wrote it.
static int name_spans(struct tdm_delegation *e, bool copied, struct tdm_words *out) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, (size_t)1 << 20);
	for (size_t i = 0; i < e->home.n_values; i++)
		if (e->home.values[i].seen) {
			tdm_bytes_puts(&b, b.len ? "; " : "");
			tdm_bytes_add(&b, e->home.values[i].text, e->home.values[i].n);
		}
	if (copied)
		tdm_bytes_join(&b, b.len ? "; " : "", "whole sentences of the question or the notes", "");
	out->text = b.failed ? NULL : tdm_arena_copy(e->run->arena, b.data ? b.data : "", b.len);
	out->len = b.len;
	tdm_bytes_release(&b);
	return out->text ? TDM_OK : no_memory(e);
}

static const char *instruction_for(const struct tdm_delegation *e) {
	if (e->c->o.form == TDM_FORM_EXAMPLES)
		return "label";
	return e->reply_kind == TDM_REPLY_OUTLINE ? "outline" : e->reply_kind == TDM_REPLY_CONTEXT ? "context" : "answer";
}

// texts: the instruction and the question, clean. Not sendable: look->copied.
static int clean_question(struct tdm_delegation *e, struct tdm_words texts[2], struct tdm_home_look *look) {
	unsigned copies = e->c->o.form == TDM_FORM_RELEVANT ? 0 : TDM_HOME_CONTEXT;
	struct tdm_words spans;
	copies |= is_written(e->c->o.form) ? TDM_HOME_WHOLE : 0;
	int status = tdm_delegate_clean(e, texts, 2, copies, look);
	double leak = e->home.n_asked ? (double)look->leaked / (double)e->home.n_asked : 0;
	if (status != TDM_OK || !is_written(e->c->o.form) || !(look->copied || leak > e->c->o.leak))
		return status;
	e->again++;
	status = name_spans(e, look->copied, &spans);
	if (status == TDM_OK)
		status = make_question(e, &spans, &texts[1]);
	return status == TDM_OK ? tdm_delegate_clean(e, texts, 2, copies, look) : status;
}

int tdm_delegate_public(struct tdm_delegation *e) {
	struct tdm_words texts[2];
	struct tdm_home_look look = {0};
	int status = make_question(e, NULL, &texts[1]);
	texts[0].text = tdm_delegate_prompt(e->run->arena, instruction_for(e), NULL, 0, &texts[0].len);
	if (status == TDM_OK && !texts[0].text)
		status = no_memory(e);
	if (status == TDM_OK && texts[1].len)
		status = clean_question(e, texts, &look);
	if (status != TDM_OK)
		return status;
	if (!texts[1].len || look.copied) {
		e->why = look.copied ? TDM_DELEGATE_COPIES : "no question";
		return TDM_OK;
	}
	e->rounds = 1;
	if (e->c->o.form == TDM_FORM_EXAMPLES)
		e->notes = texts[1];
	return tdm_delegate_large(e, &texts[0], &texts[1], &e->reply);
}
