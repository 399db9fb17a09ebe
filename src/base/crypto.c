// Cryptography from OpenSSL's libcrypto. This is the only file that knows OpenSSL.
//
// The rule kept here: fail closed. A hash that could not be computed (no memory) is filled with random bytes and so
// equals nothing, rather than with a constant that would equal every other failure.
#include "base/crypto.h"
#include "base/random.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

static void fill_unequal(uint8_t out[TDM_SHA256_BYTES]) {
	if (tdm_system_random(out, TDM_SHA256_BYTES) != TDM_OK)
		RAND_bytes(out, TDM_SHA256_BYTES);
}

void tdm_sha256(const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]) {
	if (!SHA256(n ? data : "", n, out))
		fill_unequal(out);
}

void tdm_hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]) {
	unsigned int length = TDM_SHA256_BYTES;
	if (!HMAC(EVP_sha256(), key_bytes ? key : "", (int)key_bytes, n ? data : (const void *)"", n, out, &length))
		fill_unequal(out);
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
