// Calls: which call a piece belongs to, and when the next one may begin. A call whose arguments are a whole JSON object
// when another one's pieces come is over; until then the others wait.
#include "models/remote/calls.h"
#include "models/collect.h"
#include <stdio.h>
#include <string.h>

#define ARGUMENTS_LIMIT_BYTES ((size_t)16 << 20)

void tdm_calls_init(struct tdm_calls *c, struct tdm_run *run, struct tdm_sink *sink, const char *author) {
	*c = (struct tdm_calls){.run = run, .sink = sink, .author = author};
	tdm_bytes_init(&c->later, ARGUMENTS_LIMIT_BYTES);
}

void tdm_calls_release(struct tdm_calls *c) {
	for (int i = 0; i < c->n; i++)
		tdm_bytes_release(&c->items[i].arguments);
	tdm_bytes_release(&c->later);
}

// --- which call

static struct tdm_called *by_id(struct tdm_calls *c, const char *id) {
	for (int i = 0; i < c->n; i++)
		if (c->items[i].upstream_id && !strcmp(c->items[i].upstream_id, id))
			return &c->items[i];
	return NULL;
}

static struct tdm_called *by_index(struct tdm_calls *c, int64_t index) {
	for (int i = c->n; i-- > 0;)
		if (c->items[i].index == index)
			return &c->items[i];
	return NULL;
}

static struct tdm_called *add(struct tdm_calls *c, int64_t index) {
	if (!c->items)
		c->items = tdm_arena_array(c->run->arena, TDM_CALLS_LIMIT, sizeof *c->items);
	if (!c->items || c->n == TDM_CALLS_LIMIT)
		return NULL;
	struct tdm_called *call = &c->items[c->n++];
	*call = (struct tdm_called){.index = index};
	tdm_bytes_init(&call->arguments, ARGUMENTS_LIMIT_BYTES);
	return call;
}

static struct tdm_called *find(struct tdm_calls *c, const char *id, int64_t index) {
	struct tdm_called *call = NULL;
	if (id && (call = by_id(c, id)))
		return call;
	if (index >= 0)
		call = by_index(c, index);
	else if (!id && c->n)
		call = &c->items[c->n - 1];
	if (call && (!id || !call->upstream_id))
		return call;
	return add(c, index);
}

// An upstream's id is kept when every client can carry it.
static void set_id(struct tdm_called *call, const char *id) {
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t n = id ? strlen(id) : 0;
	if (n && n <= 64 && strspn(id, allowed) == n)
		snprintf(call->id, sizeof call->id, "%s", id);
	else
		tdm_make_id(call->id, "call_");
}

// --- what goes out

static int send(struct tdm_calls *c, enum tdm_piece piece, const char *text, size_t n, const char *id) {
	struct tdm_event event = {.piece = piece, .text = text, .len = n, .call_id = id, .author = c->author};
	event.token = -1;
	event.logprob = NAN;
	return n ? c->sink->put(c->sink, &event) : TDM_OK;
}

static bool is_object(const struct tdm_bytes *arguments) {
	struct tdm_arena arena;
	struct tdm_value *value;
	tdm_arena_init(&arena, 4 * ARGUMENTS_LIMIT_BYTES);
	bool is = arguments->len && !tdm_json_parse(&arena, arguments->data, arguments->len, &value, NULL) &&
	          value->type == TDM_MAP;
	tdm_arena_release(&arena);
	return is;
}

// What is new of the call at work.
static int send_call(struct tdm_calls *c, struct tdm_called *call) {
	int status = TDM_OK;
	if (!call->name)
		return TDM_OK;
	if (!call->begun) {
		if (!*call->id)
			set_id(call, call->upstream_id);
		call->begun = true;
		status = send(c, TDM_PIECE_CALL, call->name, strlen(call->name), call->id);
	}
	size_t from = call->sent;
	call->sent = call->arguments.len;
	if (status || call->sent == from)
		return status;
	return send(c, TDM_PIECE_ARGUMENTS, call->arguments.data + from, call->sent - from, NULL);
}

