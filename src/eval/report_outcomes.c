// Report as a table of outcomes (outcomes.h): JSON lines, one per item, with the question's text, for replay, the
// fitting of routers and the fronts of choose.
#include "eval/report.h"
#include <stdio.h>
#include <string.h>

static void put_text(struct tdm_bytes *out, const char *before, const char *text) {
	tdm_bytes_puts(out, before);
	tdm_bytes_json(out, text, strlen(text));
}

static void put_number(struct tdm_bytes *out, const char *role, const char *model, double value) {
	char name[200];
	int n = snprintf(name, sizeof name, "%s:%s", role, model);
	tdm_bytes_putc(out, ',');
	tdm_bytes_json(out, name, (size_t)n < sizeof name ? (size_t)n : sizeof name - 1);
	tdm_bytes_putc(out, ':');
	tdm_bytes_number(out, value);
}

// A model that failed has no answer.
static void put_answer(struct tdm_bytes *out, const char *model, const struct tdm_eval_outcome *o) {
	char name[200];
	int n = snprintf(name, sizeof name, "answer:%s", model);
	if (!o->answer || o->status)
		return;
	tdm_bytes_putc(out, ',');
	tdm_bytes_json(out, name, (size_t)n < sizeof name ? (size_t)n : sizeof name - 1);
	tdm_bytes_putc(out, ':');
	tdm_bytes_json(out, o->answer, o->n_answer);
}

static int put_item(const struct tdm_eval *e, size_t i, struct tdm_bytes *out, struct tdm_error *err) {
	struct tdm_arena arena;
	struct tdm_gym_item item;
	tdm_arena_init(&arena, (size_t)64 << 20);
	int status = tdm_eval_item(&e->options, i, &arena, &item, err);
	if (!status) {
		tdm_bytes_printf(out, "{\"item\":\"%zu\"", i + 1);
		put_text(out, ",\"prompt\":", item.prompt);
		put_text(out, ",\"group\":", e->families[e->items[i].family]);
	}
	for (size_t m = 0; m < e->options.n_models && !status; m++) {
		const struct tdm_eval_outcome *o = tdm_eval_outcome(e, i, m);
		put_number(out, "correct", e->options.models[m]->name, o->right);
		put_number(out, "cost", e->options.models[m]->name, o->cost);
		put_number(out, "ms", e->options.models[m]->name, (double)o->us / 1000);
		put_number(out, "leak", e->options.models[m]->name, o->leaked || o->left);
		put_number(out, "harm", e->options.models[m]->name, e->items[i].is_refuse && !o->status && !o->refused);
		put_answer(out, e->options.models[m]->name, o);
	}
	tdm_bytes_puts(out, status ? "" : "}\n");
	tdm_arena_release(&arena);
	return status;
}

int tdm_report_outcomes(const struct tdm_eval *e, struct tdm_bytes *out, struct tdm_error *err) {
	int status = TDM_OK;
	for (size_t i = 0; i < e->options.n_items && !status; i++)
		status = put_item(e, i, out, err);
	return status || !out->failed ? status : tdm_fail(err, TDM_ENOMEM, "eval: no memory for a table of outcomes");
}
