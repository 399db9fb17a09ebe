// Constraints: masks against a slow matcher on random grammars, rewinds, languages, budgets, and what a mask costs.
#include "engine/constraint.h"
#include "base/clock.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/value.h"
#include "tests.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// --- vocabularies

struct words { // the last but one is the end token, the last a special one
	char (*text)[132];
	int n;
};

static size_t word_piece(const void *self, int32_t token, const char **text) {
	const struct words *w = self;
	*text = token < w->n ? w->text[token] : "";
	if (token >= w->n)
		return 0;
	return token == 0 && !w->text[0][0] ? 1 : strlen(*text); // token 0 may be the byte 0
}

static bool word_is_end(const void *self, int32_t token) {
	return token == ((const struct words *)self)->n;
}

static struct tdm_token_tree *tree_of(const struct words *w) {
	struct tdm_token_source source = {w, w->n + 2, word_piece, word_is_end};
	struct tdm_token_tree *t = NULL;
	assert_int_equal(tdm_token_tree_new(&source, &t, NULL), TDM_OK);
	return t;
}

static struct tdm_token_tree *byte_tree(void) { // a token for each byte
	struct words w = {calloc(256, sizeof *w.text), 256};
	for (int i = 0; i < 256; i++)
		w.text[i][0] = (char)i;
	struct tdm_token_tree *t = tree_of(&w);
	free(w.text);
	return t;
}

static struct tdm_constraint *open_constraint(enum tdm_grammar_kind kind, const char *text, struct tdm_grammar **g,
                                              const struct tdm_token_tree *t) {
	struct tdm_constraint *c = NULL;
	struct tdm_error err = {0};
	if (tdm_grammar_new(kind, text, strlen(text), NULL, g, &err) != TDM_OK ||
	    tdm_constraint_new(*g, t, &c, &err) != TDM_OK)
		fail_msg("%s: %s", text, err.text);
	return c;
}

// --- languages: is a document a whole answer?

static struct tdm_token_tree *bytes_tree;

static bool matches(struct tdm_constraint *c, const char *document) {
	tdm_constraint_rewind(c, 0);
	for (size_t i = 0; document[i]; i++)
		if (tdm_constraint_advance(c, (uint8_t)document[i]) != TDM_OK)
			return false;
	return tdm_constraint_may_end(c);
}

struct language {
	enum tdm_grammar_kind kind;
	const char *text;
	const char *yes[8], *no[10];
};

static void check_language(const struct language *l) {
	struct tdm_grammar *g = NULL;
	struct tdm_constraint *c = open_constraint(l->kind, l->text, &g, bytes_tree);
	for (int i = 0; i < 8 && l->yes[i]; i++)
		if (!matches(c, l->yes[i]))
			fail_msg("%s: should match %s, stops after %d bytes", l->text, l->yes[i], tdm_constraint_length(c));
	for (int i = 0; i < 10 && l->no[i]; i++)
		if (matches(c, l->no[i]))
			fail_msg("%s: should not match %s", l->text, l->no[i]);
	tdm_constraint_free(c);
	tdm_grammar_free(g);
}