static int send_calls(struct tdm_calls *c) {
	int status = TDM_OK;
	while (status == TDM_OK && c->at < c->n) {
		status = send_call(c, &c->items[c->at]);
		if (c->at + 1 == c->n || !c->items[c->at].begun || !is_object(&c->items[c->at].arguments))
			break;
		c->at++;
	}
	return status;
}

// --- pieces

static void add_arguments(struct tdm_called *call, const struct tdm_value *arguments) {
	if (!arguments)
		return;
	if (arguments->type == TDM_STRING)
		tdm_bytes_add(&call->arguments, arguments->text, arguments->len);
	else if (!call->arguments.len)
		tdm_value_write(&call->arguments, arguments);
}

// The call that the piece belongs to, with what the piece says of its id and name; NULL: it fits nowhere.
static struct tdm_called *place(struct tdm_calls *c, const struct tdm_value *piece) {
	const struct tdm_value *index = tdm_get(piece, "index");
	const char *id = tdm_get_string(piece, "id"), *name = tdm_get_string(tdm_get(piece, "function"), "name");
	bool has_index = index && index->type == TDM_NUMBER && index->is_integer && index->integer >= 0;
	struct tdm_called *call = find(c, id && *id ? id : NULL, has_index ? index->integer : -1);
	if (call && id && *id && !call->upstream_id)
		call->upstream_id = tdm_arena_string(c->run->arena, id);
	if (call && name && *name && !call->name) {
		call->name = tdm_arena_string(c->run->arena, name);
		c->n_bytes += strlen(name);
	}
	return call;
}

static int put_piece(struct tdm_calls *c, const struct tdm_value *piece, const char **why) {
	struct tdm_called *call = place(c, piece);
	*why = "more tool calls than 64, or out of order";
	if (!call)
		return TDM_EBADBODY;
	size_t before = call->arguments.len;
	add_arguments(call, tdm_get(tdm_get(piece, "function"), "arguments"));
	c->n_bytes += call->arguments.len - before;
	bool is_over = call - c->items < c->at && call->arguments.len > before;
	return call->arguments.failed || is_over ? TDM_EBADBODY : TDM_OK;
}

int tdm_calls_put(struct tdm_calls *c, const struct tdm_value *pieces, const char **why) {
	int status = TDM_OK;
	*why = "tool calls that are no list";
	if (pieces->type != TDM_LIST)
		return TDM_EBADBODY;
	for (size_t i = 0; i < pieces->n && !status; i++) {
		status = put_piece(c, &pieces->items[i], why);
		if (!status)
			status = send_calls(c);
	}
	return status;
}

bool tdm_calls_hold(struct tdm_calls *c, const char *text, size_t n) {
	if (c->at + 1 == c->n && c->items[c->at].begun && is_object(&c->items[c->at].arguments))
		c->at++; // over: other words follow
	if (c->at == c->n)
		return false;
	tdm_bytes_add(&c->later, text, n);
	return true;
}

// The last of the arguments: none at all are an empty object.
static int finish(struct tdm_calls *c, struct tdm_called *call, bool cut, const char **why) {
	*why = "a tool call without a name";
	if (!call->name)
		return cut ? TDM_OK : TDM_EBADBODY;
	if (!call->arguments.len && !cut)
		tdm_bytes_puts(&call->arguments, "{}");
	*why = "arguments of a tool call that are no JSON object";
	if (!cut && !is_object(&call->arguments))
		return TDM_EBADBODY;
	return send_call(c, call);
}

int tdm_calls_end(struct tdm_calls *c, bool cut, const char **why) {
	int status = TDM_OK;
	for (; c->at < c->n && !status; c->at++)
		status = finish(c, &c->items[c->at], cut && c->at + 1 == c->n, why);
	return status ? status : tdm_put_text(c->sink, c->author, c->later.data, c->later.len);
}
