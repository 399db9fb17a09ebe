// Rows: the table for AVX2 (see rows.h; the Makefile gives this file its flags).
#include "learn/rows.inc"

const struct tdm_rows tdm_rows_avx2 = ROWS_TABLE("avx2");
