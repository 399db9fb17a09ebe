// A tiny Llama model with random weights and a byte-level vocabulary with ChatML marks, written as a file.
#pragma once

#define TOY_CONTEXT 256
#define TOY_PATH "build/models-toy.gguf" // trees of these tests live in tests/: ../build/models-toy.gguf
#define TOY_VOCAB 264
#define TOY_OTHER_VOCAB 269

void toy_write(const char *path, unsigned seed);
// The same model with its tokens in another order, and with words of its own besides.
void toy_write_other(const char *path, unsigned seed);
