// Soak: two models, 32 sessions that prompt, evaluate, rewind, fork, branch, embed and ask at random, while calls are
// cancelled at random, for a given time. usage: soak SECONDS [SEED]
//
// A request is a list of operations that follows from its number. Every request is played alone before the sessions
// start; whoever plays it later must see every row of logits and every text the same to the last bit, whatever else
// runs and however often it was cancelled on the way. The models and their files are made here; all else is tandem.h.
#include <tandem.h>
#include "../tools/family_model.h"
#include "base/clock.h"
#include "base/random.h"
#include "engine/gguf.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	N_SESSIONS = 32,
	N_REQUESTS = 192,
	N_ASKS = 48,
	N_STEPS = 10,
	MOST = 64,
	CACHE_BYTES = 24 << 20,
	CALLS_A_CANCELLATION = 10,
	REPORT_S = 5
};

static const char *const recipes[] = {"llama", "gemma2"};
static const uint32_t types[] = {TDM_Q8_0, TDM_F16};
static const char *const asked[] = {"one", "two", "draft", "both", "careful"};

struct world {
	struct tdm_engine *engines[2];
	struct tdm_adapter *adapter; // of the first
	struct tandem *tree;
	uint64_t alone[N_REQUESTS]; // what the request gave when nothing else ran
	tdm_flag is_over;
	atomic_long n_calls, n_answers, n_cancelled, n_left, n_wrong, n_failed;
};

struct player {
	struct world *w;
	tdm_flag cancelled;     // set by anybody
	struct tdm_rng chance;  // what a request's number does not decide
	struct tdm_rng request; // what it decides
	uint64_t hash;          // of all rows and texts
	bool has_left;
	struct tdm_seq *seq;
	int32_t tokens[MOST];
	uint8_t wanted[MOST];
	pthread_t thread;
};

static int below(struct tdm_rng *rng, int n) {
	return (int)tdm_rng_below(rng, (uint64_t)n);
}

static void mix(struct player *p, const void *data, size_t n) {
	const uint8_t *bytes = data;
	for (size_t i = 0; i < n; i++)
		p->hash = (p->hash ^ bytes[i]) * 1099511628211u;
}

static void mix_row(struct player *p, const struct tdm_engine *e, const struct tdm_seq *s, int row) {
	const struct tdm_engine_info *info = tdm_engine_info(e);
	mix(p, tdm_seq_logits(s, row), (size_t)info->n_vocab * sizeof(float));
	mix(p, tdm_seq_hidden(s, row), (size_t)info->width * sizeof(float));
}

static int complain(struct player *p, const char *what, int status, const struct tdm_error *err) {
	fprintf(stderr, "\nsoak: %s: %s: %s\n", what, tdm_status_info(status)->code, err->text);
	atomic_fetch_add(&p->w->n_failed, 1);
	return status;
}

// What follows a call: go on, once more after a cancellation, or leave the request. A cancelled call must have left the
// sequence as it was.
static bool again(struct player *p, int status, int length, const struct tdm_error *err, const char *what, int *out) {
	*out = status;
	atomic_fetch_add(&p->w->n_calls, 1);
	if (status != TDM_EGONE) {
		if (status)
			complain(p, what, status, err);
		return false;
	}
	atomic_fetch_add(&p->w->n_cancelled, 1);
	atomic_store(&p->cancelled, false);
	if (p->seq && (tdm_seq_length(p->seq) != length || tdm_seq_logits(p->seq, 0)))
		*out = complain(p, "a cancelled call changed its sequence", TDM_EINTERNAL, err);
	p->has_left = below(&p->chance, 4) == 0;
	return *out == TDM_EGONE && !p->has_left;
}

static void draw_tokens(struct player *p, const struct tdm_engine *e, int n) {
	for (int i = 0; i < n; i++)
		p->tokens[i] = below(&p->request, tdm_engine_info(e)->n_vocab);
}

static int eval(struct player *p, const struct tdm_engine *e, int n) {
	int status, length = tdm_seq_length(p->seq), n_rows = 0;
	struct tdm_error err;
	for (int i = 0; i < n; i++)
		n_rows += p->wanted[i] = i + 1 == n || below(&p->request, 3) == 0;
	do {
		tdm_error_clear(&err);
		status = tdm_seq_eval(p->seq, p->tokens, n, p->wanted, &p->cancelled, &err);
	} while (again(p, status, length, &err, "eval", &status));
	for (int row = 0; row < n_rows && !status; row++)
		mix_row(p, e, p->seq, row);
	return status;
}

