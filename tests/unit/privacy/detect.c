// Detection over a conversation: one entity per stretch, context, propagation, the deny list, linear time.
#include "tests.h"
#include "base/clock.h"
#include "base/random.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct found {
	struct tdm_arena arena;
	struct tdm_detector detector;
	struct tdm_dictionary protect;
	struct tdm_finds finds[4];
	struct tdm_error error;
	int status;
};

static void detect(struct found *f, int level, const char *deny, size_t n, const char *const *texts) {
	struct tdm_text t[4];
	memset(f, 0, sizeof *f);
	tdm_arena_init(&f->arena, (size_t)512 << 20);
	f->detector.scanner = shared_scanner();
	if (deny)
		assert_int_equal(tdm_dictionary_add(&f->detector.deny, &f->arena, tdm_entity_deny, deny, strlen(deny)), TDM_OK);
	assert_int_equal(tdm_dictionary_build(&f->detector.deny, &f->arena), TDM_OK);
	for (size_t i = 0; i < n; i++)
		t[i] = (struct tdm_text){.text = texts[i], .n = strlen(texts[i])};
	f->status = tdm_detect(&f->detector, &f->arena, t, n, level, f->finds, &f->protect, &f->error);
}

static void done(struct found *f) {
	tdm_arena_release(&f->arena);
}

static void expect(const struct found *f, size_t text, size_t find, const char *label, size_t start, size_t end) {
	assert_true(f->finds[text].n > find);
	const struct tdm_find *x = &f->finds[text].items[find];
	assert_string_equal(x->entity->label, label);
	assert_int_equal(x->start, start);
	assert_int_equal(x->end, end);
}

static void one_entity_per_stretch(void **state) {
	struct found f;
	detect(&f, 3, NULL, 1,
	       (const char *[]){"card 4111 1111 1111 1111, call 415-555-2671 or mail 4111111111111111@x.org"});
	assert_int_equal(f.finds[0].n, 3);
	expect(&f, 0, 0, "CARD", 5, 24);
	expect(&f, 0, 1, "PHONE", 31, 43);
	expect(&f, 0, 2, "EMAIL", 52, 74);
	done(&f);
}

static void a_mistyped_card_beside_its_word(void **state) {
	struct found f;
	detect(&f, 1, NULL, 2, (const char *[]){"4111 1111 1111 1112 is my card", "4222 2222 2222 2225 duplicates"});
	assert_int_equal(f.finds[0].n, 1);
	expect(&f, 0, 0, "NUMBER", 0, 19);
	assert_int_equal(f.finds[1].n, 0);
	done(&f);
}

