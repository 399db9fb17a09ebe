// The egress monitor on its own: the masker is bypassed and clear bytes are shown to it.
#include "tests.h"
#include "privacy/egress.h"
#include <stdio.h>
#include <string.h>

static struct {
	struct tdm_arena arena;
	struct tdm_detector detector;
	struct tdm_dictionary protect;
	struct tdm_restorer tokens;
	struct tdm_guarded_egress egress;
	const struct tdm_spelling *mail;
} t;

static const char *const ours[] = {"model", "usage", "content", "role", "user", "function", "name", "true"};

static const struct tdm_entity *row(const char *label) {
	for (size_t i = 0; i < tdm_n_entities; i++)
		if (strcmp(tdm_entities[i].label, label) == 0)
			return &tdm_entities[i];
	return NULL;
}

static void protect(struct tdm_dictionary *d, const char *label, const char *folded) {
	assert_int_equal(tdm_dictionary_add(d, &t.arena, row(label), folded, strlen(folded)), TDM_OK);
}

static int open_monitor(void **state) {
	static const uint8_t key[32] = {6};
	struct tdm_error error = {0};
	memset(&t, 0, sizeof t);
	tdm_arena_init(&t.arena, 1 << 24);
	t.detector.scanner = shared_scanner();
	protect(&t.detector.deny, "PRIVATE", "projekt blau");
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		protect(&t.detector.deny, "PRIVATE", ours[i]);
	protect(&t.protect, "EMAIL", "jörg@example.org");
	protect(&t.protect, "SSN", "536904399");
	struct tdm_vault *vault = tdm_vault_new(&t.arena, key, TDM_PAYLOAD_BITS);
	int status = tdm_vault_token(vault, row("EMAIL"), "jörg@example.org", 17, "jörg@example.org", 17, &t.mail, &error);
	if (status == TDM_OK)
		status = tdm_dictionary_build(&t.detector.deny, &t.arena);
	if (status == TDM_OK)
		status = tdm_dictionary_build(&t.protect, &t.arena);
	if (status == TDM_OK)
		status = tdm_restorer_init(&t.tokens, &t.arena, vault);
	t.egress = (struct tdm_guarded_egress){{tdm_egress_scan, NULL}, &t.detector, &t.protect, &t.tokens, 2};
	return status;
}

static int close_monitor(void **state) {
	tdm_arena_release(&t.arena);
	return 0;
}

static int scan(const char *bytes, struct tdm_error *error) {
	*error = (struct tdm_error){0};
	return t.egress.base.scan(&t.egress.base, bytes, strlen(bytes), error);
}

static void blocks(void **state) {
	static const char *const bodies[][2] = {
	    {"{\"messages\":[{\"role\":\"user\",\"content\":\"mail jörg@example.org\"}]}", "EMAIL"},
	    {"{\"content\":\"J\\u00d6RG@EXAMPLE.ORG\"}", "EMAIL"},
	    {"{\"content\":\"\\u006a\\u00f6rg\\u0040example.org\"}", "EMAIL"},
	    {"{\"content\":\"jo\\u0308rg@example.org\"}", "EMAIL"},
	    {"{\"jörg@example.org\":1}", "EMAIL"},
	    {"{\"a\":[{\"b\":[\"x\",\"536904399\"]}]}", "US_SSN"},
	    {"{\"a\":\"536-90 4399\"}", "US_SSN"},
	    {"{\"a\":[536904399]}", "US_SSN"},
	    {"{\"owner\":536904399}", "US_SSN"},
	    {"{\"a\":\"PROJEKT  Blau\"}", NULL},
	    {"{\"a\":\"Projekt Blau\"}", "DENY"},
	    {"{\"a\":\"4111 1111 1111 1111\"}", "CARD"},
	    {"{\"a\":4111111111111111}", "CARD"},
	    {"{\"a\":\"41\\u200b11111111111111\"}", "CARD"},
	    {"{\"a\":\"AKIAIOSFODNN7EXAMPLE\"}", "SECRET"},
	    {"{\"a\":\"call +1 415-555-2671\"}", "PHONE"},
	    {"{\"a\":\"10.0.0.1\"}", "IP4"},
	    {"not json: eve@example.org", "EMAIL"},
	    {"{\"a\":\"x\"} 4111 1111 1111 1111", "CARD"},
	    {"[4111 1111 1111 1111]", "CARD"},
	    {"{\"a\":\"\\ud83d\\ude00 +14155552671\"}", "PHONE"},
	};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		struct tdm_error error;
		int status = scan(bodies[i][0], &error);
		if (status != (bodies[i][1] ? TDM_EEGRESS : TDM_OK))
			fail_msg("%s: status %d %s", bodies[i][0], status, error.text);
		if (bodies[i][1]) {
			char wanted[64];
			snprintf(wanted, sizeof wanted, "type %s ", bodies[i][1]);
			assert_non_null(strstr(error.text, wanted));
			assert_null(strstr(error.text, "example")); // the type, never the value
			assert_null(strstr(error.text, "4111"));
		}
	}
}