static int prompt(struct player *p, struct tdm_engine *e) {
	struct tdm_rng shared;
	struct tdm_error err;
	char tenant[] = "tenant-0";
	int status, n = 40 + below(&p->request, MOST - 40);
	tenant[sizeof tenant - 2] = (char)('0' + below(&p->request, 3));
	tdm_rng_init(&shared, (uint64_t)below(&p->request, 4)); // many requests begin alike
	draw_tokens(p, e, n);
	for (int i = 0; i < 40; i++)
		p->tokens[i] = below(&shared, tdm_engine_info(e)->n_vocab);
	do {
		tdm_error_clear(&err);
		status = tdm_seq_prompt(p->seq, tenant, p->tokens, n, &p->cancelled, NULL, &err);
	} while (again(p, status, 0, &err, "prompt", &status));
	if (!status)
		mix_row(p, e, p->seq, 0);
	return status;
}

// Goes on with a fork for a while, and at random with it instead of the original.
static int fork_off(struct player *p, struct tdm_engine *e) {
	struct tdm_seq *original = p->seq, *fork = NULL;
	struct tdm_error err = {0};
	bool stays = below(&p->request, 2);
	int status = tdm_seq_fork(original, &fork, &err);
	if (status)
		return complain(p, "fork", status, &err);
	p->seq = fork;
	draw_tokens(p, e, 5);
	status = eval(p, e, 5);
	p->seq = stays ? fork : original;
	tdm_seq_close(stays ? original : fork);
	return status;
}

static int branch(struct player *p, struct tdm_engine *e) {
	int parents[MOST], n = 2 + below(&p->request, 20), status, length = tdm_seq_length(p->seq);
	struct tdm_error err;
	draw_tokens(p, e, n);
	for (int i = 0; i < n; i++)
		parents[i] = below(&p->request, i + 1) - 1;
	do {
		tdm_error_clear(&err);
		status = tdm_seq_eval_tree(p->seq, p->tokens, parents, n, &p->cancelled, &err);
	} while (again(p, status, length, &err, "tree", &status));
	for (int row = 0; row < n && !status; row++)
		mix_row(p, e, p->seq, row);
	if (!status)
		tdm_seq_keep(p->seq, below(&p->request, n + 1) - 1);
	return status;
}

// Greedy decoding of a JSON object as far as it gets.
static int decode(struct player *p, struct tdm_engine *e) {
	struct tdm_error err = {0};
	struct tdm_grammar *g = NULL;
	struct tdm_constraint *c = NULL;
	int n_vocab = tdm_engine_info(e)->n_vocab;
	float logits[1024];
	uint64_t mask[1024 / 64];
	int status = tdm_grammar_new(TDM_GRAMMAR_JSON, NULL, 0, NULL, &g, &err);
	if (!status)
		status = tdm_engine_constrain(e, g, &c, &err);
	p->tokens[0] = below(&p->request, n_vocab);
	for (int i = 0; i < 6 && !status; i++) {
		status = eval(p, e, 1);
		if (status || (status = tdm_constraint_mask(c, mask, &err)))
			break;
		memcpy(logits, tdm_seq_logits(p->seq, 0), (size_t)n_vocab * sizeof *logits);
		tdm_constraint_apply(mask, logits, n_vocab);
		p->tokens[0] = tdm_argmax(logits, n_vocab);
		mix(p, p->tokens, sizeof *p->tokens);
		if (tdm_token_is_end(tdm_engine_vocab(e), p->tokens[0]))
			break;
		status = tdm_constraint_advance(c, p->tokens[0]);
	}
	if (status && status != TDM_EGONE)
		complain(p, "decode", status, &err);
	tdm_constraint_free(c);
	tdm_grammar_free(g);
	return status;
}

static int embed(struct player *p, struct tdm_engine *e) {
	char text[200];
	float vector[1024];
	int status, n = 1 + below(&p->request, sizeof text);
	struct tdm_error err;
	for (int i = 0; i < n; i++)
		text[i] = (char)('a' + below(&p->request, 26));
	do {
		tdm_error_clear(&err);
		status = tdm_engine_embed(e, NULL, text, (size_t)n, &p->cancelled, vector, NULL, &err);
		if (status == TDM_EGONE) { // it has a sequence of its own
			atomic_store(&p->cancelled, false);
			atomic_fetch_add(&p->w->n_cancelled, 1);
		}
	} while (status == TDM_EGONE);
	if (status)
		return complain(p, "embed", status, &err);
	mix(p, vector, (size_t)tdm_engine_info(e)->width * sizeof *vector);
	return TDM_OK;
}

