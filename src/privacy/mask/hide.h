// Hide: private values of the texts of one conversation become tokens; what brings them back is made along the way. No
// model takes part: the mask, and the commands that are filters, stand on it.
#pragma once
#include "privacy/detect/detect.h"
#include "privacy/mask/restore.h"

struct tdm_hiding {
	struct tdm_arena *arena;
	const struct tdm_detector *detector;
	const struct tdm_text *texts;
	size_t n;
	const struct tdm_strings *links;      // tdm_links.origins
	const struct tdm_strings *surrogates; // labels, see tdm_vault_surrogates
	int level, bits;                      // bits: width of the tokens' hash, TDM_PAYLOAD_BITS but in tests
	// Called for every find, NULL: not. token: what stands there now, NULL: a mark that does not come back.
	void (*seen)(void *arg, const struct tdm_find *find, const struct tdm_spelling *token);
	void *arg;
	// what becomes of them
	struct tdm_finds *finds;
	struct tdm_text *masked; // texts[i] itself where nothing was found
	struct tdm_dictionary protect;
	struct tdm_restorer restorer;
	long n_tokens;
};

#define TDM_SESSION_KEY_BYTES 32
// The key that all others come from: what "env:NAME" or "file:PATH" holds, at least 16 bytes; NULL or "": a random one.
// Error: TDM_ECONFIG, TDM_EIO.
int tdm_master_key(const char *where, const char *folder, const char *from, uint8_t key[TDM_SESSION_KEY_BYTES],
                   struct tdm_error *err);
// K_session: another key for every conversation of every tenant, so that nobody outside can link the same value across
// conversations. first: the first words of the user, which stand for the session when it has no name. TDM_OK,
// TDM_ENOMEM, TDM_EINTERNAL.
int tdm_session_key(const uint8_t master[TDM_SESSION_KEY_BYTES], const char *tenant, const char *session,
                    struct tdm_text first, uint8_t out[TDM_SESSION_KEY_BYTES]);
// key: of this conversation. Error: nothing may be sent.
int tdm_hide(struct tdm_hiding *h, const uint8_t key[TDM_SESSION_KEY_BYTES], struct tdm_error *err);
