// Cryptography against published vectors: FIPS 180-4, RFC 4231, RFC 5869.
#include "tests.h"
#include "base/crypto.h"
#include <string.h>

static void expect_hex(const void *data, size_t n, const char *hex) {
	char text[200];
	tdm_hex(data, n, text);
	assert_string_equal(text, hex);
}

static void test_sha256(void **state) {
	uint8_t out[TDM_SHA256_BYTES];
	tdm_sha256("abc", 3, out);
	expect_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	tdm_sha256(NULL, 0, out);
	expect_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

// RFC 4231, cases 2 and 6.
static void test_hmac(void **state) {
	uint8_t out[TDM_SHA256_BYTES], key[131];
	const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
	tdm_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
	expect_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	tdm_hmac_sha256(key, sizeof key, text, strlen(text), out);
	expect_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

// RFC 5869, case 3 (empty salt and info), and a derivation with info by the definition in section 2.
static void test_hkdf(void **state) {
	uint8_t key[22], out[42], salt[32] = {0}, prk[32], first[32], second[32], message[64];
	memset(key, 0x0b, sizeof key);
	assert_int_equal(tdm_hkdf_sha256(key, sizeof key, NULL, 0, out, sizeof out), TDM_OK);
	expect_hex(out, 42, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
	tdm_hmac_sha256(salt, sizeof salt, key, sizeof key, prk);
	tdm_hmac_sha256(prk, 32, "label\x01", 6, first);
	memcpy(message, first, 32);
	memcpy(message + 32, "label\x02", 6);
	tdm_hmac_sha256(prk, 32, message, 38, second);
	assert_int_equal(tdm_hkdf_sha256(key, sizeof key, "label", 5, out, sizeof out), TDM_OK);
	assert_memory_equal(out, first, 32);
	assert_memory_equal(out + 32, second, 10);
	static uint8_t large[255 * 32 + 1];
	assert_int_equal(tdm_hkdf_sha256(key, sizeof key, "x", 1, large, sizeof large), TDM_EINTERNAL);
}

// RFC 5869, case 1: the two steps of HKDF made of tdm_hmac_sha256.
static void test_hkdf_with_salt(void **state) {
	uint8_t key[22], salt[13], prk[32], block[32], message[43];
	memset(key, 0x0b, sizeof key);
	for (int i = 0; i < 13; i++)
		salt[i] = (uint8_t)i;
	tdm_hmac_sha256(salt, sizeof salt, key, sizeof key, prk);
	expect_hex(prk, 32, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
	for (int i = 0; i < 10; i++)
		message[i] = (uint8_t)(0xf0 + i);
	message[10] = 1;
	tdm_hmac_sha256(prk, 32, message, 11, block);
	expect_hex(block, 32, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

static void test_compare_and_wipe(void **state) {
	char secret[16] = "0123456789abcde", zero[16] = {0};
	assert_true(tdm_equal_ct("abc", "abc", 3));
	assert_false(tdm_equal_ct("abc", "abd", 3));
	assert_true(tdm_equal_ct("abc", "abd", 2));
	assert_true(tdm_equal_ct("", "", 0));
	tdm_wipe(secret, sizeof secret);
	assert_memory_equal(secret, zero, sizeof secret);
	expect_hex("\x00\xff\x1a", 3, "00ff1a");
}

// RFC 8032, section 7.1, TEST 1; then every single changed bit.
static void ed25519_vector(void **state) {
	uint8_t key[32], want[64], made[64], other[32];
	char hex[65];
	assert_true(tdm_unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", key, 32));
	assert_true(
	    tdm_unhex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46"
	              "bd25bf5f0595bbe24655141438e7a100b",
	              want, 64));
	assert_int_equal(tdm_ed25519_public(key, other), TDM_OK);
	tdm_hex(other, 32, hex);
	assert_string_equal(hex, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
	assert_int_equal(tdm_ed25519_sign(key, "", 0, made), TDM_OK);
	assert_memory_equal(made, want, 64);
	assert_true(tdm_ed25519_verify(other, "", 0, made));
	assert_false(tdm_ed25519_verify(other, "x", 1, made));
	for (int i = 0; i < 512; i++) {
		made[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(tdm_ed25519_verify(other, "", 0, made));
		made[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_false(tdm_unhex("AB", key, 1));
	assert_false(tdm_unhex("abc", key, 1));
	assert_false(tdm_unhex("zz", key, 1));
}

int tdm_test_crypto(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sha256),
	    cmocka_unit_test(test_hmac),
	    cmocka_unit_test(test_hkdf),
	    cmocka_unit_test(test_hkdf_with_salt),
	    cmocka_unit_test(test_compare_and_wipe),
	    cmocka_unit_test(ed25519_vector),
	};
	return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
