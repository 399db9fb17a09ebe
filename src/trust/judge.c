// Judge: see judge.h. Fails closed: an error of the judge ends the request with guard_unavailable, unless the client
// has left or the deadline has passed.
#include "trust/judge.h"
#include "base/text.h"
#include <math.h>
#include <string.h>

static const char *question(struct tdm_run *run, const char *form, const char *text, size_t n, size_t *len) {
	const char *mark = strstr(form, "%s");
	size_t before = (size_t)(mark - form), after = strlen(mark + 2);
	char *out = tdm_arena_alloc(run->arena, before + n + after + 1);
	if (!out)
		return NULL;
	memcpy(out, form, before);
	memcpy(out + before, text, n);
	memcpy(out + before + n, mark + 2, after + 1);
	*len = before + n + after;
	return out;
}

static int failed(struct tdm_run *run, const struct tdm_model *judge, int status) {
	char why[sizeof run->error.text];
	if (status == TDM_EGONE || status == TDM_EDEADLINE)
		return status;
	memcpy(why, run->error.text, sizeof why);
	tdm_error_clear(&run->error);
	return tdm_fail(&run->error, TDM_EGUARD, "the judge %s could not answer (%.300s); nothing is released", judge->name,
	                *why ? why : "no reason given");
}

static int ask_piece(struct tdm_model *judge, struct tdm_run *run, const char *form, const char *text, size_t n,
                     double *harmful) {
	static const char *const answers[] = {"yes", "no"};
	struct tdm_message message = {.from = TDM_FROM_USER};
	struct tdm_request request;
	double ln[2] = {NAN, NAN};
	tdm_request_init(&request);
	message.text = question(run, form, text, n, &message.len);
	if (!message.text)
		return tdm_fail(&run->error, TDM_ENOMEM, "guard: no memory for a question to the judge");
	request.messages = &message;
	request.n_messages = 1;
	request.purpose = "guard";
	int status = judge->ops->score(judge, run, &request, answers, 2, ln, NULL);
	*harmful = 1 / (1 + exp(ln[1] - ln[0]));
	if (status != TDM_OK || isnan(*harmful))
		return failed(run, judge, status);
	return TDM_OK;
}

// The end of a piece that begins at `at`: whole characters, at a space when there is one in its second half.
static size_t piece_end(const char *text, size_t n, size_t at) {
	size_t end = n - at <= TDM_JUDGE_BYTES ? n : at + TDM_JUDGE_BYTES, space = end;
	while (end < n && end > at + 1 && ((unsigned char)text[end] & 0xC0) == 0x80)
		end--;
	while (end < n && space > at + TDM_JUDGE_BYTES / 2 && text[space] != ' ')
		space--;
	return end < n && text[space] == ' ' ? space : end;
}

int tdm_judge_ask(struct tdm_model *judge, struct tdm_run *run, const char *form, const char *text, size_t n,
                  double *harmful) {
	int status = TDM_OK;
	*harmful = 0;
	for (size_t at = 0; at < n && status == TDM_OK;) {
		double p = 0;
		size_t end = piece_end(text, n, at);
		status = tdm_run_check(run);
		if (status == TDM_OK)
			status = ask_piece(judge, run, form, text + at, end - at, &p);
		if (status == TDM_OK && p > *harmful)
			*harmful = p;
		at = end;
	}
	return status;
}