static void lets_through(void **state) {
	char body[256];
	struct tdm_error error;
	static const char *const bodies[] = {
	    "{\"model\":\"big-1\",\"seed\":4111111111111111,\"max_tokens\":100,\"temperature\":0.7,\"messages\":[]}",
	    "{\"a\":\"the key is [SECRET:github] and [SECRET:generic]\"}",
	    "{\"a\":\"a number 1536904399\"}",
	    "{\"a\":\"call 4155552671\"}",
	    "[]",
	    "",
	    "null",
	    "{\"a\":[true,false,null,1.5e3,-2]}",
	};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		if (scan(bodies[i], &error) != TDM_OK)
			fail_msg("%s: %s", bodies[i], error.text);
	snprintf(body, sizeof body, "{\"a\":\"write to %s@example.org, %s\"}", t.mail->token, t.mail->token);
	assert_int_equal(scan(body, &error), TDM_OK); // our own live token
	assert_int_equal(scan("{\"a\":\"EMAIL_7ZK3QX0D@example.org\"}", &error), TDM_EEGRESS);
}

// Values that read like what every request is written with.
static void names_of_the_wire_are_no_values(void **state) {
	static const struct {
		const char *body;
		bool leaves;
	} rows[] = {
	    {"{\"model\":\"model\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", true},
	    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"the model\"}]}", false},
	    {"{\"messages\":[{\"role\":\"user\",\"content\":\"user\"}]}", false},
	    {"{\"messages\":[{\"role\":\"usage\",\"content\":\"x\"}]}", false},
	    {"{\"usage\":1}", false}, // no name that a dialect writes
	    {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"x\":1}}}]}", true},
	    {"{\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"name\":{}}}}}]}", false},
	    {"{\"tools\":[{\"name\":\"f\",\"input_schema\":{\"role\":\"x\"}}]}", false},
	    {"{\"tools\":[{\"function\":{\"parameters\":{\"x\":1},\"name\":\"f\"}}]}", true},
	    {"{\"json_schema\":{\"content\":1}}", false},
	    {"{\"response_format\":{\"json_schema\":{\"name\":\"x\",\"schema\":{\"type\":\"x\"}}}}", true},
	    {"{\"response_format\":{\"json_schema\":{\"name\":\"x\",\"schema\":{\"role\":\"x\"}}}}", false},
	    {"{\"input\":[{\"role\":\"user\",\"content\":\"x\"}]}", true},
	    {"{\"messages\":[{\"content\":[{\"type\":\"tool_use\",\"input\":{\"name\":1}}]}]}", false},
	    {"{\"messages\":[{\"tool_calls\":[{\"function\":{\"arguments\":\"{\\\"name\\\":1}\"}}]}]}", false},
	    {"{\"model\\u0000\":\"jörg@example.org\"}", false},
	    {"{\"a\":{\"model\":\"jörg@example.org\"}}", false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tdm_error error;
		if (scan(rows[i].body, &error) != (rows[i].leaves ? TDM_OK : TDM_EEGRESS))
			fail_msg("%s: %s", rows[i].body, error.text);
	}
}

static void level_decides(void **state) {
	struct tdm_error error;
	t.egress.level = 1;
	assert_int_equal(scan("{\"a\":\"eve@example.org\"}", &error), TDM_OK);
	assert_int_equal(scan("{\"a\":\"jörg@example.org\"}", &error), TDM_EEGRESS);
	assert_int_equal(scan("{\"a\":\"123-45-6789\"}", &error), TDM_EEGRESS);
	t.egress.level = 2;
}

int tdm_test_egress(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(blocks),
	    cmocka_unit_test(lets_through),
	    cmocka_unit_test(names_of_the_wire_are_no_values),
	    cmocka_unit_test(level_decides),
	};
	return cmocka_run_group_tests_name("egress", tests, open_monitor, close_monitor);
}
