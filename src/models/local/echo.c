// The rule it protects: a prompt's log-probabilities are the model's own, from the pass that reads it: never an
// estimate, never a placeholder. The first token has none, for nothing is before it.
#include "models/local/echo.h"
#include "models/local/writer.h"

#define N_CHUNK 64 // tokens per pass, each with its row: bounds their memory

int tdm_echo_read(struct tdm_run *run, struct tdm_session *s, const int32_t *tokens, int n, int top,
                  struct tdm_echo *out) {
	struct tdm_scored *all = tdm_arena_array(run->arena, (size_t)n + 1, sizeof *all);
	bool ok = all && (n == 0 || tdm_scored_fill(run, s, 0, NULL, tokens[0], &all[0]));
	for (int at = 0; ok && at + 1 < n; at += N_CHUNK) {
		int length = n - 1 - at < N_CHUNK ? n - 1 - at : N_CHUNK;
		int status = s->ops->eval(s, run, tokens + at, NULL, length);
		if (status)
			return status;
		for (int i = 0; i < length && ok; i++)
			ok = tdm_scored_fill(run, s, top, s->ops->logits(s, i), tokens[at + i + 1], &all[at + i + 1]);
	}
	*out = (struct tdm_echo){.tokens = all, .n = ok ? n : 0};
	return ok ? TDM_OK
	          : tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for the prompt's log-probabilities",
	                     s->model->name);
}

void tdm_echo_fit(struct tdm_echo *echo, const char *text, size_t len) {
	size_t n = 0;
	struct tdm_scored *first = NULL;
	for (int i = 0; i < echo->n; i++) {
		struct tdm_scored *token = (struct tdm_scored *)&echo->tokens[i];
		n += token->len;
		if (!first && token->len)
			first = token;
	}
	if (first && n == len + 1 && *first->text == ' ' && (len == 0 || *text != ' ')) {
		first->text++;
		first->len--;
	}
}
