// Relations between a question and its answer: each by hand, and for texts that nobody meant.
#include "tests.h"
#include "base/random.h"
#include "models/predict/relations.h"
#include <stdio.h>
#include <stdlib.h>

static double relate(const char *question, const char *answer, enum tdm_relation which) {
	double out[TDM_N_RELATIONS];
	tdm_relations(question, strlen(question), answer, strlen(answer), out);
	for (int i = 0; i < TDM_N_RELATIONS; i++)
		assert_true(out[i] >= -1 && out[i] <= 1);
	return out[which];
}

static const char passage[] =
    "Karin Jensen is a tailor. Her card number is 5428 1742. Ruth Tanaka works in Ghent. Write to "
    "her at ruth@example.org. Noah Popa is from Basel.\nWhat is the card number of ";

static void relations_by_hand(void **state) {
	static const struct {
		const char *question, *answer;
		enum tdm_relation which;
		double is;
	} rows[] = {
	    {"Sort: 41 7 93", "7 41 93", TDM_REL_PERMUTED, 1},
	    {"Sort: 41 7 93", "7 41 94", TDM_REL_PERMUTED, -1},
	    {"Sort: 41 7 93", "7 41 93", TDM_REL_SORTED, 1}, // as numbers, where as words it is not
	    {"Sort: 41 7 93", "41 93 7", TDM_REL_SORTED, -1},
	    {"Sort: pear fig", "pear fig", TDM_REL_SORTED, 1},
	    {"Sort: 41 7 93", "7", TDM_REL_SORTED, 0},
	    {"Backwards: a b c", "c b a", TDM_REL_REVERSED, 1},
	    {"Backwards: a b c", "c a b", TDM_REL_REVERSED, -1},
	    {"What is 12 * 7?", "84", TDM_REL_RESULT, 1},
	    {"What is 12 - 7?", "6", TDM_REL_RESULT, -1},
	    {"1 min 16 s in seconds?", "76", TDM_REL_RESULT, 1},
	    {"2.5 + 1.5 = ?", "4", TDM_REL_RESULT, 1},
	    {"What is 12?", "84", TDM_REL_RESULT, 0},
	    {"7 weeks in days?", "49", TDM_REL_RATIO, 1},
	    {"7 weeks in days?", "43", TDM_REL_RATIO, -1},
	    {"470 min in h and min?", "7 h 50 min", TDM_REL_RATIO, 1},
	    {"Count lamp in: lamp snow lamp", "2", TDM_REL_COUNTED, 1},
	    {"Count lamp in: lamp snow lamp", "3", TDM_REL_COUNTED, -1},
	    {"Count 9 in: 1 2 1 3", "0", TDM_REL_COUNTED, 1},
	    {"How often is uncle in uncle lamp uncle uncle", "3", TDM_REL_COUNTED, 1},
	    {"What time is it 20 minutes after 23:50?", "00:10", TDM_REL_TIME, 1},
	    {"What time is it 20 minutes after 23:50?", "23:30", TDM_REL_TIME, -1},
	    {"What time is it 1 h 50 min before 21:15?", "19:25", TDM_REL_TIME, 1},
	    {"How many minutes from 11:35 to 12:55?", "80", TDM_REL_TIME, 1},
	    {"Say something.", "It is said.", TDM_REL_ENDED, 1},
	    {"Say something.", "It is", TDM_REL_ENDED, -1},
	    {"Say something.", "It is is", TDM_REL_REPEATED, 1},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (relate(rows[i].question, rows[i].answer, rows[i].which) != rows[i].is)
			fail_msg("%s -> %s: %s is %g", rows[i].question, rows[i].answer, tdm_relation_names[rows[i].which],
			         relate(rows[i].question, rows[i].answer, rows[i].which));
}

static double ask(const char *who, const char *answer, enum tdm_relation which) {
	char question[512];
	snprintf(question, sizeof question, "%s%s?", passage, who);
	return relate(question, answer, which);
}

static void values_belong_to_persons(void **state) {
	assert_true(ask("Karin Jensen", "5428 1742", TDM_REL_OWNER) == 1);
	assert_true(ask("Ruth Tanaka", "5428 1742", TDM_REL_OWNER) == -1);
	assert_true(ask("the tailor", "5428 1742", TDM_REL_OWNER) == 1); // who that is stands in the passage
	assert_true(ask("Karin Jensen", "5428 1742", TDM_REL_CONTEXT) == 1);
	assert_true(ask("Ruth Tanaka", "ruth@example.org", TDM_REL_CONTEXT) == -1); // no card
	assert_true(ask("Karin Jensen", "5428 1743", TDM_REL_WHOLE) == -1);
	assert_true(ask("Karin Jensen", "not stated", TDM_REL_ABSENT) == 1);
	assert_true(ask("Karin Jensen", "not stated", TDM_REL_EXPECTED) == -1);
	assert_true(ask("Noah Popa", "not stated", TDM_REL_EXPECTED) == 0.5); // there, without what is asked for
	assert_true(ask("Olga Reed", "not stated", TDM_REL_EXPECTED) == 1);
	// whom a sentence names before the value is who it says it is of
	const char *right = "Dear Noah Popa, the card number of Karin Jensen is 5428 1742.",
	           *wrong = "Dear Noah Popa, the card number of Ruth Tanaka is 5428 1742.";
	assert_true(ask("Karin Jensen, to Noah Popa", right, TDM_REL_OWNER) == 1);
	assert_true(ask("Karin Jensen, to Noah Popa", right, TDM_REL_NAMES) == 1);
	assert_true(ask("Karin Jensen, to Noah Popa", wrong, TDM_REL_OWNER) == -1);
	assert_true(ask("Karin Jensen, to Noah Popa", wrong, TDM_REL_NAMES) == -1);
	assert_true(relate("Who is Karin Jensen?", "Karin Jensen", TDM_REL_OWNER) == 0); // one line: no passage
}

// Bytes of every kind, long and short: no reading past the end, and numbers within their range.
static void any_bytes_will_do(void **state) {
	static char text[40000];
	struct tdm_rng rng;
	tdm_rng_init(&rng, 7);
	for (int run = 0; run < 300; run++) {
		static const char some[] = "AAbz 0189 .,:;?!\n\n@x\xc3\xa9\0";
		size_t n = run ? tdm_rng_below(&rng, run % 10 ? 200 : sizeof text) : 0, cut = n ? tdm_rng_below(&rng, n) : 0;
		double out[TDM_N_RELATIONS];
		char *copy = malloc(n + 1);
		for (size_t i = 0; i < n; i++)
			copy[i] = some[tdm_rng_below(&rng, sizeof some - 1)];
		tdm_relations(copy, cut, copy + cut, n - cut, out);
		for (int i = 0; i < TDM_N_RELATIONS; i++)
			assert_true(out[i] >= -1 && out[i] <= 1);
		free(copy);
	}
}

int tdm_test_relations(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(relations_by_hand),
	    cmocka_unit_test(values_belong_to_persons),
	    cmocka_unit_test(any_bytes_will_do),
	};
	return cmocka_run_group_tests_name("relations", tests, NULL, NULL);
}
