// A text is split again from its last word on: no vocabulary joins tokens over the beginning of a word, so what stands
// before it stays as it is. The text before the answer is the end of the prompt, as far back as it is text.
#include "models/shadow.h"
#include "base/text.h"
#include "models/align.h"
#include <stdlib.h>
#include <string.h>

struct tdm_shadow {
	struct tdm_session *session;
	char *text; // the end of the prompt, and the answer
	size_t n_before, len, text_cap;
	int32_t *tokens; // of the answer, all evaluated
	size_t *ends;    // of each, in text
	int n, cap;
	int row; // of the last pass, after the last token
};

struct tdm_shadow *tdm_shadow_new(struct tdm_session *s) {
	struct tdm_shadow *sh = calloc(1, sizeof *sh);
	if (!sh)
		return NULL;
	*sh = (struct tdm_shadow){.session = s, .text = malloc(4 * TDM_ALIGN_BEHIND), .text_cap = 4 * TDM_ALIGN_BEHIND};
	if (!sh->text) {
		free(sh);
		return NULL;
	}
	sh->n_before = sh->len = tdm_align_before(s, sh->text);
	return sh;
}

void tdm_shadow_free(struct tdm_shadow *sh) {
	if (!sh)
		return;
	free(sh->text);
	free(sh->tokens);
	free(sh->ends);
	free(sh);
}

// Room for a text of `len` bytes, and for as many tokens.
static bool grow(struct tdm_shadow *sh, size_t len) {
	if (len > sh->text_cap) {
		char *text = realloc(sh->text, 2 * len);
		if (!text)
			return false;
		sh->text = text;
		sh->text_cap = 2 * len;
	}
	if ((size_t)sh->cap >= sh->text_cap)
		return true;
	int32_t *tokens = realloc(sh->tokens, sh->text_cap * sizeof *tokens);
	if (tokens)
		sh->tokens = tokens;
	size_t *ends = realloc(sh->ends, sh->text_cap * sizeof *ends);
	if (ends)
		sh->ends = ends;
	sh->cap = tokens && ends ? (int)sh->text_cap : sh->cap;
	return tokens && ends;
}

// How many tokens stay whatever comes after the first `same` bytes: those before the last word.
static int lasting(const struct tdm_shadow *sh, size_t same) {
	int n = sh->n;
	while (n > 0 && sh->ends[n - 1] > same)
		n--;
	bool is_word = false;
	while (n > 0 && !is_word) {
		size_t start = n > 1 ? sh->ends[n - 2] : sh->n_before;
		if (same - start > TDM_ALIGN_BEHIND)
			break;
		is_word = sh->text[start] == ' ' || sh->text[start] == '\n';
		n--;
	}
	return n;
}

struct split { // the tokens behind the lasting ones
	int32_t *tokens;
	size_t *ends;
	int n;
};

static int evaluate(struct tdm_shadow *sh, struct tdm_run *run, int first, const struct split *s) {
	struct tdm_session *session = sh->session;
	int same = 0, n = first + s->n;
	while (same < s->n && first + same < sh->n && sh->tokens[first + same] == s->tokens[same])
		same++;
	same += first;
	if (n > sh->cap || session->prompt_tokens + n > session->context)
		return TDM_ECONTEXT;
	if (same == n && same == sh->n)
		return TDM_OK;
	if (same == n) // the row after it is gone
		same--;
	if (same < 0)
		return TDM_ECONTEXT;
	int status = same < sh->n ? session->ops->rewind(session, session->prompt_tokens + same) : TDM_OK;
	sh->n = same;
	sh->row = -1;
	memcpy(sh->tokens + first, s->tokens, (size_t)s->n * sizeof *s->tokens);
	memcpy(sh->ends + first, s->ends, (size_t)s->n * sizeof *s->ends);
	if (status == TDM_OK)
		status = session->ops->eval(session, run, sh->tokens + same, NULL, n - same);
	if (status != TDM_OK)
		return tdm_fail(&run->error, status, "model %s cannot follow the answer", session->model->name);
	sh->n = n;
	sh->row = n - same - 1;
	return TDM_OK;
}

static int follow(struct tdm_shadow *sh, struct tdm_run *run, size_t same) {
	int first = lasting(sh, same);
	size_t from = first ? sh->ends[first - 1] : sh->n_before, most = sh->len - from;
	struct split s = {malloc((most + 1) * sizeof *s.tokens), malloc((most + 1) * sizeof *s.ends), 0};
	int status = s.tokens && s.ends ? TDM_OK : tdm_fail(&run->error, TDM_ENOMEM, "no memory to follow an answer");
	if (status == TDM_OK && most > 0) {
		s.n = tdm_align_split(sh->session, sh->text, from, sh->len, s.tokens, s.ends, (int)most);
		status = s.n > 0 ? TDM_OK : TDM_ECONTEXT;
	}
	if (status == TDM_OK)
		status = evaluate(sh, run, first, &s);
	free(s.tokens);
	free(s.ends);
	return status;
}

int tdm_shadow_follow(struct tdm_shadow *sh, struct tdm_run *run, const char *text, size_t len, const float **logits) {
	size_t same = 0, had = sh->len - sh->n_before;
	*logits = NULL;
	if (tdm_utf8_partial(text, len) > 0)
		return TDM_OK;
	if (!grow(sh, sh->n_before + len))
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory to follow an answer of %zu bytes", len);
	while (same < len && same < had && text[same] == sh->text[sh->n_before + same])
		same++;
	memcpy(sh->text + sh->n_before, text, len);
	sh->len = sh->n_before + len;
	int status = follow(sh, run, sh->n_before + same);
	if (status == TDM_OK && sh->row >= 0)
		*logits = sh->session->ops->logits(sh->session, sh->row);
	if (status != TDM_OK) // the tokens that are there know no more of the text
		sh->len = sh->n_before + same;
	return status == TDM_ECONTEXT && run->error.status == TDM_OK ? TDM_OK : status;
}

const int32_t *tdm_shadow_tokens(const struct tdm_shadow *sh, int *n) {
	*n = sh->n;
	return sh->tokens;
}
