// Findings: see findings.h. A new reason (enum tdm_why): a row in `reasons`.
#include "cli/findings.h"
#include <ctype.h>
#include <string.h>

static const struct {
	unsigned bit;
	const char *text;
} reasons[] = {
    {TDM_WHY_FORM, "form"},
    {TDM_WHY_CHECK, "check passed"},
    {TDM_WHY_WRONG, "check failed"},
    {TDM_WHY_WORD, "word of context"},
    {TDM_WHY_LIST, "deny list"},
    {TDM_WHY_OWN, "own pattern"},
    {TDM_WHY_AGAIN, "found before"},
    {TDM_WHY_TOKEN, "looks like a token"},
    {TDM_WHY_NAME, "name or address"},
};
#define N_REASONS (sizeof reasons / sizeof *reasons)

static const char *type_of(const struct tdm_entity *e) {
	return e->flags & TDM_ENTITY_ONE_WAY ? e->label : e->id;
}

static void put_reasons(struct tdm_bytes *out, unsigned why, const char *before, const char *between) {
	const char *sign = "";
	for (size_t i = 0; i < N_REASONS; i++)
		if (why & reasons[i].bit) {
			tdm_bytes_join(out, sign, before, reasons[i].text);
			tdm_bytes_puts(out, before);
			sign = between;
		}
}

static void put_json(struct tdm_bytes *out, const char *before, const char *text) {
	tdm_bytes_puts(out, before);
	tdm_bytes_json(out, text, strlen(text));
}

static void write_text(struct tdm_bytes *out, const struct tdm_finding *f) {
	const struct tdm_entity *e = f->entity;
	tdm_bytes_printf(out, "%s:%zu:%zu: %s", f->path, f->line, f->column, type_of(e));
	if (e->flags & TDM_ENTITY_ONE_WAY)
		tdm_bytes_join(out, " ", e->id, "");
	tdm_bytes_printf(out, ", level %d, score %.2f: ", e->level, (double)f->score);
	put_reasons(out, f->why, "", ", ");
	if (f->value) {
		tdm_bytes_puts(out, ": ");
		tdm_bytes_json(out, f->value, f->n_value);
	}
	tdm_bytes_putc(out, '\n');
}

static void write_json(struct tdm_bytes *out, const struct tdm_finding *f) {
	const struct tdm_entity *e = f->entity;
	put_json(out, "{\"file\":", f->path);
	tdm_bytes_printf(out, ",\"line\":%zu,\"column\":%zu,\"end_line\":%zu,\"end_column\":%zu,\"start\":%zu,\"end\":%zu",
	                 f->line, f->column, f->end_line, f->end_column, f->start, f->end);
	put_json(out, ",\"type\":", type_of(e));
	if (e->flags & TDM_ENTITY_ONE_WAY)
		put_json(out, ",\"form\":", e->id);
	tdm_bytes_printf(out, ",\"level\":%d,\"score\":%.2f,\"why\":[", e->level, (double)f->score);
	put_reasons(out, f->why, "\"", ",");
	tdm_bytes_putc(out, ']');
	if (f->value) {
		tdm_bytes_puts(out, ",\"value\":");
		tdm_bytes_json(out, f->value, f->n_value);
	}
	tdm_bytes_putc(out, '}');
}

// --- SARIF

static bool is_first(const struct tdm_finding *items, size_t i) {
	for (size_t k = 0; k < i; k++)
		if (items[k].entity == items[i].entity)
			return false;
	return true;
}

static void write_rule(struct tdm_bytes *out, const struct tdm_entity *e) {
	bool secret = e->flags & TDM_ENTITY_ONE_WAY;
	tdm_bytes_puts(out, "{\"id\":\"");
	tdm_bytes_join(out, type_of(e), secret ? "/" : "", secret ? e->id : "");
	tdm_bytes_puts(out, "\",\"shortDescription\":{\"text\":\"");
	tdm_bytes_join(out, "private value of type ", type_of(e), "\"}");
	tdm_bytes_printf(out, ",\"properties\":{\"privacyLevel\":%d}}", e->level);
}

// A relative reference: what is no letter, digit or one of these signs is written as %XX.
static void put_uri(struct tdm_bytes *out, const char *path) {
	tdm_bytes_putc(out, '"');
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;
		if (isascii(c) && (isalnum(c) || strchr("/-._~", c)))
			tdm_bytes_putc(out, (char)c);
		else
			tdm_bytes_printf(out, "%%%02X", c);
	}
	tdm_bytes_putc(out, '"');
}

static void write_result(struct tdm_bytes *out, const struct tdm_finding *f) {
	const struct tdm_entity *e = f->entity;
	bool secret = e->flags & TDM_ENTITY_ONE_WAY;
	tdm_bytes_puts(out, "{\"ruleId\":\"");
	tdm_bytes_join(out, type_of(e), secret ? "/" : "", secret ? e->id : "");
	tdm_bytes_join(out, "\",\"level\":\"", e->level <= 1 ? "error" : "warning", "\",\"message\":{\"text\":\"");
	tdm_bytes_join(out, "private value of type ", type_of(e), ": ");
	put_reasons(out, f->why, "", ", ");
	tdm_bytes_puts(out, "\"},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":");
	put_uri(out, f->path);
	tdm_bytes_printf(out, "},\"region\":{\"startLine\":%zu,\"startColumn\":%zu,\"endLine\":%zu,\"endColumn\":%zu}}}]",
	                 f->line, f->column, f->end_line, f->end_column);
	tdm_bytes_printf(out, ",\"rank\":%.1f}", (double)f->score * 100);
}

static void write_sarif(struct tdm_bytes *out, const struct tdm_finding *items, size_t n) {
	const char *sign = "";
	tdm_bytes_puts(out,
	               "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{"
	               "\"tool\":{\"driver\":{\"name\":\"tandem scan\",\"rules\":[");
	for (size_t i = 0; i < n; i++)
		if (is_first(items, i)) {
			tdm_bytes_puts(out, sign);
			write_rule(out, items[i].entity);
			sign = ",";
		}
	tdm_bytes_puts(out, "]}},\"columnKind\":\"unicodeCodePoints\",\"results\":[");
	for (size_t i = 0; i < n; i++) {
		tdm_bytes_puts(out, i ? ",\n" : "\n");
		write_result(out, &items[i]);
	}
	tdm_bytes_puts(out, "]}]}\n");
}

void tdm_findings_write(struct tdm_bytes *out, enum tdm_findings_form form, const struct tdm_finding *items, size_t n,
                        size_t files) {
	if (form == TDM_FINDINGS_SARIF) {
		write_sarif(out, items, n);
		return;
	}
	if (form == TDM_FINDINGS_JSON)
		tdm_bytes_printf(out, "{\"files\":%zu,\"findings\":[", files);
	for (size_t i = 0; i < n; i++) {
		if (form == TDM_FINDINGS_TEXT) {
			write_text(out, &items[i]);
			continue;
		}
		tdm_bytes_puts(out, i ? ",\n" : "\n");
		write_json(out, &items[i]);
	}
	if (form == TDM_FINDINGS_JSON)
		tdm_bytes_puts(out, "]}\n");
}
