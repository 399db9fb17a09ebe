// Live: the requests that are being answered now, for the admin page.
#include "base/clock.h"
#include "base/format.h"
#include "serve/server_parts.h"
#include <string.h>

#define MOST_SHOWN 100

void tdm_live_begin(struct tdm_call_context *c, const struct tdm_record *r) {
	struct tdm_live_list *l = &c->server->live;
	struct tdm_live *live = &c->live;
	*live = (struct tdm_live){.listed = true, .endpoint = r->endpoint, .arrived_us = tdm_exchange_arrived_us(c->x)};
	tdm_print(live->id, sizeof live->id, "%s", r->id);
	tdm_print(live->model, sizeof live->model, "%s", r->requested);
	pthread_mutex_lock(&l->mutex);
	live->next = l->first;
	if (l->first)
		l->first->previous = live;
	l->first = live;
	pthread_mutex_unlock(&l->mutex);
}

void tdm_live_end(struct tdm_call_context *c) {
	struct tdm_live_list *l = &c->server->live;
	struct tdm_live *live = &c->live;
	if (!live->listed)
		return;
	pthread_mutex_lock(&l->mutex);
	if (live->next)
		live->next->previous = live->previous;
	if (live->previous)
		live->previous->next = live->next;
	else
		l->first = live->next;
	live->listed = false;
	pthread_mutex_unlock(&l->mutex);
}

void tdm_live_write(struct tdm_live_list *l, struct tdm_bytes *out) {
	int64_t now_us = tdm_now_us();
	int n = 0;
	tdm_bytes_putc(out, '[');
	pthread_mutex_lock(&l->mutex);
	for (const struct tdm_live *live = l->first; live && n < MOST_SHOWN; live = live->next) {
		tdm_bytes_printf(out, "%s{\"receipt\":\"%s\",\"endpoint\":\"%s\",\"ms\":%lld,\"model\":", n++ ? "," : "",
		                 live->id, live->endpoint, (long long)(now_us - live->arrived_us) / 1000);
		tdm_bytes_json(out, live->model, strlen(live->model));
		tdm_bytes_putc(out, '}');
	}
	pthread_mutex_unlock(&l->mutex);
	tdm_bytes_putc(out, ']');
}
