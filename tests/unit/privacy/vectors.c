// Vectors: texts with the private value between braces, and texts that hold none of its type. Numbers are the issuers'
// published test numbers, reserved ranges, or made up with a right check digit.
#include "tests.h"
#include <stdio.h>
#include <string.h>

static const char *const cards[] = {"{4111111111111111}",
                                    "my card is {4111 1111 1111 1111}.",
                                    "{4012-8888-8888-1881}",
                                    "{4222222222222} expires soon",
                                    "{4242.4242.4242.4242}",
                                    "{5555555555554444}",
                                    "pay with {5105 1051 0510 5100}",
                                    "{2223003122003222}",
                                    "{2720990000000007}",
                                    "{378282246310005}",
                                    "{3782 822463 10005}",
                                    "{371449635398431}",
                                    "{6011111111111117}",
                                    "{6011 0009 9013 9424}",
                                    "{30569309025904}",
                                    "{3056 930902 5904}",
                                    "{38520000023237}",
                                    "{3530111333300000}",
                                    "{6200000000000005}",
                                    "{2200000000000004}",
                                    "{6759649826438453}",
                                    "{4917610000000000003}",
                                    "x{4111111111111111}y",
                                    "12 {4111 1111 1111 1111}",
                                    "\"cc\":\"{4111111111111111}\"",
                                    NULL};
static const char *const no_cards[] = {"4111111111111112",
                                       "1234567890123456",
                                       "my number 1234 1678 9012 3456 789012",
                                       "0000 0000 0000 0000",
                                       "9999999999999995",
                                       "411111111111111",
                                       "4111-1111 1111.1111",
                                       "1690000000000",
                                       "tracking 41111111111111111111111",
                                       "3.14159265358979",
                                       "12:34:56 2024-11-02",
                                       "7111 1111 1111 1111",
                                       "1111 1111 1111 1117",
                                       "2199999999999999",
                                       "2721000000000004",
                                       "order 123456789012",
                                       "0.333333333333",
                                       "100000000000",
                                       "tel 030 12345678",
                                       "4 1 1 1 1 1 1 1 1 1 1 1",
                                       "18446744073709551615",
                                       NULL};

static const char *const ibans[] = {"{DE89370400440532013000}",
                                    "{DE89 3704 0044 0532 0130 00}",
                                    "IBAN: {GB29 NWBK 6016 1331 9268 19}",
                                    "{FR1420041010050500013M02606}",
                                    "{NL91ABNA0417164300}",
                                    "{CH93 0076 2011 6238 5295 7}",
                                    "{AT611904300234573201}",
                                    "{BE68539007547034}",
                                    "{ES9121000418450200051332}",
                                    "{IT60X0542811101000000123456}",
                                    "{SE4550000000058398257466}",
                                    "{NO9386011117947}",
                                    "{DK5000400440116243}",
                                    "{FI2112345600000785}",
                                    "{PL61109010140000071219812874}",
                                    "{PT50000201231234567890154}",
                                    "{IE29AIBK93115212345678}",
                                    "{LU280019400644750000}",
                                    "{CZ6508000000192000145399}",
                                    "{HU42117730161111101800000000}",
                                    "{GR1601101250000000012300695}",
                                    "{TR330006100519786457841326}",
                                    "{SA0380000000608010167519}",
                                    "{de89370400440532013000} bitte",
                                    "pay {DE89-3704-0044-0532-0130-00} now",
                                    NULL};
static const char *const no_ibans[] = {"DE89370400440532013001",
                                       "DE89 3704 0044 0532 0130",
                                       "GB29NWBK60161331926818",
                                       "FR1420041010050500013M02607",
                                       "DE8937040044053201300",
                                       "DE893704004405320130000",
                                       "NL91ABNA0417164301",
                                       "AB12CDEF34GH56",
                                       "ISO27001 and ISO9001",
                                       "CH9300762011623852956",
                                       "AT611904300234573202",
                                       "QQ12 3456 7890 1234 5678",
                                       "BE68539007547035",
                                       "room AA11 BB22",
                                       "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
                                       "NO9386011117948",
                                       "DK5000400440116244",
                                       "XX00",
                                       "FI2112345600000786",
                                       "SE4550000000058398257467",
                                       NULL};

static const char *const ssns[] = {"{123-45-6789}",           "ssn {536-90-4399}",
                                   "{001 01 0001}",           "{899-99-9998}",
                                   "{667-12-3456}",           "{123.45.6789}",
                                   "{078-05-1120} is famous", "{219-09-9999}",
                                   "{000-12-3456}",           "{666-12-3456}",
                                   "{900-12-3456}",           "{987-65-4320}",
                                   "{123-00-4567}",           "{123-45-0000}",
                                   "{111-11-1111}",           "my social security number is {536904399}",
                                   "SSN: {123456789}",        "{536904399} is my ssn",
                                   "({123-45-6789})",         "\"ssn\":\"{123-45-6789}\"",
                                   "x {536 90 4399}.",        NULL};
