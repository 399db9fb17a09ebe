// Two models, one answer: the small one drafts two branches, the large one verifies both in one pass over a tree of
// tokens and keeps the path that it would have written itself. The answer is the large model's own, token for token.
// usage: verify LARGE.gguf SMALL.gguf QUESTION
#include <stdio.h>
#include <string.h>
#include <tandem.h>

enum { MOST_PROMPT = 1024, MOST_ANSWER = 64, DEPTH = 3, NODES = 1 + 2 * DEPTH };

struct side {
	struct tdm_engine *engine;
	struct tdm_seq *seq;
};

static int open_side(struct side *side, const char *path, const char *question, struct tdm_error *error) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = question, .len = strlen(question)};
	int32_t prompt[MOST_PROMPT];
	int status = tdm_engine_open(path, NULL, &side->engine, error);
	if (status)
		return status;
	int n = tdm_engine_render(side->engine, &message, 1, prompt, MOST_PROMPT, error);
	if (n < 0 || n > MOST_PROMPT)
		return n < 0 ? n : TDM_ECONTEXT;
	status = tdm_seq_open(side->engine, &side->seq, error);
	return status ? status : tdm_seq_prompt(side->seq, NULL, prompt, n, NULL, NULL, error);
}

static int32_t best(const struct side *side, const struct tdm_seq *s, int row, int32_t but) {
	const float *logits = tdm_seq_logits(s, row);
	int32_t token = but == 0 ? 1 : 0;
	for (int32_t i = 0; i < tdm_engine_info(side->engine)->n_vocab; i++)
		if (i != but && logits[i] > logits[token])
			token = i;
	return token;
}

// The two likeliest tokens after the draft's last one, each with what the draft would write after it. Branches are
// forks: they share what they have in common, and closing them leaves the sequence as it was.
static int draft_tree(const struct side *small, int32_t *tokens, int *parents, struct tdm_error *error) {
	int status = TDM_OK;
	tokens[1] = best(small, small->seq, 0, -1);
	tokens[1 + DEPTH] = best(small, small->seq, 0, tokens[1]);
	for (int branch = 0; branch < 2 && !status; branch++) {
		struct tdm_seq *fork = NULL;
		int at = 1 + branch * DEPTH;
		status = tdm_seq_fork(small->seq, &fork, error);
		for (int i = at; i < at + DEPTH && !status; i++) {
			parents[i] = i == at ? 0 : i - 1;
			if (i > at)
				tokens[i] = best(small, fork, 0, -1);
			status = i + 1 < at + DEPTH ? tdm_seq_eval(fork, &tokens[i], 1, NULL, NULL, error) : TDM_OK;
		}
		tdm_seq_close(fork);
	}
	return status;
}

// The longest path whose every token is what the large model would write there: the nodes, and their number.
static int accept_path(const struct side *large, const int32_t *tokens, const int *parents, int *path) {
	int n = 1;
	path[0] = 0;
	for (int i = 1; i < NODES; i++)
		if (parents[i] == path[n - 1] && tokens[i] == best(large, large->seq, path[n - 1], -1))
			path[n++] = i;
	return n;
}

static int write_answer(struct side *large, struct side *small, int *n_passes, struct tdm_error *error) {
	const struct tdm_vocab *vocab = tdm_engine_vocab(large->engine);
	int32_t tokens[NODES] = {best(large, large->seq, 0, -1)}; // node 0 is chosen already, and not yet evaluated
	int parents[NODES] = {-1}, path[NODES], status = TDM_OK;
	for (int written = 0; written < MOST_ANSWER && !status; ++*n_passes) {
		status = tdm_seq_eval(small->seq, &tokens[0], 1, NULL, NULL, error);
		if (!status)
			status = draft_tree(small, tokens, parents, error);
		if (!status)
			status = tdm_seq_eval_tree(large->seq, tokens, parents, NODES, NULL, error);
		int n = status ? 0 : accept_path(large, tokens, parents, path);
		for (int i = 0; i < n; i++, written++) {
			const char *piece;
			if (tdm_token_is_end(vocab, tokens[path[i]]))
				return status;
			size_t len = tdm_token_piece(vocab, tokens[path[i]], &piece);
			fwrite(piece, 1, len, stdout);
			if (i > 0 && !status)
				status = tdm_seq_eval(small->seq, &tokens[path[i]], 1, NULL, NULL, error);
		}
		if (status)
			return status;
		int32_t next = best(large, large->seq, path[n - 1], -1);
		tdm_seq_keep(large->seq, path[n - 1]);
		tokens[0] = next;
	}
	return status;
}

int main(int argc, char **argv) {
	struct side large = {0}, small = {0};
	struct tdm_error error = {0};
	int n_passes = 0;
	if (argc != 4) {
		fprintf(stderr, "usage: verify LARGE.gguf SMALL.gguf QUESTION\n");
		return 2;
	}
	int status = open_side(&large, argv[1], argv[3], &error);
	int prompt_tokens = status ? 0 : tdm_seq_length(large.seq);
	if (!status)
		status = open_side(&small, argv[2], argv[3], &error);
	if (!status && tdm_vocab_id(tdm_engine_vocab(large.engine)) != tdm_vocab_id(tdm_engine_vocab(small.engine)))
		status = TDM_EVALUE; // token ids of one mean something else to the other
	if (!status)
		status = write_answer(&large, &small, &n_passes, &error);
	if (status)
		fprintf(stderr, "%s: %s\n", tdm_status_info(status)->code, error.text);
	else
		printf("\n%d tokens in %d passes of the large model\n", tdm_seq_length(large.seq) - prompt_tokens, n_passes);
	tdm_seq_close(large.seq);
	tdm_seq_close(small.seq);
	tdm_engine_close(large.engine);
	tdm_engine_close(small.engine);
	return status != 0;
}
