// Identity: hashes of what a model is made of: the models it uses, their prompts, its own settings, all others, and the
// program. What a promise about it was found with is compared with what runs.
//
// Files that a setting names count by their bytes. What changes no answer does not count: prices, keys, names of
// listings, threads; nor do the model's own threshold and its certificate, which stand in each other's place. Those of
// models below it do.
#pragma once
#include "models/kind.h"

struct tdm_identity {
	const char *models; // JSON: the name of each role and a hash, "sha256:..."; of lists one after the other
	const char *prompts, *gate, *config, *code;
};
// folder: of the settings file; embedded: data inside the program, may be NULL. Strings in the arena. Error: TDM_EIO (a
// file cannot be read), TDM_ENOMEM.
int tdm_identity_of(struct tdm_arena *arena, const struct tdm_model *m, const char *folder,
                    const void *(*embedded)(const char *name, size_t *n), struct tdm_identity *out,
                    struct tdm_error *err);