static const char *const no_ssns[] = {"123456789",
                                      "12-345-6789",
                                      "123-456-789",
                                      "1234-56-7890",
                                      "123-45-67890",
                                      "0123-45-6789",
                                      "123-45.6789",
                                      "123--45--6789",
                                      "(123)45-6789",
                                      "ssn 000123456",
                                      "ssn 666123456",
                                      "ssn 912345678",
                                      "social security 123006789",
                                      "2024-11-02",
                                      "zip 12345-6789",
                                      "build 123.45.678",
                                      "1-23-45-6789",
                                      "12 34 56 78 9",
                                      "ssn 12345678",
                                      "ssn 1234567890",
                                      NULL};

static const char *const phones[] = {"{+14155552671}",
                                     "{+1 415-555-2671}",
                                     "call {+49 30 901820}",
                                     "{+44 20 7946 0958}",
                                     "{+44 (0)20 7946 0958}",
                                     "{+33 1 70 18 99 00}",
                                     "{+81-3-1234-5678}",
                                     "{+91 98765 43210}",
                                     "{+61 2 9374 4000}",
                                     "{+353 1 437 0000}",
                                     "{415-555-2671}",
                                     "{(415) 555-2671}",
                                     "{415.555.2671}",
                                     "{415 555 2671}",
                                     "{1-415-555-2671}",
                                     "{+1 (415) 555-2671}",
                                     "{(212) 555-0123}",
                                     "{030 12345678}",
                                     "{020 7946 0958}",
                                     "{01 70 18 99 00}",
                                     "{0176 1234567}",
                                     "phone: {4155552671}",
                                     "my mobile is {5552671}",
                                     "reach me at tel {555-2671}",
                                     "whatsapp {15551234567}",
                                     "{+1 415 555 2671 x123}",
                                     "{415-555-2671 ext. 12}",
                                     "{(415)555-2671x00412}",
                                     "{415-555-2671, extension 7}",
                                     "{020 7946 0958 #4}",
                                     "{001-415-555-2671}",
                                     "{0049 30 901820}",
                                     "{011 44 20 7946 0958}",
                                     "{+(44) 20 7946 0958}",
                                     "{+999 12345678}",
                                     "{+33 1 70 18 99}",
                                     "{+1 415 555 267}",
                                     "{115-555-2671}",
                                     "{411-555-2671}",
                                     "{415-911-2671}",
                                     "{(415) 155-2671}",
                                     "{(02) 1234 5678}",
                                     "{(11) 91234-5678}",
                                     "{03 1234 5678}",
                                     "{138 1234 5678}",
                                     "{98765 43210}",
                                     "{612 34 56 78}",
                                     "{532 123 45 67}",
                                     "{612 345 678}.",
                                     "{22 123 456}, please",
                                     "{12-34-56-78}",
                                     "{555 1234}",
                                     "{22 345 67 89}",
                                     "{22 345678}",
                                     "contact: {12345678}",
                                     NULL};
static const char *const no_phones[] = {"4155552671",
                                        "5552671",
                                        "2024-11-02 10:30",
                                        "01.02.2023",
                                        "192.168.100.200",
                                        "1,234,567,890",
                                        "3.14159265",
                                        "+12",
                                        "12345678",
                                        "version 10.2.3.4567",
                                        "00:11:22:33:44:55",
                                        "isbn 9783161484100",
                                        "ratio 1234567/7654321",
                                        "612 345 678 people",
                                        "$ 612 345 678",
                                        "€ 12 345 678",
                                        "612 345 678 %",
                                        "course 101 2024",
                                        "12-10-2023",
                                        "2023-10-12",
                                        "1000-2000",
                                        "500-1000",
                                        "115 555 2671",
                                        "0000-0000-0000",
                                        "12.34.56.78",
                                        "10 20 30 40",
                                        NULL};

static const char *const emails[] = {"{bob@example.com}",
                                     "mail {first.last@sub.example.co.uk}, please",
                                     "{a@b.io}",
                                     "{user+tag@example.org}",
                                     "{o'brien@example.ie}",
                                     "<{x_y@example.museum}>",
                                     "mailto:{bob@example.com}?subject=hi",
                                     "{1@2.com}",
                                     "\"{BOB@EXAMPLE.COM}\"",
                                     "{bob@xn--bcher-kva.example}",
                                     "{bob@example.xn--p1ai}",
                                     "({bob@example.com})",
                                     "{\"john doe\"@example.com}",
                                     "{jörg@example.de}",
                                     "{bob@bücher.de}",
                                     "{user%40x@example.com}",
                                     "{bob@example.com}.",
                                     "{bob@ex-ample.com}",
                                     "user={bob@example.com}&x=1",
                                     "{bob [at] example [dot] com}",
                                     "{bob (at) example.com}",
                                     NULL};
