// A run belongs to one thread, so every other thread gets a run of its own: the same request, seed, deadline and
// watchers, with its own memory and error. Where no thread is to be had, the caller does the work itself.
#include "models/together.h"
#include "base/clock.h"
#include <pthread.h>

struct part {
	struct tdm_run run;
	struct tdm_arena arena;
	const struct tdm_request *request;
	struct tdm_session *session;
	pthread_t thread;
	bool is_apart;
	int status;
	int64_t us;
};

static void *work(void *arg) {
	struct part *p = arg;
	int64_t started_us = tdm_now_us();
	p->status = p->session->ops->prompt(p->session, &p->run, p->request);
	p->us = tdm_now_us() - started_us;
	return NULL;
}

static void start(struct part *p, const struct tdm_run *run, bool apart) {
	p->run = *run;
	if (!apart)
		return;
	tdm_arena_init(&p->arena, run->arena->limit_bytes);
	p->run.arena = &p->arena;
	p->is_apart = pthread_create(&p->thread, NULL, work, p) == 0;
}

static void finish(struct part *p) {
	if (p->is_apart)
		pthread_join(p->thread, NULL);
	else
		work(p);
}

int tdm_together_prompt(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *const *sessions,
                        int n, int64_t *us) {
	struct part parts[TDM_TOGETHER_MAX] = {0};
	int status = TDM_OK;
	for (int i = 0; i < n; i++) {
		parts[i].request = request;
		parts[i].session = sessions[i];
		start(&parts[i], run, i > 0);
	}
	for (int i = 0; i < n; i++) {
		finish(&parts[i]);
		if (us)
			us[i] = parts[i].us;
		if (status == TDM_OK && parts[i].status != TDM_OK) {
			status = parts[i].status;
			run->error = parts[i].run.error;
		}
		if (i > 0)
			tdm_arena_release(&parts[i].arena);
	}
	return status;
}
