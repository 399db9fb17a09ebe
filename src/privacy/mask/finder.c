// Finder: see finder.h.
#include "privacy/mask/finder.h"
#include "base/value.h"
#include "models/collect.h"
#include "models/form.h"
#include <string.h>

#define ANSWER_BYTES ((size_t)64 << 10)
#define ANSWER_TOKENS 256
#define FEWEST_BYTES 3

static const char instruction[] =
    "List every private value in the text below, each exactly as it is written there: names of persons, addresses, "
    "numbers and accounts of persons, dates of birth, employers, illnesses. Answer with JSON like "
    "{\"private\": [\"...\"]}; an empty list if there is none.\n\n";
static const char schema[] = "{\"type\":\"object\",\"properties\":{\"private\":{\"type\":\"array\",\"items\":{\"type\":"
                             "\"string\"},\"maxItems\":64}},\"required\":[\"private\"],\"additionalProperties\":false}";

struct search {
	struct tdm_model *finder;
	struct tdm_run *run;
	const struct tdm_text *texts;
	size_t n;
	struct tdm_dictionary deny;
};

static int no_memory(struct search *s) {
	return tdm_fail(&s->run->error, TDM_ENOMEM, "mask: no memory for what %s lists; nothing was sent", s->finder->name);
}

// A value that stands in none of the texts is made up.
static bool stands_there(const struct search *s, const char *value, size_t n) {
	for (size_t i = 0; i < s->n; i++)
		if (memmem(s->texts[i].text, s->texts[i].n, value, n))
			return true;
	return false;
}

static int add_listed(struct search *s, const struct tdm_value *item) {
	struct tdm_view view;
	if (item->type != TDM_STRING || item->len < FEWEST_BYTES || !stands_there(s, item->text, item->len))
		return TDM_OK;
	int status = tdm_view_make(s->run->arena, item->text, item->len, true, &view, &s->run->error);
	if (status != TDM_OK)
		return status;
	return tdm_dictionary_add(&s->deny, s->run->arena, tdm_entity_deny, view.text, view.n) ? no_memory(s) : TDM_OK;
}

static int read_answer(struct search *s, const char *text, size_t n) {
	struct tdm_value *answer;
	struct tdm_error why = {0};
	int status = tdm_json_parse(s->run->arena, text, n, &answer, &why);
	const struct tdm_value *list = status == TDM_OK ? tdm_get(answer, "private") : NULL;
	if (!list || list->type != TDM_LIST)
		return tdm_fail(&s->run->error, TDM_EGUARD, "mask: %s answered no list of what is private; nothing was sent",
		                s->finder->name);
	for (size_t i = 0; i < list->n && status == TDM_OK; i++)
		status = add_listed(s, &list->items[i]);
	return status;
}

static int ask(struct search *s, const char *text, size_t n) {
	const struct tdm_form form = {.kind = TDM_GRAMMAR_SCHEMA, .text = schema, .len = sizeof schema - 1};
	struct tdm_message message = {.from = TDM_FROM_USER, .len = sizeof instruction - 1 + n};
	char *words = tdm_arena_alloc(s->run->arena, message.len + 1);
	struct tdm_request request;
	struct tdm_result result;
	struct tdm_collect said;
	if (!words)
		return no_memory(s);
	memcpy(words, instruction, sizeof instruction - 1);
	memcpy(words + sizeof instruction - 1, text, n);
	message.text = words;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	request.purpose = "guard";
	request.form = s->finder->can & TDM_CAN_FORM ? &form : NULL;
	request.temperature = 0;
	request.max_tokens = ANSWER_TOKENS;
	tdm_collect_init(&said, ANSWER_BYTES, NULL, NULL);
	int status = tdm_generate(s->finder, s->run, &request, &said.sink, &result);
	if (status == TDM_OK)
		status = read_answer(s, said.text.data ? said.text.data : "", said.text.len);
	tdm_collect_release(&said);
	return status;
}

// The end of the next piece of the text: at a blank, where there is one.
static size_t piece(const char *text, size_t n) {
	if (n <= TDM_FINDER_BYTES)
		return n;
	size_t end = TDM_FINDER_BYTES;
	while (end > TDM_FINDER_BYTES / 2 && (unsigned char)text[end - 1] > ' ')
		end--;
	while (end > 1 && ((unsigned char)text[end] & 0xc0) == 0x80) // not inside of a character
		end--;
	return end;
}

int tdm_finder_ask(struct tdm_model *finder, struct tdm_run *run, const struct tdm_text *texts, size_t n,
                   const struct tdm_detector *detector, struct tdm_detector *out) {
	struct search s = {.finder = finder, .run = run, .texts = texts, .n = n};
	int status = TDM_OK;
	for (size_t i = 0; i < detector->deny.n && status == TDM_OK; i++) {
		const struct tdm_protected *own = &detector->deny.items[i];
		status = tdm_dictionary_add(&s.deny, run->arena, own->entity, own->folded, own->n) ? no_memory(&s) : TDM_OK;
	}
	for (size_t i = 0; i < n && status == TDM_OK; i++)
		for (size_t at = 0, m; at < texts[i].n && status == TDM_OK; at += m) {
			m = piece(texts[i].text + at, texts[i].n - at);
			status = ask(&s, texts[i].text + at, m);
		}
	if (status == TDM_OK && tdm_dictionary_build(&s.deny, run->arena) != TDM_OK)
		status = no_memory(&s);
	*out = *detector;
	out->deny = s.deny;
	return status;
}
