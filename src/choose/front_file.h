// Front as a file, and the certificates beside it. FILE holds arms and policies, the safest first; FILE.router the
// predictor; FILE.1, FILE.2 ... the certificates of the first policies, as many as were accepted.
//
//   {"front": 1, "loss": name, "estimator": "table", "knn" or "linear", "predictor": hash of FILE.router or "",
//    "arms": [{"name": ..., "quality": q, "cost": c, "ms": t or null, "slow_ms": t or null}, ...],
//    "policies": [{"arm": index or -1, "price": p, "wait": w, "error": e, "cost": c, "ms": t or null}, ...]}
// A certificate names the file by its hash (grid_hash) and the policy by its words (lambda).
#pragma once
#include "choose/front.h"

#define TDM_FRONT_LIMIT_BYTES ((size_t)1 << 20)

void tdm_front_write(const struct tdm_front *f, struct tdm_bytes *out);
// name: for the sentence. The predictor is left NULL, its hash is read. Error: TDM_EFORMAT, TDM_ENOMEM.
int tdm_front_read(struct tdm_arena *arena, const char *name, const char *text, size_t n, struct tdm_front *out,
                   struct tdm_error *err);
// For create() of a kind: the file that an option names, and its predictor; hash: of the file, "sha256:...". Error:
// TDM_ECONFIG with b->error set.
int tdm_front_open(const struct tdm_build *b, const char *name, struct tdm_front **out, char hash[72]);
