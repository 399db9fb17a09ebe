// The tagger's recipe, small: from a handful of lists and templates of the test's own.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/file.h"
#include "learn/fit_tagger.h"
#include "tests.h"
#include <stdlib.h>
#include <string.h>

static const char lists[] =
    "# names\n[first.a]\nAnna, Bert ,Carla,Emil,Frieda\n[surname]\nStone,Ortega,Vogel,Nakamura\n"
    "[city LOC]\nLisbon,Graz,New Delhi\n[firm.suffix]\nLtd\n[country]\nPeru\n[group]\nDutch\n"
    "[allow]\nMonday\n[word]\nmeeting\n";
static const char templates[] =
    "<person PER>\n{first} {surname}\n{first} {?}\n<text.a>\nMy name is {person} from {city}.\n"
    "{please|now} send it to {person} on Monday\nthe {(}report{)} is {#}{#} pages\\nlong\n";

static struct tdm_tagger_text *make_text(void) {
	struct tdm_tagger_text *text = NULL;
	assert_int_equal(tdm_tagger_text_new(&text, NULL), TDM_OK);
	assert_int_equal(tdm_tagger_text_add(text, "lists", lists, strlen(lists), NULL), TDM_OK);
	assert_int_equal(tdm_tagger_text_add(text, "templates", templates, strlen(templates), NULL), TDM_OK);
	assert_int_equal(tdm_tagger_text_check(text, NULL), TDM_OK);
	return text;
}

static void texts_have_labels_where_their_names_are(void **state) {
	struct tdm_tagger_text *text = make_text();
	struct tdm_labelled made = {0};
	struct tdm_rng rng;
	bool person = false, city = false, braces = false;
	tdm_bytes_init(&made.text, 4096);
	tdm_rng_init(&rng, 7);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(tdm_tagger_text_make(text, &rng, &made, NULL), TDM_OK);
		braces = braces || strstr(made.text.data, "the {report} is ");
		assert_null(strstr(made.text.data, "first"));
		for (size_t k = 0; k < made.n; k++) {
			const char *before = made.text.data + made.spans[k].start;
			assert_true(made.spans[k].end > made.spans[k].start && made.spans[k].end <= made.text.len);
			person = person || made.spans[k].kind == TDM_TAG_PER;
			city = city || (made.spans[k].kind == TDM_TAG_LOC && memcmp(before - 5, "from ", 5) == 0);
		}
	}
	assert_true(person && city && braces);
	tdm_bytes_release(&made.text);
	tdm_tagger_text_free(text);
}

static void assert_no_text(const char *data, const char *why) {
	struct tdm_tagger_text *text = NULL;
	struct tdm_error error = {0};
	assert_int_equal(tdm_tagger_text_new(&text, NULL), TDM_OK);
	int status = tdm_tagger_text_add(text, "a.txt", data, strlen(data), &error);
	if (status == TDM_OK)
		status = tdm_tagger_text_check(text, &error);
	assert_int_equal(status, TDM_EFORMAT);
	if (!strstr(error.text, why))
		fail_msg("\"%s\" says nothing of \"%s\"", error.text, why);
	tdm_tagger_text_free(text);
}

static void bad_templates_are_refused(void **state) {
	assert_no_text("an item\n", "before the first item");
	assert_no_text("[name THING]\nx\n", "PER, LOC, ORG");
	assert_no_text("<other>\nx\n", "{text}");
	assert_no_text("<text>\nhello {nobody}\n", "{nobody}");
	assert_no_text("<text>\nhello {a|b\n", "expected }");
	assert_no_text("<text>\nhello {a|{b}}\n", "{b}");
}

static void fit(uint64_t seed, const struct tdm_tagger_corpus *corpus, struct tdm_bytes *out,
                struct tdm_tagger *tagger) {
	struct tdm_tagger_text *text = make_text();
	struct tdm_fit_lists from = {.text = text, .seed = seed};
	struct tdm_fit_tagger o = {
	    .text = text, .corpus = corpus, .seed = seed, .epochs = 2, .texts = 400, .log2_slots = 14};
	assert_int_equal(tdm_fit_tagger_lists(&from, &o.lists, NULL), TDM_OK);
	assert_int_equal(tdm_fit_tagger(&o, tagger, NULL), TDM_OK);
	assert_int_equal(tdm_tagger_write(tagger, out), TDM_OK);
	tdm_tagger_text_free(text);
}

static void let_go(struct tdm_tagger *tagger) {
	free((void *)(uintptr_t)tagger->lists.blocks);
	free(tagger->owned);
}

static void the_same_seed_gives_the_same_weights(void **state) {
	struct tdm_bytes out[3];
	struct tdm_tagger tagger[3];
	for (int i = 0; i < 3; i++) {
		tdm_bytes_init(&out[i], 1 << 20);
		fit(i < 2 ? 5 : 6, NULL, &out[i], &tagger[i]);
	}
	assert_int_equal(out[0].len, out[1].len);
	assert_memory_equal(out[0].data, out[1].data, out[0].len);
	assert_true(out[2].len != out[0].len || memcmp(out[0].data, out[2].data, out[0].len) != 0);
	for (int i = 0; i < 3; i++) {
		let_go(&tagger[i]);
		tdm_bytes_release(&out[i]);
	}
}

