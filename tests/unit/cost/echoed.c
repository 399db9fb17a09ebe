// What an echo says of a draft: only tokens that the upstream ranks first behind its own count, and what is in doubt
// does not.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cost/speculate/echoed.h"
#include "tests.h"

enum { MOST = 12 };

struct said { // an echo: each token's text, and what the upstream ranks first in its place ("" = the token itself)
	struct tdm_scored tokens[MOST];
	struct tdm_alternative alternatives[MOST][2];
	struct tdm_echo echo;
	char text[200];
	size_t ends[MOST];
	struct tdm_echoed e;
};

// tokens: "text" or "text=first", ended by NULL; the first n_context of them are the context, the next n_answer the
// answer so far, the last n_after written.
static struct tdm_judged judge(struct said *s, const char *const *tokens, int n_context, int n_answer, int n_after) {
	int n = 0;
	memset(s, 0, sizeof *s);
	for (; tokens[n]; n++) {
		const char *other = *tokens[n] ? strchr(tokens[n] + 1, '=') : NULL;
		struct tdm_scored *t = &s->tokens[n];
		struct tdm_alternative *a = s->alternatives[n];
		*t = (struct tdm_scored){.text = tokens[n], .len = other ? (size_t)(other - tokens[n]) : strlen(tokens[n])};
		t->logprob = other ? -2 : -1;
		a[0] = (struct tdm_alternative){other ? other + 1 : t->text, other ? strlen(other + 1) : t->len, -1};
		a[1] = (struct tdm_alternative){t->text, t->len, -2};
		t->alternatives = a;
		t->n_alternatives = other ? 2 : 1;
	}
	s->echo = (struct tdm_echo){.tokens = s->tokens, .n = n - n_after, .n_after = n_after};
	s->e = (struct tdm_echoed){.echo = &s->echo, .text = s->text, .ends = s->ends, .n_ends = n_answer};
	for (int i = 0; i < n - n_after; i++) {
		strncat(s->text, s->tokens[i].text, s->tokens[i].len);
		if (i < n_context)
			s->e.n_context = strlen(s->text);
		else if (i < n_context + n_answer)
			s->ends[i - n_context] = strlen(s->text);
	}
	s->e.n_text = strlen(s->text);
	return tdm_echoed_judge(&s->e);
}

#define TOKENS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void what_it_would_have_written_counts(void **state) {
	struct said s;
	struct tdm_judged j = judge(&s, TOKENS("one", " two", " a", " b", " c", " d"), 2, 1, 1);
	assert_true(j.fits);
	assert_int_equal(j.n_context, 2);
	assert_int_equal(j.n, 2);
	assert_int_equal(j.n_drafted, 2);
	assert_ptr_equal(j.tokens, &s.tokens[3]);
	assert_ptr_equal(j.next, &s.tokens[5]);
	assert_false(j.is_end);
	assert_null(j.wish);
	j = judge(&s, TOKENS("one", " a", " b", " c= C", " d", " e"), 1, 1,
	          1); // and nothing behind the first that does not
	assert_int_equal(j.n, 1);
	assert_null(j.next);
	assert_int_equal(j.n_wish, 2);
	assert_memory_equal(j.wish, " C", 2);
	j = judge(&s, TOKENS("one", " a", " b"), 1, 1, 1); // no draft: what is written
	assert_int_equal(j.n, 0);
	assert_ptr_equal(j.next, &s.tokens[2]);
}

static void the_end_is_what_the_upstream_ends(void **state) {
	struct said s;
	judge(&s, TOKENS("one", " a", " b", ""), 1, 0, 1);
	s.echo.is_end = true;
	struct tdm_judged j = tdm_echoed_judge(&s.e);
	assert_int_equal(j.n, 2);
	assert_true(j.is_end && !j.next);
	judge(&s, TOKENS("one", " a= A", " b", ""), 1, 0, 1); // an end behind a draft that is not its own means nothing
	s.echo.is_end = true;
	j = tdm_echoed_judge(&s.e);
	assert_int_equal(j.n, 0);
	assert_false(j.is_end);
	s.echo.n_after = 0;
	s.tokens[1].logprob = -1; // now it is
	s.tokens[1].n_alternatives = 1;
	j = tdm_echoed_judge(&s.e);
	assert_true(j.is_end);
	assert_int_equal(j.n, 2);
}

