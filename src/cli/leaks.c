// `tandem leaks`: what left the machine, by conversation, from the receipts of a ledger: types of private values, in
// which form, how many different ones and how often. It reads hashes and counts, because nothing else is there.
#include "base/clock.h"
#include "base/value.h"
#include "cli/texts.h"
#include "ledger/store.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 256
#define MOST_ROWS ((size_t)1 << 22)

struct options {
	const char *ledger, *since, *key;
	bool json, hashes;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"ledger", TDM_OPT_STRING, AT(ledger), "tandem.db", 0, 0, NULL, "a file or postgresql://..., as serve.ledger"},
    {"since", TDM_OPT_STRING, AT(since), NULL, 0, 0, NULL, "only the last 30m, 24h or 7d"},
    {"key", TDM_OPT_STRING, AT(key), NULL, 0, 0, NULL, "only of the key with this name, the receipts' tenant"},
    {"json", TDM_OPT_BOOL, AT(json), "no", 0, 0, NULL, "one JSON document"},
    {"hashes", TDM_OPT_BOOL, AT(hashes), "no", 0, 0, NULL, "every value by its hash"},
};

struct row { // one value in one request, or a request without values
	const char *conversation, *tenant, *to;
	const char *type, *as, *hash; // NULL: the request itself
	int64_t n, created_s, bytes, requests, level;
};

struct reader {
	const struct tdm_command_call *call;
	int64_t since_s;
	struct tdm_bytes rows;      // of struct row
	int64_t n_bare, bare_bytes; // left without a mask that looked
};

static const char *keep(struct reader *r, const char *text) {
	return text ? tdm_arena_string(r->call->arena, text) : "";
}

static void add_row(struct reader *r, const struct row *row) {
	tdm_bytes_add(&r->rows, row, sizeof *row);
}

static void read_values(struct reader *r, const struct tdm_value *left, const struct row *request) {
	const struct tdm_value *values = tdm_get(left, "values");
	for (size_t i = 0; values && values->type == TDM_LIST && i < values->n; i++) {
		const struct tdm_value *v = &values->items[i];
		struct row row = *request;
		row.type = keep(r, tdm_get_string(v, "type"));
		row.as = keep(r, tdm_get_string(v, "as"));
		row.hash = keep(r, tdm_get_string(v, "hash"));
		row.n = (int64_t)tdm_get_number(v, "n", 0);
		add_row(r, &row);
	}
}

static const char *destinations(struct reader *r, const struct tdm_value *left) {
	const struct tdm_value *to = tdm_get(left, "to");
	return to && to->type == TDM_LIST && to->n && to->items[0].type == TDM_STRING ? keep(r, to->items[0].text) : "";
}

static void read_receipt(struct reader *r, const struct tdm_value *receipt) {
	const struct options *o = r->call->options;
	const struct tdm_value *left = tdm_get(receipt, "left");
	const char *tenant = tdm_get_string(receipt, "tenant"), *conversation = tdm_get_string(left, "conversation");
	struct row row = {.created_s = (int64_t)tdm_get_number(receipt, "created", 0)};
	row.requests = (int64_t)tdm_get_number(left, "requests", 0);
	row.bytes = (int64_t)tdm_get_number(left, "bytes", 0);
	row.level = (int64_t)tdm_get_number(left, "level", 0);
	if (row.requests <= 0 || row.created_s < r->since_s || (o->key && (!tenant || strcmp(tenant, o->key))))
		return;
	if (!conversation) {
		r->n_bare += row.requests;
		r->bare_bytes += row.bytes;
		return;
	}
	row.conversation = keep(r, conversation);
	row.tenant = keep(r, tenant);
	row.to = destinations(r, left);
	add_row(r, &row);
	read_values(r, left, &row);
}

static int read_lines(struct reader *r, const struct tdm_bytes *lines) {
	struct tdm_arena arena;
	int status = TDM_OK;
	tdm_arena_init(&arena, (size_t)64 << 20);
	for (size_t at = 0; at < lines->len && status == TDM_OK;) {
		const char *end = memchr(lines->data + at, '\n', lines->len - at);
		size_t n = end ? (size_t)(end - lines->data) - at : lines->len - at;
		struct tdm_value *receipt;
		if (n && tdm_json_parse(&arena, lines->data + at, n, &receipt, NULL) == TDM_OK)
			read_receipt(r, receipt);
		tdm_arena_clear(&arena);
		at += n + 1;
		if (r->rows.failed || r->rows.len / sizeof(struct row) > MOST_ROWS)
			status = tdm_fail(r->call->error, TDM_ENOMEM, "tandem leaks: too many values; say --since");
	}
	tdm_arena_release(&arena);
	return status;
}

