#include "cost/speculate/echoed.h"
#include "base/text.h"
#include <string.h>

// Text that means itself wherever it stands: not a special token's name, not a piece of a character.
static bool is_sound(const char *text, size_t n) {
	static const char lost[] = "\xEF\xBF\xBD"; // U+FFFD
	if (n == 0 || !tdm_utf8_valid(text, n) || memmem(text, n, lost, 3))
		return false;
	bool is_marked = (text[0] == '<' && text[n - 1] == '>') || (text[0] == '[' && text[n - 1] == ']');
	bool is_name = (n > 2 && is_marked) || (n > 1 && text[0] == '<' && text[1] == '|');
	return !is_name && (n < 6 || memcmp(text, "bytes:", 6) != 0);
}

// The upstream's own choice at temperature 0, beyond doubt.
static bool is_first(const struct tdm_scored *t) {
	if (t->n_alternatives == 0 || !(t->logprob >= t->alternatives[0].logprob))
		return false;
	return t->n_alternatives == 1 || t->alternatives[1].logprob < t->alternatives[0].logprob;
}

struct walk { // along the echo's tokens
	const struct tdm_echoed *e;
	int at, n;   // the token, of how many
	size_t from; // in text, where it begins
};

// Whether the present token stands in the text where it should.
static bool is_there(const struct walk *w) {
	const struct tdm_scored *t = &w->e->echo->tokens[w->at];
	return t->len <= w->e->n_text - w->from && !memcmp(w->e->text + w->from, t->text, t->len);
}

static void go_on(struct walk *w) {
	w->from += w->e->echo->tokens[w->at++].len;
}

// To where a token begins at `to`. False: none does.
static bool walk_to(struct walk *w, size_t to) {
	while (w->at < w->n && w->from < to && is_there(w))
		go_on(w);
	return w->from == to;
}

// The answer in the tokens in which it was written.
static bool walk_answer(struct walk *w, int *n_context) {
	const struct tdm_echoed *e = w->e;
	if (w->n > 0 && !is_there(w))
		w->at++; // a token that texts begin with
	if (!walk_to(w, e->n_context))
		return false;
	*n_context = w->at;
	for (int i = 0; i < e->n_ends; i++) {
		if (w->at == w->n || !is_there(w))
			return false;
		go_on(w);
		if (w->from != e->ends[i])
			return false;
	}
	return true;
}

static void judge_end(const struct walk *w, struct tdm_judged *out) {
	const struct tdm_echo *echo = w->e->echo;
	const struct tdm_scored *next = w->at < echo->n + echo->n_after ? &echo->tokens[w->at] : NULL;
	out->is_end = echo->is_end;
	out->next = next && !echo->is_end && is_sound(next->text, next->len) ? next : NULL;
}

struct tdm_judged tdm_echoed_judge(const struct tdm_echoed *e) {
	struct walk w = {e, 0, e->echo->n + e->echo->n_after, 0};
	struct tdm_judged out = {0};
	out.fits = walk_answer(&w, &out.n_context);
	if (!out.fits)
		return out;
	out.tokens = &e->echo->tokens[w.at];
	out.n_drafted = e->echo->n > w.at ? e->echo->n - w.at : 0;
	while (w.from < e->n_text) {
		const struct tdm_scored *t = w.at < w.n ? &e->echo->tokens[w.at] : NULL;
		if (!t)
			return out;
		if (!is_there(&w) || !is_sound(t->text, t->len) || !is_first(t)) {
			const struct tdm_alternative *first = t->alternatives;
			bool is_other = t->n_alternatives > 0 && first->logprob > t->logprob;
			if (is_other && is_sound(first->text, first->len)) {
				out.wish = first->text;
				out.n_wish = first->len;
			}
			return out;
		}
		go_on(&w);
		out.n++;
	}
	judge_end(&w, &out);
	return out;
}
