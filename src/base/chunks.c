// Chunks: the reader of bodies in chunks; see chunks.h.
#include "base/chunks.h"
#include <stdint.h>

#define BESIDE_LIMIT_BYTES 4096 // of extensions and trailers
#define DIGITS_LIMIT 8          // of a chunk's size: 4 GiB

static int hex_digit(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// One byte of a chunk's frame. false: it is none.
static bool read_frame(struct tdm_chunks *c, char byte) {
	int digit = hex_digit(byte);
	switch (c->state) {
	case TDM_CHUNK_SIZE:
		if (digit >= 0) {
			c->left = c->left << 4 | (unsigned)digit;
			return ++c->n_digits <= DIGITS_LIMIT;
		}
		c->state = byte == '\r' ? TDM_CHUNK_LF : TDM_CHUNK_EXTENSION;
		return c->n_digits && (byte == '\r' || byte == ';' || byte == ' ' || byte == '\t');
	case TDM_CHUNK_EXTENSION:
		if (byte == '\r')
			c->state = TDM_CHUNK_LF;
		return byte != '\n' && byte && ++c->n_beside <= BESIDE_LIMIT_BYTES;
	case TDM_CHUNK_LF:
		c->state = c->left ? TDM_CHUNK_DATA : TDM_CHUNK_TRAILER;
		c->n_line = 0;
		return byte == '\n';
	case TDM_CHUNK_DATA_CR:
		c->state = TDM_CHUNK_DATA_LF;
		return byte == '\r';
	case TDM_CHUNK_DATA_LF:
		c->state = TDM_CHUNK_SIZE;
		c->n_digits = 0;
		return byte == '\n';
	default:
		return false;
	}
}

// Trailers are read and forgotten: they say nothing about who asks for what.
static bool read_trailer(struct tdm_chunks *c, char byte) {
	if (c->state == TDM_CHUNK_TRAILER_LF) {
		c->state = c->n_line ? TDM_CHUNK_TRAILER : TDM_CHUNK_DONE;
		c->n_line = 0;
		return byte == '\n';
	}
	if (byte == '\r')
		c->state = TDM_CHUNK_TRAILER_LF;
	else
		c->n_line++;
	return byte != '\n' && byte && ++c->n_beside <= BESIDE_LIMIT_BYTES;
}

size_t tdm_chunks_read(struct tdm_chunks *c, const char *text, size_t n, struct tdm_bytes *body) {
	size_t i = 0;
	while (i < n && c->state != TDM_CHUNK_DONE) {
		if (c->state == TDM_CHUNK_DATA) {
			size_t part = c->left < n - i ? (size_t)c->left : n - i;
			tdm_bytes_add(body, text + i, part);
			i += part;
			c->left -= part;
			if (!c->left)
				c->state = TDM_CHUNK_DATA_CR;
		} else if (c->state >= TDM_CHUNK_TRAILER ? !read_trailer(c, text[i++]) : !read_frame(c, text[i++])) {
			return SIZE_MAX;
		}
	}
	return i;
}
