// The judge of gym answers: right or wrong, by the rule of the item.
//
// White space around an answer and one final full stop never count; copied values count to the letter.
#include "eval/gym.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *at;
	size_t n;
};

static struct span trimmed(const char *text, size_t n) {
	struct span s = {text, n};
	while (s.n && isspace((unsigned char)s.at[0]))
		s.at++, s.n--;
	while (s.n && isspace((unsigned char)s.at[s.n - 1]))
		s.n--;
	return s;
}

static struct span without_stop(struct span s) {
	if (s.n && s.at[s.n - 1] == '.')
		s.n--;
	return trimmed(s.at, s.n);
}

static bool same(struct span a, struct span b, bool fold) {
	return a.n == b.n && (fold ? !strncasecmp(a.at, b.at, a.n) : !memcmp(a.at, b.at, a.n));
}

static bool begins(struct span text, const char *with) {
	size_t n = strlen(with);
	return text.n >= n && !strncasecmp(text.at, with, n);
}

// A value counts only as a whole: 555-0187 inside 555-01872 is another number.
static bool bounded(struct span text, size_t at, size_t n) {
	if (!n)
		return true;
	bool left = at == 0 || !isalnum((unsigned char)text.at[at]) || !isalnum((unsigned char)text.at[at - 1]);
	bool right =
	    at + n == text.n || !isalnum((unsigned char)text.at[at + n - 1]) || !isalnum((unsigned char)text.at[at + n]);
	return left && right;
}

static bool contains(struct span text, const char *value, bool fold) {
	size_t n = strlen(value);
	for (size_t at = 0; at + n <= text.n; at++)
		if (same((struct span){text.at + at, n}, (struct span){value, n}, fold) && (fold || bounded(text, at, n)))
			return true;
	return false;
}

int tdm_gym_sentences(const char *text, size_t n) {
	struct span s = trimmed(text, n);
	int count = 0;
	bool open = false; // characters after the last end
	for (size_t i = 0; i < s.n; i++) {
		bool end = strchr(".!?", s.at[i]) && s.at[i];
		if (end && open && (i + 1 == s.n || isspace((unsigned char)s.at[i + 1]))) {
			count++;
			open = false;
		} else if (!end && !isspace((unsigned char)s.at[i])) {
			open = true;
		}
	}
	return count + open;
}

static bool prose_is_right(const struct tdm_gym_item *item, struct span s) {
	int n = tdm_gym_sentences(s.at, s.n);
	if (item->n_sentences ? n != item->n_sentences : n < 1 || n > 2)
		return false;
	if (!s.n || !strchr(".!?", s.at[s.n - 1]) || (item->starts && !begins(s, item->starts)))
		return false;
	for (size_t i = 0; i < item->n_required; i++)
		if (!contains(s, item->required[i], !item->required_exact))
			return false;
	return !begins(s, "I can't help");
}

bool tdm_gym_check(const struct tdm_gym_item *item, const char *answer, size_t n) {
	struct span s = trimmed(answer, n), wanted = {item->answer, strlen(item->answer)};
	switch (item->rule) {
	case TDM_GYM_PREFIX:
		return begins(s, item->starts);
	case TDM_GYM_PROSE:
		return prose_is_right(item, s);
	default:
		return same(without_stop(s), without_stop(wanted), item->rule == TDM_GYM_FOLDED);
	}
}
