// Answers from a weight file, token by token: the conversation as tokens, one sequence, a form that the answer keeps
// to, a token drawn from the masked logits. Then two embeddings and the perplexity of a text. usage: engine MODEL.gguf
// QUESTION [SCHEMA]
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem.h>

enum { MOST_PROMPT = 1024, MOST_ANSWER = 64 };

static int write_answer(struct tdm_engine *e, struct tdm_seq *s, struct tdm_constraint *form, struct tdm_error *error) {
	const struct tdm_vocab *vocab = tdm_engine_vocab(e);
	int n_vocab = tdm_engine_info(e)->n_vocab, status = TDM_OK;
	struct tdm_sampling sampling = {.temperature = 0.7f, .top_p = 0.9f, .repeat_penalty = 1};
	float *logits = malloc((size_t)n_vocab * sizeof *logits), *probs = malloc((size_t)n_vocab * sizeof *probs);
	uint64_t *mask = malloc((size_t)(n_vocab / 64 + 1) * sizeof *mask);
	for (int n = 0; n < MOST_ANSWER && !status; n++) {
		memcpy(logits, tdm_seq_logits(s, 0), (size_t)n_vocab * sizeof *logits); // valid until the next evaluation
		if (form && (status = tdm_constraint_mask(form, mask, error)))
			break;
		if (form)
			tdm_constraint_apply(mask, logits, n_vocab);
		tdm_sampling_probs(&sampling, logits, n_vocab, NULL, 0, probs);
		int32_t token = tdm_sample(probs, n_vocab, (double)rand() / ((double)RAND_MAX + 1));
		if (tdm_token_is_end(vocab, token))
			break;
		const char *piece;
		size_t len = tdm_token_piece(vocab, token, &piece);
		fwrite(piece, 1, len, stdout);
		if (form)
			tdm_constraint_advance(form, token);
		status = tdm_seq_eval(s, &token, 1, NULL, NULL, error);
	}
	putchar('\n');
	free(logits);
	free(probs);
	free(mask);
	return status;
}

static int answer(struct tdm_engine *e, const char *question, const char *schema, struct tdm_error *error) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = question, .len = strlen(question)};
	struct tdm_seq *s = NULL;
	struct tdm_grammar *grammar = NULL;
	struct tdm_constraint *form = NULL;
	int32_t prompt[MOST_PROMPT];
	int n = tdm_engine_render(e, &message, 1, prompt, MOST_PROMPT, error), status = n;
	if (n >= 0) // more tokens than room: counted, not written
		status = n <= MOST_PROMPT ? tdm_seq_open(e, &s, error) : TDM_ECONTEXT;
	if (!status)
		status = tdm_seq_prompt(s, NULL, prompt, n, NULL, NULL, error);
	if (!status && schema)
		status = tdm_grammar_new(TDM_GRAMMAR_SCHEMA, schema, strlen(schema), NULL, &grammar, error);
	if (!status && schema)
		status = tdm_engine_constrain(e, grammar, &form, error);
	if (!status)
		status = write_answer(e, s, form, error);
	tdm_constraint_free(form); // users before what they use
	tdm_grammar_free(grammar);
	tdm_seq_close(s);
	return status;
}

static int compare(struct tdm_engine *e, const char *a, const char *b, struct tdm_error *error) {
	int width = tdm_engine_info(e)->width;
	float *x = malloc((size_t)width * sizeof *x), *y = malloc((size_t)width * sizeof *y), cosine = 0;
	int status = tdm_engine_embed(e, NULL, a, strlen(a), NULL, x, NULL, error);
	if (!status)
		status = tdm_engine_embed(e, NULL, b, strlen(b), NULL, y, NULL, error);
	for (int i = 0; i < width && !status; i++)
		cosine += x[i] * y[i]; // both have length 1
	if (!status)
		printf("cosine of \"%s\" and \"%s\": %.3f\n", a, b, (double)cosine);
	free(x);
	free(y);
	return status;
}

static int measure(struct tdm_engine *e, const char *text, struct tdm_error *error) {
	struct tdm_perplexity *p = NULL;
	struct tdm_perplexity_figures f;
	int status = tdm_perplexity_open(e, text, strlen(text), 16, &p, error);
	do {
		f = status ? (struct tdm_perplexity_figures){0} : tdm_perplexity_figures(p);
		if (!status && f.n_done < f.n_chunks)
			status = tdm_perplexity_next(p, error);
	} while (!status && f.n_done < f.n_chunks);
	if (!status)
		printf("perplexity %.1f over %d chunks\n", f.value, f.n_chunks);
	tdm_perplexity_close(p);
	return status;
}

int main(int argc, char **argv) {
	static const char text[] =
	    "The quick brown fox jumps over the lazy dog. The dog does not mind, and sleeps on in the "
	    "sun. The fox walks home, and the day ends as it began, quietly and without a word.";
	struct tdm_engine *e = NULL;
	struct tdm_error error = {0};
	struct tdm_engine_options options = {.threads = 2};
	if (argc < 3) {
		fprintf(stderr, "usage: engine MODEL.gguf QUESTION [SCHEMA]\n");
		return 2;
	}
	int status = tdm_engine_open(argv[1], &options, &e, &error);
	if (!status)
		status = answer(e, argv[2], argc > 3 ? argv[3] : NULL, &error);
	if (!status)
		status = compare(e, "the sea", "a boat", &error);
	if (!status)
		status = measure(e, text, &error);
	if (status)
		fprintf(stderr, "%s: %s\n", tdm_status_info(status)->code, error.text);
	tdm_engine_close(e);
	return status != 0;
}
