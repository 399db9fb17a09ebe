// Cryptography from OpenSSL's libcrypto. This is the only file that knows OpenSSL.
//
// The rule kept here: fail closed. A hash that could not be computed (no memory) is filled with random bytes and so
// equals nothing, rather than with a constant that would equal every other failure.
#include "base/crypto.h"
#include "base/random.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#define BLOCK_BYTES 64 // of SHA-256

static void fill_unequal(uint8_t out[TDM_SHA256_BYTES]) {
	if (tdm_system_random(out, TDM_SHA256_BYTES) != TDM_OK)
		RAND_bytes(out, TDM_SHA256_BYTES);
}

// Looked up once: asking for a digest by its name takes longer than a short text's hash.
static EVP_MD *sha256;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_sha256(void) {
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

struct part {
	const void *data;
	size_t n;
};

// The hash of two parts, one after the other.
static bool hash_parts(EVP_MD_CTX *context, struct part a, struct part b, uint8_t out[TDM_SHA256_BYTES]) {
	return EVP_DigestInit_ex2(context, sha256, NULL) && EVP_DigestUpdate(context, a.data, a.n) &&
	       EVP_DigestUpdate(context, b.data, b.n) && EVP_DigestFinal_ex(context, out, NULL);
}

static EVP_MD_CTX *new_context(void) {
	pthread_once(&once, find_sha256);
	return sha256 ? EVP_MD_CTX_new() : NULL;
}

void tdm_sha256(const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]) {
	EVP_MD_CTX *context = new_context();
	if (!context || !hash_parts(context, (struct part){"", 0}, (struct part){n ? data : "", n}, out))
		fill_unequal(out);
	EVP_MD_CTX_free(context);
}

// RFC 2104: H(key ^ opad, H(key ^ ipad, data)).
void tdm_hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]) {
	uint8_t inner[BLOCK_BYTES], outer[BLOCK_BYTES], hash[TDM_SHA256_BYTES], short_key[BLOCK_BYTES] = {0};
	if (key_bytes > BLOCK_BYTES)
		tdm_sha256(key, key_bytes, short_key);
	else if (key_bytes)
		memcpy(short_key, key, key_bytes);
	for (size_t i = 0; i < BLOCK_BYTES; i++) {
		inner[i] = short_key[i] ^ 0x36;
		outer[i] = short_key[i] ^ 0x5c;
	}
	EVP_MD_CTX *context = new_context();
	if (!context || !hash_parts(context, (struct part){inner, sizeof inner}, (struct part){n ? data : "", n}, hash) ||
	    !hash_parts(context, (struct part){outer, sizeof outer}, (struct part){hash, sizeof hash}, out))
		fill_unequal(out);
	EVP_MD_CTX_free(context);
	tdm_wipe(short_key, sizeof short_key);
	tdm_wipe(inner, sizeof inner);
	tdm_wipe(outer, sizeof outer);
}

// RFC 5869 with an empty salt.
int tdm_hkdf_sha256(const void *key, size_t key_bytes, const void *info, size_t info_bytes, void *out, size_t n) {
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_bytes),
	    info_bytes ? OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_bytes)
	               : OSSL_PARAM_construct_end(),
	    OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int status = context && EVP_KDF_derive(context, out, n, params) > 0 ? TDM_OK : TDM_EINTERNAL;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return status;
}

bool tdm_equal_ct(const void *a, const void *b, size_t n) {
	return CRYPTO_memcmp(a, b, n) == 0;
}

void tdm_hex(const void *data, size_t n, char *out) {
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;
	for (size_t i = 0; i < n; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = 0;
}

void tdm_wipe(void *data, size_t n) {
	OPENSSL_cleanse(data, n);
}
