// Bandwidth: how fast threads read memory here, which is what bounds decoding.
#pragma once
#include <stddef.h>

struct tdm_bandwidth; // a buffer larger than any cache, and the threads that read it

struct tdm_bandwidth *tdm_bandwidth_open(int n_threads, size_t bytes); // NULL: no memory
double tdm_bandwidth_read(struct tdm_bandwidth *b);                    // reads all of it once: bytes per second
void tdm_bandwidth_close(struct tdm_bandwidth *b);
