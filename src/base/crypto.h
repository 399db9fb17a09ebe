// Cryptography from OpenSSL libcrypto: hashes, keyed hashes, key derivation, signatures, constant-time comparison.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define TDM_SHA256_BYTES 32
void tdm_sha256(const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]);
void tdm_hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]);
int tdm_hkdf_sha256(const void *key, size_t key_bytes, const void *info, size_t info_bytes, void *out, size_t n);
bool tdm_equal_ct(const void *a, const void *b, size_t n);                           // constant time in n
void tdm_hex(const void *data, size_t n, char *out);                                 // 2n characters and a NUL
bool tdm_aes256_block(const uint8_t key[32], const uint8_t in[16], uint8_t out[16]); // one block; false: it could not
void tdm_wipe(void *data, size_t n);                                                 // not removed by the optimiser

// Ed25519 (RFC 8032): a key is 32 random bytes. Error: TDM_EINTERNAL, and nothing is signed; verify is then false.
#define TDM_ED25519_KEY_BYTES 32
#define TDM_ED25519_SIGNATURE_BYTES 64
int tdm_ed25519_public(const uint8_t key[TDM_ED25519_KEY_BYTES], uint8_t out[TDM_ED25519_KEY_BYTES]);
int tdm_ed25519_sign(const uint8_t key[TDM_ED25519_KEY_BYTES], const void *data, size_t n,
                     uint8_t out[TDM_ED25519_SIGNATURE_BYTES]);
bool tdm_ed25519_verify(const uint8_t public_key[TDM_ED25519_KEY_BYTES], const void *data, size_t n,
                        const uint8_t signature[TDM_ED25519_SIGNATURE_BYTES]);
// The reverse of tdm_hex: exactly 2n lower-case digits and a NUL.
bool tdm_unhex(const char *text, void *out, size_t n);