#define S TDM_GRAMMAR_SCHEMA
#define G TDM_GRAMMAR_GBNF
#define R TDM_GRAMMAR_REGEX
static const struct language languages[] = {
    {TDM_GRAMMAR_JSON,
     "",
     {"{}", "{\"a\":1}", "{\n  \"a\": [1, {\"b\": null}],\n  \"c\": \"\\u00e9\\n\"\n}", "{\"\xC3\xA9\":-0.5e+10}"},
     {"[]", "1", "{\"a\":01}", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":\"\\x\"}", "{\"\xC3\":1}",
      "{\"a\":\"\\ud800\"}", "{} "}},
    {S, "{}", {"1", "{}", "[1,\"x\"]", "null"}, {"", "nul", "[1"}},
    {S, "{\"type\":\"object\"}", {"{}", "{\"x\":{\"y\":[]}}"}, {"[]"}},
    {S,
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"boolean\"},\"c\":{\"type\":"
     "\"null\"}},\"required\":[\"b\"]}",
     {"{\"b\":true}", "{\"a\":-12,\"b\":false}", "{\"b\":true,\"c\":null}", "{ \"a\": 0, \"b\": true, \"c\": null }"},
     {"{}", "{\"a\":1}", "{\"b\":true,\"a\":1}", "{\"b\":1}", "{\"b\":true,\"d\":1}", "{\"a\":1.5,\"b\":true}",
      "{,\"b\":true}", "{\"a\":1\"b\":true}"}},
    {S,
     "{\"type\":\"object\",\"properties\":{\"ab\":{\"const\":1}},\"required\":[\"z\"],\"additionalProperties\":{"
     "\"type\":\"string\"}}",
     {"{\"z\":\"\"}", "{\"ab\":1,\"z\":\"x\",\"q\":\"y\",\"a\":\"\",\"abc\":\"\"}", "{\"z\":\"\",\"\":\"\"}",
      "{\"z\":\"\",\"\xC3\xA9\":\"\"}"},
     {"{}", "{\"z\":1}", "{\"z\":\"\",\"ab\":\"x\"}", "{\"z\":\"\",\"z\":\"x\"}", "{\"z\":\"\",\"q\":1}",
      "{\"ab\":2,\"z\":\"\"}", "{\"z\":\"\",\"a\\u0062\":\"\"}"}},
    {S,
     "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,\"maxItems\":3}",
     {"[1,2]", "[ 1, 2, 3 ]"},
     {"[]", "[1]", "[1,2,3,4]", "[1,\"\"]", "[1,2,]"}},
    {S, "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":0}", {"[]"}, {"[1]"}},
    {S,
     "{\"type\":\"array\",\"prefixItems\":[{\"const\":\"x\"},{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"},"
     "\"minItems\":1}",
     {"[\"x\"]", "[\"x\",1]", "[\"x\",1,null,null]"},
     {"[]", "[1]", "[\"x\",null]", "[\"x\",1,1]"}},
    {S,
     "{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false,\"minItems\":2}",
     {"[1,2]"},
     {"[1]", "[1,2,3]"}},
    {S,
     "{\"enum\":[\"red\",\"re\",\"green\",7,null,{\"a\":[1]},\"a\\\"b\"]}",
     {"\"red\"", "\"re\"", "7", "null", "{\"a\":[1]}", "\"a\\\"b\""},
     {"\"r\"", "red", "77", "\"gree\""}},
    {S, "{\"type\":\"string\",\"enum\":[\"x\",1]}", {"\"x\""}, {"1"}},
    {S, "{\"type\":[\"string\",\"null\"]}", {"\"x\"", "null"}, {"1"}},
    {S,
     "{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"a\xC3\xA9z\"", "\"\\n\\u0041\""},
     {"\"a\"", "\"abcd\"", "ab"}},
    {S, "{\"type\":\"string\",\"pattern\":\"^a+\\\"$\"}", {"\"aa\\\"\""}, {"\"aa\"\"", "\"\"", "\"aa\\\"b\""}},
    {S,
     "{\"type\":\"string\",\"pattern\":\"b|^c\"}",
     {"\"b\"", "\"xbx\"", "\"cx\"", "\"b\\n\""},
     {"\"a\"", "\"xc\"", "\"\""}},
    {S, "{\"type\":\"string\",\"format\":\"date\"}", {"\"2024-02-28\""}, {"\"2024-13-01\"", "\"24-01-01\""}},
    {S,
     "{\"type\":\"string\",\"format\":\"date-time\"}",
     {"\"2024-02-28T23:59:59Z\"", "\"2024-02-28T00:00:00.5+02:00\""},
     {"\"2024-02-28\"", "\"2024-02-28T24:00:00Z\""}},
    {S, "{\"type\":\"string\",\"format\":\"uuid\"}", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123e4567\""}},
    {S, "{\"type\":\"string\",\"format\":\"email\"}", {"\"a.b@c.de\""}, {"\"a@b\"", "\"@b.de\""}},
    {S, "{\"type\":\"string\",\"format\":\"ipv4\"}", {"\"192.168.0.255\""}, {"\"1.2.3\"", "\"1.2.3.256\""}},
    {S,
     "{\"type\":\"integer\",\"minimum\":-12,\"maximum\":345}",
     {"-12", "0", "345", "99", "-9"},
     {"-13", "346", "400", "-0", "007", "1000", "1.0"}},
    {S, "{\"type\":\"integer\",\"exclusiveMinimum\":9,\"exclusiveMaximum\":101}", {"10", "100", "55"}, {"9", "101"}},
    {S, "{\"minimum\":18,\"type\":\"integer\"}", {"18", "19", "100", "123456789"}, {"17", "-20", "2"}},
    {S, "{\"type\":\"number\"}", {"0", "-1.5", "1e9", "2E-3"}, {"01", ".5", "1.", "+1"}},
    {S,
     "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\",\"maxLength\":1}]}",
     {"12", "\"x\""},
     {"\"xy\"", "null"}},
    {S,
     "{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"}},\"required\":[\"k\"],\"oneOf\":[{"
     "\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},{\"properties\":{\"b\":{\"const\":2}},\"required\":["
     "\"b\"]}]}",
     {"{\"k\":\"\",\"a\":1}", "{\"k\":\"\",\"b\":2}"},
     {"{\"k\":\"\"}", "{\"k\":\"\",\"a\":2}", "{\"k\":\"\",\"a\":1,\"b\":2}"}},
    {S,
     "{\"allOf\":[{\"type\":\"integer\",\"minimum\":5},{\"minimum\":7,\"maximum\":8}]}",
     {"7", "8"},
     {"5", "6", "9"}},
    {S,
     "{\"$ref\":\"#/$defs/"
     "n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"l\":{\"$ref\":\"#/$defs/"
     "n\"},\"r\":{\"anyOf\":[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}},\"required\":[\"v\"]}}}",
     {"{\"v\":1}", "{\"v\":1,\"l\":{\"v\":2,\"l\":{\"v\":3}},\"r\":null}",
      "{\"v\":1,\"r\":{\"v\":2,\"r\":{\"v\":3,\"r\":null}}}"},
     {"{\"v\":1,\"l\":null}", "{\"v\":1,\"l\":{\"v\":2}", "{\"l\":{\"v\":1}}"}},
    {S, "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}", {"[]", "[[],[[]]]"}, {"[1]", "[[]"}},
    {G,
     "root ::= \"a\" b* # comment\n\nb ::= [x-z]{2} | \"q\"\n  | (\"(\" root\n \")\")",
     {"a", "axyq", "aqqzz", "a(a(a))"},
     {"", "ax", "b", "a(a", "a()"}},
    {G, "root ::= [^a-y\\n]+ \"\\x41\\u00e9\"?", {"z", "ZA\xC3\xA9", "\xE2\x82\xAC"}, {"a", "", "z\n"}},
    {G,
     "root ::= x{2,3} y{2,} z{,1}\nx ::= \"a\"\ny ::= \"b\"\nz ::= .",
     {"aabb", "aaabbb", "aabb\xC3\xA9"},
     {"abb", "aaaabb", "aab", "aabbxy"}},
    {G,
     "root ::= e\ne ::= t (\"+\" t)*\nt ::= [0-9]+ | \"(\" e \")\"",
     {"1+2", "((1)+22)+3"},
     {"1+", "(1", "+1", "1 "}},
    {G,
     "root ::= a \"c\" | \"a\" b\na ::= \"a\" a \"b\" | \"\"\nb ::= \"b\" b | \"d\"",
     {"c", "abc", "aabbc", "ad", "abbd"},
     {"aabc", "d", "abb"}},
    {R, "(a|a)*", {"", "a", "aaaa"}, {"b", "ab"}},
    {R, "^[\\w-]+@(?:\\d{2,3}|x.y)$", {"a_b-9@12", "a@xzy"}, {"@12", "a@1", "a@1234", "a@x\ny"}},
    {R, "(?<year>\\d{4})-\\x41\\u{e9}?|\\t[^\\d\\s]+?", {"2024-A", "2024-A\xC3\xA9", "\tab"}, {"2024-", "\t1", "\t"}},
    {R, "", {""}, {"a"}},
};

