// `tandem fit-tagger`: the weights of the tagger that mask finds names with, from lists and templates, and from files
// that are no part of the project. weights/tagger/make is the recipe of the ones that are shipped.
#include "base/file.h"
#include "cli/command.h"
#include "learn/fit_tagger.h"
#include "models/kind.h"
#include <stdio.h>
#include <stdlib.h>

#define FILE_LIMIT_BYTES ((size_t)64 << 20)

struct options {
	struct tdm_strings text, conll, plain, check;
	const char *first, *words, *out;
	int64_t seed, epochs, texts, slots;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"text", TDM_OPT_LIST, AT(text), NULL, 0, 0, NULL, "files of lists and templates, comma-separated"},
    {"conll", TDM_OPT_LIST, AT(conll), NULL, 0, 0, NULL, "labelled sentences: word TAB label"},
    {"plain", TDM_OPT_LIST, AT(plain), NULL, 0, 0, NULL, "lines with no names but first names of the lists"},
    {"first", TDM_OPT_STRING, AT(first), NULL, 0, 0, NULL, "more first names, one to a line"},
    {"words", TDM_OPT_STRING, AT(words), NULL, 0, 0, NULL, "more common words, one to a line"},
    {"seed", TDM_OPT_INT, AT(seed), "1", 0, 9e15, NULL, "of everything that is drawn"},
    {"epochs", TDM_OPT_INT, AT(epochs), "12", 1, 1000, NULL, "passes"},
    {"texts", TDM_OPT_INT, AT(texts), "20000", 1, 1e7, NULL, "texts drawn from the templates, in every pass others"},
    {"slots", TDM_OPT_INT, AT(slots), "20", 10, 24, NULL, "log2 of the number of weights"},
    {"check", TDM_OPT_LIST, AT(check), NULL, 0, 0, NULL, "labelled sentences to measure on, in every letter case"},
    {"out", TDM_OPT_STRING, AT(out), NULL, 0, 0, NULL, "file for the weights"},
};

struct parts {
	struct tdm_tagger_text *text;
	struct tdm_tagger_corpus corpus, check;
	struct tdm_gazetteer lists;
	struct tdm_bytes first, words;
};

static int read_text(const struct options *o, struct parts *p, struct tdm_error *err) {
	struct tdm_bytes bytes;
	int status = tdm_tagger_text_new(&p->text, err);
	for (size_t i = 0; i < o->text.n && status == TDM_OK; i++) {
		status = tdm_file_read(o->text.items[i], FILE_LIMIT_BYTES, &bytes, err);
		if (status == TDM_OK)
			status = tdm_tagger_text_add(p->text, o->text.items[i], bytes.data ? bytes.data : "", bytes.len, err);
		tdm_bytes_release(&bytes);
	}
	return status == TDM_OK ? tdm_tagger_text_check(p->text, err) : status;
}

static int read_conll(const struct tdm_strings *files, struct tdm_tagger_corpus *out, struct tdm_error *err) {
	struct tdm_bytes bytes;
	int status = TDM_OK;
	for (size_t i = 0; i < files->n && status == TDM_OK; i++) {
		status = tdm_file_read(files->items[i], FILE_LIMIT_BYTES, &bytes, err);
		if (status == TDM_OK)
			status = tdm_tagger_corpus_conll(out, bytes.data ? bytes.data : "", bytes.len, err);
		tdm_bytes_release(&bytes);
	}
	return status;
}

static int make_lists(const struct options *o, struct parts *p, struct tdm_error *err) {
	free((void *)(uintptr_t)p->lists.blocks);
	return tdm_fit_tagger_lists(&(struct tdm_fit_lists){p->text, &p->corpus, p->first.data, p->words.data, p->first.len,
	                                                    p->words.len, (uint64_t)o->seed},
	                            &p->lists, err);
}

static int read_plain(const struct options *o, struct parts *p, struct tdm_error *err) {
	struct tdm_bytes bytes;
	int status = o->plain.n ? make_lists(o, p, err) : TDM_OK; // of what is known so far: it labels these lines
	for (size_t i = 0; i < o->plain.n && status == TDM_OK; i++) {
		status = tdm_file_read(o->plain.items[i], FILE_LIMIT_BYTES, &bytes, err);
		if (status == TDM_OK)
			status = tdm_tagger_corpus_plain(&p->corpus, &p->lists, bytes.data ? bytes.data : "", bytes.len, err);
		tdm_bytes_release(&bytes);
	}
	return status;
}

