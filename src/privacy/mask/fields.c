// Fields: collecting and building walk the request in the same order, so that the i-th text finds its way back. A new
// field of a request that holds words: a few lines in tdm_fields_collect() and as many in tdm_fields_build().
#include "privacy/mask/fields.h"
#include "base/value.h"
#include <string.h>

struct tdm_document {
	const char *text; // as it came
	size_t len;
	struct tdm_value *root; // NULL: no JSON; then it is one text
};

struct list {
	struct tdm_arena *arena;
	struct tdm_bytes items; // of struct tdm_text
	const char *name;       // of the field that is being read
	int strand;             // what is being read belongs to
	bool schema;            // it is one
};
enum { STRAND_USER = 1, STRAND_CALLS }; // and those of further calls

// "string", "celsius", "created_at": a word of a schema, where prose has blanks or capitals.
static bool is_identifier(const char *text, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9') && !strchr("_-.", text[i]))
			return false;
	return true;
}

static void add(struct list *l, const char *text, size_t n) {
	struct tdm_text item = {.text = text ? text : "", .n = text ? n : 0, .field = l->name, .strand = l->strand};
	item.identifier = l->schema && is_identifier(item.text, item.n);
	tdm_bytes_add(&l->items, &item, sizeof item);
}

// What stands alone.
static void add_string(struct list *l, const char *text) {
	struct tdm_text item = {.text = text ? text : "", .n = text ? strlen(text) : 0, .field = l->name};
	tdm_bytes_add(&l->items, &item, sizeof item);
}

// The name of a field or of a function.
static void add_name(struct list *l, const char *text) {
	struct tdm_text item = {.text = text ? text : "", .n = text ? strlen(text) : 0, .identifier = true};
	tdm_bytes_add(&l->items, &item, sizeof item);
}

// --- documents

// Calls visit for every key, string and number, in the order of the text.
static void walk(struct tdm_value *v, void (*visit)(void *context, struct tdm_value *leaf, const char **key),
                 void *context) {
	if (v->type == TDM_STRING || v->type == TDM_NUMBER)
		visit(context, v, NULL);
	for (size_t i = 0; (v->type == TDM_LIST || v->type == TDM_MAP) && i < v->n; i++) {
		if (v->type == TDM_MAP)
			visit(context, NULL, &v->keys[i]);
		walk(&v->items[i], visit, context);
	}
}

static void collect_leaf(void *context, struct tdm_value *leaf, const char **key) {
	struct list *l = context;
	if (key) {
		add_name(l, *key);
		l->name = *key;
	} else if (leaf->type == TDM_STRING)
		add(l, leaf->text, leaf->len);
	else if (leaf->is_integer)
		add_string(l, tdm_arena_printf(l->arena, "%lld", (long long)leaf->integer));
	else
		add_string(l, tdm_arena_printf(l->arena, "%.17g", leaf->number));
}

struct replacing {
	const struct tdm_text *before, *after;
};

// A number that became a token is a string from now on.
static void replace_leaf(void *context, struct tdm_value *leaf, const char **key) {
	struct replacing *r = context;
	if (r->before->text != r->after->text) {
		if (key) {
			*key = r->after->text;
		} else {
			leaf->type = TDM_STRING;
			leaf->text = r->after->text;
			leaf->len = r->after->n;
		}
	}
	r->before++;
	r->after++;
}

static void collect_document(struct list *l, struct tdm_document *d, const char *text, size_t n) {
	*d = (struct tdm_document){text, n, NULL};
	if (n && tdm_json_parse(l->arena, text, n, &d->root, NULL) == TDM_OK)
		walk(d->root, collect_leaf, l);
	else
		add(l, text, n);
	l->name = NULL;
}