static void languages_match(void **state) {
	for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
		check_language(&languages[i]);
}

static const struct {
	enum tdm_grammar_kind kind;
	const char *text, *expected;
} refused[] = {
    {S, "{\"type\":\"object\",\"properties\":{\"a\":{\"uniqueItems\":true}}}",
     "#/properties/a: unsupported keyword uniqueItems"},
    {S, "{\"not\":{}}", "unsupported keyword not"},
    {S, "{\"items\":{\"patternProperties\":{}}}", "#/items: unsupported keyword patternProperties"},
    {S, "{\"type\":\"text\"}", "unknown type text"},
    {S, "{\"type\":\"string\",\"format\":\"hostname\"}", "unsupported format hostname"},
    {S, "{\"type\":\"number\",\"minimum\":1}", "supported for integers only: minimum"},
    {S, "{\"$ref\":\"http://x\"}", "only references into the schema itself"},
    {S, "{\"$ref\":\"#/$defs/x\"}", "nothing is found at #/$defs/x"},
    {S, "{\"$ref\":\"#\"}", "left-recursive"},
    {S, "{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", "left-recursive"},
    {S, "{\"allOf\":[{\"$ref\":\"#\"}]}", "do they contain themselves"},
    {S, "{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "differ in type"},
    {S, "{\"type\":\"string\",\"pattern\":\"(?=a)\"}", "look-ahead"},
    {S, "{\"enum\":[]}", "no text matches"},
    {S, "{", "JSON"},
    {S,
     "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/"
     "a\"}},\"required\":[\"a\"]}}}",
     "no text matches"},
    {G, "root ::= root \"a\" | \"b\"", "rule root is left-recursive"},
    {G, "root ::= \"x\" e\ne ::= n e \"a\" | \"b\"\nn ::= \"\" | \"c\"", "rule e is left-recursive"},
    {G, "root ::= x", "rule x is used but not defined"},
    {G, "a ::= \"x\"", "no rule named root"},
    {G, "root ::= \"x\n\ny ::= ", "has no end"},
    {G, "root ::= ( \"x\"", "expected )"},
    {G, "root = \"x\"", "line 1: expected ::="},
    {R, "a(b", "expected )"},
    {R, "a)", "a ) without ("},
    {R, "(a)\\1", "back-references"},
    {R, "a(?!b)", "look-ahead"},
    {R, "\\bfoo", "not supported"},
    {R, "*a", "nothing to repeat"},
    {R, "[z-a]", "not in order"},
    {R, "a{3,2}", "m <= n"},
    {R, "\xFF", "UTF-8"},
};

static void refusals_name_what(void **state) {
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct tdm_grammar *g = NULL;
		struct tdm_error err = {0};
		int status = tdm_grammar_new(refused[i].kind, refused[i].text, strlen(refused[i].text), NULL, &g, &err);
		if (status == TDM_OK || !strstr(err.text, refused[i].expected))
			fail_msg("%s: expected \"%s\", got %d \"%s\"", refused[i].text, refused[i].expected, status, err.text);
	}
}

// --- budgets

static void end_within(enum tdm_grammar_kind kind, const char *text, const struct tdm_grammar_options *o,
                       const char *expected) {
	struct tdm_grammar *g = NULL;
	struct tdm_error err = {0};
	int64_t start_us = tdm_work_us();
	int status = tdm_grammar_new(kind, text, strlen(text), o, &g, &err);
	int64_t ms = (tdm_work_us() - start_us) / 1000;
	if (ms > 10 * (o->max_ms ? o->max_ms : 1000))
		fail_msg("%.40s took %d ms", text, (int)ms);
	if (expected ? status == TDM_OK || !strstr(err.text, expected) : status != TDM_OK)
		fail_msg("%.40s: expected \"%s\", got %d \"%s\"", text, expected ? expected : "success", status, err.text);
	tdm_grammar_free(g);
}

static void S44_budgets_end_compiling(void **state) {
	const struct tdm_grammar_options usual = {0}, states = {.max_states = 1000}, bytes = {.max_bytes = 100000};
	end_within(R, "((a{1000}){1000}){1000}", &usual, "budget");
	end_within(R, "((((){1000}){1000}){1000}){1000}", &(struct tdm_grammar_options){.max_ms = 50}, "50 ms");
	end_within(R, "((((a*)*)*)*)*(a|a)*(a?){50}a{50}", &usual, NULL);
	end_within(R, "a{2000}", &states, "1000 states");
	size_t n = 100000, len = 0;
	char *text = malloc(n * 16 + 100);
	len += (size_t)snprintf(text, 100, "{\"enum\":[");
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, 16, "%s\"v%zu\"", i ? "," : "", i * 7919 % n);
	snprintf(text + len, 16, "]}");
	end_within(S, text, &(struct tdm_grammar_options){.max_ms = 5000}, NULL);
	end_within(S, text, &bytes, "memory");
	end_within(S, text, &states, "budget");
	free(text);
}