static const char *const no_emails[] = {"bob@",
                                        "@example.com",
                                        "bob@localhost",
                                        "bob@example",
                                        "bob@example.1",
                                        "bob@-example.com",
                                        "bob@example..com",
                                        "bob @ example.com",
                                        "bob@.com",
                                        "meet @ noon.",
                                        "a@b@c",
                                        "@handle",
                                        "user@host:22",
                                        "bob@127.0.0.1",
                                        "x@y.z",
                                        "git@github",
                                        "1@2",
                                        "bob at example dot com",
                                        "decorated @pytest.fixture",
                                        "(at) home",
                                        NULL};

static const char *const ips[] = {"{192.168.1.1}",
                                  "{10.0.0.1}.",
                                  "{255.255.255.255}",
                                  "host {8.8.8.8}:53",
                                  "{172.16.0.0/12}",
                                  "{0.0.0.0}",
                                  "http://{127.0.0.1}/x",
                                  "{2001:db8::1}",
                                  "{2001:0db8:85a3:0000:0000:8a2e:0370:7334}",
                                  "{fe80::1%eth0}",
                                  "{::1}",
                                  "[{2001:db8::8a2e:370:7334}]:443",
                                  "{::ffff:192.0.2.128}",
                                  "{2001:db8::/32}",
                                  "{1::}",
                                  "ip {2001:db8:1:2:3:4:5:6}.",
                                  "{FE80::ABCD}",
                                  "({203.0.113.9})",
                                  "{64:ff9b::192.0.2.33}",
                                  NULL};
static const char *const no_ips[] = {"256.1.1.1",
                                     "1.2.3",
                                     "1.2.3.4.5",
                                     "1.2.3.1234",
                                     "192.168.1",
                                     "1..2.3.4",
                                     "std::vector",
                                     "a::b",
                                     "12:30:45",
                                     "00:11:22:33:44:55",
                                     "::",
                                     "2001:db8",
                                     "1:2:3:4:5:6:7:8:9",
                                     "g::1x",
                                     "12345::1",
                                     "2001:db8::1::2",
                                     "999.999.999.999",
                                     "3.14159",
                                     "10:20",
                                     "v1.2",
                                     NULL};

static const char *const secrets[] = {
    "{AKIAIOSFODNN7EXAMPLE}",
    "key {ASIAY34FZKBOKMUTVV7A} x",
    "{ghp_16C7e42F292c6912E7710c838347Ae178B4a}",
    "{gho_16C7e42F292c6912E7710c838347Ae178B4a}",
    "{github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ0123456789}",
    "{glpat-ABCDEFGHIJ0123456789}",
    "{npm_abcdefghijklmnopqrstuvwxyz0123456789}",
    "{hf_abcdefghijklmnopqrstuvwxyz01234567}",
    "{xoxb-123456789012-abcdefGHIJKL}",
    "{sk_live_4eC39HqLyjWDarjtT1zdp7dc}",
    "{rk_test_4eC39HqLyjWDarjtT1zdp7dc}",
    "{sk-proj-abcdefghijklmnopqrstT3BlbkFJabcdefghij}",
    "{sk-abcdefghijklmnopqrstT3BlbkFJabcdefghijklmnopqrst}",
    "{sk-ant-api03-abcdefghijklmnopqrstuvwxyz_-0123456789AA}",
    "{AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY}",
    "{eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U}",
    "{-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----} after",
    "{-----BEGIN PRIVATE KEY-----\nMIIEow and no end}",
    "password = {hunter2!Xq9Zr7}",
    "api_key: \"{9f8Kd03mLq72Zx}\"",
    "DB_PASSWORD={c0rrect-H0rse-8attEry_x9}",
    "\"client_secret\": \"{a8F2kLm9Qz71}\"",
    "{whsec_abcdefghijklmnopqrstuvwx}",
    "{dapi0123456789abcdef0123456789abcdef}",
    "{lin_api_abcdefghijklmnopqrstuvwxyz012345}",
    "https://{hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX}",
    NULL};
