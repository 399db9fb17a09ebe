// Beside: parts on the threads of the crew (base/crew.h). A part notices by a hook of its own that nobody waits for it
// any more. `lock` guards the scans.
#include "models/beside.h"
#include "base/crew.h"
#include <pthread.h>

struct group;
struct part {
	struct tdm_run run;
	struct tdm_arena arena;
	struct tdm_run_hook hook;
	struct tdm_task task;
	struct group *group;
	size_t i;
	atomic_bool given_up; // set by its own hook
	int status;
};

struct group {
	const struct tdm_beside *b;
	struct tdm_run *run; // the caller's
	struct part *parts;
	atomic_bool over;
	pthread_mutex_t lock;
	struct tdm_egress egress, *scans;
	int64_t model_us; // of the caller's sources before
};

static int scan(struct tdm_egress *self, const char *bytes, size_t n, struct tdm_error *err) {
	struct group *g = (struct group *)((char *)self - offsetof(struct group, egress));
	int status = TDM_OK;
	pthread_mutex_lock(&g->lock);
	for (struct tdm_egress *e = g->scans; e && !status; e = e->next)
		status = e->scan(e, bytes, n, err);
	pthread_mutex_unlock(&g->lock);
	return status;
}

static void look(struct tdm_run_hook *self) {
	struct part *p = (struct part *)((char *)self - offsetof(struct part, hook));
	const atomic_bool *outer = p->group->run->given_up;
	if (atomic_load(&p->group->over) || (outer && atomic_load(outer)))
		atomic_store(&p->given_up, true);
}

static void work(void *arg) {
	struct part *p = arg;
	p->status = tdm_run_check(&p->run);
	if (!p->status)
		p->status = p->group->b->work(p->group->b->arg, p->i, &p->run);
}

static int start(struct group *g, size_t i, size_t limit_bytes) {
	struct part *p = &g->parts[i];
	p->run = *g->run;
	p->group = g;
	p->i = i;
	p->hook.look = look;
	tdm_arena_init(&p->arena, limit_bytes);
	tdm_error_clear(&p->run.error);
	p->run.arena = &p->arena;
	p->run.given_up = &p->given_up;
	p->run.hook = &p->hook; // the caller's is of the caller's thread
	p->run.paid = NULL;
	p->run.record = tdm_arena_alloc(&p->arena, sizeof *p->run.record);
	if (!p->run.record)
		return tdm_fail(&g->run->error, TDM_ENOMEM, "no memory for a part of a request");
	tdm_record_init(p->run.record, &p->arena);
	p->task = (struct tdm_task){.fn = work, .arg = p};
	tdm_task_start(&p->task);
	return TDM_OK;
}

// What it did is the caller's now.
static void join(struct group *g, struct part *p) {
	struct tdm_run *run = g->run;
	tdm_record_join(run->record, p->run.record);
	tdm_arena_adopt(run->arena, &p->arena);
	if (p->run.n_retries > run->n_retries)
		run->n_retries = p->run.n_retries;
}

static int take(struct group *g, size_t i) {
	struct part *p = &g->parts[i];
	tdm_task_finish(&p->task);
	join(g, p);
	if (p->status < 0)
		g->run->error = p->run.error;
	return g->b->take(g->b->arg, i, p->status, g->run);
}

static int run_all(struct group *g, size_t n, size_t most, size_t limit_bytes) {
	size_t begun = 0, taken = 0;
	int status = TDM_OK;
	while (taken < n && !status) {
		while (begun < n && begun < taken + most && !status) {
			status = start(g, begun, limit_bytes);
			begun += status == TDM_OK;
		}
		if (!status)
			status = take(g, taken++);
	}
	atomic_store(&g->over, true);
	for (; taken < begun; taken++) {
		tdm_task_cancel(&g->parts[taken].task);
		join(g, &g->parts[taken]);
	}
	return status;
}

int tdm_beside_run(const struct tdm_beside *b, struct tdm_run *run, size_t n, size_t most) {
	struct group g = {.b = b, .run = run, .egress = {.scan = scan}, .scans = run->egress};
	g.parts = tdm_arena_array(run->arena, n, sizeof *g.parts);
	if (!g.parts)
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory for %zu parts of a request", n);
	size_t left = run->arena->limit_bytes - run->arena->used_bytes;
	pthread_mutex_init(&g.lock, NULL);
	run->egress = g.scans ? &g.egress : NULL;
	g.model_us = run->record->model_us;
	run->record->model_us = 0;
	int status = run_all(&g, n, most ? most : 1, left / (n + 1));
	run->record->model_us += g.model_us; // those that ran beside each other count as the longest of them
	run->egress = g.scans;
	pthread_mutex_destroy(&g.lock);
	return status;
}
