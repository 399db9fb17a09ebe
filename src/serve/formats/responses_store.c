// Responses that are stored: in memory only, of one tenant each, bounded in bytes and time; never in the ledger. A
// conversation that goes on by previous_response_id is read from here, and what it refers to is put into its input
// before it is read, so that nothing behind the reader knows of it.
//
// `lock` guards everything. Newest first; the oldest make room.
#include "base/clock.h"
#include "base/crypto.h"
#include "serve/formats/format.h"
#include "serve/formats/responses.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWNER_BYTES 32
#define ID_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

struct kept_item {
	char *id, *json; // json: behind the id, in the same memory
};

struct entry {
	char id[TDM_ID_BYTES];
	uint8_t owner[OWNER_BYTES];
	int64_t until_us;
	size_t bytes;
	char *answer;
	struct kept_item *items; // of the input, then of the output
	size_t n_items, n_input;
	struct entry *older, *newer;
};

struct tdm_responses {
	pthread_mutex_t lock;
	struct entry *newest, *oldest;
	size_t bytes, limit_bytes;
	int64_t ttl_us;
};

int tdm_responses_open(size_t limit_bytes, int64_t ttl_s, struct tdm_responses **out) {
	struct tdm_responses *s = calloc(1, sizeof *s);
	if (!s)
		return TDM_ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->limit_bytes = limit_bytes;
	s->ttl_us = ttl_s * 1000000;
	*out = s;
	return TDM_OK;
}

static void entry_free(struct entry *e) {
	for (size_t i = 0; e && i < e->n_items; i++)
		free(e->items[i].id);
	if (e) {
		free(e->items);
		free(e->answer);
	}
	free(e);
}

static void take_out(struct tdm_responses *s, struct entry *e) {
	*(e->newer ? &e->newer->older : &s->newest) = e->older;
	*(e->older ? &e->older->newer : &s->oldest) = e->newer;
	s->bytes -= e->bytes;
	entry_free(e);
}

