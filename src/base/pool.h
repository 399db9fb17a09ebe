// Pool: a fixed set of threads that run the parts of one job together (kernels, data-parallel training, evaluation).
#pragma once
#include "base/status.h"

struct tdm_pool;
typedef void tdm_pool_fn(void *arg, int part, int n_parts);

// n_threads counts the caller; 1 starts no thread. Threads spin briefly and then sleep. NULL when out of memory.
struct tdm_pool *tdm_pool_new(int n_threads);
void tdm_pool_free(struct tdm_pool *pool); // NULL is allowed
int tdm_pool_size(const struct tdm_pool *pool);
// Runs fn(arg, 0..n_parts-1, n_parts); the caller works too and returns when all parts are done.
// One job at a time: a second caller waits. fn must not run another job on the same pool, nor wait for another part:
// where threads lose their cores to others, the caller runs all parts itself for a while.
void tdm_pool_run(struct tdm_pool *pool, tdm_pool_fn *fn, void *arg, int n_parts);
