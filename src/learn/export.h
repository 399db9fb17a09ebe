// Export: a net as a GGUF file that this engine and llama.cpp load.
#pragma once
#include "learn/net.h"

// type: TDM_F32, TDM_F16 or TDM_Q8_0 for matrices (a matrix whose rows are no multiple of 32 stays F16 under Q8_0);
// norms are F32. The keys tokenizer.* are copied from `tokenizer`. Error: TDM_EIO, TDM_EFORMAT, TDM_ENOMEM.
int tdm_export(const struct tdm_net *net, const struct tdm_gguf *tokenizer, const char *name, enum tdm_tensor_type type,
               const char *path, struct tdm_error *err);
// What a matrix with rows of n_in is written as, where `type` was asked for.
enum tdm_tensor_type tdm_export_type(enum tdm_tensor_type type, uint64_t n_in);