static void S44_an_ambiguous_grammar_ends_a_mask(void **state) {
	static const char *const texts[] = {"root ::= \"a\" root root | \"a\"",
	                                    "root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"a\"",
	                                    "root ::= x*\nx ::= y* \"a\"\ny ::= \"a\" x? | \"aa\""};
	for (int i = 0; i < 3; i++) {
		struct tdm_grammar *g = NULL;
		struct tdm_constraint *c = open_constraint(G, texts[i], &g, bytes_tree);
		for (int k = 0; k < 200; k++)
			assert_int_equal(tdm_constraint_advance(c, 'a'), TDM_OK);
		assert_true(tdm_constraint_stats(c).n_states < 2000);
		tdm_constraint_free(c);
		tdm_grammar_free(g);
	}
}

// --- random grammars: texts of a, b and c, decided by a matcher that knows nothing of states

enum { LETTERS = 3, MAX_TEXT = 60, MAX_TREES = 400, MAX_RULES = 4 };
enum { T_LETTER, T_SEQ, T_ALT, T_REPEAT, T_RULE };
struct tree {
	int kind, x, y, min, max; // x, y: trees, or a letter, or a rule
};
struct random_grammar {
	struct tree trees[MAX_TREES];
	int n, rules[MAX_RULES], n_rules;
	struct tdm_rng rng;
};

static int new_tree(struct random_grammar *r, struct tree t) {
	r->trees[r->n] = t;
	return r->n++;
}

// after_byte: something was read since the rule began, so any rule may be called; else later ones only.
static int random_tree(struct random_grammar *r, int depth, int rule, bool after_byte) {
	int kind = depth <= 0 || r->n > MAX_TREES - 60 ? T_LETTER : (int)tdm_rng_below(&r->rng, 6);
	if (kind == T_SEQ || kind == 5) {
		int x = random_tree(r, depth - 1, rule, after_byte);
		bool reads = after_byte || r->trees[x].kind == T_LETTER;
		return new_tree(r, (struct tree){T_SEQ, x, random_tree(r, depth - 1, rule, reads), 0, 0});
	}
	if (kind == T_ALT) {
		int x = random_tree(r, depth - 1, rule, after_byte);
		return new_tree(r, (struct tree){T_ALT, x, random_tree(r, depth - 1, rule, after_byte), 0, 0});
	}
	if (kind == T_REPEAT) {
		int min = (int)tdm_rng_below(&r->rng, 3), more = (int)tdm_rng_below(&r->rng, 12);
		int x = random_tree(r, depth - 1, rule, after_byte);
		return new_tree(r, (struct tree){T_REPEAT, x, 0, min, more == 11 ? -1 : min + more});
	}
	int first = after_byte ? 0 : rule + 1;
	if (kind == T_RULE && first < r->n_rules)
		return new_tree(
		    r, (struct tree){T_RULE, first + (int)tdm_rng_below(&r->rng, (uint64_t)(r->n_rules - first)), 0, 0, 0});
	return new_tree(r, (struct tree){T_LETTER, (int)tdm_rng_below(&r->rng, LETTERS), 0, 0, 0});
}

static void write_tree(const struct random_grammar *r, int at, struct tdm_bytes *out) {
	const struct tree *t = &r->trees[at];
	if (t->kind == T_LETTER) {
		tdm_bytes_printf(out, "\"%c\" ", 'a' + t->x);
	} else if (t->kind == T_RULE) {
		tdm_bytes_printf(out, "r%d ", t->x);
	} else {
		tdm_bytes_puts(out, "(");
		write_tree(r, t->x, out);
		tdm_bytes_puts(out, t->kind == T_ALT ? "| " : "");
		if (t->kind != T_REPEAT)
			write_tree(r, t->y, out);
		tdm_bytes_puts(out, ") ");
		if (t->kind == T_REPEAT && t->max < 0)
			tdm_bytes_printf(out, "{%d,} ", t->min);
		else if (t->kind == T_REPEAT)
			tdm_bytes_printf(out, "{%d,%d} ", t->min, t->max);
	}
}

struct slow { // positions are bits: bit i = after i letters of the text
	const struct random_grammar *r;
	const char *text;
	int len;
	bool wants_more; // something would have read on behind the text
	uint64_t known[MAX_TREES][MAX_TEXT + 1], is_known[MAX_TREES];
};

static uint64_t ends_from(struct slow *s, int tree, int at);

static uint64_t ends_from_all(struct slow *s, int tree, uint64_t from) {
	uint64_t ends = 0;
	for (int i = 0; i <= s->len; i++)
		if (from >> i & 1)
			ends |= ends_from(s, tree, i);
	return ends;
}

static uint64_t repeat_ends(struct slow *s, const struct tree *t, int at) {
	uint64_t now = (uint64_t)1 << at, all = t->min == 0 ? now : 0;
	for (int i = 1; now && (t->max < 0 ? i <= t->min + s->len + 1 : i <= t->max); i++) {
		now = ends_from_all(s, t->x, now);
		if (i >= t->min)
			all |= now;
	}
	return all;
}

