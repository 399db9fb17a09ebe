// random_model DIR [TYPE [SEED]]: writes DIR/RECIPE.gguf for every recipe of family_model.c and prints the recipes'
// names, one per line. TYPE is F32 (the standard), F16 or Q8_0.
#include "engine/gguf.h"
#include "family_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t type_of(const char *name) {
	return strcmp(name, "F16") == 0 ? TDM_F16 : strcmp(name, "Q8_0") == 0 ? TDM_Q8_0 : TDM_F32;
}

int main(int argc, char **argv) {
	struct tdm_error err = {0};
	const char *name;
	char path[1024];
	if (argc < 2) {
		fprintf(stderr, "usage: random_model DIR [F32|F16|Q8_0 [SEED]]\n");
		return 2;
	}
	for (size_t i = 0; (name = tdm_family_model_at(i)); i++) {
		snprintf(path, sizeof path, "%s/%s.gguf", argv[1], name);
		const struct tdm_family_model_options o = {.type = argc > 2 ? type_of(argv[2]) : TDM_F32,
		                                           .seed = argc > 3 ? strtoull(argv[3], NULL, 10) : i + 1};
		if (tdm_family_model_write(name, &o, path, &err) != TDM_OK) {
			fprintf(stderr, "random_model: %s\n", err.text);
			return 1;
		}
		puts(name);
	}
	return 0;
}
