// Embedded: names of the files inside the program; embedded_data.S holds their bytes.
#include "cli/embedded.h"
#include <string.h>

#define FILE_ROWS(X)  \
	X(small, "small") \
	X(large, "large") \
	X(masked, "masked") X(route, "route") X(cascade, "cascade") X(tagger, "tagger") X(settings, "tandem.yaml")
#define X(symbol, name) extern const char tdm_embedded_##symbol[], tdm_embedded_##symbol##_end[];
FILE_ROWS(X)
#undef X

static const struct {
	const char *name, *data, *end;
} files[] = {
#define X(symbol, name) {name, tdm_embedded_##symbol, tdm_embedded_##symbol##_end},
    FILE_ROWS(X)
#undef X
};

const void *tdm_embedded(const char *name, size_t *n) {
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		if (strcmp(files[i].name, name) || files[i].end == files[i].data)
			continue;
		*n = (size_t)(files[i].end - files[i].data);
		return files[i].data;
	}
	return NULL;
}
