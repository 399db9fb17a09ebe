// Tokens: the grammar's vectors, what the check character detects, and the vault.
#include "tests.h"
#include "base/random.h"
#include "privacy/mask/token.h"
#include <stdio.h>
#include <string.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static const char *const vectors[] = {"PERSON_00A7KQ2F", "PERSONF_00A7KQ2X", "EMAIL_7ZK3QX0D", "IP_00000007"};

static void accepts_the_vectors(void **state) {
	for (size_t i = 0; i < 4; i++)
		assert_true(tdm_token_valid(vectors[i], strlen(vectors[i])));
	char out[TDM_TOKEN_BYTES];
	assert_int_equal(tdm_token_write(out, "IP", 0), 11);
	assert_string_equal(out, "IP_00000007");
	assert_int_equal(tdm_token_write(out, "PRIVATELONGX", (UINT64_C(1) << 35) - 1), 21);
	assert_int_equal(strncmp(out, "PRIVATELONGX_ZZZZZZZ", 20), 0);
	assert_true(tdm_token_valid(out, 21));
}

static void detects_every_substitution(void **state) {
	for (size_t v = 0; v < 4; v++) {
		char copy[TDM_TOKEN_BYTES];
		size_t n = strlen(vectors[v]), payload = n - 8;
		memcpy(copy, vectors[v], n + 1);
		for (size_t i = payload; i < n; i++)
			for (const char *c = alphabet; *c; c++) {
				copy[i] = *c;
				assert_int_equal(tdm_token_valid(copy, n), *c == vectors[v][i]);
				copy[i] = vectors[v][i];
			}
	}
}

static void detects_every_swap(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 5);
	for (int k = 0; k < 2000; k++) {
		char token[TDM_TOKEN_BYTES];
		size_t n = tdm_token_write(token, "EMAIL", tdm_rng_u64(&rng) >> 29);
		assert_true(tdm_token_valid(token, n));
		for (size_t i = n - 8; i + 2 < n; i++) { // neighbours in the payload
			char a = token[i], b = token[i + 1];
			token[i] = b;
			token[i + 1] = a;
			assert_int_equal(tdm_token_valid(token, n), a == b);
			token[i] = a;
			token[i + 1] = b;
		}
	}
}

static void labels_with_forms_are_distinct(void **state) {
	static char labels[256 * 30][16];
	size_t n = 0;
	for (size_t i = 0; i < tdm_n_entities; i++) {
		const char *label = tdm_entities[i].label;
		bool seen = false;
		assert_in_range(strlen(label), 2, 10);
		assert_int_equal(strspn(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), strlen(label));
		for (size_t k = 0; k < i; k++)
			seen = seen || strcmp(tdm_entities[k].label, label) == 0;
		if (seen)
			continue;
		snprintf(labels[n++], 16, "%s", label);
		snprintf(labels[n++], 16, "%sU", label);
		snprintf(labels[n++], 16, "%sW", label);
		for (char c = 'A'; c <= 'Z'; c++)
			snprintf(labels[n++], 16, "%sV%c", label, c);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(labels[i], labels[k]);
}

static void knows_the_shape(void **state) {
	static const char *const shapes[] = {"EMAIL_7ZK3QX0D",       "xEMAIL_7ZK3QX0D", "email_00000000",
	                                     "Email\\_7zk3qx0d",     "CARDVB_AAAA0AAA", "EMAIL%5f7ZK3QX0D",
	                                     "EMAIL\\u005F7ZK3QX0D", "ipu_12345678"};
	static const char *const others[] = {"EMAIL_7ZK3QX0",  "EMAIL_7ZK3QX0U", "MAILX_7ZK3QX0D", "E_7ZK3QX0D",
	                                     "EMAIL__7ZK3QX0", "_7ZK3QX0D",      "EMAIL_ADDRESSE", "card_mapper_x"};
	size_t start, end;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		size_t at = strcspn(shapes[i], "_\\%");
		assert_true(tdm_token_shape(shapes[i], strlen(shapes[i]), at, &start, &end));
		assert_int_equal(end, strlen(shapes[i]));
		assert_int_equal(start, shapes[i][0] == 'x');
	}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_false(tdm_token_shape(others[i], strlen(others[i]), strcspn(others[i], "_"), &start, &end));
}

static const struct tdm_entity *row(const char *id) {
	for (size_t i = 0; i < tdm_n_entities; i++)
		if (strcmp(tdm_entities[i].id, id) == 0)
			return &tdm_entities[i];
	return NULL;
}

static const struct tdm_spelling *put(struct tdm_vault *v, const char *id, const char *text, const char *folded) {
	const struct tdm_spelling *out = NULL;
	struct tdm_error error = {0};
	int status = tdm_vault_token(v, row(id), text, strlen(text), folded, strlen(folded), &out, &error);
	return status == TDM_OK ? out : NULL;
}

