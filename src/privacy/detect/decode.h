// Decode: what a text says once its encodings are undone: percent signs, entities of HTML, \u escapes, look-alike
// letters, one level of base 64, letters with spaces between them. A value that hides there is found there, and the
// whole of what encodes it is masked.
#pragma once
#include "base/bytes.h"
#include "base/status.h"
#include <stddef.h>

// Appends to out what text[0..n) says beside what it says as it stands, nothing when it holds no encodings; at (NULL:
// not wanted): for each byte of out, and one more, the offset in text of what it came from (uint32_t). All bytes of a
// run of base 64 have the offset of its beginning. Error: TDM_ETOOLARGE: more than twice the text, so that all views of
// it would be more than four times its size; TDM_ENOMEM.
int tdm_decode(const char *text, size_t n, struct tdm_bytes *out, struct tdm_bytes *at, struct tdm_error *err);
