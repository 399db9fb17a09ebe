// Signing: what commands that make certificates share: the key, and what a certificate says that a model is made of.
#pragma once
#include "assure/certificate.h"
#include "cli/app.h"
#include "models/identity.h"

// Reads the key of a file, 64 hexadecimal digits; makes it where there is no such file. who: the command, for the
// sentence when path is NULL. Error: TDM_EVALUE, TDM_EIO.
int tdm_signing_key(const char *who, const char *path, uint8_t key[TDM_ED25519_KEY_BYTES], struct tdm_error *err);
// Of a model of the settings.
int tdm_signing_identity(struct tdm_arena *arena, const struct tdm_app *app, const struct tdm_model *model,
                         struct tdm_identity *out, struct tdm_error *err);
