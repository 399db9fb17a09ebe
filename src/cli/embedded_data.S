// The files inside the program. A file that does not exist (before `make pair` has run) is left out.
// A new file: three lines here, one row in embedded.c.
#define EMBED(symbol, path)                                                                                            \
	.section .rodata; .balign 64; .global tdm_embedded_##symbol; tdm_embedded_##symbol: .incbin path;                  \
	.global tdm_embedded_##symbol##_end; tdm_embedded_##symbol##_end: .byte 0
#define ABSENT(symbol)                                                                                                 \
	.section .rodata; .global tdm_embedded_##symbol; tdm_embedded_##symbol:                                            \
	.global tdm_embedded_##symbol##_end; tdm_embedded_##symbol##_end: .byte 0

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
#if __has_include("../../weights/route.json")
EMBED(route, "weights/route.json")
#else
ABSENT(route)
#endif
EMBED(settings, "tandem.yaml")
.section .note.GNU-stack, "", @progbits