static const char *const no_secrets[] = {"AKIA",
                                         "AKIA1234567890123456",
                                         "AKIAAAAAAAAAAAAAAAAA",
                                         "ghp_short",
                                         "xghp_16C7e42F292c6912E7710c838347Ae178B4",
                                         "sk-",
                                         "task-project-management-is-long-enough",
                                         "sk-learn",
                                         "hf_hub",
                                         "npm_config",
                                         "key: value",
                                         "password: correcthorsebattery",
                                         "token = ${GITHUB_TOKEN}",
                                         "secret: <YOUR_SECRET_HERE>",
                                         "api_key = os.environ[\"KEY\"]",
                                         "token: {{ secrets.TOKEN_1 }}",
                                         "key = 123e4567-e89b-12d3-a456-426614174000",
                                         "authorize=getAuthorization(request1)",
                                         "keyboard: qwerty1",
                                         "the token count is: 1234567890",
                                         "-----BEGIN PUBLIC KEY-----",
                                         "eyJabc",
                                         "secret=[SECRET:generic]",
                                         "key=abcdefghijklmnop1",
                                         NULL};

struct expectation {
	char text[1024];
	size_t start, end;
};

// Takes the braces away. A text with several pairs keeps the first one.
static void parse(const char *marked, struct expectation *e) {
	const char *open = strchr(marked, '{'), *close = open ? strrchr(marked, '}') : NULL;
	assert_non_null(close);
	e->start = (size_t)(open - marked);
	e->end = (size_t)(close - marked) - 1;
	snprintf(e->text, sizeof e->text, "%.*s%.*s%s", (int)e->start, marked, (int)(e->end - e->start), open + 1,
	         close + 1);
}

static void find_all(struct tdm_arena *arena, const char *text, int level, struct tdm_finds *finds) {
	struct tdm_detector detector = {.scanner = shared_scanner()};
	struct tdm_dictionary protect = {0};
	struct tdm_error error = {0};
	struct tdm_text one = {.text = text, .n = strlen(text)};
	assert_int_equal(tdm_dictionary_build(&detector.deny, arena), TDM_OK);
	memset(finds, 0, sizeof *finds);
	assert_int_equal(tdm_detect(&detector, arena, &one, 1, level, finds, &protect, &error), TDM_OK);
}

void assert_found(const char *label, int level, const char *const *vectors) {
	for (size_t i = 0; vectors[i]; i++) {
		struct expectation e;
		struct tdm_arena arena;
		struct tdm_finds finds;
		tdm_arena_init(&arena, 1 << 24);
		parse(vectors[i], &e);
		find_all(&arena, e.text, level, &finds);
		if (finds.n != 1 || finds.items[0].start != e.start || finds.items[0].end != e.end ||
		    strcmp(finds.items[0].entity->label, label) != 0)
			fail_msg("%s: expected one %s, found %zu (%s %zu-%zu)", vectors[i], label, finds.n,
			         finds.n ? finds.items[0].entity->label : "", finds.n ? finds.items[0].start : 0,
			         finds.n ? finds.items[0].end : 0);
		tdm_arena_release(&arena);
	}
}

void assert_not_found(const char *label, int level, const char *const *vectors) {
	for (size_t i = 0; vectors[i]; i++) {
		struct tdm_arena arena;
		struct tdm_finds finds;
		tdm_arena_init(&arena, 1 << 24);
		find_all(&arena, vectors[i], level, &finds);
		for (size_t k = 0; k < finds.n; k++)
			if (strcmp(finds.items[k].entity->label, label) == 0)
				fail_msg("%s: found a %s at %zu-%zu", vectors[i], label, finds.items[k].start, finds.items[k].end);
		tdm_arena_release(&arena);
	}
}

void assert_count(const char *text, int level, size_t n) {
	struct tdm_arena arena;
	struct tdm_finds finds;
	tdm_arena_init(&arena, 1 << 24);
	find_all(&arena, text, level, &finds);
	if (finds.n != n)
		fail_msg("%s: found %zu, expected %zu", text, finds.n, n);
	tdm_arena_release(&arena);
}

#define GROUP(name, label)                     \
	static void name##_valid(void **state) {   \
		assert_found(label, 2, name);          \
	}                                          \
	static void name##_invalid(void **state) { \
		assert_not_found(label, 2, no_##name); \
	}
GROUP(cards, "CARD")
GROUP(ibans, "IBAN")
GROUP(ssns, "SSN")
GROUP(phones, "PHONE")
GROUP(emails, "EMAIL")
GROUP(ips, "IP")
GROUP(secrets, "SECRET")

int tdm_test_vectors(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cards_valid),    cmocka_unit_test(cards_invalid),   cmocka_unit_test(ibans_valid),
	    cmocka_unit_test(ibans_invalid),  cmocka_unit_test(ssns_valid),      cmocka_unit_test(ssns_invalid),
	    cmocka_unit_test(phones_valid),   cmocka_unit_test(phones_invalid),  cmocka_unit_test(emails_valid),
	    cmocka_unit_test(emails_invalid), cmocka_unit_test(ips_valid),       cmocka_unit_test(ips_invalid),
	    cmocka_unit_test(secrets_valid),  cmocka_unit_test(secrets_invalid),
	};
	return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
