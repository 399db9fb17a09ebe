// Writes the first inputs of the fuzz targets: small valid weight files, into the folder that is given; models of the
// formats that fit narrow rows, and one file with a tensor of every format.
#include "base/file.h"
#include "unit/engine/toy.h"
#include <stdio.h>

static int write_model(uint32_t type, bool is_tied, const char *path, struct tdm_error *err) {
	struct tdm_toy toy = TDM_TOY;
	struct tdm_bytes b;
	toy.type = type;
	toy.n_vocab = 12, toy.width = 32, toy.n_layers = 1, toy.n_heads = 2, toy.n_kv_heads = 1, toy.n_ff = 32;
	toy.is_tied = is_tied;
	tdm_toy_make(&toy);
	int status = tdm_file_read(toy.path, 1 << 24, &b, err);
	if (status == TDM_OK) {
		status = tdm_file_write(path, b.data, b.len, err);
		tdm_bytes_release(&b);
	}
	tdm_toy_free(&toy);
	return status;
}

static int write_formats(const char *path, struct tdm_error *err) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	float x[512];
	for (int i = 0; i < 512; i++)
		x[i] = (float)(i * 37 % 101 - 50) / 50;
	tdm_gguf_put_text(w, "general.architecture", "llama");
	for (uint32_t i = 0; i < tdm_n_formats; i++)
		tdm_gguf_put_tensor(w, tdm_formats[i].name, tdm_formats[i].type, (uint64_t[]){256, 2}, 2, x);
	int status = tdm_gguf_write(w, path, err);
	tdm_gguf_writer_free(w);
	return status;
}

int main(int argc, char **argv) {
	struct tdm_error err = {0};
	char path[512];
	int status = argc == 2 ? TDM_OK : tdm_fail(&err, TDM_EVALUE, "usage: seeds FOLDER");
	for (uint32_t i = 0; i < tdm_n_formats && status == TDM_OK; i++) {
		if (tdm_formats[i].per_block > 32)
			continue;
		snprintf(path, sizeof path, "%s/%u.gguf", argv[1], tdm_formats[i].type);
		status = write_model(tdm_formats[i].type, tdm_formats[i].type == TDM_Q8_0, path, &err);
	}
	if (status == TDM_OK) {
		snprintf(path, sizeof path, "%s/formats.gguf", argv[1]);
		status = write_formats(path, &err);
	}
	if (status != TDM_OK)
		fprintf(stderr, "%s\n", err.text);
	return status != TDM_OK;
}
