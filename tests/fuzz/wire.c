// Fuzz target: bytes as requests on a connection (the first byte is even) or as an upstream's answer. However they are
// cut (the second byte says how), the result is the same; nothing is read beyond what came; a head that was read has a
// method and a path, and never a length beside chunks.
//
// links: serve models engine ledger assure base
#include "base/chunks.h"
#include "models/remote/plain.h"
#include "serve/head.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

// The status of refusal, 0 = a head, -1 = more is needed; *end: where it ends.
static int read_head(const uint8_t *data, size_t n, size_t step, size_t *end) {
	struct tdm_head h;
	size_t looked = 0, have = 0;
	char *text = malloc(n + 1);
	int result = -1;
	*end = 0;
	memcpy(text, data, n);
	while (result < 0 && have < n) {
		have = step < n - have ? have + step : n;
		*end = tdm_head_find(&h, text, have, &looked);
		if (h.refused)
			result = h.refused;
		else if (*end)
			result = tdm_head_read(&h, text, *end) ? 0 : h.refused;
	}
	if (result == 0 && (!h.method || !*h.method || !h.path || (h.chunked && h.has_length) || *end > n))
		abort();
	free(text);
	return result;
}

static void check_request(const uint8_t *data, size_t n, size_t step) {
	size_t end, end_cut;
	int at_once = read_head(data, n, SIZE_MAX, &end), cut = read_head(data, n, step, &end_cut);
	if (at_once != cut || (at_once == 0 && end != end_cut))
		abort();
	struct tdm_chunks c = {0};
	struct tdm_bytes body;
	tdm_bytes_init(&body, 1 << 20);
	size_t used = tdm_chunks_read(&c, (const char *)data, n, &body);
	if (used != SIZE_MAX && (used > n || body.len > n))
		abort();
	tdm_bytes_release(&body);
}

struct seen {
	size_t n;
	uint64_t hash;
};

static int on_bytes(void *arg, const char *bytes, size_t n) {
	struct seen *seen = arg;
	for (size_t i = 0; i < n; i++)
		seen->hash = (seen->hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
	seen->n += n;
	return 0;
}

static void on_header(struct tdm_http_post *post, const char *line, size_t n) {
	post->retry_after_ms += n && line[0] == 'r';
}

static enum tdm_http_end read_answer(const uint8_t *data, size_t n, size_t step, struct seen *seen, int *http) {
	struct tdm_http_post post = {.bytes = on_bytes, .arg = seen, .end = TDM_HTTP_BROKEN};
	struct tdm_plain_call call = {&post, "", 0, 0, on_header};
	struct tdm_plain_answer *a = tdm_plain_answer_new(&call);
	bool more = a != NULL;
	for (size_t at = 0, part; more && at < n; at += part) {
		part = step < n - at ? step : n - at;
		more = tdm_plain_answer_feed(a, (const char *)data + at, part, false);
	}
	if (more)
		tdm_plain_answer_feed(a, "", 0, true);
	tdm_plain_answer_free(a);
	*http = post.http;
	return post.end;
}

static void check_answer(const uint8_t *data, size_t n, size_t step) {
	struct seen once = {0}, cut = {0};
	int http, http_cut;
	enum tdm_http_end end = read_answer(data, n, 4096, &once, &http),
	                  end_cut = read_answer(data, n, step, &cut, &http_cut);
	if (once.n > n || (end == TDM_HTTP_WELL) != (end_cut == TDM_HTTP_WELL))
		abort();
	if (end == TDM_HTTP_WELL && (once.n != cut.n || once.hash != cut.hash || http != http_cut || http < 200))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	if (n < 2)
		return 0;
	size_t step = 1u + data[1] % 61u;
	if (data[0] & 1)
		check_answer(data + 2, n - 2, step);
	else
		check_request(data + 2, n - 2, step);
	return 0;
}