static int rewind_some(struct player *p, struct tdm_engine *e) {
	int length = tdm_seq_length(p->seq), back = below(&p->request, 30);
	tdm_seq_rewind(p->seq, length > back + 1 ? length - back : 1);
	draw_tokens(p, e, 1);
	return eval(p, e, 1);
}

static int step(struct player *p, struct tdm_engine *e) {
	switch (below(&p->request, 7)) {
	case 0:
		return rewind_some(p, e);
	case 1:
		return fork_off(p, e);
	case 2:
		return branch(p, e);
	case 3:
		return decode(p, e);
	case 4:
		return embed(p, e);
	default:
		break;
	}
	int n = 1 + below(&p->request, MOST / 2);
	draw_tokens(p, e, n);
	return eval(p, e, n);
}

static int play_sequence(struct player *p, int number) {
	struct tdm_engine *e = p->w->engines[number % 2];
	struct tdm_error err = {0};
	int status = tdm_seq_open(e, &p->seq, &err);
	if (status)
		return complain(p, "open", status, &err);
	if (number % 4 == 0)
		tdm_seq_use(p->seq, p->w->adapter);
	status = prompt(p, e);
	for (int i = 0; i < N_STEPS && !status && !p->has_left; i++) {
		p->has_left = atomic_load(&p->w->is_over);
		status = step(p, e);
	}
	tdm_seq_close(p->seq);
	p->seq = NULL;
	return status;
}

static int mix_piece(void *context, const char *text, size_t n, const char *author) {
	mix(context, text, n);
	return 0;
}

static int ask(struct player *p, int number) {
	struct tandem_wishes wishes = {
	    .max_tokens = 1 + below(&p->request, 16), .temperature = 1, .cancelled = &p->cancelled};
	char text[80];
	int n = snprintf(text, sizeof text, "Question %d of a kind %d.", below(&p->request, 1000), number), status;
	struct tdm_message message = {.from = TDM_FROM_USER, .text = text, .len = (size_t)n};
	const char *model = asked[below(&p->request, sizeof asked / sizeof *asked)];
	uint64_t before = p->hash;
	struct tdm_error err;
	wishes.seed = 1 + (uint64_t)number;
	do {
		char *receipt = NULL;
		tdm_error_clear(&err);
		p->hash = before;
		status = tandem_ask(p->w->tree, model, &message, 1, &wishes, mix_piece, p, &receipt, &err);
		free(receipt);
	} while (again(p, status, 0, &err, model, &status));
	return status;
}

// Plays a request; its hash is in p unless it was left.
static int play(struct player *p, int number) {
	p->hash = 14695981039346656037u;
	p->has_left = false;
	tdm_rng_init(&p->request, (uint64_t)number + 1000);
	return number < N_ASKS ? ask(p, number) : play_sequence(p, number);
}

static void *run_session(void *arg) {
	struct player *p = arg;
	while (!atomic_load(&p->w->is_over)) {
		int number = below(&p->chance, N_REQUESTS), status = play(p, number);
		if (p->has_left)
			atomic_fetch_add(&p->w->n_left, 1);
		else
			atomic_fetch_add(&p->w->n_answers, 1);
		if (!p->has_left && !status && p->hash != p->w->alone[number]) {
			fprintf(stderr, "\nsoak: request %d differs from the same request alone\n", number);
			atomic_fetch_add(&p->w->n_wrong, 1);
		}
	}
	return NULL;
}

// --- the world

static int put_adapter(const struct tdm_engine *e, const char *path, struct tdm_error *err) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	const struct tdm_engine_info *info = tdm_engine_info(e);
	struct tdm_rng rng;
	float x[4 * 1024];
	tdm_rng_init(&rng, 5);
	for (size_t i = 0; i < sizeof x / sizeof *x; i++)
		x[i] = (float)tdm_rng_normal(&rng) * 0.3f;
	tdm_gguf_put_text(w, "general.type", "adapter");
	tdm_gguf_put_text(w, "general.architecture", info->architecture);
	tdm_gguf_put_text(w, "adapter.type", "lora");
	tdm_gguf_put_f32(w, "adapter.lora.alpha", 4);
	tdm_gguf_put_tensor(w, "blk.0.ffn_up.weight.lora_a", TDM_F32, (uint64_t[]){(uint64_t)info->width, 4}, 2, x);
	tdm_gguf_put_tensor(w, "blk.0.ffn_up.weight.lora_b", TDM_F32, (uint64_t[]){4, (uint64_t)info->n_ff}, 2, x);
	int status = tdm_gguf_write(w, path, err);
	tdm_gguf_writer_free(w);
	return status;
}

