// Settings of the state: the `state` section of the settings file.
#pragma once
#include "base/option.h"
#include "ledger/shared.h"

extern const struct tdm_option tdm_shared_settings[];
extern const size_t tdm_n_shared_settings;
// section: NULL = all defaults. where: prefix of error sentences. Trees that are loaded while another one with the same
// url and prefix is in use share its state, so that a reload forgets nothing.
int tdm_shared_from_settings(struct tdm_arena *arena, const char *where, const char *folder,
                             const struct tdm_value *section, struct tdm_shared **out, struct tdm_error *err);
