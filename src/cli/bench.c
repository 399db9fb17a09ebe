// `tandem bench`: how fast a weight file runs here. Prompts, decoding at several depths, and passes over a few tokens
// as verification of drafts makes them; every test once in every round, so that a disturbance meets all of them.
#include "cli/bandwidth.h"
#include "cli/command.h"
#include "base/clock.h"
#include "base/progress.h"
#include "engine/engine.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	const char *prompt, *depth, *verify, *threads, *kernels, *out;
	int64_t decode, verify_depth, rounds, memory;
	int cache_type;
};

static const struct tdm_option options[] = {
    {"prompt", TDM_OPT_STRING, offsetof(struct options, prompt), "128,512", 0, 0, NULL, "lengths of prompts, tokens"},
    {"decode", TDM_OPT_INT, offsetof(struct options, decode), "64", 0, 1 << 16, NULL, "tokens decoded one by one"},
    {"depth", TDM_OPT_STRING, offsetof(struct options, depth), "0,1024", 0, 0, NULL, "tokens before the decoded ones"},
    {"verify", TDM_OPT_STRING, offsetof(struct options, verify), "1,2,4,8,16", 0, 0, NULL,
     "tokens of one pass with logits for all of them"},
    {"verify-depth", TDM_OPT_INT, offsetof(struct options, verify_depth), "256", 0, 1 << 20, NULL,
     "tokens before these passes"},
    {"threads", TDM_OPT_STRING, offsetof(struct options, threads), "1,2", 0, 0, NULL, "threads, a round for each"},
    {"rounds", TDM_OPT_INT, offsetof(struct options, rounds), "5", 1, 1000, NULL, "times that everything is measured"},
    {"kernels", TDM_OPT_STRING, offsetof(struct options, kernels), NULL, 0, 0, NULL,
     "portable, avx2 or avx512; absent: the best of this machine"},
    {"cache-type", TDM_OPT_CHOICE, offsetof(struct options, cache_type), "auto", 0, 0, TDM_CACHE_CHOICES,
     "keys and values; auto = as precise as the weights"},
    {"memory", TDM_OPT_INT, offsetof(struct options, memory), "0", 0, 1 << 16, NULL,
     "megabytes that are read to know the bandwidth of memory, which bounds decoding; 0 = none"},
    {"out", TDM_OPT_STRING, offsetof(struct options, out), NULL, 0, 0, NULL, "file for the figures, TSV"},
};

enum { MOST_VALUES = 16, MOST_TESTS = 3 * MOST_VALUES, PASSES = 8 };

enum kind { PROMPT, DECODE, VERIFY };
static const char *const kind_names[] = {"prompt", "decode", "verify"};

struct test {
	enum kind kind;
	int n, depth;
	double *us; // [rounds]: of the test's tokens; of one pass for VERIFY
};

struct bench {
	const struct options *o;
	const char *path;
	struct tdm_engine *engine;
	struct tdm_seq *seq;
	int32_t *tokens; // as many as the longest sequence
	struct test tests[MOST_TESTS];
	int n_tests, n_threads;
	struct tdm_bandwidth *memory; // NULL: not measured
	double *reads;                // [rounds]: bytes per second
	FILE *out;
	struct tdm_error *err;
};

static int read_list(const char *text, const char *name, int out[MOST_VALUES], int *n, struct tdm_error *err) {
	for (*n = 0; *text; ++*n) {
		char *end;
		long value = strtol(text, &end, 10);
		if (end == text || (*end && *end != ',') || value < 0 || value > 1 << 20 || *n == MOST_VALUES)
			return tdm_fail(err, TDM_EVALUE, "tandem bench: --%s \"%s\" is no list of at most %d numbers with commas",
			                name, text, MOST_VALUES);
		out[*n] = (int)value;
		text = *end ? end + 1 : end;
	}
	return TDM_OK;
}

static void add_test(struct bench *b, enum kind kind, int n, int depth) {
	if (n > 0)
		b->tests[b->n_tests++] = (struct test){kind, n, depth, calloc((size_t)b->o->rounds, sizeof(double))};
}

static int plan(struct bench *b) {
	int values[MOST_VALUES], n, status = read_list(b->o->prompt, "prompt", values, &n, b->err);
	for (int i = 0; i < n && !status; i++)
		add_test(b, PROMPT, values[i], 0);
	if (!status)
		status = read_list(b->o->depth, "depth", values, &n, b->err);
	for (int i = 0; i < n && !status; i++)
		add_test(b, DECODE, (int)b->o->decode, values[i]);
	if (!status)
		status = read_list(b->o->verify, "verify", values, &n, b->err);
	for (int i = 0; i < n && !status; i++)
		add_test(b, VERIFY, values[i], (int)b->o->verify_depth);
	for (int i = 0; i < b->n_tests && !status; i++)
		if (!b->tests[i].us)
			status = tdm_fail(b->err, TDM_ENOMEM, "no memory for the figures");
	return status;
}