static int read_all(const struct options *o, struct parts *p, struct tdm_error *err) {
	int status = read_text(o, p, err);
	if (status == TDM_OK)
		status = read_conll(&o->conll, &p->corpus, err);
	if (status == TDM_OK)
		status = read_conll(&o->check, &p->check, err);
	if (status == TDM_OK && o->first)
		status = tdm_file_read(o->first, FILE_LIMIT_BYTES, &p->first, err);
	if (status == TDM_OK && o->words)
		status = tdm_file_read(o->words, FILE_LIMIT_BYTES, &p->words, err);
	if (status == TDM_OK)
		status = read_plain(o, p, err);
	return status == TDM_OK ? make_lists(o, p, err) : status;
}

static void show_epoch(void *arg, int64_t epoch, double wrong) {
	fprintf(stderr, "epoch %lld: %.3f %% of the words wrong while learning\n", (long long)epoch + 1, 100 * wrong);
}

static int show_check(const struct tdm_tagger *tagger, const struct parts *p, struct tdm_error *err) {
	static const struct {
		const char *name;
		enum tdm_case how;
	} cases[] = {{"as written", TDM_CASE_SAME}, {"lower", TDM_CASE_LOWER}, {"upper", TDM_CASE_UPPER}};
	static const float biases[] = {4, 2, 0, -2, -4, -6, -8, -10, -14, -20};
	int status = TDM_OK;
	if (p->check.n)
		printf("| case | bias | words of names found | other words taken |\n| --- | --: | --: | --: |\n");
	for (size_t c = 0; p->check.n && c < TDM_COUNT(cases); c++)
		for (size_t b = 0; b < TDM_COUNT(biases) && status == TDM_OK; b++) {
			struct tdm_tagger_measure m = {0};
			status = tdm_tagger_measure(tagger, &p->check, biases[b], cases[c].how, &m, err);
			printf("| %s | %g | %.1f %% | %.1f %% |\n", cases[c].name, (double)biases[b],
			       100. * (double)m.found / (double)(m.names ? m.names : 1),
			       100. * (double)m.taken / (double)(m.others ? m.others : 1));
		}
	return status;
}

static int write_weights(const struct tdm_tagger *tagger, const char *path, struct tdm_error *err) {
	struct tdm_bytes bytes;
	tdm_bytes_init(&bytes, TDM_TAGGER_LIMIT_BYTES);
	int status = tdm_tagger_write(tagger, &bytes);
	status = status == TDM_OK ? tdm_file_write(path, bytes.data, bytes.len, err)
	                          : tdm_fail(err, status, "fit-tagger: no memory for the weights");
	tdm_bytes_release(&bytes);
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct parts p = {0};
	struct tdm_tagger tagger = {0};
	if (!o->text.n || !o->out)
		return tdm_fail(call->error, TDM_EVALUE, "tandem fit-tagger: expected --text and --out");
	int status = read_all(o, &p, call->error);
	if (status == TDM_OK) {
		fprintf(stderr, "%zu texts of files, %u bytes of lists\n", p.corpus.n, p.lists.n_blocks * TDM_GAZETTEER_BLOCK);
		struct tdm_fit_tagger fit = {
		    p.text, &p.corpus, p.lists, (uint64_t)o->seed, o->epochs, o->texts, (unsigned)o->slots, show_epoch, NULL};
		status = tdm_fit_tagger(&fit, &tagger, call->error);
	}
	if (status == TDM_OK)
		status = write_weights(&tagger, o->out, call->error);
	if (status == TDM_OK)
		status = show_check(&tagger, &p, call->error);
	free(tagger.owned);
	free((void *)(uintptr_t)p.lists.blocks);
	tdm_tagger_text_free(p.text);
	tdm_tagger_corpus_release(&p.corpus);
	tdm_tagger_corpus_release(&p.check);
	tdm_bytes_release(&p.first);
	tdm_bytes_release(&p.words);
	return status;
}

const struct tdm_command tdm_command_fit_tagger = {
    .name = "fit-tagger",
    .summary = "the weights with which mask finds names",
    .group = "make",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