static int read_ledger(struct reader *r) {
	const struct options *o = r->call->options;
	struct tdm_ledger *l;
	struct tdm_bytes lines;
	int64_t number = 0, before = -1;
	int status = tdm_ledger_open_to_read(o->ledger, &l, r->call->error);
	if (status != TDM_OK)
		return status;
	tdm_bytes_init(&lines, (size_t)1 << 30);
	while (status == TDM_OK && number != before) {
		before = number;
		tdm_bytes_clear(&lines);
		status = tdm_ledger_after(l, &number, BATCH, &lines, r->call->error);
		if (status == TDM_OK)
			status = read_lines(r, &lines);
	}
	tdm_bytes_release(&lines);
	tdm_ledger_close(l);
	return status;
}

// --- what comes of it

// By conversation; the requests of one before its values; these by type, form, hash.
static int by_value(const void *a, const void *b) {
	const struct row *x = a, *y = b;
	int order = strcmp(x->conversation, y->conversation);
	if (order)
		return order;
	if (!x->type || !y->type)
		return x->type ? 1 : y->type ? -1 : (x->created_s > y->created_s) - (x->created_s < y->created_s);
	order = strcmp(x->type, y->type);
	if (!order)
		order = strcmp(x->as, y->as);
	return order ? order : strcmp(x->hash, y->hash);
}

struct summary { // of one conversation
	const struct row *rows;
	size_t n, n_requests; // requests first
	int64_t left, bytes, level, first_s, last_s;
};

static void sum_up(const struct row *rows, size_t n, struct summary *s) {
	*s = (struct summary){.rows = rows, .n = n, .level = 3, .first_s = rows->created_s};
	for (; s->n_requests < n && !rows[s->n_requests].type; s->n_requests++) {
		const struct row *r = &rows[s->n_requests];
		s->left += r->requests;
		s->bytes += r->bytes;
		s->level = r->level < s->level ? r->level : s->level;
		s->last_s = r->created_s;
	}
}

// The rows from i on that are alike: of one type and form, or of one hash too.
static size_t alike(const struct summary *s, size_t i, bool hash, int64_t *times, int64_t *distinct) {
	size_t k = i;
	*times = *distinct = 0;
	while (k < s->n && !strcmp(s->rows[k].type, s->rows[i].type) && !strcmp(s->rows[k].as, s->rows[i].as) &&
	       (!hash || !strcmp(s->rows[k].hash, s->rows[i].hash))) {
		*distinct += k == i || strcmp(s->rows[k].hash, s->rows[k - 1].hash) != 0;
		*times += s->rows[k++].n;
	}
	return k;
}

