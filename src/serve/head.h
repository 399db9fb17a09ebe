// Head: an HTTP/1.x request's first part: bytes in, facts out, no sockets. Its body in chunks: base/chunks.h.
//
// The rule it protects: two readers of the same bytes must see the same request, so that nothing can be hidden between
// two requests. What RFC 9112 lets a server be lenient about is refused here: bare CR or LF, folded lines, spaces
// before a colon, two lengths, a length beside chunks, other codings than chunked, a missing or second Host.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TDM_HEAD_FIELDS 100
#define TDM_HEAD_BYTES ((size_t)16 << 10)

struct tdm_head_field {
	const char *name, *value;
};

struct tdm_head {              // strings lie in the text that was read, or are constants
	const char *method, *path; // path: percent-decoded, without the query; as it came where it would decode to no text
	const char *query;         // as it came, behind the "?"; NULL = none
	const char *host;          // "" in a request of HTTP/1.0 without one
	bool is_11, keep_alive, chunked, has_length, wants_continue;
	uint64_t length;
	struct tdm_head_field fields[TDM_HEAD_FIELDS];
	size_t n_fields;
	int refused;     // the HTTP status to refuse it with, 0 = none
	const char *why; // and the sentence
};

// Where the first head of text[0..n) ends (after its empty line); 0 = more is needed. `from`: where an earlier look at
// less of the same text stopped, updated. Sets h->refused for what can be no head, as soon as that is known.
size_t tdm_head_find(struct tdm_head *h, const char *text, size_t n, size_t *from);
// Reads the head text[0..n), which tdm_head_find found; ends its words with NUL in place. false: h->refused is set.
bool tdm_head_read(struct tdm_head *h, char *text, size_t n);
const char *tdm_head_value(const struct tdm_head *h, const char *name); // of the first such field; NULL = absent

// A field of the query, decoded, in out: at most cap bytes with their NUL. false: there is none, or it is no text.
bool tdm_head_query(const struct tdm_head *h, const char *name, char *out, size_t cap);
