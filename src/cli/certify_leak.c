// `tandem certify leak`: how often a text would have left with a private value in it, with the exact bound of Clopper
// and Pearson, from a labelled file.
//
// Settings of the mask are tested in a sequence that was fixed before the labels were seen, from the one that hides the
// most to the one that hides the least; it ends at the first that does not show the promise, so that all that came
// before hold together at the one delta. The unit is the document: values of one text are not independent of each
// other.
#include "assure/bounds.h"
#include "base/file.h"
#include "base/text.h"
#include "base/value.h"
#include "cli/texts.h"
#include "privacy/mask/risk.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT_BYTES ((size_t)1 << 30)
#define MOST_SETTINGS 64

struct options {
	struct tdm_looking look; // level: not used, levels says which
	struct tdm_strings levels, types;
	double epsilon, delta;
	bool json;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"levels", TDM_OPT_LIST, AT(levels), "3,2,1", 0, 0, NULL,
     "settings in the order of testing, the strictest first: LEVEL, LEVEL:BIAS of the tagger, LEVEL@RISK or "
     "LEVEL:BIAS@RISK: what is likelier than that to leak is not sent"},
    {"types", TDM_OPT_LIST, AT(types), NULL, 0, 0, NULL, "only spans with these labels are private; absent: all"},
    {"epsilon", TDM_OPT_NUMBER, AT(epsilon), "0.05", 1e-9, 1, NULL, "share of leaking documents that is promised"},
    {"delta", TDM_OPT_NUMBER, AT(delta), "0.05", 1e-9, 1, NULL, "how often such a promise may be wrong"},
    {"json", TDM_OPT_BOOL, AT(json), "no", 0, 0, NULL, "one JSON document"},
    TDM_DETECTOR_OPTIONS(struct options, look),
};

struct span { // bytes of the text
	size_t start, end;
};
struct document {
	const char *text;
	size_t n, n_spans;
	struct span *spans;
};
struct table {
	struct tdm_bytes documents; // of struct document
	size_t n_bare;              // without a private span: left out
};
struct outcome {                   // of one setting
	const char *level;             // with its bias and its risk, if it has them
	int64_t kept;                  // documents that are not sent
	int64_t n, leaks, spans, lost; // documents, those that leak; spans, those not wholly hidden
	int64_t words, over;           // words outside of spans, those hidden
	double upper;
	bool holds;
};

// --- reading

static bool counts(const struct options *o, const char *type) {
	for (size_t i = 0; i < o->types.n; i++)
		if (type && !strcmp(type, o->types.items[i]))
			return true;
	return o->types.n == 0;
}

static const struct tdm_value *either(const struct tdm_value *map, const char *a, const char *b) {
	const struct tdm_value *v = tdm_get(map, a);
	return v ? v : tdm_get(map, b);
}

// The byte where character `at` begins; n behind the last.
static size_t byte_of(const char *text, size_t n, int64_t at) {
	uint32_t c;
	size_t i = 0;
	while (i < n && at-- > 0)
		i += tdm_utf8_next(text + i, n - i, &c);
	return i;
}

static int read_span(const struct tdm_value *v, const struct document *d, struct span *out) {
	const struct tdm_value *start = either(v, "start", "start_position"), *end = either(v, "end", "end_position");
	if (!start || !end || !start->is_integer || !end->is_integer || start->integer < 0 || end->integer < start->integer)
		return TDM_EVALUE;
	out->start = byte_of(d->text, d->n, start->integer);
	out->end = byte_of(d->text, d->n, end->integer);
	return TDM_OK;
}

