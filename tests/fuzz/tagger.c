// Fuzz target: bytes as the file of a tagger, as they are and with the head, size and sum that a file must have, and a
// text that the weights so read are asked about. What is read is written back as it was; names lie in the text.
//
// links: privacy base
#include "base/bytes.h"
#include "base/crypto.h"
#include "privacy/detect/tagger.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define HEAD_BYTES (16 + 4 * (1 + TDM_N_TAGS + TDM_N_TAGS * TDM_N_TAGS))
#define MOST_NAMES 4096

struct names {
	const struct tdm_terms *terms;
	size_t n;
};

static int on_name(void *arg, enum tdm_tag_kind kind, const struct tdm_term *first, const struct tdm_term *last) {
	struct names *names = arg;
	const struct tdm_term *items = names->terms->items;
	if (kind >= TDM_N_TAG_KINDS || first < items || last < first || last >= items + names->terms->n)
		abort();
	return ++names->n > MOST_NAMES ? -1 : 0;
}

static void ask(const struct tdm_tagger *tagger, const char *text, size_t n, float bias) {
	struct tdm_error err;
	struct tdm_terms terms = {0};
	struct names names = {&terms, 0};
	uint8_t *seen = calloc(1, TDM_MEMORY_BYTES);
	if (seen && tdm_terms_cut(text, n, &terms, &err) == TDM_OK) {
		for (size_t i = 0; i < terms.n; i++)
			if (terms.items[i].start >= terms.items[i].end || terms.items[i].end > n)
				abort();
		tdm_tagger_find(tagger, text, &terms, bias, seen, on_name, &names);
	}
	tdm_terms_release(&terms);
	free(seen);
}

static void read_file(const void *file, size_t n, const char *text, size_t n_text, float bias) {
	struct tdm_error err;
	struct tdm_tagger tagger;
	struct tdm_bytes again;
	if (tdm_tagger_read(file, n, "fuzz", &tagger, &err) != TDM_OK)
		return;
	ask(&tagger, text, n_text, bias);
	tdm_bytes_init(&again, TDM_TAGGER_LIMIT_BYTES);
	if (tdm_tagger_write(&tagger, &again) != TDM_OK || again.len != n || memcmp(again.data, file, n) != 0)
		abort();
	tdm_bytes_release(&again);
}

// A file of 2^bits slots and so many blocks, filled with the bytes again and again, whose head and sum are right.
static void read_repaired(const uint8_t *data, size_t n, unsigned bits, size_t blocks, const char *text, size_t n_text,
                          float bias) {
	size_t size = HEAD_BYTES + ((size_t)1 << bits) + blocks * TDM_GAZETTEER_BLOCK;
	uint32_t head[2] = {bits, (uint32_t)(blocks * TDM_GAZETTEER_BLOCK)};
	uint8_t *file = malloc(size + TDM_SHA256_BYTES);
	if (!file)
		return;
	for (size_t i = 0; i < size; i++)
		file[i] = n ? data[i % n] : 0;
	memcpy(file, "TDMTAG" TDM_TAGGER_VERSION, 8);
	memcpy(file + 8, head, sizeof head);
	tdm_sha256(file, size, file + size);
	read_file(file, size + TDM_SHA256_BYTES, text, n_text, bias);
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	if (n < 4)
		return 0;
	size_t n_text = (size_t)(data[2] | data[3] << 8) % (n - 3);
	char *text = malloc(n_text + 1); // of its own, so that a look behind it is seen
	if (!text)
		return 0;
	memcpy(text, data + 4, n_text);
	text[n_text] = 0;
	const uint8_t *rest = data + 4 + n_text;
	size_t n_rest = n - 4 - n_text;
	read_file(rest, n_rest, text, n_text, 0);
	read_repaired(rest, n_rest, 10 + data[0] % 3, data[0] / 16, text, n_text, (float)(int8_t)data[1]);
	free(text);
	return 0;
}