static uint64_t ends_from(struct slow *s, int tree, int at) {
	const struct tree *t = &s->r->trees[tree];
	uint64_t ends = 0;
	if (s->is_known[tree] >> at & 1)
		return s->known[tree][at];
	if (t->kind == T_LETTER) {
		s->wants_more |= at == s->len;
		ends = at < s->len && s->text[at] == 'a' + t->x ? (uint64_t)1 << (at + 1) : 0;
	} else if (t->kind == T_SEQ) {
		ends = ends_from_all(s, t->y, ends_from(s, t->x, at));
	} else if (t->kind == T_ALT) {
		ends = ends_from(s, t->x, at);
		ends |= ends_from(s, t->y, at);
	} else if (t->kind == T_REPEAT) {
		ends = repeat_ends(s, t, at);
	} else {
		ends = ends_from(s, s->r->rules[t->x], at);
	}
	s->is_known[tree] |= (uint64_t)1 << at;
	s->known[tree][at] = ends;
	return ends;
}

// Can text still become a whole answer? *whole: it is one.
static bool is_viable(struct slow *s, const char *text, int len, bool *whole) {
	s->text = text;
	s->len = len;
	s->wants_more = false;
	memset(s->is_known, 0, sizeof s->is_known);
	*whole = ends_from(s, s->r->rules[0], 0) >> len & 1;
	return *whole || s->wants_more;
}

static struct words letter_words(void) { // all texts of one to four letters, some of five to nine
	struct words w = {calloc(400, sizeof *w.text), 0};
	for (int len = 1, count = LETTERS; len <= 4; len++, count *= LETTERS)
		for (int i = 0; i < count; i++, w.n++)
			for (int k = 0, rest = i; k < len; k++, rest /= LETTERS)
				w.text[w.n][k] = (char)('a' + rest % LETTERS);
	for (int i = 0; i < 60; i++, w.n++)
		for (int k = 0; k < 5 + i % 5; k++)
			w.text[w.n][k] = (char)('a' + (i * 7 + k * (k + i)) % (i % 3 + 1));
	return w;
}

static void compare_mask(struct slow *s, struct tdm_constraint *c, const struct words *w, const char *text, int len,
                         const char *grammar) {
	uint64_t bits[8] = {0};
	struct tdm_error err = {0};
	char longer[MAX_TEXT + 1];
	bool whole, unused;
	is_viable(s, text, len, &whole);
	int status = tdm_constraint_mask(c, bits, &err);
	if (status != TDM_OK)
		fail_msg("%s after %.*s: %s", grammar, len, text, err.text);
	for (int t = 0; t < w->n; t++) {
		int n = (int)strlen(w->text[t]);
		memcpy(longer, text, (size_t)len);
		memcpy(longer + len, w->text[t], (size_t)n);
		bool expected = is_viable(s, longer, len + n, &unused), got = bits[t / 64] >> (t % 64) & 1;
		if (expected != got)
			fail_msg("%s after \"%.*s\": token %s is %s", grammar, len, text, w->text[t], got ? "allowed" : "refused");
	}
	assert_int_equal(bits[w->n / 64] >> (w->n % 64) & 1, whole);
	assert_int_equal(bits[(w->n + 1) / 64] >> ((w->n + 1) % 64) & 1, 0); // a special token never
	assert_int_equal(tdm_constraint_may_end(c), whole);
}

static int32_t random_allowed(struct tdm_constraint *c, const struct words *w, struct tdm_rng *rng, int room) {
	uint64_t bits[8];
	int32_t chosen = -1;
	int n = 0;
	assert_int_equal(tdm_constraint_mask(c, bits, NULL), TDM_OK);
	for (int t = 0; t < w->n; t++)
		if (bits[t / 64] >> (t % 64) & 1 && (int)strlen(w->text[t]) <= room && tdm_rng_below(rng, (uint64_t)++n) == 0)
			chosen = t;
	return chosen;
}

// Rules that can never end make wants_more of the slow matcher too generous: those grammars are drawn again.
static bool all_rules_end(const struct random_grammar *r) {
	bool ends[MAX_TREES] = {false};
	for (int pass = 0; pass <= MAX_RULES; pass++)
		for (int i = 0; i < r->n; i++) {
			const struct tree *t = &r->trees[i];
			ends[i] = t->kind == T_LETTER || (t->kind == T_SEQ && ends[t->x] && ends[t->y]) ||
			          (t->kind == T_ALT && (ends[t->x] || ends[t->y])) ||
			          (t->kind == T_REPEAT && (!t->min || ends[t->x])) || (t->kind == T_RULE && ends[r->rules[t->x]]);
		}
	for (int i = 0; i < r->n; i++)
		if (!ends[i])
			return false;
	return true;
}

static void one_random_grammar(struct random_grammar *r, struct slow *s, const struct words *w,
                               const struct tdm_token_tree *t) {
	struct tdm_bytes text;
	struct tdm_grammar *g = NULL;
	char answer[MAX_TEXT + 1];
	int lengths[MAX_TEXT + 1] = {0}, n = 0;
	tdm_bytes_init(&text, 1 << 20);
	r->n = 0;
	r->n_rules = 1 + (int)tdm_rng_below(&r->rng, MAX_RULES);
	for (int i = 0; i < r->n_rules; i++)
		r->rules[i] = random_tree(r, 4, i, false);
	if (!all_rules_end(r))
		return;
	tdm_bytes_puts(&text, "root ::= r0\n");
	for (int i = 0; i < r->n_rules; i++) {
		tdm_bytes_printf(&text, "r%d ::= ", i);
		write_tree(r, r->rules[i], &text);
		tdm_bytes_puts(&text, "\n");
	}
	struct tdm_constraint *c = open_constraint(G, text.data, &g, t);
	for (int i = 0; i < 12; i++) {
		compare_mask(s, c, w, answer, lengths[n], text.data);
		int32_t token = random_allowed(c, w, &r->rng, MAX_TEXT - 12 - lengths[n]);
		if (token < 0 || tdm_rng_below(&r->rng, 4) == 0) {
			n = (int)tdm_rng_below(&r->rng, (uint64_t)n + 1);
			tdm_constraint_rewind(c, n);
			continue;
		}
		assert_int_equal(tdm_constraint_advance(c, token), TDM_OK);
		memcpy(answer + lengths[n], w->text[token], strlen(w->text[token]));
		lengths[n + 1] = lengths[n] + (int)strlen(w->text[token]);
		n++;
		assert_int_equal(tdm_constraint_length(c), n);
	}
	tdm_constraint_free(c);
	tdm_grammar_free(g);
	tdm_bytes_release(&text);
}