// The document as text again; advances *r over its leaves.
static int build_document(struct tdm_arena *arena, const struct tdm_document *d, struct replacing *r, const char **text,
                          size_t *len) {
	struct tdm_bytes out;
	if (!d->root) {
		*text = r->after->text;
		*len = r->after->n;
		r->before++;
		r->after++;
		return TDM_OK;
	}
	walk(d->root, replace_leaf, r);
	tdm_bytes_init(&out, arena->limit_bytes);
	tdm_value_write(&out, d->root);
	*text = out.failed ? NULL : tdm_arena_copy(arena, out.data, out.len);
	*len = out.len;
	tdm_bytes_release(&out);
	return *text ? TDM_OK : TDM_ENOMEM;
}

// --- a request

static bool has_schema(const struct tdm_request *r) {
	return r->form && r->form->kind == TDM_GRAMMAR_SCHEMA;
}

static size_t count_documents(const struct tdm_request *r) {
	size_t n = r->tools.n;
	for (size_t i = 0; i < r->n_messages; i++)
		n += r->messages[i].n_calls;
	return n;
}

static void collect_texts(struct list *l, const struct tdm_request *r) {
	for (size_t i = 0; i < r->n_messages; i++) {
		const struct tdm_message *m = &r->messages[i];
		l->strand = m->from == TDM_FROM_USER ? STRAND_USER : 0;
		add(l, m->text, m->len);
		for (size_t k = 0; k < m->n_calls; k++)
			add_name(l, m->calls[k].name);
	}
	l->strand = 0;
	for (size_t i = 0; i < r->n_stop; i++)
		add_string(l, r->stop[i]);
	for (size_t i = 0; i < r->tools.n; i++) {
		add_name(l, r->tools.items[i].name);
		add_string(l, r->tools.items[i].description);
	}
	add_name(l, r->tools.chosen);
	if (has_schema(r))
		add(l, r->form->text, r->form->len);
}

static void collect_documents(struct list *l, struct tdm_document *d, const struct tdm_request *r) {
	l->strand = STRAND_CALLS;
	for (size_t i = 0; i < r->n_messages; i++)
		for (size_t k = 0; k < r->messages[i].n_calls; k++, l->strand++)
			collect_document(l, d++, r->messages[i].calls[k].arguments, r->messages[i].calls[k].len);
	l->strand = 0;
	l->schema = true;
	for (size_t i = 0; i < r->tools.n; i++)
		collect_document(l, d++, r->tools.items[i].parameters, r->tools.items[i].len);
}

static void *keep(struct tdm_arena *arena, struct tdm_bytes *list) {
	void *own = list->failed ? NULL : tdm_arena_alloc(arena, list->len + 1);
	if (own && list->len)
		memcpy(own, list->data, list->len);
	tdm_bytes_release(list);
	return own;
}

int tdm_fields_collect(struct tdm_fields *f, struct tdm_arena *arena, const struct tdm_request *request) {
	struct list l = {.arena = arena};
	*f = (struct tdm_fields){.request = request, .n_documents = count_documents(request)};
	f->documents = tdm_arena_array(arena, f->n_documents + 1, sizeof *f->documents);
	if (!f->documents)
		return TDM_ENOMEM;
	tdm_bytes_init(&l.items, arena->limit_bytes);
	collect_texts(&l, request);
	f->n_whole = l.items.len / sizeof *f->texts;
	collect_documents(&l, f->documents, request);
	f->n = l.items.len / sizeof *f->texts;
	f->texts = keep(arena, &l.items);
	return f->texts ? TDM_OK : TDM_ENOMEM;
}

struct builder {
	struct tdm_arena *arena;
	const struct tdm_document *document; // the next one
	struct replacing texts, leaves;      // what comes next
	bool has_secret_name;                // a tool has one
};

static const struct tdm_text *next_text(struct builder *b) {
	b->texts.before++;
	return b->texts.after++;
}

// Of a tool. A token may be one, the mark of a secret is none.
static const char *next_name(struct builder *b, const char *name) {
	const struct tdm_text *text = next_text(b);
	if (!name)
		return NULL;
	b->has_secret_name |= strchr(text->text, '[') != NULL;
	return text->text;
}

