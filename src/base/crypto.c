// Cryptography from OpenSSL's libcrypto. This is the only file that knows OpenSSL.
//
// The rule kept here: fail closed. A hash that could not be computed (no memory) is filled with random bytes and so
// equals nothing, rather than with a constant that would equal every other failure.
#define OPENSSL_API_COMPAT 10100 // hash_parts() says why
#include "base/crypto.h"
#include "base/random.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#define BLOCK_BYTES 64 // of SHA-256

static void fill_unequal(uint8_t out[TDM_SHA256_BYTES]) {
	if (tdm_system_random(out, TDM_SHA256_BYTES) != TDM_OK)
		RAND_bytes(out, TDM_SHA256_BYTES);
}

struct part {
	const void *data;
	size_t n;
};
#define MOST_PARTS 4

// The hash of parts, one after the other. By the functions that take their memory from the caller: a request needs
// several hashes of short texts, and what libcrypto's newer ones allocate for each would cost as much as the hash.
static bool hash_parts(const struct part *parts, size_t n, uint8_t out[TDM_SHA256_BYTES]) {
	SHA256_CTX context;
	bool ok = SHA256_Init(&context);
	for (size_t i = 0; ok && i < n; i++)
		ok = !parts[i].n || SHA256_Update(&context, parts[i].data, parts[i].n);
	ok = ok && SHA256_Final(out, &context);
	tdm_wipe(&context, sizeof context); // parts may be a key
	return ok;
}

void tdm_sha256(const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]) {
	if (!hash_parts(&(struct part){data, n}, 1, out))
		fill_unequal(out);
}

// RFC 2104: H(key ^ opad, H(key ^ ipad, parts)).
static bool hmac_parts(struct part key, const struct part *parts, size_t n, uint8_t out[TDM_SHA256_BYTES]) {
	uint8_t block[BLOCK_BYTES] = {0}, hash[TDM_SHA256_BYTES];
	struct part inner[MOST_PARTS + 1] = {{block, sizeof block}};
	const struct part outer[] = {{block, sizeof block}, {hash, sizeof hash}};
	bool ok = true;
	if (key.n > BLOCK_BYTES)
		ok = hash_parts(&key, 1, block);
	else if (key.n)
		memcpy(block, key.data, key.n);
	memcpy(inner + 1, parts, n * sizeof *parts);
	for (size_t i = 0; i < BLOCK_BYTES; i++)
		block[i] ^= 0x36;
	ok = ok && hash_parts(inner, n + 1, hash);
	for (size_t i = 0; i < BLOCK_BYTES; i++)
		block[i] ^= 0x36 ^ 0x5c;
	ok = ok && hash_parts(outer, 2, out);
	tdm_wipe(block, sizeof block);
	return ok;
}

void tdm_hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]) {
	if (!hmac_parts((struct part){key, key_bytes}, &(struct part){data, n}, 1, out))
		fill_unequal(out);
}

// RFC 5869 with an empty salt: T(i) = HMAC(PRK, T(i - 1) | info | i).
int tdm_hkdf_sha256(const void *key, size_t key_bytes, const void *info, size_t info_bytes, void *out, size_t n) {
	uint8_t prk[TDM_SHA256_BYTES], block[TDM_SHA256_BYTES], *to = out;
	uint8_t i = 0;
	bool ok = n <= 255 * TDM_SHA256_BYTES && hmac_parts((struct part){0}, &(struct part){key, key_bytes}, 1, prk);
	while (ok && n) {
		size_t part = n < sizeof block ? n : sizeof block;
		const struct part parts[] = {{block, i++ ? sizeof block : 0}, {info, info_bytes}, {&i, 1}};
		ok = hmac_parts((struct part){prk, sizeof prk}, parts, 3, block);
		memcpy(to, block, part);
		to += part;
		n -= part;
	}
	tdm_wipe(prk, sizeof prk);
	tdm_wipe(block, sizeof block);
	return ok ? TDM_OK : TDM_EINTERNAL;
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

bool tdm_unhex(const char *text, void *out, size_t n) {
	static const char digits[] = "0123456789abcdef";
	uint8_t *bytes = out;
	if (strlen(text) != 2 * n || strspn(text, digits) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 | (strchr(digits, text[2 * i + 1]) - digits));
	return true;
}

int tdm_ed25519_public(const uint8_t key[TDM_ED25519_KEY_BYTES], uint8_t out[TDM_ED25519_KEY_BYTES]) {
	size_t n = TDM_ED25519_KEY_BYTES;
	EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key, n);
	bool ok = pkey && EVP_PKEY_get_raw_public_key(pkey, out, &n);
	EVP_PKEY_free(pkey);
	return ok ? TDM_OK : TDM_EINTERNAL;
}

int tdm_ed25519_sign(const uint8_t key[TDM_ED25519_KEY_BYTES], const void *data, size_t n,
                     uint8_t out[TDM_ED25519_SIGNATURE_BYTES]) {
	size_t n_out = TDM_ED25519_SIGNATURE_BYTES;
	EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key, TDM_ED25519_KEY_BYTES);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = pkey && context && EVP_DigestSignInit(context, NULL, NULL, NULL, pkey) == 1 &&
	          EVP_DigestSign(context, out, &n_out, data, n) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(pkey);
	return ok ? TDM_OK : TDM_EINTERNAL;
}

bool tdm_ed25519_verify(const uint8_t public_key[TDM_ED25519_KEY_BYTES], const void *data, size_t n,
                        const uint8_t signature[TDM_ED25519_SIGNATURE_BYTES]) {
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, TDM_ED25519_KEY_BYTES);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = pkey && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) == 1 &&
	          EVP_DigestVerify(context, signature, TDM_ED25519_SIGNATURE_BYTES, data, n) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(pkey);
	return ok;
}

bool tdm_aes256_block(const uint8_t key[32], const uint8_t in[16], uint8_t out[16]) {
	int n = 0;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_256_ecb(), NULL, key, NULL) == 1 &&
	          EVP_CIPHER_CTX_set_padding(c, 0) == 1 && EVP_EncryptUpdate(c, out, &n, in, 16) == 1 && n == 16;
	EVP_CIPHER_CTX_free(c);
	return ok;
}