static void context_reaches_60_before_and_40_after(void **state) {
	static const struct {
		int before, after;
		bool found;
	} cases[] = {{40, -1, true}, {56, -1, true}, {58, -1, false}, {-1, 30, true}, {-1, 36, true}, {-1, 39, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[256];
		struct found f;
		if (cases[i].before >= 0)
			snprintf(text, sizeof text, "ssn%*s536904399", cases[i].before, "");
		else
			snprintf(text, sizeof text, "536904399%*sssn", cases[i].after, "");
		detect(&f, 1, NULL, 1, (const char *[]){text});
		assert_int_equal(f.finds[0].n, cases[i].found);
		done(&f);
	}
}

static void levels(void **state) {
	const char *text = "4111111111111111 bob@example.org 10.0.0.1 ghp_16C7e42F292c6912E7710c838347Ae178B4a";
	static const size_t expected[] = {0, 2, 4, 4};
	for (int level = 0; level <= 3; level++) {
		struct found f;
		detect(&f, level, NULL, 1, &text);
		assert_int_equal(f.finds[0].n, expected[level]);
		done(&f);
	}
}

static void propagates(void **state) {
	struct found f;
	detect(&f, 2, NULL, 4,
	       (const char *[]){"my ssn is 536904399, my phone 5552671", "again: 536904399",
	                        "536-90-4399 or 536 904 399, not 1536904399", "dial 555 26 71; BOB@example.org"});
	assert_int_equal(f.finds[0].n, 2);
	expect(&f, 1, 0, "SSN", 7, 16);
	assert_int_equal(f.finds[2].n, 2);
	expect(&f, 2, 0, "SSN", 0, 11);
	expect(&f, 2, 1, "SSN", 15, 26);
	expect(&f, 3, 0, "PHONE", 5, 14);
	expect(&f, 3, 1, "EMAIL", 16, 31);
	done(&f);
}

static void denies_exact_strings(void **state) {
	struct found f;
	detect(&f, 1, "projekt blau", 3, (const char *[]){"Projekt Blau starts", "PROJEKT\u00a0BLAU", "projekt blaubeere"});
	expect(&f, 0, 0, "PRIVATE", 0, 12);
	assert_int_equal(f.finds[1].n, 1);
	assert_int_equal(f.finds[2].n, 0);
	done(&f);
}

static void S78_sees_through_disguise(void **state) {
	struct found f;
	detect(&f, 2, NULL, 3,
	       (const char *[]){"４１１１ １１１１ １１１１ １１１１", "4111\u200b1111\u200b1111\u200b1111",
	                        "bob＠example．org"});
	expect(&f, 0, 0, "CARD", 0, strlen("４１１１ １１１１ １１１１ １１１１"));
	expect(&f, 1, 0, "CARD", 0, 16 + 9);
	expect(&f, 2, 0, "EMAIL", 0, strlen("bob＠example．org"));
	done(&f);
}

// Every class of disguise that a decoder knows: the whole of what encodes the value is one find.
static void S78_encodings_are_undone(void **state) {
	static const struct {
		const char *text, *label;
		size_t start, end;
	} rows[] = {
	    {"see bob%40example.org now", "EMAIL", 4, 21},
	    {"see bob&#64;example&#x2e;org now", "EMAIL", 4, 28},
	    {"see bob\\u0040example.org now", "EMAIL", 4, 24},
	    {"see bob&commat;example.org now", "EMAIL", 4, 26},
	    {"x Y2FyZCA0MTExMTExMTExMTExMTEx y", "CARD", 2, 30},
	    {"x bXkgbWFpbCBpcyBib2JAZXhhbXBsZS5vcmc= y", "EMAIL", 2, 37},
	    {"b o b @ e x a m p l e . o r g", "EMAIL", 0, 29},
	    {"call + 1   4 1 5 - 8 1 1 - 3 7 4 5", "PHONE", 5, 34},
	    {"{\"a\":\"bob\\\\u0040example.org\"}", "EMAIL", 6, 27},
	    {"4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1 ok", "CARD", 0, 31},
	    {"4111%201111%201111%201111", "CARD", 0, 25},
	    {"b\u043eb@ex\u0430mple.org", "EMAIL", 0, 17},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct found f;
		detect(&f, 2, NULL, 1, &rows[i].text);
		if (f.finds[0].n != 1 || strcmp(f.finds[0].items[0].entity->label, rows[i].label) != 0 ||
		    f.finds[0].items[0].start != rows[i].start || f.finds[0].items[0].end != rows[i].end)
			fail_msg("%s: %zu found, %s %zu-%zu", rows[i].text, f.finds[0].n,
			         f.finds[0].n ? f.finds[0].items[0].entity->label : "",
			         f.finds[0].n ? f.finds[0].items[0].start : 0, f.finds[0].n ? f.finds[0].items[0].end : 0);
		done(&f);
	}
}

// A value of the deny list, and one that was found elsewhere, are known under an encoding too.
static void S78_known_values_are_seen_through_encodings(void **state) {
	struct found f;
	detect(&f, 2, "projekt blau", 3,
	       (const char *[]){"Projekt%20Blau", "my phone is 5552671", "UHJvamVrdCBCbGF1IGFuZCA1NTUyNjcx"});
	assert_int_equal(f.finds[0].n, 1);
	expect(&f, 0, 0, "PRIVATE", 0, 14);
	assert_int_equal(f.finds[2].n, 1);
	expect(&f, 2, 0, "PRIVATE", 0, 32);
	done(&f);
}

// What is listed is known across two turns as well, with and without a blank at the seam.
static void S79_a_listed_value_split_across_turns(void **state) {
	static const char *const texts[] = {"about Projekt Nord", "licht and Projekt", "Nordlicht"};
	struct tdm_text t[3];
	struct found f;
	memset(&f, 0, sizeof f);
	tdm_arena_init(&f.arena, 1 << 24);
	f.detector.scanner = shared_scanner();
	assert_int_equal(tdm_dictionary_add(&f.detector.deny, &f.arena, tdm_entity_deny, "projekt nordlicht", 17), TDM_OK);
	assert_int_equal(tdm_dictionary_build(&f.detector.deny, &f.arena), TDM_OK);
	for (size_t i = 0; i < 3; i++) {
		t[i] = (struct tdm_text){.text = texts[i], .n = strlen(texts[i])};
		t[i].strand = 1;
	}
	assert_int_equal(tdm_detect(&f.detector, &f.arena, t, 3, 2, f.finds, &f.protect, &f.error), TDM_OK);
	expect(&f, 0, 0, "PRIVATE", 6, 18);
	expect(&f, 1, 0, "PRIVATE", 0, 5);
	expect(&f, 1, 1, "PRIVATE", 10, 17);
	expect(&f, 2, 0, "PRIVATE", 0, 9);
	tdm_arena_release(&f.arena);
}

// What the user says in two turns is one text; what the assistant said in between is not.
static void S79_a_value_split_across_turns(void **state) {
	static const char *const texts[] = {"my card is 4111 1111", "go on", "1111 1111, thanks", "b@"};
	struct tdm_text t[4];
	struct found f;
	memset(&f, 0, sizeof f);
	tdm_arena_init(&f.arena, 1 << 24);
	f.detector.scanner = shared_scanner();
	assert_int_equal(tdm_dictionary_build(&f.detector.deny, &f.arena), TDM_OK);
	for (size_t i = 0; i < 4; i++)
		t[i] = (struct tdm_text){.text = texts[i], .n = strlen(texts[i])};
	t[0].strand = t[2].strand = 1;
	assert_int_equal(tdm_detect(&f.detector, &f.arena, t, 3, 2, f.finds, &f.protect, &f.error), TDM_OK);
	expect(&f, 0, 0, "CARD", 11, 20);
	assert_int_equal(f.finds[1].n, 0);
	expect(&f, 2, 0, "CARD", 0, 9);
	done(&f);
}

// A value that stands whole at the end of a turn does not go on in the next one, with or without a full stop behind it.
static void a_whole_value_ends_with_its_turn(void **state) {
	static const char *const rows[][2] = {{"write to mira57@mail.example.com.", "Confirm the number"},
	                                      {"write to mira57@mail.example.com", "again, please"},
	                                      {"my card is 4111 1111 1111 1111.", "2 of them, please"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tdm_text t[2] = {{.text = rows[i][0], .n = strlen(rows[i][0]), .strand = 1},
		                        {.text = rows[i][1], .n = strlen(rows[i][1]), .strand = 1}};
		struct found f;
		memset(&f, 0, sizeof f);
		tdm_arena_init(&f.arena, 1 << 24);
		f.detector.scanner = shared_scanner();
		assert_int_equal(tdm_dictionary_build(&f.detector.deny, &f.arena), TDM_OK);
		assert_int_equal(tdm_detect(&f.detector, &f.arena, t, 2, 2, f.finds, &f.protect, &f.error), TDM_OK);
		assert_int_equal(f.finds[0].n, 1);
		assert_int_equal(f.finds[0].items[0].end, strlen(rows[i][0]) - (i != 1));
		assert_int_equal(f.finds[1].n, 0);
		done(&f);
	}
}

// Each strand is a text of its own.
static void S79_a_value_split_across_strands_is_none(void **state) {
	static const char *const texts[] = {"4111 1111", "1111 1111", "4111 1111", "1111 1111"};
	static const int strands[] = {1, 2, 3, 3};
	struct tdm_text t[4];
	struct found f;
	memset(&f, 0, sizeof f);
	tdm_arena_init(&f.arena, 1 << 24);
	f.detector.scanner = shared_scanner();
	assert_int_equal(tdm_dictionary_build(&f.detector.deny, &f.arena), TDM_OK);
	for (size_t i = 0; i < 4; i++) {
		t[i] = (struct tdm_text){.text = texts[i], .n = strlen(texts[i])};
		t[i].strand = strands[i];
	}
	assert_int_equal(tdm_detect(&f.detector, &f.arena, t, 4, 2, f.finds, &f.protect, &f.error), TDM_OK);
	assert_int_equal(f.finds[0].n, 0);
	expect(&f, 2, 0, "CARD", 0, 9);
	expect(&f, 3, 0, "CARD", 0, 9);
	done(&f);
}

// A number alone in a field whose name says what it is; other packs than the wanted ones are off.
static void names_of_fields_and_packs(void **state) {
	static const struct {
		const char *field, *text, *label, *packs;
	} rows[] = {{"ssn", "536904399", "SSN", NULL},      {"customerSsn", "536904399", "SSN", NULL},
	            {"card_pin", "4711", NULL, NULL},       {"title", "536904399", NULL, NULL},
	            {"bsn", "111222333", "BSN", "us nl"},   {"bsn", "111222333", NULL, "us"},
	            {"account", "12345678", "ACCOUNT", ""}, {"accountNumber", "12345678", "ACCOUNT", "us"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct found f;
		struct tdm_text text = {.text = rows[i].text, .n = strlen(rows[i].text)};
		char *packs[] = {"us", "nl"};
		struct tdm_detector_lists lists = {.packs = {.items = (void *)packs}};
		lists.packs.n = !rows[i].packs || !*rows[i].packs ? 0 : strlen(rows[i].packs) == 2 ? 1 : 2;
		memset(&f, 0, sizeof f);
		tdm_arena_init(&f.arena, 1 << 24);
		assert_int_equal(tdm_detector_open(&f.detector, &f.arena, "test", &lists, &f.error), TDM_OK);
		text.field = rows[i].field;
		assert_int_equal(tdm_detect(&f.detector, &f.arena, &text, 1, 2, f.finds, &f.protect, &f.error), TDM_OK);
		if (f.finds[0].n != (rows[i].label != NULL) ||
		    (rows[i].label && strcmp(f.finds[0].items[0].entity->label, rows[i].label) != 0))
			fail_msg("%s: %s: %zu found, %s", rows[i].field, rows[i].text, f.finds[0].n,
			         f.finds[0].n ? f.finds[0].items[0].entity->label : "");
		tdm_detector_close(&f.detector);
		done(&f);
	}
}

static void a_pack_that_is_none(void **state) {
	char *packs[] = {"us", "atlantis"};
	struct tdm_detector_lists lists = {.packs = {.items = (void *)packs, .n = 2}};
	struct tdm_detector detector;
	struct tdm_arena arena;
	struct tdm_error error = {0};
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(tdm_detector_open(&detector, &arena, "test", &lists, &error), TDM_ECONFIG);
	assert_non_null(strstr(error.text, "atlantis"));
	tdm_arena_release(&arena);
}

// Failures that other maskers are known for.
static void known_failures_of_others(void **state) {
	static const struct {
		const char *text, *label; // of the one find; NULL = none
	} rows[] = {
	    {"my card 4111 1111 1111 1112", "NUMBER"},        // a mistyped card was dropped
	    {"987-65-4321", "SSN"},                           // a truncated prefix matched the block list
	    {"987-65-4329", "SSN"},                           // numbers that are never given out are somebody's mistake
	    {"666-12-3456", "SSN"},                           //
	    {"000-12-3456", "SSN"},                           //
	    {"219-09-9999 and nothing else", "SSN"},          // famous, and still hidden
	    {"078-05-1120 and nothing else", "SSN"},          //
	    {"{\"a\":{\"b\":\"4111111111111111\"}}", "CARD"}, // one number, reported as several types
	    {"2223003122003222", "CARD"},                     // issuer ranges that were missing
	    {"2200000000000004", "CARD"},                     //
	    {"4111111111111111 is my card", "CARD"},          // words behind were not looked at
	    {"duplicate 536904399 in republic", NULL},        // "lic" matched inside of words
	    {"5105 1051 0510 5100", "CARD"},                  // a number of a person was found inside of a card
	    {"4396 2578 8672 9441", "CARD"}, // both its first and its last twelve digits pass for an Aadhaar
	    {"aadhaar or card: 4396 2578 8672 9441", "CARD"}, //
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int again = 0; again < 2; again++) { // the same text twice gives the same
			struct found f;
			detect(&f, 2, NULL, 1, &rows[i].text);
			if (f.finds[0].n != (rows[i].label != NULL) ||
			    (rows[i].label && strcmp(f.finds[0].items[0].entity->label, rows[i].label) != 0))
				fail_msg("%s: %zu found, %s", rows[i].text, f.finds[0].n,
				         f.finds[0].n ? f.finds[0].items[0].entity->label : "");
			done(&f);
		}
}

static void client_text_that_looks_like_a_token(void **state) {
	struct found f;
	detect(&f, 1, NULL, 1, (const char *[]){"what is EMAIL_7ZK3QX0D and card\\_00000000?"});
	assert_int_equal(f.finds[0].n, 2);
	expect(&f, 0, 0, "LITERAL", 8, 22);
	expect(&f, 0, 1, "LITERAL", 27, 41);
	done(&f);
}

// A word of context counts as a whole word alone; letters and digits of a code are nobody's number; a check digit that
// is wrong is no card. What recognisers of other programs are known to take for somebody's data is left alone.
static void demand_20_checks_and_no_guesses(void **state) {
	static const struct {
		const char *text;
		size_t n;
	} rows[] = {
	    {"my ssn 536904399", 1},
	    {"my ssnx 536904399", 0},
	    {"lessn 536904399", 0},
	    {"assn, 536904399", 0},
	    {"card 4111111111111111", 1},
	    {"published 4111111111111112 in public", 0},
	    {"INTRODUCTORY REMARKS, public library, republic", 0},
	    {"aGVsbG8gd29ybGQ0MTExMTEx/Zm9vYmFyIGJheg==", 0},
	    {"commit 9fceb02d0ae598e95dc970b74767f19372d61af8", 0},
	    {"version 10.2.3, section 1.2.3, ratio 1.2.3.4.5", 0},
	    {"2024-11-23T00:24:48Z, 3.14159, 1e-400", 0},
	    {"std::vector<int>, a::b, 12:34:56", 0},
	    {"user@, @example, a @ b", 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct found f;
		detect(&f, 2, NULL, 1, &rows[i].text);
		if (f.finds[0].n != rows[i].n)
			fail_msg("%s: %zu found", rows[i].text, f.finds[0].n);
		done(&f);
	}
}

static void *detect_often(void *arg) {
	bool *good = arg;
	*good = true;
	for (int i = 0; i < 5; i++) {
		struct found f;
		detect(&f, 2, NULL, 1, (const char *[]){"call 415-555-2671, card 4111111111111111"});
		*good = *good && f.status == TDM_OK && f.finds[0].n == 2;
		done(&f);
	}
	return NULL;
}

static void many_threads_share_one_scanner(void **state) {
	pthread_t threads[64];
	bool good[64];
	for (int i = 0; i < 64; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, detect_often, &good[i]), 0);
	for (int i = 0; i < 64; i++) {
		pthread_join(threads[i], NULL);
		assert_true(good[i]);
	}
}

static double seconds(void) {
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// The time for eight times the text must not be much more than eight times as long. The bound is loose, because the
// machine is shared; quadratic work would be 8 times over it.
static void S45_demand_21_hostile_text_takes_linear_time(void **state) {
	static const char *const units[] = {"1",  "4444 ", "444-", "a@a.",       "12.",      "ghp_",      "ZZ11 ",
	                                    "1:", "key=",  "eyJ.", "card 4111 ", "ab@c.de ", "_AAAAAAAA", "\"@x.yz "};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		double took[2];
		for (int k = 0; k < 2; k++) {
			size_t n = (size_t)(TDM_SANITIZED ? 1 << 14 : 1 << 16) << 3 * k, m = strlen(units[i]);
			struct found f;
			char *text = malloc(n + 1);
			for (size_t at = 0; at < n; at++)
				text[at] = units[i][at % m];
			text[n] = 0;
			double start = seconds();
			detect(&f, 3, NULL, 1, (const char *const[]){text});
			took[k] = seconds() - start;
			assert_true(f.status == TDM_OK || f.status == TDM_EGUARD);
			done(&f);
			free(text);
		}
		if (took[1] > 32 * took[0] + 0.02)
			fail_msg("%s: %.1f ms, eight times of it %.1f ms", units[i], took[0] * 1e3, took[1] * 1e3);
	}
}

// Compiling takes long: masks without patterns of their own share what is compiled, until the last of them has gone.
static void scanners_are_shared(void **state) {
	static const char *const own[] = {"K-[0-9]+"};
	const char text[] = "K-17 and bob@example.org";
	struct tdm_scanner *first, *second, *other;
	struct tdm_scan found;
	assert_int_equal(tdm_scanner_new(NULL, 0, &first, NULL), TDM_OK);
	assert_int_equal(tdm_scanner_new(NULL, 0, &second, NULL), TDM_OK);
	assert_int_equal(tdm_scanner_new(own, 1, &other, NULL), TDM_OK);
	assert_ptr_equal(first, second);
	assert_ptr_not_equal(first, other);
	tdm_scanner_free(first);
	assert_int_equal(tdm_scanner_scan(second, text, sizeof text - 1, &found, NULL), TDM_OK);
	assert_true(found.n_anchors > 0 && found.n_own == 0);
	tdm_scan_release(&found);
	assert_int_equal(tdm_scanner_scan(other, text, sizeof text - 1, &found, NULL), TDM_OK);
	assert_true(found.n_anchors > 0 && found.n_own > 0);
	tdm_scan_release(&found);
	tdm_scanner_free(second);
	tdm_scanner_free(other);
}

// Of n bytes of one pattern with an address at the end, which must be found: processor time, the least of some.
static double time_of(const char *unit, size_t n) {
	static const char last[] = " bob@example.org";
	double least = 1e9;
	char *text = malloc(n + sizeof last);
	for (size_t at = 0, m = strlen(unit); at < n; at++)
		text[at] = unit[at % m];
	memcpy(text + n, last, sizeof last);
	for (int i = 0; i < 5; i++) {
		struct found f;
		double start = seconds();
		detect(&f, 3, NULL, 1, (const char *const[]){text});
		double took = seconds() - start;
		least = took < least ? took : least;
		assert_int_equal(f.status, TDM_OK);
		expect(&f, 0, f.finds[0].n - 1, "EMAIL", n + 1, n + sizeof last - 1);
		done(&f);
	}
	free(text);
	return least;
}

static void S45_a_megabyte_of_digits_or_addresses(void **state) {
	static const char *const units[] = {"1", "a@"};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		double one = time_of(units[i], 1 << 20);
		if (TDM_SANITIZED)
			continue;
		double eight = time_of(units[i], 8 << 20);
		// 20 ms are wanted, and are met alone; what else runs takes memory and time away. A square would be 64 times.
		if (one > 0.060 || eight > 16 * one + 0.010)
			fail_msg("%s: 1 MiB %.1f ms, 8 MiB %.1f ms", units[i], one * 1e3, eight * 1e3);
	}
}

int tdm_test_detect(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scanners_are_shared),
	    cmocka_unit_test(one_entity_per_stretch),
	    cmocka_unit_test(a_mistyped_card_beside_its_word),
	    cmocka_unit_test(context_reaches_60_before_and_40_after),
	    cmocka_unit_test(levels),
	    cmocka_unit_test(propagates),
	    cmocka_unit_test(denies_exact_strings),
	    cmocka_unit_test(S78_sees_through_disguise),
	    cmocka_unit_test(S78_encodings_are_undone),
	    cmocka_unit_test(S78_known_values_are_seen_through_encodings),
	    cmocka_unit_test(S79_a_value_split_across_turns),
	    cmocka_unit_test(S79_a_value_split_across_strands_is_none),
	    cmocka_unit_test(a_whole_value_ends_with_its_turn),
	    cmocka_unit_test(S79_a_listed_value_split_across_turns),
	    cmocka_unit_test(names_of_fields_and_packs),
	    cmocka_unit_test(a_pack_that_is_none),
	    cmocka_unit_test(known_failures_of_others),
	    cmocka_unit_test(client_text_that_looks_like_a_token),
	    cmocka_unit_test(demand_20_checks_and_no_guesses),
	    cmocka_unit_test(many_threads_share_one_scanner),
	    cmocka_unit_test(S45_a_megabyte_of_digits_or_addresses),
	    cmocka_unit_test(S45_demand_21_hostile_text_takes_linear_time),
	};
	return cmocka_run_group_tests_name("detect", tests, NULL, NULL);
}
