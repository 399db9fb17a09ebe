#include "models/together.h"

static void work(void *arg) {
	struct tdm_apart *p = arg;
	p->status = p->work(p->arg, &p->run);
}

void tdm_apart_start(struct tdm_apart *p, const struct tdm_run *run, int (*fn)(void *arg, struct tdm_run *run),
                     void *arg) {
	p->run = *run;
	p->work = fn;
	p->arg = arg;
	tdm_arena_init(&p->arena, run->arena->limit_bytes);
	p->run.arena = &p->arena;
	p->run.hook = NULL;
	p->task = (struct tdm_task){.fn = work, .arg = p};
	tdm_task_start(&p->task);
}

int tdm_apart_join(struct tdm_apart *p, struct tdm_run *run) {
	tdm_task_finish(&p->task);
	if (p->status != TDM_OK)
		run->error = p->run.error;
	tdm_arena_release(&p->arena);
	return p->status;
}

bool tdm_apart_cancel(struct tdm_apart *p) {
	bool is_done = !tdm_task_cancel(&p->task);
	tdm_arena_release(&p->arena);
	return is_done && p->status == TDM_OK;
}

struct prompted {
	struct tdm_apart apart;
	struct tdm_session *session;
	const struct tdm_request *request;
};

static int prompt(void *arg, struct tdm_run *run) {
	struct prompted *p = arg;
	return p->session->ops->prompt(p->session, run, p->request, NULL);
}

int tdm_together_prompt(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *const *sessions,
                        int n) {
	struct prompted others[TDM_TOGETHER_MAX], first = {.session = sessions[0], .request = request};
	struct tdm_run other_run = *run;
	for (int i = 1; i < n; i++) {
		others[i] = (struct prompted){.session = sessions[i], .request = request};
		tdm_apart_start(&others[i].apart, run, prompt, &others[i]);
	}
	int status = prompt(&first, run);
	for (int i = 1; i < n; i++) {
		int other = tdm_apart_join(&others[i].apart, status == TDM_OK ? run : &other_run);
		status = status == TDM_OK ? other : status;
	}
	return status;
}
