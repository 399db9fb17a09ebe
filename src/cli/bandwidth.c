// The rule kept here: memory is read as decoding reads weights: every line once, in pieces that the threads of a pool
// take in turn, from large pages where there are any, with the widest loads of the machine.
#include "cli/bandwidth.h"
#include "base/clock.h"
#include "base/pool.h"
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef uint64_t wide __attribute__((vector_size(64)));

struct tdm_bandwidth {
	struct tdm_pool *pool;
	const wide *data;
	size_t n; // wide words, a multiple of N_PARTS * N_SUMS
	int n_parts;
	void (*read)(const wide *at, const wide *end, wide *sum);
	atomic_uint_least64_t sum; // so that no load can be left out
};

enum { N_SUMS = 4, PARTS_OF_THREAD = 8 };

static inline __attribute__((always_inline)) void add_up(const wide *at, const wide *end, wide *sum) {
	wide sums[N_SUMS] = {{0}};
	for (; at < end; at += N_SUMS)
		for (int i = 0; i < N_SUMS; i++)
			sums[i] ^= at[i];
	*sum = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
}

static void read_plain(const wide *at, const wide *end, wide *sum) {
	add_up(at, end, sum);
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void read_avx512(const wide *at, const wide *end, wide *sum) {
	add_up(at, end, sum);
}
__attribute__((target("avx2"))) static void read_avx2(const wide *at, const wide *end, wide *sum) {
	add_up(at, end, sum);
}
static void choose(struct tdm_bandwidth *b) {
	b->read = __builtin_cpu_supports("avx512f") ? read_avx512 : __builtin_cpu_supports("avx2") ? read_avx2 : read_plain;
}
#else
static void choose(struct tdm_bandwidth *b) {
	b->read = read_plain;
}
#endif

static void read_part(void *arg, int part, int n_parts) {
	struct tdm_bandwidth *b = arg;
	size_t n = b->n / (size_t)n_parts;
	wide sum;
	b->read(b->data + n * (size_t)part, b->data + n * (size_t)(part + 1), &sum);
	atomic_fetch_add(&b->sum, sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7]);
}

struct tdm_bandwidth *tdm_bandwidth_open(int n_threads, size_t bytes) {
	struct tdm_bandwidth *b = calloc(1, sizeof *b);
	if (!b)
		return NULL;
	choose(b);
	b->n_parts = n_threads * PARTS_OF_THREAD;
	b->n = bytes / sizeof(wide) / ((size_t)b->n_parts * N_SUMS) * ((size_t)b->n_parts * N_SUMS);
	void *data = mmap(NULL, b->n * sizeof(wide), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	b->pool = tdm_pool_new(n_threads);
	if (data == MAP_FAILED || !b->pool) {
		b->data = data == MAP_FAILED ? NULL : data;
		tdm_bandwidth_close(b);
		return NULL;
	}
	madvise(data, b->n * sizeof(wide), MADV_HUGEPAGE); // a wish
	memset(data, 1, b->n * sizeof(wide));              // else all pages are one page of zeros
	b->data = data;
	return b;
}

double tdm_bandwidth_read(struct tdm_bandwidth *b) {
	int64_t started_us = tdm_now_us();
	tdm_pool_run(b->pool, read_part, b, b->n_parts);
	return (double)(b->n * sizeof(wide)) * 1e6 / (double)(tdm_now_us() - started_us);
}

void tdm_bandwidth_close(struct tdm_bandwidth *b) {
	if (!b)
		return;
	if (b->data)
		munmap((void *)b->data, b->n * sizeof(wide));
	tdm_pool_free(b->pool);
	free(b);
}
