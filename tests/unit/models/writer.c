// The writer: every cut of a text into tokens gives the same text, whole characters, and nothing of a stop string.
#include "tests.h"
#include "base/text.h"
#include "models/kind.h"
#include "models/local/writer.h"

enum { N_VOCAB = 32, END = 31, EMPTY = 30 };

// A session whose pieces are the parts of one text.
struct toy {
	struct tdm_session session;
	const char *pieces[N_VOCAB];
	size_t lens[N_VOCAB];
};

static size_t toy_piece(struct tdm_session *s, int32_t token, const char **text) {
	*text = ((struct toy *)s)->pieces[token];
	return ((struct toy *)s)->lens[token];
}

static bool toy_is_end(struct tdm_session *s, int32_t token) {
	return token == END;
}

static const struct tdm_session_ops toy_ops = {.piece = toy_piece, .is_end = toy_is_end};

static void toy_init(struct toy *toy) {
	*toy = (struct toy){.session = {.ops = &toy_ops, .n_vocab = N_VOCAB, .prompt_tokens = 3}};
}

// Cuts text at the set bits (bit i: a cut after byte i); returns the number of pieces.
static int toy_cut(struct toy *toy, const char *text, size_t n, unsigned cuts) {
	int count = 0;
	size_t start = 0;
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || cuts >> i & 1) {
			toy->pieces[count] = text + start;
			toy->lens[count++] = i + 1 - start;
			start = i + 1;
		}
	return count;
}

struct seen {
	struct tdm_sink sink;
	struct tdm_bytes text;
	double sum;
	int n, n_single;
};

static int see(struct tdm_sink *sink, const struct tdm_event *event) {
	struct seen *s = (struct seen *)sink;
	assert_true(event->len > 0 && tdm_utf8_valid(event->text, event->len));
	assert_string_equal(event->author, "toy");
	tdm_bytes_add(&s->text, event->text, event->len);
	s->sum += (double)event->logprob;
	s->n_single += event->token >= 0;
	s->n++;
	return TDM_OK;
}

static const struct {
	const char *text, *stop[3], *expected;
	enum tdm_finish finish;
} cases[] = {
    {"plain text", {NULL}, "plain text", TDM_FINISH_LENGTH},
    {"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", {NULL}, "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", TDM_FINISH_LENGTH},
    {"a\xe2\x82z\xff", {NULL}, "a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd", TDM_FINISH_LENGTH},
    {"ab\xf0\x9f\x98", {NULL}, "ab\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", TDM_FINISH_LENGTH},
    {"one STOP two", {"STOP"}, "one ", TDM_FINISH_STOP},
    {"one STO two", {"STOP"}, "one STO two", TDM_FINISH_LENGTH},
    {"aaaab", {"aab", "b"}, "aa", TDM_FINISH_STOP},
    {"xabcabd!", {"abd", "q"}, "xabc", TDM_FINISH_STOP},
    {"ends in ST", {"STOP"}, "ends in ST", TDM_FINISH_LENGTH},
    {"abz", {"abcd", "b"}, "a", TDM_FINISH_STOP},
    {"ab", {"abcd", "b"}, "a", TDM_FINISH_STOP},
    {"\xc3\xa4\xe2\x82\xac\xc3\xb6", {"\xe2\x82\xac"}, "\xc3\xa4", TDM_FINISH_STOP},
    {"\n\n", {"\n\n"}, "", TDM_FINISH_STOP},
};

static void run_case(size_t i, unsigned cuts) {
	struct toy toy;
	struct bench b;
	struct seen seen = {.sink = {see, NULL}};
	float logits[N_VOCAB] = {0};
	toy_init(&toy);
	bench_open(&b, "q");
	tdm_bytes_init(&seen.text, 1000);
	tdm_bytes_add(&seen.text, "", 0);
	b.request.stop = cases[i].stop;
	while (b.request.n_stop < 3 && cases[i].stop[b.request.n_stop])
		b.request.n_stop++;
	int n = toy_cut(&toy, cases[i].text, strlen(cases[i].text), cuts), status = TDM_OK, t = 0;
	struct tdm_writer *w = tdm_writer_new(&b.run, &b.request, &toy.session, &seen.sink, "toy");
	for (; t < n && status == TDM_OK; t++)
		status = tdm_writer_token(w, t, logits, NULL);
	assert_true(status == TDM_OK || status == TDM_SINK_ENOUGH);
	assert_int_equal(tdm_writer_end(w, &b.result), TDM_OK);
	assert_string_equal(seen.text.len ? seen.text.data : "", cases[i].expected);
	assert_int_equal(b.result.finish, cases[i].finish);
	assert_int_equal(b.result.completion_tokens, t);
	assert_int_equal(b.result.prompt_tokens, 3);
	assert_true(fabs(b.result.mean_logprob + log(N_VOCAB)) < 1e-6);
	if (cases[i].finish == TDM_FINISH_LENGTH) // every token's logprob has left with its bytes
		assert_true(fabs(seen.sum - t * b.result.mean_logprob) < 1e-4);
	tdm_bytes_release(&seen.text);
	bench_close(&b);
}

