// Certificate: a promise as a signed file, with all that it was found from and all that must stay as it was.
//
// The rule it protects: what decides is written as decimal strings, in one order, without spaces; the text before
// `,"signature"` is what is signed, so that any changed byte is found. Equal input gives equal bytes. Whether it is
// suspended is no part of it: a file beside it, PATH.suspended, says so, and nothing here ever removes that.
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/status.h"

#define TDM_CERTIFICATE_LIMIT_BYTES ((size_t)64 << 10)

struct tdm_certificate { // strings that are not known are ""; maps and lists are JSON text
	const char *id;      // "crt_" and digits of the hash of the rest
	int64_t version;     // 1
	const char *subject, // the model of the settings that it is about
	    *claim, *risk, *loss, *loss_source, *epsilon, *delta, *procedure;
	int64_t starts; // of multi_start
	const char *bound;
	int64_t n, k, duplicates; // items, kept ones with a loss, items that were left out since they occur again
	const char *p_value, *upper, *lambda, *share_local, *groups, *auditable_share, *grid_from, *grid_to;
	int64_t grid_steps;
	const char *grid_hash, *order_hash, *data_hash;
	int64_t split_seed;
	const char *dedup, *models, *prompts, *gate, *config, *code, *reliability, *assumption, *issued, *expires;
	const char *key;       // that signed it, public
	const char *signature; // hexadecimal
};

// What is signed. Writes every field but the signature.
void tdm_certificate_write(struct tdm_bytes *out, const struct tdm_certificate *c);
// Sets id, key and signature (strings in the arena), and appends the whole file to out.
int tdm_certificate_seal(struct tdm_arena *arena, struct tdm_certificate *c, const uint8_t key[TDM_ED25519_KEY_BYTES],
                         struct tdm_bytes *out, struct tdm_error *err);
// Reads a file's text and checks its form, its id and its signature. name is for the sentence. Error: TDM_ECONFIG.
int tdm_certificate_read(struct tdm_arena *arena, const char *name, const char *text, size_t n,
                         struct tdm_certificate *out, struct tdm_error *err);
// "2026-01-02T03:04:05Z". Times of this form order as text.
#define TDM_TIME_BYTES 24
void tdm_certificate_time(int64_t wall_us, char out[TDM_TIME_BYTES]);