static int build_calls(struct builder *b, struct tdm_message *m) {
	struct tdm_tool_call *calls = tdm_arena_array(b->arena, m->n_calls + 1, sizeof *calls);
	int status = calls ? TDM_OK : TDM_ENOMEM;
	for (size_t i = 0; i < m->n_calls && !status; i++) {
		calls[i] = m->calls[i];
		calls[i].name = next_name(b, m->calls[i].name);
		status = build_document(b->arena, b->document++, &b->leaves, &calls[i].arguments, &calls[i].len);
	}
	m->calls = calls;
	return status;
}

static int build_messages(struct builder *b, struct tdm_request *out) {
	struct tdm_message *m = tdm_arena_array(b->arena, out->n_messages + 1, sizeof *m);
	int status = m ? TDM_OK : TDM_ENOMEM;
	for (size_t i = 0; i < out->n_messages && !status; i++) {
		const struct tdm_text *text = next_text(b);
		m[i] = out->messages[i];
		m[i].text = text->text;
		m[i].len = text->n;
		status = m[i].n_calls ? build_calls(b, &m[i]) : TDM_OK;
	}
	out->messages = m;
	return status;
}

static int build_stop(struct builder *b, struct tdm_request *out) {
	const char **stop = tdm_arena_array(b->arena, out->n_stop + 1, sizeof *stop);
	for (size_t i = 0; stop && i < out->n_stop; i++)
		stop[i] = next_text(b)->text;
	out->stop = stop;
	return stop ? TDM_OK : TDM_ENOMEM;
}

static int build_tools(struct builder *b, struct tdm_request *out) {
	struct tdm_tool *tools = tdm_arena_array(b->arena, out->tools.n + 1, sizeof *tools);
	int status = tools ? TDM_OK : TDM_ENOMEM;
	for (size_t i = 0; i < out->tools.n && !status; i++) {
		tools[i] = out->tools.items[i];
		tools[i].name = next_name(b, tools[i].name);
		const struct tdm_text *description = next_text(b);
		if (tools[i].description)
			tools[i].description = description->text;
		bool has_parameters = tools[i].parameters != NULL;
		status = build_document(b->arena, b->document++, &b->leaves, &tools[i].parameters, &tools[i].len);
		if (!has_parameters)
			tools[i].parameters = NULL;
	}
	out->tools.items = tools;
	out->tools.chosen = next_name(b, out->tools.chosen);
	return status;
}

// Its strings may hold values that are tokens now; a number cannot become one.
static int build_form(struct builder *b, struct tdm_request *out, struct tdm_error *err) {
	const struct tdm_text *masked = next_text(b);
	struct tdm_value *value;
	if (masked->text == out->form->text)
		return TDM_OK;
	struct tdm_form *own = tdm_arena_alloc(b->arena, sizeof *own);
	if (!own)
		return TDM_ENOMEM;
	if (tdm_json_parse(b->arena, masked->text, masked->n, &value, NULL) != TDM_OK)
		return tdm_fail_param(err, TDM_EPRIVACY, TDM_FORM_FIELD,
		                      "mask: the schema holds a private value outside of its strings; nothing was sent");
	*own = *out->form;
	own->text = masked->text;
	own->len = masked->n;
	out->form = own;
	return TDM_OK;
}

int tdm_fields_build(const struct tdm_fields *f, struct tdm_arena *arena, const struct tdm_text *masked,
                     struct tdm_request *out, struct tdm_error *err) {
	const struct tdm_request *r = f->request;
	struct builder b = {arena, f->documents, {f->texts, masked}, {f->texts + f->n_whole, masked + f->n_whole}, false};
	*out = *r;
	int status = build_messages(&b, out);
	if (!status)
		status = build_stop(&b, out);
	if (!status)
		status = build_tools(&b, out);
	if (!status && b.has_secret_name)
		status = tdm_fail_param(err, TDM_EPRIVACY, "tools", "mask: the name of a tool is a secret; nothing was sent");
	return !status && has_schema(r) ? build_form(&b, out, err) : status;
}