// --- measuring

static int reach(struct bench *b, int depth) {
	tdm_seq_rewind(b->seq, tdm_seq_length(b->seq) < depth ? tdm_seq_length(b->seq) : depth);
	int at = tdm_seq_length(b->seq);
	return at < depth ? tdm_seq_eval(b->seq, b->tokens + at, depth - at, NULL, NULL, b->err) : TDM_OK;
}

static int measure(struct bench *b, struct test *t, int round) {
	static const uint8_t all[1 << 10] = {[0 ...(1 << 10) - 1] = 1};
	const uint8_t *wanted = t->kind == VERIFY && t->n <= (int)sizeof all ? all : NULL;
	int status = reach(b, t->depth), n_passes = t->kind == VERIFY ? PASSES : 1;
	int step = t->kind == DECODE ? 1 : t->n;
	double us = 0;
	for (int pass = 0; pass < n_passes && !status; pass++) {
		int64_t started_us = tdm_now_us();
		for (int i = 0; i < t->n && !status; i += step)
			status = tdm_seq_eval(b->seq, b->tokens + t->depth + i, step, wanted, NULL, b->err);
		us += (double)(tdm_now_us() - started_us);
		if (!status)
			tdm_seq_rewind(b->seq, t->depth);
	}
	t->us[round] = us / n_passes;
	return status;
}

// A disturbance only ever makes a read slower, so the best of several counts.
static void measure_memory(struct bench *b, int round) {
	double best = 0;
	for (int pass = 0; pass < PASSES && b->memory; pass++) {
		double rate = tdm_bandwidth_read(b->memory);
		best = rate > best ? rate : best;
	}
	b->reads[round] = best;
}

