// Collect: text, logprobs and, when asked, the events themselves, so that a kept answer is served with its tokens.
#include "models/collect.h"

struct tdm_kept {
	struct tdm_event event;
	struct tdm_kept *next;
};

static bool copy_alternatives(struct tdm_arena *arena, const struct tdm_alternative **list, int n) {
	struct tdm_alternative *copy = n > 0 ? tdm_arena_array(arena, (size_t)n, sizeof *copy) : NULL;
	for (int i = 0; copy && i < n; i++) {
		copy[i] = (*list)[i];
		copy[i].text = tdm_arena_copy(arena, copy[i].text, copy[i].len);
		if (!copy[i].text)
			return false;
	}
	*list = copy;
	return copy || n <= 0;
}

static bool copy_parts(struct tdm_arena *arena, struct tdm_event *event) {
	struct tdm_scored *copy = event->n_parts > 0 ? tdm_arena_array(arena, (size_t)event->n_parts, sizeof *copy) : NULL;
	for (int i = 0; copy && i < event->n_parts; i++) {
		copy[i] = event->parts[i];
		copy[i].text = tdm_arena_copy(arena, copy[i].text, copy[i].len);
		if (!copy[i].text || !copy_alternatives(arena, &copy[i].alternatives, copy[i].n_alternatives))
			return false;
	}
	event->parts = copy;
	return copy || event->n_parts <= 0;
}

bool tdm_event_copy(struct tdm_arena *arena, const struct tdm_event *event, struct tdm_event *out) {
	*out = *event;
	out->text = tdm_arena_copy(arena, event->text, event->len);
	if (event->call_id && !(out->call_id = tdm_arena_string(arena, event->call_id)))
		return false;
	return out->text && copy_alternatives(arena, &out->alternatives, out->n_alternatives) && copy_parts(arena, out);
}

static bool keep_event(struct tdm_collect *c, const struct tdm_event *event) {
	struct tdm_kept *kept = tdm_arena_alloc(c->arena, sizeof *kept);
	if (!kept || !tdm_event_copy(c->arena, event, &kept->event))
		return false;
	*c->last = kept;
	c->last = &kept->next;
	return true;
}

static int collect_put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct tdm_collect *c = (struct tdm_collect *)sink;
	if (event->piece == TDM_PIECE_TEXT)
		tdm_bytes_add(&c->text, event->text, event->len);
	if (c->text.failed)
		return TDM_ETOOLARGE;
	if (c->arena && !keep_event(c, event))
		return TDM_ENOMEM;
	if (!isnan(event->logprob))
		tdm_logprobs_add(&c->logprobs, (double)event->logprob);
	c->n++;
	c->author = event->author;
	return sink->next ? sink->next->put(sink->next, event) : TDM_OK;
}

void tdm_collect_init(struct tdm_collect *c, size_t limit, struct tdm_sink *next, struct tdm_arena *keep) {
	*c = (struct tdm_collect){.sink = {collect_put, next}, .arena = keep};
	c->last = &c->kept;
	tdm_bytes_init(&c->text, limit);
}

void tdm_collect_release(struct tdm_collect *c) {
	tdm_bytes_release(&c->text);
}

double tdm_collect_mean(const struct tdm_collect *c) {
	return c->logprobs.n ? c->logprobs.sum / c->logprobs.n : (double)NAN;
}

int tdm_collect_put(const struct tdm_collect *c, struct tdm_sink *next) {
	int status = TDM_OK;
	if (!c->arena)
		status = tdm_put_text(next, c->author, c->text.data, c->text.len);
	for (const struct tdm_kept *k = c->kept; k && status == TDM_OK; k = k->next)
		status = next->put(next, &k->event);
	return status;
}

int tdm_collect_replay(const struct tdm_collect *c, struct tdm_sink *next) {
	int status = tdm_collect_put(c, next);
	return status < 0 ? status : TDM_OK;
}

int tdm_put_text(struct tdm_sink *sink, const char *author, const char *text, size_t n) {
	struct tdm_event event = {.text = text, .len = n, .author = author, .token = -1, .logprob = NAN};
	return n ? sink->put(sink, &event) : TDM_OK;
}