static void one_value_one_payload(void **state) {
	struct tdm_arena arena;
	static const uint8_t key[32] = {1}, other_key[32] = {2};
	tdm_arena_init(&arena, 1 << 22);
	struct tdm_vault *v = tdm_vault_new(&arena, key, TDM_PAYLOAD_BITS),
	                 *w = tdm_vault_new(&arena, other_key, TDM_PAYLOAD_BITS);
	const struct tdm_spelling *first = put(v, "EMAIL", "Bob@x.org", "bob@x.org");
	assert_ptr_equal(put(v, "EMAIL", "Bob@x.org", "bob@x.org"), first);
	const struct tdm_spelling *upper = put(v, "EMAIL", "BOB@X.ORG", "bob@x.org");
	const struct tdm_spelling *lower = put(v, "EMAIL", "bob@x.org", "bob@x.org");
	const struct tdm_spelling *mixed = put(v, "EMAIL", "boB@x.org", "bob@x.org");
	assert_int_equal(strncmp(first->token, "EMAIL_", 6), 0);
	assert_int_equal(strncmp(upper->token, "EMAILU_", 7), 0);
	assert_int_equal(strncmp(lower->token, "EMAILW_", 7), 0);
	assert_int_equal(strncmp(mixed->token, "EMAILVA_", 8), 0);
	assert_memory_equal(first->token + 6, upper->token + 7, 7);
	assert_memory_equal(first->token + 6, mixed->token + 8, 7);
	assert_string_not_equal(put(v, "EMAIL", "eve@x.org", "eve@x.org")->token, first->token);
	assert_string_not_equal(put(w, "EMAIL", "Bob@x.org", "bob@x.org")->token, first->token);
	const struct tdm_spelling *card = put(v, "CARD", "4111 1111 1111 1111", "4111 1111 1111 1111");
	const struct tdm_spelling *dense = put(v, "CARD", "4111111111111111", "4111111111111111");
	assert_memory_equal(card->token + 5, dense->token + 7, 7);
	assert_int_equal(strncmp(dense->token, "CARDVA_", 7), 0);
	tdm_arena_release(&arena);
}

static void many_spellings(void **state) {
	struct tdm_arena arena;
	static const uint8_t key[32] = {3};
	char text[32], seen[64][TDM_TOKEN_BYTES];
	tdm_arena_init(&arena, 1 << 22);
	struct tdm_vault *v = tdm_vault_new(&arena, key, TDM_PAYLOAD_BITS);
	for (int i = 0; i < 64; i++) { // six letters in 64 cases
		snprintf(text, sizeof text, "abcdef@x.org");
		for (int b = 0; b < 6; b++)
			text[b] -= i >> b & 1 ? 32 : 0;
		const struct tdm_spelling *s = put(v, "EMAIL", text, "abcdef@x.org");
		assert_non_null(s);
		assert_memory_equal(s->text, text, s->n);
		snprintf(seen[i], TDM_TOKEN_BYTES, "%s", s->token);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(seen[k], seen[i]);
		assert_ptr_equal(put(v, "EMAIL", text, "abcdef@x.org"), s);
	}
	tdm_arena_release(&arena);
}

static void collisions_are_hashed_again(void **state) {
	struct tdm_arena arena;
	static const uint8_t key[32] = {4};
	char text[32], seen[16][TDM_TOKEN_BYTES];
	tdm_arena_init(&arena, 1 << 22);
	struct tdm_vault *v = tdm_vault_new(&arena, key, 4);
	for (int i = 0; i < 16; i++) {
		snprintf(text, sizeof text, "user%d@x.org", i);
		const struct tdm_spelling *s = put(v, "EMAIL", text, text);
		assert_non_null(s);
		assert_true(tdm_token_valid(s->token, s->n_token));
		snprintf(seen[i], TDM_TOKEN_BYTES, "%s", s->token);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(seen[k], seen[i]);
	}
	assert_null(put(v, "EMAIL", "one@too.many", "one@too.many")); // sixteen payloads are all there are
	assert_non_null(put(v, "IP4", "10.0.0.1", "10.0.0.1"));       // another label has its own
	tdm_arena_release(&arena);
}

static void refuses_too_many_values(void **state) {
	struct tdm_arena arena;
	static const uint8_t key[32] = {5};
	char text[32];
	tdm_arena_init(&arena, 1 << 24);
	struct tdm_vault *v = tdm_vault_new(&arena, key, TDM_PAYLOAD_BITS);
	for (int i = 0; i < TDM_MAX_VALUES; i++) {
		snprintf(text, sizeof text, "user%d@x.org", i);
		assert_non_null(put(v, "EMAIL", text, text));
	}
	assert_null(put(v, "EMAIL", "one@too.many", "one@too.many"));
	tdm_arena_release(&arena);
}

int tdm_test_token(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepts_the_vectors),     cmocka_unit_test(detects_every_substitution),
	    cmocka_unit_test(detects_every_swap),      cmocka_unit_test(labels_with_forms_are_distinct),
	    cmocka_unit_test(knows_the_shape),         cmocka_unit_test(one_value_one_payload),
	    cmocka_unit_test(many_spellings),          cmocka_unit_test(collisions_are_hashed_again),
	    cmocka_unit_test(refuses_too_many_values),
	};
	return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
