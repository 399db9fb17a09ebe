// Engines: the weights that are in use in this process. A tree that is made while another one still answers, as on a
// reload, gets the engines of models that did not change: same name, same file, same options.
#pragma once
#include "models/kind.h"
#include "engine/engine.h"

// What makes two engines the same: the model's name, everything in `options`, and the files at the paths as they are
// now (NULL paths are none). In the arena; NULL: no memory.
const char *tdm_engines_key(struct tdm_arena *arena, const char *name, const char *options, const char *const *paths,
                            size_t n);
// The engine of the key, or NULL; one more user of it.
struct tdm_engine *tdm_engines_find(const char *key);
// A new engine of the key, which has one user now. It is not found, but works, where there is no memory for the key.
void tdm_engines_add(const char *key, struct tdm_engine *e);
void tdm_engines_leave(struct tdm_engine *e); // one user less; the last one closes it. NULL is fine
