// Passages: pieces of the operator's own documents in one SQLite file, found by their words (FTS5, BM25) and, where
// they have vectors, by nearness. What `tandem index` writes and the kind `retrieve` reads.
//
// A file is made in one transaction under another name, so that who opens it finds all of it or none. Open for reading
// it never changes; any number of threads may search.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include <stdint.h>

struct tdm_passages;
struct tdm_passage {
	int64_t id;
	const char *source, *text; // the file it is from
	size_t n;
};
struct tdm_hit {
	int64_t id;
	double score; // larger is nearer
};

// model: whose vectors there will be; NULL = none. Error: TDM_EIO.
int tdm_passages_create(const char *path, const char *model, struct tdm_passages **out, struct tdm_error *err);
// vector: width numbers, brought to length 1; NULL without a model. All of one width.
int tdm_passages_put(struct tdm_passages *p, const char *source, const char *text, size_t n, const float *vector,
                     int width, struct tdm_error *err);
int tdm_passages_finish(struct tdm_passages *p, struct tdm_error *err); // ends it, also when it fails

int tdm_passages_open(const char *path, struct tdm_passages **out,
                      struct tdm_error *err);    // to read. TDM_EIO, TDM_EFORMAT
void tdm_passages_close(struct tdm_passages *p); // NULL is fine; of create: drops it
size_t tdm_passages_count(const struct tdm_passages *p);
int tdm_passages_width(const struct tdm_passages *p);         // of vectors; 0 = none
const char *tdm_passages_model(const struct tdm_passages *p); // that made them; "" = none
// At most k, best first. By words: any of the query's. By vector (length 1): cosine, over all; ties by id.
int tdm_passages_by_words(struct tdm_passages *p, const char *query, size_t n, size_t k, struct tdm_hit *hits,
                          size_t *n_hits, struct tdm_error *err);
size_t tdm_passages_by_vector(const struct tdm_passages *p, const float *vector, size_t k, struct tdm_hit *hits);
double tdm_passages_cosine(const struct tdm_passages *p, int64_t id, const float *vector); // of one; NaN: it has none
int tdm_passages_get(struct tdm_passages *p, struct tdm_arena *arena, int64_t id, struct tdm_passage *out,
                     struct tdm_error *err);
