// Chunks: a body of HTTP/1.1 in chunks, of a request or of an answer: bytes in, bytes out. Strict: a length is at most
// eight hexadecimal digits, lines end with CR LF, extensions and trailers are read, bounded and forgotten.
#pragma once
#include "base/bytes.h"
#include <stddef.h>
#include <stdint.h>

struct tdm_chunks { // reader of a body in chunks; zeroed at first
	enum {
		TDM_CHUNK_SIZE,
		TDM_CHUNK_EXTENSION,
		TDM_CHUNK_LF,
		TDM_CHUNK_DATA,
		TDM_CHUNK_DATA_CR,
		TDM_CHUNK_DATA_LF,
		TDM_CHUNK_TRAILER,
		TDM_CHUNK_TRAILER_LF,
		TDM_CHUNK_DONE
	} state;
	uint64_t left;                     // of the present chunk
	size_t n_digits, n_line, n_beside; // n_beside: bytes of all extensions and trailers
};
// Appends what text[0..n) holds of the body to `body` (which fails beyond its limit). Returns the bytes used: fewer
// than n when the body has ended; SIZE_MAX when it is none.
size_t tdm_chunks_read(struct tdm_chunks *c, const char *text, size_t n, struct tdm_bytes *body);