static void test_every_cut(void **state) {
	for (size_t i = 0; i < TDM_COUNT(cases); i++)
		for (unsigned cuts = 0; cuts < 1u << (strlen(cases[i].text) - 1); cuts++)
			run_case(i, cuts);
}

static void test_limit_and_end(void **state) {
	struct toy toy;
	struct bench b;
	toy_init(&toy);
	toy_cut(&toy, "abcdef", 6, ~0u);
	bench_open(&b, "q");
	b.request.max_tokens = 2;
	struct tdm_writer *w = tdm_writer_new(&b.run, &b.request, &toy.session, &b.collect.sink, "toy");
	assert_int_equal(tdm_writer_token(w, 0, NULL, "other"), TDM_OK);
	assert_string_equal(b.collect.author, "other");
	assert_int_equal(tdm_writer_token(w, 1, NULL, NULL), TDM_SINK_ENOUGH);
	assert_int_equal(tdm_writer_token(w, 2, NULL, NULL), TDM_SINK_ENOUGH); // says no more
	assert_int_equal(tdm_writer_end(w, &b.result), TDM_OK);
	assert_string_equal(b.collect.text.data, "ab");
	assert_int_equal(b.result.finish, TDM_FINISH_LENGTH);
	assert_true(isnan(b.result.mean_logprob) && b.collect.logprobs.n == 0);
	b.request.max_tokens = 0;
	w = tdm_writer_new(&b.run, &b.request, &toy.session, &b.collect.sink, "toy");
	assert_int_equal(tdm_writer_token(w, EMPTY, NULL, NULL), TDM_OK); // a token without bytes counts and says nothing
	assert_int_equal(tdm_writer_token(w, 3, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_writer_token(w, END, NULL, NULL), TDM_SINK_ENOUGH);
	assert_int_equal(tdm_writer_end(w, &b.result), TDM_OK);
	assert_string_equal(b.collect.text.data, "abd");
	assert_int_equal(b.result.finish, TDM_FINISH_STOP);
	assert_int_equal(b.result.completion_tokens, 2);
	bench_close(&b);
}

struct first {
	struct tdm_sink sink;
	int n, status;
	char best[4];
	float logprobs[3];
};

static int keep_first(struct tdm_sink *sink, const struct tdm_event *event) {
	struct first *f = (struct first *)sink;
	for (int i = 0; i < event->n_alternatives && i < 3; i++) {
		f->best[i] = event->alternatives[i].text[0];
		f->logprobs[i] = event->alternatives[i].logprob;
	}
	f->n++;
	return f->status;
}

static void test_sink_answers(void **state) {
	struct toy toy;
	struct bench b;
	float logits[N_VOCAB] = {[0] = 1, [1] = 3, [2] = 2, [3] = 3};
	struct first f = {.sink = {keep_first, NULL}, .status = TDM_SINK_ENOUGH};
	toy_init(&toy);
	toy_cut(&toy, "wxyz", 4, ~0u);
	bench_open(&b, "q");
	b.request.logprobs = true;
	b.request.top_logprobs = 3;
	struct tdm_writer *w = tdm_writer_new(&b.run, &b.request, &toy.session, &f.sink, "toy");
	assert_int_equal(tdm_writer_token(w, 2, logits, NULL), TDM_SINK_ENOUGH);
	assert_string_equal(f.best, "xzy"); // sorted, ties by token id
	assert_true(f.logprobs[0] == f.logprobs[1] && f.logprobs[1] > f.logprobs[2]);
	assert_int_equal(tdm_writer_end(w, &b.result), TDM_OK);
	assert_int_equal(b.result.finish, TDM_FINISH_STOP);
	f.status = TDM_EGONE;
	w = tdm_writer_new(&b.run, &b.request, &toy.session, &f.sink, "toy");
	assert_int_equal(tdm_writer_token(w, 2, logits, NULL), TDM_EGONE);
	assert_int_equal(f.n, 2);
	bench_close(&b);
}

int tdm_test_writer(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_cut),
	    cmocka_unit_test(test_limit_and_end),
	    cmocka_unit_test(test_sink_answers),
	};
	return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
