// Pre-split: how byte-level BPE cuts text into pieces before merging. Tokens never cross the border of a piece.
//
// A pattern is known by the name that weight files carry in tokenizer.ggml.pre. To add one, add a row in presplit.c.
#pragma once
#include "base/status.h"
#include <stdbool.h>

struct tdm_presplit; // compiled; immutable, safe from many threads

// name: n bytes. Error: TDM_EFORMAT for an unknown name, with the known ones.
int tdm_presplit_new(const char *name, size_t n, struct tdm_presplit **out, struct tdm_error *err);
void tdm_presplit_free(struct tdm_presplit *p); // NULL is allowed
// The published tokenizers of this pattern take a piece that is itself a token whole, without merging.
bool tdm_presplit_whole(const struct tdm_presplit *p);
// They begin a text with the begin token unless the file says otherwise.
bool tdm_presplit_begins(const struct tdm_presplit *p);

typedef int tdm_presplit_fn(void *arg, const char *piece, size_t n); // a non-zero status stops
// Calls put for every piece in order; the pieces together are the text. Bytes that are not UTF-8 are pieces of their
// own. Returns TDM_OK or what put returned.
int tdm_presplit_run(const struct tdm_presplit *p, const char *text, size_t n, tdm_presplit_fn *put, void *arg);

// Byte-level BPE writes its tokens with one printable character per byte: printable Latin-1 stands for itself, the
// other 68 bytes are U+0100 onward in order.
size_t tdm_byte_char(unsigned char byte, char out[4]); // the character's UTF-8; returns its length
int tdm_char_byte(unsigned c);                         // the byte a character stands for, or -1
