// The files inside the program. A file that does not exist (before `make pair` has run) is left out.
// A new file: three lines here, one row in embedded.c.
#define SYMBOL(name) .global name; .hidden name; name:
#define EMBED(symbol, path)                                                                                            \
	.section .rodata; .balign 64; SYMBOL(tdm_embedded_##symbol) .incbin path;                                          \
	SYMBOL(tdm_embedded_##symbol##_end) .byte 0
#define ABSENT(symbol)                                                                                                 \
	.section .rodata; SYMBOL(tdm_embedded_##symbol) SYMBOL(tdm_embedded_##symbol##_end) .byte 0

#if __has_include("../../weights/small.gguf")
EMBED(small, "weights/small.gguf")
#else
ABSENT(small)
#endif
#if __has_include("../../weights/large.gguf")
EMBED(large, "weights/large.gguf")
#else
ABSENT(large)
#endif
#if __has_include("../../weights/masked.gguf")
EMBED(masked, "weights/masked.gguf")
#else
ABSENT(masked)
#endif
#if __has_include("../../weights/route.json")
EMBED(route, "weights/route.json")
#else
ABSENT(route)
#endif
#if __has_include("../../weights/cascade.json")
EMBED(cascade, "weights/cascade.json")
#else
ABSENT(cascade)
#endif
#if __has_include("../../weights/tagger/tagger.bin")
EMBED(tagger, "weights/tagger/tagger.bin")
#else
ABSENT(tagger)
#endif
EMBED(settings, "tandem.yaml")
.section .note.GNU-stack, "", @progbits