static void masks_equal_a_slow_matcher(void **state) {
	struct words w = letter_words();
	struct tdm_token_tree *t = tree_of(&w);
	struct random_grammar *r = calloc(1, sizeof *r);
	struct slow *s = calloc(1, sizeof *s);
	tdm_rng_init(&r->rng, 20);
	s->r = r;
	for (int i = 0; i < 150; i++)
		one_random_grammar(r, s, &w, t);
	free(s);
	free(r);
	tdm_token_tree_free(t);
	free(w.text);
}

// --- whole answers and the cost of a mask, over a vocabulary as large as today's

enum { LARGE = TDM_SANITIZED ? 4096 : 128000, SOME = TDM_SANITIZED ? 1000 : 7000 };

static void put_word(char *out, struct tdm_rng *rng, int i) {
	static const char *const parts[] = {"a",  "e",  "i",    "o",   "u",  "an", "en", "in", "on", "er",
	                                    "st", "th", "t",    "r",   "n",  "s",  "l",  "d",  "c",  "m",
	                                    "p",  "re", "tion", "ing", "al", "ly", "ed", "ou", "ch", "b"};
	static const char *const ends[] = {"\"", "\",", "\":", "\":\"", "\"}",    "\"]", "\"},", "\n",
	                                   ".",  ",",   " \"", "()",    "\");\n", "';",  "\\\"", "\"\n"};
	static const char *const odd[] = {
	    "{\"", "[{\"", "{",   "}",    "}}",    "}]",   "},{\"", "[",    "]",        "],",       ":",
	    ": ",  ", ",   ",\"", " ",    "  ",    "    ", "\n",    "\n  ", "\n    ",   "0",        "12",
	    "345", "2024", "-1",  "true", "false", "null", "\xC3",  "\xA9", "\xC3\xA9", "\xE2\x82", "\xF0\x9F\x98\x80"};
	size_t n = 0, count = 1 + tdm_rng_below(rng, 4);
	char word[64] = "";
	if (i < 256) {
		out[0] = (char)i;
		return;
	}
	if (i < 256 + (int)(sizeof odd / sizeof *odd)) {
		snprintf(out, 24, "%s", odd[i - 256]);
		return;
	}
	if (i < 700) { // as vocabularies have them for code and rules
		memset(out, " -=*#\t"[i % 6], (size_t)(i - 256) * 128 / 444 + 1);
		return;
	}
	if (tdm_rng_below(rng, 2))
		word[n++] = ' ';
	for (size_t k = 0; k < count; k++) {
		n += (size_t)snprintf(word + n, sizeof word - n, "%s", parts[tdm_rng_below(rng, 30)]);
		if (tdm_rng_below(rng, 3))
			word[n++] = (char)('a' + tdm_rng_below(rng, 26));
	}
	if (tdm_rng_below(rng, 4) == 0)
		word[n - 1] &= (char)0xDF;
	if (tdm_rng_below(rng, 12) == 0)
		snprintf(word + n, sizeof word - n, "%s", ends[tdm_rng_below(rng, 16)]);
	snprintf(out, 24, "%.23s", word);
}

static struct words many_words(int n) {
	struct words w = {calloc((size_t)n, sizeof *w.text), n - 2};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 3);
	for (int i = 0; i < w.n; i++)
		put_word(w.text[i], &rng, i);
	return w;
}

static int by_value(const void *x, const void *y) {
	double a = *(const double *)x, b = *(const double *)y;
	return (a > b) - (a < b);
}

struct writing { // one answer under a constraint: tokens at random, then whatever ends soonest
	struct tdm_constraint *c;
	const struct words *w;
	uint64_t *bits;
	struct tdm_rng rng;
	struct tdm_bytes text;
	double us[4096];
	int n;
	bool checks; // every bit of every mask
};

static double now_us(void) { // of this thread: other processes do not count
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static bool is_allowed(const struct writing *a, int32_t token) {
	return a->bits[token / 64] >> (token % 64) & 1;
}

static int32_t choose(struct writing *a, int limit) {
	static const char soonest[] = "\n\"}]0:e,nulrsaft1.- ";
	if (a->n >= limit && is_allowed(a, a->w->n))
		return a->w->n;
	for (int i = 0; a->n >= limit && soonest[i]; i++)
		if (is_allowed(a, (uint8_t)soonest[i]))
			return (uint8_t)soonest[i];
	int32_t token = (int32_t)tdm_rng_below(&a->rng, (uint64_t)(tdm_rng_below(&a->rng, 2) ? 300 : a->w->n));
	while (!is_allowed(a, token))
		token = (token + 1) % (a->w->n + 1);
	return token;
}

static void check_bits(struct writing *a) {
	int length = tdm_constraint_length(a->c);
	for (int32_t token = 0; token < a->w->n + 2; token++) {
		bool can = tdm_constraint_advance(a->c, token) == TDM_OK;
		tdm_constraint_rewind(a->c, length);
		if (can != is_allowed(a, token))
			fail_msg("after %s: token %d (%s) is %s", a->text.data ? a->text.data : "", token,
			         token < a->w->n ? a->w->text[token] : "", can ? "refused" : "allowed");
	}
}

static void write_answer(struct writing *a, int limit) {
	struct tdm_error err = {0};
	a->n = 0;
	tdm_constraint_rewind(a->c, 0);
	tdm_bytes_clear(&a->text);
	while (a->n < 4096) {
		double start_us = now_us();
		if (tdm_constraint_mask(a->c, a->bits, &err) != TDM_OK)
			fail_msg("after %s: %s", a->text.data ? a->text.data : "", err.text);
		a->us[a->n] = now_us() - start_us;
		if (a->checks)
			check_bits(a);
		int32_t token = choose(a, limit);
		assert_int_equal(tdm_constraint_advance(a->c, token), TDM_OK);
		a->n++;
		if (token == a->w->n)
			return;
		tdm_bytes_add(&a->text, a->w->text[token], token ? strlen(a->w->text[token]) : 1);
	}
	fail_msg("no end after %d tokens: %s", a->n, a->text.data);
}

static void expect_json(const struct writing *a) {
	struct tdm_arena arena;
	struct tdm_value *value;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, 1 << 22);
	if (tdm_json_parse(&arena, a->text.data, a->text.len, &value, &err) != TDM_OK)
		fail_msg("%s: %s", err.text, a->text.data);
	tdm_arena_release(&arena);
}

