// POST /v1/moderations: a guard of the tree as an endpoint: what it would say of a text that goes in.
#include "serve/formats/plain.h"
#include <string.h>

#define MOST_INPUTS 2048

static int read_part(struct tdm_plain *p, const struct tdm_value *part, const char *param, struct tdm_prompt *out) {
	const char *type = tdm_get_string(part, "type"), *text = tdm_get_string(part, "text");
	if (!type || strcmp(type, "text") != 0)
		return tdm_fail_param(&p->run.error, TDM_ECONTENT, param, "%s: a guard reads text parts only", param);
	if (!text)
		return tdm_reader_wrong(&p->reader, param, "a text part with a string", part);
	out->message = (struct tdm_message){.from = TDM_FROM_USER, .text = text, .len = tdm_get(part, "text")->len};
	return TDM_OK;
}

// A string, a list of strings, or the parts of one message, each of which is looked at.
static int read(struct tdm_plain *p) {
	const struct tdm_value *input = tdm_get(p->body, "input");
	if (!input)
		return tdm_fail_param(&p->run.error, TDM_EMISSING, "input", "input: expected a text, or a list of texts");
	bool is_list = input->type == TDM_LIST, has_parts = is_list && input->n && input->items[0].type == TDM_MAP;
	if (!has_parts) {
		int status = tdm_prompts_read(&p->reader, input, "input", MOST_INPUTS, &p->texts);
		if (!status && p->texts.items[0].tokens)
			status = tdm_reader_wrong(&p->reader, "input", "a text, or a list of texts", input);
		return status;
	}
	if (input->n > MOST_INPUTS)
		return tdm_fail_param(&p->run.error, TDM_EVALUE, "input", "input: expected at most %d parts", MOST_INPUTS);
	p->texts.items = tdm_arena_array(p->c->arena, input->n, sizeof *p->texts.items);
	int status = p->texts.items ? TDM_OK : tdm_reader_memory(&p->reader);
	for (size_t i = 0; i < input->n && !status; i++) {
		const char *param = tdm_arena_printf(p->c->arena, "input[%zu]", i);
		status = read_part(p, &input->items[i], param ? param : "input", &p->texts.items[i]);
	}
	p->texts.n = (int)input->n;
	p->own = p->texts.items; // parts: one result
	return status;
}

// Names of hosted guards, which clients send when nobody chose one.
static int read_or_standard(struct tdm_plain *p) {
	static const char *const hosted[] = {"omni-moderation-", "text-moderation-"};
	for (size_t i = 0; p->name && i < TDM_COUNT(hosted); i++) {
		if (strncmp(p->name, hosted[i], strlen(hosted[i])) != 0)
			continue;
		tdm_record_warn(p->run.record, "model_substituted", "model", "a guard of this tree looked at the text");
		p->name = NULL;
	}
	return read(p);
}

static struct tdm_model *guard_below(struct tdm_model *m) {
	struct tdm_model *found = m->ops->look ? m : NULL;
	for (size_t i = 0; i < m->n_parts && !found; i++)
		found = guard_below(m->parts[i]);
	return found;
}

// The guard of the model that was named, or of the default one; then any other that is not hidden.
static struct tdm_model *find_guard(struct tdm_plain *p) {
	struct tdm_model *const *models, *found = guard_below(p->model);
	size_t n = tdm_tree_models(p->c->setup->tree, &models);
	for (size_t i = 0; i < n && !found && !p->name; i++)
		found = models[i]->hidden ? NULL : guard_below(models[i]);
	return found;
}

static void put_categories(struct tdm_bytes *out, const struct tdm_look *look, bool scores) {
	for (size_t i = 0; i < look->n_categories; i++) {
		const char *name = look->categories[i];
		bool is_it = look->rule && !strcmp(look->rule, name);
		bool is_judged = is_it || (!look->rule && !strcmp(name, "judge"));
		tdm_bytes_putc(out, i ? ',' : '{');
		tdm_bytes_json(out, name, strlen(name));
		tdm_bytes_putc(out, ':');
		if (scores)
			tdm_bytes_number(out, is_judged ? look->score : 0);
		else
			tdm_bytes_puts(out, is_it ? "true" : "false");
	}
	tdm_bytes_puts(out, look->n_categories ? "}" : "{}");
}

static void put_result(struct tdm_bytes *out, const struct tdm_look *look) {
	tdm_bytes_printf(out, "{\"flagged\":%s,\"categories\":", look->flagged ? "true" : "false");
	put_categories(out, look, false);
	tdm_bytes_puts(out, ",\"category_scores\":");
	put_categories(out, look, true);
	tdm_bytes_puts(out, ",\"category_applied_input_types\":{}}");
}

static int work(struct tdm_plain *p) {
	struct tdm_model *guard = find_guard(p);
	struct tdm_look all = {0};
	char id[TDM_ID_BYTES];
	int status = TDM_OK;
	if (!guard)
		return tdm_fail_param(&p->run.error, TDM_ECAPABILITY, "model", "there is no guard in model %s", p->model->name);
	tdm_make_id(id, "modr-");
	tdm_bytes_printf(&p->answer, "{\"id\":\"%s\",\"model\":", id);
	tdm_bytes_json(&p->answer, guard->name, strlen(guard->name));
	tdm_bytes_puts(&p->answer, ",\"results\":[");
	for (int i = 0; i < p->texts.n && !status; i++) {
		const struct tdm_message *text = &p->texts.items[i].message;
		struct tdm_look look;
		status = tdm_run_check(&p->run);
		if (!status)
			status = guard->ops->look(guard, &p->run, text->text, text->len, &look);
		if (status)
			break;
		if (i == 0 || (look.flagged && !all.flagged) || (look.flagged == all.flagged && look.score > all.score))
			all = look;
		if (p->own)
			continue;
		if (i)
			tdm_bytes_putc(&p->answer, ',');
		put_result(&p->answer, &look);
	}
	if (!status && p->own)
		put_result(&p->answer, &all);
	tdm_bytes_putc(&p->answer, ']');
	p->run.record->served = guard->name;
	return status;
}

void tdm_handle_moderations(struct tdm_call_context *c) {
	static const struct tdm_plain_kind kind = {"moderations", read_or_standard, work};
	tdm_plain_handle(c, &kind);
}