static int put_settings(const char *path) {
	FILE *f = fopen(path, "we");
	if (!f)
		return TDM_EIO;
	fprintf(f, "models:\n  one: {kind: local, path: 0.gguf, chat: chatml, threads: 2, cache_mb: 8}\n"
	           "  two: {kind: local, path: 1.gguf, chat: chatml, threads: 2, cache_mb: 8}\n"
	           "  draft: {kind: speculate, target: two, draft: one, gamma: 3}\n"
	           "  both: {kind: fuse, members: [one, two]}\n"
	           "  careful: {kind: cascade, small: one, large: two, threshold: 0.5}\n");
	return fclose(f) ? TDM_EIO : TDM_OK;
}

static int open_world(struct world *w, const char *folder, struct tdm_error *err) {
	char path[512];
	int status = TDM_OK;
	mkdir(folder, 0755);
	for (int i = 0; i < 2 && !status; i++) {
		const struct tdm_family_model_options o = {.type = types[i], .seed = 7};
		const struct tdm_engine_options options = {.threads = 2, .cache_bytes = CACHE_BYTES};
		snprintf(path, sizeof path, "%s/%d.gguf", folder, i);
		status = tdm_family_model_write(recipes[i], &o, path, err);
		if (!status)
			status = tdm_engine_open(path, &options, &w->engines[i], err);
	}
	snprintf(path, sizeof path, "%s/adapter.gguf", folder);
	if (!status)
		status = put_adapter(w->engines[0], path, err);
	if (!status)
		status = tdm_adapter_open(w->engines[0], path, 0.5f, &w->adapter, err);
	snprintf(path, sizeof path, "%s/soak.yaml", folder);
	if (!status)
		status = put_settings(path);
	return status ? status : tandem_open(path, &w->tree, err);
}

static void close_world(struct world *w) {
	tandem_close(w->tree);
	tdm_adapter_close(w->adapter);
	for (int i = 0; i < 2; i++)
		tdm_engine_close(w->engines[i]);
}

static int play_alone(struct world *w) {
	struct player p = {.w = w};
	for (int i = 0; i < N_REQUESTS; i++) {
		int status = play(&p, i);
		if (status)
			return status;
		w->alone[i] = p.hash;
	}
	return TDM_OK;
}

static void report(const struct world *w, int64_t now_us, int64_t started_us, int seconds) {
	fprintf(stderr, "soak: %3d of %d s, %ld answers, %ld calls cancelled, %ld requests left, %ld wrong, %ld failed\n",
	        (int)((now_us - started_us) / 1000000), seconds, (long)w->n_answers, (long)w->n_cancelled, (long)w->n_left,
	        (long)w->n_wrong, (long)w->n_failed);
}

static void soak(struct world *w, int seconds, uint64_t seed) {
	struct player *players = calloc(N_SESSIONS, sizeof *players);
	struct tdm_rng rng;
	int64_t started_us = tdm_now_us(), shown_us = started_us, now_us;
	long seen = 0;
	tdm_rng_init(&rng, seed);
	for (int i = 0; i < N_SESSIONS; i++) {
		players[i].w = w;
		tdm_rng_stream(&players[i].chance, seed, "session", (uint64_t)i);
		pthread_create(&players[i].thread, NULL, run_session, &players[i]);
	}
	while ((now_us = tdm_now_us()) < started_us + (int64_t)seconds * 1000000 && !w->n_wrong && !w->n_failed) {
		usleep((useconds_t)(500 + below(&rng, 4000)));
		if (w->n_calls - seen >= CALLS_A_CANCELLATION) {
			seen = w->n_calls;
			atomic_store(&players[below(&rng, N_SESSIONS)].cancelled, true);
		}
		if (now_us - shown_us >= (int64_t)REPORT_S * 1000000)
			report(w, shown_us = now_us, started_us, seconds);
	}
	atomic_store(&w->is_over, true);
	for (int i = 0; i < N_SESSIONS; i++)
		pthread_join(players[i].thread, NULL);
	report(w, tdm_now_us(), started_us, seconds);
	free(players);
}

int main(int argc, char **argv) {
	struct world *w = calloc(1, sizeof *w);
	struct tdm_error err = {0};
	char folder[] = "build/soak";
	if (!w || argc < 2) {
		fprintf(stderr, "usage: soak SECONDS [SEED]\n");
		return 2;
	}
	int status = open_world(w, folder, &err);
	if (status)
		fprintf(stderr, "soak: %s\n", err.text);
	if (!status)
		status = play_alone(w);
	if (!status)
		soak(w, (int)strtol(argv[1], NULL, 10), argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	bool failed = status || w->n_wrong || w->n_failed || !w->n_answers;
	close_world(w);
	free(w);
	return failed;
}