static int read_document(const struct tdm_command_call *call, struct table *t, const struct tdm_value *v,
                         size_t number) {
	const struct tdm_value *text = either(v, "text", "full_text"), *spans = either(v, "spans", "entities");
	if (!text || text->type != TDM_STRING || (spans && spans->type != TDM_LIST))
		return tdm_fail(call->error, TDM_EVALUE, "document %zu: expected text, and spans as a list", number);
	struct document d = {.text = tdm_arena_copy(call->arena, text->text, text->len), .n = text->len};
	d.spans = tdm_arena_array(call->arena, (spans ? spans->n : 0) + 1, sizeof *d.spans);
	if (!d.text || !d.spans)
		return tdm_fail(call->error, TDM_ENOMEM, "tandem certify leak: no memory for document %zu", number);
	for (size_t i = 0; spans && i < spans->n; i++) {
		const struct tdm_value *type = either(&spans->items[i], "type", "entity_type");
		if (!counts(call->options, type && type->type == TDM_STRING ? type->text : NULL))
			continue;
		if (read_span(&spans->items[i], &d, &d.spans[d.n_spans++]))
			return tdm_fail(call->error, TDM_EVALUE, "document %zu: span %zu: expected start and end, in characters",
			                number, i + 1);
	}
	if (d.n_spans)
		tdm_bytes_add(&t->documents, &d, sizeof d);
	else
		t->n_bare++;
	return TDM_OK;
}

static int read_list(const struct tdm_command_call *call, struct table *t, const struct tdm_bytes *file) {
	struct tdm_arena arena;
	struct tdm_value *list;
	tdm_arena_init(&arena, (size_t)4 << 30);
	int status = tdm_json_parse(&arena, file->data, file->len, &list, call->error);
	if (status == TDM_OK && list->type != TDM_LIST)
		status = tdm_fail(call->error, TDM_EVALUE, "tandem certify leak: expected a list of documents");
	for (size_t i = 0; status == TDM_OK && i < list->n; i++)
		status = read_document(call, t, &list->items[i], i + 1);
	tdm_arena_release(&arena);
	return status;
}

static int read_lines(const struct tdm_command_call *call, struct table *t, const struct tdm_bytes *file) {
	struct tdm_arena arena;
	int status = TDM_OK;
	tdm_arena_init(&arena, (size_t)1 << 30);
	for (size_t at = 0, number = 1; at < file->len && status == TDM_OK; number++) {
		const char *end = memchr(file->data + at, '\n', file->len - at);
		size_t n = end ? (size_t)(end - file->data) - at : file->len - at;
		struct tdm_value *v;
		if (n) {
			status = tdm_json_parse(&arena, file->data + at, n, &v, NULL);
			status = status ? tdm_fail(call->error, TDM_EVALUE, "%s line %zu: no JSON", call->operands[0], number)
			                : read_document(call, t, v, number);
		}
		tdm_arena_clear(&arena);
		at += n + 1;
	}
	tdm_arena_release(&arena);
	return status;
}

static int read_table(const struct tdm_command_call *call, struct table *t) {
	struct tdm_bytes file;
	int status = tdm_file_read(call->operands[0], FILE_LIMIT_BYTES, &file, call->error);
	if (status != TDM_OK)
		return status;
	size_t first = 0;
	while (first < file.len && strchr(" \t\r\n", file.data[first]))
		first++;
	status = first < file.len && file.data[first] == '[' ? read_list(call, t, &file) : read_lines(call, t, &file);
	tdm_bytes_release(&file);
	if (status == TDM_OK && t->documents.failed)
		status = tdm_fail(call->error, TDM_ENOMEM, "tandem certify leak: no memory for the documents");
	return status;
}

// --- looking

