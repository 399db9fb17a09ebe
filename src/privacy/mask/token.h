// Token: what stands in the place of a private value, and the vault that knows which value each one stands for.
//
// LABEL_ + 7 payload characters + 1 check character, Crockford base32: one run of word characters, so it survives
// markup, code and JSON; of fixed width, so no token is the beginning of another; the payload is a keyed hash, so
// nobody outside can write a live token; the check character finds every changed character and every swap of
// neighbours.
#pragma once
#include "base/arena.h"
#include "base/option.h"
#include "base/status.h"
#include "privacy/detect/detect.h"

#define TDM_TOKEN_BYTES 24 // longest token and its NUL
#define TDM_PAYLOAD_BITS 35
#define TDM_STAND_IN_BYTES 31 // longest number in the shape of another one (shape.h)
#define TDM_MAX_VALUES 4096   // per conversation; beyond it the request is refused

// Writes label_PAYLOADc and a NUL; returns the length. label: at most 12 letters; payload: 35 bits.
size_t tdm_token_write(char out[TDM_TOKEN_BYTES], const char *label, uint64_t payload);
// Whether text[0..n) is exactly a token with a right check character (any label of 2-12 capital letters).
bool tdm_token_valid(const char *text, size_t n);
// Whether the separator of something in the shape of a token (a label of ours, any letter case, any check character;
// with eight letters only the right one) stands at text[at]: "_", "\_", "%5F" or "\u005f". Sets where it starts and
// ends.
bool tdm_token_shape(const char *text, size_t n, size_t at, size_t *start, size_t *end);

struct tdm_spelling { // one way of writing one value, and its token
	const char *text, *token;
	size_t n, n_token;
	struct tdm_spelling *next; // in the vault
	struct tdm_spelling *same; // of the same owner
	bool surrogate;            // its token is no token: a number of the same form, a name
};

struct tdm_vault;
// key: K_session, 32 bytes. bits: width of the payload hash, 35; tests shorten it to make collisions common.
struct tdm_vault *tdm_vault_new(struct tdm_arena *arena, const uint8_t key[32], int bits);
// Values with these labels get surrogates from here on, where that can be done and told apart from what stands for
// others and from what stands in the texts: numbers of the same form (shape.h), names from lists (alias.h). NULL: none
// do.
void tdm_vault_surrogates(struct tdm_vault *vault, const struct tdm_strings *labels, const struct tdm_text *texts,
                          size_t n_texts);
bool tdm_vault_wants(const struct tdm_vault *vault, const char *label);
// The token of a value as written (folded: its normal form). The same value gets the same payload, another spelling of
// it another label; tokens given before never change. Error: TDM_EGUARD (too many values), TDM_ENOMEM.
int tdm_vault_token(struct tdm_vault *vault, const struct tdm_entity *entity, const char *text, size_t n,
                    const char *folded, size_t n_folded, const struct tdm_spelling **out, struct tdm_error *err);
const struct tdm_spelling *tdm_vault_first(const struct tdm_vault *vault); // all spellings, oldest first
void tdm_vault_forget_key(struct tdm_vault *vault);
