// Seen: see seen.h.
#include "serve/seen.h"
#include "serve/server_parts.h"
#include <stdlib.h>
#include <string.h>

#define LIMIT_BYTES ((size_t)4 << 20) // of all texts of a request

struct tdm_heard { // one call of a source
	const struct tdm_model *source;
	struct tdm_bytes asked, said; // asked: the items of a JSON list
	struct tdm_heard *next;
};

static void put_text(struct tdm_bytes *out, const char *before, const char *text, size_t n) {
	tdm_bytes_puts(out, before);
	tdm_bytes_json(out, text ? text : "", text ? n : 0);
}

static const char *const roles[] = {"system", "user", "assistant", "tool"};

static void put_request(struct tdm_bytes *out, const struct tdm_request *r) {
	const char *sign = "";
	for (size_t i = 0; i < r->n_messages; i++) {
		const struct tdm_message *m = &r->messages[i];
		tdm_bytes_join(out, sign, "{\"role\":\"", roles[m->from]);
		put_text(out, "\",\"content\":", m->text, m->len);
		tdm_bytes_putc(out, '}');
		sign = ",";
		for (size_t k = 0; k < m->n_calls; k++) {
			put_text(out, ",{\"role\":\"call\",\"content\":", m->calls[k].arguments, m->calls[k].len);
			tdm_bytes_putc(out, '}');
		}
	}
	for (size_t i = 0; i < r->tools.n; i++) {
		const struct tdm_tool *t = &r->tools.items[i];
		tdm_bytes_puts(out, sign);
		put_text(out, "{\"role\":\"tool description\",\"content\":", t->description,
		         t->description ? strlen(t->description) : 0);
		put_text(out, "},{\"role\":\"tool schema\",\"content\":", t->parameters, t->len);
		tdm_bytes_putc(out, '}');
		sign = ",";
	}
}

static void *asked(struct tdm_tap *tap, const struct tdm_model *source, const struct tdm_request *request) {
	struct tdm_seen *s = (struct tdm_seen *)tap;
	struct tdm_heard *h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->source = source;
	tdm_bytes_init(&h->asked, LIMIT_BYTES);
	tdm_bytes_init(&h->said, LIMIT_BYTES);
	put_request(&h->asked, request);
	pthread_mutex_lock(&s->lock);
	bool fits = !h->asked.failed && s->bytes + h->asked.len <= LIMIT_BYTES;
	s->cut = s->cut || !fits;
	if (fits)
		s->bytes += h->asked.len;
	else
		tdm_bytes_clear(&h->asked);
	*s->last = h;
	s->last = &h->next;
	pthread_mutex_unlock(&s->lock);
	return h;
}

// Texts as they come; of a call its name, in front of its arguments.
static void said(struct tdm_tap *tap, void *call, const struct tdm_event *event) {
	struct tdm_seen *s = (struct tdm_seen *)tap;
	struct tdm_heard *h = call;
	if (!h)
		return;
	pthread_mutex_lock(&s->lock);
	bool fits = s->bytes + event->len <= LIMIT_BYTES;
	s->cut = s->cut || !fits;
	if (fits) {
		s->bytes += event->len;
		if (event->piece == TDM_PIECE_CALL && h->said.len)
			tdm_bytes_putc(&h->said, '\n');
		tdm_bytes_add(&h->said, event->text, event->len);
	}
	pthread_mutex_unlock(&s->lock);
}

static void saw(struct tdm_tap *tap, const struct tdm_model *source, const char *bytes, size_t n) {}

int tdm_seen_open(struct tdm_call_context *c, struct tdm_seen *s, struct tdm_run *run) {
	if (!c->who.admin)
		return tdm_fail_param(&run->error, TDM_EADMIN, "tandem.seen",
		                      "tandem.seen: this needs a key with the right to administrate");
	*s = (struct tdm_seen){.tap = {.saw = saw, .asked = asked, .said = said}, .open = true};
	s->last = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	run->tap = &s->tap;
	return TDM_OK;
}

static void put_all(struct tdm_bytes *out, const struct tdm_seen *s) {
	tdm_bytes_puts(out, s->cut ? ",\"seen_cut\":true,\"seen\":[" : ",\"seen\":[");
	for (const struct tdm_heard *h = s->first; h; h = h->next) {
		put_text(out, "{\"model\":", h->source->name, strlen(h->source->name));
		tdm_bytes_puts(out, h->source->leaves ? ",\"leaves\":true,\"asked\":[" : ",\"leaves\":false,\"asked\":[");
		tdm_bytes_add(out, h->asked.data ? h->asked.data : "", h->asked.len);
		put_text(out, "],\"said\":", h->said.data, h->said.len);
		tdm_bytes_puts(out, h->next ? "}," : "}");
	}
	tdm_bytes_puts(out, "]}");
}

const char *tdm_seen_add(struct tdm_seen *s, struct tdm_arena *arena, const char *receipt) {
	size_t n = receipt ? strlen(receipt) : 0;
	if (!s->open || n < 2 || receipt[n - 1] != '}')
		return receipt;
	struct tdm_bytes out;
	tdm_bytes_init(&out, 4 * LIMIT_BYTES);
	tdm_bytes_add(&out, receipt, n - 1);
	put_all(&out, s);
	const char *with = out.failed ? NULL : tdm_arena_copy(arena, out.data, out.len);
	tdm_bytes_release(&out);
	return with ? with : receipt;
}

void tdm_seen_release(struct tdm_seen *s) {
	if (!s->open)
		return;
	while (s->first) {
		struct tdm_heard *h = s->first;
		s->first = h->next;
		tdm_bytes_release(&h->asked);
		tdm_bytes_release(&h->said);
		free(h);
	}
	pthread_mutex_destroy(&s->lock);
}