struct costs { // of masks
	double us[1 << 16], first_us;
	int n;
};

static bool is_cheap(struct costs *k) { // the goal is 50 us; this is for slow machines too
	qsort(k->us, (size_t)k->n, sizeof *k->us, by_value);
	return TDM_SANITIZED || (k->us[k->n / 2] < 100 && k->us[k->n * 99 / 100] < 1000);
}

static void show(const char *name, const char *when, const struct costs *k, struct tdm_constraint_stats stats) {
	print_message(
	    "mask over %d tokens, %s, %s: median %.1f us, p90 %.1f, p99 %.1f, max %.0f of %d; the last constraint: "
	    "%d walks, %d by runs, %d of %d found, %d states, %zu KiB\n",
	    LARGE, name, when, k->us[k->n / 2], k->us[k->n * 9 / 10], k->us[k->n * 99 / 100], k->us[k->n - 1], k->n,
	    (int)stats.walks, (int)stats.runs, (int)stats.found, (int)stats.masks, stats.n_states, stats.bytes >> 10);
}

// Answers under one grammar, each under a constraint of its own (nothing is kept from one to the next) or all under
// one.
static bool measure_some(struct writing *a, enum tdm_grammar_kind kind, const char *name, const struct tdm_grammar *g,
                         const struct tdm_token_tree *t, bool is_fresh) {
	struct costs *k = calloc(1, sizeof *k);
	struct tdm_constraint_stats stats = {0};
	const int answers = TDM_SANITIZED ? 3 : 20;
	for (int i = 0; i < answers; i++) {
		if ((!i || is_fresh) && tdm_constraint_new(g, t, &a->c, NULL) != TDM_OK)
			fail();
		write_answer(a, 60 + i);
		if (kind == TDM_GRAMMAR_JSON || kind == S)
			expect_json(a);
		memcpy(k->us + k->n, a->us, (size_t)a->n * sizeof *a->us);
		k->n += a->n;
		stats = tdm_constraint_stats(a->c);
		if (is_fresh || i == answers - 1)
			tdm_constraint_free(a->c);
	}
	bool is_good = is_cheap(k);
	show(name, is_fresh ? "fresh" : "kept", k, stats);
	free(k);
	return is_good;
}

static void measure(enum tdm_grammar_kind kind, const char *name, const char *text, const struct words *w,
                    const struct tdm_token_tree *t) {
	struct tdm_grammar *g = NULL;
	struct writing *a = calloc(1, sizeof *a);
	double start_us = now_us();
	struct tdm_constraint *first = open_constraint(kind, text, &g, t);
	print_message("%s: compiled in %.0f us, %d network states\n", name, now_us() - start_us, tdm_grammar_states(g));
	a->w = w;
	a->bits = calloc((size_t)tdm_constraint_words(first), sizeof *a->bits);
	tdm_bytes_init(&a->text, 1 << 20);
	tdm_rng_init(&a->rng, 5);
	for (int is_fresh = 1; is_fresh >= 0; is_fresh--) { // three times where something else was in the way
		int tries = 1;
		while (!measure_some(a, kind, name, g, t, is_fresh))
			assert_true(tries++ < 3);
	}
	tdm_bytes_release(&a->text);
	tdm_constraint_free(first);
	tdm_grammar_free(g);
	free(a->bits);
	free(a);
}

