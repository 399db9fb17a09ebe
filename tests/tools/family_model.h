// Random weights of every family in tiny shapes, as files: what the tests of the engine run and what llama.cpp is given
// to compare with. It knows the files of the families and nothing of the engine's table (engine/family.h), so that a
// mistake there is found. To add a family or a variant of one: a row in family_model.c.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

const char *tdm_family_model_at(size_t i); // name of recipe i, NULL after the last
bool tdm_family_model_is_encoder(const char *recipe);
struct tdm_family_model_options {
	uint32_t type; // of the matrices
	uint64_t seed;
	bool is_wide; // rows of whole blocks of every format, which those of the smaller models are not
	int context;  // 0: 512
};
// Error: TDM_EVALUE for an unknown recipe, TDM_EIO.
int tdm_family_model_write(const char *recipe, const struct tdm_family_model_options *o, const char *path,
                           struct tdm_error *err);
