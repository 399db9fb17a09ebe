// Writes the first inputs of the fuzz targets: small valid weight files, into the folder that is given.
#include "base/file.h"
#include "unit/engine/toy.h"
#include <stdio.h>

int main(int argc, char **argv) {
	static const uint32_t types[] = {TDM_F32, TDM_F16, TDM_Q8_0};
	for (int i = 0; i < 3 && argc == 2; i++) {
		struct tdm_toy toy = TDM_TOY;
		struct tdm_bytes b;
		struct tdm_error err = {0};
		char path[512];
		toy.type = types[i];
		toy.n_vocab = 12, toy.width = 32, toy.n_layers = 1, toy.n_heads = 2, toy.n_kv_heads = 1, toy.n_ff = 32;
		toy.is_tied = i == 2;
		tdm_toy_make(&toy);
		snprintf(path, sizeof path, "%s/%u.gguf", argv[1], types[i]);
		if (tdm_file_read(toy.path, 1 << 24, &b, &err) != TDM_OK ||
		    tdm_file_write(path, b.data, b.len, &err) != TDM_OK) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		tdm_bytes_release(&b);
		tdm_toy_free(&toy);
	}
	return argc != 2;
}