static void put_time(struct tdm_bytes *out, int64_t seconds) {
	time_t at = (time_t)seconds;
	struct tm tm;
	char text[32];
	gmtime_r(&at, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	tdm_bytes_puts(out, text);
}

static void write_text(struct tdm_bytes *out, const struct summary *s, bool hashes) {
	int64_t times, distinct;
	tdm_bytes_join(out, "conversation ", s->rows->conversation, s->rows->tenant[0] ? " of " : "");
	tdm_bytes_join(out, s->rows->tenant, ": ", "");
	tdm_bytes_printf(out, "%" PRId64 " requests, %" PRId64 " bytes to %s, level %" PRId64 ", ", s->left, s->bytes,
	                 s->rows->to, s->level);
	put_time(out, s->first_s);
	tdm_bytes_puts(out, " to ");
	put_time(out, s->last_s);
	tdm_bytes_putc(out, '\n');
	for (size_t i = s->n_requests, next; i < s->n; i = next) {
		next = alike(s, i, hashes, &times, &distinct);
		tdm_bytes_printf(out, "  %-12s %-5s ", s->rows[i].type, s->rows[i].as);
		if (hashes)
			tdm_bytes_join(out, s->rows[i].hash, ", ", "");
		else
			tdm_bytes_printf(out, "%" PRId64 " different, ", distinct);
		tdm_bytes_printf(out, "%" PRId64 " times\n", times);
	}
}

static void write_json(struct tdm_bytes *out, const struct summary *s, bool hashes) {
	const struct row *r = s->rows;
	int64_t times, distinct;
	tdm_bytes_join(out, "{\"conversation\":\"", r->conversation, "\",\"tenant\":");
	tdm_bytes_json(out, r->tenant, strlen(r->tenant));
	tdm_bytes_puts(out, ",\"to\":");
	tdm_bytes_json(out, r->to, strlen(r->to));
	tdm_bytes_printf(out,
	                 ",\"requests\":%" PRId64 ",\"bytes\":%" PRId64 ",\"level\":%" PRId64 ",\"first\":%" PRId64
	                 ",\"last\":%" PRId64 ",\"values\":[",
	                 s->left, s->bytes, s->level, s->first_s, s->last_s);
	for (size_t i = s->n_requests, next; i < s->n; i = next) {
		next = alike(s, i, hashes, &times, &distinct);
		tdm_bytes_puts(out, i > s->n_requests ? ",{\"type\":" : "{\"type\":");
		tdm_bytes_json(out, s->rows[i].type, strlen(s->rows[i].type));
		tdm_bytes_join(out, ",\"as\":\"", s->rows[i].as, "\"");
		if (hashes)
			tdm_bytes_join(out, ",\"hash\":\"", s->rows[i].hash, "\"");
		tdm_bytes_printf(out, ",\"distinct\":%" PRId64 ",\"times\":%" PRId64 "}", distinct, times);
	}
	tdm_bytes_puts(out, "]}");
}

static void write_all(const struct reader *r, struct tdm_bytes *out) {
	const struct options *o = r->call->options;
	struct row *rows = (struct row *)(void *)r->rows.data;
	size_t n = r->rows.len / sizeof *rows;
	if (n)
		qsort(rows, n, sizeof *rows, by_value);
	if (o->json)
		tdm_bytes_printf(out, "{\"unmasked\":{\"requests\":%" PRId64 ",\"bytes\":%" PRId64 "},\"conversations\":[",
		                 r->n_bare, r->bare_bytes);
	for (size_t i = 0, end; i < n; i = end) {
		struct summary s;
		for (end = i + 1; end < n && !strcmp(rows[end].conversation, rows[i].conversation);)
			end++;
		sum_up(rows + i, end - i, &s);
		if (o->json)
			tdm_bytes_puts(out, i ? ",\n" : "\n");
		(o->json ? write_json : write_text)(out, &s, o->hashes);
	}
	if (o->json)
		tdm_bytes_puts(out, "]}\n");
	else if (r->n_bare)
		tdm_bytes_printf(out, "%" PRId64 " requests, %" PRId64 " bytes left without a mask: nobody looked at them\n",
		                 r->n_bare, r->bare_bytes);
	else if (!n)
		tdm_bytes_puts(out, "nothing left\n");
}

static int read_since(const struct tdm_command_call *call, const char *text, int64_t *out) {
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	char *end = NULL;
	long n = text ? strtol(text, &end, 10) : 0;
	*out = 0;
	if (!text)
		return TDM_OK;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (n > 0 && n < 1000000 && end[0] == units[i].unit && !end[1]) {
			*out = tdm_wall_us() / 1000000 - n * units[i].seconds;
			return TDM_OK;
		}
	return tdm_fail(call->error, TDM_EVALUE, "tandem leaks: --since is \"%.40s\", expected such as 30m, 24h or 7d",
	                text);
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct reader r = {.call = call};
	struct tdm_bytes out;
	int status = read_since(call, o->since, &r.since_s);
	tdm_bytes_init(&r.rows, (size_t)2 << 30);
	tdm_bytes_init(&out, (size_t)1 << 30);
	if (status == TDM_OK)
		status = read_ledger(&r);
	if (status == TDM_OK) {
		write_all(&r, &out);
		status = tdm_write_output("tandem leaks", &out, call->error);
	}
	tdm_bytes_release(&out);
	tdm_bytes_release(&r.rows);
	return status;
}

const struct tdm_command tdm_command_leaks = {
    .name = "leaks",
    .summary = "what left the machine, by conversation, from the ledger",
    .group = "serve",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .options_bytes = sizeof(struct options),
    .run = run,
};
