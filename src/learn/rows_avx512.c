// Rows: the table for AVX-512 (see rows.h; the Makefile gives this file its flags).
#include "learn/rows.inc"

const struct tdm_rows tdm_rows_avx512 = ROWS_TABLE("avx512");
