// The bytes of the files of web/; pages_files.h lists them.
#include "serve/pages_files.h"
#define EMBED(symbol, path, file, type)                                                                                \
	.global tdm_page_##symbol; .hidden tdm_page_##symbol; tdm_page_##symbol: .incbin file;                             \
	.global tdm_page_##symbol##_end; .hidden tdm_page_##symbol##_end; tdm_page_##symbol##_end: .byte 0;

	.section .rodata
TDM_PAGES(EMBED)
.section .note.GNU-stack, "", @progbits