void tdm_responses_close(struct tdm_responses *s) {
	if (!s)
		return;
	while (s->oldest)
		take_out(s, s->oldest);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void make_room(struct tdm_responses *s, size_t bytes) {
	int64_t now_us = tdm_now_us();
	while (s->oldest && (s->bytes + bytes > s->limit_bytes || s->oldest->until_us <= now_us))
		take_out(s, s->oldest);
}

// --- whose it is

// An answer belongs to its tenant; without keys every client is the same one.
// Who asks: a tenant; a server without keys has one.
static void owner_of(const struct tdm_call_context *c, uint8_t out[OWNER_BYTES]) {
	const char *tenant = c->who.tenant ? c->who.tenant : "";
	tdm_sha256(tenant, strlen(tenant), out);
}

// Under the lock.
static struct entry *find(struct tdm_responses *s, const uint8_t owner[OWNER_BYTES], const char *id) {
	make_room(s, 0);
	for (struct entry *e = s->newest; e; e = e->older)
		if (!strcmp(e->id, id) && tdm_equal_ct(e->owner, owner, OWNER_BYTES))
			return e;
	return NULL;
}

static const struct kept_item *find_item(struct tdm_responses *s, const uint8_t owner[OWNER_BYTES], const char *id) {
	make_room(s, 0);
	for (struct entry *e = s->newest; e; e = e->older)
		for (size_t i = 0; i < e->n_items && tdm_equal_ct(e->owner, owner, OWNER_BYTES); i++)
			if (!strcmp(e->items[i].id, id))
				return &e->items[i];
	return NULL;
}

// --- keeping

// A string is one message of the user; an item without id or type gets them.
static void write_input_item(struct tdm_bytes *out, const struct tdm_value *item, const char *id) {
	const struct tdm_value *content = item->type == TDM_STRING ? item : tdm_get(item, "content");
	const char *role = item->type == TDM_STRING ? "user" : tdm_get_string(item, "role");
	tdm_bytes_printf(out, "{\"id\":\"%s\"", id);
	if (!tdm_get(item, "type"))
		tdm_bytes_puts(out, ",\"type\":\"message\"");
	if (item->type == TDM_STRING)
		tdm_bytes_puts(out, ",\"role\":\"user\"");
	for (size_t i = 0; item->type == TDM_MAP && i < item->n; i++) {
		if (!strcmp(item->keys[i], "id") || &item->items[i] == content || item->items[i].type == TDM_NULL)
			continue;
		tdm_bytes_putc(out, ',');
		tdm_bytes_json(out, item->keys[i], strlen(item->keys[i]));
		tdm_bytes_putc(out, ':');
		tdm_value_write(out, &item->items[i]);
	}
	if (content && content->type == TDM_STRING) {
		bool is_answer = role && !strcmp(role, "assistant");
		tdm_bytes_printf(out, ",\"content\":[{\"type\":\"%s\",\"text\":", is_answer ? "output_text" : "input_text");
		tdm_bytes_json(out, content->text, content->len);
		tdm_bytes_puts(out, "}]");
	} else if (content) {
		tdm_bytes_puts(out, ",\"content\":");
		tdm_value_write(out, content);
	}
	tdm_bytes_putc(out, '}');
}

static bool add_item(struct entry *e, const struct tdm_value *item, size_t limit_bytes) {
	const char *given = tdm_get_string(item, "id"), *type = tdm_get_string(item, "type");
	char id[TDM_ID_BYTES];
	struct tdm_bytes json;
	if (given && *given && strlen(given) < sizeof id && strspn(given, ID_LETTERS) == strlen(given))
		snprintf(id, sizeof id, "%s", given);
	else
		tdm_make_id(id, type && !strcmp(type, "function_call_output") ? "fco_" : "msg_");
	tdm_bytes_init(&json, limit_bytes);
	write_input_item(&json, item, id);
	size_t n = strlen(id) + 1;
	char *memory = json.failed ? NULL : malloc(n + json.len + 1);
	if (memory) {
		memcpy(memory, id, n);
		memcpy(memory + n, json.data, json.len + 1);
		e->items[e->n_items++] = (struct kept_item){memory, memory + n};
		e->bytes += n + json.len + sizeof e->items[0];
	}
	tdm_bytes_release(&json);
	return memory != NULL;
}

static bool add_items(struct entry *e, const struct tdm_value *list, size_t limit_bytes) {
	bool ok = true;
	if (list->type == TDM_STRING)
		return add_item(e, list, limit_bytes);
	for (size_t i = 0; i < list->n && ok; i++)
		ok = add_item(e, &list->items[i], limit_bytes);
	return ok;
}

static struct entry *entry_new(const struct tdm_value *input, const struct tdm_value *answer, const char *text,
                               size_t n, size_t limit_bytes) {
	const struct tdm_value *output = tdm_get(answer, "output");
	const char *id = tdm_get_string(answer, "id");
	struct entry *e = output && id && n < limit_bytes ? calloc(1, sizeof *e) : NULL;
	if (!e)
		return NULL;
	snprintf(e->id, sizeof e->id, "%s", id);
	e->bytes = sizeof *e + n + 1;
	e->answer = malloc(n + 1);
	e->items = calloc((input->type == TDM_LIST ? input->n : 1) + output->n, sizeof *e->items);
	bool ok = e->answer && e->items && add_items(e, input, limit_bytes);
	e->n_input = e->n_items;
	if (!ok || !add_items(e, output, limit_bytes) || e->bytes > limit_bytes) {
		entry_free(e);
		return NULL;
	}
	memcpy(e->answer, text, n);
	e->answer[n] = 0;
	return e;
}

// An answer that does not fit is not kept; who asks for it is told that it is not there.
void tdm_responses_keep(struct tdm_call_context *c, const struct tdm_chat_request *request, const char *answer,
                        size_t n) {
	struct tdm_responses *s = c->server->responses;
	struct tdm_value *value;
	struct tdm_error err = {0};
	if (!s || tdm_json_parse(c->arena, answer, n, &value, &err))
		return;
	struct entry *e = entry_new(request->input, value, answer, n, s->limit_bytes);
	if (!e)
		return;
	owner_of(c, e->owner);
	pthread_mutex_lock(&s->lock);
	make_room(s, e->bytes);
	e->until_us = tdm_now_us() + s->ttl_us;
	e->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = e;
	s->newest = e;
	s->bytes += e->bytes;
	pthread_mutex_unlock(&s->lock);
}

// --- what a body refers to

struct growing {
	struct tdm_value *items;
	size_t n;
};

static int no_memory(struct tdm_error *err) {
	return tdm_fail(err, TDM_ENOMEM, "the request does not fit its memory limit");
}

static int read_back(struct tdm_call_context *c, const char *json, struct growing *out, struct tdm_error *err) {
	struct tdm_value *value;
	int status = tdm_json_parse(c->arena, json, strlen(json), &value, err);
	if (!status)
		out->items[out->n++] = *value;
	return status;
}

static int no_previous(const char *param, struct tdm_error *err) {
	return tdm_fail_param(err, TDM_EPREVIOUS, param,
	                      "%s: there is no stored response of that id (serve.responses keeps them, if at all, for a "
	                      "while)",
	                      param);
}

// Everything that was said in the response before this one. room: for so many items more.
static int add_previous(struct tdm_call_context *c, const uint8_t *owner, const struct tdm_value *id, size_t room,
                        struct growing *out, struct tdm_error *err) {
	struct tdm_responses *s = c->server->responses;
	struct entry *e = NULL;
	int status = TDM_OK;
	if (s)
		pthread_mutex_lock(&s->lock);
	if (s && id && id->type == TDM_STRING)
		e = find(s, owner, id->text);
	out->items = tdm_arena_array(c->arena, room + (e ? e->n_items : 0), sizeof *out->items);
	if (id && !e)
		status = no_previous("previous_response_id", err);
	else if (!out->items)
		status = no_memory(err);
	for (size_t i = 0; e && i < e->n_items && !status; i++)
		status = read_back(c, e->items[i].json, out, err);
	if (s)
		pthread_mutex_unlock(&s->lock);
	return status;
}

static int add_input(struct tdm_call_context *c, const uint8_t *owner, const struct tdm_value *item, size_t index,
                     struct growing *out, struct tdm_error *err) {
	struct tdm_responses *s = c->server->responses;
	const char *type = tdm_get_string(item, "type"), *id = tdm_get_string(item, "id");
	if (!type || strcmp(type, "item_reference") != 0) {
		out->items[out->n++] = *item;
		return TDM_OK;
	}
	if (!s || !id)
		return no_previous(tdm_arena_printf(c->arena, "input[%zu]", index), err);
	pthread_mutex_lock(&s->lock);
	const struct kept_item *kept = find_item(s, owner, id);
	int status =
	    kept ? read_back(c, kept->json, out, err) : no_previous(tdm_arena_printf(c->arena, "input[%zu]", index), err);
	pthread_mutex_unlock(&s->lock);
	return status;
}

// A string becomes an item, so that it can stand behind others.
static int as_item(struct tdm_call_context *c, const struct tdm_value *text, struct tdm_value *out) {
	static const char *const names[] = {"role", "content"};
	const char **keys = tdm_arena_array(c->arena, 2, sizeof *keys);
	struct tdm_value *items = tdm_arena_array(c->arena, 2, sizeof *items);
	if (!keys || !items)
		return TDM_ENOMEM;
	memcpy(keys, names, sizeof names);
	items[0] = (struct tdm_value){.type = TDM_STRING, .text = "user", .len = 4};
	items[1] = *text;
	*out = (struct tdm_value){.type = TDM_MAP, .n = 2, .items = items, .keys = keys};
	return TDM_OK;
}

// Sets a member of the body, which has room for it.
static int set_member(struct tdm_arena *arena, struct tdm_value *body, const char *key, const struct tdm_value *value) {
	for (size_t i = 0; i < body->n; i++) {
		if (strcmp(body->keys[i], key) != 0)
			continue;
		body->items[i] = *value;
		return TDM_OK;
	}
	const char **keys = tdm_arena_array(arena, body->n + 1, sizeof *keys);
	struct tdm_value *items = tdm_arena_array(arena, body->n + 1, sizeof *items);
	if (!keys || !items)
		return TDM_ENOMEM;
	if (body->n) {
		memcpy(keys, body->keys, body->n * sizeof *keys);
		memcpy(items, body->items, body->n * sizeof *items);
	}
	keys[body->n] = key;
	items[body->n] = *value;
	body->keys = keys;
	body->items = items;
	body->n++;
	return TDM_OK;
}

static int splice(struct tdm_call_context *c, struct tdm_value *body, const struct tdm_value *input,
                  struct tdm_error *err) {
	struct growing all = {0};
	struct tdm_value one = {0};
	uint8_t owner[OWNER_BYTES];
	owner_of(c, owner);
	if (input->type == TDM_STRING && as_item(c, input, &one))
		return no_memory(err);
	const struct tdm_value *list = input->type == TDM_STRING ? &one : input->items;
	size_t n = input->type == TDM_STRING ? 1 : input->n;
	int status = add_previous(c, owner, tdm_get(body, "previous_response_id"), n + 1, &all, err);
	for (size_t i = 0; i < n && !status; i++)
		status = add_input(c, owner, &list[i], i, &all, err);
	if (!status &&
	    set_member(c->arena, body, "input", &(struct tdm_value){.type = TDM_LIST, .n = all.n, .items = all.items}))
		status = no_memory(err);
	return status;
}

static bool has_reference(const struct tdm_value *input) {
	for (size_t i = 0; input->type == TDM_LIST && i < input->n; i++) {
		const char *type = tdm_get_string(&input->items[i], "type");
		if (type && !strcmp(type, "item_reference"))
			return true;
	}
	return false;
}

// Whether this answer will be kept, written into the body.
static int settle_store(struct tdm_call_context *c, struct tdm_record *record, struct tdm_value *body,
                        struct tdm_error *err) {
	const struct tdm_value *store = tdm_get(body, "store");
	bool kept = c->server->responses && (!store || store->truth);
	if (store && store->type != TDM_BOOL)
		return TDM_OK; // the reader says it
	if (store && store->truth && !kept)
		tdm_record_warn(record, "parameter_ignored", "store", "this server stores no responses");
	if (set_member(c->arena, body, "store", &(struct tdm_value){.type = TDM_BOOL, .truth = kept}))
		return no_memory(err);
	return TDM_OK;
}

int tdm_responses_resolve(struct tdm_call_context *c, struct tdm_record *record, struct tdm_value *body,
                          struct tdm_error *err) {
	if (body->type != TDM_MAP)
		return TDM_OK; // the reader says it
	bool goes_on = tdm_get(body, "previous_response_id") != NULL;
	if (tdm_get(body, "conversation"))
		return no_previous("conversation", err);
	if (goes_on && !c->server->responses)
		return no_previous("previous_response_id", err);
	int status = settle_store(c, record, body, err);
	const struct tdm_value *input = tdm_get(body, "input");
	bool is_input = input && (input->type == TDM_STRING || input->type == TDM_LIST);
	return status || !is_input || (!goes_on && !has_reference(input)) ? status : splice(c, body, input, err);
}

// --- asking for them

// The text that `of` makes of the response of that id goes out; 404 if it is not there.
static void reply_with(struct tdm_call_context *c, const char *id,
                       void (*of)(struct tdm_call_context *c, struct entry *e, struct tdm_bytes *out)) {
	struct tdm_responses *s = c->server->responses;
	struct tdm_bytes body;
	uint8_t owner[OWNER_BYTES];
	owner_of(c, owner);
	tdm_bytes_init(&body, SIZE_MAX / 4);
	if (s) {
		pthread_mutex_lock(&s->lock);
		struct entry *e = find(s, owner, id);
		if (e)
			of(c, e, &body);
		pthread_mutex_unlock(&s->lock);
	}
	if (body.len) {
		tdm_exchange_set(c->x, "cache-control", "private");
		tdm_reply_json(c, &body);
	} else {
		tdm_fail(&c->error, TDM_ERESPONSE, "there is no stored response of that id%s",
		         s ? "" : ": this server stores none (serve.responses)");
		tdm_reply_error(c, NULL);
	}
	tdm_bytes_release(&body);
}

static void put_answer(struct tdm_call_context *c, struct entry *e, struct tdm_bytes *out) {
	tdm_bytes_puts(out, e->answer);
}

// Newest first, as this interface has it, or in their order (order=asc); all of them.
static void put_input(struct tdm_call_context *c, struct entry *e, struct tdm_bytes *out) {
	char order[8];
	bool forward = tdm_exchange_query(c->x, "order", order, sizeof order) && !strcmp(order, "asc");
	const struct kept_item *first = &e->items[forward ? 0 : e->n_input - 1];
	const struct kept_item *last = &e->items[forward ? e->n_input - 1 : 0];
	tdm_bytes_puts(out, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < e->n_input; i++) {
		if (i)
			tdm_bytes_putc(out, ',');
		tdm_bytes_puts(out, e->items[forward ? i : e->n_input - 1 - i].json);
	}
	tdm_bytes_printf(out, "],\"first_id\":\"%s\",\"last_id\":\"%s\",\"has_more\":false}", first->id, last->id);
}

static void put_deleted(struct tdm_call_context *c, struct entry *e, struct tdm_bytes *out) {
	tdm_bytes_printf(out, "{\"id\":\"%s\",\"object\":\"response\",\"deleted\":true}", e->id);
	take_out(c->server->responses, e);
}

static bool ends_with(const char *text, const char *end) {
	size_t n = strlen(text), m = strlen(end);
	return n > m && !strcmp(text + n - m, end);
}

void tdm_handle_response(struct tdm_call_context *c, const char *rest) {
	static const char items[] = "/input_items";
	if (ends_with(rest, items)) {
		const char *id = tdm_arena_copy(c->arena, rest, strlen(rest) - strlen(items));
		reply_with(c, id ? id : "", put_input);
	} else {
		reply_with(c, rest, put_answer);
	}
}

void tdm_handle_response_delete(struct tdm_call_context *c, const char *id) {
	reply_with(c, id, put_deleted);
}

// Only an answer that is computed in the background can be cancelled by its id, and there are none.
void tdm_handle_response_cancel(struct tdm_call_context *c, const char *rest) {
	static const char cancel[] = "/cancel";
	struct tdm_responses *s = c->server->responses;
	const char *id = ends_with(rest, cancel) ? tdm_arena_copy(c->arena, rest, strlen(rest) - strlen(cancel)) : NULL;
	uint8_t owner[OWNER_BYTES];
	bool is_there = false;
	owner_of(c, owner);
	if (s && id) {
		pthread_mutex_lock(&s->lock);
		is_there = find(s, owner, id) != NULL;
		pthread_mutex_unlock(&s->lock);
	}
	if (is_there)
		tdm_fail(&c->error, TDM_ECAPABILITY, "this response has ended; close the connection of a running one");
	else if (id)
		tdm_fail(&c->error, TDM_ERESPONSE, "there is no stored response of that id");
	else
		tdm_fail(&c->error, TDM_EPATH, "there is no path /v1/responses/%s here", rest);
	tdm_reply_error(c, NULL);
}