static const char conll[] = "I\tO\nmet\tO\nAnna\tB-person\nVogel\tI-person\nin\tO\nGraz\tB-location\n.\tO\n\n"
                            "my\tO\nphone\tB-product\n\nAcme\tB-corporation\nand\tO\nGraz\tB-location\nwon\tO\n";

static void labelled_sentences_are_read(void **state) {
	struct tdm_tagger_corpus c = {0};
	assert_int_equal(tdm_tagger_corpus_conll(&c, conll, strlen(conll), NULL), TDM_OK);
	assert_int_equal(c.n, 2); // the one with a product is left out
	assert_string_equal(c.items[0].text.data, "I met Anna Vogel in Graz.");
	assert_int_equal(c.items[0].n, 2);
	assert_int_equal(c.items[0].spans[0].start, 6);
	assert_int_equal(c.items[0].spans[0].end, 16);
	assert_int_equal(c.items[1].spans[0].kind, TDM_TAG_ORG);
	tdm_labelled_case(&c.items[0], TDM_CASE_UPPER);
	assert_string_equal(c.items[0].text.data, "I MET ANNA VOGEL IN GRAZ.");
	tdm_labelled_case(&c.items[0], TDM_CASE_LOWER);
	assert_string_equal(c.items[0].text.data, "i met anna vogel in graz.");
	tdm_labelled_case(&c.items[0], TDM_CASE_TITLE);
	assert_string_equal(c.items[0].text.data, "I Met Anna Vogel In Graz.");
	tdm_tagger_corpus_release(&c);
}

static void what_was_learned_is_found_in_every_letter_case(void **state) {
	struct tdm_tagger_corpus c = {0};
	struct tdm_bytes out;
	struct tdm_tagger tagger;
	struct tdm_tagger_measure as_is = {0}, small = {0};
	tdm_bytes_init(&out, 1 << 20);
	assert_int_equal(tdm_tagger_corpus_conll(&c, conll, strlen(conll), NULL), TDM_OK);
	fit(5, &c, &out, &tagger);
	assert_int_equal(tdm_tagger_measure(&tagger, &c, 0, TDM_CASE_SAME, &as_is, NULL), TDM_OK);
	assert_int_equal(tdm_tagger_measure(&tagger, &c, 0, TDM_CASE_LOWER, &small, NULL), TDM_OK);
	assert_int_equal(as_is.names, 5);
	assert_int_equal(as_is.others, 5);
	assert_true(as_is.found >= 4 && small.found >= 4);
	assert_true(as_is.taken <= 1 && small.taken <= 1);
	let_go(&tagger);
	tdm_bytes_release(&out);
	tdm_tagger_corpus_release(&c);
}

static void plain_lines_label_only_first_names(void **state) {
	static const char plain[] = "Yesterday Anna bought apples.\nHe saw Trafalgar from there.\nno names here\n";
	struct tdm_tagger_corpus c = {0};
	struct tdm_tagger_text *text = make_text();
	struct tdm_fit_lists from = {.text = text, .seed = 1};
	struct tdm_gazetteer known;
	assert_int_equal(tdm_fit_tagger_lists(&from, &known, NULL), TDM_OK);
	assert_int_equal(tdm_tagger_corpus_plain(&c, &known, plain, strlen(plain), NULL), TDM_OK);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.items[0].n, 1);
	assert_int_equal(c.items[0].spans[0].start, 10);
	assert_int_equal(c.items[1].n, 0);
	free((void *)(uintptr_t)known.blocks);
	tdm_tagger_text_free(text);
	tdm_tagger_corpus_release(&c);
}

static void the_shipped_lists_and_templates_are_whole(void **state) {
	static const char *const files[] = {"weights/tagger/lists.txt", "weights/tagger/templates.txt"};
	struct tdm_tagger_text *text = NULL;
	struct tdm_error error = {0};
	assert_int_equal(tdm_tagger_text_new(&text, NULL), TDM_OK);
	for (size_t i = 0; i < 2; i++) {
		struct tdm_bytes bytes;
		assert_int_equal(tdm_file_read(files[i], 1 << 20, &bytes, NULL), TDM_OK);
		assert_int_equal(tdm_tagger_text_add(text, files[i], bytes.data, bytes.len, &error), TDM_OK);
		tdm_bytes_release(&bytes);
	}
	if (tdm_tagger_text_check(text, &error) != TDM_OK)
		fail_msg("%s", error.text);
	tdm_tagger_text_free(text);
}

int tdm_test_fit_tagger(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_have_labels_where_their_names_are),
	    cmocka_unit_test(bad_templates_are_refused),
	    cmocka_unit_test(the_same_seed_gives_the_same_weights),
	    cmocka_unit_test(labelled_sentences_are_read),
	    cmocka_unit_test(what_was_learned_is_found_in_every_letter_case),
	    cmocka_unit_test(plain_lines_label_only_first_names),
	    cmocka_unit_test(the_shipped_lists_and_templates_are_whole),
	};
	return cmocka_run_group_tests_name("fit_tagger", tests, NULL, NULL);
}
