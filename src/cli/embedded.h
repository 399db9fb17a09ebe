// Embedded: the files inside the program (the default pair, its router, the default settings).
#pragma once
#include <stddef.h>

// NULL when the program has no such file; *n = its bytes. Names: small, large, route, cascade, tagger, tandem.yaml.
const void *tdm_embedded(const char *name, size_t *n);
