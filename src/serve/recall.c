// Recall: models that count what leaves by conversation are told, before they are asked, what the ledger says of the
// last day, so that a restart or a reload does not begin to count anew.
#include "base/clock.h"
#include "base/log.h"
#include "serve/server_parts.h"
#include <string.h>

#define BATCH 256
#define MOST_RECEIPTS 65536 // the newest ones
#define BATCH_LIMIT_BYTES ((size_t)256 << 20)
#define DAY_S 86400.0

static bool any_remembers(const struct tdm_model *m) {
	for (size_t i = 0; i < m->n_parts; i++)
		if (any_remembers(m->parts[i]))
			return true;
	return m->remembers;
}

static void tell(struct tdm_model *m, const struct tdm_value *left) {
	if (m->remembers)
		m->ops->recall(m, left);
	for (size_t i = 0; i < m->n_parts; i++)
		tell(m->parts[i], left);
}

static void read_line(struct tdm_arena *arena, const struct tdm_setup *setup, const char *text, size_t n) {
	struct tdm_value *receipt;
	struct tdm_model *const *models;
	double since_s = (double)tdm_wall_us() / 1e6 - DAY_S;
	if (!memmem(text, n, "\"conversation\":", 15) || tdm_json_parse(arena, text, n, &receipt, NULL) != TDM_OK)
		return;
	const struct tdm_value *left = tdm_get(receipt, "left");
	if (tdm_get_number(left, "requests", 0) < 1 || tdm_get_number(receipt, "created", 0) < since_s)
		return;
	size_t n_models = tdm_tree_models(setup->tree, &models);
	for (size_t i = 0; i < n_models; i++)
		tell(models[i], left);
}

static void read_lines(const struct tdm_setup *setup, const struct tdm_bytes *lines) {
	struct tdm_arena arena;
	tdm_arena_init(&arena, BATCH_LIMIT_BYTES);
	for (size_t at = 0, n; at < lines->len; at += n + 1) {
		const char *end = memchr(lines->data + at, '\n', lines->len - at);
		n = end ? (size_t)(end - lines->data) - at : lines->len - at;
		read_line(&arena, setup, lines->data + at, n);
		tdm_arena_clear(&arena);
	}
	tdm_arena_release(&arena);
}

void tdm_recall(struct tdm_ledger *ledger, const struct tdm_setup *setup) {
	struct tdm_model *const *models;
	struct tdm_bytes lines;
	struct tdm_error err = {0};
	int64_t number = 0, before = -1;
	bool wanted = false;
	size_t n = tdm_tree_models(setup->tree, &models);
	for (size_t i = 0; i < n && !wanted; i++)
		wanted = any_remembers(models[i]);
	if (!wanted)
		return;
	int status = tdm_ledger_newest(ledger, &number, &err);
	number = number > MOST_RECEIPTS ? number - MOST_RECEIPTS : 0;
	tdm_bytes_init(&lines, BATCH_LIMIT_BYTES);
	while (status == TDM_OK && number != before) {
		before = number;
		tdm_bytes_clear(&lines);
		status = tdm_ledger_after(ledger, &number, BATCH, &lines, &err);
		if (status == TDM_OK)
			read_lines(setup, &lines);
	}
	if (status != TDM_OK)
		tdm_log(TDM_WARN, "serve.recall", NULL, " effect=\"limits of masks begin anew\" reason=\"%s\"", err.text);
	tdm_bytes_release(&lines);
}