static bool is_hidden(const struct tdm_finds *finds, size_t at) {
	size_t low = 0, high = finds->n;
	while (low < high) { // the first that ends behind it
		size_t middle = low + (high - low) / 2;
		if (finds->items[middle].end <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low < finds->n && finds->items[low].start <= at;
}

// What says something: letters, digits, and every byte of other scripts.
static bool says(char c) {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool is_lost(const struct document *d, const struct span *s, const struct tdm_finds *finds) {
	for (size_t i = s->start; i < s->end; i++)
		if (says(d->text[i]) && !is_hidden(finds, i))
			return true;
	return false;
}

static bool in_a_span(const struct document *d, size_t start, size_t end) {
	for (size_t i = 0; i < d->n_spans; i++)
		if (d->spans[i].start < end && start < d->spans[i].end)
			return true;
	return false;
}

// Words that lie in no private span, and those of them of which something is hidden.
static void count_words(const struct document *d, const struct tdm_finds *finds, struct outcome *o) {
	for (size_t i = 0; i < d->n;) {
		size_t start = i;
		bool hidden = false;
		while (i < d->n && says(d->text[i]))
			hidden |= is_hidden(finds, i++);
		if (i > start && !in_a_span(d, start, i)) {
			o->words++;
			o->over += hidden;
		}
		i += i == start;
	}
}

struct setting {
	struct tdm_detector detector; // of the same scanner and weights as the others
	int level;
	float risk; // above it nothing is sent
};

static int look_at(const struct setting *s, const struct document *d, struct outcome *o, struct tdm_error *err) {
	struct tdm_arena arena;
	struct tdm_text text = {.text = d->text, .n = d->n};
	struct tdm_finds finds = {0};
	struct tdm_dictionary protect = {0};
	tdm_arena_init(&arena, (size_t)4 << 30);
	double risk = 0;
	int status = tdm_detect(&s->detector, &arena, &text, 1, s->level, &finds, &protect, err);
	if (status == TDM_OK && s->risk < 1)
		status = tdm_risk_estimate(&s->detector, &arena, &text, 1, s->level, &finds, &risk, err);
	int64_t before = o->lost;
	bool is_sent = status == TDM_OK && risk <= s->risk;
	for (size_t i = 0; is_sent && i < d->n_spans; i++) {
		o->spans++;
		o->lost += is_lost(d, &d->spans[i], &finds);
	}
	o->n++;
	o->kept += !is_sent;
	o->leaks += o->lost > before;
	if (is_sent)
		count_words(d, &finds, o);
	tdm_arena_release(&arena);
	return status;
}

// What stands behind a mark; false: no number does.
static bool read_number(const char **at, char mark, float *out) {
	char *end;
	if (**at != mark)
		return true;
	const char *from = *at + 1;
	*out = strtof(from, &end);
	*at = end;
	return end > from;
}

// "3", "3:-4.5", "3@0.1" or "3:-4.5@0.1".
static int read_setting(const struct tdm_command_call *call, const char *text, struct setting *s) {
	const struct options *o = call->options;
	const char *at = text + (*text != 0);
	s->detector.bias = (float)o->look.bias;
	s->risk = 1;
	s->level = text[0] - '0';
	if (s->level < 1 || s->level > 3 || !read_number(&at, ':', &s->detector.bias) || !read_number(&at, '@', &s->risk) ||
	    *at)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem certify leak: --levels: \"%.20s\", expected 1, 2 or 3, or 3:-4, 3@0.1, 3:-4@0.1", text);
	return TDM_OK;
}

static int test(const struct tdm_command_call *call, const struct table *t, const struct tdm_detector *detector,
                struct outcome *o) {
	const struct options *opt = call->options;
	const struct document *d = (const struct document *)(const void *)t->documents.data;
	size_t n = t->documents.len / sizeof *d;
	struct setting s = {.detector = *detector};
	int status = read_setting(call, o->level, &s);
	if (status == TDM_OK && !n)
		status = tdm_fail(call->error, TDM_EVALUE, "tandem certify leak: no document has a private span");
	for (size_t i = 0; status == TDM_OK && i < n; i++)
		status = look_at(&s, &d[i], o, call->error);
	if (status == TDM_OK)
		status = tdm_binomial_upper(o->leaks, o->n, opt->delta, &o->upper, call->error);
	o->holds = status == TDM_OK && o->upper <= opt->epsilon;
	return status;
}

// --- telling

static double share(int64_t part, int64_t whole) {
	return whole ? (double)part / (double)whole : 0;
}

static void write_text(struct tdm_bytes *out, const struct options *opt, const struct outcome *o, size_t n,
                       const struct table *t) {
	size_t held = 0;
	tdm_bytes_puts(out, "level    documents  kept  leak  share %  at most %  spans lost %  over-mask %  promise\n");
	for (size_t i = 0; i < n; i++) {
		held = o[i].holds ? i + 1 : held;
		tdm_bytes_printf(out, "%-7s %10" PRId64 " %5" PRId64 " %5" PRId64 " %8.2f %10.2f %13.2f %12.2f  %s\n",
		                 o[i].level, o[i].n, o[i].kept, o[i].leaks, 100 * share(o[i].leaks, o[i].n), 100 * o[i].upper,
		                 100 * share(o[i].lost, o[i].spans), 100 * share(o[i].over, o[i].words),
		                 o[i].holds ? "shown" : "not shown");
	}
	if (t->n_bare)
		tdm_bytes_printf(out, "%zu documents without a private span are left out\n", t->n_bare);
	if (held)
		tdm_bytes_printf(out, "level %s: with confidence %g, at most %g of such documents leak\n", o[held - 1].level,
		                 1 - opt->delta, opt->epsilon);
	else
		tdm_bytes_printf(out, "no level is shown to leak at most %g: what has such values stays at home\n",
		                 opt->epsilon);
}

static void write_json(struct tdm_bytes *out, const struct options *opt, const struct outcome *o, size_t n,
                       const struct table *t) {
	const char *held = NULL;
	tdm_bytes_printf(out, "{\"epsilon\":%g,\"delta\":%g,\"left_out\":%zu,\"settings\":[", opt->epsilon, opt->delta,
	                 t->n_bare);
	for (size_t i = 0; i < n; i++) {
		held = o[i].holds ? o[i].level : held;
		tdm_bytes_printf(
		    out, "%s{\"level\":\"%s\",\"documents\":%" PRId64 ",\"kept\":%" PRId64 ",\"leaks\":%" PRId64 ",\"upper\":",
		    i ? "," : "", o[i].level, o[i].n, o[i].kept, o[i].leaks);
		tdm_bytes_number(out, o[i].upper);
		tdm_bytes_printf(out, ",\"spans\":%" PRId64 ",\"lost\":%" PRId64 ",\"words\":%" PRId64 ",\"over\":%" PRId64,
		                 o[i].spans, o[i].lost, o[i].words, o[i].over);
		tdm_bytes_puts(out, o[i].holds ? ",\"shown\":true}" : ",\"shown\":false}");
	}
	tdm_bytes_join(out, "],\"level\":", held ? "\"" : "null", held ? held : "");
	tdm_bytes_puts(out, held ? "\"}\n" : "}\n");
}

static int test_all(const struct tdm_command_call *call, const struct table *t, const struct tdm_detector *detector) {
	const struct options *o = call->options;
	struct outcome outcomes[MOST_SETTINGS] = {{0}};
	struct tdm_bytes out;
	size_t n = 0;
	int status = TDM_OK;
	bool holds = true;
	while (n < o->levels.n && n < MOST_SETTINGS && holds && status == TDM_OK) {
		outcomes[n].level = o->levels.items[n];
		status = test(call, t, detector, &outcomes[n]);
		holds = outcomes[n++].holds;
	}
	if (status != TDM_OK)
		return status;
	tdm_bytes_init(&out, (size_t)1 << 20);
	(o->json ? write_json : write_text)(&out, o, outcomes, n, t);
	status = tdm_write_output("tandem certify leak", &out, call->error);
	tdm_bytes_release(&out);
	return status == TDM_OK && !outcomes[0].holds ? TDM_EPRIVACY : status; // the output says why
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_detector detector;
	struct table t = {.n_bare = 0};
	if (call->n_operands != 1)
		return tdm_fail(call->error, TDM_EVALUE, "tandem certify leak: expected one labelled file");
	int status = tdm_looking_open(call, "tandem certify leak", &o->look, &detector);
	if (status != TDM_OK)
		return status;
	tdm_bytes_init(&t.documents, (size_t)1 << 30);
	status = read_table(call, &t);
	if (status == TDM_OK)
		status = test_all(call, &t, &detector);
	tdm_bytes_release(&t.documents);
	tdm_detector_close(&detector);
	return status;
}

const struct tdm_command tdm_command_certify_leak = {
    .name = "certify-leak",
    .summary = "how often a private value would leave, with an exact bound, from labelled texts",
    .operands = "LABELLED",
    .group = "measure",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .options_bytes = sizeof(struct options),
    .run = run,
};