static void what_is_in_doubt_does_not_count(void **state) {
	static const char *const doubtful[] = {"</s>", "<|im_end|>", "[INST]", "bytes:\\xf0\\x9f", "a\xEF\xBF\xBD", ""};
	struct said s;
	for (size_t i = 0; i < sizeof doubtful / sizeof *doubtful; i++) {
		char other[40];
		snprintf(other, sizeof other, " a=%s", doubtful[i]);
		struct tdm_judged j = judge(&s, TOKENS("one", other, " b"), 1, 0, 0);
		assert_int_equal(j.n, 0);
		assert_null(j.wish); // no text to begin a draft with
		if (*doubtful[i]) {
			j = judge(&s, TOKENS("one", doubtful[i], " b"), 1, 0, 0);
			assert_int_equal(j.n, 0); // nor to be told from what it stands for
		}
		j = judge(&s, TOKENS("one", " a", doubtful[i]), 1, 0, 1);
		assert_int_equal(j.n, 1);
		assert_null(j.next);
	}
	judge(&s, TOKENS("one", " a= A", " b"), 1, 0, 0); // two that are equally likely: which one it takes is not known
	s.tokens[1].logprob = s.alternatives[1][1].logprob = -1;
	struct tdm_judged j = tdm_echoed_judge(&s.e);
	assert_int_equal(j.n, 0);
	assert_null(j.wish);
	judge(&s, TOKENS("one", " a", " b"), 1, 0, 0); // nothing is said of it
	s.tokens[1].logprob = NAN;
	assert_int_equal(tdm_echoed_judge(&s.e).n, 0);
	s.tokens[1].logprob = -1;
	s.tokens[1].n_alternatives = 0;
	assert_int_equal(tdm_echoed_judge(&s.e).n, 0);
}

static void words_split_otherwise_do_not_fit(void **state) {
	struct said s;
	assert_true(judge(&s, TOKENS("one", " wa", "ter", " b"), 1, 2, 0).fits);
	s.ends[0]++; // it was written in other pieces
	assert_false(tdm_echoed_judge(&s.e).fits);
	judge(&s, TOKENS("one", " water", " b"), 1, 1, 0);
	s.ends[0]--; // the draft has joined the answer's last word
	assert_false(tdm_echoed_judge(&s.e).fits);
	judge(&s, TOKENS("one", " a", " b"), 1, 0, 0);
	s.e.n_context++; // or the answer the context's
	assert_false(tdm_echoed_judge(&s.e).fits);
	judge(&s, TOKENS("one", " a", " b"), 1, 1, 0);
	s.text[1] = 'X'; // another text
	assert_false(tdm_echoed_judge(&s.e).fits);
	s.echo.n = 0;
	assert_false(tdm_echoed_judge(&s.e).fits);
	judge(&s, TOKENS("one", " a", " b", " c"), 1, 1, 0);
	s.text[6] = 'X'; // only the draft is another: it does not count
	struct tdm_judged j = tdm_echoed_judge(&s.e);
	assert_true(j.fits);
	assert_int_equal(j.n, 0);
	assert_null(j.wish);
}

static void a_token_that_texts_begin_with_is_passed(void **state) {
	struct said s;
	judge(&s, TOKENS("<s>", "one", " a", " b"), 2, 1, 0);
	memmove(s.text, s.text + 3, strlen(s.text) - 2);
	s.e.n_text -= 3;
	s.e.n_context -= 3;
	s.ends[0] -= 3;
	struct tdm_judged j = tdm_echoed_judge(&s.e);
	assert_true(j.fits);
	assert_int_equal(j.n, 1);
	assert_int_equal(j.n_context, 2);
	j = judge(&s, TOKENS("", "one", " a", " b"), 2, 1, 0); // or one without a text
	assert_true(j.fits);
	assert_int_equal(j.n, 1);
}

int tdm_test_echoed(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_it_would_have_written_counts),       cmocka_unit_test(the_end_is_what_the_upstream_ends),
	    cmocka_unit_test(what_is_in_doubt_does_not_count),         cmocka_unit_test(words_split_otherwise_do_not_fit),
	    cmocka_unit_test(a_token_that_texts_begin_with_is_passed),
	};
	return cmocka_run_group_tests_name("echoed", tests, NULL, NULL);
}