static int by_size(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

// The median; 0 when it is not measured.
static double report_memory(struct bench *b) {
	int n = (int)b->o->rounds;
	if (!b->memory)
		return 0;
	qsort(b->reads, (size_t)n, sizeof *b->reads, by_size);
	printf("memory  %5d MB                   threads %2d  %9.1f GB/s      (%.1f to %.1f)\n", (int)b->o->memory,
	       b->n_threads, b->reads[n / 2] / 1e9, b->reads[0] / 1e9, b->reads[n - 1] / 1e9);
	return b->reads[n / 2];
}

static void report(struct bench *b) {
	int n = (int)b->o->rounds;
	double one = 0, memory = report_memory(b), token_bytes = (double)tdm_engine_info(b->engine)->token_bytes;
	for (int i = 0; i < b->n_tests; i++) {
		struct test *t = &b->tests[i];
		qsort(t->us, (size_t)n, sizeof *t->us, by_size);
		double median = t->us[n / 2], rate = t->n * 1e6 / median;
		one = t->kind == VERIFY && t->n == 1 ? median : one;
		printf("%-7s %5d tokens  depth %5d  threads %2d  %9.1f tokens/s  (%.1f to %.1f)", kind_names[t->kind], t->n,
		       t->depth, b->n_threads, rate, t->n * 1e6 / t->us[n - 1], t->n * 1e6 / t->us[0]);
		if (t->kind == VERIFY && one > 0)
			printf("  %.2f of one token", median / one);
		if (t->kind == DECODE && memory > 0)
			printf("  weights %.1f GB/s, %.0f %% of memory", rate * token_bytes / 1e9,
			       rate * token_bytes * 100 / memory);
		putchar('\n');
		if (b->out)
			fprintf(b->out, "%s\t%d\t%d\t%d\t%.2f\t%.2f\t%.2f\n", kind_names[t->kind], t->n, t->depth, b->n_threads,
			        rate, t->n * 1e6 / t->us[n - 1], t->n * 1e6 / t->us[0]);
	}
}

// Megabytes of this process that are in memory; of these, what is mapped from files: code of the program and libraries.
static double resident_mb(double *code_mb) {
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0, shared = 0;
	if (f && fscanf(f, "%*d %ld %ld", &pages, &shared) != 2)
		pages = shared = 0;
	if (f)
		fclose(f);
	*code_mb = (double)shared * 4096 / 1e6;
	return (double)pages * 4096 / 1e6;
}

static int open_model(struct bench *b) {
	const struct tdm_engine_options o = {
	    .threads = b->n_threads, .kernels = b->o->kernels, .cache_type = (enum tdm_cache_type)b->o->cache_type};
	int64_t started_us = tdm_now_us();
	int status = tdm_engine_open(b->path, &o, &b->engine, b->err);
	if (!status)
		status = tdm_seq_open(b->engine, &b->seq, b->err);
	if (status)
		return status;
	const struct tdm_engine_info *info = tdm_engine_info(b->engine);
	b->tokens = malloc((size_t)info->context * sizeof *b->tokens);
	if (!b->tokens)
		return tdm_fail(b->err, TDM_ENOMEM, "no memory for %d tokens", info->context);
	for (int i = 0; i < info->context; i++)
		b->tokens[i] = (int32_t)((uint32_t)i * 2654435761u >> 8) % info->n_vocab;
	status = tdm_seq_eval(b->seq, b->tokens, 1, NULL, NULL, b->err);
	double code_mb, mb = resident_mb(&code_mb);
	printf("%s: %s, %s, %.1f M parameters, %.1f MB; first token after %.2f s; %.1f MB resident, %.1f of them code\n",
	       b->path, info->architecture, info->kernels, (double)info->n_parameters / 1e6,
	       (double)info->weight_bytes / 1e6, (double)(tdm_now_us() - started_us) / 1e6, mb, code_mb);
	return status;
}

static void close_model(struct bench *b) {
	tdm_seq_close(b->seq);
	tdm_engine_close(b->engine);
	free(b->tokens);
	b->seq = NULL;
	b->engine = NULL;
	b->tokens = NULL;
}

static int open_memory(struct bench *b) {
	b->reads = calloc((size_t)b->o->rounds, sizeof *b->reads);
	if (b->reads && b->o->memory > 0)
		b->memory = tdm_bandwidth_open(b->n_threads, (size_t)b->o->memory << 20);
	if (!b->reads || (b->o->memory > 0 && !b->memory))
		return tdm_fail(b->err, TDM_ENOMEM, "no memory for %d MB to read", (int)b->o->memory);
	return TDM_OK;
}

static void close_memory(struct bench *b) {
	tdm_bandwidth_close(b->memory);
	free(b->reads);
	b->memory = NULL;
	b->reads = NULL;
}

static int run_round(struct bench *b, struct tdm_progress *progress, int round) {
	int status = TDM_OK;
	measure_memory(b, round);
	for (int i = 0; i < b->n_tests && !status; i++) {
		status = measure(b, &b->tests[i], round);
		tdm_progress_show(progress, (uint64_t)(round * b->n_tests + i + 1), NULL);
	}
	return status;
}

static int run_threads(struct bench *b) {
	struct tdm_progress progress;
	int status = open_model(b);
	if (!status)
		status = open_memory(b);
	tdm_progress_start(&progress, "measuring", "tests", (uint64_t)(b->o->rounds * b->n_tests));
	for (int round = 0; round < b->o->rounds && !status; round++)
		status = run_round(b, &progress, round);
	tdm_progress_end(&progress);
	if (!status)
		report(b);
	close_memory(b);
	close_model(b);
	return status;
}

static int run(const struct tdm_command_call *call) {
	struct bench b = {.o = call->options, .err = call->error};
	int threads[MOST_VALUES], n_threads;
	if (call->n_operands != 1)
		return tdm_fail(call->error, TDM_EVALUE, "tandem bench: expected one weight file, not %zu operands",
		                call->n_operands);
	b.path = call->operands[0];
	int status = read_list(b.o->threads, "threads", threads, &n_threads, call->error);
	if (!status)
		status = plan(&b);
	if (!status && b.o->out && !(b.out = fopen(b.o->out, "we")))
		status = tdm_fail(call->error, TDM_EIO, "tandem bench: %s cannot be written", b.o->out);
	if (b.out)
		fputs("test\ttokens\tdepth\tthreads\ttokens_per_s\tleast\tmost\n", b.out);
	for (int i = 0; i < n_threads && !status; i++) {
		b.n_threads = threads[i];
		status = run_threads(&b);
	}
	if (b.out && fclose(b.out) && !status)
		status = tdm_fail(call->error, TDM_EIO, "tandem bench: %s cannot be written", b.o->out);
	for (int i = 0; i < b.n_tests; i++)
		free(b.tests[i].us);
	return status;
}

const struct tdm_command tdm_command_bench = {
    .name = "bench",
    .summary = "how fast a weight file runs here",
    .operands = "MODEL.gguf",
    .group = "measure",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .options_bytes = sizeof(struct options),
    .run = run,
};
