// Answers: a table of replies and what they say; normal forms are stable; no answer equals nothing.
#include "tests.h"
#include "models/answer.h"
#include "models/kind.h"

static const struct {
	const char *reply;
	enum tdm_answer_type type;
	const char *normal; // NULL = no answer
} cases[] = {
    {"The sum is 12.", TDM_ANSWER_NUMBER, "12"},
    {"3 + 4 = 7", TDM_ANSWER_NUMBER, "7"},
    {"It costs $1,234.50 today", TDM_ANSWER_NUMBER, "1234.5"},
    {"-$5", TDM_ANSWER_NUMBER, "-5"},
    {"answer: \xe2\x88\x92"
     "0.50 m",
     TDM_ANSWER_NUMBER, "-0.5"},
    {"3/4", TDM_ANSWER_NUMBER, "0.75"},
    {"1/0", TDM_ANSWER_NUMBER, "0"},
    {"0.333333333333", TDM_ANSWER_NUMBER, "0.333333333"},
    {"so \\boxed{42} and 43", TDM_ANSWER_NUMBER, "42"},
    {"\\boxed{1} then \\boxed{\\frac{1}{2}}", TDM_ANSWER_EXACT, "\\frac{1}{2}"},
    {"Answer: 5 apples (2 red)", TDM_ANSWER_NUMBER, "5"},
    {"Let me think.\nAnswer: 5\nA: 6", TDM_ANSWER_NUMBER, "6"},
    {"The answer: 7 is 8", TDM_ANSWER_NUMBER, "8"},
    {"{\"answer\": \"x 9\", \"why\": 1}", TDM_ANSWER_NUMBER, "9"},
    {"{\"answer\": 3.0}", TDM_ANSWER_NUMBER, "3"},
    {"1,2,3", TDM_ANSWER_NUMBER, "3"},
    {"-0", TDM_ANSWER_NUMBER, "0"},
    {"none at all", TDM_ANSWER_NUMBER, NULL},
    {"", TDM_ANSWER_TEXT, NULL},
    {"Answer:  ", TDM_ANSWER_TEXT, NULL},
    {"  Paris.\n", TDM_ANSWER_TEXT, "paris"},
    {"A:  New\t YORK", TDM_ANSWER_TEXT, "new york"},
    {"Paris.", TDM_ANSWER_EXACT, "Paris."},
    {"STRASSE \xef\xbc\xa1", TDM_ANSWER_TEXT, "strasse a"},
    {"B", TDM_ANSWER_CHOICE, "B"},
    {"b.", TDM_ANSWER_CHOICE, "B"},
    {"(c) since a is wrong", TDM_ANSWER_CHOICE, "C"},
    {"D) A cat is a pet", TDM_ANSWER_CHOICE, "D"},
    {"I think the answer is: **E**.", TDM_ANSWER_CHOICE, "E"},
    {"Not (A), so option B", TDM_ANSWER_CHOICE, "B"},
    {"\\boxed{C}", TDM_ANSWER_CHOICE, "C"},
    {"A cat is a pet", TDM_ANSWER_CHOICE, NULL},
    {"ABC", TDM_ANSWER_CHOICE, NULL},
    {"a", TDM_ANSWER_CHOICE, "A"},
    {"{\"b\": [1.0, true], \"a\": {\"y\": null, \"x\": \"\u00e9\"}}", TDM_ANSWER_JSON,
     "{\"a\":{\"x\":\"\u00e9\",\"y\":null},\"b\":[1,true]}"},
    {"```json\n{\"answer\": 1e1}\n```", TDM_ANSWER_JSON, "{\"answer\":10}"},
    {"```{}", TDM_ANSWER_JSON, NULL},
    {"{\"a\": 1", TDM_ANSWER_JSON, NULL},
    {"on 2024-02-29", TDM_ANSWER_DATE, "2024-02-29"},
    {"2023-02-29", TDM_ANSWER_DATE, NULL},
    {"the 3rd of May 2024", TDM_ANSWER_DATE, "2024-05-03"},
    {"Sept 7, 2021", TDM_ANSWER_DATE, "2021-09-07"},
    {"31.12.1999", TDM_ANSWER_DATE, "1999-12-31"},
    {"12/31/1999 then 1/2/2000", TDM_ANSWER_DATE, "2000-01-02"},
    {"in 2024", TDM_ANSWER_DATE, NULL},
};

static void test_table(void **state) {
	for (size_t i = 0; i < TDM_COUNT(cases); i++) {
		struct tdm_bytes out, again;
		tdm_bytes_init(&out, 100);
		tdm_bytes_init(&again, 100);
		bool found = tdm_answer_read(&out, cases[i].reply, strlen(cases[i].reply), cases[i].type);
		if (found != (cases[i].normal != NULL) || (found && strcmp(out.data, cases[i].normal) != 0))
			fail_msg("\"%s\" gives \"%s\"", cases[i].reply, found ? out.data : "no answer");
		if (found) { // the normal form of a normal form is itself
			assert_true(tdm_answer_normal(&again, out.data, out.len, cases[i].type));
			assert_string_equal(again.data, out.data);
		}
		tdm_bytes_release(&out);
		tdm_bytes_release(&again);
	}
}

static bool same(size_t i, size_t j, enum tdm_answer_type type) {
	const char *a = cases[i].reply, *b = cases[j].reply;
	return tdm_answer_same(a, strlen(a), b, strlen(b), type);
}

static void test_equivalence(void **state) {
	size_t n = TDM_COUNT(cases);
	for (int type = TDM_ANSWER_EXACT; type <= TDM_ANSWER_JSON; type++)
		for (size_t i = 0; i < n; i++)
			for (size_t j = 0; j < n; j++) {
				assert_int_equal(same(i, j, type), same(j, i, type));
				for (size_t k = 0; k < n && same(i, j, type); k++)
					assert_true(!same(j, k, type) || same(i, k, type));
			}
	assert_false(tdm_answer_same("", 0, "", 0, TDM_ANSWER_TEXT));
	assert_true(tdm_answer_same("It is 5.0", 9, "5", 1, TDM_ANSWER_NUMBER));
}

int tdm_test_answer(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_equivalence)};
	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
