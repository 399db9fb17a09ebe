// Cryptography from OpenSSL libcrypto: hashes, keyed hashes, key derivation, constant-time comparison.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define TDM_SHA256_BYTES 32
void tdm_sha256(const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]);
void tdm_hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t n, uint8_t out[TDM_SHA256_BYTES]);
int tdm_hkdf_sha256(const void *key, size_t key_bytes, const void *info, size_t info_bytes, void *out, size_t n);
bool tdm_equal_ct(const void *a, const void *b, size_t n); // constant time in n
void tdm_hex(const void *data, size_t n, char *out);       // 2n characters and a NUL
void tdm_wipe(void *data, size_t n);                       // not removed by the optimiser