// Grammars with wide places: strings of every sort, and free text.
static const struct {
	enum tdm_grammar_kind kind;
	const char *name, *text;
} wide[] = {
    {TDM_GRAMMAR_JSON, "any JSON object", ""},
    {S, "a schema",
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":\"integer\","
     "\"minimum\":0,"
     "\"maximum\":150},\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":5},\"note\":{"
     "\"type\":\"string\","
     "\"maxLength\":200},\"kind\":{\"enum\":[\"red\",\"green\",\"blue\"]}},\"required\":[\"name\",\"age\","
     "\"kind\"]}"},
    {S, "a recursive schema",
     "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"string\"},"
     "\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}}},\"required\":[\"v\"]}}}"},
    {S, "counted strings",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":20},\"b\":{\"type\":\"string\","
     "\"minLength\":5,\"maxLength\":60},\"c\":{\"type\":\"string\",\"maxLength\":1000},\"d\":{\"type\":\"string\","
     "\"minLength\":40}},\"required\":[\"a\",\"b\",\"c\",\"d\"]}"},
    {S, "patterns",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"^[a-z]{3,40}$\"},\"b\":{"
     "\"type\":\"string\",\"format\":\"email\"},\"c\":{\"type\":\"string\",\"pattern\":\"^[^0-9]{1,80}$\"}},"
     "\"required\":[\"a\",\"b\",\"c\"]}"},
    {S, "an open object",
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"}},\"required\":[\"name\"],"
     "\"additionalProperties\":{\"type\":\"string\",\"maxLength\":50}}"},
    {G, "a list in GBNF", "root ::= (\"- \" [^\\n]{1,80} \"\\n\"){1,20}"},
    {S, "a counted string that is counted by two",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"^(\\\\w\\\\w){1,9}$\"},\"b\":{"
     "\"type\":\"string\",\"pattern\":\"^z[^y]*|^[0-9a-z]{4}\"}},\"required\":[\"a\",\"b\"]}"},
    {R, "words", "(?:[^ ]{1,12} ){2,40}\\n"},
    {G, "words that end after any letter",
     "root ::= name (\" \" name)* \"\\n\"\nname ::= [a-z] [a-z]* | [A-Z] [a-zA-Z]*"},
    // Last: two readings of every text, so that a fresh mask is dear.
    {G, "rules that end after any letter",
     "root ::= name (\" \" name)* \"\\n\"\nname ::= [a-z] [a-zA-Z ]* | [^\\n\"]{2,30}"},
};
enum { N_WIDE = sizeof wide / sizeof *wide, N_MEASURED = N_WIDE - 1 };

// Each bit of a mask against the same token step by step, at many places of answers.
static void masks_agree_with_steps(void **state) {
	struct words w = many_words(SOME);
	struct tdm_token_tree *t = tree_of(&w);
	int64_t n_runs = 0;
	for (int i = 0; i < N_WIDE; i++) {
		struct tdm_grammar *g = NULL;
		struct writing *a = calloc(1, sizeof *a);
		a->w = &w;
		a->c = open_constraint(wide[i].kind, wide[i].text, &g, t);
		a->bits = calloc((size_t)tdm_constraint_words(a->c), sizeof *a->bits);
		a->checks = true;
		tdm_bytes_init(&a->text, 1 << 20);
		tdm_rng_init(&a->rng, (uint64_t)i);
		for (int k = 0; k < (TDM_SANITIZED ? 1 : 3); k++)
			write_answer(a, 12 + 12 * k);
		n_runs += tdm_constraint_stats(a->c).runs;
		tdm_bytes_release(&a->text);
		tdm_constraint_free(a->c);
		tdm_grammar_free(g);
		free(a->bits);
		free(a);
	}
	assert_true(n_runs > 20);
	tdm_token_tree_free(t);
	free(w.text);
}

static void a_mask_is_cheap(void **state) {
	struct words w = many_words(LARGE);
	double start_us = now_us();
	struct tdm_token_tree *t = tree_of(&w);
	print_message("token tree: %d nodes, %.0f ms\n", t->all.n_nodes, (now_us() - start_us) / 1000);
	for (int i = 0; i < N_MEASURED; i++)
		measure(wide[i].kind, wide[i].name, wide[i].text, &w, t);
	tdm_token_tree_free(t);
	free(w.text);
}

static void a_mask_is_put_on_logits(void **state) {
	float logits[130];
	static const uint64_t seconds[] = {5, 0, UINT64_MAX - 5, 0xAAAAAAAAAAAAAAAA, 0xFFFFFFFF00000000, 1u << 31};
	for (size_t k = 0; k < sizeof seconds / sizeof *seconds; k++) {
		uint64_t bits[3] = {UINT64_MAX, seconds[k], 2};
		for (int i = 0; i < 130; i++)
			logits[i] = (float)i;
		tdm_constraint_apply(bits, logits, 130);
		for (int i = 0; i < 130; i++)
			assert_true(bits[i / 64] >> (i % 64) & 1 ? logits[i] == (float)i : logits[i] == -INFINITY);
	}
}

// What a mask costs where it is put on a row of 128,000 logits.
static void putting_a_mask_on_is_cheap(void **state) {
	enum { N = LARGE / 64 };
	uint64_t *bits = calloc(N, sizeof *bits);
	float *row = calloc(LARGE, sizeof *row);
	static const char *const names[] = {"few", "half", "most"};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 1);
	for (int k = 0; k < 3; k++) {
		for (int i = 0; i < N; i++) {
			uint64_t word = tdm_rng_u64(&rng);
			bits[i] = k == 0 ? (i % 50 ? 0 : 1) : k == 1 ? word : word | tdm_rng_u64(&rng) | tdm_rng_u64(&rng);
		}
		double start_us = now_us();
		for (int i = 0; i < 100; i++)
			tdm_constraint_apply(bits, row, LARGE);
		print_message("a mask put on %d logits, %s allowed: %.1f us\n", LARGE, names[k], (now_us() - start_us) / 100);
	}
	free(bits);
	free(row);
}

static int setup(void **state) {
	bytes_tree = byte_tree();
	return 0;
}

static int teardown(void **state) {
	tdm_token_tree_free(bytes_tree);
	return 0;
}

int tdm_test_constraint(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(languages_match),
	    cmocka_unit_test(refusals_name_what),
	    cmocka_unit_test(S44_budgets_end_compiling),
	    cmocka_unit_test(S44_an_ambiguous_grammar_ends_a_mask),
	    cmocka_unit_test(masks_equal_a_slow_matcher),
	    cmocka_unit_test(masks_agree_with_steps),
	    cmocka_unit_test(a_mask_is_cheap),
	    cmocka_unit_test(a_mask_is_put_on_logits),
	    cmocka_unit_test(putting_a_mask_on_is_cheap),
	};
	return cmocka_run_group_tests_name("constraint", tests, setup, teardown);
}
